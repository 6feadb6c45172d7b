"""Writers that are killed (`kill -9`), and writers that were started twice.

A process appends and reports each receipt over a pipe, as a service answers its callers; what was reported
must be there afterwards.
"""

import os
import random
import signal
import struct
import time
from dataclasses import dataclass

import ledger
from benchmarks.ledger_material import ACTOR_KEY, LOG_KEY, draft_event
from ledger import Store, merkle

RECEIPT = struct.Struct("<Q32s")
LATEST_S = 0.2
"""The last moment to be killed, after the first receipt."""


@dataclass(frozen=True)
class Aftermath:
    """What writers left behind."""

    rounds: int
    acknowledged: int
    lost: int
    entries: int
    sound: bool


def start_writer(url: str, asset: str, commits: int | None = None) -> tuple[int, int]:
    """Fork a process that appends pairs of events, without end by default; return its id and its pipe."""
    read_end, write_end = os.pipe()
    child = os.fork()
    if child:
        os.close(write_end)
        return child, read_end
    try:
        os.close(read_end)
        with Store(url) as store:
            number = 0
            while commits is None or number < commits:
                pair = [draft_event(asset), draft_event(asset)]
                for receipt in store.append(pair, log_signing_key=LOG_KEY):
                    os.write(write_end, RECEIPT.pack(receipt.index, receipt.leaf_hash))
                number += 1
        os._exit(0)
    finally:
        os._exit(1)


def kill_writers(url: str, kills: int, seed: int) -> Aftermath:
    """Kill writers one after the other, each at a random moment, and compare with what they reported."""
    generator = random.Random(seed)
    acknowledged = lost = 0
    for _ in range(kills):
        child, read_end = start_writer(url, "track:killed")
        data = os.read(read_end, RECEIPT.size)  # it is at work
        time.sleep(generator.uniform(0, LATEST_S))
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
        receipts = _read_receipts(read_end, data)
        acknowledged += len(receipts)
        lost += _count_lost(url, receipts)
    return _look(url, kills, acknowledged, lost)


def start_twice(url: str, writers: int, commits: int) -> Aftermath:
    """Start several writers of one ledger at once, as by mistake, and wait for them."""
    started = [start_writer(url, f"track:{number % 2}", commits) for number in range(writers)]
    receipts = []
    failed = 0
    for child, read_end in started:
        receipts += _read_receipts(read_end)
        failed += os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) != 0
    lost = _count_lost(url, receipts) + len(receipts) - len({index for index, _ in receipts}) + failed
    return _look(url, writers, len(receipts), lost)


def _read_receipts(read_end: int, data: bytes = b"") -> list[tuple[int, bytes]]:
    while chunk := os.read(read_end, 1 << 16):
        data += chunk
    os.close(read_end)
    return [RECEIPT.unpack_from(data, at) for at in range(0, len(data) - RECEIPT.size + 1, RECEIPT.size)]


def _count_lost(url: str, receipts: list[tuple[int, bytes]]) -> int:
    """Return how many receipts the ledger does not bear out."""
    if not receipts:
        return 0
    first, last = min(receipts)[0], max(receipts)[0]
    with Store(url) as store:
        entries = store.entries(first, last + 1)
    found = {first + number: merkle.leaf_hash(entry) for number, entry in enumerate(entries)}
    return sum(found.get(index) != leaf for index, leaf in receipts)


def _look(url: str, rounds: int, acknowledged: int, lost: int) -> Aftermath:
    with Store(url) as store:
        report = ledger.fsck(store, vkey=store.vkey, public_keys=[ACTOR_KEY.public_key])
    return Aftermath(rounds, acknowledged, lost, report.size, report.ok)
