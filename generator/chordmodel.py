"""The chord model: which chord, and which of its tones in the bass, stands under a stretch of melody.

A maximum-entropy Markov model (McCallum, Freitag and Pereira, 2000): a small network says from the melody how
well each label fits a stretch, tables say how well labels follow each other; together they give the
probability of a label after the one before. Learned from Bach's chorales (`training/chorales.py`), for major
and minor. A label is a triad by the semitones of its root above the tonic, its quality, and its bass tone:
(7, "major", 1) is V6.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

MODEL_MODES = ("major", "minor")
QUALITIES = {"major": (0, 4, 7), "minor": (0, 3, 7), "diminished": (0, 3, 6)}
# Lengths of stretches, in this order: a beat, half a bar, a bar.
STRETCHES = ("beat", "half", "bar")
FEATURES = 4 * 12 + len(STRETCHES) + len(MODEL_MODES) + 4


@dataclass(frozen=True, slots=True)
class Label:
    """root: semitones above the tonic, 0..11; quality: of QUALITIES; bass: 0 root, 1 third, 2 fifth."""

    root: int
    quality: str
    bass: int

    @property
    def pitch_classes(self) -> tuple[int, int, int]:
        """Root, third and fifth in semitones above the tonic, 0..11."""
        first, third, fifth = ((self.root + interval) % 12 for interval in QUALITIES[self.quality])
        return first, third, fifth


@dataclass(frozen=True, slots=True)
class Stretch:
    """Melody over which one chord stands.

    notes: (semitones above the tonic mod 12, length) in order; length: index into STRETCHES; on_bar: begins
    a bar; starts, ends_phrase, ends_piece: where it stands.
    """

    notes: tuple[tuple[int, float], ...]
    length: int
    on_bar: bool
    starts: bool
    ends_phrase: bool
    ends_piece: bool


def stretch_features(stretches: Sequence[Stretch], mode: str) -> NDArray[np.float32]:
    """What the network sees, (T, FEATURES): a stretch's notes, the first, its neighbours', its place."""
    weights = np.zeros((len(stretches) + 2, 12), dtype=np.float32)
    first = np.zeros((len(stretches), 12), dtype=np.float32)
    places = np.zeros((len(stretches), FEATURES - 48), dtype=np.float32)
    for number, stretch in enumerate(stretches):
        for pitch_class, length in stretch.notes:
            weights[number + 1, pitch_class] += length
        if stretch.notes:
            weights[number + 1] /= weights[number + 1].sum()
            first[number, stretch.notes[0][0]] = 1.0
        places[number, stretch.length] = 1.0
        places[number, len(STRETCHES) + MODEL_MODES.index(mode)] = 1.0
        flags = (stretch.on_bar, stretch.starts, stretch.ends_phrase, stretch.ends_piece)
        places[number, len(STRETCHES) + len(MODEL_MODES) :] = flags
    return np.concatenate([weights[1:-1], first, weights[2:], weights[:-2], places], axis=1)


@dataclass(frozen=True, slots=True)
class ChordConfig:
    """labels: (root, quality, bass) of each; rank of the tables of transitions; hidden width."""

    labels: tuple[tuple[int, str, int], ...]
    hidden: int = 96
    rank: int = 16


class ChordModel(nn.Module):
    """Stretches of melody to scores of labels, and scores of moves."""

    def __init__(self, config: ChordConfig) -> None:
        super().__init__()
        self.config = config
        self.labels = tuple(Label(*row) for row in config.labels)
        count = len(self.labels)
        self.layer_in = nn.Linear(FEATURES, config.hidden)
        self.layer_mid = nn.Linear(config.hidden, config.hidden)
        self.layer_out = nn.Linear(config.hidden, count)
        self.leave = nn.Parameter(0.1 * torch.randn(len(MODEL_MODES), count, config.rank))
        self.arrive = nn.Parameter(0.1 * torch.randn(len(MODEL_MODES), count, config.rank))
        self.stay = nn.Parameter(torch.zeros(len(MODEL_MODES), count))

    def fits(self, features: torch.Tensor) -> torch.Tensor:
        """Scores of the labels, (..., labels), from (..., FEATURES)."""
        hidden = nn.functional.gelu(self.layer_in(features))
        hidden = hidden + nn.functional.gelu(self.layer_mid(hidden))
        scores: torch.Tensor = self.layer_out(hidden)
        return scores

    def moves(self, mode: int) -> torch.Tensor:
        """Scores of going from label to label, (labels, labels); mode an index of MODEL_MODES."""
        return self.leave[mode] @ self.arrive[mode].T + torch.diag(self.stay[mode])


def best_labels(
    model: ChordModel, stretches: Sequence[Stretch], mode: str, allowed: NDArray[np.bool_]
) -> list[Label]:
    """The sequence of labels with the best score (Viterbi); allowed (T, labels) rules labels out."""
    with torch.inference_mode():
        fits = model.fits(torch.from_numpy(stretch_features(stretches, mode)))
        first = torch.log_softmax(fits[0], -1).double().numpy()
        moves = model.moves(MODEL_MODES.index(mode))
        # (T - 1, before, label)
        steps = torch.log_softmax(fits[1:, None] + moves, -1).double().numpy()
    score, origins = np.where(allowed[0], first, -1e9), []
    for row, possible in zip(steps, allowed[1:], strict=True):
        options = score[:, None] + np.where(possible, row, -1e9)
        origins.append(options.argmax(0))
        score = options.max(0)
    chosen = [int(score.argmax())]
    for origin in reversed(origins):
        chosen.append(int(origin[chosen[-1]]))
    return [model.labels[index] for index in reversed(chosen)]
