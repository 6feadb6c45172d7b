"""The clocks of casework: business days against the published calendar."""

import datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from api.businessdays import add_business_days, is_business_day, list_federal_holidays

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
