"""How the embedded generator sounds and what it costs: `python -m benchmarks.generator [--short]`.

What it composes is measured by `benchmarks.generator_tunes`. Sound: notes at pitches and a velocity that
training never saw, against FluidSynth's rendering of the same notes with the reference soundfont, as
log-spectral distance (2,048-point STFT, each note levelled to the reference, down to 60 dB below its peak),
and as the distance that training measures (`generator/training/spectra.py`: four resolutions, level and all).
The anchor is a sawtooth with the envelope of the reference. Cost: CPU seconds of a track by stage and of a
stream to its first block, the latter by the wall as well; and how many times faster than real time, on one
core, the synthesiser plays one voice and eight at once, before room and master.
"""

import argparse
import os
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from benchmarks.report import OUTPUT, describe_run, run_main, show_progress, show_table, write_json
from benchmarks.speed import count_cpu_s
from benchmarks.tools import BenchmarkError, require
from generator import Request, open_engine
from generator.embedded import one_thread
from generator.instruments import BY_NAME, EMBEDDING_ROW, INSTRUMENTS
from generator.synthesis import TimedNote, render_part
from generator.timbre import SAMPLE_RATE
from generator.training.notes import HOLD_S, LEAD_S, notes_of, render
from generator.training.spectra import log_distance
from generator.weights import (
    TIMBRE,
    load_timbre,
    read_digests,
    read_weights,
    weights_folder,
)

SOUNDFONT = Path("/usr/share/sounds/sf2/FluidR3_GM.sf2")
SHORT_INSTRUMENTS = ("piano", "guitar", "flute", "violin")
STREAM_S = (6.0, 30.0, 60.0)
SPEED_PROMPTS = (
    "slow waltz in D minor, piano",
    "reel in G, fiddle and guitar",
    "reel in G, fiddle, guitar, double bass and drums",
)
SYNTHESIS_S = 20.0
MIX = ("flute", "clarinet", "violin", "strings", "guitar", "piano", "cello", "bass")
SCALE = (0, 2, 4, 5, 7, 9, 11, 12)
FLOOR_DB = 60.0


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


def multi_scale_distance(audio: NDArray[Any], reference: NDArray[np.float64]) -> float:
    """Mean difference of log magnitudes at four resolutions, nepers (`generator.training.spectra`)."""
    first, second = (torch.from_numpy(x.astype(np.float32))[None] for x in (audio, reference))
    return float(log_distance(first, second))


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
        ours, saws, distances, saw_distances = [], [], [], []
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
            saw = sawtooth(pitch, reference)
            saw *= np.sqrt((reference**2).sum() / (saw**2).sum())
            saws.append(spectral_distance(saw, reference))
            distances.append(multi_scale_distance(audio, reference))
            saw_distances.append(multi_scale_distance(saw, reference))
        results[name] = {
            "network_db": float(np.mean(ours)),
            "sawtooth_db": float(np.mean(saws)),
            "network_distance": float(np.mean(distances)),
            "sawtooth_distance": float(np.mean(saw_distances)),
        }
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


def play_line(name: str, number: int, seconds: float) -> list[TimedNote]:
    """Eighth notes at 120 quarters a minute about an instrument's centre; lines of other numbers differ."""
    instrument = BY_NAME[name]
    low = min(max(instrument.centre - 7, instrument.low), instrument.high - 12)
    steps = [(n * (number + 3) + number) % len(SCALE) for n in range(int(4 * seconds))]
    return [TimedNote(low + SCALE[step], 0.25 * n, 0.24, 80) for n, step in enumerate(steps)]


def measure_synthesis(seconds: float) -> dict[str, float]:
    """Times real time of the synthesiser: each instrument alone, and MIX at once; the best of three runs."""
    folder = weights_folder()
    network = load_timbre(read_weights(folder, TIMBRE, read_digests(folder)[TIMBRE]))

    def play(names: tuple[str, ...]) -> None:
        with one_thread():
            for number, name in enumerate(names):
                render_part(
                    network,
                    play_line(name, number, seconds),
                    BY_NAME[name],
                    EMBEDDING_ROW[name],
                    length_samples=int(seconds * SAMPLE_RATE),
                    seed=(number,),
                )

    groups = {**{name: (name,) for name in BY_NAME}, f"{len(MIX)} voices": MIX}
    return {
        label: seconds / min(count_cpu_s(lambda names=names: play(names))[0] for _ in range(3))
        for label, names in groups.items()
    }


class FirstBlock:
    """A sink that notes when the first block came, by processor time and by the clock on the wall."""

    def __init__(self) -> None:
        self.at_s: tuple[float, float] | None = None

    def write(self, block: NDArray[np.float32], *, sample_rate: int) -> None:
        """Take a block; only the first one is looked at."""
        del block, sample_rate
        if self.at_s is None:
            self.at_s = time.process_time(), time.perf_counter()


def measure_stream(lengths_s: tuple[float, ...]) -> list[dict[str, float]]:
    """Seconds to the first block, and to the last, of the four-part piece at several lengths, warm: processor
    time, and wall time, which means something on an idle machine alone.
    """
    engine = open_engine("embedded")
    engine.generate(Request("polka", 6.0, 0))
    rows = []
    for seconds in lengths_s:
        sink, cpu_s, wall_s = FirstBlock(), time.process_time(), time.perf_counter()
        engine.perform(Request(SPEED_PROMPTS[-1], seconds, 1), sink)
        assert sink.at_s is not None
        rows.append(
            {
                "asked_s": seconds,
                "first_s": sink.at_s[0] - cpu_s,
                "whole_s": time.process_time() - cpu_s,
                "first_wall_s": sink.at_s[1] - wall_s,
                "whole_wall_s": time.perf_counter() - wall_s,
            }
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
    require("fluidsynth")
    if not SOUNDFONT.exists():
        raise BenchmarkError(
            f"expected the soundfont {SOUNDFONT} (Debian package fluid-soundfont-gm), got none"
        )
    names = SHORT_INSTRUMENTS if options.short else tuple(i.name for i in INSTRUMENTS)
    sound = measure_sound(names)
    synthesis = measure_synthesis(SYNTHESIS_S)
    speed = measure_speed(30.0)
    stream = measure_stream(STREAM_S)
    kinds = ("network_db", "sawtooth_db", "network_distance", "sawtooth_distance")
    means = {kind: float(np.mean([v[kind] for v in sound.values()])) for kind in kinds}
    rows = [(name, *(f"{v[k]:.3f}" for k in kinds)) for name, v in {**sound, "mean": means}.items()]
    columns = ("instrument", "network, dB", "sawtooth, dB", "network, nepers", "sawtooth, nepers")
    show_table("Distance of spectra to the reference", columns, rows)
    show_table(
        "Synthesiser on one core, times real time",
        ("voices", "times"),
        [(name, f"{times:.0f}") for name, times in synthesis.items()],
    )
    show_table(
        "Cost of a track of 30 s",
        ("prompt", "length, s", "CPU s", "times real time"),
        [
            (p, f"{v['length_s']:.1f}", f"{v['cpu_s']:.2f}", f"{v['length_s'] / v['cpu_s']:.0f}")
            for p, v in speed.items()
        ],
    )
    show_table(
        f"Seconds of a stream: {SPEED_PROMPTS[-1]}",
        ("asked for, s", "first block, CPU", "whole piece, CPU", "first block, wall", "whole piece, wall"),
        [
            tuple(f"{value:.0f}" if n == 0 else f"{value:.2f}" for n, value in enumerate(r.values()))
            for r in stream
        ],
        note=f"other work on the machine: load of {os.getloadavg()[0]:.1f}",
    )
    results = {"sound": sound, "synthesis": synthesis, "speed": speed, "stream": stream}
    write_json(options.output / "generator.json", "generator", describe_run(options), results)


if __name__ == "__main__":
    raise SystemExit(run_main(main))
