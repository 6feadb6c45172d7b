"""What the laws ask for in the forms of casework, and what is missing in one.

One table for each form: every field with its law and provision, what is asked in plain words, and the test
whether it is there. `find_missing` names each that is not.
"""

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from .notices import (
    DMCA,
    DSA,
    LAWS,
    Complaint,
    CounterNotice,
    Form,
    Material,
    Notice,
    Person,
    VerificationRequest,
)

_EMAIL = re.compile(r"[^@\s]{1,64}@[^@\s]+\.[^@\s.]+")
_URL = re.compile(r"https?://[^\s/]+\.?[^\s]*")
_TRACK = re.compile(r"track:[a-z2-7]{16}")


@dataclass(frozen=True)
class Requirement:
    """A field that a law asks for: provision, name of the field, what is asked in plain words, the test."""

    law: str
    provision: str
    field: str
    text: str
    holds: Callable[[Any], bool]


@dataclass(frozen=True)
class Missing:
    """A field that is not there, or not as the law asks for."""

    law: str
    provision: str
    field: str
    text: str


def is_location(text: str) -> bool:
    """Say whether a text says exactly where something is: an http(s) URL or `track:ID`."""
    return bool(_URL.fullmatch(text) or _TRACK.fullmatch(text))


def _is_reachable(person: Person) -> bool:
    return bool(person.postal_address or person.phone or _EMAIL.fullmatch(person.email))


def _is_located(material: Material) -> bool:
    return any(is_location(item) for item in material.locations)


NOTICE_REQUIREMENTS: tuple[Requirement, ...] = (
    Requirement(
        DMCA,
        "512(c)(3)(A)(i)",
        "signature",
        "a physical or electronic signature",
        lambda f: bool(f.signature),
    ),
    Requirement(
        DMCA,
        "512(c)(3)(A)(ii)",
        "work.description",
        "which copyrighted work is claimed to be infringed",
        lambda f: bool(f.work.description or f.work.identifiers),
    ),
    Requirement(
        DMCA,
        "512(c)(3)(A)(iii)",
        "material.locations",
        "which material is infringing, and where it is: a URL or track:ID",
        lambda f: _is_located(f.material),
    ),
    Requirement(
        DMCA,
        "512(c)(3)(A)(iv)",
        "claimant",
        "how to contact you: address, telephone number or email",
        lambda f: _is_reachable(f.claimant),
    ),
    Requirement(
        DMCA,
        "512(c)(3)(A)(v)",
        "statements.good_faith",
        "the statement of good faith belief",
        lambda f: f.statements.good_faith,
    ),
    Requirement(
        DMCA,
        "512(c)(3)(A)(vi)",
        "statements.accurate_under_perjury",
        "the statement of accuracy and, under penalty of perjury, of authority",
        lambda f: f.statements.accurate_under_perjury,
    ),
    Requirement(
        DSA,
        "Art. 16(2)(a)",
        "reasons",
        "a substantiated explanation why the information is illegal",
        lambda f: bool(f.reasons),
    ),
    Requirement(
        DSA,
        "Art. 16(2)(b)",
        "material.locations",
        "the exact electronic location: a URL or track:ID",
        lambda f: _is_located(f.material),
    ),
    Requirement(
        DSA,
        "Art. 16(2)(c)",
        "claimant.name",
        "your name, or that of your organisation",
        lambda f: bool(f.claimant.name or f.claimant.organisation),
    ),
    Requirement(
        DSA,
        "Art. 16(2)(c)",
        "claimant.email",
        "your email address",
        lambda f: bool(_EMAIL.fullmatch(f.claimant.email)),
    ),
    Requirement(
        DSA,
        "Art. 16(2)(d)",
        "statements.bona_fide",
        "the statement of bona fide belief that it is accurate and complete",
        lambda f: f.statements.bona_fide,
    ),
)
COUNTER_REQUIREMENTS: tuple[Requirement, ...] = (
    Requirement(
        DMCA, "512(g)(3)(A)", "signature", "a physical or electronic signature", lambda f: bool(f.signature)
    ),
    Requirement(
        DMCA,
        "512(g)(3)(B)",
        "material.locations",
        "which material was removed or disabled, and where it was before",
        lambda f: _is_located(f.material),
    ),
    Requirement(
        DMCA,
        "512(g)(3)(C)",
        "statements.mistake_under_perjury",
        "the statement under penalty of perjury of mistake or misidentification",
        lambda f: f.statements.mistake_under_perjury,
    ),
    Requirement(DMCA, "512(g)(3)(D)", "respondent.name", "your name", lambda f: bool(f.respondent.name)),
    Requirement(
        DMCA,
        "512(g)(3)(D)",
        "respondent.postal_address",
        "your address",
        lambda f: bool(f.respondent.postal_address),
    ),
    Requirement(
        DMCA, "512(g)(3)(D)", "respondent.phone", "your telephone number", lambda f: bool(f.respondent.phone)
    ),
    Requirement(
        DMCA,
        "512(g)(3)(D)",
        "statements.consent_to_jurisdiction",
        "the consent to jurisdiction",
        lambda f: f.statements.consent_to_jurisdiction,
    ),
    Requirement(
        DMCA,
        "512(g)(3)(D)",
        "statements.accept_service",
        "the statement that you accept service of process",
        lambda f: f.statements.accept_service,
    ),
)
VERIFICATION_REQUIREMENTS: tuple[Requirement, ...] = (
    Requirement("", "", "claimant", "how to contact you", lambda f: _is_reachable(f.claimant)),
    Requirement(
        "",
        "",
        "work.description",
        "the work that you claim",
        lambda f: bool(f.work.description or f.work.identifiers),
    ),
    Requirement("", "", "question", "what you ask", lambda f: bool(f.question)),
)
COMPLAINT_REQUIREMENTS: tuple[Requirement, ...] = (
    Requirement(DSA, "Art. 20(1)", "by", "who complains: claimant or respondent", lambda f: bool(f.by)),
    Requirement(DSA, "Art. 20(3)", "reasons", "why the decision is wrong", lambda f: bool(f.reasons)),
)
REQUIREMENTS: Mapping[type[Form], tuple[Requirement, ...]] = {
    Notice: NOTICE_REQUIREMENTS,
    CounterNotice: COUNTER_REQUIREMENTS,
    VerificationRequest: VERIFICATION_REQUIREMENTS,
    Complaint: COMPLAINT_REQUIREMENTS,
}
SUBSTANTIAL = frozenset({"512(c)(3)(A)(ii)", "512(c)(3)(A)(iii)", "512(c)(3)(A)(iv)"})
"""With these three the claimant must be asked for the rest: 512(c)(3)(B)(ii)."""


def find_missing(form: Form) -> tuple[Missing, ...]:
    """Return each field that the form's laws ask for and that it lacks, in the order of the provisions."""
    laws = form.laws if isinstance(form, Notice) else LAWS
    return tuple(
        Missing(item.law, item.provision, item.field, item.text)
        for item in REQUIREMENTS[type(form)]
        if item.law in ("", *laws) and not item.holds(form)
    )


def is_substantial(missing: tuple[Missing, ...]) -> bool:
    """Say whether an incomplete notice has what obliges the provider to ask for the rest."""
    return not SUBSTANTIAL & {item.provision for item in missing}


def list_missing(missing: Iterable[Missing]) -> str:
    """Return missing fields in one line: each with its field and provision."""
    return "; ".join(
        f"{item.text} ({item.field}{', ' + item.provision if item.provision else ''})" for item in missing
    )
