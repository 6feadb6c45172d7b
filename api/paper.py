"""Sheets of paper with text, tables and drawings: a PDF whose text can be selected, without a browser.

It needs reportlab, the extra `pdf`. Fonts are Vera, which reportlab brings, or DejaVu, which has the same
letters and many more, where matplotlib is installed. A character that the font lacks is written as its
number, `\\u{65e5}`: never left out. The same input gives the same bytes.
"""

import copy
import importlib.util
import io
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any
from xml.sax.saxutils import escape

from .drawing import PALETTE, Box, Drawing, Label, Line, Shape, hatch
from .errors import RefusedError

MARGIN = 48.0
FRAME_PADDING = 6.0
"""What reportlab leaves free inside its margins."""
GOOD, BAD, MUTED, EDGE, SOFT = "#00664a", "#a33a00", "#555555", "#c8c8c8", "#f4f6f8"
_FONTS = {
    "Report": ("DejaVuSans.ttf", "Vera.ttf"),
    "Report-Bold": ("DejaVuSans-Bold.ttf", "VeraBd.ttf"),
}


@lru_cache(maxsize=1)
def load_letters() -> frozenset[int]:
    """Register the fonts once; return the letters that both have.

    Raises
    ------
    RefusedError
        reportlab, the extra `pdf`, is not installed.
    """
    try:
        from reportlab.pdfbase import pdfmetrics
        from reportlab.pdfbase.ttfonts import TTFont
    except ImportError as error:
        raise RefusedError(
            "a PDF needs reportlab: install provenote with its extra, provenote[pdf]"
        ) from error
    letters: set[int] | None = None
    for font, (better, bundled) in _FONTS.items():
        face = TTFont(font, str(_find_font(better) or bundled))
        pdfmetrics.registerFont(face)
        letters = set(face.face.charToGlyph) if letters is None else letters & set(face.face.charToGlyph)
    pdfmetrics.registerFontFamily("Report", normal="Report", bold="Report-Bold")
    return frozenset(letters or ())


def _find_font(name: str) -> Path | None:
    """Return a font that matplotlib carries, without importing it."""
    found = importlib.util.find_spec("matplotlib")
    if found is None or found.origin is None:
        return None
    path = Path(found.origin).parent / "mpl-data" / "fonts" / "ttf" / name
    return path if path.is_file() else None


@dataclass(frozen=True)
class Paper:
    """How things look on paper; `letters` are the code points that the fonts have."""

    letters: frozenset[int]

    @property
    def width(self) -> float:
        """Return how wide a line may be, in points."""
        from reportlab.lib.pagesizes import A4

        return float(A4[0]) - 2 * MARGIN

    def show(self, text: str) -> str:
        """Return text as mark-up, each character that the fonts lack as its number."""
        plain = "".join(c if ord(c) in self.letters or c == " " else f"\\u{{{ord(c):x}}}" for c in text)
        return escape(plain)

    def text(
        self, markup: str, size: float = 9.5, *, colour: str = "#1a1a1a", font: str = "Report", **more: Any
    ) -> Any:
        """Return a paragraph of mark-up (`show`), with any setting of reportlab's ParagraphStyle."""
        from reportlab.lib.colors import HexColor
        from reportlab.lib.styles import ParagraphStyle
        from reportlab.platypus import Paragraph

        style = ParagraphStyle(
            "plain", fontName=font, fontSize=size, leading=1.35 * size, textColor=HexColor(colour), **more
        )
        return Paragraph(markup, style)

    def say(self, text: str, size: float = 9.5, **more: Any) -> Any:
        """Return a paragraph of plain text."""
        return self.text(self.show(text), size, **more)

    def heading(self, text: str) -> Any:
        """Return the heading of a section, which stays with what follows."""
        return self.say(text, 12.5, font="Report-Bold", spaceBefore=14, spaceAfter=5, keepWithNext=1)

    def hash(self, text: str) -> Any:
        """Return a digest, key id or code, in letters of one width."""
        plain = text.encode("ascii", "backslashreplace").decode("ascii")
        return self.text(escape(plain), 8, font="Courier", splitLongWords=1)

    def table(self, rows: Sequence[Sequence[Any]], widths: Sequence[float], *styles: Any, **more: Any) -> Any:
        """Return a plain table; `styles` as reportlab's TableStyle takes them, colours as #rrggbb."""
        from reportlab.lib.colors import HexColor
        from reportlab.platypus import Table, TableStyle

        plain = [
            ("VALIGN", (0, 0), (-1, -1), "TOP"),
            ("LEFTPADDING", (0, 0), (-1, -1), 0),
            ("TOPPADDING", (0, 0), (-1, -1), 1.5),
            ("BOTTOMPADDING", (0, 0), (-1, -1), 1.5),
        ]
        lines = [
            (kind, start, stop, *(HexColor(x) if isinstance(x, str) and x[:1] == "#" else x for x in rest))
            for kind, start, stop, *rest in styles
        ]
        return Table(
            [list(row) for row in rows], colWidths=list(widths), style=TableStyle([*plain, *lines]), **more
        )

    def ruled(self, head: Sequence[str], rows: Sequence[Sequence[Any]], widths: Sequence[float]) -> Any:
        """Return a table with a head and lines between its rows."""
        first = [self.say(item, 8.5, font="Report-Bold") for item in head]
        return self.table([first, *rows], widths, ("LINEBELOW", (0, 0), (-1, -1), 0.4, EDGE), repeatRows=1)

    def facts(self, pairs: Sequence[tuple[str, str]], wide: float) -> Any:
        """Return names and values in small print."""
        rows = [
            (self.say(key, 8, colour=MUTED), self.hash(value) if is_hash(value) else self.say(value, 8))
            for key, value in pairs
        ]
        return self.table(rows, (105, wide - 105))

    def build(self, story: Sequence[Any], *, title: str, author: str, foot: str) -> bytes:
        """Return the PDF; laid out twice, to know how many pages it has."""
        pages = 0
        content = b""
        for final in (False, True):
            target = io.BytesIO()
            pages, content = self._lay_out(
                target, copy.deepcopy(list(story)), title, author, foot, pages if final else None
            )
        return content

    def _lay_out(
        self, target: io.BytesIO, story: list[Any], title: str, author: str, foot: str, pages: int | None
    ) -> tuple[int, bytes]:
        from reportlab.lib.colors import HexColor
        from reportlab.lib.pagesizes import A4
        from reportlab.platypus import SimpleDocTemplate

        def draw_foot(canvas: Any, document: Any) -> None:
            canvas.setFont("Report", 7.5)
            canvas.setFillColor(HexColor(MUTED))
            canvas.drawString(MARGIN, 28, foot)
            of = "" if pages is None else f" of {pages}"
            canvas.drawRightString(A4[0] - MARGIN, 28, f"page {document.page}{of}")

        document = SimpleDocTemplate(
            target,
            pagesize=A4,
            leftMargin=MARGIN - FRAME_PADDING,
            rightMargin=MARGIN - FRAME_PADDING,
            topMargin=44,
            bottomMargin=50,
            title=title,
            author=author,
            subject="Verification report",
            creator="provenote",
            invariant=1,
            lang="en",
        )
        document.build(story, onFirstPage=draw_foot, onLaterPages=draw_foot)
        return document.page, target.getvalue()


def is_hash(value: str) -> bool:
    """Say whether a value is one of those that are shown in letters of one width."""
    return len(value) >= 40 and value.isascii() and " " not in value


def paint(drawing: Drawing, width: float) -> Any:
    """Return a drawing as vectors, scaled to a width."""
    from reportlab.graphics import shapes
    from reportlab.lib.colors import HexColor

    def colour(role: str) -> Any:
        return HexColor(PALETTE[role])

    def flip(y: float) -> float:
        return drawing.height - y

    def line(item: Line) -> Any:
        (x1, y1), (x2, y2) = item.start, item.end
        return shapes.Line(x1, flip(y1), x2, flip(y2), strokeColor=colour(item.role), strokeWidth=item.width)

    scale = width / drawing.width
    picture = shapes.Drawing(width, drawing.height * scale)
    group = shapes.Group(transform=(scale, 0, 0, scale, 0, 0))
    picture.add(group)
    for mark in drawing.marks:
        if isinstance(mark, Box):
            group.add(
                shapes.Rect(
                    mark.x,
                    flip(mark.y + mark.height),
                    mark.width,
                    mark.height,
                    fillColor=colour(mark.role),
                    strokeColor=colour(mark.edge) if mark.edge else None,
                    strokeWidth=0.6 if mark.edge else 0,
                )
            )
            for item in hatch(mark):
                group.add(line(item))
        elif isinstance(mark, Shape):
            points = [value for x, y in mark.points for value in (x, flip(y))]
            group.add(shapes.Polygon(points, fillColor=colour(mark.role), strokeColor=None, strokeWidth=0))
        elif isinstance(mark, Line):
            group.add(line(mark))
        elif isinstance(mark, Label):
            group.add(
                shapes.String(
                    mark.x,
                    flip(mark.y),
                    mark.text,
                    fontName="Report",
                    fontSize=mark.size,
                    fillColor=colour(mark.role),
                    textAnchor=mark.anchor,
                )
            )
    return picture
