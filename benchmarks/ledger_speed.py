"""What the ledger takes and how soon it answers: `python -m benchmarks.ledger_speed [--short]`.

1. Durable appends a second, every actor's signature verified: events signed beforehand are submitted by one
   thread, singly or 16 together, with 1,024 waiting for their proof; two processes verify, by each library
   that can. Of each event: form, signature, event and custody rules, chain, tree, rows, read-back, and a
   signed checkpoint for each commit, synced before the proof is handed out.
2. From an append to its finished proof, at half of the rates that are aimed at: events come evenly, whether
   or not the ledger keeps up; the wait is counted from the moment that an event was due.
3. PostgreSQL: processes that submit single events to one database, over the server's socket.
4. A ledger of a million entries opened, and its next append; proofs in one of four million.

Times of the clock suffer from whatever else runs; the CPU time of the process and its workers beside them
says what a machine of two free cores could do. The table names the load of the machine.
"""

import argparse
import random
import shutil
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import pysqlite3.dbapi2 as sqlite

from benchmarks.ledger_load import Load, Submission, pace, read_load, saturate
from benchmarks.ledger_material import LOG_KEY, draft_event, make_ledger, sign_chains
from benchmarks.ledger_shared import measure_shared
from benchmarks.ledger_volume import grow_ledger
from benchmarks.report import OUTPUT, describe_run, run_main, show_table, write_json
from ledger import Store
from ledger.ed25519 import Verify, verify_openssl, verify_sodium

VERIFIERS: dict[str, tuple[Verify, int]] = {
    "cryptography": (verify_openssl, 5_000),
    "libsodium": (verify_sodium, 10_000),
}
"""Who verifies, and the events per second aimed at."""
TOGETHER = (1, 16)
IN_FLIGHT = 1024
WORKERS = 2
CHAIN = 10
"""Events of one asset in the load."""
PROOFS = 1000
PARTS = ("appends", "waits", "shared", "volume")


def make_submissions(events: int, together: int, prefix: str) -> list[Submission]:
    """Sign events of many assets, the first ones of all before the second ones, in groups."""
    chains = sign_chains(-(-events // CHAIN), CHAIN, prefix=prefix)
    ordered = [chain[n] for n in range(CHAIN) for chain in chains][:events]
    return [ordered[start : start + together] for start in range(0, events, together)]


def measure_appends(folder: Path, events: int) -> list[dict[str, Any]]:
    """Append as fast as the ledger takes it, by each verifier, singly and together."""
    rows = []
    for name, (verify, aim) in VERIFIERS.items():
        for together in TOGETHER:
            submissions = make_submissions(events, together, f"{name}-{together}")
            url = make_ledger(_fresh(folder))
            with Store(url, verify=verify, workers=WORKERS) as store:
                load = saturate(store, submissions, IN_FLIGHT)
            rows.append({"verifier": name, "together": together, "aim": aim, **describe(load)})
    return rows


def measure_waits(folder: Path, seconds: float) -> list[dict[str, Any]]:
    """Append at half the rate aimed at, event by event."""
    rows = []
    for name, (verify, aim) in VERIFIERS.items():
        rate = aim / 2
        submissions = make_submissions(int(rate * seconds), 1, f"paced-{name}")
        url = make_ledger(_fresh(folder))
        with Store(url, verify=verify, workers=WORKERS) as store:
            load = pace(store, submissions, rate)
        rows.append({"verifier": name, "rate": rate, **describe(load)})
    return rows


def measure_volume(folder: Path, opened: int, proven: int, seed: int) -> dict[str, Any]:
    """Open a ledger of `opened` entries, append, and prove entries of one of `proven`."""
    url = make_ledger(_fresh(folder))
    grow_ledger(url, opened)
    start = time.perf_counter()
    with Store(url) as store:
        opening_s = time.perf_counter() - start
        store.append([draft_event("track:first")], log_signing_key=LOG_KEY)
        first_append_s = time.perf_counter() - start
    grow_ledger(url, proven)
    generator = random.Random(seed)
    waits, cpus, sizes, texts = [], [], [], []
    with Store(url) as store:
        size = store.state().size
        for _ in range(PROOFS):
            index = generator.randrange(size)
            start, cpu = time.perf_counter(), time.process_time()
            receipt = store.receipt(index, size)
            text = receipt.text()
            waits.append(time.perf_counter() - start)
            cpus.append(time.process_time() - cpu)
            sizes.append(sum(map(len, receipt.proof)))
            texts.append(len(text))
    return {
        "opened_entries": opened,
        "opening_s": opening_s,
        "opening_and_append_s": first_append_s,
        "proven_entries": size,
        "proof_p50_ms": 1000 * sorted(waits)[PROOFS // 2],
        "proof_p99_ms": 1000 * sorted(waits)[PROOFS * 99 // 100],
        "proof_cpu_ms": 1000 * sum(cpus) / PROOFS,
        "proof_bytes": max(sizes),
        "tlog_proof_bytes": max(texts),
    }


def describe(load: Load) -> dict[str, Any]:
    """Return the figures of a load."""
    return {
        "events": load.events,
        "per_s": load.rate,
        "cpu_us_per_event": 1e6 * load.cpu_s / load.events,
        "p50_ms": load.wait_ms(0.5),
        "p99_ms": load.wait_ms(0.99),
        "machine_load": read_load(),
    }


def _fresh(folder: Path) -> Path:
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    return folder


def _show(results: dict[str, Any]) -> None:
    def cells(row: dict[str, Any]) -> list[str]:
        return [
            f"{row['per_s']:.0f}",
            f"{row['cpu_us_per_event']:.0f}",
            f"{row['p50_ms']:.1f}",
            f"{row['p99_ms']:.1f}",
            f"{row['machine_load']:.1f}",
        ]

    figures = ["events/s", "CPU us each", "p50 ms", "p99 ms", "load"]
    if "appends" in results:
        show_table(
            f"durable appends, {IN_FLIGHT} in flight (SQLite {sqlite.sqlite_version}, WAL, synchronous=FULL)",
            ["verified by", "together", "aim", *figures],
            [
                [row["verifier"], str(row["together"]), str(row["aim"]), *cells(row)]
                for row in results["appends"]
            ],
            note="CPU: of the process and its two workers, signing not included",
        )
    if "waits" in results:
        show_table(
            "from a single append to its finished proof, at an even load",
            ["verified by", "asked/s", *figures],
            [[row["verifier"], f"{row['rate']:.0f}", *cells(row)] for row in results["waits"]],
        )
    if "shared" in results:
        show_table(
            "PostgreSQL, single events",
            ["server", "processes", "in flight of each", *figures],
            [
                [row["server"], str(row["processes"]), str(row["in_flight"]), *cells(row)]
                for row in results["shared"]
            ],
            note="CPU: of the processes, not of the server",
        )
    if "volume" in results:
        _show_volume(results["volume"])


def _show_volume(volume: dict[str, Any]) -> None:
    show_table(
        "a large ledger",
        ["measure", "value"],
        [
            [f"opening {volume['opened_entries']:,} entries", f"{volume['opening_s']:.3f} s"],
            ["opening and the next append", f"{volume['opening_and_append_s']:.3f} s"],
            [f"a proof among {volume['proven_entries']:,}: p50", f"{volume['proof_p50_ms']:.2f} ms"],
            ["p99", f"{volume['proof_p99_ms']:.2f} ms"],
            ["CPU", f"{volume['proof_cpu_ms']:.2f} ms"],
            ["audit path", f"{volume['proof_bytes']} B"],
            ["as a C2SP tlog-proof, with checkpoint", f"{volume['tlog_proof_bytes']} B"],
        ],
    )


def measure(arguments: Sequence[str] | None = None) -> None:
    """Run all parts, print their tables and write the JSON."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--short", action="store_true", help="about a minute, smaller ledgers")
    parser.add_argument("--seed", type=int, default=1, help="of the entries that are proven")
    parser.add_argument("--events", type=int, help="in each load")
    parser.add_argument("--only", choices=PARTS, action="append", help="a part; may be repeated")
    parser.add_argument("--folder", type=Path, help="on the disk to be measured; default: the temporary one")
    parser.add_argument("--output", type=Path, default=OUTPUT, help="folder of results")
    options = parser.parse_args(arguments)
    events = options.events or (6_000 if options.short else 40_000)
    opened, proven = (20_000, 50_000) if options.short else (1_000_000, 4_000_000)
    with tempfile.TemporaryDirectory(dir=options.folder, prefix="ledger-speed-") as name:
        folder = Path(name) / "ledger"
        parts: dict[str, Callable[[], Any]] = {
            "appends": lambda: measure_appends(folder, events),
            "waits": lambda: measure_waits(folder, 2.0 if options.short else 8.0),
            "shared": lambda: measure_shared(Path(name), events, partial(make_submissions, together=1)),
            "volume": lambda: measure_volume(folder, opened, proven, options.seed),
        }
        results = {part: parts[part]() for part in options.only or parts}
    _show(results)
    stem = "ledger-speed-short" if options.short else "ledger-speed"
    run = describe_run(options) | {"sqlite": sqlite.sqlite_version}
    write_json(options.output / f"{stem}.json", "ledger_speed", run, results)
    print(f"JSON in {options.output}/{stem}.json")


if __name__ == "__main__":
    sys.exit(run_main(measure))
