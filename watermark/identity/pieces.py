"""Pieces: the stretches of a query that are the track's, on whichever line, and their order in the track."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from .evidence import Evidence
from .outcome import Placement
from .path import MATCHED, Run

DoubleArray = npt.NDArray[np.float64]

# Two lines whose starts differ by less are one line: the difference is measured no better.
SAME_LINE_S = 0.06
# A piece on another line than those beside it counts only where it agrees better by this much: music that
# repeats itself agrees with its repeats.
REPETITION_MARGIN = 0.12
# Pieces may overlap in the track by so much and still be in order; borders are no more exact.
OVERLAP_S = 0.15


@dataclass(frozen=True)
class Piece:
    """A stretch of the query that is the track's: moments first to last on a line, and the times there.

    Times are seconds on the track's scale: `start_s` to `end_s` of the query, plus `shift_s` of the track.
    """

    line: int
    first: int
    last: int
    start_s: float
    end_s: float
    shift_s: float

    @property
    def seconds(self) -> float:
        return self.end_s - self.start_s

    @property
    def track_start_s(self) -> float:
        return self.start_s + self.shift_s

    @property
    def track_end_s(self) -> float:
        return self.end_s + self.shift_s


def make_piece(evidence: Evidence, line: int, first: int, last: int, word_s: float) -> Piece:
    """Return the piece of a line from moment `first` to `last`, its borders halfway between moments."""
    start_s, end_s = ((edge - 0.5 + evidence.phase[line]) * word_s for edge in (first, last))
    return Piece(line, first, last, start_s, end_s, evidence.lines[line].track_start_s)


def collect_pieces(evidence: Evidence, runs: tuple[Run, ...], word_s: float) -> tuple[Piece, ...]:
    """Return the matched runs as pieces; one whose neighbours' line explains it as well is put on that."""
    matched = [run for run in runs if run.state == MATCHED]
    lines = [run.line for run in matched]
    for place in sorted(range(len(matched)), key=lambda n: matched[n].last - matched[n].first):
        run = matched[place]
        own = _mean(evidence.agreement[lines[place], run.first : run.last])
        for other in (place - 1, place + 1):
            if not 0 <= other < len(matched) or lines[other] == lines[place]:
                continue
            beside = matched[other]
            if run.last - run.first > beside.last - beside.first:
                continue
            if evidence.outside[lines[other], run.first : run.last].any():
                continue
            if _mean(evidence.agreement[lines[other], run.first : run.last]) > own - REPETITION_MARGIN:
                lines[place] = lines[other]
                break
    pieces: list[Piece] = []
    for run, line in zip(matched, lines, strict=True):
        if pieces and pieces[-1].line == line and pieces[-1].last == run.first:
            pieces[-1] = make_piece(evidence, line, pieces[-1].first, run.last, word_s)
        else:
            pieces.append(make_piece(evidence, line, run.first, run.last, word_s))
    return tuple(pieces)


def choose_backbone(pieces: tuple[Piece, ...]) -> tuple[int, ...]:
    """Return which pieces form the longest story in the track's own order, by seconds."""
    best = [piece.seconds for piece in pieces]
    before = [-1] * len(pieces)
    for here, piece in enumerate(pieces):
        for there in range(here):
            follows = piece.track_start_s >= pieces[there].track_end_s - OVERLAP_S
            if follows and best[there] + piece.seconds > best[here]:
                best[here], before[here] = best[there] + piece.seconds, there
    chain: list[int] = []
    place = int(np.argmax(best)) if pieces else -1
    while place >= 0:
        chain.append(place)
        place = before[place]
    return tuple(reversed(chain))


def line_placement(line: Placement, piece: Piece) -> Placement:
    """Return the placement of a piece: its line, at its own shift."""
    return Placement(piece.shift_s, line.time_scale, line.pitch_semitones)


def _mean(values: DoubleArray) -> float:
    known = values[np.isfinite(values)]
    return float(known.mean()) if len(known) else 0.0
