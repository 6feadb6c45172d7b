"""The clocks of casework: business days against the published calendar; deadlines by the steps before."""

import datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from api.businessdays import add_business_days, is_business_day, list_federal_holidays
from api.deadlines import (
    ClockPolicy,
    Happened,
    find_complaint_end,
    find_window,
    list_deadlines,
)

# As observed, by the Office of Personnel Management's calendars.
OBSERVED = {
    2020: "01-01 01-20 02-17 05-25 07-03 09-07 10-12 11-11 11-26 12-25",
    2021: "01-01 01-18 02-15 05-31 06-18 07-05 09-06 10-11 11-11 11-25 12-24 12-31",
    2022: "01-17 02-21 05-30 06-20 07-04 09-05 10-10 11-11 11-24 12-26",
    2023: "01-02 01-16 02-20 05-29 06-19 07-04 09-04 10-09 11-10 11-23 12-25",
    2026: "01-01 01-19 02-16 05-25 06-19 07-03 09-07 10-12 11-11 11-26 12-25",
    2027: "01-01 01-18 02-15 05-31 06-18 07-05 09-06 10-11 11-11 11-25 12-24 12-31",
}
DATES = st.dates(datetime.date(1990, 1, 1), datetime.date(2090, 1, 1))


@pytest.mark.parametrize("year", OBSERVED)
def test_holidays_are_those_of_the_published_calendar(year: int) -> None:
    expected = {datetime.date.fromisoformat(f"{year}-{day}") for day in OBSERVED[year].split()}
    assert list_federal_holidays(year) == expected


def test_years_before_the_present_list_of_holidays_are_refused() -> None:
    with pytest.raises(ValueError, match="from 1986"):
        list_federal_holidays(1985)


@pytest.mark.parametrize(
    ("received", "tenth", "fourteenth"),
    [
        ("2026-11-20", "2026-12-07", "2026-12-11"),  # over Thanksgiving
        ("2026-12-18", "2027-01-05", "2027-01-11"),  # over Christmas and New Year
        ("2026-11-28", "2026-12-11", "2026-12-17"),  # a Saturday
        ("2026-03-02", "2026-03-16", "2026-03-20"),  # no holiday
        ("2021-12-23", "2022-01-10", "2022-01-14"),  # New Year observed in the year before
    ],
)
def test_the_window_of_a_counter_notice_by_the_calendar(received: str, tenth: str, fourteenth: str) -> None:
    day = datetime.date.fromisoformat(received)
    assert add_business_days(day, 10).isoformat() == tenth
    assert add_business_days(day, 14).isoformat() == fourteenth


@given(DATES, st.integers(1, 30), st.integers(1, 30))
def test_business_days_add_up(day: datetime.date, first: int, second: int) -> None:
    middle = add_business_days(day, first)
    assert is_business_day(middle)
    assert add_business_days(middle, second) == add_business_days(day, first + second)


@pytest.mark.parametrize("count", [0, -1, 3661])
def test_counts_beyond_the_bound_are_refused(count: int) -> None:
    with pytest.raises(ValueError, match="business days"):
        add_business_days(datetime.date(2026, 1, 1), count)


RECEIVED: dict[str, Any] = {"kind": "notice", "laws": ["dmca", "dsa"]}
LACKING: dict[str, Any] = {"missing": [{"field": "signature"}], "substantial": True}
VALID: list[Any] = [("received", RECEIVED), ("sent", {"letter": "receipt"}), "checked", "accepted"]
UPHELD, DENIED = ("decided", {"outcome": "upheld"}), ("decided", {"outcome": "denied"})
TIME = "2026-11-20T12:00:00Z"  # a Friday, before the week of Thanksgiving


def happen(*path: Any) -> list[Happened]:
    """Return steps that all happened at TIME."""
    plain = {"checked": {"missing": []}}
    items = [item if isinstance(item, tuple) else (item, plain.get(item, {})) for item in path]
    return [Happened(step, TIME, facts) for step, facts in items]


def due(*path: Any) -> dict[str, str]:
    """Return the date of each deadline after these steps."""
    return {item.name: item.due[:10] for item in list_deadlines(happen(*path))}


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ([("received", RECEIVED)], {"acknowledge": "2026-11-23"}),
        ([("received", RECEIVED), ("sent", {"letter": "receipt"})], {}),
        ([*VALID[:2], ("checked", LACKING)], {"ask-for-missing": "2026-11-24"}),
        ([*VALID[:2], ("checked", {**LACKING, "substantial": False})], {}),
        ([*VALID[:2], ("checked", LACKING), ("sent", {"letter": "missing"})], {}),
        ([*VALID[:2], ("checked", LACKING), "supplemented"], {}),
        (VALID[:3], {"assess": "2026-11-24"}),
        (VALID, {"act": "2026-11-24", "decide": "2026-12-07"}),
        ([*VALID, "restricted"], {"state-reasons": "2026-11-23", "decide": "2026-12-07"}),
        (
            [*VALID, "restricted", ("sent", {"letter": "reasons"}), "countered"],
            {"forward-counter-notice": "2026-11-23", "decide": "2026-12-07", "restore": "2026-12-11"},
        ),
        (
            [*VALID, "restricted", ("sent", {"letter": "reasons"}), "countered", "court-action"],
            {"forward-counter-notice": "2026-11-23", "decide": "2026-12-07"},
        ),
        ([*VALID, UPHELD], {"state-reasons": "2026-11-23", "tell-claimant": "2026-11-23"}),
        ([*VALID, UPHELD, ("sent", {"letter": "reasons"}), ("sent", {"letter": "decision"})], {}),
        ([*VALID, "countered", DENIED], {"tell-claimant": "2026-11-23"}),
        (
            [*VALID, DENIED, ("sent", {"letter": "decision"}), "complained"],
            {"decide-complaint": "2026-12-07"},
        ),
        (
            [
                *VALID,
                DENIED,
                ("sent", {"letter": "decision"}),
                "complained",
                ("complaint-decided", {"outcome": "reversed"}),
            ],
            {"state-reasons": "2026-11-23", "tell-claimant": "2026-11-23"},
        ),
        (
            [*VALID, UPHELD, ("sent", {"letter": "reasons"}), "countered", "restored"],
            {"tell-claimant": "2026-11-23"},
        ),
        ([*VALID, "withdrawn"], {}),
        ([("received", RECEIVED), "closed"], {"acknowledge": "2026-11-23"}),
    ],
)
def test_each_step_starts_and_meets_its_deadlines(path: list[Any], expected: dict[str, str]) -> None:
    assert due(*path) == expected


def test_what_rests_on_512_runs_only_for_notices_under_it() -> None:
    path = [("received", {"kind": "notice", "laws": ["dsa"]}), "checked", "accepted", "countered"]
    assert set(due(*path)) == {"acknowledge", "decide"}
    request = [("received", {"kind": "verification"}), "checked", "accepted"]
    assert due(*request) == {"acknowledge": "2026-11-23", "answer": "2026-11-30"}
    assert due(*request, "examined") == {"acknowledge": "2026-11-23"}


def test_an_urgent_case_is_decided_within_hours_and_the_policy_is_an_argument() -> None:
    urgent = happen(("received", {**RECEIVED, "urgent": True}), *VALID[1:])
    assert {item.name: item.due for item in list_deadlines(urgent)}["decide"] == "2026-11-22T12:00:00Z"
    slow = list_deadlines(happen(*VALID), ClockPolicy(act=3, decide=20))
    assert [item.due[:10] for item in slow] == ["2026-11-25", "2026-12-21"]


def test_only_the_window_of_a_counter_notice_is_firm() -> None:
    found = list_deadlines(happen(*VALID, "restricted", "countered"))
    assert [item.name for item in found if item.firm] == ["restore"]
    (restore,) = (item for item in found if item.firm)
    assert (restore.earliest, restore.due) == find_window(TIME)
    assert not restore.is_late(restore.due)
    assert restore.is_late("2026-12-12T00:00:00Z")


@pytest.mark.parametrize(
    ("decided", "end"),
    [
        ("2026-11-20", "2027-05-20"),
        ("2026-08-31", "2027-02-28"),
        ("2027-08-30", "2028-02-29"),
        ("2026-12-31", "2027-06-30"),
    ],
)
def test_a_decision_can_be_complained_about_for_six_months(decided: str, end: str) -> None:
    assert find_complaint_end(f"{decided}T09:00:00Z") == f"{end}T23:59:59Z"
