"""What the sound of a file is like: the evidence of the axis *identity*.

clip -> fingerprint -> matches in the catalogue -> held against the track in question -> ranges
"""

from watermark.identity.decision import (
    CLAIMED_PROBABILITY,
    bound_false_alarm,
    measure_agreement,
    measure_background,
)
from watermark.identity.extraction import Query
from watermark.identity.localisation import compare
from watermark.identity.outcome import Comparison, Match, Placement, Sketch

from .evidence import ChangedRange, ContentComparison, IdentityEvidence, Likeness, Range
from .installation import Installation

SPEEDS = 100
FOREIGN_S = 8.0
"""Less audible sound than this that agrees with no part of a track may still be a damaged piece of it."""


def identify_sound(installation: Installation, query: Query | None) -> IdentityEvidence:
    """Look a clip up in the catalogue; nothing is compared yet."""
    if query is None:
        return IdentityEvidence(False)
    found = installation.catalogue.identify(query)
    told = [] if found.closest is None else [found.closest]
    matches, closest = (
        tuple(
            _describe(match, row.track_id, row.name)
            for match in some
            if (row := installation.catalogue.find_row(match.track)) is not None
        )
        for some in (found.matches, told)
    )
    return IdentityEvidence(True, matches, closest=next(iter((*matches, *closest)), None))


def compare_sound(
    installation: Installation, query: Query | None, track_id: str, matches: tuple[Likeness, ...]
) -> ContentComparison | None:
    """Hold a clip against a track's fingerprint; None where there is no fingerprint of either."""
    found = hold_against(installation, query, track_id, matches)
    if query is None or found is None:
        return None
    hinted = any(item.track_id == track_id for item in matches)
    foreign = not found.agrees and not hinted and measure_audible_s(query) >= FOREIGN_S
    return _format(track_id, found, foreign=foreign)


def hold_against(
    installation: Installation, query: Query | None, track_id: str, matches: tuple[Likeness, ...]
) -> Comparison | None:
    """Return the comparison itself, as `compare_sound` describes it."""
    sketch = installation.catalogue.sketch_of_track(track_id)
    if query is None or sketch is None:
        return None
    hints = [_placement(item) for item in matches if item.track_id == track_id]
    found = compare(query.sketch, sketch, hints)
    if not hints and found.intact and not _is_borne_out(query, sketch, found):
        reason = "no stretch of the recording agrees with the track more than chance would have it"
        return Comparison(False, reason, (), (), (), found.bit_error_rate, agrees=False)
    return found


def _is_borne_out(query: Query, sketch: Sketch, found: Comparison) -> bool:
    """Say whether what the comparison calls intact is more than chance, in a clip that the search did not
    find in the track: pieces of a second agree somewhere in any music that is made of few notes.
    """
    # Every word of the track at every speed that is tried may have been the place.
    places = SPEEDS * len(sketch.words)
    return any(
        bound_false_alarm(
            measure_agreement(query.sketch, sketch, item.placement).total,
            places,
            measure_background(query.sketch, sketch, item.placement),
        )
        <= CLAIMED_PROBABILITY
        for item in found.intact
    )


def measure_audible_s(query: Query) -> float:
    """Return how many seconds of a clip are loud enough to be compared."""
    sketch = query.sketch
    loud = sketch.power.max(axis=1, initial=0.0) >= sketch.profile.audible_power
    return float(loud.sum()) * sketch.profile.spectrum_hop_s


def _describe(match: Match, track_id: str | None, name: str) -> Likeness:
    placement = match.placement
    file = Range(match.query_start_s, match.query_end_s)
    start, end = (
        placement.track_start_s + placement.time_scale * seconds for seconds in (file.start_s, file.end_s)
    )
    return Likeness(
        track_id=track_id,
        name=name,
        file=file,
        recording=Range(max(0.0, start), max(0.0, end)),
        speed=placement.time_scale,
        pitch_semitones=placement.pitch_semitones,
        bit_error_rate=match.bit_error_rate,
        false_alarm_probability=match.false_alarm_probability,
        number=match.track,
    )


def _placement(item: Likeness) -> Placement:
    start_s = item.recording.start_s - item.speed * item.file.start_s
    return Placement(start_s, item.speed, item.pitch_semitones)


def _format(track_id: str, found: Comparison, *, foreign: bool) -> ContentComparison:
    return ContentComparison(
        track_id=track_id,
        assessable=found.assessable,
        reason=found.reason,
        intact=tuple(Range(item.query_start_s, item.query_end_s) for item in found.intact),
        changed=tuple(
            ChangedRange(
                kind=item.kind,
                file=Range(item.query_start_s, item.query_end_s),
                track=Range(item.track_start_s, item.track_end_s),
                band=item.band,
            )
            for item in found.changes
        ),
        foreign=foreign,
    )
