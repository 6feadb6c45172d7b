"""Sketches: the compact sequence of words that a recording is compared with and its changes are located by.

A word is 32 sign bits of the difference over time and frequency of 33 log bands (Haitsma and Kalker, ISMIR
2002), 25 words a second. Beside the words stand coarse levels of sixteen bands from infrasound to
ultrasound. The registered sketch holds signs only; a query keeps its spectrogram, so that it can be stretched
and shifted onto the track's time and pitch before its signs are taken:

    extractor = SketchExtractor(sample_rate=44_100, channels=2)
    extractor.push_audio(block)        # all the audio, at its full rate
    extractor.push_levels(levels)      # the spectrogram of the same audio, as its frames become known
    query = extractor.finish(seconds)
    sketch = build_sketch(query)       # what the registry stores
"""

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import numpy.typing as npt

from .outcome import Placement, Sketch
from .outer_levels import OuterLevels
from .sketch_profile import SKETCH_PROFILE, SketchProfile
from .slow_spectra import SlowSpectra

FloatArray = npt.NDArray[np.float32]

# Power added to a band before its logarithm: -130 dB, under anything audible.
FLOOR_POWER = 1e-13
# Share of a band that must lie within the spectrogram after a shift of pitch.
LEAST_INSIDE = 0.75
# A sign is told where the difference is so many deviations of what noise does to it. The log of noise power
# in a band has about the variance NOISE_HZ / width, NOISE_HZ the noise bandwidth of the window.
CERTAIN = 1.5
NOISE_HZ = 11.7
HIDDEN_VARIANCE = 1.0
IDENTITY = Placement(track_start_s=0.0, time_scale=1.0, pitch_semitones=0.0)


@dataclass(frozen=True)
class SketchQuery:
    """What a recording in hand keeps to be held against sketches, at any speed, tempo and pitch.

    Parameters
    ----------
    profile : SketchProfile
    seconds : float
    power : float32 (frames, spectrum_bands)
        The spectrogram: power in each narrow band, frame n centred on n * profile.spectrum_hop_s.
    outer : float32 (rows, low and high columns)
        Powers under and over the spectrogram's range, row n from n * profile.row_s on; NaN: not measured.
    noise : float32 (spectrum_bands,) or None
        Power of steady noise in each narrow band, where it is known (`channel.py`): then signs that the
        noise may have turned are not told.
    doubtful : ranges in seconds
        Where the channels nearly cancel, and a copy of the recording may have been mixed otherwise.
    slow : float32 (windows, bins) or None
        Spectra under 20 Hz (`slow_spectra.py`); None of a part of a query, which is only searched for.
    """

    profile: SketchProfile
    seconds: float
    power: FloatArray
    outer: FloatArray
    noise: FloatArray | None = None
    doubtful: tuple[tuple[float, float], ...] = ()
    slow: FloatArray | None = None


@dataclass(frozen=True)
class SketchFrames:
    """A query's features on the track's time line, one row for each word of the track from `first_word` on.

    Parameters
    ----------
    first_word : int
    differences : float32 (n, bits)
        Signed; a bit of the word is 1 where its difference is positive. NaN where the query holds no such
        band, because its pitch was moved, and where noise may have turned the sign.
    audible : bool (n,)
    loudness : float32 (n,)
        Natural log of the power in the loudest wide band; what makes a frame audible.
    """

    first_word: int
    differences: FloatArray
    audible: npt.NDArray[np.bool_]
    loudness: FloatArray


class SketchExtractor:
    """Collects what a sketch is made of, block by block, so that the audio never lies in memory as a whole.

    Audio and spectrogram come by separate calls that may alternate in any way; both start at the recording's
    first sample.
    """

    def __init__(self, *, sample_rate: int, channels: int, profile: SketchProfile = SKETCH_PROFILE) -> None:
        self._profile = profile
        self._outer = OuterLevels(profile, sample_rate=sample_rate, channels=channels)
        self._slow = SlowSpectra(sample_rate=sample_rate, channels=channels)
        self._power: list[FloatArray] = [np.zeros((0, profile.spectrum_bands), np.float32)]

    def push_audio(self, block: FloatArray) -> None:
        """Take the next block of audio, float32 (channels, samples) at the full rate.

        Raises
        ------
        AudioError
            It is no float32 of that many channels, or not finite.
        """
        self._outer.push(block)
        self._slow.push(block)

    def push_levels(self, levels: FloatArray) -> None:
        """Take the next frames of the spectrogram, float32 (frames, spectrum_bands), natural log of power.

        A full-scale sine has power 1 in its bin.
        """
        if levels.ndim != 2 or levels.shape[1] != self._profile.spectrum_bands:
            raise ValueError(f"expected shape (frames, {self._profile.spectrum_bands}), got {levels.shape}")
        self._power.append(np.exp(levels, dtype=np.float32))

    def finish(self, seconds: float, doubtful: tuple[tuple[float, float], ...] = ()) -> SketchQuery:
        """Return what was collected of a recording of `seconds`, with the ranges whose mixing is doubtful."""
        power = np.concatenate(self._power)
        return SketchQuery(
            self._profile,
            seconds,
            power,
            self._outer.finish(),
            doubtful=doubtful,
            slow=self._slow.finish(),
        )


def build_sketch(query: SketchQuery) -> Sketch:
    """Return the sketch of a recording, as a registry stores it."""
    profile = query.profile
    frames = warp_query(query, IDENTITY)
    bits = (frames.differences > 0) & frames.audible[:, None]
    weights = (np.uint32(1) << np.arange(profile.bits, dtype=np.uint32)).astype(np.uint32)
    words = (bits * weights).sum(axis=1, dtype=np.uint32)
    rows = int(np.ceil(round(query.seconds / profile.row_s) / profile.rows_per_stored))
    levels = warp_levels(query, IDENTITY, rows)
    codes = np.rint((levels - profile.lowest_level_db) * profile.level_steps_per_db) + 1
    extra = np.where(np.isfinite(codes), np.clip(codes, 1, 255), 0).astype(np.uint8)
    return Sketch(profile.name, words, frames.audible, extra)


def warp_query(query: SketchQuery, placement: Placement) -> SketchFrames:
    """Return the query's features as they would be had it been played at the track's speed and pitch.

    Covers the words of the track that the placed query reaches, from word 0 on.
    """
    profile = query.profile
    matrix = _band_matrix(profile, round(placement.pitch_semitones * profile.bands_per_octave / 12, 3))
    first, at = _levels_around(query, placement, matrix)
    if not len(at):
        empty = np.zeros((0, profile.bits), np.float32)
        return SketchFrames(first, empty, np.zeros(0, np.bool_), np.zeros(0, np.float32))
    loudest = np.nanmax(at, axis=2).max(axis=1)
    slopes = at[:, :, :-1] - at[:, :, 1:]
    differences = slopes[:, 1] - slopes[:, 0]
    if query.noise is not None:
        differences[np.abs(differences) < CERTAIN * _spread_of_differences(query, matrix, at)] = np.nan
    audible = loudest >= np.log(profile.audible_power)
    return SketchFrames(first, differences, audible, loudest)


def warp_weakest(query: SketchQuery, placement: Placement) -> FloatArray:
    """Return the weakest level of those that make each bit, of the words that `warp_query` returns.

    float32 (words, bits), natural log of power.
    """
    profile = query.profile
    matrix = _band_matrix(profile, round(placement.pitch_semitones * profile.bands_per_octave / 12, 3))
    weakest = _levels_around(query, placement, matrix)[1].min(axis=1)
    return np.asarray(np.minimum(weakest[:, :-1], weakest[:, 1:]), np.float32)


def _levels_around(query: SketchQuery, placement: Placement, matrix: FloatArray) -> tuple[int, FloatArray]:
    """Return the first word of the track that the placed query reaches, and the log levels of the wide bands
    before and after each word: float32 (words, 2, word_bands).
    """
    profile = query.profile
    count = query.power.shape[0]
    start = placement.track_start_s
    end = start + placement.time_scale * query.seconds
    first = max(0, int(np.ceil(start / profile.word_s - 1e-9)))
    last = max(first, int(np.ceil(end / profile.word_s - 1e-9)))
    if not count or first == last:
        return first, np.zeros((0, 2, profile.word_bands), np.float32)
    steps = (
        np.arange(first, last)[:, None] * profile.word_s + np.array([-profile.lag_s, profile.lag_s])
    ) - start
    positions = np.clip(steps / (placement.time_scale * profile.spectrum_hop_s), 0, count - 1)
    low = int(positions[0, 0])
    high = min(count, int(positions[-1, 1]) + 2)
    power = query.power[low:high] @ matrix  # (frames, word_bands)
    levels = np.log(power + np.float32(FLOOR_POWER))
    index = np.minimum(positions.astype(np.int64), max(count - 2, 0)) - low
    fraction = (positions - low - index)[:, :, None].astype(np.float32)
    after = np.minimum(index + 1, high - low - 1)
    return first, levels[index] * (1 - fraction) + levels[after] * fraction


def _spread_of_differences(query: SketchQuery, matrix: FloatArray, levels: FloatArray) -> FloatArray:
    """How far noise may have moved each difference, float32 (words, bits), given the levels that it is made
    of, float32 (words, 2, word_bands).
    """
    assert query.noise is not None
    profile = query.profile
    share = np.minimum(query.noise @ matrix / np.exp(levels), 1.0)
    edges = np.linspace(0, profile.spectrum_bands, profile.word_bands + 1) / profile.bands_per_octave
    own = (NOISE_HZ / (profile.lowest_hz * np.diff(2.0**edges))).astype(np.float32)
    # A level that is half noise or more spreads as noise does; what it hides may be anything below.
    variance = own * np.minimum(2 * share, 1.0) + HIDDEN_VARIANCE * share**2
    pairs = variance.sum(axis=1)
    return np.asarray(np.sqrt(pairs[:, :-1] + pairs[:, 1:]), np.float32)


def warp_levels(query: SketchQuery, placement: Placement, rows: int) -> FloatArray:
    """Return the query's extra levels in dB over stored rows 0 to `rows` of the track.

    float32 (rows, columns); NaN where the query does not cover a row whole, or does not hold the band.
    """
    profile = query.profile
    edges = np.arange(rows + 1, dtype=np.float64) * profile.stored_row_s
    times = (edges - placement.track_start_s) / placement.time_scale
    outer = _means_between(query.outer, times / profile.row_s)
    middle = warp_powers(query, placement, edges)
    levels = np.concatenate(
        (outer[:, : profile.first_middle], middle, outer[:, profile.first_middle :]), axis=1
    )
    return (10 * np.log10(levels + FLOOR_POWER)).astype(np.float32)


def warp_powers(
    query: SketchQuery, placement: Placement, edges: npt.NDArray[np.float64]
) -> npt.NDArray[np.float64]:
    """Return the query's power in the middle columns between neighbouring seconds of the track, or between
    those of each row of (n, 2): float64 (intervals, middle columns), NaN where the query does not reach.
    """
    profile = query.profile
    shift = placement.pitch_semitones * profile.bands_per_octave / 12
    split = np.linspace(0, profile.spectrum_bands, profile.middle_columns + 1)
    matrix = _interval_matrix(profile.spectrum_bands, split + shift)
    times = (edges - placement.track_start_s) / placement.time_scale
    # Frame n stands for the time around its centre, half a hop to either side.
    return _means_between(query.power @ matrix, times / profile.spectrum_hop_s + 0.5)


def stored_levels(sketch: Sketch, profile: SketchProfile) -> FloatArray:
    """Return the extra levels of a sketch in dB, float32 (rows, columns); NaN where not measured."""
    levels = (sketch.extra.astype(np.float32) - 1) / profile.level_steps_per_db + profile.lowest_level_db
    return np.where(sketch.extra > 0, levels, np.nan).astype(np.float32)


def _means_between(values: FloatArray, edges: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Mean of the rows of `values` between neighbouring `edges`, or those of each row of (n, 2), in rows; NaN
    where they reach outside.

    An interval may reach over the last row by half: the last row of a recording is seldom whole.
    """
    count = values.shape[0]
    running = np.zeros((count + 1, values.shape[1]))
    np.cumsum(values, axis=0, dtype=np.float64, out=running[1:])
    inside = np.clip(edges, 0, count)
    index = np.minimum(inside.astype(np.int64), max(count - 1, 0))
    fraction = (inside - index)[..., None]
    at = running[index] * (1 - fraction) + running[np.minimum(index + 1, count)] * fraction
    axis = edges.ndim - 1
    width = np.diff(inside, axis=axis)
    whole = width >= 0.5 * np.diff(edges, axis=axis)
    means = np.diff(at, axis=axis) / np.maximum(width, 1e-9)[..., None]
    return np.where(whole[..., None], means, np.nan).reshape(-1, values.shape[1])


@lru_cache(maxsize=64)
def _band_matrix(profile: SketchProfile, shift_bands: float) -> FloatArray:
    """Means over the wide bands, moved up by `shift_bands`: float32 (spectrum_bands, word_bands)."""
    edges = np.linspace(0, profile.spectrum_bands, profile.word_bands + 1) + shift_bands
    return _interval_matrix(profile.spectrum_bands, edges)


def _interval_matrix(bands: int, edges: npt.NDArray[np.float64]) -> FloatArray:
    """Matrix that takes means over bands between neighbouring `edges`; NaN where they reach far outside."""
    lower, upper = edges[:-1], edges[1:]
    band = np.arange(bands)[:, None]
    overlap = np.clip(np.minimum(band + 1, upper) - np.maximum(band, lower), 0, None)
    inside = overlap.sum(axis=0)
    matrix = overlap / np.maximum(inside, 1e-9)
    matrix[:, inside < LEAST_INSIDE * (upper - lower)] = np.nan
    return np.asarray(matrix, np.float32)
