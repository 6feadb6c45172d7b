"""Proofs about a part of the tree: the leaves [start, end) and their own root.

A subtree is valid when `start` is a multiple of the smallest power of two >= end - start, so that its hash is
computed as the tree itself computes it (draft-ietf-plants-merkle-tree-certs-03, section 4.1). C2SP witnesses
sign such subtrees, which gives every entry of one batch a path to the batch alone. A consistency proof of
RFC 6962 is the case start = 0.
"""

from __future__ import annotations

from collections.abc import Sequence

from .errors import ProofError
from .merkle import (
    EMPTY_ROOT,
    HASH_BYTES,
    Range,
    Reader,
    check_inclusion,
    node_hash,
    read_ranges,
)


def is_subtree(start: int, end: int) -> bool:
    """Tell whether [start, end) is a valid subtree; the empty one at any start is."""
    if not 0 <= start <= end:
        return False
    return start == end or start % (1 << (end - start - 1).bit_length()) == 0


def subtree_ranges(start: int, end: int, size: int) -> list[Range]:
    """Return the leaf ranges whose hashes prove [start, end) to be a part of the tree of `size`.

    SUBTREE_SUBPROOF of the draft, section 4.4.1, from the root down.
    """
    if not is_subtree(start, end) or not start < end <= size:
        raise ValueError(f"expected a non-empty subtree of a tree of {size}, got [{start}, {end})")
    ranges: list[Range] = []
    left, right = 0, size
    known = True  # the range reached is the subtree itself, whose hash the checker has
    while (left, right) != (start, end):
        split = left + (1 << ((right - left - 1).bit_length() - 1))
        if end <= split:
            ranges.append((split, right))
            right = split
        else:
            ranges.append((left, split))
            if start < split:  # the subtree lies on both sides: what remains is its right part
                start, known = split, False
            left = split
    if not known:
        ranges.append((left, right))
    return ranges[::-1]


def subtree_proof(read: Reader, start: int, end: int, size: int) -> tuple[bytes, ...]:
    """Return the proof that [start, end) is a part of the tree of `size`; ValueError if it is no subtree."""
    return read_ranges(read, subtree_ranges(start, end, size))


def check_subtree_inclusion(
    index: int, start: int, end: int, leaf: bytes, proof: Sequence[bytes], expected_root: bytes
) -> None:
    """Raise ProofError unless the path leads from leaf `index` to the root of the subtree (section 4.3)."""
    if not is_subtree(start, end) or not start <= index < end:
        raise ProofError(f"subtree inclusion: expected an index of a subtree, got {index}, [{start}, {end})")
    check_inclusion(index - start, end - start, leaf, proof, expected_root)


def check_subtree(
    start: int, end: int, size: int, subtree_root: bytes, root: bytes, proof: Sequence[bytes]
) -> None:
    """Raise ProofError unless the subtree [start, end) is a part of the tree (section 4.4.3).

    The empty subtree belongs to every tree: its root alone is compared.
    """
    if not is_subtree(start, end) or end > size:
        raise ProofError(f"subtree: expected a subtree of a tree of {size}, got [{start}, {end})")
    if start == end:
        if proof or subtree_root != EMPTY_ROOT:
            raise ProofError("subtree: expected the empty root and no hashes for the empty subtree")
        return
    hashes = list(proof)
    first, last, end_of_tree = start, end - 1, size - 1
    while first != last and (last & 1 or last == end_of_tree):
        first, last, end_of_tree = first >> 1, last >> 1, end_of_tree >> 1
    if first == last:  # the subtree is a node of the tree
        hashes.insert(0, subtree_root)
    if not hashes or any(len(item) != HASH_BYTES for item in hashes[1:]):
        raise ProofError(f"subtree: expected a proof of hashes of {HASH_BYTES} bytes for [{start}, {end})")
    part = whole = hashes[0]
    for sibling in hashes[1:]:
        if end_of_tree == 0:
            raise ProofError(f"subtree: proof of [{start}, {end}) in {size} is too long")
        if last & 1 or last == end_of_tree:
            if first < last:
                part = node_hash(sibling, part)
            whole = node_hash(sibling, whole)
            while last and not last & 1:
                first, last, end_of_tree = first >> 1, last >> 1, end_of_tree >> 1
        else:
            whole = node_hash(whole, sibling)
        first, last, end_of_tree = first >> 1, last >> 1, end_of_tree >> 1
    if end_of_tree != 0:
        raise ProofError(f"subtree: proof of [{start}, {end}) in {size} is too short")
    for name, computed, expected in (("subtree", part, subtree_root), ("tree", whole, root)):
        if computed != expected:
            raise ProofError(f"subtree: expected {name} root {expected.hex()}, got {computed.hex()}")
