"""Forensic copies: `python -m benchmarks.copies [--short]`.

1. Telling: copies of one track, each with a mark of its own, cut at random and encoded as MP3 128; each clip
   is traced among 1,000 copies of that track. In the full run all 1,000 copies of the first track are made
   and one clip of 10 s is cut from each; of every other track, five copies and clips of all lengths.
2. Collusion: two, three and five copies of a track mixed in several ways, then MP3 128; who of the 1,000 is
   named? An innocent one must never be.
3. Nobody: unmarked music, and a track's clips judged among 1,000 copies of which none was used. Nobody may be
   named.
4. Codewords: how near the codewords of random payloads come to one another, against the fair coins that the
   bound assumes.
"""

import argparse
import sys
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

import watermark
from benchmarks.attack import Scene
from benchmarks.attacks_codec import transcode
from benchmarks.marking import load_section
from benchmarks.music import SAMPLE_RATE, Track, choose, list_tracks
from benchmarks.report import describe_run, make_parser, run_main, show_progress, show_table, write_json
from benchmarks.tools import Audio

COPIES = 1_000
CLIPS_S = (2.0, 5.0, 10.0)
# What is marked of the host: a clip of the longest length at a random place in it.
MARKED_S = 14.0
MIXED_S = 10.0
PIECE_S = 0.25
MP3 = transcode("mp3", kbit=128)
CODEWORDS = {True: 200_000, False: 2_000_000}


def alternate(copies: Audio) -> Audio:
    """Take quarter seconds from one copy after the other; `copies` is (copies, channels, samples)."""
    turn = np.arange(copies.shape[2]) // round(PIECE_S * SAMPLE_RATE) % len(copies)
    return np.ascontiguousarray(copies[turn, :, np.arange(copies.shape[2])].T)


def join(copies: Audio) -> Audio:
    """Take one long stretch from each copy, one after the other."""
    turn = np.arange(copies.shape[2]) * len(copies) // copies.shape[2]
    return np.ascontiguousarray(copies[turn, :, np.arange(copies.shape[2])].T)


def shuffle(copies: Audio) -> Audio:
    """Take each sample from a copy drawn at random."""
    rng = np.random.default_rng(len(copies))
    turn = rng.integers(0, len(copies), copies.shape[2])
    return np.ascontiguousarray(copies[turn, :, np.arange(copies.shape[2])].T)


MIXES: dict[str, Callable[[Audio], Audio]] = {
    "mean": lambda copies: np.asarray(copies.mean(axis=0), np.float32),
    "alternating 0.25 s": alternate,
    "one stretch each": join,
    "minimum": lambda copies: np.asarray(copies.min(axis=0), np.float32),
    "largest magnitude": lambda copies: np.take_along_axis(
        copies, np.abs(copies).argmax(axis=0)[None], axis=0
    )[0],
    "a sample from each": shuffle,
}


@dataclass(frozen=True)
class Family:
    """One track's copies: its host, the key, the payloads of all, and their codewords."""

    name: str
    host: Audio
    watermark_key: bytes
    payloads: tuple[bytes, ...]
    known: watermark.KnownPayloads

    def make(self, number: int) -> Audio:
        """Mark copy `number`."""
        return watermark.embed(
            self.host,
            sample_rate=SAMPLE_RATE,
            watermark_key=self.watermark_key,
            payload=self.payloads[number],
        )

    def trace(self, audio: Audio) -> set[int]:
        """Name copies by number."""
        found = watermark.trace(
            np.ascontiguousarray(audio, np.float32), sample_rate=SAMPLE_RATE, known=[self.known]
        )
        return {self.payloads.index(copy.payload) for copy in found.named}


def open_family(track: Track, options: argparse.Namespace, seconds: float = MARKED_S) -> Family:
    """Load a stretch of a track and draw the payloads of its copies."""
    rng = np.random.default_rng([options.seed, int(track.sha256[:8], 16)])
    section = load_section(track, options.cache, options.seed)
    length = min(round(seconds * SAMPLE_RATE), section.shape[1])
    start = int(rng.integers(0, section.shape[1] - length + 1))
    key = rng.bytes(32)
    payloads = tuple(rng.bytes(8) for _ in range(COPIES))
    host = np.ascontiguousarray(section[:, start : start + length])
    return Family(track.name, host, key, payloads, watermark.KnownPayloads(key, payloads))


def encode(audio: Audio) -> Audio:
    """Pass through MP3 at 128 kbit/s."""
    return MP3(audio, SAMPLE_RATE, Scene(np.random.default_rng(0)))[0]


def tell(families: list[Family], options: argparse.Namespace) -> list[dict[str, Any]]:
    """Part 1: one copy, one clip."""
    many, few = (100 if options.short else COPIES), 5
    jobs = [
        (family, copy) for place, family in enumerate(families) for copy in range(many if place == 0 else few)
    ]
    counts: dict[tuple[bool, float], Counter[str]] = {}

    def few_of(family: Family) -> bool:
        return options.short or family is not families[0]

    for family, copy in show_progress(jobs, total=len(jobs), what="copies told"):
        rng = np.random.default_rng([options.seed, copy])
        marked = family.make(copy)
        for clip_s in CLIPS_S if few_of(family) else CLIPS_S[-1:]:
            length = round(clip_s * SAMPLE_RATE)
            start = int(rng.integers(0, marked.shape[1] - length + 1))
            clip = encode(marked[:, start : start + length])
            named = family.trace(clip)
            blind = watermark.detect(
                clip,
                sample_rate=SAMPLE_RATE,
                watermark_keys=[family.watermark_key],
                profiles=[watermark.PROFILE],
            )
            row = counts.setdefault((family is families[0], clip_s), Counter())
            row["clips"] += 1
            row["told"] += named == {copy}
            row["nobody"] += not named
            row["innocents named"] += len(named - {copy})
            row["read blindly"] += blind.payload == family.payloads[copy]
    return [
        {"track": "first" if first else "others", "clip s": clip_s, **dict(row)}
        for (first, clip_s), row in sorted(counts.items(), key=lambda item: (not item[0][0], item[0][1]))
    ]


def collude(families: list[Family], options: argparse.Namespace) -> list[dict[str, Any]]:
    """Part 2: several copies, one mix."""
    sizes = (2, 3) if options.short else (2, 3, 5)
    pool = 4 if options.short else 6
    draws = {2: 3, 3: 1} if options.short else {2: 4, 3: 1, 5: 1}
    counts: dict[tuple[int, str], Counter[str]] = {}
    for family in show_progress(families, total=len(families), what="tracks colluded on"):
        rng = np.random.default_rng([options.seed, 77])
        numbers = rng.choice(COPIES, pool, replace=False)
        length = round(MIXED_S * SAMPLE_RATE)
        copies = np.stack([family.make(int(number))[:, :length] for number in numbers])
        for size in sizes:
            for _ in range(draws[size]):
                chosen = rng.choice(pool, size, replace=False)
                guilty = {int(numbers[place]) for place in chosen}
                for name, mix in MIXES.items():
                    named = family.trace(encode(mix(copies[chosen])))
                    row = counts.setdefault((size, name), Counter())
                    row["mixes"] += 1
                    row["all named"] += named == guilty
                    row["some named"] += bool(named & guilty) and named != guilty
                    row["nobody"] += not named
                    row["innocents named"] += len(named - guilty)
                    row["innocents tested"] += COPIES - size
    return [
        {"copies": size, "mix": name, **dict(row)}
        for (size, name), row in sorted(counts.items(), key=lambda item: item[0][0])
    ]


def accuse_nobody(families: list[Family], options: argparse.Namespace) -> list[dict[str, Any]]:
    """Part 3: the unmarked host, and a copy judged among others' payloads alone."""
    rows = []
    results: dict[str, Counter[str]] = {"unmarked": Counter(), "copy of another list": Counter()}
    for family in show_progress(families, total=len(families), what="tracks without a guilty copy"):
        rng = np.random.default_rng([options.seed, 78])
        stranger = watermark.embed(
            family.host, sample_rate=SAMPLE_RATE, watermark_key=family.watermark_key, payload=rng.bytes(8)
        )
        for name, audio in (("unmarked", family.host), ("copy of another list", stranger)):
            named = family.trace(encode(audio[:, : round(MIXED_S * SAMPLE_RATE)]))
            results[name]["clips"] += 1
            results[name]["innocents named"] += len(named)
    for name, row in results.items():
        rows.append({"audio": name, **dict(row)})
    return rows


def compare_codewords(_families: list[Family], options: argparse.Namespace) -> list[dict[str, Any]]:
    """Part 4: the correlation of one codeword with those of random payloads, in deviations."""
    rng = np.random.default_rng([options.seed, 79])
    key, count = rng.bytes(32), CODEWORDS[options.short]
    own = 8
    tail = Counter[float]()
    largest, tested = 0.0, 0
    for first in range(0, count, 100_000):
        known = watermark.KnownPayloads(key, [rng.bytes(8) for _ in range(min(100_000, count - first))])
        pure = watermark.KnownPayloads(key, [rng.bytes(8) for _ in range(own)])
        signs = pure.correlate(np.eye(watermark.PROFILE.codeword_bits))
        values = known.correlate(signs.astype(np.float64)) / np.sqrt(watermark.PROFILE.codeword_bits)
        largest = max(largest, float(values.max()))
        tested += values.size
        for z in (3.0, 4.0, 5.0):
            tail[z] += int((values >= z).sum())
    return [
        {
            "pairs": tested,
            **{f"z >= {z:g}": f"{tail[z] / tested:.1e}" for z in tail},
            **{f"bound at {z:g}": f"{np.exp(-z * z / 2):.1e}" for z in tail},
            "largest z": round(largest, 2),
        }
    ]


PARTS: dict[str, tuple[str, Callable[[list[Family], argparse.Namespace], list[dict[str, Any]]]]] = {
    "telling": ("one copy of 1,000, after MP3 128", tell),
    "collusion": ("several copies mixed, then MP3 128, 10 s", collude),
    "nobody": ("no guilty copy among the 1,000, MP3 128, 10 s", accuse_nobody),
    "codewords": ("codewords of random payloads against each other", compare_codewords),
}


def measure() -> None:
    """Run the benchmark."""
    parser = make_parser(__doc__)
    parser.add_argument("--parts", nargs="+", choices=list(PARTS), default=list(PARTS))
    options = parser.parse_args()
    options.tracks = options.tracks or (4 if options.short else 10)
    tracks = choose(list_tracks(options.cache, split=options.split), options.tracks)
    families = [open_family(track, options) for track in tracks]
    tables = {}
    for part in options.parts:
        title, work = PARTS[part]
        tables[title] = rows = work(families, options)
        columns = list(rows[0])
        show_table(title, columns, [[f"{row.get(name, 0)}" for name in columns] for row in rows])
    parts = "" if options.parts == list(PARTS) else "-" + "-".join(options.parts)
    path = options.output / (f"copies{parts}-short.json" if options.short else f"copies{parts}.json")
    write_json(path, "copies", describe_run(options), {"tables": tables, "tracks": [t.name for t in tracks]})
    print(f"JSON in {path}")


if __name__ == "__main__":
    sys.exit(run_main(measure))
