"""Difficult and wrong input to the signal core: a clear outcome for each, and nothing added but the mark."""

import numpy as np
import pytest
from conftest import SAMPLE_RATE, Audio, make_music

import watermark
from watermark import AudioError

KEY, OTHER_KEY = b"k" * 32, b"o" * 32
PAYLOAD, OTHER_PAYLOAD = b"\x01\x02\x03\x04\x05\x06\x07\x08", b"\xf0\xe0\xd0\xc0\xb0\xa0\x90\x80"
TIME = np.arange(2 * SAMPLE_RATE) / SAMPLE_RATE


def mark(audio: Audio, sample_rate: int = SAMPLE_RATE, key: bytes = KEY, payload: bytes = PAYLOAD) -> Audio:
    return watermark.embed(audio, sample_rate=sample_rate, watermark_key=key, payload=payload)


def read(audio: Audio, *keys: bytes, sample_rate: int = SAMPLE_RATE) -> bytes | None:
    return watermark.detect(audio, sample_rate=sample_rate, watermark_keys=keys or (KEY,)).payload


DIFFICULT = {
    "silence": np.zeros((2, TIME.size)),
    "a fade to nothing": make_music(2.0, seed=1) * np.linspace(1, 0, TIME.size) ** 3,
    "half a second": make_music(0.5, seed=2),
    "one sample": np.full((1, 1), 0.5),
    "no sample": np.zeros((1, 0)),
    "a constant": np.full((1, TIME.size), 0.5),
    "a full-scale constant": np.full((1, TIME.size), -1.0),
    "a full-scale square wave": np.sign(np.sin(2 * np.pi * 441 * TIME + 0.1))[None, :],
    "near silence": make_music(2.0, seed=3) * 1e-5,
    "beyond full scale": make_music(2.0, seed=4) * 4,
    "a click": np.eye(1, TIME.size, 1000),
}


@pytest.mark.parametrize("name", DIFFICULT)
def test_difficult_audio_keeps_its_shape_and_gains_no_false_mark(name: str) -> None:
    audio = DIFFICULT[name].astype(np.float32)
    before = audio.copy()
    marked = mark(audio)
    assert (marked.shape, marked.dtype) == (audio.shape, np.float32)
    assert np.isfinite(marked).all()
    assert np.array_equal(audio, before)
    # Nothing but a mark was added: no sample moves by more than a fraction of the loudest.
    peak = float(np.abs(audio).max(initial=0.0))
    assert float(np.abs(marked - audio).max(initial=0.0)) <= 0.15 * peak
    assert float(np.abs(marked).max(initial=0.0)) <= max(peak, 1.0)
    assert read(audio) is None
    assert read(marked) in (None, PAYLOAD)


def test_digital_silence_stays_silence() -> None:
    assert not mark(np.zeros((2, TIME.size), np.float32)).any()


@pytest.mark.parametrize("sample_rate", [8_000, 11_025, 96_000, 192_000])
def test_every_rate_from_telephony_to_studio_is_marked_and_searched(sample_rate: int) -> None:
    audio = make_music(1.0, seed=5, sample_rate=sample_rate, channels=1)
    marked = mark(audio, sample_rate)
    assert marked.shape == audio.shape
    assert not np.array_equal(marked, audio)
    assert read(marked, sample_rate=sample_rate) in (None, PAYLOAD)


@pytest.mark.parametrize("sample_rate", [-1, 0, 7_999, 192_001])
def test_other_rates_are_refused(sample_rate: int) -> None:
    audio = make_music(0.1, seed=6, channels=1)
    with pytest.raises(AudioError, match="sample rate"):
        mark(audio, sample_rate)
    with pytest.raises(AudioError, match="sample rate"):
        read(audio, sample_rate=sample_rate)
    with pytest.raises(AudioError, match="sample rate"):
        watermark.match_candidate(audio, sample_rate=sample_rate, watermark_key=KEY, payload=PAYLOAD)


@pytest.mark.parametrize("channels", range(1, 9))
def test_one_to_eight_channels_get_the_same_gains(channels: int) -> None:
    mono = make_music(1.0, seed=7, channels=1)
    marked = mark(np.repeat(mono, channels, axis=0))
    assert marked.shape == (channels, mono.shape[1])
    assert np.allclose(marked, marked[:1], atol=1e-6)
    assert not np.array_equal(marked[:1], mono)


@pytest.mark.parametrize("channels", [0, 9])
def test_no_channel_and_nine_are_refused(channels: int) -> None:
    audio = np.zeros((channels, 1000), np.float32)
    with pytest.raises(AudioError, match=f"1 to 8 channels, got {channels}"):
        mark(audio)
    with pytest.raises(AudioError, match=f"1 to 8 channels, got {channels}"):
        read(audio)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("place", [0, 500, 999])
def test_a_sample_that_is_no_number_is_refused(value: float, place: int) -> None:
    audio = make_music(1.0, seed=8)[:, :1000].copy()
    audio[1, place] = value
    with pytest.raises(AudioError, match="finite"):
        mark(audio)
    with pytest.raises(AudioError, match="finite"):
        read(audio)
    with pytest.raises(AudioError, match="finite"):
        watermark.match_candidate(audio, sample_rate=SAMPLE_RATE, watermark_key=KEY, payload=PAYLOAD)


@pytest.mark.parametrize("dtype", [np.int16, np.int32, np.uint8, np.float64, np.complex64, object])
def test_samples_of_another_type_are_refused_and_not_guessed_at(dtype: type) -> None:
    audio = np.zeros((1, 1000), dtype)
    with pytest.raises(AudioError, match="float32"):
        mark(audio)
    with pytest.raises(AudioError, match="float32"):
        read(audio)


@pytest.mark.parametrize("audio", [np.zeros(1000, np.float32), np.zeros((1, 2, 3), np.float32)])
def test_another_shape_is_refused(audio: Audio) -> None:
    with pytest.raises(AudioError, match="shape"):
        mark(audio)
    with pytest.raises(AudioError, match="shape"):
        read(audio)


@pytest.fixture(scope="module")
def once() -> Audio:
    return mark(make_music(10.0, seed=9, channels=1))


def test_audio_marked_again_under_the_same_key_gives_one_of_its_two_marks_or_none(once: Audio) -> None:
    assert read(once) == PAYLOAD
    assert read(mark(once, payload=OTHER_PAYLOAD)) in (PAYLOAD, OTHER_PAYLOAD, None)


def test_audio_marked_again_with_the_same_mark_still_carries_it(once: Audio) -> None:
    assert read(mark(once)) == PAYLOAD


def test_a_mark_of_another_key_is_not_seen_and_does_not_keep_ours_out(once: Audio) -> None:
    assert read(once, OTHER_KEY) is None
    both = mark(once, key=OTHER_KEY, payload=OTHER_PAYLOAD)
    assert read(both, OTHER_KEY) == OTHER_PAYLOAD
    assert read(both, KEY) in (PAYLOAD, None)
    assert read(both, b"x" * 32) is None
