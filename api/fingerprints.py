"""Rows of the catalogue: which recordings have a fingerprint, and which segment of the index holds it.

Tables of the registry's database:

| table | holds |
| --- | --- |
| fingerprint | one row for each recording: a registered track, or one that was added for comparison |
| fingerprint_segment | one row for each immutable file of the index that is in use |

A row without a segment is *loose*: it is in none yet. Merging segments changes no row of a recording.
"""

from collections.abc import Sequence

import sqlalchemy
from sqlalchemy import Column, ForeignKey, Index, Integer, Text
from sqlmodel import Field, SQLModel, col, select

from .registry import TrackRow
from .storedrows import StoredRows


class FingerprintRow(SQLModel, table=True):
    """The fingerprint of one recording; digests are lower-case hex SHA-256.

    `sha256` is that of the fingerprint's own file. `track_id` is None for a recording that was added for
    comparison: then `name` says what it is. `segment` names the first file of the index that held it, which
    may have been merged into others since.
    """

    __tablename__ = "fingerprint"
    __table_args__ = (
        Index("fingerprint_track", "track_id", unique=True),
        Index("fingerprint_pcm", "pcm_sha256"),
        Index("fingerprint_segment_name", "segment"),
    )

    number: int | None = Field(default=None, sa_column=Column(Integer, primary_key=True, autoincrement=True))
    track_id: str | None = Field(
        default=None,
        sa_column=Column(Text, ForeignKey(f"{TrackRow.__tablename__}.track_id", ondelete="CASCADE")),
    )
    name: str = Field(sa_column=Column(Text, nullable=False))
    profile: str = Field(sa_column=Column(Text, nullable=False))
    milliseconds: int = Field(sa_column=Column(Integer, nullable=False))
    sha256: str = Field(sa_column=Column(Text, nullable=False))
    pcm_sha256: str = Field(sa_column=Column(Text, nullable=False))
    created: str = Field(sa_column=Column(Text, nullable=False))
    segment: str | None = Field(default=None, sa_column=Column(Text))


class SegmentRow(SQLModel, table=True):
    """A file of the index in use: its name, SHA-256 and how many recordings it was built from."""

    __tablename__ = "fingerprint_segment"

    name: str = Field(sa_column=Column(Text, primary_key=True))
    sha256: str = Field(sa_column=Column(Text, nullable=False))
    recordings: int = Field(sa_column=Column(Integer, nullable=False))


class Fingerprints(StoredRows):
    """Reads and writes of the two tables; each method is one transaction.

    Raises (every method)
    ---------------------
    ledger.StorageError
        The database is missing, damaged, full, busy or read-only.
    """

    def add(self, row: FingerprintRow) -> int:
        """Write a row and return its number; a track, or samples that were added before, keep their first
        one.
        """
        with self._session(write=True) as session:
            same = (
                col(FingerprintRow.track_id) == row.track_id
                if row.track_id is not None
                else (col(FingerprintRow.pcm_sha256) == row.pcm_sha256)
                & col(FingerprintRow.track_id).is_(None)
            )
            known = session.exec(select(FingerprintRow).where(same)).first()
            if known is not None:
                assert known.number is not None
                return known.number
            session.add(row)
            session.flush()
            assert row.number is not None
            return row.number

    def find(self, number: int) -> FingerprintRow | None:
        """Return the row of a number."""
        with self._session() as session:
            return session.get(FingerprintRow, number)

    def find_track(self, track_id: str) -> FingerprintRow | None:
        """Return the row of a registered track."""
        with self._session() as session:
            return session.exec(
                select(FingerprintRow).where(col(FingerprintRow.track_id) == track_id)
            ).first()

    def find_recording(self, pcm_sha256: str) -> FingerprintRow | None:
        """Return the row of a recording that is only compared with, by the digest of its samples."""
        with self._session() as session:
            query = select(FingerprintRow).where(
                col(FingerprintRow.pcm_sha256) == pcm_sha256, col(FingerprintRow.track_id).is_(None)
            )
            return session.exec(query).first()

    def count_files(self, sha256: str) -> int:
        """Return how many recordings that are only compared with share a fingerprint's file."""
        with self._session() as session:
            query = select(sqlalchemy.func.count()).where(
                col(FingerprintRow.sha256) == sha256, col(FingerprintRow.track_id).is_(None)
            )
            return session.exec(query).one()

    def remove(self, number: int) -> None:
        """Forget a recording; what a segment still holds of it is no longer answered with."""
        with self._session(write=True) as session:
            session.execute(sqlalchemy.delete(FingerprintRow).where(col(FingerprintRow.number) == number))

    def list_loose(self, *, limit: int) -> list[FingerprintRow]:
        """Return rows that are in no segment, oldest first."""
        with self._session() as session:
            query = select(FingerprintRow).where(col(FingerprintRow.segment).is_(None))
            return list(session.exec(query.order_by(col(FingerprintRow.number)).limit(limit)))

    def list_numbers(self, first: int, last: int) -> list[int]:
        """Return the numbers from `first` to `last` that recordings have, in ascending order."""
        with self._session() as session:
            query = select(FingerprintRow.number).where(col(FingerprintRow.number).between(first, last))
            found = session.exec(query.order_by(col(FingerprintRow.number)))
            return [number for number in found if number is not None]

    def list_rows(self, *, limit: int, after: int = 0) -> list[FingerprintRow]:
        """Return rows in the order of their numbers, those after a number."""
        with self._session() as session:
            query = select(FingerprintRow).where(col(FingerprintRow.number) > after)
            return list(session.exec(query.order_by(col(FingerprintRow.number)).limit(limit)))

    def list_segments(self) -> list[SegmentRow]:
        """Return the files of the index in use, by name."""
        with self._session() as session:
            return list(session.exec(select(SegmentRow).order_by(col(SegmentRow.name))))

    def count(self) -> int:
        """Return how many recordings have a fingerprint."""
        with self._session() as session:
            return session.exec(select(sqlalchemy.func.count()).select_from(FingerprintRow)).one()

    def put_segments(
        self, made: Sequence[SegmentRow], numbers: Sequence[int], replaced: Sequence[str]
    ) -> None:
        """Take segments into use, and those of `replaced` out of it; `numbers` are the recordings in them
        that were in none before.
        """
        with self._session(write=True) as session:
            session.execute(sqlalchemy.delete(SegmentRow).where(col(SegmentRow.name).in_(replaced)))
            if made:
                # In slices: a statement takes a limited number of values.
                for first in range(0, len(numbers), 500):
                    session.execute(
                        sqlalchemy.update(FingerprintRow)
                        .where(col(FingerprintRow.number).in_(numbers[first : first + 500]))
                        .values(segment=made[0].name)
                    )
            session.add_all(made)

    def put_index(self, made: Sequence[SegmentRow], last: int) -> None:
        """Take segments into use that hold all recordings up to the number `last`; all others out of it."""
        with self._session(write=True) as session:
            session.execute(sqlalchemy.delete(SegmentRow))
            session.add_all(made)
            if made:
                session.execute(
                    sqlalchemy.update(FingerprintRow)
                    .where(col(FingerprintRow.segment).is_(None), col(FingerprintRow.number) <= last)
                    .values(segment=made[0].name)
                )
