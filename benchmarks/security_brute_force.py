"""Experiment 6: trying keys. What a trial costs, and whether a wrong key looks different from no mark."""

import time
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import fft
from scipy.stats import ks_2samp

from benchmarks.music import SAMPLE_RATE
from benchmarks.security_material import Finding, Material, mark, read
from benchmarks.security_scheme import (
    Chips,
    Grid,
    Plane,
    chips_written,
    fold_cells,
    open_grid,
    open_truth,
    read_cells,
)
from benchmarks.tools import Audio

THEORY = (
    "A key is 32 random bytes. A trial derives its chips and correlates them with one folded block. "
    "Nothing tells a nearly right key from a wrong one, so the search takes 2^255 trials on average. "
    "Knowing the payload gives more cells to correlate, so that a shorter clip tells the right key; it "
    "makes no trial cheaper and no key likelier."
)
HOSTS = {True: 3, False: 12}
KEYS = {True: 200, False: 1000}  # of each host and kind, by the attacker's quick trial
QUERIES = {True: 2, False: 20}  # of each host and kind, by the full detector
SECONDS = 15.0
FEWEST = 5  # values of a sample that is compared
YEAR_S = 365.25 * 86400
# A generous attacker: so many machines, each so much faster than the Python measured here.
MACHINES, SPEED_UP = 1e6, 1e3
SPACES = {
    "2^256: a key as it is made": 256,
    "2^128": 128,
    "2^64": 64,
    "2^40: a key made of a weak passphrase": 40,
}


def try_chips(spectrum: NDArray[np.complex64], energy: float, chips: Chips) -> float:
    """Correlate chips with a folded block at every place; the best, in deviations."""
    pattern = fft.rfft(chips.astype(np.float32), axis=0)
    scores = fft.irfft((spectrum * pattern.conj()).sum(axis=1), len(chips))
    share = float((chips != 0).mean())
    return float(scores.max() / np.sqrt(energy * share))


def prepare(folded: Plane) -> tuple[NDArray[np.complex64], float]:
    """Do once what every trial shares."""
    return np.asarray(fft.rfft(folded, axis=0), np.complex64), float((folded**2).sum())


def try_keys(folded: Plane, keys: Sequence[bytes], grid: Grid) -> list[float]:
    """Try keys on a folded block by their synchronisation chips."""
    spectrum, energy = prepare(folded)
    return [try_chips(spectrum, energy, open_truth(key, grid).sync) for key in keys]


def flip_bit(key: bytes, rng: np.random.Generator) -> bytes:
    """A key that is wrong in one bit."""
    bit = int(rng.integers(8 * len(key)))
    return (int.from_bytes(key) ^ (1 << bit)).to_bytes(len(key))


def compare_samples(name: str, samples: dict[str, list[float]], reference: str) -> list[dict[str, Any]]:
    """Compare each sample with the reference by the two-sample Kolmogorov-Smirnov test."""
    rows = []
    for kind, values in samples.items():
        few = min(len(values), len(samples[reference])) < FEWEST
        test = None if kind == reference or few else ks_2samp(values, samples[reference], method="asymp")
        rows.append(
            {
                "statistic": name,
                "audio and key": kind,
                "trials": len(values),
                "mean": round(float(np.mean(values)), 3),
                "deviation": round(float(np.std(values)), 3),
                "highest": round(float(np.max(values)), 2),
                "KS distance": None if test is None else round(float(test.statistic), 3),
                "KS p": None if test is None else round(float(test.pvalue), 3),
            }
        )
    return rows


UNMARKED, WRONG, NEAR, RIGHT = (
    "unmarked, any key",
    "marked, wrong key",
    "marked, one bit wrong",
    "marked, right key",
)


@dataclass
class Tried:
    """Statistics so far by kind of audio and key, CPU seconds of a trial, wrong keys that detected a mark."""

    quick: dict[str, list[float]] = field(default_factory=lambda: defaultdict(list))
    detector: dict[str, list[float]] = field(default_factory=lambda: defaultdict(list))
    payload_known: list[float] = field(default_factory=list)
    quick_s: list[float] = field(default_factory=list)
    detector_s: list[float] = field(default_factory=list)
    alarms: int = 0


def try_host(tried: Tried, audio: Audio, grid: Grid, *, short: bool, rng: np.random.Generator) -> None:
    """Try keys on a host and on its marked version, by the quick trial and by the detector."""
    key, payload = rng.bytes(32), rng.bytes(8)
    marked = mark(audio, key, payload, profile=grid.profile)
    plain, folded = (fold_cells(read_cells(some, grid), grid) for some in (audio, marked))
    count = KEYS[short]
    tried.quick[UNMARKED] += try_keys(plain, [rng.bytes(32) for _ in range(count)], grid)
    wrong = [rng.bytes(32) for _ in range(count)]
    start_s = time.process_time()
    tried.quick[WRONG] += try_keys(folded, wrong, grid)
    tried.quick_s.append((time.process_time() - start_s) / count)
    tried.quick[NEAR] += try_keys(folded, [flip_bit(key, rng) for _ in range(count)], grid)
    tried.quick[RIGHT] += try_keys(folded, [key], grid)
    tried.payload_known.append(try_chips(*prepare(folded), chips_written(key, payload, grid, grid.columns)))
    for kind, some in ((UNMARKED, audio), (WRONG, marked)):
        for _ in range(QUERIES[short]):
            start_s = time.process_time()
            found = read(some, rng.bytes(32), profile=grid.profile)
            tried.detector_s.append(time.process_time() - start_s)
            tried.detector[kind].append(found.segments[0].statistic)
            tried.alarms += found.detected
    tried.detector[RIGHT].append(read(marked, key, profile=grid.profile).segments[0].statistic)


def measure(material: Material) -> Finding:
    """Run the experiment."""
    grid = open_grid(SAMPLE_RATE, material.profile)
    tried = Tried()
    for host in material.hosts(HOSTS[material.short], SECONDS):
        try_host(tried, host.audio, grid, short=material.short, rng=material.rng(f"keys {host.name}"))
    rows = compare_samples("quick trial", tried.quick, UNMARKED)
    rows += compare_samples("quick trial, payload known", {RIGHT: tried.payload_known}, RIGHT)
    rows += compare_samples("detector", tried.detector, UNMARKED)
    quick_s, detector_s = float(np.median(tried.quick_s)), float(np.median(tried.detector_s))
    return Finding(
        theory=THEORY,
        tables={
            "time to try half of all keys": [cost_row(name, bits, quick_s) for name, bits in SPACES.items()],
            f"is a wrong key told from no mark? best statistic over all places, {SECONDS:g} s": rows,
        },
        note=f"one trial on one core: {1000 * quick_s:.1f} ms by the attacker's short cut, "
        f"{1000 * detector_s:.0f} ms by the detector; wrong keys that detected a mark: {tried.alarms}; "
        "KS p: chance of so different a sample, were there no difference",
        data={
            "quick_cpu_s": quick_s,
            "detector_cpu_s": detector_s,
            "quick": tried.quick,
            "detector": tried.detector,
        },
        draw=lambda axes: draw(axes, tried.quick),
    )


def cost_row(name: str, bits: int, trial_s: float) -> dict[str, Any]:
    """How long half a space of keys takes."""
    seconds = 2.0 ** (bits - 1) * trial_s
    return {
        "keys": name,
        "years on one core": seconds / YEAR_S,
        f"years on {MACHINES:.0e} machines {SPEED_UP:.0e} times as fast": seconds
        / YEAR_S
        / MACHINES
        / SPEED_UP,
    }


def draw(axes: Any, quick: dict[str, list[float]]) -> None:
    """Draw the distributions of the quick trial."""
    bins = np.linspace(0, max(max(values) for values in quick.values()) + 1, 60)
    for kind in (UNMARKED, WRONG, NEAR):
        axes.hist(quick[kind], bins, density=True, histtype="step", label=kind)
    for number, value in enumerate(quick[RIGHT]):
        axes.axvline(value, color="black", linestyle=":", label=None if number else RIGHT)
    axes.set(xlabel="best statistic over all places", ylabel="density")
    axes.legend(fontsize="small")
