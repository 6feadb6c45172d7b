"""The ledger on disk: one durable transaction for each append.

The commit point is SQLite's COMMIT in WAL mode with synchronous=FULL. Before it, a crash leaves nothing of
the append; after it, everything: entries, tree nodes, subject index, keys, signed checkpoint and state row
stand or fall together. A receipt is returned only after it, and is the finished proof. Other writers wait on
a file lock (`lock`).

Trusted: this process and its log signing key. Not trusted: the database file, which `fsck` checks against
public keys.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from typing import Self

import sqlalchemy
from sqlalchemy import Connection, select

from . import merkle
from .canonical import check_hex
from .chain import start_chain
from .checkpoint import MAX_SIZE, Checkpoint, open_checkpoint, sign_checkpoint
from .custodian import Custodian
from .database import database_path, describe_error, open_engine, translate_errors
from .errors import (
    CorruptError,
    NotFoundError,
    OutcomeUnknownError,
    ProofError,
    SchemaError,
    StorageError,
    WrongKeyError,
)
from .event import Head
from .headmap import Mention
from .keys import PublicKey, SigningKey
from .lock import hold_writer_lock
from .migration import check_revision
from .note import format_vkey
from .receipt import Receipt, read_receipt
from .rows import CHECKPOINT, ENTRY, STATE, SUBJECT, node_reader, read_head, read_note
from .sequencer import (
    Draft,
    Sequencer,
    State,
    read_back,
    read_edge,
    read_known_keys,
    read_state,
)

LOCK_TIMEOUT_S = 30.0


class Store:
    """An open ledger; safe to share between threads, to be opened after a fork."""

    def __init__(self, url: str, *, lock_timeout_s: float = LOCK_TIMEOUT_S) -> None:
        """Open the ledger at an SQLite URL such as `sqlite:////var/lib/provenote/ledger.db`.

        Raises
        ------
        SchemaError : no database there, not this program's schema, or no ledger started in it
        CorruptError, ReadOnlyError, BusyError, StorageError : the file cannot be used
        """
        self.url = url
        self.path = database_path(url)
        self.engine = open_engine(url)
        self._lock_timeout_s = lock_timeout_s
        self._custodian = Custodian()
        try:
            with self._read() as connection:
                state = self._read_start(connection)
        except BaseException:
            self.engine.dispose()
            raise
        self.origin = state.origin
        self.vkey = state.vkey

    @classmethod
    def create(cls, url: str, *, origin: str, log_signing_key: SigningKey) -> Self:
        """Start an empty ledger in a migrated database, with the signed checkpoint of size 0, and open it.

        Raises
        ------
        SchemaError : the database is not migrated, or holds a ledger already
        FormatError : the origin cannot be a note's key name (no space, no `+`)
        """
        path = database_path(url)
        vkey = format_vkey(origin, log_signing_key.public_key)
        note = sign_checkpoint(origin, 0, merkle.EMPTY_ROOT, log_signing_key)
        engine = open_engine(url)
        try:
            with (
                hold_writer_lock(path, timeout_s=LOCK_TIMEOUT_S),
                translate_errors(path),
                engine.connect().execution_options(sqlite_begin="IMMEDIATE") as connection,
            ):
                check_revision(connection)
                if read_state(connection) is not None:
                    raise SchemaError(f"{path}: a ledger has been started in this database already")
                connection.execute(
                    STATE.insert(),
                    {
                        "id": 1,
                        "origin": origin,
                        "vkey": vkey,
                        "size": 0,
                        "root": merkle.EMPTY_ROOT,
                        "chain_hash": start_chain(origin),
                    },
                )
                connection.execute(CHECKPOINT.insert(), {"size": 0, "note": note})
                connection.commit()
        finally:
            engine.dispose()
        return cls(url)

    def close(self) -> None:
        """Close the database connections."""
        self.engine.dispose()

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
        if not events:
            return []
        self._check_log_key(log_signing_key)
        try:
            with (
                hold_writer_lock(self.path, timeout_s=self._lock_timeout_s),
                translate_errors(self.path),
                self.engine.connect().execution_options(sqlite_begin="IMMEDIATE") as connection,
            ):
                state = self._read_state(connection)
                edge, known_keys = read_edge(connection, state), read_known_keys(connection)
                sequencer = Sequencer(connection, state, edge, known_keys, self._custodian)
                indexes = [sequencer.add(event) for event in events]
                fresh = {}
                if sequencer.new_indexes:
                    sequencer.write(log_signing_key)
                    fresh = read_back(sequencer)
                read = node_reader(connection)
                receipts = [fresh.get(index) or read_receipt(connection, read, index) for index in indexes]
                self._commit(connection)
                return receipts
        except StorageError:
            # No connection that saw the disk fail is used again: the next append opens and checks afresh.
            self.engine.dispose()
            raise

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
            return node_reader(connection)(coordinates)

    def head(self, asset: str) -> Head | None:
        """Return an asset's last event, or None when it has none."""
        with self._read() as connection:
            return read_head(connection, asset)

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
            return list(read_known_keys(connection).values())

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
            return read_receipt(connection, node_reader(connection), index, wanted)

    def inclusion_proof(self, index: int, size: int) -> tuple[bytes, ...]:
        """Return an entry's audit path in the tree of `size`; NotFoundError unless index < size <= now."""
        with self._read() as connection:
            self._check_size(connection, size)
            if not 0 <= index < size:
                raise NotFoundError(f"expected an index below {size}, got {index}")
            return merkle.inclusion_proof(node_reader(connection), index, size)

    def consistency_proof(self, old_size: int, new_size: int) -> tuple[bytes, ...]:
        """Return the consistency proof between two sizes; NotFoundError unless 0 < old <= new <= current."""
        with self._read() as connection:
            self._check_size(connection, new_size)
            if not 0 < old_size <= new_size:
                raise NotFoundError(f"expected 0 < old size <= {new_size}, got {old_size}")
            return merkle.consistency_proof(node_reader(connection), old_size, new_size)

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
            root = merkle.read_root(node_reader(connection), checkpoint.size)
        if root != checkpoint.root:
            raise ProofError(f"at size {checkpoint.size} the ledger has another history than the checkpoint")
        return checkpoint

    @contextlib.contextmanager
    def _read(self) -> Iterator[Connection]:
        with translate_errors(self.path), self.engine.connect() as connection:
            yield connection

    def _read_start(self, connection: Connection) -> State:
        check_revision(connection)
        state = read_state(connection)
        if state is None:
            raise SchemaError(f"{self.path}: no ledger has been started in this database")
        return state

    def _read_state(self, connection: Connection) -> State:
        state = read_state(connection)
        if state is None:
            raise CorruptError(f"{self.path}: the state row is gone")
        return state

    def _check_log_key(self, log_signing_key: SigningKey) -> None:
        vkey = format_vkey(self.origin, log_signing_key.public_key)
        if vkey != self.vkey:
            raise WrongKeyError(
                f"expected the log's key {self.vkey}, got {vkey}", key_id=log_signing_key.key_id
            )

    def _check_size(self, connection: Connection, size: int) -> None:
        current = self._read_state(connection).size
        if size > current:
            raise NotFoundError(f"expected a size up to {current}, got {size}")

    def _commit(self, connection: Connection) -> None:
        try:
            connection.commit()
        except sqlalchemy.exc.DBAPIError as error:
            described = describe_error(error.orig, self.path)
            if (
                type(described) is StorageError
            ):  # an error of the disk: the log may or may not hold the transaction
                raise OutcomeUnknownError(f"the commit failed: {described}") from error
            raise described from error
