"""The channel of a query: gain and steady noise of each column, as rows held side by side tell them."""

import numpy as np
import pytest

from watermark.identity.channel import PairedRows, fit_channel
from watermark.identity.sketch_profile import SKETCH_PROFILE

MIDDLE = slice(SKETCH_PROFILE.first_middle, SKETCH_PROFILE.first_high)
NOISE = 1e-7


def pair(held_power: np.ndarray, added: np.ndarray | float, gain: float = 1.0) -> list[PairedRows]:
    """Rows whose columns all hold the same powers."""
    held = np.repeat(held_power[:, None], SKETCH_PROFILE.columns, axis=1)
    found = gain * held + np.broadcast_to(np.reshape(added, (-1, 1)), held.shape)
    return [PairedRows(0, 0.0, 0, np.ones(len(held), np.bool_), found, held)]


@pytest.mark.parametrize("pause_rows", [2, 3, 20])
def test_noise_is_read_from_pauses_however_few(pause_rows: int) -> None:
    held = np.full(160, 1e-4)
    held[40 : 40 + pause_rows] = 1e-12
    gain, noise = fit_channel(pair(held, NOISE, gain=0.5), SKETCH_PROFILE)
    assert gain[MIDDLE] == pytest.approx(0.5, rel=0.02)
    assert noise[MIDDLE] == pytest.approx(NOISE, rel=0.05)


def test_what_was_added_to_a_part_of_a_pause_is_no_noise() -> None:
    held = np.full(160, 1e-4)
    held[40:60] = 1e-12
    added = np.full(160, NOISE)
    added[45:53] = 1e-5
    _, noise = fit_channel(pair(held, added), SKETCH_PROFILE)
    assert noise[MIDDLE].max() < 2 * NOISE
