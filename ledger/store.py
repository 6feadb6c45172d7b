"""An open ledger: appending through its writer, and every question that can be asked of it.

An append is one durable transaction, shared with others that wait at the same time (`writer`). Before its
COMMIT a crash leaves nothing of it; after it, everything: entries, tree nodes, subject index, keys, signed
checkpoint and state row stand or fall together. A receipt is returned only after it, and is the finished
proof.

Trusted: this process and its log signing key. Not trusted: the database, which `fsck` checks against public
keys.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from concurrent.futures import Future
from typing import Self

from sqlalchemy import Connection, select

from . import merkle
from .canonical import check_hex
from .chain import start_chain
from .checkpoint import MAX_SIZE, Checkpoint, open_checkpoint, sign_checkpoint
from .committer import Committer, LocalLog
from .database import Database, open_database
from .ed25519 import Verify, pick_verifier
from .errors import CorruptError, NotFoundError, ProofError, SchemaError, WrongKeyError
from .event import Head
from .examiners import Examiners
from .guard import FileGuard
from .headmap import Mention
from .keys import PublicKey, SigningKey
from .migration import check_revision
from .note import format_vkey, parse_vkey
from .postgres import PostgresDatabase
from .receipt import Receipt
from .rollback import Lockstep, check_history
from .rows import (
    CHECKPOINT,
    ENTRY,
    STATE,
    SUBJECT,
    KeyDirectory,
    node_reader,
    read_note,
    read_receipt,
    read_state,
)
from .sequencer import State
from .sharing import SharedLog
from .submission import Draft
from .writer import Log, Writer

LOCK_TIMEOUT_S = 30.0


class Store:
    """An open ledger; safe to share between threads, to be opened after a fork."""

    def __init__(
        self,
        url: str,
        *,
        lock_timeout_s: float = LOCK_TIMEOUT_S,
        verify: Verify | None = None,
        workers: int = 0,
        guard: FileGuard | None = None,
        adopt_guard: bool = False,
    ) -> None:
        """Open the ledger at a database URL such as `sqlite:////var/lib/provenote/ledger.db`.

        Parameters
        ----------
        url : as `open_database`
        lock_timeout_s : how long an append waits for other processes that append
        verify : what verifies Ed25519; by default the quickest library there is
        workers : processes that verify entries for the writer; worth it from some hundred appends a second

        guard : the lock store; a ledger that has none takes this one into use with its next append
        adopt_guard : take this lock store into use although the ledger has had another, which is lost; or,
            with no lock store at all, go on without one: for `restoring`, which only appends what was signed

        Raises
        ------
        RollbackError, GuardError : the lock store is ahead of the database, or cannot be used
        SchemaError : no database there, not this program's schema, or no ledger started in it
        CorruptError, ReadOnlyError, BusyError, StorageError : the database cannot be used
        """
        self.url = url
        self.database: Database = open_database(url)
        verify = verify or pick_verifier()
        committer = Committer(self.database, verify=verify, lockstep=Lockstep(guard, adopt_guard))
        try:
            # The lock store first: nobody can append between the two looks.
            with contextlib.ExitStack() as stack:
                held = stack.enter_context(guard.hold()) if guard and guard.exists() else None
                connection = stack.enter_context(self._read())
                state = self._read_start(connection)
                if held is not None:
                    check_history(self.database, connection, state, held)
        except BaseException:
            self.database.close()
            raise
        self.origin = state.origin
        self.vkey = state.vkey
        self._log_public_key = parse_vkey(state.vkey).public_key
        log: Log = LocalLog(self.database, committer, lock_timeout_s=lock_timeout_s)
        if isinstance(self.database, PostgresDatabase):
            log = SharedLog(self.database, committer, state.origin, verify=verify, timeout_s=lock_timeout_s)
        self._writer = Writer(log, self.database.where, Examiners(workers, verify) if workers else None)

    @classmethod
    def create(
        cls, url: str, *, origin: str, log_signing_key: SigningKey, guard: FileGuard | None = None
    ) -> Self:
        """Start an empty ledger in a migrated database, with the signed checkpoint of size 0, and open it.

        Raises
        ------
        SchemaError : the database is not migrated, or holds a ledger already
        FormatError : the origin cannot be a note's key name (no space, no `+`)
        """
        vkey = format_vkey(origin, log_signing_key.public_key)
        note = sign_checkpoint(origin, 0, merkle.EMPTY_ROOT, log_signing_key)
        database = open_database(url)
        try:
            with (
                database.hold_writer(LOCK_TIMEOUT_S),
                database.translate_errors(),
                database.begin() as connection,
            ):
                check_revision(connection)
                if read_state(connection) is not None:
                    raise SchemaError(f"{database.where}: a ledger has been started in this database already")
                state = (1, origin, vkey, 0, merkle.EMPTY_ROOT, start_chain(origin))
                database.insert_rows(connection, STATE, [state])
                database.insert_rows(connection, CHECKPOINT, [(0, note)])
                database.commit(connection)
        finally:
            database.close()
        return cls(url, guard=guard)

    def close(self) -> None:
        """Finish what waits to be appended and close the database connections."""
        self._writer.close()
        self.database.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def append(self, events: Sequence[Draft | bytes], *, log_signing_key: SigningKey) -> list[Receipt]:
        """Append events in one durable transaction: all of them or none.

        Parameters
        ----------
        events : signed entries, or drafts, built once their place is known; later ones build on earlier ones
        log_signing_key : the log's own key, which signs the checkpoint

        Returns
        -------
        receipts, one for each event; an entry that was in the log before gets its first receipt again

        Raises
        ------
        LedgerConflictError : an entry's place is not its asset's next one (never for drafts)
        FormatError, SignatureError, EventError, WeakKeyError : an entry that the ledger may not take
        WrongKeyError : not the log's key
        BusyError, DiskFullError, ReadOnlyError, CorruptError, StorageError : nothing was recorded
        OutcomeUnknownError : the commit failed half-way; append the same entries again to learn what happened
        """
        return self.submit(events, log_signing_key=log_signing_key).result()

    def submit(
        self, events: Sequence[Draft | bytes], *, log_signing_key: SigningKey
    ) -> Future[list[Receipt]]:
        """Queue events as `append` does, without waiting; the future gives its receipts, or its errors.

        For asyncio, `asyncio.wrap_future` makes it awaitable. Submissions of one caller keep their order.
        """
        self._check_log_key(log_signing_key)
        if events:
            return self._writer.submit(events, log_signing_key)
        nothing: Future[list[Receipt]] = Future()
        nothing.set_result([])
        return nothing

    def state(self) -> State:
        """Return the log's current size, root and last chain link."""
        with self._read() as connection:
            return self._read_state(connection)

    def entry(self, index: int) -> bytes:
        """Return the exact bytes of an entry; NotFoundError beyond the end."""
        entries = self.entries(index, index + 1)
        if not entries:
            raise NotFoundError(f"the ledger has no entry {index}")
        return entries[0]

    def entries(self, start: int, stop: int) -> list[bytes]:
        """Return the entries [start, stop), fewer where the log ends before."""
        start, stop = max(start, 0), min(stop, MAX_SIZE)
        if start >= stop:
            return []
        query = (
            select(ENTRY.c.entry)
            .where(ENTRY.c.entry_index >= start, ENTRY.c.entry_index < stop)
            .order_by(ENTRY.c.entry_index)
        )
        with self._read() as connection:
            return list(connection.scalars(query))

    def nodes(self, coordinates: Sequence[merkle.Coordinate]) -> Sequence[bytes]:
        """Return the stored hashes of full subtrees (a `merkle.Reader`); CorruptError if one is missing."""
        with self._read() as connection:
            return node_reader(self.database, connection)(coordinates)

    def head(self, asset: str) -> Head | None:
        """Return an asset's last event, or None when it has none."""
        with self._read() as connection:
            return self.database.read_heads(connection, [asset]).get(asset)

    def chain(self, asset: str) -> list[tuple[int, bytes]]:
        """Return the index and bytes of an asset's events, in order."""
        query = select(ENTRY.c.entry_index, ENTRY.c.entry).where(ENTRY.c.asset == asset).order_by(ENTRY.c.n)
        with self._read() as connection:
            return [(row.entry_index, row.entry) for row in connection.execute(query)]

    def mentions(self, start: int, stop: int) -> list[Mention]:
        """Return what the entries [start, stop) are about, fewer where the log ends before."""
        within = (ENTRY.c.entry_index >= max(start, 0)) & (ENTRY.c.entry_index < min(stop, MAX_SIZE))
        query = select(ENTRY.c.entry_index, ENTRY.c.leaf_hash, ENTRY.c.asset).where(within)
        subjects = select(SUBJECT.c.entry_index, SUBJECT.c.sha256).where(
            SUBJECT.c.entry_index >= max(start, 0), SUBJECT.c.entry_index < min(stop, MAX_SIZE)
        )
        digests: dict[int, list[bytes]] = {}
        with self._read() as connection:
            for index, sha256 in connection.execute(subjects):
                digests.setdefault(index, []).append(sha256)
            rows = connection.execute(query.order_by(ENTRY.c.entry_index)).all()
        return [Mention(row[0], row[1], row[2], tuple(digests.get(row[0], ()))) for row in rows]

    def find_subject(self, sha256: str) -> list[tuple[int, str]]:
        """Return index and asset of the entries about a digest, in log order; FormatError if not hex."""
        query = (
            select(ENTRY.c.entry_index, ENTRY.c.asset)
            .join(SUBJECT, SUBJECT.c.entry_index == ENTRY.c.entry_index)
            .where(SUBJECT.c.sha256 == check_hex(sha256, "sha256"))
            .distinct()
            .order_by(ENTRY.c.entry_index)
        )
        with self._read() as connection:
            return [(row.entry_index, row.asset) for row in connection.execute(query)]

    def public_keys(self) -> list[PublicKey]:
        """Return the signing keys that the ledger's own entries have added."""
        with self._read() as connection:
            return list(KeyDirectory(connection).values())

    def latest_checkpoint(self) -> bytes:
        """Return the signed note of the current size."""
        with self._read() as connection:
            return read_note(connection, self._read_state(connection).size)

    def checkpoint(self, size: int) -> bytes:
        """Return the signed note of a size; NotFoundError where no commit ended at it."""
        with self._read() as connection:
            note = read_note(connection, size) if 0 <= size <= MAX_SIZE else b""
        if not note:
            raise NotFoundError(f"the ledger has no checkpoint of size {size}")
        return note

    def receipt(self, index: int, size: int | None = None) -> Receipt:
        """Return the proof of an entry under the checkpoint of `size`, by default the current one.

        Raises
        ------
        NotFoundError : no such entry at that size, or no checkpoint of it
        """
        with self._read() as connection:
            current = self._read_state(connection).size
            wanted = current if size is None else size
            if not 0 <= index < wanted <= current:
                raise NotFoundError(f"the ledger has no entry {index} under a checkpoint of size {wanted}")
            return read_receipt(connection, node_reader(self.database, connection), index, wanted)

    def inclusion_proof(self, index: int, size: int) -> tuple[bytes, ...]:
        """Return an entry's audit path in the tree of `size`; NotFoundError unless index < size <= now."""
        with self._read() as connection:
            self._check_size(connection, size)
            if not 0 <= index < size:
                raise NotFoundError(f"expected an index below {size}, got {index}")
            return merkle.inclusion_proof(node_reader(self.database, connection), index, size)

    def consistency_proof(self, old_size: int, new_size: int) -> tuple[bytes, ...]:
        """Return the consistency proof between two sizes; NotFoundError unless 0 < old <= new <= current."""
        with self._read() as connection:
            self._check_size(connection, new_size)
            if not 0 < old_size <= new_size:
                raise NotFoundError(f"expected 0 < old size <= {new_size}, got {old_size}")
            return merkle.consistency_proof(node_reader(self.database, connection), old_size, new_size)

    def check_ancestor(self, note: bytes) -> Checkpoint:
        """Open a checkpoint that somebody holds and check that this log has grown from it.

        Raises
        ------
        FormatError, SignatureError : it was not signed by this log
        ProofError : this log's history differs, or is shorter: it was rolled back or forked
        """
        checkpoint = open_checkpoint(note, self.origin, self.vkey)
        with self._read() as connection:
            size = self._read_state(connection).size
            if checkpoint.size > size:
                raise ProofError(
                    f"a checkpoint of size {checkpoint.size} exists, but the ledger has only {size}"
                )
            root = merkle.read_root(node_reader(self.database, connection), checkpoint.size)
        if root != checkpoint.root:
            raise ProofError(f"at size {checkpoint.size} the ledger has another history than the checkpoint")
        return checkpoint

    @contextlib.contextmanager
    def _read(self) -> Iterator[Connection]:
        with self.database.translate_errors(), self.database.read() as connection:
            yield connection

    def _read_start(self, connection: Connection) -> State:
        check_revision(connection)
        state = read_state(connection)
        if state is None:
            raise SchemaError(f"{self.database.where}: no ledger has been started in this database")
        return state

    def _read_state(self, connection: Connection) -> State:
        state = read_state(connection)
        if state is None:
            raise CorruptError(f"{self.database.where}: the state row is gone")
        return state

    def _check_log_key(self, log_signing_key: SigningKey) -> None:
        if log_signing_key.public_key != self._log_public_key:
            vkey = format_vkey(self.origin, log_signing_key.public_key)
            raise WrongKeyError(
                f"expected the log's key {self.vkey}, got {vkey}", key_id=log_signing_key.key_id
            )

    def _check_size(self, connection: Connection, size: int) -> None:
        current = self._read_state(connection).size
        if size > current:
            raise NotFoundError(f"expected a size up to {current}, got {size}")
