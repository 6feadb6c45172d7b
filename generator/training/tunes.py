"""Training tunes: four public-domain ABC folders of the corpus inside the music21 package (10.5.1).

    python -m generator.training.tunes --corpus SITE-PACKAGES/music21/corpus --output FOLDER

Writes tokens.npz (token ids and contexts of the training and validation tunes), tunes.safetensors (the index
of 12-note sequences that the copy check needs) and manifest.json (SHA-256 of every source file). The tunes
themselves are not written. Validation tunes share no opening with training tunes: variants of a tune go to
one side.
"""

import argparse
import hashlib
import itertools
import json
from pathlib import Path

import numpy as np
from safetensors.numpy import save_file

from ..copying import hash_sequences, note_steps
from ..errors import RequestError
from ..notation import RawTune, parse_tune, split_tunes
from ..tokens import Grammar, encode_notes
from ..tune import Tune

FOLDERS = ("oneills1850", "airdsAirs", "ryansMammoth", "miscFolk")
PACKAGE = "music21 10.5.1"
MIN_NOTES = 16
MAX_TOKENS = 700
OPENING_NOTES = 12
VALIDATION_SHARE = 0.05

_WORDS = {
    "slip": "slip jig", "jig": "jig", "reel": "reel", "hornpipe": "hornpipe", "clog": "hornpipe",
    "strathspey": "strathspey", "fling": "strathspey", "march": "march", "quick step": "march", "quickstep":
    "march", "waltz": "waltz", "polka": "polka", "air": "air", "slow": "air", "lament": "air",
}  # fmt: skip


def rhythm_of(raw: RawTune, tune: Tune) -> str:
    """Dance or form of a tune: from its R, N and T fields, else from metre and notes per bar."""
    for letter in "RNT":
        text = raw.fields.get(letter, "").lower()
        for word, rhythm in _WORDS.items():
            if word in text and (rhythm != "jig" or tune.metre in ("6/8", "9/8")):
                return "slip jig" if rhythm == "jig" and tune.metre == "9/8" else rhythm
    notes = [n.units for s in tune.sections for b in s.bars for n in b]
    per_quarter = 24 * len(notes) / sum(notes)
    dotted = sum(1 for a, b in itertools.pairwise(notes) if a == 3 * b) / len(notes)
    match tune.metre:
        case "6/8":
            return "jig" if per_quarter > 1.5 else "air"
        case "9/8":
            return "slip jig"
        case "3/4":
            return "waltz"
        case "2/4":
            return "song" if per_quarter < 1.9 else "polka"
    if dotted > 0.12:
        return "strathspey" if dotted > 0.2 else "hornpipe"
    return "reel" if per_quarter > 1.65 else "song"


def read_line(raw: RawTune) -> Tune:
    """A tune that is written as one line; RequestError for several voices, and as `parse_tune`."""
    if raw.voices:
        raise RequestError("expected a tune written as one line, got voices")
    return parse_tune(raw)


def main() -> None:
    """Read, filter, split and write."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--corpus", type=Path, required=True)
    parser.add_argument("--output", type=Path, required=True)
    arguments = parser.parse_args()
    arguments.output.mkdir(parents=True, exist_ok=True)
    manifest: dict[str, str] = {}
    tunes: list[tuple[Tune, list[int]]] = []
    refused: dict[str, int] = {}
    for folder in FOLDERS:
        for path in sorted((arguments.corpus / folder).rglob("*.abc")):
            data = path.read_bytes()
            manifest[f"{folder}/{path.name}"] = hashlib.sha256(data).hexdigest()
            for raw in split_tunes(data.decode("utf-8", "replace")):
                try:
                    tune = read_line(raw)
                    tune = Tune(tune.metre, tune.tonic, tune.mode, rhythm_of(raw, tune), tune.sections)
                    tokens = encode_notes(tune)
                except RequestError as error:
                    reason = str(error).split(", got")[0]
                    refused[reason] = refused.get(reason, 0) + 1
                    continue
                if len(note_steps(tune)) >= MIN_NOTES and len(tokens) <= MAX_TOKENS:
                    tunes.append((tune, tokens))
    openings: dict[tuple[int, ...], int] = {}
    for tune, _ in tunes:
        steps = note_steps(tune)[:OPENING_NOTES]
        openings.setdefault(tuple(int(s) - int(steps[0]) for s in steps), len(openings))
    chooser = np.random.default_rng(20260101)
    held_out = chooser.random(len(openings)) < VALIDATION_SHARE
    split: dict[str, list[tuple[Tune, list[int]]]] = {"train": [], "validation": []}
    seen: set[tuple[int, ...]] = set()
    for tune, tokens in tunes:
        steps = note_steps(tune)[:OPENING_NOTES]
        side = "validation" if held_out[openings[tuple(int(s) - int(steps[0]) for s in steps)]] else "train"
        if tuple(tokens) not in seen:
            seen.add(tuple(tokens))
            split[side].append((tune, tokens))
    arrays = {}
    for side, rows in split.items():
        ids, contexts = [], []
        for _, tokens in rows:
            grammar = Grammar()
            for token in tokens:
                grammar.push(token)
                ids.append(token)
                contexts.append(grammar.context)
        arrays[f"{side}_tokens"] = np.array(ids, dtype=np.uint8)
        arrays[f"{side}_contexts"] = np.array(contexts, dtype=np.uint8)
        arrays[f"{side}_lengths"] = np.array([len(tokens) for _, tokens in rows], dtype=np.int32)
    np.savez_compressed(arguments.output / "tokens.npz", allow_pickle=False, **arrays)
    sequences = np.unique(np.concatenate([hash_sequences(note_steps(tune)) for tune, _ in split["train"]]))
    save_file({"sequences": sequences.view(np.int32)}, arguments.output / "tunes.safetensors")
    facts = {
        "package": PACKAGE,
        "tunes": {side: len(rows) for side, rows in split.items()},
        "notes": {side: sum(len(note_steps(t)) for t, _ in rows) for side, rows in split.items()},
        "tokens": {side: sum(len(tokens) for _, tokens in rows) for side, rows in split.items()},
        "refused": dict(sorted(refused.items(), key=lambda item: -item[1])),
        "rhythms": {
            r: sum(t.rhythm == r for t, _ in split["train"]) for r in sorted({t.rhythm for t, _ in tunes})
        },
        "sha256": manifest,
    }
    (arguments.output / "manifest.json").write_text(json.dumps(facts, indent=1) + "\n")
    print(json.dumps({name: value for name, value in facts.items() if name != "sha256"}, indent=1))  # noqa: T201


if __name__ == "__main__":
    main()
