"""How the partials of held notes rise and fall: `python -m benchmarks.generator_movement [--short]`.

Notes of 2.3 s at pitches that training never saw are played by FluidSynth with the reference soundfont, by
the synthesiser, and by the synthesiser without its movement (`generator/movement.py`); other soundfonts may
stand beside them. The level of each partial over time is taken apart by how fast it moves, in octaves from
0.8 to 32 Hz, and the root mean squares, in dB, are gathered by where the partials lie. The figure is the
mean difference from the reference over these cells.

It needs fluidsynth and the Debian package fluid-soundfont-gm.
"""

import argparse
from itertools import pairwise
from pathlib import Path
from typing import Any
from unittest.mock import patch

import numpy as np
import torch
from numpy.typing import NDArray

from benchmarks.generator import SOUNDFONT
from benchmarks.generator_fad import LEAD_S, SLOT_S, play_by_font
from benchmarks.report import OUTPUT, describe_run, run_main, show_progress, show_table, write_json
from benchmarks.tools import BenchmarkError, require
from generator.embedded import one_thread
from generator.instruments import EMBEDDING_ROW, INSTRUMENTS, Instrument
from generator.movement import KINDS
from generator.synthesis import TimedNote, render_part
from generator.timbre import FRAME_HOP, SAMPLE_RATE, TimbreNetwork
from generator.training.notes import HOLD_S, STEP, partial_tracks
from generator.weights import TIMBRE, load_timbre, read_digests, read_weights, weights_folder

VELOCITY, NOTES, LINE_NOTES = 80, 8, 4
# Notes begin so far apart; what is looked at begins after the attack.
APART_S, SETTLED_S = 4.5, 0.4
PARTIALS = (1, 2, 3, 4, 5, 6, 8, 10, 12, 16, 20, 26)
HIGHEST_HZ = 9_000.0
# A partial counts down to so much below the loudest, and dips of its level down to so much.
WEAKEST_DB, DEEPEST_DB = 45.0, 15.0
RATES_HZ = (0.8, 2.0, 4.0, 8.0, 16.0, 32.0)
PLACES_HZ = (350.0, 700.0, 1_400.0, 2_800.0, 5_600.0)
REFERENCE, OURS, STILL = "FluidR3_GM", "synthesiser", "without movement"
Cell = tuple[int, NDArray[np.float64]]


def moving_levels(audio: NDArray[np.floating[Any]], pitch: int) -> list[Cell]:
    """For each partial of a note that begins at 0: number of its place in PLACES_HZ, and the root mean square
    of its level's movement, dB, in each octave of RATES_HZ.
    """
    x = torch.from_numpy(audio.astype(np.float64))
    f0 = 440 * 2 ** ((pitch - 69) / 12)
    window = max(1024, 2 ** int(np.ceil(np.log2(3.2 * SAMPLE_RATE / f0))))
    phase = 2 * torch.pi * f0 * torch.arange(len(x), dtype=torch.float64) / SAMPLE_RATE
    numbers = [k for k in PARTIALS if k * f0 < HIGHEST_HZ]
    tracks = partial_tracks(x, phase, torch.tensor(numbers, dtype=torch.float64), window)
    frames_a_s = SAMPLE_RATE / FRAME_HOP
    levels = (
        20
        * np.log10(tracks.abs().numpy() + 1e-7)[
            :, int(SETTLED_S * frames_a_s) : int((HOLD_S - 0.1) * frames_a_s)
        ]
    )
    taper = np.hanning(levels.shape[1])
    rates = np.fft.rfftfreq(levels.shape[1], 1 / frames_a_s)
    medians = np.median(levels, 1)
    cells = []
    for number, level, median in zip(numbers, levels, medians, strict=True):
        if median < medians.max() - WEAKEST_DB:
            continue
        swing = np.maximum(level - median, -DEEPEST_DB)
        power = np.abs(np.fft.rfft((swing - swing.mean()) * taper)) ** 2
        power *= 2 / (taper**2).sum() / len(level)
        octaves = [np.sqrt(power[(rates >= low) & (rates < high)].sum()) for low, high in pairwise(RATES_HZ)]
        cells.append((int(np.searchsorted(PLACES_HZ, number * f0)), np.array(octaves)))
    return cells


def gather(cells: list[Cell]) -> NDArray[np.float64]:
    """Root mean squares by place and rate, (places, rates); NaN where no partial lies."""
    table = np.full((len(PLACES_HZ) + 1, len(RATES_HZ) - 1), np.nan)
    for place in range(len(table)):
        rows = [swings for at, swings in cells if at == place]
        if rows:
            table[place] = np.sqrt(np.mean(np.square(rows), 0))
    return table


def choose_pitches(instrument: Instrument, count: int) -> list[int]:
    """Pitches between those of training, spread over the instrument's middle."""
    span = instrument.high - instrument.low - 12
    pitches = [instrument.low + 6 + round(span * n / (count - 1)) for n in range(count)]
    return [pitch + 1 if (pitch - instrument.low) % STEP == 0 else pitch for pitch in pitches]


def measure(
    instruments: list[Instrument], network: TimbreNetwork, fonts: dict[str, Path], count: int
) -> dict[str, dict[str, Any]]:
    """Tables of movement of every player, and how far each is from the reference, by instrument."""
    lines, notes_of = [], {}
    for instrument in instruments:
        pitches = choose_pitches(instrument, count)
        notes_of[instrument.name] = pitches
        for first in range(0, count, LINE_NOTES):
            group = pitches[first : first + LINE_NOTES]
            notes = [TimedNote(p, APART_S * n, HOLD_S, VELOCITY) for n, p in enumerate(group)]
            lines.append((instrument, notes))
    played = {name: play_by_font(lines, font) for name, font in {REFERENCE: SOUNDFONT, **fonts}.items()}
    played[OURS] = [play(network, *line) for line in lines]
    with patch.dict(KINDS, clear=True):
        played[STILL] = [play(network, *line) for line in lines]
    tables: dict[str, dict[str, NDArray[np.float64]]] = {}
    for player, audios in show_progress(list(played.items()), total=len(played), what="players"):
        cells: dict[str, list[Cell]] = {}
        for (instrument, notes), audio in zip(lines, audios, strict=True):
            for note in notes:
                begin = round((LEAD_S + note.onset_s) * SAMPLE_RATE)
                stretch = audio[begin : begin + round(HOLD_S * SAMPLE_RATE)]
                cells.setdefault(instrument.name, []).extend(moving_levels(stretch, note.pitch))
        for name, found in cells.items():
            tables.setdefault(name, {})[player] = gather(found)
    return {
        name: {
            "pitches": notes_of[name],
            "moves_db": {player: np.round(table, 2).tolist() for player, table in of_player.items()},
            "apart_db": {
                player: float(np.nanmean(np.abs(table - of_player[REFERENCE])))
                for player, table in of_player.items()
                if player != REFERENCE
            },
        }
        for name, of_player in tables.items()
    }


def play(network: TimbreNetwork, instrument: Instrument, notes: list[TimedNote]) -> NDArray[np.float32]:
    """A line as the synthesiser plays it, as late and as long as `play_by_font` makes it."""
    late = [TimedNote(n.pitch, n.onset_s + LEAD_S, n.duration_s, n.velocity) for n in notes]
    with one_thread():
        return render_part(
            network,
            late,
            instrument,
            EMBEDDING_ROW[instrument.name],
            length_samples=round(SLOT_S * SAMPLE_RATE),
            seed=(1,),
        )


def main() -> None:
    """Play, take apart, compare, show and write."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--short", action="store_true", help=f"{LINE_NOTES} notes of each instrument")
    parser.add_argument("--timbre", type=Path, help="weights other than the published ones")
    parser.add_argument(
        "--font", type=Path, action="append", default=[], help="another soundfont, to compare"
    )
    parser.add_argument("--output", type=Path, default=OUTPUT, help="folder of results")
    options = parser.parse_args()
    require("fluidsynth")
    for path in (SOUNDFONT, *options.font):
        if not path.exists():
            raise BenchmarkError(f"expected the soundfont {path}, got none")
    folder = weights_folder()
    published = None if options.timbre else read_weights(folder, TIMBRE, read_digests(folder)[TIMBRE])
    network = load_timbre(published or options.timbre.read_bytes())
    instruments = [item for item in INSTRUMENTS if item.sustains]
    fonts = {path.stem: path for path in options.font}
    found = measure(instruments, network, fonts, LINE_NOTES if options.short else NOTES)
    players = (OURS, STILL, *fonts)
    show_table(
        f"Movement of the partials of held notes: mean difference from {REFERENCE}, dB",
        ("instrument", *players),
        [(name, *(f"{v['apart_db'][p]:.2f}" for p in players)) for name, v in found.items()],
    )
    write_json(options.output / "generator_movement.json", "generator_movement", describe_run(options), found)


if __name__ == "__main__":
    raise SystemExit(run_main(main))
