"""Empty forms of casework to fill in, by name, and what the laws ask for in each."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from .errors import MissingError
from .notices import STATEMENTS, Complaint, CounterNotice, Form, Notice, VerificationRequest
from .reasons import Reasons, find_missing_reasons
from .requirements import Missing, find_missing

FORMS: Mapping[str, type[Form]] = {
    "notice": Notice,
    "request": VerificationRequest,
    "counter-notice": CounterNotice,
    "complaint": Complaint,
    "reasons": Reasons,
}


@dataclass(frozen=True)
class EmptyForm:
    """A form with nothing in it: its JSON, what is asked for in it, and the words that each of its statements
    stands for.
    """

    name: str
    form: Mapping[str, Any]
    requirements: tuple[Missing, ...]
    statements: Mapping[str, str]


def make_form(name: str) -> EmptyForm:
    """Return an empty form; MissingError where there is none of that name."""
    if name not in FORMS:
        raise MissingError(f"no form {name!r:.40}: expected one of {', '.join(FORMS)}")
    empty = FORMS[name]()
    document = empty.model_dump()
    return EmptyForm(
        name=name,
        form=document,
        requirements=find_missing_reasons(empty) if isinstance(empty, Reasons) else find_missing(empty),
        statements={statement: STATEMENTS[statement] for statement in document.get("statements", {})},
    )
