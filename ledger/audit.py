"""One pass over the entries of a ledger, in order: the part of `fsck` that looks at entries.

What is known up to an entry (chain link, tree frontier, heads, keys) is carried along. After a fault the walk
goes on with the stored value, so that one fault is reported once, where it is, and not at every later entry.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, TypeVar

import sqlalchemy
from sqlalchemy import Connection, Row, Table, select

from . import merkle
from .anchor import AnchorAuditor, list_sizes, read_anchor
from .chain import extend_chain, start_chain
from .checkpoint import open_checkpoint
from .custody import NEW_ASSET, AssetState, Custody, check_event
from .errors import (
    BadSignatureError,
    EventError,
    FormatError,
    LedgerError,
    StorageError,
    UnknownKeyError,
    WeakKeyError,
)
from .event import KEYS_ASSET, LOG_ASSET, Event, Head, Place, open_event
from .headmap import Mention
from .keys import PublicKey
from .predicate import ANCHORED
from .register import EMPTY_REGISTER, Register
from .rows import CHECKPOINT, ENTRY, KEY, NODE, SUBJECT

T = TypeVar("T")


@dataclass(frozen=True)
class Finding:
    """One thing wrong: the entry's index (None: no single entry), a stable code, and a sentence."""

    index: int | None
    code: str
    message: str


def read_safely(findings: list[Finding], index: int | None, what: str, read: Callable[[], T]) -> T | None:
    """Return what `read` returns; where the database is damaged, note it and return None."""
    try:
        return read()
    except (sqlalchemy.exc.DatabaseError, StorageError, UnicodeDecodeError) as error:
        cause = getattr(error, "orig", None) or error
        findings.append(Finding(index, "database-corrupt", f"{what} cannot be read: {cause}"))
        return None


def _fetch_all(connection: Connection, query: sqlalchemy.Select[Any]) -> list[Row[Any]]:
    return list(connection.execute(query).all())


@dataclass
class Auditor:
    """The walk's state; `held_sizes` are sizes whose root the caller wants to see in `held_roots`."""

    connection: Connection
    findings: list[Finding]
    origin: str
    vkey: str
    root_key_ids: frozenset[str] | None
    held_sizes: frozenset[int]
    chain_hash: bytes | None = None
    frontier: list[tuple[bytes | None, bytes | None]] = field(default_factory=list)
    heads: dict[str, Head] = field(default_factory=dict)
    known_keys: dict[str, PublicKey] = field(default_factory=dict)
    held_roots: dict[int, bytes | None] = field(default_factory=dict)
    register: Register = EMPTY_REGISTER
    anchors: AnchorAuditor | None = None
    states: dict[str, AssetState] = field(default_factory=dict)
    lost: set[str] = field(default_factory=set)
    last_checkpoint: int = -1
    roots_agree: bool = True

    def __post_init__(self) -> None:
        self.chain_hash = start_chain(self.origin)
        query = select(ENTRY.c.entry).where(ENTRY.c.asset == LOG_ASSET)
        read = functools.partial(_fetch_all, self.connection, query)
        rows = read_safely(self.findings, None, "anchors", read)
        if rows is not None:
            self.anchors = AnchorAuditor(list_sizes(row.entry for row in rows))

    def check_batch(self, start: int, stop: int) -> None:
        """Check the entries [start, stop) and everything stored about them."""
        entries = self._read_rows(ENTRY, ENTRY.c.entry_index, start, stop)
        by_index = {row.entry_index: row for row in entries}
        subjects = self._read_rows(SUBJECT, SUBJECT.c.entry_index, start, stop)
        keys = self._read_rows(KEY, KEY.c.entry_index, start, stop)
        notes = {
            row.size: row.note for row in self._read_rows(CHECKPOINT, CHECKPOINT.c.size, start + 1, stop + 1)
        }
        nodes = self._read_nodes(start, stop)
        for index in range(start, stop):
            row = by_index.get(index)
            event = None
            if row is not None and not all(
                isinstance(item, bytes) for item in (row.entry, row.leaf_hash, row.chain_hash)
            ):
                row = None  # SQLite keeps any type in any column: what is no bytes is no entry
            if row is None:
                self._note(index, "entry-missing", f"entry {index} is missing")
                self.chain_hash = None
                self.anchors = None
                self._extend_tree(index, None, nodes)
            else:
                self._check_hashes(index, row)
                self._extend_tree(index, row.leaf_hash, nodes)
                event = self._check_event(index, row)
            self._check_subjects(index, event, [item for item in subjects if item.entry_index == index])
            self._check_keys(index, event, [item for item in keys if item.entry_index == index])
            if index + 1 in notes:
                self.check_checkpoint(index + 1, notes[index + 1])
            if index + 1 in self.held_sizes:
                self.held_roots[index + 1] = self.fold()

    def check_checkpoint(self, size: int, note: bytes | None) -> None:
        """Check the stored note of a size against the root that the entries give."""
        # A wrong root says that something changed since the last size that agreed: name the first such entry.
        suspect = max(self.last_checkpoint, 0) if size else None
        if not note or not isinstance(note, bytes):
            self._note(suspect, "checkpoint-missing", f"no checkpoint of size {size}")
            return
        try:
            checkpoint = open_checkpoint(note, self.origin, self.vkey)
        except LedgerError as error:
            self._note(size - 1 if size else None, "checkpoint-bad", f"checkpoint of size {size}: {error}")
            self.last_checkpoint = size
            return
        computed = self.fold()
        if checkpoint.size != size:
            self._note(
                size - 1 if size else None,
                "checkpoint-bad",
                f"checkpoint of size {size} is signed for size {checkpoint.size}",
            )
        elif computed is not None and checkpoint.root != computed and self.roots_agree:
            self.roots_agree = False  # every later root differs as well, and says nothing new
            self._note(
                suspect,
                "checkpoint-bad",
                f"checkpoint of size {size} signs another root: entries {suspect} to {size - 1} were changed",
            )
        self.last_checkpoint = size

    def fold(self) -> bytes | None:
        """Return the root over the entries so far, or None where one of them is missing."""
        hashes = [computed for computed, _ in self.frontier if computed is not None]
        return merkle.fold_hashes(hashes) if len(hashes) == len(self.frontier) else None

    def _note(self, index: int | None, code: str, message: str) -> None:
        self.findings.append(Finding(index, code, message))

    def _check_hashes(self, index: int, row: Row[Any]) -> None:
        if merkle.leaf_hash(row.entry) != row.leaf_hash:
            self._note(index, "entry-altered", f"the bytes of entry {index} do not give its leaf hash")
        if self.chain_hash is not None and extend_chain(self.chain_hash, row.leaf_hash) != row.chain_hash:
            self._note(index, "chain-broken", f"the chain breaks at entry {index}")
        self.chain_hash = row.chain_hash

    def _check_event(self, index: int, row: Row[Any]) -> Event | None:
        try:
            event = open_event(row.entry, self.known_keys)
        except BadSignatureError as error:
            self._note(index, "signature-bad", f"entry {index}: {error}")
        except UnknownKeyError as error:
            self._note(index, "key-unknown", f"entry {index}: {error}")
        except (FormatError, WeakKeyError) as error:
            self._note(index, "entry-malformed", f"entry {index}: {error}")
        except EventError as error:
            self._note(index, "event-refused", f"entry {index}: {error}")
        else:
            self._check_place(index, row, event)
            self._check_custody(index, event)
            self._check_anchor(index, row.leaf_hash, event)
            return event
        self.anchors = None  # what a broken entry is about is not known, so neither is the map over it
        self.lost.add(row.asset)
        # Nothing in it can be believed, but its row is where the next event of the asset claims to follow.
        self.heads[row.asset] = Head(row.n, row.leaf_hash)
        return None

    def _check_place(self, index: int, row: Row[Any], event: Event) -> None:
        place, leaf = event.place, row.leaf_hash
        expected = Place.after(self.origin, place.asset, self.heads.get(place.asset))
        if place.origin != self.origin:
            self._note(index, "event-refused", f"entry {index} is signed for the log {place.origin!r:.120}")
        elif place != expected:
            self._note(
                index,
                "order-broken",
                f"entry {index}: expected event {expected.n} of {place.asset}, got {place.n}",
            )
        if (row.asset, row.n) != (place.asset, place.n):
            self._note(
                index, "column-altered", f"entry {index} is filed as event {row.n} of {row.asset!r:.140}"
            )
        self.heads[place.asset] = Head(place.n, leaf)
        added = event.added_key
        if added is not None:
            if (
                self.root_key_ids is not None
                and not self.known_keys
                and added.key_id not in self.root_key_ids
            ):
                self._note(index, "key-untrusted", f"entry {index}: the log begins with key {added.key_id}")
            self.known_keys[added.key_id] = added

    def _check_anchor(self, index: int, leaf: bytes, event: Event) -> None:
        if self.anchors is None:
            return
        if event.statement.predicate_type == ANCHORED:
            try:
                self.anchors.check(read_anchor(event, index))
            except LedgerError as error:
                self._note(index, "anchor-bad", f"entry {index}: {error}")
        digests = tuple(item.sha256 for item in event.statement.subjects)
        self.anchors.take(Mention(index, leaf, event.place.asset, digests))

    def _check_custody(self, index: int, event: Event) -> None:
        """Judge the event in its asset's state; after a fault that is not known, and nothing is judged."""
        asset = event.place.asset
        if self.lost & {asset, KEYS_ASSET}:
            return
        before = Custody(self.register, self.states.get(asset, NEW_ASSET))
        try:
            after = check_event(before, event, index)
        except LedgerError as error:
            self._note(index, "event-refused", f"entry {index}: {error}")
            self.lost.add(asset)
        else:
            self.register, self.states[asset] = after.register, after.asset

    def _extend_tree(self, index: int, leaf: bytes | None, nodes: dict[merkle.Coordinate, bytes]) -> None:
        # Two values are carried for each subtree: computed from the leaves, for the checkpoints,
        # and stored: a stored node is judged by its stored children, so a fault is not seen again above it.
        computed, stored = leaf, leaf
        level = 0
        while index >> level & 1:
            left_computed, left_stored = self.frontier.pop()
            level += 1
            position = index >> level
            node = nodes.get((level, position))
            what = f"tree node over entries {position << level} to {index}"
            if node is None:
                self._note(index, "node-missing", f"{what} is missing")
            elif left_stored and stored and node != merkle.node_hash(left_stored, stored):
                self._note(index, "node-altered", f"{what} is not its children's hash")
            # Over a missing entry nothing can be computed: the stored node stands in, unproven.
            computed = merkle.node_hash(left_computed, computed) if left_computed and computed else node
            stored = node or computed
        self.frontier.append((computed, stored))

    def _check_subjects(self, index: int, event: Event | None, rows: list[Row[Any]]) -> None:
        if event is None:
            return
        expected = {item.name: item.sha256 for item in event.statement.subjects}
        found = {row.name: row.sha256 for row in rows}
        for name in sorted(expected.keys() | found.keys(), key=repr):  # damage can change a type
            if expected.get(name) != found.get(name):
                self._note(
                    index, "subject-index", f"subject {name!r:.80} of entry {index} is wrong in the index"
                )

    def _check_keys(self, index: int, event: Event | None, rows: list[Row[Any]]) -> None:
        added = event.added_key if event else None
        expected = {added.key_id: added.raw} if added else {}
        if {row.key_id: row.public_key for row in rows} != expected and (event or rows):
            self._note(index, "key-index", f"the key list does not say what entry {index} says")

    def _read_rows(
        self, table: Table, column: sqlalchemy.Column[Any], start: int, stop: int
    ) -> list[Row[Any]]:
        """Read a range of rows; where it cannot be read at once, row by row, noting each that fails."""

        def read(first: int, last: int) -> list[Row[Any]]:
            query = select(table).where(column >= first, column < last)
            return _fetch_all(self.connection, query)

        try:
            return read(start, stop)
        except (sqlalchemy.exc.DatabaseError, UnicodeDecodeError):
            rows: list[Row[Any]] = []
            for value in range(start, stop):
                index = value - 1 if table is CHECKPOINT else value
                one = functools.partial(read, value, value + 1)
                rows += read_safely(self.findings, index, f"{table.name} of entry {index}", one) or []
            return rows

    def _read_nodes(self, start: int, stop: int) -> dict[merkle.Coordinate, bytes]:
        """Read the nodes that the entries [start, stop) complete."""
        nodes: dict[merkle.Coordinate, bytes] = {}
        level = 1
        while stop >> level:
            query = select(NODE.c.position, NODE.c.hash).where(
                NODE.c.level == level, NODE.c.position >= start >> level, NODE.c.position < stop >> level
            )
            read = functools.partial(_fetch_all, self.connection, query)
            rows = read_safely(self.findings, start, f"tree nodes of level {level}", read) or []
            nodes |= {(level, row.position): row.hash for row in rows if isinstance(row.hash, bytes)}
            level += 1
        return nodes
