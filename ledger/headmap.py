"""The map of heads in memory: brought up to date entry by entry, hashed again only where something changed.

Records lie in 65,536 buckets by the first two bytes of their key, each a sorted run of 72-byte records; the
hashes above the buckets are kept. So a million keys take about 80 MB, and a change costs one bucket and 16
nodes. What the hashes are is defined in `heads`; this is only a way to have them quickly.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from .heads import (
    EMPTY,
    HASH_BYTES,
    HeadProof,
    HeadRecord,
    asset_key,
    digest_key,
    hash_node,
    hash_records,
    read_bit,
)

BUCKET_BITS = 16
RECORD_BYTES = 2 * HASH_BYTES + 8


@dataclass(frozen=True)
class Mention:
    """One entry as the map sees it: its index, leaf hash, asset, and the digests that it is about."""

    index: int
    leaf_hash: bytes
    asset: str
    digests: tuple[bytes, ...]


@dataclass(frozen=True)
class _Node:
    """A subtree: its hash, and whether it holds one record alone (its hash is then the record's)."""

    hash: bytes
    single: bool


class HeadMap:
    """The map as of `size` entries."""

    def __init__(self) -> None:
        self.size = 0
        self.keys = 0
        self._buckets: dict[int, bytes] = {}
        self._nodes: list[dict[int, _Node]] = [{} for _ in range(BUCKET_BITS + 1)]
        self._changed: set[int] = set()

    def advance(self, mentions: Iterable[Mention]) -> None:
        """Take in the next entries of the log, in order and without a gap; ValueError otherwise."""
        for mention in mentions:
            if mention.index != self.size:
                raise ValueError(f"expected entry {self.size} next, got {mention.index}")
            # A digest that an entry names twice is one event about it.
            keys = {asset_key(mention.asset), *(digest_key(item) for item in mention.digests)}
            for key in keys:
                self._count(key, mention.leaf_hash)
            self.size += 1

    def root(self) -> bytes:
        """Return the hash of the whole map."""
        self._refresh()
        node = self._nodes[0].get(0)
        return node.hash if node else EMPTY

    def find(self, key: bytes) -> HeadRecord | None:
        """Return the record of a key, or None."""
        return next((item for item in self._read_bucket(_bucket_of(key)) if item.key == key), None)

    def prove(self, key: bytes) -> HeadProof:
        """Return the proof of what the map says of a key, be it there or not."""
        self._refresh()
        siblings: list[bytes] = []
        depth = 0
        bucket = _bucket_of(key)
        while depth < BUCKET_BITS:
            node = self._nodes[depth].get(bucket >> (BUCKET_BITS - depth))
            if node is None or node.single:
                break
            depth += 1
            other = self._nodes[depth].get((bucket >> (BUCKET_BITS - depth)) ^ 1)
            siblings.append(other.hash if other else EMPTY)
        records = self._read_prefix(key, depth)
        while len(records) > 1:
            bit = read_bit(key, depth)
            depth += 1
            siblings.append(hash_records([r for r in records if read_bit(r.key, depth - 1) != bit], depth))
            records = [r for r in records if read_bit(r.key, depth - 1) == bit]
        return HeadProof(records[0] if records else None, tuple(reversed(siblings)))

    def _count(self, key: bytes, head: bytes) -> None:
        bucket = _bucket_of(key)
        content = self._buckets.get(bucket, b"")
        at = _find(content, key)
        old = content[at : at + RECORD_BYTES]
        there = old[:HASH_BYTES] == key
        count = int.from_bytes(old[HASH_BYTES : HASH_BYTES + 8], "big") + 1 if there else 1
        record = key + count.to_bytes(8, "big") + head
        self._buckets[bucket] = content[:at] + record + content[at + (RECORD_BYTES if there else 0) :]
        self.keys += not there
        self._changed.add(bucket)

    def _refresh(self) -> None:
        for bucket in self._changed:
            records = self._read_bucket(bucket)
            self._nodes[BUCKET_BITS][bucket] = _Node(hash_records(records, BUCKET_BITS), len(records) == 1)
        parents = self._changed
        for depth in range(BUCKET_BITS - 1, -1, -1):
            parents = {position >> 1 for position in parents}
            below, here = self._nodes[depth + 1], self._nodes[depth]
            for position in parents:
                left, right = below.get(2 * position), below.get(2 * position + 1)
                alone = left if right is None else right if left is None else None
                if alone is not None and alone.single:
                    here[position] = alone
                else:
                    hashes = (left.hash if left else EMPTY, right.hash if right else EMPTY)
                    here[position] = _Node(hash_node(*hashes), single=False)
        self._changed = set()

    def _read_bucket(self, bucket: int) -> list[HeadRecord]:
        content = self._buckets.get(bucket, b"")
        return [_parse(content[at : at + RECORD_BYTES]) for at in range(0, len(content), RECORD_BYTES)]

    def _read_prefix(self, key: bytes, depth: int) -> list[HeadRecord]:
        """Return the records below a node that is a bucket, holds one record, or is empty."""
        bucket = _bucket_of(key)
        if depth == BUCKET_BITS:
            return self._read_bucket(bucket)
        node = self._nodes[depth].get(bucket >> (BUCKET_BITS - depth))
        if node is None:
            return []
        while depth < BUCKET_BITS:  # go down to the one bucket that holds the one record
            depth += 1
            position = bucket >> (BUCKET_BITS - depth)
            if position not in self._nodes[depth]:
                position ^= 1
            bucket = position << (BUCKET_BITS - depth)
        return self._read_bucket(bucket)


def _bucket_of(key: bytes) -> int:
    return int.from_bytes(key[:2], "big")


def _find(content: bytes, key: bytes) -> int:
    """Return where a key's record is, or is to be put, by bisection."""
    low, high = 0, len(content) // RECORD_BYTES
    while low < high:
        middle = (low + high) // 2
        at = middle * RECORD_BYTES
        if content[at : at + HASH_BYTES] < key:
            low = middle + 1
        else:
            high = middle
    return low * RECORD_BYTES


def _parse(record: bytes) -> HeadRecord:
    count = int.from_bytes(record[HASH_BYTES : HASH_BYTES + 8], "big")
    return HeadRecord(record[:HASH_BYTES], count, record[HASH_BYTES + 8 :])
