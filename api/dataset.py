"""What lies in a folder of strangers' files: every regular file, and what is left alone and why.

Symbolic links are never followed, nor is anything opened that is no regular file. Names are bytes: they need
not be Unicode. In rows a name is text, with `path_hex` beside it where the text is not the name.
"""

import os
import stat
from collections.abc import Sequence, Set
from dataclasses import dataclass
from pathlib import Path
from typing import Any

FILE, SYMLINK, SPECIAL, NO_ACCESS = "file", "symlink", "special", "no-access"
"""Kinds of items; all but the first are listed and left alone."""
HIDDEN = "hidden"
"""A folder that was to be left out: it is not listed."""


@dataclass(frozen=True)
class Item:
    """One entry of a folder: its path within, its kind, and what tells whether it was changed meanwhile."""

    path: bytes
    kind: str
    size: int = 0
    mtime_ns: int = 0

    @property
    def identity(self) -> list[Any]:
        """What a journal remembers it by."""
        return [self.path.hex(), self.size, self.mtime_ns]


@dataclass(frozen=True)
class Heard:
    """A file that was listened to, and the SHA-256 of its samples in hex."""

    item: Item
    pcm_sha256: str

    @property
    def path(self) -> bytes:
        """Its path within."""
        return self.item.path


def list_items(folder: Path, *, leave_out: Sequence[Path] = ()) -> list[Item]:
    """Return everything in a folder and below, in the order of the paths' bytes, folders themselves left out.

    Parameters
    ----------
    folder
        Where to look; a link here is followed.
    leave_out
        Folders that are not looked into, such as the one that is written into.

    Raises
    ------
    OSError
        The folder itself cannot be read.
    """
    hidden = {(found.st_dev, found.st_ino) for path in leave_out if (found := _stat(path)) is not None}
    root = os.fsencode(folder)
    items: list[Item] = []
    pending = [b""]
    while pending:
        inside = pending.pop()
        try:
            with os.scandir(os.path.join(root, inside) if inside else root) as entries:  # noqa: PTH118  # bytes
                for entry in entries:
                    path = inside + b"/" + entry.name if inside else entry.name
                    item = _describe(path, entry, hidden)
                    if item is None:
                        pending.append(path)
                    elif item.kind != HIDDEN:
                        items.append(item)
        except OSError:
            if not inside:
                raise
            items.append(Item(inside, NO_ACCESS))
    return sorted(items, key=lambda item: item.path)


def _describe(path: bytes, entry: "os.DirEntry[bytes]", hidden: Set[tuple[int, int]]) -> Item | None:
    """Return what an entry is; None for a folder that is to be looked into."""
    try:
        found = entry.stat(follow_symlinks=False)
    except OSError:
        return Item(path, NO_ACCESS)  # gone since it was listed, perhaps
    if stat.S_ISLNK(found.st_mode):
        return Item(path, SYMLINK)
    if stat.S_ISDIR(found.st_mode):
        return Item(path, HIDDEN) if (found.st_dev, found.st_ino) in hidden else None
    if not stat.S_ISREG(found.st_mode):
        return Item(path, SPECIAL)
    return Item(path, FILE, found.st_size, found.st_mtime_ns)


def _stat(path: Path) -> os.stat_result | None:
    try:
        return path.stat()
    except OSError:
        return None


def format_path(path: bytes) -> dict[str, str]:
    """Return a path as members of a row: `path`, and `path_hex` where it is not UTF-8."""
    try:
        return {"path": path.decode("utf-8")}
    except UnicodeDecodeError:
        return {"path": path.decode("utf-8", "backslashreplace"), "path_hex": path.hex()}


def parse_path(row: dict[str, Any]) -> bytes:
    """Return the path that `format_path` wrote."""
    return bytes.fromhex(row["path_hex"]) if "path_hex" in row else str(row["path"]).encode("utf-8")


def open_item(root: bytes, path: bytes) -> int:
    """Open a regular file for reading without following a link in its place; return the descriptor.

    Raises
    ------
    OSError
        It cannot be opened, or is no regular file any more.
    """
    # Non-blocking: a pipe put in its place must not hold us.
    flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
    descriptor = os.open(os.path.join(root, path), flags)  # noqa: PTH118  # bytes
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise OSError(f"not a regular file: {path!r:.200}")
    return descriptor
