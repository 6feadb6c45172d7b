"""Cases from outside: empty forms, sending one in, and how it stands for whoever has its access code."""

import hmac
from typing import Annotated

from fastapi import APIRouter, Header, Request

from ..access import Caller, Scope
from ..caseforms import make_form
from ..casehistory import CaseView, read_case
from ..caseintake import hash_code, open_case, supplement_case
from ..errors import MissingError, RefusedError, ScopeError
from ..letters import list_missing_lines, write_letter
from ..quotas import DAY_S, Bound, name_client
from .authorisation import open_to_all
from .case_schemas import CaseId, CaseReceipt, CaseRequest, CaseStatus, EmptyCaseForm, FormName, MissingField
from .context import Context, UsedContext
from .idempotent import IdempotentRoute, takes_key
from .problems import declare_problems

router = APIRouter(route_class=IdempotentRoute, dependencies=[open_to_all()], tags=["cases"])
AnyCaller = Annotated[Caller, open_to_all()]
AccessCode = Annotated[
    str, Header(alias="case-code", max_length=100, description="Shown when it was opened.")
]
INTAKE_PER_DAY = 20
QUESTIONS_PER_DAY = 500


@router.get("/v1/case-forms/{name}", summary="An empty form of casework", responses=declare_problems())
def get_form(name: FormName) -> EmptyCaseForm:
    """Return a form to fill in, what is asked for in it, and what its statements say if they are `true`."""
    empty = make_form(name)
    return EmptyCaseForm.model_validate(
        {**vars(empty), "requirements": [vars(item) for item in empty.requirements]}
    )


@router.post(
    "/v1/cases",
    status_code=201,
    summary="Send in a notice or a verification request",
    dependencies=[takes_key()],
    responses=declare_problems(403, 404, 409, 413, 429, 503, 507),
)
def send_case(body: CaseRequest, request: Request, context: UsedContext, caller: AnyCaller) -> CaseReceipt:
    """Open a case and say what is missing in it, by field, law and provision. Keep the access code."""
    worker = caller.may(Scope.CASE_WORKER)
    if not worker:
        if body.tracks or body.urgent or body.person or body.respondent:
            raise ScopeError("tracks, urgent, person and respondent are for case workers")
        _count(context, request, "intake", INTAKE_PER_DAY)
    form = body.notice or body.request
    if form is None or (body.notice and body.request):
        raise RefusedError("expected a notice or a request, one of them")
    opened = open_case(
        context.installation,
        form,
        tracks=body.tracks,
        urgent=body.urgent,
        public=not worker,
        person=body.person,
        respondent=body.respondent,
    )
    view = read_case(context.installation, opened.case_id)
    return CaseReceipt(
        case_id=opened.case_id,
        status=view.row.status,  # type: ignore[arg-type]  # one of STATUSES
        access_code=opened.code,
        missing=[MissingField(**vars(item)) for item in opened.missing],
        receipt=write_letter(view, "receipt"),
    )


@router.get(
    "/v1/cases/{case_id}/status",
    summary="How a case stands",
    responses=declare_problems(404, 429, 503),
)
def get_status(case_id: CaseId, code: AccessCode, request: Request, context: UsedContext) -> CaseStatus:
    """Say to whoever sent a case in how it stands; the access code is needed."""
    return _describe_status(_open_by_code(context, request, case_id, code))


@router.post(
    "/v1/cases/{case_id}/supplements",
    summary="Add what was missing",
    dependencies=[takes_key()],
    responses=declare_problems(404, 409, 413, 429, 503, 507),
)
def supplement(
    case_id: CaseId,
    code: AccessCode,
    additions: dict[str, object],
    request: Request,
    context: UsedContext,
) -> CaseStatus:
    """Add to an incomplete form: members that are new or changed. The access code is needed."""
    _open_by_code(context, request, case_id, code)
    supplement_case(context.installation, case_id, additions)
    return _describe_status(read_case(context.installation, case_id))


def _describe_status(view: CaseView) -> CaseStatus:
    row = view.row
    missing = list_missing_lines(view) if view.state.status == "incomplete" else []
    return CaseStatus.model_validate(
        {
            **{name: getattr(row, name) for name in ("case_id", "kind", "status", "opened", "updated")},
            "missing": [line.removeprefix("- ") for line in missing],
        }
    )


def _open_by_code(context: Context, request: Request, case_id: str, code: str) -> CaseView:
    """Return a case to whoever has its code; a wrong code is answered like a case that is not there."""
    _count(context, request, "questions", QUESTIONS_PER_DAY)
    row = context.installation.cases.get_case(case_id)
    if row.code_hash is None or not hmac.compare_digest(hash_code(code), row.code_hash):
        raise MissingError(f"no case {case_id!r:.80}")
    return read_case(context.installation, case_id)


def _count(context: Context, request: Request, what: str, most: int) -> None:
    """Count a stranger's question by address; QuotaError beyond so many a day."""
    client = name_client(request.client.host if request.client else None)
    bound = Bound(most, DAY_S, f"{most} times a day from one address")
    context.quotas.take(f"cases/{what}/{client}", [bound])
