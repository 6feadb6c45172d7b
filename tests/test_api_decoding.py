"""Decoding of files from strangers: what is read, what is refused, and in which words."""

import contextlib
import dataclasses
import hashlib
import struct
from pathlib import Path

import numpy as np
import pytest
import soundfile
from numpy.typing import NDArray

from api.audiofile import PcmDigest
from api.decoding import DEFAULT_LIMITS, Limits, Recording, open_recording
from api.errors import AudioRefusedError, TooLargeError

RATE = 44_100


def noise(seconds: float, channels: int = 2, sample_rate: int = RATE) -> NDArray[np.float32]:
    rng = np.random.default_rng(5)
    return (0.1 * rng.standard_normal((round(seconds * sample_rate), channels))).astype(np.float32)


def decode(path: Path, limits: Limits = DEFAULT_LIMITS) -> tuple[Recording, NDArray[np.float32]]:
    with open_recording(path, limits) as recording:
        blocks = list(recording.blocks())
    return recording, np.concatenate(blocks, axis=1)


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("a.wav", {"subtype": "PCM_16"}),
        ("a.wav", {"subtype": "FLOAT"}),
        ("a.flac", {"subtype": "PCM_24"}),
        ("a.aiff", {"subtype": "PCM_24"}),
        ("a.ogg", {"subtype": "VORBIS"}),
        ("a.mp3", {}),
        ("a.w64", {"format": "W64"}),
    ],
)
def test_every_common_format_is_read_in_full(tmp_path: Path, name: str, options: dict[str, str]) -> None:
    soundfile.write(tmp_path / name, noise(5.0), RATE, **options)
    recording, audio = decode(tmp_path / name)
    assert audio.shape == (2, 5 * RATE)
    assert audio.dtype == np.float32
    assert recording.samples == 5 * RATE
    assert recording.damage == ""


def test_opus_is_read(tmp_path: Path) -> None:
    soundfile.write(tmp_path / "a.opus", noise(1.0, sample_rate=48_000), 48_000, format="OGG", subtype="OPUS")
    assert decode(tmp_path / "a.opus")[1].shape == (2, 48_000)


@pytest.mark.parametrize("sample_rate", [8_000, 192_000])
def test_extreme_sample_rates_are_read(tmp_path: Path, sample_rate: int) -> None:
    soundfile.write(tmp_path / "a.flac", noise(0.5, 1, sample_rate), sample_rate)
    recording, audio = decode(tmp_path / "a.flac")
    assert recording.format.sample_rate == sample_rate
    assert audio.shape == (1, sample_rate // 2)


def test_samples_of_a_lossless_file_are_exact(tmp_path: Path) -> None:
    integers = np.random.default_rng(3).integers(-(1 << 15), 1 << 15, size=(70_000, 2), dtype=np.int16)
    soundfile.write(tmp_path / "a.wav", integers, RATE)
    _, audio = decode(tmp_path / "a.wav")
    assert np.array_equal(audio.T * 32768.0, integers)


def test_pcm_digest_is_that_of_left_justified_32_bit_integers(tmp_path: Path) -> None:
    integers = np.random.default_rng(3).integers(-(1 << 15), 1 << 15, size=(70_000, 2), dtype=np.int16)
    soundfile.write(tmp_path / "a.flac", integers, RATE)
    digest = PcmDigest()
    with open_recording(tmp_path / "a.flac", DEFAULT_LIMITS) as recording:
        for block in recording.blocks():
            digest.push(block)
    assert digest.hex() == hashlib.sha256((integers.astype("<i4") << 16).tobytes()).hexdigest()


def test_a_file_of_one_sample_is_read(tmp_path: Path) -> None:
    soundfile.write(tmp_path / "a.wav", np.zeros((1, 1)), RATE)
    assert decode(tmp_path / "a.wav")[1].shape == (1, 1)


def refused(path: Path, limits: Limits = DEFAULT_LIMITS) -> AudioRefusedError:
    with pytest.raises(AudioRefusedError) as caught:
        decode(path, limits)
    return caught.value


def test_an_empty_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a.wav").touch()
    assert refused(tmp_path / "a.wav").code == "empty"


def test_text_is_refused_as_not_audio(tmp_path: Path) -> None:
    (tmp_path / "a.wav").write_text("this is not audio\n" * 100)
    assert refused(tmp_path / "a.wav").code == "not-audio"


def test_a_file_without_samples_is_refused(tmp_path: Path) -> None:
    soundfile.write(tmp_path / "a.wav", np.zeros((0, 2)), RATE)
    assert refused(tmp_path / "a.wav").code == "no-samples"


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_samples_that_are_not_finite_are_refused(tmp_path: Path, bad: float) -> None:
    samples = noise(1.0)
    samples[RATE // 2, 1] = bad
    soundfile.write(tmp_path / "a.wav", samples, RATE, subtype="FLOAT")
    assert refused(tmp_path / "a.wav").code == "not-finite"


def test_twenty_channels_are_refused(tmp_path: Path) -> None:
    soundfile.write(tmp_path / "a.wav", noise(0.1, 20), RATE)
    error = refused(tmp_path / "a.wav")
    assert error.code == "channels"
    assert "got 20" in str(error)


@pytest.mark.parametrize("sample_rate", [7_999, 384_000])
def test_sample_rates_out_of_range_are_refused(tmp_path: Path, sample_rate: int) -> None:
    soundfile.write(tmp_path / "a.wav", noise(0.1, 1), sample_rate)
    assert refused(tmp_path / "a.wav").code == "sample-rate"


def test_ten_hours_are_refused_before_they_are_decoded(tmp_path: Path) -> None:
    with soundfile.SoundFile(tmp_path / "a.flac", "w", 8_000, 1) as file:
        for _ in range(10):
            file.write(np.zeros(3600 * 8_000, dtype=np.int16))
    error = refused(tmp_path / "a.flac")
    assert error.code == "too-long"
    assert "36000 s" in str(error)


def test_a_recording_longer_than_its_header_says_is_stopped_at_the_limit(tmp_path: Path) -> None:
    path = tmp_path / "a.flac"
    soundfile.write(path, noise(20.0), RATE)
    content = bytearray(path.read_bytes())
    # FLAC STREAMINFO: the low 32 bits of the number of samples lie at byte 22; 0 means "unknown".
    content[22:26] = struct.pack(">I", 0)
    path.write_bytes(content)
    assert refused(path, dataclasses.replace(DEFAULT_LIMITS, max_seconds=10)).code == "too-long"


def test_a_header_that_promises_ten_hours_over_seconds_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.flac"
    soundfile.write(path, noise(1.0), RATE)
    content = bytearray(path.read_bytes())
    content[22:26] = struct.pack(">I", 36_000 * RATE)
    path.write_bytes(content)
    assert refused(path).code == "too-long"


@pytest.mark.parametrize("name", ["a.wav", "a.flac", "a.mp3", "a.ogg", "a.aiff"])
def test_a_truncated_file_is_read_as_far_as_it_goes_and_called_damaged(tmp_path: Path, name: str) -> None:
    soundfile.write(tmp_path / name, noise(10.0), RATE)
    content = (tmp_path / name).read_bytes()
    (tmp_path / name).write_bytes(content[: len(content) // 2])
    recording, audio = decode(tmp_path / name)
    assert 2 * RATE < audio.shape[1] < 8 * RATE
    assert recording.damage != ""


def test_lengths_that_a_program_could_not_know_are_not_damage(tmp_path: Path) -> None:
    # What ffmpeg writes to a pipe: the largest number in WAV, no number in FLAC.
    wav, flac = tmp_path / "a.wav", tmp_path / "a.flac"
    soundfile.write(wav, noise(2.0), RATE)
    soundfile.write(flac, noise(2.0), RATE)
    content = bytearray(wav.read_bytes())
    place = content.index(b"data") + 4
    content[place : place + 4] = b"\xff\xff\xff\xff"
    wav.write_bytes(content)
    content = bytearray(flac.read_bytes())
    content[22:26] = b"\0\0\0\0"
    flac.write_bytes(content)
    for path in (wav, flac):
        recording, audio = decode(path)
        assert (recording.damage, audio.shape[1]) == ("", 2 * RATE)


def test_too_many_bytes_are_refused(tmp_path: Path) -> None:
    soundfile.write(tmp_path / "a.wav", noise(1.0), RATE)
    with pytest.raises(TooLargeError, match="at most 1000 bytes"):
        open_recording(tmp_path / "a.wav", dataclasses.replace(DEFAULT_LIMITS, max_bytes=1000))


def test_a_decoder_that_exceeds_its_memory_is_an_error_and_not_a_crash(tmp_path: Path) -> None:
    soundfile.write(tmp_path / "a.flac", noise(5.0), RATE)
    error = refused(tmp_path / "a.flac", dataclasses.replace(DEFAULT_LIMITS, decode_memory_bytes=1 << 20))
    assert error.code == "decoder-failed"


HEADER = {
    "container": "WAV",
    "subtype": "FLOAT",
    "sample_rate": 8000,
    "channels": 1,
    "frames": 1,
    "damage": "",
}


@pytest.mark.parametrize(
    ("said", "code"),
    [
        ("'x' * 10_000_000", "decoder-failed"),
        ("'none of it\\n'", "decoder-failed"),
        ("'[]\\n'", "decoder-failed"),
        (f"json.dumps({ {**HEADER, 'channels': 99} }) + chr(10)", "decoder-failed"),
        (f"json.dumps({ {**HEADER, 'sample_rate': 0} }) + chr(10)", "decoder-failed"),
        (f"json.dumps({HEADER}) + chr(10) + chr(0) * 4_000_000", "too-long"),
    ],
    ids=["no line", "no JSON", "no object", "channels", "rate", "samples"],
)
def test_a_decoder_that_a_file_has_taken_over_is_not_believed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, said: str, code: str
) -> None:
    decoder = tmp_path / "decoder.py"
    decoder.write_text(f"import json, sys\nsys.stdout.write({said})\n")
    monkeypatch.setattr("api.decoding.DECODER", decoder)
    (tmp_path / "a.wav").write_bytes(b"RIFF")
    assert refused(tmp_path / "a.wav", dataclasses.replace(DEFAULT_LIMITS, max_seconds=60)).code == code


def test_the_decoder_is_ended_when_the_reader_leaves(tmp_path: Path) -> None:
    soundfile.write(tmp_path / "a.wav", noise(60.0), RATE)
    with open_recording(tmp_path / "a.wav", DEFAULT_LIMITS) as recording:
        next(recording.blocks())
        child = recording._child
    assert child.output.closed
    assert child._leash is not None
    assert child._leash.fileno() == -1


@pytest.mark.parametrize("seed", range(30))
def test_random_damage_gives_samples_or_a_refusal(tmp_path: Path, seed: int) -> None:
    rng = np.random.default_rng(seed)
    name = ["a.wav", "a.flac", "a.mp3", "a.ogg", "a.aiff"][seed % 5]
    soundfile.write(tmp_path / name, noise(1.0), RATE)
    content = bytearray((tmp_path / name).read_bytes())
    for place in rng.integers(0, len(content) if seed % 2 else 200, size=8):
        content[place] = int(rng.integers(256))
    (tmp_path / name).write_bytes(content)
    with contextlib.suppress(AudioRefusedError):
        assert np.isfinite(decode(tmp_path / name)[1]).all()
