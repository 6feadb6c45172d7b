"""Train the chord model on Bach's four-part chorales, from the corpus inside the music21 package (10.5.1).

    python -m generator.training.chorales --corpus SITE-PACKAGES/music21/corpus \\
        --output generator/weights/chords.safetensors --manifest generator/training/chorales.json

Every chorale is cut into stretches of a beat, of half a bar and of a bar. The label of a stretch is the
triad that covers most of what its four voices sound (sevenths and passing notes count against none), and
its bass what the lowest voice sounds first. Chorales whose last bass note is not the tonic of their
signature's major or minor are left out. Chorales on one melody are on one side of the split only. Negative
log-likelihood, AdamW, the epoch with the best validation is kept.
"""

import argparse
import copy
import hashlib
import itertools
import json
import zipfile
from dataclasses import asdict, dataclass
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import torch
from safetensors.torch import save_file

from ..chordmodel import (
    MODEL_MODES,
    QUALITIES,
    STRETCHES,
    ChordConfig,
    ChordModel,
    Label,
    Stretch,
    best_labels,
    stretch_features,
)

NATURALS = {"C": 0, "D": 2, "E": 4, "F": 5, "G": 7, "A": 9, "B": 11}
VALIDATION_SHARE = 0.12
RAREST_LABEL = 25
BATCH = 512
_BASS_BONUS, _STRANGER, _MISSING = 0.2, 0.7, 0.15


@dataclass(frozen=True, slots=True)
class Sound:
    """One note: onset and length in quarter notes, MIDI pitch, whether a fermata stands on it."""

    onset: float
    length: float
    pitch: int
    fermata: bool


@dataclass(frozen=True, slots=True)
class Chorale:
    """Four voices, highest first, with the key and the bar lines (in quarter notes)."""

    voices: tuple[tuple[Sound, ...], ...]
    tonic: int
    mode: str
    bars: tuple[float, ...]
    length: float


def read_chorale(data: ElementTree.Element) -> Chorale | None:
    """A chorale of MusicXML; None where it is not in four voices or its key is not plain."""
    parts = data.findall("part")
    if len(parts) != 4:
        return None
    fifths_text = data.findtext(".//key/fifths")
    if fifths_text is None:
        return None
    voices, bars = [], []
    end = 0.0
    for part in parts:
        sounds: list[Sound] = []
        divisions, now = 1.0, 0.0
        for measure in part.findall("measure"):
            if part is parts[0]:
                bars.append(now)
            for item in measure:
                if item.tag == "attributes":
                    divisions = float(item.findtext("divisions") or divisions)
                elif item.tag == "note" and item.find("grace") is None:
                    length = float(item.findtext("duration") or 0) / divisions
                    if item.find("chord") is not None:
                        continue
                    pitch = item.find("pitch")
                    if pitch is not None:
                        number = NATURALS[pitch.findtext("step") or "C"]
                        number += int(float(pitch.findtext("alter") or 0))
                        number += 12 * (int(pitch.findtext("octave") or 4) + 1)
                        fermata = item.find("notations/fermata") is not None
                        sounds.append(Sound(now, length, number, fermata))
                    now += length
                elif item.tag in ("backup", "forward"):
                    step = float(item.findtext("duration") or 0) / divisions
                    now += step if item.tag == "forward" else -step
        if not sounds:
            return None
        voices.append(tuple(sounds))
        end = max(end, now)
    major = int(fifths_text) * 7 % 12
    final = voices[-1][-1].pitch % 12
    if final not in (major, (major + 9) % 12):
        return None
    return Chorale(tuple(voices), final, "major" if final == major else "minor", tuple(bars), end)


def open_score(path: Path) -> ElementTree.Element:
    """The MusicXML inside a compressed file."""
    with zipfile.ZipFile(path) as archive:
        names = [n for n in archive.namelist() if n.endswith((".xml", ".musicxml"))]
        return ElementTree.fromstring(archive.read(next(n for n in names if "META-INF" not in n)))


def label_of(chorale: Chorale, begin: float, end: float) -> Label | None:
    """The triad that covers most of a stretch."""
    weights = np.zeros(12)
    for voice in chorale.voices:
        for sound in voice:
            overlap = min(sound.onset + sound.length, end) - max(sound.onset, begin)
            if overlap > 1e-6:
                on_time = 1.5 if abs(sound.onset - begin) < 1e-6 or sound.onset < begin else 1.0
                weights[(sound.pitch - chorale.tonic) % 12] += overlap * on_time
    if weights.sum() == 0:
        return None
    weights /= weights.sum()
    lows = [s for s in chorale.voices[-1] if s.onset < end - 1e-6 and s.onset + s.length > begin + 1e-6]
    low = (lows[0].pitch - chorale.tonic) % 12 if lows else -1
    best: tuple[float, Label] | None = None
    for root in range(12):
        for quality, intervals in QUALITIES.items():
            tones = [(root + interval) % 12 for interval in intervals]
            covered = sum(weights[t] for t in tones)
            score = covered - _STRANGER * (1 - covered) - _MISSING * sum(weights[t] < 0.05 for t in tones)
            score += _BASS_BONUS * (low == root) + 0.5 * _BASS_BONUS * (low in tones)
            if best is None or score > best[0]:
                bass = tones.index(low) if low in tones else 0
                best = score, Label(root, quality, bass)
    assert best is not None
    return best[1]


def cut(chorale: Chorale, kind: str) -> tuple[list[Stretch], list[Label]]:
    """Stretches of one kind with their labels."""
    edges: list[float] = []
    bars = [*chorale.bars, chorale.length]
    for begin, end in itertools.pairwise(bars):
        step = {"beat": 1.0, "half": (end - begin) / 2 if end - begin > 3 else 2.0, "bar": end - begin}[kind]
        if step > 0:
            edges += list(np.arange(begin, end - 1e-6, step))
    edges.append(chorale.length)
    stretches, labels = [], []
    for number, (begin, end) in enumerate(itertools.pairwise(edges)):
        label = label_of(chorale, begin, end)
        notes, fermata = [], False
        for sound in chorale.voices[0]:
            overlap = min(sound.onset + sound.length, end) - max(sound.onset, begin)
            if overlap > 1e-6:
                notes.append(((sound.pitch - chorale.tonic) % 12, overlap))
                fermata |= sound.fermata
        if label is None:
            continue
        on_bar = any(abs(begin - bar) < 1e-6 for bar in chorale.bars)
        ends = number == len(edges) - 2
        place = STRETCHES.index(kind)
        stretches.append(Stretch(tuple(notes), place, on_bar, number == 0, fermata or ends, ends))
        labels.append(label)
    return stretches, labels


@dataclass(frozen=True, slots=True)
class Example:
    """One chorale cut one way."""

    stretches: list[Stretch]
    labels: list[Label]
    mode: str
    kind: str


@dataclass(frozen=True, slots=True)
class Table:
    """All stretches of a mode: features (N, F), label, and label before (-1 at a beginning)."""

    mode: int
    features: torch.Tensor
    label: torch.Tensor
    before: torch.Tensor


def make_tables(examples: list[Example], known: dict[Label, int]) -> list[Table]:
    """The examples of each mode as one table; see `nearest_label` for labels too rare to be known."""
    tables = []
    for number, mode in enumerate(MODEL_MODES):
        group = [example for example in examples if example.mode == mode]
        if not group:
            continue
        labels = [[nearest_label(label, known) for label in example.labels] for example in group]
        before = [[-1, *row[:-1]] for row in labels]
        features = np.concatenate([stretch_features(example.stretches, mode) for example in group])
        flat, flat_before = (torch.tensor([v for row in rows for v in row]) for rows in (labels, before))
        tables.append(Table(number, torch.from_numpy(features), flat, flat_before))
    return tables


def negative_log_likelihood(model: ChordModel, table: Table, chosen: torch.Tensor) -> torch.Tensor:
    """Mean over the chosen stretches of a table, nats."""
    before = table.before[chosen]
    scores = model.fits(table.features[chosen])
    scores = scores + model.moves(table.mode)[before.clamp(min=0)] * (before >= 0)[:, None]
    return torch.nn.functional.cross_entropy(scores, table.label[chosen])


def nearest_label(label: Label, known: dict[Label, int]) -> int:
    """Index of a label, of its root position, or of the tonic chord."""
    for option in (label, Label(label.root, label.quality, 0)):
        if option in known:
            return known[option]
    return 0


def measure(model: ChordModel, examples: list[Example]) -> dict[str, float]:
    """Shares of stretches whose root and quality, and bass as well, are found again, by kind of stretch."""
    found: dict[str, list[tuple[bool, bool]]] = {}
    for example in examples:
        allowed = np.ones((len(example.labels), len(model.labels)), dtype=np.bool_)
        guesses = best_labels(model, example.stretches, example.mode, allowed)
        for guess, label in zip(guesses, example.labels, strict=True):
            same = (guess.root, guess.quality) == (label.root, label.quality)
            found.setdefault(example.kind, []).append((same, guess == label))
    return {
        f"{kind}_{name}": round(float(np.mean([row[place] for row in rows])), 4)
        for kind, rows in found.items()
        for place, name in enumerate(("chord", "chord_and_bass"))
    }


def read_examples(corpus: Path) -> tuple[list[Example], list[Example], dict[str, str]]:
    """Training and validation examples, and the digests of the files read."""
    manifest: dict[str, str] = {}
    sides: dict[bool, list[Example]] = {False: [], True: []}
    openings: dict[tuple[int, ...], bool] = {}
    chooser = np.random.default_rng(20260102)
    seen: set[tuple[Sound, ...]] = set()
    for path in sorted((corpus / "bach").glob("bwv*.mxl")):
        chorale = read_chorale(open_score(path))
        if chorale is None or chorale.voices[0] in seen:
            continue
        seen.add(chorale.voices[0])
        manifest[f"bach/{path.name}"] = hashlib.sha256(path.read_bytes()).hexdigest()
        pitches = [s.pitch for s in chorale.voices[0][:9]]
        opening = tuple(b - a for a, b in itertools.pairwise(pitches))
        if opening not in openings:
            openings[opening] = bool(chooser.random() < VALIDATION_SHARE)
        for kind in STRETCHES:
            stretches, labels = cut(chorale, kind)
            if len(labels) > 3:
                sides[openings[opening]].append(Example(stretches, labels, chorale.mode, kind))
    return sides[False], sides[True], manifest


def main() -> None:
    """Read the chorales, train, write the model and the manifest."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--corpus", type=Path, required=True)
    parser.add_argument("--output", type=Path, required=True)
    parser.add_argument("--manifest", type=Path, required=True)
    parser.add_argument("--epochs", type=int, default=20)
    parser.add_argument("--seed", type=int, default=1)
    arguments = parser.parse_args()
    training, validation, digests = read_examples(arguments.corpus)
    counts: dict[Label, int] = {}
    for example in training:
        for label in example.labels:
            counts[label] = counts.get(label, 0) + 1
    ordered = sorted(counts.items(), key=lambda item: -item[1])
    common = [label for label, count in ordered if count >= RAREST_LABEL]
    known = {label: index for index, label in enumerate(common)}
    torch.manual_seed(arguments.seed)
    shuffler = np.random.default_rng(arguments.seed)
    model = ChordModel(ChordConfig(tuple((label.root, label.quality, label.bass) for label in common)))
    tables, held_out = make_tables(training, known), make_tables(validation, known)
    optimiser = torch.optim.AdamW(model.parameters(), lr=4e-3, weight_decay=0.05)
    steps = sum(-(-len(table.label) // BATCH) for table in tables)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, 6e-3, total_steps=arguments.epochs * steps)
    best, kept = np.inf, copy.deepcopy(model.state_dict())
    for epoch in range(1, arguments.epochs + 1):
        orders = [torch.from_numpy(shuffler.permutation(len(table.label))) for table in tables]
        pieces = [
            (table, order[start : start + BATCH])
            for table, order in zip(tables, orders, strict=True)
            for start in range(0, len(order), BATCH)
        ]
        for index in shuffler.permutation(len(pieces)):
            loss = negative_log_likelihood(model, *pieces[index])
            optimiser.zero_grad(set_to_none=True)
            loss.backward()  # type: ignore[no-untyped-call]
            torch.nn.utils.clip_grad_norm_(model.parameters(), 2.0)
            optimiser.step()
            schedule.step()
        with torch.no_grad():
            counted = [len(table.label) for table in held_out]
            losses = [
                float(negative_log_likelihood(model, table, torch.arange(len(table.label))))
                for table in held_out
            ]
        now = float(np.average(losses, weights=counted))
        print(f"epoch {epoch}: validation {now:.4f} nats per chord", flush=True)  # noqa: T201
        if now < best:
            best, kept = now, copy.deepcopy(model.state_dict())
    model.load_state_dict(kept)
    facts = {"chorales": len(digests), "labels": len(common), "epochs": arguments.epochs}
    facts |= {"seed": arguments.seed}
    results = {**facts, "validation_nats": round(best, 4), **measure(model, validation)}
    print(json.dumps(results))  # noqa: T201
    state = {name: value.half().contiguous() for name, value in kept.items()}
    metadata = {"config": json.dumps(asdict(model.config)), "training": json.dumps(results)}
    save_file(state, arguments.output, metadata=metadata)
    manifest = {"package": "music21 10.5.1", **results, "sha256": digests}
    arguments.manifest.write_text(json.dumps(manifest, indent=1) + "\n")


if __name__ == "__main__":
    main()
