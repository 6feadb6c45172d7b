"""What goes over the wire about cases: forms as in `api.notices`, answers as in `api.casehistory`."""

from typing import Annotated, Any, Literal

from pydantic import Field

from ..caseforms import FORMS
from ..casestates import STATUSES
from ..deadlines import LETTERS
from ..notices import Notice, VerificationRequest
from .schemas import HASH, TIME, TrackId, Wire

CASE_ID = "m5q2zt7xk3wa4hbn"
CaseId = Annotated[str, Field(pattern="^[a-z2-7]{16}$", examples=[CASE_ID])]
Code = Annotated[str, Field(pattern="^[a-z][a-z0-9-]{0,63}$", examples=["infringing"])]
Person = Annotated[str | None, Field(pattern="^[0-9a-f]{32}$", description="A person of the vault.")]
Status = Literal["received", "incomplete", "valid", "upheld", "denied", "restored", "answered", "closed"]
assert Status.__args__ == STATUSES  # type: ignore[attr-defined]  # of a Literal, at run time
FormName = Literal["notice", "request", "counter-notice", "complaint", "reasons"]
assert FormName.__args__ == tuple(FORMS)  # type: ignore[attr-defined]
LetterName = Literal["receipt", "missing", "counter-notice", "decision", "reasons"]
assert LetterName.__args__ == LETTERS  # type: ignore[attr-defined]


class CaseRequest(Wire):
    """A notice or a verification request, one of them; the other members are for case workers alone."""

    notice: Notice | None = None
    request: VerificationRequest | None = None
    tracks: Annotated[list[TrackId], Field(default=[], max_length=20)]
    urgent: bool = False
    person: Person = None
    respondent: Person = None


class MissingField(Wire):
    """A field that a law asks for."""

    law: Annotated[str, Field(examples=["dmca"])]
    provision: Annotated[str, Field(examples=["512(c)(3)(A)(i)"])]
    field: Annotated[str, Field(examples=["signature"])]
    text: Annotated[str, Field(examples=["a physical or electronic signature"])]


class EmptyCaseForm(Wire):
    """A form to fill in, what is asked for in it, and what each of its statements says if it is `true`."""

    name: Annotated[FormName, Field(examples=["notice"])]
    form: dict[str, Any]
    requirements: list[MissingField]
    statements: dict[str, str]


class CaseReceipt(Wire):
    """A case that was opened. Keep the access code: it is shown once."""

    case_id: CaseId
    status: Status
    access_code: str
    missing: list[MissingField]
    receipt: Annotated[str, Field(description="Acknowledgement of receipt, as text.")]


class CaseStatus(Wire):
    """What whoever sent a case in may see of it."""

    case_id: CaseId
    kind: Literal["notice", "verification"]
    status: Status
    opened: Annotated[str, Field(examples=[TIME])]
    updated: Annotated[str, Field(examples=[TIME])]
    missing: Annotated[list[str], Field(description="What is missing, in words.")]


class CaseItem(Wire):
    """A case in a list: nothing personal."""

    case_id: CaseId
    kind: Literal["notice", "verification"]
    status: Status
    claim: str | None
    opened: Annotated[str, Field(examples=[TIME])]
    updated: Annotated[str, Field(examples=[TIME])]
    due: Annotated[str | None, Field(description="The nearest deadline.", examples=[TIME])]
    late: bool
    urgent: bool
    public: Annotated[bool, Field(description="A stranger has sent it.")]
    tracks: list[TrackId]


class CaseList(Wire):
    """A page of cases."""

    cases: list[CaseItem]
    next: CaseId | None


class CaseDeadline(Wire):
    """Something that has to happen; `firm` if the number is the law's."""

    name: Annotated[str, Field(examples=["restore"])]
    earliest: str | None
    due: Annotated[str, Field(examples=[TIME])]
    basis: Annotated[str, Field(examples=["512(g)(2)(C)"])]
    firm: bool
    late: bool


class CaseEntry(Wire):
    """An entry of the ledger that names a step."""

    track_id: TrackId
    index: int
    event: str


class CaseStep(Wire):
    """A signed step; `values` has what people wrote, null where it was erased."""

    n: int
    step: Annotated[str, Field(examples=["received"])]
    time: Annotated[str, Field(examples=[TIME])]
    facts: dict[str, Any]
    key_ids: list[str]
    digest: Annotated[str, Field(examples=[HASH])]
    entries: list[CaseEntry]
    values: dict[str, Any]


class Window(Wire):
    """From when and until when material is put back."""

    from_: Annotated[str, Field(alias="from", examples=[TIME])]
    until: Annotated[str, Field(examples=[TIME])]


class Case(CaseItem):
    """A whole case."""

    complete: bool
    restricted: bool
    countered: str | None
    court: bool
    complaint: Literal["open", "decided"] | None
    decided: str | None
    restore_window: Window | None
    complaint_until: str | None
    person: str
    respondent: str | None
    deadlines: list[CaseDeadline]
    timeline: list[CaseStep]
    documents: Annotated[list[str], Field(description="SHA-256 of each signed report.", examples=[[HASH]])]


class StayDownEntry(Wire):
    """Something that must not come again: a track, or a recording of the catalogue."""

    entry_id: int
    case_id: CaseId
    track_id: TrackId | None
    recording: int | None
    created: Annotated[str, Field(examples=[TIME])]


class StayDownList(Wire):
    """A page of the stay-down list."""

    entries: list[StayDownEntry]
    next: int | None


class RecognisedEntry(StayDownEntry):
    """An entry that an upload is, and what told it."""

    by: list[Literal["digest", "mark", "sound"]]


class UploadAnswer(Wire):
    """Whether an upload must stay down."""

    listed: bool
    matches: list[RecognisedEntry]


class ListedRecording(Wire):
    """A recording that was put on the stay-down list."""

    case_id: CaseId
    recording: int


class RepeatedRespondent(Wire):
    """A respondent and how many notices against them were upheld."""

    person: Annotated[str, Field(description="Of the vault: names nobody by itself.")]
    upheld: int


class RepeatedRespondents(Wire):
    """Respondents with several upheld notices, for a policy about repeat infringers."""

    respondents: list[RepeatedRespondent]
