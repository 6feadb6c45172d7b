"""Anchors: the root of the map of heads, written into the log by an operator.

An anchor says: of the first `size` entries of this log, this is the map (`heads`). It stands under the asset
`log`. Every publication is preceded by one, if anything but an anchor has happened since the last.
"""

from __future__ import annotations

import threading
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from typing import Protocol

from .envelope import sign_envelope
from .errors import LedgerError, ProofError
from .event import LOG_ASSET, Event, Place, asset_subject, build_event, parse_event
from .headmap import HeadMap, Mention
from .heads import HeadProof
from .keys import SigningKey
from .predicate import ANCHORED

BATCH = 10_000


class MentionSource(Protocol):
    """The log as the map sees it; a `Store` is one."""

    def mentions(self, start: int, stop: int) -> Sequence[Mention]:
        """Return what the entries [start, stop) are about."""


@dataclass(frozen=True)
class Anchor:
    """What an anchored event says: the root of the map of the first `size` entries, over so many keys."""

    size: int
    heads_root: bytes
    keys: int


def read_anchor(event: Event, index: int) -> Anchor:
    """Return what an anchored event says; ProofError where it speaks of entries beyond itself."""
    predicate = event.statement.predicate
    if event.statement.predicate_type != ANCHORED or event.place.asset != LOG_ASSET:
        raise ProofError(f"expected an anchor under {LOG_ASSET!r}, got {event.statement.predicate_type}")
    if predicate["size"] > index:
        raise ProofError(f"anchor at entry {index} speaks of {predicate['size']} entries")
    return Anchor(predicate["size"], bytes.fromhex(predicate["heads_root"]), predicate["keys"])


def sign_anchor(place: Place, anchor: Anchor, time: str, signing_key: SigningKey) -> bytes:
    """Return the entry of an anchor; `time` is RFC 3339 UTC, the key an operator's."""
    facts = {
        "time": time,
        "size": anchor.size,
        "heads_root": anchor.heads_root.hex(),
        "keys": anchor.keys,
    }
    return sign_envelope(build_event(ANCHORED, place, [asset_subject(LOG_ASSET)], facts), [signing_key])


def list_sizes(entries: Iterable[bytes]) -> frozenset[int]:
    """Return the sizes that anchors among entries speak of; nothing is checked, other entries are skipped."""
    sizes = set()
    for entry in entries:
        try:
            size = parse_event(entry).statement.predicate.get("size")
        except LedgerError:
            continue
        if isinstance(size, int):
            sizes.add(size)
    return frozenset(sizes)


class HeadIndex:
    """The map of a log's heads, kept at the size that was asked for last; safe to share between threads."""

    def __init__(self, source: MentionSource) -> None:
        self._source = source
        self._map = HeadMap()
        self._lock = threading.Lock()

    def measure(self, size: int) -> Anchor:
        """Return what an anchor of the first `size` entries has to say."""
        with self._lock:
            self._move(size)
            return Anchor(size, self._map.root(), self._map.keys)

    def prove(self, size: int, keys: Sequence[bytes]) -> list[HeadProof]:
        """Return the proofs of what the map of the first `size` entries says of each key."""
        with self._lock:
            self._move(size)
            return [self._map.prove(key) for key in keys]

    def _move(self, size: int) -> None:
        if size < self._map.size:
            self._map = HeadMap()
        while self._map.size < size:
            stop = min(size, self._map.size + BATCH)
            mentions = self._source.mentions(self._map.size, stop)
            self._map.advance(mentions)
            if self._map.size != stop:
                raise ProofError(f"expected {size} entries for the map, the log has {self._map.size}")


class AnchorAuditor:
    """Checks every anchor of a log in one pass over its entries; `sizes` are those that anchors speak of."""

    def __init__(self, sizes: Collection[int]) -> None:
        self._map = HeadMap()
        self._found: dict[int, Anchor | None] = dict.fromkeys(sizes)
        self._measure()

    def take(self, mention: Mention) -> None:
        """Take in the next entry."""
        self._map.advance([mention])
        self._measure()

    def check(self, anchor: Anchor) -> None:
        """Raise ProofError unless an anchor, standing after the entries taken in, says what they give."""
        found = self._found.get(anchor.size)
        if found is None:
            raise ProofError(f"anchor of {anchor.size} entries: expected entries before it, or another size")
        if found != anchor:
            raise ProofError(
                f"anchor of {anchor.size} entries: expected the map root {found.heads_root.hex()} over "
                f"{found.keys} keys, got {anchor.heads_root.hex()} over {anchor.keys}"
            )

    def _measure(self) -> None:
        if self._map.size in self._found:
            self._found[self._map.size] = Anchor(self._map.size, self._map.root(), self._map.keys)
