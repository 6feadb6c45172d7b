"""Writing released audio: exact samples, no overwriting, a full disk noticed."""

import os
import resource
from pathlib import Path

import numpy as np
import pytest
import soundfile
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from api.audiofile import AudioWriter, PcmDigest, quantise
from api.errors import WriteError

RATE = 44_100


def noise(samples: int, channels: int = 2) -> NDArray[np.float32]:
    return (0.3 * np.random.default_rng(1).standard_normal((channels, samples))).astype(np.float32)


@given(st.lists(st.integers(-(1 << 23), (1 << 23) - 1), min_size=1, max_size=50), st.integers(1, 3))
@settings(derandomize=True, max_examples=50)
def test_24_bit_samples_survive_quantising_unchanged(values: list[int], channels: int) -> None:
    block = np.tile(np.array(values, dtype=np.float32) / (1 << 23), (channels, 1))
    assert np.array_equal(quantise(block, bits=24).T >> 8, np.tile(values, (channels, 1)))
    assert np.array_equal(quantise(block, bits=32), quantise(block, bits=24))


def test_values_beyond_full_scale_are_clipped_and_counted(tmp_path: Path) -> None:
    block = np.array([[1.5, -2.0, 0.5, 1.0]], dtype=np.float32)
    assert quantise(block, bits=16).ravel().tolist() == [32767 << 16, -32768 << 16, 16384 << 16, 32767 << 16]
    with AudioWriter(tmp_path / "a.wav", container="wav", sample_rate=RATE, channels=1, bits=16) as writer:
        writer.push(block)
    assert writer.clipped == 2


@pytest.mark.parametrize("bits", [16, 24])
def test_flac_and_wav_of_the_same_samples_have_the_same_digest(tmp_path: Path, bits: int) -> None:
    digests = set()
    for container in ("flac", "wav"):
        path = tmp_path / f"a.{container}"
        with AudioWriter(path, container=container, sample_rate=RATE, channels=2, bits=bits) as writer:
            for start in range(0, 30_000, 7_000):
                writer.push(noise(30_000)[:, start : start + 7_000])
        digest = PcmDigest()
        digest.push(soundfile.read(path, dtype="float32")[0].T)
        digests |= {writer.pcm_sha256, digest.hex()}
    assert len(digests) == 1


def test_an_existing_file_is_never_replaced(tmp_path: Path) -> None:
    (tmp_path / "a.wav").write_text("mine")
    with pytest.raises(WriteError, match="cannot be made: File exists"):
        AudioWriter(tmp_path / "a.wav", container="wav", sample_rate=RATE, channels=1, bits=16)
    assert (tmp_path / "a.wav").read_text() == "mine"


@pytest.mark.parametrize("container", ["flac", "wav"])
def test_a_full_disk_is_an_error_and_leaves_no_file(tmp_path: Path, container: str) -> None:
    path = tmp_path / f"a.{container}"
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, hard))
    try:
        with (
            pytest.raises(WriteError, match="is the disk full"),
            AudioWriter(path, container=container, sample_rate=RATE, channels=2, bits=24) as writer,
        ):
            writer.push(noise(500_000))  # far more than any buffer on the way to the file
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert not path.exists()


def test_a_missing_folder_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(WriteError, match="No such file or directory"):
        AudioWriter(tmp_path / "none" / "a.wav", container="wav", sample_rate=RATE, channels=1, bits=16)


def _interrupt(writer: AudioWriter) -> None:
    writer.push(noise(1000))
    raise KeyboardInterrupt


def test_an_error_while_writing_removes_the_file(tmp_path: Path) -> None:
    path = tmp_path / "a.flac"
    with (
        pytest.raises(KeyboardInterrupt),
        AudioWriter(path, container="flac", sample_rate=RATE, channels=2, bits=24) as writer,
    ):
        _interrupt(writer)
    assert not os.path.lexists(path)
