"""How audible the mark is: `python -m benchmarks.audibility [--short] [--peer audiowmark=PATH]`.

Tracks and hard signals made by formula are marked and compared with the original by PEAQ Basic
(benchmarks/peaq.py): ODG 0 is imperceptible, -4 very annoying, an identical pair reads about +0.2;
noise-to-mask ratio (NMR) below about -10 dB is safely masked. Also counted: samples that clip and did not,
digital silence that is silent no more, and the change of level between the channels.
"""

import argparse
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from benchmarks.hard_signals import MAKERS, make_signal
from benchmarks.marking import derive_secret, load_section, open_system, shorten
from benchmarks.music import SAMPLE_RATE, choose, list_tracks
from benchmarks.peaq import compare
from benchmarks.report import describe_run, make_parser, run_main, show_progress, show_table, write_json
from benchmarks.tools import Audio, BenchmarkError

SECTION_S = 60.0
FULL_SCALE = 0.9999
SILENT_RUN = 4096  # samples of digital zero that count as silence rather than zero crossings


@dataclass(frozen=True)
class Piece:
    """Something to mark: a name, audio (2, samples) at 44.1 kHz and the secret to mark it with."""

    name: str
    kind: str
    audio: Audio
    secret: bytes


def collect(options: argparse.Namespace) -> Iterator[Piece]:
    """Yield the tracks' sections, then the hard signals."""
    for track in choose(list_tracks(options.cache, split=options.split), options.tracks):
        section = load_section(track, options.cache, options.seed)
        audio = section[:, : round(options.seconds * SAMPLE_RATE)]
        yield Piece(track.name, "track", audio, derive_secret(track, options.seed))
    for name in MAKERS:
        secret = f"hard signal {options.seed} {name}".encode()
        yield Piece(name, "hard signal", make_signal(name, seed=options.seed), secret)


def find_silence(audio: Audio) -> np.ndarray[Any, np.dtype[np.bool_]]:
    """Mark the samples in the middle of digital silence on all channels."""
    zero = np.concatenate([[0], np.cumsum(~audio.any(axis=0))])
    silent = np.zeros(audio.shape[1], dtype=bool)
    runs = zero[SILENT_RUN:] - zero[:-SILENT_RUN]
    middle = SILENT_RUN // 2
    silent[middle : middle + len(runs)] = runs == SILENT_RUN
    return silent


def measure_piece(piece: Piece, system: str) -> dict[str, Any]:
    """Mark a piece and measure what changed."""
    marked = open_system(system).mark(piece.audio, sample_rate=SAMPLE_RATE, secret=piece.secret)
    change = marked - piece.audio
    row: dict[str, Any] = {"name": piece.name, "kind": piece.kind, "system": system}
    energy, changed = (
        float(np.sum(piece.audio.astype(np.float64) ** 2)),
        float(np.sum(change.astype(np.float64) ** 2)),
    )
    row["snr_db"] = round(10 * np.log10(energy / changed), 2) if changed else None
    row["clipped"] = int(((np.abs(marked) >= FULL_SCALE) & (np.abs(piece.audio) < FULL_SCALE)).sum())
    row["silence_broken"] = int(change[:, find_silence(piece.audio)].any(axis=0).sum())
    try:
        quality = compare(piece.audio, marked, sample_rate=SAMPLE_RATE)
    except ValueError as error:  # PEAQ hears nothing in near-silence
        return {**row, "odg": None, "note": str(error)}
    row["odg"] = round(quality.odg, 4)
    row["nmr_db"] = round(quality.total_nmr_db, 2)
    row["worst_second_nmr_db"] = round(quality.worst_second_nmr_db, 2)
    row["audible_share"] = round(quality.audible_share, 4)
    row["variables"] = {name: round(value, 6) for name, value in quality.variables.items()}
    return row


def summarise(rows: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """Mean and worst over the pieces of each kind and system."""
    summary = []
    for system in dict.fromkeys(row["system"] for row in rows):
        for kind in ("track", "hard signal"):
            some = [row for row in rows if row["system"] == system and row["kind"] == kind]
            graded = [row for row in some if row["odg"] is not None]
            if not graded:
                continue
            summary.append(
                {
                    "system": system,
                    "kind": kind,
                    "pieces": len(some),
                    "graded": len(graded),
                    "odg_mean": round(float(np.mean([row["odg"] for row in graded])), 3),
                    "odg_worst": min(row["odg"] for row in graded),
                    "below_minus_0.3": sum(row["odg"] < -0.3 for row in graded),
                    "nmr_mean_db": round(float(np.mean([row["nmr_db"] for row in graded])), 2),
                    "nmr_worst_db": max(row["nmr_db"] for row in graded),
                    "clipped": sum(row["clipped"] for row in some),
                    "silence_broken": sum(row["silence_broken"] for row in some),
                }
            )
    return summary


def show(rows: Sequence[dict[str, Any]], summary: Sequence[dict[str, Any]]) -> None:
    """Print each piece and the summary."""
    columns = ["piece", "system", "ODG", "NMR dB", "worst s", "audible", "SNR dB", "clipped", "silence"]
    show_table(
        "audibility by piece",
        columns,
        [
            [
                row["name"],
                shorten(row["system"]),
                *(format_figure(row.get(name)) for name in ("odg", "nmr_db", "worst_second_nmr_db")),
                *(format_figure(row.get(name)) for name in ("audible_share", "snr_db")),
                str(row["clipped"]),
                str(row["silence_broken"]),
            ]
            for row in rows
        ],
        note="worst s: NMR of the worst second, dB; clipped, silence: samples newly clipped, not silent now",
    )
    show_table(
        "audibility, summary",
        ["kind", "system", "pieces", "ODG mean", "ODG worst", "below -0.3", "NMR mean", "NMR worst"],
        [
            [
                row["kind"],
                shorten(row["system"]),
                str(row["graded"]),
                *(format_figure(row[name]) for name in ("odg_mean", "odg_worst")),
                str(row["below_minus_0.3"]),
                *(format_figure(row[name]) for name in ("nmr_mean_db", "nmr_worst_db")),
            ]
            for row in summary
        ],
    )


def format_figure(value: float | None) -> str:
    """Two decimals, or a dash."""
    return "-" if value is None else f"{value:.2f}"


def measure() -> None:
    """Run the benchmark."""
    parser = make_parser(__doc__)
    parser.add_argument(
        "--seconds", type=float, help=f"of each track, up to 90 (default: {SECTION_S:g}; short: 20)"
    )
    parser.add_argument("--peer", action="append", default=[], help="as audiowmark=PATH; may be given again")
    options = parser.parse_args()
    options.tracks = options.tracks or (8 if options.short else 40)
    options.seconds = options.seconds or (20.0 if options.short else SECTION_S)
    systems = ["provenote", *options.peer]
    for peer in options.peer:
        open_system(peer)
    if not list_tracks(options.cache, split=options.split):
        raise BenchmarkError(f"expected tracks in split {options.split}, got none")
    chosen = choose(list_tracks(options.cache, split=options.split), options.tracks)
    total = (len(chosen) + len(MAKERS)) * len(systems)
    rows = (measure_piece(piece, system) for piece in collect(options) for system in systems)
    done = list(show_progress(rows, total=total, what="pieces"))
    summary = summarise(done)
    show(done, summary)
    stem = f"audibility-{options.split}" + ("-short" if options.short else "")
    results = {
        "systems": {name: open_system(name).version for name in systems},
        "summary": summary,
        "pieces": done,
    }
    write_json(options.output / f"{stem}.json", "audibility", describe_run(options), results)
    print(f"JSON in {options.output}/{stem}.json")


if __name__ == "__main__":
    sys.exit(run_main(measure))
