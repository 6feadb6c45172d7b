"""Jobs: the table's rules over both databases, the queue, workers that fail, are cancelled, or are killed."""

import contextlib
import json
import os
import secrets
import signal
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from conftest import Stamped, make_music, write_audio

from api import jobtable, jobwork, release, worker
from api.errors import (
    ConflictError,
    GeneratorMissingError,
    MissingError,
    OverloadError,
    StoppedError,
    WriteError,
)
from api.installation import Installation, open_installation
from api.jobqueue import JobQueue
from api.jobs import Jobs
from api.jobtable import JobRow, JobTable
from api.jobwork import locate_input
from api.registry import Registry
from api.settings import Settings, read_settings
from api.worker import ATTEMPTS, LEASE_S, Worker, is_dead, is_transient
from ledger import Store, upgrade
from ledger.errors import BusyError, DiskFullError, LedgerConflictError

TIME = "2026-01-01T00:00:00Z"


def make_job(job_id: str = "j", **changes: Any) -> JobRow:
    return JobRow(
        **{
            "job_id": job_id,
            "kind": "stamp",
            "state": jobtable.QUEUED,
            "stage": "queued",
            "fraction": 0.0,
            "request": "{}",
            "track_id": "t" * 16,
            "created": TIME,
            "updated": TIME,
            **changes,
        }
    )


@pytest.fixture
def table(new_url: Callable[[], str]) -> Iterator[JobTable]:
    url = new_url()
    upgrade(url)
    opened = JobTable(url)
    yield opened
    opened.close()


def claim(table: JobTable, job_id: str, name: str, *, now_s: int = 100) -> bool:
    return table.claim(job_id, name, now_s=now_s, lease_s=now_s + LEASE_S, updated=TIME)


def test_a_job_is_claimed_once_and_followed_by_its_version(table: JobTable) -> None:
    table.add(make_job())
    assert claim(table, "j", "a")
    assert not claim(table, "j", "b")
    assert table.report("j", "a", stage="mark", fraction=0.5, updated=TIME)
    assert not table.report("j", "b", stage="mark", fraction=0.9, updated=TIME)
    row = table.get("j")
    assert (row.state, row.stage, row.fraction, row.version, row.attempts) == ("running", "mark", 0.5, 3, 1)
    assert table.renew("j", "a", lease_s=500)
    assert not table.renew("j", "b", lease_s=900)
    assert table.get("j").version == 3  # nobody is told of a lease
    assert table.finish("j", "a", jobtable.DONE, updated=TIME)
    row = table.get("j")
    assert (row.state, row.stage, row.fraction, row.worker) == ("done", "done", 1.0, None)


def test_a_job_that_has_ended_never_changes_again(table: JobTable) -> None:
    table.add(make_job())
    claim(table, "j", "a")
    table.finish("j", "a", jobtable.FAILED, updated=TIME, problem="{}")
    before = table.get("j")
    assert not claim(table, "j", "a")
    assert not table.finish("j", "a", jobtable.DONE, updated=TIME)
    assert not table.hand_back("j", "a", due_s=0, updated=TIME)
    assert not table.take_away(before, updated=TIME)
    assert table.cancel("j", updated=TIME) is None
    assert table.get("j") == before
    assert table.count() == {"queued": 0, "running": 0}


def test_a_job_is_taken_from_a_worker_only_while_its_lease_is_the_one_seen(table: JobTable) -> None:
    table.add(make_job())
    claim(table, "j", "a")
    seen = table.get("j")
    table.renew("j", "a", lease_s=999)
    assert not table.take_away(seen, updated=TIME)
    assert table.take_away(table.get("j"), updated=TIME)
    assert (table.get("j").state, table.get("j").attempts) == ("queued", 1)
    assert not table.finish("j", "a", jobtable.DONE, updated=TIME)


def test_a_job_handed_back_waits_until_it_is_due(table: JobTable) -> None:
    table.add(make_job())
    claim(table, "j", "a")
    table.hand_back("j", "a", due_s=200, updated=TIME, problem="{}")
    assert not claim(table, "j", "b", now_s=199)
    assert table.list_due(199) == []
    assert [row.job_id for row in table.list_due(200)] == ["j"]
    assert claim(table, "j", "b", now_s=200)
    table.hand_back("j", "b", due_s=0, updated=TIME, counted=False)
    assert table.get("j").attempts == 1


def test_a_queued_job_is_cancelled_at_once_a_running_one_is_asked(table: JobTable) -> None:
    table.add(make_job("a"))
    table.add(make_job("b"))
    cancelled = table.cancel("a", updated=TIME)
    assert cancelled is not None
    assert cancelled.state == "cancelled"
    claim(table, "b", "w")
    asked = table.cancel("b", updated=TIME)
    assert asked is not None
    assert (asked.state, asked.cancelling) == ("running", True)
    with pytest.raises(MissingError):
        table.cancel("c", updated=TIME)
    with pytest.raises(MissingError):
        table.get("c")


def test_due_jobs_come_by_priority_and_age(table: JobTable) -> None:
    for job_id, priority, created in (("a", 0, "2"), ("b", -1, "1"), ("c", 0, "1"), ("d", 1, "3")):
        table.add(make_job(job_id, priority=priority, created=created))
    assert [row.job_id for row in table.list_due(0)] == ["d", "c", "a", "b"]
    assert table.list_unfinished(["a", "x"]) == {"a"}


def test_many_workers_claim_each_job_once(table: JobTable) -> None:
    for number in range(20):
        table.add(make_job(str(number)))
    taken: list[str] = []

    def work(name: str) -> None:
        taken.extend(str(number) for number in range(20) if claim(table, str(number), name))

    threads = [threading.Thread(target=work, args=(name,)) for name in "abcd"]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(taken) == sorted(str(number) for number in range(20))


@pytest.fixture
def queue(new_url: Callable[[], str], tmp_path: Path) -> Iterator[JobQueue]:
    url = new_url()
    given = url if url.startswith("postgresql") else None
    opened = JobQueue(Settings(home=tmp_path, keys=tmp_path, given_database_url=given))
    yield opened
    opened.close()


def test_the_queue_gives_each_id_once_by_priority_then_in_order(queue: JobQueue) -> None:
    for job_id, priority in (("a", 0), ("b", 1), ("c", 0), ("d", -1)):
        queue.send(job_id, priority)
    assert not queue.is_empty()
    assert [queue.take(0) for _ in range(5)] == ["b", "a", "c", "d", None]
    assert queue.is_empty()


def test_the_queue_keeps_what_is_due_later(queue: JobQueue) -> None:
    queue.send("later", 0, due_s=int(time.time()) + 1000)
    queue.send("soon", 1, due_s=int(time.time()) + 1)
    assert queue.take(0) is None
    deadline = time.monotonic() + 30
    while (found := queue.take()) is None:
        assert time.monotonic() < deadline
    assert found == "soon"
    assert queue.take(0) is None


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (WriteError("full"), True),
        (DiskFullError("full"), True),
        (BusyError("busy"), True),
        (OverloadError("busy"), True),
        (OSError("gone"), True),
        (GeneratorMissingError("none"), False),
        (LedgerConflictError("taken", asset="track:x", head=None), False),
        (StoppedError("stopped"), False),
        (MissingError("none"), False),
        (ZeroDivisionError("a fault of ours"), False),
    ],
)
def test_only_failures_of_the_environment_are_tried_again(error: Exception, expected: bool) -> None:
    assert is_transient(error) is expected


def test_a_worker_of_this_host_is_dead_without_its_process() -> None:
    host, mine = worker.socket.gethostname(), os.getpid()
    assert not is_dead(None)
    assert not is_dead(f"another.example:{mine}:x")
    assert not is_dead(f"{host}:{os.getppid()}:x")
    assert is_dead(f"{host}:{mine}:no-worker-of-this-process")
    pid = os.fork()
    if pid == 0:
        os._exit(0)
    os.waitpid(pid, 0)
    assert is_dead(f"{host}:{pid}:x")


@pytest.fixture
def installation(stamped: Stamped) -> Iterator[Installation]:
    with open_installation(read_settings(stamped.home, {})) as opened:
        yield opened


@pytest.fixture
def jobs(installation: Installation) -> Iterator[Jobs]:
    with contextlib.closing(Jobs(installation)) as opened:
        yield opened


def run_once(installation: Installation, jobs: Jobs) -> None:
    Worker(installation, jobs.queue).run(until_empty=True)


def let_work(monkeypatch: pytest.MonkeyPatch, work: jobwork.Work) -> None:
    """Have jobs of kind `issue` do something else: no generator is needed to see how they end."""
    monkeypatch.setattr(worker, "KINDS", {"issue": work})


def test_a_failing_environment_is_tried_again_later_and_in_the_end_told(
    installation: Installation, jobs: Jobs, monkeypatch: pytest.MonkeyPatch
) -> None:
    def work(*_: object) -> None:
        raise WriteError("the disk is full")

    let_work(monkeypatch, work)
    monkeypatch.setattr(worker, "BACKOFF_S", (0, 0, 0, 1000))
    job = jobs.submit("issue", {})
    run_once(installation, jobs)
    row = installation.jobs.get(job.job_id)
    assert (row.state, row.attempts) == ("queued", 4)
    assert json.loads(row.problem or "")["detail"] == "the disk is full"
    assert row.due_s > time.time() + 900
    monkeypatch.setattr(worker.time, "time", lambda now=time.time: now() + 2000)
    run_once(installation, jobs)
    row = installation.jobs.get(job.job_id)
    assert (row.state, row.attempts) == ("failed", ATTEMPTS)


def test_a_refused_request_fails_at_once(
    installation: Installation, jobs: Jobs, monkeypatch: pytest.MonkeyPatch
) -> None:
    def work(*_: object) -> None:
        raise MissingError("no such thing")

    let_work(monkeypatch, work)
    job = jobs.submit("issue", {})
    run_once(installation, jobs)
    row = installation.jobs.get(job.job_id)
    assert (row.state, row.attempts) == ("failed", 1)
    with pytest.raises(ConflictError, match="has ended: failed"):
        jobs.cancel(job.job_id)


def test_a_running_job_is_cancelled_from_anywhere(
    installation: Installation, jobs: Jobs, monkeypatch: pytest.MonkeyPatch
) -> None:
    def work(_i: object, _e: object, job: JobRow, progress: Any, cancelled: Callable[[], bool]) -> None:
        assert JobTable(installation.settings.database_url).cancel(job.job_id, updated=TIME)
        while not cancelled():
            time.sleep(0.01)
        raise StoppedError("stopped")

    let_work(monkeypatch, work)
    job = jobs.submit("issue", {})
    run_once(installation, jobs)
    assert installation.jobs.get(job.job_id).state == "cancelled"


def test_a_worker_that_lost_its_job_stops_and_changes_nothing(
    installation: Installation, jobs: Jobs, monkeypatch: pytest.MonkeyPatch
) -> None:
    def work(_i: object, _e: object, job: JobRow, progress: Any, cancelled: Callable[[], bool]) -> None:
        assert installation.jobs.take_away(installation.jobs.get(job.job_id), updated=TIME)
        assert installation.jobs.claim(job.job_id, "other", now_s=0, lease_s=1 << 40, updated=TIME)
        progress("mark", 0.5)

    let_work(monkeypatch, work)
    job = jobs.submit("issue", {})
    run_once(installation, jobs)
    row = installation.jobs.get(job.job_id)
    assert (row.state, row.worker) == ("running", "other")


def test_a_full_queue_takes_no_more_and_keeps_no_upload(installation: Installation, tmp_path: Path) -> None:
    full = replace(installation, settings=replace(installation.settings, queued_jobs=1))
    with contextlib.closing(Jobs(full)) as jobs:
        jobs.submit("issue", {})
        upload = tmp_path / "upload"
        upload.write_bytes(b"x")
        with pytest.raises(OverloadError, match="1 jobs are waiting"):
            jobs.submit("stamp", {}, upload=upload)
    assert not upload.exists()
    assert list(installation.settings.incoming.iterdir()) == []


def test_a_job_whose_id_cannot_be_sent_is_queued_all_the_same(
    installation: Installation, jobs: Jobs, monkeypatch: pytest.MonkeyPatch
) -> None:
    def send(*_: object, **__: object) -> None:
        raise BusyError("the queue does not answer")

    done: list[str] = []
    let_work(monkeypatch, lambda _i, _e, job, _p, _c: done.append(job.job_id))
    with monkeypatch.context() as broken:
        broken.setattr(jobs.queue, "send", send)
        row = jobs.submit("issue", {})
    assert jobs.queue.is_empty()
    run_once(installation, jobs)
    assert done == [row.job_id]


def test_an_input_without_a_job_is_removed_once_it_is_old(installation: Installation, jobs: Jobs) -> None:
    old_s = time.time() - worker.STALE_INPUT_S - 10
    lost, fresh = (locate_input(installation.settings, name) for name in ("lost", "fresh"))
    for path in (lost, fresh):
        path.write_bytes(b"x")
    os.utime(lost, (old_s, old_s))
    installation.jobs.add(make_job("waits", due_s=1 << 40))
    waits = locate_input(installation.settings, "waits")
    waits.write_bytes(b"x")
    os.utime(waits, (old_s, old_s))
    run_once(installation, jobs)
    assert (lost.exists(), fresh.exists(), waits.exists()) == (False, True, True)


STAMP = {
    **dict.fromkeys(("title", "artist", "isrc", "source_type")),
    "format": "flac",
    "bits": 16,
    "margin": "off",
    "strength": "default",
    "if_known": "allow",
}


def die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def kill_before(owner: Any, name: str, patch: pytest.MonkeyPatch) -> None:
    patch.setattr(owner, name, lambda *_, **__: die())


def kill_after(owner: Any, name: str, patch: pytest.MonkeyPatch) -> None:
    real = getattr(owner, name)

    def act(*arguments: Any, **options: Any) -> None:
        real(*arguments, **options)
        die()

    patch.setattr(owner, name, act)


POINTS = {
    "with the id": (kill_before, JobTable, "claim"),
    "with the job": (kill_after, JobTable, "claim"),
    "before the commit": (kill_after, Registry, "add_pending"),
    "at the commit": (kill_after, Store, "append"),
    "at the rename": (kill_before, release, "add_released"),
    "before the end": (kill_before, JobTable, "finish"),
}


def work_and_die(home: Path, point: str) -> None:
    """Work on the jobs in a process of its own, which is killed at a point."""
    pid = os.fork()
    if pid == 0:
        with contextlib.suppress(BaseException), pytest.MonkeyPatch.context() as patch:
            how, owner, name = POINTS[point]
            opened = open_installation(read_settings(home, {}))
            taken = Worker(opened, JobQueue(opened.settings))
            how(owner, name, patch)
            taken.run(until_empty=True)
        os._exit(1)
    _, status = os.waitpid(pid, 0)
    assert os.WIFSIGNALED(status), status
    assert os.WTERMSIG(status) == signal.SIGKILL


def test_a_worker_killed_at_any_point_loses_no_job_and_issues_no_track_twice(
    stamped: Stamped, tmp_path: Path
) -> None:
    settings = read_settings(stamped.home, {})
    song = write_audio(tmp_path / "song.flac", make_music(5.0, seed=31))
    with open_installation(settings) as opened, contextlib.closing(Jobs(opened)) as jobs:
        upload = settings.incoming / "upload-x"
        upload.write_bytes(song.read_bytes())
        job = jobs.submit("stamp", STAMP, upload=upload)
    for point in POINTS:
        work_and_die(stamped.home, point)
    with open_installation(settings) as opened, contextlib.closing(Jobs(opened)) as jobs:
        assert opened.jobs.get(job.job_id).state == "running"
        run_once(opened, jobs)
        assert opened.jobs.get(job.job_id).state == "done"
        assert len(opened.store.chain(f"track:{job.track_id}")) == 1
        assert opened.registry.get_released(job.track_id)
        assert list(settings.incoming.iterdir()) == []
        assert (settings.tracks / job.track_id / "bundle.json").is_file()


def test_a_job_that_kills_every_worker_is_given_up(installation: Installation, jobs: Jobs) -> None:
    installation.jobs.add(
        make_job(
            secrets.token_hex(8),
            state="running",
            worker=f"{worker.socket.gethostname()}:{os.getpid()}:gone",
            lease_s=1 << 40,
            attempts=ATTEMPTS,
        )
    )
    (job,) = installation.jobs.list_running()
    run_once(installation, jobs)
    row = installation.jobs.get(job.job_id)
    assert row.state == "interrupted"
    assert f"died {ATTEMPTS} times" in json.loads(row.problem or "")["detail"]
