"""Which cell of a block carries which chip, for one key.

A block is `period_columns` x `rows` cells. In each row a keyed choice of columns carries the synchronisation
pattern; the other cells carry the codeword, each bit spread over many cells by a keyed interleaver, under
chips of their own. Synchronisation and payload chips come from different streams: an alignment found by the
first is independent of the second.
"""

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import numpy.typing as npt

from . import polar
from .keystream import KeyStream, check_watermark_key, keyed_check
from .profile import Profile

BitArray = npt.NDArray[np.uint8]


@dataclass(frozen=True)
class Layout:
    """The cells of a block under one key; every array but `row_bands` has shape (period_columns, rows)."""

    profile: Profile
    # int64 (rows, 2): first band and the band after the last.
    row_bands: npt.NDArray[np.int64]
    # +1 or -1 where a cell carries synchronisation, else 0; int8.
    sync_chips: npt.NDArray[np.int8]
    # +1 or -1 where a cell carries the codeword, else 0; int8.
    payload_chips: npt.NDArray[np.int8]
    # Codeword position of a payload cell, else 0; int64.
    codeword_position: npt.NDArray[np.int64]

    def chips(self, codeword: BitArray) -> npt.NDArray[np.int8]:
        """Return the chip of every cell when the block carries `codeword`: +1 or -1, int8."""
        signs = (1 - 2 * codeword.astype(np.int8)).astype(np.int8)
        return (self.sync_chips + self.payload_chips * signs[self.codeword_position]).astype(np.int8)


@lru_cache(maxsize=64)
def layout_of(watermark_key: bytes, profile: Profile) -> Layout:
    """Return the layout of `profile` under `watermark_key` (32 bytes)."""
    check_watermark_key(watermark_key)
    row_bands = _row_bands(profile)
    columns, rows = profile.period_columns, len(row_bands)
    is_sync = np.zeros((columns, rows), bool)
    positions = KeyStream(watermark_key, profile.name, "sync-positions")
    for row in range(rows):
        is_sync[positions.permutation(columns)[: round(profile.sync_share * columns)], row] = True
    sync = KeyStream(watermark_key, profile.name, "sync-chips").chips(columns * rows).reshape(columns, rows)
    payload = (
        KeyStream(watermark_key, profile.name, "payload-chips").chips(columns * rows).reshape(columns, rows)
    )
    cells = np.flatnonzero(~is_sync)
    order = KeyStream(watermark_key, profile.name, "interleaver").permutation(cells.size)
    codeword_position = np.zeros(columns * rows, np.int64)
    codeword_position[cells[order]] = np.arange(cells.size) % profile.codeword_bits
    return Layout(
        profile=profile,
        row_bands=row_bands,
        sync_chips=np.where(is_sync, sync, 0).astype(np.int8),
        payload_chips=np.where(is_sync, 0, payload).astype(np.int8),
        codeword_position=codeword_position.reshape(columns, rows),
    )


def codeword_of(payload: bytes, watermark_key: bytes, profile: Profile) -> BitArray:
    """Return the codeword, uint8 (codeword_bits,), of a payload and its keyed check."""
    check = keyed_check(watermark_key, profile.name, payload, profile.check_bits)
    return polar.encode(np.unpackbits(np.frombuffer(payload + check, np.uint8)), profile.codeword_bits)


def first_column_of(payload: bytes, watermark_key: bytes, profile: Profile) -> int:
    """Return the column of the block that a marked signal begins with.

    It differs from payload to payload, so that many marked files laid over each other from their starts do
    not show the pattern.
    """
    check = keyed_check(watermark_key, profile.name, b"first column" + payload, 64)
    return int.from_bytes(check, "big") % profile.period_columns


def _row_bands(profile: Profile) -> npt.NDArray[np.int64]:
    rows = []
    for octave, width in enumerate(profile.cell_bands):
        first = octave * profile.bands_per_octave
        rows += [(b, b + width) for b in range(first, first + profile.bands_per_octave, width)]
    return np.array(rows, np.int64)
