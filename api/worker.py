"""A worker: takes jobs from the queue and carries them out, one after the other, in a thread.

Any number of workers, in the service and in other processes (`provenote work`), may work on one installation.

| a worker is killed | what happens |
| --- | --- |
| with an id, before it has the job | the job is due and the queue empty: the next look sends the id again |
| at the job, before the ledger's commit | its lease runs out, and the job is queued again |
| after the commit | the same; the next worker finds the track in the ledger and finishes its release |

So a job is done at least once, and a track is in the ledger once: its id is drawn with the job, its folder is
locked while it is made (`api.release`), and before every attempt the ledger is asked for it, and what an
earlier attempt left is removed.

A failure of the environment (a full disk, a database that does not answer) is tried again, each time a
little later, ATTEMPTS times in all. A job whose worker died that often is the likely cause: it ends as
`interrupted`.
"""

import contextlib
import json
import logging
import os
import secrets
import socket
import threading
import time

from ledger.errors import LedgerError

from .copyrelease import recover_copies
from .engines import EngineRack
from .errors import GeneratorMissingError, LedgerFolderError, StoppedError
from .installation import Installation, now
from .jobqueue import WAIT_S, JobQueue
from .jobs import format_problem
from .jobtable import CANCELLED, DONE, FAILED, INTERRUPTED, JobRow
from .jobwork import INPUT_SUFFIX, KINDS, InputLostError, clear_away
from .outcomes import CANCELLED as EXIT_CANCELLED
from .outcomes import ENVIRONMENT, INTERNAL, PROBLEM_BASE, classify
from .release import Fate, recover, recover_track

LEASE_S = 30
RENEW_S = 5.0
CANCEL_S = 0.5
"""Between two looks whether somebody wants the job cancelled."""
LOOK_S = 10.0
"""Between two looks for jobs whose worker died, or whose id was lost."""
PROGRESS_INTERVAL_S = 0.25  # the table is written at most this often for progress alone
ATTEMPTS = 5
BACKOFF_S = (5, 30, 120, 600)
"""How long after its n-th failure a job is tried again."""
HELD_S = 10
"""When a job is looked at again whose track somebody is still making."""
STALE_INPUT_S = 3600
"""How old a file without a job must be to be taken for lost: its row is written within moments."""
PERMANENT = (GeneratorMissingError, LedgerFolderError)
"""Failures of the environment that no waiting heals."""
logger = logging.getLogger(__name__)


def is_transient(error: BaseException) -> bool:
    """Tell whether the same job may succeed later: the environment failed, not the request."""
    outcome = classify(error)
    return outcome.exit_code == ENVIRONMENT and outcome is not INTERNAL and not isinstance(error, PERMANENT)


class Hold:
    """A worker's hold on its job: a thread renews the lease, and notices when the work should stop."""

    def __init__(
        self, installation: Installation, job: JobRow, worker: str, stopping: threading.Event
    ) -> None:
        self._installation = installation
        self._job = job
        self._worker = worker
        self._stopping = stopping
        self._ended = threading.Event()
        self._written_s = 0.0
        self.lost = False
        self.cancelled = False
        self._thread = threading.Thread(target=self._watch, name=f"hold {job.job_id}", daemon=True)

    def __enter__(self) -> "Hold":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._thread.join()

    def is_over(self) -> bool:
        """Tell the work whether to stop: cancelled, taken away, or the worker is stopping."""
        return self.lost or self.cancelled or self._stopping.is_set()

    def report(self, stage: str, fraction: float) -> None:
        """Write how far the job got, not too often."""
        if time.monotonic() - self._written_s >= PROGRESS_INTERVAL_S:
            self._written_s = time.monotonic()
            jobs = self._installation.jobs
            if not jobs.report(self._job.job_id, self._worker, stage=stage, fraction=fraction, updated=now()):
                self.lost = True
                raise StoppedError("the job was taken away from this worker")

    def _watch(self) -> None:
        jobs, job_id, renewed_s = self._installation.jobs, self._job.job_id, time.monotonic()
        while not self._ended.wait(CANCEL_S) and not self.is_over():
            try:
                if time.monotonic() - renewed_s < RENEW_S:
                    self.cancelled = jobs.get(job_id).cancelling
                elif jobs.renew(job_id, self._worker, lease_s=int(time.time()) + LEASE_S):
                    renewed_s = time.monotonic()
                else:
                    self.lost = True
            except LedgerError:
                logger.warning("the lease of job %s could not be renewed", job_id, exc_info=True)


class Worker:
    """A thread that carries out jobs."""

    def __init__(
        self, installation: Installation, queue: JobQueue, engines: EngineRack | None = None
    ) -> None:
        self._installation = installation
        self._queue = queue
        self._engines = engines or EngineRack.of(installation.settings)
        self._stopping = threading.Event()
        self._looked_s = -LOOK_S
        self.name = f"{socket.gethostname()}:{os.getpid()}:{secrets.token_hex(4)}"
        self.taken = 0
        self._thread = threading.Thread(target=self.run, name="worker", daemon=True)

    def start(self) -> None:
        """Begin to take jobs; `settle` comes first, once for a process."""
        self._thread.start()

    def close(self) -> None:
        """Stop: the job at hand is queued again, and no thread is left behind."""
        self._stopping.set()
        if self._thread.is_alive():
            self._thread.join()

    def run(self, *, until_empty: bool = False) -> None:
        """Take jobs until stopped, or until there is none to take now."""
        with _LIVING_LOCK:
            _LIVING.add(self.name)
        try:
            while not self._stopping.is_set():
                try:
                    if not self._step() and until_empty:
                        return
                except LedgerError:
                    logger.exception("jobs cannot be taken; trying again")
                    self._stopping.wait(WAIT_S)
                except Exception:
                    # The thread lives on for the next job; this one is settled when its lease has run out.
                    logger.exception("a job could not be settled")
                    self._stopping.wait(WAIT_S)
        finally:
            with _LIVING_LOCK:
                _LIVING.discard(self.name)
            self._queue.close()

    def _step(self) -> bool:
        if time.monotonic() - self._looked_s >= LOOK_S:
            self._look_around()
            self._looked_s = time.monotonic()
        job_id = self._queue.take()
        if job_id is None:
            return False
        jobs, now_s = self._installation.jobs, int(time.time())
        if jobs.claim(job_id, self.name, now_s=now_s, lease_s=now_s + LEASE_S, updated=now()):
            self.taken += 1
            self._carry_out(jobs.get(job_id))
        return True

    def _carry_out(self, job: JobRow) -> None:
        tell("job taken", job)
        fate = recover_track(self._installation, job.track_id)
        if fate is Fate.FINISHED:
            self._finish(job, DONE)
        elif job.cancelling:
            self._finish(job, CANCELLED)
        elif fate in (Fate.HELD, Fate.STUCK):
            self._hand_back(job, HELD_S, counted=fate is Fate.STUCK)
        else:
            self._attempt(job)

    def _attempt(self, job: JobRow) -> None:
        with Hold(self._installation, job, self.name, self._stopping) as hold:
            try:
                outcome = KINDS[job.kind](self._installation, self._engines, job, hold.report, hold.is_over)
            except Exception as error:  # noqa: BLE001  # whatever it is, it becomes the job's
                failure: Exception | None = error
                outcome = None
            else:
                failure = None
        if hold.lost:
            logger.warning("job %s was taken away from this worker", job.job_id)
        elif failure is None:
            self._finish(job, DONE, outcome=outcome)
        elif classify(failure).exit_code == EXIT_CANCELLED:
            if self._stopping.is_set() and not hold.cancelled:
                self._hand_back(job, 0, counted=False)
            else:
                self._finish(job, CANCELLED)
        elif isinstance(failure, InputLostError):
            self._finish(job, INTERRUPTED, describe_interruption(str(failure)))
        else:
            self._fail(job, failure)

    def _fail(self, job: JobRow, failure: Exception) -> None:
        problem = format_problem(failure)
        again = is_transient(failure) and job.attempts < ATTEMPTS
        if problem["status"] >= 500:
            logger.error("job %s failed, attempt %d", job.job_id, job.attempts, exc_info=failure)
        if again:
            self._hand_back(job, BACKOFF_S[job.attempts - 1], problem=json.dumps(problem))
        else:
            self._finish(job, FAILED, problem)

    def _finish(
        self,
        job: JobRow,
        state: str,
        problem: dict[str, object] | None = None,
        *,
        outcome: str | None = None,
    ) -> None:
        text = None if problem is None else json.dumps(problem)
        if self._installation.jobs.finish(
            job.job_id, self.name, state, updated=now(), problem=text, outcome=outcome
        ):
            clear_away(self._installation.settings, job, state)
            tell("job ended", job, state=state)

    def _hand_back(
        self, job: JobRow, delay_s: int, *, problem: str | None = None, counted: bool = True
    ) -> None:
        due_s = int(time.time()) + delay_s if delay_s else 0
        jobs = self._installation.jobs
        if jobs.hand_back(
            job.job_id, self.name, due_s=due_s, updated=now(), problem=problem, counted=counted
        ):
            self._queue.send(job.job_id, job.priority, due_s=due_s)
            tell("job handed back", job, due_in_s=delay_s)

    def _look_around(self) -> None:
        """Take jobs away from workers that died, and send ids again that were lost on the way."""
        jobs, now_s = self._installation.jobs, int(time.time())
        for job in jobs.list_running():
            if job.lease_s < now_s or is_dead(job.worker):
                if job.attempts < ATTEMPTS:
                    jobs.take_away(job, updated=now())
                    continue
                message = f"its worker died {job.attempts} times; the track is not registered"
                if recover_track(self._installation, job.track_id) is Fate.FINISHED:
                    jobs.take_away(job, updated=now())  # the next attempt finds it done
                elif jobs.take_away(job, updated=now(), problem=json.dumps(describe_interruption(message))):
                    clear_away(self._installation.settings, job, INTERRUPTED)
        if self._queue.is_empty():
            for job in jobs.list_due(now_s):
                self._queue.send(job.job_id, job.priority)
        drop_stale_inputs(self._installation)


_LIVING: set[str] = set()
"""Names of the workers of this process."""
_LIVING_LOCK = threading.Lock()


def tell(message: str, job: JobRow, **facts: object) -> None:
    """Log what happens to a job."""
    named = {"job_id": job.job_id, "kind": job.kind, "attempt": job.attempts, **facts}
    logger.info(message, extra={"facts": named})


def is_dead(worker: str | None) -> bool:
    """Tell whether a worker of this host is surely gone; of one elsewhere only its lease tells."""
    host, _, rest = (worker or "").rpartition(":")[0].rpartition(":")
    if host != socket.gethostname() or not rest.isdigit():
        return False
    if int(rest) == os.getpid():
        with _LIVING_LOCK:
            return worker not in _LIVING
    try:
        os.kill(int(rest), 0)
    except ProcessLookupError:
        return True
    except PermissionError:
        return False
    return False


def settle(installation: Installation) -> None:
    """Finish or remove what earlier processes left of tracks and copies."""
    recover(installation)
    recover_copies(installation)


def drop_stale_inputs(installation: Installation) -> None:
    """Remove files that were kept for jobs which have ended, or were never written down."""
    old_s, old = time.time() - STALE_INPUT_S, {}
    for path in installation.settings.incoming.glob(f"*{INPUT_SUFFIX}"):
        with contextlib.suppress(FileNotFoundError):  # its job has just ended
            if path.stat().st_mtime < old_s:
                old[path.name.removesuffix(INPUT_SUFFIX)] = path
    for job_id in old.keys() - installation.jobs.list_unfinished(list(old)):
        old[job_id].unlink(missing_ok=True)


def describe_interruption(detail: str) -> dict[str, object]:
    """Return the problem of a job that ended without its own doing."""
    return {
        "type": PROBLEM_BASE + "interrupted",
        "title": "The work was interrupted",
        "status": 503,
        "detail": detail,
    }
