"""How sure it is that pieces of a query are the track's."""

from .agreement import bit_errors
from .evidence import Evidence
from .outcome import Sketch
from .pieces import Piece, line_placement
from .sketch import SketchQuery

# Bit error rate of the best piece of a line above which it is no line, by its length in seconds: unrelated
# music of few notes reaches 0.27 over a second somewhere, and 0.33 over many
# (tests/test_identity_localisation.py).
MOST_ERRORS_OF_PIECE = ((4.0, 0.36), (2.0, 0.27), (1.0, 0.22), (0.0, 0.18))
# Where noise is known, and the signs that it may have turned are left out, those left are wrong so much less
# often.
KNOWN_NOISE_SHARE = 0.6
# All lines together must last this long, or for this share of a short query.
LEAST_SURE_S = 2.0
LEAST_SURE_SHARE = 0.4


def keep_sure(
    query: SketchQuery, track: Sketch, evidence: Evidence, pieces: tuple[Piece, ...]
) -> tuple[Piece, ...]:
    """Return the pieces of lines that agree beyond what music of one kind agrees by chance, of few notes in
    one tempo above all: the shorter all its pieces on a line are, the better the best must agree.
    """
    sure: set[int] = set()
    sure_s = 0.0
    strictness = 1.0 if query.noise is None else KNOWN_NOISE_SHARE
    for piece in pieces:
        most = next(rate for seconds, rate in MOST_ERRORS_OF_PIECE if piece.seconds >= seconds)
        if piece_errors(query, track, evidence, piece) <= most * strictness:
            sure.add(piece.line)
            sure_s += piece.seconds
    if sure_s < min(LEAST_SURE_S, LEAST_SURE_SHARE * query.seconds):
        return ()
    return tuple(piece for piece in pieces if piece.line in sure)


def piece_errors(query: SketchQuery, track: Sketch, evidence: Evidence, piece: Piece) -> float:
    """Bit error rate of a piece; 1 where nothing of it is audible."""
    errors = bit_errors(query, track, line_placement(evidence.lines[piece.line], piece))
    first = round(piece.track_start_s / query.profile.word_s) - errors.first_word
    last = round(piece.track_end_s / query.profile.word_s) - errors.first_word
    part = slice(max(0, first), max(0, last))
    bits = int(errors.bits[part].sum())
    return float(errors.errors[part].sum()) / bits if bits else 1.0


def longest_line_s(pieces: list[Piece]) -> float:
    """Seconds of the line that most of the pieces lie on."""
    seconds: dict[int, float] = {}
    for piece in pieces:
        seconds[piece.line] = seconds.get(piece.line, 0.0) + piece.seconds
    return max(seconds.values(), default=0.0)


def share_told(query: SketchQuery, track: Sketch, evidence: Evidence, pieces: list[Piece]) -> float:
    """Share of the bits of what is loud enough that noise leaves to be compared; 1 without known noise."""
    if query.noise is None:
        return 1.0
    told = audible = 0
    for piece in pieces:
        errors = bit_errors(query, track, line_placement(evidence.lines[piece.line], piece))
        told += int(errors.bits.sum())
        audible += query.profile.bits * len(errors.bits)
    return told / max(audible, 1)
