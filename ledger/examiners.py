"""Workers that parse entries and verify their signatures while the writer's thread commits.

Ed25519 is most of what an append costs. In the writer's own process it would run under the interpreter lock,
so each worker is a process of its own, started plainly (`python -c`), so that nothing is asked of the program
that opens the ledger. Tasks and results are frames on its standard input and output: a length of 4 bytes,
and plain tuples as `marshal` writes them, a fifth of the work of pickling events.

What a worker says is only that an entry is well-formed and that its signatures are good under the keys it was
given; whether those keys count, and whether the event may come next, the sequencer judges.
"""

from __future__ import annotations

import contextlib
import fcntl
import functools
import importlib
import marshal
import re
import struct
import subprocess
import sys
import threading
import types
from collections import deque
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import Future
from typing import IO, Any, BinaryIO

from .ed25519 import Verify
from .errors import LedgerError
from .event import Event, Place, parse_event, verify_event
from .keys import PublicKey
from .statement import Statement, Subject

MAX_CHUNK = 64
"""Entries in one task."""
PIPE_BYTES = 1 << 20
"""What a worker's input holds: the writer hands over its tasks without waiting."""
_KEY_ID = re.compile(rb'"keyid":"([^"\\]{1,64})"')
_PROGRAM = "import sys; sys.path[:] = {path!r}; from ledger.examiners import serve; serve({verify!r})"
_LENGTH = struct.Struct("<I")

Result = list[Event | None]


class Examiners:
    """Worker processes; they start with the first task, again after `close` or when one has died."""

    def __init__(self, workers: int, verify: Verify) -> None:
        """Prepare `workers` processes that verify by `verify`, a function of a module."""
        self._count = workers
        self._verify = verify
        self._workers: list[Worker] = []
        self._lock = threading.Lock()  # of the list, and of the order of frames in a pipe

    def start(self, entries: Sequence[bytes], keys: Mapping[str, PublicKey]) -> Examination:
        """Begin to examine entries by these keys, without waiting; any thread may."""
        with self._lock:
            return self._start(entries, keys)

    def _start(self, entries: Sequence[bytes], keys: Mapping[str, PublicKey]) -> Examination:
        if not self._workers or not all(worker.alive for worker in self._workers):
            self.close()
            self._workers = [Worker(self._verify) for _ in range(self._count)]
        raw = {key_id: key.raw for key_id, key in keys.items()}
        chunk = min(MAX_CHUNK, -(-len(entries) // self._count))
        tasks = []
        for start in range(0, len(entries), chunk):
            worker = min(self._workers, key=lambda item: item.waiting)
            tasks.append(worker.send((list(entries[start : start + chunk]), raw)))
        return Examination(len(entries), tasks)

    def close(self) -> None:
        """End the workers."""
        workers, self._workers = self._workers, []
        for worker in workers:
            worker.close()


class Examination:
    """Entries that are being examined."""

    def __init__(self, entries: int, tasks: Sequence[Future[Result]]) -> None:
        self._entries = entries
        self._tasks = tasks

    def done(self) -> bool:
        """Tell whether `result` would not wait."""
        return all(task.done() for task in self._tasks)

    def result(self) -> Result:
        """Wait, and return for each entry the event, or None for one that the sequencer must look at.

        A worker that died examined nothing: then all are None.
        """
        found = [event for task in self._tasks for event in task.result()]
        return found if len(found) == self._entries else [None] * self._entries


class Worker:
    """One process, and the thread that reads its results."""

    def __init__(self, verify: Verify) -> None:
        program = _PROGRAM.format(
            path=[item for item in sys.path if item] or sys.path,
            verify=f"{verify.__module__}:{verify.__qualname__}",
        )
        self._process = subprocess.Popen(
            [sys.executable, "-c", program], stdin=subprocess.PIPE, stdout=subprocess.PIPE
        )
        assert self._process.stdin is not None
        with contextlib.suppress(OSError):  # a user may have used up what pipes may take
            fcntl.fcntl(self._process.stdin, fcntl.F_SETPIPE_SZ, PIPE_BYTES)
        self.alive = True
        self._lock = threading.Lock()
        self._tasks: deque[Future[Result]] = deque()
        self._reader = threading.Thread(target=self._read, name="ledger-examiner", daemon=True)
        self._reader.start()

    @property
    def waiting(self) -> int:
        """Tasks that have no result yet."""
        return len(self._tasks)

    def send(self, task: object) -> Future[Result]:
        """Give a task to the process; its result is empty when the process dies before."""
        future: Future[Result] = Future()
        assert self._process.stdin is not None
        with self._lock:
            if self.alive:
                self._tasks.append(future)
            else:
                future.set_result([])
        with contextlib.suppress(OSError):  # it has died, and `_read` answers the task
            _write_frame(self._process.stdin, task)
        return future

    def close(self) -> None:
        """Let the process finish what it has, and end."""
        assert self._process.stdin is not None
        with contextlib.suppress(OSError):
            self._process.stdin.close()
        self._reader.join()
        self._process.wait()
        assert self._process.stdout is not None
        self._process.stdout.close()

    def _read(self) -> None:
        assert self._process.stdout is not None
        with contextlib.suppress(EOFError, OSError, ValueError, TypeError):
            while True:
                found = _read_frame(self._process.stdout)
                result = [item and _restore(item) for item in found]
                self._tasks.popleft().set_result(result)
        with self._lock:
            self.alive = False
            for task in self._tasks:
                task.set_result([])
            self._tasks.clear()


def serve(verify: str, source: BinaryIO = sys.stdin.buffer, target: BinaryIO = sys.stdout.buffer) -> None:
    """Do the tasks of the input until it ends; what a worker process runs; `verify` as `module:function`."""
    module, _, name = verify.partition(":")
    function = getattr(importlib.import_module(module), name)
    with contextlib.suppress(EOFError, KeyboardInterrupt, BrokenPipeError):
        while True:
            entries, keys = _read_frame(source)
            _write_frame(target, [item and _flatten(item) for item in examine(entries, keys, function)])


def find_signers(entry: bytes) -> Iterable[str]:
    """Return the key ids that occur in an entry, without parsing it: which keys a worker will want."""
    start = entry.rfind(b'"signatures":')
    return [match.decode("utf-8", "replace") for match in _KEY_ID.findall(entry, max(start, 0))]


def examine(entries: Sequence[bytes], keys: Mapping[str, bytes], verify: Verify) -> Result:
    """Parse entries and verify their signatures; None for every entry with which something is wrong."""
    public_keys = {key_id: _load_key(raw) for key_id, raw in keys.items()}
    return [_examine_one(entry, public_keys, verify) for entry in entries]


def _examine_one(entry: bytes, public_keys: Mapping[str, PublicKey], verify: Verify) -> Event | None:
    try:
        return verify_event(parse_event(entry), public_keys, verify)
    except LedgerError:
        return None  # the sequencer finds the same, and says it to the caller


@functools.lru_cache(maxsize=100_000)
def _load_key(raw: bytes) -> PublicKey:
    return PublicKey(raw)


def _flatten(event: Event) -> tuple[Any, ...]:
    """Return an event as plain tuples, for `_restore`."""
    statement, added = event.statement, event.added_key
    return (
        [(item.name, item.sha256) for item in statement.subjects],
        statement.predicate_type,
        dict(statement.predicate),
        (event.place.origin, event.place.asset, event.place.n, event.place.prev),
        event.key_ids,
        added and added.raw,
    )


def _restore(item: tuple[Any, ...]) -> Event:
    subjects, predicate_type, predicate, place, key_ids, added = item
    statement = Statement(
        tuple(Subject(*subject) for subject in subjects), predicate_type, types.MappingProxyType(predicate)
    )
    return Event(statement, Place(*place), key_ids, added and _load_key(added))


def _write_frame(target: IO[bytes], value: Any) -> None:
    data = marshal.dumps(value)
    target.write(_LENGTH.pack(len(data)) + data)
    target.flush()


def _read_frame(source: IO[bytes]) -> Any:
    """Return the next value; EOFError at the end, also in the middle of a frame."""
    header = source.read(_LENGTH.size)
    data = source.read(_LENGTH.unpack(header)[0]) if len(header) == _LENGTH.size else b""
    if not data:
        raise EOFError("the other side has ended")
    return marshal.loads(data)
