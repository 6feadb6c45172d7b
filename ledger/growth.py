"""What one commit adds to the Merkle tree, level by level, so that all its audit paths are ready at once.

A tree of 5 leaves grows by the leaves 5 and 6; in brackets what was there (the frontier), `'` a subtree that
is not full yet, which is never stored:

    level 3            0'
    level 2     [0]    1'
    level 1            2    3'         a lone last node moves up unchanged: 3' is leaf 6
    level 0    [4]  5    6

The audit path of a leaf is its sibling in each level that has one: the walk of RFC 6962, section 2.1.1, read
upwards. One hash for each new node does what a proof computed by itself does with one for each level.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from . import merkle
from .merkle import Coordinate


@dataclass(frozen=True)
class Level:
    """The hashes of one level from the position `start` to the right edge."""

    start: int
    hashes: tuple[bytes, ...]


@dataclass(frozen=True)
class Growth:
    """A tree's growth from `old_size` to `size` leaves; the last level holds the root alone."""

    old_size: int
    size: int
    levels: tuple[Level, ...]
    _tails: dict[Coordinate, tuple[bytes, ...]] = field(
        default_factory=dict, init=False, repr=False, compare=False
    )

    @property
    def root(self) -> bytes:
        """The root at `size`."""
        return self.levels[-1].hashes[0]

    def path(self, index: int) -> tuple[bytes, ...]:
        """Return the audit path of a new leaf in the tree of `size`."""
        if not self.old_size <= index < self.size:
            raise ValueError(f"expected a new leaf from {self.old_size} below {self.size}, got {index}")
        return self._climb(0, index)

    def _climb(self, number: int, position: int) -> tuple[bytes, ...]:
        """Return the siblings from a node up; the paths of two neighbours share all but their first hash."""
        if number == len(self.levels) - 1:
            return ()
        parent = (number + 1, position >> 1)
        above = self._tails.get(parent)
        if above is None:
            above = self._tails[parent] = self._climb(*parent)
        level = self.levels[number]
        sibling = (position ^ 1) - level.start
        return (level.hashes[sibling], *above) if sibling < len(level.hashes) else above

    def nodes(self) -> list[tuple[Coordinate, bytes]]:
        """Return the new full subtrees above the leaves, with their hashes, level by level."""
        found = []
        for number, level in enumerate(self.levels[1:], start=1):
            for position in range(self.old_size >> number, self.size >> number):
                found.append(((number, position), level.hashes[position - level.start]))
        return found

    def frontier(self) -> list[bytes]:
        """Return the hashes of `cover_range(0, size)`."""
        return [
            self.levels[level].hashes[position - self.levels[level].start]
            for level, position in merkle.cover_range(0, self.size)
        ]


def grow_tree(old_size: int, frontier: Sequence[bytes], leaves: Sequence[bytes]) -> Growth:
    """Add leaves to a tree.

    Parameters
    ----------
    old_size : leaves before
    frontier : hashes of `cover_range(0, old_size)`
    leaves : leaf hashes of the entries from `old_size` on; at least one
    """
    if not leaves:
        raise ValueError("expected at least one new leaf")
    left = {
        level: hashed for (level, _), hashed in zip(merkle.cover_range(0, old_size), frontier, strict=True)
    }
    hashes = list(leaves)
    position = old_size
    levels: list[Level] = []
    while True:
        if position & 1:  # then the node to the left is a full subtree of the old tree's edge
            position -= 1
            hashes.insert(0, left[len(levels)])
        levels.append(Level(position, tuple(hashes)))
        if position == 0 and len(hashes) == 1:
            return Growth(old_size, old_size + len(leaves), tuple(levels))
        pairs = zip(hashes[::2], hashes[1::2], strict=False)
        hashes = [*(merkle.node_hash(a, b) for a, b in pairs), *(hashes[-1:] if len(hashes) & 1 else ())]
        position >>= 1
