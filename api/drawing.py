"""Line drawings as plain data, which a page paints as SVG and a PDF as vectors, alike.

    Drawing(width, height, shapes, title, description)

Coordinates are points, from the top left corner. Colours are roles (`PALETTE`), not values: a page may give
a role another colour, for dark paper, by the class that each shape has (`ink`, `change-replaced` ...). The
same drawing gives the same bytes.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from xml.sax.saxutils import escape, quoteattr

from .pictures import COLOURS, GRID, INK, INTACT, MARKED, PAPER

PALETTE = {
    "ink": INK,
    "paper": PAPER,
    "grid": GRID,
    "muted": "#555555",
    "wave": "#4d5b66",
    "intact": INTACT,
    "marked": MARKED,
    "unmarked": PAPER,
    "unclear": PAPER,
    **{f"change-{kind}": colour for kind, colour in COLOURS.items()},
}
"""Colour of each role on white paper."""
HATCHINGS: dict[str, str] = {
    "change-replaced": "/",
    "change-inserted": "+",
    "change-removed": "x",
    "change-reordered": "-",
    "change-overlaid": "\\",
    "unclear": "|",
}
"""Each role that must be told without colour has lines of its own."""
HATCH_STEP = 5.0

Point = tuple[float, float]


@dataclass(frozen=True)
class Box:
    """A rectangle filled with a role's colour and hatching; `edge` is its outline's role, "" for none."""

    x: float
    y: float
    width: float
    height: float
    role: str
    edge: str = ""
    hint: str = ""


@dataclass(frozen=True)
class Shape:
    """A filled polygon without outline."""

    points: tuple[Point, ...]
    role: str


@dataclass(frozen=True)
class Line:
    """A straight line."""

    start: Point
    end: Point
    role: str
    width: float = 0.6


@dataclass(frozen=True)
class Label:
    """A line of text; `anchor` is start, middle or end, and `y` its base line."""

    x: float
    y: float
    text: str
    anchor: str = "start"
    size: float = 9.0
    role: str = "ink"


Mark = Box | Shape | Line | Label


@dataclass(frozen=True)
class Drawing:
    """A picture with a title, and its content in words for those who do not see it."""

    width: float
    height: float
    marks: tuple[Mark, ...]
    title: str
    description: str


def hatch(box: Box) -> Iterator[Line]:
    """Yield the lines that hatch a box, cut at its edges; none for a role without hatching."""
    kind = HATCHINGS.get(box.role, "")
    if kind in ("/", "x"):
        yield from _hatch_diagonal(box, rising=True)
    if kind in ("\\", "x"):
        yield from _hatch_diagonal(box, rising=False)
    if kind in ("-", "+"):
        for y in _steps(box.height):
            yield _ink((box.x, box.y + y), (box.x + box.width, box.y + y))
    if kind in ("|", "+"):
        for x in _steps(box.width):
            yield _ink((box.x + x, box.y), (box.x + x, box.y + box.height))


def _steps(length: float) -> Iterator[float]:
    return (HATCH_STEP * (number + 0.5) for number in range(int(length / HATCH_STEP + 0.5)))


def _ink(start: Point, end: Point) -> Line:
    return Line(start, end, "ink", 0.5)


def _hatch_diagonal(box: Box, *, rising: bool) -> Iterator[Line]:
    """Yield the lines x + y = c of a box (or x - y = c, mirrored), cut at its edges."""
    width, height = box.width, box.height
    for offset in _steps(width + height):
        left, right = max(0.0, offset - height), min(width, offset)
        if right - left < 0.2:
            continue
        ends = ((left, offset - left), (right, offset - right))
        start, end = ((box.x + x, box.y + (y if rising else height - y)) for x, y in ends)
        yield _ink(start, end)


def format_svg(drawing: Drawing, *, name: str) -> str:
    """Return a drawing as an SVG element to stand in a page; `name` is unique in that page."""
    lines = [
        f'<svg class="drawing" viewBox="0 0 {_number(drawing.width)} {_number(drawing.height)}" role="img" '
        f'aria-labelledby="{name}-title {name}-text" xmlns="http://www.w3.org/2000/svg">',
        f'<title id="{name}-title">{escape(drawing.title)}</title>',
        f'<desc id="{name}-text">{escape(drawing.description)}</desc>',
        *(line for mark in drawing.marks for line in _format_mark(mark)),
        "</svg>",
    ]
    return "\n".join(lines)


def _format_mark(mark: Mark) -> Iterator[str]:
    if isinstance(mark, Box):
        edge = "" if not mark.edge else f' stroke="{PALETTE[mark.edge]}" stroke-width="0.6"'
        place = (
            f'x="{_number(mark.x)}" y="{_number(mark.y)}" '
            f'width="{_number(mark.width)}" height="{_number(mark.height)}"'
        )
        look = f'class="fill-{mark.role}" fill="{PALETTE[mark.role]}"{edge}'
        hint = f"<title>{escape(mark.hint)}</title>" if mark.hint else ""
        yield f"<rect {place} {look}>{hint}</rect>" if hint else f"<rect {place} {look}/>"
        lines = list(hatch(mark))
        if lines:
            path = " ".join(
                f"M{_number(line.start[0])} {_number(line.start[1])}"
                f"L{_number(line.end[0])} {_number(line.end[1])}"
                for line in lines
            )
            yield f'<path class="hatch" d="{path}" stroke="{INK}" stroke-width="0.5" pointer-events="none"/>'
    elif isinstance(mark, Shape):
        points = " ".join(f"{_number(x)},{_number(y)}" for x, y in mark.points)
        yield f'<polygon class="fill-{mark.role}" points="{points}" fill="{PALETTE[mark.role]}"/>'
    elif isinstance(mark, Line):
        (x1, y1), (x2, y2) = mark.start, mark.end
        yield (
            f'<line class="line-{mark.role}" x1="{_number(x1)}" y1="{_number(y1)}" x2="{_number(x2)}" '
            f'y2="{_number(y2)}" stroke="{PALETTE[mark.role]}" stroke-width="{_number(mark.width)}"/>'
        )
    else:
        yield (
            f'<text class="text-{mark.role}" x="{_number(mark.x)}" y="{_number(mark.y)}" '
            f'text-anchor={quoteattr(mark.anchor)} font-size="{_number(mark.size)}" '
            f'fill="{PALETTE[mark.role]}">{escape(mark.text)}</text>'
        )


def _number(value: float) -> str:
    """Return a coordinate with at most two decimals."""
    return f"{value:.2f}".rstrip("0").rstrip(".")
