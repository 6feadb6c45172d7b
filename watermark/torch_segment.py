"""Segments whose transforms are made by torch, on a GPU where there is one.

The spectra, the whitened planes and the search over all time scales, which are most of the work on audio that
shows no mark plainly, are made on the device, all scales at once; what is done with them is the same code as
without it. Results are those of `segment.prepare` within rounding. Torch is imported when this module is:
nothing else in the package needs it.
"""

import copy
from collections.abc import Iterator, Sequence
from functools import lru_cache

import numpy as np
import numpy.typing as npt
import torch

from .correlation import MARGIN_BANDS, Correlation, lowest_searched_band, pattern_spectrum
from .layout import Layout
from .profile import Profile
from .segment import PLANES_KEPT, Preparation, Segment
from .spectrogram import SILENCE_POWER, FrameGrid, band_edges_hz, frame_grid, hann
from .whitening import SMALLEST_DEVIATION

DoubleArray = npt.NDArray[np.float64]
FloatArray = npt.NDArray[np.float32]

# Scales that are correlated at once: some 40 MB each time.
SCALES_AT_ONCE = 16


def prepare_on(device: str) -> Preparation:
    """Return what makes segments on a torch device: "cuda", "cuda:1", "cpu" and the like.

    Raises
    ------
    ValueError
        There is no such device here, or it has no double precision.
    """
    try:
        float(torch.zeros(1, dtype=torch.float64, device=device).cumsum(0))
    except (RuntimeError, AssertionError, TypeError, NotImplementedError) as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise ValueError(f"expected a torch device that can be used, got {device!r}: {reason}") from None

    def prepare(audio: FloatArray, sample_rate: int, profile: Profile) -> Segment:
        return TorchSegment(audio, frame_grid(profile, sample_rate), profile, torch.device(device))

    return prepare


class TorchSegment(Segment):
    """A segment whose planes are made, and searched, on a device."""

    def __init__(self, audio: FloatArray, grid: FrameGrid, profile: Profile, device: torch.device) -> None:
        power = _frame_power(audio, grid, device)
        self.frames = power.shape[0]
        self.hop_s = grid.hop_s
        self.profile = profile
        self._grid = grid
        self._device = device
        self._running = _cumulative_log_power(power, profile)
        self._planes = {}
        # The two planes that are searched stay on the device.
        self._searched: dict[float, torch.Tensor] = {}

    def plane(self, fraction_bands: float) -> FloatArray:
        """Return the running sum of a whitened plane, as `Segment.plane` does."""
        if fraction_bands not in self._planes:
            if len(self._planes) >= PLANES_KEPT:
                self._planes.pop(next(iter(self._planes)))
            self._planes[fraction_bands] = self._make_plane(fraction_bands).cpu().numpy()
        return self._planes[fraction_bands]

    def correlate(
        self, layout: Layout, scales: Sequence[float] | DoubleArray, first_frame: int, stop_frame: int
    ) -> Iterator[Correlation]:
        """Yield the correlation of the pilot at each scale, as `Segment.correlate` does."""
        for fraction in (0.0, 0.5):
            if fraction not in self._searched:
                self._searched[fraction] = self._make_plane(fraction)
        part = slice(first_frame, stop_frame + 1)
        lowest = lowest_searched_band(layout.profile)
        plane = torch.complex(self._searched[0.0][part, lowest:], self._searched[0.5][part, lowest:])
        plane = plane - plane[0]
        for first in range(0, len(scales), SCALES_AT_ONCE):
            some = np.asarray(scales[first : first + SCALES_AT_ONCE], np.float64)
            yield from _correlate(plane, layout, some)

    def at_plain_pitch(self) -> Segment:
        """Return the segment as it is read without a shift, and in no other way; nothing on the device."""
        light = copy.copy(self)
        light._planes = {0.0: self.plane(0.0)}
        light._running, light._searched = self._running[:0].clone(), {}
        return light

    def _make_plane(self, fraction_bands: float) -> torch.Tensor:
        edges_hz = band_edges_hz(self.profile, MARGIN_BANDS, fraction_bands)
        levels = _band_levels(self._running, self._grid, edges_hz)
        limit = self.profile.clip_deviations
        whitened = _whiten(levels, self.profile).clamp(-limit, limit)
        running = torch.zeros((self.frames + 1, whitened.shape[1]), dtype=torch.float32, device=self._device)
        running[1:] = whitened.to(torch.float64).cumsum(0)
        return running


def _correlate(plane: torch.Tensor, layout: Layout, scales: DoubleArray) -> list[Correlation]:
    """Return what `correlation.correlate` yields, for all `scales` in one go."""
    profile = layout.profile
    steps = profile.period_columns * profile.search_steps
    frames = len(plane) - 1
    step_frames = profile.frames_per_column / (profile.search_steps * scales)
    counts = (frames / step_frames).astype(np.int64)
    periods = -(-int(counts.max()) // steps)
    # Steps beyond a scale's last one have no length, so they add nothing.
    step = np.minimum(np.arange(periods * steps + 1), counts[:, None])
    position = torch.from_numpy(np.minimum(step * step_frames[:, None], frames)).to(plane.device)
    index = position.to(torch.int64).clamp(max=frames - 1)
    fraction = (position - index)[..., None].to(torch.float32)
    lower = plane[index]
    read = (lower + fraction * (plane[index + 1] - lower)).diff(dim=1)
    folded = read.reshape(len(scales), periods, steps, -1).sum(dim=1)
    pattern, pattern_norm = _pattern_on(plane.device, layout)
    correlation = torch.fft.ifft2(torch.fft.fft2(folded) * pattern)[:, :, : 2 * MARGIN_BANDS + 1]
    energies = ((folded.real**2 + folded.imag**2).sum(dim=(1, 2)) / 2).sqrt().cpu().numpy()
    values = torch.view_as_real(correlation).cpu().numpy()
    return [
        Correlation(float(scale), float(length), value / np.float32(energy * pattern_norm))
        for scale, length, value, energy in zip(scales, step_frames, values, energies, strict=True)
        if energy > 0
    ]


@lru_cache(maxsize=8)
def _pattern_on(device: torch.device, layout: Layout) -> tuple[torch.Tensor, float]:
    pattern, norm = pattern_spectrum(layout)
    return torch.from_numpy(pattern).to(device), norm


def _frame_power(audio: FloatArray, grid: FrameGrid, device: torch.device) -> torch.Tensor:
    """Return what `spectrogram.frame_power` does, of all frames of a signal: float32 (frames, bins)."""
    half = grid.window_samples // 2
    starts = np.array([grid.centre(n) for n in range(grid.frames(audio.shape[1]))], np.int64) - half
    before = max(0, -int(starts[0]))
    after = max(0, int(starts[-1]) + grid.window_samples - audio.shape[1])
    window = hann(grid.window_samples)
    window /= window.sum() / 2
    padded = torch.from_numpy(np.pad(audio, ((0, 0), (before, after)))).to(device)
    first = torch.from_numpy(starts + before).to(device)
    samples = torch.arange(grid.window_samples, device=device)
    power = torch.zeros((len(starts), grid.bins), dtype=torch.float32, device=device)
    for channel in padded:
        # In slices, so that memory stays small.
        for a in range(0, len(starts), 512):
            pieces = channel[first[a : a + 512, None] + samples] * torch.from_numpy(window).to(device)
            spectrum = torch.fft.rfft(pieces, dim=1)[:, : grid.bins]
            power[a : a + 512] += spectrum.real**2 + spectrum.imag**2
    return power


def _cumulative_log_power(power: torch.Tensor, profile: Profile) -> torch.Tensor:
    """Return what `spectrogram.cumulative_log_power` does: float64 (frames, bins + 1)."""
    bins = power.shape[1]
    running = torch.zeros((power.shape[0], bins + 1), dtype=torch.float64, device=power.device)
    running[:, 1:] = power.to(torch.float64).cumsum(1)
    place = torch.arange(bins, device=power.device)
    low = (place - profile.floor_bins).clamp(min=0)
    high = (place + profile.floor_bins + 1).clamp(max=bins)
    neighbourhood = (running[:, high] - running[:, low]) / (high - low)
    running[:, 1:] = (power + (profile.floor_ratio * neighbourhood + SILENCE_POWER)).log().cumsum(1)
    return running


def _band_levels(cumulative: torch.Tensor, grid: FrameGrid, edges_hz: DoubleArray) -> torch.Tensor:
    """Return what `spectrogram.band_levels` does: float32 (frames, edges - 1)."""
    bins = cumulative.shape[1] - 1
    position = np.clip(edges_hz * (grid.window_samples / grid.sample_rate) + 0.5, 0, bins)
    at = np.minimum(position.astype(np.int64), bins - 1)
    device = cumulative.device
    index, fraction = torch.from_numpy(at).to(device), torch.from_numpy(position - at).to(device)
    width = torch.from_numpy(np.diff(position)).to(device)
    at_edges = cumulative[:, index] * (1 - fraction) + cumulative[:, index + 1] * fraction
    levels = at_edges.diff(dim=1) / width.clamp(min=1e-6)
    return torch.where(width > 1e-6, levels, torch.zeros_like(levels)).to(torch.float32)


def _whiten(levels: torch.Tensor, profile: Profile) -> torch.Tensor:
    """Return the whitened levels before clipping, as `whitening.whiten` does."""
    residue = levels - _moving_mean(levels, profile.whitening_frames)
    residue = residue - _moving_mean(residue.T, profile.whitening_bands).T
    deviation = _moving_mean(residue * residue, profile.deviation_frames).clamp(min=0).sqrt()
    return residue / (deviation + SMALLEST_DEVIATION)


def _moving_mean(values: torch.Tensor, half_width: int) -> torch.Tensor:
    length = values.shape[0]
    running = torch.zeros((length + 1, values.shape[1]), dtype=torch.float64, device=values.device)
    running[1:] = values.to(torch.float64).cumsum(0)
    place = torch.arange(length, device=values.device)
    low, high = (place - half_width).clamp(min=0), (place + half_width + 1).clamp(max=length)
    return ((running[high] - running[low]) / (high - low)[:, None]).to(torch.float32)
