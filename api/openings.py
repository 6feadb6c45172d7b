"""What opens the salted commitments of a track: values that the public ledger must not show."""

import ledger

from .registry import MarkRow, TrackRow


def list_openings(track: TrackRow, mark: MarkRow) -> tuple[ledger.Opening, ...]:
    """Return the openings of a track's commitments: its mark_id, and its prompt where there was one."""
    openings = [ledger.Opening("mark_id", mark.salt, mark.mark_id)]
    if track.prompt is not None and track.prompt_salt is not None:
        openings.append(ledger.Opening("prompt", track.prompt_salt, track.prompt))
    return tuple(openings)
