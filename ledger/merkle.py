"""The Merkle tree of RFC 6962 (section 2.1) and its proofs, checked as in RFC 9162 (sections 2.1.3, 2.1.4).

    leaf = SHA-256(0x00 || entry)      node = SHA-256(0x01 || left || right)      empty tree = SHA-256("")

Only the hashes of full subtrees are ever stored: node (level, position) covers the leaves
[position << level, (position + 1) << level). They never change once written, as in
golang.org/x/mod/sumdb/tlog. Every other hash, and every proof, is folded from them; a proof is first a list
of leaf ranges, then one batch of reads:

    inclusion_proof(read, 3, 7) reads ranges [2,3) [0,2) [4,7), the last of them folded from nodes (1,2) and
    (0,6)
"""

from __future__ import annotations

import hashlib
import itertools
from collections.abc import Callable, Iterable, Sequence

from .errors import ProofError

Coordinate = tuple[int, int]
"""(level, position) of a full subtree; level 0 holds the leaf hashes."""
Range = tuple[int, int]
"""Leaves [start, stop)."""
Reader = Callable[[Sequence[Coordinate]], Sequence[bytes]]
"""Storage as the tree sees it: the stored hashes at these coordinates, in their order."""

HASH_BYTES = 32
EMPTY_ROOT = hashlib.sha256(b"").digest()


def leaf_hash(entry: bytes) -> bytes:
    """Return the leaf hash of an entry's exact bytes."""
    return hashlib.sha256(b"\x00" + entry).digest()


def node_hash(left: bytes, right: bytes) -> bytes:
    """Return the hash over two subtrees."""
    return hashlib.sha256(b"\x01" + left + right).digest()


def cover_range(start: int, stop: int) -> list[Coordinate]:
    """Return the full subtrees that make up [start, stop), left to right.

    `start` must be a multiple of the smallest power of two >= stop - start, as in every range of an RFC 6962
    proof.
    """
    coordinates = []
    while start < stop:
        level = (stop - start).bit_length() - 1
        coordinates.append((level, start >> level))
        start += 1 << level
    return coordinates


def fold_hashes(hashes: Sequence[bytes]) -> bytes:
    """Return the hash over subtrees of falling size, left to right; the empty tree's root for none."""
    if not hashes:
        return EMPTY_ROOT
    folded = hashes[-1]
    for left in reversed(hashes[:-1]):
        folded = node_hash(left, folded)
    return folded


def complete_nodes(size: int, frontier: Sequence[bytes], new_leaf: bytes) -> tuple[list[bytes], list[bytes]]:
    """Add one leaf to a tree given by its frontier.

    Parameters
    ----------
    size : leaves before
    frontier : hashes of `cover_range(0, size)`
    new_leaf : leaf hash of entry `size`

    Returns
    -------
    frontier : hashes of `cover_range(0, size + 1)`
    completed : hashes of the full subtrees that end with the new leaf, from level 0 up
    """
    remaining = list(frontier)
    completed = [new_leaf]
    while size & 1:
        completed.append(node_hash(remaining.pop(), completed[-1]))
        size >>= 1
    return [*remaining, completed[-1]], completed


def root(leaf_hashes: Sequence[bytes]) -> bytes:
    """Return the root over leaf hashes by the recursive definition of RFC 6962, section 2.1."""
    if len(leaf_hashes) <= 1:
        return leaf_hashes[0] if leaf_hashes else EMPTY_ROOT
    split = 1 << ((len(leaf_hashes) - 1).bit_length() - 1)
    return node_hash(root(leaf_hashes[:split]), root(leaf_hashes[split:]))


def read_root(read: Reader, size: int) -> bytes:
    """Return the root of the first `size` leaves from stored nodes."""
    return fold_hashes(read(cover_range(0, size)))


def inclusion_ranges(index: int, size: int) -> list[Range]:
    """Return the leaf ranges whose hashes prove leaf `index` in a tree of `size`, leaf to root."""
    if not 0 <= index < size:
        raise ValueError(f"expected an index below the size {size}, got {index}")
    ranges: list[Range] = []
    start, stop = 0, size
    while stop - start > 1:
        split = start + (1 << ((stop - start - 1).bit_length() - 1))
        if index < split:
            ranges.append((split, stop))
            stop = split
        else:
            ranges.append((start, split))
            start = split
    return ranges[::-1]


def consistency_ranges(old_size: int, new_size: int) -> list[Range]:
    """Return the leaf ranges whose hashes prove a tree of `old_size` to be the start of `new_size`."""
    if not 0 < old_size <= new_size:
        raise ValueError(f"expected 0 < old size <= new size, got {old_size} and {new_size}")
    ranges: list[Range] = []
    start, stop = 0, new_size
    while old_size != stop:  # SUBPROOF of RFC 6962, section 2.1.2, from the root down
        split = start + (1 << ((stop - start - 1).bit_length() - 1))
        if old_size <= split:
            ranges.append((split, stop))
            stop = split
        else:
            ranges.append((start, split))
            start = split
    if start > 0:  # otherwise the old tree is the subtree reached, and its root is known to the checker
        ranges.append((start, stop))
    return ranges[::-1]


def cover_proofs(indexes: Iterable[int], size: int) -> list[Coordinate]:
    """Return the nodes that the inclusion proofs of several leaves need, each once."""
    covers = (cover_range(*item) for index in indexes for item in inclusion_ranges(index, size))
    return list(dict.fromkeys(itertools.chain.from_iterable(covers)))


def inclusion_proof(read: Reader, index: int, size: int) -> tuple[bytes, ...]:
    """Return the RFC 6962 audit path of leaf `index` in the tree of `size`; ValueError when index >= size."""
    return read_ranges(read, inclusion_ranges(index, size))


def consistency_proof(read: Reader, old_size: int, new_size: int) -> tuple[bytes, ...]:
    """Return the RFC 6962 consistency proof; empty for equal sizes, ValueError unless 0 < old <= new."""
    return read_ranges(read, consistency_ranges(old_size, new_size))


def check_inclusion(index: int, size: int, leaf: bytes, proof: Sequence[bytes], expected_root: bytes) -> None:
    """Raise ProofError unless the audit path leads from the leaf hash to the root (RFC 9162, 2.1.3.2)."""
    if not 0 <= index < size:
        raise ProofError(f"inclusion: expected an index below the tree size {size}, got {index}")
    _check_lengths([leaf, expected_root, *proof])
    position, last, computed = index, size - 1, leaf
    for sibling in proof:
        if last == 0:
            raise ProofError(
                f"inclusion: proof of {len(proof)} hashes is too long for index {index} of {size}"
            )
        if position & 1 or position == last:
            computed = node_hash(sibling, computed)
            while position and not position & 1:
                position, last = position >> 1, last >> 1
        else:
            computed = node_hash(computed, sibling)
        position, last = position >> 1, last >> 1
    if last != 0:
        raise ProofError(f"inclusion: proof of {len(proof)} hashes is too short for index {index} of {size}")
    if computed != expected_root:
        raise ProofError(
            f"inclusion of {index} in {size}: expected {expected_root.hex()}, got {computed.hex()}"
        )


def check_consistency(
    old_size: int, new_size: int, old_root: bytes, new_root: bytes, proof: Sequence[bytes]
) -> None:
    """Raise ProofError unless the old tree is the start of the new one (RFC 9162, 2.1.4.2).

    Size 0 is refused: everything is consistent with an empty tree, so such a proof would say nothing.
    """
    if not 0 < old_size <= new_size:
        raise ProofError(f"consistency: expected 0 < old size <= new size, got {old_size} and {new_size}")
    if old_size == new_size:
        if proof or old_root != new_root:
            raise ProofError(
                f"consistency: expected equal roots and no hashes between equal sizes {old_size}"
            )
        return
    _check_lengths([old_root, new_root, *proof])
    hashes = list(proof)
    if old_size & (old_size - 1) == 0:
        hashes.insert(0, old_root)
    if not hashes:
        raise ProofError(f"consistency: expected a proof from {old_size} to {new_size}, got none")
    position, last = old_size - 1, new_size - 1
    while position & 1:
        position, last = position >> 1, last >> 1
    old_computed = new_computed = hashes[0]
    for sibling in hashes[1:]:
        if last == 0:
            raise ProofError(f"consistency: proof from {old_size} to {new_size} is too long")
        if position & 1 or position == last:
            old_computed = node_hash(sibling, old_computed)
            new_computed = node_hash(sibling, new_computed)
            while position and not position & 1:
                position, last = position >> 1, last >> 1
        else:
            new_computed = node_hash(new_computed, sibling)
        position, last = position >> 1, last >> 1
    if last != 0:
        raise ProofError(f"consistency: proof from {old_size} to {new_size} is too short")
    for name, computed, expected in (("old", old_computed, old_root), ("new", new_computed, new_root)):
        if computed != expected:
            raise ProofError(f"consistency: expected {name} root {expected.hex()}, got {computed.hex()}")


def read_ranges(read: Reader, ranges: Sequence[Range]) -> tuple[bytes, ...]:
    """Return the hash over each leaf range, all read at once."""
    covers = [cover_range(start, stop) for start, stop in ranges]
    hashes = iter(read(list(itertools.chain.from_iterable(covers))))
    return tuple(fold_hashes(list(itertools.islice(hashes, len(cover)))) for cover in covers)


def _check_lengths(hashes: Sequence[bytes]) -> None:
    if any(len(item) != HASH_BYTES for item in hashes):
        raise ProofError(
            f"expected hashes of {HASH_BYTES} bytes, got {sorted({len(item) for item in hashes})}"
        )
