"""The statement of reasons that whoever is restricted is given: Article 17 of Regulation (EU) 2022/2065.

    {"measure": "removal", "territory": "everywhere", "duration": "until restored",
     "facts": "the recording is the claimant's 'Morning' from 0:12 to 1:40", "source": "notice",
     "automated_detection": false, "automated_decision": false,
     "ground": "law", "provision": "17 U.S.C. 106(1)", "explanation": "it is a copy without licence"}

The redress part (f) is the service's own, and the same in every statement (`letters`).
"""

from collections.abc import Callable, Mapping
from typing import Annotated, Any, Literal

from pydantic import Field, StrictBool

from .notices import DSA, Form, Line, Prose
from .requirements import Missing

MEASURES = ("removal", "disabling", "demotion", "demonetisation", "suspension")
SOURCES = ("notice", "own-initiative", "court-order")


class Reasons(Form):
    """A statement of reasons, as far as the case worker writes it."""

    measure: Literal["removal", "disabling", "demotion", "demonetisation", "suspension", ""] = ""
    territory: Line = ""
    duration: Line = ""
    facts: Prose = ""
    source: Literal["notice", "own-initiative", "court-order", ""] = ""
    automated_detection: StrictBool | None = None
    automated_decision: StrictBool | None = None
    ground: Annotated[Literal["law", "terms", ""], Field(description="Illegal, or against our terms.")] = ""
    provision: Line = ""
    explanation: Prose = ""


REQUIREMENTS: tuple[tuple[str, str, str, Callable[[Reasons], bool]], ...] = (
    ("Art. 17(3)(a)", "measure", "what is done: " + ", ".join(MEASURES), lambda r: bool(r.measure)),
    ("Art. 17(3)(a)", "territory", "where it holds", lambda r: bool(r.territory)),
    ("Art. 17(3)(a)", "duration", "how long it holds", lambda r: bool(r.duration)),
    ("Art. 17(3)(b)", "facts", "the facts and circumstances relied on", lambda r: bool(r.facts)),
    ("Art. 17(3)(b)", "source", "what it follows from: " + ", ".join(SOURCES), lambda r: bool(r.source)),
    (
        "Art. 17(3)(c)",
        "automated_detection",
        "whether the content was found by automated means",
        lambda r: r.automated_detection is not None,
    ),
    (
        "Art. 17(3)(c)",
        "automated_decision",
        "whether the decision was taken by automated means",
        lambda r: r.automated_decision is not None,
    ),
    ("Art. 17(3)(d), (e)", "ground", "law or terms", lambda r: bool(r.ground)),
    ("Art. 17(3)(d), (e)", "provision", "the legal or contractual ground", lambda r: bool(r.provision)),
    ("Art. 17(3)(d), (e)", "explanation", "why the content falls under it", lambda r: bool(r.explanation)),
)


def find_missing_reasons(reasons: Reasons) -> tuple[Missing, ...]:
    """Return each field of Article 17(3) that is not there, in the order of the provisions."""
    return tuple(
        Missing(DSA, provision, field, text)
        for provision, field, text, holds in REQUIREMENTS
        if not holds(reasons)
    )


def state_reasons(reasons: Reasons) -> Mapping[str, Any]:
    """Return the facts of a signed step about a statement of reasons: codes alone, no prose."""
    return {
        "measure": reasons.measure,
        "ground": reasons.ground,
        "source": reasons.source,
        "automated_detection": bool(reasons.automated_detection),
        "automated_decision": bool(reasons.automated_decision),
    }
