"""The frozen, versioned constants of a marking scheme.

A stored mark names its profile; a detector reads every profile in `PROFILES`. Nothing here is ever changed
once published: a better scheme is a new profile.
"""

from dataclasses import dataclass, replace


@dataclass(frozen=True)
class Profile:
    """All constants of one scheme.

    The plane of time and log frequency is cut into cells: `column_s` long, one or more bands wide. Each cell
    carries one chip. `period_columns` columns make a block; `blocks` of them, which differ in all chips but
    the pilot's, make the sequence, which repeats without a gap.
    """

    name: str
    # Time: one chip lasts a column; analysis frames come `frames_per_column` to a column.
    column_s: float
    frames_per_column: int
    period_columns: int
    window_s: float
    # Log frequency: `bands_per_octave` bands from `lowest_hz`; `cell_bands[o]` bands to a cell in octave o,
    # so that no cell is narrower than the window can resolve.
    lowest_hz: float
    bands_per_octave: int
    cell_bands: tuple[int, ...]
    # How many blocks differ, and the share of cells whose chips are the same in all of them: the pilot.
    blocks: int
    pilot_share: float
    # Share of cells that carry the synchronisation pattern, pilot included; the others carry the codeword.
    sync_share: float
    payload_bits: int
    check_bits: int
    codeword_bits: int
    list_size: int
    # Whitening: half widths of the moving means over time and frequency and of the running deviation; where
    # the whitened levels are clipped, in deviations.
    whitening_frames: int
    whitening_bands: int
    deviation_frames: int
    clip_deviations: float
    # Bins far under their neighbourhood carry rounding and codec noise, not the host: they are lifted to
    # `floor_ratio` of the mean power of +-`floor_bins` bins, which makes them say nothing.
    floor_ratio: float
    floor_bins: int
    # Embedding strength in dB of log magnitude: what a cell of each octave gets at most.
    gain_limits_db: tuple[float, ...]
    # A cell that stands above its critical band is heard first, one that lies under it last: limits grow with
    # (power of the band / power of the cell / e^masking_reference) ^ (masking_exponent / 2), within bounds.
    masking_exponent: float
    masking_reference: float
    masking_bounds: tuple[float, float]
    # The whitened cell value (in its own deviations) that the embedder drives each chip towards.
    target_deviation: float
    # What pre-masking and post-masking hide beyond simultaneous masking, as ratios of power.
    attack_ratio: float
    release_ratio: float
    # Where the host moves by less than `motion_reference_db` over two frames (mean over +-`motion_frames`),
    # gains are limited in proportion, down to `steady_share` of the limit.
    motion_reference_db: float
    motion_frames: int
    steady_share: float
    # Reading: steps to a column in the search for an alignment and when cuts are followed; the lowest octave
    # that the search looks at (below it lie few cells).
    search_octave: int
    search_steps: int
    follow_steps: int

    @property
    def bands(self) -> int:
        """Number of bands."""
        return self.bands_per_octave * len(self.cell_bands)

    @property
    def plane(self) -> tuple[float, ...]:
        """What the whitened plane depends on: profiles of which this is equal read the same one."""
        return (
            self.column_s,
            self.frames_per_column,
            self.window_s,
            self.lowest_hz,
            self.bands_per_octave,
            len(self.cell_bands),
            self.whitening_frames,
            self.whitening_bands,
            self.deviation_frames,
            self.clip_deviations,
            self.floor_ratio,
            self.floor_bins,
        )

    @property
    def period_s(self) -> float:
        """Length of a block in seconds."""
        return self.period_columns * self.column_s

    @property
    def sequence_columns(self) -> int:
        """Number of columns after which all chips repeat."""
        return self.period_columns * self.blocks

    @property
    def highest_hz(self) -> float:
        """Upper edge of the highest band."""
        return self.lowest_hz * float(2 ** len(self.cell_bands))


PN1 = Profile(
    name="pn1",
    column_s=0.058,
    frames_per_column=5,
    period_columns=70,
    window_s=0.0464,
    lowest_hz=250.0,
    bands_per_octave=36,
    cell_bands=(6, 3, 1, 1, 1),
    blocks=1,
    pilot_share=0.2,
    sync_share=0.2,
    payload_bits=64,
    check_bits=32,
    codeword_bits=512,
    list_size=128,
    whitening_frames=12,
    whitening_bands=18,
    deviation_frames=80,
    clip_deviations=2.0,
    floor_ratio=1e-2,
    floor_bins=12,
    gain_limits_db=(1.0, 1.0, 1.0, 1.0, 1.0),
    masking_exponent=0.0,
    masking_reference=0.0,
    masking_bounds=(1.0, 1.0),
    target_deviation=1.5,
    attack_ratio=4.0,
    release_ratio=30.0,
    motion_reference_db=2.0,
    motion_frames=40,
    steady_share=0.3,
    search_octave=0,
    search_steps=4,
    follow_steps=4,
)

# Shorter columns, which the ear's slow modulation detectors follow less, and gains by masking: twice the
# statistic of pn1 on untouched music at the same grade, half as much again after MP3 64 (docs/watermark.md).
PN2 = Profile(
    name="pn2",
    column_s=0.024,
    frames_per_column=2,
    period_columns=170,
    window_s=0.0406,
    lowest_hz=250.0,
    bands_per_octave=36,
    cell_bands=(6, 4, 2, 1, 1),
    blocks=1,
    pilot_share=0.18,
    sync_share=0.18,
    payload_bits=64,
    check_bits=32,
    codeword_bits=512,
    list_size=128,
    whitening_frames=12,
    whitening_bands=18,
    deviation_frames=78,
    clip_deviations=2.0,
    floor_ratio=1e-2,
    floor_bins=12,
    gain_limits_db=(0.55, 0.9, 1.5, 1.85, 1.55),
    masking_exponent=0.75,
    masking_reference=1.0,
    masking_bounds=(0.3, 2.5),
    target_deviation=1.5,
    attack_ratio=4.0,
    release_ratio=30.0,
    motion_reference_db=2.4,
    motion_frames=38,
    steady_share=0.3,
    search_octave=2,
    search_steps=2,
    follow_steps=4,
)

# The cells of pn2 with chips that do not repeat for 8.7 minutes: neither a file's own blocks nor many files
# laid over each other show them. The pilot alone repeats. Gains are a seventh higher, but for steady sounds:
# what the ear leaves of a mean grade of 0 (docs/watermark.md).
PN3 = replace(
    PN2,
    name="pn3",
    blocks=128,
    pilot_share=0.12,
    sync_share=0.2,
    list_size=1024,
    gain_limits_db=(0.63, 1.03, 1.7, 2.1, 1.75),
    motion_reference_db=2.6,
    steady_share=0.265,
)

PROFILE = PN3
PROFILES = (PN3, PN2, PN1)
