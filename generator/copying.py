"""Copy check: how much of a melody's note sequence occurs in the training tunes.

Every sequence of SEQUENCE_NOTES scale steps (rhythm ignored, relative to the tonic's nearest octave) of the
training tunes is kept as a 32-bit hash; a run is a chain of consecutive hits. A melody with about 400,000
hashes known has a chance of 1e-4 per sequence to be counted as a hit by accident, and 1e-50 for a run of the
limit.
"""

import hashlib

import numpy as np
from numpy.typing import NDArray

from .engine import CopyCheck
from .tune import Tune

SEQUENCE_NOTES = 12
RUN_LIMIT_NOTES = 24


def note_steps(tune: Tune) -> NDArray[np.int64]:
    """Steps of all sounding notes in order, int64."""
    steps = [n.step for s in tune.sections for b in s.bars for n in b if n.step is not None]
    return np.array(steps, dtype=np.int64)


def hash_sequences(steps: NDArray[np.int64]) -> NDArray[np.uint32]:
    """32-bit hash of every run of SEQUENCE_NOTES steps, octave of the first note taken off, (n - 11,)
    uint32.
    """
    if len(steps) < SEQUENCE_NOTES:
        return np.zeros(0, dtype=np.uint32)
    windows = np.lib.stride_tricks.sliding_window_view(steps, SEQUENCE_NOTES)
    relative = (windows - 7 * (windows[:, :1] // 7)).astype(np.int8)
    digests = [
        hashlib.blake2b(row.tobytes(), digest_size=4, person=b"pn tune 12").digest() for row in relative
    ]
    return np.frombuffer(b"".join(digests), dtype="<u4").astype(np.uint32)


def check_copying(
    tune: Tune, sequences: NDArray[np.uint32], *, index_sha256: str, rejected: int = 0
) -> CopyCheck:
    """Compare a tune with the sorted hashes of the training tunes."""
    hashes = hash_sequences(note_steps(tune))
    if len(hashes) == 0:
        return CopyCheck(0.0, 0, RUN_LIMIT_NOTES, rejected, index_sha256)
    places = np.minimum(np.searchsorted(sequences, hashes), len(sequences) - 1)
    hits = sequences[places] == hashes
    longest = current = 0
    for hit in hits:
        current = current + 1 if hit else 0
        longest = max(longest, current)
    run = longest + SEQUENCE_NOTES - 1 if longest else 0
    return CopyCheck(float(hits.mean()), run, RUN_LIMIT_NOTES, rejected, index_sha256)
