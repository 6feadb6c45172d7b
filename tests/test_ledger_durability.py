"""Processes: killed at any moment, or two at once."""

import itertools
import os
import random
import signal
import struct
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from ledger_world import append, check, draft, make_store

from ledger import Store, merkle
from ledger.errors import BusyError
from ledger.lock import hold_writer_lock

KILLS = 20
ACKNOWLEDGED = struct.Struct("<I32s")


def fork_writer(url: str, asset: str, count: int | None = None) -> tuple[int, int]:
    """Start a process that appends and reports index and leaf hash of each receipt over a pipe."""
    read_end, write_end = os.pipe()
    child = os.fork()
    if child:
        os.close(write_end)
        return child, read_end
    status = 1
    try:
        os.close(read_end)
        with Store(url) as store:
            number = 0
            while count is None or number < count:
                for receipt in append(store, draft(asset, number=number), draft(asset)):
                    os.write(write_end, ACKNOWLEDGED.pack(receipt.index, receipt.leaf_hash))
                number += 1
        status = 0
    finally:
        os._exit(status)


def read_acknowledged(read_end: int, data: bytes = b"") -> list[tuple[int, bytes]]:
    while chunk := os.read(read_end, 65536):
        data += chunk
    os.close(read_end)
    return [ACKNOWLEDGED.unpack_from(data, start) for start in range(0, len(data) - 35, ACKNOWLEDGED.size)]


def test_a_writer_killed_at_any_moment_loses_nothing_acknowledged(new_url: Callable[[], str]) -> None:
    generator = random.Random(20261122)
    with make_store(new_url()) as store:
        url = store.url
    acknowledged: dict[int, bytes] = {}
    for _ in range(KILLS):
        child, read_end = fork_writer(url, "track:1")
        # Some receipts first, so that a slow machine has something to lose; then a moment of what follows.
        first = os.read(read_end, ACKNOWLEDGED.size * generator.randint(1, 4))
        time.sleep(generator.uniform(0, 0.03))
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
        acknowledged.update(read_acknowledged(read_end, first))
        with Store(url) as store:
            size = store.state().size
            assert size > max(acknowledged, default=0)
    with Store(url) as store:
        for index, leaf in acknowledged.items():
            assert merkle.leaf_hash(store.entry(index)) == leaf
        assert check(store).ok
        pairs = store.state().size
        assert pairs % 2 == 1  # one key entry, and pairs: no batch was torn
    assert len(acknowledged) >= KILLS


def test_two_processes_append_in_turn_and_neither_starves(new_url: Callable[[], str]) -> None:
    with make_store(new_url()) as store:
        url = store.url
    count = 30
    writers = [fork_writer(url, asset, count) for asset in ("track:1", "track:1", "track:2")]
    receipts = [read_acknowledged(read_end) for _, read_end in writers]
    for child, _ in writers:
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    indexes = sorted(index for acknowledged in receipts for index, _ in acknowledged)
    assert indexes == list(range(1, 1 + 3 * 2 * count))
    for acknowledged in receipts:
        # Whoever waits holds the gate, so between two turns of one writer the others get at most a few; more
        # where the machine lets a process sleep, but never all of their 120.
        own = [index for index, _ in acknowledged][::2]
        assert max(later - earlier for earlier, later in itertools.pairwise(own)) <= 100
    with Store(url) as store:
        assert len(store.chain("track:1")) == 4 * count
        assert check(store).ok


def test_a_writer_that_waits_too_long_is_told_so(tmp_path: Path) -> None:
    with make_store(tmp_path) as store, Store(store.url, lock_timeout_s=0.05) as impatient:
        with (
            store.database.hold_writer(1),
            pytest.raises(BusyError, match="another writer"),
        ):
            append(impatient, draft("track:1"))
        append(impatient, draft("track:1"))
        assert check(store).ok


def test_a_lock_goes_with_its_process(tmp_path: Path) -> None:
    path = tmp_path / "ledger.db"
    read_end, write_end = os.pipe()
    child = os.fork()
    if child == 0:
        with hold_writer_lock(path, timeout_s=1):
            os.write(write_end, b"x")
            time.sleep(60)
        os._exit(0)
    os.read(read_end, 1)
    with pytest.raises(BusyError), hold_writer_lock(path, timeout_s=0.02):
        pass
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    with hold_writer_lock(path, timeout_s=5):
        pass
    os.close(read_end)
    os.close(write_end)
