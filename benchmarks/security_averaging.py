"""Estimating a pattern from many marked files without the key: alignment by trial, averages, pairs of cells.

Each file is folded to one block, (columns, rows). Files begin at columns that differ from payload to payload,
so they are laid over each other by the circular shift at which they agree best, over and over, each against
the sum of all others (expectation and maximisation with hard decisions).

Payload cells average to nothing, since their signs follow the codeword. Products of two of them do not: cells
of one codeword position flip together, so their correlation over many files betrays the partnership.
"""

import numpy as np
from numpy.typing import NDArray
from scipy import fft

from benchmarks.security_scheme import Chips, Plane, Truth

Shifts = NDArray[np.int64]

PASSES = 8
STARTS = 6
# Cells whose partners are sought; all cells are searched for each.
SOUGHT = 1500


def roll_all(planes: Plane, shifts: Shifts) -> Plane:
    """Shift each plane (n, columns, rows) circularly along its columns by a number of its own."""
    return np.stack([np.roll(plane, shift, axis=0) for plane, shift in zip(planes, shifts, strict=True)])


def correlate(spectrum: NDArray[np.complex64], other: NDArray[np.complex64], columns: int) -> Plane:
    """Correlate two planes, given by their spectra along columns: value s is for `other` rolled by s."""
    return np.asarray(fft.irfft((spectrum * other.conj()).sum(axis=1), columns), np.float32)


def align(planes: Plane) -> Shifts:
    """Find the roll of each plane (n, columns, rows) that lays it over the others; a common shift is free."""
    columns = planes.shape[1]
    spectra = fft.rfft(planes, axis=1)
    turn = np.exp(-2j * np.pi * np.arange(spectra.shape[1])[:, None] / columns).astype(np.complex64)
    best: tuple[float, Shifts] = (-np.inf, np.zeros(len(planes), np.int64))
    order = np.argsort(-(planes**2).sum(axis=(1, 2)))
    for start in order[:STARTS]:
        shifts = np.full(len(planes), -1, np.int64)
        shifts[start] = 0
        total = spectra[start].copy()
        for _ in range(PASSES):
            changed = False
            for number, spectrum in enumerate(spectra):
                if shifts[number] >= 0:
                    if (shifts >= 0).sum() == 1:
                        continue
                    total = total - spectrum * turn ** shifts[number]
                found = int(correlate(total, spectrum, columns).argmax())
                changed |= found != shifts[number]
                shifts[number] = found
                total = total + spectrum * turn**found
            if not changed:
                break
        score = float((np.abs(total) ** 2).sum())
        if score > best[0]:
            best = (score, shifts % columns)
    return best[1]


def rightly_aligned(shifts: Shifts, true_shifts: Shifts, columns: int) -> float:
    """Share of files at their true shift, the common shift being free."""
    difference = (shifts - true_shifts) % columns
    return float(np.bincount(difference, minlength=columns).max() / len(shifts))


def lay_over(estimate: Plane, reference: NDArray[np.floating] | Chips) -> Plane:
    """Roll an estimate to where it agrees best with a reference."""
    spectra = fft.rfft(np.stack([reference, estimate]).astype(np.float32), axis=1)
    return np.roll(estimate, int(correlate(spectra[0], spectra[1], len(estimate)).argmax()), axis=0)


def similarity(estimate: Plane, chips: Chips) -> float:
    """Correlate an estimate with the true chips over the cells that have one."""
    values = estimate[chips != 0]
    norm = float(np.sqrt((values**2).mean()))
    return float((values * chips[chips != 0]).mean() / norm) if norm > 0 else 0.0


def predict_similarity(strength: float, files: int) -> float:
    """Similarity that averaging gives in theory: x / sqrt(1 + x^2), x = strength * sqrt(files).

    `strength` is the similarity of one aligned file over what it lacks to 1: its signal-to-noise ratio.
    """
    x = strength * np.sqrt(files)
    return float(x / np.sqrt(1 + x * x))


def find_partners(planes: Plane, truth: Truth, rng: np.random.Generator) -> float:
    """Share of payload cells whose best partner over aligned planes is a true one, with the right sign."""
    cells = np.flatnonzero(truth.payload)
    flat = planes.reshape(len(planes), -1)[:, cells]
    flat = flat - flat.mean(axis=0)
    flat /= np.sqrt((flat**2).sum(axis=0)) + 1e-9
    position, chip = truth.position.ravel()[cells], truth.payload.ravel()[cells]
    sought = rng.permutation(len(cells))[:SOUGHT]
    right = 0
    for part in np.array_split(sought, max(len(sought) // 250, 1)):
        alike = flat[:, part].T @ flat
        alike[np.arange(len(part)), part] = 0
        partner = np.abs(alike).argmax(axis=1)
        sign = np.sign(alike[np.arange(len(part)), partner])
        right += int(((position[partner] == position[part]) & (sign == chip[partner] * chip[part])).sum())
    return right / len(sought)


def to_pattern(estimate: Plane, soft: float = 1.0) -> Plane:
    """Make a pattern to write of an estimate: its sign, fading to 0 where it is weak; in [-1, 1]."""
    deviation = float(np.sqrt((estimate**2).mean())) or 1.0
    return np.asarray(np.clip(estimate / (soft * deviation), -1, 1), np.float32)
