"""The elected sequencer of a shared ledger: of all processes that append, the one that holds the lock.

Whoever holds a session's advisory lock of the database takes what is pending, commits it (`committer`) and
writes the outcomes, over the very connection that the lock belongs to: a sequencer that has lost its lock has
lost its connection, and cannot commit. Should two ever believe that they are it, the compare-and-swap of the
state row lets one through, and the other finds its pending rows gone. When it ends or dies, the server drops
the lock, and the next candidate that asks for it goes on.
"""

from __future__ import annotations

import contextlib
import logging
import threading
from collections.abc import Iterator
from typing import Any

import sqlalchemy
from sqlalchemy import Connection

from .committer import Committer, Outcome
from .errors import LedgerError, StorageError
from .keys import SigningKey
from .pending import (
    PENDING_CHANNEL,
    Pending,
    delete_old_outcomes,
    delete_pending,
    encode_outcome,
    insert_outcomes,
    open_submission,
    read_pending,
)
from .postgres import PostgresDatabase
from .submission import Submission

SEQUENCER_LOCK = 0x70726F76_73657121
"""Advisory lock of the sequencer: "provseq!" in ASCII."""
ELECTION_S = 0.1
"""Between two tries of a candidate."""
IDLE_S = 0.1
"""The longest that a sequencer sleeps between two looks, should a notification be lost."""
RETRY_S = 0.2
"""Before connecting again after an error."""
MAX_PENDING = 512
"""Submissions in one commit."""
TIDIED_EVERY = 1000
"""Commits between two deletions of outcomes that nobody has come for."""

logger = logging.getLogger(__name__)


class SequencerThread:
    """A candidate that becomes the sequencer when it can, until it is closed."""

    def __init__(self, database: PostgresDatabase, committer: Committer, log_signing_key: SigningKey) -> None:
        self._database = database
        self._committer = committer
        self._log_signing_key = log_signing_key
        self._closing = threading.Event()
        self._commits = 0
        self._thread = threading.Thread(target=self._run, name="ledger-sequencer", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Finish the commit at hand, give up the lock, and end."""
        self._closing.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._closing.is_set():
            try:
                with self._database.translate_errors(), self._database.engine.connect() as connection:
                    connection.detach()  # what it listens to and holds ends with it
                    self._stand(connection)
            except StorageError as error:
                logger.warning("the sequencer of %s stops: %s", self._database.where, error)
                self._closing.wait(RETRY_S)
            except Exception:  # whatever it is, somebody has to sequence
                logger.exception("the sequencer of %s stops", self._database.where)
                self._closing.wait(RETRY_S)

    def _stand(self, connection: Connection) -> None:
        """Wait for the lock and sequence while it is held."""
        listen(connection, PENDING_CHANNEL)
        while not self._closing.is_set():
            if connection.exec_driver_sql("SELECT pg_try_advisory_lock(%s)", (SEQUENCER_LOCK,)).scalar():
                break
            connection.commit()
            wait_notified(connection, ELECTION_S)
        connection.commit()
        self._committer.forget()
        try:
            while not self._closing.is_set():
                if not self._sequence(connection):
                    wait_notified(connection, IDLE_S)
        finally:
            with contextlib.suppress(sqlalchemy.exc.DBAPIError):  # a lost connection has lost the lock
                connection.rollback()
                connection.exec_driver_sql("SELECT pg_advisory_unlock(%s)", (SEQUENCER_LOCK,))
                connection.exec_driver_sql(f"NOTIFY {PENDING_CHANNEL}")  # a candidate is to take over
                connection.commit()

    def _sequence(self, connection: Connection) -> bool:
        """Commit what is pending; False when nothing was."""
        items = read_pending(connection, MAX_PENDING)
        if not items:
            connection.commit()
            return False
        try:
            self._commit(connection, items)
        except StorageError as error:
            if connection.invalidated or connection.closed:
                raise
            connection.rollback()
            if len(items) == 1:
                self._refuse(connection, items[0], error)
            else:
                # One of them may be to blame, and must not stop the others.
                for item in items:
                    self._commit_alone(connection, item)
        return True

    def _commit_alone(self, connection: Connection, item: Pending) -> None:
        try:
            self._commit(connection, [item])
        except StorageError as error:
            if connection.invalidated or connection.closed:
                raise
            connection.rollback()
            self._refuse(connection, item, error)

    def _commit(self, connection: Connection, items: list[Pending]) -> None:
        opened: list[tuple[Pending, Submission]] = []
        refused: list[tuple[Pending, Exception]] = []
        for item in items:
            try:
                opened.append((item, open_submission(item, self._log_signing_key)))
            except LedgerError as error:
                refused.append((item, error))

        def pair(outcomes: list[Outcome]) -> list[tuple[Pending, Outcome]]:
            return [*zip((item for item, _ in opened), outcomes, strict=True), *refused]

        def record(connection: Connection, outcomes: list[Outcome]) -> None:
            ids = [item.pending_id for item in items]
            if delete_pending(connection, ids) != set(ids):
                raise StorageError(f"{self._database.where}: another sequencer has taken what was pending")
            if not self._committer.guarded:
                write_outcomes(connection, pair(outcomes))

        @contextlib.contextmanager
        def begin() -> Iterator[Connection]:
            try:
                yield connection
            except BaseException:
                with contextlib.suppress(sqlalchemy.exc.DBAPIError):
                    connection.rollback()
                raise

        outcomes = self._committer.commit(begin, [submission for _, submission in opened], record=record)
        if self._committer.guarded:  # only now has the lock store been told
            write_outcomes(connection, pair(outcomes))
            connection.commit()
        self._commits += 1
        if self._commits % TIDIED_EVERY == 0:
            delete_old_outcomes(connection)
            connection.commit()

    def _refuse(self, connection: Connection, item: Pending, error: Exception) -> None:
        """Take a submission out that cannot be recorded, and say why."""
        delete_pending(connection, [item.pending_id])
        write_outcomes(connection, [(item, error)])
        connection.commit()


def write_outcomes(connection: Connection, results: list[tuple[Pending, Outcome]]) -> None:
    """Add the outcomes of submissions."""
    insert_outcomes(connection, [(item.pending_id, encode_outcome(outcome)) for item, outcome in results])


def listen(connection: Connection, channel: str) -> None:
    """Have notifications of a channel delivered to this connection."""
    connection.exec_driver_sql(f"LISTEN {channel}")
    connection.commit()


def wait_notified(connection: Connection, timeout_s: float) -> None:
    """Wait for a notification, at most `timeout_s` seconds."""
    driver: Any = connection.connection.dbapi_connection
    assert driver is not None
    try:
        for _ in driver.notifies(timeout=timeout_s, stop_after=1):
            pass
    except Exception:
        connection.invalidate()
        raise
