"""Testing for one known mark."""

import numpy as np
import pytest
from conftest import make_music
from scipy.signal import resample_poly

import watermark

WATERMARK_KEY = bytes(range(32))
PAYLOAD = bytes.fromhex("0123456789abcdef")
RATE = 22_050


@pytest.fixture(scope="module")
def marked() -> np.ndarray:
    host = make_music(30.0, seed=41, sample_rate=RATE)
    return watermark.embed(host, sample_rate=RATE, watermark_key=WATERMARK_KEY, payload=PAYLOAD)


def match(
    audio: np.ndarray, payload: bytes = PAYLOAD, key: bytes = WATERMARK_KEY
) -> watermark.CandidateMatch:
    return watermark.match_candidate(
        np.ascontiguousarray(audio, np.float32), sample_rate=RATE, watermark_key=key, payload=payload
    )


def noisy(audio: np.ndarray, level_db: float) -> np.ndarray:
    noise = np.random.default_rng(3).standard_normal(audio.shape)
    return audio + noise * audio.std() * 10 ** (-level_db / 20)


def test_a_known_mark_is_told_where_the_blind_payload_fails(marked: np.ndarray) -> None:
    """Half a second is an eighth of a block: the payload cannot be read, its presence can be tested."""
    clip = marked[:, 9 * RATE : 9 * RATE + RATE // 2].copy()
    assert not watermark.detect(clip, sample_rate=RATE, watermark_keys=[WATERMARK_KEY]).detected
    known = match(clip)
    assert known.present
    assert known.false_alarm_probability <= 1e-9


def test_the_alignment_is_measured(marked: np.ndarray) -> None:
    found = match(resample_poly(marked, 20, 21, axis=1)[:, 2 * RATE : 10 * RATE])
    assert found.present
    assert found.alignment is not None
    assert found.alignment.speed == pytest.approx(1.05, rel=0.003)
    assert found.alignment.pitch_semitones == pytest.approx(0.845, abs=0.15)


@pytest.mark.parametrize("first_byte", range(4))
def test_another_payload_of_the_same_key_is_not_matched(first_byte: int, marked: np.ndarray) -> None:
    """Its synchronisation pattern is the same, and strong: that must not count."""
    found = match(marked[:, : 16 * RATE], payload=bytes([first_byte]) + PAYLOAD[1:])
    assert found.present == (bytes([first_byte]) == PAYLOAD[:1])
    assert found.present or found.false_alarm_probability > 1e-4


def reorder(audio: np.ndarray) -> np.ndarray:
    """Cut into sections of 1.3 s and put them in reverse order."""
    sections = [audio[:, a : a + int(1.3 * RATE)] for a in range(0, audio.shape[1], int(1.3 * RATE))]
    return np.concatenate(sections[::-1], axis=1)


def test_a_recording_in_another_order_is_told_by_its_pieces(marked: np.ndarray) -> None:
    clip = reorder(noisy(marked[:, 3 * RATE : 9 * RATE], 38))
    assert match(clip).present
    other = PAYLOAD[:-1] + b"\0"
    assert match(clip, payload=other).false_alarm_probability > 1e-3
    assert match(clip, key=bytes(32)).false_alarm_probability > 1e-3


def test_another_key_and_another_recording_are_not_matched(marked: np.ndarray) -> None:
    assert not match(marked[:, : 10 * RATE], key=bytes(32)).present
    assert not match(make_music(10.0, seed=42, sample_rate=RATE)).present


def test_segments_add_up(marked: np.ndarray) -> None:
    short = match(noisy(marked[:, : 12 * RATE], 25.0))
    long = match(noisy(marked, 25.0))
    assert long.false_alarm_probability < short.false_alarm_probability


def test_blocks_of_any_size_give_the_same_answer(marked: np.ndarray) -> None:
    matcher = watermark.CandidateMatcher(
        sample_rate=RATE, channels=2, watermark_key=WATERMARK_KEY, payload=PAYLOAD
    )
    for block in np.split(marked, [5, 100_000, 500_001], axis=1):
        matcher.push(block)
    assert matcher.finish() == match(marked)


@pytest.mark.parametrize("samples", [0, 1, 700])
def test_too_little_audio_is_an_answer(samples: int, marked: np.ndarray) -> None:
    found = match(marked[:, :samples])
    assert not found.present
    assert found.alignment is None
    assert found.false_alarm_probability > 1e-6


def test_bad_payloads_are_refused() -> None:
    with pytest.raises(ValueError, match="payload of 8 bytes"):
        match(np.zeros((1, 10)), payload=b"short")
