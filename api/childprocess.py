"""Child processes that read untrusted files: one for each file, started anew or forked from a warm server.

    with keep_warm(DECODER, READER):                        # a service: children cost milliseconds
        with Child(DECODER, orders, file) as child:
            ... child.output ...
            status = child.wait(60.0)

A program is a Python script that is run by path in isolated mode; argument 1 is the descriptor that its
orders are read from, as JSON. Started anew it takes a fifth of a second to load; `keep_warm` has it loaded
once, by `forkserver.py`, from which children are forked. Either way a child is a process of its own, of
which nothing is left when its file is done, and gives up its rights itself.

Children of one server have one layout of memory. A server of which a child crashed is not used again, so that
nobody learns from one file how to attack by the next.
"""

import contextlib
import errno
import fcntl
import json
import os
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, BinaryIO

FORK_SERVER = Path(__file__).with_name("forkserver.py")
PIPE_BYTES = 1 << 20
STATUS = struct.Struct("<i")  # as forkserver.py sends it
NO_CHILD = -1000
CRASHES = frozenset({signal.SIGSEGV, signal.SIGBUS, signal.SIGILL, signal.SIGABRT, signal.SIGFPE})
END_S = 5.0


class ForkServer:
    """A warm server of one program; started when a child is first wanted, and anew when it must be."""

    def __init__(self, program: Path) -> None:
        self._program = program
        self._lock = threading.Lock()
        self._running: tuple[subprocess.Popen[bytes], socket.socket] | None = None
        self._retired: list[subprocess.Popen[bytes]] = []

    def fork(self, descriptors: list[int]) -> None:
        """Have a child forked with these descriptors: input, output, error, orders, leash.

        Raises
        ------
        OSError
            The server cannot be started.
        """
        for last in (False, True):
            try:
                with self._lock:
                    control = self._running[1] if self._running is not None else self._start()
                    socket.send_fds(control, [b"\0"], descriptors)
                    return
            except OSError:
                self.retire()  # it has died: once more with a new one
                if last:
                    raise

    def retire(self) -> None:
        """Have no more children of the server that runs now; those that there are go on."""
        with self._lock:
            if self._running is not None:
                process, control = self._running
                control.close()
                self._running = None
                self._retired = [old for old in self._retired if old.poll() is None] + [process]

    def close(self) -> None:
        """End the server; children that are still wanted hold it."""
        self.retire()
        with self._lock:
            for process in self._retired:
                try:
                    process.wait(END_S)
                except subprocess.TimeoutExpired:
                    process.kill()
                    process.wait()
            self._retired = []

    def _start(self) -> socket.socket:
        ours, theirs = socket.socketpair()
        with theirs:
            try:
                process = subprocess.Popen(
                    [sys.executable, "-I", str(FORK_SERVER), str(self._program), str(theirs.fileno())],
                    pass_fds=[theirs.fileno()],
                    stdin=subprocess.DEVNULL,
                    stdout=subprocess.DEVNULL,
                    stderr=subprocess.DEVNULL,
                    env=_make_environment(),
                    cwd="/",
                )
            except BaseException:
                ours.close()
                raise
        self._running = process, ours
        return ours


_warm: dict[Path, ForkServer] = {}


@contextlib.contextmanager
def keep_warm(*programs: Path) -> Iterator[None]:
    """Fork children of these programs from warm servers, in this process, until the block ends."""
    added = {program: ForkServer(program) for program in programs if program not in _warm}
    _warm.update(added)
    try:
        yield
    finally:
        for program, server in added.items():
            del _warm[program]
            server.close()


class Child:
    """A running child; a block that ends kills it.

    Parameters
    ----------
    program : the script
    orders : what it reads first; JSON
    file : its standard input, at its beginning

    Raises
    ------
    OSError
        It cannot be started.
    """

    def __init__(self, program: Path, orders: Mapping[str, Any], file: BinaryIO) -> None:
        self._server = _warm.get(program)
        self._process: subprocess.Popen[bytes] | None = None
        self._leash: socket.socket | None = None
        self._status: int | None = None
        output, output_end = os.pipe()
        notes, notes_end = os.pipe()
        self.output, self.notes = os.fdopen(output, "rb", buffering=0), os.fdopen(notes, "rb", buffering=0)
        try:
            # A wide pipe: fewer turns between the child and us.
            with contextlib.suppress(OSError):
                fcntl.fcntl(output, fcntl.F_SETPIPE_SZ, PIPE_BYTES)
            # A file for the orders: lists of certificates outgrow what an argument holds.
            with tempfile.TemporaryFile() as note:
                note.write(json.dumps(orders).encode("utf-8"))
                note.seek(0)
                streams = [file.fileno(), output_end, notes_end]
                if self._server is None:
                    self._process = _spawn(program, streams, note.fileno())
                else:
                    self._leash, theirs = socket.socketpair()
                    with theirs:
                        self._server.fork([*streams, note.fileno(), theirs.fileno()])
        except BaseException:
            self.close()
            raise
        finally:
            os.close(output_end)
            os.close(notes_end)

    def __enter__(self) -> "Child":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def wait(self, timeout_s: float) -> int:
        """Return the exit status, negative for the signal that ended it.

        Raises
        ------
        TimeoutError
            It goes on for longer.
        OSError
            It could not be started.
        """
        if self._status is None:
            self._status = self._wait(timeout_s)
            if self._server is not None and -self._status in CRASHES:
                self._server.retire()
        return self._status

    def close(self) -> None:
        """Kill it, where it has not ended."""
        if self._process is not None:
            if self._process.poll() is None:
                self._process.kill()
            self._process.wait()
        if self._leash is not None:
            self._leash.close()
        self.output.close()
        self.notes.close()

    def _wait(self, timeout_s: float) -> int:
        if self._process is not None:
            try:
                return self._process.wait(timeout_s)
            except subprocess.TimeoutExpired as error:
                raise TimeoutError(f"the child goes on after {timeout_s:.0f} s") from error
        assert self._leash is not None
        self._leash.settimeout(timeout_s)
        told = self._leash.recv(STATUS.size)
        status = STATUS.unpack(told)[0] if len(told) == STATUS.size else NO_CHILD
        if status == NO_CHILD:
            raise OSError(errno.EAGAIN, "the process that reads the file could not be started")
        return int(status)


def _spawn(program: Path, streams: list[int], orders: int) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [sys.executable, "-I", str(program), str(orders)],
        stdin=streams[0],
        stdout=streams[1],
        stderr=streams[2],
        pass_fds=[orders],
        env=_make_environment(),
        cwd="/",
    )


def _make_environment() -> dict[str, str]:
    """Return a bare environment: no secret of ours, and no thread pool of a numeric library."""
    environment = {"OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1", "PYTHONIOENCODING": "utf-8"}
    if "LD_LIBRARY_PATH" in os.environ:
        environment["LD_LIBRARY_PATH"] = os.environ["LD_LIBRARY_PATH"]
    return environment
