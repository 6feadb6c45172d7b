"""How the workers of many processes reach the one that appends: two tables of the same PostgreSQL database.

| table | holds | written by | deleted by |
| --- | --- | --- | --- |
| ledger_pending | a submission, durable by its own commit | a worker | the sequencer, as it commits it |
| ledger_outcome | receipts, or an error | the sequencer | the worker that has fetched it |

A submission is JSON: a list of `[entry, drafted, idempotency key]`, such as `["{...}", false, null]`. Its tag
is an HMAC-SHA256 by a key that only holders of the log's signing key can derive; it says that a worker has
verified the entries' signatures, so that the sequencer need not do it again. Whoever can only write to the
database cannot make one.
"""

from __future__ import annotations

import functools
import hashlib
import hmac
import json
import struct
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from sqlalchemy import Connection

from . import errors
from .checkpoint import parse_checkpoint
from .errors import FormatError, LedgerError, StorageError
from .event import Event, Head, Place, Proposal, parse_event
from .keys import SigningKey
from .note import parse_note
from .receipt import Receipt
from .submission import Draft, Submission

PENDING_CHANNEL = "ledger_pending"
OUTCOME_CHANNEL = "ledger_outcome"
_LABEL = "provenote/pending/v1"
_PLACE = struct.Struct(">QQ32sB")
"""Of a receipt: checkpoint size, entry index, leaf hash, length of the path."""
_HASH_BYTES = 32
KEPT_OUTCOMES = "1 hour"
"""After that, whoever was to fetch an outcome is taken for dead."""


@dataclass(frozen=True)
class Pending:
    """A submission as it waits in the database."""

    pending_id: int
    body: bytes
    tag: bytes


def encode_submission(events: Sequence[Draft | bytes], entries: Sequence[bytes]) -> bytes:
    """Return the body of a submission: its events, and the entry that each is or was built as."""
    listed = [
        [entry.decode("utf-8"), isinstance(event, Draft), getattr(event, "idempotency_key", None)]
        for event, entry in zip(events, entries, strict=True)
    ]
    return json.dumps(listed, ensure_ascii=False, separators=(",", ":")).encode("utf-8")


def tag_submission(body: bytes, log_signing_key: SigningKey) -> bytes:
    """Return the tag that says that a body's signatures were verified."""
    return hmac.digest(_derive_tag_key(log_signing_key), body, hashlib.sha256)


def open_submission(item: Pending, log_signing_key: SigningKey) -> Submission:
    """Return the submission of a row, its entries parsed; FormatError when one cannot be."""
    verified = hmac.compare_digest(item.tag, tag_submission(item.body, log_signing_key))
    events: list[Draft | bytes] = []
    examined: list[Event | Proposal | None] = []
    try:
        for text, drafted, idempotency_key in json.loads(item.body):
            entry = text.encode("utf-8")
            proposal = parse_event(entry)
            events.append(_restore(proposal, entry, idempotency_key) if drafted else entry)
            examined.append(_accept(proposal) if verified else proposal)
    except (ValueError, TypeError, AttributeError) as error:
        raise FormatError(f"submission {item.pending_id} cannot be read: {error}") from error
    return Submission(events, log_signing_key, examined=examined)


def encode_outcome(outcome: list[Receipt] | Exception) -> bytes:
    """Return the body of an outcome."""
    if isinstance(outcome, Exception):
        kind = type(outcome).__name__ if isinstance(outcome, LedgerError) else StorageError.__name__
        state = {
            name: [value.n, value.leaf_hash.hex()] if isinstance(value, Head) else value
            for name, value in vars(outcome).items()
        }
        return b"\0" + json.dumps({"kind": kind, "message": str(outcome), "state": state}).encode("utf-8")
    parts = [b"\1"]
    for item in outcome:
        size = _read_size(item.checkpoint)
        parts += [_PLACE.pack(size, item.index, item.leaf_hash, len(item.proof)), *item.proof]
    return b"".join(parts)


def decode_outcome(body: bytes, read_note: Callable[[int], bytes]) -> list[Receipt] | Exception:
    """Return what an outcome says; `read_note` gives the checkpoint of a size."""
    if body[:1] == b"\0":
        members = json.loads(body[1:])
        kind = getattr(errors, members["kind"])
        error: Exception = kind.__new__(kind, members["message"])
        head = members["state"].get("head")
        if head is not None:
            members["state"]["head"] = Head(head[0], bytes.fromhex(head[1]))
        error.__dict__.update(members["state"])
        return error
    return [Receipt(index, leaf, read_note(size), path) for size, index, leaf, path in _split(body)]


def insert_pending(connection: Connection, rows: Sequence[tuple[bytes, bytes]]) -> list[int]:
    """Add submissions (body, tag), and return their ids in the same order."""
    ids = connection.exec_driver_sql(
        "INSERT INTO ledger_pending (body, tag) SELECT * FROM unnest(%b::bytea[], %b::bytea[])"
        " RETURNING pending_id",
        ([body for body, _ in rows], [tag for _, tag in rows]),
    )
    return sorted(ids.scalars())  # ids are given in the order of the rows, whatever the order they return in


def read_pending(connection: Connection, limit: int) -> list[Pending]:
    """Return the submissions that have waited longest."""
    rows = connection.exec_driver_sql(
        "SELECT pending_id, body, tag FROM ledger_pending ORDER BY pending_id LIMIT %s", (limit,)
    )
    return [Pending(*row) for row in rows]


def delete_pending(connection: Connection, pending_ids: Sequence[int]) -> set[int]:
    """Delete submissions and return the ids of those that were there."""
    return set(
        connection.exec_driver_sql(
            "DELETE FROM ledger_pending WHERE pending_id = ANY(%b::bigint[]) RETURNING pending_id",
            (list(pending_ids),),
        ).scalars()
    )


def insert_outcomes(connection: Connection, rows: Sequence[tuple[int, bytes]]) -> None:
    """Add outcomes (id, body), and tell the workers."""
    connection.exec_driver_sql(
        "INSERT INTO ledger_outcome (pending_id, body) SELECT * FROM unnest(%b::bigint[], %b::bytea[])",
        ([pending_id for pending_id, _ in rows], [body for _, body in rows]),
    )
    connection.exec_driver_sql(f"NOTIFY {OUTCOME_CHANNEL}")


def fetch_outcomes(connection: Connection, pending_ids: Sequence[int]) -> dict[int, bytes]:
    """Take the outcomes of some submissions that are there."""
    rows = connection.exec_driver_sql(
        "DELETE FROM ledger_outcome WHERE pending_id = ANY(%b::bigint[]) RETURNING pending_id, body",
        (list(pending_ids),),
    )
    return {row.pending_id: row.body for row in rows}


def delete_old_outcomes(connection: Connection) -> None:
    """Delete the outcomes that nobody has come for."""
    connection.exec_driver_sql(f"DELETE FROM ledger_outcome WHERE made < now() - interval '{KEPT_OUTCOMES}'")


def _restore(proposal: Proposal, entry: bytes, idempotency_key: str | None) -> Draft:
    def build(_: Place) -> bytes:
        return entry

    return Draft(proposal.place.asset, build, idempotency_key)


def _accept(proposal: Proposal) -> Event:
    return Event(proposal.statement, proposal.place, proposal.envelope.key_ids, proposal.added_key)


@functools.lru_cache(maxsize=4)
def _derive_tag_key(log_signing_key: SigningKey) -> bytes:
    return log_signing_key.derive(_LABEL)


@functools.lru_cache(maxsize=64)
def _read_size(note: bytes) -> int:
    return parse_checkpoint(parse_note(note)[0]).size


def _split(body: bytes) -> list[tuple[int, int, bytes, tuple[bytes, ...]]]:
    found = []
    at = 1
    while at < len(body):
        size, index, leaf, count = _PLACE.unpack_from(body, at)
        at += _PLACE.size
        end = at + _HASH_BYTES * count
        path = tuple(body[start : start + _HASH_BYTES] for start in range(at, end, _HASH_BYTES))
        at = end
        found.append((size, index, leaf, path))
    return found
