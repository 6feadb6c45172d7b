"""Rendering: a score to a stream of stereo blocks; every part through the synthesiser, then the room and the
master.

Blocks are made one after the other from the score alone, so the first is heard while the last is not yet
thought of, and a whole piece is its blocks put together. Before the first, some places of the piece are
rendered to plan its loudness: what is heard there, and how loud, by its notes, the whole is beside them.
Where the network lies on another device than the CPU, many blocks are made in one batch.
"""

import math
from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from .drumkit import DrumKit
from .form import TAIL_S
from .instruments import BY_NAME, EMBEDDING_ROW, KIT
from .loudness import STEP_S, gated_lufs
from .mastering import TARGET_LUFS, Master, plan_gain_db
from .mixing import Room, pan_gains
from .percussion import DrumSynthesiser
from .score import Part, Score
from .synthesis import BLOCK_SAMPLES, LEAD_SAMPLES, OVERLAP_SAMPLES, PartSynthesiser, TimedNote
from .timbre import SAMPLE_RATE, TimbreNetwork

_FADE_S = 0.3
# Where the loudness is looked at: so many places of so many blocks.
_PLACES, _PLACE_BLOCKS = 4, 2
# Blocks that another device than the CPU makes at once: 24 s, some hundred megabytes for each part.
BATCH_BLOCKS = 32


def timed_notes(score: Score, part: Part) -> list[TimedNote]:
    """Notes of a part in seconds."""
    notes = []
    for note in part.notes:
        onset_s = score.tick_to_s(note.onset)
        held_s = score.tick_to_s(note.onset + note.duration) - onset_s
        notes.append(TimedNote(note.pitch, onset_s, held_s, note.velocity))
    return notes


class _Mix:
    """The dry stereo mix of all parts, by blocks."""

    def __init__(
        self, network: TimbreNetwork, kit: DrumKit, score: Score, *, seed: int, at_once: int
    ) -> None:
        self._at_once = at_once
        self._parts = [
            _open_part(network, kit, score, part, seed=(seed, 3, number))
            for number, part in enumerate(score.parts)
        ]
        self._gains = [pan_gains(part.pan, part.gain_db) for part in score.parts]
        # Blocks that the plan has rendered, or that came with others, wait here for their turn.
        self._waiting: dict[int, NDArray[np.float32]] = {}

    def power(self, length: int) -> NDArray[np.float64]:
        """K-weighted power of each STEP_S of the first `length` samples, as the notes promise it."""
        steps = round(length / SAMPLE_RATE / STEP_S)
        powers = [part.power(steps, STEP_S) for part in self._parts]
        gains = [float((g**2).sum()) for g in self._gains]
        return np.asarray(sum(p * g for p, g in zip(powers, gains, strict=True)))

    def blocks(self, first: int, count: int, *, keep: bool = False) -> Iterator[NDArray[np.float32]]:
        """Blocks (2, BLOCK_SAMPLES) from number `first` on, LEAD_SAMPLES late; keep saves rendering again."""
        carried = np.zeros((2, OVERLAP_SAMPLES), dtype=np.float32)
        for number in range(first, first + count):
            if number not in self._waiting:
                self._make(number)
            total = self._waiting.pop(number)
            if keep:
                self._waiting[number] = total.copy()
            total[:, :OVERLAP_SAMPLES] += carried
            carried = total[:, BLOCK_SAMPLES:].copy()
            yield total[:, :BLOCK_SAMPLES]

    def _make(self, first: int) -> None:
        """Mix the next blocks."""
        mixed = np.zeros((self._at_once, 2, BLOCK_SAMPLES + OVERLAP_SAMPLES), dtype=np.float32)
        for part, gains in zip(self._parts, self._gains, strict=True):
            mixed += gains[:, None] * part.blocks(first, self._at_once)[:, None]
        self._waiting.update({first + number: total for number, total in enumerate(mixed)})


def _open_part(
    network: TimbreNetwork, kit: DrumKit, score: Score, part: Part, *, seed: tuple[int, ...]
) -> PartSynthesiser | DrumSynthesiser:
    """Whatever turns the notes of a part into blocks."""
    notes = timed_notes(score, part)
    if part.instrument == KIT.name:
        return DrumSynthesiser(kit, notes, seed=seed)
    instrument, row = BY_NAME[part.instrument], EMBEDDING_ROW[part.instrument]
    return PartSynthesiser(network, notes, instrument, row, seed=seed)


def render_blocks(
    network: TimbreNetwork, kit: DrumKit, score: Score, *, seed: int, at_once: int = 1
) -> Iterator[NDArray[np.float32]]:
    """The finished sound of a score, block after block, float32 (2, n): TAIL_S longer than the score.

    at_once: how many blocks the synthesiser makes in one batch.
    """
    length = math.ceil((score.length_s + TAIL_S) * SAMPLE_RATE)
    mix = _Mix(network, kit, score, seed=seed, at_once=at_once)
    count = -(-(length + LEAD_SAMPLES) // BLOCK_SAMPLES)
    master = Master(SAMPLE_RATE, 2, gain_db=_plan(mix, length, count), length_s=length / SAMPLE_RATE)
    room = Room(SAMPLE_RATE, BLOCK_SAMPLES)
    place = -LEAD_SAMPLES
    for block in mix.blocks(0, count):
        wet = room.push(block) * _closing_fade(place, length)
        begin, end = max(0, -place), min(BLOCK_SAMPLES, length - place)
        place += BLOCK_SAMPLES
        yield master.push(wet[:, begin:end])
    yield master.finish()


def count_blocks(score: Score) -> int:
    """How many blocks `render_blocks` gives for a score."""
    length = math.ceil((score.length_s + TAIL_S) * SAMPLE_RATE)
    return -(-(length + LEAD_SAMPLES) // BLOCK_SAMPLES) + 1


def _closing_fade(place: int, length: int) -> NDArray[np.float32]:
    """Gain of the samples of a block that begins at `place`: 1, but for the last _FADE_S of the piece."""
    left = length - place - np.arange(BLOCK_SAMPLES)
    return np.clip(left / (_FADE_S * SAMPLE_RATE), 0.0, 1.0).astype(np.float32)


def _plan(mix: _Mix, length: int, count: int) -> float:
    """Gain for the master, from some places of the piece."""
    promised = mix.power(length)
    if count <= _PLACES * (1 + _PLACE_BLOCKS):
        stretches = [(0, count)]
    else:
        starts = [round((k + 0.5) * count / _PLACES - _PLACE_BLOCKS / 2) - 1 for k in range(_PLACES)]
        stretches = [(start, 1 + _PLACE_BLOCKS) for start in starts]
    places, steps = [], []
    for first, blocks in stretches:
        room = Room(SAMPLE_RATE, BLOCK_SAMPLES)
        heard = np.concatenate([room.push(block) for block in mix.blocks(first, blocks, keep=True)], axis=1)
        # In the first block of a place the notes and the room from before it are missing.
        skipped = 1 if first else 0
        places.append(heard[:, skipped * BLOCK_SAMPLES :])
        edges_s = np.array([first + skipped, first + blocks]) * BLOCK_SAMPLES / SAMPLE_RATE
        begin, end = np.round(edges_s / STEP_S).astype(int)
        steps.append(promised[begin:end])
    beside = gated_lufs(promised) - gated_lufs(np.concatenate(steps))
    target = TARGET_LUFS - (beside if np.isfinite(beside) else 0.0)
    return plan_gain_db(places, SAMPLE_RATE, target_lufs=target)
