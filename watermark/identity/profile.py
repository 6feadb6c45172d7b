"""The frozen, versioned constants of the fingerprint.

A stored fingerprint names its profile, and fingerprints of two profiles are never compared. Nothing here is
changed once published: a better fingerprint is a new profile.
"""

from dataclasses import dataclass


@dataclass(frozen=True)
class KeyKind:
    """How peaks are made into the keys of one kind of index: pairs (rich), or triples (lean).

    A key holds the first peak's pitch, and for each further peak its distance in frames and in bands. It
    spans at most `reach_frames` and `reach_bands`; only the first `fan` further peaks of each first one are
    joined, in the order of time.
    """

    name: str
    peaks: int
    # A peak is indexed when fewer than so many stronger ones lie within half a second on either side.
    density: int
    fan: int
    # Queries join more: `query_fan` in a round of usual density, more in proportion in a denser one; peaks
    # beyond `query_density` are not used.
    query_fan: int
    query_density: int
    least_frames: int
    reach_frames: int
    reach_bands: int
    # Steps that distances are rounded down to, and steps of the first pitch to a band.
    frame_step: int
    band_step: int
    pitch_steps: int
    # By how much the first pitch of query and track may differ, in bands.
    pitch_tolerance: float
    # Votes that a place needs to be held against its sketch.
    least_votes: int


@dataclass(frozen=True)
class Stage:
    """One round of a search: which hypotheses are tried, with how much effort.

    `density` thins the query's landmarks as it does those of an index. For each hypothesis at most
    `lean_groups` triples, those of the strongest peaks, are looked up in a lean index, and `rich_limit` or
    `lean_limit` postings read, those of the rarest keys; `best` is how many candidates of each are looked at,
    `verified` how many of all are held against their sketches.
    """

    name: str
    density: int
    rich_limit: int
    lean_limit: int
    lean_groups: int
    best: int
    verified: int


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
    rich: KeyKind
    lean: KeyKind
    # Search: rounds in order, each only if those before found nothing. First as it is, then with all the
    # query's landmarks, then with speed, tempo and pitch changed.
    plain: Stage
    deep: Stage
    swept: Stage
    # The sweeps: bounds of speed and tempo, of pitch in bands; steps, in bands for speed and pitch.
    slowest: float
    fastest: float
    pitch_bands: int
    sweep_bands: float
    tempo_step: float
    # A long query is asked about in windows.
    window_s: float
    window_hop_s: float

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
    rich=KeyKind(
        name="rich",
        peaks=2,
        density=13,
        fan=64,
        query_fan=64,
        query_density=40,
        least_frames=3,
        reach_frames=60,
        reach_bands=31,
        frame_step=2,
        band_step=1,
        pitch_steps=8,
        pitch_tolerance=0.6,
        least_votes=4,
    ),
    lean=KeyKind(
        name="lean",
        peaks=3,
        density=8,
        fan=4,
        query_fan=8,
        query_density=26,
        least_frames=3,
        reach_frames=55,
        reach_bands=31,
        frame_step=2,
        band_step=1,
        pitch_steps=4,
        pitch_tolerance=0.6,
        least_votes=3,
    ),
    plain=Stage(
        name="plain",
        density=13,
        rich_limit=1_000_000,
        lean_limit=500_000,
        lean_groups=4_000,
        best=12,
        verified=12,
    ),
    deep=Stage(
        name="deep",
        density=40,
        rich_limit=1_000_000,
        lean_limit=500_000,
        lean_groups=20_000,
        best=48,
        verified=48,
    ),
    swept=Stage(
        name="swept",
        density=13,
        rich_limit=60_000,
        lean_limit=20_000,
        lean_groups=600,
        best=3,
        verified=24,
    ),
    slowest=0.74,
    fastest=1.27,
    pitch_bands=10,
    sweep_bands=1.0,
    tempo_step=0.045,
    window_s=12.0,
    window_hop_s=9.0,
)

PROFILE = FP1
