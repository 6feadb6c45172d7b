"""A list of addresses as a collection: fetched as a policy allows, and nothing else. Off without a policy.

    {"format": "provenote-url-policy/1",
     "hosts": ["cdn.example.org", "*.media.example.org"],
     "max_bytes": 500000000, "timeout_s": 120, "plain_http": false}

Only hosts of the policy are asked, on their usual ports, by https unless it says otherwise. A name is
resolved here and the connection goes to the address that was looked at, so that no answer of a name server
leads to a private network; redirects are not followed. One address to a line; empty lines and lines that
begin with # are left out.
"""

import contextlib
import ipaddress
import json
import re
import socket
import ssl
import time
import urllib.parse
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpcore

from .collection import ItemError, keep_fetched, sort_items
from .dataset import FILE, Item
from .errors import RefusedError

FORMAT = "provenote-url-policy/1"
MAX_LIST_BYTES, MAX_URL_CHARACTERS, MAX_POLICY_BYTES = 64 << 20, 2048, 64 << 10
CHUNK_WAIT_S = 30.0
NAT64 = ipaddress.ip_network("64:ff9b::/96")
_HOST = re.compile(r"[a-z0-9-]+(\.[a-z0-9-]+)+")


@dataclass(frozen=True)
class UrlPolicy:
    """What may be fetched. `private` lets private networks and other ports through: no file can say so."""

    hosts: tuple[str, ...]
    max_bytes: int = 1 << 30
    timeout_s: int = 300
    plain_http: bool = False
    private: bool = False

    def check(self, url: str) -> urllib.parse.SplitResult:
        """Return an address in its parts; ItemError unless the policy allows it."""
        try:
            parts = urllib.parse.urlsplit(url)
            host, port = parts.hostname or "", parts.port
        except ValueError as error:
            raise ItemError("not-an-address") from error
        if parts.username is not None or not host or len(url) > MAX_URL_CHARACTERS:
            raise ItemError("not-an-address")
        if parts.scheme != "https" and not (parts.scheme == "http" and self.plain_http):
            raise ItemError("refused-by-policy")
        if port is not None and port != {"https": 443, "http": 80}[parts.scheme] and not self.private:
            raise ItemError("refused-by-policy")
        if not any(_matches(host, pattern) for pattern in self.hosts):
            raise ItemError("refused-by-policy")
        return parts


def _matches(host: str, pattern: str) -> bool:
    if pattern.startswith("*."):
        return host.endswith(pattern[1:])
    return host == pattern


def read_url_policy(path: Path) -> UrlPolicy:
    """Return the policy in a file; RefusedError for anything that is not one, to the last member."""
    try:
        content = path.read_bytes()
        document = json.loads(content[: MAX_POLICY_BYTES + 1])
    except (OSError, ValueError, RecursionError) as error:
        raise RefusedError(f"{path}: expected a policy for addresses, in JSON") from error
    return parse_url_policy(document, str(path))


def parse_url_policy(document: Any, path: str) -> UrlPolicy:
    """Return the policy that a JSON document is; RefusedError, that says where it stands, for any other."""
    bounds = {"max_bytes": (1, 1 << 40), "timeout_s": (1, 86_400)}
    known = {"format", "hosts", "plain_http", *bounds}
    if not isinstance(document, dict) or document.get("format") != FORMAT or document.keys() - known:
        raise RefusedError(f"{path}: expected format {FORMAT!r} and members of {', '.join(sorted(known))}")
    hosts = document.get("hosts")
    if not isinstance(hosts, list) or not hosts or not all(_is_host(item) for item in hosts):
        raise RefusedError(f"{path}: expected hosts: names in lower case, *. before those below one")
    for name, (low, high) in bounds.items():
        value = document.get(name, low)
        if isinstance(value, bool) or not isinstance(value, int) or not low <= value <= high:
            raise RefusedError(f"{path}: {name}: expected a number from {low} to {high}")
    if not isinstance(document.get("plain_http", False), bool):
        raise RefusedError(f"{path}: plain_http: expected true or false")
    given = {name: document[name] for name in ("max_bytes", "timeout_s", "plain_http") if name in document}
    return UrlPolicy(tuple(hosts), **given)


def _is_host(value: object) -> bool:
    return isinstance(value, str) and _HOST.fullmatch(value.removeprefix("*.")) is not None


@dataclass(frozen=True)
class UrlCollection:
    """The addresses in a file, fetched one by one into `output`."""

    listing: Path
    policy: UrlPolicy
    output: Path
    near: bool = False

    @property
    def name(self) -> str:
        """The list's name."""
        return self.listing.name

    def list_items(self) -> list[Item]:
        """Return the addresses, each once; RefusedError where the list is none."""
        if self.listing.stat().st_size > MAX_LIST_BYTES:
            raise RefusedError(f"{self.listing}: expected a list of at most {MAX_LIST_BYTES} bytes")
        lines = {line.strip() for line in self.listing.read_bytes().splitlines()}
        return sort_items([Item(line, FILE) for line in lines if line and not line.startswith(b"#")])

    @contextlib.contextmanager
    def hold(self, item: Item) -> Iterator[Path]:
        """Fetch an item and give a path to it; ItemError where that is not allowed, or does not succeed."""
        try:
            url = item.path.decode("ascii")
        except UnicodeDecodeError as error:
            raise ItemError("not-an-address") from error
        self.policy.check(url)
        with contextlib.ExitStack() as stack:
            chunks = fetch(url, self.policy)
            yield stack.enter_context(keep_fetched(self.output, chunks, max_bytes=self.policy.max_bytes))


def fetch(url: str, policy: UrlPolicy) -> Iterator[bytes]:
    """Yield what an address answers with; ItemError for anything but its bytes, in time and within bounds."""
    deadline_s = time.monotonic() + policy.timeout_s
    wait_s = min(CHUNK_WAIT_S, policy.timeout_s)
    timeouts = dict.fromkeys(("connect", "read", "write", "pool"), wait_s)
    backend = GuardedBackend(private=policy.private)
    try:
        with (
            httpcore.ConnectionPool(
                ssl_context=ssl.create_default_context(), network_backend=backend
            ) as pool,
            pool.stream(
                "GET",
                url,
                headers={"accept-encoding": "identity", "user-agent": "provenote"},
                extensions={"timeout": timeouts},
            ) as answer,
        ):
            _check_status(answer.status)
            announced = dict(answer.headers).get(b"content-length", b"")
            if announced.isdigit() and int(announced) > policy.max_bytes:
                raise ItemError("too-large")
            for chunk in answer.iter_stream():
                if time.monotonic() > deadline_s:
                    raise ItemError("too-slow", passing=True)
                yield chunk
    except (httpcore.TimeoutException, httpcore.NetworkError, httpcore.ProtocolError, ssl.SSLError) as error:
        raise ItemError("fetch-failed", passing=True) from error


def _check_status(status: int) -> None:
    if 300 <= status < 400:
        raise ItemError("redirected")
    if status in (404, 410):
        raise ItemError("not-found")
    if status != 200:
        raise ItemError("fetch-failed", passing=status >= 500 or status == 429)


class GuardedBackend(httpcore.NetworkBackend):
    """Connects only to public addresses: it resolves a name itself, and connects to what it has looked at."""

    def __init__(self, *, private: bool = False) -> None:
        self._private = private
        self._plain = httpcore.SyncBackend()

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> httpcore.NetworkStream:
        """Connect to a host; ItemError where one of its addresses is not public, or its name is none."""
        try:
            found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
        except UnicodeError as error:
            raise ItemError("not-an-address") from error  # a label that no name can have
        except OSError as error:
            raise httpcore.ConnectError(str(error)) from error
        addresses = list(dict.fromkeys(str(item[4][0]) for item in found))
        # One private address among them is enough to refuse: the name is not what it seems.
        if not self._private and not all(is_public(address) for address in addresses):
            raise ItemError("private-address")
        return self._plain.connect_tcp(addresses[0], port, timeout, local_address, socket_options)

    def sleep(self, seconds: float) -> None:
        """Wait between two tries to connect."""
        time.sleep(seconds)


def is_public(address: str) -> bool:
    """Say whether an IP address is one of the public Internet; of one that wraps an IPv4 address, both."""
    found = ipaddress.ip_address(address.split("%")[0])
    if isinstance(found, ipaddress.IPv6Address):
        wrapped = found.ipv4_mapped or found.sixtofour
        if found in NAT64:
            wrapped = ipaddress.IPv4Address(int(found) & 0xFFFFFFFF)
        if wrapped is not None and not wrapped.is_global:
            return False
    return found.is_global and not found.is_multicast
