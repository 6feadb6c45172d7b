"""The bytes of a sketch, as a registry keeps and hashes them; about 11 kB a minute.

    "PVSK", version 1, length of the profile's name, the name in ASCII,
    words and rows as two unsigned 32-bit numbers,
    the words (4 bytes each), which of them are audible (1 bit each, the first in the lowest bit of the first
    byte, the rest of the last byte zero), the rows of extra levels (one byte a column)

Numbers have their lowest byte first. Words of inaudible frames are zero. One sketch has one form.
"""

import numpy as np

from watermark.errors import WatermarkError

from .outcome import Sketch
from .sketch_profile import SKETCH_PROFILES

MAGIC = b"PVSK"
VERSION = 1
# A day of sound.
MAX_WORDS = 25 * 86_400


class SketchError(WatermarkError):
    """Bytes that are no sketch."""


def format_sketch(sketch: Sketch) -> bytes:
    """Return the bytes of a sketch."""
    profile = SKETCH_PROFILES[sketch.profile_name]
    if sketch.words.shape != sketch.audible.shape or sketch.extra.shape[1:] != (profile.columns,):
        raise ValueError(
            f"expected as many words as marks of audibility and {profile.columns} columns, got "
            f"{sketch.words.shape}, {sketch.audible.shape} and {sketch.extra.shape}"
        )
    name = sketch.profile_name.encode("ascii")
    counts = np.array([len(sketch.words), len(sketch.extra)], "<u4").tobytes()
    audible = np.packbits(sketch.audible, bitorder="little").tobytes()
    words = np.where(sketch.audible, sketch.words, 0).astype("<u4").tobytes()
    return MAGIC + bytes([VERSION, len(name)]) + name + counts + words + audible + sketch.extra.tobytes()


def parse_sketch(data: bytes) -> Sketch:
    """Return the sketch that bytes hold.

    Raises
    ------
    SketchError
        They are not exactly what `format_sketch` writes.
    """
    if data[:4] != MAGIC or len(data) < 6:
        raise SketchError("expected a sketch, got other bytes")
    if data[4] != VERSION:
        raise SketchError(f"expected a sketch of version {VERSION}, got version {data[4]}")
    start = 6 + data[5]
    name = data[6:start].decode("ascii", errors="replace")
    if name not in SKETCH_PROFILES:
        raise SketchError(f"expected a sketch of one of {sorted(SKETCH_PROFILES)}, got {name!r}")
    profile = SKETCH_PROFILES[name]
    if len(data) < start + 8:
        raise SketchError("expected the number of words and rows, got the end of the sketch")
    words, rows = (int(n) for n in np.frombuffer(data, "<u4", 2, start))
    if words > MAX_WORDS or rows > MAX_WORDS:
        raise SketchError(f"expected at most {MAX_WORDS} words and rows, got {words} and {rows}")
    parts = np.cumsum([start + 8, 4 * words, (words + 7) // 8, rows * profile.columns])
    if len(data) != parts[-1]:
        raise SketchError(f"expected {parts[-1]} bytes, got {len(data)}")
    values = np.frombuffer(data, "<u4", words, parts[0]).astype(np.uint32)
    packed = np.frombuffer(data, np.uint8, (words + 7) // 8, parts[1])
    audible = np.unpackbits(packed, bitorder="little").astype(np.bool_)
    if audible[words:].any() or values[~audible[:words]].any():
        raise SketchError("expected zeros after the last word's mark and in inaudible words, got others")
    extra = np.frombuffer(data, np.uint8, rows * profile.columns, parts[2]).reshape(rows, profile.columns)
    return Sketch(name, values, audible[:words], extra.copy())
