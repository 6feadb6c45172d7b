"""What the registry knows as side information for reading a mark.

A clip whose code cannot be decoded blindly may still be told among the marks that were registered; the
false-alarm probability counts how many they are (`watermark.known`).

They are gathered once for each size of the ledger, and a list that is still the same is not encoded again: a
mark is written down before the entry that commits to it (`api.release`), so a ledger that has not grown has
no mark more. One that was dropped again, with its track, may stay until the next entry; no file that carries
it was ever released.
"""

import threading
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence

import watermark
from ledger import Store

from .copies import Copies, CopyRow
from .epochs import Epoch
from .marking import MARK_BYTES, find_profile
from .registry import MarkRow, Registry

MAX_MARKS = 1_000_000
"""Comparing with more of them takes seconds; a larger registry does without."""
Scheme = tuple[str, str]
"""Name of the profile and public name of the watermark key that a mark was embedded with."""


class KnownMarks:
    """The marks of tracks and copies, kept between verifications; safe to share between threads."""

    def __init__(self, store: Store, registry: Registry, copies: Copies, epochs: Sequence[Epoch]) -> None:
        self._store = store
        self._registry = registry
        self._copies = copies
        self._keys = {epoch.name: epoch.watermark_key for epoch in epochs}
        self._lock = threading.Lock()
        self._size: int | None = None
        self._gathered: Mapping[Scheme, tuple[str, ...]] = {}
        self._encoded: dict[Scheme, watermark.KnownPayloads] = {}

    def list_schemes(self) -> frozenset[Scheme]:
        """Return with which profiles and keys there are marks; ledger.StorageError as every read."""
        with self._lock:
            self._refresh()
            return frozenset(self._gathered)

    def list_payloads(self) -> tuple[watermark.KnownPayloads, ...]:
        """Return all payloads by watermark key and profile, those whose key and profile are at hand; none
        where they are too many. Errors as `list_schemes`.
        """
        with self._lock:
            self._refresh()
            if sum(map(len, self._gathered.values())) > MAX_MARKS:
                return ()
            for scheme, mark_ids in self._gathered.items():
                if scheme not in self._encoded and (found := self._encode(scheme, mark_ids)) is not None:
                    self._encoded[scheme] = found
            return tuple(self._encoded.values())

    def list_of_track(self, track_id: str) -> tuple[watermark.KnownPayloads, ...]:
        """Return the payloads of a track's own mark and of its copies; errors as `list_schemes`."""
        mark = self._registry.get_mark_of(track_id)
        rows: list[MarkRow | CopyRow] = [*self._copies.list_of_track(track_id)]
        rows += [] if mark is None else [mark]
        gathered: dict[Scheme, list[str]] = defaultdict(list)
        for row in rows:
            gathered[row.profile, row.watermark_key_id].append(row.mark_id)
        encoded = (self._encode(scheme, mark_ids) for scheme, mark_ids in gathered.items())
        return tuple(found for found in encoded if found is not None)

    def _refresh(self) -> None:
        size = self._store.state().size  # before the marks: those of a later entry may be among them
        if size == self._size:
            return
        together: dict[Scheme, str] = defaultdict(str)
        for found in (self._registry.gather_marks(), self._copies.gather_marks()):
            for scheme, mark_ids in found.items():
                together[scheme] += mark_ids
        # In their order, since databases give them in any: equal lists must not be encoded again.
        gathered = {scheme: tuple(sorted(_split(mark_ids))) for scheme, mark_ids in together.items()}
        same = {scheme for scheme, mark_ids in gathered.items() if self._gathered.get(scheme) == mark_ids}
        self._encoded = {scheme: found for scheme, found in self._encoded.items() if scheme in same}
        self._gathered, self._size = gathered, size

    def _encode(self, scheme: Scheme, mark_ids: Iterable[str]) -> watermark.KnownPayloads | None:
        """Encode marks (a million take half a minute); None where their key or profile is not at hand."""
        profile_name, key_name = scheme
        profile = find_profile(profile_name)
        if key_name not in self._keys or profile is None:
            return None
        payloads = [bytes.fromhex(mark_id) for mark_id in mark_ids]
        return watermark.KnownPayloads(self._keys[key_name], payloads, profile=profile)


def _split(mark_ids: str) -> list[str]:
    """Return the ids of marks, in hex one after the other, one by one."""
    digits = 2 * MARK_BYTES
    return [mark_ids[at : at + digits] for at in range(0, len(mark_ids), digits)]
