"""Looking for one track's mark in a file whose sound is that track's: where it must lie, and nowhere else."""

from collections.abc import Sequence
from pathlib import Path

import watermark

from .decoding import open_recording
from .errors import StoppedError
from .evidence import Likeness
from .installation import Installation
from .marking import CancelCheck, Progress, find_profile
from .registry import MarkRow

ABSENT = watermark.CandidateMatch(False, 1.0, None)


def match_placed(
    installation: Installation,
    path: Path,
    mark: MarkRow | None,
    matches: Sequence[Likeness],
    progress: Progress,
    cancelled: CancelCheck,
) -> watermark.CandidateMatch:
    """Test a file for a mark at the placements that its sound was found at; ABSENT where there are none, or
    the key or profile of the mark is not at hand.

    Raises
    ------
    AudioRefusedError, TooLargeError, OSError
        The file cannot be decoded.
    StoppedError
        `cancelled()` returned True.
    """
    if mark is None:
        return ABSENT
    keys = {epoch.name: epoch.watermark_key for epoch in installation.keyring.epochs}
    profile = find_profile(mark.profile)
    placements = [_place(item) for item in matches if item.track_id == mark.track_id]
    if mark.watermark_key_id not in keys or profile is None or not placements:
        return ABSENT
    with open_recording(path, installation.settings.limits) as recording:
        matcher = watermark.PlacedMatcher(
            sample_rate=recording.format.sample_rate,
            channels=recording.format.channels,
            watermark_key=keys[mark.watermark_key_id],
            payload=bytes.fromhex(mark.mark_id),
            placements=placements,
            profile=profile,
        )
        for block in recording.blocks():
            if cancelled():
                raise StoppedError(f"stopped while looking for the track's mark in {path.name}")
            matcher.push(block)
            progress("match", min(0.95, recording.samples / max(1, recording.format.claimed_samples)))
    found = matcher.finish()
    progress("match", 1.0)
    return found


def _place(item: Likeness) -> watermark.ClipPlacement:
    return watermark.ClipPlacement(
        start_s=item.file.start_s,
        end_s=item.file.end_s,
        track_start_s=item.recording.start_s - item.speed * item.file.start_s,
        speed=item.speed,
        pitch_semitones=item.pitch_semitones,
    )
