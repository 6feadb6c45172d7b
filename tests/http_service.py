"""A service over real HTTP, for tests: on a free loopback port, in a thread of this process."""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx

from api.http.server import bind, build_server, hold_serving_lock
from api.settings import read_settings

UNLIMITED = {"PROVENOTE_PUBLIC_DAILY": "9999", "PROVENOTE_PUBLIC_MINUTE": "9999"}
"""All tests come from one address."""


@contextmanager
def served(home: Path, **environment: str) -> Iterator[httpx.Client]:
    """Serve a ledger folder on a free loopback port and give a client without a token."""
    settings = read_settings(home, UNLIMITED | environment)
    with hold_serving_lock(settings), bind("127.0.0.1", 0) as sock:
        server = build_server(settings)
        thread = threading.Thread(target=server.run, kwargs={"sockets": [sock]})
        thread.start()
        try:
            deadline = time.monotonic() + 30
            while not server.started:
                assert thread.is_alive()
                assert time.monotonic() < deadline
                time.sleep(0.01)
            address = f"http://127.0.0.1:{sock.getsockname()[1]}"
            with httpx.Client(base_url=address, timeout=60) as client:
                client.stop = lambda: setattr(server, "should_exit", True)  # type: ignore[attr-defined]
                yield client
        finally:
            server.should_exit = True
            thread.join()
