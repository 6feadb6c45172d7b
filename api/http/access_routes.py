"""For operators: the audit trail of this service."""

from typing import Annotated

from fastapi import APIRouter, Query

from ..access import Scope
from .authorisation import require_scope
from .context import UsedContext
from .problems import declare_problems
from .schemas import AccessEventItem, AccessLogPage

router = APIRouter(dependencies=[require_scope(Scope.OPERATOR)])


@router.get("/v1/access/log", tags=["access"], summary="The audit trail", responses=declare_problems(503))
def get_access_log(
    context: UsedContext,
    limit: Annotated[int, Query(ge=1, le=500)] = 100,
    after: Annotated[int, Query(ge=0, lt=1 << 53, description="`next` of the page before.")] = 0,
) -> AccessLogPage:
    """Return lines of the trail, oldest first, a page at a time; `provenote access log` checks its chain."""
    found = context.installation.access_log.read(after=after, limit=limit + 1)
    events = [AccessEventItem.model_validate(event.document()) for event in found[:limit]]
    return AccessLogPage(events=events, next=events[-1].n if len(found) > limit else None)
