"""Whether a transcriber finds the notes that the synthesiser plays: `python -m benchmarks.generator_notes`.

Some tunes are composed and arranged for each instrument alone; their dry sound, from the synthesiser and from
FluidSynth with the reference soundfont, goes through the network of basic-pitch 0.4.0 (Apache-2.0, a file of
230 kB in its wheel). A note is heard where the probability of an onset at its key has a peak of at
least ONSET and the note goes on, at FRAME or more in each of the next LASTS_FRAMES (the transcriber's own
thresholds); it is right within 50 ms of a written note of that pitch, after the delay that suits the whole
line best (up to DELAY_S either way) is taken off. The figure is F1, the mean over the tunes, beside
FluidSynth's.

basic-pitch's own requirements do not fit this project's, so the network runs in a virtual environment of its
own, made by hand:

    python3.11 -m venv benchmark-cache/notes
    benchmark-cache/notes/bin/pip install onnxruntime numpy
    pip download --no-deps --dest benchmark-cache/notes basic-pitch==0.4.0
    unzip -j benchmark-cache/notes/basic_pitch-*.whl "*/nmp.onnx" -d benchmark-cache/notes
"""

import argparse
import io
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import soundfile
from numpy.typing import NDArray
from scipy import ndimage, signal

from benchmarks.generator import SOUNDFONT
from benchmarks.music import CACHE
from benchmarks.report import OUTPUT, describe_run, run_main, show_progress, show_table, write_json
from benchmarks.tools import BenchmarkError, require, run
from generator.arrangement import arrange
from generator.composition import compose_tune
from generator.embedded import one_thread
from generator.form import Form
from generator.instruments import BY_NAME, EMBEDDING_ROW, INSTRUMENTS
from generator.midi import format_midi
from generator.prompt import read_prompt
from generator.rendering import timed_notes
from generator.score import Score
from generator.synthesis import TimedNote, render_part
from generator.timbre import SAMPLE_RATE
from generator.weights import (
    COMPOSER,
    TIMBRE,
    TUNES,
    load_composer,
    load_sequences,
    load_timbre,
    read_digests,
    read_weights,
    weights_folder,
)

WORKER = Path(__file__).with_name("note_worker.py")
PROMPT = "hornpipe in D"
TUNES_FULL = 4
SHORT = ("piano", "guitar", "flute", "violin")
RATE, HOP, LOWEST_KEY = 22_050, 256, 21
ONSET, FRAME, LASTS_FRAMES = 0.5, 0.3, 11
TOLERANCE_S, DELAY_S = 0.05, 0.06
Heard = list[tuple[float, int]]


def compose_lines(names: tuple[str, ...], seed: int, *, prompt: str = PROMPT) -> dict[str, Score]:
    """The score of one tune for each instrument alone."""
    folder = weights_folder()
    digests = read_digests(folder)
    settings = {name: read_prompt(f"{prompt}, solo {name}", {"instruments": name}, seed=0) for name in names}
    form = Form((8,), (0,), 0, 130.0)
    with one_thread():
        tune, _ = compose_tune(
            load_composer(read_weights(folder, COMPOSER, digests[COMPOSER])),
            load_sequences(read_weights(folder, TUNES, digests[TUNES])),
            digests[TUNES],
            next(iter(settings.values())),
            form,
            None,
            seed=seed,
            progress=lambda _: None,
        )
    random = np.random.default_rng(seed)
    return {name: arrange(tune, [], form, settings[name], title=name, random=random) for name in names}


def play_by_fluidsynth(score: Score) -> NDArray[np.float32]:
    """The score with the reference soundfont, mono, without its room."""
    with tempfile.TemporaryDirectory() as folder:
        midi, wave = Path(folder, "line.mid"), Path(folder, "line.wav")
        midi.write_bytes(format_midi(score))
        switches = ["-ni", "-q", "-R", "0", "-C", "0", "-g", "0.6", "-r", str(SAMPLE_RATE)]
        run(["fluidsynth", *switches, "-O", "float", "-F", wave, SOUNDFONT, midi])
        audio, rate = soundfile.read(io.BytesIO(wave.read_bytes()), dtype="float32", always_2d=True)
    assert rate == SAMPLE_RATE
    return np.asarray(audio.mean(1), dtype=np.float32)


def hear(audio: NDArray[np.float32], interpreter: Path, model: Path) -> Heard:
    """(seconds, MIDI pitch) of the onsets that the network hears."""
    low = signal.resample_poly(audio, 1, 2).astype(np.float32)
    low *= 0.5 / max(float(np.abs(low).max()), 1e-9)
    with tempfile.TemporaryDirectory() as folder:
        source, target = Path(folder, "in.npy"), Path(folder, "out.npz")
        np.save(source, low)
        run([interpreter, "-I", WORKER, model, source, target])
        answers = np.load(target)
        onset, frame = answers["onset"], answers["frame"]
    peaks = (onset == ndimage.maximum_filter1d(onset, 7, axis=0)) & (onset >= ONSET)
    least = ndimage.minimum_filter1d(frame, LASTS_FRAMES, axis=0, origin=-(LASTS_FRAMES // 2))
    peaks &= least >= FRAME
    return [(at * HOP / RATE, LOWEST_KEY + key) for at, key in np.argwhere(peaks)]


def count_right(written: list[TimedNote], heard: Heard, delay_s: float) -> int:
    """Written notes that are heard, each onset counted once."""
    free = sorted(heard)
    right = 0
    for note in written:
        near = [h for h in free if h[1] == note.pitch and abs(h[0] - delay_s - note.onset_s) <= TOLERANCE_S]
        if near:
            free.remove(near[0])
            right += 1
    return right


def score_f1(written: list[TimedNote], heard: Heard) -> float:
    """F1 of what is heard, its constant delay taken off."""
    delays = np.arange(-DELAY_S, DELAY_S + 1e-9, 0.01)
    right = max(count_right(written, heard, float(delay)) for delay in delays)
    return 2 * right / (len(written) + len(heard))


def main() -> None:
    """Compose, play, listen, show and write."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--short", action="store_true", help=f"one tune on {', '.join(SHORT)}")
    parser.add_argument("--tunes", type=int, help=f"number of tunes, default {TUNES_FULL}")
    parser.add_argument("--notes", type=Path, default=CACHE / "notes", help="that virtual environment")
    parser.add_argument("--seed", type=int, default=1, help="of the first tune; the others follow")
    parser.add_argument("--output", type=Path, default=OUTPUT, help="folder of results")
    options = parser.parse_args()
    require("fluidsynth")
    interpreter, model = options.notes / "bin" / "python", options.notes / "nmp.onnx"
    for path in (interpreter, model, SOUNDFONT):
        if not path.exists():
            raise BenchmarkError(f"expected {path}, got none")
    names = SHORT if options.short else tuple(item.name for item in INSTRUMENTS)
    folder = weights_folder()
    network = load_timbre(read_weights(folder, TIMBRE, read_digests(folder)[TIMBRE]))
    seeds = range(options.seed, options.seed + (options.tunes or (1 if options.short else TUNES_FULL)))
    scores = [compose_lines(names, seed) for seed in seeds]
    results: dict[str, dict[str, Any]] = {}
    for name in show_progress(names, total=len(names), what="instruments"):
        found: dict[str, list[float]] = {"notes": [], "ours": [], "fluidsynth": []}
        for seed, lines in zip(seeds, scores, strict=True):
            score = lines[name]
            written = timed_notes(score, score.parts[0])
            reference = play_by_fluidsynth(score)
            with one_thread():
                ours = render_part(
                    network,
                    written,
                    BY_NAME[name],
                    EMBEDDING_ROW[name],
                    length_samples=len(reference),
                    seed=(seed,),
                )
            found["notes"].append(len(written))
            found["ours"].append(score_f1(written, hear(ours, interpreter, model)))
            found["fluidsynth"].append(score_f1(written, hear(reference, interpreter, model)))
        results[name] = {
            "tunes": found,
            "ours": float(np.mean(found["ours"])),
            "fluidsynth": float(np.mean(found["fluidsynth"])),
        }
    show_table(
        "F1 of the notes that basic-pitch hears",
        ("instrument", "ours", "FluidSynth", "difference"),
        [
            (name, f"{v['ours']:.3f}", f"{v['fluidsynth']:.3f}", f"{v['ours'] - v['fluidsynth']:+.3f}")
            for name, v in results.items()
        ],
    )
    write_json(options.output / "generator_notes.json", "generator_notes", describe_run(options), results)


if __name__ == "__main__":
    raise SystemExit(run_main(main))
