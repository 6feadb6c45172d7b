"""Jobs of the service, as those who ask for them see them: submitted, looked up, cancelled.

What happens to them is in `api.jobtable` (their states), `api.jobqueue` (who is next), `api.worker` (who does
it, in this process or in others) and `api.jobwork` (what is done).
"""

import json
import logging
import secrets
from pathlib import Path
from typing import Any

from ledger.errors import LedgerError

from .errors import ConflictError, OverloadError
from .installation import Installation, now
from .issuing import make_track_id
from .jobqueue import JobQueue
from .jobtable import CANCELLED, QUEUED, JobRow
from .jobwork import KINDS, clear_away, drop_input, keep_input
from .outcomes import PROBLEM_BASE, classify, describe, list_facts

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
    """The jobs of one installation."""

    def __init__(self, installation: Installation) -> None:
        self._installation = installation
        self.queue = JobQueue(installation.settings)

    def submit(
        self, kind: str, request: dict[str, Any], *, upload: Path | None = None, priority: int = 0
    ) -> JobRow:
        """Queue a job durably, and return its row.

        Parameters
        ----------
        kind
            One of `api.jobwork.KINDS`.
        request
            What the kind needs to know; it is kept as JSON.
        upload
            File to work on. It is the job's from now on; where an error is raised, it is gone.
        priority
            Jobs of a higher one are taken first.

        Raises
        ------
        OverloadError
            The queue is full.
        WriteError, ledger.StorageError
            It cannot be kept; nothing was queued.
        """
        if kind not in KINDS:
            raise ValueError(f"expected one of {sorted(KINDS)}, got {kind!r}")
        settings, job_id, time_text = self._installation.settings, secrets.token_hex(8), now()
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
            priority=priority,
        )
        try:
            self._check_room()
            if upload is not None:
                keep_input(settings, job_id, upload)
            self._installation.jobs.add(row)
        except BaseException:
            if upload is not None:
                upload.unlink(missing_ok=True)
            drop_input(settings, job_id)
            raise
        try:
            self.queue.send(job_id, priority)
        except LedgerError:
            # The row is there, so the job is: a worker that sees it due sends its id again. Whoever asked
            # must not hear that nothing was queued, and ask for the same once more.
            logger.warning("the id of job %s was not sent: a worker will find it", job_id, exc_info=True)
        logger.info("job queued", extra={"facts": {"job_id": job_id, "kind": kind}})
        return row

    def cancel(self, job_id: str) -> JobRow:
        """Ask a job to stop, and return its row.

        Raises
        ------
        MissingError, ConflictError
            There is no such job, or it has ended.
        """
        row = self._installation.jobs.cancel(job_id, updated=now())
        if row is None:
            ended = self._installation.jobs.get(job_id)
            raise ConflictError(f"job {job_id} has ended: {ended.state}")
        if row.state == CANCELLED:
            clear_away(self._installation.settings, row, CANCELLED)
        return row

    def _check_room(self) -> None:
        waiting = self._installation.jobs.count()[QUEUED]
        if waiting >= self._installation.settings.queued_jobs:
            raise OverloadError(f"{waiting} jobs are waiting: try again later")

    def close(self) -> None:
        """Give up the connection to the queue."""
        self.queue.close()
