"""The chord model: exact inference, and chorales read as they are written."""

import itertools
import zipfile
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest
import torch

from generator.chordmodel import ChordConfig, ChordModel, Label, Stretch, best_labels, stretch_features
from generator.training.chorales import Example as TrainingExample
from generator.training.chorales import (
    cut,
    label_of,
    make_tables,
    negative_log_likelihood,
    open_score,
    read_chorale,
)

LABELS = ((0, "major", 0), (5, "major", 0), (7, "major", 0), (7, "major", 1))


def small_model() -> ChordModel:
    """A model with few labels and random weights."""
    torch.manual_seed(3)
    model = ChordModel(ChordConfig(LABELS, hidden=8, rank=3))
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.mul_(3.0)
    return model


def melody(count: int) -> list[Stretch]:
    """Stretches of one note each."""
    return [
        Stretch((((2 * n) % 12, 1.0),), 0, n % 4 == 0, n == 0, n == count - 1, n == count - 1)
        for n in range(count)
    ]


def scores_of(model: ChordModel, stretches: list[Stretch]) -> dict[tuple[int, ...], float]:
    """Log probability of every path, added up by hand."""
    with torch.no_grad():
        fits = model.fits(torch.from_numpy(stretch_features(stretches, "major")))
        first = torch.log_softmax(fits[0], -1).numpy()
        steps = [torch.log_softmax(row + model.moves(0), -1).numpy() for row in fits[1:]]
    return {
        path: float(first[path[0]])
        + sum(float(step[a, b]) for step, (a, b) in zip(steps, itertools.pairwise(path), strict=True))
        for path in itertools.product(range(len(LABELS)), repeat=len(stretches))
    }


def test_the_best_sequence_is_the_best_of_all() -> None:
    model, stretches = small_model(), melody(5)
    allowed = np.ones((5, len(LABELS)), dtype=np.bool_)
    scores = scores_of(model, stretches)
    best = max(scores, key=lambda path: scores[path])
    assert best_labels(model, stretches, "major", allowed) == [model.labels[i] for i in best]
    allowed[4] = [True, False, False, False]
    best = max((p for p in scores if p[4] == 0), key=lambda path: scores[path])
    assert best_labels(model, stretches, "major", allowed) == [model.labels[i] for i in best]


def test_the_probabilities_of_all_sequences_add_up_to_one_and_training_uses_them() -> None:
    model, stretches = small_model(), melody(4)
    scores = scores_of(model, stretches)
    assert float(np.logaddexp.reduce(list(scores.values()))) == pytest.approx(0.0, abs=1e-4)
    known = {Label(*row): index for index, row in enumerate(LABELS)}
    example = TrainingExample(stretches, [Label(*LABELS[t]) for t in range(4)], "major", "beat")
    (table,) = make_tables([example], known)
    found = float(negative_log_likelihood(model, table, torch.arange(4)).detach())
    assert found == pytest.approx(-scores[0, 1, 2, 3] / 4, rel=1e-4)


def test_labels_name_their_tones() -> None:
    assert Label(7, "major", 1).pitch_classes == (7, 11, 2)
    assert Label(2, "diminished", 0).pitch_classes == (2, 5, 8)


def voice(steps: str, octave: int) -> str:
    """A part of quarter notes by letters, in two bars of two."""
    notes = [
        f"<note><pitch><step>{step}</step><octave>{octave}</octave></pitch><duration>2</duration></note>"
        for step in steps
    ]
    attributes = "<attributes><divisions>2</divisions><key><fifths>0</fifths></key></attributes>"
    first, second = "".join(notes[:2]), "".join(notes[2:])
    return f"<part><measure>{attributes}{first}</measure><measure>{second}</measure></part>"


def score_file(folder: Path, voices: tuple[str, ...]) -> Path:
    """A compressed score."""
    path = folder / "bwv0.mxl"
    parts = "".join(voice(steps, octave) for steps, octave in zip(voices, (5, 4, 4, 3), strict=False))
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("META-INF/container.xml", "<container/>")
        archive.writestr("score.xml", f"<score-partwise>{parts}</score-partwise>")
    return path


def test_a_chorale_is_read_with_its_chords_and_bass(tmp_path: Path) -> None:
    chorale = read_chorale(open_score(score_file(tmp_path, ("EDDC", "CBBG", "GGGE", "CBGC"))))
    assert chorale is not None
    assert (chorale.tonic, chorale.mode, chorale.bars, chorale.length) == (0, "major", (0.0, 2.0), 4.0)
    labels = [label_of(chorale, beat, beat + 1.0) for beat in range(4)]
    assert labels == [
        Label(0, "major", 0),
        Label(7, "major", 1),
        Label(7, "major", 0),
        Label(0, "major", 0),
    ]
    stretches, found = cut(chorale, "beat")
    assert found == labels
    assert [s.on_bar for s in stretches] == [True, False, True, False]
    assert stretches[0].notes == ((4, 1.0),)
    assert stretches[-1].ends_piece
    assert len(cut(chorale, "bar")[0]) == 2


def test_what_is_not_in_four_voices_or_ends_elsewhere_is_left_out(tmp_path: Path) -> None:
    assert read_chorale(open_score(score_file(tmp_path, ("EDDC", "CBBG", "GGGE")))) is None
    assert read_chorale(open_score(score_file(tmp_path, ("EDDC", "CBBG", "GGGE", "CBGD")))) is None
    assert isinstance(open_score(score_file(tmp_path, ("C", "C", "C", "C"))), ElementTree.Element)
