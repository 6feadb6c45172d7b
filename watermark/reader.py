"""What one watermark key makes of the readings of a signal: the payload they spell.

soft bits of the best segments, added -> list decoding -> keyed check -> payload
payload -> statistic over payload cells -> false-alarm probability; each segment tested for that codeword
"""

import hmac
import math
from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import numpy.typing as npt

from . import polar
from .false_alarm import payload_log_probability, presence_log_probability, probability
from .finding import FAINT, Finder, Reading, SegmentReadings
from .keystream import keyed_check
from .known import KnownPayloads
from .layout import BitArray, Layout, codeword_of, layout_of
from .outcome import Alignment, Detection, SegmentEvidence
from .profile import Profile
from .segment import Placement
from .sequence import cells_at, placement_at

DoubleArray = npt.NDArray[np.float64]

# A mark is reported when audio independent of the key would do as well with at most this probability.
DETECTION_PROBABILITY = 1e-9
# A segment carries a known mark when it would do so by chance with at most this probability.
PRESENCE_PROBABILITY = 1e-4
# Soft bits whose energy stands out by less than this many deviations are not decoded: at the limit of what
# the code corrects it stands out by about six.
LEAST_ENERGY = 1.5
# The same where the best of many places is taken, and how many of them are decoded.
LEAST_FAINT_ENERGY, FAINT_KEPT = 2.5, 4
# Readings whose statistic is within this share of the best one's tell the alignment equally well.
LIKELY_SHARE = 0.03
# Rows over which the survival of the mark is smoothed, and the least that a row counts.
SMOOTHED_ROWS = 20
LEAST_WEIGHT = 0.15


class KeyReader:
    """Decodes what a finder found, under one watermark key."""

    def __init__(
        self,
        watermark_key: bytes,
        profile: Profile,
        index: int,
        finder: Finder,
        known: KnownPayloads | None = None,
    ) -> None:
        self.layout = layout_of(watermark_key, profile)
        self._watermark_key = watermark_key
        self._index = index
        self._finder = finder
        self._known = known

    def conclude(self, readers: int) -> Detection:
        """Decode and return the outcome; `readers` is how many keys and profiles were tried on the signal."""
        combinations = list(self._combinations())
        attempts = readers * len(combinations)
        found = self._match_code(combinations, attempts)
        if found is not None:
            return found
        faint = [reading.cells.astype(np.float64) for reading in self._read_faint()]
        if faint:
            # These places were chosen by payload cells: each that was looked at counts.
            combinations += faint
            attempts += readers * FAINT
            found = self._match_code(faint, attempts)
            if found is not None:
                return found
        found = self._match_known(combinations, attempts)
        if found is not None:
            return found
        best = max((s.placement_statistic for s in self._finder.segments), default=0.0)
        log_p = presence_log_probability(best, readers * self._finder.placements)
        return Detection(False, None, None, probability(log_p), None, None, self._without_mark())

    def _match_code(self, combinations: list[DoubleArray], attempts: int) -> Detection | None:
        """Return the detection of the payload that one of the combinations spells."""
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
        return None

    def _read_faint(self) -> tuple[Reading, ...]:
        """Add readings of the faint places whose payload cells stand out most to the segment, and return
        them.
        """
        if self._finder.faint is None:
            return ()
        rows, places = self._finder.faint
        found = []
        for place in places:
            cells = cells_at(rows, place, self.layout)
            weighted = cells * row_weights(cells, self.layout)
            energy = energy_statistic(weighted, soft_bits(weighted, self.layout), self.layout)
            if energy >= LEAST_FAINT_ENERGY:
                placement = placement_at(place, self.layout)
                found.append((energy, Reading(placement, cells.astype(np.float32), place.statistic)))
        found.sort(key=lambda pair: -pair[0])
        readings = tuple(reading for _, reading in found[:FAINT_KEPT])
        (segment,) = self._finder.segments
        self._finder.segments[0] = replace(segment, readings=(*segment.readings, *readings))
        return readings

    def _match_known(self, combinations: list[DoubleArray], attempts: int) -> Detection | None:
        """Return the detection of a payload that the registry knows, where the code alone could not tell."""
        if self._known is None:
            return None
        for unweighted in combinations:
            cells = unweighted * row_weights(unweighted, self.layout)
            soft = soft_bits(cells, self.layout)
            # A match at the limit has an energy of two deviations more than chance.
            match = self._known.match(soft) if energy_statistic(cells, soft, self.layout) > 0 else None
            if match is None:
                continue
            log_p = self._known.log_probability(match[1], attempts)
            if log_p <= math.log(DETECTION_PROBABILITY):
                codeword = codeword_of(match[0], self._watermark_key, self.layout.profile)
                return replace(self._detection(match[0], codeword, log_p), with_registry=True)
        return None

    def _combinations(self) -> Iterator[DoubleArray]:
        """Yield folded cells worth decoding: the best segments alone, then more and more of them added."""
        ordered = sorted(self._finder.segments, key=lambda s: -s.best.rank)
        if not ordered:
            return
        total = np.zeros(ordered[0].best.cells.shape)
        next_size = 1
        for count, segment in enumerate(ordered, start=1):
            total = total + segment.best.cells
            if count == next_size or count == len(ordered):
                yield total
                next_size *= 2
        yield from self._finder.together
        for segment in ordered[:2]:
            for reading in segment.readings[1:]:
                yield reading.cells.astype(np.float64)

    def _decode(self, cells: DoubleArray) -> bytes | None:
        profile = self.layout.profile
        information_bits = profile.payload_bits + profile.check_bits
        soft = soft_bits(cells, self.layout)
        if energy_statistic(cells, soft, self.layout) < LEAST_ENERGY:
            return None
        for word in polar.decode_list(soft, information_bits, profile.list_size):
            data = np.packbits(word).tobytes()
            payload, check = data[: profile.payload_bits // 8], data[profile.payload_bits // 8 :]
            expected = keyed_check(self._watermark_key, profile.name, payload, profile.check_bits)
            if hmac.compare_digest(check, expected):
                return payload
        return None

    def _detection(self, payload: bytes, codeword: BitArray, log_p: float) -> Detection:
        limit = math.log(PRESENCE_PROBABILITY)
        evidence: list[SegmentEvidence] = []
        strongest: tuple[float, SegmentReadings, Placement] | None = None
        for segment in self._finder.segments:
            scored = [
                (payload_statistic(r.cells.astype(np.float64), self.layout, codeword), r.placement)
                for r in segment.readings
            ]
            statistic = max(value for value, _ in scored)
            present = presence_log_probability(statistic, len(scored)) <= limit
            evidence.append(SegmentEvidence(segment.start_s, segment.end_s, statistic, present))
            if strongest is None or statistic > strongest[0]:
                # Of readings that say nearly the same the plainest tells how the clip was changed.
                likely = [p for value, p in scored if value >= statistic - LIKELY_SHARE * abs(statistic)]
                plainest = min(likely, key=lambda p: abs(math.log(p.scale)) + abs(p.shift_bands) / 36)
                strongest = (statistic, segment, plainest)
        assert strongest is not None
        return Detection(
            detected=True,
            payload=payload,
            watermark_key_index=self._index,
            false_alarm_probability=probability(log_p),
            alignment=alignment_of(strongest[2], self.layout.profile, strongest[1].start_s),
            profile_name=self.layout.profile.name,
            segments=tuple(evidence),
        )

    def _without_mark(self) -> tuple[SegmentEvidence, ...]:
        return tuple(
            SegmentEvidence(s.start_s, s.end_s, s.placement_statistic, False) for s in self._finder.segments
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
    chips = layout.sync_chips
    if layout.masks is not None and (layout.pilot_chips * cells).sum() < 0:
        chips = chips - layout.pilot_chips  # somebody has wiped it
    is_sync = chips != 0
    correlation = np.convolve((chips * cells).sum(axis=0), kernel)[SMOOTHED_ROWS:-SMOOTHED_ROWS]
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


def energy_statistic(cells: DoubleArray, soft: DoubleArray, layout: Layout) -> float:
    """Return by how many deviations the energy of the soft bits exceeds what chance gives them.

    Under random chips a soft bit's square has the mean E_b of its cells' summed squares and a variance of at
    most 2 E_b^2; the right chips add the mark's own energy, whatever the payload.
    """
    carries = layout.payload_chips != 0
    energy = np.bincount(
        layout.codeword_position[carries], weights=cells[carries] ** 2, minlength=layout.profile.codeword_bits
    )
    spread = float(np.sqrt(2 * (energy * energy).sum()))
    return float(((soft * soft).sum() - energy.sum()) / spread) if spread > 0 else 0.0


def payload_statistic(cells: DoubleArray, layout: Layout, codeword: BitArray) -> float:
    """Return the normalised correlation of folded cells with the payload chips of `codeword`."""
    values = cells[layout.payload_chips != 0]
    energy = float((values * values).sum())
    chips = layout.payload_chips * (1.0 - 2.0 * codeword[layout.codeword_position])
    return float((chips * cells).sum() / np.sqrt(energy)) if energy > 0 else 0.0
