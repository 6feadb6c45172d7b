"""Why audio is a poor carrier: a table of signals and the reasons that are given."""

import re
from pathlib import Path

import numpy as np
import pytest
from conftest import SAMPLE_RATE, Audio, make_music, write_audio

import api.carrier
from api.carrier import TEXTS, describe, explain

SECONDS = 8
TIME = np.arange(SECONDS * SAMPLE_RATE) / SAMPLE_RATE


def tone(frequency: float, *, amplitude: float = 0.5) -> Audio:
    return (amplitude * np.sin(2 * np.pi * frequency * TIME))[None, :].astype(np.float32)


def square(frequency: float, amplitude: float) -> Audio:
    return (amplitude * np.sign(np.sin(2 * np.pi * frequency * TIME)))[None, :].astype(np.float32)


def music() -> Audio:
    return make_music(SECONDS, seed=1)


SIGNALS = [
    ("silence", np.zeros((2, TIME.size), np.float32), ("silent",)),
    ("a hum far below hearing", music() * np.float32(1e-4), ("near-silent",)),
    ("a constant", np.full((1, TIME.size), 0.5, np.float32), ("out-of-band",)),
    ("40 Hz", tone(40.0), ("out-of-band",)),
    ("15 kHz", tone(15_000.0), ("out-of-band",)),
    ("a tone", tone(440.0), ("sustained-tone",)),
    ("a chord", sum(tone(f, amplitude=0.15) for f in (220.0, 277.2, 329.6)), ("sustained-tone",)),
    ("a tone in opposite phase", np.concatenate([tone(440.0), -tone(440.0)]), ("sustained-tone",)),
    ("a tone on the second channel", np.concatenate([0 * tone(440.0), tone(440.0)]), ("sustained-tone",)),
    ("a square wave", square(441.0, 0.5), ("sustained-tone",)),
    ("a full-scale square wave", square(441.0, 1.0), ("full-scale", "sustained-tone")),
    ("music", music(), ("unexplained",)),
    ("noise", np.random.default_rng(1).normal(0, 0.1, (1, TIME.size)).astype(np.float32), ("unexplained",)),
    ("music, then silence", np.concatenate([music(), 0 * music()], axis=1), ("partly-silent",)),
    ("half a second of music", music()[:, : SAMPLE_RATE // 2], ("too-short",)),
    ("half a second of silence", np.zeros((1, SAMPLE_RATE // 2), np.float32), ("too-short", "silent")),
    ("one sample", np.full((1, 1), 0.5, np.float32), ("too-short",)),
]


@pytest.mark.parametrize(("audio", "expected"), [case[1:] for case in SIGNALS], ids=[c[0] for c in SIGNALS])
def test_each_signal_gets_its_reasons(tmp_path: Path, audio: Audio, expected: tuple[str, ...]) -> None:
    assert explain(write_audio(tmp_path / "a.wav", audio, subtype="PCM_24")) == expected


def test_sixteen_bits_change_no_reason(tmp_path: Path) -> None:
    for name in ("a tone", "silence", "40 Hz"):
        audio, expected = next(case[1:] for case in SIGNALS if case[0] == name)
        assert explain(write_audio(tmp_path / "a.wav", audio, subtype="PCM_16")) == expected


def test_every_reason_is_written_down_and_in_words() -> None:
    listed = re.findall(r"^\| ([a-z-]+) \|", api.carrier.__doc__ or "", re.M)
    assert listed[:2] == ["code", "---"]
    assert set(listed[2:]) == set(TEXTS)
    assert describe(("too-short", "silent")) == "it is shorter than 5 s; it is digital silence"
    # A statement of a later version may give a reason that this one does not know.
    assert describe(("some-later-reason",)) == "some-later-reason"
