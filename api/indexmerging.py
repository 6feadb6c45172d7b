"""Which segments of the index are merged, and when.

Of one kind, each segment is to be larger than all smaller ones together: then there are no more than the
catalogue has doublings, and a posting is rewritten once for each. Segments of up to SMALL_BYTES are merged
at once when a recording is added. Larger ones are merged beside that, since it takes as long as reading and
writing them does: by the service (`api.indextending`), or at the end of a command that adds.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from watermark.identity.segment import MAX_POSITION, Segment

from .fingerprints import SegmentRow

SMALL_BYTES = 32 << 20
# Below this all are merged: the least that is worth a look-up of its own.
LEAST_BYTES = 2 << 20


@dataclass(frozen=True, eq=False)
class HeldSegment:
    """A segment and its file's name and digest, which are empty as long as it is only in memory."""

    name: str
    sha256: str
    recordings: int
    segment: Segment

    @property
    def bytes(self) -> int:
        """How large its postings are."""
        return 8 * self.segment.postings.size

    @property
    def small(self) -> bool:
        """Whether it is merged at once."""
        return self.bytes <= SMALL_BYTES

    def make_row(self) -> SegmentRow:
        """Return its row."""
        return SegmentRow(name=self.name, sha256=self.sha256, recordings=self.recordings)


def choose_segments(held: Sequence[HeldSegment], *, small: bool | None) -> list[HeldSegment]:
    """Return segments of one kind that are to be merged: small ones, large ones, or None for any; none if
    all is well.
    """
    kinds: dict[str, list[HeldSegment]] = {}
    for item in held:
        if small is None or small == item.small:
            kinds.setdefault(item.segment.kind.name, []).append(item)
    for some in kinds.values():
        frames = [item.segment.end for item in some]
        group = choose_group([item.bytes for item in some], frames, least=LEAST_BYTES)
        if group:
            return [some[k] for k in group]
    return []


def choose_group(sizes: Sequence[int], frames: Sequence[int], *, least: int) -> list[int]:
    """Return which segments are merged into one, by their places in the sequences; none if all is well.

    Parameters
    ----------
    sizes : bytes of each segment
    frames : lengths of their time lines, of which one segment can hold so much
    least : int
        Segments of up to so many bytes are merged whatever the others' sizes.
    """
    order = sorted(range(len(sizes)), key=lambda k: (sizes[k], k))
    chosen, below, length = 0, 0, 0
    for count, k in enumerate(order):
        length += frames[k]
        if length >= MAX_POSITION:
            break
        if count and sizes[k] <= max(below, least):
            chosen = count + 1
        below += sizes[k]
    return order[:chosen]
