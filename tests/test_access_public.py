"""What strangers get of the detector: coarse answers, so many and no more; and what browsers are told."""

import json
import socket
from pathlib import Path
from typing import Any

import httpx
import pytest
import soundfile
from conftest import Stamped
from http_service import served

import ledger
from api.access import Scope
from api.accesskeys import AccessKeys
from api.accesssettings import read_access_settings
from api.coarse import LIMIT, coarsen
from api.errors import SettingsError
from api.installation import now
from api.keyring import read_public_keys
from api.settings import read_settings
from benchmarks.hostile_uploads import write_silence

FINE = ("false_alarm_at_most", "told_by", "present", "absent")


def list_names(value: Any) -> set[str]:
    """Return every member name in a document."""
    if isinstance(value, dict):
        return set(value).union(*(list_names(item) for item in value.values()))
    return set().union(*(list_names(item) for item in value)) if isinstance(value, list) else set()


def cut(path: Path, target: Path, start_s: float) -> bytes:
    """Return ten seconds of a file, as a file."""
    audio, rate = soundfile.read(path, dtype="float32", always_2d=True)
    start = round(start_s * rate)
    soundfile.write(target, audio[start : start + 10 * rate], rate, subtype="PCM_24")
    return target.read_bytes()


def make_key(track: Stamped, *scopes: Scope, daily: int | None = None) -> dict[str, str]:
    """Return the headers of a new API key."""
    keys = AccessKeys(read_settings(track.home, {}).database_url)
    made = keys.create(scopes, label="test", created=now(), daily=daily)
    keys.close()
    return {"authorization": f"Bearer {made.key}"}


def test_coarse_figures_lead_back_to_no_fine_ones() -> None:
    axis = {"found": True, "speed_ppm": 1_004_999, "pitch_cents": -149, "present": [], "told_by": "code"}
    ranges = [{"start_ms": 1999, "end_ms": 2001}, {"start_ms": 2000, "end_ms": 3000}]
    given = {"watermark": axis, "identity": {"matches": ranges}, "copies": None, "limits": ["a"], "text": "b"}
    kept = json.dumps(given)
    coarse = coarsen({"detail": "full", **given})
    assert coarse["watermark"] == {"found": True, "speed_ppm": 1_000_000, "pitch_cents": -100}
    assert coarse["identity"]["matches"] == [
        {"start_ms": 1000, "end_ms": 3000},
        {"start_ms": 2000, "end_ms": 3000},
    ]
    assert (coarse["copies"], coarse["text"]) == (None, "b")
    assert json.dumps(given) == kept


def check_refused(answer: httpx.Response) -> dict[str, Any]:
    assert answer.status_code == 429, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    problem: dict[str, Any] = answer.json()
    assert problem["type"].endswith("/quota-reached")
    assert int(answer.headers["retry-after"]) == problem["retry_after_s"] > 0
    return problem


def test_strangers_get_coarse_reports_of_few_versions_and_keys_full_ones(
    stamped: Stamped, tmp_path: Path
) -> None:
    clip, other = (cut(stamped.audio, tmp_path / "clip.flac", start) for start in (3.3, 1.0))
    press = make_key(stamped, Scope.PRESS)
    with served(stamped.home, PROVENOTE_PUBLIC_VARIANTS="1") as client:
        coarse = client.post("/v1/verifications", content=clip).raise_for_status().json()
        full = client.post("/v1/verifications", content=clip, headers=press).raise_for_status().json()
        told = client.post("/v1/identifications", content=clip).raise_for_status().json()
        whole = client.post("/v1/identifications", content=clip, headers=press).raise_for_status().json()
        refused = check_refused(client.post("/v1/verifications", content=other))
        exact = client.post("/v1/verifications", content=stamped.audio.read_bytes())
    assert (coarse["detail"], full["detail"]) == ("coarse", "full")
    for name in ("verdict", "good", "reasons", "track", "ledger", "tags", "credential"):
        assert coarse[name] == full[name]
    assert coarse["verdict"] == "excerpt"
    assert set(FINE) <= list_names(full)
    assert not set(FINE) & list_names(coarse)
    assert coarse["watermark"]["track_id"] == stamped.track_id
    assert LIMIT in coarse["limits"]
    signed = ledger.canonical.format_json(coarse["envelope"])
    reports = read_public_keys(read_settings(stamped.home, {})).reports
    predicate = json.loads(ledger.open_envelope(signed, reports).payload)["predicate"]
    assert predicate == {name: item for name, item in coarse.items() if name != "envelope"}
    assert told["matches"][0]["false_alarm_at_most"] is None
    assert whole["matches"][0]["false_alarm_at_most"].startswith("1e-")
    assert told["matches"][0]["recording"] == {"start_ms": 3000, "end_ms": 14_000}
    assert whole["matches"][0]["recording"]["start_ms"] % 1000
    # The released file tells nothing new; another version of the track does.
    assert "versions of a track" in refused["detail"]
    assert exact.json()["verdict"] == "exact"


def test_strangers_are_counted_by_address_and_keys_by_their_own_bound(stamped: Stamped) -> None:
    with served(
        stamped.home,
        PROVENOTE_PUBLIC_DAILY="7",
        PROVENOTE_PUBLIC_MINUTE="2",
        PROVENOTE_TRUSTED_PROXIES="127.0.0.1,10.0.0.0/8",
    ) as client:

        def ask(address: str, times: int, headers: dict[str, str] | None = None) -> list[int]:
            sent = {"x-forwarded-for": address, **(headers or {})}
            paths = ("verifications", "identifications")
            answers = [client.post(f"/v1/{paths[n % 2]}", headers=sent) for n in range(times)]
            for answer in answers:
                if answer.status_code == 429:
                    check_refused(answer)
            return [answer.status_code for answer in answers]

        # At the border of a minute the next one begins: two addresses do not both ask there.
        assert [422, 422, 429] in (ask("192.0.2.1", 3), ask("192.0.2.2", 3))
        assert ask("192.0.2.3, 192.0.2.4, 10.1.2.3", 1) == [422]  # the last that is no proxy of ours counts
        assert ask("192.0.2.4", 5)[-1] == 429
        assert ask("192.0.2.3", 1) == [422]
        bounded, free = make_key(stamped, Scope.RESEARCH, daily=3), make_key(stamped, Scope.AUTHORITY)
        assert ask("192.0.2.4", 4, bounded) == [422, 422, 422, 429]
        assert set(ask("192.0.2.4", 12, free)) == {422}
        assert {client.get("/v1/tracks").status_code for _ in range(12)} == {200}  # reading is not counted


def test_a_strangers_recording_may_be_so_long(stamped: Stamped) -> None:
    silence = write_silence(20.0)
    press = make_key(stamped, Scope.PRESS)
    with served(stamped.home, PROVENOTE_PUBLIC_SECONDS="19", PROVENOTE_MAX_SECONDS="21") as client:
        for path in ("verifications", "identifications"):
            refused = client.post(f"/v1/{path}", content=silence)
            assert (refused.status_code, refused.json()["code"]) == (422, "too-long")
        assert client.post("/v1/identifications", content=silence, headers=press).status_code == 200
        audio = {"content-type": "audio/flac"}
        refused = client.post("/c2pa/matches/byContent", content=silence, headers=audio)
        assert (refused.status_code, "at most 19" in refused.json()["detail"]) == (415, True)
        kept = client.post("/c2pa/matches/byContent", content=silence, headers={**audio, **press})
        assert (kept.status_code, kept.json()) == (200, {"matches": []})


def test_an_address_is_not_believed_of_anybody(stamped: Stamped) -> None:
    with served(stamped.home, PROVENOTE_PUBLIC_DAILY="3", PROVENOTE_PUBLIC_MINUTE="9") as client:
        codes = [
            client.post("/v1/verifications", headers={"x-forwarded-for": f"192.0.2.{host}"}).status_code
            for host in range(4)
        ]
    assert codes == [422, 422, 422, 429]


def test_browsers_are_told_to_load_nothing_from_elsewhere(stamped: Stamped) -> None:
    with served(stamped.home) as client:
        large = client.post("/v1/tracks", content=b"x" * 70_000)
        answers = [client.get("/v1/keys"), client.get("/nowhere"), large]
        asked = {"origin": "https://a.example", "access-control-request-method": "POST"}
        assert client.options("/v1/verifications", headers=asked).status_code == 405
    for answer in answers:
        assert "frame-ancestors 'none'" in answer.headers["content-security-policy"]
        assert "unsafe" not in answer.headers["content-security-policy"]
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert answer.headers["referrer-policy"] == "no-referrer"
        assert "strict-transport-security" not in answer.headers
        assert "access-control-allow-origin" not in answer.headers


def test_other_origins_and_tls_are_settings_and_a_body_that_drips_is_given_up(stamped: Stamped) -> None:
    with served(
        stamped.home,
        PROVENOTE_CORS_ORIGINS="https://a.example, https://b.example:8443",
        PROVENOTE_TLS="yes",
        PROVENOTE_BODY_TIMEOUT_S="1",
    ) as client:
        allowed = client.get("/v1/keys", headers={"origin": "https://b.example:8443"})
        assert allowed.headers["access-control-allow-origin"] == "https://b.example:8443"
        assert "access-control-allow-credentials" not in allowed.headers
        other = client.get("/v1/keys", headers={"origin": "https://c.example"})
        assert "access-control-allow-origin" not in other.headers
        asked = {"origin": "https://a.example", "access-control-request-method": "POST"}
        assert client.options("/v1/verifications", headers=asked).status_code == 200
        assert allowed.headers["strict-transport-security"].startswith("max-age=")
        for path in ("/v1/verifications", "/v1/tracks"):
            head = f"POST {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncontent-length: 99"
            address = client.base_url.host, client.base_url.port or 80
            with socket.create_connection(address, timeout=30) as raw:
                raw.sendall(f"{head}\r\n\r\nabc".encode())
                answer = b""
                while part := raw.recv(65_536):
                    answer += part
            assert answer.startswith(b"HTTP/1.1 408 "), answer
            assert b"/too-slow" in answer
    assert list((stamped.home / "incoming").glob("upload-*")) == []


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("PROVENOTE_PUBLIC_DAILY", "0"),
        ("PROVENOTE_PUBLIC_MINUTE", "many"),
        ("PROVENOTE_PUBLIC_VARIANTS", "1000001"),
        ("PROVENOTE_TRUSTED_PROXIES", "10.0.0.0/8, proxy"),
        ("PROVENOTE_TRUSTED_PROXIES", "10.0.0.1/8"),
        ("PROVENOTE_CORS_ORIGINS", "https://a.example/"),
        ("PROVENOTE_CORS_ORIGINS", "a.example"),
        ("PROVENOTE_TLS", "true"),
    ],
)
def test_a_wrong_setting_names_its_variable(name: str, text: str) -> None:
    with pytest.raises(SettingsError, match=name):
        read_access_settings({name: text})
