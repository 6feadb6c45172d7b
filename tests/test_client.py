"""The client of the service: against a real service, and against answers that a service may give."""

import email.utils
import io
import json
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from conftest import Stamped, make_music, write_audio
from http_service import served

import ledger
import provenote_client
from ledger.merkle import check_inclusion
from provenote_client import (
    AnswerError,
    Client,
    ConnectionFailedError,
    JobError,
    RefusedError,
    Report,
    UnauthorisedError,
    UnavailableError,
    UnknownError,
)

SERVER_PARTS = (
    "api",
    "ledger",
    "watermark",
    "generator",
    "numpy",
    "fastapi",
    "sqlmodel",
    "sqlalchemy",
    "pydantic",
)


@pytest.fixture(scope="module")
def client(stamped_once: Stamped, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Client]:
    home = tmp_path_factory.mktemp("client") / "ledger"
    shutil.copytree(stamped_once.home, home)
    with served(home) as http, Client(str(http.base_url), key=stamped_once.token) as client:
        yield client


def test_importing_it_loads_nothing_of_the_service() -> None:
    code = f"import sys, provenote_client; print(sorted(set({SERVER_PARTS!r}) & set(sys.modules)))"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout.strip() == "[]"


def test_public_names_exist() -> None:
    assert all(hasattr(provenote_client, name) for name in provenote_client.__all__)


@pytest.fixture(scope="module")
def report(client: Client, stamped_once: Stamped) -> Report:
    return client.verify(stamped_once.audio)


def test_a_report_says_verdict_track_and_ranges(report: Report, stamped_once: Stamped) -> None:
    assert (report.verdict, report.good, report.track_id) == ("exact", True, stamped_once.track_id)
    assert abs(report.seconds - 20.0) < 0.01
    assert report.changed == ()
    assert sum(end - start for start, end in report.intact) > 15
    assert report.reasons
    assert report.to_dict() == report.document
    assert report.to_dict() is not report.document


def test_a_saved_report_is_one_that_others_can_check(report: Report, client: Client, tmp_path: Path) -> None:
    report.save(tmp_path / "report.json")
    keys = [ledger.PublicKey.from_jwk(item["jwk"]) for item in client.keys()["reports"]]
    opened = ledger.open_envelope((tmp_path / "report.json").read_bytes(), tuple(keys))
    assert json.loads(opened.payload)["predicate"]["verdict"] == "exact"
    with pytest.raises(FileExistsError):
        report.save(tmp_path / "report.json")


def test_tracks_custody_bundle_and_proofs(client: Client, stamped_once: Stamped, tmp_path: Path) -> None:
    [track] = [item for item in client.tracks() if item.title != "Song"]
    assert track == client.track(stamped_once.track_id)
    assert abs(track.seconds - 20.0) < 0.01
    custody = client.custody(track.track_id)
    assert (custody.status, custody.fault) == ("valid", None)
    assert [event.index for event in custody.events] == [stamped_once.entry_index]
    assert client.statement(track.track_id)["index"] == stamped_once.entry_index
    assert ledger.check_bundle(client.bundle(track.track_id), vkey=client.keys()["log_vkey"])
    proof = client.inclusion(stamped_once.entry_index)
    assert proof["leaf_hash"] == custody.events[0].leaf_hash == client.entry(proof["index"])["leaf_hash"]
    assert custody.root is not None
    check_inclusion(
        proof["index"],
        proof["size"],
        bytes.fromhex(proof["leaf_hash"]),
        [bytes.fromhex(item) for item in proof["hashes"]],
        bytes.fromhex(custody.root),
    )
    assert client.consistency(1, 2)["new_size"] == 2
    assert client.checkpoint().splitlines()[0] == "test.example/log"
    client.download(track.track_id, tmp_path / "track.flac")
    assert (tmp_path / "track.flac").read_bytes() == stamped_once.audio.read_bytes()


def test_a_clip_is_identified(client: Client, stamped_once: Stamped) -> None:
    found = client.identify(io.BytesIO(stamped_once.source.read_bytes()))
    assert found.known
    assert found.matches[0].track_id == stamped_once.track_id
    assert abs(found.matches[0].speed - 1.0) < 0.01


def test_a_recording_is_stamped_as_a_job_with_progress(client: Client, tmp_path: Path) -> None:
    song = write_audio(tmp_path / "song.flac", make_music(9.0, seed=12, channels=1), subtype="PCM_16")
    seen: list[str] = []
    job = client.stamp(song, title="Song", margin="off")
    track = client.wait(job, progress=lambda state: seen.append(state.state))
    assert (track.title, track.origin) == ("Song", "stamped")
    assert seen[-1] == "done"
    assert client.job(job).track_id == track.track_id
    assert list(client.follow(job))[-1].state == "done"
    with pytest.raises(JobError, match=r"is failed: .* registered as track") as caught:
        client.wait(client.stamp(song.read_bytes(), margin="off"))
    assert caught.value.job.problem is not None


def test_problems_are_errors_of_their_kind(client: Client) -> None:
    with pytest.raises(UnknownError) as unknown:
        client.track("aaaaaaaaaaaaaaaa")
    assert (unknown.value.status, unknown.value.slug) == (404, "not-found")
    with pytest.raises(RefusedError) as refused:
        client.verify(b"no audio")
    assert (refused.value.slug, refused.value.members["code"]) == ("audio-refused", "not-audio")
    with pytest.raises(RefusedError, match="expected an engine out of embedded"):
        client.issue("waltz", engine="nothing")
    assert [item.name for item in client.engines()] == ["embedded"]


def answering(
    *answers: httpx.Response | Exception, **options: Any
) -> tuple[Client, list[float], list[httpx.Request]]:
    """A client whose service gives these answers, one after the other; and what it waited and asked."""
    waits: list[float] = []
    asked: list[httpx.Request] = []
    left = list(answers)

    def handle(request: httpx.Request) -> httpx.Response:
        request.read()
        asked.append(request)
        answer = left.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer

    transport = httpx.MockTransport(handle)
    return Client("https://service.example", transport=transport, sleep=waits.append, **options), waits, asked


def busy(after: str | None, status: int = 503) -> httpx.Response:
    headers = {} if after is None else {"retry-after": after}
    return httpx.Response(status, json={"type": "x/busy", "detail": "later"}, headers=headers)


def test_a_busy_service_is_asked_again_when_it_says(tmp_path: Path) -> None:
    path = tmp_path / "clip.wav"
    path.write_bytes(b"RIFF")
    document = {"verdict": "exact"}
    client, waits, asked = answering(
        busy("7"), busy("3", 429), busy(None), httpx.Response(200, json=document)
    )
    assert client.verify(path).verdict == "exact"
    assert waits == [7.0, 3.0, 4.0]
    assert [request.content for request in asked] == [b"RIFF"] * 4
    assert "authorization" not in asked[0].headers


def test_a_date_as_retry_after_is_understood() -> None:
    when = email.utils.formatdate(time.time() + 20, usegmt=True)
    client, waits, _ = answering(busy(when), httpx.Response(200, json={"log_vkey": "x"}))
    client.keys()
    assert 15 < waits[0] <= 20


@pytest.mark.parametrize(
    ("answers", "options", "waited"),
    [
        ([busy("1"), busy("1")], {"retries": 1}, [1.0]),
        ([busy("3600")], {}, []),
        ([httpx.Response(500, json={"type": "x/internal"})], {}, []),
    ],
)
def test_a_service_that_stays_busy_is_told_with_its_wait(
    answers: list[httpx.Response], options: dict[str, int], waited: list[float]
) -> None:
    client, waits, _ = answering(*answers, **options)
    with pytest.raises(UnavailableError):
        client.keys()
    assert waits == waited


def cut_off() -> Iterator[bytes]:
    yield b"half of it"
    raise httpx.ReadError("the connection broke")


def test_a_download_that_breaks_begins_anew_and_leaves_nothing_if_it_fails(tmp_path: Path) -> None:
    path = tmp_path / "track.flac"
    broken = [httpx.Response(200, content=cut_off()) for _ in range(2)]
    client, waits, asked = answering(broken[0], busy("3"), httpx.Response(200, content=b"all of it"))
    client.download("k3t5mz7qa2xw4hbn", path)
    assert (path.read_bytes(), waits) == (b"all of it", [1.0, 3.0])
    with pytest.raises(FileExistsError):
        client.download("k3t5mz7qa2xw4hbn", path)
    assert len(asked) == 3
    path.unlink()
    client, _, _ = answering(broken[1], busy(None, 404))
    with pytest.raises(UnknownError):
        client.download("k3t5mz7qa2xw4hbn", path)
    assert not path.exists()


def test_what_was_perhaps_done_is_not_sent_again() -> None:
    broken = httpx.ReadError("connection reset")
    client, waits, asked = answering(broken)
    with pytest.raises(ConnectionFailedError, match="connection reset"):
        client.cancel("9f")
    assert (waits, len(asked)) == ([], 1)
    client, waits, asked = answering(broken, httpx.Response(200, json={"log_vkey": "x"}))
    client.keys()
    assert len(asked) == 2
    client, _, asked = answering(busy("1"))
    with pytest.raises(UnavailableError):
        client.verify(io.BytesIO(b"RIFF"))  # an open file may be at its end
    assert len(asked) == 1


def test_what_the_service_does_once_is_sent_again_with_its_key() -> None:
    working = httpx.Response(409, json={"type": "x/conflict", "detail": "is worked on"})
    client, waits, asked = answering(
        httpx.ReadError("connection reset"), working, httpx.Response(202, json=describe("queued"))
    )
    assert client.issue("waltz").state == "queued"
    assert waits == [1.0, 2.0]
    sent = [request.headers["idempotency-key"] for request in asked]
    assert len(set(sent)) == 1
    client, _, asked = answering(httpx.Response(202, json=describe("queued")))
    client.issue("waltz")
    assert asked[0].headers["idempotency-key"] != sent[0]
    client, waits, _ = answering(working)
    with pytest.raises(RefusedError):  # the first time it is no echo of our own
        client.issue("waltz")
    assert waits == []


def test_a_key_is_sent_and_its_refusal_told() -> None:
    client, _, asked = answering(httpx.Response(403, json={"type": "x/forbidden"}), key="pnk_x")
    with pytest.raises(UnauthorisedError):
        client.engines()
    assert asked[0].headers["authorization"] == "Bearer pnk_x"


@pytest.mark.parametrize(
    ("answer", "ask"),
    [
        (httpx.Response(200, text="<html>"), lambda client: client.keys()),
        (httpx.Response(200, json={"track_id": "x"}), lambda client: client.track("x")),
        (httpx.Response(200, json=[]), lambda client: client.verify(b"x")),
    ],
)
def test_answers_of_another_form_are_told(answer: httpx.Response, ask: Callable[[Client], object]) -> None:
    client, _, _ = answering(answer)
    with pytest.raises(AnswerError):
        ask(client)


def describe(state: str, **more: object) -> dict[str, object]:
    names = ("job_id", "kind", "stage", "fraction", "track_id", "margin", "problem")
    return {**dict.fromkeys(names), "job_id": "9f", "fraction": 0.5, "state": state, **more}


def stream(*events: tuple[int, dict[str, object]]) -> httpx.Response:
    text = "retry: 2000\n\n: quiet\n\n"
    text += "".join(f"event: x\nid: {number}\ndata: {json.dumps(event)}\n\n" for number, event in events)
    return httpx.Response(200, text=text, headers={"content-type": "text/event-stream"})


def test_a_job_is_followed_over_a_broken_connection() -> None:
    client, waits, asked = answering(
        stream((1, describe("queued")), (2, describe("running"))),
        httpx.ConnectError("refused"),
        stream((3, describe("failed", problem={"detail": "no mark"}))),
    )
    states = []
    with pytest.raises(JobError, match="job 9f is failed: no mark"):
        client.wait("9f", progress=lambda job: states.append(job.state))
    assert states == ["queued", "running", "failed"]
    assert [request.headers.get("last-event-id") for request in asked] == [None, "2", "2"]
    assert waits == [0.5, 2.0]


def test_a_report_shows_itself_in_a_notebook_and_escapes_what_it_shows() -> None:
    document = {
        "verdict": "altered",
        "good": False,
        "text": "<script>alert(1)</script>",
        "reasons": [{"code": "content-altered", "text": "a & b"}],
        "track": {"track_id": "k3t5mz7qa2xw4hbn", "factors": {"version": 1}},
        "content": {"milliseconds": 20_000},
        "watermark": {"found": True},
        "identity": {
            "matches": [],
            "comparison": {
                "intact": [{"start_ms": 0, "end_ms": 10_000}],
                "changed": [
                    {
                        "kind": "replaced",
                        "file": {"start_ms": 10_000, "end_ms": 15_000},
                        "track": {"start_ms": 12_000, "end_ms": 17_000},
                    }
                ],
            },
        },
        "envelope": {},
    }
    report = Report(document)
    [change] = report.changed
    assert (change.kind, change.clip_s, change.track_s) == ("replaced", (10.0, 15.0), (12.0, 17.0))
    assert report.factors == {"version": 1}
    shown = report._repr_html_()
    assert "<script>" not in shown
    assert "a &amp; b" in shown
    assert "<rect x='500.0'" in shown
    assert "width='250.0'" in shown
    assert "replaced 10.00-15.00 s" in str(report)
