"""The frozen, versioned constants of the fingerprint.

A stored fingerprint names its profile, and fingerprints of two profiles are never compared. Nothing here is
changed once published: a better fingerprint is a new profile.
"""

from dataclasses import dataclass


@dataclass(frozen=True)
class FingerprintProfile:
    """All constants of one fingerprint.

    A *frame* is `hop_samples` long at `sample_rate`; a *band* is 1 / `bands_per_octave` of an octave, the
    first one centred on `lowest_hz`.
    """

    name: str
    # The spectrogram: rate that everything is resampled to, window and hop in samples at that rate.
    sample_rate: int
    window_samples: int
    hop_samples: int
    lowest_hz: float
    bands_per_octave: int
    bands: int
    # Landmarks: half widths of the mean that levels are whitened by, and of the neighbourhood that a peak
    # must rule.
    whitening_frames: int
    whitening_bands: int
    peak_frames: int
    peak_bands: int
    # A peak is kept when fewer than `query_density` stronger ones lie within half a second on either side.
    query_density: int

    @property
    def frame_s(self) -> float:
        """Length of a frame in seconds."""
        return self.hop_samples / self.sample_rate

    @property
    def frames_per_s(self) -> float:
        """Frames to a second."""
        return self.sample_rate / self.hop_samples


FP1 = FingerprintProfile(
    name="fp1",
    sample_rate=8_000,
    window_samples=1_024,
    hop_samples=160,
    lowest_hz=180.0,
    bands_per_octave=36,
    bands=158,
    whitening_frames=25,
    whitening_bands=18,
    peak_frames=3,
    peak_bands=3,
    query_density=40,
)

PROFILE = FP1
