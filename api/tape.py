"""What an engine plays, until it is marked: samples in a file without a name, which nobody else can open.

A tape is the sink that `issue` gives to an engine. Nothing but the issue flow makes one or reads one (an
import contract in `pyproject.toml`), and the file is gone with the process, whatever ends it: so no sound of
an engine leaves unmarked. The sample rate is kept as it is played; 8 to 192 kHz are taken.
"""

import tempfile
from collections.abc import Iterator
from types import TracebackType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from generator.errors import EngineError

from .audiofile import PcmDigest
from .decoding import Limits
from .errors import WriteError
from .marking import Block
from .settings import Settings

BLOCK_SAMPLES = 1 << 16


class Tape:
    """Samples in the order they came; made empty in the folder of work in progress."""

    def __init__(self, settings: Settings) -> None:
        self._limits: Limits = settings.limits
        self._digest = PcmDigest()
        self.sample_rate = 0
        self.channels = 0
        self.samples = 0
        try:
            self._file: Any = tempfile.TemporaryFile(dir=settings.incoming)  # noqa: SIM115 - `close` is ours
        except OSError as error:
            raise WriteError(f"{settings.incoming}: no tape can be made there: {error.strerror}") from error

    def __enter__(self) -> "Tape":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._file.close()

    @property
    def pcm_sha256(self) -> str:
        """Digest of all samples so far."""
        return self._digest.hex()

    def write(self, block: NDArray[np.float32], *, sample_rate: int) -> None:
        """Append a block, float32 (channels, samples), as `generator.Sink` says.

        Raises
        ------
        EngineError
            It is no such block, or not what came before; more than the limits allow.
        WriteError
            The disk is full.
        """
        if not isinstance(block, np.ndarray) or block.dtype != np.float32 or block.ndim != 2:
            raise EngineError(f"expected float32 audio (channels, samples), got {type(block).__name__}")
        if self.samples == 0:
            self._check_form(block.shape[0], sample_rate)
        if (block.shape[0], sample_rate) != (self.channels, self.sample_rate):
            raise EngineError(
                f"expected {self.channels} channels at {self.sample_rate} Hz as before, "
                f"got {block.shape[0]} at {sample_rate}"
            )
        if not np.isfinite(block).all():
            raise EngineError(f"a sample after {self.samples / sample_rate:.1f} s is not a finite number")
        self.samples += block.shape[1]
        if self.samples > self._limits.max_seconds * sample_rate:
            raise EngineError(f"expected at most {self._limits.max_seconds} s of audio, got more")
        self._digest.push(block)
        try:
            self._file.write(np.ascontiguousarray(block.T, dtype="<f4").tobytes())
        except OSError as error:
            raise WriteError(f"what the engine plays cannot be kept: {error.strerror}") from error

    def blocks(self) -> Iterator[Block]:
        """Yield the samples from the start, as float32 blocks (channels, samples); as often as asked.

        Raises
        ------
        WriteError
            They cannot be read back.
        """
        frame_bytes, place = 4 * self.channels, 0
        while place < self.samples:
            count = min(BLOCK_SAMPLES, self.samples - place)
            try:
                self._file.seek(place * frame_bytes)
                data = self._file.read(count * frame_bytes)
            except OSError as error:
                raise WriteError(f"what the engine played cannot be read: {error.strerror}") from error
            assert len(data) == count * frame_bytes
            frames = np.frombuffer(data, dtype="<f4").reshape(count, self.channels)
            yield np.ascontiguousarray(frames.T, dtype=np.float32)
            place += count

    def _check_form(self, channels: int, sample_rate: int) -> None:
        limits = self._limits
        if not 1 <= channels <= limits.max_channels:
            raise EngineError(f"expected 1 to {limits.max_channels} channels, got {channels}")
        if (
            not isinstance(sample_rate, int)
            or not limits.min_sample_rate <= sample_rate <= limits.max_sample_rate
        ):
            raise EngineError(
                f"expected {limits.min_sample_rate} to {limits.max_sample_rate} Hz, got {sample_rate!r:.40}"
            )
        self.channels, self.sample_rate = channels, sample_rate
