"""The first page: a recording goes in, what is known about it comes out. Nothing of the recording is kept.

With scripts the answer comes into the page (`?part=result` asks for it alone); without, as a page of its own.
"""

import base64
import json
from typing import Annotated

from fastapi import APIRouter, Query, Request, Response
from starlette.concurrency import run_in_threadpool

from ..access import ANYBODY, Caller
from ..http.admission import ask_detector, limit_length, limit_versions
from ..http.authorisation import open_to_all
from ..http.context import UsedContext
from ..report import Report
from ..verification import verify
from ..waveform import PeakMeter
from . import findings
from .forms import receive_form
from .rendering import render
from .sessions import with_session
from .waveform import Waveform, draw_waveform

router = APIRouter(dependencies=[with_session(), open_to_all()])


@router.get("/")
def show_verify(request: Request, context: UsedContext) -> Response:
    """Show the form."""
    limits = limit_length(context, ANYBODY).settings.limits
    return render(request, "verify.html", largest=limits.max_bytes, minutes=int(limits.max_seconds // 60))


@router.post("/verify")
async def verify_upload(
    request: Request,
    context: UsedContext,
    caller: Annotated[Caller, ask_detector()],
    part: Annotated[str, Query(pattern="^(page|result)$")] = "page",
) -> Response:
    """Verify the recording in the form and show what was found; to strangers as the interface would."""
    installation = context.installation
    form = await receive_form(request, installation.settings)

    def work() -> tuple[Report, Waveform]:
        with context.take_place():
            meter = PeakMeter()
            report = verify(
                limit_length(context, caller),
                form.path,
                meters=(meter,),
                coarse=not caller.known,
                admit=limit_versions(context, caller),
            )
            return report, draw_waveform(meter.finish(), report.predicate)

    try:
        report, waveform = await run_in_threadpool(work)
    finally:
        form.path.unlink(missing_ok=True)
    headline, tone = findings.name_verdict(report.predicate)
    document = json.dumps(report.document(), indent=2, ensure_ascii=False)
    return render(
        request,
        "result.html" if part == "page" else "finding.html",
        report=report.predicate,
        headline=headline,
        tone=tone,
        answers=findings.answer_questions(report.predicate),
        axes=findings.list_axes(report.predicate),
        kinds=findings.KINDS,
        waveform=waveform,
        file_name=form.file_name,
        download=base64.b64encode(document.encode("utf-8")).decode("ascii"),
    )
