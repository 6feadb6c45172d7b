"""Tiles (c2sp.org/tlog-tiles): the log as a finite set of files that any web server or object store can hold.

    tile/0/x001/x234/067          256 leaf hashes, 8,192 bytes: tile 1,234,067 of level 0
    tile/1/000.p/17               17 hashes, each over a full tile of level 0
    tile/entries/000.p/112        the first 112 entries, each after its length as a big-endian uint16

The n-th tile of level l holds the hashes of 256 full subtrees of 256^l leaves. A partial tile (`.p/` and its
width) is the start of the full one that will follow it. Nothing changes once written.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from .errors import FormatError, NotFoundError
from .merkle import HASH_BYTES, Coordinate

HEIGHT = 8
WIDTH = 1 << HEIGHT
MAX_LEVEL = 63
MAX_ENTRY_BYTES = 0xFFFF
MAX_TILE_BYTES = WIDTH * (2 + MAX_ENTRY_BYTES)
"""Of an entry bundle; a tile of hashes has 8,192 bytes at most."""
ENTRIES = -1
"""The level of entry bundles, which are written `entries`."""
_PATH = re.compile(
    r"tile/(?P<level>0|[1-9][0-9]?|entries)/(?P<groups>(?:x[0-9]{3}/)*)(?P<last>[0-9]{3})"
    r"(?:\.p/(?P<width>[1-9][0-9]{0,2}))?",
    re.ASCII,
)


@dataclass(frozen=True)
class Tile:
    """One resource: level (or ENTRIES), index within the level, and width, 1 to 256."""

    level: int
    index: int
    width: int = WIDTH

    def __post_init__(self) -> None:
        if not (
            ENTRIES <= self.level <= MAX_LEVEL and 0 <= self.index < 1 << 63 and 1 <= self.width <= WIDTH
        ):
            raise FormatError(f"expected a tile of level 0 to {MAX_LEVEL} and width 1 to {WIDTH}, got {self}")

    @property
    def start(self) -> int:
        """Position of its first hash (or entry) within its level."""
        return self.index * WIDTH

    @property
    def covered(self) -> int:
        """Entries that the log has when this tile exists: the smallest such size."""
        return (self.start + self.width) << HEIGHT * max(self.level, 0)


class TileSource(Protocol):
    """What tiles are read from; a `Store` is one."""

    def nodes(self, coordinates: Sequence[Coordinate]) -> Sequence[bytes]:
        """Return the stored hashes of full subtrees."""

    def entries(self, start: int, stop: int) -> list[bytes]:
        """Return the entries [start, stop)."""


def format_path(tile: Tile) -> str:
    """Return the path of a tile below the log's prefix."""
    groups = [f"{tile.index % 1000:03d}"]
    rest = tile.index // 1000
    while rest:
        groups.append(f"x{rest % 1000:03d}")
        rest //= 1000
    level = "entries" if tile.level == ENTRIES else str(tile.level)
    suffix = "" if tile.width == WIDTH else f".p/{tile.width}"
    return f"tile/{level}/{'/'.join(reversed(groups))}{suffix}"


def parse_path(path: str) -> Tile:
    """Parse a path; FormatError unless `format_path` gives it back."""
    match = _PATH.fullmatch(path)
    if match is None or len(path) > 100:
        raise FormatError(f"tile path: expected tile/LEVEL/INDEX[.p/WIDTH], got {path!r:.120}")
    level = ENTRIES if match["level"] == "entries" else int(match["level"])
    index = int(match["groups"].replace("x", "").replace("/", "") + match["last"])
    tile = Tile(level, index, int(match["width"] or WIDTH))
    if format_path(tile) != path:
        raise FormatError(f"tile path: expected {format_path(tile)}, got {path!r:.120}")
    return tile


def find_tile(level: int, index: int, size: int) -> Tile | None:
    """Return the tile as it is in a log of `size` entries, full or partial, or None where it is empty."""
    width = min((size >> HEIGHT * max(level, 0)) - index * WIDTH, WIDTH)
    return Tile(level, index, width) if width > 0 else None


def list_tiles(size: int, *, since: int = 0) -> list[Tile]:
    """Return the tiles of a log of `size` entries that it did not have at the size `since`."""
    if not 0 <= since <= size:
        raise ValueError(f"expected 0 <= since <= size, got {since} and {size}")
    tiles = []
    for level in (ENTRIES, *range(MAX_LEVEL + 1)):
        shift = HEIGHT * max(level, 0)
        old, new = since >> shift, size >> shift
        if old == new:
            continue
        for index in range(old // WIDTH, -(-new // WIDTH)):
            tile = find_tile(level, index, size)
            assert tile is not None
            tiles.append(tile)
    return tiles


def tile_coordinates(tile: Tile) -> list[Coordinate]:
    """Return the tree nodes whose hashes make up a tile of hashes."""
    if tile.level == ENTRIES:
        raise ValueError("an entry bundle holds entries, not hashes")
    return [(tile.level * HEIGHT, tile.start + i) for i in range(tile.width)]


def read_tile(source: TileSource, tile: Tile, size: int) -> bytes:
    """Return the bytes of a tile of a log of `size` entries; NotFoundError if it does not reach so far."""
    if tile.covered > size:
        raise NotFoundError(f"a log of {size} entries does not reach {format_path(tile)}")
    if tile.level == ENTRIES:
        return encode_entries(source.entries(tile.start, tile.start + tile.width))
    return b"".join(source.nodes(tile_coordinates(tile)))


def split_hashes(tile: Tile, content: bytes) -> list[bytes]:
    """Return the hashes of a tile; FormatError when it has not the length that its width asks for."""
    if len(content) != tile.width * HASH_BYTES:
        raise FormatError(
            f"{format_path(tile)}: expected {tile.width * HASH_BYTES} bytes, got {len(content)}"
        )
    return [content[start : start + HASH_BYTES] for start in range(0, len(content), HASH_BYTES)]


def encode_entries(entries: Sequence[bytes]) -> bytes:
    """Return an entry bundle; FormatError for an entry beyond 65,535 bytes."""
    for entry in entries:
        if len(entry) > MAX_ENTRY_BYTES:
            raise FormatError(
                f"entry bundle: expected entries of at most {MAX_ENTRY_BYTES} bytes, got {len(entry)}"
            )
    return b"".join(len(entry).to_bytes(2, "big") + entry for entry in entries)


def decode_entries(tile: Tile, content: bytes) -> list[bytes]:
    """Return the entries of a bundle; FormatError unless it holds exactly as many as its width says."""
    entries = []
    position = 0
    while position < len(content):
        length = int.from_bytes(content[position : position + 2], "big")
        entry = content[position + 2 : position + 2 + length]
        if position + 2 > len(content) or len(entry) < length:
            raise FormatError(f"{format_path(tile)}: the entry at byte {position} is cut off")
        entries.append(entry)
        position += 2 + length
    if len(entries) != tile.width:
        raise FormatError(f"{format_path(tile)}: expected {tile.width} entries, got {len(entries)}")
    return entries
