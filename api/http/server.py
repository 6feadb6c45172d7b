"""Serving on a socket. Several services, also on several hosts, may share one ledger folder."""

import contextlib
import fcntl
import os
import socket
from collections.abc import Iterator

import uvicorn

from ..errors import LedgerFolderError, PortError
from ..installation import check_layout
from ..passingfiles import remove_stale
from ..settings import Settings
from .application import create_app

SHUTDOWN_S = 10


@contextlib.contextmanager
def hold_serving_lock(settings: Settings) -> Iterator[None]:
    """Be one of the services of a ledger folder; the only one removes what uploads an earlier one left."""
    check_layout(settings)
    try:
        descriptor = os.open(settings.home / "serve.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise LedgerFolderError(f"{settings.home}: cannot be written: {error.strerror}") from error
    try:
        with contextlib.suppress(BlockingIOError):  # held by another service, which may have uploads
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            remove_stale(settings)
        fcntl.flock(descriptor, fcntl.LOCK_SH)
        yield
    finally:
        os.close(descriptor)


def bind(host: str, port: int) -> socket.socket:
    """Return a listening socket's address, taken; port 0 takes a free one.

    Raises
    ------
    PortError
        The address is taken, not ours, or may not be used.
    """
    try:
        family = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0][0]
        sock = socket.socket(family, socket.SOCK_STREAM)
    except OSError as error:
        raise PortError(f"{host}: {error.strerror}") from error
    try:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        sock.bind((host, port))
    except OSError as error:
        sock.close()
        raise PortError(f"{host} port {port}: {error.strerror}") from error
    return sock


def build_server(settings: Settings) -> uvicorn.Server:
    """Return a server for the ledger folder; `run(sockets=[bind(...)])` serves until told to stop."""
    servers: list[uvicorn.Server] = []
    config = uvicorn.Config(
        create_app(settings, is_stopping=lambda: servers[0].should_exit),
        log_config=None,  # its records go where ours go
        access_log=False,  # `tracing` logs requests
        timeout_graceful_shutdown=SHUTDOWN_S,
        server_header=False,
        proxy_headers=False,  # `protection` believes the proxies that are set, and no others
        lifespan="on",
    )
    servers.append(uvicorn.Server(config))
    return servers[0]
