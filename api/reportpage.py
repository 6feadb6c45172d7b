"""A verification report as one HTML page: to read, to print, to hand on; it loads nothing from anywhere.

What it shows is the signed predicate; the signed envelope itself is in the page, as a link that saves it.
"""

import base64
import hashlib
from collections.abc import Mapping
from typing import Any

import jinja2
from markupsafe import Markup

from ledger.envelope import parse_envelope

from .axes import STATE_WORDS
from .drawing import format_svg
from .explanation import explain
from .strip import draw_report, format_clock
from .waveform import Peaks

PAGES = jinja2.Environment(
    loader=jinja2.PackageLoader("api", "pages"),
    autoescape=True,
    undefined=jinja2.StrictUndefined,
    trim_blocks=True,
)
"""Templates of pages that are files of their own; whatever they are given is escaped."""


def format_page(
    predicate: Mapping[str, Any],
    envelope: bytes,
    *,
    origin: str,
    peaks: Peaks | None = None,
    name: str | None = None,
) -> str:
    """Return a report as an HTML page.

    Parameters
    ----------
    predicate, envelope : of the report, its signature made or checked by the caller
    origin : of the ledger that signed it
    peaks : of the examined file, float32 (2, n); None where it is not at hand
    name : of the examined file, as somebody called it
    """
    picture = draw_report(predicate, peaks)
    track = predicate["track"]
    return PAGES.get_template("report.html").render(
        predicate=predicate,
        said=explain(predicate),
        states=STATE_WORDS,
        css=Markup(PAGES.get_template("report.css").render()),
        origin=origin,
        name=name,
        track_length=None if track is None else format_clock(track["milliseconds"] / 1000),
        picture=None if picture is None else Markup(format_svg(picture, name="strip")),
        waveform=peaks is not None,
        key_ids=parse_envelope(envelope).key_ids,
        envelope_sha256=hashlib.sha256(envelope).hexdigest(),
        envelope_base64=base64.b64encode(envelope).decode("ascii"),
    )
