"""What the embedded generator composes, in figures: `python -m benchmarks.generator_tunes [--short]`.

Tunes of two sections of eight bars are drawn as the engine draws them, each asked for with metre, mode and
form of one of the held-out tunes in turn and in a key chosen at random, so that both sets are of one kind.
Counted are

- tunes, with all their voices, that abc2midi reads without a word of error or warning;
- interior bars that hold exactly their metre;
- keys that outside finders confirm (music21's Temperley-Kostka-Payne and Aarden-Essen weights; major and
  minor alone), beside the same for the held-out tunes in their own keys;
- the overlap with the held-out tunes of three histograms, of degrees of the scale, intervals and lengths (the
  sum over all values of the lesser share), beside that of one half of the held-out tunes with the other; and
  the overlap with the training tunes, which no rule was chosen by, beside that of the held-out tunes;
- 12-note sequences and longest runs shared with the training tunes, beside those of the held-out tunes.

It needs abc2midi, music21 (extra `training`), and the folder that `python -m generator.training.tunes` wrote,
whose index must be the published one: then its validation tunes are those that the weights have not seen.
"""

import argparse
import hashlib
import itertools
import re
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.report import OUTPUT, describe_run, run_main, show_progress, show_table, write_json
from benchmarks.tools import BenchmarkError, require, run
from generator.composition import compose_tune
from generator.copying import RUN_LIMIT_NOTES, check_copying
from generator.embedded import one_thread
from generator.form import Form
from generator.harmony import harmonise
from generator.notation import format_tune
from generator.partwriting import write_parts
from generator.prompt import read_prompt
from generator.tokens import decode_tokens
from generator.tune import Tune, interior_bars_exact, pitch_of
from generator.weights import (
    CHORDS,
    COMPOSER,
    TUNES,
    load_chords,
    load_composer,
    load_sequences,
    read_digests,
    read_weights,
    weights_folder,
)

TUNES_FULL, TUNES_SHORT = 1000, 50
DATA = Path("build/training")
TONICS = ("C", "G", "D", "A", "E", "F", "Bb", "Eb")
WIDEST_STEPS = 12
KEY_FINDERS = {"Temperley-Kostka-Payne": "key.temperley", "Aarden-Essen": "key.aarden"}
# Name of a histogram -> the values of a tune.
HISTOGRAMS: dict[str, Callable[[Tune], Iterable[Any]]] = {
    "degrees": lambda tune: [(n.step % 7, n.alter) for n in sounding(tune)],
    "intervals": lambda tune: [
        int(np.clip(after.step - note.step, -WIDEST_STEPS, WIDEST_STEPS))
        for note, after in itertools.pairwise(sounding(tune))
    ],
    "lengths": lambda tune: [n.units for n in sounding(tune)],
}


def sounding(tune: Tune) -> list[Any]:
    """All notes that are no rests, in order."""
    return [n for section in tune.sections for bar in section.bars for n in bar if n.step is not None]


def read_tunes(folder: Path, index_sha256: str) -> tuple[list[Tune], list[Tune]]:
    """The validation and the training tunes, in C; they must belong to the published index."""
    try:
        found = hashlib.sha256((folder / "tunes.safetensors").read_bytes()).hexdigest()
        arrays = np.load(folder / "tokens.npz")
    except OSError as error:
        raise BenchmarkError(
            f"expected the output of python -m generator.training.tunes in {folder}, got {error}"
        ) from error
    if found != index_sha256:
        raise BenchmarkError(f"expected the published index of training tunes in {folder}, got {found}")
    sets = []
    for name in ("validation", "train"):
        lengths, tokens = arrays[f"{name}_lengths"], arrays[f"{name}_tokens"]
        sets.append(
            [
                decode_tokens([int(t) for t in tokens[end - length : end]], tonic="C")
                for end, length in zip(np.cumsum(lengths), lengths, strict=True)
            ]
        )
    return sets[0], sets[1]


def overlap(first: Sequence[Tune], second: Sequence[Tune], values: Callable[[Tune], Iterable[Any]]) -> float:
    """Sum over all values of the lesser of their shares in two sets of tunes."""
    counts = [Counter(value for tune in tunes for value in values(tune)) for tunes in (first, second)]
    totals = [sum(count.values()) for count in counts]
    return sum(min(counts[0][v] / totals[0], counts[1][v] / totals[1]) for v in counts[0])


def is_confirmed(tune: Tune, finder: str) -> bool:
    """Whether one of music21's key finders names the tune's own key."""
    from music21 import note, stream

    line = stream.Stream()
    for item in sounding(tune):
        pitch = pitch_of(item.step, item.alter, tune.tonic, tune.mode)
        line.append(note.Note(pitch, quarterLength=item.units / 24))
    found = line.analyze(finder)
    wanted = pitch_of(0, 0, tune.tonic, tune.mode) % 12
    return (found.tonic.pitchClass, found.mode) == (wanted, tune.mode)


def count_keys(tunes: Sequence[Tune]) -> dict[str, float]:
    """Share of the major and minor tunes whose key each finder confirms."""
    keyed = [tune for tune in tunes if tune.mode in ("major", "minor")]
    return {
        name: float(np.mean([is_confirmed(tune, finder) for tune in keyed]))
        for name, finder in KEY_FINDERS.items()
    }


def describe_copies(checks: Sequence[Any]) -> dict[str, float]:
    """Mean share of 12-note sequences found, longest runs, share of tunes at the limit or over it."""
    runs = np.array([check.longest_run for check in checks])
    return {
        "hit_rate": float(np.mean([check.hit_rate for check in checks])),
        "longest_run_median": float(np.median(runs)),
        "longest_run": int(runs.max()),
        "at_limit": float((runs >= RUN_LIMIT_NOTES).mean()),
        "drafts_refused": sum(check.rejected for check in checks),
    }


def read_by_abc2midi(abc: str) -> bool:
    """Whether abc2midi reads a tune without a word of error or warning."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "tune.abc")
        path.write_text(abc)
        said = run(["abc2midi", path, "-o", Path(folder, "tune.mid")]).decode(errors="replace")
    return re.search("error|warning", said, re.IGNORECASE) is None


def measure(count: int, seed: int, data: Path) -> dict[str, Any]:
    """Draw, count and compare."""
    folder = weights_folder()
    digests = read_digests(folder)
    held_out, trained = read_tunes(data, digests[TUNES])
    model = load_composer(read_weights(folder, COMPOSER, digests[COMPOSER]))
    chords = load_chords(read_weights(folder, CHORDS, digests[CHORDS]))
    sequences = load_sequences(read_weights(folder, TUNES, digests[TUNES]))
    random = np.random.default_rng(seed)
    order = random.permutation(len(held_out))
    tunes, checks = [], []
    valid = exact = bars = 0
    started = time.process_time()
    for number in show_progress(range(count), total=count, what="tunes"):
        like = held_out[order[number % len(order)]]
        key = f"{TONICS[int(random.integers(len(TONICS)))]} {like.mode}"
        settings = read_prompt(
            "in four parts", {"key": key, "rhythm": like.rhythm, "metre": like.metre}, seed=0
        )
        form = Form((8, 8), (0, 0, 1, 1), 0, settings.tempo_bpm)
        with one_thread():
            tune, found = compose_tune(
                model,
                sequences,
                digests[TUNES],
                settings,
                form,
                None,
                seed=int(random.integers(2**31)),
                progress=lambda _: None,
            )
            harmony = harmonise(tune, chords)
        parts = write_parts(tune, harmony, settings)
        valid += read_by_abc2midi(
            format_tune(tune, chords=harmony, parts=parts, title=f"tune {number}", tempo_bpm=100.0)
        )
        right, looked = interior_bars_exact(tune)
        exact, bars = exact + right, bars + looked
        tunes.append(tune)
        checks.append(found)
    halves = [[held_out[n] for n in order[start::2]] for start in (0, 1)]
    real = [check_copying(tune, sequences, index_sha256=digests[TUNES]) for tune in held_out]
    return {
        "tunes": count,
        "cpu_s": round(time.process_time() - started, 1),
        "read_by_abc2midi": valid,
        "interior_bars": bars,
        "interior_bars_exact": exact,
        "keys": count_keys(tunes),
        "keys_of_real": count_keys(held_out),
        "overlap": {name: overlap(tunes, held_out, values) for name, values in HISTOGRAMS.items()},
        "overlap_of_real": {name: overlap(*halves, values) for name, values in HISTOGRAMS.items()},
        "overlap_with_training": {name: overlap(tunes, trained, v) for name, v in HISTOGRAMS.items()},
        "overlap_of_real_with_training": {
            name: overlap(held_out, trained, v) for name, v in HISTOGRAMS.items()
        },
        "copies": describe_copies(checks),
        "copies_of_real": describe_copies(real),
    }


def show(found: dict[str, Any]) -> None:
    """Print the table."""

    def runs(copies: dict[str, float]) -> str:
        return (
            f"{copies['longest_run_median']:.0f}, {copies['longest_run']}, {100 * copies['at_limit']:.1f} %"
        )

    ours, real = found["copies"], found["copies_of_real"]
    rows = [
        ("read by abc2midi without a word", f"{found['read_by_abc2midi']} of {found['tunes']}", ""),
        ("interior bars exact", f"{found['interior_bars_exact']} of {found['interior_bars']}", ""),
        *(
            (f"keys confirmed by {name}", f"{100 * rate:.1f} %", f"{100 * found['keys_of_real'][name]:.1f} %")
            for name, rate in found["keys"].items()
        ),
        *(
            (f"overlap of {name}", f"{found['overlap'][name]:.3f}", f"{found['overlap_of_real'][name]:.3f}")
            for name in HISTOGRAMS
        ),
        *(
            (
                f"overlap of {name} with training tunes",
                f"{found['overlap_with_training'][name]:.3f}",
                f"{found['overlap_of_real_with_training'][name]:.3f}",
            )
            for name in HISTOGRAMS
        ),
        ("12-note sequences shared", f"{100 * ours['hit_rate']:.2f} %", f"{100 * real['hit_rate']:.2f} %"),
        (f"longest run: median, most, {RUN_LIMIT_NOTES} or more", runs(ours), runs(real)),
        ("drafts refused for such a run", str(ours["drafts_refused"]), ""),
    ]
    show_table(
        f"Composition: {found['tunes']} tunes, {found['cpu_s']:.0f} CPU s",
        ("figure", "ours", "held-out tunes"),
        rows,
        note="overlap of the held-out tunes: of one half with the other, and of all with the training tunes",
    )


def main() -> None:
    """Measure, show and write."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--short", action="store_true", help=f"{TUNES_SHORT} tunes")
    parser.add_argument("--tunes", type=int, help=f"number of tunes, default {TUNES_FULL}")
    parser.add_argument("--data", type=Path, default=DATA, help="what generator.training.tunes wrote")
    parser.add_argument("--seed", type=int, default=1, help="of keys and tunes")
    parser.add_argument("--output", type=Path, default=OUTPUT, help="folder of results")
    options = parser.parse_args()
    require("abc2midi")
    try:
        import music21  # noqa: F401 - looked for before the work begins
    except ImportError as error:
        raise BenchmarkError(f"the key finder needs music21 (extra 'training'): {error}") from error
    count = options.tunes or (TUNES_SHORT if options.short else TUNES_FULL)
    found = measure(count, options.seed, options.data)
    show(found)
    write_json(options.output / "generator_tunes.json", "generator_tunes", describe_run(options), found)


if __name__ == "__main__":
    raise SystemExit(run_main(main))
