"""Reading a log from its tiles alone, as a stranger does: nothing fetched is believed before it is proven.

The caller says how a resource is fetched: from a folder, over HTTP, or out of a dictionary. Partial tiles may
be gone once the full tile is there (c2sp.org/tlog-tiles), so the full one is the second try.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from . import merkle
from .checkpoint import Checkpoint, open_checkpoint
from .errors import NotFoundError, ProofError
from .proof import TlogProof, format_proof
from .tiles import (
    ENTRIES,
    HEIGHT,
    MAX_LEVEL,
    WIDTH,
    Tile,
    decode_entries,
    find_tile,
    format_path,
    split_hashes,
)

Fetch = Callable[[str], bytes]
"""Return the resource at a path below the log's prefix, `checkpoint` or `tile/...`; NotFoundError if none."""


@dataclass(frozen=True)
class TileLog:
    """A log as its tiles show it: how they are fetched, and a verified checkpoint with its note."""

    fetch: Fetch
    checkpoint: Checkpoint
    note: bytes


def open_tile_log(fetch: Fetch, origin: str, vkey: str) -> TileLog:
    """Fetch and verify a log's checkpoint; errors as `open_checkpoint`."""
    note = fetch("checkpoint")
    return TileLog(fetch, open_checkpoint(note, origin, vkey), note)


def prove_entry(log: TileLog, index: int) -> tuple[bytes, bytes]:
    """Return an entry and its proof as a C2SP tlog-proof, both made from tiles and checked.

    Raises
    ------
    NotFoundError : no such entry at the checkpoint's size
    ProofError, FormatError : the tiles are not those of the checkpoint
    """
    size = log.checkpoint.size
    bundle = find_tile(ENTRIES, index // WIDTH, size)
    if bundle is None or not bundle.start <= index < bundle.start + bundle.width:
        raise NotFoundError(f"the log has no entry {index} under a checkpoint of size {size}")
    entry = fetch_entries(log.fetch, bundle)[index - bundle.start]
    path = merkle.inclusion_proof(tile_reader(log.fetch, size), index, size)
    merkle.check_inclusion(index, size, merkle.leaf_hash(entry), path, log.checkpoint.root)
    return entry, format_proof(TlogProof(index, path, log.note))


def check_growth(log: TileLog, older: Checkpoint) -> None:
    """Raise ProofError unless the log has grown from an older checkpoint that the caller kept."""
    newer = log.checkpoint
    if older.size > newer.size:
        raise ProofError(f"a checkpoint of size {older.size} exists, but the log shows only {newer.size}")
    if older.size == 0:
        return  # every log has grown from nothing
    proof = merkle.consistency_proof(tile_reader(log.fetch, newer.size), older.size, newer.size)
    merkle.check_consistency(older.size, newer.size, older.root, newer.root, proof)


def check_tiles(log: TileLog, take: Callable[[bytes], None] | None = None) -> None:
    """Check a whole log: entries give their leaf hashes, tiles follow from those below, all give the root.

    Parameters
    ----------
    take : is given every entry in order, before it is known that they give the root

    Raises
    ------
    ProofError : they do not; the message names the first entry or tile to blame
    FormatError, NotFoundError : a resource has not the length that it must have, or is missing
    """
    size = log.checkpoint.size
    edge: dict[str, bytes] = {}  # the rightmost tile of each level, as checked

    def check_tile(tile: Tile, expected: Sequence[bytes]) -> bytes:
        stored = fetch_hashes(log.fetch, tile)
        for position, (found, computed) in enumerate(zip(stored, expected, strict=True), start=tile.start):
            if found != computed:
                below = Tile(tile.level - 1, position) if tile.level else None
                name = format_path(below) if below else f"entry {position}"
                raise ProofError(f"{name} does not give its hash in {format_path(tile)}")
        edge[format_path(tile)] = b"".join(stored)
        return fold_complete(stored) if tile.width == WIDTH else b""

    hashes: list[bytes] = []  # over the full tiles of the level below
    for index in range(-(-size // WIDTH)):
        bundle = find_tile(ENTRIES, index, size)
        assert bundle is not None
        edge.clear()
        entries = fetch_entries(log.fetch, bundle)
        leaves = [merkle.leaf_hash(entry) for entry in entries]
        hashes.append(check_tile(Tile(0, index, bundle.width), leaves))
        if take is not None:
            for entry in entries:
                take(entry)
    for level in range(1, MAX_LEVEL + 1):
        full = [item for item in hashes if item]
        hashes = [
            check_tile(
                Tile(level, start // WIDTH, len(full[start : start + WIDTH])), full[start : start + WIDTH]
            )
            for start in range(0, len(full), WIDTH)
        ]
    root = merkle.read_root(tile_reader(edge.__getitem__, size), size)
    if root != log.checkpoint.root:
        raise ProofError(f"the entries do not give the root of the checkpoint of size {size}")


def tile_reader(fetch: Fetch, size: int) -> merkle.Reader:
    """Return a `merkle.Reader` over the tiles of a log of `size` entries; each tile is fetched once.

    Its hashes are not verified: whoever builds a proof of them checks that against a signed root.
    """
    found: dict[Tile, list[bytes]] = {}

    def read_node(level: int, position: int) -> bytes:
        depth = level % HEIGHT
        start, stop = position << depth, (position + 1) << depth
        tile = find_tile(level // HEIGHT, start // WIDTH, size)
        if tile is None or stop > tile.start + tile.width:
            raise ProofError(f"node {position} of level {level} is not in a log of {size} entries")
        if tile not in found:
            found[tile] = fetch_hashes(fetch, tile)
        return fold_complete(found[tile][start - tile.start : stop - tile.start])

    return lambda coordinates: [read_node(*coordinate) for coordinate in coordinates]


def fold_complete(hashes: Sequence[bytes]) -> bytes:
    """Return the hash over a complete subtree given by 2^k hashes of one level."""
    folded = list(hashes)
    while len(folded) > 1:
        folded = [merkle.node_hash(folded[i], folded[i + 1]) for i in range(0, len(folded), 2)]
    return folded[0]


def fetch_hashes(fetch: Fetch, tile: Tile) -> list[bytes]:
    """Return the hashes of a tile, from the full tile where the partial one is gone."""
    try:
        return split_hashes(tile, fetch(format_path(tile)))
    except NotFoundError:
        if tile.width == WIDTH:
            raise
        full = Tile(tile.level, tile.index)
        return split_hashes(full, fetch(format_path(full)))[: tile.width]


def fetch_entries(fetch: Fetch, bundle: Tile) -> list[bytes]:
    """Return the entries of a bundle, from the full bundle where the partial one is gone."""
    try:
        return decode_entries(bundle, fetch(format_path(bundle)))
    except NotFoundError:
        if bundle.width == WIDTH:
            raise
        full = Tile(ENTRIES, bundle.index)
        return decode_entries(full, fetch(format_path(full)))[: bundle.width]
