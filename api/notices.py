"""What people send in (requests, notices, counter-notices, complaints), and what is missing in it.

The forms take anything within bounds, since an incomplete notice must be answered, not lost. What each law
asks for is one table, REQUIREMENTS; `find_missing` names every field that is not there, by law and provision.
The texts of the statements are in STATEMENTS: whoever sends a form with `true` says exactly that.

    {"laws": ["dmca"], "claim": "copyright",
     "claimant": {"name": "Ann Holder", "email": "ann@label.example"}, "capacity": "owner",
     "work": {"description": "the song 'Morning', recorded 2019"},
     "material": {"locations": ["https://example.org/tracks/k3t5mz7qa2xw4hbn"]},
     "statements": {"good_faith": true, "accurate_under_perjury": true}, "signature": "Ann Holder"}
"""

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Annotated, Any, TypeVar

from pydantic import BaseModel, ConfigDict, Field, StrictBool, ValidationError

from ledger.canonical import format_json

from .errors import RefusedError, TooLargeError

DMCA, DSA = "dmca", "dsa"
LAWS = (DMCA, DSA)
CLAIMS = ("copyright", "neighbouring-right", "voice", "trademark", "privacy", "other-illegal")
CAPACITIES = ("owner", "agent")
MAX_FORM_BYTES = 50_000
"""Of its canonical JSON: what the vault seals in one piece."""
STATEMENTS: Mapping[str, str] = {
    "good_faith": "I have a good faith belief that use of the material in the manner complained of is not "
    "authorised by the owner of the right, its agent, or the law.",
    "accurate_under_perjury": "The information in this notice is accurate, and, under penalty of perjury, I "
    "am authorised to act for the owner of an exclusive right that is allegedly infringed.",
    "bona_fide": "I believe in good faith that the information and allegations in this notice are accurate "
    "and complete.",
    "mistake_under_perjury": "Under penalty of perjury, I have a good faith belief that the material was "
    "removed or disabled as a result of mistake or misidentification.",
    "consent_to_jurisdiction": "I consent to the jurisdiction of the Federal District Court for the district "
    "of my address or, outside the United States, of any district in which the provider may be found.",
    "accept_service": "I will accept service of process from whoever gave the notice, or their agent.",
}
_EMAIL = re.compile(r"[^@\s]{1,64}@[^@\s]+\.[^@\s.]+")
_URL = re.compile(r"https?://[^\s/]+\.?[^\s]*")
_TRACK = re.compile(r"track:[a-z2-7]{16}")
Line = Annotated[str, Field(max_length=300, pattern=r"^[^\x00-\x1f\x7f]*$")]
"""One line: no control characters, so that a name cannot forge a line of a letter."""
Location = Annotated[str, Field(max_length=600, pattern=r"^[^\x00-\x1f\x7f]*$")]
Prose = Annotated[str, Field(max_length=8_000)]
Law = Annotated[str, Field(pattern="^(dmca|dsa)$")]
FormType = TypeVar("FormType", bound="Form")


class Form(BaseModel):
    """Base of the forms: unknown members are an error, text is stripped."""

    model_config = ConfigDict(extra="forbid", frozen=True, str_strip_whitespace=True)


class Person(Form):
    """Who writes: for whom, and how they are reached."""

    name: Line = ""
    organisation: Line = ""
    email: Line = ""
    postal_address: Annotated[str, Field(max_length=1_000)] = ""
    phone: Line = ""


class Work(Form):
    """The work that is claimed."""

    description: Prose = ""
    identifiers: Annotated[dict[Line, Line], Field(max_length=16, description="Such as isrc, iswc.")] = {}


class Material(Form):
    """The material complained of: where it is, as URL or `track:ID`, and what it is."""

    description: Prose = ""
    locations: Annotated[list[Location], Field(max_length=40)] = []


class NoticeStatements(Form):
    """What the claimant states; the texts are STATEMENTS."""

    good_faith: StrictBool = False
    accurate_under_perjury: StrictBool = False
    bona_fide: StrictBool = False


class CounterStatements(Form):
    """What whoever answers a notice states; the texts are STATEMENTS."""

    mistake_under_perjury: StrictBool = False
    consent_to_jurisdiction: StrictBool = False
    accept_service: StrictBool = False


class Notice(Form):
    """A notice under 17 U.S.C. 512(c)(3), Article 16 of Regulation (EU) 2022/2065, or both."""

    laws: Annotated[
        list[Annotated[str, Field(pattern="^(dmca|dsa)$")]], Field(min_length=1, max_length=2)
    ] = [
        DMCA,
        DSA,
    ]
    claim: Annotated[str, Field(pattern=f"^({'|'.join(CLAIMS)})$")] = "copyright"
    claimant: Person = Person()
    capacity: Annotated[str, Field(pattern="^(owner|agent|)$")] = ""
    work: Work = Work()
    material: Material = Material()
    reasons: Prose = ""
    statements: NoticeStatements = NoticeStatements()
    signature: Annotated[Line, Field(description="Name, as typed: an electronic signature.")] = ""


class CounterNotice(Form):
    """A counter-notice under 17 U.S.C. 512(g)(3)."""

    respondent: Person = Person()
    material: Material = Material()
    reasons: Prose = ""
    statements: CounterStatements = CounterStatements()
    signature: Line = ""


class VerificationRequest(Form):
    """A rights holder's question about a recording."""

    claimant: Person = Person()
    work: Work = Work()
    material: Material = Material()
    question: Prose = ""


class Complaint(Form):
    """A complaint against a decision (Article 20 of Regulation (EU) 2022/2065)."""

    complainant: Person = Person()
    by: Annotated[str, Field(pattern="^(claimant|respondent|)$")] = ""
    reasons: Prose = ""


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


def parse_form(kind: type[FormType], document: object) -> FormType:
    """Return a form from its JSON object.

    Raises
    ------
    RefusedError
        Not an object of this form, or text beyond its bounds; every fault is named.
    TooLargeError
        More than 50,000 bytes.
    """
    try:
        form = kind.model_validate(document)
    except ValidationError as error:
        faults = "; ".join(
            f"{'.'.join(map(str, item['loc'])) or 'form'}: {item['msg'].lower()}"
            for item in error.errors(include_url=False, include_input=False)[:8]
        )
        raise RefusedError(f"not a {kind.__name__}: {faults}") from error
    return check_size(form)


def check_size(form: FormType) -> FormType:
    """Return a form if it can be sealed in one piece.

    Raises
    ------
    TooLargeError
        More than 50,000 bytes.
    ledger.errors.FormatError
        Text that is no Unicode.
    """
    size = len(format_json(form.model_dump()))
    if size > MAX_FORM_BYTES:
        raise TooLargeError(f"expected at most {MAX_FORM_BYTES} bytes of form, got {size}")
    return form
