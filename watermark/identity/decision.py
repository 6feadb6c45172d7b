"""How sure a match is: the chance that a recording which is not the track agrees with its sketch as well.

Each compared bit says yes or no, weighted by how far the query's value lies from the border between them:
*agreement* = sum(w * yes-or-no) / sqrt(sum(w^2)), which has mean 0 and variance 1 where bits are independent
coin tosses. Bits of neighbouring frames and bands are not independent, and the places that are tried are
those where landmarks agree already. Both widen the distribution: `DEVIATION` and `MEAN` are measured on music
that is in no index (`python -m benchmarks.identity_calibration`). The tail is bounded as a Gaussian's of that
width, and the result multiplied by the number of places tried (Bonferroni).
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import special

from .agreement import placed_frames, word_bits
from .outcome import Placement, Sketch
from .sketch import SketchQuery

DoubleArray = npt.NDArray[np.float64]

MEAN = 1.0
DEVIATION = 2.0
# A match is claimed from here on: one query of unindexed music in a million.
CLAIMED_PROBABILITY = 1e-6
# No smaller probability is told: nothing that can be measured speaks for the shape of the tail out there.
LEAST_PROBABILITY = 1e-30
# Under so many words (1 s) compared there is no agreement to speak of.
LEAST_WORDS = 25


@dataclass(frozen=True)
class Agreement:
    """Agreement of a placed query with a sketch, word by word.

    Parameters
    ----------
    first_word : int
        Word of the track that row 0 is about.
    values, squares : float64 (n,)
        Sum of the weighted yes (+) and no (-) of each word's bits, and of their squared weights.
    wrong, compared : int
        Bits that differ, and bits compared.
    """

    first_word: int
    values: DoubleArray
    squares: DoubleArray
    wrong: int
    compared: int

    @property
    def total(self) -> float:
        """The agreement of all words together, in deviations of coin tosses; 0.0 of too few words."""
        return agree(self.values, self.squares)

    @property
    def bit_error_rate(self) -> float:
        """Share of compared bits that differ, 1.0 where none were compared."""
        return self.wrong / self.compared if self.compared else 1.0


def measure_agreement(query: SketchQuery, track: Sketch, placement: Placement) -> Agreement:
    """Hold a placed query against a track's sketch.

    Raises
    ------
    ValueError
        The sketch is of another profile than the query.
    """
    frames = placed_frames(query, track, placement)
    count = len(frames.audible)
    bits = word_bits(track.words[frames.first_word : frames.first_word + count], query.profile.bits)
    audible = frames.audible & track.audible[frames.first_word : frames.first_word + count]
    held = np.isfinite(frames.differences) & audible[:, None]
    differences = np.where(held, frames.differences, np.float32(0))
    sizes = np.abs(differences)
    compared = int(held.sum())
    # A difference counts by its size, up to twice the mean: a click is no better evidence than a note.
    most = 2 * float(sizes.sum()) / max(compared, 1)
    weights = np.minimum(sizes, np.float32(most))
    right = (differences > 0) == bits
    return Agreement(
        first_word=frames.first_word,
        values=np.where(right, weights, -weights).sum(axis=1, dtype=np.float64),
        squares=np.square(weights).sum(axis=1, dtype=np.float64),
        wrong=int((~right & held).sum()),
        compared=compared,
    )


def agree(values: DoubleArray, squares: DoubleArray) -> float:
    """Return the agreement of some words in deviations of coin tosses; 0.0 of too few that are audible."""
    if np.count_nonzero(squares) < LEAST_WORDS:
        return 0.0
    return float(values.sum() / np.sqrt(squares.sum()))


def bound_false_alarm(agreement: float, trials: int) -> float:
    """Bound the probability that the best of `trials` places in other recordings agrees as well."""
    tail = float(special.ndtr(-(agreement - MEAN) / DEVIATION))
    return min(1.0, max(LEAST_PROBABILITY, trials * tail))
