"""The audit trail of the service: who did what, when, with which outcome. Append-only, chained by hashes.

    access_event   n (1, 2, ...), body, hash

    body = {"action": "POST /v1/stamps", "actor": "k3t5mz7qa2xw4hbn", "kind": "key", "n": 7,
            "object": {}, "outcome": "202", "scopes": ["issuer"], "time": "2026-11-22T17:31:32Z"}
    hash = SHA-256("provenote/access-log/v1\\n" || hash of n - 1, 32 zero bytes for n = 1 || body)

The body is RFC 8785 JSON and has no personal data: callers are key ids, objects are ids, of strangers there
is nothing. Triggers keep rows from being changed; who gets round them breaks the chain, unless everything
after is made anew, which whoever has kept a later hash finds out.
"""

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import sqlalchemy
from sqlalchemy import Column, LargeBinary
from sqlmodel import Field, SQLModel

from ledger.canonical import format_json, parse_json
from ledger.database import open_database
from ledger.errors import FormatError
from ledger.tables import BIG

from .access import Caller

MAX_BODY_BYTES = 4096
MAX_TEXT_CHARACTERS = 120
FIRST = bytes(32)
PAGE = 500
_LABEL = b"provenote/access-log/v1\n"


class EventRow(SQLModel, table=True):
    """One line of the trail."""

    __tablename__ = "access_event"

    n: int = Field(sa_column=Column(BIG, primary_key=True, autoincrement=False))
    body: bytes = Field(sa_column=Column(LargeBinary, nullable=False))
    hash: bytes = Field(sa_column=Column(LargeBinary, nullable=False))


@dataclass(frozen=True)
class AccessEvent:
    """A line as stored: its number, its exact bytes, what they say, and its link of the chain."""

    n: int
    body: bytes
    hash: bytes

    def document(self) -> dict[str, Any]:
        """Return what the line says, with its hash; FormatError if the bytes are not a line."""
        content = parse_json(self.body, max_bytes=MAX_BODY_BYTES)
        if not isinstance(content, dict):
            raise FormatError(f"expected line {self.n} to be an object, got {content!r:.80}")
        return {**content, "hash": self.hash.hex()}


class AccessLog:
    """Appends and reads lines; each method is one transaction.

    Raises (every method)
    ---------------------
    ledger.StorageError
        The database is missing, damaged, full, busy or read-only.
    """

    def __init__(self, url: str) -> None:
        self._database = open_database(url)
        self._table = SQLModel.metadata.tables["access_event"]

    def close(self) -> None:
        """Give up the connections."""
        self._database.close()

    def append(
        self, caller: Caller, action: str, outcome: str, *, time: str, about: Mapping[str, str] | None = None
    ) -> AccessEvent:
        """Write what a caller did, durably; `about` are the ids of what it was done to."""
        said = {
            "action": action[:MAX_TEXT_CHARACTERS],
            "actor": caller.actor,
            "kind": str(caller.kind),
            "object": {name: str(item)[:MAX_TEXT_CHARACTERS] for name, item in (about or {}).items()},
            "outcome": outcome,
            "scopes": sorted(caller.scopes),
            "time": time,
        }
        newest = (
            sqlalchemy.select(self._table.c.n, self._table.c.hash).order_by(self._table.c.n.desc()).limit(1)
        )
        with self._database.translate_errors(), self._database.begin() as connection:
            last = connection.execute(newest).first()
            number, previous = (last.n + 1, bytes(last.hash)) if last is not None else (1, FIRST)
            body = format_json({**said, "n": number})
            event = AccessEvent(number, body, chain_event(previous, body))
            connection.execute(self._table.insert().values(n=number, body=body, hash=event.hash))
            self._database.commit(connection)
        return event

    def read(self, *, after: int = 0, limit: int = PAGE) -> list[AccessEvent]:
        """Return at most `limit` lines after line `after`, oldest first; nothing is checked."""
        query = self._table.select().where(self._table.c.n > after).order_by(self._table.c.n).limit(limit)
        with self._database.translate_errors(), self._database.read() as connection:
            rows = connection.execute(query).all()
        return [AccessEvent(row.n, _read_bytes(row.body), _read_bytes(row.hash)) for row in rows]

    def size(self) -> int:
        """Return the number of the last line."""
        with self._database.translate_errors(), self._database.read() as connection:
            found = connection.scalar(sqlalchemy.select(sqlalchemy.func.max(self._table.c.n)))
        return int(found or 0)

    def walk(self) -> Iterator[AccessEvent]:
        """Give every line, oldest first, a page in memory."""
        after = 0
        while page := self.read(after=after):
            yield from page
            after = page[-1].n


def _read_bytes(value: object) -> bytes:
    """Return a column as bytes: SQLite also stores text or numbers there, if somebody puts them in."""
    return value if isinstance(value, bytes) else str(value).encode("utf-8", "surrogateescape")


def chain_event(previous: bytes, body: bytes) -> bytes:
    """Return the hash of a line that follows one with the hash `previous`."""
    return hashlib.sha256(_LABEL + previous + body).digest()


def find_break(events: Sequence[AccessEvent] | Iterator[AccessEvent]) -> int | None:
    """Check lines from the first one on; return the number of the first that does not hold, or None."""
    previous, expected = FIRST, 1
    for event in events:
        try:
            stated = event.document()["n"]
        except (FormatError, KeyError):
            return event.n
        if (event.n, stated, event.hash) != (expected, expected, chain_event(previous, event.body)):
            return expected
        previous, expected = event.hash, expected + 1
    return None
