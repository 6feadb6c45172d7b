"""What the embedded generator composes and how it sounds: `python -m benchmarks.generator [--short]`.

Composition: tunes of two sections of eight bars over all forms, keys and modes, drawn as the engine draws
them. Counted are those that abc2midi reads without error or warning, interior bars that hold exactly their
metre, keys that the Krumhansl-Schmuckler profiles find again (major and minor), and note sequences shared
with the training tunes. Sound: notes at pitches and a velocity that training never saw, against FluidSynth's
rendering of the same notes with the reference soundfont, as log-spectral distance (2,048-point STFT, each
note levelled to the reference, down to 60 dB below its peak). The anchor is a sawtooth with the envelope of
the reference. Cost: CPU seconds by stage.
"""

import argparse
import re
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.report import OUTPUT, describe_run, run_main, show_progress, show_table, write_json
from benchmarks.speed import count_cpu_s
from benchmarks.tools import BenchmarkError, require, run
from generator import Request, open_engine
from generator.composition import compose_tune
from generator.embedded import one_thread
from generator.form import Form
from generator.harmony import harmonise
from generator.instruments import BY_NAME, EMBEDDING_ROW, INSTRUMENTS
from generator.notation import format_tune
from generator.partwriting import write_parts
from generator.prompt import read_prompt
from generator.synthesis import TimedNote, render_part
from generator.timbre import SAMPLE_RATE
from generator.training.notes import HOLD_S, LEAD_S, notes_of, render
from generator.tune import RHYTHMS, Tune, interior_bars_exact, pitch_of, tonic_pitch
from generator.weights import (
    CHORDS,
    COMPOSER,
    TIMBRE,
    TUNES,
    load_chords,
    load_composer,
    load_sequences,
    load_timbre,
    read_digests,
    read_weights,
    weights_folder,
)

SOUNDFONT = Path("/usr/share/sounds/sf2/FluidR3_GM.sf2")
TUNES_FULL, TUNES_SHORT = 400, 40
SHORT_INSTRUMENTS = ("piano", "guitar", "flute", "violin")
STREAM_S = (6.0, 30.0, 60.0)
SPEED_PROMPTS = (
    "slow waltz in D minor, piano",
    "reel in G, fiddle and guitar",
    "reel in G, fiddle, guitar, double bass and drums",
)
FLOOR_DB = 60.0
# Krumhansl and Kessler 1982, as in Krumhansl, "Cognitive foundations of musical pitch" (1990).
PROFILES = {
    "major": (6.35, 2.23, 3.48, 2.33, 4.38, 4.09, 2.52, 5.19, 2.39, 3.66, 2.29, 2.88),
    "minor": (6.33, 2.68, 3.52, 5.38, 2.60, 3.53, 2.54, 4.75, 3.98, 2.69, 3.34, 3.17),
}


def estimate_key(tune: Tune) -> tuple[int, str]:
    """Tonic pitch class and mode whose profile correlates best with the lengths of the tune's pitch
    classes.
    """
    weights = np.zeros(12)
    for section in tune.sections:
        for bar in section.bars:
            for note in bar:
                if note.step is not None:
                    weights[pitch_of(note.step, note.alter, tune.tonic, tune.mode) % 12] += note.units
    scores = {
        (tonic, mode): float(np.corrcoef(np.roll(profile, tonic), weights)[0, 1])
        for mode, profile in PROFILES.items()
        for tonic in range(12)
    }
    return max(scores, key=lambda key: scores[key])


def read_by_abc2midi(abc: str) -> bool:
    """Whether abc2midi reads a tune without a word of error or warning."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "tune.abc")
        path.write_text(abc)
        said = run(["abc2midi", path, "-o", Path(folder, "tune.mid")]).decode(errors="replace")
    return re.search("error|warning", said, re.IGNORECASE) is None


def measure_composition(count: int, seed: int) -> dict[str, Any]:
    """Draw tunes and count."""
    folder = weights_folder()
    digests = read_digests(folder)
    model = load_composer(read_weights(folder, COMPOSER, digests[COMPOSER]))
    sequences = load_sequences(read_weights(folder, TUNES, digests[TUNES]))
    chords = load_chords(read_weights(folder, CHORDS, digests[CHORDS]))
    random = np.random.default_rng(seed)
    valid = exact = bars = keys = keyed = rejected = 0
    hits, runs = [], []
    for number in show_progress(range(count), total=count, what="tunes"):
        rhythm = RHYTHMS[number % len(RHYTHMS)]
        mode = ("major", "minor", "major", "minor", "dorian", "mixolydian")[number // len(RHYTHMS) % 6]
        tonic = ("C", "G", "D", "A", "E", "F", "Bb", "Eb")[int(random.integers(8))]
        settings = read_prompt(rhythm, {"key": f"{tonic} {mode}", "rhythm": rhythm}, seed=0)
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
        abc = format_tune(
            tune,
            chords=harmony,
            parts=write_parts(tune, harmony, settings),
            title=f"tune {number}",
            tempo_bpm=settings.tempo_bpm,
        )
        valid += read_by_abc2midi(abc)
        right, looked = interior_bars_exact(tune)
        exact, bars = exact + right, bars + looked
        if mode in PROFILES:
            keyed += 1
            keys += estimate_key(tune) == (tonic_pitch(settings.tonic) % 12, mode)
        hits.append(found.hit_rate)
        runs.append(found.longest_run)
        rejected += found.rejected
    return {
        "tunes": count,
        "read_by_abc2midi": valid,
        "interior_bars": bars,
        "interior_bars_exact": exact,
        "major_minor_tunes": keyed,
        "keys_found": keys,
        "sequences_shared": float(np.mean(hits)),
        "longest_run_median": float(np.median(runs)),
        "longest_run": max(runs),
        "drafts_refused": rejected,
    }


def log_spectrum(audio: NDArray[np.float64]) -> NDArray[np.float64]:
    """Magnitudes in dB, (frames, bins)."""
    frames = np.lib.stride_tricks.sliding_window_view(audio, 2048)[::512]
    return 20 * np.log10(np.abs(np.fft.rfft(frames * np.hanning(2048))) + 1e-9)


def spectral_distance(audio: NDArray[np.float64], reference: NDArray[np.float64]) -> float:
    """Log-spectral distance in dB after levelling: root mean square over all places of the spectrogram where
    either is less than FLOOR_DB below the reference's peak, what is lower counting as that floor."""
    level = np.sqrt((reference**2).sum() / ((audio**2).sum() + 1e-20))
    first, second = log_spectrum(audio * level), log_spectrum(reference)
    floor = second.max() - FLOOR_DB
    difference = np.maximum(first, floor) - np.maximum(second, floor)
    heard = (first > floor) | (second > floor)
    return float(np.sqrt((difference[heard] ** 2).mean()))


def sawtooth(pitch: int, reference: NDArray[np.float64]) -> NDArray[np.float64]:
    """A band-limited sawtooth of a pitch with the envelope of the reference."""
    f0 = 440 * 2 ** ((pitch - 69) / 12)
    t = np.arange(len(reference)) / SAMPLE_RATE
    wave = sum(np.sin(2 * np.pi * k * f0 * t) / k for k in range(1, int(18_000 / f0) + 1))
    envelope = np.sqrt(np.convolve(reference**2, np.hanning(1024) / 512, mode="same"))
    return np.asarray(wave * envelope)


def measure_sound(names: tuple[str, ...]) -> dict[str, dict[str, float]]:
    """Distance of the network's validation notes from the reference, and of the sawtooth, by instrument."""
    folder = weights_folder()
    network = load_timbre(read_weights(folder, TIMBRE, read_digests(folder)[TIMBRE]))
    results = {}
    for name in show_progress(names, total=len(names), what="instruments"):
        instrument = BY_NAME[name]
        ours, saws = [], []
        for (pitch, velocity, validation), reference in zip(
            notes_of(instrument), render(instrument, SOUNDFONT), strict=True
        ):
            if not validation:
                continue
            with one_thread():
                audio = render_part(
                    network,
                    [TimedNote(pitch, LEAD_S, HOLD_S, velocity)],
                    instrument,
                    EMBEDDING_ROW[name],
                    length_samples=len(reference),
                    seed=(pitch,),
                )
            ours.append(spectral_distance(audio.astype(np.float64), reference))
            saws.append(spectral_distance(sawtooth(pitch, reference), reference))
        results[name] = {"network_db": float(np.mean(ours)), "sawtooth_db": float(np.mean(saws))}
    return results


def measure_speed(seconds: float) -> dict[str, dict[str, float]]:
    """CPU seconds of one track after a warm-up, whole and, by wall clock, by stage."""
    engine = open_engine("embedded")
    engine.generate(Request("polka", 6.0, 0))
    results = {}
    for prompt in SPEED_PROMPTS:
        cost, result = count_cpu_s(lambda prompt=prompt: engine.generate(Request(prompt, seconds, 1)))
        length = result.audio.shape[1] / SAMPLE_RATE
        results[prompt] = {
            "length_s": length,
            "cpu_s": cost,
            **{f"{k}_s": v for k, v in result.timings_s.items()},
        }
    return results


class FirstBlock:
    """A sink that notes the CPU seconds of this process at which the first block came."""

    def __init__(self) -> None:
        self.cpu_s: float | None = None

    def write(self, block: NDArray[np.float32], *, sample_rate: int) -> None:
        """Take a block; only the first one is looked at."""
        del block, sample_rate
        if self.cpu_s is None:
            self.cpu_s = time.process_time()


def measure_stream(lengths_s: tuple[float, ...]) -> list[dict[str, float]]:
    """CPU seconds to the first block, and to the last, of the four-part piece at several lengths, warm."""
    engine = open_engine("embedded")
    engine.generate(Request("polka", 6.0, 0))
    rows = []
    for seconds in lengths_s:
        sink, started = FirstBlock(), time.process_time()
        engine.perform(Request(SPEED_PROMPTS[-1], seconds, 1), sink)
        assert sink.cpu_s is not None
        rows.append(
            {"asked_s": seconds, "first_s": sink.cpu_s - started, "whole_s": time.process_time() - started}
        )
    return rows


def main() -> None:
    """Measure, show and write."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--short", action="store_true", help="about two minutes on two cores")
    parser.add_argument("--seed", type=int, default=1, help="of keys and tunes")
    parser.add_argument("--output", type=Path, default=OUTPUT, help="folder of results")
    options = parser.parse_args()
    require("abc2midi", "fluidsynth")
    if not SOUNDFONT.exists():
        raise BenchmarkError(
            f"expected the soundfont {SOUNDFONT} (Debian package fluid-soundfont-gm), got none"
        )
    tunes = measure_composition(TUNES_SHORT if options.short else TUNES_FULL, options.seed)
    names = SHORT_INSTRUMENTS if options.short else tuple(i.name for i in INSTRUMENTS)
    sound = measure_sound(names)
    speed = measure_speed(30.0)
    stream = measure_stream(STREAM_S)
    show_table(
        "Composition",
        ("figure", "value"),
        [
            ("tunes read by abc2midi without a word", f"{tunes['read_by_abc2midi']} of {tunes['tunes']}"),
            ("interior bars exact", f"{tunes['interior_bars_exact']} of {tunes['interior_bars']}"),
            ("keys found again (major, minor)", f"{tunes['keys_found']} of {tunes['major_minor_tunes']}"),
            ("12-note sequences shared with training tunes", f"{100 * tunes['sequences_shared']:.2f} %"),
            (
                "longest run shared: median, most",
                f"{tunes['longest_run_median']:.0f}, {tunes['longest_run']}",
            ),
            ("drafts refused for a run of 24 or more", str(tunes["drafts_refused"])),
        ],
    )
    rows = [(name, f"{v['network_db']:.2f}", f"{v['sawtooth_db']:.2f}") for name, v in sound.items()]
    show_table("Log-spectral distance to the reference, dB", ("instrument", "network", "sawtooth"), rows)
    show_table(
        "Cost of a track of 30 s",
        ("prompt", "length, s", "CPU s", "times real time"),
        [
            (p, f"{v['length_s']:.1f}", f"{v['cpu_s']:.2f}", f"{v['length_s'] / v['cpu_s']:.0f}")
            for p, v in speed.items()
        ],
    )
    show_table(
        f"CPU seconds of a stream: {SPEED_PROMPTS[-1]}",
        ("asked for, s", "first block", "whole piece"),
        [(f"{r['asked_s']:.0f}", f"{r['first_s']:.2f}", f"{r['whole_s']:.2f}") for r in stream],
    )
    results = {"composition": tunes, "sound": sound, "speed": speed, "stream": stream}
    write_json(options.output / "generator.json", "generator", describe_run(options), results)


if __name__ == "__main__":
    raise SystemExit(run_main(main))
