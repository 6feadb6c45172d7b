"""Which function of casework a step over HTTP stands for."""

from collections.abc import Callable
from typing import Any

from ..caseintake import accept_case, close_case, supplement_case
from ..casework import (
    add_note,
    complain_about,
    counter_case,
    decide_case,
    decide_complaint,
    note_court_action,
    note_sent,
    restore_case,
    restrict_case,
    withdraw_case,
)
from ..installation import Installation
from . import case_step_schemas as wire
from .schemas import Wire

_ACTIONS: dict[type[Wire], Callable[[Installation, str, Any], object]] = {
    wire.AcceptStep: lambda i, c, s: accept_case(i, c, despite=s.despite or "", tracks=s.tracks),
    wire.SupplementStep: lambda i, c, s: supplement_case(i, c, s.additions),
    wire.RestrictStep: lambda i, c, s: restrict_case(i, c, s.reasons),
    wire.CounterStep: lambda i, c, s: counter_case(i, c, s.counter_notice, person=s.person),
    wire.CourtStep: lambda i, c, s: note_court_action(i, c, s.text),
    wire.DecideStep: lambda i, c, s: decide_case(
        i, c, s.outcome, s.reason, reasons=s.reasons, override=s.override
    ),
    wire.ComplainStep: lambda i, c, s: complain_about(i, c, s.complaint, person=s.person),
    wire.DecideComplaintStep: lambda i, c, s: decide_complaint(i, c, s.outcome, s.reason),
    wire.RestoreStep: lambda i, c, s: restore_case(i, c, s.reason, override=s.override),
    wire.WithdrawStep: lambda i, c, _s: withdraw_case(i, c),
    wire.CloseStep: lambda i, c, s: close_case(i, c, s.reason),
    wire.NoteStep: lambda i, c, s: add_note(i, c, s.text),
    wire.SentStep: lambda i, c, s: note_sent(i, c, s.letter, s.to),
}


def take(installation: Installation, case_id: str, step: Wire) -> None:
    """Take a step in a case; errors as the function that it stands for."""
    _ACTIONS[type(step)](installation, case_id, step)
