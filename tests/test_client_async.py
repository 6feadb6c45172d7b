"""The asynchronous client: what `Client` does, awaited; what both share is tested in test_client.py."""

import inspect
import io
import json
from collections.abc import AsyncIterator, Callable, Coroutine
from pathlib import Path
from typing import Any

import anyio
import httpx
import pytest
from conftest import Stamped
from http_service import served

from provenote_client import AsyncClient, Client, ConnectionFailedError, JobError, RefusedError, Report


def run(work: Callable[[], Coroutine[Any, Any, Any]]) -> Any:
    """Run a coroutine to its end."""
    return anyio.run(work)


def answering(
    *answers: httpx.Response | Exception,
) -> tuple[AsyncClient, list[float], list[tuple[httpx.Request, bytes]]]:
    """A client whose service gives these answers; and what it waited and asked, with bodies."""
    waits: list[float] = []
    asked: list[tuple[httpx.Request, bytes]] = []
    left = list(answers)

    async def handle(request: httpx.Request) -> httpx.Response:
        asked.append((request, await request.aread()))
        answer = left.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer

    async def sleep(wait_s: float) -> None:
        waits.append(wait_s)

    transport = httpx.MockTransport(handle)
    return AsyncClient("https://service.example", transport=transport, sleep=sleep), waits, asked


def describe(state: str) -> dict[str, object]:
    names = ("job_id", "kind", "stage", "fraction", "track_id", "margin", "problem")
    return {**dict.fromkeys(names), "job_id": "9f", "fraction": 0.5, "state": state}


def stream(*events: tuple[int, dict[str, object]]) -> httpx.Response:
    text = "".join(f"event: x\nid: {number}\ndata: {json.dumps(event)}\n\n" for number, event in events)
    return httpx.Response(200, text=text, headers={"content-type": "text/event-stream"})


def test_it_has_every_method_of_the_other_client_with_the_same_arguments() -> None:
    names = {name for name, _ in inspect.getmembers(Client, inspect.isfunction) if not name.startswith("_")}
    for name in sorted(names):
        one, other = getattr(Client, name), getattr(AsyncClient, name)
        assert inspect.signature(one).parameters == inspect.signature(other).parameters, name
        assert one.__doc__ == other.__doc__, name
        assert inspect.iscoroutinefunction(other) or inspect.isasyncgenfunction(other), name


def test_it_verifies_and_reads_from_a_real_service(stamped: Stamped, tmp_path: Path) -> None:
    async def work() -> Report:
        async with AsyncClient(str(http.base_url), key=stamped.token) as client:
            report = await client.verify(stamped.audio)
            [track] = [item async for item in client.tracks()]
            assert track == await client.track(report.track_id or "")
            assert (await client.custody(track.track_id)).status == "valid"
            await client.download(track.track_id, tmp_path / "track.flac")
            with pytest.raises(RefusedError):
                await client.verify(io.BytesIO(b"no audio"))
            return report

    with served(stamped.home, PROVENOTE_JOB_WORKERS="0") as http:
        assert run(work).verdict == "exact"
    assert (tmp_path / "track.flac").read_bytes() == stamped.audio.read_bytes()


def test_a_path_is_streamed_anew_for_each_attempt_with_its_length(tmp_path: Path) -> None:
    path = tmp_path / "clip.wav"
    path.write_bytes(b"RIFF" * 50_000)
    busy = httpx.Response(503, json={"type": "x/busy"}, headers={"retry-after": "7"})
    client, waits, asked = answering(busy, httpx.Response(200, json={"verdict": "exact"}))
    assert run(lambda: client.verify(path)).verdict == "exact"
    assert waits == [7.0]
    assert [body for _, body in asked] == [path.read_bytes()] * 2
    assert asked[0][0].headers["content-length"] == "200000"
    assert "transfer-encoding" not in asked[0][0].headers


def test_a_download_that_breaks_begins_anew(tmp_path: Path) -> None:
    async def cut_off() -> AsyncIterator[bytes]:
        yield b"half of it"
        raise httpx.ReadError("the connection broke")

    client, waits, _ = answering(
        httpx.Response(200, content=cut_off()), httpx.Response(200, content=b"all of it")
    )
    run(lambda: client.download("k3t5mz7qa2xw4hbn", tmp_path / "track.flac"))
    assert ((tmp_path / "track.flac").read_bytes(), waits) == (b"all of it", [1.0])


def test_an_order_is_sent_again_with_its_key() -> None:
    client, waits, asked = answering(
        httpx.ReadError("connection reset"), httpx.Response(202, json=describe("queued"))
    )
    assert run(lambda: client.issue("waltz")).state == "queued"
    assert waits == [1.0]
    assert len({request.headers["idempotency-key"] for request, _ in asked}) == 1


def test_a_job_is_followed_over_a_broken_connection() -> None:
    client, waits, asked = answering(
        stream((1, describe("queued")), (2, describe("running"))),
        httpx.ConnectError("refused"),
        stream((3, describe("failed"))),
    )
    states: list[str] = []
    with pytest.raises(JobError):
        run(lambda: client.wait("9f", progress=lambda job: states.append(job.state)))
    assert states == ["queued", "running", "failed"]
    assert [request.headers.get("last-event-id") for request, _ in asked] == [None, "2", "2"]
    assert waits == [0.5, 2.0]


def test_a_stream_that_keeps_breaking_is_given_up() -> None:
    client, waits, _ = answering(*[httpx.ConnectError("refused")] * 6)

    async def follow() -> list[str]:
        return [job.state async for job in client.follow("9f")]

    with pytest.raises(ConnectionFailedError):
        run(follow)
    assert waits == [2.0, 4.0, 8.0, 16.0, 30.0]
