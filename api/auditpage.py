"""An audit as one HTML page: what machines made, what the files are, their verdicts, those that matter."""

from collections.abc import Mapping, Sequence
from typing import Any

from markupsafe import Markup

from .drawing import Box, Drawing, Label, Mark, format_svg
from .explanation import HEADLINES
from .labelverdict import METADATA_FORGED
from .manifest import CLASSES, DUPLICATE, SKIPPED, UNKNOWN, UNREADABLE, Row
from .origin import ORIGINS
from .reportpage import PAGES
from .verdict import GOOD, NOTHING_FOUND, REVOKED

SHOWN = 500
"""Rows on the page; all are in the other files."""
WIDTH, LABEL_WIDTH, BAR_HEIGHT, GAP = 560.0, 190.0, 15.0, 7.0
ORIGIN_WORDS = {
    "all": "made by a machine",
    "partly": "made by a machine in part",
    "none": "declared not to be",
    "undeclared": "registered, not declared",
    "unknown": "not tied to a record",
}
CLASS_WORDS = {
    "stamped": "stamped: carry our mark, or are ours",
    "known": "known recordings",
    "duplicate": "duplicates of unknown files",
    "unknown": "unknown",
    "unreadable": "could not be read",
    "skipped": "left alone (links, devices)",
}
_WORST = (METADATA_FORGED, REVOKED, "mark-transplanted", "mark-conflict", "ledger-broken")

Bar = tuple[str, int, str]
"""Name, count, and role of its colour."""


def format_audit_page(predicate: Mapping[str, Any], rows: Sequence[Row]) -> bytes:
    """Return the page of an audit.

    Parameters
    ----------
    predicate : what the statement will say, sums included
    rows : of every file
    """
    counts = predicate["classes"]
    audio = len(rows) - counts[SKIPPED] - counts[UNREADABLE]
    machine = predicate["machine_made"]["all"] + predicate["machine_made"]["partly"]
    told = [row for row in rows if row["class"] not in (UNKNOWN, DUPLICATE, SKIPPED)]
    told.sort(key=_rank)
    page = PAGES.get_template("audit.html").render(
        predicate=predicate,
        css=Markup(PAGES.get_template("report.css").render()),
        source=predicate.get("source"),
        audio=audio,
        machine=machine,
        share=_share(machine, audio),
        pictures=[
            (title, Markup(format_svg(draw_bars(title, bars, whole), name=name)))
            for name, title, bars, whole in (
                ("origin", "Made by a machine?", _count_origins(predicate), audio),
                ("verdicts", "Verdicts", _count_verdicts(predicate), audio),
                ("classes", "What the files are", _count_classes(predicate), len(rows)),
            )
        ],
        rows=told[:SHOWN],
        left=max(0, len(told) - SHOWN),
        headlines=HEADLINES,
        hours=f"{predicate['milliseconds'] / 3_600_000:.1f}",
    )
    return page.encode("utf-8", "backslashreplace")


def _count_origins(predicate: Mapping[str, Any]) -> list[Bar]:
    made = predicate["machine_made"]
    by_machine = ("all", "partly")
    return [
        (ORIGIN_WORDS[name], made[name], "marked" if name in by_machine else "intact") for name in ORIGINS
    ]


def _count_classes(predicate: Mapping[str, Any]) -> list[Bar]:
    return [(CLASS_WORDS[name], predicate["classes"][name], "intact") for name in CLASSES]


def _count_verdicts(predicate: Mapping[str, Any]) -> list[Bar]:
    counts, plain = predicate["verdicts"], GOOD | {NOTHING_FOUND}
    return [
        (HEADLINES.get(name, name), counts[name], "intact" if name in plain else "change-overlaid")
        for name in sorted(counts, key=lambda name: (-counts[name], name))
    ]


def _rank(row: Row) -> int:
    """Return how early a row stands on the page: what is wrong first, what is in order last."""
    verdict = row["verdict"]
    return 0 if verdict in _WORST else 2 if verdict in GOOD else 1


def draw_bars(title: str, bars: Sequence[Bar], whole: int) -> Drawing:
    """Return bars with their names, counts and shares of `whole`."""
    marks: list[Mark] = []
    top = 2.0
    room = WIDTH - LABEL_WIDTH - 90
    most = max(whole, *(count for _, count, _ in bars)) if bars else 1
    for name, count, role in bars:
        marks.append(Label(LABEL_WIDTH - 8, top + 11, name, "end"))
        marks.append(Box(LABEL_WIDTH, top, room, BAR_HEIGHT, "paper", "grid"))
        if count:
            marks.append(Box(LABEL_WIDTH, top, max(1.5, room * count / most), BAR_HEIGHT, role, "ink"))
        marks.append(Label(LABEL_WIDTH + room + 8, top + 11, f"{count:,} ({_share(count, whole)})"))
        top += BAR_HEIGHT + GAP
    said = "; ".join(f"{name}: {count} ({_share(count, whole)})" for name, count, _ in bars)
    return Drawing(WIDTH, top, tuple(marks), title, said or "none")


def _share(part: int, whole: int) -> str:
    """Return a share in per cent, never 0 % or 100 % unless it is exactly that."""
    if not whole:
        return "-"
    percent = 100 * part / whole
    if 0 < percent < 0.1:
        return "< 0.1 %"
    return f"{min(percent, 99.9) if part < whole else percent:.1f} %"
