"""Pictures of comparisons: valid, the same each time, readable, and safe against what names contain."""

import io
import re
import sys
from xml.etree import ElementTree

import numpy as np
import pytest

from api.errors import RefusedError
from api.pictures import COLOURS, HATCHINGS, INK, PAPER, MarkBlock, draw_alignment, draw_changes
from watermark.identity.outcome import CHANGE_KINDS, Change, Comparison, IntactRange, Placement

pytest.importorskip("matplotlib")

RATE = 8_000
SECONDS = 60.0


@pytest.fixture(scope="module")
def samples():
    time_s = np.arange(round(SECONDS * RATE)) / RATE
    swell = 0.5 + 0.4 * np.sin(2 * np.pi * time_s / 11)
    return (swell * np.random.default_rng(1).uniform(-1, 1, time_s.shape))[None].astype(np.float32)


@pytest.fixture(scope="module")
def comparison():
    def intact(start_s, end_s, shift_s):
        return IntactRange(start_s, end_s, Placement(shift_s, 1.0, 0.0), 0.08)

    changes = (
        Change("replaced", 8.0, 10.0, 13.0, 15.0, 0.99),
        Change("inserted", 20.0, 23.0, 25.0, 25.0, 0.99),
        Change("removed", 30.0, 30.0, 32.0, 36.0, 0.99),
        Change("reordered", 38.0, 42.0, 60.0, 64.0, 0.97),
        Change("overlaid", 48.0, 52.0, 54.0, 58.0, 0.95, "infrasonic"),
    )
    pieces = (intact(0, 8, 5), intact(10, 20, 5), intact(23, 30, 2), intact(30, 38, 6), intact(42, 58, 6))
    return Comparison(True, "", pieces, changes, ((58.0, 60.0),), 0.08)


MARKS = (MarkBlock(0, 20, True), MarkBlock(20, 30, False), MarkBlock(30, 45, True), MarkBlock(45, 60, None))


def both(samples, comparison, picture_format, title="clip.wav against The Track"):
    strip = draw_changes(
        samples, comparison, sample_rate=RATE, title=title, marks=MARKS, picture_format=picture_format
    )
    plot = draw_alignment(
        comparison, query_s=SECONDS, track_s=80.0, title=title, picture_format=picture_format
    )
    return strip, plot


def test_png_is_an_image_of_a_readable_size(samples, comparison):
    from matplotlib.image import imread

    for data in both(samples, comparison, "png"):
        image = imread(io.BytesIO(data))
        assert image.shape[1] == 1_100
        assert 350 <= image.shape[0] <= 800
        assert len(data) < 200_000


def test_svg_is_xml_with_its_words_as_text(samples, comparison):
    for data in both(samples, comparison, "svg"):
        root = ElementTree.fromstring(data)
        assert root.tag.endswith("svg")
        words = "".join(root.itertext())
        assert "clip.wav against The Track" in words
        for kind in CHANGE_KINDS:
            assert kind in words
        assert len(data) < 400_000
        assert b"<script" not in data
        assert b'href="http' not in data


@pytest.mark.parametrize("picture_format", ["png", "svg"])
def test_the_same_comparison_gives_the_same_bytes(samples, comparison, picture_format):
    assert both(samples, comparison, picture_format) == both(samples, comparison, picture_format)


def test_settings_of_the_machine_change_nothing_and_are_left_alone(samples, comparison):
    import matplotlib as mpl

    plain = both(samples, comparison, "svg")
    with mpl.rc_context({"font.size": 30, "axes.facecolor": "black"}):
        assert both(samples, comparison, "svg") == plain
        assert mpl.rcParams["font.size"] == 30


def test_every_kind_of_change_is_drawn_in_its_colour(samples, comparison):
    from matplotlib.image import imread

    strip, plot = both(samples, comparison, "png")
    for data in (strip, plot):
        pixels = (imread(io.BytesIO(data))[..., :3] * 255).round().astype(int).reshape(-1, 3)
        for kind in CHANGE_KINDS:
            wanted = [int(COLOURS[kind][n : n + 2], 16) for n in (1, 3, 5)]
            assert (np.abs(pixels - wanted).max(axis=1) < 6).sum() > 20, kind


def test_a_name_cannot_write_into_the_picture(samples, comparison):
    title = 'a $\\frac{1}{0}$ <script>alert(1)</script> & "b"'
    strip, _ = both(samples, comparison, "svg", title)
    assert b"<script" not in strip
    assert "<script>alert(1)</script>" in "".join(ElementTree.fromstring(strip).itertext())


def test_what_cannot_be_assessed_says_so(samples):
    unclear = Comparison(False, "too damaged to judge", (), (), (), 0.4)
    strip, plot = both(samples, unclear, "svg")
    for data in (strip, plot):
        assert "not assessable: too damaged to judge" in "".join(ElementTree.fromstring(data).itertext())


def test_an_empty_clip_is_drawn_as_well():
    nothing = Comparison(False, "nothing to hear", (), (), (), 1.0)
    data = draw_changes(np.zeros((1, 1), np.float32), nothing, sample_rate=RATE, title="empty")
    assert data.startswith(b"\x89PNG")


def luminance(colour):
    """Relative luminance of WCAG 2."""
    parts = [int(colour[n : n + 2], 16) / 255 for n in (1, 3, 5)]
    linear = [part / 12.92 if part <= 0.03928 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
    return float(np.dot([0.2126, 0.7152, 0.0722], linear))


def test_text_is_dark_on_light(samples, comparison):
    assert (luminance(PAPER) + 0.05) / (luminance(INK) + 0.05) > 12
    strip, _ = both(samples, comparison, "svg")
    colours = re.findall(rb"<text[^>]*fill: (#[0-9a-f]{6})", strip)
    assert all(luminance(colour.decode()) < 0.05 for colour in colours)


def deuteranope(colour):
    """What a colour looks like without green cones (Machado et al. 2009, severity 1, sRGB values)."""
    matrix = np.array([[0.367, 0.861, -0.228], [0.280, 0.673, 0.047], [-0.012, 0.043, 0.969]])
    return matrix @ [int(colour[n : n + 2], 16) for n in (1, 3, 5)]


def test_kinds_differ_to_colour_blind_eyes_and_in_print():
    kinds = list(CHANGE_KINDS)
    for place, kind in enumerate(kinds):
        for other in kinds[:place]:
            assert np.linalg.norm(deuteranope(COLOURS[kind]) - deuteranope(COLOURS[other])) > 30
    assert len(set(HATCHINGS.values())) == len(kinds)


def test_another_format_is_refused(samples, comparison):
    with pytest.raises(ValueError, match="jpeg"):
        both(samples, comparison, "jpeg")


def test_without_the_library_the_extra_is_named(comparison, monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    with pytest.raises(RefusedError, match="pictures"):
        draw_alignment(comparison, query_s=1.0, track_s=1.0, title="x")
