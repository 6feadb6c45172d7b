"""Which form of an answer a client asks for, by its Accept header (RFC 9110, 12.5.1)."""

from collections.abc import Sequence

JSON, HTML, PDF = "application/json", "text/html", "application/pdf"
MAX_RANGES = 32


def choose_form(accept: str | None, offered: Sequence[str]) -> str:
    """Return the one of the offered media types that is wanted most; the first where nothing else is said.

    A header that asks for none of them, or is malformed, gets the first as well: an answer in another form
    serves better than none.
    """
    wishes = [_read_range(item) for item in (accept or "*/*").split(",")[:MAX_RANGES]]
    best, chosen = 0.0, offered[0]
    for form in offered:
        fits = [(specific, weight) for kind, specific, weight in wishes if _covers(kind, form)]
        weight = max(fits)[1] if fits else 0.0  # the most specific range decides
        if weight > best:
            best, chosen = weight, form
    return chosen


def _read_range(item: str) -> tuple[str, int, float]:
    """Return a media range, how specific it is, and its weight."""
    kind, *parameters = (part.strip().lower() for part in item.split(";"))
    weight = 1.0
    for parameter in parameters:
        name, _, value = parameter.partition("=")
        if name.strip() == "q":
            try:
                weight = min(1.0, max(0.0, float(value)))
            except ValueError:
                weight = 0.0
    return kind, 2 - kind.count("*"), weight if weight == weight else 0.0  # not NaN


def _covers(kind: str, form: str) -> bool:
    return kind in ("*/*", form) or (kind.endswith("/*") and form.startswith(kind[:-1]))
