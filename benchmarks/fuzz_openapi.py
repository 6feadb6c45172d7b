"""The service against schemathesis: requests made up from its OpenAPI document, right and wrong ones.

    python -m benchmarks.fuzz_openapi [--short] [--examples N] [--seed N] [--output FOLDER]

A new ledger with one track is served; every operation is called with requests that match the document and
with such that do not, as an operator. No answer may be a 5xx, save the 503 of a queue that is full; every
answer's status, media type and body must be what the document says of them. Exit code 1 if one is not.
"""

import argparse
import json
import sys
import tempfile
from collections import Counter
from collections.abc import Collection
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from benchmarks.service import Served, serve_ledger

EXAMPLES = {True: 5, False: 200}
TIMEOUT_S = 60
BUSY = "/problems/busy"


@dataclass
class Outcome:
    """What came of fuzzing: answers by operation and status, and what was wrong, each fault once."""

    answers: Counter[tuple[str, int]] = field(default_factory=Counter)
    faults: dict[str, str] = field(default_factory=dict)

    @property
    def requests(self) -> int:
        """How many requests were answered."""
        return self.answers.total()


def fuzz(
    served: Served, *, examples: int, seed: int, only: str = "", without: Collection[str] = ()
) -> Outcome:
    """Call operations with `examples` right and as many wrong requests.

    Parameters
    ----------
    only : operations whose name (`POST /v1/stamps`) contains this
    without : names of operations that are left out
    """
    import schemathesis
    from hypothesis import HealthCheck, Phase, given, settings
    from hypothesis import seed as use_seed
    from schemathesis.checks import (
        content_type_conformance,
        response_schema_conformance,
        status_code_conformance,
    )

    outcome = Outcome()
    checks = [status_code_conformance, content_type_conformance, response_schema_conformance]
    headers = {"authorization": f"Bearer {served.token}"}
    schema = schemathesis.openapi.from_url(f"{served.address}/openapi.json", timeout=TIMEOUT_S)

    def check(case: Any, name: str) -> None:
        answer = case.call(headers=headers, timeout=TIMEOUT_S)
        outcome.answers[name, answer.status_code] += 1
        if answer.status_code >= 500 and BUSY not in answer.text:
            outcome.faults.setdefault(
                f"{name}: {answer.status_code}", f"{case.as_curl_command()}\n{answer.text[:2000]}"
            )
            return
        try:
            case.validate_response(answer, checks=checks)
        except (Exception, BaseExceptionGroup) as error:  # noqa: BLE001  # what a check finds is looked for
            outcome.faults.setdefault(f"{name}: {type(error).__name__}", str(error)[:2000])

    def fuzz_operation(operation: Any, name: str, mode: Any, known: dict[str, str] | None = None) -> None:
        @use_seed(seed)
        @settings(
            max_examples=examples,
            deadline=None,
            database=None,
            phases=[Phase.generate],
            suppress_health_check=list(HealthCheck),
        )
        @given(case=operation.as_strategy(generation_mode=mode, path_parameters=known))
        def call(case: Any) -> None:
            check(case, name)

        try:
            call()
        except (Exception, BaseExceptionGroup) as error:  # noqa: BLE001  # no wrong requests, say
            if "Unsatisfiable" not in type(error).__name__:
                outcome.faults.setdefault(f"{name}: {type(error).__name__}", str(error)[:2000])

    for result in schema.get_all_operations():
        operation = result.ok()
        name = f"{operation.method.upper()} {operation.path}"
        if only not in name or name in without:
            continue
        for mode in schemathesis.GenerationMode:
            fuzz_operation(operation, name, mode)
        if "{track_id}" in name and "{notation}" not in name:
            fuzz_operation(
                operation, name, schemathesis.GenerationMode.POSITIVE, {"track_id": served.track_id}
            )
    return outcome


def main() -> int:
    """Run it and print the table."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--short", action="store_true")
    parser.add_argument("--examples", type=int, help="right requests for each operation, and as many wrong")
    parser.add_argument("--only", default="", help="operations whose method and path contain this")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--output", type=Path, default=Path("benchmark-output"))
    chosen = parser.parse_args()
    examples = chosen.examples or EXAMPLES[chosen.short]
    # Jobs are queued and not carried out: what is asked of them is not what is measured.
    with (
        tempfile.TemporaryDirectory() as folder,
        serve_ledger(Path(folder), {"PROVENOTE_JOB_WORKERS": "0"}) as served,
    ):
        outcome = fuzz(served, examples=examples, seed=chosen.seed, only=chosen.only)
    for name in sorted({name for name, _ in outcome.answers}):
        counts = {status: n for (other, status), n in sorted(outcome.answers.items()) if other == name}
        print(f"{name:45} " + "  ".join(f"{status}: {n}" for status, n in counts.items()))
    print(f"{outcome.requests} requests, {len(outcome.faults)} faults (seed {chosen.seed})")
    for title, text in outcome.faults.items():
        print(f"\n{title}\n{text}")
    chosen.output.mkdir(parents=True, exist_ok=True)
    document = {
        "seed": chosen.seed,
        "examples": examples,
        "answers": [[*key, n] for key, n in sorted(outcome.answers.items())],
        "faults": outcome.faults,
    }
    (chosen.output / "fuzz-openapi.json").write_text(json.dumps(document, indent=2) + "\n", encoding="utf-8")
    return 1 if outcome.faults else 0


if __name__ == "__main__":
    sys.exit(main())
