"""Pictures for a report: the changes under the waveform, and the alignment with the track.

The file is decoded once more; of its samples only the peaks of each hundredth of a second are kept.
"""

from pathlib import Path
from typing import Any

from .audiofile import write_synced
from .decoding import open_recording
from .errors import RefusedError
from .installation import Installation
from .likeness import hold_against, identify_sound
from .marking import Listener
from .pictures import MarkBlock, draw_alignment, draw_changes
from .waveform import PEAKS_PER_S, PeakMeter

FORMATS = ("png", "svg")


def check_picture(path: Path | None) -> None:
    """Raise RefusedError unless a picture's name ends in .png or .svg."""
    if path is not None and path.suffix.lower().removeprefix(".") not in FORMATS:
        raise RefusedError(f"{path}: expected a name ending in .png or .svg")


def illustrate(
    installation: Installation, path: Path, predicate: Any, *, changes: Path | None, alignment: Path | None
) -> None:
    """Draw what a report says of a file's sound, into new files.

    Raises
    ------
    RefusedError
        The report compares the file with no track, or matplotlib is not installed.
    WriteError
        A picture cannot be written.
    """
    comparison = predicate["identity"]["comparison"]
    if comparison is None:
        raise RefusedError("there is nothing to draw: the report compares the file with no track")
    track_id = comparison["track_id"]
    sketch = installation.catalogue.sketch_of_track(track_id)
    with open_recording(path, installation.settings.limits) as recording:
        rate, channels = recording.format.sample_rate, recording.format.channels
        listener, meter = Listener(sample_rate=rate, channels=channels), PeakMeter()
        meter.begin(recording.format)
        for block in recording.blocks():
            listener.push(block)
            meter.push(block)
    query = listener.finish()
    if query is None or sketch is None:
        raise RefusedError("there is nothing to draw: the file is too short")
    found = hold_against(installation, query, track_id, identify_sound(installation, query).matches)
    assert found is not None
    title = f"{path.name} and track {track_id}: {predicate['verdict']}"
    if changes is not None:
        marks = [
            MarkBlock(item["start_ms"] / 1000, item["end_ms"] / 1000, present)
            for name, present in (("present", True), ("absent", False))
            for item in predicate["watermark"].get(name, ())
        ]
        picture = draw_changes(
            meter.finish(),
            found,
            sample_rate=PEAKS_PER_S,
            title=title,
            marks=marks,
            picture_format=_format_of(changes),
        )
        write_synced(changes, picture)
    if alignment is not None:
        track_s = len(sketch.words) * query.sketch.profile.word_s
        picture = draw_alignment(
            found,
            query_s=query.seconds,
            track_s=track_s,
            title=title,
            picture_format=_format_of(alignment),
        )
        write_synced(alignment, picture)


def _format_of(path: Path) -> str:
    return path.suffix.lower().removeprefix(".")
