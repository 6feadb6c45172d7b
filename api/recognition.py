"""Is this recording ours already? What `stamp` asks before it marks anything.

Three answers name a registered track: the bytes of the file, its samples, and a mark of any of our watermark
keys in it. All three refuse, naming the track. A repeated stamp is not answered with the earlier track as if
it had just been made: its title, format and owner may be others, and the caller must see that nothing was
done. The refusal carries what a retry needs (`track_id`, `mark_id`).

Marks under keys that are not ours cannot be seen, by anybody without the key: such audio is stamped, and then
carries both marks.
"""

from pathlib import Path

from .audiofile import hash_file
from .errors import RegisteredError
from .installation import Installation
from .marking import Examination


def check_unknown_file(installation: Installation, path: Path) -> None:
    """Raise RegisteredError if the bytes of a file are registered: cheap, before anything is decoded."""
    _check_unknown_digest(installation, hash_file(path), "file")


def check_unknown(installation: Installation, found: Examination) -> None:
    """Raise RegisteredError if the samples of a file are registered, or it carries a mark of ours."""
    _check_unknown_digest(installation, found.pcm_sha256, "recording")
    payload = found.detection.payload
    if not found.detection.detected or payload is None:
        return
    row = installation.registry.find_mark(payload.hex())
    if row is None:
        raise RegisteredError(
            f"the recording carries mark {payload.hex()} of this key, which names no known track",
            None,
            payload.hex(),
        )
    raise RegisteredError(
        f"the recording carries the mark {payload.hex()} of track {row.track_id}", row.track_id, payload.hex()
    )


def _check_unknown_digest(installation: Installation, sha256: str, what: str) -> None:
    for _, asset in installation.store.find_subject(sha256):
        if asset.startswith("track:"):
            track_id = asset.removeprefix("track:")
            raise RegisteredError(f"the same {what} is registered as track {track_id}", track_id)
