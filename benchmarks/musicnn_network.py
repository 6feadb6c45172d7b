"""musicnn's embedding of music (Pons and Serra, 2019; ISC licence), without TensorFlow.

The weights are read from the wheel of the package musicnn 0.1.0 as it was downloaded, a checkpoint of
TensorFlow 1: an index, which is a table of sorted keys in the format of LevelDB, and a file of plain arrays.
The network (MTT_musicnn, trained on MagnaTagATune to name 50 tags) takes 3 s of a mel spectrogram; its
embedding is the layer before the tags, 200 numbers.
"""

import hashlib
import struct
import zipfile
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from scipy import signal

from benchmarks.tools import BenchmarkError

Arrays = dict[str, NDArray[np.float32]]

FOLDER = "musicnn/MTT_musicnn/"
# SHA-256 of the arrays in that wheel.
ARRAYS_SHA256 = "041f3935e981a65cea739842d30c188d3a7d2adf4410955c8668eb3de4a5acab"
RATE, FFT_SIZE, HOP, MEL_BANDS, FRAMES = 16_000, 512, 256, 96, 187
EMBEDDING = 200
WINDOWS_AT_ONCE = 8
_MAGIC = 0xDB4775248B80FB57
_FOOTER_BYTES = 48


def read_varint(data: bytes, place: int) -> tuple[int, int]:
    """A number in groups of seven bits, low ones first, and the place after it."""
    value = shift = 0
    while True:
        byte = data[place]
        place += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, place
        shift += 7


def read_block(data: bytes, offset: int, size: int) -> list[tuple[bytes, bytes]]:
    """Keys and values of one block of a table; each key shares its beginning with the key before it."""
    if data[offset + size] != 0:
        raise BenchmarkError("expected an index without compression")
    block = data[offset : offset + size]
    (restarts,) = struct.unpack("<I", block[-4:])
    end = len(block) - 4 * (restarts + 1)
    place, key, rows = 0, b"", []
    while place < end:
        shared, place = read_varint(block, place)
        unshared, place = read_varint(block, place)
        length, place = read_varint(block, place)
        key = key[:shared] + block[place : place + unshared]
        place += unshared
        rows.append((key, block[place : place + length]))
        place += length
    return rows


def read_table(data: bytes) -> dict[str, bytes]:
    """All keys and values of a table."""
    footer = data[-_FOOTER_BYTES:]
    if struct.unpack("<Q", footer[-8:])[0] != _MAGIC:
        raise BenchmarkError("expected the index of a TensorFlow checkpoint")
    place = read_varint(footer, read_varint(footer, 0)[1])[1]
    offset, place = read_varint(footer, place)
    size, _ = read_varint(footer, place)
    found = {}
    for _, handle in read_block(data, offset, size):
        start, after = read_varint(handle, 0)
        length, _ = read_varint(handle, after)
        found.update({key.decode(): value for key, value in read_block(data, start, length)})
    return found


def read_message(data: bytes) -> dict[int, list[int | bytes]]:
    """Fields of a protocol buffer by number."""
    place, fields = 0, {}
    while place < len(data):
        tag, place = read_varint(data, place)
        value: int | bytes
        if tag & 7 == 0:
            value, place = read_varint(data, place)
        elif tag & 7 == 2:
            length, place = read_varint(data, place)
            value, place = data[place : place + length], place + length
        elif tag & 7 == 5:
            value, place = data[place : place + 4], place + 4
        else:
            raise BenchmarkError(f"expected a protocol buffer, got a field of type {tag & 7}")
        fields.setdefault(tag >> 3, []).append(value)
    return fields


def read_arrays(index: bytes, data: bytes) -> Arrays:
    """Arrays of a checkpoint by name, what the optimiser kept left out."""
    arrays = {}
    for name, value in read_table(index).items():
        if not name or "Adam" in name or name.startswith("beta"):
            continue
        fields = read_message(value)
        sizes = [read_message(bytes(d)).get(1, [0])[0] for d in read_message(bytes(fields[2][0])).get(2, [])]  # type: ignore[arg-type]
        offset, length = int(fields.get(4, [0])[0]), int(fields[5][0])
        arrays[name] = np.frombuffer(data[offset : offset + length], dtype="<f4").reshape(
            [int(size) for size in sizes]
        )
    return arrays


def read_wheel(wheel: Path) -> Arrays:
    """Arrays of MTT_musicnn in the wheel of musicnn."""
    with zipfile.ZipFile(wheel) as archive:
        index, data = archive.read(FOLDER + ".index"), archive.read(FOLDER + ".data-00000-of-00001")
    found = hashlib.sha256(data).hexdigest()
    if found != ARRAYS_SHA256:
        raise BenchmarkError(f"expected the weights of musicnn 0.1.0, {ARRAYS_SHA256}, got {found}")
    return read_arrays(index, data)


class Musicnn:
    """The network up to its embedding."""

    def __init__(self, arrays: Arrays) -> None:
        self._arrays = {name: torch.from_numpy(value.copy()) for name, value in arrays.items()}
        self._mel = torch.from_numpy(mel_weights())

    def embed(self, audio: NDArray[np.float32], *, sample_rate: int) -> NDArray[np.float64]:
        """Embeddings (windows, EMBEDDING) of mono audio (samples,), one for each whole 3 s."""
        common = int(np.gcd(sample_rate, RATE))
        low = signal.resample_poly(audio, RATE // common, sample_rate // common).astype(np.float32)
        spectrum = torch.stft(
            torch.from_numpy(low), FFT_SIZE, HOP, window=torch.hann_window(FFT_SIZE), return_complex=True
        )
        mel = torch.log10(10_000 * (self._mel @ spectrum.abs() ** 2) + 1).T  # (frames, MEL_BANDS)
        count = len(mel) // FRAMES
        windows = mel[: count * FRAMES].view(count, FRAMES, MEL_BANDS)
        with torch.inference_mode():
            parts = [self._forward(part) for part in windows.split(WINDOWS_AT_ONCE)]
        return torch.cat(parts).double().numpy() if parts else np.zeros((0, EMBEDDING))

    def _forward(self, windows: torch.Tensor) -> torch.Tensor:
        """(N, FRAMES, MEL_BANDS) to (N, EMBEDDING); every step is a layer of the published graph."""
        x = self._norm(windows[:, None], 0)
        wide = torch.nn.functional.pad(x, (0, 0, 3, 3))
        front = [self._pooled(wide, number) for number in (0, 1)]
        for number in (2, 3, 4):
            kernel = self._arrays[_name("conv2d", number) + "/kernel"].shape[0]
            before = (kernel - 1) // 2
            padded = torch.nn.functional.pad(x, (0, 0, before, kernel - 1 - before))
            front.append(self._pooled(padded, number))
        features = torch.cat(front, 1)  # (N, 561, FRAMES)
        first = self._norm(self._along(features, 5), 6)
        second = self._norm(self._along(first, 6), 7) + first
        third = self._norm(self._along(second, 7), 8) + second
        whole = torch.cat([features, first, second, third], 1)
        # Maximum and mean of each feature stand beside each other.
        pooled = torch.stack([whole.amax(2), whole.mean(2)], 2).flatten(1)
        dense = self._norm(pooled, 9) @ self._arrays["dense/kernel"] + self._arrays["dense/bias"]
        return self._norm(dense.relu(), 10)

    def _norm(self, x: torch.Tensor, number: int) -> torch.Tensor:
        """Batch normalisation over channels, the second axis."""
        name = _name("batch_normalization", number)
        mean, variance, beta, gamma = (
            self._arrays[f"{name}/{part}"] for part in ("moving_mean", "moving_variance", "beta", "gamma")
        )
        return torch.nn.functional.batch_norm(x, mean, variance, gamma, beta, eps=1e-3)

    def _pooled(self, x: torch.Tensor, number: int) -> torch.Tensor:
        """A convolution over time and pitch, and the maximum over all pitches: (N, filters, frames)."""
        name = _name("conv2d", number)
        kernel = self._arrays[name + "/kernel"].permute(3, 2, 0, 1)
        found = torch.nn.functional.conv2d(x, kernel, self._arrays[name + "/bias"]).relu()
        return self._norm(found, number + 1).amax(3)

    def _along(self, x: torch.Tensor, number: int) -> torch.Tensor:
        """A convolution over time of all features, (N, features, frames) to (N, filters, frames)."""
        name = _name("conv2d", number)
        kernel = self._arrays[name + "/kernel"][:, :, 0].permute(2, 1, 0)
        return torch.nn.functional.conv1d(x, kernel, self._arrays[name + "/bias"], padding=3).relu()


def _name(layer: str, number: int) -> str:
    """TensorFlow's name of the layer of a kind with a number."""
    return f"{layer}_{number}" if number else layer


def mel_weights() -> NDArray[np.float32]:
    """Slaney's mel filters, each of unit area, (MEL_BANDS, FFT_SIZE // 2 + 1): linear to 1 kHz, then log."""
    step = np.log(6.4) / 27
    top = 15 + np.log(RATE / 2 / 1000) / step
    mel = np.linspace(0, top, MEL_BANDS + 2)
    edges = np.where(mel < 15, 200 / 3 * mel, 1000 * np.exp(step * (mel - 15)))
    hertz = np.arange(FFT_SIZE // 2 + 1) * RATE / FFT_SIZE
    low, middle, high = edges[:-2, None], edges[1:-1, None], edges[2:, None]
    rising, falling = (hertz - low) / (middle - low), (high - hertz) / (high - middle)
    return (np.maximum(0, np.minimum(rising, falling)) * 2 / (high - low)).astype(np.float32)
