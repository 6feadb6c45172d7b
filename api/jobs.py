"""Jobs of the service: issuing and stamping, one after the other, in a thread beside the requests.

States: queued -> running -> done | failed | cancelled | interrupted. Every change is in the job table before
it is told to anybody. A job that was unfinished when the service stopped is settled at the next start: `done`
if its track was logged (`api.release.recover` finishes the release first), `interrupted` otherwise, which
means: nothing was registered.
"""

import json
import logging
import queue
import secrets
import threading
import time
from collections.abc import Callable
from typing import Any

from .copyrelease import recover_copies
from .errors import ConflictError, OverloadError
from .installation import Installation, now
from .issuing import Issued, make_track_id
from .marking import CancelCheck, Progress
from .outcomes import CANCELLED as EXIT_CANCELLED
from .outcomes import PROBLEM_BASE, classify, describe, list_facts
from .registry import CANCELLED, DONE, FAILED, INTERRUPTED, QUEUED, RELEASED, RUNNING, UNFINISHED, JobRow
from .release import recover

PROGRESS_INTERVAL_S = 0.25  # the table is written at most this often for progress alone
Work = Callable[[str, Progress, CancelCheck], Issued]
"""What a job does: (track id, progress, cancelled) -> the released track."""
logger = logging.getLogger(__name__)


def format_problem(error: BaseException) -> dict[str, Any]:
    """Return an error as an RFC 9457 problem object."""
    outcome = classify(error)
    return {
        "type": PROBLEM_BASE + outcome.slug,
        "title": outcome.title,
        "status": outcome.status,
        "detail": describe(error),
        **list_facts(error),
    }


class Jobs:
    """The queue and its worker thread."""

    def __init__(self, installation: Installation) -> None:
        self._installation = installation
        self._queue: queue.Queue[tuple[str, str, Work, Callable[[], None]] | None] = queue.Queue()
        self._cancelled: dict[str, threading.Event] = {}
        self._lock = threading.Lock()
        self._stopping = threading.Event()
        self._worker = threading.Thread(target=self._work, name="jobs", daemon=True)

    def start(self) -> None:
        """Settle what an earlier process left, then take jobs."""
        recover(self._installation)
        recover_copies(self._installation)
        registry = self._installation.registry
        for job in registry.list_unfinished_jobs():
            track = registry.find_track(job.track_id)
            if track is not None and track.state == RELEASED:
                registry.update_job(job.job_id, updated=now(), state=DONE, stage="done", fraction=1.0)
            else:
                self._interrupt(job.job_id)
        self._worker.start()

    def submit(self, kind: str, request: dict[str, Any], work: Work, clean_up: Callable[[], None]) -> JobRow:
        """Queue a job; `clean_up` is called once, however it ends.

        Raises
        ------
        OverloadError
            The queue is full, or the service is stopping.
        """
        with self._lock:
            if self._stopping.is_set():
                raise OverloadError("the service is stopping")
            if len(self._cancelled) >= self._installation.settings.queued_jobs:
                raise OverloadError(f"{len(self._cancelled)} jobs are waiting: try again later")
            job_id = secrets.token_hex(8)
            self._cancelled[job_id] = threading.Event()
        time_text = now()
        row = JobRow(
            job_id=job_id,
            kind=kind,
            state=QUEUED,
            stage="queued",
            fraction=0.0,
            request=json.dumps(request),
            track_id=make_track_id(),
            created=time_text,
            updated=time_text,
        )
        try:
            self._installation.registry.add_job(row)
        except BaseException:
            self._forget(job_id)
            raise
        self._queue.put((job_id, row.track_id, work, clean_up))
        return row

    def cancel(self, job_id: str) -> JobRow:
        """Ask a job to stop, and return its row; ConflictError when it has ended."""
        row = self._installation.registry.get_job(job_id)
        with self._lock:
            event = self._cancelled.get(job_id)
        if row.state not in UNFINISHED or event is None:
            raise ConflictError(f"job {job_id} has ended: {row.state}")
        event.set()
        return row

    def close(self) -> None:
        """Stop the running job, leave no thread behind."""
        with self._lock:
            self._stopping.set()
            for event in self._cancelled.values():
                event.set()
        self._queue.put(None)
        if self._worker.is_alive():
            self._worker.join()

    def _work(self) -> None:
        while (item := self._queue.get()) is not None:
            job_id, track_id, work, clean_up = item
            try:
                self._run(job_id, track_id, work)
            except Exception:
                # The thread lives on for the next job; this one is settled at the next start.
                logger.exception("job %s could not be settled", job_id)
            finally:
                clean_up()
                self._forget(job_id)

    def _run(self, job_id: str, track_id: str, work: Work) -> None:
        registry = self._installation.registry
        event = self._cancelled[job_id]
        if event.is_set():
            self._settle_stopped(job_id)
            return
        registry.update_job(job_id, updated=now(), state=RUNNING, stage="start")
        written = 0.0

        def report(stage: str, fraction: float) -> None:
            nonlocal written
            if time.monotonic() - written >= PROGRESS_INTERVAL_S:
                written = time.monotonic()
                registry.update_job(job_id, updated=now(), stage=stage, fraction=fraction)

        try:
            work(track_id, report, event.is_set)
        except Exception as error:
            problem = format_problem(error)
            if classify(error).exit_code == EXIT_CANCELLED:
                self._settle_stopped(job_id)
                return
            if problem["status"] >= 500:
                logger.exception("job %s failed", job_id)
            registry.update_job(job_id, updated=now(), state=FAILED, problem=json.dumps(problem))
        else:
            registry.update_job(job_id, updated=now(), state=DONE, stage="done", fraction=1.0)

    def _settle_stopped(self, job_id: str) -> None:
        if self._stopping.is_set():
            self._interrupt(job_id)
        else:
            self._installation.registry.update_job(job_id, updated=now(), state=CANCELLED)

    def _interrupt(self, job_id: str) -> None:
        problem = {
            "type": PROBLEM_BASE + "interrupted",
            "title": "The service stopped",
            "status": 503,
            "detail": "the service stopped before this job ended; nothing was registered: submit it again",
        }
        self._installation.registry.update_job(
            job_id, updated=now(), state=INTERRUPTED, problem=json.dumps(problem)
        )

    def _forget(self, job_id: str) -> None:
        with self._lock:
            self._cancelled.pop(job_id, None)
