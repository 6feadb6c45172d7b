"""Requests with an Idempotency-Key: sent again they are not done twice, and get the same answer."""

import shutil
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import pytest
import sqlalchemy
from conftest import Stamped
from http_service import served

from api.errors import ConflictError, KeyReusedError
from api.idempotency import HOUR_S, Answer, RequestKeys
from api.installation import open_installation
from api.settings import read_settings

ASKED = {"prompt": "slow waltz in D minor, piano"}
GIVEN = Answer(202, {"location": "/v1/jobs/1"}, b"made")
FORM = {"request": {"question": "Is this built on my song?"}}


class Clock:
    """Unix seconds that stand still."""

    now_s = 1_000_000.0

    def __call__(self) -> float:
        return self.now_s


@pytest.fixture
def clock() -> Clock:
    """A clock of this test."""
    return Clock()


@pytest.fixture
def keys(stamped: Stamped, clock: Clock) -> Iterator[RequestKeys]:
    """The keys of a ledger."""
    found = RequestKeys(read_settings(stamped.home, {}).database_url, b"s" * 32, kept_hours=24, clock=clock)
    yield found
    found.close()


@pytest.fixture(scope="module")
def service(
    stamped_once: Stamped, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[httpx.Client, Path]]:
    """A service that carries out no jobs, its operator's client, and its folder."""
    home = tmp_path_factory.mktemp("service") / "ledger"
    shutil.copytree(stamped_once.home, home)
    with served(home, PROVENOTE_JOB_WORKERS="0") as client:
        client.headers["authorization"] = f"Bearer {stamped_once.token}"
        yield client, home


def count_jobs(home: Path) -> int:
    with open_installation(read_settings(home, {})) as installation:
        return installation.jobs.count()["queued"]


def test_a_key_is_taken_once_and_recalls_its_answer(keys: RequestKeys) -> None:
    assert keys.begin("k1", "first-request")
    assert not keys.begin("k1", "first-request")
    keys.keep("k1", "first-request", b"asked", GIVEN)
    assert not keys.begin("k1", "first-request")
    assert keys.recall("k1", "first-request", b"asked") == GIVEN


def test_a_key_is_its_callers_own(keys: RequestKeys) -> None:
    assert keys.begin("k1", "first-request")
    assert keys.begin("k2", "first-request")


def test_a_key_with_another_request_is_refused(keys: RequestKeys) -> None:
    keys.begin("k1", "first-request")
    keys.keep("k1", "first-request", b"asked", GIVEN)
    with pytest.raises(KeyReusedError):
        keys.recall("k1", "first-request", b"something else")


def test_a_request_without_an_answer_is_not_done_again(keys: RequestKeys) -> None:
    keys.begin("k1", "first-request")
    with pytest.raises(ConflictError, match="cut off"):
        keys.recall("k1", "first-request", b"asked")


def test_a_key_of_what_failed_is_free_and_one_that_was_answered_stays(keys: RequestKeys) -> None:
    keys.begin("k1", "first-request")
    keys.give_back("k1", "first-request")
    assert keys.begin("k1", "first-request")
    keys.keep("k1", "first-request", b"asked", GIVEN)
    keys.give_back("k1", "first-request")
    assert not keys.begin("k1", "first-request")


def test_a_key_expires(keys: RequestKeys, clock: Clock) -> None:
    keys.begin("k1", "first-request")
    keys.keep("k1", "first-request", b"asked", GIVEN)
    clock.now_s += 24 * HOUR_S - 1
    assert not keys.begin("k1", "first-request")
    clock.now_s += 1
    assert keys.begin("k1", "first-request")


def test_the_database_opens_neither_key_nor_request_nor_answer(keys: RequestKeys, stamped: Stamped) -> None:
    keys.begin("k1", "first-request")
    keys.keep("k1", "first-request", b"asked", GIVEN)
    engine = sqlalchemy.create_engine(f"sqlite:///{stamped.home / 'ledger.db'}")
    with engine.connect() as connection:
        (row,) = connection.exec_driver_sql("SELECT * FROM request_key").all()
    engine.dispose()
    stored = b"".join(value for value in row if isinstance(value, bytes))
    assert not any(text in stored for text in (b"k1", b"first-request", b"asked", b"made", b"location"))


def test_the_same_request_makes_one_job_with_one_answer(service: tuple[httpx.Client, Path]) -> None:
    client, home = service
    before = count_jobs(home)
    headers = {"idempotency-key": "the-same-request"}
    first = client.post("/v1/tracks", json=ASKED, headers=headers)
    again = client.post("/v1/tracks", json=ASKED, headers=headers)
    assert (first.status_code, again.status_code) == (202, 202)
    assert again.content == first.content
    assert again.headers["location"] == first.headers["location"]
    assert "idempotency-replayed" not in first.headers
    assert again.headers["idempotency-replayed"] == "true"
    assert count_jobs(home) == before + 1
    other = client.post("/v1/tracks", json={**ASKED, "seed": 1}, headers=headers)
    assert other.status_code == 422
    assert other.json()["type"].endswith("/key-reused")
    assert count_jobs(home) == before + 1


def test_of_requests_at_once_one_is_done(service: tuple[httpx.Client, Path]) -> None:
    client, home = service
    before = count_jobs(home)
    headers = {"idempotency-key": "many-at-once-0"}

    def ask(_: int) -> httpx.Response:
        return client.post("/v1/tracks", json=ASKED, headers=headers)

    with ThreadPoolExecutor(4) as pool:
        answers = list(pool.map(ask, range(8)))
    assert {answer.status_code for answer in answers} <= {202, 409}
    assert len({answer.json()["job_id"] for answer in answers if answer.status_code == 202}) == 1
    assert count_jobs(home) == before + 1


def test_an_upload_that_comes_again_is_compared_and_not_kept(
    service: tuple[httpx.Client, Path], stamped_once: Stamped
) -> None:
    client, home = service
    before = count_jobs(home)
    headers = {"idempotency-key": "upload-of-a-song"}
    content = stamped_once.source.read_bytes()
    first = client.post("/v1/stamps?title=Song", content=content, headers=headers)
    again = client.post("/v1/stamps?title=Song", content=content, headers=headers)
    assert again.json() == first.json()
    for changed in (
        client.post("/v1/stamps?title=Song", content=content[:-1], headers=headers),
        client.post("/v1/stamps?title=Other", content=content, headers=headers),
    ):
        assert changed.json()["type"].endswith("/key-reused")
    assert count_jobs(home) == before + 1
    assert not list((home / "incoming").glob("upload-*"))


def test_what_was_refused_may_be_sent_again_with_its_key(service: tuple[httpx.Client, Path]) -> None:
    client, _ = service
    headers = {"idempotency-key": "refused-at-first"}
    refused = client.post("/v1/tracks", json={**ASKED, "engine": "no-such"}, headers=headers)
    assert 400 <= refused.status_code < 500
    assert client.post("/v1/tracks", json=ASKED, headers=headers).status_code == 202


def test_a_key_that_is_no_key_is_refused(service: tuple[httpx.Client, Path]) -> None:
    client, _ = service
    for key in ("short", "x" * 256, "with space in it"):
        answer = client.post("/v1/tracks", json=ASKED, headers={"idempotency-key": key})
        assert answer.status_code == 422
        assert answer.json()["faults"][0]["at"] == "header.idempotency-key"


def test_a_strangers_case_is_opened_once_and_its_code_is_told_again(
    service: tuple[httpx.Client, Path],
) -> None:
    client, home = service
    headers = {"idempotency-key": "case-of-a-stranger"}
    with httpx.Client(base_url=client.base_url) as stranger:
        first = stranger.post("/v1/cases", json=FORM, headers=headers)
        again = stranger.post("/v1/cases", json=FORM, headers=headers)
    assert first.status_code == 201, first.text
    assert again.json() == first.json()
    with open_installation(read_settings(home, {})) as installation:
        assert len(installation.cases.list_cases(limit=10)) == 1
