"""The case desk's page for what came by letter or mail: a notice or a request is typed in, and is a case."""

from collections.abc import Mapping
from typing import Annotated

from fastapi import APIRouter, Query, Request, Response
from fastapi.responses import RedirectResponse

from ..access import Scope
from ..caseforms import FORMS, make_form
from ..caseintake import open_case
from ..http.authorisation import require_scope
from ..http.context import UsedContext
from ..notices import Notice, VerificationRequest, parse_form
from ..outcomes import EXPECTED, classify, describe
from .modelforms import list_fields, read_fields
from .rendering import render
from .sessions import UsedSession, with_session
from .textforms import UsedForm

router = APIRouter(prefix="/desk/cases", dependencies=[with_session(), require_scope(Scope.CASE_WORKER)])
KINDS: Mapping[str, tuple[str, type[Notice | VerificationRequest]]] = {
    "notice": ("Take in a notice", Notice),
    "request": ("Take in a verification request", VerificationRequest),
}
Kind = Annotated[str, Query(pattern=f"^({'|'.join(KINDS)})$")]


@router.get("/new")
def show_form(request: Request, session: UsedSession, kind: Kind = "notice") -> Response:
    """Show an empty form, and what the laws ask for in it."""
    return _show(request, session, kind, {}, "")


def _show(
    request: Request, session: UsedSession, kind: str, values: Mapping[str, str], refused: str
) -> Response:
    words, model = KINDS[kind]
    return render(
        request,
        "case-new.html",
        status=422 if refused else 200,
        kind=kind,
        words=words,
        kinds={name: title for name, (title, _) in KINDS.items()},
        fields=list_fields(model),
        requirements=make_form(kind).requirements,
        values=values,
        refused=refused,
        form_token=session.form_token if session else "",
    )


@router.post("/new")
def take_in(
    request: Request, context: UsedContext, session: UsedSession, form: UsedForm, kind: Kind = "notice"
) -> Response:
    """Open a case, and show it with what is missing; what is refused is said beside what was typed."""
    try:
        filled = parse_form(KINDS[kind][1], read_fields(FORMS[kind], form))
        opened = open_case(
            context.installation,
            filled,
            tracks=form.get("tracks", "").split(),
            urgent="urgent" in form,
        )
    except EXPECTED as error:
        if classify(error).status >= 500:
            raise
        return _show(request, session, kind, form, describe(error))
    return RedirectResponse(f"/desk/cases/{opened.case_id}", 303)
