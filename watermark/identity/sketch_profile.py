"""The frozen, versioned constants of sketches.

A stored sketch names its profile. Nothing here is ever changed once published: a better sketch is a new
profile.
"""

from dataclasses import dataclass


@dataclass(frozen=True)
class SketchProfile:
    """All constants of one kind of sketch.

    Words come from the log-frequency power spectrogram that the landmarks are picked on; extra levels from
    it and, under and over its range, from the audio at its full rate.
    """

    name: str
    # The spectrogram: frames `spectrum_hop_s` apart, frame n centred on n * spectrum_hop_s; `spectrum_bands`
    # narrow bands, `bands_per_octave` to the octave, from `lowest_hz`.
    spectrum_hop_s: float
    lowest_hz: float
    bands_per_octave: int
    spectrum_bands: int
    # Words: `word_bands` wide bands give word_bands - 1 bits, one word each `word_hops` frames; bit m of the
    # word at time t is the sign of D(t + lag_s) - D(t - lag_s); D = E[m] - E[m + 1], E the log power.
    word_bands: int
    word_hops: int
    lag_s: float
    # A frame in which no wide band reaches this power (full-scale sine: 1 in its bin) says nothing.
    audible_power: float
    # Extra levels: rows of `row_s`, means of `rows_per_stored` of them stored. Columns: powers between
    # neighbouring `low_edges_hz`, then `middle_columns` equal parts of the spectrogram's bands, then powers
    # between neighbouring `high_edges_hz`.
    row_s: float
    rows_per_stored: int
    low_edges_hz: tuple[float, ...]
    middle_columns: int
    high_edges_hz: tuple[float, ...]
    low_window_s: float
    high_window_s: float
    # Stored levels: code 0 is "not measured", code c is lowest_level_db + (c - 1) / level_steps_per_db.
    lowest_level_db: float
    level_steps_per_db: int

    @property
    def word_s(self) -> float:
        """Time from one word to the next in seconds."""
        return self.spectrum_hop_s * self.word_hops

    @property
    def stored_row_s(self) -> float:
        """Time from one stored row of extra levels to the next in seconds."""
        return self.row_s * self.rows_per_stored

    @property
    def bits(self) -> int:
        """Bits of a word."""
        return self.word_bands - 1

    @property
    def columns(self) -> int:
        """Columns of the extra levels."""
        return len(self.low_edges_hz) - 1 + self.middle_columns + len(self.high_edges_hz) - 1

    @property
    def first_middle(self) -> int:
        """First column that comes from the spectrogram."""
        return len(self.low_edges_hz) - 1

    @property
    def first_high(self) -> int:
        """First column over the range of the spectrogram."""
        return self.first_middle + self.middle_columns


FP1_SKETCH = SketchProfile(
    name="fp1",
    spectrum_hop_s=0.02,
    lowest_hz=180.0,
    bands_per_octave=36,
    spectrum_bands=158,
    word_bands=33,
    word_hops=2,
    lag_s=0.04,
    audible_power=1e-8,
    row_s=0.05,
    rows_per_stored=4,
    low_edges_hz=(2.0, 20.0, 40.0, 180.0),
    middle_columns=8,
    high_edges_hz=(3_800.0, 8_000.0, 12_000.0, 16_000.0, 20_000.0, 96_000.0),
    low_window_s=0.4,
    high_window_s=0.06,
    lowest_level_db=-120.0,
    level_steps_per_db=2,
)

SKETCH_PROFILE = FP1_SKETCH
SKETCH_PROFILES = {profile.name: profile for profile in (FP1_SKETCH,)}
