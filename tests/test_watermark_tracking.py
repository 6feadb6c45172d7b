"""Following a mark across cuts."""

from itertools import pairwise

import numpy as np
import pytest
from conftest import make_music

import watermark
from watermark.layout import layout_of
from watermark.profile import PN3
from watermark.segment import Placement, Segment, read_cells, read_columns, read_steps
from watermark.sequence import numbered
from watermark.spectrogram import frame_grid, frame_power
from watermark.synchronisation import refine, search
from watermark.tracking import follow

WATERMARK_KEY = bytes(range(32))
PAYLOAD = bytes.fromhex("fedcba9876543210")
RATE = 22_050


@pytest.fixture(scope="module")
def marked() -> np.ndarray:
    host = make_music(40.0, seed=31, sample_rate=RATE)
    return watermark.embed(host, sample_rate=RATE, watermark_key=WATERMARK_KEY, payload=PAYLOAD)


def segment_of(audio: np.ndarray) -> Segment:
    grid = frame_grid(PN3, RATE)
    return Segment(frame_power(audio, grid, 0, grid.frames(audio.shape[1]), 0), grid, PN3)


def placed(segment: Segment) -> Placement:
    layout = layout_of(WATERMARK_KEY, PN3)
    rough = numbered(segment, layout, search(segment, layout, [1.0], 1)[0])
    return refine(segment, layout, rough)[0]


def pieces_removed(audio: np.ndarray, *, every_s: float, piece_s: float) -> np.ndarray:
    place = np.arange(audio.shape[1]) % round(every_s * RATE)
    return np.ascontiguousarray(audio[:, place >= round(piece_s * RATE)])


def test_an_uncut_segment_is_one_run(marked: np.ndarray) -> None:
    segment = segment_of(marked[:, : 15 * RATE])
    placement = placed(segment)
    path = follow(segment, layout_of(WATERMARK_KEY, PN3), placement)
    assert len(path.runs) == 1
    assert path.statistic == pytest.approx(placement.statistic, rel=0.02)


def test_a_splice_splits_the_path_where_it_is(marked: np.ndarray) -> None:
    spliced = np.concatenate([marked[:, : 8 * RATE], marked[:, 25 * RATE : 33 * RATE]], axis=1)
    segment = segment_of(spliced)
    placement = placed(segment)
    path = follow(segment, layout_of(WATERMARK_KEY, PN3), placement)
    hop_s = PN3.column_s / PN3.frames_per_column
    assert path.jumps == 1
    jump = next(a for a, b in pairwise(path.runs) if b.placement.first_block != a.placement.first_block)
    assert jump.last_frame * hop_s == pytest.approx(8.0, abs=0.6)
    assert path.statistic > 1.2 * placement.statistic


def test_runs_cover_the_segment_without_gap(marked: np.ndarray) -> None:
    segment = segment_of(pieces_removed(marked[:, : 16 * RATE], every_s=1.3, piece_s=0.13))
    path = follow(segment, layout_of(WATERMARK_KEY, PN3), Placement(1.0, 0.0, 0.0, 0.0))
    assert path.runs[0].first_frame == 0.0
    assert path.runs[-1].last_frame == segment.frames
    for one, after in zip(path.runs, path.runs[1:], strict=False):
        assert one.last_frame == after.first_frame


def test_cells_of_two_parts_add_up_to_the_whole(marked: np.ndarray) -> None:
    segment, layout = segment_of(marked[:, : 9 * RATE]), layout_of(WATERMARK_KEY, PN3)
    placement = Placement(1.03, 1.25, 77.7, 0.0)
    whole = read_cells(segment, layout, placement)
    parts = [read_cells(segment, layout, placement, *span) for span in ((0.0, 311.4), (311.4, np.inf))]
    assert whole == pytest.approx(parts[0] + parts[1], abs=1e-6)


def test_four_steps_are_a_cell(marked: np.ndarray) -> None:
    """Steps are quarter columns: four of them have the mean of the cell they make up."""
    segment, layout = segment_of(marked[:, : 4 * RATE]), layout_of(WATERMARK_KEY, PN3)
    placement = Placement(1.0, 0.0, 12.5, 0.0)
    steps, first = read_steps(segment, layout, placement)
    cells, first_column = read_columns(segment, layout, placement)
    for column in (0, 7, 40):
        at = 4 * column - first
        assert steps[at : at + 4].mean(axis=0) == pytest.approx(cells[column - first_column], abs=1e-6)


@pytest.mark.parametrize("change", ["pieces removed", "sections reversed"])
def test_a_clip_cut_to_pieces_is_read(change: str, marked: np.ndarray) -> None:
    clip = marked[:, 3 * RATE : 33 * RATE]
    if change == "pieces removed":
        cut = pieces_removed(clip, every_s=2.3, piece_s=0.15)
    else:
        cut = np.concatenate(np.array_split(clip, 6, axis=1)[::-1], axis=1)
    found = watermark.detect(cut, sample_rate=RATE, watermark_keys=[WATERMARK_KEY])
    assert found.payload == PAYLOAD
    assert found.false_alarm_probability < 1e-9


def test_cut_music_without_a_mark_gives_no_detection() -> None:
    cut = pieces_removed(make_music(30.0, seed=32, sample_rate=RATE), every_s=1.1, piece_s=0.11)
    found = watermark.detect(cut, sample_rate=RATE, watermark_keys=[WATERMARK_KEY])
    assert not found.detected
    assert found.false_alarm_probability > 1e-4
