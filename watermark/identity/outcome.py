"""What fingerprints are, and what comes of looking for one: the words that the other files share.

Time on two clocks: *query* seconds count in the clip in hand, *track* seconds in the registered recording.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt


@dataclass(frozen=True)
class Landmarks:
    """Peaks of the spectrogram, in the order of time: what a recording is found by.

    Parameters
    ----------
    profile_name : str
    frames : int32 (n,)
        Frame of each peak; the profile says how long a frame is.
    pitches : float32 (n,)
        Place on the logarithmic frequency axis, in bands of the profile, fractions interpolated.
    strengths : float32 (n,)
        How far the peak stands out, natural log units of power.
    """

    profile_name: str
    frames: npt.NDArray[np.int32]
    pitches: npt.NDArray[np.float32]
    strengths: npt.NDArray[np.float32]


@dataclass(frozen=True)
class Sketch:
    """The compact sequence of features that a recording is compared and its changes are located by.

    Parameters
    ----------
    profile_name : str
    words : uint32 (n,)
        Sign bits of one frame each.
    audible : bool (n,)
        False where the frame is too quiet for its bits to mean anything.
    extra : uint8 (n_extra, columns)
        Coarse levels of what the words cannot hold (under and over their bands); the profile says which.
    """

    profile_name: str
    words: npt.NDArray[np.uint32]
    audible: npt.NDArray[np.bool_]
    extra: npt.NDArray[np.uint8]


@dataclass(frozen=True)
class Fingerprint:
    """Landmarks and sketch of a recording of `seconds`."""

    profile_name: str
    seconds: float
    landmarks: Landmarks
    sketch: Sketch


@dataclass(frozen=True)
class Placement:
    """Where a clip lies in a track: `track_s = track_start_s + time_scale * query_s`.

    `time_scale` 1.05 means that the clip runs 5 % faster than the track. `pitch_semitones` +0.84 when that
    was plain resampling, 0.0 when only the tempo changed.
    """

    track_start_s: float
    time_scale: float
    pitch_semitones: float


@dataclass(frozen=True)
class Match:
    """One stretch of the query that is a stretch of a track.

    `track` is the number under which the index knows it. `bit_error_rate` is that of the sketch over the
    stretch; `false_alarm_probability` bounds the chance that unindexed audio matches as well, over everything
    that was tried.
    """

    track: int
    placement: Placement
    query_start_s: float
    query_end_s: float
    bit_error_rate: float
    false_alarm_probability: float


@dataclass(frozen=True)
class Identification:
    """The answer to a query: matches, best first; none is the answer "unknown".

    `hypotheses` counts the combinations of speed, tempo and pitch that were tried. `closest` is the place
    that agrees best with an unknown query, too little for a claim, so at a probability of 1; None where there
    are matches, or landmarks pointed to no place at all.
    """

    matches: tuple[Match, ...]
    hypotheses: int
    closest: Match | None = None


REPLACED, INSERTED, REMOVED, REORDERED, OVERLAID = "replaced", "inserted", "removed", "reordered", "overlaid"
CHANGE_KINDS = (REPLACED, INSERTED, REMOVED, REORDERED, OVERLAID)


@dataclass(frozen=True)
class Change:
    """One range that differs from the track; an inserted one is empty in the track, a removed one in the
    query.

    `band`: "audible", or "infrasonic", "ultrasonic" for what was added where nobody hears it.
    """

    kind: str
    query_start_s: float
    query_end_s: float
    track_start_s: float
    track_end_s: float
    confidence: float
    band: str = "audible"


@dataclass(frozen=True)
class IntactRange:
    """A stretch of the query that is the track's, at a placement of its own."""

    query_start_s: float
    query_end_s: float
    placement: Placement
    bit_error_rate: float


@dataclass(frozen=True)
class Comparison:
    """A query held against one track's sketch: what is intact, what was changed.

    `assessable` is False where the recording is too damaged to say: then `changes` says nothing and its
    emptiness is never "intact"; `reason` says why in plain words. `unassessable` are ranges of the query
    (start, end) that nothing can be said about, silence among them. `agrees` is False where no stretch of the
    query agrees with the track: it is other sound, or damaged beyond recognition.
    """

    assessable: bool
    reason: str
    intact: tuple[IntactRange, ...]
    changes: tuple[Change, ...]
    unassessable: tuple[tuple[float, float], ...]
    bit_error_rate: float
    agrees: bool = True
