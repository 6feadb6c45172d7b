"""The bytes of a fingerprint, as a catalogue keeps and hashes them: landmarks, then the sketch.

    "PVFP", version 1, length of the profile's name, the name in ASCII,
    the recording's length in milliseconds and the number of landmarks as two unsigned 32-bit numbers,
    of all landmarks the frames (unsigned, 4 bytes), the pitches and the strengths (4-byte floats),
    the sketch's bytes (`sketch_format`) up to the end

Numbers have their lowest byte first. One fingerprint has one form; its length is whole milliseconds.
"""

import numpy as np

from watermark.errors import WatermarkError

from .outcome import Fingerprint, Landmarks
from .profile import PROFILE
from .sketch_format import SketchError, format_sketch, parse_sketch

MAGIC = b"PVFP"
VERSION = 1
PROFILE_NAMES = (PROFILE.name,)
# A day of sound, with as many landmarks as no music has.
MAX_MILLISECONDS = 86_400_000
MAX_LANDMARKS = 200 * 86_400


class FingerprintError(WatermarkError):
    """Bytes that are no fingerprint."""


def format_fingerprint(fingerprint: Fingerprint) -> bytes:
    """Return the bytes of a fingerprint."""
    landmarks = fingerprint.landmarks
    name = fingerprint.profile_name.encode("ascii")
    counts = np.array([round(1000 * fingerprint.seconds), landmarks.frames.size], "<u4").tobytes()
    arrays = (
        landmarks.frames.astype("<u4"),
        landmarks.pitches.astype("<f4"),
        landmarks.strengths.astype("<f4"),
    )
    head = MAGIC + bytes([VERSION, len(name)]) + name + counts
    return head + b"".join(array.tobytes() for array in arrays) + format_sketch(fingerprint.sketch)


def parse_fingerprint(data: bytes) -> Fingerprint:
    """Return the fingerprint that bytes hold.

    Raises
    ------
    FingerprintError
        They are not exactly what `format_fingerprint` writes.
    """
    if data[:4] != MAGIC or len(data) < 6:
        raise FingerprintError("expected a fingerprint, got other bytes")
    if data[4] != VERSION:
        raise FingerprintError(f"expected a fingerprint of version {VERSION}, got version {data[4]}")
    start = 6 + data[5]
    name = data[6:start].decode("ascii", errors="replace")
    if name not in PROFILE_NAMES:
        raise FingerprintError(f"expected a fingerprint of one of {list(PROFILE_NAMES)}, got {name!r}")
    if len(data) < start + 8:
        raise FingerprintError("expected length and number of landmarks, got the end of the fingerprint")
    milliseconds, count = (int(n) for n in np.frombuffer(data, "<u4", 2, start))
    if milliseconds > MAX_MILLISECONDS or count > MAX_LANDMARKS or len(data) < start + 8 + 12 * count:
        raise FingerprintError(f"expected {count} landmarks in {milliseconds} ms, got {len(data)} bytes")
    frames = np.frombuffer(data, "<u4", count, start + 8)
    pitches = np.frombuffer(data, "<f4", count, start + 8 + 4 * count)
    strengths = np.frombuffer(data, "<f4", count, start + 8 + 8 * count)
    if (np.diff(frames.astype(np.int64)) < 0).any() or (frames > np.iinfo(np.int32).max).any():
        raise FingerprintError("expected landmarks in the order of time, got others")
    if not (np.isfinite(pitches).all() and np.isfinite(strengths).all()):
        raise FingerprintError("expected finite pitches and strengths, got others")
    try:
        sketch = parse_sketch(data[start + 8 + 12 * count :])
    except SketchError as error:
        raise FingerprintError(f"in the fingerprint's sketch: {error}") from error
    return Fingerprint(
        profile_name=name,
        seconds=milliseconds / 1000,
        landmarks=Landmarks(
            name, frames.astype(np.int32), pitches.astype(np.float32), strengths.astype(np.float32)
        ),
        sketch=sketch,
    )
