"""What goes over the wire to take a step in a case: one schema for each step, told apart by `step`."""

from typing import Annotated, Any, Literal

from pydantic import Field

from ..notices import Complaint, CounterNotice
from ..reasons import Reasons
from .case_schemas import Code, LetterName, Person
from .schemas import TRACK_ID, TrackId, Wire


class AcceptStep(Wire):
    """Take the case up."""

    step: Literal["accept"]
    despite: Annotated[Code | None, Field(description="Why it is taken up although fields are missing.")] = (
        None
    )
    tracks: Annotated[list[TrackId], Field(default=[], max_length=20, examples=[[TRACK_ID]])]


class SupplementStep(Wire):
    """Add to the form."""

    step: Literal["supplement"]
    additions: dict[str, Any]


class RestrictStep(Wire):
    """Access was disabled before the decision."""

    step: Literal["restrict"]
    reasons: Reasons


class CounterStep(Wire):
    """A counter-notice came in."""

    step: Literal["counter"]
    counter_notice: CounterNotice
    person: Person = None


class CourtStep(Wire):
    """The claimant told of an action in court."""

    step: Literal["court-action"]
    text: Annotated[str, Field(max_length=8_000)] = ""


class DecideStep(Wire):
    """Decide the notice."""

    step: Literal["decide"]
    outcome: Literal["upheld", "denied"]
    reason: Code
    reasons: Annotated[Reasons | None, Field(description="Needed to uphold.")] = None
    override: bool = False


class ComplainStep(Wire):
    """A complaint came in."""

    step: Literal["complain"]
    complaint: Complaint
    person: Person = None


class DecideComplaintStep(Wire):
    """Decide the complaint."""

    step: Literal["decide-complaint"]
    outcome: Literal["confirmed", "reversed"]
    reason: Code


class RestoreStep(Wire):
    """Put back what was taken down."""

    step: Literal["restore"]
    reason: Code
    override: bool = False


class WithdrawStep(Wire):
    """The claimant has withdrawn."""

    step: Literal["withdraw"]


class CloseStep(Wire):
    """Close a case that was never taken up."""

    step: Literal["close"]
    reason: Code


class NoteStep(Wire):
    """Add a note."""

    step: Literal["note"]
    text: Annotated[str, Field(min_length=1, max_length=8_000)]


class SentStep(Wire):
    """A letter went out."""

    step: Literal["sent"]
    letter: LetterName
    to: Literal["claimant", "respondent"]


AnyStep = Annotated[
    AcceptStep
    | SupplementStep
    | RestrictStep
    | CounterStep
    | CourtStep
    | DecideStep
    | ComplainStep
    | DecideComplaintStep
    | RestoreStep
    | WithdrawStep
    | CloseStep
    | NoteStep
    | SentStep,
    Field(discriminator="step"),
]
