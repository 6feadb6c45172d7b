"""Reports for people: complete, safe against what files say, the same each time, never without a check."""

import base64
import io
import json
import re
from html.parser import HTMLParser
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest
from conftest import Shell, Stamped
from report_world import MARK, REPORT_KEY, make_changes, make_evidence, make_report

import ledger
from api.axes import AGAINST, SILENT, SUPPORTS
from api.drawing import HATCHINGS, PALETTE, Box, Drawing, Label, Line, format_svg, hatch
from api.errors import RefusedError
from api.explanation import EVENT_WORDS, HEADLINES, explain
from api.http.negotiation import HTML, JSON, PDF, choose_form
from api.outcomes import BAD, USAGE
from api.rendering import reopen_report
from api.reportpage import format_page
from api.strip import GUTTER, LEAST_WIDTH, PLOT, draw_report
from api.verdict import REASONS, VERDICTS
from ledger.errors import SignatureError
from ledger.predicate import EVENT_TYPES
from watermark.identity.outcome import CHANGE_KINDS

REPORTS = {code: make_report(evidence) for code, evidence in make_evidence().items()}
PEAKS = np.stack([np.abs(np.sin(np.arange(6_000) / 40)), -np.abs(np.sin(np.arange(6_000) / 40))]).astype(
    np.float32
)
each_verdict = pytest.mark.parametrize("code", VERDICTS)


class Reader(HTMLParser):
    """Collects elements, what they load, and the visible text of a page."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.elements: list[str] = []
        self.addresses: list[str] = []
        self.text = ""
        self._hidden = False
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append(tag)
        self._hidden = tag == "style"
        self.addresses += [value or "" for name, value in attrs if name in ("href", "src", "action", "data")]

    def handle_data(self, data: str) -> None:
        self.text += "" if self._hidden else data


@each_verdict
def test_the_evidence_of_these_tests_leads_to_every_verdict(code: str) -> None:
    assert REPORTS[code].verdict.code == code


@each_verdict
def test_a_page_says_the_verdict_and_every_reason_and_loads_nothing(code: str) -> None:
    report = REPORTS[code]
    page = format_page(
        report.predicate, report.envelope, origin="test.example/log", peaks=PEAKS, name="a.mp3"
    )
    read = Reader(page)
    assert HEADLINES[code] in read.text
    assert VERDICTS[code] in " ".join(read.text.split())
    for reason in report.verdict.reasons:
        assert reason in read.text
    for limit in report.predicate["limits"]:
        assert limit in read.text
    assert report.predicate["content"]["file_sha256"] in read.text
    assert not {"script", "img", "link", "iframe", "object", "form"} & set(read.elements)
    assert [address[:29] for address in read.addresses] == ["data:application/json;base64,"]
    assert page == format_page(
        report.predicate, report.envelope, origin="test.example/log", peaks=PEAKS, name="a.mp3"
    )


@each_verdict
def test_a_report_for_the_public_is_shown_with_what_it_has(code: str) -> None:
    coarse = make_report(make_evidence()[code], coarse=True)
    read = Reader(format_page(coarse.predicate, coarse.envelope, origin="test.example/log"))
    assert HEADLINES[code] in read.text
    assert coarse.predicate["limits"][-1] in read.text
    assert "By chance" not in read.text


def test_what_a_file_says_of_itself_is_never_mark_up() -> None:
    report = REPORTS["metadata-forged"]
    page = format_page(report.predicate, report.envelope, origin="test.example/log", name="<i>n</i>.mp3")
    assert "<script>x" not in page
    assert "<i>n" not in page
    assert "<script>x</script>日" in Reader(page).text


def test_the_page_holds_the_signed_report() -> None:
    report = REPORTS["altered"]
    page = format_page(report.predicate, report.envelope, origin="test.example/log")
    (address,) = Reader(page).addresses
    content = base64.b64decode(address.split(",")[1])
    assert reopen_report(content, (REPORT_KEY.public_key,)).predicate == report.predicate


@pytest.mark.parametrize("code", ["altered", "metadata-forged", "nothing-found"])
def test_a_pdf_has_the_same_words_as_text(code: str) -> None:
    pypdf = pytest.importorskip("pypdf")
    pytest.importorskip("reportlab")
    from api.reportpdf import format_pdf

    report = REPORTS[code]
    made = format_pdf(report.predicate, report.envelope, origin="test.example/log", peaks=PEAKS, name="a.mp3")
    pages = pypdf.PdfReader(io.BytesIO(made)).pages
    text = " ".join(" ".join(page.extract_text() for page in pages).split())
    assert HEADLINES[code] in text
    for reason in report.verdict.reasons:
        assert reason in text
    for axis in explain(report.predicate).axes:
        assert axis.title in text
    assert f"page {len(pages)} of {len(pages)}" in text
    if code == "metadata-forged":
        assert "<script>x</script>" in text
        assert "日" in text or r"\u{65e5}" in text


def test_the_same_report_gives_the_same_pdf() -> None:
    pytest.importorskip("reportlab")
    from api.reportpdf import format_pdf

    report = REPORTS["exact"]
    once, twice = (format_pdf(report.predicate, report.envelope, origin="o") for _ in range(2))
    assert once == twice


def test_every_verdict_and_event_has_words() -> None:
    assert set(HEADLINES) == set(VERDICTS)
    assert set(EVENT_WORDS) == {kind.rsplit("/", 2)[-2] for kind in EVENT_TYPES}


def test_axes_support_speak_against_or_say_nothing() -> None:
    def states(code: str) -> dict[str, str]:
        return {axis.code: axis.state for axis in explain(REPORTS[code].predicate).axes}

    assert set(states("nothing-found").values()) == {SILENT}
    exact = states("exact")
    assert {exact[axis] for axis in ("content", "identity", "watermark", "ledger", "signer")} == {SUPPORTS}
    assert states("altered")["identity"] == AGAINST
    assert states("mark-transplanted")["identity"] == AGAINST
    assert states("metadata-forged")["tags"] == AGAINST
    assert states("ledger-broken")["ledger"] == AGAINST
    assert states("revoked")["ledger"] == AGAINST


@pytest.mark.parametrize("code", ["nothing-found", "mark-transplanted", "mark-conflict", "ledger-broken"])
def test_no_origin_is_claimed_for_what_is_not_tied_to_a_record(code: str) -> None:
    assert explain(REPORTS[code].predicate).machine_made.startswith("Not known")


def test_the_picture_shows_every_range_with_hatching_and_words() -> None:
    drawing = draw_report(REPORTS["altered"].predicate, PEAKS)
    assert drawing is not None
    boxes = [mark for mark in drawing.marks if isinstance(mark, Box)]
    for kind in CHANGE_KINDS:
        hinted = [box for box in boxes if box.role == f"change-{kind}" and box.hint]
        assert hinted
        assert hinted[0].hint in drawing.description
        assert list(hatch(hinted[0]))
    for box in boxes:
        assert 0 <= box.x <= box.x + box.width <= drawing.width
        assert 0 <= box.y <= box.y + box.height <= drawing.height


def test_a_moment_is_drawn_wide_enough_to_be_seen() -> None:
    predicate = json.loads(json.dumps(REPORTS["altered"].predicate))
    change = predicate["identity"]["comparison"]["changed"][0]
    change["file"] = {"start_ms": 60_000, "end_ms": 60_000}
    drawing = draw_report(predicate)
    assert drawing is not None
    drawn = next(m for m in drawing.marks if isinstance(m, Box) and m.role == f"change-{change['kind']}")
    assert drawn.width >= LEAST_WIDTH
    assert drawn.x + drawn.width <= GUTTER + PLOT + 1e-9


@pytest.mark.parametrize("role", HATCHINGS)
def test_hatching_stays_inside_its_box(role: str) -> None:
    for width, height in ((3, 17), (40, 17), (17, 3), (0.5, 0.5)):
        box = Box(10, 20, width, height, role)
        for line in hatch(box):
            for x, y in (line.start, line.end):
                assert 10 - 1e-9 <= x <= 10 + width + 1e-9
                assert 20 - 1e-9 <= y <= 20 + height + 1e-9


def test_an_svg_is_well_formed_and_escapes_its_texts() -> None:
    marks = (
        Box(0, 0, 9, 9, "change-removed", "ink", 'a<"&'),
        Label(1, 1, "<&>"),
        Line((0, 0), (1, 1), "grid"),
    )
    root = ElementTree.fromstring(format_svg(Drawing(10, 10, marks, "<t>", "&d"), name="p"))
    assert [item.text for item in root[:2]] == ["<t>", "&d"]
    assert root[-1].attrib["x1"] == "0"
    assert set(HATCHINGS) <= set(PALETTE)


def test_nothing_to_draw_is_no_picture() -> None:
    assert draw_report(REPORTS["nothing-found"].predicate) is None
    assert draw_report(REPORTS["nothing-found"].predicate, PEAKS) is not None


@pytest.mark.parametrize(
    ("accept", "form"),
    [
        (None, JSON),
        ("*/*", JSON),
        ("application/json", JSON),
        ("text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8", HTML),
        ("application/pdf", PDF),
        ("application/*;q=0.5, application/json;q=0.1", PDF),
        ("text/html;q=0, */*", JSON),
        ("image/png", JSON),
        ("application/pdf;q=nan, text/html;q=0.1", HTML),
        (";;,,q=", JSON),
    ],
)
def test_the_form_is_the_one_that_is_wanted_most(accept: str | None, form: str) -> None:
    assert choose_form(accept, (JSON, HTML, PDF)) == form


def test_a_changed_or_foreign_report_is_not_shown() -> None:
    report = REPORTS["exact"]
    other = ledger.SigningKey.generate()
    with pytest.raises(ledger.LedgerError):
        reopen_report(report.envelope, (other.public_key,))
    document = report.document()
    document["verdict"] = "re-encoded"  # beside the envelope, where nothing is read
    assert reopen_report(json.dumps(document).encode(), (REPORT_KEY.public_key,)).verdict.code == "exact"
    document["envelope"]["payload"] = document["envelope"]["payload"][:-8] + "AAAAAA=="
    with pytest.raises(SignatureError):
        reopen_report(json.dumps(document).encode(), (REPORT_KEY.public_key,))
    with pytest.raises(RefusedError, match="JSON"):
        reopen_report(b"\xff", (REPORT_KEY.public_key,))


def test_a_report_that_lacks_what_is_shown_is_refused() -> None:
    payload = ledger.build_statement(
        "https://provenote.example/verification-report/v1",
        (ledger.Subject("file", bytes(32)),),
        {"verdict": "exact"},
    )
    with pytest.raises(RefusedError, match="earlier program"):
        reopen_report(ledger.sign_envelope(payload, [REPORT_KEY]), (REPORT_KEY.public_key,))


def test_verify_writes_page_and_pdf_and_render_writes_them_again(
    shell: Shell, stamped_once: Stamped, tmp_path
) -> None:
    pytest.importorskip("reportlab")
    page, pdf, kept = tmp_path / "a.html", tmp_path / "a.pdf", tmp_path / "report.json"
    home = ("--home", stamped_once.home)
    document = shell.json("verify", stamped_once.audio, "--page", page, "--pdf", pdf, "--report", kept, *home)
    read = Reader(page.read_text(encoding="utf-8"))
    assert document["content"]["pcm_sha256"] in read.text
    assert "polygon" in read.elements  # the waveform
    assert pdf.read_bytes().startswith(b"%PDF-")
    code, _ = shell("verify", stamped_once.audio, "--page", page, *home)
    assert code == USAGE

    plain, again = tmp_path / "plain.html", tmp_path / "again.html"
    shell.json("report", "render", kept, "--page", plain, *home)
    assert "polygon" not in Reader(plain.read_text(encoding="utf-8")).elements
    shell.json("report", "render", kept, "--page", again, "--audio", stamped_once.audio, *home)
    assert again.read_text(encoding="utf-8") == page.read_text(encoding="utf-8")
    code, _ = shell(
        "report", "render", kept, "--page", tmp_path / "b.html", "--audio", stamped_once.source, *home
    )
    assert code == USAGE
    whole = tmp_path / "answer.json"
    whole.write_text(json.dumps(document), encoding="utf-8")
    assert shell.json("check-report", whole, "--file", stamped_once.audio, *home)["ok"]


def test_a_report_that_does_not_hold_is_not_rendered(shell: Shell, stamped_once: Stamped, tmp_path) -> None:
    foreign = tmp_path / "foreign.json"
    foreign.write_bytes(REPORTS["exact"].envelope)
    page = tmp_path / "page.html"
    answer = shell.json("report", "render", foreign, "--page", page, "--home", stamped_once.home, code=BAD)
    assert not answer["ok"]
    assert not page.exists()


def test_every_reason_is_explained_in_one_table() -> None:
    text = (Path(__file__).parent.parent / "docs" / "reports.md").read_text(encoding="utf-8")
    table = text.split("## Reason codes")[1].split("\n## ")[0]
    written = dict(re.findall(r"^\| `([a-z-]+)` \| ([^|]+) \|", table, re.M))
    assert written == REASONS


def test_marks_and_changes_of_these_tests_are_drawn() -> None:
    assert MARK.present
    assert {item.kind for item in make_changes().changed} == set(CHANGE_KINDS)
