"""What was found so far: a file of lines that a killed program leaves whole up to its last line.

    {"context": {...}}                                         what findings depend on beside the file
    {"item": ["<path in hex>", size, mtime_ns], "row": {...}}  one for each file

A last line that is cut short is dropped. A journal of another context is begun anew.
"""

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import IO, Any

from .dataset import Item
from .errors import WriteError
from .manifest import Row

SYNC_EVERY = 32
"""Lines between two syncs: what a power cut may cost; what a killed program may cost is nothing."""


class Journal:
    """The findings of a screening; made by `Journal.open`."""

    def __init__(self, path: Path, file: IO[bytes], rows: dict[str, Row]) -> None:
        self._path = path
        self._file = file
        self._rows = rows
        self._unsynced = 0
        self.count = len(rows)

    @classmethod
    def open(cls, path: Path, context: Mapping[str, Any]) -> "Journal":
        """Read a journal of this context, or begin one; WriteError where that cannot be done."""
        try:
            rows, length = _read(path, context)
            file = path.open("r+b" if length else "wb")
            if length:
                file.truncate(length)
                file.seek(length)
        except OSError as error:
            raise WriteError(f"{path}: cannot be written: {error.strerror}") from error
        journal = cls(path, file, rows)
        if not length:
            journal._write({"context": dict(context)})
        return journal

    def __enter__(self) -> "Journal":
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()

    def find(self, item: Item) -> Row | None:
        """Return what was found of a file that has not changed since."""
        return self._rows.get(_name(item))

    def add(self, item: Item, row: Row) -> None:
        """Remember what was found; WriteError when that cannot be written."""
        self._write({"item": item.identity, "row": row})

    def _write(self, line: Mapping[str, Any]) -> None:
        try:
            self._file.write(json.dumps(line, ensure_ascii=True).encode("ascii") + b"\n")
            self._file.flush()
            self._unsynced += 1
            if self._unsynced >= SYNC_EVERY:
                os.fsync(self._file.fileno())
                self._unsynced = 0
        except OSError as error:
            raise WriteError(f"{self._path}: cannot be written: {error.strerror}") from error


def _name(item: Item) -> str:
    return json.dumps(item.identity, separators=(",", ":"))


def _read(path: Path, context: Mapping[str, Any]) -> tuple[dict[str, Row], int]:
    """Return the rows of a journal by item, and how many of its bytes are whole lines; no bytes for none."""
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        return {}, 0
    rows: dict[str, Row] = {}
    length = 0
    for number, line in enumerate(content.split(b"\n")[:-1]):
        try:
            found = json.loads(line)
            if number == 0:
                if found["context"] != dict(context):
                    return {}, 0
            else:
                rows[json.dumps(found["item"], separators=(",", ":"))] = found["row"]
        except (ValueError, KeyError, TypeError):
            break
        length += len(line) + 1
    return rows, length
