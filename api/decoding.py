"""Bounded decoding of audio files from strangers.

libsndfile reads WAV, FLAC, Ogg Vorbis, Opus, MP3 and AIFF, in a child process of its own (`api/decoder.py`)
that has little memory, little processor time and no right to write. This side passes the open file, counts
what comes back, and refuses what is outside the limits, since a file may have taken the child over:

    with open_recording(path, DEFAULT_LIMITS) as recording:
        for block in recording.blocks():        # float32 (channels, samples)
            ...
    recording.samples, recording.damage

Codes of `AudioRefusedError`: empty, too-large, not-audio, channels, sample-rate, too-long, not-finite,
no-samples, decoder-failed.
"""

import json
import os
import select
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import BinaryIO

import numpy as np
from numpy.typing import NDArray

from .childprocess import Child
from .errors import AudioRefusedError, TooLargeError

DECODER = Path(__file__).with_name("decoder.py")
STALL_S = 60.0  # the child writes a block in milliseconds; this long without one is a hang
HEADER_BYTES = 4096
NOTES_BYTES = 64 << 10
BLOCK_BYTES = 1 << 20
EXIT_REFUSED, EXIT_DAMAGED = 4, 5


@dataclass(frozen=True)
class Limits:
    """What is taken from strangers: sizes in bytes, durations in seconds, rates in Hz."""

    max_bytes: int = 2 << 30
    max_seconds: int = 2 * 3600
    max_channels: int = 8
    min_sample_rate: int = 8_000
    max_sample_rate: int = 192_000
    decode_cpu_s: int = 300
    decode_memory_bytes: int = 1 << 30


DEFAULT_LIMITS = Limits()


@dataclass(frozen=True)
class AudioFormat:
    """What the file's header says; `claimed_samples` is per channel and not to be trusted."""

    container: str
    subtype: str
    sample_rate: int
    channels: int
    claimed_samples: int


class Recording:
    """An audio file being decoded; made by `open_recording`."""

    def __init__(self, child: Child, limits: Limits) -> None:
        self._child = child
        self._limits = limits
        self._buffer = b""
        self.samples = 0
        self.damage = ""
        self.format, self.damage = _parse_header(self._read_header(), limits)

    def __enter__(self) -> "Recording":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._child.close()

    @property
    def seconds(self) -> float:
        """Duration decoded so far."""
        return self.samples / self.format.sample_rate

    def blocks(self) -> Iterator[NDArray[np.float32]]:
        """Yield the samples once, in order, as float32 blocks of shape (channels, samples).

        Raises
        ------
        AudioRefusedError
            The file holds no samples, a sample that is not finite, more than the limits allow, or broke the
            decoder.
        """
        channels = self.format.channels
        frame_bytes = 4 * channels
        pending = bytearray(self._buffer)
        ended = False
        while not ended:
            chunk = self._read_chunk()
            pending += chunk
            ended = not chunk
            if len(pending) < BLOCK_BYTES and not ended:
                continue
            whole = len(pending) // frame_bytes * frame_bytes
            if whole == 0:
                continue
            block = np.frombuffer(bytes(pending[:whole]), dtype="<f4").reshape(-1, channels).T  # (C, T)
            del pending[:whole]
            if not np.isfinite(block).all():
                raise AudioRefusedError(
                    "not-finite", f"a sample after {self.seconds:.1f} s is not a finite number"
                )
            self.samples += block.shape[1]
            if self.samples > self._limits.max_seconds * self.format.sample_rate:
                detail = f"expected at most {self._limits.max_seconds} s of audio, got more"
                raise AudioRefusedError("too-long", detail)
            yield np.ascontiguousarray(block, dtype=np.float32)
        self._finish()
        if self.samples == 0:
            raise AudioRefusedError("no-samples", "the file holds no samples")

    def _read_chunk(self) -> bytes:
        return _read_some(self._child.output)

    def _read_notes(self) -> list[str]:
        """Return the lines that the child has left beside the samples, its report the last of them."""
        notes = b""
        while len(notes) < NOTES_BYTES and (chunk := _read_some(self._child.notes)):
            notes += chunk
        return notes.decode("utf-8", "replace").strip().splitlines()

    def _read_header(self) -> bytes:
        while b"\n" not in self._buffer[:HEADER_BYTES]:
            if len(self._buffer) >= HEADER_BYTES:
                raise AudioRefusedError("decoder-failed", "the decoder did not say what the file holds")
            chunk = self._read_chunk()
            if not chunk:
                self._finish()
                raise AudioRefusedError("decoder-failed", "the decoder ended without a word")
            self._buffer += chunk
        line, self._buffer = self._buffer.split(b"\n", 1)
        return line

    def _finish(self) -> None:
        """Wait for the child and turn its exit status into damage or an error."""
        notes = self._read_notes()
        try:
            status = self._child.wait(STALL_S)
        except TimeoutError as error:
            raise AudioRefusedError("decoder-failed", f"{error}") from error
        if status == 0:
            return
        if status in (EXIT_REFUSED, EXIT_DAMAGED):
            code, detail = _parse_report(notes)
            if status == EXIT_REFUSED:
                raise AudioRefusedError(code, detail)
            self.damage = detail
            return
        raise AudioRefusedError(
            "decoder-failed", f"the decoder ended with status {status} (a limit, or a crash)"
        )


def _read_some(pipe: BinaryIO) -> bytes:
    """Return what comes next from the child, b"" at the end; AudioRefusedError where nothing comes."""
    if not select.select([pipe.fileno()], [], [], STALL_S)[0]:
        raise AudioRefusedError("decoder-failed", f"the decoder gave nothing for {STALL_S:.0f} s")
    return os.read(pipe.fileno(), 1 << 20)


def _parse_report(notes: list[str]) -> tuple[str, str]:
    """Return code and detail of a decoder's report, the last of its notes."""
    try:
        report = json.loads(notes[-1])
        return str(report["code"]), str(report["detail"])
    except (ValueError, KeyError, TypeError, IndexError) as error:
        raise AudioRefusedError("decoder-failed", "the decoder did not say why it ended") from error


def _parse_header(line: bytes, limits: Limits) -> tuple[AudioFormat, str]:
    """Return what the decoder says of a file, and of its damage; AudioRefusedError for what it never says."""
    try:
        header = json.loads(line)
        found = AudioFormat(
            container=str(header["container"]),
            subtype=str(header["subtype"]),
            sample_rate=int(header["sample_rate"]),
            channels=int(header["channels"]),
            claimed_samples=int(header["frames"]),
        )
        damage = str(header["damage"])
    except (ValueError, KeyError, TypeError) as error:
        raise AudioRefusedError("decoder-failed", "the decoder did not say what the file holds") from error
    if not (
        1 <= found.channels <= limits.max_channels
        and limits.min_sample_rate <= found.sample_rate <= limits.max_sample_rate
    ):
        raise AudioRefusedError("decoder-failed", "the decoder let pass what is outside the limits")
    return found, damage


def open_recording(path: Path, limits: Limits) -> Recording:
    """Start decoding an audio file within limits.

    Raises
    ------
    AudioRefusedError
        The file is empty, not audio, or outside the limits (see the codes above).
    TooLargeError
        The file has more bytes than `limits.max_bytes`.
    OSError
        The file cannot be opened.
    """
    with path.open("rb") as file:
        size = os.fstat(file.fileno()).st_size
        if size == 0:
            raise AudioRefusedError("empty", f"{path.name} is empty")
        if size > limits.max_bytes:
            raise TooLargeError(f"expected at most {limits.max_bytes} bytes, got {size}")
        orders = {
            "max_channels": limits.max_channels,
            "min_rate": limits.min_sample_rate,
            "max_rate": limits.max_sample_rate,
            "max_seconds": limits.max_seconds,
            "memory_bytes": limits.decode_memory_bytes,
            "cpu_s": limits.decode_cpu_s,
        }
        child = Child(DECODER, orders, file)
    try:
        return Recording(child, limits)
    except BaseException:
        child.close()
        raise
