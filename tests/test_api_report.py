"""Reports: rounding that never flatters, and statements without floats."""

import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from api.report import round_up_probability


@given(st.floats(1e-300, 1.0))
@settings(derandomize=True, max_examples=300)
def test_a_probability_is_never_rounded_down(probability: float) -> None:
    rounded = float(round_up_probability(probability))
    assert rounded >= probability * (1 - 1e-9)
    assert rounded <= max(10.0 * probability * (1 + 1e-9), 1e-30)
    assert math.log10(rounded) == pytest.approx(round(math.log10(rounded)))


def test_a_probability_of_zero_is_not_claimed() -> None:
    assert round_up_probability(0.0) == "1e-30"
    assert round_up_probability(1e-200) == "1e-30"
    assert round_up_probability(3e-8) == "1e-7"
    assert round_up_probability(1e-9) == "1e-9"
    assert round_up_probability(1.0) == "1e0"
