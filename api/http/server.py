"""Serving on a socket: one process, one ledger folder, one service."""

import contextlib
import fcntl
import os
import socket
from collections.abc import Iterator

import uvicorn

from ..errors import LedgerFolderError, PortError
from ..installation import check_layout
from ..settings import Settings
from .application import create_app

SHUTDOWN_S = 10


@contextlib.contextmanager
def hold_serving_lock(settings: Settings) -> Iterator[None]:
    """Be the only service of a ledger folder: another one would take this one's jobs for interrupted ones."""
    check_layout(settings)
    try:
        descriptor = os.open(settings.home / "serve.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise LedgerFolderError(f"{settings.home}: cannot be written: {error.strerror}") from error
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise LedgerFolderError(
                f"{settings.home}: another service is using this ledger folder"
            ) from error
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
    config = uvicorn.Config(
        create_app(settings),
        log_level="warning",
        timeout_graceful_shutdown=SHUTDOWN_S,
        server_header=False,
        proxy_headers=False,  # `protection` believes the proxies that are set, and no others
        lifespan="on",
    )
    return uvicorn.Server(config)
