"""Signed reports for people: an answer as a page or a PDF, and reports that somebody kept."""

from typing import Annotated

from fastapi import APIRouter, Header, Request, Response
from starlette.concurrency import run_in_threadpool

from ..rendering import Rendering, reopen_report
from .admission import count_other
from .context import UsedContext
from .negotiation import HTML, PDF, choose_form
from .problems import declare_problems

router = APIRouter()
FORMS = {
    HTML: {"schema": {"type": "string"}},
    PDF: {"schema": {"type": "string", "format": "binary"}},
}
AcceptHeader = Annotated[
    str | None, Header(description="`text/html` or `application/pdf` asks for the report as people read it.")
]
PAGE_POLICY = "; ".join(
    (
        "default-src 'none'",
        "style-src 'unsafe-inline'",
        "base-uri 'none'",
        "form-action 'none'",
        "frame-ancestors 'none'",
    )
)
"""A report's page is a file of its own: its style is in it, and it needs nothing else."""


def answer_rendering(rendering: Rendering, form: str) -> Response:
    """Return a report as a page or a PDF; RefusedError for a PDF where reportlab is not installed."""
    headers = {"cache-control": "no-store", "vary": "accept"}
    if form == PDF:
        headers["content-disposition"] = 'inline; filename="report.pdf"'
        return Response(rendering.pdf(), 200, headers, PDF)
    headers["content-security-policy"] = PAGE_POLICY
    return Response(rendering.page(), 200, headers, f"{HTML}; charset=utf-8")


@router.post(
    "/v1/reports/renderings",
    tags=["verify"],
    summary="A signed report, for people to read",
    response_class=Response,
    dependencies=[count_other("renderings")],
    responses={
        **declare_problems(413, 422, 429, 503),
        200: {"description": "A page, or a PDF where `Accept` asks for one", "content": FORMS},
    },
    openapi_extra={
        "requestBody": {
            "required": True,
            "description": "A verification report: its envelope, or the whole answer of `/v1/verifications`.",
            "content": {"application/json": {"schema": {"type": "object"}}},
        }
    },
)
async def render_report(request: Request, context: UsedContext, accept: AcceptHeader = None) -> Response:
    """Check the signature of a report that this service made, and return it as a page or a PDF.

    The waveform is not in it: reports hold no audio.
    """
    content = await request.body()
    installation = context.installation

    def work() -> Response:
        opened = reopen_report(content, installation.public.reports)
        form = choose_form(accept, (HTML, PDF))
        return answer_rendering(Rendering(opened, installation.public.origin), form)

    return await run_in_threadpool(work)
