"""The copies of tracks that were made for somebody: a table beside the registry's.

    delivered_copy   one row for each copy: pending (written, not yet logged) or released; mark, recipient

Who received a copy is not in it: the row has the commitment under which the vault keeps the name sealed.
"""

import sqlalchemy
from sqlalchemy import Column, ForeignKey, Index, LargeBinary, Text
from sqlmodel import Field, SQLModel, col, or_, select

from .errors import MissingError
from .registry import PENDING, RELEASED
from .storedrows import StoredRows


class CopyRow(SQLModel, table=True):
    """One copy of a track: its mark as in `registry.MarkRow`, digests in hex, the recipient's commitment."""

    __tablename__ = "delivered_copy"
    __table_args__ = (
        Index("delivered_copy_track", "track_id", "created", "copy_id"),
        Index("delivered_copy_mark", "mark_id", unique=True),
        Index("delivered_copy_file", "file_sha256"),
        Index("delivered_copy_pcm", "pcm_sha256"),
    )

    copy_id: str = Field(sa_column=Column(Text, primary_key=True))
    track_id: str = Field(
        sa_column=Column(Text, ForeignKey("track.track_id", ondelete="CASCADE"), nullable=False)
    )
    state: str = Field(sa_column=Column(Text, nullable=False))
    created: str = Field(sa_column=Column(Text, nullable=False))
    mark_id: str = Field(sa_column=Column(Text, nullable=False))
    salt: bytes = Field(sa_column=Column(LargeBinary, nullable=False))
    profile: str = Field(sa_column=Column(Text, nullable=False))
    watermark_key_id: str = Field(sa_column=Column(Text, nullable=False))
    person: str = Field(sa_column=Column(Text, nullable=False))
    recipient_commitment: bytes = Field(sa_column=Column(LargeBinary, nullable=False))
    audio_name: str = Field(sa_column=Column(Text, nullable=False))
    file_sha256: str = Field(sa_column=Column(Text, nullable=False))
    pcm_sha256: str = Field(sa_column=Column(Text, nullable=False))


class Copies(StoredRows):
    """Reads and writes of the table; each method is one transaction.

    Raises (every method)
    ---------------------
    ledger.StorageError
        The database is missing, damaged, full, busy or read-only.
    """

    def add_pending(self, row: CopyRow) -> None:
        """Reserve a copy and its mark before the ledger is told."""
        with self._session(write=True) as session:
            session.add(row)

    def release(self, copy_id: str) -> None:
        """Say that a copy is logged and its file is in place."""
        with self._session(write=True) as session:
            row = session.get(CopyRow, copy_id)
            assert row is not None
            row.state = RELEASED
            session.add(row)

    def drop_pending(self, copy_id: str) -> None:
        """Forget a copy that never reached the ledger; a released one stays."""
        with self._session(write=True) as session:
            row = session.get(CopyRow, copy_id)
            if row is not None and row.state == PENDING:
                session.delete(row)

    def find_copy(self, copy_id: str) -> CopyRow | None:
        """Return a copy's row, in any state."""
        with self._session() as session:
            return session.get(CopyRow, copy_id)

    def get_released(self, copy_id: str) -> CopyRow:
        """Return a released copy's row; MissingError otherwise."""
        row = self.find_copy(copy_id)
        if row is None or row.state != RELEASED:
            raise MissingError(f"no copy {copy_id!r:.80}")
        return row

    def find_mark(self, mark_id: str) -> CopyRow | None:
        """Return the copy that carries a mark."""
        with self._session() as session:
            return session.exec(select(CopyRow).where(col(CopyRow.mark_id) == mark_id)).first()

    def find_digest(self, file_sha256: str, pcm_sha256: str) -> CopyRow | None:
        """Return the copy with these bytes or these samples; its mark makes both its own."""
        chosen = or_(col(CopyRow.file_sha256) == file_sha256, col(CopyRow.pcm_sha256) == pcm_sha256)
        with self._session() as session:
            return session.exec(select(CopyRow).where(chosen)).first()

    def list_of_track(self, track_id: str) -> list[CopyRow]:
        """Return a track's released copies, oldest first."""
        with self._session() as session:
            query = select(CopyRow).where(col(CopyRow.track_id) == track_id, col(CopyRow.state) == RELEASED)
            return list(session.exec(query.order_by(col(CopyRow.created), col(CopyRow.copy_id))))

    def list_pending(self) -> list[CopyRow]:
        """Return copies that were reserved and not released: in progress, or left by a crash."""
        with self._session() as session:
            return list(session.exec(select(CopyRow).where(col(CopyRow.state) == PENDING)))

    def gather_marks(self) -> dict[tuple[str, str], str]:
        """Return the ids of all marks of copies, in hex one after the other, by profile and public key name.

        The database puts them together: as many rows would take it ten times as long.
        """
        together = sqlalchemy.func.aggregate_strings(col(CopyRow.mark_id), "")
        with self._session() as session:
            query = select(CopyRow.profile, CopyRow.watermark_key_id, together)
            rows = session.exec(query.group_by(col(CopyRow.profile), col(CopyRow.watermark_key_id)))
            return {(profile, key_name): mark_ids for profile, key_name, mark_ids in rows}
