"""Testing a clip for one known mark: the track is named by a claimant, a registry or a fingerprint.

Nothing need be decoded: the whole codeword is known, so all cells, not one in five, serve as the pattern
that is searched for, and weaker marks and shorter clips are told apart. What is then judged are the
codeword's soft bits L_b against its signs s_b, `z = sum s_b L_b / sqrt(sum L_b^2)`: they are fair coins both
for audio that does not know the key and for audio that carries another payload under it, whose
synchronisation pattern is the same. Let z_k be the statistic of the k best of n segments added, each at its
own placement out of H (Hoeffding 1963):

    P(z_k as large)  <=  C(n, k) * H^k * exp(-z_k^2 / 2)

and the smallest of these over k, times n, bounds the false-alarm probability of the answer. Where blocks
differ, the first few segments that do not show the mark plainly are also taken as pieces of a second, each at
its own place of the whole sequence at the plain speed, and added in the same way: so a recording that was
cut up, spliced or put in another order is told. Where both answers are asked for, each counts double.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from .false_alarm import log_probability, probability
from .layout import BitArray, Layout, codeword_of, layout_of
from .outcome import Alignment
from .profile import PROFILE, Profile
from .reader import alignment_of, soft_bits
from .segment import Placement, Segment, prepare, read_cells, score
from .segmenting import Segmenter
from .sequence import (
    Rows,
    cells_at,
    numbered,
    placement_at,
    places_in_sequence,
    places_searched,
    read_rows,
    search_rows,
    search_sequence,
    steps_of,
)
from .synchronisation import placements_searched, refine, scales_for, search

DoubleArray = npt.NDArray[np.float64]
FloatArray = npt.NDArray[np.float32]

# The mark is said to be present when chance would do as well with at most this probability.
PRESENT_PROBABILITY = 1e-6
REFINED = 4
# Placements of the pilot that are judged by all cells where blocks differ, and what refining one tries.
OFFERED = 24
REFINEMENTS = 30
# Length of a piece, and how many segments at most are taken to pieces.
PIECE_S = 1.0
PIECED_SEGMENTS = 4


@dataclass(frozen=True)
class CandidateMatch:
    """Whether a clip carries one given mark, a bound on the probability of that by chance, and how it
    lies.
    """

    present: bool
    false_alarm_probability: float
    alignment: Alignment | None


@dataclass(frozen=True)
class Found:
    """The mark's best placement in a segment, and the cells read at it."""

    start_s: float
    placement: Placement
    cells: FloatArray


def match_candidate(
    audio: FloatArray, *, sample_rate: int, watermark_key: bytes, payload: bytes, profile: Profile = PROFILE
) -> CandidateMatch:
    """Test whether the clip carries the mark `payload`.

    Parameters
    ----------
    audio : float32, shape (channels, samples)
    sample_rate : int
        Hz, 8,000 to 192,000.
    watermark_key : bytes of 32
    payload : bytes of 8

    Raises
    ------
    AudioError
        The audio cannot be worked on.
    """
    channels = audio.shape[0] if isinstance(audio, np.ndarray) and audio.ndim == 2 else 1
    matcher = CandidateMatcher(
        sample_rate=sample_rate,
        channels=channels,
        watermark_key=watermark_key,
        payload=payload,
        profile=profile,
    )
    matcher.push(audio)
    return matcher.finish()


class CandidateMatcher:
    """Tests a signal that comes in blocks for one known mark; holds at most 24 s of it at a time."""

    def __init__(
        self,
        *,
        sample_rate: int,
        channels: int,
        watermark_key: bytes,
        payload: bytes,
        profile: Profile = PROFILE,
    ) -> None:
        self._segmenter = Segmenter(sample_rate=sample_rate, channels=channels)
        if not isinstance(payload, bytes) or len(payload) * 8 != profile.payload_bits:
            raise ValueError(f"expected a payload of {profile.payload_bits // 8} bytes")
        self._sample_rate = sample_rate
        self._profile = profile
        self._layout = layout_of(watermark_key, profile)
        self._codeword = codeword_of(payload, watermark_key, profile)
        self._pattern = known_pattern(self._layout, self._codeword)
        self._found: list[Found] = []
        self._most_placements = 1
        self._pieces: list[Found] = []
        self._pieced = 0

    def push(self, block: FloatArray) -> None:
        """Take the next samples, float32 (channels, n)."""
        for start, audio in self._segmenter.push(block):
            self._read(start, audio)

    def finish(self) -> CandidateMatch:
        """Return the outcome for everything pushed."""
        for start, audio in self._segmenter.finish():
            self._read(start, audio)
        ways = self._ways()
        log_p, found = min(
            ((self._log_probability(some, tried), some) for some, tried in ways), key=lambda way: way[0]
        )
        best = min(log_p + math.log(len(ways)), 0.0)
        present = best <= math.log(PRESENT_PROBABILITY)
        strongest = max(found, key=lambda one: one.placement.statistic) if present else None
        return CandidateMatch(
            present=present,
            false_alarm_probability=probability(best),
            alignment=alignment_of(strongest.placement, self._profile, strongest.start_s)
            if strongest
            else None,
        )

    def _ways(self) -> list[tuple[Sequence[Found], int]]:
        """Return what was found, and in how many placements each, in every way that the mark is asked for."""
        ways: list[tuple[Sequence[Found], int]] = [(self._found, self._most_placements)]
        if self._pattern.masks is not None:
            ways.append((self._pieces, places_searched(self._pattern)))
        return ways

    def _log_probability(self, some: Sequence[Found], tried: int) -> float:
        """Return the log bound for what was found added, best first, where each is the best of `tried`."""
        total = np.zeros(self._layout.sync_chips.shape)
        best = 0.0
        for count, found in enumerate(sorted(some, key=lambda one: -one.placement.statistic), start=1):
            total = total + found.cells
            log_trials = count * math.log(tried) + math.log(math.comb(len(some), count)) + math.log(len(some))
            best = min(
                best, log_probability(codeword_statistic(total, self._layout, self._codeword), log_trials)
            )
        return best

    def _read(self, start: int, audio: FloatArray) -> None:
        segment = prepare(audio, self._sample_rate, self._profile)
        scales = [1.0, *scales_for(self._profile, segment.frames)]
        if self._pattern.masks is None:
            rough = search(segment, self._pattern, scales, REFINED)
            tried = placements_searched(self._profile, len(scales), REFINED)
        else:
            rough, tried = self._in_blocks(segment, scales)
        self._most_placements = max(self._most_placements, tried)
        if not rough:
            return
        best = refine(segment, self._pattern, rough)[0]
        cells = read_cells(segment, self._layout, best).astype(np.float32)
        found = Found(start / self._sample_rate, best, cells)
        self._found.append(found)
        plainly = self._log_probability([found], self._most_placements) <= math.log(PRESENT_PROBABILITY / 2)
        if not plainly and self._pattern.masks is not None and self._pieced < PIECED_SEGMENTS:
            self._pieced += 1
            self._pieces += self._take_to_pieces(segment, found.start_s)

    def _take_to_pieces(self, segment: Segment, start_s: float) -> list[Found]:
        """Return each second of a segment at its likeliest place of the sequence, at the plain speed."""
        rows = read_rows(segment, self._pattern)
        step_s = steps_of(self._pattern) * segment.hop_s
        length = round(PIECE_S / step_s)
        pieces = []
        for first in range(0, max(len(rows.values) - length // 2, 1), length):
            piece = Rows(first, rows.values[first : first + length])
            for place in search_rows([piece], self._pattern, 1):
                cells = cells_at(piece, place, self._layout).astype(np.float32)
                pieces.append(Found(start_s, placement_at(place, self._layout), cells))
        return pieces

    def _in_blocks(self, segment: Segment, scales: Sequence[float]) -> tuple[list[Placement], int]:
        """Return the likeliest placements where blocks differ, and how many the mark's own chips chose from.

        The pilot, which says nothing of the payload, offers places for each scale; what was offered, and the
        whole sequence at the plain speed, is judged by all cells.
        """
        offered = [
            numbered(segment, self._pattern, p)[0] for p in search(segment, self._pattern, scales, OFFERED)
        ]
        plain = search_sequence(segment, self._pattern, REFINED)
        plain = [score(segment, self._pattern, p) for p in plain]
        rough = sorted([*offered, *plain], key=lambda p: -p.statistic)[:REFINED]
        tried = OFFERED * self._profile.blocks + places_in_sequence(self._pattern, REFINED)
        tried += REFINEMENTS * REFINED
        return rough, tried


def known_pattern(layout: Layout, codeword: BitArray) -> Layout:
    """Return the layout in which every cell of a block with this codeword is part of the pattern.

    What repeats in every block is then all of it, or, where blocks differ, the pilot.
    """
    chips = layout.chips(codeword)
    pilot = chips if layout.masks is None else layout.pilot_chips
    return replace(layout, sync_chips=chips, pilot_chips=pilot, payload_chips=np.zeros_like(chips))


def codeword_statistic(cells: DoubleArray, layout: Layout, codeword: BitArray) -> float:
    """Return the normalised correlation of the soft bits of folded cells with the signs of `codeword`."""
    soft = soft_bits(cells, layout)
    energy = float((soft * soft).sum())
    return float(((1.0 - 2.0 * codeword) * soft).sum() / np.sqrt(energy)) if energy > 0 else 0.0
