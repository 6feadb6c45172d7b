"""Hostile files against the service: does anything crash, and how much memory does it take?

    python -m benchmarks.fuzz_uploads [--short] [--uploads N] [--begin N] [--minutes N] [--clients N]

The service runs as a process of its own; files (`benchmarks.hostile_uploads`) go to `POST /v1/verifications`
from several clients at once. Counted are answers by status; a fault is a 5xx save that of a full service, a
connection that breaks, or a service that has died. Memory is the sum of the resident sets of the service and
all its children, looked at every 10 ms: what they share is counted for each. At the end the released track
must still verify, and no upload may be left. Exit code 1 on a fault or over 1 GiB.
"""

import argparse
import json
import math
import statistics
import sys
import tempfile
import threading
import time
from collections import Counter, defaultdict
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

import httpx

from api.settings import read_settings
from benchmarks.hostile_uploads import make_uploads
from benchmarks.processes import MemoryWatch, measure_memory
from benchmarks.service import make_ledger, serve_apart

UPLOADS = {True: 22, False: 10_000}
BOMB_S = {True: 60.0, False: 1800.0}
MEMORY_BYTES = 1 << 30
TIMEOUT_S = 300


@dataclass
class Outcome:
    """Answers by kind of damage and status, and what was wrong."""

    answers: Counter[tuple[str, int]] = field(default_factory=Counter)
    faults: list[str] = field(default_factory=list)
    took_s: dict[str, list[float]] = field(default_factory=lambda: defaultdict(list))
    slowest_s: float = 0.0
    slowest: str = ""


def send_uploads(
    address: str,
    *,
    count: int,
    clients: int,
    seed: int,
    bomb_s: float,
    headers: dict[str, str],
    begin: int = 0,
    until_s: float = math.inf,
) -> Outcome:
    """Send hostile files from several clients at once, until a moment of the monotonic clock at most."""
    outcome, lock = Outcome(), threading.Lock()
    makers = make_uploads(begin + count, seed=seed, bomb_s=bomb_s)

    def send(numbers: Sequence[int]) -> None:
        with httpx.Client(base_url=address, headers=headers, timeout=TIMEOUT_S) as client:
            for number in numbers:
                begun_s = time.monotonic()
                if begun_s > until_s:
                    return
                upload = makers[number]()
                begun_s = time.monotonic()
                try:
                    answer = client.post("/v1/verifications", content=upload.content)
                    status, text = answer.status_code, answer.text
                except httpx.HTTPError as error:
                    status, text = 0, f"{type(error).__name__}: {error}"
                took_s = time.monotonic() - begun_s
                with lock:
                    damage = upload.kind.partition(" (")[0]
                    outcome.answers[damage, status] += 1
                    outcome.took_s[damage].append(took_s)
                    if took_s > outcome.slowest_s:
                        outcome.slowest_s, outcome.slowest = took_s, f"{upload.number} {upload.kind}"
                    if status == 0 or (status >= 500 and "/problems/busy" not in text):
                        outcome.faults.append(f"{upload.number} {upload.kind}: {status} {text[:300]}")

    with ThreadPoolExecutor(clients) as pool:
        list(pool.map(send, [range(begin + turn, begin + count, clients) for turn in range(clients)]))
    return outcome


def main() -> int:
    """Run it and print the table."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--short", action="store_true")
    parser.add_argument("--uploads", type=int)
    parser.add_argument("--clients", type=int, default=2)
    parser.add_argument("--begin", type=int, default=0, help="number of the first: to go on with a count")
    parser.add_argument("--minutes", type=float, default=math.inf, help="send no more after so long")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--output", type=Path, default=Path("benchmark-output"))
    chosen = parser.parse_args()
    count = chosen.uploads or UPLOADS[chosen.short]
    with tempfile.TemporaryDirectory() as folder:
        ledger = make_ledger(Path(folder), {}, seconds=12.0)
        headers = {"authorization": f"Bearer {ledger.token}"}
        with serve_apart(ledger.home) as (address, pid):
            watch = MemoryWatch(pid)
            idle = measure_memory(pid)
            watch.start()
            outcome = send_uploads(
                address,
                count=count,
                clients=chosen.clients,
                seed=chosen.seed,
                bomb_s=BOMB_S[chosen.short],
                headers=headers,
                begin=chosen.begin,
                until_s=time.monotonic() + 60 * chosen.minutes,
            )
            watch.stop()
            content = ledger.audio.read_bytes()
            verdict = httpx.post(f"{address}/v1/verifications", content=content, timeout=TIMEOUT_S).json()
            if verdict.get("verdict") != "exact":
                outcome.faults.append(f"afterwards the released track is {verdict}")
            left = list(read_settings(ledger.home, {}).incoming.glob("upload-*"))
            outcome.faults.extend(f"left: {path.name}" for path in left)
    for kind in sorted({kind for kind, _ in outcome.answers}):
        counts = {status: n for (other, status), n in sorted(outcome.answers.items()) if other == kind}
        middle = 1000 * statistics.median(outcome.took_s[kind])
        print(f"{kind:26} {middle:7.0f} ms  " + "  ".join(f"{status}: {n}" for status, n in counts.items()))
    print(
        f"{outcome.answers.total()} uploads by {chosen.clients} clients (seed {chosen.seed}): "
        f"{len(outcome.faults)} faults; "
        f"memory {idle >> 20} MiB idle, {watch.peak_bytes >> 20} MiB at most; "
        f"slowest {outcome.slowest_s:.1f} s ({outcome.slowest})"
    )
    for fault in outcome.faults[:50]:
        print(fault)
    chosen.output.mkdir(parents=True, exist_ok=True)
    document = {
        "uploads": outcome.answers.total(),
        "begin": chosen.begin,
        "seed": chosen.seed,
        "clients": chosen.clients,
        "answers": [[*key, n] for key, n in sorted(outcome.answers.items())],
        "faults": outcome.faults,
        "peak_bytes": watch.peak_bytes,
        "idle_bytes": idle,
    }
    (chosen.output / "fuzz-uploads.json").write_text(json.dumps(document, indent=2) + "\n", encoding="utf-8")
    return 1 if outcome.faults or watch.peak_bytes > MEMORY_BYTES else 0


if __name__ == "__main__":
    sys.exit(main())
