"""The state machine of cases: every step in every state is allowed or refused by one table."""

from typing import Any

import pytest

from api.casestates import NEW_CASE, STEPS, CaseError, CaseState, advance

TIME = "2026-11-20T12:00:00Z"
PLAIN: dict[str, dict[str, Any]] = {
    "checked": {"missing": []},
    "decided": {"outcome": "upheld"},
    "complaint-decided": {"outcome": "confirmed"},
}
UPHELD, DENIED = ("decided", {"outcome": "upheld"}), ("decided", {"outcome": "denied"})
LACKING = ("checked", {"missing": [{"field": "signature"}]})
VALID = ["received", "checked", "accepted"]
ALWAYS = {"sent", "noted", "frozen", "erased"}
EXAMINABLE = ALWAYS | {"examined"}

# Each state by the steps to it, and what may follow in it.
NOTICE_STATES: dict[str, tuple[list[Any], set[str]]] = {
    "received": (["received"], EXAMINABLE | {"checked", "withdrawn", "closed"}),
    "complete": (["received", "checked"], EXAMINABLE | {"accepted", "withdrawn", "closed"}),
    "incomplete": (["received", LACKING], EXAMINABLE | {"supplemented", "withdrawn", "closed"}),
    "supplemented": (["received", LACKING, "supplemented"], EXAMINABLE | {"checked", "withdrawn", "closed"}),
    "valid": (VALID, EXAMINABLE | {"restricted", "countered", "decided", "withdrawn"}),
    "restricted": ([*VALID, "restricted"], EXAMINABLE | {"countered", "decided", "withdrawn"}),
    "countered": (
        [*VALID, "countered"],
        EXAMINABLE | {"restricted", "court-action", "decided", "withdrawn"},
    ),
    "in court": (
        [*VALID, "countered", "court-action"],
        EXAMINABLE | {"restricted", "decided", "withdrawn"},
    ),
    "upheld": (
        [*VALID, UPHELD],
        EXAMINABLE | {"countered", "complained", "restored", "withdrawn", "listed"},
    ),
    "upheld, countered": (
        [*VALID, UPHELD, "countered"],
        EXAMINABLE | {"court-action", "complained", "restored", "withdrawn", "listed"},
    ),
    "upheld, complained": (
        [*VALID, UPHELD, "complained"],
        EXAMINABLE | {"countered", "complaint-decided", "withdrawn", "listed"},
    ),
    "upheld, confirmed": (
        [*VALID, UPHELD, "complained", "complaint-decided"],
        EXAMINABLE | {"countered", "restored", "withdrawn", "listed"},
    ),
    "denied": ([*VALID, DENIED], EXAMINABLE | {"complained"}),
    "denied, complained": ([*VALID, DENIED, "complained"], EXAMINABLE | {"complaint-decided"}),
    "denied, reversed": (
        [*VALID, DENIED, "complained", ("complaint-decided", {"outcome": "reversed"})],
        EXAMINABLE | {"countered", "restored", "withdrawn", "listed"},
    ),
    "restored": ([*VALID, UPHELD, "restored"], EXAMINABLE),
    "withdrawn": ([*VALID, "withdrawn"], ALWAYS),
    "closed": (["received", "closed"], ALWAYS),
}
REQUEST_STATES: dict[str, tuple[list[Any], set[str]]] = {
    "received": (["received"], EXAMINABLE | {"checked", "withdrawn", "closed"}),
    "incomplete": (["received", LACKING], EXAMINABLE | {"supplemented", "withdrawn", "closed"}),
    "valid": (VALID, EXAMINABLE | {"withdrawn"}),
    "answered": ([*VALID, "examined"], EXAMINABLE),
    "closed": (["received", "closed"], ALWAYS),
}


def follow(path: list[Any], kind: str = "notice") -> CaseState:
    state = NEW_CASE
    for item in path:
        step, facts = item if isinstance(item, tuple) else (item, PLAIN.get(item, {}))
        state = advance(state, step, facts, time=TIME, kind=kind)
    return state


@pytest.mark.parametrize("step", STEPS)
@pytest.mark.parametrize(
    ("kind", "name"),
    [("notice", name) for name in NOTICE_STATES] + [("verification", name) for name in REQUEST_STATES],
)
def test_every_step_in_every_state_is_allowed_or_refused_by_the_table(
    kind: str, name: str, step: str
) -> None:
    path, allowed = (NOTICE_STATES if kind == "notice" else REQUEST_STATES)[name]
    state = follow(path, kind)
    if step in allowed:
        assert advance(state, step, PLAIN.get(step, {}), time=TIME).steps == state.steps + 1
    else:
        with pytest.raises(CaseError):
            advance(state, step, PLAIN.get(step, {}), time=TIME)


@pytest.mark.parametrize("step", STEPS)
def test_a_case_begins_with_received_alone(step: str) -> None:
    if step == "received":
        assert advance(NEW_CASE, step, {}, time=TIME, kind="notice").status == "received"
    else:
        with pytest.raises(CaseError, match="first step") as caught:
            advance(NEW_CASE, step, PLAIN.get(step, {}), time=TIME, kind="notice")
        assert caught.value.code == "not-begun"


@pytest.mark.parametrize(
    ("path", "status", "restricted", "countered", "complaint"),
    [
        ([*VALID, "restricted", DENIED], "denied", False, "", ""),
        ([*VALID, "countered", UPHELD], "upheld", True, "", ""),
        ([*VALID, UPHELD, "countered"], "upheld", True, TIME, ""),
        ([*VALID, UPHELD, "countered", "restored"], "restored", False, "", ""),
        ([*VALID, UPHELD, "complained", "withdrawn"], "restored", False, "", "decided"),
        (
            [*VALID, UPHELD, "complained", ("complaint-decided", {"outcome": "reversed"})],
            "restored",
            False,
            "",
            "decided",
        ),
        (
            [*VALID, DENIED, "complained", ("complaint-decided", {"outcome": "reversed"})],
            "upheld",
            True,
            "",
            "decided",
        ),
        ([*VALID, "restricted", "withdrawn"], "closed", False, "", ""),
        (["received", LACKING, ("accepted", {"despite": "substantially-complete"})], "valid", False, "", ""),
    ],
)
def test_where_a_path_leads(
    path: list[Any], status: str, countered: str, complaint: str, *, restricted: bool
) -> None:
    state = follow(path)
    found = (state.status, state.restricted, state.countered, state.complaint)
    assert found == (status, restricted, countered, complaint)


@pytest.mark.parametrize(
    ("path", "step", "facts", "code"),
    [
        (["received"], "dismissed", {}, "step-unknown"),
        (VALID, "decided", {"outcome": "perhaps"}, "step-unknown"),
        ([*VALID, DENIED, "complained"], "complaint-decided", {"outcome": "upheld"}, "step-unknown"),
        (["received"], "received", {}, "already-begun"),
        (["received", LACKING], "accepted", {}, "not-complete"),
        (["received"], "accepted", {"despite": "haste"}, "not-complete"),
        (["received", "checked"], "checked", {"missing": []}, "not-received"),
        ([*VALID, "withdrawn"], "decided", {"outcome": "upheld"}, "closed"),
        ([*VALID, "countered"], "countered", {}, "countered"),
        (VALID, "court-action", {}, "not-countered"),
        ([*VALID, UPHELD], "examined", {"tracks": ["k3t5mz7qa2xw4hbn"]}, "not-valid"),
    ],
)
def test_a_refusal_says_why(path: list[Any], step: str, facts: dict[str, Any], code: str) -> None:
    with pytest.raises(CaseError) as caught:
        advance(follow(path), step, facts, time=TIME)
    assert caught.value.code == code


def test_a_case_has_no_other_kind() -> None:
    with pytest.raises(CaseError, match="expected a case of"):
        advance(NEW_CASE, "received", {}, time=TIME, kind="quarrel")


def test_tracks_are_gathered_until_a_notice_is_decided() -> None:
    state = follow([("received", {"tracks": ["a", "b"]}), "checked", ("examined", {"tracks": ["b", "c"]})])
    assert state.tracks == ("a", "b", "c")
    assert follow([*VALID, ("examined", {"tracks": ["a"]}), UPHELD]).tracks == ("a",)
