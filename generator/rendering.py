"""Rendering: a score to stereo audio, part by part through the synthesiser, then the room and an even
level.
"""

import math
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from .form import TAIL_S
from .instruments import BY_NAME, EMBEDDING_ROW
from .mixing import add_room, pan_mono, set_level
from .score import Part, Score
from .synthesis import TimedNote, render_part
from .timbre import SAMPLE_RATE, TimbreNetwork

_FADE_S = 0.3


def timed_notes(score: Score, part: Part) -> list[TimedNote]:
    """Notes of a part in seconds."""
    notes = []
    for note in part.notes:
        onset_s = score.tick_to_s(note.onset)
        held_s = score.tick_to_s(note.onset + note.duration) - onset_s
        notes.append(TimedNote(note.pitch, onset_s, held_s, note.velocity))
    return notes


def render_score(
    network: TimbreNetwork, score: Score, *, seed: int, progress: Callable[[float], None]
) -> NDArray[np.float32]:
    """Dry stereo mix of all parts, float32 (2, n), TAIL_S longer than the score. progress may raise to
    stop.
    """
    length = math.ceil((score.length_s + TAIL_S) * SAMPLE_RATE)
    audio = np.zeros((2, length), dtype=np.float32)
    for number, part in enumerate(score.parts):

        def part_progress(fraction: float, number: int = number) -> None:
            progress((number + fraction) / len(score.parts))

        mono = render_part(
            network,
            timed_notes(score, part),
            BY_NAME[part.instrument],
            EMBEDDING_ROW[part.instrument],
            length_samples=length,
            random=np.random.default_rng((seed, 3, number)),
            progress=part_progress,
        )
        audio += pan_mono(mono, part.pan, part.gain_db)
    return audio


def finish_mix(audio: NDArray[np.float32], *, progress: Callable[[float], None]) -> NDArray[np.float32]:
    """Add the room, fade out the end and set the level."""
    progress(0.0)
    audio = add_room(audio, SAMPLE_RATE)
    progress(0.5)
    fade = np.ones(audio.shape[1], dtype=np.float32)
    samples = int(_FADE_S * SAMPLE_RATE)
    fade[-samples:] = np.linspace(1.0, 0.0, samples, dtype=np.float32)
    audio = set_level(audio * fade, SAMPLE_RATE)
    assert bool(np.isfinite(audio).all())
    progress(1.0)
    return audio
