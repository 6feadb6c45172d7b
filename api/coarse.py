"""The report as strangers get it: their question is answered, what would help to remove a mark is not said.

How sure the detector is, how it told the mark, and where exactly the mark lies would each make the detector a
gauge to tune an attack by (docs/security.md, section 5). They are left out, not made up: a member that is
missing says nothing. Times of the sound itself are given in whole seconds, speed in per cent and pitch in
semitones.
"""

from collections.abc import Mapping
from typing import Any

LEFT_OUT = frozenset({"false_alarm_at_most", "told_by", "present", "absent"})
LIMIT = (
    "This is the report for the public: how sure the detector is and where exactly the mark lies is left "
    "out, since that would help to remove it."
)
SECOND_MS, PERCENT_PPM, SEMITONE_CENTS = 1000, 10_000, 100


def coarsen(predicate: Mapping[str, Any]) -> dict[str, Any]:
    """Return the predicate of a report for the public; nothing of the given one is changed."""
    coarse = dict(predicate)
    for axis in ("identity", "watermark", "copies"):
        coarse[axis] = coarsen_axis(predicate[axis])
    return {**coarse, "detail": "coarse", "limits": [*predicate["limits"], LIMIT]}


def coarsen_axis(value: Any) -> Any:
    """Return a part of a report without what is left out, and with rounded figures."""
    if isinstance(value, Mapping):
        return {
            name: _round(name, item) if type(item) is int else coarsen_axis(item)
            for name, item in value.items()
            if name not in LEFT_OUT
        }
    if isinstance(value, list | tuple):
        return [coarsen_axis(item) for item in value]
    return value


def _round(name: str, value: int) -> int:
    if name == "start_ms":
        return value // SECOND_MS * SECOND_MS
    if name == "end_ms":
        return -(-value // SECOND_MS) * SECOND_MS
    step = {"speed_ppm": PERCENT_PPM, "pitch_cents": SEMITONE_CENTS}.get(name, 1)
    return round(value / step) * step
