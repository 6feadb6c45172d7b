"""Where a collection's files come from: a folder here; others fetch (`urlcollection`, `storecollection`).

A collection lists its items, and holds one of them open as a path for as long as it is worked on. It goes to
worker processes as it is, so it has no open connection in it.
"""

import contextlib
import os
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from .dataset import Item, list_items, open_item

CHANGED = "changed-meanwhile"
FETCHED_NAME = "fetched"
"""Folder, in the output, of what was fetched and is being worked on."""


class ItemError(Exception):
    """An item cannot be had; `code` says why, `passing` whether it may be had another time."""

    def __init__(self, code: str, *, passing: bool = False) -> None:
        super().__init__(code)
        self.code = code
        self.passing = passing


class Collection(Protocol):
    """Files to be gone through. `near` says whether reading one again costs little."""

    @property
    def name(self) -> str:
        """What it is called in a manifest."""

    @property
    def near(self) -> bool:
        """Whether files can be read several times: those of a folder can, those of a network are not."""

    def list_items(self) -> list[Item]:
        """Return what there is, in the order of the paths' bytes."""

    def hold(self, item: Item) -> contextlib.AbstractContextManager[Path]:
        """Give a path to an item's bytes; ItemError where they cannot be had."""


@dataclass(frozen=True)
class FolderCollection:
    """The files in a folder and below; `leave_out` are folders that are not looked into."""

    folder: Path
    leave_out: tuple[Path, ...] = ()
    near: bool = True

    @property
    def name(self) -> str:
        """The folder's own name."""
        return self.folder.absolute().name

    def list_items(self) -> list[Item]:
        """Return everything in the folder; OSError where it cannot be read itself."""
        return list_items(self.folder, leave_out=self.leave_out)

    @contextlib.contextmanager
    def hold(self, item: Item) -> Iterator[Path]:
        """Open an item and give a path to exactly that open file, whatever happens to its name."""
        descriptor = open_item(os.fsencode(self.folder.absolute()), item.path)
        try:
            _check_same(descriptor, item)
            yield Path(f"/proc/self/fd/{descriptor}")
            _check_same(descriptor, item)
        finally:
            os.close(descriptor)


def _check_same(descriptor: int, item: Item) -> None:
    found = os.fstat(descriptor)
    if (found.st_size, found.st_mtime_ns) != (item.size, item.mtime_ns):
        raise ItemError(CHANGED, passing=True)


@contextlib.contextmanager
def keep_fetched(folder: Path, chunks: Iterable[bytes], *, max_bytes: int) -> Iterator[Path]:
    """Give a path to what comes in chunks, as long as it is worked on; ItemError beyond a limit in bytes."""
    place = folder / FETCHED_NAME
    place.mkdir(exist_ok=True)
    with tempfile.NamedTemporaryFile(dir=place) as file:
        size = 0
        for chunk in chunks:
            size += len(chunk)
            if size > max_bytes:
                raise ItemError("too-large")
            file.write(chunk)
        file.flush()
        yield Path(file.name)


def sort_items(items: Sequence[Item]) -> list[Item]:
    """Return items in the order of their paths' bytes."""
    return sorted(items, key=lambda item: item.path)
