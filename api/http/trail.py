"""What goes into the audit trail: a layer around the routes that writes a line before an answer leaves.

Written down is whatever changes something, needs a scope, or asks the detector; and refusals (401, 403, 429),
of strangers no more than a few a minute, since they cost nothing to make. Reading what is public is not. If
the line cannot be written, the answer is not sent.
"""

import logging

from starlette.concurrency import run_in_threadpool
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from ledger.errors import LedgerError

from ..access import ANYBODY, Caller
from ..errors import QuotaError
from ..installation import now
from ..jobs import format_problem
from ..quotas import MINUTE_S, Bound
from .context import Context
from .problems import answer

READING = frozenset({"GET", "HEAD", "OPTIONS"})
REFUSALS = frozenset({401, 403, 429})
REFUSED_STRANGERS = Bound(30, MINUTE_S, "lines about refused strangers")
logger = logging.getLogger(__name__)


class AuditTrail:
    """The layer; `app.state.context` is there once the application has started."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        withheld = False
        scope.setdefault("state", {})  # what the dependencies write into

        async def send_written(message: Message) -> None:
            nonlocal withheld
            if message["type"] == "http.response.start":
                try:
                    await run_in_threadpool(_write, scope, message["status"])
                except LedgerError as error:
                    logger.error("the audit trail cannot be written: %s", error)  # noqa: TRY400  # expected
                    withheld = True
                    await answer(format_problem(error))(scope, receive, send)
            if not withheld:
                await send(message)

        await self._app(scope, receive, send_written)


def _write(scope: Scope, status: int) -> None:
    state = scope.get("state", {})
    caller = state.get("caller", ANYBODY)
    assert isinstance(caller, Caller)
    route = scope.get("route")
    wanted = state.get("audited", False) or (route is not None and scope["method"] not in READING)
    if not wanted and status not in REFUSALS:
        return
    context: Context = scope["app"].state.context
    if status in REFUSALS and not caller.known:
        try:
            context.quotas.take("trail", [REFUSED_STRANGERS])
        except QuotaError:
            return
    template = getattr(route, "path", None) or "(no route)"
    about = {name: str(item) for name, item in scope.get("path_params", {}).items()}
    action = f"{scope['method']} {template}"
    context.installation.access_log.append(caller, action, str(status), time=now(), about=about)
