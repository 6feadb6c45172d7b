"""What a noisy channel hides: words of the track that must be heard over the noise, and are not."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from .outcome import Placement, Sketch
from .sketch import SketchQuery, stored_levels, warp_powers

FloatArray = npt.NDArray[np.float32]
DoubleArray = npt.NDArray[np.float64]
BoolArray = npt.NDArray[np.bool_]

# A column of a row must be heard from this ratio of track to noise on, and is not where the query has no more
# than so many times the noise.
HEARD_RATIO = 6.0
EMPTY_RATIO = 1.8


@dataclass(frozen=True)
class Channel:
    """What became of the levels in the spectrogram's range.

    Parameters
    ----------
    gain, noise : float64 (middle columns,)
        As ratio and as power, on the track's pitch.
    band_noise : float32 (spectrum_bands,)
        The noise in each narrow band of the query.
    """

    gain: DoubleArray
    noise: DoubleArray
    band_noise: FloatArray


def find_lost(query: SketchQuery, track: Sketch, line: Placement, channel: Channel) -> BoolArray:
    """Say of each word of the track whether it must be heard over the noise, and nothing of it is: bool
    (words,).
    """
    profile = query.profile
    middle = slice(profile.first_middle, profile.first_high)
    held = 10 ** (np.nan_to_num(stored_levels(track, profile)[:, middle], nan=-200.0) / 10)
    heard = channel.gain * held > HEARD_RATIO * channel.noise  # (rows, middle columns)
    # Half a row before and after each word lies in two rows: both must be heard.
    words = np.arange(len(track.words)) * profile.word_s / profile.stored_row_s
    first, last = (np.clip((words + side).astype(np.int64), 0, len(heard) - 1) for side in (-0.5, 0.5))
    must = heard[first] & heard[last]
    edges = (words[:, None] + np.array([-0.5, 0.5])) * profile.stored_row_s
    found = warp_powers(query, line, edges)
    empty = np.where(must, found < EMPTY_RATIO * channel.noise, True).all(axis=1)
    return np.asarray(must.any(axis=1) & empty & np.isfinite(found).all(axis=1))
