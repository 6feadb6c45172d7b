"""Words for what the record and a report hold as codes and numbers: times, lengths, events, keys.

Filters of the templates; each takes a value and returns text.
"""

import datetime
from collections.abc import Callable, Mapping
from typing import Any

from ledger.predicate import PREDICATE_BASE

EVENTS = {
    "generated": "Generated",
    "stamped": "Stamped and registered",
    "signed": "Credential signed",
    "delivered": "Copy delivered",
    "published": "Published",
    "licensed": "Licensed",
    "transferred": "Transferred to a new owner",
    "notice": "Notice received",
    "counter-notice": "Counter-notice received",
    "decision": "Notice decided",
    "revoked": "Registration revoked",
    "erased": "Personal data erased",
    "key-added": "Signing key added",
    "key-rotated": "Signing key replaced",
    "key-revoked": "Signing key revoked",
    "anchored": "Map of histories anchored",
}
STATUSES = {
    "valid": "In good standing",
    "contested": "A notice is open",
    "taken-down": "Taken down",
    "revoked": "Revoked",
}
ORIGINS = {"generated": "Generated here", "stamped": "Stamped from a recording"}
TRAINING = {
    "allowed": "allowed",
    "notAllowed": "not allowed",
    "constrained": "only under conditions",
}


def name_event(predicate_type: str) -> str:
    """Return the words for an event's type; an unknown one is shown by its short name."""
    short = shorten_type(predicate_type)
    return EVENTS.get(short, short)


def shorten_type(predicate_type: str) -> str:
    """Return the short name of a predicate type, such as `stamped`."""
    if predicate_type.startswith(PREDICATE_BASE):
        return predicate_type.removeprefix(PREDICATE_BASE).rpartition("/")[0] or predicate_type
    return predicate_type


def format_moment(text: object) -> str:
    """Return an RFC 3339 time for people: 22 November 2026, 17:31:32 UTC; anything else as it is."""
    try:
        moment = datetime.datetime.strptime(str(text), "%Y-%m-%dT%H:%M:%SZ")
    except ValueError:
        return str(text)
    return f"{moment.day} {moment:%B %Y, %H:%M:%S} UTC"


def format_posix(seconds: int) -> str:
    """Return a POSIX time for people."""
    return format_moment(
        datetime.datetime.fromtimestamp(seconds, datetime.UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    )


def format_length(milliseconds: float) -> str:
    """Return a length or a place in a recording: 0:07.4, 3:05.0, 1:02:05.0."""
    tenths = round(milliseconds / 100)
    seconds, tenth = divmod(tenths, 10)
    minutes, second = divmod(seconds, 60)
    hours, minute = divmod(minutes, 60)
    return f"{hours}:{minute:02d}:{second:02d}.{tenth}" if hours else f"{minute}:{second:02d}.{tenth}"


def format_range(item: Mapping[str, Any]) -> str:
    """Return a range of a report, or the place where nothing is left of it."""
    start, end = format_length(item["start_ms"]), format_length(item["end_ms"])
    return start if start == end else f"{start} – {end}"


def format_bytes(count: int) -> str:
    """Return a number of bytes for people."""
    if count < 10_000:
        return f"{count} bytes"
    for unit, name in ((1 << 30, "GB"), (1 << 20, "MB")):
        if count >= unit:
            return f"{count / unit:.3g} {name}"
    return f"{count / 1024:.0f} kB"


def format_speed(ppm: int) -> str:
    """Return a speed: `as registered`, or `5.0 % faster`."""
    percent = (ppm - 1_000_000) / 10_000
    if abs(percent) < 0.05:
        return "as registered"
    return f"{abs(percent):.1f} % {'faster' if percent > 0 else 'slower'}"


def format_pitch(cents: int) -> str:
    """Return a change of pitch: `as registered`, or `2.0 semitones higher`."""
    if abs(cents) < 5:
        return "as registered"
    return f"{abs(cents) / 100:.1f} semitones {'higher' if cents > 0 else 'lower'}"


def format_odds(text: str) -> str:
    """Return a stated probability (a power of ten) for people: `at most 1 in 10^7`."""
    exponent = int(text.removeprefix("1e"))
    if exponent == 0:
        return "no bound"
    digits = "".join("⁰¹²³⁴⁵⁶⁷⁸⁹"[int(digit)] for digit in str(-exponent))
    return f"at most 1 in {10**-exponent:,}" if exponent >= -6 else f"at most 1 in 10{digits}"


def count_things(number: int, one: str, many: str | None = None) -> str:
    """Return a number with its noun: `1 entry`, `3 entries`."""
    return f"{number:,} {one if number == 1 else (many or one + 's')}"


FILTERS: dict[str, Callable[..., str]] = {
    "event": name_event,
    "short_type": shorten_type,
    "moment": format_moment,
    "posix": format_posix,
    "length_of": format_length,
    "length_count": lambda items, one: count_things(len(items), one),
    "range": format_range,
    "bytes": format_bytes,
    "speed": format_speed,
    "pitch": format_pitch,
    "odds": format_odds,
    "count": count_things,
    "standing": lambda code: str(STATUSES.get(code, code)),
    "made": lambda code: str(ORIGINS.get(code, code)),
    "training": lambda code: str(TRAINING.get(code, code)),
}
