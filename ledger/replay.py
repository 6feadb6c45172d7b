"""Replaying a log: everything that its entries must be to each other, judged by somebody who only has them.

What `fsck` does on the database, for mirrors and monitors: entries in order, their signatures under the keys
that the log itself has added, each asset's history without a gap, the rules of custody, and the map of heads
of every anchor computed again. The first fault ends it. Whether the entries are those of a signed checkpoint
is for `tilereader` to say.
"""

from __future__ import annotations

from collections import deque

from .anchor import Anchor, read_anchor
from .custody import NEW_ASSET, AssetState, Custody, check_event
from .errors import LedgerError, ProofError
from .event import Event, Head, Place, open_event
from .headmap import HeadMap, Mention
from .merkle import leaf_hash
from .predicate import ANCHORED
from .register import EMPTY_REGISTER, Register

REMEMBERED_SIZES = 10_000
"""How far back an anchor may speak; one is made of the newest entries and stands right after them."""


class Replay:
    """What a log of one origin has come to after the entries taken in."""

    def __init__(self, origin: str) -> None:
        self.register: Register = EMPTY_REGISTER
        self.anchors = 0
        self._origin = origin
        self._heads: dict[str, Head] = {}
        self._states: dict[str, AssetState] = {}
        self._map = HeadMap()
        self._measured: deque[Anchor] = deque(maxlen=REMEMBERED_SIZES)
        self._measure()

    @property
    def size(self) -> int:
        """Entries taken in so far."""
        return self._map.size

    @property
    def assets(self) -> int:
        """Assets that they are about, `keys` and `log` among them."""
        return len(self._heads)

    def take(self, entry: bytes) -> None:
        """Judge the next entry; ProofError names it when it may not stand there."""
        index = self.size
        try:
            event = open_event(entry, self.register.public_keys())
            self._check_place(event.place)
            self._check_anchor(event, index)
            state = self._states.get(event.place.asset, NEW_ASSET)
            after = check_event(Custody(self.register, state), event, index)
        except LedgerError as error:
            raise ProofError(f"entry {index}: {error}") from error
        asset, leaf = event.place.asset, leaf_hash(entry)
        self.register, self._states[asset] = after.register, after.asset
        self._heads[asset] = Head(event.place.n, leaf)
        digests = tuple(item.sha256 for item in event.statement.subjects)
        self._map.advance([Mention(index, leaf, asset, digests)])
        self._measure()

    def _check_place(self, place: Place) -> None:
        expected = Place.after(self._origin, place.asset, self._heads.get(place.asset))
        if place != expected:
            raise ProofError(
                f"expected event {expected.n} of {place.asset} in the log {self._origin}, "
                f"got event {place.n} in {place.origin}, or one after another event"
            )

    def _check_anchor(self, event: Event, index: int) -> None:
        if event.statement.predicate_type != ANCHORED:
            return
        anchor = read_anchor(event, index)
        back = index - anchor.size
        if back >= len(self._measured) or self._measured[-1 - back] != anchor:
            raise ProofError(
                f"anchor of {anchor.size} entries: expected the map of one of the last "
                f"{len(self._measured)} sizes, got {anchor.heads_root.hex()} over {anchor.keys} keys"
            )
        self.anchors += 1

    def _measure(self) -> None:
        self._measured.append(Anchor(self._map.size, self._map.root(), self._map.keys))
