"""The jobs of an installation: a table beside the registry's, and every change that a job can go through.

    queued -> running -> done | failed | cancelled | interrupted
       ^---------'   retried, handed back by a worker that stops, or taken from one that died

The table decides: what the queue (`api.jobqueue`) carries are ids, and an id that comes twice, or comes late,
finds its row taken. Each change is one conditional UPDATE, so it is one worker's in SQLite and in PostgreSQL
alike, and counts `version` up, which is what a stream of events (`GET /v1/jobs/{id}/events`) names its events
by. A row that has ended never changes again.

A worker holds a job by a lease that it renews. One that died lets it run out; one that was only slow finds
that the job is not its own any more, and stops.
"""

from collections.abc import Sequence

import sqlalchemy
from sqlalchemy import Boolean, Column, ColumnElement, Float, Index, Integer, Text
from sqlmodel import Field, SQLModel, col, func, select

from ledger.tables import BIG

from .errors import MissingError
from .storedrows import StoredRows

QUEUED, RUNNING, DONE, FAILED, CANCELLED, INTERRUPTED = (
    "queued",
    "running",
    "done",
    "failed",
    "cancelled",
    "interrupted",
)
UNFINISHED = (QUEUED, RUNNING)


class JobRow(SQLModel, table=True):
    """A job of the service; times ending in `_s` are POSIX seconds.

    `request`, `problem` and `outcome` are JSON; `outcome` is what a job found out besides what it made.
    """

    __tablename__ = "job"
    __table_args__ = (Index("job_state", "state"),)

    job_id: str = Field(sa_column=Column(Text, primary_key=True))
    kind: str = Field(sa_column=Column(Text, nullable=False))
    state: str = Field(sa_column=Column(Text, nullable=False))
    stage: str = Field(sa_column=Column(Text, nullable=False))
    fraction: float = Field(sa_column=Column(Float, nullable=False))
    request: str = Field(sa_column=Column(Text, nullable=False))
    track_id: str = Field(sa_column=Column(Text, nullable=False))
    problem: str | None = Field(default=None, sa_column=Column(Text))
    outcome: str | None = Field(default=None, sa_column=Column(Text))
    created: str = Field(sa_column=Column(Text, nullable=False))
    updated: str = Field(sa_column=Column(Text, nullable=False))
    version: int = Field(default=1, sa_column=Column(BIG, nullable=False))
    priority: int = Field(default=0, sa_column=Column(Integer, nullable=False))
    attempts: int = Field(default=0, sa_column=Column(Integer, nullable=False))
    due_s: int = Field(default=0, sa_column=Column(BIG, nullable=False))
    cancelling: bool = Field(default=False, sa_column=Column(Boolean, nullable=False))
    worker: str | None = Field(default=None, sa_column=Column(Text))
    lease_s: int = Field(default=0, sa_column=Column(BIG, nullable=False))


class JobTable(StoredRows):
    """Reads and writes of the table; each method is one transaction.

    Raises (every method)
    ---------------------
    ledger.StorageError
        The database is missing, damaged, full, busy or read-only.
    """

    def add(self, job: JobRow) -> None:
        """Write a new job."""
        with self._session(write=True) as session:
            session.add(job)

    def get(self, job_id: str) -> JobRow:
        """Return a job's row; MissingError when there is none."""
        with self._session() as session:
            row = session.get(JobRow, job_id)
        if row is None:
            raise MissingError(f"no job {job_id!r:.80}")
        return row

    def count(self) -> dict[str, int]:
        """Return how many jobs are queued, and how many are running."""
        with self._session() as session:
            query = select(JobRow.state, func.count()).where(col(JobRow.state).in_(UNFINISHED))
            found = dict(session.exec(query.group_by(JobRow.state)).all())
        return {state: found.get(state, 0) for state in UNFINISHED}

    def count_all(self) -> dict[tuple[str, str], int]:
        """Return how many jobs there are, and were, by kind and state."""
        with self._session() as session:
            query = select(JobRow.kind, JobRow.state, func.count()).group_by(JobRow.kind, JobRow.state)
            return {(kind, state): number for kind, state, number in session.exec(query)}

    def list_due(self, now_s: int) -> list[JobRow]:
        """Return the queued jobs that a worker may take now, in the order in which they should be taken."""
        with self._session() as session:
            query = select(JobRow).where(col(JobRow.state) == QUEUED, col(JobRow.due_s) <= now_s)
            return list(
                session.exec(query.order_by(col(JobRow.priority).desc(), col(JobRow.created), JobRow.job_id))
            )

    def list_running(self) -> list[JobRow]:
        """Return the jobs that workers hold, or held when they died."""
        with self._session() as session:
            return list(session.exec(select(JobRow).where(col(JobRow.state) == RUNNING)))

    def list_unfinished(self, job_ids: Sequence[str]) -> frozenset[str]:
        """Return those of the ids whose jobs have not ended."""
        with self._session() as session:
            query = select(JobRow.job_id).where(
                col(JobRow.job_id).in_(job_ids), col(JobRow.state).in_(UNFINISHED)
            )
            return frozenset(session.exec(query).all())

    def claim(self, job_id: str, worker: str, *, now_s: int, lease_s: int, updated: str) -> bool:
        """Take a queued job that is due; False where somebody else has, or it has ended."""
        return self._change(
            job_id,
            (col(JobRow.state) == QUEUED) & (col(JobRow.due_s) <= now_s),
            updated=updated,
            state=RUNNING,
            stage="start",
            fraction=0.0,
            attempts=JobRow.attempts + 1,
            worker=worker,
            lease_s=lease_s,
        )

    def renew(self, job_id: str, worker: str, *, lease_s: int) -> bool:
        """Hold a job for longer; False where it is not this worker's any more."""
        mine = (col(JobRow.job_id) == job_id) & _held_by(worker)
        with self._session(write=True) as session:
            found = session.execute(sqlalchemy.update(JobRow).where(mine).values(lease_s=lease_s))
            return bool(found.rowcount)  # type: ignore[attr-defined]

    def report(self, job_id: str, worker: str, *, stage: str, fraction: float, updated: str) -> bool:
        """Write how far a job got; False where it is not this worker's."""
        return self._change(job_id, _held_by(worker), updated=updated, stage=stage, fraction=fraction)

    def finish(
        self,
        job_id: str,
        worker: str,
        state: str,
        *,
        updated: str,
        problem: str | None = None,
        outcome: str | None = None,
    ) -> bool:
        """End a job; False where it is not this worker's."""
        done = {"stage": "done", "fraction": 1.0} if state == DONE else {}
        told = {"problem": problem, "outcome": outcome}
        return self._change(
            job_id, _held_by(worker), updated=updated, state=state, worker=None, **told, **done
        )

    def hand_back(
        self,
        job_id: str,
        worker: str,
        *,
        due_s: int,
        updated: str,
        problem: str | None = None,
        counted: bool = True,
    ) -> bool:
        """Queue a job again, to be taken from `due_s` on; `counted` says whether it was an attempt."""
        return self._change(
            job_id,
            _held_by(worker),
            updated=updated,
            state=QUEUED,
            stage="queued",
            fraction=0.0,
            problem=problem,
            due_s=due_s,
            worker=None,
            attempts=JobRow.attempts - (0 if counted else 1),
        )

    def take_away(self, job: JobRow, *, updated: str, problem: str | None = None) -> bool:
        """Queue a job again whose worker died, or end it as interrupted where a problem is given.

        False where its worker has renewed the lease since `job` was read.
        """
        same = _held_by(job.worker) & (col(JobRow.lease_s) == job.lease_s)
        state = QUEUED if problem is None else INTERRUPTED
        return self._change(job.job_id, same, updated=updated, state=state, problem=problem, worker=None)

    def cancel(self, job_id: str, *, updated: str) -> JobRow | None:
        """End a queued job, or have the worker of a running one stop; return its row, None if it had ended.

        Raises
        ------
        MissingError
            There is no such job.
        """
        if not self._change(job_id, col(JobRow.state) == QUEUED, updated=updated, state=CANCELLED):
            wanted = self._change(job_id, col(JobRow.state) == RUNNING, updated=updated, cancelling=True)
            if not wanted:
                self.get(job_id)
                return None
        return self.get(job_id)

    def _change(self, job_id: str, condition: ColumnElement[bool], *, updated: str, **values: object) -> bool:
        same = col(JobRow.job_id) == job_id
        changed = {**values, "updated": updated, "version": JobRow.version + 1}
        with self._session(write=True) as session:
            found = session.execute(sqlalchemy.update(JobRow).where(same, condition).values(**changed))
            return bool(found.rowcount)  # type: ignore[attr-defined]


def _held_by(worker: str | None) -> ColumnElement[bool]:
    # None, of a job that an earlier version was running, becomes IS NULL.
    return (col(JobRow.state) == RUNNING) & (col(JobRow.worker) == worker)
