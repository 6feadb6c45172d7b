"""Database and lock store in step: what is checked before a commit, and when a lock store is taken into use.

A ledger that has a lock store says so in its database (`ledger_guard`), and is not appended to without it. A
ledger that has none takes the first one it is opened with. One whose lock store is lost takes another only
when told to (`adopt`): that is the moment at which an old copy would go unnoticed.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass

from sqlalchemy import Connection

from . import merkle
from .database import Database
from .errors import GuardError, RollbackError
from .guard import FileGuard, HeldGuard
from .rows import GUARD, GUARDS, node_reader, read_note
from .sequencer import State


@dataclass(frozen=True)
class Lockstep:
    """A ledger's lock store, or the lack of one; `adopt` goes on with it although another was in use."""

    guard: FileGuard | None
    adopt: bool = False

    @contextlib.contextmanager
    def hold(self, database: Database, connection: Connection, state: State) -> Iterator[HeldGuard | None]:
        """Hold the lock store while a commit is made on top of `state`, having checked that they agree.

        Raises
        ------
        RollbackError : the database is behind, or has another history
        GuardError : the ledger has a lock store that was not named, is missing, or is another one
        """
        known = set(connection.scalars(GUARDS))
        if self.guard is None:
            if known and not self.adopt:
                raise GuardError(f"{database.where}: this ledger has a lock store, which must be named")
            yield None
            return
        if not self.guard.exists():
            if known and not self.adopt:
                raise GuardError(f"{self.guard.path}: the ledger's lock store is not there")
            self.guard.create(read_note(connection, state.size))
        with self.guard.hold() as held:
            if held.slot.guard_id not in known:
                if known and not self.adopt:
                    raise GuardError(f"{self.guard.path}: this is not the lock store of {database.where}")
                database.insert_rows(connection, GUARD, [(held.slot.guard_id, state.size)])
            check_history(database, connection, state, held)
            yield held


def check_history(database: Database, connection: Connection, state: State, held: HeldGuard) -> None:
    """Raise RollbackError unless the log has grown from the lock store's checkpoint, or is just there."""
    known = held.slot.checkpoint
    where = held.guard.path
    if known.origin != state.origin:
        raise GuardError(f"{where}: this is the lock store of the log {known.origin!r:.120}")
    held.check_size(state.size, state.root)
    if 0 < known.size < state.size:
        root = merkle.read_root(node_reader(database, connection), known.size)
        if root != known.root:
            raise RollbackError(f"{where}: another checkpoint of size {known.size}: another history")
