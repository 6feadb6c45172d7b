"""The check before publication: one call of a release pipeline."""

from typing import Annotated, Any

from fastapi import APIRouter, Query, Request
from pydantic import Field
from starlette.concurrency import run_in_threadpool

from ..access import Scope
from ..releasecheck import check_release
from ..releasepolicy import FOLDER, find_policy
from .authorisation import require_scope
from .context import UsedContext
from .problems import declare_problems
from .schemas import Wire
from .uploads import UPLOAD_BODY, receive_upload

router = APIRouter()


class ReleaseReport(Wire):
    """Whether a file may be published, rule by rule, and the same as a signed DSSE envelope."""

    outcome: Annotated[str, Field(json_schema_extra={"enum": ["pass", "fail", "not-assessed"]})]
    passed: Annotated[bool, Field(description="Every rule that the policy requires has passed.")]
    policy: Annotated[dict[str, Any], Field(description="The policy in full, with its SHA-256.")]
    rules: Annotated[list[dict[str, Any]], Field(description="Outcome and findings of each rule.")]
    measured: Annotated[dict[str, str | None], Field(description="Levels, as decimal text.")]
    verification: Annotated[dict[str, Any], Field(description="The verification that the rules rest on.")]
    limits: list[str]
    time: str
    envelope: dict[str, Any]


@router.post(
    "/v1/release-checks",
    tags=["verify"],
    summary="May this file be published?",
    dependencies=[require_scope(Scope.ISSUER, Scope.AUDITOR)],
    responses=declare_problems(400, 404, 413, 415, 503, 507),
    openapi_extra=UPLOAD_BODY,
)
async def check_recording(
    request: Request,
    context: UsedContext,
    policy: Annotated[
        str,
        Query(
            pattern="^[a-z0-9][a-z0-9-]{0,63}$",
            description="default, streaming, broadcast, or a policy of this service by name.",
        ),
    ] = "default",
) -> ReleaseReport:
    """Check the uploaded file by a policy; it is not kept. A failed check is an answer, not an error."""
    settings = context.installation.settings
    asked = find_policy(policy, settings.home / FOLDER)
    path = await receive_upload(request, settings)

    def work() -> ReleaseReport:
        with context.take_place():
            checked = check_release(context.installation, path, asked)
        return ReleaseReport.model_validate(checked.document())

    try:
        return await run_in_threadpool(work)
    finally:
        path.unlink(missing_ok=True)
