"""What opens the salted commitments of a track: values that the public ledger must not show."""

from collections.abc import Sequence

import ledger

from .registry import CreditRow, MarkRow, TrackRow


def list_openings(
    track: TrackRow, mark: MarkRow, credits: Sequence[CreditRow] = ()
) -> tuple[ledger.Opening, ...]:
    """Return the openings of a track's commitments: its mark_id, and its prompt, title and artist where there
    were such.
    """
    openings = [ledger.Opening("mark_id", mark.salt, mark.mark_id)]
    if track.prompt is not None and track.prompt_salt is not None:
        openings.append(ledger.Opening("prompt", track.prompt_salt, track.prompt))
    return (*openings, *(ledger.Opening(row.label, row.salt, row.value) for row in credits))
