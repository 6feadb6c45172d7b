"""The pages in a real browser: what visitors do, see and hear, in both themes, on phones, with keys alone."""

import base64
import json
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import httpx
import numpy as np
import pytest
import soundfile
from chromium import Browser, Page, run_axe, run_chromium
from conftest import SAMPLE_RATE, Stamped, make_free_music, write_audio
from http_service import served

import ledger
from api.keyring import read_public_keys
from api.report import open_report
from api.settings import read_settings

SAMPLES = 20 * SAMPLE_RATE
pytestmark = pytest.mark.tool("chromium")
PROVEN = "document.querySelector('[data-proof-state]')?.dataset.proofState"


@dataclass(frozen=True)
class Site:
    """A served ledger with one track, a browser, and clips to show it."""

    home: Path
    base: str
    client: httpx.Client
    browser: Browser
    track: Stamped
    altered: Path
    unknown: Path

    def open(self, path: str, **options: object) -> Page:
        return self.browser.open(self.base + path, **options)  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def site(stamped_once: Stamped, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    folder = tmp_path_factory.mktemp("site")
    shutil.copytree(stamped_once.home, folder / "ledger")
    sound = soundfile.read(stamped_once.audio, dtype="float32")[0].T
    other = make_free_music(6.0, seed=9)
    sound[:, 8 * SAMPLE_RATE : 14 * SAMPLE_RATE] = other
    altered = write_audio(folder / "altered.wav", sound)
    unknown = write_audio(folder / "unknown.wav", other)
    with (
        served(folder / "ledger") as client,
        run_chromium(folder / "profile") as browser,
    ):
        base = str(client.base_url).rstrip("/")
        yield Site(folder / "ledger", base, client, browser, stamped_once, altered, unknown)


def verify(page: Page, path: Path) -> None:
    page.choose_file("#file", path)
    page.wait("document.querySelector('#headline')")


def check_clean(page: Page, site: Site) -> None:
    """Nothing was refused, nothing failed, and nobody else was asked for anything."""
    assert page.complaints() == []
    assert [item for item in page.requests() if not item.startswith((site.base, "data:", "blob:"))] == []


def test_a_clip_is_verified_in_place_and_its_proof_checked_by_the_browser(site: Site) -> None:
    page = site.open("/")
    verify(page, site.altered)
    assert page.run("document.querySelector('#headline').textContent") == "The registered track, but altered"
    assert page.run("document.activeElement.id") == "headline"
    page.wait(PROVEN)
    assert page.run(PROVEN) == "holds"
    assert page.run("document.querySelectorAll('.steps li.good').length") == 4
    left, width = json.loads(
        page.run("JSON.stringify(['x', 'width'].map(n => document.querySelector('.change').getAttribute(n)))")
    )
    assert float(left.rstrip("%")) == pytest.approx(40, abs=6)  # whole seconds, for strangers
    assert float(width.rstrip("%")) == pytest.approx(30, abs=8)
    assert page.run("document.querySelectorAll('audio').length") == 1
    check_clean(page, site)
    link = page.run("document.querySelector('a[download^=provenote-report]').href")
    report = json.loads(base64.b64decode(link.removeprefix("data:application/json;base64,")))
    envelope = ledger.canonical.format_json(report["envelope"])
    assert (
        open_report(envelope, read_public_keys(read_settings(site.home, {})).reports)["verdict"] == "altered"
    )
    page.close()


def test_without_scripts_the_form_leads_to_the_same_answer(site: Site) -> None:
    page = site.open("/", scripts=False)
    page.choose_file("#file", site.track.audio)
    page.submit("document.querySelector('#verify').submit()")
    assert page.run("document.querySelector('#headline').textContent") == "Exactly the registered track"
    assert page.run("document.title").startswith("Exactly the registered track")
    assert page.run("getComputedStyle(document.querySelector('noscript')).display") != "none"
    page.close()


def test_what_is_dropped_on_the_page_is_examined_and_a_refusal_is_said(site: Site) -> None:
    page = site.open("/")
    page.run(
        """(() => { const data = new DataTransfer(); data.items.add(new File(["no sound"], "a.wav"));
        for (const type of ["dragenter", "dragover", "drop"])
          document.querySelector("h1").dispatchEvent(
            new DragEvent(type, {dataTransfer: data, bubbles: true, cancelable: true})); })()"""
    )
    page.wait("!document.querySelector('#failure').hidden")
    assert "The audio is not taken" in page.run("document.querySelector('#failure').textContent")
    assert page.run("document.querySelector('#progress').hidden")
    page.close()


def test_a_proof_that_was_tampered_with_on_its_way_is_named_as_broken(site: Site) -> None:
    page = site.open("/tracks")
    page.call(
        "Page.addScriptToEvaluateOnNewDocument",
        source="""const real = window.fetch; window.fetch = async (address, options) => {
        const answer = await real(address, options);
        if (!String(address).endsWith("/bundle")) return answer;
        const text = await answer.text();
        return new Response(text.replace('"channels":2', '"channels":1')); };""",
    )
    page.visit(f"{site.base}/tracks/{site.track.track_id}")
    page.wait(PROVEN)
    assert page.run(PROVEN) == "broken"
    assert "does not hold" in page.run("document.querySelector('.steps li.bad').textContent")
    page.close()


def test_a_browser_without_ed25519_says_so_and_claims_nothing(site: Site) -> None:
    page = site.open("/tracks")
    page.call(
        "Page.addScriptToEvaluateOnNewDocument",
        source="""crypto.subtle.importKey =
        () => Promise.reject(new DOMException("unrecognized name", "NotSupportedError"));""",
    )
    page.visit(f"{site.base}/tracks/{site.track.track_id}")
    page.wait(PROVEN)
    assert page.run(PROVEN) == "unchecked"
    text = page.run("document.querySelector('.steps').textContent")
    assert "cannot verify Ed25519 signatures" in text
    assert "Download the bundle" in text
    assert page.run("document.querySelectorAll('.steps li.good').length") == 0
    page.close()


def test_the_ledger_page_holds_the_log_against_what_the_browser_remembers(site: Site) -> None:
    def look() -> tuple[str, str]:
        page.visit(f"{site.base}/ledger")
        page.wait("document.querySelectorAll('[data-memory] li').length == 2")
        last = "document.querySelector('[data-memory] li:last-child')"
        return page.run(f"{last}.className"), page.run(f"{last}.textContent")

    page = site.open("/tracks")
    tone, text = look()
    assert (tone, "has not seen this log before" in text) == ("open", True)
    assert look() == ("good", text) or "the same today" in look()[1]
    first = site.client.get("/v1/log/inclusion?index=0&size=1").json()["leaf_hash"]
    keep = """(() => { const [key] = Object.keys(localStorage); const item = JSON.parse(localStorage[key]);
    localStorage[key] = JSON.stringify({...item, size: 1, root: "%s"}); })()"""
    page.run(keep % first)  # the root of a tree of one is its leaf
    tone, text = look()
    assert (tone, "only add to those" in text) == ("good", True)
    page.run(keep % ("00" * 32))
    for _ in range(2):  # what contradicts the memory does not replace it
        tone, text = look()
        assert (tone, "another history" in text) == ("bad", True)
    check_clean(page, site)
    page.close()


PATHS = ("/", "/tracks", "/tracks/{track}", "/ledger", "/ledger/entries/1", "/ledger/search?q=nothing", "/no")
LOOKS = {"light": {}, "dark": {"dark": True}, "phone": {"width": 320, "height": 640}}


@pytest.mark.parametrize("look", LOOKS)
def test_every_page_fits_asks_nobody_else_and_is_accessible(site: Site, look: str) -> None:
    faults = {}
    for pattern in PATHS:
        path = pattern.format(track=site.track.track_id)
        page = site.open(path, **LOOKS[look])
        if path == "/" and look != "dark":
            verify(page, site.altered)
            page.run("document.querySelectorAll('details').forEach(item => item.open = true)")
        assert page.run("document.documentElement.scrollWidth") <= LOOKS[look].get("width", 1280), path
        assert page.run("document.querySelectorAll('h1:not([hidden] h1)').length") == 1, path
        if path != "/no" and "search" not in path:
            check_clean(page, site)
        if look != "phone" and (found := run_axe(page, "color-contrast" if look == "dark" else None)):
            faults[path] = found
        page.close()
    assert faults == {}


@pytest.mark.package("axe_playwright_python")
def test_the_check_for_accessibility_can_fail(site: Site) -> None:
    page = site.open("/ledger/search?q=nothing")
    page.run("document.querySelector('label').remove(); document.documentElement.removeAttribute('lang')")
    assert {item.partition(":")[0] for item in run_axe(page)} >= {"label", "html-has-lang"}
    page.close()


def test_keys_alone_lead_past_the_menu_and_show_where_they_are(site: Site) -> None:
    page = site.open("/ledger")
    page.press("Tab", 9)
    assert page.run("document.activeElement.className") == "skip"
    assert page.run("document.activeElement.getBoundingClientRect().left") >= 0
    page.press("Enter", 13)
    page.call("Input.dispatchKeyEvent", type="char", text="\r")
    page.wait("document.activeElement.id == 'main'")
    seen = set()
    for _ in range(6):
        page.press("Tab", 9)
        seen.add(page.run("document.activeElement.tagName"))
        assert page.run("parseFloat(getComputedStyle(document.activeElement).outlineWidth)") >= 3
    assert seen >= {"INPUT", "BUTTON", "A"}
    page.close()


def test_on_paper_the_evidence_is_open_and_controls_are_gone(site: Site) -> None:
    page = site.open("/")
    verify(page, site.unknown)
    page.call("Emulation.setEmulatedMedia", media="print")
    assert page.run("document.querySelector('.drop').getBoundingClientRect().height") == 0
    assert page.run("document.querySelector('.axis dl').getBoundingClientRect().height") > 50
    page.close()


def test_motion_is_left_out_for_whoever_asks_for_less(site: Site) -> None:
    page = site.open("/")
    for value, moves in (("no-preference", True), ("reduce", False)):
        page.call("Emulation.setEmulatedMedia", features=[{"name": "prefers-reduced-motion", "value": value}])
        duration = page.run("getComputedStyle(document.querySelector('button')).transitionDuration")
        assert (set(duration.split(", ")) != {"0s"}) == moves
    page.close()


def test_a_clip_that_is_nothing_known_is_shown_with_its_limits(site: Site) -> None:
    page = site.open("/", width=390, height=844)
    verify(page, site.unknown)
    assert page.run("document.querySelector('#headline').textContent") == "Nothing was found"
    assert "does not mean that a person made it" in page.run("document.querySelector('.answers').innerText")
    assert page.run("document.querySelectorAll('.limits li').length") >= 3
    assert page.run("document.querySelector('[data-proof]')") is None
    assert np.isfinite(page.run("document.querySelector('.waveform').getBoundingClientRect().width"))
    page.close()
