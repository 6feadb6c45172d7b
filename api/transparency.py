"""A statement of reasons as the DSA Transparency Database takes it: Art. 24(5) of Regulation (EU) 2022/2065.

Names and values are those of the Commission's database as its published source validates them
(digital-services-act/transparency-database, June 2026). Nothing is sent from here. The database is public:
who gave the notice is left out, but the prose of the statement goes in as it was written, so a person has to
read it for names first.

    {"puid": "m5q2zt7xk3wa4hbn-4", "decision_visibility": ["DECISION_VISIBILITY_CONTENT_REMOVED"],
     "decision_ground": "DECISION_GROUND_ILLEGAL_CONTENT", "illegal_content_legal_ground": "17 U.S.C. 106(1)",
     "category": "STATEMENT_CATEGORY_INTELLECTUAL_PROPERTY_INFRINGEMENTS", "automated_detection": "Yes", ...}
"""

import datetime
import re
from collections.abc import Mapping
from typing import Any

from ledger.predicate import GENERATED, name_type

from .casehistory import CaseView, read_case
from .errors import ConflictError, RefusedError
from .installation import Installation
from .notices import DSA

LIMITS: Mapping[str, int] = {
    "illegal_content_legal_ground": 500,
    "illegal_content_explanation": 2_000,
    "incompatible_content_ground": 500,
    "incompatible_content_explanation": 2_000,
    "decision_facts": 5_000,
}
"""Characters that the database takes."""
MEASURES: Mapping[str, tuple[str, Any]] = {
    "removal": ("decision_visibility", ["DECISION_VISIBILITY_CONTENT_REMOVED"]),
    "disabling": ("decision_visibility", ["DECISION_VISIBILITY_CONTENT_DISABLED"]),
    "demotion": ("decision_visibility", ["DECISION_VISIBILITY_CONTENT_DEMOTED"]),
    "demonetisation": ("decision_monetary", "DECISION_MONETARY_SUSPENSION"),
    "suspension": ("decision_account", "DECISION_ACCOUNT_SUSPENDED"),
}
INTELLECTUAL_PROPERTY = "STATEMENT_CATEGORY_INTELLECTUAL_PROPERTY_INFRINGEMENTS"
PRIVACY = "STATEMENT_CATEGORY_DATA_PROTECTION_AND_PRIVACY_VIOLATIONS"
CATEGORIES: Mapping[str, str] = {
    "copyright": INTELLECTUAL_PROPERTY,
    "neighbouring-right": INTELLECTUAL_PROPERTY,
    "trademark": INTELLECTUAL_PROPERTY,
    "voice": PRIVACY,
    "privacy": PRIVACY,
    "other-illegal": "STATEMENT_CATEGORY_NOT_SPECIFIED_NOTICE",
}
KEYWORDS: Mapping[str, str] = {
    "copyright": "KEYWORD_COPYRIGHT_INFRINGEMENT",
    "trademark": "KEYWORD_TRADEMARK_INFRINGEMENT",
}
_COUNTRIES = re.compile(r"[A-Z]{2}(?:[ ,]+[A-Z]{2})*")


def state_for_database(
    installation: Installation, case_id: str, *, content_date: datetime.date | None = None
) -> dict[str, Any]:
    """Return the newest statement of reasons of a case for the database; errors as `format_statement`.

    Parameters
    ----------
    installation, case_id
        The case.
    content_date
        When the material was put up; by default when the first of the case's tracks was registered.

    Raises
    ------
    MissingError
        No such case.
    RefusedError
        The case is about no track, and no date is given.
    """
    view = read_case(installation, case_id)
    rows = [installation.registry.get_released(track_id) for track_id in view.state.tracks]
    if content_date is None and not rows:
        raise RefusedError("the case is about no track of this ledger: say when the material was put up")
    return format_statement(
        view,
        content_date=content_date or datetime.date.fromisoformat(min(row.created for row in rows)[:10]),
        synthetic=any(name_type(row.origin) == GENERATED for row in rows),
    )


def format_statement(view: CaseView, *, content_date: datetime.date, synthetic: bool) -> dict[str, Any]:
    """Return the newest statement of reasons of a case as the database's JSON object.

    Parameters
    ----------
    view
        The case as read.
    content_date
        When the material was put up.
    synthetic
        Whether it is known to be machine-made: then the content is also synthetic media.

    Raises
    ------
    ConflictError
        The case has no statement of reasons, or it was erased.
    RefusedError
        A text is longer than the database takes: it names which.
    """
    stated = [step for step in view.steps if "reasons" in step.commitments]
    reasons = view.values.get((stated[-1].n, "reasons")) if stated else None
    if not isinstance(reasons, dict):
        raise ConflictError("the case has no statement of reasons, or it was erased")
    measure, value = MEASURES[reasons["measure"]]
    ground = "illegal" if reasons["ground"] == "law" else "incompatible"
    names = {
        "illegal": ("illegal_content_legal_ground", "illegal_content_explanation"),
        "incompatible": ("incompatible_content_ground", "incompatible_content_explanation"),
    }[ground]
    claim = view.row.claim
    category = CATEGORIES[claim] if ground == "illegal" else "STATEMENT_CATEGORY_OTHER_VIOLATION_TC"
    document: dict[str, Any] = {
        "puid": f"{view.row.case_id}-{stated[-1].n}",
        measure: value,
        "decision_ground": f"DECISION_GROUND_{ground.upper()}_CONTENT",
        names[0]: reasons["provision"],
        names[1]: reasons["explanation"],
        "content_type": ["CONTENT_TYPE_AUDIO", *(["CONTENT_TYPE_SYNTHETIC_MEDIA"] if synthetic else [])],
        "category": category,
        "content_date": content_date.isoformat(),
        "application_date": stated[-1].time[:10],
        "decision_facts": reasons["facts"],
        "source_type": _name_source(reasons["source"], view.steps[0].facts.get("laws", ())),
        "automated_detection": "Yes" if reasons["automated_detection"] else "No",
        # A case worker took it; automated means can only have helped.
        "automated_decision": "AUTOMATED_DECISION_PARTIALLY"
        if reasons["automated_decision"]
        else "AUTOMATED_DECISION_NOT_AUTOMATED",
    }
    if ground == "illegal" and claim in KEYWORDS:
        document["category_specification"] = [KEYWORDS[claim]]
    if _COUNTRIES.fullmatch(reasons["territory"]):
        document["territorial_scope"] = re.split(r"[ ,]+", reasons["territory"])
    for name, most in LIMITS.items():
        if len(document.get(name, "")) > most:
            raise RefusedError(
                f"{name}: the database takes {most} characters, the statement has {len(document[name])}"
            )
    return document


def _name_source(source: str, laws: tuple[str, ...] | list[str]) -> str:
    if source == "own-initiative":
        return "SOURCE_VOLUNTARY"
    by_notice = source == "notice" and DSA in laws
    return "SOURCE_ARTICLE_16" if by_notice else "SOURCE_TYPE_OTHER_NOTIFICATION"
