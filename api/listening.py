"""A file's fingerprint: decoded once, in bounded memory for its samples, and nothing kept of them."""

from dataclasses import dataclass
from pathlib import Path

from watermark.identity.extraction import Query

from .audiofile import PcmDigest
from .decoding import Limits, open_recording
from .errors import StoppedError
from .marking import CancelCheck, Listener, Progress, never_cancelled, report_nothing


@dataclass(frozen=True)
class Heard:
    """Digest of a file's samples (hex SHA-256), its length, what is wrong with it, and its fingerprint (None
    of less than a second)."""

    pcm_sha256: str
    seconds: float
    damage: str
    query: Query | None


def listen(
    path: Path,
    *,
    limits: Limits,
    progress: Progress = report_nothing,
    cancelled: CancelCheck = never_cancelled,
) -> Heard:
    """Decode a file once and take its fingerprint.

    Raises
    ------
    AudioRefusedError, TooLargeError
        Not audio, or outside the limits.
    StoppedError
        `cancelled()` returned True.
    OSError
        The file cannot be read.
    """
    with open_recording(path, limits) as recording:
        listener = Listener(sample_rate=recording.format.sample_rate, channels=recording.format.channels)
        digest = PcmDigest()
        for block in recording.blocks():
            if cancelled():
                raise StoppedError(f"stopped while listening to {path.name}")
            digest.push(block)
            listener.push(block)
            progress("listen", min(0.95, recording.samples / max(1, recording.format.claimed_samples)))
        query = listener.finish()
        progress("listen", 1.0)
        seconds = recording.samples / recording.format.sample_rate
        return Heard(digest.hex(), seconds, recording.damage, query)
