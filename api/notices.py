"""What people send in: requests, notices, counter-notices, complaints.

The forms take anything within bounds, since an incomplete notice must be answered, not lost: what is missing
in one is found by `api.requirements`. The texts of the statements are in STATEMENTS: whoever sends a form
with `true` says exactly that.

    {"laws": ["dmca"], "claim": "copyright",
     "claimant": {"name": "Ann Holder", "email": "ann@label.example"}, "capacity": "owner",
     "work": {"description": "the song 'Morning', recorded 2019"},
     "material": {"locations": ["https://example.org/tracks/k3t5mz7qa2xw4hbn"]},
     "statements": {"good_faith": true, "accurate_under_perjury": true}, "signature": "Ann Holder"}
"""

from collections.abc import Mapping
from typing import Annotated, TypeVar

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
Line = Annotated[str, Field(max_length=300, pattern=r"^[^\x00-\x1f\x7f]*$")]
"""One line: no control characters, so that a name cannot forge a line of a letter."""
Location = Annotated[str, Field(max_length=600, pattern=r"^[^\x00-\x1f\x7f]*$")]
Prose = Annotated[str, Field(max_length=8_000)]
Law = Annotated[str, Field(pattern=f"^({'|'.join(LAWS)})$")]
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

    laws: Annotated[list[Law], Field(min_length=1, max_length=2)] = [DMCA, DSA]
    claim: Annotated[str, Field(pattern=f"^({'|'.join(CLAIMS)})$")] = "copyright"
    claimant: Person = Person()
    capacity: Annotated[str, Field(pattern=f"^({'|'.join(CAPACITIES)}|)$")] = ""
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
