"""Telling the copies of one track apart, alone and mixed, and never naming one that had no part in a clip."""

from collections.abc import Callable

import numpy as np
import pytest
from conftest import make_music

import watermark

RATE = 22_050
WATERMARK_KEY = bytes(range(32))
COPIES = [np.random.default_rng(n).bytes(8) for n in range(1_000)]
KNOWN = [watermark.KnownPayloads(WATERMARK_KEY, COPIES)]
MEMBERS = (3, 70, 500)


@pytest.fixture(scope="module")
def copies() -> list[np.ndarray]:
    host = make_music(10.0, seed=7, sample_rate=RATE, channels=1)
    return [
        watermark.embed(host, sample_rate=RATE, watermark_key=WATERMARK_KEY, payload=COPIES[number])
        for number in MEMBERS
    ]


def trace(audio: np.ndarray) -> watermark.Trace:
    return watermark.trace(np.ascontiguousarray(audio, np.float32), sample_rate=RATE, known=KNOWN)


def named(audio: np.ndarray) -> set[int]:
    return {COPIES.index(copy.payload) for copy in trace(audio).named}


def test_one_of_a_thousand_copies_is_named_from_less_than_a_second(copies: list[np.ndarray]) -> None:
    clip = copies[0][:, 2 * RATE : round(2.7 * RATE)]
    assert not watermark.detect(clip, sample_rate=RATE, watermark_keys=[WATERMARK_KEY]).detected
    found = trace(clip)
    assert [copy.payload for copy in found.named] == [COPIES[3]]
    assert found.named[0].false_alarm_probability <= 1e-9
    assert not found.foreign
    assert found.likeliest[0][0] == COPIES[3]


def alternate(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Take quarter seconds from one and the other in turn."""
    return np.where(np.arange(a.shape[1]) // (RATE // 4) % 2, a, b)


@pytest.mark.parametrize(
    "mix",
    [
        lambda a, b: (a + b) / 2,
        np.minimum,
        lambda a, b: np.where(np.abs(a) > np.abs(b), a, b),
        lambda a, b: np.concatenate([a[:, : 5 * RATE], b[:, 5 * RATE :]], axis=1),
        alternate,
    ],
)
def test_both_of_two_mixed_copies_are_named_and_no_third(
    copies: list[np.ndarray], mix: Callable[[np.ndarray, np.ndarray], np.ndarray]
) -> None:
    assert named(mix(copies[0], copies[1])) == {3, 70}


def test_all_of_three_averaged_copies_are_named(copies: list[np.ndarray]) -> None:
    assert named(np.mean(copies, axis=0)) == set(MEMBERS)


def test_audio_without_a_mark_or_under_another_key_accuses_nobody(copies: list[np.ndarray]) -> None:
    plain = make_music(10.0, seed=8, sample_rate=RATE, channels=1)
    other = watermark.embed(plain, sample_rate=RATE, watermark_key=bytes(32), payload=COPIES[0])
    for audio in (plain, other):
        found = trace(audio)
        assert (found.named, found.foreign) == ((), False)


def test_a_mark_of_the_key_that_is_no_copy_is_said_to_be_foreign(copies: list[np.ndarray]) -> None:
    stranger = watermark.embed(
        make_music(10.0, seed=7, sample_rate=RATE, channels=1),
        sample_rate=RATE,
        watermark_key=WATERMARK_KEY,
        payload=bytes(8),
    )
    alone, mixed = trace(stranger), trace((stranger + copies[1]) / 2)
    assert (alone.named, alone.foreign) == ((), True)
    assert [copy.payload for copy in mixed.named] == [COPIES[70]]
    assert mixed.foreign


def test_cut_anywhere_the_blocks_give_the_same_answer(copies: list[np.ndarray]) -> None:
    tracer = watermark.Tracer(sample_rate=RATE, channels=1, known=KNOWN)
    for block in np.split(copies[1], [5, 100_000], axis=1):
        tracer.push(block)
    assert tracer.finish() == trace(copies[1])


def test_too_little_audio_names_nobody_and_no_payloads_are_refused(copies: list[np.ndarray]) -> None:
    assert trace(copies[0][:, :700]).named == ()
    with pytest.raises(ValueError, match="at least one known payload"):
        watermark.trace(copies[0], sample_rate=RATE, known=[])
