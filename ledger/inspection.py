"""The full check of a ledger's database against public keys: everything is computed again from the entries.

For every entry, in order (the number is where a finding's code comes from):

1. the row is there and can be read                    entry-missing, database-corrupt
2. its bytes give its leaf hash                        entry-altered
3. its chain link follows from the one before          chain-broken
4. it is a canonical envelope with good signatures     entry-malformed, signature-bad, key-unknown,
                                                       key-untrusted
5. it obeys the event rules, in this log               event-refused
6. it is the next event of its asset                   order-broken
7. the columns asset and n say what it says            column-altered
8. the tree nodes that it completes                    node-missing, node-altered
9. the subject and key indexes, no more and no less    subject-index, key-index
10. an anchor says what the entries before it give     anchor-bad
11. the checkpoint of every size at which a commit ended  checkpoint-bad, checkpoint-missing

and once: the file itself (database-corrupt), how its tables and indexes are defined (definition-altered), the
triggers (trigger-altered), the state row (state-altered), rows beyond the end (row-unexpected), and
checkpoints that the caller kept from earlier (history-rewritten).
"""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Sequence
from dataclasses import dataclass, field

import sqlalchemy
from sqlalchemy import Connection, select

from . import merkle
from .audit import Auditor, Finding, read_safely
from .chain import start_chain
from .checkpoint import open_checkpoint
from .database import Database, open_database
from .definitions import check_definitions
from .errors import LedgerError, StorageError
from .keys import PublicKey
from .note import parse_vkey
from .rows import CHECKPOINT, ENTRY, KEY, NODE, REQUEST, SUBJECT, read_note, read_state
from .sequencer import State
from .store import Store

BATCH = 256
MAX_FINDINGS = 1000
"""Enough to see the extent of a damage; the first broken entry is named in any case."""


@dataclass(frozen=True)
class FsckReport:
    """The outcome of a full check.

    Attributes
    ----------
    size : entries that the state row (or, without it, the entry table) claims
    findings : everything wrong, those of the first broken entry first, those of no single entry last
    """

    size: int
    findings: tuple[Finding, ...] = field(default=())

    @property
    def ok(self) -> bool:
        """True when nothing is wrong."""
        return not self.findings

    @property
    def first_broken(self) -> int | None:
        """Index of the first broken entry, or None when no single entry is."""
        return self.findings[0].index if self.findings else None


def fsck(
    store: Store | str,
    *,
    vkey: str,
    public_keys: Sequence[PublicKey] | None = None,
    known_checkpoints: Sequence[bytes] = (),
) -> FsckReport:
    """Check a whole ledger; it only reads.

    Parameters
    ----------
    store : an open store, or the database's URL where the file is too damaged to open as a store
    vkey : the log's verifier key, from a source other than this database
    public_keys : the keys trusted from the start: the first key-added entry must add one of them. None takes
        whichever key the log begins with, since the log's own signature covers that entry
    known_checkpoints : notes that the caller has kept from earlier; the log must have grown from each

    Returns
    -------
    the report; damage is a finding, never an exception

    Raises
    ------
    FormatError, WeakKeyError : `vkey` is not a verifier key
    SchemaError, ReadOnlyError, BusyError : there is no database to check, or it cannot be opened
    """
    origin = parse_vkey(vkey).name
    findings: list[Finding] = []
    database = store.database if isinstance(store, Store) else open_database(store)
    size = 0
    stack = contextlib.ExitStack()
    try:
        connection = read_safely(findings, None, "open", lambda: stack.enter_context(database.read()))
        if connection is not None:
            size = _check(database, connection, findings, origin, vkey, public_keys, known_checkpoints)
    except (sqlalchemy.exc.DBAPIError, StorageError, UnicodeDecodeError) as error:
        findings.append(Finding(None, "database-corrupt", f"{database.where}: {error}"))
    finally:
        stack.close()
        if not isinstance(store, Store):
            database.close()
    ordered = sorted(findings, key=lambda item: (item.index is None, item.index))
    return FsckReport(size, tuple(ordered[:MAX_FINDINGS]))


def _check(
    database: Database,
    connection: Connection,
    findings: list[Finding],
    origin: str,
    vkey: str,
    public_keys: Sequence[PublicKey] | None,
    known_checkpoints: Sequence[bytes],
) -> int:
    _check_file(database, connection, findings)
    check_definitions(database, connection, findings)
    _check_triggers(database, connection, findings)
    state = read_safely(findings, None, "state row", lambda: read_state(connection))
    size = state.size if state else _count_entries(connection, findings)
    held = _open_known(findings, origin, vkey, known_checkpoints)
    roots = None if public_keys is None else frozenset(key.key_id for key in public_keys)
    auditor = Auditor(connection, findings, origin, vkey, roots, frozenset(held))
    auditor.check_checkpoint(0, read_safely(findings, None, "checkpoint 0", lambda: read_note(connection, 0)))
    stop = min(size, _find_end(connection, findings) + MAX_FINDINGS)  # a damaged size can be any number
    for start in range(0, stop, BATCH):
        auditor.check_batch(start, min(start + BATCH, stop))
    _check_state(findings, state, auditor, origin, vkey)
    for held_size, held_root in held.items():
        computed = merkle.EMPTY_ROOT if held_size == 0 else auditor.held_roots.get(held_size)
        if computed != held_root:
            findings.append(
                Finding(
                    None,
                    "history-rewritten",
                    f"the log has not grown from its checkpoint of size {held_size}",
                )
            )
    _check_beyond(connection, findings, size)
    return size


def _check_file(database: Database, connection: Connection, findings: list[Finding]) -> None:
    lines = read_safely(findings, None, "integrity check", lambda: database.check_integrity(connection))
    if lines:
        findings.append(Finding(None, "database-corrupt", f"integrity check: {'; '.join(lines[:5])}"))


def _check_triggers(database: Database, connection: Connection, findings: list[Finding]) -> None:
    found = read_safely(findings, None, "schema", lambda: database.read_triggers(connection))
    if found is None:
        return
    expected = database.expected_triggers()
    for name in sorted(expected.keys() | found.keys()):
        if found.get(name) != expected.get(name):
            what = "missing" if name not in found else "altered" if name in expected else "unexpected"
            findings.append(Finding(None, "trigger-altered", f"trigger {name} is {what}"))


def _count_entries(connection: Connection, findings: list[Finding]) -> int:
    findings.append(Finding(None, "state-altered", "the state row is missing or cannot be read"))
    return _find_end(connection, findings)


def _find_end(connection: Connection, findings: list[Finding]) -> int:
    """Return the index after the last entry that there is."""
    query = select(sqlalchemy.func.max(ENTRY.c.entry_index))
    last = read_safely(findings, None, "entry count", lambda: connection.scalar(query))
    return 0 if last is None else int(last) + 1


def _open_known(findings: list[Finding], origin: str, vkey: str, notes: Sequence[bytes]) -> dict[int, bytes]:
    held = {}
    for note in notes:
        try:
            checkpoint = open_checkpoint(note, origin, vkey)
        except LedgerError as error:
            findings.append(Finding(None, "checkpoint-bad", f"a checkpoint kept by the caller: {error}"))
        else:
            held[checkpoint.size] = checkpoint.root
    return held


def _check_state(
    findings: list[Finding], state: State | None, auditor: Auditor, origin: str, vkey: str
) -> None:
    if state is None:
        return
    computed_root = auditor.fold()
    expected = {
        "origin": (state.origin, origin),
        "vkey": (state.vkey, vkey),
        "root": (state.root, computed_root if computed_root is not None else state.root),
        "chain_hash": (state.chain_hash, auditor.chain_hash if state.size else start_chain(origin)),
    }
    for name, (found, wanted) in expected.items():
        if found != wanted and wanted is not None:
            findings.append(Finding(None, "state-altered", f"state row: {name} is not what the entries give"))
    if auditor.last_checkpoint != state.size:
        findings.append(
            Finding(
                state.size - 1 if state.size else None,
                "checkpoint-missing",
                f"no checkpoint of size {state.size}",
            )
        )


def _check_beyond(connection: Connection, findings: list[Finding], size: int) -> None:
    covered = (NODE.c.position + 1) * sqlalchemy.func.pow(2, NODE.c.level)
    for table, outside in (
        (ENTRY, (ENTRY.c.entry_index >= size) | (ENTRY.c.entry_index < 0)),
        (NODE, (covered > size) | (NODE.c.level < 1) | (NODE.c.position < 0)),
        (CHECKPOINT, (CHECKPOINT.c.size > size) | (CHECKPOINT.c.size < 0)),
        (SUBJECT, (SUBJECT.c.entry_index >= size) | (SUBJECT.c.entry_index < 0)),
        (KEY, (KEY.c.entry_index >= size) | (KEY.c.entry_index < 0)),
        (REQUEST, (REQUEST.c.entry_index >= size) | (REQUEST.c.entry_index < 0)),
    ):
        query = select(sqlalchemy.func.count()).select_from(table).where(outside)
        count = read_safely(findings, None, table.name, functools.partial(connection.scalar, query))
        if count:
            findings.append(
                Finding(
                    size, "row-unexpected", f"{table.name}: {count} rows beyond the {size} entries of the log"
                )
            )
