"""What others attest about checkpoints: cosignatures of witnesses, time-stamps of authorities.

Kept beside the ledger's own tables, in the same database: nothing of the ledger rests on it, and every item
proves itself, so a lost row loses evidence and a changed one is found out when it is checked.

| kind | source | content |
| --- | --- | --- |
| cosignature | the cosigner's verifier key | its signature line on the checkpoint of `size` |
| rfc3161 | the authority's name here | a time-stamp token (DER) over the checkpoint's text |
| opentimestamps | the calendar's name here | an `.ots` file over the checkpoint's text |
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import cast

from sqlalchemy import Column, Connection, LargeBinary, Table, Text, func, select
from sqlmodel import Field, SQLModel

from .database import open_database
from .tables import BIG

COSIGNATURE = "cosignature"
RFC3161 = "rfc3161"
OPENTIMESTAMPS = "opentimestamps"
KINDS = frozenset({COSIGNATURE, RFC3161, OPENTIMESTAMPS})


class AttestationRow(SQLModel, table=True):
    """One attestation; `time_s` is when we received it, by our own clock (POSIX seconds)."""

    __tablename__ = "attestation"

    size: int = Field(sa_column=Column(BIG, primary_key=True, autoincrement=False))
    kind: str = Field(sa_column=Column(Text, primary_key=True))
    source: str = Field(sa_column=Column(Text, primary_key=True))
    time_s: int = Field(sa_column=Column(BIG, nullable=False))
    content: bytes = Field(sa_column=Column(LargeBinary, nullable=False))


_TABLE = cast(Table, AttestationRow.__table__)  # type: ignore[attr-defined]  # SQLModel gives it one


@dataclass(frozen=True)
class Attestation:
    """Evidence about the checkpoint of `size`, unverified; see the module's table."""

    size: int
    kind: str
    source: str
    time_s: int
    content: bytes


class Attestations:
    """The table of attestations of one ledger; each method is one transaction.

    Raises (every method)
    ---------------------
    StorageError : the database is missing, damaged, full, busy or read-only
    """

    def __init__(self, url: str) -> None:
        self._database = open_database(url)

    def close(self) -> None:
        """Give up the connections."""
        self._database.close()

    def add(self, items: Sequence[Attestation]) -> None:
        """Keep new attestations; of one kind and source, the first for a size stays."""
        if any(item.kind not in KINDS for item in items):
            raise ValueError(f"expected kinds of {sorted(KINDS)}, got {[item.kind for item in items]}")
        with self._connect(write=True) as connection:
            for item in items:
                same = (
                    (_TABLE.c.size == item.size)
                    & (_TABLE.c.kind == item.kind)
                    & (_TABLE.c.source == item.source)
                )
                if connection.execute(select(_TABLE.c.size).where(same)).one_or_none() is None:
                    connection.execute(_TABLE.insert(), vars(item))
            connection.commit()

    def replace(self, item: Attestation) -> None:
        """Put more complete evidence in the place of what is kept of its size, kind and source."""
        same = (_TABLE.c.size == item.size) & (_TABLE.c.kind == item.kind) & (_TABLE.c.source == item.source)
        with self._connect(write=True) as connection:
            connection.execute(_TABLE.update().where(same).values(content=item.content))
            connection.commit()

    def list_of(self, size: int) -> tuple[Attestation, ...]:
        """Return what is attested about the checkpoint of a size, in a stable order."""
        query = select(_TABLE).where(_TABLE.c.size == size).order_by(_TABLE.c.kind, _TABLE.c.source)
        with self._connect() as connection:
            return tuple(Attestation(**row._mapping) for row in connection.execute(query))

    def list_sizes(self, kind: str, *, last: int) -> list[int]:
        """Return the `last` newest sizes that have an attestation of a kind, newest first."""
        query = (
            select(_TABLE.c.size)
            .where(_TABLE.c.kind == kind)
            .group_by(_TABLE.c.size)
            .order_by(_TABLE.c.size.desc())
            .limit(last)
        )
        with self._connect() as connection:
            return list(connection.scalars(query))

    def first_size(self, kind: str, above: int) -> int | None:
        """Return the smallest size above `above` with an attestation of a kind: the earliest to cover entry
        `above`.
        """
        query = select(func.min(_TABLE.c.size)).where(_TABLE.c.kind == kind, _TABLE.c.size > above)
        with self._connect() as connection:
            size: int | None = connection.scalar(query)
            return size

    def latest_time(self, kind: str, source: str) -> int | None:
        """Return when the newest attestation of a kind came in from a source (POSIX seconds), or None."""
        same = (_TABLE.c.kind == kind) & (_TABLE.c.source == source)
        with self._connect() as connection:
            time_s: int | None = connection.scalar(select(func.max(_TABLE.c.time_s)).where(same))
            return time_s

    @contextlib.contextmanager
    def _connect(self, *, write: bool = False) -> Iterator[Connection]:
        # `begin` for writing: what is read first must still hold when it is written to.
        database = self._database
        with (
            database.translate_errors(),
            database.begin() if write else database.read() as connection,
        ):
            yield connection
