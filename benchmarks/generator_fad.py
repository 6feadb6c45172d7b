"""How near the synthesiser's sound is to the reference soundfont's, on musicnn's embeddings.

    python -m benchmarks.generator_fad [--short]

The same scores (tunes composed for each instrument alone, their first SECONDS) are played dry by FluidSynth
with the reference soundfont, by the synthesiser, by FluidSynth with other soundfonts, and as a decaying
sawtooth; other tunes with the reference soundfont are the floor. Each clip is levelled to the reference's.
The figure is the Frechet distance between the normal distributions that fit the embeddings of two sets
(Kilgour et al., "Frechet audio distance", Interspeech 2019), on the embeddings of musicnn instead of VGGish:
ranks mean something; figures of other embeddings or numbers of windows must not be set beside these.

It needs fluidsynth, the Debian packages fluid-soundfont-gm, musescore-general-soundfont (MIT) and
timgm6mb-soundfont (GPL-2; only listened to), and the wheel of musicnn, which is read without being installed:

    pip download --no-deps --dest benchmark-cache/musicnn musicnn==0.1.0
"""

import argparse
import tempfile
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import mido
import numpy as np
import soundfile
import torch
from numpy.typing import NDArray

from benchmarks.generator import SOUNDFONT
from benchmarks.generator_notes import compose_lines
from benchmarks.music import CACHE
from benchmarks.musicnn_network import Musicnn, read_wheel
from benchmarks.report import OUTPUT, describe_run, run_main, show_progress, show_table, write_json
from benchmarks.tools import BenchmarkError, require, run
from generator.embedded import one_thread
from generator.instruments import BY_NAME, EMBEDDING_ROW, INSTRUMENTS, Instrument
from generator.rendering import timed_notes
from generator.synthesis import TimedNote, render_part
from generator.timbre import SAMPLE_RATE, TimbreNetwork
from generator.weights import TIMBRE, load_timbre, read_digests, read_weights, weights_folder

# Of each tune; and how long it has, with silence before it and time to die away.
SECONDS, LEAD_S, SLOT_S = 12.1, 0.1, 20.0
TICKS_PER_S = 960
PROMPTS = (
    "hornpipe in D",
    "reel in G",
    "slow waltz in A minor",
    "jig in D",
    "air in F",
    "march in C",
    "polka in A",
    "slip jig in E minor",
    "strathspey in Bb",
    "song in G minor",
    "jig in A dorian",
    "reel in D mixolydian",
)
SHORT_PROMPTS = 3
SHORT = ("piano", "guitar", "flute", "violin")
# Of the tunes that make the floor.
OTHER_SEED = 1_000
OTHER_FONTS = {
    "MuseScore_General": Path("/usr/share/sounds/sf3/MuseScore_General_Full.sf3"),
    "TimGM6mb": Path("/usr/share/sounds/sf2/TimGM6mb.sf2"),
}
REFERENCE, OURS, SAWTOOTH, FLOOR = "FluidR3_GM", "synthesiser", "decaying sawtooth", "FluidR3_GM, other tunes"
DECAY_S, SAWTOOTH_TOP_HZ = 0.8, 16_000


def play_sawtooth(notes: list[TimedNote], length: int) -> NDArray[np.float32]:
    """The notes as partials at 1 / k that die away together, (length,)."""
    audio = np.zeros(length)
    for note in notes:
        first = round(note.onset_s * SAMPLE_RATE)
        t = np.arange(min(int((note.duration_s + 0.05) * SAMPLE_RATE), length - first)) / SAMPLE_RATE
        if len(t) == 0:
            continue
        f0 = 440 * 2 ** ((note.pitch - 69) / 12)
        k = np.arange(1, int(SAWTOOTH_TOP_HZ / f0) + 1)
        # Sum of sin(k x) / k, by the powers of exp(i x).
        turn, wave = np.exp(2j * np.pi * f0 * t), np.zeros(len(t))
        power = np.ones_like(turn)
        for number in k:
            power = power * turn
            wave += power.imag / number
        envelope = np.minimum(t / 0.005, 1) * np.minimum((note.duration_s + 0.05 - t) / 0.05, 1)
        audio[first : first + len(t)] += note.velocity / 127 * wave * envelope * np.exp(-t / DECAY_S)
    return audio.astype(np.float32)


def level(audio: NDArray[np.float32], reference: NDArray[np.float32]) -> NDArray[np.float32]:
    """The first SECONDS of a sound, as loud (root mean square) as the reference."""
    audio, reference = (a[: int(SECONDS * SAMPLE_RATE)] for a in (audio, reference))
    gain = np.sqrt(
        np.mean(reference.astype(np.float64) ** 2) / (np.mean(audio.astype(np.float64) ** 2) + 1e-20)
    )
    return np.asarray(audio * np.float32(gain))


def frechet_distance(first: NDArray[np.float64], second: NDArray[np.float64]) -> float:
    """Frechet distance of the normal distributions of two sets of embeddings, (n, dimensions) each.

    |m1 - m2|^2 + tr(C1 + C2 - 2 (C1 C2)^(1/2)); the trace of the root is the sum of the roots of the
    eigenvalues of the product, which are those of a positive matrix.
    """
    covariances = [np.cov(x, rowvar=False) for x in (first, second)]
    roots = np.sqrt(np.maximum(np.linalg.eigvals(covariances[0] @ covariances[1]).real, 0)).sum()
    apart = ((first.mean(0) - second.mean(0)) ** 2).sum()
    return float(apart + np.trace(covariances[0]) + np.trace(covariances[1]) - 2 * roots)


def play_by_font(lines: list[tuple[Instrument, list[TimedNote]]], font: Path) -> list[NDArray[np.float32]]:
    """Lines played by FluidSynth one after the other, in one run, SLOT_S each: a font is read only once."""
    events: list[tuple[float, int, mido.Message]] = []
    for number, (instrument, notes) in enumerate(lines):
        start_s = number * SLOT_S
        events.append((start_s, 0, mido.Message("program_change", program=instrument.program)))
        for note in notes:
            if note.onset_s + note.duration_s < SLOT_S - 1:
                on = mido.Message("note_on", note=note.pitch, velocity=note.velocity)
                off = mido.Message("note_off", note=note.pitch, velocity=0)
                events.append((start_s + LEAD_S + note.onset_s, 2, on))
                events.append((start_s + LEAD_S + note.onset_s + note.duration_s, 1, off))
    # A note that ends where the same one begins ends first.
    events.sort(key=lambda event: event[:2])
    track, last = mido.MidiTrack(), 0
    for at_s, _, message in events:
        tick = round(at_s * TICKS_PER_S)
        track.append(message.copy(time=tick - last))
        last = tick
    track.append(
        mido.MetaMessage("end_of_track", time=max(0, round(len(lines) * SLOT_S * TICKS_PER_S) - last))
    )
    with tempfile.TemporaryDirectory() as folder:
        midi, wave = Path(folder, "lines.mid"), Path(folder, "lines.wav")
        mido.MidiFile(ticks_per_beat=TICKS_PER_S // 2, tracks=[track]).save(midi)
        switches = ["-ni", "-q", "-R", "0", "-C", "0", "-g", "0.6", "-r", str(SAMPLE_RATE)]
        run(["fluidsynth", *switches, "-O", "float", "-F", wave, font, midi])
        audio, rate = soundfile.read(wave, dtype="float32", always_2d=True)
    assert rate == SAMPLE_RATE
    mono, slot = audio.mean(1, dtype=np.float32), round(SLOT_S * SAMPLE_RATE)
    mono = np.pad(mono, (0, max(0, len(lines) * slot - len(mono))))
    return [mono[number * slot : (number + 1) * slot] for number in range(len(lines))]


def play_all(
    lines: list[tuple[Instrument, list[TimedNote]]],
    network: TimbreNetwork,
    fonts: dict[str, Path],
    *,
    seed: int,
) -> dict[str, list[NDArray[np.float32]]]:
    """Every line by every player, levelled to the reference."""
    reference = play_by_font(lines, SOUNDFONT)
    played = {REFERENCE: reference, **{name: play_by_font(lines, path) for name, path in fonts.items()}}
    length = len(reference[0])
    played[OURS], played[SAWTOOTH] = [], []
    for instrument, notes in lines:
        late = [replace(note, onset_s=note.onset_s + LEAD_S) for note in notes]
        with one_thread():
            audio = render_part(
                network,
                late,
                instrument,
                EMBEDDING_ROW[instrument.name],
                length_samples=length,
                seed=(seed,),
            )
        played[OURS].append(audio)
        played[SAWTOOTH].append(play_sawtooth(late, length))
    return {
        player: [level(audio, like) for audio, like in zip(audios, reference, strict=True)]
        for player, audios in played.items()
    }


def embed_tune(
    number: int, names: tuple[str, ...], weights: bytes, wheel: Path, fonts: dict[str, Path], seed: int
) -> dict[str, list[NDArray[np.float64]]]:
    """Embeddings of one tune by player, for each instrument in turn."""
    torch.set_num_threads(1)
    network, musicnn = load_timbre(weights), Musicnn(read_wheel(wheel))
    lines, others = (
        [
            (BY_NAME[name], timed_notes(score, score.parts[0]))
            for name, score in compose_lines(names, first + number, prompt=PROMPTS[number]).items()
        ]
        for first in (seed, OTHER_SEED + seed)
    )
    played = play_all(lines, network, fonts, seed=seed + number)
    played[FLOOR] = [level(audio, audio) for audio in play_by_font(others, SOUNDFONT)]
    return {
        player: [musicnn.embed(audio, sample_rate=SAMPLE_RATE) for audio in audios]
        for player, audios in played.items()
    }


def measure(
    names: tuple[str, ...],
    tunes: int,
    weights: bytes,
    wheel: Path,
    fonts: dict[str, Path],
    *,
    seed: int,
    jobs: int,
) -> dict[str, Any]:
    """Embed every clip of every player; distances to the reference over all, and of ours by instrument."""
    embeddings: dict[str, dict[str, list[NDArray[np.float64]]]] = {}
    with ProcessPoolExecutor(jobs, mp_context=get_context("spawn")) as pool:
        work = [
            pool.submit(embed_tune, number, names, weights, wheel, fonts, seed) for number in range(tunes)
        ]
        for tune in show_progress(work, total=tunes, what="tunes"):
            for player, found in tune.result().items():
                for name, part in zip(names, found, strict=True):
                    embeddings.setdefault(player, {}).setdefault(name, []).append(part)
    whole = {
        player: np.concatenate([part for parts in by_name.values() for part in parts])
        for player, by_name in embeddings.items()
    }
    # Of so few windows of one instrument only the means are compared.
    apart = {
        player: {
            name: float(
                (
                    (np.concatenate(parts).mean(0) - np.concatenate(embeddings[REFERENCE][name]).mean(0)) ** 2
                ).sum()
            )
            for name, parts in by_name.items()
        }
        for player, by_name in embeddings.items()
        if player != REFERENCE
    }
    return {
        "windows": len(whole[REFERENCE]),
        "distance": {
            player: frechet_distance(found, whole[REFERENCE])
            for player, found in whole.items()
            if player != REFERENCE
        },
        "means_apart": apart,
    }


def main() -> None:
    """Play, embed, compare, show and write."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--short", action="store_true", help=f"{SHORT_PROMPTS} tunes on {', '.join(SHORT)}")
    parser.add_argument("--tunes", type=int, choices=range(1, len(PROMPTS) + 1), help="number of tunes")
    parser.add_argument("--musicnn", type=Path, default=CACHE / "musicnn", help="folder of its wheel")
    parser.add_argument("--timbre", type=Path, help="weights other than the published ones")
    parser.add_argument("--seed", type=int, default=1, help="of the tunes")
    parser.add_argument("--jobs", type=int, default=2, help="tunes at once, each in a process")
    parser.add_argument("--output", type=Path, default=OUTPUT, help="folder of results")
    for font, path in OTHER_FONTS.items():
        parser.add_argument(f"--{font.lower().replace('_', '-')}", type=Path, default=path, dest=font)
    options = parser.parse_args()
    require("fluidsynth")
    wheels = sorted(options.musicnn.glob("musicnn-0.1.0-*.whl"))
    if not wheels:
        raise BenchmarkError(f"expected the wheel of musicnn 0.1.0 in {options.musicnn}, got none")
    fonts = {font: getattr(options, font) for font in OTHER_FONTS}
    for path in (SOUNDFONT, *fonts.values()):
        if not path.exists():
            raise BenchmarkError(f"expected the soundfont {path}, got none")
    folder = weights_folder()
    published = None if options.timbre else read_weights(folder, TIMBRE, read_digests(folder)[TIMBRE])
    weights = published or options.timbre.read_bytes()
    names = SHORT if options.short else tuple(item.name for item in INSTRUMENTS)
    tunes = options.tunes or (SHORT_PROMPTS if options.short else len(PROMPTS))
    found = measure(names, tunes, weights, wheels[0], fonts, seed=options.seed, jobs=options.jobs)
    show_table(
        f"Frechet distance to {REFERENCE} on musicnn embeddings, {found['windows']} windows of 3 s",
        ("player", "distance"),
        [(p, f"{d:.1f}") for p, d in sorted(found["distance"].items(), key=lambda item: item[1])],
    )
    players = (OURS, *OTHER_FONTS, SAWTOOTH)
    show_table(
        "Squared distance of the means, by instrument",
        ("instrument", *players),
        [(name, *(f"{found['means_apart'][player][name]:.1f}" for player in players)) for name in names],
    )
    write_json(options.output / "generator_fad.json", "generator_fad", describe_run(options), found)


if __name__ == "__main__":
    raise SystemExit(run_main(main))
