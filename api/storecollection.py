"""An object store as a collection, by any address that fsspec knows: s3://bucket/folder, gs://, az://, sftp://.

Needs the extra `stores` (fsspec), and that of the store itself (s3fs, gcsfs ...). Credentials are where the
store's own library looks for them, never here. What speaks plain HTTP is refused: addresses of strangers go
by a policy (`urlcollection`); so are addresses within addresses.
"""

import contextlib
import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .collection import CHANGED, ItemError, keep_fetched, sort_items
from .dataset import FILE, Item
from .errors import RefusedError, SourceError

CHUNK_BYTES = 1 << 20
REFUSED_PROTOCOLS = ("http", "https", "filecache", "simplecache", "blockcache", "reference")
VERSIONS = ("ETag", "etag", "md5Hash", "LastModified", "last_modified", "mtime", "updated")
"""What stores tell of an object by which a change of it shows."""


@dataclass(frozen=True)
class StoreCollection:
    """The objects under an address, copied one by one into `output`."""

    url: str
    output: Path
    max_bytes: int
    near: bool = False

    @property
    def name(self) -> str:
        """The address."""
        return self.url

    def list_items(self) -> list[Item]:
        """Return the objects; SourceError where the store does not answer."""
        system, root = open_store(self.url)
        try:
            found = system.find(root, detail=True)
        except Exception as error:  # every store has errors of its own
            raise SourceError(f"{self.url}: cannot be listed: {error}") from error
        return sort_items([_describe(root, path, facts) for path, facts in found.items()])

    @contextlib.contextmanager
    def hold(self, item: Item) -> Iterator[Path]:
        """Copy an object here and give a path to it; ItemError where it cannot be had, or has changed."""
        if item.size > self.max_bytes:
            raise ItemError("too-large")
        system, root = open_store(self.url)
        path = f"{root.rstrip('/')}/{item.path.decode('utf-8')}"
        with keep_fetched(self.output, _read(system, root, path, item), max_bytes=self.max_bytes) as copied:
            yield copied


def open_store(url: str) -> tuple[Any, str]:
    """Return the file system of an address, and the path in it; RefusedError for what is not taken."""
    protocol = url.split("://", 1)[0].lower()
    if "::" in url or protocol in REFUSED_PROTOCOLS:
        raise RefusedError(f"{url:.200}: not an address of a store that is taken")
    try:
        from fsspec.core import url_to_fs
    except ImportError as error:
        raise RefusedError(
            "stores need fsspec: install provenote with its extra, provenote[stores]"
        ) from error
    try:
        system, root = url_to_fs(url)
    except (ImportError, ValueError) as error:
        raise RefusedError(f"{url:.200}: {error}") from error
    return system, str(root)


def _describe(root: str, path: str, facts: Any) -> Item:
    inside = path.removeprefix(root).lstrip("/") or path.rsplit("/", 1)[-1]
    stated = "/".join(f"{name}={facts[name]}" for name in VERSIONS if facts.get(name) is not None)
    # A journal remembers an item by two numbers: the second is made of whatever the store tells.
    version = int.from_bytes(hashlib.sha256(stated.encode()).digest()[:7], "big")
    return Item(inside.encode("utf-8"), FILE, int(facts.get("size") or 0), version)


def _read(system: Any, root: str, path: str, item: Item) -> Iterator[bytes]:
    try:
        changed = _describe(root, path, system.info(path)) != item
        with system.open(path, "rb") as file:
            while not changed and (chunk := file.read(CHUNK_BYTES)):
                yield chunk
    except FileNotFoundError as error:
        raise ItemError("not-found") from error
    except Exception as error:  # every store has errors of its own
        raise ItemError("fetch-failed", passing=True) from error
    if changed:
        raise ItemError(CHANGED, passing=True)
