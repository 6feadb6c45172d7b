"""Processes that append to one PostgreSQL database, as the API workers of many hosts do."""

import multiprocessing
import os
import shutil
import time
from collections.abc import Callable
from multiprocessing.synchronize import Barrier
from pathlib import Path
from typing import Any

from benchmarks.ledger_load import Load, Submission, read_load, saturate, warm_up
from benchmarks.ledger_material import make_ledger
from benchmarks.postgres_cluster import run_cluster
from ledger import Store

SETTINGS = ((4, 64), (16, 16))
"""Processes, and events that each has in flight."""


def measure_shared(
    parent: Path, events: int, make_submissions: Callable[..., list[Submission]]
) -> list[dict[str, Any]]:
    """Append single events from several processes; nothing where no server is installed."""
    if shutil.which("pg_createcluster") is None:
        return []
    rows = []
    if os.geteuid() == 0:
        parent.chmod(0o755)  # the server runs as another user
    with run_cluster(parent) as cluster:
        version = (cluster.folder / "data" / "PG_VERSION").read_text().strip()
        for processes, in_flight in SETTINGS:
            url = make_ledger(cluster.create(f"speed_{processes}"))
            loads = _append_from_many(url, events, processes, in_flight, make_submissions)
            waits = sorted(wait for load in loads for wait in load.waits_s)
            together = Load(
                sum(load.events for load in loads),
                max(load.wall_s for load in loads),
                sum(load.cpu_s for load in loads),
                tuple(waits),
            )
            rows.append(
                {
                    "server": f"PostgreSQL {version}",
                    "processes": processes,
                    "in_flight": in_flight,
                    "events": together.events,
                    "per_s": together.rate,
                    "cpu_us_per_event": 1e6 * together.cpu_s / together.events,
                    "p50_ms": together.wait_ms(0.5),
                    "p99_ms": together.wait_ms(0.99),
                    "machine_load": read_load(),
                }
            )
    return rows


def _append_from_many(
    url: str, events: int, processes: int, in_flight: int, make_submissions: Callable[..., list[Submission]]
) -> list[Load]:
    context = multiprocessing.get_context("fork")  # what was signed is there in every process
    ready = context.Barrier(processes)
    outcomes = context.SimpleQueue()
    share = events // processes
    workers = []
    for number in range(processes):
        submissions = make_submissions(share, prefix=f"shared-{number}")
        arguments = (url, submissions, in_flight, ready, outcomes)
        workers.append(context.Process(target=_append_share, args=arguments))
    for worker in workers:
        worker.start()
    loads = [outcomes.get() for _ in workers]
    for worker in workers:
        worker.join()
    return loads


def _append_share(
    url: str, submissions: list[Submission], in_flight: int, ready: Barrier, outcomes: Any
) -> None:
    with Store(url) as store:
        warm_up(store)
        ready.wait()
        start = time.perf_counter()
        load = saturate(store, submissions, in_flight)
        outcomes.put(Load(load.events, time.perf_counter() - start, load.cpu_s, load.waits_s))
        ready.wait()  # the sequencer must not leave before the others are done
