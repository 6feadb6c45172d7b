"""The tables of casework, beside the registry's in the same database.

| table | holds |
| --- | --- |
| case_file | one row for each case: kind, status and next deadline, as its steps have made them |
| case_step | the signed statement of each step; `pending` until the ledger has what goes with it |
| case_document | signed verification reports that steps name by their digest |
| stay_down | what must not come again: tracks, and recordings of the catalogue |

No person's data is in them: a step holds commitments, and the vault what opens these. Rows of `case_file` are
an index; what is believed of a case are its signed steps (`api.casesteps`).
"""

from collections.abc import Sequence
from typing import Any

import sqlalchemy
from sqlalchemy import Boolean, Column, ForeignKey, Index, Integer, LargeBinary, Text
from sqlalchemy.exc import IntegrityError
from sqlmodel import Field, SQLModel, col, select

from .errors import ConflictError, MissingError
from .storedrows import StoredRows

PENDING, DONE = "pending", "done"


class CaseRow(SQLModel, table=True):
    """One case; times are RFC 3339 UTC. `person` and `respondent` are the vault's ids of whose data it holds,
    `tracks` the ids of the tracks it is about with spaces between, `code_hash` the SHA-256 of the access code
    of whoever sent it in.
    """

    __tablename__ = "case_file"
    __table_args__ = (
        Index("case_file_status", "status"),
        Index("case_file_due", "due"),
        Index("case_file_opened", "opened"),
        Index("case_file_respondent", "respondent"),
    )

    case_id: str = Field(sa_column=Column(Text, primary_key=True))
    kind: str = Field(sa_column=Column(Text, nullable=False))
    status: str = Field(sa_column=Column(Text, nullable=False))
    opened: str = Field(sa_column=Column(Text, nullable=False))
    updated: str = Field(sa_column=Column(Text, nullable=False))
    due: str | None = Field(default=None, sa_column=Column(Text))
    urgent: bool = Field(sa_column=Column(Boolean, nullable=False))
    public: bool = Field(sa_column=Column(Boolean, nullable=False))
    claim: str = Field(sa_column=Column(Text, nullable=False))
    tracks: str = Field(sa_column=Column(Text, nullable=False))
    person: str = Field(sa_column=Column(Text, nullable=False))
    respondent: str | None = Field(default=None, sa_column=Column(Text))
    code_hash: bytes | None = Field(default=None, sa_column=Column(LargeBinary))


class StepRow(SQLModel, table=True):
    """One step of a case: the bytes of its signed statement, and their SHA-256."""

    __tablename__ = "case_step"

    case_id: str = Field(
        sa_column=Column(Text, ForeignKey("case_file.case_id", ondelete="CASCADE"), primary_key=True)
    )
    n: int = Field(sa_column=Column(Integer, primary_key=True, autoincrement=False))
    state: str = Field(sa_column=Column(Text, nullable=False))
    digest: bytes = Field(sa_column=Column(LargeBinary, nullable=False))
    envelope: bytes = Field(sa_column=Column(LargeBinary, nullable=False))


class DocumentRow(SQLModel, table=True):
    """A signed document that a step of a case names: a verification report."""

    __tablename__ = "case_document"

    case_id: str = Field(
        sa_column=Column(Text, ForeignKey("case_file.case_id", ondelete="CASCADE"), primary_key=True)
    )
    sha256: str = Field(sa_column=Column(Text, primary_key=True))
    content: bytes = Field(sa_column=Column(LargeBinary, nullable=False))


class StayDownRow(SQLModel, table=True):
    """Something that must not come again: a track, or a recording of the catalogue by its number.

    `added`: the recording was taken into the catalogue for this. `lifted`: since when it may come again.
    """

    __tablename__ = "stay_down"
    __table_args__ = (
        Index("stay_down_case", "case_id"),
        Index("stay_down_track", "track_id"),
        Index("stay_down_number", "number"),
        Index("stay_down_pcm", "pcm_sha256"),
    )

    entry_id: int | None = Field(
        default=None, sa_column=Column(Integer, primary_key=True, autoincrement=True)
    )
    case_id: str = Field(
        sa_column=Column(Text, ForeignKey("case_file.case_id", ondelete="CASCADE"), nullable=False)
    )
    track_id: str | None = Field(default=None, sa_column=Column(Text))
    number: int | None = Field(default=None, sa_column=Column(Integer))
    file_sha256: str | None = Field(default=None, sa_column=Column(Text))
    pcm_sha256: str | None = Field(default=None, sa_column=Column(Text))
    added: bool = Field(sa_column=Column(Boolean, nullable=False))
    created: str = Field(sa_column=Column(Text, nullable=False))
    lifted: str | None = Field(default=None, sa_column=Column(Text))


class Cases(StoredRows):
    """Reads and writes of the four tables; each method is one transaction.

    Raises (every method)
    ---------------------
    ledger.StorageError
        The database is missing, damaged, full, busy or read-only.
    """

    def get_case(self, case_id: str) -> CaseRow:
        """Return a case's row; MissingError when there is none."""
        with self._session() as session:
            row = session.get(CaseRow, case_id)
        if row is None:
            raise MissingError(f"no case {case_id!r:.80}")
        return row

    def list_cases(
        self,
        *,
        limit: int,
        after: str = "",
        statuses: Sequence[str] = (),
        track_id: str | None = None,
        due_by: str | None = None,
    ) -> list[CaseRow]:
        """Return cases in the order of their ids, or of their next deadline where `due_by` is given.

        Parameters
        ----------
        limit, after
            At most so many, those after a case id.
        statuses
            Only those with one of these.
        track_id
            Only those about this track.
        due_by
            Only those with a deadline until this time, RFC 3339 UTC.
        """
        query = select(CaseRow).where(col(CaseRow.case_id) > after)
        if statuses:
            query = query.where(col(CaseRow.status).in_(statuses))
        if track_id is not None:
            query = query.where(col(CaseRow.tracks).contains(track_id, autoescape=True))
        order: list[Any] = [col(CaseRow.case_id)]
        if due_by is not None:
            query = query.where(col(CaseRow.due).is_not(None), col(CaseRow.due) <= due_by)
            order.insert(0, col(CaseRow.due))
        with self._session() as session:
            return list(session.exec(query.order_by(*order).limit(limit)))

    def count_public_since(self, time: str) -> int:
        """Return how many cases strangers have opened since a time."""
        with self._session() as session:
            query = select(sqlalchemy.func.count()).where(
                col(CaseRow.public).is_(True), col(CaseRow.opened) >= time
            )
            return session.exec(query).one()

    def count_by_respondent(self, status: str, *, at_least: int) -> list[tuple[str, int]]:
        """Return the persons against whom so many cases have a status, with their number, most first."""
        with self._session() as session:
            number = sqlalchemy.func.count()
            query = (
                select(CaseRow.respondent, number)
                .where(col(CaseRow.respondent).is_not(None), col(CaseRow.status) == status)
                .group_by(col(CaseRow.respondent))
                .having(number >= at_least)
                .order_by(number.desc(), col(CaseRow.respondent))
            )
            return [(str(person), count) for person, count in session.exec(query)]

    def set_respondent(self, case_id: str, person: str) -> None:
        """Say whose data the other side's is."""
        with self._session(write=True) as session:
            session.execute(
                sqlalchemy.update(CaseRow).where(col(CaseRow.case_id) == case_id).values(respondent=person)
            )

    def open_case(self, row: CaseRow, step: StepRow) -> None:
        """Write a new case with its first step."""
        with self._session(write=True) as session:
            session.add(row)
            session.flush()
            session.add(step)

    def add_step(self, step: StepRow, document: DocumentRow | None = None) -> None:
        """Write a step as pending; ConflictError when somebody else has taken its place."""
        try:
            with self._session(write=True) as session:
                if session.get(StepRow, (step.case_id, step.n)) is not None:
                    raise ConflictError(f"case {step.case_id} has changed meanwhile: step {step.n} is there")
                session.add(step)
                if document is not None:
                    session.merge(document)
                session.flush()
        except IntegrityError as error:
            raise ConflictError(f"case {step.case_id} has changed meanwhile") from error

    def finish_step(
        self,
        case_id: str,
        n: int,
        *,
        status: str,
        updated: str,
        due: str | None,
        tracks: str,
        listed: Sequence[StayDownRow] = (),
        lifted: bool = False,
    ) -> None:
        """Say that the ledger has what goes with a step, what the case has come to, and what that makes of
        the stay-down list: entries that are added (each once), or all of the case's lifted.
        """
        with self._session(write=True) as session:
            session.execute(
                sqlalchemy.update(StepRow)
                .where(col(StepRow.case_id) == case_id, col(StepRow.n) == n)
                .values(state=DONE)
            )
            session.execute(
                sqlalchemy.update(CaseRow)
                .where(col(CaseRow.case_id) == case_id)
                .values(status=status, updated=updated, due=due, tracks=tracks)
            )
            of_case = col(StayDownRow.case_id) == case_id, col(StayDownRow.lifted).is_(None)
            if lifted:
                session.execute(sqlalchemy.update(StayDownRow).where(*of_case).values(lifted=updated))
            for row in listed:
                same = (
                    col(StayDownRow.track_id) == row.track_id
                    if row.track_id is not None
                    else col(StayDownRow.number) == row.number
                )
                if session.exec(select(StayDownRow).where(*of_case, same)).first() is None:
                    session.add(row)

    def drop_step(self, case_id: str, n: int) -> None:
        """Forget a step that is pending."""
        with self._session(write=True) as session:
            session.execute(
                sqlalchemy.delete(StepRow).where(
                    col(StepRow.case_id) == case_id, col(StepRow.n) == n, col(StepRow.state) == PENDING
                )
            )

    def list_steps(self, case_id: str) -> list[StepRow]:
        """Return a case's steps in order."""
        with self._session() as session:
            query = select(StepRow).where(col(StepRow.case_id) == case_id).order_by(col(StepRow.n))
            return list(session.exec(query))

    def list_documents(self, case_id: str) -> list[DocumentRow]:
        """Return a case's documents, by digest."""
        with self._session() as session:
            query = select(DocumentRow).where(col(DocumentRow.case_id) == case_id)
            return list(session.exec(query.order_by(col(DocumentRow.sha256))))

    def list_stay_down(self, *, limit: int = 1000, after: int = 0, case_id: str = "") -> list[StayDownRow]:
        """Return what is on the list, those after an entry's number; of one case where it is named."""
        query = select(StayDownRow).where(
            col(StayDownRow.lifted).is_(None), col(StayDownRow.entry_id) > after
        )
        if case_id:
            query = query.where(col(StayDownRow.case_id) == case_id)
        with self._session() as session:
            return list(session.exec(query.order_by(col(StayDownRow.entry_id)).limit(limit)))

    def find_stay_down(
        self, *, tracks: Sequence[str], numbers: Sequence[int], digests: Sequence[str]
    ) -> list[StayDownRow]:
        """Return the entries of the list that name one of these tracks, recordings or digests."""
        wanted = sqlalchemy.or_(
            col(StayDownRow.track_id).in_(tracks),
            col(StayDownRow.number).in_(numbers),
            col(StayDownRow.file_sha256).in_(digests),
            col(StayDownRow.pcm_sha256).in_(digests),
        )
        query = select(StayDownRow).where(col(StayDownRow.lifted).is_(None), wanted)
        with self._session() as session:
            return list(session.exec(query.order_by(col(StayDownRow.entry_id))))
