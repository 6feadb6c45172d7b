"""Commits: submissions judged, written, read back and made durable on top of the log's edge.

The order, for each commit:

1. begin a transaction; check that the log is where this committer left it, and that the lock store (`guard`),
   if there is one, agrees
2. admit each submission (`sequencer`); one that is refused gets its error and is out
3. write, read back, judge (`transaction`)
4. COMMIT                                                         <- the commit point
5. tell the lock store
6. hand out receipts

Any error of storage ends the log's life in memory: nothing of it is trusted any more, connections are
dropped, and the next commit starts by making sure that what it reads is on the disk (`Database.renew`),
reading the log's edge and verifying it again. (What SQLite wrote to its WAL for a commit that failed lies
behind the last valid commit, and is written over; or a process that opens it later takes it as committed.)
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable, Mapping
from contextlib import AbstractContextManager

import sqlalchemy
from sqlalchemy import Connection

from .collection import pause_collector
from .custodian import Custodian
from .database import Database
from .ed25519 import Verify
from .errors import CorruptError, GuardError, OutcomeUnknownError, StorageError
from .event import KEYS_ASSET
from .guard import HeldGuard
from .keys import PublicKey
from .receipt import Receipt
from .rollback import Lockstep
from .rows import KeyDirectory, StoredHistory, node_reader, read_note, read_receipt, read_state
from .sequencer import Sequencer
from .submission import Draft, Submission
from .transaction import Batch, Edge, check_written, read_edge, seal_batch, write_batch

Outcome = list[Receipt] | Exception
"""What became of a submission."""
Begin = Callable[[], AbstractContextManager[Connection]]
"""Opens a transaction that no other writer can be beside."""
Record = Callable[[Connection, list[Outcome]], None]
"""Writes what became of the submissions, in the transaction itself."""


class Committer:
    """Appends to one log and keeps its edge, its keys and the state of its assets in memory in between.

    For one thread at a time, whoever holds the right to append; `read_keys` for any.
    """

    def __init__(self, database: Database, *, verify: Verify, lockstep: Lockstep) -> None:
        self._database = database
        self._verify = verify
        self._lockstep = lockstep
        self._edge: Edge | None = None
        self._keys: dict[str, PublicKey] = {}
        self._custodian = Custodian()

    @property
    def guarded(self) -> bool:
        """There is a lock store, which has to be told before anybody is."""
        return self._lockstep.guard is not None

    def forget(self) -> None:
        """Drop what is known of the log's edge: it is read and verified again before the next commit."""
        self._edge = None

    def commit(
        self, begin: Begin, submissions: list[Submission], *, record: Record | None = None
    ) -> list[Outcome]:
        """Commit submissions and return what became of each.

        Raises
        ------
        BusyError, DiskFullError, ReadOnlyError, CorruptError, GuardError, StorageError : nothing was recorded
        OutcomeUnknownError : the commit failed half-way
        """
        edge, self._edge = self._edge, None  # until all has gone well
        try:
            with pause_collector(), self._database.translate_errors(), begin() as connection:
                edge = self._check_edge(connection, edge)
                with self._lockstep.hold(self._database, connection, edge.state) as held:
                    batch, outcomes = self._append(connection, edge, submissions)
                    edge = batch.after if batch else edge
                    note = batch.note if batch else read_note(connection, edge.state.size)
                    if record is not None:
                        record(connection, outcomes)
                    self._database.commit(connection)
                    if held is not None and held.slot.note != note:
                        _advance(held, note)
        except StorageError:
            self._database.distrust()
            raise
        self._edge = edge
        return outcomes

    def read_keys(self, key_ids: Iterable[str]) -> Mapping[str, PublicKey]:
        """Return those of the keys that the log knows; those that cannot be had now are left out."""
        wanted = set(key_ids)
        missing = {key_id for key_id in wanted if key_id not in self._keys}
        if missing:
            with (
                contextlib.suppress(StorageError),
                self._database.translate_errors(),
                self._database.read() as connection,
            ):
                directory = KeyDirectory(connection, self._keys)
                for key_id in missing:
                    directory.get(key_id)
        return {key_id: self._keys[key_id] for key_id in wanted if key_id in self._keys}

    def _check_edge(self, connection: Connection, edge: Edge | None) -> Edge:
        """Return the edge that is in memory if the log still ends there, and otherwise read it."""
        if edge is None:  # the first commit, or the first after an error
            self._database.renew(connection)
        state = read_state(connection)
        if state is None:
            raise CorruptError(f"{self._database.where}: the state row is gone")
        return edge if edge and edge.state == state else read_edge(self._database, connection, state)

    def _append(
        self, connection: Connection, edge: Edge, submissions: list[Submission]
    ) -> tuple[Batch | None, list[Outcome]]:
        assets = {event.asset for item in submissions for event in item.events if isinstance(event, Draft)}
        assets |= {seen.place.asset for item in submissions for seen in item.examined if seen}
        history = StoredHistory(self._database, connection, sorted(assets | {KEYS_ASSET}), self._keys)
        sequencer = Sequencer(edge.state, history, self._verify, self._custodian)
        admitted: list[list[int] | Exception] = []
        for submission in submissions:
            try:
                admitted.append(sequencer.admit(submission))
            except (StorageError, sqlalchemy.exc.DBAPIError):
                raise
            except Exception as error:  # noqa: BLE001  # whatever a draft's `build` raises is its caller's
                admitted.append(error)
        batch = None
        if sequencer.accepted:
            batch = seal_batch(edge, sequencer.accepted, submissions[0].log_signing_key)
            write_batch(self._database, connection, batch)
            check_written(self._database, connection, edge, batch)
        read = node_reader(self._database, connection)

        def find(index: int) -> Receipt:
            if batch and index >= edge.state.size:
                return batch.receipt(index)
            return read_receipt(connection, read, index)

        return batch, [
            item if isinstance(item, Exception) else [find(index) for index in item] for item in admitted
        ]


class LocalLog:
    """The log of a database that the processes of one host share, and take turns to append to."""

    def __init__(self, database: Database, committer: Committer, *, lock_timeout_s: float) -> None:
        self._database = database
        self._committer = committer
        self._lock_timeout_s = lock_timeout_s

    def append(self, submissions: list[Submission]) -> None:
        """Commit submissions and settle their futures; StorageError when nothing came of any of them."""
        with self._database.hold_writer(self._lock_timeout_s):
            outcomes = self._committer.commit(self._database.begin, submissions)
        for submission, outcome in zip(submissions, outcomes, strict=True):
            submission.settle(outcome)

    def read_keys(self, key_ids: Iterable[str]) -> Mapping[str, PublicKey]:
        """Return those of the keys that the log knows."""
        return self._committer.read_keys(key_ids)

    def close(self) -> None:
        """Forget the log's edge."""
        self._committer.forget()


def _advance(held: HeldGuard, note: bytes) -> None:
    """Move the lock store on after a commit; until it has, nothing of the commit may be acknowledged."""
    try:
        held.advance(note)
    except GuardError as error:
        raise OutcomeUnknownError(f"the entries are there, but not acknowledged: {error}") from error
