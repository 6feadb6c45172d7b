"""What pages say and draw, without a browser: words for verdicts, the waveform, contrast, templates."""

import re
from importlib.resources import files
from itertools import pairwise

import numpy as np
import pytest

from api import verdict as verdicts
from api.evidence import (
    ChangedRange,
    ContentComparison,
    ContentEvidence,
    Evidence,
    Extent,
    IdentityEvidence,
    LedgerEvidence,
    Range,
    TrackFacts,
    WatermarkEvidence,
)
from api.report import build_predicate
from api.verdict import Verdict
from api.web import findings
from api.web.waveform import COLUMNS, draw_waveform, outline, place_ticks
from api.web.wording import (
    format_bytes,
    format_length,
    format_moment,
    format_odds,
    format_pitch,
    format_speed,
)

TIME = "2026-11-22T17:31:32Z"
TRACK = TrackFacts("k3t5mz7qa2xw4hbn", "stamped", 60.0, 44_100, 2, None)
HISTORY = LedgerEvidence("log.example/a", 3, "00" * 32, (), None)


def make_report(code: str, **parts: object) -> dict[str, object]:
    extent = Extent("WAV", "PCM_16", 44_100, 2, 20 * 44_100, "")
    evidence = {
        "content": ContentEvidence("11" * 32, "22" * 32, extent, None, None),
        "watermark": WatermarkEvidence(False),
        "ledger": None,
        "track": None,
        **parts,
    }
    return build_predicate(Evidence(**evidence), Verdict(code, ()), time=TIME)  # type: ignore[arg-type]


def test_every_verdict_has_its_words_and_a_tone_that_fits_its_exit_code() -> None:
    assert set(findings.TONES) == set(findings.HEADLINES) == set(verdicts.VERDICTS)
    for code, tone in findings.TONES.items():
        assert (tone == findings.GOOD) == (code in verdicts.GOOD), code


@pytest.mark.parametrize(
    ("code", "known"),
    # A mark is transplanted from a track that is known: without one there is no such verdict.
    [(code, known) for code in sorted(verdicts.VERDICTS) for known in (True, False)
     if known or code != verdicts.MARK_TRANSPLANTED],
)  # fmt: skip
def test_every_verdict_is_answered_and_no_axis_is_left_out(code: str, known: bool) -> None:
    parts = {"track": TRACK, "ledger": HISTORY} if known else {}
    report = make_report(code, **parts)
    answers = findings.answer_questions(report)
    assert [bool(item.short and item.text) for item in answers] == [True] * 3
    assert [item.name for item in findings.list_axes(report)] == [
        "content", "identity", "watermark", "credential", "tags", "ledger", "signer", "time",
    ]  # fmt: skip


def test_nothing_found_is_never_said_to_be_made_by_a_person() -> None:
    made = findings.answer_questions(make_report(verdicts.NOTHING_FOUND))[1]
    assert made.short == "Not known."
    assert "does not mean that a person made it" in made.text


def test_a_declared_source_is_told_as_the_record_s_word_and_not_on_transplanted_sound() -> None:
    base = "http://cv.iptc.org/newscodes/digitalsourcetype/"
    facts = TrackFacts(TRACK.track_id, "generated", 60.0, 44_100, 2, base + "trainedAlgorithmicMedia")
    parts = {"track": facts, "ledger": HISTORY}
    assert findings.answer_questions(make_report(verdicts.EXCERPT, **parts))[1].short == "Yes."
    assert (
        findings.answer_questions(make_report(verdicts.MARK_TRANSPLANTED, **parts))[1].short == "Not known."
    )


def make_altered() -> dict[str, object]:
    changes = (
        ChangedRange("replaced", Range(5.0, 8.0), Range(15.0, 18.0), "audible"),
        ChangedRange("removed", Range(12.0, 12.0), Range(22.0, 25.0), "audible"),
    )
    comparison = ContentComparison(TRACK.track_id, True, "", (Range(0.0, 5.0),), changes)
    mark = WatermarkEvidence(
        True, 1e-9, "pn2", track_id=TRACK.track_id, opens_commitment=True, speed=1.05,
        present=(Range(0.0, 20.0),), absent=(Range(5.0, 8.0),),
    )  # fmt: skip
    parts = {"track": TRACK, "ledger": HISTORY, "watermark": mark}
    return make_report(verdicts.ALTERED, identity=IdentityEvidence(True, (), comparison), **parts)


def test_changes_and_another_speed_are_counted_in_words() -> None:
    changed = findings.answer_questions(make_altered())[2]
    assert changed.short == "Yes."
    assert changed.text.startswith("2 ranges of it are not the registered recording.")
    assert "5.0 % faster" in changed.text


def test_changed_ranges_are_drawn_where_they_are_and_never_too_narrow_to_see() -> None:
    picture = draw_waveform(np.ones((2, 2000), np.float32), make_altered())
    replaced, removed = picture.changes
    assert (replaced.left, replaced.width, replaced.kind, replaced.number) == (25.0, 15.0, "replaced", 1)
    assert (removed.left, removed.width, removed.number) == (60.0, 0.5, 2)
    assert [(item.kind, item.left, item.width) for item in picture.marks] == [
        ("present", 0.0, 100.0),
        ("absent", 25.0, 15.0),
    ]


@pytest.mark.parametrize("count", [0, 1, 7, COLUMNS, 12_345])
def test_an_outline_stays_in_its_box_and_reaches_its_edge(count: int) -> None:
    rng = np.random.default_rng(1)
    peaks = np.stack([rng.uniform(0, 0.3, count), -rng.uniform(0, 0.3, count)]).astype(np.float32)
    numbers = [float(item) for item in re.findall(r"[\d.]+", outline(peaks))]
    assert len(numbers) == 4 * min(count, COLUMNS)
    assert all(0 <= x <= COLUMNS for x in numbers[::2])
    assert all(0 <= y <= 100 for y in numbers[1::2])
    if count:
        assert min(*numbers[1::2], 100 - max(numbers[1::2])) < 0.1


@pytest.mark.parametrize("seconds", [0.3, 1, 9.9, 61, 3599, 7200, 100_000])
def test_an_axis_has_few_round_ticks_that_stay_inside(seconds: float) -> None:
    ticks = place_ticks(seconds)
    assert 1 <= len(ticks) <= 7
    assert ticks[0].left == 0
    assert all(a.left < b.left <= 97 for a, b in pairwise(ticks))


def test_numbers_are_said_as_people_say_them() -> None:
    assert format_moment(TIME) == "22 November 2026, 17:31:32 UTC"
    assert format_moment("<script>") == "<script>"  # and the template escapes it
    assert [format_length(item) for item in (0, 7_449, 59_999, 3_725_000)] == [
        "0:00.0", "0:07.4", "1:00.0", "1:02:05.0",
    ]  # fmt: skip
    assert (format_speed(1_000_100), format_speed(950_000)) == ("as registered", "5.0 % slower")
    assert (format_pitch(0), format_pitch(200)) == ("as registered", "2.0 semitones higher")
    assert (format_odds("1e-3"), format_odds("1e-30")) == ("at most 1 in 1,000", "at most 1 in 10³⁰")
    assert [format_bytes(item) for item in (17, 64 << 10, 2 << 30)] == ["17 bytes", "64 kB", "2 GB"]


# --- the stylesheet ---------------------------------------------------------------------------------------

STYLE = files("api").joinpath("pages", "style.css").read_text(encoding="utf-8")
PAPERS = ("paper", "card")
TONES = ("good", "caution", "bad", "open")
TEXT_PAIRS = [
    *((text, ground) for text in ("ink", "soft", "accent", *TONES) for ground in PAPERS),
    *((tone, f"{tone}-wash") for tone in TONES),
    *((text, "open-wash") for text in ("ink", "soft")),
    ("accent", "accent-wash"),
    ("accent-ink", "accent"),
    *((kind, "card") for kind in ("replaced", "inserted", "removed", "reordered", "overlaid")),
    *((kind, "paper") for kind in ("replaced", "inserted", "removed", "reordered", "overlaid")),
]
SIGN_PAIRS = [*((line, ground) for line in ("edge", "wave", "mark") for ground in PAPERS),
              *((tone, f"{tone}-wash") for tone in TONES)]  # fmt: skip


def read_themes() -> dict[str, dict[str, str]]:
    blocks = re.findall(r":root \{(.*?)\n *\}", STYLE, re.DOTALL)
    light = dict(re.findall(r"--([\w-]+): (#[0-9a-f]{6});", blocks[0]))
    return {"light": light, "dark": light | dict(re.findall(r"--([\w-]+): (#[0-9a-f]{6});", blocks[1]))}


def contrast(one: str, other: str) -> float:
    """Contrast ratio of two colours (WCAG 2.1, relative luminance)."""

    def luminance(colour: str) -> float:
        parts = [int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5)]
        linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
        return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]

    low, high = sorted((luminance(one), luminance(other)))
    return (high + 0.05) / (low + 0.05)


def test_contrast_is_computed_as_the_standard_says() -> None:
    assert contrast("#000000", "#ffffff") == pytest.approx(21.0)
    assert contrast("#777777", "#ffffff") == pytest.approx(4.48, abs=0.01)


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_text_and_signs_have_the_contrast_of_wcag_aa(theme: str) -> None:
    colours = read_themes()[theme]
    low = [(a, b) for a, b in TEXT_PAIRS if contrast(colours[a], colours[b]) < 4.5]
    low += [(a, b) for a, b in SIGN_PAIRS if contrast(colours[a], colours[b]) < 3.0]
    assert low == []


FILES_OF_THEIR_OWN = ("audit.html", "report.html")  # written to disk, with their style inside


def test_pages_have_nothing_inline_and_nothing_from_elsewhere() -> None:
    for item in files("api").joinpath("pages").iterdir():
        text = item.read_text(encoding="utf-8")
        if item.name.endswith(".html") and item.name not in FILES_OF_THEIR_OWN:
            assert not re.search(r"<style|\sstyle=|\son\w+=|javascript:", text), item.name
            assert not re.search(r"<script(?![^>]*\ssrc=\"/assets/)", text), item.name
        outside = re.findall(r"(?:https?:)?//[\w.-]+\.\w+[^\s\"'`]*", text)
        names = ("http://www.w3.org/", "https://provenote.example/")  # names, not addresses
        assert not [found for found in outside if not found.startswith(names) and "://" in found], item.name
