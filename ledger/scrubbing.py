"""Scrubbing: the stored bytes of a few entries at a time hashed again, up to the signed root.

Disks lose bits in what nobody reads. `fsck` finds that, but walks the whole log with all its rules; scrubbing
takes a slice, and the next one another day. For each slice of 256 entries:

1. the rows are there, and their bytes give their leaf hashes     entry-missing, entry-altered
2. the chain links follow from the row before                     chain-broken
3. asset, n and subjects are what the entry says                  column-altered, subject-index,
                                                                  entry-malformed
4. the tree nodes that end here follow from those below           node-missing, node-altered
5. the slice leads up to the root of the newest checkpoint        root-differs
6. the checkpoints that end here open and sign the tree so far    checkpoint-bad

and with the first slice, how tables and indexes are defined         definition-altered

Step 5 binds all bytes of the slice to a signature by the log's key: whoever changes an entry with everything
stored about it is found too. Not looked at: actors' signatures and the rules of custody, which is `fsck`.
"""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import sqlalchemy
from sqlalchemy import Connection, Row, select

from . import merkle
from .audit import Finding, read_safely
from .chain import extend_chain, start_chain
from .checkpoint import open_checkpoint
from .database import Database
from .definitions import check_definitions
from .errors import CorruptError, LedgerError
from .event import parse_event
from .merkle import Coordinate
from .note import parse_vkey
from .rows import CHECKPOINT, ENTRY, NODE, SUBJECT, node_reader, read_note, read_state
from .store import Store

SLICE = 256
"""Entries hashed together: one tile."""
SLICE_LEVEL = 8


@dataclass(frozen=True)
class ScrubReport:
    """What scrubbing came to.

    Attributes
    ----------
    start, stop : the entries that were hashed again
    size : the log's size then; where `stop` has reached it, the next round begins at 0
    findings : everything wrong, in log order
    """

    start: int
    stop: int
    size: int
    findings: tuple[Finding, ...]

    @property
    def ended(self) -> bool:
        """The round has come to the log's end."""
        return self.stop >= self.size


def scrub(store: Store, *, vkey: str, start: int = 0) -> ScrubReport:
    """Hash again the slice of entries that begins at, or holds, `start`; it only reads.

    Parameters
    ----------
    store : an open store
    vkey : the log's verifier key, from a source other than its database
    start : an entry; from beyond the end it goes on at 0

    Raises
    ------
    FormatError, WeakKeyError : `vkey` is not a verifier key
    StorageError : the database cannot be read at all
    """
    origin = parse_vkey(vkey).name
    database = store.database
    findings: list[Finding] = []
    with database.translate_errors(), database.read() as connection:
        state = read_state(connection)
        if state is None:
            raise CorruptError(f"{database.where}: the state row is gone")
        # A damaged size can be any number: beyond the last entry, one slice says what is missing.
        last = connection.scalar(select(sqlalchemy.func.max(ENTRY.c.entry_index)))
        size = min(state.size, (-1 if last is None else last) + 1 + SLICE)
        start = start - start % SLICE if start < size else 0
        stop = min(start + SLICE, size)
        if start < stop:
            part = _Slice(database, connection, findings, origin, vkey, start, stop, state.size)
            part.check()
        if start == 0:
            check_definitions(database, connection, findings)
    return ScrubReport(start, stop, size, tuple(findings))


@dataclass
class _Slice:
    """The entries [start, stop) of a log of `size`, and what is found wrong with them."""

    database: Database
    connection: Connection
    findings: list[Finding]
    origin: str
    vkey: str
    start: int
    stop: int
    size: int

    def check(self) -> None:
        """Take the steps of the module's list."""
        rows = self._read_entries()
        leaves = {index: merkle.leaf_hash(row.entry) for index, row in rows.items()}
        self._check_entries(rows, leaves)
        self._check_subjects(rows)
        computed = self._check_nodes(leaves)
        if not self.findings:  # else it is known what is wrong, and nothing above can be right
            self._check_root(leaves, computed)
        self._check_notes()

    def _note(self, index: int, code: str, message: str) -> None:
        self.findings.append(Finding(index, code, message))

    def _read_entries(self) -> dict[int, Row[tuple[object, ...]]]:
        """Read the rows; where a page is damaged, one by one, noting those that cannot be read."""

        def read(first: int, last: int) -> Sequence[Row[tuple[object, ...]]]:
            query = select(ENTRY).where(ENTRY.c.entry_index >= first, ENTRY.c.entry_index < last)
            return self.connection.execute(query).all()

        try:
            found = list(read(self.start, self.stop))
        except (sqlalchemy.exc.DatabaseError, UnicodeDecodeError):
            found = []
            for index in range(self.start, self.stop):
                one = functools.partial(read, index, index + 1)
                found += read_safely(self.findings, index, f"entry {index}", one) or []
        return {
            row.entry_index: row
            for row in found
            if all(isinstance(item, bytes) for item in (row.entry, row.leaf_hash, row.chain_hash))
        }

    def _check_entries(
        self, rows: Mapping[int, Row[tuple[object, ...]]], leaves: Mapping[int, bytes]
    ) -> None:
        link = self._read_link()
        for index in range(self.start, self.stop):
            row = rows.get(index)
            if row is None:
                self._note(index, "entry-missing", f"entry {index} is missing")
                link = None
                continue
            if leaves[index] != row.leaf_hash:
                self._note(index, "entry-altered", f"the bytes of entry {index} do not give its leaf hash")
            if link is not None and extend_chain(link, row.leaf_hash) != row.chain_hash:
                self._note(index, "chain-broken", f"the chain breaks at entry {index}")
            link = row.chain_hash

    def _read_link(self) -> bytes | None:
        """Return the chain link before the slice, None where it cannot be had: its own slice will say so."""
        if not self.start:
            return start_chain(self.origin)
        query = select(ENTRY.c.chain_hash).where(ENTRY.c.entry_index == self.start - 1)
        link = read_safely([], None, "link", lambda: self.connection.scalar(query))
        return link if isinstance(link, bytes) else None

    def _check_subjects(self, rows: Mapping[int, Row[tuple[object, ...]]]) -> None:
        query = select(SUBJECT).where(SUBJECT.c.entry_index >= self.start, SUBJECT.c.entry_index < self.stop)
        stored = read_safely(
            self.findings, self.start, "subjects", lambda: self.connection.execute(query).all()
        )
        found: dict[int, dict[str, bytes]] = {}
        for item in stored or ():
            found.setdefault(item.entry_index, {})[item.name] = item.sha256
        for index, row in rows.items():
            try:
                proposal = parse_event(row.entry)
            except LedgerError as error:
                self._note(index, "entry-malformed", f"entry {index}: {error}")
                continue
            if (row.asset, row.n) != (proposal.place.asset, proposal.place.n):
                self._note(
                    index, "column-altered", f"entry {index} is filed as event {row.n} of {row.asset!r:.140}"
                )
            said = {item.name: item.sha256 for item in proposal.statement.subjects}
            if stored is not None and said != found.get(index):
                self._note(index, "subject-index", f"subjects of entry {index} are wrong in the index")

    def _check_nodes(self, leaves: Mapping[int, bytes]) -> dict[Coordinate, bytes]:
        """Compare the nodes that end in the slice; return what its bytes give, up to its own level."""
        computed = {(0, index): leaf for index, leaf in leaves.items()}
        level = 1
        while self.stop >> level:
            positions = range(self.start >> level, self.stop >> level)
            below = self._read_nodes(level - 1, range(2 * positions.start, 2 * positions.stop))
            stored = self._read_nodes(level, positions)
            for position in positions:
                pair = [(level - 1, 2 * position + side) for side in (0, 1)]
                children = [computed.get(item) or below.get(item) for item in pair]
                index = ((position + 1) << level) - 1
                what = f"tree node over entries {position << level} to {index}"
                node = stored.get((level, position))
                if node is None:
                    self._note(index, "node-missing", f"{what} is missing")
                elif children[0] and children[1]:
                    expected = merkle.node_hash(children[0], children[1])
                    if node != expected:
                        self._note(index, "node-altered", f"{what} is not its children's hash")
                    if level <= SLICE_LEVEL:
                        computed[level, position] = expected
            level += 1
        return computed

    def _read_nodes(self, level: int, positions: range) -> dict[Coordinate, bytes]:
        if not level or not positions:
            return {}
        query = select(NODE.c.position, NODE.c.hash).where(
            NODE.c.level == level, NODE.c.position >= positions.start, NODE.c.position < positions.stop
        )
        what = f"tree nodes of level {level}"
        rows = read_safely(self.findings, self.start, what, lambda: self.connection.execute(query).all())
        return {(level, row.position): row.hash for row in rows or () if isinstance(row.hash, bytes)}

    def _check_root(self, leaves: Mapping[int, bytes], computed: Mapping[Coordinate, bytes]) -> None:
        """Follow the slice's first leaf up: all its siblings inside the slice were computed from bytes."""
        stored = node_reader(self.database, self.connection)

        def read(coordinates: Sequence[Coordinate]) -> list[bytes]:
            outside = [item for item in coordinates if item not in computed]
            known = dict(zip(outside, stored(outside), strict=True))
            return [computed.get(item) or known[item] for item in coordinates]

        try:
            checkpoint = open_checkpoint(read_note(self.connection, self.size), self.origin, self.vkey)
            path = merkle.inclusion_proof(read, self.start, self.size)
            merkle.check_inclusion(self.start, self.size, leaves[self.start], path, checkpoint.root)
        except LedgerError as error:
            self._note(
                self.start,
                "root-differs",
                f"entries {self.start} to {self.stop - 1} do not lead to the signed root: {error}",
            )

    def _check_notes(self) -> None:
        within = (CHECKPOINT.c.size > self.start) & (CHECKPOINT.c.size <= self.stop)
        query = select(CHECKPOINT).where(within).order_by(CHECKPOINT.c.size)
        rows = read_safely(
            self.findings, self.start, "checkpoints", lambda: self.connection.execute(query).all()
        )
        read = node_reader(self.database, self.connection)
        for row in rows or ():
            with contextlib.suppress(CorruptError):  # a missing node was noted where it belongs
                try:
                    root = merkle.read_root(read, row.size)
                    note = row.note if isinstance(row.note, bytes) else b""  # damage can change a type
                    checkpoint = open_checkpoint(note, self.origin, self.vkey)
                except CorruptError:
                    raise
                except LedgerError as error:
                    self._note(row.size - 1, "checkpoint-bad", f"checkpoint of size {row.size}: {error}")
                    continue
                if (checkpoint.size, checkpoint.root) != (row.size, root) and not self.findings:
                    self._note(
                        row.size - 1, "checkpoint-bad", f"checkpoint of size {row.size} signs another root"
                    )
