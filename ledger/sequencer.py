"""Which events come next in the log: each judged on top of all before it, in memory.

For each event, in this order:

1. a draft is built, with its asset's next place; one whose idempotency key is known has its index already
2. an entry whose place in its asset's history is taken by the same bytes has its index already (not so a
   draft's: somebody else has built the same, and there are to be two)
3. form and signatures, by keys that the ledger knows at that place
4. the event rules
5. the place: this log, the asset's next event
6. a key that is added is not the log's own
7. the rules of custody: what may follow what, and who may sign it (`custodian`)

A submission is taken whole or not at all; one that is refused leaves no trace in those after it.
"""

from __future__ import annotations

from collections import ChainMap
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from . import merkle
from .custodian import Custodian
from .ed25519 import Verify
from .errors import EventError, LedgerConflictError, UnknownKeyError
from .event import KEYS_ASSET, Event, Head, Place, Proposal, check_event, parse_event, verify_event
from .keys import PublicKey
from .note import parse_vkey
from .submission import Draft, Submission


@dataclass(frozen=True)
class State:
    """The state row: the log's identity and its right edge."""

    origin: str
    vkey: str
    size: int
    root: bytes
    chain_hash: bytes


class Known(Protocol):
    """What the log holds so far, as the sequencer asks for it."""

    keys: Mapping[str, PublicKey]

    def head(self, asset: str) -> Head | None:
        """Return an asset's last event."""

    def entries(self, asset: str) -> list[tuple[int, bytes]]:
        """Return index and bytes of an asset's events, in order."""

    def find(self, asset: str, n: int) -> tuple[int, bytes] | None:
        """Return index and leaf hash of an asset's event."""

    def find_request(self, idempotency_key: str) -> int | None:
        """Return the index of the event that was appended under an idempotency key."""


@dataclass(frozen=True)
class Accepted:
    """An event that is the next one: its bytes, leaf hash, and what it says."""

    entry: bytes
    leaf_hash: bytes
    event: Event
    idempotency_key: str | None


class Sequencer:
    """Judges submissions one after the other on top of a state.

    Attributes
    ----------
    accepted : the events taken so far, in log order
    """

    def __init__(self, state: State, known: Known, verify: Verify, custodian: Custodian) -> None:
        self.accepted: list[Accepted] = []
        self._state = state
        self._known = known
        self._verify = verify
        self._custodian = custodian
        self._heads: dict[str, Head] = {}
        self._new_keys: dict[str, PublicKey] = {}
        self._requests: dict[str, int] = {}
        # Read-only maps behind a ChainMap: nothing but the first is written to.
        self._keys = ChainMap(self._new_keys, known.keys)  # type: ignore[arg-type]
        self._undo: list[tuple[dict[Any, Any], Any, Any]] = []

    def admit(self, submission: Submission) -> list[int]:
        """Take all events of a submission and return their indexes in the log, or raise and take none.

        Raises
        ------
        FormatError, SignatureError, WeakKeyError, EventError, LedgerConflictError, CustodyError : as the
            module's list
        Exception : whatever a draft's `build` raises
        """
        taken = len(self.accepted)
        self._undo.clear()
        examined = submission.examined or [None] * len(submission.events)
        try:
            return [self._add(event, seen) for event, seen in zip(submission.events, examined, strict=True)]
        except BaseException:
            del self.accepted[taken:]
            for mapping, key, old in reversed(self._undo):
                if old is None:
                    del mapping[key]
                else:
                    mapping[key] = old
            raise

    def _add(self, event: Draft | bytes, seen: Event | Proposal | None) -> int:
        # 1
        idempotency_key = event.idempotency_key if isinstance(event, Draft) else None
        if idempotency_key is not None:
            index = self._find_request(idempotency_key)
            if index is not None:
                return index
        entry = event.build(self._next_place(event.asset)) if isinstance(event, Draft) else event
        # 2
        leaf = merkle.leaf_hash(entry)
        seen = seen or parse_event(entry)
        place = seen.place
        head = self._head(place.asset)
        found = self._find(place, head)
        if found is not None and found[1] == leaf and not isinstance(event, Draft):
            return found[0]
        # 3
        if isinstance(seen, Proposal):
            seen = verify_event(seen, self._keys, self._verify)
        self._check_signers(seen)
        # 4
        check_event(seen.statement, place, seen.key_ids, self._keys.keys())
        # 5
        if isinstance(event, Draft) and place.asset != event.asset:
            raise EventError(f"expected an event of {event.asset!r} from its draft, got {place.asset!r}")
        self._check_place(place, head)
        # 6
        if seen.added_key is not None and seen.added_key == parse_vkey(self._state.vkey).public_key:
            raise EventError("expected a signing key apart from the log's own, got the log's key")
        # 7
        index = self._state.size + len(self.accepted)
        self._custodian.admit(seen, leaf, index, self._head(KEYS_ASSET), self._list_entries)
        self._collect(Accepted(entry, leaf, seen, idempotency_key), index)
        return index

    def _collect(self, item: Accepted, index: int) -> None:
        place, added = item.event.place, item.event.added_key
        self.accepted.append(item)
        self._set(self._heads, place.asset, Head(place.n, item.leaf_hash))
        if added is not None:
            self._set(self._new_keys, added.key_id, added)
        if item.idempotency_key is not None:
            self._set(self._requests, item.idempotency_key, index)

    def _set(self, mapping: dict[Any, Any], key: Any, value: Any) -> None:
        self._undo.append((mapping, key, mapping.get(key)))
        mapping[key] = value

    def _list_entries(self, asset: str) -> list[tuple[int, bytes]]:
        """Return an asset's entries, those of this batch too: after a refusal they are replayed."""
        new = enumerate(self.accepted, start=self._state.size)
        fresh = [(index, item.entry) for index, item in new if item.event.place.asset == asset]
        return [*self._known.entries(asset), *fresh]

    def _head(self, asset: str) -> Head | None:
        return self._heads.get(asset) or self._known.head(asset)

    def _next_place(self, asset: str) -> Place:
        return Place.after(self._state.origin, asset, self._head(asset))

    def _find(self, place: Place, head: Head | None) -> tuple[int, bytes] | None:
        """Return index and leaf hash of what stands at a place already, given the head of its asset."""
        if head is None or place.n > head.n:
            return None
        for index, item in enumerate(self.accepted, start=self._state.size):
            if (item.event.place.asset, item.event.place.n) == (place.asset, place.n):
                return index, item.leaf_hash
        return self._known.find(place.asset, place.n)

    def _find_request(self, idempotency_key: str) -> int | None:
        index = self._requests.get(idempotency_key)
        return self._known.find_request(idempotency_key) if index is None else index

    def _check_signers(self, event: Event) -> None:
        """A worker checks signatures by any key that is known; here it must be known before this event."""
        for key_id in event.key_ids:
            known = key_id in self._new_keys or key_id in self._known.keys
            if not known and (event.added_key is None or key_id != event.added_key.key_id):
                raise UnknownKeyError(
                    f"signed by key {key_id}, which is not among the known keys", key_id=key_id
                )

    def _check_place(self, place: Place, head: Head | None) -> None:
        if place.origin != self._state.origin:
            raise EventError(
                f"expected an event for the log {self._state.origin!r}, got {place.origin!r:.120}"
            )
        prev = head.leaf_hash if head else b""
        if (place.n, place.prev) != (head.n + 1 if head else 0, prev):
            expected = Place.after(self._state.origin, place.asset, head)
            raise LedgerConflictError(
                f"{place.asset}: expected event {expected.n} after {expected.prev.hex() or 'nothing'}, "
                f"got {place.n} after {place.prev.hex() or 'nothing'}",
                asset=place.asset,
                head=head,
            )
