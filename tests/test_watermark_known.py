"""A registry's payloads as side information: shorter and noisier clips are told, and nothing is invented."""

import numpy as np
import pytest
from conftest import make_music

import watermark
from watermark.layout import codeword_of

RATE = 22_050
WATERMARK_KEY = bytes(range(32))
PAYLOAD = bytes.fromhex("0123456789abcdef")
OTHERS = [np.random.default_rng(n).bytes(8) for n in range(500)]


@pytest.fixture(scope="module")
def noisy() -> np.ndarray:
    """Eight seconds under noise in which the code alone cannot be decoded any more."""
    host = make_music(8.0, seed=77, sample_rate=RATE)
    done = watermark.embed(host, sample_rate=RATE, watermark_key=WATERMARK_KEY, payload=PAYLOAD)
    noise = np.random.default_rng(5).standard_normal(done.shape)
    return (done + NOISE * done.std() * noise).astype(np.float32)


NOISE = 0.13


def detect(audio: np.ndarray, known: list[bytes]) -> watermark.Detection:
    return watermark.detect(
        audio,
        sample_rate=RATE,
        watermark_keys=[WATERMARK_KEY],
        profiles=[watermark.PROFILE],
        known=[watermark.KnownPayloads(WATERMARK_KEY, known)],
    )


def test_a_registered_payload_is_told_where_the_code_fails(noisy: np.ndarray) -> None:
    assert not detect(noisy, []).detected
    found = detect(noisy, [*OTHERS, PAYLOAD])
    assert found.payload == PAYLOAD
    assert found.with_registry
    assert found.false_alarm_probability <= 1e-9


def test_a_payload_that_is_not_registered_is_not_taken_for_another(noisy: np.ndarray) -> None:
    assert not detect(noisy, OTHERS).detected


def test_unmarked_music_matches_nothing() -> None:
    host = make_music(8.0, seed=78, sample_rate=RATE)
    assert not detect(host, [*OTHERS, PAYLOAD]).detected


def test_a_clear_mark_is_read_without_the_registry() -> None:
    host = make_music(8.0, seed=79, sample_rate=RATE)
    done = watermark.embed(host, sample_rate=RATE, watermark_key=WATERMARK_KEY, payload=PAYLOAD)
    found = detect(done, OTHERS)
    assert found.payload == PAYLOAD
    assert not found.with_registry


def test_the_match_is_the_correlation_with_the_codeword() -> None:
    known = watermark.KnownPayloads(WATERMARK_KEY, [*OTHERS, PAYLOAD])
    rng = np.random.default_rng(9)
    signs = 1.0 - 2.0 * codeword_of(PAYLOAD, WATERMARK_KEY, watermark.PROFILE)
    soft = 0.5 * signs + rng.standard_normal(signs.size)
    match = known.match(soft)
    assert match is not None
    assert match[0] == PAYLOAD
    assert match[1] == pytest.approx((signs * soft).sum() / np.sqrt((soft**2).sum()), rel=1e-5)
    by_chance = known.match(rng.standard_normal(signs.size))
    assert by_chance is None or by_chance[1] < 5
    assert known.match(np.zeros(signs.size)) is None


def test_repeated_payloads_count_once_and_bad_ones_are_refused() -> None:
    assert watermark.KnownPayloads(WATERMARK_KEY, [PAYLOAD, PAYLOAD]).payloads == (PAYLOAD,)
    with pytest.raises(ValueError, match="8 bytes"):
        watermark.KnownPayloads(WATERMARK_KEY, [b"short"])


def test_two_payloads_that_fit_alike_are_none() -> None:
    known = watermark.KnownPayloads(WATERMARK_KEY, [*OTHERS, PAYLOAD])
    one, other = (
        1.0 - 2.0 * codeword_of(payload, WATERMARK_KEY, watermark.PROFILE) for payload in (PAYLOAD, OTHERS[3])
    )
    assert known.match(one + other) is None
    assert known.match(one + 0.3 * other) is not None
