"""From readings to an outcome, without audio: cells are made by hand."""

import numpy as np
import pytest

from watermark.finding import Finder, Reading, SegmentReadings
from watermark.layout import codeword_of, layout_of
from watermark.profile import PN2
from watermark.reader import KeyReader, energy_statistic, soft_bits
from watermark.segment import Placement

WATERMARK_KEY = bytes(range(32))
PAYLOAD = bytes.fromhex("0123456789abcdef")
LAYOUT = layout_of(WATERMARK_KEY, PN2)
CHIPS = LAYOUT.chips(codeword_of(PAYLOAD, WATERMARK_KEY, PN2)).astype(np.float32)


def cells_of(share: float, seed: int) -> np.ndarray:
    noise = np.random.default_rng(seed).standard_normal(CHIPS.shape)
    return (share * CHIPS + noise).astype(np.float32)


def conclude(*shares: float) -> tuple[KeyReader, Finder]:
    finder = Finder(LAYOUT)
    for number, share in enumerate(shares):
        placement = Placement(1.0 + number / 100, 0.0, 7.0, 10.0)
        reading = Reading(placement, cells_of(share, number), 20.0 * share)
        finder.segments.append(SegmentReadings(16.0 * number, 16.0 * number + 16, (reading,), 10.0))
    return KeyReader(WATERMARK_KEY, PN2, 0, finder), finder


def test_a_segment_that_speaks_against_the_mark_does_not_stop_the_reading() -> None:
    reader, _ = conclude(-0.02, 0.3)
    found = reader.conclude(1)
    assert found.payload == PAYLOAD
    assert found.segments[0].statistic < 0 < found.segments[1].statistic
    assert [segment.present for segment in found.segments] == [False, True]
    assert found.alignment is not None
    assert found.alignment.speed == pytest.approx(1.01)


def test_no_segments_are_an_answer() -> None:
    reader, _ = conclude()
    assert not reader.conclude(1).detected


def test_energy_stands_out_where_a_payload_is() -> None:
    cells = cells_of(0.11, 5).astype(np.float64)
    noise = cells_of(0.0, 6).astype(np.float64)
    assert energy_statistic(cells, soft_bits(cells, LAYOUT), LAYOUT) > 4
    assert abs(energy_statistic(noise, soft_bits(noise, LAYOUT), LAYOUT)) < 3
    silent = np.zeros_like(cells)
    assert energy_statistic(silent, soft_bits(silent, LAYOUT), LAYOUT) == 0.0
