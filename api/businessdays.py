"""Business days of the United States: Monday to Friday without federal holidays (5 U.S.C. 6103).

17 U.S.C. 512(g)(2)(C) counts in business days and does not say which; the federal calendar is the usual
reading. A holiday on a Saturday is observed on the Friday before it, one on a Sunday on the Monday after it.
Inauguration Day and closures by order of a President are not in it: the one is a holiday around Washington
alone, the others are not known ahead. Counted are dates, not hours; the day of the event itself is day 0.
"""

import datetime
from functools import lru_cache

MONDAY, THURSDAY, SATURDAY, SUNDAY = 0, 3, 5, 6
FIXED = ((1, 1, 0), (6, 19, 2021), (7, 4, 0), (11, 11, 0), (12, 25, 0))
"""Month, day, first year: New Year, Juneteenth (since 2021), Independence, Veterans, Christmas."""
MOVING = ((1, MONDAY, 3), (2, MONDAY, 3), (5, MONDAY, -1), (9, MONDAY, 1), (10, MONDAY, 2), (11, THURSDAY, 4))
"""Month, weekday, which of the month (-1: the last): King, Washington, Memorial, Labor, Columbus,
Thanksgiving."""
MAX_BUSINESS_DAYS = 3660
ONE_DAY = datetime.timedelta(days=1)


@lru_cache(maxsize=64)
def list_federal_holidays(year: int) -> frozenset[datetime.date]:
    """Return the dates in a year on which federal holidays are observed.

    Parameters
    ----------
    year
        From 1986 on, when the last of the older holidays came in.

    Raises
    ------
    ValueError
        An earlier year.
    """
    if year < 1986:
        raise ValueError(f"expected a year from 1986 on, got {year}")
    holidays = {_find_weekday(year, *rule) for rule in MOVING}
    for month, day, since in FIXED:
        holidays |= {_observe(datetime.date(year, month, day))} if year >= since else set()
    # New Year's Day of the next year is observed in this one where it is a Saturday.
    holidays.add(_observe(datetime.date(year + 1, 1, 1)))
    return frozenset(day for day in holidays if day.year == year)


def is_business_day(day: datetime.date) -> bool:
    """Say whether a date is neither a Saturday, a Sunday nor an observed federal holiday."""
    return day.weekday() < SATURDAY and day not in list_federal_holidays(day.year)


def add_business_days(day: datetime.date, count: int) -> datetime.date:
    """Return the date of the count-th business day after a date.

    Parameters
    ----------
    day
        Day 0, which need not be a business day itself.
    count
        1 to 3,660.

    Raises
    ------
    ValueError
        Another count.
    """
    if not 1 <= count <= MAX_BUSINESS_DAYS:
        raise ValueError(f"expected 1 to {MAX_BUSINESS_DAYS} business days, got {count}")
    while count:
        day += ONE_DAY
        count -= is_business_day(day)
    return day


def _find_weekday(year: int, month: int, weekday: int, which: int) -> datetime.date:
    if which < 0:
        last = datetime.date(year, month, 31)  # of the rules only May counts from its end
        return last - (last.weekday() - weekday) % 7 * ONE_DAY
    first = datetime.date(year, month, 1)
    return first + ((weekday - first.weekday()) % 7 + 7 * (which - 1)) * ONE_DAY


def _observe(day: datetime.date) -> datetime.date:
    return day + {SATURDAY: -ONE_DAY, SUNDAY: ONE_DAY}.get(day.weekday(), 0 * ONE_DAY)
