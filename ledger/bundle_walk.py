"""The entries of a bundle, one after the other, as the log took them in: what they make of keys and asset."""

from __future__ import annotations

from dataclasses import dataclass, field

from .anchor import Anchor, read_anchor
from .blame import blame
from .bundle_form import Bundle, read_entry
from .checkpoint import Checkpoint
from .custody import NEW_ASSET, AssetState, Custody, check_event
from .errors import BundleError, CustodyError
from .event import KEYS_ASSET, LOG_ASSET, Event, Head, Place, open_event
from .merkle import check_inclusion, leaf_hash
from .paths import split_paths
from .register import EMPTY_REGISTER, Register


@dataclass
class Walk:
    """What is known on the way, in log order.

    Attributes
    ----------
    leaves : index and leaf hash of the entries seen, by asset
    events : index and event of those of the bundle's asset
    anchors : what anchors say, by their index
    """

    origin: str
    asset: str
    register: Register = EMPTY_REGISTER
    state: AssetState = NEW_ASSET
    leaves: dict[str, list[tuple[int, bytes]]] = field(default_factory=dict)
    events: list[tuple[int, Event]] = field(default_factory=list)
    anchors: dict[int, Anchor] = field(default_factory=dict)

    def take(self, index: int, entry: bytes) -> None:
        """Judge one entry that is proven to be in the log."""
        event = open_event(entry, self.register.public_keys())
        self._check_place(event.place)
        after = check_event(Custody(self.register, self.state), event, index)
        self.register = after.register
        asset = event.place.asset
        self.leaves.setdefault(asset, []).append((index, leaf_hash(entry)))
        if asset == self.asset:
            self.state = after.asset
            self.events.append((index, event))
        if asset == LOG_ASSET:
            self.anchors[index] = read_anchor(event, index)

    def is_disputed(self, index: int, event: Event) -> bool:
        """Tell whether a revocation, perhaps a later one, disputes a signature of this event."""
        return any(self.register.records[key_id].is_disputed(index) for key_id in event.key_ids)

    def _check_place(self, place: Place) -> None:
        if place.origin != self.origin or place.asset not in (self.asset, KEYS_ASSET, LOG_ASSET):
            raise CustodyError(
                "order-broken",
                f"expected an event of {self.asset} in the log {self.origin}, got one of {place.asset} "
                f"in {place.origin}",
            )
        if place.asset == LOG_ASSET != self.asset:
            return  # one anchor out of many: its own history is not shown
        seen = self.leaves.get(place.asset, [])
        head = Head(len(seen) - 1, seen[-1][1]) if seen else None
        expected = Place.after(self.origin, place.asset, head)
        if place != expected:
            raise CustodyError(
                "order-broken",
                f"expected event {expected.n} of {place.asset}, got {place.n}, or one after another event",
            )


def walk_entries(form: Bundle, checkpoint: Checkpoint) -> Walk:
    """Judge all entries of a bundle under its checkpoint; BundleError names the first that does not hold."""
    with blame("not-in-log", "bundle"):
        paths = split_paths(form.paths, [item.index for item in form.entries], checkpoint.size)
    walk = Walk(form.origin, form.asset)
    for item in form.entries:
        what = f"entry {item.index}"
        with blame(None, what, item.index):
            entry = read_entry(item)
        with blame("not-in-log", what, item.index):
            path = paths[item.index]
            check_inclusion(item.index, checkpoint.size, leaf_hash(entry), path, checkpoint.root)
        with blame(None, what, item.index):
            walk.take(item.index, entry)
    if not walk.events:
        raise BundleError(f"expected events of {form.asset}, got none", code="order-broken")
    return walk
