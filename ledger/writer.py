"""Group commit: one thread appends whatever has queued up, in one durable transaction at a time.

While a batch is being synced to the disk, the next one gathers; no timer is needed, and the busier the log,
the larger its batches. What the thread does for each, in this order:

1. take what waits, parse it, or have workers do so and verify it (`examiners`) while the batch before is
   committed
2. take the writer's right, begin a transaction, check that the log is where this thread left it, and that
   the lock store (`guard`), if there is one, agrees
3. admit each submission (`sequencer`); one that is refused gets its error and is out
4. write, read back, judge (`transaction`)
5. COMMIT                                                         <- the commit point
6. tell the lock store
7. hand out receipts

Any error of storage ends the log's life in memory: nothing of it is trusted any more, connections are
dropped, and the next batch starts by reading the log's edge and verifying it again. (What SQLite wrote to its
WAL for a commit that failed lies behind the last valid commit, and is written over.)
"""

from __future__ import annotations

import collections
import contextlib
import threading
from collections.abc import Iterable, Sequence
from concurrent.futures import Future

import sqlalchemy
from sqlalchemy import Connection

from .custodian import Custodian
from .database import Database
from .ed25519 import Verify
from .errors import BusyError, CorruptError, GuardError, LedgerError, OutcomeUnknownError, StorageError
from .event import KEYS_ASSET, parse_event
from .examiners import Examination, Examiners, find_signers
from .guard import HeldGuard
from .keys import PublicKey, SigningKey
from .receipt import Receipt
from .rollback import Lockstep
from .rows import KeyDirectory, StoredHistory, node_reader, read_note, read_receipt, read_state
from .sequencer import Sequencer
from .submission import Draft, Submission
from .transaction import Batch, Edge, check_written, read_edge, seal_batch, write_batch

MAX_BATCH = 512
"""Events in one commit, save for a single submission that has more: more would only make others wait."""
MAX_AHEAD = 3
"""Batches in the hands of the workers."""
MIN_EXAMINED = 4
"""Entries below which a task costs more than the work."""
MAX_WAITING = 10_000
"""Events in the queue; beyond it the log says that it is busy and takes no more than it can do in time."""


class Preparation:
    """Submissions that are being looked at before their turn."""

    def __init__(self, submissions: list[Submission], examination: Examination | None = None) -> None:
        self.submissions = submissions
        self.events = sum(len(item.events) for item in submissions)
        self._examination = examination

    def done(self) -> bool:
        """Tell whether `finish` would not wait."""
        return self._examination is None or self._examination.done()

    def finish(self) -> list[Submission]:
        """Return the submissions whose entries can be parsed; the others have got their error."""
        found = iter(self._examination.result() if self._examination else ())
        parsed = []
        for submission in self.submissions:
            for event in submission.events:
                submission.examined.append(None if isinstance(event, Draft) else next(found, None))
            try:
                for number, event in enumerate(submission.events):
                    if isinstance(event, bytes) and submission.examined[number] is None:
                        submission.examined[number] = parse_event(event)
            except LedgerError as error:
                submission.future.set_exception(error)
            else:
                parsed.append(submission)
        return parsed


class Writer:
    """The queue of one open ledger and the thread that empties it."""

    def __init__(
        self,
        database: Database,
        *,
        lock_timeout_s: float,
        verify: Verify,
        workers: int = 0,
        lockstep: Lockstep = Lockstep(None),
    ) -> None:
        self._database = database
        self._lockstep = lockstep
        self._lock_timeout_s = lock_timeout_s
        self._verify = verify
        self._examiners = Examiners(workers, verify) if workers else None
        self._changed = threading.Condition()
        self._waiting: collections.deque[Submission] = collections.deque()
        self._events = 0  # in all that wait
        self._thread: threading.Thread | None = None
        self._running = False
        self._closing = False
        # Only the thread touches these.
        self._edge: Edge | None = None
        self._keys: dict[str, PublicKey] = {}
        self._custodian = Custodian()

    def submit(self, events: Sequence[Draft | bytes], log_signing_key: SigningKey) -> Future[list[Receipt]]:
        """Queue events; BusyError when too many wait already."""
        submission = Submission(tuple(events), log_signing_key)
        with self._changed:
            if self._events + len(events) > MAX_WAITING and self._waiting:
                raise BusyError(f"{self._database.where}: {self._events} events wait to be appended")
            self._waiting.append(submission)
            self._events += len(events)
            if not self._running:
                self._running = True
                self._thread = threading.Thread(target=self._run, name="ledger-writer", daemon=True)
                self._thread.start()
            self._changed.notify()
        return submission.future

    def close(self) -> None:
        """Append what waits, and end the thread; a later `submit` starts another."""
        with self._changed:
            self._closing = True
            self._changed.notify()
            thread = self._thread
        if thread is not None:
            thread.join()
        self._closing = False
        self._edge = None
        if self._examiners:
            self._examiners.close()

    def _run(self) -> None:
        prepared: collections.deque[Preparation] = collections.deque()
        while True:
            # Without workers, looking ahead would only split what can be committed together.
            if not prepared or (self._examiners and len(prepared) < MAX_AHEAD):
                taken = self._take(wait=not prepared)
                if taken:
                    prepared.append(self._prepare(taken))
                elif not prepared:
                    return  # the log is being closed, and nothing waits
            current = [prepared.popleft()]
            events = current[0].events
            while prepared and prepared[0].done() and events + prepared[0].events <= MAX_BATCH:
                events += prepared[0].events
                current.append(prepared.popleft())
            self._finish(current)

    def _take(self, *, wait: bool) -> list[Submission]:
        """Return submissions in their order; none if `wait` is false and none are there, or at the end."""
        taken: list[Submission] = []
        events = 0
        with self._changed:
            while not taken:
                if wait:
                    self._changed.wait_for(lambda: self._waiting or self._closing)
                while self._waiting and (not taken or events + len(self._waiting[0].events) <= MAX_BATCH):
                    submission = self._waiting.popleft()
                    self._events -= len(submission.events)
                    if submission.future.set_running_or_notify_cancel():
                        taken.append(submission)
                        events += len(submission.events)
                if not taken and not wait:
                    break
                if not taken and self._closing:
                    self._running = False
                    break
        return taken

    def _prepare(self, submissions: list[Submission]) -> Preparation:
        entries = [event for item in submissions for event in item.events if isinstance(event, bytes)]
        if self._examiners is None or len(entries) < MIN_EXAMINED:
            return Preparation(submissions)
        wanted = {key_id for entry in entries for key_id in find_signers(entry)}
        missing = wanted - self._keys.keys()
        if missing:
            self._load_keys(missing)
        keys = {key_id: self._keys[key_id] for key_id in wanted if key_id in self._keys}
        try:
            return Preparation(submissions, self._examiners.start(entries, keys))
        except OSError:
            return Preparation(submissions)  # no process to be had: this one will do

    def _load_keys(self, key_ids: Iterable[str]) -> None:
        """Read keys into the cache; those that cannot be had now are the sequencer's to complain about."""
        with (
            contextlib.suppress(StorageError),
            self._database.translate_errors(),
            self._database.engine.connect() as connection,
        ):
            directory = KeyDirectory(connection, self._keys)
            for key_id in key_ids:
                directory.get(key_id)

    def _finish(self, preparations: list[Preparation]) -> None:
        submissions = [item for preparation in preparations for item in preparation.submissions]
        try:
            ready = [item for preparation in preparations for item in preparation.finish()]
            if ready:
                self._commit(ready)
        except BaseException as error:  # noqa: BLE001  # the callers get it; this thread has to go on
            for submission in submissions:
                if not submission.future.done():
                    submission.future.set_exception(error)

    def _commit(self, submissions: list[Submission]) -> None:
        receipts: list[list[Receipt] | Exception] = []
        edge, self._edge = self._edge, None  # until all has gone well
        with self._database.hold_writer(self._lock_timeout_s):
            try:
                with self._database.translate_errors(), self._database.begin() as connection:
                    edge = self._check_edge(connection, edge)
                    with self._lockstep.hold(self._database, connection, edge.state) as held:
                        batch, receipts = self._append(connection, edge, submissions)
                        edge = batch.after if batch else edge
                        note = batch.note if batch else read_note(connection, edge.state.size)
                        self._database.commit(connection)
                        if held is not None and held.slot.note != note:
                            _advance(held, note)
            except StorageError:
                self._database.close()  # no connection that saw it fail is used again, not even to read
                raise
            self._edge = edge
        for submission, outcome in zip(submissions, receipts, strict=True):
            if isinstance(outcome, Exception):
                submission.future.set_exception(outcome)
            else:
                submission.future.set_result(outcome)

    def _check_edge(self, connection: Connection, edge: Edge | None) -> Edge:
        """Return the edge that is in memory if the log still ends there, and otherwise read it."""
        state = read_state(connection)
        if state is None:
            raise CorruptError(f"{self._database.where}: the state row is gone")
        return edge if edge and edge.state == state else read_edge(self._database, connection, state)

    def _append(
        self, connection: Connection, edge: Edge, submissions: list[Submission]
    ) -> tuple[Batch | None, list[list[Receipt] | Exception]]:
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


def _advance(held: HeldGuard, note: bytes) -> None:
    """Move the lock store on after a commit; until it has, nothing of the commit may be acknowledged."""
    try:
        held.advance(note)
    except GuardError as error:
        raise OutcomeUnknownError(f"the entries are there, but not acknowledged: {error}") from error
