"""Composition: settings and form to a tune, by drafts from the composer of which one is kept.

A draft with a run of RUN_LIMIT_NOTES notes from the training tunes is refused and drawn anew; of the others
the one with the most singable line is kept and written out in a sensible octave.
"""

import itertools
from collections.abc import Callable
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from .composer import Composer
from .copying import RUN_LIMIT_NOTES, check_copying
from .engine import CopyCheck
from .errors import GeneratorError
from .form import Form
from .keyfinding import find_key
from .opening import Opening
from .prompt import Settings
from .sampling import draw_tunes
from .tokens import TOKEN_ID, decode_tokens
from .tune import Tune, pitch_of, tonic_pitch

DRAFTS = 4
# After so many rounds of drafts that all copy too much, give up loudly.
MAX_ROUNDS = 5
# Where a melody sits best on the staff: B above middle C.
STAFF_CENTRE = 71
# Share of its notes that a tune may give to the tonic; of those of the training tunes it is 0.23.
MOST_TONIC = 0.25


def compose_tune(
    model: Composer,
    sequences: NDArray[np.uint32],
    index_sha256: str,
    settings: Settings,
    form: Form,
    opening: Opening | None,
    *,
    seed: int,
    progress: Callable[[float], None],
) -> tuple[Tune, CopyCheck]:
    """A tune that fills the form, and how much of it the training tunes hold. progress may raise to stop.

    Raises
    ------
    GeneratorError
        Every draft copied too much.
    """
    header = [f"M:{settings.metre}", f"K:{settings.mode}", f"R:{settings.rhythm}"]
    start = opening.tokens(settings) if opening is not None else [TOKEN_ID[word] for word in header]
    rejected = 0
    for attempt in range(MAX_ROUNDS):
        drawn = draw_tunes(
            model, start, plan=form.sections, seed=(seed, 1, attempt), drafts=DRAFTS, progress=progress
        )
        passed: list[tuple[float, Tune, CopyCheck]] = []
        for tokens in drawn:
            tune = write_out(decode_tokens(tokens, tonic=settings.tonic), form, opening)
            found = check_copying(tune, sequences, index_sha256=index_sha256)
            if found.longest_run >= RUN_LIMIT_NOTES:
                rejected += 1
            else:
                passed.append((melodic_quality(tune), tune, found))
        if passed:
            _, tune, found = max(passed, key=lambda item: item[0])
            return tune, replace(found, rejected=rejected)
    raise GeneratorError(
        f"expected a tune with no run of {RUN_LIMIT_NOTES} notes from the training tunes, got none in "
        f"{MAX_ROUNDS * DRAFTS} drafts; another seed or opening may help"
    )


def write_out(tune: Tune, form: Form, opening: Opening | None) -> Tune:
    """A drawn tune as it is written down: in the opening's octave or on the staff, with the form's
    repeats.
    """
    steps = [n.step for s in tune.sections for b in s.bars for n in b if n.step is not None]
    middle = tonic_pitch(tune.tonic) + sum(steps) / len(steps) * 12 / 7
    octaves = opening.octaves if opening is not None else round((STAFF_CENTRE - middle) / 12)
    sections = []
    for number, section in enumerate(tune.sections):
        bars = tuple(
            tuple(n if n.step is None else replace(n, step=n.step + 7 * octaves) for n in bar)
            for bar in section.bars
        )
        repeated = (number, number) in itertools.pairwise(form.order)
        sections.append(replace(section, bars=bars, repeated=repeated))
    return replace(tune, sections=tuple(sections))


def melodic_quality(tune: Tune) -> float:
    """How good a line is: few leaps beyond a sixth, few repeated notes, bars that return but not all, its
    key clear, but not by staying on the tonic.
    """
    sounding = [n for s in tune.sections for b in s.bars for n in b if n.step is not None]
    steps = [n.step for n in sounding]
    moves = np.abs(np.diff(np.array(steps, dtype=np.int64)))
    if len(moves) == 0:
        return -10.0
    leaps, repeats = float((moves > 5).mean()), float((moves == 0).mean())
    bars = [bar for section in tune.sections for bar in section.bars]
    variety = len(set(bars)) / len(bars)
    tonic = sum(n.step is not None and n.step % 7 == 0 and n.alter == 0 for n in sounding) / len(sounding)
    unclear = 0.0 if sounds_in_key(tune) else 1.0
    return (
        -3.0 * leaps
        - 1.5 * max(0.0, repeats - 0.25)
        - 2.0 * abs(variety - 0.75)
        - 2.0 * max(0.0, tonic - MOST_TONIC)
        - unclear
    )


def sounds_in_key(tune: Tune) -> bool:
    """Whether the notes, by their lengths, sound in the tune's key; dorian counts as minor, mixolydian as
    major.
    """
    lengths = np.zeros(12)
    for section in tune.sections:
        for note in (note for bar in section.bars for note in bar):
            if note.step is not None:
                lengths[pitch_of(note.step, note.alter, tune.tonic, tune.mode) % 12] += note.units
    third = "major" if tune.mode in ("major", "mixolydian") else "minor"
    return find_key(lengths) == (tonic_pitch(tune.tonic) % 12, third)
