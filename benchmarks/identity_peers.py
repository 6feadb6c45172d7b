"""Other fingerprints beside ours on the same clips: `python -m benchmarks.identity_peers [--short]`.

Chromaprint (`fpcalc`), audfprint2 and Olaf, each where it is installed (`benchmarks.fingerprint_peers`); none
is part of this project or needed by it. Each indexes the tracks of the split and is asked about the same
attacked clips, written as files. Ours has the harder task: its index is filled up with altered copies to
`--catalogue` tracks. Its answers are those it claims; a threshold for each of the others lets one clip in
1,000 of the other splits' music through, or none where fewer were asked.
"""

import argparse
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import soundfile

from benchmarks.attacks import find
from benchmarks.fingerprint_peers import Answer, Peer, Provenote, list_peers
from benchmarks.identity import KINDS, LENGTHS_S, plan_unindexed_places
from benchmarks.identity_attacks import GROUPS, OWN
from benchmarks.identity_material import CLIP_S, fill_catalogue, list_sources, load_fingerprint, make_clip
from benchmarks.music import SAMPLE_RATE, Track, choose, list_tracks, load
from benchmarks.report import describe_run, make_parser, run_main, show_progress, show_table, write_json
from benchmarks.tools import Audio

FALSE_SHARE = 1e-3
# Clips that are asked about at a time: files of so many lie on disk.
BATCH = 25


def write_clip(path: Path, audio: Audio, sample_rate: int, length_s: float) -> Path:
    """Write the first seconds of a clip as 16 bits."""
    soundfile.write(path, audio[:, : round(length_s * sample_rate)].T, sample_rate, subtype="PCM_16")
    return path


def parse_options() -> argparse.Namespace:
    """Parse the command line."""
    parser = make_parser(__doc__)
    parser.add_argument("--audfprint", default="audfprint", help="command of audfprint2")
    parser.add_argument("--olaf", default="olaf_core", help="command of Olaf's core")
    parser.add_argument("--catalogue", type=int, help="tracks in our index: 1000, short 100")
    parser.add_argument("--unindexed", type=int, help="clips that are in no index: 200, short 8")
    options = parser.parse_args()
    options.tracks = options.tracks or (4 if options.short else 30)
    options.catalogue = options.catalogue or (100 if options.short else 1_000)
    options.unindexed = options.unindexed or (8 if options.short else 200)
    return options


def choose_threshold(strangers: Sequence[Answer]) -> float:
    """The distance under which so few strangers lie as are allowed."""
    distances = sorted(answer[1] for answer in strangers if answer is not None)
    allowed = int(FALSE_SHARE * len(strangers))
    return distances[allowed] if len(distances) > allowed else np.inf


def ask_strangers(
    peers: Sequence[Peer], places: Sequence[tuple[Track, float]], folder: Path, options: argparse.Namespace
) -> dict[tuple[str, float], list[Answer]]:
    """Ask everybody about music that is in no index."""
    answers: dict[tuple[str, float], list[Answer]] = {}
    batches = [places[first : first + BATCH] for first in range(0, len(places), BATCH)]
    for batch in show_progress(batches, total=len(batches), what="batches of unindexed clips"):
        audios = [load(track, options.cache, start_s=start_s, seconds=CLIP_S) for track, start_s in batch]
        for length_s in LENGTHS_S:
            paths = [
                write_clip(folder / f"clip-{number}.wav", audio, SAMPLE_RATE, length_s)
                for number, audio in enumerate(audios)
            ]
            for peer in peers:
                answers.setdefault((peer.name, length_s), []).extend(peer.ask(paths))
    return answers


def ask_attacked(
    peers: Sequence[Peer],
    tracks: Sequence[Track],
    limits: Mapping[tuple[str, float], float],
    folder: Path,
    options: argparse.Namespace,
) -> list[dict[str, object]]:
    """Ask everybody about a clip of every track after every attack: a row for each attack, with the number of
    answers that are right, that name a copy of the track, and that name another.
    """
    sources = list_sources(tracks, max(options.catalogue, len(tracks)))
    rows: list[dict[str, object]] = []
    attacks = [(group, attack) for group in GROUPS for attack in group.attacks]
    for group, attack in show_progress(attacks, total=len(attacks), what="attacks"):
        clips = [
            make_clip(track, OWN.get(attack.name) or find(attack.name), options.cache, options.seed)
            for track in tracks
        ]
        row: dict[str, object] = {"group": group.name, "attack": attack.name, "clips": len(clips)}
        for length_s in LENGTHS_S:
            paths = [
                write_clip(folder / f"clip-{number}.wav", clip.audio, clip.sample_rate, length_s)
                for number, clip in enumerate(clips)
            ]
            for peer in peers:
                key = (peer.name, length_s)
                answers = [a if a and a[1] < limits[key] else None for a in peer.ask(paths)]
                named = [(number, a[0]) for number, a in enumerate(answers) if a is not None]
                right = sum(number == told for number, told in named)
                same = sum(sources[number] == sources[told] for number, told in named)
                row[f"{peer.name} {length_s:g} s"] = [right, same - right, len(named) - same]
        rows.append(row)
    return rows


def sum_rows(rows: Sequence[Mapping[str, object]], name: str) -> list[str]:
    """Add rows up: clips, then the share of right answers of each system, with copies and wrong ones."""
    clips = sum(int(str(row["clips"])) for row in rows)
    cells = [name, str(clips)]
    for column in rows[0]:
        if column not in ("group", "attack", "clips"):
            counts = np.array([row[column] for row in rows]).sum(axis=0)
            others = [f"{n} {what}" for n, what in zip(counts[1:], ("copies", "wrong"), strict=True) if n]
            cells.append(f"{100 * counts[0] / clips:.0f}" + (f" ({', '.join(others)})" if others else ""))
    return cells


def measure() -> None:
    """Run the benchmark."""
    options = parse_options()
    tracks = choose(list_tracks(options.cache, split=options.split), options.tracks)
    catalogue = fill_catalogue(
        [load_fingerprint(track, options.cache) for track in tracks], options.catalogue, options.seed
    )
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        peers: list[Peer] = [Provenote(kind, catalogue) for kind in KINDS]
        peers += list_peers(folder, audfprint=options.audfprint, olaf=options.olaf)
        paths = []
        for number, track in enumerate(show_progress(tracks, total=len(tracks), what="tracks")):
            path = folder / f"track-{number}.wav"
            paths.append(write_clip(path, load(track, options.cache), SAMPLE_RATE, track.seconds))
        for peer in peers:
            peer.index(paths)
        for path in paths:
            path.unlink()
        places = plan_unindexed_places(options.cache, options.split, options.unindexed)
        strangers = ask_strangers(peers, places, folder, options)
        own = {peer.name for peer in peers if peer.own_threshold}
        limits = {
            key: np.inf if key[0] in own else choose_threshold(answers) for key, answers in strangers.items()
        }
        rows = ask_attacked(peers, tracks, limits, folder, options)
    columns = ["attack", "clips", *(name for name in rows[0] if name not in ("group", "attack", "clips"))]
    claimed = {
        f"{name} {length_s:g} s": sum(answer is not None for answer in strangers[name, length_s])
        for name, length_s in limits
        if name in own
    }
    thresholds = {f"{name} {length_s:g} s": limits[name, length_s] for name, length_s in limits}
    show_table(
        f"identified, %: {len(tracks)} tracks, {options.catalogue} in our index",
        columns,
        [sum_rows([row], str(row["attack"])) for row in rows]
        + [sum_rows([r for r in rows if r["group"] == g.name], g.name.upper()) for g in GROUPS],
        note=f"of {len(places)} unindexed clips ours claimed {claimed}; thresholds: {thresholds}",
    )
    path = options.output / ("identity_peers-short.json" if options.short else "identity_peers.json")
    results = {
        "rows": rows,
        "versions": {peer.name: peer.version for peer in peers},
        "thresholds": {name: str(value) for name, value in thresholds.items()},
        "claimed_unindexed": claimed,
        "unindexed": len(places),
        "tracks": [track.name for track in tracks],
    }
    write_json(path, "identity_peers", describe_run(options), results)
    print(f"JSON in {path}")


if __name__ == "__main__":
    sys.exit(run_main(measure))
