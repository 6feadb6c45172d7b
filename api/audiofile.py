"""Writing released audio, and the digest of decoded samples.

The PCM digest is SHA-256 over the samples as interleaved signed 32-bit little-endian integers, each being
round(x * 2^31) clipped to the integer's range. For 16- and 24-bit files that is exactly what

    ffmpeg -v error -i track.flac -f s32le -c:a pcm_s32le - | sha256sum

hashes, so the digest is the same for a WAV and a FLAC of the same samples, and tags do not change it. For a
lossy file it depends on the decoder and serves as a hint only.
"""

import contextlib
import hashlib
import os
from pathlib import Path
from types import TracebackType

import numpy as np
import soundfile
from numpy.typing import NDArray

from .errors import RefusedError, WriteError

CONTAINERS = {"flac": "FLAC", "wav": "WAV"}
BIT_DEPTHS = (16, 24)
MAX_WAV_BYTES = (1 << 32) - (1 << 20)  # RIFF sizes are 32-bit; the rest is room for headers


class PcmDigest:
    """SHA-256 of decoded samples, block by block."""

    def __init__(self) -> None:
        self._hash = hashlib.sha256()

    def push(self, block: NDArray[np.float32]) -> None:
        """Add a float32 block of shape (channels, samples)."""
        self.push_integers(quantise(block, bits=32))

    def push_integers(self, frames: NDArray[np.int32]) -> None:
        """Add an int32 block of shape (samples, channels), values at the top of the 32 bits."""
        self._hash.update(np.ascontiguousarray(frames, dtype="<i4").tobytes())

    def hex(self) -> str:
        """Return the digest so far as 64 hex digits."""
        return self._hash.hexdigest()


def quantise(block: NDArray[np.float32], *, bits: int) -> NDArray[np.int32]:
    """Round float samples (channels, samples) to `bits`, clipped; int32 (samples, channels)."""
    limit = float(1 << (bits - 1))
    integers = np.rint(block.T.astype(np.float64) * limit)  # (T, C)
    clipped = np.clip(integers, -limit, limit - 1.0).astype(np.int64)
    shifted: NDArray[np.int32] = (clipped << (32 - bits)).astype(np.int32)
    return shifted


class AudioWriter:
    """A new FLAC or WAV file, written block by block and synced when closed; never over an existing file.

    Raises
    ------
    WriteError
        The file cannot be made or written: the disk is full, the folder read-only.
    ValueError
        An unknown container or bit depth.
    """

    def __init__(self, path: Path, *, container: str, sample_rate: int, channels: int, bits: int) -> None:
        if container not in CONTAINERS or bits not in BIT_DEPTHS:
            raise ValueError(f"expected flac or wav with 16 or 24 bits, got {container} with {bits}")
        self.path = path
        self.samples = 0
        self.clipped = 0
        self._bits = bits
        self._wav_frames = MAX_WAV_BYTES // (channels * bits // 8) if container == "wav" else None
        self._digest = PcmDigest()
        try:
            os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o644))
        except OSError as error:
            raise WriteError(f"{path}: cannot be made: {error.strerror}") from error
        try:
            self._file = soundfile.SoundFile(
                path, "w", sample_rate, channels, f"PCM_{bits}", format=CONTAINERS[container]
            )
        except (soundfile.LibsndfileError, OSError) as error:
            path.unlink(missing_ok=True)
            raise WriteError(f"{path}: cannot be written: {error}") from error

    def __enter__(self) -> "AudioWriter":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is None:
            self.close()
        else:
            self.discard()

    @property
    def pcm_sha256(self) -> str:
        """Digest of the samples written so far."""
        return self._digest.hex()

    def push(self, block: NDArray[np.float32]) -> None:
        """Append a float32 block (channels, samples); values beyond full scale are clipped and counted."""
        if block.shape[1] == 0:
            return
        frames = quantise(block, bits=self._bits)
        self.clipped += int(np.count_nonzero(np.abs(block) > 1.0))
        self.samples += block.shape[1]
        if self._wav_frames is not None and self.samples > self._wav_frames:
            raise WriteError(f"{self.path}: a WAV file holds at most 4 GiB: write FLAC instead")
        self._digest.push_integers(frames)
        try:
            self._file.write(frames)
        except (soundfile.LibsndfileError, AssertionError, OSError) as error:
            # soundfile asserts that all samples were written; mostly it is a full disk when they were not.
            raise WriteError(f"{self.path}: cannot be written: is the disk full? ({error})") from error

    def close(self) -> None:
        """Finish the file and sync it to the disk."""
        try:
            self._file.close()
            sync_file(self.path)
        except (soundfile.LibsndfileError, OSError) as error:
            raise WriteError(f"{self.path}: cannot be finished: is the disk full? ({error})") from error

    def discard(self) -> None:
        """Close and remove the file."""
        # The file is removed next, and what went wrong is on its way up already.
        with contextlib.suppress(soundfile.LibsndfileError, OSError):
            self._file.close()
        self.path.unlink(missing_ok=True)


def sync_file(path: Path) -> None:
    """Make a file's content durable, or the names in a folder."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def write_synced(path: Path, content: bytes) -> None:
    """Write a new file and sync it; RefusedError where one is there, WriteError when it cannot be written."""
    try:
        with path.open("xb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
    except FileExistsError as error:
        raise RefusedError(f"{path}: exists already") from error
    except OSError as error:
        raise WriteError(f"{path}: cannot be written: {error.strerror}") from error


def refuse_existing(path: Path | None) -> None:
    """Refuse an output that exists, before any work is done for it."""
    if path is not None and os.path.lexists(path):
        raise RefusedError(f"{path}: exists already")


def hash_file(path: Path) -> str:
    """Return the SHA-256 of a file's bytes as 64 hex digits."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
