"""A program run once, bounded: bytes in, bytes out into a file, killed with all that it started.

Its address space is limited by the shell's `ulimit`, its time and output by whoever follows it. It gets none
of this service's variables, works in an empty folder that is removed, and leads a session of its own, so that
one signal ends whatever it started.
"""

import contextlib
import os
import selectors
import signal
import subprocess
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import IO, Any

from ..engine import CancelCheck, Progress
from ..errors import Cancelled, EngineError

POLL_S = 0.1
CHUNK_BYTES = 1 << 16
NOTE_BYTES = 4_000
SECRET_PREFIX = "PROVENOTE_"
# The shell sets the limit on itself, then becomes the program: nothing runs between fork and exec here, which
# would be unsafe in a process with threads.
LAUNCH = 'ulimit -v "$1" && shift && exec "$@"'


@dataclass(frozen=True, slots=True)
class Bounds:
    """What a program may spend: wall time, bytes of output, KiB of address space for each process."""

    timeout_s: float
    max_bytes: int
    memory_kib: int


def run_program(
    name: str,
    command: Sequence[str],
    order: bytes,
    output: IO[bytes],
    bounds: Bounds,
    *,
    progress: Progress,
    cancelled: CancelCheck,
) -> float:
    """Run a program with `order` on its standard input; its standard output goes into `output`.

    Returns
    -------
    float
        Processor seconds that it and the children it waited for have spent.

    Raises
    ------
    EngineError
        It cannot be started, goes beyond its bounds, or ends with another status than 0.
    Cancelled
        `cancelled()` returned True.
    """
    environment = {key: text for key, text in os.environ.items() if not key.startswith(SECRET_PREFIX)}
    end = time.monotonic() + bounds.timeout_s
    with tempfile.TemporaryDirectory(prefix="engine-") as place:
        environment["TMPDIR"] = place
        process = subprocess.Popen(
            ["/bin/sh", "-c", LAUNCH, "engine", str(bounds.memory_kib), *command],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=environment,
            cwd=place,
            start_new_session=True,
        )
        try:
            said = _follow(name, process, order, output, bounds, end, progress, cancelled)
            cpu_s = _await(name, process, bounds, end, cancelled)
        finally:
            # Whatever it left running goes with it: the group keeps its number as long as one of it lives.
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            for stream in (process.stdin, process.stdout, process.stderr):
                if stream is not None:
                    with contextlib.suppress(BrokenPipeError):
                        stream.close()
            process.wait()
    status = process.returncode
    if status != 0:
        how = f"status {status}" if status > 0 else f"signal {-status}"
        raise EngineError(f"engine {name} ended with {how}: {said or 'without a word'}")
    return cpu_s


def _follow(
    name: str,
    process: subprocess.Popen[bytes],
    order: bytes,
    output: IO[bytes],
    bounds: Bounds,
    end: float,
    progress: Progress,
    cancelled: CancelCheck,
) -> str:
    """Feed and read the program until it closes its outputs; return the last of what it said."""
    assert process.stdin is not None
    assert process.stdout is not None
    assert process.stderr is not None
    received, said = 0, b""
    with selectors.DefaultSelector() as selector:
        for stream in (process.stdout, process.stderr):
            selector.register(stream, selectors.EVENT_READ)
        os.set_blocking(process.stdin.fileno(), False)
        selector.register(process.stdin, selectors.EVENT_WRITE)
        while selector.get_map():
            _check_time(name, bounds, end, cancelled)
            for key, _ in selector.select(POLL_S):
                ready: Any = key.fileobj
                if ready is process.stdin:
                    order = _feed(ready, order)
                    if not order:
                        selector.unregister(ready)
                        with contextlib.suppress(BrokenPipeError):
                            ready.close()
                    continue
                chunk = os.read(ready.fileno(), CHUNK_BYTES)
                if not chunk:
                    selector.unregister(ready)
                elif ready is process.stdout:
                    received += len(chunk)
                    if received > bounds.max_bytes:
                        raise EngineError(f"engine {name} wrote more than {bounds.max_bytes >> 20} MiB")
                    output.write(chunk)
                else:
                    said = _listen(said + chunk, progress)
    return said.decode("utf-8", "replace").strip()[-NOTE_BYTES:]


def _await(
    name: str, process: subprocess.Popen[bytes], bounds: Bounds, end: float, cancelled: CancelCheck
) -> float:
    """Wait for the program's end, which need not come with that of its output; return its processor time."""
    while True:
        found, status, usage = os.wait4(process.pid, os.WNOHANG)
        if found:
            process.returncode = os.waitstatus_to_exitcode(status)
            return usage.ru_utime + usage.ru_stime
        _check_time(name, bounds, end, cancelled)
        time.sleep(POLL_S / 10)


def _check_time(name: str, bounds: Bounds, end: float, cancelled: CancelCheck) -> None:
    if cancelled():
        raise Cancelled("render")
    if time.monotonic() > end:
        raise EngineError(f"engine {name} took more than {bounds.timeout_s:g} s")


def _feed(stream: IO[bytes], order: bytes) -> bytes:
    """Write what the program takes now; return what is left. One that does not read its order may do so."""
    try:
        return order[os.write(stream.fileno(), order) :]
    except BlockingIOError:
        return order
    except BrokenPipeError:
        return b""


def _listen(said: bytes, progress: Progress) -> bytes:
    """Take lines of progress out of what the program said; return the rest, its last bytes alone."""
    *lines, last = said.split(b"\n")
    kept = []
    for line in lines:
        word, _, number = line.partition(b" ")
        try:
            fraction = float(number) if word == b"progress" else None
        except ValueError:
            fraction = None
        if fraction is None or not 0.0 <= fraction <= 1.0:
            kept.append(line)
        else:
            progress("render", fraction)
    return b"\n".join([*kept, last])[-NOTE_BYTES:]
