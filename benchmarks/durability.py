"""What the ledger costs and what it survives: `python -m benchmarks.durability [--short]`.

1. Durable appends per second: every event signed (Ed25519), verified, hashed, written, read back and proved
   in a signed checkpoint, in one synced transaction for each batch; and the latency of a batch.
2. `kill -9`: a process appends and reports each receipt over a pipe, is killed at a random (seeded) moment,
   and the ledger is opened again. Lost: receipts that it does not bear out. At the end comes a full fsck.
"""

import argparse
import hashlib
import os
import random
import signal
import struct
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import pysqlite3.dbapi2 as sqlite

import ledger
from benchmarks.report import OUTPUT, describe_run, run_main, show_table, write_json
from ledger import Draft, Place, SigningKey, Store, Subject, merkle

ORIGIN = "provenote.example/benchmark"
BATCHES = (1, 10, 100)
RECEIPT = struct.Struct("<Q32s")
LATEST_S = 0.2
"""The last moment to be killed, after the first receipt."""


def make_key(seed: int, name: str) -> SigningKey:
    """Derive a key from the seed: the ledgers of two runs are the same."""
    return SigningKey(hashlib.sha256(f"durability {seed} {name}".encode()).digest())


def make_draft(asset: str, actor: SigningKey) -> Draft:
    """Draft a stamped event of ordinary size (an entry of about 1 kB)."""

    def build(place: Place) -> bytes:
        subjects = [
            Subject(name, hashlib.sha256(f"{name} {place.asset} {place.n}".encode()).digest())
            for name in ("file", "pcm")
        ]
        facts = {
            "commitments": {"mark_id": hashlib.sha256(place.prev).hexdigest()},
            "profile": "pn1",
            "sample_rate": 44100,
            "channels": 2,
        }
        return ledger.sign_envelope(ledger.build_event(ledger.STAMPED, place, subjects, facts), [actor])

    return Draft(asset, build)


def make_store(folder: Path, seed: int) -> Store:
    """Start a ledger whose first entry adds the actor's key."""
    url = f"sqlite:///{folder / 'ledger.db'}"
    ledger.upgrade(url)
    store = Store.create(url, origin=ORIGIN, log_signing_key=make_key(seed, "log"))
    actor = make_key(seed, "actor")
    first = Draft(
        ledger.KEYS_ASSET,
        lambda place: ledger.sign_envelope(ledger.build_key_added(place, actor.public_key), [actor]),
    )
    store.append([first], log_signing_key=make_key(seed, "log"))
    return store


def measure_appends(folder: Path, batch: int, seconds: float, seed: int) -> dict[str, Any]:
    """Append batches for some seconds; rates are of wall time, so other programs on the machine count."""
    folder.mkdir()
    actor, log_key = make_key(seed, "actor"), make_key(seed, "log")
    with make_store(folder, seed) as store:
        latencies: list[float] = []
        start, start_cpu = time.perf_counter(), time.process_time()
        while time.perf_counter() - start < seconds:
            began = time.perf_counter()
            drafts = [make_draft(f"track:{len(latencies)}-{number}", actor) for number in range(batch)]
            store.append(drafts, log_signing_key=log_key)
            latencies.append(time.perf_counter() - began)
        wall, cpu = time.perf_counter() - start, time.process_time() - start_cpu
        latencies.sort()
        state = store.state()
        checked = time.perf_counter()
        report = ledger.fsck(store, vkey=store.vkey, public_keys=[actor.public_key])
        checked = time.perf_counter() - checked
    entries = batch * len(latencies)
    return {
        "batch": batch,
        "entries": entries,
        "appends_per_s": entries / wall,
        "appends_per_cpu_s": entries / cpu,
        "p50_ms": 1000 * latencies[len(latencies) // 2],
        "p99_ms": 1000 * latencies[min(len(latencies) - 1, len(latencies) * 99 // 100)],
        "fsck_ok": report.ok,
        "fsck_entries_per_s": state.size / checked,
        "bytes_per_entry": (folder / "ledger.db").stat().st_size / state.size,
    }


def start_writer(url: str, seed: int) -> tuple[int, int]:
    """Fork a process that appends until it is killed; return its id and the pipe of its receipts."""
    read_end, write_end = os.pipe()
    child = os.fork()
    if child:
        os.close(write_end)
        return child, read_end
    try:
        os.close(read_end)
        actor, log_key = make_key(seed, "actor"), make_key(seed, "log")
        with Store(url) as store:
            while True:
                pair = [make_draft("track:killed", actor), make_draft("track:killed", actor)]
                for receipt in store.append(pair, log_signing_key=log_key):
                    os.write(write_end, RECEIPT.pack(receipt.index, receipt.leaf_hash))
    finally:
        os._exit(1)


def kill_writers(folder: Path, kills: int, seed: int) -> dict[str, Any]:
    """Kill writers one after the other and compare what they acknowledged with what is there."""
    folder.mkdir()
    generator = random.Random(seed)
    with make_store(folder, seed) as store:
        url, vkey = store.url, store.vkey
    acknowledged = lost = 0
    for _ in range(kills):
        child, read_end = start_writer(url, seed)
        data = os.read(read_end, RECEIPT.size)  # it is at work
        time.sleep(generator.uniform(0, LATEST_S))
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
        while chunk := os.read(read_end, 1 << 16):
            data += chunk
        os.close(read_end)
        receipts = [
            RECEIPT.unpack_from(data, at) for at in range(0, len(data) - RECEIPT.size + 1, RECEIPT.size)
        ]
        acknowledged += len(receipts)
        if receipts:
            first = receipts[0][0]
            with Store(url) as store:
                entries = store.entries(first, receipts[-1][0] + 1)
            found = {first + number: merkle.leaf_hash(entry) for number, entry in enumerate(entries)}
            lost += sum(found.get(index) != leaf for index, leaf in receipts)
    report = ledger.fsck(url, vkey=vkey, public_keys=[make_key(seed, "actor").public_key])
    return {
        "kills": kills,
        "acknowledged": acknowledged,
        "lost": lost,
        "entries": report.size,
        "fsck_ok": report.ok,
    }


def measure() -> None:
    """Run both parts, print their tables and write the JSON."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--short", action="store_true", help="under a minute")
    parser.add_argument("--seed", type=int, default=1, help="of keys and moments of killing")
    parser.add_argument("--seconds", type=float, help="for each batch size")
    parser.add_argument("--kills", type=int)
    parser.add_argument(
        "--folder", type=Path, help="on the disk to be measured; default: the system's temporary"
    )
    parser.add_argument("--output", type=Path, default=OUTPUT, help="folder of results")
    options = parser.parse_args()
    seconds = options.seconds or (3.0 if options.short else 20.0)
    kills = options.kills or (20 if options.short else 500)
    with tempfile.TemporaryDirectory(dir=options.folder, prefix="durability-") as name:
        folder = Path(name)
        appends = [
            measure_appends(folder / f"batch-{batch}", batch, seconds, options.seed) for batch in BATCHES
        ]
        killed = kill_writers(folder / "killed", kills, options.seed)
    show_table(
        f"durable appends (one process, SQLite {sqlite.sqlite_version}, WAL, synchronous=FULL)",
        ["events per commit", "appends/s", "per CPU s", "p50 ms", "p99 ms", "fsck entries/s", "bytes/entry"],
        [
            [
                str(row["batch"]),
                f"{row['appends_per_s']:.0f}",
                f"{row['appends_per_cpu_s']:.0f}",
                f"{row['p50_ms']:.1f}",
                f"{row['p99_ms']:.1f}",
                f"{row['fsck_entries_per_s']:.0f}",
                f"{row['bytes_per_entry']:.0f}",
            ]
            for row in appends
        ],
        note="each event signed, verified, read back and proved before it is acknowledged",
    )
    show_table(
        "kill -9 at random moments",
        ["kills", "acknowledged", "lost", "entries", "fsck"],
        [
            [
                str(killed["kills"]),
                str(killed["acknowledged"]),
                str(killed["lost"]),
                str(killed["entries"]),
                "ok" if killed["fsck_ok"] else "BROKEN",
            ]
        ],
        note=f"seed {options.seed}",
    )
    stem = "durability-short" if options.short else "durability"
    run = describe_run(options) | {"sqlite": sqlite.sqlite_version}
    write_json(options.output / f"{stem}.json", "durability", run, {"appends": appends, "kills": killed})
    print(f"JSON in {options.output}/{stem}.json")


if __name__ == "__main__":
    sys.exit(run_main(measure))
