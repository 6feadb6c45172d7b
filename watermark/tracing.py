"""Which copies of one track a clip was made from: one search, and all the copies' codewords on what it read.

Copies of a track carry different payloads under the same key. Their synchronisation patterns are the same but
begin at columns that differ from payload to payload, so a mix of two copies shows the pattern at two places,
each with the codeword of its own copy. For each segment the usual readings (`finding`) are taken, and the
cells at further places of the pattern; then all N codewords are correlated with the soft bits of each.

Let L be the soft bits of a reading and s(n) the signs of the n-th codeword. For the k best of m segments,
each with the one of its H readings that suits the codeword best, let `z = sum_b s_b(n) L_b / sqrt(sum L_b^2)`
of the readings' sum. For audio that does not depend on the key, and for the payload of a copy that had no
part in it, the signs are fair coins given the L_b, so (Hoeffding 1963, and the union over all choices)

    P(any of N copies so well)  <=  N * m * C(m, k) * H^k * exp(-z^2 / 2).

The copy that stands out most is named; its share `(s . L) s / B` is taken out of every reading, B being the
codeword's length, and what remains is judged again: so two copies at one place are both told, and a third
gains nothing from a codeword that happens to lie near that of a guilty one.

Searching for each copy with its whole codeword as the pattern, as `candidate` does, tells no more: it finds
fainter places, but must pay for every place of that search in the bound, where the pattern's are free.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from .false_alarm import log_probability, presence_log_probability, probability
from .finding import Finder
from .known import KnownPayloads
from .layout import codeword_of, layout_of
from .outcome import Alignment
from .reader import alignment_of, row_weights, soft_bits
from .segment import Placement, Segment, Segments, prepare, read_cells
from .segmenting import Segmenter
from .sequence import numbered, search_sequence
from .synchronisation import search, settle

DoubleArray = npt.NDArray[np.float64]
FloatArray = npt.NDArray[np.float32]

# A copy is named when any innocent one would do as well with at most this probability.
NAMING_PROBABILITY = 1e-9
# Copies named at most: with more of them in a mix none stands out.
MOST_NAMED = 8
# Further places of the pattern that are read, and how many of the strongest are kept for that.
PLACES = 8
# Copies whose segments are combined, best first.
SHORTLIST = 32
# A place where the pattern stands with this bound, and none of the copies named does, holds something else.
FOREIGN_LOG_PROBABILITY = math.log(1e-9)
OWN_STATISTIC = 5.0


@dataclass(frozen=True)
class TracedCopy:
    """A payload that the clip carries, a bound on the probability that an innocent one would do so, and how
    it lies.
    """

    payload: bytes
    false_alarm_probability: float
    alignment: Alignment


@dataclass(frozen=True)
class Trace:
    """Whose copies a clip was made from.

    `named`: most evident first; two or more where copies were mixed. `foreign`: the key's pattern stands in
    the clip with a payload that is none of those named. `likeliest`: the best candidates with the bound of
    each, named or not, over all candidates.
    """

    named: tuple[TracedCopy, ...]
    foreign: bool
    likeliest: tuple[tuple[bytes, float], ...]


@dataclass(frozen=True)
class _Reading:
    """Soft bits at one place of one segment."""

    segment: int
    start_s: float
    placement: Placement
    sync_log_probability: float
    soft: DoubleArray


@dataclass(frozen=True)
class _Score:
    payload_index: int
    log_p: float
    strongest: int


def trace(audio: FloatArray, *, sample_rate: int, known: Sequence[KnownPayloads]) -> Trace:
    """Return which of the known payloads the clip carries.

    Parameters
    ----------
    audio : float32, shape (channels, samples)
    sample_rate : int
        Hz, 8,000 to 192,000.
    known : sequence of KnownPayloads
        The payloads of one track's copies, by watermark key and profile; at least one payload in all.

    Raises
    ------
    AudioError
        The audio cannot be worked on.
    """
    channels = audio.shape[0] if isinstance(audio, np.ndarray) and audio.ndim == 2 else 1
    tracer = Tracer(sample_rate=sample_rate, channels=channels, known=known)
    tracer.push(audio)
    return tracer.finish()


class Tracer:
    """Tells which copies a signal that comes in blocks was made from; holds some 24 s of it at a time."""

    def __init__(self, *, sample_rate: int, channels: int, known: Sequence[KnownPayloads]) -> None:
        self._segmenter = Segmenter(sample_rate=sample_rate, channels=channels)
        self._sample_rate = sample_rate
        self._candidates = sum(len(some.payloads) for some in known)
        if self._candidates == 0:
            raise ValueError("expected at least one known payload")
        self._matchers = [_Matcher(some, self._candidates) for some in known if some.payloads]

    def push(self, block: FloatArray) -> None:
        """Take the next samples, float32 (channels, n)."""
        for start, audio in self._segmenter.push(block):
            self._read(start, audio, alone=False)

    def finish(self) -> Trace:
        """Return the outcome for everything pushed."""
        for start, audio in self._segmenter.finish():
            self._read(start, audio, alone=start == 0)
        outcomes = [matcher.conclude() for matcher in self._matchers]
        named = [copy for outcome in outcomes for copy in outcome.named]
        likeliest = [pair for outcome in outcomes for pair in outcome.likeliest]
        return Trace(
            named=tuple(sorted(named, key=lambda copy: copy.false_alarm_probability)),
            foreign=any(outcome.foreign for outcome in outcomes),
            likeliest=tuple(sorted(likeliest, key=lambda pair: pair[1])[:MOST_NAMED]),
        )

    def _read(self, start: int, audio: FloatArray, *, alone: bool) -> None:
        samples = audio.shape[1]
        start_s, end_s = start / self._sample_rate, (start + samples) / self._sample_rate
        segments = Segments(audio, self._sample_rate, prepare)
        for matcher in self._matchers:
            matcher.read(segments.of(matcher.known.profile), start_s, end_s, alone=alone)


class _Matcher:
    """The readings of a signal under one key and profile, and the copies that they speak for."""

    def __init__(self, known: KnownPayloads, candidates: int) -> None:
        self.known = known
        self._candidates = candidates
        self._layout = layout_of(known.watermark_key, known.profile)
        self._finder = Finder(self._layout)
        self._readings: list[_Reading] = []
        self._segments = 0

    def read(self, segment: Segment, start_s: float, end_s: float, *, alone: bool) -> None:
        """Take one segment's readings, and those at further places of the pattern."""
        tried = self._finder.placements
        number = len(self._finder.segments)
        self._finder.read(segment, start_s, end_s, alone=alone)
        if len(self._finder.segments) == number:
            return
        found = self._finder.segments[-1]
        tried = self._finder.placements - tried
        for reading in found.readings:
            self._add(start_s, reading.placement, tried, reading.cells.astype(np.float64), reading.statistic)
        # Another copy lies at the same speed and pitch, elsewhere in the block; and where the marks of a mix
        # are so weak that the speed found is none, most likely at no change of speed.
        rough = [
            placement
            for scale in dict.fromkeys((1.0, found.best.placement.scale))
            for placement in search(segment, self._layout, (scale,), PLACES, peaks=PLACES)
        ]
        rough = [numbered(segment, self._layout, placement)[0] for placement in rough]
        settled_places = [settle(segment, self._layout, placement) for placement in rough]
        for settled in [*settled_places, *search_sequence(segment, self._layout, PLACES)]:
            cells = read_cells(segment, self._layout, settled)
            self._add(start_s, settled, tried, cells, settled.statistic)
        self._segments += 1

    def _add(
        self, start_s: float, placement: Placement, tried: int, cells: DoubleArray, statistic: float
    ) -> None:
        soft = soft_bits(cells * row_weights(cells, self._layout), self._layout)
        log_p = presence_log_probability(statistic, tried)
        self._readings.append(_Reading(self._segments, start_s, placement, log_p, soft))

    def conclude(self) -> Trace:
        """Name copies one after the other, each after the share of those before is taken out."""
        if not self._readings:
            return Trace((), foreign=False, likeliest=())
        soft = np.stack([reading.soft for reading in self._readings])  # (readings, bits)
        rest = soft
        named: list[TracedCopy] = []
        likeliest: list[tuple[bytes, float]] = []
        limit = math.log(NAMING_PROBABILITY)
        for step in range(MOST_NAMED):
            scores = self._score(rest)
            if step == 0:
                likeliest = [
                    (self.known.payloads[score.payload_index], probability(score.log_p)) for score in scores
                ]
            if scores[0].log_p > limit:
                break
            payload = self.known.payloads[scores[0].payload_index]
            strongest = self._readings[scores[0].strongest]
            named.append(self._describe(payload, scores[0].log_p, strongest.placement, strongest.start_s))
            signs = self._signs(payload)
            rest = rest - np.outer(rest @ signs, signs) / signs.size
        return Trace(tuple(named), self._is_foreign(soft, named), tuple(likeliest[:MOST_NAMED]))

    def _score(self, soft: DoubleArray) -> list[_Score]:
        """Return the best copies with their bounds, best first."""
        sums = self.known.correlate(soft).astype(np.float64)  # (copies, readings)
        energy = np.sqrt((soft * soft).sum(axis=1))
        values = sums / np.maximum(energy, 1e-12)
        places = [
            np.flatnonzero([reading.segment == number for reading in self._readings])
            for number in range(self._segments)
        ]
        most = max(len(some) for some in places)
        # Of each copy and segment the reading that suits it best: (copies, segments).
        chosen = np.stack([some[values[:, some].argmax(axis=1)] for some in places], axis=1)
        best = np.take_along_axis(values, chosen, axis=1)
        rank = np.maximum(best.max(axis=1), best.sum(axis=1) / math.sqrt(self._segments))
        scores = []
        for index in np.argsort(-rank)[:SHORTLIST]:
            order = np.argsort(-best[index])
            log_p = self._combine(soft, sums[index], chosen[index][order], most)
            scores.append(_Score(int(index), log_p, int(chosen[index][order[0]])))
        return sorted(scores, key=lambda score: score.log_p)

    def _combine(
        self, soft: DoubleArray, sums: DoubleArray, chosen: npt.NDArray[np.int64], places: int
    ) -> float:
        """Return the log bound of one copy over its best one, two ... of all segments."""
        count = np.arange(1, chosen.size + 1)
        energy = (np.cumsum(soft[chosen], axis=0) ** 2).sum(axis=1)
        statistic = np.cumsum(sums[chosen]) / np.sqrt(np.maximum(energy, 1e-12))
        return min(
            log_probability(float(z), self._log_trials(int(k), chosen.size, places))
            for k, z in zip(count, statistic, strict=True)
        )

    def _log_trials(self, used: int, segments: int, places: int) -> float:
        return (
            math.log(self._candidates)
            + math.log(segments)
            + math.log(math.comb(segments, used))
            + used * math.log(places)
        )

    def _is_foreign(self, soft: DoubleArray, named: list[TracedCopy]) -> bool:
        """Say whether the pattern plainly stands somewhere with a payload that is none of those named."""
        energy = np.sqrt((soft * soft).sum(axis=1))
        signs = [self._signs(copy.payload) for copy in named]
        for reading, length in zip(self._readings, energy, strict=True):
            if reading.sync_log_probability > FOREIGN_LOG_PROBABILITY:
                continue
            if all(float(reading.soft @ own) < OWN_STATISTIC * length for own in signs):
                return True
        return False

    def _signs(self, payload: bytes) -> DoubleArray:
        codeword = codeword_of(payload, self.known.watermark_key, self.known.profile)
        return 1.0 - 2.0 * codeword.astype(np.float64)

    def _describe(self, payload: bytes, log_p: float, placement: Placement, start_s: float) -> TracedCopy:
        return TracedCopy(payload, probability(log_p), alignment_of(placement, self.known.profile, start_s))
