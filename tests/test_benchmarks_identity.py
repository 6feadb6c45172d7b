"""The identity benchmark: what counts as a right answer, a copy, and a false one."""

import numpy as np
import pytest

from benchmarks.identity_attacks import GROUPS
from benchmarks.identity_material import fill_catalogue, list_sources
from benchmarks.identity_report import judge_answer, summarise
from benchmarks.music import Track
from watermark.identity import Fingerprint, Landmarks, Sketch

ATTACK = GROUPS[0].attacks[0].name


def make_track(name: str) -> Track:
    return Track(name, "package", name, 60.0, "test", "GPL-2+", f"digest of {name}")


def make_fingerprint(seconds: float) -> Fingerprint:
    """As little as altered copies can be made of."""
    landmarks = Landmarks(
        "fp1", np.array([3, 50], np.int32), np.array([40, 60], np.float32), np.ones(2, np.float32)
    )
    sketch = Sketch("sk1", np.arange(50, dtype=np.uint32), np.ones(50, np.bool_), np.zeros((4, 16), np.uint8))
    return Fingerprint("fp1", seconds, landmarks, sketch)


def test_a_copy_has_the_source_of_the_track_that_it_was_made_of() -> None:
    catalogue = fill_catalogue([make_fingerprint(10.0), make_fingerprint(1_000.0)], 7, seed=1)
    sources = list_sources([make_track("short"), make_track("long")], 7)
    assert sorted(catalogue) == list(range(7))
    for number, source in enumerate(sources):
        assert source == ("digest of short" if catalogue[number].seconds < 100 else "digest of long")


@pytest.mark.parametrize(
    ("answer", "verdict"),
    [
        ({}, "none"),
        ({"track": 1, "source": "b"}, "right"),
        ({"track": 3, "source": "b"}, "copy"),
        ({"track": 0, "source": "a"}, "wrong"),
        ({"track": 2, "source": "a"}, "wrong"),
    ],
)
def test_a_copy_of_the_track_is_neither_right_nor_wrong(answer: dict[str, object], verdict: str) -> None:
    row = {"number": 1, "source": "b"}
    assert judge_answer(row, answer) == verdict
    cell = {"kind": "rich", "length_s": 10.0, "cpu_s": 0.1}
    full = {**cell, **answer, "start_s": 5.0, "time_scale": 1.0}
    asked = {**row, "attack": ATTACK, "true_start_s": 5.0, "answers": [full]}
    stranger = {**row, "attack": "", "true_start_s": 0.0, "answers": [cell]}
    results = summarise([asked, stranger], kinds=["rich"], lengths_s=[10.0], levels=[1e-6], place_s=0.5)
    (counts,) = results["attacks"]
    assert (counts["right"], counts["copies"], counts["wrong"]) == tuple(
        int(verdict == name) for name in ("right", "copy", "wrong")
    )
    assert results["groups"][0]["rate"] == (verdict == "right")
