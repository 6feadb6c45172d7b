"""Testing for one known mark where it is known how the clip lies in the marked track.

Speed, pitch and place being given to within a few hundredths of a second, the pattern need not be searched:
one to three hundred placements around the given one are tried instead of millions, which is faster, and lets
weaker marks be told, since each placement tried must be paid for (`candidate` has the bound).
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from .candidate import CandidateMatcher, Found
from .correlation import MARGIN_BANDS
from .layout import first_column_of
from .profile import PROFILE, Profile
from .segment import Placement, prepare, read_cells, sync_statistic
from .synchronisation import refine

FloatArray = npt.NDArray[np.float32]

# What a fingerprint's placement may be wrong by, and the steps in which that is tried: in frames at the
# middle of a segment, by scales that move its ends by half a frame from one to the next, in bands.
MOVES_FRAMES = np.arange(-4.0, 4.5, 1.0)
MOST_SCALE_ERROR = 0.002
SCALE_STEP_FRAMES = 0.5
SHIFTS_BANDS = np.array([-0.5, 0.0, 0.5])
REFINED = 2
# What refining one placement tries at most.
REFINEMENTS = 40
# Segments (24 s each) that are looked at: enough for any mark that is there.
MOST_SEGMENTS = 16


@dataclass(frozen=True)
class ClipPlacement:
    """How a stretch of a clip lies in the marked track: `track_s = track_start_s + speed * clip_s`."""

    start_s: float
    end_s: float
    track_start_s: float
    speed: float
    pitch_semitones: float


class PlacedMatcher(CandidateMatcher):
    """Tests a signal that comes in blocks for one known mark, at known placements.

    Parameters
    ----------
    placements : sequence of ClipPlacement
        Stretches that lie in the track; the rest of the clip is not looked at.
    """

    def __init__(
        self,
        *,
        sample_rate: int,
        channels: int,
        watermark_key: bytes,
        payload: bytes,
        placements: Sequence[ClipPlacement],
        profile: Profile = PROFILE,
    ) -> None:
        super().__init__(
            sample_rate=sample_rate,
            channels=channels,
            watermark_key=watermark_key,
            payload=payload,
            profile=profile,
        )
        self._placements = tuple(placements)
        # Column 0 of the first whole block, in frames of the marked track, and that block's number.
        block, column = divmod(first_column_of(payload, watermark_key, profile), profile.period_columns)
        self._block_frames = float((profile.period_columns - column) * profile.frames_per_column)
        self._block = block + 1

    def _read(self, start: int, audio: FloatArray) -> None:
        if len(self._found) >= MOST_SEGMENTS:
            return
        start_s = start / self._sample_rate
        given = self._longest(start_s, start_s + audio.shape[1] / self._sample_rate)
        if given is None:
            return
        segment = prepare(audio, self._sample_rate, self._profile)
        tried = [
            replace(p, statistic=sync_statistic(read_cells(segment, self._pattern, p), self._pattern))
            for p in self._around(given, start_s, segment.hop_s, segment.frames)
        ]
        tried.sort(key=lambda p: -p.statistic)
        self._most_placements = max(self._most_placements, len(tried) + REFINED * REFINEMENTS)
        best = refine(segment, self._pattern, tried[:REFINED])[0]
        cells = read_cells(segment, self._layout, best).astype(np.float32)
        self._found.append(Found(start_s, best, cells))

    def _ways(self) -> list[tuple[Sequence[Found], int]]:
        return [(self._found, self._most_placements)]

    def _longest(self, start_s: float, end_s: float) -> ClipPlacement | None:
        """Return the placement that covers most of a stretch of the clip; None where none covers a second."""

        def covered(item: ClipPlacement) -> float:
            return min(end_s, item.end_s) - max(start_s, item.start_s)

        best = max(self._placements, key=covered, default=None)
        return best if best is not None and covered(best) >= min(1.0, end_s - start_s) else None

    def _around(self, given: ClipPlacement, start_s: float, hop_s: float, frames: int) -> list[Placement]:
        """Return the placements to try in a segment that begins at `start_s` of the clip."""
        shift = given.pitch_semitones * self._profile.bands_per_octave / 12
        # A frame stands for the time around its centre: positions count from half a hop before it.
        track_s = (self._block_frames - 0.5) * hop_s
        start = ((track_s - given.track_start_s) / given.speed - start_s) / hop_s + 0.5
        middle = frames / 2
        placements = []
        step = SCALE_STEP_FRAMES / middle
        most = int(MOST_SCALE_ERROR / step)
        for ratio in 1 + step * np.arange(-most, most + 1):
            scale = given.speed * float(ratio)
            # The middle of the segment stays where it is.
            turned = middle - (middle - start) / float(ratio)
            for move in MOVES_FRAMES:
                place = turned + float(move)
                for bands in SHIFTS_BANDS:
                    limited = float(np.clip(shift + bands, -MARGIN_BANDS, MARGIN_BANDS - 0.001))
                    placement = Placement(scale, limited, place, 0.0, self._block)
                    placements.append(placement.wrapped(self._profile))
        return placements
