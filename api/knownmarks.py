"""What the registry knows as side information for reading a mark.

A clip whose code cannot be decoded blindly may still be told among the marks that were registered; the
false-alarm probability counts how many they are (`watermark.known`).
"""

from collections import defaultdict
from collections.abc import Mapping
from functools import lru_cache

import watermark

from .copies import CopyRow
from .installation import Installation
from .marking import MARK_BYTES, find_profile
from .registry import MarkRow

MAX_MARKS = 1_000_000
"""Comparing with more of them takes seconds; a larger registry does without."""


def known_payloads(installation: Installation) -> tuple[watermark.KnownPayloads, ...]:
    """Return the registered payloads by watermark key and profile; none where they are too many."""
    gathered: dict[tuple[str, str], str] = defaultdict(str)
    for found in (installation.registry.gather_marks(), installation.copies.gather_marks()):
        for scheme, mark_ids in found.items():
            gathered[scheme] += mark_ids
    if sum(map(len, gathered.values())) > MAX_MARKS * 2 * MARK_BYTES:
        return ()
    return _encode_all(installation, gathered)


def known_of_track(installation: Installation, track_id: str) -> tuple[watermark.KnownPayloads, ...]:
    """Return the payloads of a track's own mark and of its copies, by watermark key and profile."""
    mark = installation.registry.get_mark_of(track_id)
    rows: list[MarkRow | CopyRow] = [*installation.copies.list_of_track(track_id)]
    rows += [] if mark is None else [mark]
    gathered: dict[tuple[str, str], str] = defaultdict(str)
    for row in rows:
        gathered[row.profile, row.watermark_key_id] += row.mark_id
    return _encode_all(installation, gathered)


def _encode_all(
    installation: Installation, gathered: Mapping[tuple[str, str], str]
) -> tuple[watermark.KnownPayloads, ...]:
    keys = {epoch.name: epoch.watermark_key for epoch in installation.keyring.epochs}
    return tuple(
        _encode(keys[key_name], profile, bytes.fromhex(mark_ids))
        for (profile_name, key_name), mark_ids in gathered.items()
        if key_name in keys and (profile := find_profile(profile_name)) is not None
    )


@lru_cache(maxsize=8)
def _encode(watermark_key: bytes, profile: watermark.Profile, payloads: bytes) -> watermark.KnownPayloads:
    """Encode payloads, once for as long as none is added: a million take half a minute."""
    each = tuple(payloads[at : at + MARK_BYTES] for at in range(0, len(payloads), MARK_BYTES))
    return watermark.KnownPayloads(watermark_key, each, profile=profile)
