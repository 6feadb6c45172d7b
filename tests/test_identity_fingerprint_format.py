"""A fingerprint's bytes: one form each way, and nothing else is taken for one."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from watermark.identity.fingerprint_format import FingerprintError, format_fingerprint, parse_fingerprint
from watermark.identity.outcome import Fingerprint, Landmarks, Sketch
from watermark.identity.profile import PROFILE
from watermark.identity.sketch_profile import SKETCH_PROFILE


def make(landmarks: int = 20, words: int = 50) -> Fingerprint:
    rng = np.random.default_rng(landmarks * 1_000 + words)
    audible = rng.random(words) > 0.1
    return Fingerprint(
        profile_name=PROFILE.name,
        seconds=round(words * 0.04, 3),
        landmarks=Landmarks(
            PROFILE.name,
            np.sort(rng.integers(0, 1_000, landmarks)).astype(np.int32),
            rng.uniform(0, 158, landmarks).astype(np.float32),
            rng.uniform(1, 9, landmarks).astype(np.float32),
        ),
        sketch=Sketch(
            SKETCH_PROFILE.name,
            np.where(audible, rng.integers(0, 2**32, words), 0).astype(np.uint32),
            audible,
            rng.integers(0, 256, (words // 5, SKETCH_PROFILE.columns)).astype(np.uint8),
        ),
    )


@given(landmarks=st.integers(0, 300), words=st.integers(0, 300))
def test_what_is_written_is_read_back_and_written_the_same(landmarks: int, words: int) -> None:
    made = make(landmarks, words)
    data = format_fingerprint(made)
    read = parse_fingerprint(data)
    assert format_fingerprint(read) == data
    assert read.seconds == made.seconds
    assert (read.landmarks.frames == made.landmarks.frames).all()
    assert (read.landmarks.pitches == made.landmarks.pitches).all()
    assert (read.landmarks.strengths == made.landmarks.strengths).all()
    assert (read.sketch.words == made.sketch.words).all()
    assert (read.sketch.extra == made.sketch.extra).all()


def test_a_fingerprint_cut_anywhere_or_with_more_behind_is_refused() -> None:
    data = format_fingerprint(make())
    for stop in range(len(data)):
        with pytest.raises(FingerprintError):
            parse_fingerprint(data[:stop])
    with pytest.raises(FingerprintError):
        parse_fingerprint(data + b"\0")


@pytest.mark.parametrize(
    ("at", "value", "message"),
    [
        (0, b"X", "other bytes"),
        (4, b"\x02", "version 2"),
        (6, b"xx", "expected a fingerprint of one of"),
        (9, b"\xff\xff\xff\xff", "landmarks"),
        (13, b"\xff\xff\xff\xff", "landmarks"),
        (17, b"\xff\xff\xff\x7f", "order of time"),
        (17 + 4 * 20, b"\x00\x00\xc0\x7f", "finite"),
    ],
)
def test_each_fault_is_named(at: int, value: bytes, message: str) -> None:
    data = format_fingerprint(make())
    with pytest.raises(FingerprintError, match=message):
        parse_fingerprint(data[:at] + value + data[at + len(value) :])


@given(st.binary(max_size=200))
def test_foreign_bytes_are_refused(data: bytes) -> None:
    with pytest.raises(FingerprintError):
        parse_fingerprint(data)
