"""Which cell of a block carries which chip, for one key.

A block is `period_columns` x `rows` cells. In each row a keyed choice of columns carries the synchronisation
pattern; the other cells carry the codeword, each bit spread over many cells by a keyed interleaver, under
chips of their own. Synchronisation and payload chips come from different streams: an alignment found by the
first is independent of the second.

Where a profile has several blocks, each has a mask of signs, which multiplies every chip but the pilot's: so
nothing but the pilot repeats before the sequence of blocks does. Masks are keyed by the synchronisation half:
who reads the cells undoes them without knowing the payload's chips.
"""

from dataclasses import dataclass, replace
from functools import lru_cache

import numpy as np
import numpy.typing as npt

from . import polar
from .keystream import KeyStream, check_watermark_key, keyed_check, sync_key
from .profile import Profile

BitArray = npt.NDArray[np.uint8]


@dataclass(frozen=True, eq=False)
class Layout:
    """The cells of a block under one key; arrays but `row_bands` and `masks` are (period_columns, rows).

    Layouts are compared by identity, since patterns made of them are kept.
    """

    profile: Profile
    # int64 (rows, 2): first band and the band after the last.
    row_bands: npt.NDArray[np.int64]
    # +1 or -1 where a cell carries synchronisation, else 0; int8. Masks apply to it but for the pilot.
    sync_chips: npt.NDArray[np.int8]
    # The part of it that is the same in all blocks.
    pilot_chips: npt.NDArray[np.int8]
    # +1 or -1 where a cell carries the codeword, else 0; int8.
    payload_chips: npt.NDArray[np.int8]
    # Codeword position of a payload cell, else 0; int16, since layouts of many keys are kept.
    codeword_position: npt.NDArray[np.int16]
    # int8 (blocks, period_columns, rows), +1 or -1, +1 for the pilot's cells; None where there is one block.
    masks: npt.NDArray[np.int8] | None

    def chips(self, codeword: BitArray) -> npt.NDArray[np.int8]:
        """Return the chip of every cell, before its mask, when a block carries `codeword`: +1 or -1, int8."""
        signs = (1 - 2 * codeword.astype(np.int8)).astype(np.int8)
        return (self.sync_chips + self.payload_chips * signs[self.codeword_position]).astype(np.int8)


# Enough for 32 epochs in each of four profiles, a tenth of a megabyte each.
@lru_cache(maxsize=128)
def layout_of(watermark_key: bytes, profile: Profile) -> Layout:
    """Return the layout of `profile` under `watermark_key` (32 bytes)."""
    check_watermark_key(watermark_key)
    row_bands = _row_bands(profile)
    columns, rows = profile.period_columns, len(row_bands)
    is_sync = np.zeros((columns, rows), bool)
    is_pilot = np.zeros((columns, rows), bool)
    positions = KeyStream(watermark_key, profile.name, "sync-positions")
    for row in range(rows):
        order = positions.permutation(columns)
        is_sync[order[: round(profile.sync_share * columns)], row] = True
        is_pilot[order[: round(profile.pilot_share * columns)], row] = True
    sync = KeyStream(watermark_key, profile.name, "sync-chips").chips(columns * rows).reshape(columns, rows)
    payload = (
        KeyStream(watermark_key, profile.name, "payload-chips").chips(columns * rows).reshape(columns, rows)
    )
    cells = np.flatnonzero(~is_sync)
    interleaved = KeyStream(watermark_key, profile.name, "interleaver").permutation(cells.size)
    codeword_position = np.zeros(columns * rows, np.int16)
    codeword_position[cells[interleaved]] = np.arange(cells.size) % profile.codeword_bits
    return Layout(
        profile=profile,
        row_bands=row_bands,
        sync_chips=np.where(is_sync, sync, 0).astype(np.int8),
        pilot_chips=np.where(is_pilot, sync, 0).astype(np.int8),
        payload_chips=np.where(is_sync, 0, payload).astype(np.int8),
        codeword_position=codeword_position.reshape(columns, rows),
        masks=None if profile.blocks == 1 else _masks(sync_key(watermark_key), profile, is_pilot.tobytes()),
    )


def row_limits(profile: Profile) -> tuple[int, ...]:
    """Return how many of the lowest rows are worth reading alone, ending with all of them.

    Noise and codecs take the highest octaves first: where nothing of the mark is left in those, they would
    only add their noise.
    """
    counts = np.cumsum([profile.bands_per_octave // width for width in profile.cell_bands])
    return tuple(int(count) for count in counts[-3:])


@lru_cache(maxsize=16)
def lowest_rows(layout: Layout, rows: int, *, pilot: bool = True) -> Layout:
    """Return the layout with synchronisation in the lowest `rows` rows alone, with or without the pilot."""
    below = np.arange(layout.sync_chips.shape[1]) < rows
    kept = layout.pilot_chips if pilot else np.zeros_like(layout.pilot_chips)
    sync = layout.sync_chips if pilot else layout.sync_chips - layout.pilot_chips
    return replace(
        layout,
        sync_chips=np.where(below, sync, 0).astype(np.int8),
        pilot_chips=np.where(below, kept, 0).astype(np.int8),
    )


@lru_cache(maxsize=8)
def _masks(synchronisation_key: bytes, profile: Profile, is_pilot: bytes) -> npt.NDArray[np.int8]:
    """Return the masks of all blocks: one array for all epochs of a key."""
    pilot = np.frombuffer(is_pilot, bool).reshape(profile.period_columns, -1)
    stream = KeyStream(synchronisation_key, profile.name, "sync-masks")
    masks = stream.chips(profile.blocks * pilot.size).reshape(profile.blocks, *pilot.shape)
    masks[:, pilot] = 1
    masks.flags.writeable = False
    return masks


def codeword_of(payload: bytes, watermark_key: bytes, profile: Profile) -> BitArray:
    """Return the codeword, uint8 (codeword_bits,), of a payload and its keyed check."""
    check = keyed_check(watermark_key, profile.name, payload, profile.check_bits)
    return polar.encode(np.unpackbits(np.frombuffer(payload + check, np.uint8)), profile.codeword_bits)


def first_column_of(payload: bytes, watermark_key: bytes, profile: Profile) -> int:
    """Return the column of the sequence that a marked signal begins with.

    It differs from payload to payload, so that many marked files laid over each other from their starts do
    not show the pattern.
    """
    check = keyed_check(watermark_key, profile.name, b"first column" + payload, 64)
    return int.from_bytes(check, "big") % profile.sequence_columns


def _row_bands(profile: Profile) -> npt.NDArray[np.int64]:
    rows = []
    for octave, width in enumerate(profile.cell_bands):
        first = octave * profile.bands_per_octave
        rows += [(b, b + width) for b in range(first, first + profile.bands_per_octave, width)]
    return np.array(rows, np.int64)
