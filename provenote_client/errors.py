"""What can go wrong between a client and the service.

ClientError
|- ConnectionFailedError   the service cannot be reached, or the connection broke
|- AnswerError             an answer is not what this client understands
|- JobError                a job failed, was cancelled or interrupted: `job` is its last state
`- ProblemError            the service answered with a problem (RFC 9457)
   |- UnauthorisedError       401, 403: no key, a wrong one, or one without the scope
   |- UnknownError            404: no such track, job, entry
   |- RefusedError            other 4xx: the request cannot be carried out
   `- UnavailableError        429, 5xx: not now; `retry_after_s` says when to come back, if it is known
"""

from collections.abc import Mapping
from typing import Any

from .answers import Job


class ClientError(Exception):
    """Base of every error of this package."""


class ConnectionFailedError(ClientError):
    """The service cannot be reached, or the connection broke."""


class AnswerError(ClientError):
    """An answer is not what this client understands."""


class JobError(ClientError):
    """A job ended without a track; `job.problem` says why it failed, if it did."""

    def __init__(self, job: Job) -> None:
        detail = (job.problem or {}).get("detail")
        super().__init__(f"job {job.job_id} is {job.state}{f': {detail}' if detail else ''}")
        self.job = job


class ProblemError(ClientError):
    """A problem: `status`, `slug` (the end of its type, such as `audio-refused`), `members` all it says."""

    def __init__(self, status: int, members: Mapping[str, Any]) -> None:
        self.status = status
        self.members = dict(members)
        self.slug = str(members.get("type", "")).rsplit("/", 1)[-1]
        self.title = str(members.get("title", ""))
        self.detail = str(members.get("detail", ""))
        super().__init__(f"{status} {self.slug}: {self.detail or self.title}")


class UnauthorisedError(ProblemError):
    """No key, a wrong one, or one without the scope."""


class UnknownError(ProblemError):
    """There is no such track, job or entry."""


class RefusedError(ProblemError):
    """The request cannot be carried out as it is."""


class UnavailableError(ProblemError):
    """Not now; `retry_after_s` says when to come back, None where the service did not say."""

    def __init__(self, status: int, members: Mapping[str, Any], retry_after_s: float | None) -> None:
        super().__init__(status, members)
        self.retry_after_s = retry_after_s
