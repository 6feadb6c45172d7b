"""Panning and the room."""

import numpy as np
import pytest

from generator.mixing import Room, pan_gains, room_response


def test_pan_keeps_power() -> None:
    for pan in (-1.0, -0.3, 0.0, 1.0):
        assert float((pan_gains(pan, 0.0) ** 2).sum()) == pytest.approx(1.0)
        assert float((pan_gains(pan, -6.0) ** 2).sum()) == pytest.approx(10**-0.6)
    assert abs(float(pan_gains(-1.0, 0.0)[1])) < 1e-6


def test_the_room_follows_the_sound_and_dies_away() -> None:
    response = room_response(44_100)
    energy = np.cumsum(response[0][::-1] ** 2)[::-1]
    decay_db = 10 * np.log10(energy / energy[0])
    assert decay_db[int(0.9 * 44_100)] < -35
    click = np.zeros((2, 44_100), dtype=np.float32)
    click[:, 1000] = 1.0
    wet = Room(44_100, 44_100).push(click)
    assert float(np.abs(wet[:, :1000]).max()) < 1e-5
    assert wet[0, 1000] == pytest.approx(1.0, abs=1e-3)


def test_the_room_of_a_stream_is_that_of_the_whole() -> None:
    dry = np.random.default_rng(1).standard_normal((2, 6000)).astype(np.float32)
    whole = Room(22_050, 6000).push(dry)
    room = Room(22_050, 1500)
    blocks = [room.push(dry[:, start : start + 1500]) for start in range(0, 6000, 1500)]
    assert np.allclose(np.concatenate(blocks, axis=1), whole, atol=1e-5)
