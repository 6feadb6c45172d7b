"""What is seen of a running service: health, readiness, metrics, logs with request ids, traces."""

import io
import json
import logging
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from conftest import Stamped, make_music, write_audio
from http_service import served

from api.leading import Lead
from api.logs import JsonFormatter, TextFormatter, Trace, current_trace, parse_traceparent, read_trace
from api.publishing import read_published
from api.settings import read_settings
from ledger import Store
from ledger.errors import BusyError

TRACE_ID = "4bf92f3577b34da6a3ce929d0e0e4736"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (f"00-{TRACE_ID}-00f067aa0ba902b7-01", TRACE_ID),
        (f"cc-{TRACE_ID}-00f067aa0ba902b7-01-of-the-future", TRACE_ID),
        (f"00-{TRACE_ID}-00f067aa0ba902b7-01-more", None),
        (f"ff-{TRACE_ID}-00f067aa0ba902b7-01", None),
        (f"00-{'0' * 32}-00f067aa0ba902b7-01", None),
        (f"00-{TRACE_ID}-{'0' * 16}-01", None),
        (f"00-{TRACE_ID.upper()}-00f067aa0ba902b7-01", None),
        ("", None),
    ],
)
def test_a_traceparent_is_taken_as_the_standard_says(text: str, expected: str | None) -> None:
    assert parse_traceparent(text) == expected


@pytest.mark.parametrize("given", ["", "a" * 65, "a b", "a\nb", 'a"b', "é"])
def test_a_request_id_that_is_not_plain_is_drawn_anew(given: str) -> None:
    found = read_trace({"x-request-id": given}).request_id
    assert found != given
    assert len(found) == 16
    assert read_trace({"x-request-id": "a-B.1_"}).request_id == "a-B.1_"


def test_a_record_is_one_line_of_json_with_its_request() -> None:
    record = logging.LogRecord("api.x", logging.INFO, __file__, 1, "two\nlines %s", ("é",), None)
    record.facts = {"status": 202, "nothing": None}
    token = current_trace.set(Trace("r1", TRACE_ID))
    try:
        line, text = JsonFormatter().format(record), TextFormatter().format(record)
    finally:
        current_trace.reset(token)
    assert "\n" not in line
    found = json.loads(line)
    assert found.pop("time").endswith("Z")
    assert found == {
        "level": "INFO",
        "logger": "api.x",
        "message": "two\nlines é",
        "request_id": "r1",
        "trace_id": TRACE_ID,
        "status": 202,
    }
    assert text.endswith("status=202 request_id=r1")


def test_counts_of_several_processes_are_added_up(tmp_path: Path) -> None:
    program = (
        "import os, sys\n"
        "from api.http.metrics import Metrics\n"
        "metrics = Metrics()\n"
        "metrics.count_verification('exact', 0.3)\n"
        "if os.fork() == 0:\n"
        "    metrics.count_verification('exact', 0.3)\n"
        "    metrics.count_request('GET', '/v1/keys', 200, 0.1)\n"
        "    os._exit(0)\n"
        "os.wait()\n"
        "sys.stdout.buffer.write(metrics.format_counts())\n"
    )
    environment = {**os.environ, "PROMETHEUS_MULTIPROC_DIR": str(tmp_path)}
    text = subprocess.run(
        [sys.executable, "-c", program], env=environment, capture_output=True, text=True, check=True
    ).stdout
    assert 'provenote_verifications_total{verdict="exact"} 2.0' in text
    assert "provenote_verification_seconds_count 2.0" in text
    assert 'provenote_http_requests_total{method="GET",route="/v1/keys",status="200"} 1.0' in text


@pytest.fixture(scope="module")
def logged(
    stamped_once: Stamped, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[httpx.Client, Stamped, io.StringIO]]:
    """A service whose log is kept."""
    home = tmp_path_factory.mktemp("observed") / "ledger"
    shutil.copytree(stamped_once.home, home)
    stream = io.StringIO()
    handler = logging.StreamHandler(stream)
    handler.setFormatter(JsonFormatter())
    handler.addFilter(lambda record: not record.name.startswith("http"))  # of the client in this process
    root = logging.getLogger()
    level = root.level
    root.addHandler(handler)
    root.setLevel(logging.INFO)
    try:
        with served(home) as client:
            yield client, stamped_once, stream
    finally:
        root.removeHandler(handler)
        root.setLevel(level)


def read_log(stream: io.StringIO) -> list[dict[str, object]]:
    return [json.loads(line) for line in stream.getvalue().splitlines()]


def test_every_answer_names_its_request_and_every_request_is_logged_once(
    logged: tuple[httpx.Client, Stamped, io.StringIO],
) -> None:
    client, _, stream = logged
    sent = {"x-request-id": "of-the-client", "traceparent": f"00-{TRACE_ID}-00f067aa0ba902b7-01"}
    assert client.get("/v1/tracks?limit=1", headers=sent).headers["x-request-id"] == "of-the-client"
    assert len(client.get("/nowhere").headers["x-request-id"]) == 16
    (line,) = [item for item in read_log(stream) if item.get("request_id") == "of-the-client"]
    assert line["message"] == "request"
    assert (line["method"], line["path"], line["status"]) == ("GET", "/v1/tracks", 200)
    assert line["trace_id"] == TRACE_ID
    client.get("/health")
    assert not [item for item in read_log(stream) if item.get("path") == "/health"]


def test_neither_secrets_nor_titles_reach_the_log(
    logged: tuple[httpx.Client, Stamped, io.StringIO], tmp_path: Path
) -> None:
    client, track, stream = logged
    song = write_audio(tmp_path / "s.wav", make_music(1.0, seed=5, channels=1))
    headers = {"authorization": f"Bearer {track.token}", "content-disposition": "filename=whisper.wav"}
    query = "title=Confidential-Ballad&artist=Nobody-Known"
    assert client.post(f"/v1/stamps?{query}", content=song.read_bytes(), headers=headers).status_code == 202
    client.post("/v1/verifications", content=b"not audio", headers={"authorization": "Bearer wrong-token-x"})
    text = stream.getvalue()
    assert "job queued" in text
    for secret in (track.token, "Confidential-Ballad", "Nobody-Known", "whisper", "wrong-token-x"):
        assert secret not in text


def test_metrics_are_for_operators_and_tell_of_verifications_and_the_ledger(
    logged: tuple[httpx.Client, Stamped, io.StringIO],
) -> None:
    client, track, _ = logged
    assert client.get("/metrics").status_code == 401
    headers = {"authorization": f"Bearer {track.token}"}
    client.post("/v1/verifications", content=track.audio.read_bytes(), headers=headers).raise_for_status()
    client.get("/v1/tracks/aaaaaaaaaaaaaaaa")
    answer = client.get("/metrics", headers=headers).raise_for_status()
    assert answer.headers["content-type"].startswith("text/plain; version=0.0.4")
    lines = answer.text.splitlines()
    assert 'provenote_verifications_total{verdict="exact"} 1.0' in lines
    assert "provenote_verification_seconds_count 1.0" in lines
    assert "provenote_database_up 1.0" in lines
    assert "provenote_scrub_findings 0.0" in lines
    route = 'method="GET",route="/v1/tracks/{track_id}",status="404"'
    assert f"provenote_http_requests_total{{{route}}} 1.0" in lines
    figures = dict(line.rsplit(" ", 1) for line in lines if not line.startswith("#"))
    assert float(figures["provenote_ledger_size"]) >= 2
    assert float(figures["provenote_jobs_waiting"]) <= 1


def test_a_service_is_ready_while_database_queue_and_folder_can_be_used(
    logged: tuple[httpx.Client, Stamped, io.StringIO],
) -> None:
    client, _, _ = logged
    assert client.get("/ready").raise_for_status().json() == {"ready": True}


def test_what_stands_in_the_way_of_requests_is_named(
    stamped: Stamped, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(_: Store) -> None:
        raise BusyError("the database is locked")

    with served(stamped.home) as client:
        (stamped.home / "incoming").rename(stamped.home / "elsewhere")
        answer = client.get("/ready")
        (stamped.home / "elsewhere").rename(stamped.home / "incoming")
        monkeypatch.setattr(Store, "state", fail)
        later = client.get("/ready")
        health = client.get("/health").raise_for_status().json()
        headers = {"authorization": f"Bearer {stamped.token}"}
        assert "provenote_database_up 0.0" in client.get("/metrics", headers=headers).text
        monkeypatch.undo()
    assert answer.status_code == 503
    assert "the ledger folder is gone" in answer.json()["detail"]
    assert "the database does not answer" in later.json()["detail"]
    assert (health["status"], health["ledger_size"]) == ("degraded", None)


def test_one_of_several_services_leads(stamped: Stamped) -> None:
    settings = read_settings(stamped.home, {})
    first, second = Lead(settings), Lead(settings)
    assert first.take()
    assert first.take()
    assert not second.take()
    first.close()
    assert second.take()
    second.close()


def test_a_publication_that_cannot_be_read_is_none(stamped: Stamped) -> None:
    settings = read_settings(stamped.home, {})
    assert read_published(settings) is None
    settings.published.write_text('{"time_s": 1}')
    assert read_published(settings) is None


@pytest.mark.package("opentelemetry.sdk")
def test_traces_go_to_whoever_is_set_up_to_take_them_without_queries(stamped: Stamped) -> None:
    from opentelemetry import trace
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import SimpleSpanProcessor
    from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

    exporter, provider = InMemorySpanExporter(), TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    trace.set_tracer_provider(provider)
    with served(stamped.home) as client:
        client.get("/v1/keys", headers={"traceparent": f"00-{TRACE_ID}-00f067aa0ba902b7-01"})
        client.get("/v1/tracks?after=")
    spans = exporter.get_finished_spans()
    assert [span.attributes["http.route"] for span in spans if span.attributes] == ["/v1/keys"]
    assert f"{spans[0].context.trace_id:032x}" == TRACE_ID
    assert "url.query" not in (spans[0].attributes or {})
