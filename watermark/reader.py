"""What one watermark key makes of a signal: a placement for each segment, then the payload they spell.

    segment -> placements by the synchronisation pattern -> cells -> soft bits
    soft bits of the best segments, added -> list decoding -> keyed check -> payload
    payload -> statistic over payload cells -> false-alarm probability; each segment tested for that codeword

Every segment finds its own placement, so drift, cuts and reordering between segments do no harm.
"""

import hmac
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from . import polar
from .false_alarm import payload_log_probability, presence_log_probability, probability
from .keystream import keyed_check
from .layout import BitArray, Layout, codeword_of, layout_of
from .outcome import Alignment, Detection, SegmentEvidence
from .profile import Profile
from .synchronisation import (
    Placement,
    Segment,
    placements_searched,
    read_cells,
    refine,
    scales_for,
    search,
)
from .tracking import follow

DoubleArray = npt.NDArray[np.float64]
FloatArray = npt.NDArray[np.float32]

# A mark is reported when audio independent of the key would do as well with at most this probability.
DETECTION_PROBABILITY = 1e-9
# A segment carries a known mark when it would do so by chance with at most this probability.
PRESENCE_PROBABILITY = 1e-4
# Placements of the full search that are refined, and those whose cells are kept for decoding.
REFINED = 6
KEPT = 4
# Placements from which cuts are followed.
FOLLOWED = 3
# A lead to follow where the search has none: no change of scale or pitch, any place.
UNTOUCHED = Placement(scale=1.0, shift_bands=0.0, start_frames=0.0, statistic=0.0)
# What a jump of a path must add to the statistic to be worth believing: what it adds by chance on unmarked
# music.
JUMP_COST = 0.45
# Rows over which the survival of the mark is smoothed, and the least that a row counts.
SMOOTHED_ROWS = 20
LEAST_WEIGHT = 0.15
# Bound under which a placement found without the full search is taken to be the mark.
QUICK_LOG_PROBABILITY = math.log(1e-5)


@dataclass(frozen=True)
class _Reading:
    """A placement in a segment and the cells read at it, or along a path that leads on from it over
    `jumps` cuts.
    """

    placement: Placement
    # In single precision: an hour of segments is kept.
    cells: FloatArray
    statistic: float
    jumps: int = 0

    @property
    def rank(self) -> float:
        """The statistic, less what a path gains by its freedom alone."""
        return self.statistic - JUMP_COST * self.jumps


@dataclass(frozen=True)
class _SegmentReadings:
    start_s: float
    end_s: float
    readings: tuple[_Reading, ...]
    # Of the best single placement: paths are not counted in the stated probability of presence.
    placement_statistic: float

    @property
    def best(self) -> _Reading:
        return self.readings[0]


class KeyReader:
    """What one watermark key has seen of the signal under one profile."""

    def __init__(self, watermark_key: bytes, profile: Profile, index: int) -> None:
        self.layout = layout_of(watermark_key, profile)
        self._watermark_key = watermark_key
        self._index = index
        self._segments: list[_SegmentReadings] = []
        self._placements = 0
        self._tracked: tuple[float, ...] = ()

    def read(self, segment: Segment, start_s: float, end_s: float) -> None:
        """Find placements in the segment: the usual scales first, the full search if those show nothing."""
        quick = (1.0, *self._tracked)
        found, log_p = self._placed(segment, quick, refined=1)
        leads = found
        if log_p > QUICK_LOG_PROBABILITY:
            found, log_p = self._placed(segment, tuple(scales_for(segment)), refined=REFINED)
            # Cut to pieces and otherwise untouched, no single placement may stand out: so follow that, too.
            leads = [*found[:FOLLOWED], UNTOUCHED]
        if not found:
            return
        if log_p <= QUICK_LOG_PROBABILITY and found[0].scale != 1.0:
            self._tracked = (found[0].scale,)
        readings = [
            _Reading(p, read_cells(segment, self.layout, p).astype(np.float32), p.statistic) for p in found
        ]
        for lead in leads:
            path = follow(segment, self.layout, lead)
            if len(path.runs) > 1:
                cells, jumps = path.cells.astype(np.float32), len(path.runs) - 1
                readings.append(_Reading(path.runs[0].placement, cells, path.statistic, jumps))
        # The best single placement is kept whatever the paths say.
        others = sorted(readings[1:], key=lambda reading: -reading.rank)[:KEPT]
        kept = sorted([readings[0], *others], key=lambda reading: -reading.rank)
        self._segments.append(_SegmentReadings(start_s, end_s, tuple(kept), found[0].statistic))

    def _placed(
        self, segment: Segment, scales: Sequence[float], *, refined: int
    ) -> tuple[list[Placement], float]:
        rough = search(segment, self.layout, scales, refined)
        found = sorted((refine(segment, self.layout, p) for p in rough), key=lambda p: -p.statistic)
        tried = placements_searched(self.layout.profile, len(scales), refined)
        self._placements += tried
        return found, presence_log_probability(found[0].statistic, tried) if found else 0.0

    def conclude(self, readers: int) -> Detection:
        """Decode and return the outcome; `readers` is how many keys and profiles were tried on the signal."""
        combinations = list(self._combinations())
        attempts = readers * len(combinations)
        for unweighted in combinations:
            cells = unweighted * row_weights(unweighted, self.layout)
            payload = self._decode(cells)
            if payload is None:
                continue
            codeword = codeword_of(payload, self._watermark_key, self.layout.profile)
            statistic = payload_statistic(cells, self.layout, codeword)
            log_p = payload_log_probability(statistic, self.layout.profile.payload_bits, attempts)
            if log_p <= math.log(DETECTION_PROBABILITY):
                return self._detection(payload, codeword, log_p)
        best = max((s.placement_statistic for s in self._segments), default=0.0)
        log_p = presence_log_probability(best, readers * self._placements)
        return Detection(False, None, None, probability(log_p), None, None, self._without_mark())

    def _combinations(self) -> Iterator[DoubleArray]:
        """Yield folded cells worth decoding: the best segments alone, then more and more of them added."""
        ordered = sorted(self._segments, key=lambda s: -s.best.rank)
        if not ordered:
            return
        total = np.zeros(ordered[0].best.cells.shape)
        next_size = 1
        for count, segment in enumerate(ordered, start=1):
            total = total + segment.best.cells
            if count == next_size or count == len(ordered):
                yield total
                next_size *= 2
        for segment in ordered[:2]:
            for reading in segment.readings[1:]:
                yield reading.cells.astype(np.float64)

    def _decode(self, cells: DoubleArray) -> bytes | None:
        profile = self.layout.profile
        information_bits = profile.payload_bits + profile.check_bits
        soft = soft_bits(cells, self.layout)
        for word in polar.decode_list(soft, information_bits, profile.list_size):
            data = np.packbits(word).tobytes()
            payload, check = data[: profile.payload_bits // 8], data[profile.payload_bits // 8 :]
            expected = keyed_check(self._watermark_key, profile.name, payload, profile.check_bits)
            if hmac.compare_digest(check, expected):
                return payload
        return None

    def _detection(self, payload: bytes, codeword: BitArray, log_p: float) -> Detection:
        limit = math.log(PRESENCE_PROBABILITY)
        evidence, strongest, strongest_statistic = [], None, -math.inf
        for segment in self._segments:
            scored = [
                (payload_statistic(r.cells.astype(np.float64), self.layout, codeword), r.placement)
                for r in segment.readings
            ]
            statistic, placement = max(scored, key=lambda pair: pair[0])
            present = presence_log_probability(statistic, len(scored)) <= limit
            evidence.append(SegmentEvidence(segment.start_s, segment.end_s, statistic, present))
            if statistic > strongest_statistic:
                strongest, strongest_statistic = (segment, placement), statistic
        assert strongest is not None
        return Detection(
            detected=True,
            payload=payload,
            watermark_key_index=self._index,
            false_alarm_probability=probability(log_p),
            alignment=alignment_of(strongest[1], self.layout.profile, strongest[0].start_s),
            profile_name=self.layout.profile.name,
            segments=tuple(evidence),
        )

    def _without_mark(self) -> tuple[SegmentEvidence, ...]:
        return tuple(
            SegmentEvidence(s.start_s, s.end_s, s.placement_statistic, False) for s in self._segments
        )


def alignment_of(placement: Placement, profile: Profile, segment_start_s: float) -> Alignment:
    """Return what a placement in a segment says of the clip's time and pitch."""
    hop_s = profile.column_s / profile.frames_per_column
    period_s = profile.period_s / placement.scale
    # Frame coordinate f is the time (f - 1/2) hops: frame n is centred on n hops and covers n to n + 1.
    start_s = segment_start_s + (placement.start_frames - 0.5) * hop_s
    return Alignment(
        offset_s=start_s % period_s,
        speed=placement.scale,
        pitch_semitones=12 * placement.shift_bands / profile.bands_per_octave,
    )


def row_weights(cells: DoubleArray, layout: Layout) -> DoubleArray:
    """Return a weight for each row of cells, float64 (rows,): how well the synchronisation chips survive
    there.

    The optimum for independent noise is correlation over energy; its square root, smoothed over
    +-SMOOTHED_ROWS rows, was the best of those tried. It looks at synchronisation chips alone, so the bound
    of `false_alarm` for the payload holds with any weights.
    """
    kernel = np.hanning(2 * SMOOTHED_ROWS + 3)[1:-1]
    is_sync = layout.sync_chips != 0
    correlation = np.convolve((layout.sync_chips * cells).sum(axis=0), kernel)[SMOOTHED_ROWS:-SMOOTHED_ROWS]
    energy = np.convolve((cells * cells * is_sync).sum(axis=0), kernel)[SMOOTHED_ROWS:-SMOOTHED_ROWS]
    survival = np.maximum(correlation, 0.0) / np.maximum(energy, 1e-12)
    if not survival.any():
        return np.ones(cells.shape[1])
    return np.asarray(np.sqrt(survival / survival.mean() + LEAST_WEIGHT))


def soft_bits(cells: DoubleArray, layout: Layout) -> DoubleArray:
    """Return the soft bits of folded cells, float64 (codeword_bits,): positive for 0."""
    carries = layout.payload_chips != 0
    return np.bincount(
        layout.codeword_position[carries],
        weights=(layout.payload_chips * cells)[carries],
        minlength=layout.profile.codeword_bits,
    ).astype(np.float64)


def payload_statistic(cells: DoubleArray, layout: Layout, codeword: BitArray) -> float:
    """Return the normalised correlation of folded cells with the payload chips of `codeword`."""
    values = cells[layout.payload_chips != 0]
    energy = float((values * values).sum())
    chips = layout.payload_chips * (1.0 - 2.0 * codeword[layout.codeword_position])
    return float((chips * cells).sum() / np.sqrt(energy)) if energy > 0 else 0.0
