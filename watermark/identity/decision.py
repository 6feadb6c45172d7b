"""How sure a match is: the chance that a recording which is not the track agrees with its sketch as well.

Each compared bit says yes or no, weighted by how far the query's value lies from the border between them:
*agreement* = sum(w * yes-or-no) / sqrt(sum(w^2)), which has mean 0 and variance 1 where bits are independent
coin tosses. Bits of neighbouring frames and bands are not independent, and the places that are tried are
those where landmarks agree already: agreement with other recordings has a deviation of 1.6 and a tail beyond
that (`python -m benchmarks.identity_calibration`). `MEAN` and `DEVIATION` are of a Gaussian that is wider.

The tail is music of one tempo and one instrument, which agrees wherever its beats coincide. What a query
owes to that is measured in place: the *background* is the most that it agrees with its stretch of the track
shifted in time, over and above what the track's own repetitions explain. A background over twice `DEVIATION`
widens the Gaussian.

Nor are bits independent where sound repeats itself: a loop of 1 s that plays for 12 says everything twelve
times. Of two series that have nothing to do with each other the variance of their correlation is the sum over
all lags of the product of their autocorrelations (Bartlett, 1946): the *redundancy*, 1 for coin tosses, 1.4
for music, 16 for two such loops. Divided by its root, agreement with other recordings has a deviation of 1.1
with loops and without (`python -m benchmarks.identity_loops`). Over 1.8 it widens the Gaussian too.

The tail is multiplied by the number of places tried (Bonferroni).
"""

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import fft, special

from .agreement import placed_frames, word_bits
from .outcome import Placement, Sketch
from .sketch import SketchQuery

DoubleArray = npt.NDArray[np.float64]

MEAN = 1.0
DEVIATION = 2.0
# Deviation of agreement at a redundancy of 1; a third over what was measured.
ROOT_DEVIATION = 1.5
# The largest of a few hundred shifts is this many deviations or more.
BACKGROUND_DEVIATIONS = 2.0
# Shifts under this are the place itself; stretches that agree with each other beyond this share of all bits'
# excess are repetitions.
LEAST_SHIFT_WORDS = 8
REPETITION = 0.5
# A match is claimed from here on: one query of unindexed music in a million.
CLAIMED_PROBABILITY = 1e-6
# Nor is any that differs in more bits than this: what can differ as much are pieces of one kind, with the
# same chords, tempo and instruments.
WORST_BIT_ERROR_RATE = 0.40
# A copy whose tempo alone was changed has few bits wrong (of 931, all but one at most this share), but two
# pieces by one hand that share a pattern at two tempos have nearly as many as are allowed.
WORST_AT_OTHER_TEMPO = 0.37
# More than this between the scale and 1, and between the semitones of scale and pitch, is another tempo.
SAME_TEMPO = 0.02
SAME_SPEED_SEMITONES = 0.3
# No smaller probability is told: nothing that can be measured speaks for the shape of the tail out there.
LEAST_PROBABILITY = 1e-30
# Under so many words (1 s) compared there is no agreement to speak of.
LEAST_WORDS = 25


def most_wrong(placement: Placement) -> float:
    """Return the largest share of wrong bits with which a placement is claimed."""
    apart = abs(12 * math.log2(placement.time_scale) - placement.pitch_semitones)
    other = abs(placement.time_scale - 1) > SAME_TEMPO and apart > SAME_SPEED_SEMITONES
    return WORST_AT_OTHER_TEMPO if other else WORST_BIT_ERROR_RATE


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


@dataclass(frozen=True)
class Background:
    """What agrees with a stretch of a track without being it.

    `largest` is the most that the query agrees with the stretch shifted in time, in deviations of coin
    tosses, less what the track's own repetitions explain; `redundancy` how many times over query and stretch
    say the same, the variance that agreement by chance has.
    """

    largest: float
    redundancy: float


NO_BACKGROUND = Background(0.0, 1.0)


def measure_agreement(query: SketchQuery, track: Sketch, placement: Placement) -> Agreement:
    """Hold a placed query against a track's sketch.

    Raises
    ------
    ValueError
        The sketch is of another profile than the query.
    """
    first, weighted, signs = compare_words(query, track, placement)
    products = weighted * signs
    return Agreement(
        first_word=first,
        values=products.sum(axis=1, dtype=np.float64),
        squares=np.square(weighted).sum(axis=1, dtype=np.float64),
        wrong=int((products < 0).sum()),
        compared=int((signs != 0).sum()),
    )


def measure_background(query: SketchQuery, track: Sketch, placement: Placement) -> Background:
    """Measure what a placed query would agree with other music of the kind of its stretch of the track."""
    _, weighted, signs = compare_words(query, track, placement)
    words = len(signs)
    if words < 2 * LEAST_SHIFT_WORDS + 2 or not weighted.any():
        return NO_BACKGROUND
    here, there = fft.rfft(weighted, axis=0), fft.rfft(signs, axis=0)
    agreement = fft.irfft((here.conj() * there).sum(axis=1), words) / np.sqrt(np.square(weighted).sum())
    repetition = fft.irfft((np.abs(there) ** 2).sum(axis=1), words) / np.square(signs).sum()
    own = fft.irfft((np.abs(here) ** 2).sum(axis=1), words) / np.square(weighted).sum()
    shifts = np.arange(words)
    apart = np.minimum(shifts, words - shifts) >= LEAST_SHIFT_WORDS
    # What the query would agree if it were the track, because the track repeats itself, is taken off.
    unexplained = agreement - agreement[0] * np.maximum(repetition, 0.0)
    return Background(
        largest=float(unexplained[apart & (repetition < REPETITION)].max(initial=0.0)),
        redundancy=max(1.0, float((own * repetition).sum(dtype=np.float64))),
    )


def agree(values: DoubleArray, squares: DoubleArray) -> float:
    """Return the agreement of some words in deviations of coin tosses; 0.0 of too few that are audible."""
    if np.count_nonzero(squares) < LEAST_WORDS:
        return 0.0
    return float(values.sum() / np.sqrt(squares.sum()))


def bound_false_alarm(agreement: float, trials: int, background: Background = NO_BACKGROUND) -> float:
    """Bound the probability that the best of `trials` places in other recordings agrees as well."""
    deviation = max(
        DEVIATION,
        background.largest / BACKGROUND_DEVIATIONS,
        ROOT_DEVIATION * background.redundancy**0.5,
    )
    tail = float(special.ndtr(-(agreement - MEAN) / deviation))
    return min(1.0, max(LEAST_PROBABILITY, trials * tail))


def compare_words(
    query: SketchQuery, track: Sketch, placement: Placement
) -> tuple[int, npt.NDArray[np.float32], npt.NDArray[np.float32]]:
    """Return the first word, the query's differences, clipped, and the track's signs, float32 (words, bits)
    both; 0 where nothing compares.
    """
    frames = placed_frames(query, track, placement)
    count = len(frames.audible)
    bits = word_bits(track.words[frames.first_word : frames.first_word + count], query.profile.bits)
    audible = frames.audible & track.audible[frames.first_word : frames.first_word + count]
    held = np.isfinite(frames.differences) & audible[:, None]
    differences = np.where(held, frames.differences, np.float32(0))
    # A difference counts by its size, up to twice the mean: a click is no better evidence than a note.
    most = np.float32(2 * float(np.abs(differences).sum()) / max(int(held.sum()), 1))
    signs = np.where(bits, np.float32(1), np.float32(-1)) * held
    return frames.first_word, np.clip(differences, -most, most), signs
