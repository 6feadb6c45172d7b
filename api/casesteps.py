"""Steps of a case as signed statements, one after the other; and what they amount to.

    {"_type": "https://in-toto.io/Statement/v1", "subject": [{"name": "case", ...}],
     "predicateType": "https://provenote.example/case-step/v1",
     "predicate": {"case": "k3t5mz7qa2xw4hbn", "kind": "notice", "n": 1, "prev": "<SHA-256 of step 0>",
                   "step": "checked", "time": "2026-11-28T10:00:00Z", "facts": {"missing": []},
                   "commitments": {}}}

`prev` makes the steps a chain. Nothing personal is in one: what people wrote is committed to, as in the
ledger's entries, and sealed in the vault. Where the ledger has an event for a step, the event names the
step's bytes (`evidence_sha256`), so that the log dates the step and everything before it.
"""

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import ledger
from ledger.canonical import check_hex, check_members
from ledger.errors import FormatError
from ledger.predicate import PREDICATE_BASE, check_code, check_commitments, check_count, check_time

from .casestates import KINDS, NEW_CASE, TAKEN_UP, CaseState, advance
from .deadlines import Happened

STEP_TYPE = PREDICATE_BASE + "case-step/v1"
MEMBERS = {"case", "kind", "n", "prev", "step", "time", "facts", "commitments"}


@dataclass(frozen=True)
class Step:
    """A step whose signatures were verified; others name it by `digest`, the SHA-256 of its bytes."""

    case_id: str
    kind: str
    n: int
    prev: bytes
    step: str
    time: str
    facts: Mapping[str, Any]
    commitments: Mapping[str, bytes]
    subjects: tuple[ledger.Subject, ...]
    key_ids: tuple[str, ...]
    digest: bytes
    envelope: bytes

    def happened(self) -> Happened:
        """Return it as far as clocks go."""
        return Happened(self.step, self.time, {**self.facts, "kind": self.kind})


def name_case(case_id: str) -> str:
    """Return the vault's name for a case: whose asset its sealed values are."""
    return f"case:{case_id}"


def build_step(
    case_id: str,
    kind: str,
    before: Step | None,
    step: str,
    facts: Mapping[str, Any],
    *,
    time: str,
    commitments: Mapping[str, bytes],
    subjects: Sequence[ledger.Subject] = (),
) -> bytes:
    """Return the statement bytes of the step that follows another.

    Raises
    ------
    ledger.errors.FormatError
        Facts that cannot be signed: a float, say.
    """
    named = ledger.Subject("case", hashlib.sha256(name_case(case_id).encode("ascii")).digest())
    predicate = {
        "case": case_id,
        "kind": kind,
        "n": before.n + 1 if before else 0,
        "prev": before.digest.hex() if before else "",
        "step": step,
        "time": time,
        "facts": dict(facts),
        "commitments": {label: digest.hex() for label, digest in commitments.items()},
    }
    return ledger.build_statement(STEP_TYPE, (named, *subjects), predicate)


def open_step(envelope: bytes, public_keys: Iterable[ledger.PublicKey]) -> Step:
    """Verify a step's signatures and return it.

    Raises
    ------
    ledger.LedgerError
        Not a step, or not signed by one of the keys.
    """
    opened = ledger.open_envelope(envelope, public_keys)
    statement = ledger.parse_statement(opened.payload)
    if statement.predicate_type != STEP_TYPE:
        raise FormatError(f"expected a statement of type {STEP_TYPE}, got {statement.predicate_type:.120}")
    members = check_members(dict(statement.predicate), MEMBERS, "case step")
    n = check_count(members["n"], "case step n")
    if (n == 0) != (members["prev"] == ""):
        raise FormatError("case step: expected prev empty for n 0 and only then")
    if members["kind"] not in KINDS or not isinstance(members["facts"], dict):
        raise FormatError("case step: expected a kind of case, and an object of facts")
    return Step(
        case_id=str(members["case"]),
        kind=members["kind"],
        n=n,
        prev=check_hex(members["prev"], "case step prev") if n else b"",
        step=check_code(members["step"], "case step"),
        time=check_time(members["time"], "case step time"),
        facts=members["facts"],
        commitments=check_commitments(members["commitments"], "case step"),
        subjects=statement.subjects,
        key_ids=opened.key_ids,
        digest=hashlib.sha256(envelope).digest(),
        envelope=envelope,
    )


def list_decisions(steps: Iterable[Step]) -> list[int]:
    """Return the numbers of the steps that decide a notice which was taken up, or decide it otherwise: the
    ledger has a decision for each, in the history of every track of the case.
    """
    state, found = NEW_CASE, []
    for step in steps:
        before, state = state, advance(state, step.step, step.facts, time=step.time, kind=step.kind)
        if before.status in TAKEN_UP and state.status != before.status:
            found.append(step.n)
    return found


def replay(case_id: str, steps: Sequence[Step]) -> CaseState:
    """Return what a case's steps amount to.

    Raises
    ------
    ledger.errors.FormatError
        They are not one chain of this case; the message names the first step that does not follow.
    CaseError
        A step may not follow those before it.
    """
    state, prev = NEW_CASE, b""
    for n, step in enumerate(steps):
        if (step.case_id, step.n, step.prev) != (case_id, n, prev) or step.kind != steps[0].kind:
            raise FormatError(f"case {case_id}: expected step {n} after the one before, got another")
        state = advance(state, step.step, step.facts, time=step.time, kind=step.kind)
        prev = step.digest
    return state
