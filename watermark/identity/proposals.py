"""Where pieces of a query could lie in a track, found by correlating its sketch with the track's.

The query's differences, each at most twice the typical size, are correlated with the track's signs, piece by
piece, over all shifts at once by FFT. The value at a shift is the share by which they agree: 0 by chance
(0.2 / sqrt(words) on average), 0.95 for the same music after MP3 64.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import fft

from .agreement import soft_agreement, word_bits
from .outcome import Placement, Sketch
from .sketch import SketchFrames, SketchQuery, warp_query

FloatArray = npt.NDArray[np.float32]

# Pieces that are looked for, and from one to the next, in seconds; a piece that is mostly silent is left out.
PIECE_S = 4.0
PIECE_STEP_S = 2.0
LEAST_AUDIBLE = 0.4
# A shift counts from this agreement on, and when it is not much worse than the piece's best.
LEAST_AGREEMENT = 0.3
BEST_SHARE = 0.75
PEAKS_PER_PIECE = 4
# Speeds, tempos and pitches that are tried when nothing is known; a piece of PROBE_S bears half a step.
PROBE_S = 5.0
PROBES = 4
SPEEDS = tuple(1 + 0.01 * step for step in range(-20, 21) if step)
TEMPOS = tuple(1 + 0.01 * step for step in range(-20, 21) if step)
PITCHES = tuple(0.5 * step for step in range(-6, 7) if step)
# Agreement from which the untouched speed is taken without trying others.
SURE_AGREEMENT = 0.75


@dataclass(frozen=True)
class Peak:
    """A piece of the query, given by its middle, that agrees with the track at a shift in words."""

    middle: float
    shift: float
    agreement: float


class TrackSpectrum:
    """The track's signs, transformed once for all correlations with pieces of a length."""

    def __init__(self, track: Sketch, bits: int, piece_words: int) -> None:
        self.words = len(track.words)
        self.piece_words = piece_words
        self._length = fft.next_fast_len(self.words + piece_words, real=True)
        signs = np.where(word_bits(track.words, bits), 1.0, -1.0) * track.audible[:, None]
        self._spectrum = fft.rfft(signs.T.astype(np.float32), self._length)

    def correlate(self, piece: FloatArray) -> FloatArray:
        """Agreement of a piece, float32 (words, bits), at shifts from -piece_words on: float32 (shifts,)."""
        spectrum = fft.rfft(piece.T, self._length)
        products = np.einsum("bf,bf->f", self._spectrum, spectrum.conj())
        values = fft.irfft(products, self._length)
        total = max(float(np.abs(piece).sum()), 1e-9)
        both = np.concatenate((values[self._length - self.piece_words :], values[: self.words]))
        return np.asarray(both / total, np.float32)


def clip_differences(frames: SketchFrames) -> FloatArray:
    """Return the differences cut at twice their typical size, 0 where nothing is audible or known."""
    differences = np.nan_to_num(frames.differences, nan=0.0)
    typical = float(np.abs(differences[frames.audible]).mean()) if frames.audible.any() else 1.0
    limit = 2 * max(typical, 1e-9)
    return np.asarray(np.clip(differences, -limit, limit) * frames.audible[:, None] / limit, np.float32)


def find_peaks(
    differences: FloatArray,
    spectrum: TrackSpectrum,
    starts: npt.NDArray[np.int64],
    *,
    peaks: int = PEAKS_PER_PIECE,
) -> list[Peak]:
    """Find where pieces of the query that begin at `starts` (in words) agree with the track best."""
    found = []
    length = spectrum.piece_words
    for start in starts:
        piece = differences[start : start + length]
        if np.count_nonzero(piece.any(axis=1)) < LEAST_AUDIBLE * length:
            continue
        values = spectrum.correlate(piece)
        best = float(values.max())
        for _ in range(peaks):
            top = int(values.argmax())
            value = float(values[top])
            if value < max(LEAST_AGREEMENT, BEST_SHARE * best):
                break
            found.append(Peak(start + length / 2, top + _vertex(values, top) - length - start, value))
            values[max(0, top - 2) : top + 3] = -1.0
    return found


def find_warp(query: SketchQuery, track: Sketch) -> Placement | None:
    """Find speed and pitch of a query by trying them on a few of its pieces; None when nothing agrees.

    The placement's start is that of the piece that agrees best.
    """
    profile = query.profile
    plain = Placement(0.0, 1.0, 0.0)
    length = max(1, round(min(PROBE_S, query.seconds) / profile.word_s))
    spectrum = TrackSpectrum(track, profile.bits, length)
    best_value, best = _probe(query, spectrum, plain)
    if best_value < SURE_AGREEMENT:
        trials = [Placement(0.0, scale, 12 * float(np.log2(scale))) for scale in SPEEDS]
        trials += [Placement(0.0, scale, 0.0) for scale in TEMPOS]
        trials += [Placement(0.0, 1.0, pitch) for pitch in PITCHES]
        for trial in trials:
            value, placement = _probe(query, spectrum, trial)
            if value > best_value:
                best_value, best = value, placement
    return best if best_value >= LEAST_AGREEMENT else None


def _probe(query: SketchQuery, spectrum: TrackSpectrum, warp: Placement) -> tuple[float, Placement]:
    """Second best agreement among a few pieces, and the best one's place: one piece may agree by luck, or be
    all that was put in.
    """
    profile = query.profile
    frames = warp_query(query, warp)
    differences = clip_differences(frames)
    free = max(1, len(differences) - spectrum.piece_words)
    starts = np.unique(np.linspace(0, free, PROBES + 2)[1:-1].astype(np.int64))
    found = find_peaks(differences, spectrum, starts, peaks=1)
    if not found:
        return 0.0, warp
    found.sort(key=lambda peak: -peak.agreement)
    start_s = found[0].shift * profile.word_s
    value = found[min(1, len(found) - 1)].agreement
    return value, Placement(start_s, warp.time_scale, warp.pitch_semitones)


def sharpen_warp(query: SketchQuery, track: Sketch, placement: Placement) -> Placement:
    """Return the speed and pitch near the given ones at which the query agrees best around its own start."""
    best, best_value = placement, soft_agreement(query, track, placement)
    for step in (4.0, 2.0, 1.0, 0.5):
        for _ in range(3):
            before = best
            for scale, pitch in ((step, 0.0), (-step, 0.0), (0.0, step), (0.0, -step)):
                factor = 1 + 0.001 * scale
                trial = Placement(
                    before.track_start_s - before.time_scale * (factor - 1) * query.seconds / 2,
                    before.time_scale * factor,
                    before.pitch_semitones + 0.03 * pitch,
                )
                value = soft_agreement(query, track, trial)
                if value > best_value:
                    best, best_value = trial, value
            if best == before:
                break
    return best


def measure_drift(peaks: list[Peak]) -> float:
    """Slope of the shifts over the query by which most neighbouring pieces go on: 0 when the speed is right.

    Median over pairs of pieces that are 3 to 40 pieces apart and whose shifts belong together.
    """
    places = np.array([(peak.middle, peak.shift) for peak in peaks if peak.agreement > LEAST_AGREEMENT])
    if len(places) < 4:
        return 0.0
    first, second = np.triu_indices(len(places), 1)
    apart = places[second, 0] - places[first, 0]
    moved = places[second, 1] - places[first, 1]
    near = (apart > 150) & (np.abs(moved) < 0.004 * apart + 0.5)
    if np.count_nonzero(near) < 3:
        return 0.0
    return float(np.median(moved[near] / apart[near]))


def _vertex(values: FloatArray, top: int) -> float:
    """Where the parabola through a maximum and its neighbours has its top, in steps from it."""
    if not 0 < top < len(values) - 1:
        return 0.0
    left, middle, right = (float(v) for v in values[top - 1 : top + 2])
    curve = 2 * middle - left - right
    return float(np.clip((right - left) / (2 * curve), -0.5, 0.5)) if curve > 1e-9 else 0.0
