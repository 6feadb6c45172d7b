"""Is this recording ours already? What `stamp` asks before it marks anything.

Three answers name a registered track: the bytes of the file, its samples, and a mark of any of our watermark
keys in it. All three refuse, naming the track, or the case of an upheld notice where it must stay down
(`api.staydown`). A repeated stamp is not answered with the earlier track as if it had just been made: its
title, format and owner may be others, and the caller must see that nothing was done. The refusal carries what
a retry needs (`track_id`, `mark_id`).

Marks under keys that are not ours cannot be seen, by anybody without the key: such audio is stamped, and then
carries both marks.

Every profile that marks may have costs a search of its own, so only those are searched for that can be there:
the present one, those that the registry has marks of, and all of them where a key was imported whose marks
another ledger registered.
"""

from pathlib import Path

import watermark

from .audiofile import hash_file
from .copies import CopyRow
from .errors import LedgerFolderError, RegisteredError
from .installation import Installation
from .marking import Examination, find_profile
from .registry import MarkRow
from .staydown import refuse_listed


def detection_profiles(installation: Installation) -> tuple[watermark.Profile, ...]:
    """Return the profiles that marks under the keys of an installation may have, the present one first.

    Raises
    ------
    LedgerFolderError
        The registry names a profile that this version of the program does not know.
    """
    schemes = installation.marks.list_schemes()
    names = {watermark.PROFILE.name, *(profile for profile, _ in schemes)}
    known = ", ".join(profile.name for profile in watermark.PROFILES)
    for name in sorted(names):
        if find_profile(name) is None:
            raise LedgerFolderError(
                f"{installation.settings.home}: the registry has marks of the profile {name!r:.40}, which "
                f"this version of the program cannot read: expected one of {known}"
            )
    used = {key for _, key in schemes}
    if any(epoch.imported and epoch.name not in used for epoch in installation.keyring.epochs):
        return watermark.PROFILES
    return tuple(profile for profile in watermark.PROFILES if profile.name in names)


def find_mark(installation: Installation, payload: bytes) -> MarkRow | CopyRow | None:
    """Return whose mark this is: a track's own, or that of one of its copies."""
    mark_id = payload.hex()
    return installation.registry.find_mark(mark_id) or installation.copies.find_mark(mark_id)


def check_unknown_file(installation: Installation, path: Path) -> None:
    """Raise RegisteredError if the bytes of a file are registered: cheap, before anything is decoded."""
    _check_unknown_digest(installation, hash_file(path), "file")


def check_unknown(installation: Installation, found: Examination) -> None:
    """Raise RegisteredError if the samples of a file are registered, or it carries a mark of ours."""
    _check_unknown_digest(installation, found.pcm_sha256, "recording")
    payload = found.detection.payload
    if not found.detection.detected or payload is None:
        return
    row = find_mark(installation, payload)
    if row is None:
        raise RegisteredError(
            f"the recording carries mark {payload.hex()} of this key, which names no known track",
            None,
            payload.hex(),
        )
    refuse_listed(installation, tracks=[row.track_id])
    raise RegisteredError(
        f"the recording carries the mark {payload.hex()} of track {row.track_id}", row.track_id, payload.hex()
    )


def _check_unknown_digest(installation: Installation, sha256: str, what: str) -> None:
    refuse_listed(installation, digests=[sha256])
    for _, asset in installation.store.find_subject(sha256):
        if asset.startswith("track:"):
            track_id = asset.removeprefix("track:")
            refuse_listed(installation, tracks=[track_id])
            raise RegisteredError(f"the same {what} is registered as track {track_id}", track_id)
