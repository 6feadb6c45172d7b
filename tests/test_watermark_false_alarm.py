"""The bounds on false alarms: they hold on hostile values, and never claim zero."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from watermark.false_alarm import (
    log_probability,
    payload_log_probability,
    presence_log_probability,
    probability,
)


@pytest.mark.parametrize("kind", ["equal", "gaussian", "heavy", "one large"])
def test_random_signs_exceed_a_statistic_no_more_often_than_stated(kind: str) -> None:
    """Whatever the values are: 200,000 sign patterns each, seeded."""
    rng = np.random.default_rng(11)
    values = {
        "equal": np.ones(100),
        "gaussian": rng.standard_normal(100),
        "heavy": rng.standard_cauchy(100),
        "one large": np.r_[100.0, np.ones(99)],
    }[kind]
    signs = rng.integers(0, 2, (200_000, 100), dtype=np.int8) * 2 - 1
    statistics = signs.astype(np.float32) @ values / np.sqrt((values**2).sum())
    for threshold in (1.0, 2.0, 3.0, 4.0):
        stated = math.exp(log_probability(threshold, 0.0))
        assert (statistics >= threshold).mean() <= stated


@given(st.floats(0, 1e3), st.floats(0, 1e3), st.integers(1, 10**9))
@settings(derandomize=True, max_examples=100)
def test_a_stronger_statistic_is_never_likelier_by_chance(a: float, b: float, trials: int) -> None:
    low, high = sorted((a, b))
    assert presence_log_probability(high, trials) <= presence_log_probability(low, trials)
    assert presence_log_probability(low, trials) <= presence_log_probability(low, 2 * trials)


def test_a_negative_statistic_is_no_evidence() -> None:
    assert presence_log_probability(-20.0, 1) == 0.0


def test_a_probability_is_never_zero_and_never_above_one() -> None:
    assert 0 < probability(-1e9) < 1e-300
    assert probability(0.0) == 1.0


def test_the_payload_bound_counts_codewords_and_attempts() -> None:
    one = payload_log_probability(14.0, 64, 1)
    assert one == pytest.approx(64 * math.log(2) - 98.0)
    assert payload_log_probability(14.0, 64, 8) == pytest.approx(one + math.log(8))
