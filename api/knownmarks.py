"""What the registry knows as side information for reading a mark.

A clip whose code cannot be decoded blindly may still be told among the marks that were registered; the
false-alarm probability counts how many they are (`watermark.known`).
"""

from collections import defaultdict
from functools import lru_cache

import watermark

from .installation import Installation
from .marking import find_profile

MAX_MARKS = 1_000_000
"""Comparing with more of them takes seconds; a larger registry does without."""


def known_payloads(installation: Installation) -> tuple[watermark.KnownPayloads, ...]:
    """Return the registered payloads by watermark key and profile; none where they are too many."""
    marks = installation.registry.list_marks(limit=MAX_MARKS + 1)
    marks += installation.copies.list_marks(limit=MAX_MARKS + 1)
    return () if len(marks) > MAX_MARKS else _group(installation, marks)


def known_of_track(installation: Installation, track_id: str) -> tuple[watermark.KnownPayloads, ...]:
    """Return the payloads of a track's own mark and of its copies, by watermark key and profile."""
    mark = installation.registry.get_mark_of(track_id)
    marks = [] if mark is None else [(mark.mark_id, mark.profile, mark.watermark_key_id)]
    copies = installation.copies.list_of_track(track_id)
    return _group(installation, marks + [(row.mark_id, row.profile, row.watermark_key_id) for row in copies])


def _group(
    installation: Installation, marks: list[tuple[str, str, str]]
) -> tuple[watermark.KnownPayloads, ...]:
    by_scheme: dict[tuple[str, str], list[bytes]] = defaultdict(list)
    for mark_id, profile_name, key_name in marks:
        by_scheme[profile_name, key_name].append(bytes.fromhex(mark_id))
    keys = {epoch.name: epoch.watermark_key for epoch in installation.keyring.epochs}
    return tuple(
        _encode(keys[key_name], profile, tuple(payloads))
        for (profile_name, key_name), payloads in by_scheme.items()
        if key_name in keys and (profile := find_profile(profile_name)) is not None
    )


@lru_cache(maxsize=8)
def _encode(
    watermark_key: bytes, profile: watermark.Profile, payloads: tuple[bytes, ...]
) -> watermark.KnownPayloads:
    """Encode payloads once for as long as none is added: a million take half a minute."""
    return watermark.KnownPayloads(watermark_key, payloads, profile=profile)
