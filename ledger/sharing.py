"""A shared ledger: appending from many processes and hosts to one PostgreSQL database.

Each process inserts its submissions as pending rows, durable by a commit of its own, and waits for their
outcomes; one of them sequences (`sequencing`). Drafts are built here, on the head that the asset has just
then; when another process was first, they are built again.

| moment of a crash | what comes of a submission |
| --- | --- |
| of the worker, before its insert is committed | nothing |
| of the worker, after | it is appended, or refused; nobody hears of it |
| of the sequencer, before its COMMIT | still pending: the next sequencer takes it |
| of the sequencer, after | appended, with its outcome there to be fetched |
"""

from __future__ import annotations

import functools
import logging
import threading
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

import sqlalchemy
from sqlalchemy import Connection, select

from .committer import Committer
from .ed25519 import Verify
from .errors import (
    BusyError,
    EventError,
    LedgerConflictError,
    LedgerError,
    OutcomeUnknownError,
    StorageError,
    UnknownKeyError,
)
from .event import Event, Head, Place, Proposal, parse_event, verify_event
from .keys import PublicKey
from .merkle import leaf_hash
from .pending import (
    OUTCOME_CHANNEL,
    PENDING_CHANNEL,
    decode_outcome,
    delete_pending,
    encode_submission,
    fetch_outcomes,
    insert_pending,
    tag_submission,
)
from .postgres import PostgresDatabase
from .rows import ENTRY, REQUEST, read_note
from .sequencing import SequencerThread, listen, wait_notified
from .submission import Draft, Submission

logger = logging.getLogger(__name__)

POLL_S = 0.1
"""The longest that outcomes are waited for between two looks, should a notification be lost."""
RETRY_S = 0.2
GRACE_S = 10.0
"""How much longer than its time a submission waits for an outcome once it was taken."""


@dataclass
class Waiting:
    """A submission that is pending, until when its caller waits, and the heads that its drafts will make."""

    submission: Submission
    deadline_s: float
    heads: dict[str, Head] = field(default_factory=dict)


class SharedLog:
    """The log of a database that many processes append to."""

    def __init__(
        self,
        database: PostgresDatabase,
        committer: Committer,
        origin: str,
        *,
        verify: Verify,
        timeout_s: float,
    ) -> None:
        self._database = database
        self._committer = committer
        self._origin = origin
        self._verify = verify
        self._timeout_s = timeout_s
        self._sequencer: SequencerThread | None = None
        self._collector: threading.Thread | None = None
        self._changed = threading.Condition()
        self._waiting: dict[int, Waiting] = {}
        self._heads: dict[str, Head] = {}  # of assets with drafts that are pending
        self._inserting = threading.Lock()
        self._ended = threading.Event()

    def append(self, submissions: list[Submission]) -> None:
        """Insert submissions as pending; their futures are settled when their outcomes are there."""
        self._start(submissions[0])
        deadline_s = time.monotonic() + self._timeout_s
        self._insert([Waiting(submission, deadline_s) for submission in submissions])

    def read_keys(self, key_ids: Iterable[str]) -> Mapping[str, PublicKey]:
        """Return those of the keys that the log knows."""
        return self._committer.read_keys(key_ids)

    def close(self) -> None:
        """Wait for what is pending, then stop collecting and sequencing."""
        with self._changed:
            self._changed.wait_for(lambda: not self._waiting)
            self._ended.set()
            self._changed.notify_all()
        collector, self._collector = self._collector, None
        if collector is not None:
            collector.join()
        sequencer, self._sequencer = self._sequencer, None
        if sequencer is not None:
            sequencer.close()
        self._ended.clear()

    def _start(self, submission: Submission) -> None:
        if self._sequencer is None:
            self._sequencer = SequencerThread(self._database, self._committer, submission.log_signing_key)
        if self._collector is None:
            self._collector = threading.Thread(target=self._collect, name="ledger-collector", daemon=True)
            self._collector.start()

    def _insert(self, items: list[Waiting]) -> None:
        """Make submissions pending. One after the other: drafts build on those that are pending already."""
        with (
            self._inserting,
            self._database.translate_errors(),
            self._database.engine.connect() as connection,
        ):
            ready, rows = [], []
            for item in items:
                try:
                    rows.append(self._encode(connection, item))
                    ready.append(item)
                except (StorageError, sqlalchemy.exc.DBAPIError):
                    raise
                except Exception as error:  # noqa: BLE001  # whatever a draft's `build` raises is its caller's
                    item.submission.settle(error)
            if not rows:
                return
            ids = insert_pending(connection, rows)
            self._database.commit(connection)
            with self._changed:
                self._waiting.update(zip(ids, ready, strict=True))
                self._changed.notify_all()
            # Not in that transaction: commits that notify wait for each other's sync.
            connection.execution_options(isolation_level="AUTOCOMMIT")
            connection.exec_driver_sql(f"NOTIFY {PENDING_CHANNEL}")

    def _encode(self, connection: Connection, item: Waiting) -> tuple[bytes, bytes]:
        """Build and verify a submission's entries, and return the body and tag of its row."""
        submission, verified = item.submission, True
        entries: list[bytes] = []
        keys: list[str | None] = []
        item.heads.clear()
        for event, seen in zip(submission.events, submission.examined, strict=True):
            if isinstance(event, Draft):
                key = event.idempotency_key
                entry = self._find_request(connection, key, dict(zip(keys, entries, strict=True)))
                entry = entry or self._build(connection, item, event)
            else:
                key, entry = None, event
            entries.append(entry)
            keys.append(key)
            verified = self._verify_event(seen or parse_event(entry)) and verified
        if item.heads:
            with self._changed:
                self._heads.update(item.heads)  # the next submission builds on this one
        body = encode_submission(submission.events, entries)
        return body, tag_submission(body, submission.log_signing_key) if verified else b""

    def _find_request(
        self, connection: Connection, key: str | None, here: Mapping[str | None, bytes]
    ) -> bytes | None:
        """Return the entry that was appended under an idempotency key, or is about to be."""
        if key is None:
            return None
        index = select(REQUEST.c.entry_index).where(REQUEST.c.idempotency_key == key).scalar_subquery()
        entry: bytes | None = connection.scalar(select(ENTRY.c.entry).where(ENTRY.c.entry_index == index))
        return here.get(key) if entry is None else entry

    def _build(self, connection: Connection, item: Waiting, draft: Draft) -> bytes:
        head = item.heads.get(draft.asset) or self._heads.get(draft.asset)
        head = head or self._database.read_heads(connection, [draft.asset]).get(draft.asset)
        entry = draft.build(Place.after(self._origin, draft.asset, head))
        place = parse_event(entry).place
        if place.asset != draft.asset:
            raise EventError(f"expected an event of {draft.asset!r} from its draft, got {place.asset!r}")
        item.heads[draft.asset] = Head(place.n, leaf_hash(entry))
        return entry

    def _verify_event(self, seen: Event | Proposal) -> bool:
        """Verify an entry's signatures if nobody has; False when it is left to the sequencer."""
        if isinstance(seen, Proposal):
            try:
                verify_event(seen, self.read_keys(seen.envelope.key_ids), self._verify)
            except UnknownKeyError:
                return False  # perhaps the key is pending as well
        return True

    def _collect(self) -> None:
        while not self._ended.is_set():
            try:
                with self._database.translate_errors(), self._database.engine.connect() as connection:
                    connection.detach()  # what it listens to ends with it
                    listen(connection, OUTCOME_CHANNEL)
                    while self._wait():
                        if not self._fetch(connection):
                            self._withdraw(connection)
                            wait_notified(connection, POLL_S)
            except StorageError as error:
                logger.warning("outcomes of %s cannot be fetched: %s", self._database.where, error)
                self._give_up(error)
                self._ended.wait(RETRY_S)
            except Exception as error:  # whatever it is, callers are waiting
                logger.exception("outcomes of %s cannot be fetched", self._database.where)
                self._give_up(error)
                self._ended.wait(RETRY_S)

    def _wait(self) -> bool:
        """Wait until something is pending; False at the end."""
        with self._changed:
            self._changed.wait_for(lambda: self._waiting or self._ended.is_set())
            return bool(self._waiting)

    def _fetch(self, connection: Connection) -> bool:
        """Settle the submissions that have an outcome; False when there is none."""
        with self._changed:
            waiting = dict(self._waiting)
        connection.exec_driver_sql("SET LOCAL synchronous_commit = off")  # a lost deletion does no harm
        notes = functools.cache(functools.partial(read_note, connection))
        found = {
            pending_id: decode_outcome(body, notes)
            for pending_id, body in fetch_outcomes(connection, list(waiting)).items()
        }
        connection.commit()
        self._leave({pending_id: waiting[pending_id] for pending_id in found})
        again = []
        for pending_id, outcome in found.items():
            item = waiting[pending_id]
            late = time.monotonic() >= item.deadline_s
            drafted = any(isinstance(event, Draft) for event in item.submission.events)
            if isinstance(outcome, LedgerConflictError) and drafted and not late:
                again.append(item)  # another process was first
            else:
                item.submission.settle(outcome)
        if again:
            try:
                self._insert(again)
            except LedgerError as error:
                for item in again:
                    item.submission.settle(error)
        return bool(found)

    def _leave(self, items: Mapping[int, Waiting]) -> None:
        with self._changed:
            for pending_id, item in items.items():
                self._waiting.pop(pending_id, None)
                for asset, head in item.heads.items():
                    if self._heads.get(asset) == head:
                        del self._heads[asset]
            self._changed.notify_all()

    def _withdraw(self, connection: Connection) -> None:
        """Take back what nobody has taken in time; what was taken keeps waiting a little for its outcome."""
        now_s = time.monotonic()
        with self._changed:
            late = {key: item for key, item in self._waiting.items() if item.deadline_s <= now_s}
        if not late:
            return
        withdrawn = delete_pending(connection, list(late))
        connection.commit()
        for pending_id, item in late.items():
            if pending_id in withdrawn:
                error: StorageError = BusyError(f"{self._database.where}: nobody took the submission in time")
            elif now_s > item.deadline_s + GRACE_S:
                error = OutcomeUnknownError(f"{self._database.where}: no outcome of a submission in time")
            else:
                continue
            self._leave({pending_id: item})
            item.submission.settle(error)

    def _give_up(self, error: Exception) -> None:
        """Settle what is late while the database cannot be reached."""
        now_s = time.monotonic()
        with self._changed:
            late = {key: item for key, item in self._waiting.items() if item.deadline_s <= now_s}
        for pending_id, item in late.items():
            self._leave({pending_id: item})
            item.submission.settle(OutcomeUnknownError(f"the outcome cannot be fetched: {error}"))
