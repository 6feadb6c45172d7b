"""The service over real HTTP: every route, every error shape, jobs, limits, restart."""

import base64
import hashlib
import http.client
import json
import shutil
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
import soundfile
from conftest import Stamped, make_music, write_audio
from http_service import served

import ledger
from api.errors import PortError
from api.http import create_app
from api.http.server import bind
from api.installation import open_installation
from api.issuing import make_track_id
from api.jobtable import JobRow
from api.keyring import read_public_keys
from api.outcomes import PROBLEM_BASE
from api.settings import Settings, read_settings
from ledger.merkle import check_consistency, check_inclusion

PROBLEM = "application/problem+json"


@pytest.fixture(scope="module")
def service(
    stamped_once: Stamped, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[httpx.Client, Stamped]]:
    home = tmp_path_factory.mktemp("service") / "ledger"
    shutil.copytree(stamped_once.home, home)
    audio = home / stamped_once.audio.relative_to(stamped_once.home)
    with served(home, PROVENOTE_MAX_UPLOAD_MB="8") as client:
        yield (
            client,
            Stamped(
                home,
                stamped_once.source,
                audio,
                stamped_once.track_id,
                stamped_once.entry_index,
                stamped_once.token,
            ),
        )


@pytest.fixture
def client(service: tuple[httpx.Client, Stamped]) -> httpx.Client:
    return service[0]


@pytest.fixture
def track(service: tuple[httpx.Client, Stamped]) -> Stamped:
    return service[1]


def authorised(track: Stamped) -> dict[str, str]:
    return {"authorization": f"Bearer {track.token}"}


def check_problem(answer: httpx.Response, status: int, slug: str) -> dict[str, Any]:
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == PROBLEM
    problem: dict[str, Any] = answer.json()
    assert problem["type"] == PROBLEM_BASE + slug
    assert problem["status"] == status
    assert problem["title"]
    assert problem["detail"]
    return problem


def wait_for(client: httpx.Client, track: Stamped, address: str, *, seconds: float = 120) -> dict[str, Any]:
    deadline = time.monotonic() + seconds
    while True:
        job: dict[str, Any] = client.get(address, headers=authorised(track)).raise_for_status().json()
        if job["state"] not in ("queued", "running"):
            return job
        assert time.monotonic() < deadline, job
        time.sleep(0.05)


def test_health_tells_the_size_of_the_ledger(client: httpx.Client) -> None:
    answer = client.get("/health").raise_for_status().json()
    assert answer["status"] == "ok"
    assert answer["ledger_size"] >= 2


def test_an_upload_is_verified_and_not_kept(client: httpx.Client, track: Stamped) -> None:
    answer = client.post("/v1/verifications", content=track.audio.read_bytes()).raise_for_status().json()
    assert answer["verdict"] == "exact"
    assert answer["track"]["track_id"] == track.track_id
    envelope = ledger.canonical.format_json(answer["envelope"])
    reports = read_public_keys(read_settings(track.home, {})).reports
    payload = json.loads(ledger.open_envelope(envelope, reports).payload)
    assert payload["predicate"]["verdict"] == "exact"
    assert payload["subject"][0]["digest"]["sha256"] == hashlib.sha256(track.audio.read_bytes()).hexdigest()
    assert list((track.home / "incoming").glob("upload-*")) == []


def test_a_clip_is_identified_by_its_sound(client: httpx.Client, track: Stamped) -> None:
    answer = client.post("/v1/identifications", content=track.source.read_bytes())
    assert answer.status_code == 200
    found = answer.json()
    assert found["known"]
    assert found["matches"][0]["track_id"] == track.track_id
    # Strangers are told whole seconds.
    assert found["matches"][0]["recording"]["end_ms"] == pytest.approx(20_000, abs=1_000)
    assert client.post("/v1/identifications", content=b"RIFF").status_code == 422


def test_a_chunked_upload_is_verified(client: httpx.Client, track: Stamped) -> None:
    content = track.audio.read_bytes()
    pieces = (content[i : i + 100_000] for i in range(0, len(content), 100_000))
    assert client.post("/v1/verifications", content=pieces).raise_for_status().json()["verdict"] == "exact"


@pytest.mark.parametrize(
    ("content", "headers", "status", "slug"),
    [
        (b"not audio at all", {}, 422, "audio-refused"),
        (b"", {}, 422, "audio-refused"),
        (b"{}", {"content-type": "application/json"}, 415, "request-refused"),
        (b"--x--", {"content-type": "multipart/form-data; boundary=x"}, 415, "request-refused"),
        (b"\0" * (9 << 20), {}, 413, "too-large"),
    ],
)
def test_bodies_that_are_not_taken_are_problems(
    client: httpx.Client, content: bytes, headers: dict[str, str], status: int, slug: str
) -> None:
    check_problem(client.post("/v1/verifications", content=content, headers=headers), status, slug)


def test_a_chunked_body_over_the_limit_is_stopped(client: httpx.Client, track: Stamped) -> None:
    pieces = (b"\0" * (1 << 20) for _ in range(10))
    check_problem(client.post("/v1/verifications", content=pieces), 413, "too-large")
    assert list((track.home / "incoming").glob("upload-*")) == []


def test_a_chunked_upload_to_be_stamped_is_stopped_while_it_arrives(
    client: httpx.Client, track: Stamped
) -> None:
    pieces = (b"\0" * (1 << 20) for _ in range(10))
    check_problem(client.post("/v1/stamps", content=pieces, headers=authorised(track)), 413, "too-large")


def test_text_that_is_not_unicode_is_malformed(client: httpx.Client, track: Stamped) -> None:
    headers = {**authorised(track), "content-type": "application/json"}
    answer = client.post("/v1/tracks", content=b'{"prompt": "a\\ud800"}', headers=headers)
    check_problem(answer, 422, "malformed")


def test_a_large_json_body_is_stopped(client: httpx.Client, track: Stamped) -> None:
    body = json.dumps({"prompt": "a" * 100_000}).encode()
    answer = client.post("/v1/tracks", content=body, headers=authorised(track))
    check_problem(answer, 413, "too-large")


def test_a_connection_that_ends_in_the_middle_leaves_no_upload(client: httpx.Client, track: Stamped) -> None:
    connection = http.client.HTTPConnection(client.base_url.host, client.base_url.port)
    connection.putrequest("POST", "/v1/verifications")
    connection.putheader("content-length", "1000000")
    connection.endheaders(b"\0" * 1000)
    time.sleep(0.2)
    connection.close()
    deadline = time.monotonic() + 10
    while list((track.home / "incoming").glob("upload-*")):
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_a_track_and_its_record_are_public(client: httpx.Client, track: Stamped) -> None:
    base = f"/v1/tracks/{track.track_id}"
    listed = client.get("/v1/tracks").raise_for_status().json()["tracks"]
    assert track.track_id in [item["track_id"] for item in listed]
    found = client.get(base).raise_for_status().json()
    assert found["file_sha256"] == hashlib.sha256(track.audio.read_bytes()).hexdigest()
    statement = client.get(f"{base}/statement").raise_for_status().json()
    assert statement["index"] == track.entry_index
    assert statement["statement"]["subject"][0]["digest"]["sha256"] == found["file_sha256"]
    custody = client.get(f"{base}/custody").raise_for_status().json()
    assert [event["index"] for event in custody["events"]] == [track.entry_index]
    assert custody["fault"] is None


def test_the_bundle_checks_offline_and_opens_commitments_only_with_the_token(
    client: httpx.Client, track: Stamped
) -> None:
    vkey = client.get("/v1/keys").raise_for_status().json()["log_vkey"]
    address = f"/v1/tracks/{track.track_id}/bundle"
    closed = ledger.check_bundle(client.get(address).raise_for_status().content, vkey=vkey)
    assert closed.openings == {}
    opened = client.get(address, headers=authorised(track)).raise_for_status().content
    assert set(ledger.check_bundle(opened, vkey=vkey).openings) == {"mark_id"}


def test_the_audio_needs_the_token_and_is_the_released_file(client: httpx.Client, track: Stamped) -> None:
    address = f"/v1/tracks/{track.track_id}/audio"
    check_problem(client.get(address), 401, "unauthorised")
    answer = client.get(address, headers=authorised(track)).raise_for_status()
    assert answer.headers["content-type"] == "audio/flac"
    assert answer.content == track.audio.read_bytes()
    check_problem(
        client.get(f"/v1/tracks/{track.track_id}/score/abc", headers=authorised(track)), 404, "not-found"
    )


def test_proofs_hold_against_the_checkpoint(client: httpx.Client, track: Stamped) -> None:
    keys = client.get("/v1/keys").raise_for_status().json()
    note = client.get("/v1/log/checkpoint").raise_for_status().content
    checkpoint = ledger.open_checkpoint(note, keys["origin"], keys["log_vkey"])
    proof = client.get("/v1/log/inclusion", params={"index": track.entry_index}).raise_for_status().json()
    entry = client.get(f"/v1/log/entries/{track.entry_index}").raise_for_status().json()
    assert proof["size"] == checkpoint.size
    assert proof["leaf_hash"] == entry["leaf_hash"]
    hashes = [bytes.fromhex(item) for item in proof["hashes"]]
    leaf = ledger.merkle.leaf_hash(ledger.canonical.format_json(entry["envelope"]))
    check_inclusion(track.entry_index, checkpoint.size, leaf, hashes, checkpoint.root)
    older = client.get("/v1/log/checkpoint", params={"size": 1}).raise_for_status().content
    old = ledger.open_checkpoint(older, keys["origin"], keys["log_vkey"])
    sizes = {"old_size": 1, "new_size": checkpoint.size}
    consistency = client.get("/v1/log/consistency", params=sizes).raise_for_status().json()
    hashes = [bytes.fromhex(item) for item in consistency["hashes"]]
    check_consistency(1, checkpoint.size, old.root, checkpoint.root, hashes)


@pytest.mark.parametrize(
    ("method", "path", "status", "slug"),
    [
        ("GET", "/nowhere", 404, "not-found"),
        ("PUT", "/v1/tracks", 405, "wrong-method"),
        ("GET", "/v1/tracks/aaaaaaaaaaaaaaaa", 404, "not-found"),
        ("GET", "/v1/tracks/aaaaaaaaaaaaaaaa/custody", 404, "not-found"),
        ("GET", "/v1/tracks/aaaaaaaaaaaaaaaa/bundle", 404, "not-found"),
        ("GET", "/v1/tracks/..%2f..%2fkeys", 404, "not-found"),
        ("GET", "/v1/tracks/UPPER", 422, "malformed"),
        ("GET", "/v1/tracks?limit=0", 422, "malformed"),
        ("GET", "/v1/log/entries/999", 404, "not-found"),
        ("GET", "/v1/log/entries/-1", 422, "malformed"),
        ("GET", "/v1/log/entries/99999999999999999999", 422, "malformed"),
        ("GET", "/v1/log/inclusion?index=5&size=2", 404, "not-found"),
        ("GET", "/v1/log/inclusion?index=0&size=99999", 404, "not-found"),
        ("GET", "/v1/log/consistency?old_size=2&new_size=1", 404, "not-found"),
        ("GET", "/v1/log/checkpoint?size=12345", 404, "not-found"),
        ("POST", "/v1/tracks", 401, "unauthorised"),
        ("POST", "/v1/stamps", 401, "unauthorised"),
        ("GET", "/v1/jobs/0123456789abcdef", 401, "unauthorised"),
        ("DELETE", "/v1/jobs/0123456789abcdef", 401, "unauthorised"),
    ],
)
def test_every_error_is_a_problem(
    client: httpx.Client, method: str, path: str, status: int, slug: str
) -> None:
    check_problem(
        client.request(method, path, json={"prompt": "waltz"} if method == "POST" else None), status, slug
    )


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"prompt": ""},
        {"prompt": "waltz", "seconds": -1},
        {"prompt": "waltz", "seconds": "NaN"},
        {"prompt": "waltz", "seed": 1 << 53},
        {"prompt": "waltz", "format": "mp3"},
        {"prompt": "waltz", "surprise": True},
    ],
)
def test_malformed_requests_name_the_fault(
    client: httpx.Client, track: Stamped, body: dict[str, Any]
) -> None:
    problem = check_problem(client.post("/v1/tracks", json=body, headers=authorised(track)), 422, "malformed")
    assert problem["faults"]


def test_an_opening_in_midi_is_read_when_it_is_ordered(client: httpx.Client, track: Stamped) -> None:
    body = {"prompt": "waltz", "midi": base64.b64encode(b"no midi").decode()}
    check_problem(client.post("/v1/tracks", json=body, headers=authorised(track)), 422, "request-refused")
    check_problem(
        client.post("/v1/tracks", json={**body, "abc": "K:C"}, headers=authorised(track)),
        422,
        "request-refused",
    )


@pytest.mark.parametrize("token", ["wrong", "é", "a" * 5000])
def test_a_wrong_token_is_refused(client: httpx.Client, token: str) -> None:
    answer = client.post("/v1/stamps", content=b"", headers={"authorization": f"Bearer {token}".encode()})
    check_problem(answer, 401, "unauthorised")
    assert answer.headers["www-authenticate"] == "Bearer"


def test_a_recording_is_stamped_as_a_job_and_then_verifies(
    client: httpx.Client, track: Stamped, tmp_path: Path
) -> None:
    song = write_audio(tmp_path / "new.flac", make_music(12.0, seed=21))
    answer = client.post(
        "/v1/stamps?title=New&format=wav&bits=16", content=song.read_bytes(), headers=authorised(track)
    )
    assert answer.status_code == 202
    job = wait_for(client, track, answer.headers["location"])
    assert job["state"] == "done", job
    # Chords of the same kind, but no match.
    assert job["closest"]["track_id"] == track.track_id
    assert 45 <= job["closest"]["alike_percent"] < 70
    assert job["closest"]["false_alarm_at_most"] == "1e0"
    found = client.get(f"/v1/tracks/{job['track_id']}").raise_for_status().json()
    assert (found["title"], found["container"], found["origin"]) == ("New", "wav", "stamped")
    audio = client.get(f"/v1/tracks/{job['track_id']}/audio", headers=authorised(track)).raise_for_status()
    assert client.post("/v1/verifications", content=audio.content).json()["verdict"] == "exact"
    check_problem(client.delete(answer.headers["location"], headers=authorised(track)), 409, "conflict")


def test_a_job_that_fails_says_why(client: httpx.Client, track: Stamped) -> None:
    answer = client.post("/v1/stamps", content=track.source.read_bytes(), headers=authorised(track))
    job = wait_for(client, track, answer.headers["location"])
    assert job["state"] == "failed"
    assert job["problem"]["type"] == PROBLEM_BASE + "already-registered"
    assert track.track_id in job["problem"]["detail"]
    assert (job["track_id"], job["closest"]) == (None, None)


def test_a_track_is_issued_from_a_prompt_as_a_job(client: httpx.Client, track: Stamped) -> None:
    body = {"prompt": "slow waltz in D minor, piano", "seconds": 12, "seed": 3}
    answer = client.post("/v1/tracks", json=body, headers=authorised(track))
    assert answer.status_code == 202
    job = wait_for(client, track, answer.headers["location"])
    assert job["state"] == "done", job
    base = f"/v1/tracks/{job['track_id']}"
    statement = client.get(f"{base}/statement").raise_for_status().json()["statement"]
    generation = statement["predicate"]["generation"]
    assert generation["seed"] == "3"
    assert generation["weights"]
    assert "waltz" not in json.dumps(statement["predicate"]["commitments"])
    abc = client.get(f"{base}/score/abc", headers=authorised(track)).raise_for_status().content
    subjects = {item["name"]: item["digest"]["sha256"] for item in statement["subject"]}
    assert subjects["abc"] == hashlib.sha256(abc).hexdigest()
    bundle = client.get(f"{base}/bundle", headers=authorised(track)).raise_for_status().content
    opened = ledger.check_bundle(bundle).openings
    assert opened["prompt"] == body["prompt"]
    audio = client.get(f"{base}/audio", headers=authorised(track)).raise_for_status().content
    assert client.post("/v1/verifications", content=audio).json()["verdict"] == "exact"


def test_a_job_is_cancelled_and_leaves_nothing(client: httpx.Client, track: Stamped, tmp_path: Path) -> None:
    song = write_audio(tmp_path / "long.wav", np.tile(make_music(6.0, seed=22, channels=1), 10))
    tracks = client.get("/v1/tracks").json()
    answer = client.post("/v1/stamps", content=song.read_bytes(), headers=authorised(track))
    client.delete(answer.headers["location"], headers=authorised(track)).raise_for_status()
    job = wait_for(client, track, answer.headers["location"])
    assert job["state"] == "cancelled"
    assert client.get("/v1/tracks").json() == tracks
    assert list((track.home / "incoming").iterdir()) == []


def test_pages_of_tracks_follow_one_another(client: httpx.Client, track: Stamped) -> None:
    whole = [item["track_id"] for item in client.get("/v1/tracks").json()["tracks"]]
    found: list[str] = []
    after = ""
    while True:
        page = client.get("/v1/tracks", params={"limit": 1, "after": after}).raise_for_status().json()
        found += [item["track_id"] for item in page["tracks"]]
        if page["next"] is None:
            break
        after = page["next"]
    assert found == whole


def test_jobs_of_a_version_without_leases_are_settled_at_the_next_start(stamped: Stamped) -> None:
    with open_installation(read_settings(stamped.home, {})) as installation:
        for job_id, track_id in (("0" * 16, make_track_id()), ("1" * 16, stamped.track_id)):
            installation.jobs.add(
                JobRow(
                    job_id=job_id,
                    kind="stamp",
                    state="running",
                    stage="mark",
                    fraction=0.5,
                    request=json.dumps(
                        {
                            **dict.fromkeys(("title", "artist", "isrc", "source_type")),
                            "format": "flac",
                            "bits": 24,
                            "margin": "off",
                            "strength": "default",
                            "if_known": "refuse",
                        }
                    ),
                    track_id=track_id,
                    created="2026-01-01T00:00:00Z",
                    updated="2026-01-01T00:00:00Z",
                )
            )
    (stamped.home / "incoming" / "upload-0").write_bytes(b"left over")
    with served(stamped.home) as client:
        lost = wait_for(client, stamped, "/v1/jobs/" + "0" * 16)
        done = wait_for(client, stamped, "/v1/jobs/" + "1" * 16)
    assert lost["state"] == "interrupted"
    assert "nothing was registered" in lost["problem"]["detail"]
    assert (done["state"], done["track_id"]) == ("done", stamped.track_id)
    assert list((stamped.home / "incoming").iterdir()) == []


def test_a_stopping_service_hands_its_job_back_and_the_next_one_does_it_once(
    stamped: Stamped, tmp_path: Path
) -> None:
    song = write_audio(tmp_path / "long.wav", np.tile(make_music(6.0, seed=23, channels=1), 4))
    with served(stamped.home) as client:
        answer = client.post("/v1/stamps?margin=off", content=song.read_bytes(), headers=authorised(stamped))
        while client.get(answer.headers["location"], headers=authorised(stamped)).json()["state"] == "queued":
            time.sleep(0.02)
    with open_installation(read_settings(stamped.home, {})) as installation:
        job = installation.jobs.get(answer.json()["job_id"])
        assert (job.state, job.attempts, job.problem) == ("queued", 0, None)
        assert [path.name for path in installation.settings.incoming.iterdir()] == [f"{job.job_id}.input"]
    with served(stamped.home) as client:
        assert wait_for(client, stamped, answer.headers["location"])["state"] == "done"
    with open_installation(read_settings(stamped.home, {})) as installation:
        mentions = installation.store.mentions(0, installation.store.state().size)
        assert [item.asset for item in mentions if item.asset != "log"] == [
            "keys",
            f"track:{stamped.track_id}",
            f"track:{job.track_id}",
        ]
        assert list(installation.settings.incoming.iterdir()) == []


def read_events(answer: httpx.Response) -> Iterator[dict[str, Any]]:
    """Read server-sent events as the HTML standard says, comments and `retry` aside."""
    found: dict[str, Any] = {}
    for line in answer.iter_lines():
        name, _, value = line.partition(": ")
        if line == "" and "data" in found:
            yield {**found, "data": json.loads(found["data"])}
        found = {} if line == "" else {**found, name: value}


def test_progress_is_streamed_and_goes_on_where_a_client_comes_back(
    client: httpx.Client, track: Stamped, tmp_path: Path
) -> None:
    song = write_audio(tmp_path / "new.flac", make_music(8.0, seed=25))
    headers = authorised(track)
    answer = client.post("/v1/stamps?margin=off&priority=high", content=song.read_bytes(), headers=headers)
    address = f"{answer.headers['location']}/events"
    with client.stream("GET", address, headers=headers) as stream:
        assert stream.headers["content-type"].startswith("text/event-stream")
        first = next(read_events(stream))
    assert first["data"]["job_id"] == answer.json()["job_id"]
    with client.stream("GET", address, headers={**headers, "last-event-id": first["id"]}) as stream:
        rest = list(read_events(stream))
    ids = [int(item["id"]) for item in (first, *rest)]
    assert ids == sorted(set(ids))
    assert [item["event"] for item in rest if item["event"] != "running"] == ["done"]
    assert rest[-1]["data"] == client.get(answer.headers["location"], headers=headers).json()
    again = client.get(address, headers={**headers, "last-event-id": rest[-1]["id"]})
    assert again.status_code == 204
    check_problem(client.get(address), 401, "unauthorised")
    check_problem(client.get(f"/v1/jobs/{'0' * 16}/events", headers=headers), 404, "not-found")
    check_problem(client.get(address, headers={**headers, "last-event-id": "x"}), 422, "malformed")


def test_a_stream_ends_when_the_service_stops(stamped: Stamped) -> None:
    with open_installation(read_settings(stamped.home, {})) as installation:
        installation.jobs.add(
            JobRow(
                job_id="a" * 16,
                kind="issue",
                state="queued",
                stage="queued",
                fraction=0.0,
                request="{}",
                track_id=make_track_id(),
                created="2026-01-01T00:00:00Z",
                updated="2026-01-01T00:00:00Z",
                due_s=1 << 32,
            )
        )
    heard: list[str] = []
    address = f"/v1/jobs/{'a' * 16}/events"
    with served(stamped.home) as client, client.stream("GET", address, headers=authorised(stamped)) as stream:
        lines = stream.iter_lines()
        heard.append(next(lines))
        client.stop()  # type: ignore[attr-defined]
        heard.extend(lines)  # to its end, for which the server waits
    assert "event: queued" in heard


def test_two_services_share_a_ledger_folder_its_jobs_and_its_publication(
    stamped: Stamped, tmp_path: Path
) -> None:
    with served(stamped.home, PROVENOTE_JOB_WORKERS="0") as first, served(stamped.home) as second:
        song = write_audio(tmp_path / "a.flac", make_music(6.0, seed=24))
        answer = first.post("/v1/stamps?margin=off", content=song.read_bytes(), headers=authorised(stamped))
        assert wait_for(first, stamped, answer.headers["location"])["state"] == "done"
        assert [item.get("/health").json()["published_size"] is not None for item in (first, second)] == [
            True
        ] * 2


def test_a_port_in_use_is_an_error() -> None:
    with bind("127.0.0.1", 0) as taken:
        taken.listen()
        with pytest.raises(PortError, match="Address already in use"):
            bind("127.0.0.1", taken.getsockname()[1])


def resolve(document: dict[str, Any], reference: str) -> Any:
    found: Any = document
    for part in reference.removeprefix("#/").split("/"):
        found = found[part]
    return found


def references(node: Any) -> Iterator[str]:
    if isinstance(node, dict):
        if isinstance(node.get("$ref"), str):
            yield node["$ref"]
        for value in node.values():
            yield from references(value)
    elif isinstance(node, list):
        for value in node:
            yield from references(value)


def test_the_openapi_document_is_complete(tmp_path: Path) -> None:
    document = create_app(Settings(home=tmp_path, keys=tmp_path)).openapi()
    assert document["openapi"].startswith("3.1")
    tags = {tag["name"] for tag in document["tags"]}
    for reference in references(document):
        assert resolve(document, reference)
    operations = {
        f"{method} {path}": operation
        for path, methods in document["paths"].items()
        for method, operation in methods.items()
    }
    assert operations  # docs/api.md lists every one, by a test of its own
    assert len({operation["operationId"] for operation in operations.values()}) == len(operations)
    for name, operation in operations.items():
        assert operation["summary"], name
        assert operation["description"], name
        assert set(operation["tags"]) <= tags, name
        assert any(status.startswith("2") for status in operation["responses"]), name
        for status, answer in operation["responses"].items():
            assert answer["description"], name
            if status >= "400":
                assert list(answer["content"]) == [PROBLEM], (name, status)
    secured = {name for name, operation in operations.items() if operation.get("security")}
    assert {"post /v1/tracks", "post /v1/stamps", "get /v1/tracks/{track_id}/audio"} <= secured


def test_creating_the_application_touches_no_file(tmp_path: Path) -> None:
    create_app(Settings(home=tmp_path / "none", keys=tmp_path / "none"))
    assert list(tmp_path.iterdir()) == []


def test_a_verification_reads_what_a_lossy_copy_holds(
    client: httpx.Client, track: Stamped, tmp_path: Path
) -> None:
    frames, rate = soundfile.read(track.audio, dtype="float32")
    copy = write_audio(tmp_path / "a.mp3", frames.T, rate)
    answer = client.post("/v1/verifications", content=copy.read_bytes()).raise_for_status().json()
    assert answer["verdict"] == "re-encoded"


def test_a_verification_is_a_page_for_a_browser_and_a_kept_report_a_pdf(
    client: httpx.Client, track: Stamped
) -> None:
    asked = {"accept": "text/html,*/*;q=0.8"}
    page = client.post("/v1/verifications", content=track.audio.read_bytes(), headers=asked)
    assert page.status_code == 200
    assert page.headers["content-type"] == "text/html; charset=utf-8"
    assert "default-src 'none'" in page.headers["content-security-policy"]
    assert "<polygon" in page.text
    kept = base64.b64decode(page.text.split("data:application/json;base64,")[1].split('"')[0])
    again = client.post("/v1/reports/renderings", content=kept)
    assert again.headers["content-type"] == "text/html; charset=utf-8"
    assert "<polygon" not in again.text
    pytest.importorskip("reportlab")
    paper = client.post("/v1/reports/renderings", content=kept, headers={"accept": "application/pdf"})
    assert paper.content.startswith(b"%PDF-")
    refused = client.post("/v1/reports/renderings", content=kept.replace(b'"sig":"', b'"sig":"A'))
    assert refused.status_code == 422
    assert refused.headers["content-type"] == PROBLEM


def test_a_release_pipeline_asks_in_one_call(client: httpx.Client, track: Stamped) -> None:
    audio = track.audio.read_bytes()
    key = {"authorization": f"Bearer {track.token}"}
    assert client.post("/v1/release-checks", content=audio).status_code == 401
    assert client.post("/v1/release-checks?policy=none", content=audio, headers=key).status_code == 404
    answer = client.post("/v1/release-checks", content=audio, headers=key).raise_for_status().json()
    assert answer["outcome"] == "fail"
    assert [item["rule"] for item in answer["rules"] if item["outcome"] == "fail"] == ["disclosure"]
