"""Writing a mark: small gains on the cells of the spectrogram, more where the host speaks against the chip.

The signal is analysed in overlapping frames; each frame's spectrum is multiplied by real gains, one per
cell, the same for all channels, and the *change* is overlapped and added to the untouched signal, so that
gains of 1 give back the very samples. A cell's gain follows the host (informed embedding; improved spread
spectrum, Malvar and Florencio 2003, here as a hinge): none where the whitened host already agrees with the
chip by `target_deviation`, and up to `gain_limits_db` where it does not, less where it would be heard and
more where it is masked (`masking`).
"""

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt
from scipy import fft

from .audio import check_block, check_format
from .layout import codeword_of, first_column_of, layout_of
from .masking import (
    PEAK_GUARD_SAMPLES,
    guard_peaks,
    local_power,
    masking_share,
    steadiness_limit,
    transient_guard,
)
from .profile import PROFILE, Profile
from .spectrogram import (
    DB_PER_LOG_POWER,
    band_edges_hz,
    band_levels,
    cumulative_log_power,
    frame_grid,
    frame_power,
    hann,
)
from .whitening import whiten

FloatArray = npt.NDArray[np.float32]

# How much is marked at a time.
CHUNK_S = 7.5
# Bounds of the strength, and the two settings beside 1.0 whose audibility docs/watermark.md states.
WEAKEST, STRONGEST = 0.25, 4.0
GENTLE, STRONG = 0.6, 1.25


def embed(
    audio: FloatArray,
    *,
    sample_rate: int,
    watermark_key: bytes,
    payload: bytes,
    strength: float = 1.0,
    profile: Profile = PROFILE,
) -> FloatArray:
    """Return `audio` with a mark in it.

    Parameters
    ----------
    audio : float32, shape (channels, samples), in [-1, 1]
    sample_rate : int
        Hz, 8,000 to 192,000.
    watermark_key : bytes of 32, or of 64 (`keystream`)
    payload : bytes of 8
    strength : float
        What every limit of a gain is multiplied with, 0.25 to 4; `GENTLE`, 1 and `STRONG` have been measured.

    Returns
    -------
    float32, the shape of `audio`

    Raises
    ------
    AudioError
        The audio cannot be worked on.
    """
    channels = audio.shape[0] if isinstance(audio, np.ndarray) and audio.ndim == 2 else 1
    embedder = Embedder(
        sample_rate=sample_rate,
        channels=channels,
        watermark_key=watermark_key,
        payload=payload,
        strength=strength,
        profile=profile,
    )
    return np.concatenate([*embedder.push_slices(audio), embedder.finish()], axis=1)


class Embedder:
    """Marks a signal that comes in blocks; what comes out does not depend on how it was cut.

    Holds about 10 s of audio at a time. `push` returns the samples that are final so far, `finish` the
    others: together as many as went in.
    """

    def __init__(
        self,
        *,
        sample_rate: int,
        channels: int,
        watermark_key: bytes,
        payload: bytes,
        strength: float = 1.0,
        profile: Profile = PROFILE,
    ) -> None:
        check_format(sample_rate, channels)
        if not WEAKEST <= strength <= STRONGEST:
            raise ValueError(f"expected a strength of {WEAKEST} to {STRONGEST}, got {strength}")
        if not isinstance(payload, bytes) or len(payload) * 8 != profile.payload_bits:
            raise ValueError(f"expected a payload of {profile.payload_bits // 8} bytes")
        self._profile = profile
        self._channels = channels
        self._grid = frame_grid(profile, sample_rate)
        # Frames of context on either side of a chunk that whitening looks at.
        self._context_frames = profile.whitening_frames + profile.deviation_frames
        self._layout = layout_of(watermark_key, profile)
        self._chips = self._layout.chips(codeword_of(payload, watermark_key, profile))
        # Column of the sequence that the signal begins with.
        self._first_column = first_column_of(payload, watermark_key, profile)
        self._row_of_bin = self._rows_of_bins()
        octave = self._layout.row_bands[:, 0] // profile.bands_per_octave
        # (rows,): the most that a cell gets before the ear is asked.
        self._limits_db = (strength * np.array(profile.gain_limits_db)[octave]).astype(np.float32)
        # Input from absolute sample _origin on, and the change to it gathered so far, of the same shape.
        self._origin = 0
        self._host = np.zeros((channels, 0), np.float32)
        self._change = np.zeros((channels, 0), np.float32)
        self._emitted = 0
        self._chunk = 0
        self._finished = False

    def push(self, block: FloatArray) -> FloatArray:
        """Take the next samples, float32 (channels, n); return those that are final, float32 (channels,
        m).
        """
        done = list(self.push_slices(block))
        return np.concatenate(done, axis=1) if done else np.zeros((self._channels, 0), np.float32)

    def push_slices(self, block: FloatArray) -> Iterator[FloatArray]:
        """Do what `push` does in slices, so that a block of any size costs no more memory than a few chunks;
        yield the samples as they become final.
        """
        if self._finished:
            raise ValueError("the embedder is finished")
        check_block(block, self._channels)
        size = round(CHUNK_S * self._grid.sample_rate)
        for first in range(0, block.shape[1], size):
            part = block[:, first : first + size]
            self._host = np.concatenate([self._host, part], axis=1)
            self._change = np.pad(self._change, ((0, 0), (0, part.shape[1])))
            while self._received() >= self._needed(self._chunk):
                yield self._process(last=False)

    def finish(self) -> FloatArray:
        """Return the remaining samples, float32 (channels, m)."""
        if self._finished:
            raise ValueError("the embedder is finished")
        done = [np.zeros((self._channels, 0), np.float32)]
        frames = self._grid.frames(self._received())
        while self._chunk * self._chunk_frames() < frames:
            done.append(self._process(last=True))
        done.append(self._emit(self._received()))
        self._finished = True
        return np.concatenate(done, axis=1)

    def _chunk_frames(self) -> int:
        return round(CHUNK_S / self._profile.column_s) * self._profile.frames_per_column

    def _received(self) -> int:
        return self._origin + self._host.shape[1]

    def _needed(self, chunk: int) -> int:
        """Return how many samples must be in before `chunk` can be marked as if the whole signal were
        known.
        """
        last_frame = (chunk + 1) * self._chunk_frames() + self._context_frames
        return self._grid.centre(last_frame) + self._grid.window_samples

    def _rows_of_bins(self) -> npt.NDArray[np.int64]:
        """Return the row of cells of each bin, and the number of rows for a bin that is left alone; the bins
        over the highest row are left out.
        """
        frequency_hz = np.arange(self._grid.bins) * self._grid.sample_rate / self._grid.window_samples
        octaves = np.log2(np.maximum(frequency_hz, 1.0) / self._profile.lowest_hz)
        band = np.floor(octaves * self._profile.bands_per_octave).astype(np.int64)
        rows = self._layout.row_bands
        row = np.searchsorted(rows[:, 0], band, side="right") - 1
        row = np.where((band >= 0) & (band < self._profile.bands), row, len(rows))
        return row[: np.flatnonzero(row < len(rows))[-1] + 1]

    def _process(self, *, last: bool) -> FloatArray:
        """Mark the next chunk and return the samples that became final."""
        first = self._chunk * self._chunk_frames()
        stop = first + self._chunk_frames()
        if last:
            stop = min(stop, self._grid.frames(self._received()))
        self._add_change(first, stop, self._gains_db(first, stop, last=last))
        self._chunk += 1
        # Later frames reach back half a window; the guard looks PEAK_GUARD_SAMPLES further on either side.
        final = self._grid.centre(stop) - self._grid.window_samples // 2 - 2 * PEAK_GUARD_SAMPLES
        return self._emit(max(final, self._emitted))

    def _gains_db(self, first: int, stop: int, *, last: bool) -> FloatArray:
        """Return the signed gain of every frame from `first` to `stop` in every row of cells, in dB."""
        per_column = self._profile.frames_per_column
        begin = max(0, first - self._context_frames)
        end = stop + self._context_frames
        if last:
            end = min(end, self._grid.frames(self._received()))
        power = frame_power(self._host, self._grid, begin, end - begin, self._origin)
        edges_hz = band_edges_hz(self._profile, 0, 0.0)
        levels = band_levels(cumulative_log_power(power, self._profile), self._grid, edges_hz)
        whitened, deviation = whiten(levels, self._profile)
        columns = -(-(stop - first) // per_column)
        agreement = self._cell_means(whitened[first - begin :], columns)
        spread_db = self._cell_means(deviation[first - begin :], columns) * DB_PER_LOG_POWER
        first_column = first // per_column
        chips = self._chips_of(self._first_column + first_column + np.arange(columns))
        wanted_db = (self._profile.target_deviation - agreement * chips) * spread_db
        local = local_power(power, self._grid, edges_hz)
        steady = self._cell_means(steadiness_limit(local, self._profile)[first - begin :], columns)
        under = np.log(local).astype(np.float32) - levels
        masked = masking_share(self._cell_means(under[first - begin :], columns), self._profile)
        gains_db = chips * np.clip(wanted_db, 0.0, self._limits_db * steady * masked)
        frame_column = np.arange(stop - first) // per_column
        guard = transient_guard(local, self._grid, self._profile)[first - begin : stop - begin]
        by_row = np.minimum.reduceat(guard, self._layout.row_bands[:, 0], axis=1)
        return np.asarray(gains_db[frame_column] * by_row, np.float32)

    def _chips_of(self, column: npt.NDArray[np.int64]) -> npt.NDArray[np.int8]:
        """Return the chips of columns, numbered from the beginning of the sequence: int8 (columns, rows)."""
        block, place = np.divmod(column, self._profile.period_columns)
        chips = self._chips[place]
        masks = self._layout.masks
        return chips if masks is None else chips * masks[block % self._profile.blocks, place]

    def _cell_means(self, values: FloatArray, columns: int) -> FloatArray:
        """Return the mean of frame values (frames, bands) over each cell: (columns, rows)."""
        per_column = self._profile.frames_per_column
        frames = values[: columns * per_column]
        missing = columns * per_column - frames.shape[0]
        frames = np.pad(frames, ((0, missing), (0, 0)), mode="edge")
        by_column = frames.reshape(columns, per_column, -1).mean(1)
        rows = self._layout.row_bands
        return np.asarray(
            np.add.reduceat(by_column, rows[:, 0], axis=1) / np.diff(rows, axis=1)[:, 0], np.float32
        )

    def _add_change(self, first: int, stop: int, gains_db: FloatArray) -> None:
        """Overlap and add what the gains change in frames `first` to `stop`."""
        size = self._grid.window_samples
        window = np.sqrt(hann(size))
        hop = self._profile.column_s / self._profile.frames_per_column * self._grid.sample_rate
        # The squared window, overlapped every `hop` samples, sums to its mean times the overlap.
        scale = np.float32(hop / (size / 2))
        untouched = np.zeros((gains_db.shape[0], 1), np.float32)
        factors = (10.0 ** (np.concatenate([gains_db, untouched], axis=1) / 20) - 1).astype(np.float32)
        factors = (factors * scale)[:, self._row_of_bin]  # (frames, bins up to the highest row)
        starts = (
            np.array([self._grid.centre(n) for n in range(first, stop)], np.int64) - size // 2 - self._origin
        )
        before = max(0, -int(starts[0]))
        after = max(0, int(starts[-1]) + size - self._host.shape[1])
        edges = ((0, 0), (before, after))
        inside = not before and not after
        padded = self._host if inside else np.pad(self._host, edges)
        change = self._change if inside else np.pad(self._change, edges)
        views = np.lib.stride_tricks.sliding_window_view(padded, size, axis=1)
        for channel in range(self._channels):
            spectrum = fft.rfft(views[channel, starts + before] * window, axis=1)[:, : factors.shape[1]]
            pieces = fft.irfft(spectrum * factors, size, axis=1) * window  # bins left out are 0
            for start, piece in zip(starts + before, pieces, strict=True):
                change[channel, start : start + size] += piece
        self._change = change[:, before : change.shape[1] - after]

    def _emit(self, until: int) -> FloatArray:
        """Return the samples up to absolute sample `until` and forget what no later chunk needs."""
        begin = max(self._origin, self._emitted - 2 * PEAK_GUARD_SAMPLES)
        span = slice(
            begin - self._origin, min(until + 2 * PEAK_GUARD_SAMPLES, self._received()) - self._origin
        )
        marked = guard_peaks(self._host[:, span], self._change[:, span])
        out = marked[:, self._emitted - begin : until - begin]
        self._emitted = until
        next_frame = max(0, self._chunk * self._chunk_frames() - self._context_frames)
        keep = min(self._grid.centre(next_frame) - self._grid.window_samples, until - 4 * PEAK_GUARD_SAMPLES)
        drop = max(0, min(keep, self._received()) - self._origin)
        self._host = self._host[:, drop:]
        self._change = self._change[:, drop:]
        self._origin += drop
        return out
