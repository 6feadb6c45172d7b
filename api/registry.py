"""The registry: which tracks exist, and which mark belongs to which.

Rows are what must be kept apart from the public ledger, because it can be erased: mark_id, prompt, salts,
titles, artists. The ledger holds salted commitments to them; `api.verification` recomputes those, so a
changed row is found out. Three tables beside the ledger's own, in the same database file and through the
same SQLite library:

| table | holds |
| --- | --- |
| track | one row for each track: pending (written, not yet logged) or released |
| mark | mark_id and salt of the mark in each track |
| track_credit | declared title and artist of a track, with the salts of their commitments |
"""

from collections.abc import Sequence

import sqlalchemy
from sqlalchemy import Column, ForeignKey, Index, Integer, LargeBinary, Text
from sqlmodel import Field, SQLModel, col, select

from .errors import MissingError, RegisteredError
from .storedrows import StoredRows

PENDING, RELEASED = "pending", "released"


class TrackRow(SQLModel, table=True):
    """One track; digests are lower-case hex SHA-256, `created` is RFC 3339 UTC."""

    __tablename__ = "track"
    __table_args__ = (
        Index("track_source_pcm", "source_pcm_sha256", unique=True),
        Index("track_created", "created", "track_id"),
    )

    track_id: str = Field(sa_column=Column(Text, primary_key=True))
    state: str = Field(sa_column=Column(Text, nullable=False))
    origin: str = Field(sa_column=Column(Text, nullable=False))
    title: str = Field(sa_column=Column(Text, nullable=False))
    created: str = Field(sa_column=Column(Text, nullable=False))
    audio_name: str = Field(sa_column=Column(Text, nullable=False))
    container: str = Field(sa_column=Column(Text, nullable=False))
    sample_rate: int = Field(sa_column=Column(Integer, nullable=False))
    channels: int = Field(sa_column=Column(Integer, nullable=False))
    samples: int = Field(sa_column=Column(Integer, nullable=False))
    file_sha256: str = Field(sa_column=Column(Text, nullable=False))
    pcm_sha256: str = Field(sa_column=Column(Text, nullable=False))
    source_pcm_sha256: str = Field(sa_column=Column(Text, nullable=False))
    prompt: str | None = Field(default=None, sa_column=Column(Text))
    prompt_salt: bytes | None = Field(default=None, sa_column=Column(LargeBinary))
    understood: str | None = Field(default=None, sa_column=Column(Text))


class MarkRow(SQLModel, table=True):
    """The mark in a track: 16 hex digits, the salt of its commitment, the key it was embedded with."""

    __tablename__ = "mark"

    mark_id: str = Field(sa_column=Column(Text, primary_key=True))
    track_id: str = Field(
        sa_column=Column(Text, ForeignKey("track.track_id", ondelete="CASCADE"), nullable=False, index=True)
    )
    salt: bytes = Field(sa_column=Column(LargeBinary, nullable=False))
    profile: str = Field(sa_column=Column(Text, nullable=False))
    watermark_key_id: str = Field(sa_column=Column(Text, nullable=False))


class CreditRow(SQLModel, table=True):
    """A declared title or artist of a track, and the salt of its commitment."""

    __tablename__ = "track_credit"

    track_id: str = Field(
        sa_column=Column(Text, ForeignKey("track.track_id", ondelete="CASCADE"), primary_key=True)
    )
    label: str = Field(sa_column=Column(Text, primary_key=True))
    value: str = Field(sa_column=Column(Text, nullable=False))
    salt: bytes = Field(sa_column=Column(LargeBinary, nullable=False))


class Registry(StoredRows):
    """Reads and writes of the three tables; each method is one transaction.

    Raises (every method)
    ---------------------
    ledger.StorageError
        The database is missing, damaged, full, busy or read-only.
    """

    def add_pending(self, track: TrackRow, mark: MarkRow, credits: Sequence[CreditRow] = ()) -> None:
        """Reserve a track and its mark before the ledger is told; RegisteredError if the source is known."""
        with self._session(write=True) as session:
            known = session.exec(
                select(TrackRow).where(col(TrackRow.source_pcm_sha256) == track.source_pcm_sha256)
            ).first()
            if known is not None:
                raise RegisteredError(
                    f"the same recording is registered as track {known.track_id}", known.track_id
                )
            session.add(track)
            session.flush()
            session.add(mark)
            session.add_all(credits)

    def release(self, track_id: str) -> None:
        """Say that a track is logged and its files are in place."""
        with self._session(write=True) as session:
            row = session.get(TrackRow, track_id)
            assert row is not None
            row.state = RELEASED
            session.add(row)

    def drop_pending(self, track_id: str) -> None:
        """Forget a track that never reached the ledger; a released one stays."""
        with self._session(write=True) as session:
            row = session.get(TrackRow, track_id)
            if row is not None and row.state == PENDING:
                session.execute(sqlalchemy.delete(MarkRow).where(col(MarkRow.track_id) == track_id))
                session.execute(sqlalchemy.delete(CreditRow).where(col(CreditRow.track_id) == track_id))
                session.delete(row)

    def find_track(self, track_id: str) -> TrackRow | None:
        """Return a track's row, in any state."""
        with self._session() as session:
            return session.get(TrackRow, track_id)

    def get_released(self, track_id: str) -> TrackRow:
        """Return a released track's row; MissingError otherwise."""
        row = self.find_track(track_id)
        if row is None or row.state != RELEASED:
            raise MissingError(f"no track {track_id!r:.80}")
        return row

    def find_source(self, source_pcm_sha256: str) -> TrackRow | None:
        """Return the track that was made from a recording with this PCM digest."""
        with self._session() as session:
            return session.exec(
                select(TrackRow).where(col(TrackRow.source_pcm_sha256) == source_pcm_sha256)
            ).first()

    def find_mark(self, mark_id: str) -> MarkRow | None:
        """Return the row of a mark."""
        with self._session() as session:
            return session.get(MarkRow, mark_id)

    def get_mark_of(self, track_id: str) -> MarkRow | None:
        """Return the mark of a track."""
        with self._session() as session:
            return session.exec(select(MarkRow).where(col(MarkRow.track_id) == track_id)).first()

    def list_credits(self, track_id: str) -> list[CreditRow]:
        """Return the declared title and artist of a track, those that there are, by label."""
        with self._session() as session:
            query = (
                select(CreditRow).where(col(CreditRow.track_id) == track_id).order_by(col(CreditRow.label))
            )
            return list(session.exec(query))

    def gather_marks(self) -> dict[tuple[str, str], str]:
        """Return the ids of all marks, in hex one after the other, by profile and public key name.

        The database puts them together: as many rows would take it ten times as long.
        """
        together = sqlalchemy.func.aggregate_strings(col(MarkRow.mark_id), "")
        with self._session() as session:
            query = select(MarkRow.profile, MarkRow.watermark_key_id, together)
            rows = session.exec(query.group_by(col(MarkRow.profile), col(MarkRow.watermark_key_id)))
            return {(profile, key_name): mark_ids for profile, key_name, mark_ids in rows}

    def list_tracks(self, *, limit: int, after: str = "") -> list[TrackRow]:
        """Return released tracks in the order of their ids, at most `limit`, those after a track id."""
        with self._session() as session:
            query = (
                select(TrackRow)
                .where(col(TrackRow.state) == RELEASED, col(TrackRow.track_id) > after)
                .order_by(col(TrackRow.track_id))
                .limit(limit)
            )
            return list(session.exec(query))

    def list_newest(self, *, limit: int) -> list[TrackRow]:
        """Return released tracks, the newest first, at most `limit`."""
        with self._session() as session:
            query = (
                select(TrackRow)
                .where(col(TrackRow.state) == RELEASED)
                .order_by(col(TrackRow.created).desc(), col(TrackRow.track_id))
                .limit(limit)
            )
            return list(session.exec(query))

    def list_pending(self) -> list[TrackRow]:
        """Return tracks that were reserved and not released: in progress, or left by a crash."""
        with self._session() as session:
            return list(session.exec(select(TrackRow).where(col(TrackRow.state) == PENDING)))
