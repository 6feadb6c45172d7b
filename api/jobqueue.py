"""The queue between those who submit jobs and the workers who take them: ids in the order of their priority.

What carries them is huey's storage, which is one library over both databases: SQLite in `queue.db` of the
ledger folder, a file of its own, since huey uses Python's SQLite and the ledger must not; PostgreSQL in the
ledger's database, where waiting workers are woken by a notification. Of huey no more is used: its consumer
forgets a task when it hands it out, and its tasks are pickles, which whoever writes to the database could
choose.

Nothing rests on the queue: a lost id is sent again by a worker that sees the job due and the queue empty, an
id that comes twice finds its job taken (`api.jobtable`). So it need not be in a backup.
"""

import contextlib
import datetime
import sqlite3
import threading
import time
from collections.abc import Iterator

from huey.storage import BaseSqlStorage, PostgresStorage, SqliteStorage
from sqlalchemy.engine import make_url

from ledger.errors import StorageError

from .settings import Settings

NAME = "jobs"
TABLE_PREFIX = "job_queue"
WAIT_S = 0.25
"""How long `take` waits for an id, and a worker lies still before it looks around."""
TRIES = 3


class JobQueue:
    """Ids of jobs that wait to be taken; safe to share between threads.

    Raises (every method)
    ---------------------
    ledger.StorageError
        The database behind it cannot be used.
    """

    def __init__(self, settings: Settings) -> None:
        self._closing = threading.Lock()
        self._where = str(settings.queue)
        self._errors: tuple[type[Exception], ...] = (sqlite3.Error, OSError, ImportError)
        self._storage = self._open(settings)
        self._polls = isinstance(self._storage, SqliteStorage)

    def close(self) -> None:
        """Give up the connections of this thread; whoever goes on opens new ones."""
        with self._closing, self._translate():
            self._storage.close()

    def send(self, job_id: str, priority: int, *, due_s: int = 0) -> None:
        """Have some worker take a job, at once or from `due_s` on (POSIX seconds)."""
        message = f"{priority} {job_id}".encode("ascii")
        with self._translate():
            if due_s > time.time():
                self._storage.add_to_schedule(message, datetime.datetime.fromtimestamp(due_s, datetime.UTC))
            else:
                self._storage.enqueue(message, priority)

    def take(self, wait_s: float = WAIT_S) -> str | None:
        """Return the id of the next job, which nobody else gets, or None when there is none for a moment."""
        with self._translate():
            for message in self._storage.read_schedule(datetime.datetime.now(datetime.UTC)):
                self._storage.enqueue(bytes(message), int(bytes(message).split()[0]))
            message = self._storage.dequeue()
            if message is None and self._polls and wait_s:
                time.sleep(wait_s)
                message = self._storage.dequeue()
        return None if message is None else bytes(message).split()[1].decode("ascii")

    def is_empty(self) -> bool:
        """Tell whether no id waits to be taken now."""
        with self._translate():
            return bool(self._storage.queue_size() == 0)

    def _open(self, settings: Settings) -> BaseSqlStorage:
        url = make_url(settings.database_url)
        for attempt in range(TRIES):
            try:
                if settings.uses_file:
                    return SqliteStorage(NAME, str(settings.queue), strict_fifo=True)
                import psycopg  # an extra

                self._where = f"{url.host or url.query.get('host') or 'localhost'}/{url.database}"
                self._errors = (psycopg.Error, OSError)
                dsn = url.set(drivername="postgresql").render_as_string(hide_password=False)
                return PostgresStorage(NAME, dsn, table_prefix=TABLE_PREFIX, read_timeout=WAIT_S)
            except self._errors as error:
                # Two that make the tables at the same moment: one of them fails.
                if attempt == TRIES - 1:
                    raise StorageError(f"{self._where}: the queue of jobs cannot be used: {error}") from error
                time.sleep(0.1)
        raise AssertionError

    @contextlib.contextmanager
    def _translate(self) -> Iterator[None]:
        try:
            yield
        except self._errors as error:
            raise StorageError(f"{self._where}: the queue of jobs cannot be used: {error}") from error
