"""What looking for marks in a clip comes to."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Alignment:
    """How the clip's time and pitch differ from the marked signal's.

    `speed` 1.05: the time axis runs 5 % faster. `pitch_semitones` +0.84 when that was plain resampling, 0.0
    when only the tempo changed. `offset_s`: seconds from the clip's beginning to the first whole block of
    the mark.
    """

    offset_s: float
    speed: float
    pitch_semitones: float


@dataclass(frozen=True)
class SegmentEvidence:
    """What one stretch of the clip says about the mark: its statistic, and whether that shows the mark in
    it.
    """

    start_s: float
    end_s: float
    statistic: float
    present: bool


@dataclass(frozen=True)
class Detection:
    """The outcome of looking for marks in a clip.

    `false_alarm_probability` bounds the chance that audio independent of the key gives a statistic as good,
    over everything that was tried; when nothing was detected it bounds the best trace of the synchronisation
    pattern. `with_registry`: the payload was told among known ones, where the code could not be decoded.
    """

    detected: bool
    payload: bytes | None
    watermark_key_index: int | None
    false_alarm_probability: float
    alignment: Alignment | None
    profile_name: str | None
    segments: tuple[SegmentEvidence, ...]
    with_registry: bool = False
