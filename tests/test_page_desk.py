"""Signing in, and the issue desk: sessions, forms that cannot be forged, jobs, pictures of scores."""

import http.cookiejar
import json
import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import case_forms
import httpx
import pytest
from chromium import run_axe, run_chromium
from conftest import Stamped
from http_service import served
from test_generator_transcription import WALTZ, write_midi

from api.access import Scope
from api.incipit import MAX_MIDI_BYTES
from api.installation import now, open_installation
from api.jobtable import JobTable
from api.notices import Complaint, CounterNotice, Form, Notice, VerificationRequest
from api.reasons import Reasons
from api.scorepicture import draw_roll, engrave, read_roll
from api.settings import read_settings
from api.web import sessions
from api.web.modelforms import list_fields, read_fields
from generator import transcribe_midi

PAGE = {"accept": "text/html"}
ABC = "X:1\nT:waltz\nM:3/4\nL:1/8\nK:Dm\nA2 d2 f2 | e2 c2 A2 | d6 |]\n"


@pytest.fixture(scope="module")
def service(
    stamped_once: Stamped, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[httpx.Client, Stamped]]:
    home = tmp_path_factory.mktemp("desk") / "ledger"
    shutil.copytree(stamped_once.home, home)
    with served(home) as client:
        yield client, Stamped(home, *list(vars(stamped_once).values())[1:])


@pytest.fixture
def client(service: tuple[httpx.Client, Stamped]) -> httpx.Client:
    """A visitor without cookies, whose browser says where forms come from."""
    service[0].cookies.clear()
    service[0].headers = httpx.Headers({**PAGE, "origin": str(service[0].base_url).rstrip("/")})
    return service[0]


@pytest.fixture
def track(service: tuple[httpx.Client, Stamped]) -> Stamped:
    return service[1]


def make_key(track: Stamped, *scopes: Scope) -> tuple[str, str]:
    with open_installation(read_settings(track.home, {})) as installation:
        made = installation.access.create(scopes, label="a test", created=now())
        return made.row.key_id, made.key


def enter(client: httpx.Client, key: str) -> httpx.Response:
    return client.post("/sign-in?next=/desk", data={"key": key})


def find_token(page: httpx.Response) -> str:
    found = re.search(r'name="form_token" value="([\w-]+)"', page.text)
    assert found is not None, page.text
    return found[1]


def test_a_desk_leads_strangers_to_sign_in_and_programs_to_a_problem(client: httpx.Client) -> None:
    answer = client.get("/desk")
    assert (answer.status_code, answer.headers["location"]) == (303, "/sign-in?next=/desk")
    assert client.get("/desk", headers={"accept": "*/*"}).status_code == 401
    for path in ("/desk/cases/stay-down", f"/desk/cases/{'a' * 16}/steps/supplement-request"):
        led = client.get(path).headers["location"]
        assert led == f"/sign-in?next={path}"
        assert client.get(led).status_code == 200
    for path in ("//evil.example", "https://evil.example", "/desk//../..", "/v1/keys"):
        assert client.get("/sign-in", params={"next": path}).status_code == 422, path


def test_a_key_opens_a_session_that_scripts_and_other_sites_cannot_use(
    client: httpx.Client, track: Stamped
) -> None:
    assert enter(client, "wrong").status_code == 401
    assert enter(client, "wrong").headers.get("set-cookie") is None
    answer = enter(client, track.token)
    assert (answer.status_code, answer.headers["location"]) == (303, "/desk")
    cookie = answer.headers["set-cookie"].lower()
    assert "httponly" in cookie
    assert "samesite=strict" in cookie
    assert f"max-age={sessions.SESSION_S}" in cookie
    assert track.token.lower() not in cookie
    assert client.get("/desk").status_code == 200
    assert client.get("/desk").headers["cache-control"] == "no-store"
    # Below /v1/ only a key itself counts: a cookie is sent by browsers on their own.
    assert client.get("/v1/jobs/0000000000000000").status_code == 401


@pytest.mark.parametrize("origin", ["https://evil.example", "null", None])
def test_forms_of_other_sites_are_refused(client: httpx.Client, track: Stamped, origin: str | None) -> None:
    enter(client, track.token)
    token = find_token(client.get("/desk"))
    if origin is None:
        del client.headers["origin"]
    else:
        client.headers["origin"] = origin
    assert client.post("/sign-in", data={"key": track.token}).status_code == 403
    form = {"prompt": "waltz", "form_token": token}
    assert client.post("/desk/tracks", data=form).status_code == 403
    assert client.post("/sign-out", data=form).status_code == 403


def test_a_form_without_the_token_of_its_session_is_refused(client: httpx.Client, track: Stamped) -> None:
    enter(client, track.token)
    other = find_token(client.get("/desk"))
    client.cookies.clear()
    enter(client, track.token)
    for token in ({}, {"form_token": ""}, {"form_token": other}):
        assert client.post("/desk/tracks", data={"prompt": "waltz", **token}).status_code == 403
        files = {"file": ("a.wav", b"RIFF")}
        assert client.post("/desk/recordings", data=token, files=files).status_code == 403
    assert list((track.home / "incoming").glob("upload-*")) == []


def test_a_session_ends_with_its_key_its_time_its_secret_or_by_leaving(
    client: httpx.Client, track: Stamped, monkeypatch: pytest.MonkeyPatch
) -> None:
    key_id, key = make_key(track, Scope.ISSUER)
    enter(client, key)
    assert client.get("/desk").status_code == 200
    begun = sessions.time.time()
    monkeypatch.setattr(sessions.time, "time", lambda: begun + sessions.SESSION_S + 5)
    assert client.get("/desk").status_code == 303
    monkeypatch.undo()
    assert client.get("/desk").status_code == 200
    with open_installation(read_settings(track.home, {})) as installation:
        installation.access.revoke(key_id, now=now())
    assert client.get("/desk").status_code == 303
    client.cookies.clear()
    enter(client, track.token)
    left = client.post("/sign-out", data={"form_token": find_token(client.get("/desk"))})
    assert (left.status_code, left.headers["location"]) == (303, "/")
    assert client.get("/desk").status_code == 303
    enter(client, track.token)
    assert client.get("/desk").status_code == 200
    (track.home / "keys" / sessions.SECRET_NAME).unlink()
    assert client.get("/desk").status_code == 303


def test_a_cookie_that_was_changed_is_no_session(client: httpx.Client, track: Stamped) -> None:
    enter(client, track.token)
    (cookie,) = (item for item in client.cookies.jar if isinstance(item, http.cookiejar.Cookie))
    value = str(cookie.value)
    for at in range(0, len(value), 7):
        changed = value[:at] + ("A" if value[at] != "A" else "B") + value[at + 1 :]
        client.cookies.clear()
        answer = client.get("/desk", headers={"cookie": f"{sessions.COOKIE}={changed}"})
        assert answer.status_code == 303, at
    for junk in ("", ".", "a.b", "é.é", "A" * 5000):
        header = {"cookie": f"{sessions.COOKIE}={junk}".encode()}
        assert client.get("/desk", headers=header).status_code == 303


def test_a_key_without_the_scope_is_told_so(client: httpx.Client, track: Stamped) -> None:
    _, key = make_key(track, Scope.PRESS)
    enter(client, key)
    answer = client.get("/desk")
    assert answer.status_code == 403
    assert "This is not for you" in answer.text


def test_what_cannot_be_generated_is_said_beside_what_was_typed(client: httpx.Client, track: Stamped) -> None:
    enter(client, track.token)
    form = {"prompt": "<b>waltz</b>", "seconds": "-3", "form_token": find_token(client.get("/desk"))}
    answer = client.post("/desk/tracks", data=form)
    assert answer.status_code == 422
    assert "seconds" in answer.text
    assert "&lt;b&gt;waltz&lt;/b&gt;" in answer.text
    assert "<b>waltz" not in answer.text


def test_an_opening_in_midi_goes_with_the_prompt(client: httpx.Client, track: Stamped) -> None:
    enter(client, track.token)
    page = client.get("/desk")
    assert 'name="abc"' in page.text
    form = {"prompt": "waltz", "seconds": "6", "abc": "  ", "form_token": find_token(page)}
    midi = write_midi(WALTZ, key="Dm")
    answer = client.post("/desk/tracks", data=form, files={"file": ("mine.mid", midi)})
    assert answer.status_code == 303, answer.text
    job_id = answer.headers["location"].removeprefix("/desk/jobs/")
    client.post(f"/desk/jobs/{job_id}/cancel", data={"form_token": form["form_token"]})
    asked = json.loads(JobTable(read_settings(track.home, {}).database_url).get(job_id).request)
    assert asked["abc"] == transcribe_midi(midi)
    assert list((track.home / "incoming").glob("upload-*")) == []


def test_an_opening_that_cannot_be_is_said_beside_what_was_typed(
    client: httpx.Client, track: Stamped
) -> None:
    enter(client, track.token)
    form = {"prompt": "waltz", "form_token": find_token(client.get("/desk"))}
    for texts, content, said in (
        ({"abc": "K:Dm\nA2 <b>"}, write_midi(WALTZ), "got both"),
        ({}, b"no midi at all", "Standard MIDI File"),
    ):
        answer = client.post("/desk/tracks", data={**form, **texts}, files={"file": ("a.mid", content)})
        assert answer.status_code == 422
        assert said in answer.text
        assert texts.get("abc", "").replace("<b>", "&lt;b&gt;") in answer.text
    large = client.post("/desk/tracks", data=form, files={"file": ("a.mid", bytes(MAX_MIDI_BYTES + 1))})
    assert large.status_code == 413
    forged = client.post("/desk/tracks", data={"prompt": "waltz"}, files={"file": ("a.mid", b"1")})
    assert forged.status_code == 403
    assert list((track.home / "incoming").glob("upload-*")) == []


def test_whoever_has_signed_in_sees_the_full_report(client: httpx.Client, track: Stamped) -> None:
    clip = {"file": ("<i>clip</i>.flac", track.audio.read_bytes())}
    public = client.post("/verify", files=clip).text
    enter(client, track.token)
    full = client.post("/verify", files=clip).text
    assert "Chance of a false alarm" in full
    assert "Chance of a false alarm" not in public
    assert "&lt;i&gt;clip&lt;/i&gt;.flac" in public
    assert "<i>clip" not in public


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (b"", 422),
        (b"--x\r\n", 422),
        (b'--x\r\ncontent-disposition: form-data; name="file"; filename="a"\r\n\r\n\r\n--x--\r\n', 422),
        (b'--x\r\ncontent-disposition: form-data; name="other"\r\n\r\n1\r\n--x--\r\n', 422),
        (b'--x\r\ncontent-disposition: form-data; name="file"\r\n\r\nhalf of it', 422),
        (b"no form at all", 422),
        (b'--x\r\ncontent-disposition: form-data; name="t"\r\n\r\n' + b"1" * 70_000 + b"\r\n--x--\r\n", 413),
        (b"--x\r\n" + b"a: b\r\n" * 1000 + b"\r\n\r\n--x--\r\n", 422),
        (
            b"".join(
                b'--x\r\ncontent-disposition: form-data; name="n%d"\r\n\r\n\r\n' % at for at in range(50)
            ),
            422,
        ),
    ],
)
def test_forms_that_are_none_are_refused_and_leave_nothing(
    client: httpx.Client, track: Stamped, body: bytes, status: int
) -> None:
    kind = {"content-type": "multipart/form-data; boundary=x"}
    assert client.post("/verify", content=body, headers=kind).status_code == status
    assert client.post("/verify", content=body, headers={"content-type": "text/plain"}).status_code == 415
    assert list((track.home / "incoming").glob("upload-*")) == []


@pytest.mark.tool("chromium")
def test_a_recording_that_is_registered_fails_its_job_before_the_visitor_s_eyes(
    service: tuple[httpx.Client, Stamped], tmp_path: Path
) -> None:
    client, track = service
    base = str(client.base_url).rstrip("/")
    with run_chromium(tmp_path) as browser:
        page = browser.open(f"{base}/desk")
        assert run_axe(page) == []
        page.run(f"document.querySelector('#key').value = {track.token!r}")
        page.submit("document.querySelector('main form').submit()")
        assert page.run("location.pathname") == "/desk"
        page.run("document.querySelector('[data-examples] button').click()")
        assert page.run("document.querySelector('#prompt').value") == "slow waltz in D minor, piano"
        page.choose_file("#file", track.source)
        page.submit("document.querySelector('form[action=\"/desk/recordings\"]').submit()")
        page.wait("document.querySelector('[role=alert]')")
        assert "The recording is registered" in page.run("document.querySelector('main').innerText")
        assert page.run("document.activeElement.tagName") == "H1"
        page.visit(f"{base}/desk/tracks/{track.track_id}")
        page.wait("document.querySelector('audio').duration > 19")
        case = open_case(client, track)
        desks = ("/desk", "/desk/cases", "/desk/cases/stay-down", case, f"{case}/steps/uphold")
        taken_in = ("/desk/cases/new", "/desk/cases/checks")
        for path in (f"/desk/tracks/{track.track_id}", *desks, *taken_in, f"{case}/steps/counter"):
            page.visit(base + path)
            assert run_axe(page) == [], path
            assert page.run("document.documentElement.scrollWidth") <= 1280
        assert page.complaints() == []


def test_pictures_of_a_score_are_drawn_for_issuers_alone(client: httpx.Client, track: Stamped) -> None:
    folder = track.home / "tracks" / track.track_id
    address = f"/desk/tracks/{track.track_id}/picture"
    assert client.get(f"{address}/roll.svg").status_code == 303
    enter(client, track.token)
    assert client.get(f"{address}/roll.svg").status_code == 404
    (folder / "score.abc").write_text(ABC, encoding="utf-8")
    (folder / "score.mid").write_bytes(make_midi())
    for kind in ("roll", "notation"):
        answer = client.get(f"{address}/{kind}.svg")
        assert answer.headers["content-type"] == "image/svg+xml"
        assert answer.text.startswith("<svg")
    assert client.get(f"{address}/other.svg").status_code == 404


def make_midi() -> bytes:
    """Two parts, the second with a note that sounds after the tempo has halved."""
    from generator.midi import format_midi
    from generator.score import Note, Part, Score

    melody = Part("melody <1>", "piano", 0, 0.0, 0.0, (Note(74, 0, 480, 80), Note(77, 480, 480, 80)))
    bass = Part("bass", "piano", 0, 0.0, 0.0, (Note(50, 960, 480, 80),))
    return format_midi(Score("t", "D", "minor", (3, 4), 120.0, ((960, 60.0),), (melody, bass)))


def test_a_roll_shows_every_note_where_and_as_long_as_it_sounds() -> None:
    names, notes = read_roll(make_midi())
    assert names == ["melody <1>", "bass"]
    assert [(item.part, item.pitch, item.start_s, item.end_s) for item in notes] == [
        (0, 74, 0.0, 0.5),
        (0, 77, 0.5, 1.0),
        (1, 50, 1.0, 2.0),
    ]
    picture = draw_roll(make_midi()).decode()
    assert picture.count('rx="1"') == 3
    assert "melody &lt;1&gt;" in picture


@pytest.mark.tool("abcm2ps")
def test_notation_is_engraved_the_same_each_time_and_reads_no_other_file() -> None:
    picture = engrave(ABC)
    assert picture is not None
    assert b'viewBox="0 0 ' in picture
    assert picture == engrave(ABC)
    sly = ABC.replace("K:Dm", "%%format /etc/passwd\nI:abc-include /etc/passwd\nK:Dm")
    assert engrave(sly) == picture


def open_case(client: httpx.Client, track: Stamped) -> str:
    """Send a notice in and return the address of its page."""
    notice = {**case_forms.NOTICE, "reasons": "<b>it is mine</b>"}
    known = {"authorization": f"Bearer {track.token}"}
    sent = client.post("/v1/cases", json={"notice": notice}, headers=known).raise_for_status()
    return f"/desk/cases/{sent.json()['case_id']}"


def flatten(form: dict[str, Any], prefix: str = "") -> dict[str, str]:
    """Return what a browser sends of a form that was filled in so."""
    sent: dict[str, str] = {}
    for name, value in form.items():
        if isinstance(value, dict) and name == "identifiers":
            sent[f"{prefix}{name}"] = "\r\n".join(f"{key}={item}" for key, item in value.items())
        elif isinstance(value, dict):
            sent |= flatten(value, f"{prefix}{name}.")
        elif isinstance(value, bool):
            sent[f"{prefix}{name}"] = "yes" if value else "no"
        else:
            sent[f"{prefix}{name}"] = "\r\n".join(value) if isinstance(value, list) else value
    return sent


@pytest.mark.parametrize(
    ("model", "form"),
    [
        (Notice, case_forms.NOTICE),
        (CounterNotice, case_forms.COUNTER_NOTICE),
        (VerificationRequest, case_forms.REQUEST),
        (Complaint, case_forms.COMPLAINT),
        (Reasons, case_forms.REASONS),
    ],
)
def test_a_page_has_a_field_for_each_member_of_a_form(model: type[Form], form: dict[str, Any]) -> None:
    sent = flatten(form)
    fields = {item.name: item for item in list_fields(model)}
    assert sent.keys() <= fields.keys()
    assert read_fields(model, sent) == form
    assert read_fields(model, dict.fromkeys(fields, " ")) == {}
    for name, value in sent.items():
        assert fields[name].kind != "choice" or value in fields[name].choices


def test_steps_with_forms_of_their_own_are_taken_from_the_page(client: httpx.Client, track: Stamped) -> None:
    enter(client, make_key(track, Scope.CASE_WORKER)[1])
    address = open_case(client, track)
    token = {"form_token": find_token(client.get(address))}
    for name in ("uphold", "restrict", "counter", "complain", "supplement"):
        page = client.get(f"{address}/steps/{name}")
        assert page.status_code == 200
        assert f'value="{name}"' in page.text
    assert client.get(f"{address}/steps/supplement-request").status_code == 404
    assert client.post(f"{address}/steps", data={**token, "step": "accept"}).status_code == 303
    asked = {**token, **flatten(case_forms.REASONS), "step": "uphold", "reason": "infringing-copy"}
    refused = client.post(f"{address}/steps", data={**asked, "facts": ""})
    assert refused.status_code == 422
    assert "It is a copy without licence." in refused.text
    assert client.post(f"{address}/steps", data=asked).headers["location"] == address
    assert ">upheld<" in client.get(address).text
    complaint = {**token, **flatten(case_forms.COMPLAINT), "step": "complain"}
    assert client.post(f"{address}/steps", data=complaint).status_code == 303
    reversal = {**token, "step": "reverse", "reason": "licensed"}
    assert client.post(f"{address}/steps", data=reversal).status_code == 303
    assert "long before" in client.get(address).text
    assert client.get("/desk/cases/stay-down").status_code == 200


def test_a_clip_is_verified_for_a_case_and_its_file_is_frozen(client: httpx.Client, track: Stamped) -> None:
    enter(client, make_key(track, Scope.CASE_WORKER)[1])
    address = open_case(client, track)
    token = {"form_token": find_token(client.get(address))}
    clip = {"file": ("clip.flac", track.audio.read_bytes())}
    assert client.post(f"{address}/clips", data={"form_token": ""}, files=clip).status_code == 403
    assert client.post(f"{address}/clips", data=token, files=clip).status_code == 303
    page = client.get(address).text
    assert f"/tracks/{track.track_id}" in page
    assert re.search(r"/reports/[0-9a-f]{64}", page)
    bad = client.post(f"{address}/clips", data=token, files={"file": ("a.wav", b"no sound")})
    assert (bad.status_code, "This step cannot be taken" in bad.text) == (422, True)
    archive = client.post(f"{address}/file", data=token)
    assert archive.headers["content-type"] == "application/zip"
    assert archive.content.startswith(b"PK")
    assert list((track.home / "incoming").glob("upload-*")) == []


def test_the_engine_of_a_track_is_chosen(client: httpx.Client, track: Stamped) -> None:
    enter(client, track.token)
    page = client.get("/desk")
    assert '<option value="embedded"' in page.text
    form = {"form_token": find_token(page), "prompt": "waltz", "engine": "no-such"}
    refused = client.post("/desk/tracks", data=form)
    assert refused.status_code == 422
    assert "expected an engine out of embedded" in refused.text


def test_a_case_is_seen_and_moved_on_by_case_workers_alone(client: httpx.Client, track: Stamped) -> None:
    _, worker = make_key(track, Scope.CASE_WORKER)
    address = open_case(client, track)
    assert client.get(address).headers["location"] == f"/sign-in?next={address}"
    _, issuer = make_key(track, Scope.ISSUER)
    enter(client, issuer)
    assert client.get(address).status_code == 403
    client.cookies.clear()
    enter(client, worker)
    assert address in client.get("/desk/cases").text
    page = client.get(address)
    assert "&lt;b&gt;it is mine&lt;/b&gt;" in page.text
    assert "<b>it is" not in page.text
    step = {"form_token": find_token(page), "step": "note", "text": "looked at"}
    assert client.post(f"{address}/steps", data={**step, "form_token": ""}).status_code == 403
    assert client.post(f"{address}/steps", data=step).headers["location"] == address
    assert "looked at" in client.get(address).text
    for refused in ({"step": "decide"}, {"step": "restore", "reason": "no-match"}, {"step": "no-such"}):
        answer = client.post(f"{address}/steps", data={**step, **refused})
        assert answer.status_code == 422, refused
        assert "This step cannot be taken" in answer.text
    assert client.get(f"{address}/letters/receipt").headers["content-type"].startswith("text/plain")


def test_what_came_by_letter_is_taken_in(client: httpx.Client, track: Stamped) -> None:
    enter(client, make_key(track, Scope.CASE_WORKER)[1])
    page = client.get("/desk/cases/new")
    assert "a physical or electronic signature (512(c)(3)(A)(i))" in page.text
    form = {"form_token": find_token(page), **flatten({**case_forms.NOTICE, "signature": ""})}
    refused = client.post("/desk/cases/new", data={**form, "tracks": "a" * 16})
    assert refused.status_code == 422
    assert "This cannot be taken in" in refused.text
    assert 'value="ann@label.example"' in refused.text
    opened = client.post("/desk/cases/new", data={**form, "tracks": track.track_id, "urgent": "on"})
    case = client.get(opened.headers["location"]).text
    assert "incomplete" in case
    assert track.track_id in case
    asked = client.get("/desk/cases/new?kind=request")
    form = {"form_token": find_token(asked), **flatten(case_forms.REQUEST)}
    assert client.post("/desk/cases/new?kind=request", data=form).status_code == 303
    assert client.post("/desk/cases/new", data={**form, "form_token": ""}).status_code == 403


def test_a_case_file_is_checked_on_the_desk(client: httpx.Client, track: Stamped) -> None:
    case = open_case(client, track)
    enter(client, make_key(track, Scope.CASE_WORKER)[1])
    page = client.get("/desk/cases/checks")
    assert re.search(r"(\d+) of \1 cases on this page hold", page.text)
    form = {"form_token": find_token(page)}
    archive = client.post(f"{case}/file", data={"form_token": find_token(client.get(case))}).content
    held = client.post("/desk/cases/checks", data=form, files={"file": ("case.zip", archive)})
    assert f"holds: case <code>{case.rpartition('/')[2]}</code>, received" in held.text
    assert "The keys are the file" not in held.text
    own = client.post("/desk/cases/checks", data={**form, "own": "on"}, files={"file": ("c.zip", archive)})
    assert "The keys are the file" in own.text
    failed = client.post("/desk/cases/checks", data=form, files={"file": ("<b>.zip", archive[:-9])})
    assert "&lt;b&gt;.zip does not hold" in failed.text
    assert "<code>form</code>" in failed.text
    assert client.post("/desk/cases/checks", files={"file": ("case.zip", archive)}).status_code == 403
