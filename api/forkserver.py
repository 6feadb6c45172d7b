"""The server that forks children of one program; run by path, never imported.

    python -I forkserver.py decoder.py 5

loads the program (and calls its `preload`, where it has one), then waits on socket 5. Each byte that comes
there brings five descriptors: standard input, output and error of a child, its orders (argument 1 of the
program) and a leash, a socket. The server forks, and the child calls the program's `main`. The leash
carries the exit status (`<i`, negative for a signal; NO_CHILD where none could be forked) when the child
has ended; a leash that is let go kills the child. When its socket is closed the server waits for the
children that there are, and ends: nothing outlives a service that dies, since its leashes go with it.

The server has one thread and never reads what its children read.
"""

import contextlib
import importlib.util
import os
import selectors
import signal
import socket
import struct
import sys
from collections.abc import Callable

STATUS = struct.Struct("<i")
NO_CHILD = -1000
DESCRIPTORS = 5


def load_main(path: str) -> Callable[[], object]:
    """Load the program and what it will need, and return its `main`."""
    spec = importlib.util.spec_from_file_location("program", path)
    assert spec is not None
    assert spec.loader is not None
    program = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(program)
    if hasattr(program, "preload"):
        program.preload()
    main: Callable[[], object] = program.main
    return main


class Server:
    """Children, their leashes, and what wakes the server."""

    def __init__(self, main: Callable[[], object], control: socket.socket) -> None:
        self._main = main
        self._control = control
        self._leashes: dict[int, socket.socket] = {}
        self._woken, self._waker = os.pipe()
        os.set_blocking(self._waker, False)
        os.set_blocking(self._woken, False)
        self._selector = selectors.DefaultSelector()
        self._selector.register(control, selectors.EVENT_READ)
        self._selector.register(self._woken, selectors.EVENT_READ)
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # of the terminal: the service says when to end
        signal.signal(signal.SIGCHLD, lambda *_: None)
        signal.set_wakeup_fd(self._waker, warn_on_full_buffer=False)

    def run(self) -> None:
        """Serve until the socket is closed and no child is left."""
        serving = True
        while serving or self._leashes:
            for key, _ in self._selector.select():
                if key.fileobj is self._control:
                    order, descriptors, _, _ = socket.recv_fds(self._control, 1, DESCRIPTORS)
                    if order:
                        self._fork(descriptors)
                    else:
                        self._selector.unregister(self._control)
                        serving = False
                elif key.fileobj == self._woken:
                    with contextlib.suppress(BlockingIOError):
                        os.read(self._woken, 4096)
                    self._reap()
                elif key.data in self._leashes:  # let go: nothing is ever sent on it
                    self._selector.unregister(key.fileobj)
                    os.kill(key.data, signal.SIGKILL)

    def _fork(self, descriptors: list[int]) -> None:
        leash = socket.socket(fileno=descriptors.pop())
        try:
            pid = os.fork()
        except OSError:
            pid = NO_CHILD
        if pid == 0:
            self._become(descriptors)
        for descriptor in descriptors:
            os.close(descriptor)
        if pid == NO_CHILD:
            self._tell(leash, NO_CHILD)
            return
        self._leashes[pid] = leash
        self._selector.register(leash, selectors.EVENT_READ, pid)

    def _become(self, descriptors: list[int]) -> None:
        """Be the child, and never return."""
        status = 1
        try:
            signal.set_wakeup_fd(-1)
            for expected in (signal.SIGINT, signal.SIGCHLD):
                signal.signal(expected, signal.SIG_DFL)
            self._selector.close()
            self._control.close()
            for leash in self._leashes.values():
                leash.close()
            *streams, orders = descriptors
            for number, stream in enumerate(streams):
                os.dup2(stream, number)
                os.close(stream)
            sys.argv[1:] = [str(orders)]
            self._main()
            sys.stdout.flush()
            status = 0
        finally:
            os._exit(status)

    def _reap(self) -> None:
        """Tell what became of all children that have ended."""
        while self._leashes:
            pid, status = os.waitpid(-1, os.WNOHANG)
            if pid == 0:
                return
            leash = self._leashes.pop(pid)
            with contextlib.suppress(KeyError):
                self._selector.unregister(leash)
            self._tell(leash, os.waitstatus_to_exitcode(status))

    def _tell(self, leash: socket.socket, status: int) -> None:
        with leash, contextlib.suppress(OSError):
            leash.send(STATUS.pack(status))


def main() -> None:
    Server(load_main(sys.argv[1]), socket.socket(fileno=int(sys.argv[2]))).run()


if __name__ == "__main__":
    main()
