"""The outermost layer: every request has an id, is logged once, and is counted.

`X-Request-Id` is taken from the request where it is plain (64 letters, digits, `.`, `_`, `-`) and drawn
otherwise; every answer carries it, and every record that is logged meanwhile. A W3C `traceparent` is kept:
its trace id stands in the records.
"""

import logging
import time

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from ..logs import current_trace, read_trace
from .metrics import Metrics

UNKNOWN = "unknown"
"""The route of what has none, so that strangers cannot make the service count without end."""
QUIET = frozenset({"/health", "/ready", "/metrics"})
"""Routes that are asked every few seconds: logged only when they fail."""
logger = logging.getLogger(__name__)


class RequestTrace:
    """Names, times, logs and counts the requests of an application."""

    def __init__(self, app: ASGIApp, *, metrics: Metrics) -> None:
        self._app = app
        self._metrics = metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        trace, begun_s, status = read_trace(Headers(scope=scope)), time.perf_counter(), 0

        async def send_named(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                name = (b"x-request-id", trace.request_id.encode("ascii"))
                message = {**message, "headers": [*message["headers"], name]}
            await send(message)

        token = current_trace.set(trace)
        try:
            await self._app(scope, receive, send_named)
        finally:
            seconds = time.perf_counter() - begun_s
            # Without an answer the client has gone: 499 is what nginx calls that.
            self._tell(scope, status or 499, seconds)
            current_trace.reset(token)

    def _tell(self, scope: Scope, status: int, seconds: float) -> None:
        route = getattr(scope.get("route"), "path", UNKNOWN)
        self._metrics.count_request(scope["method"], route, status, seconds)
        if route in QUIET and status < 500:
            return
        facts = {
            "method": scope["method"],
            "path": scope["path"],
            "status": status,
            "duration_ms": round(1000 * seconds),
        }
        logger.info("request", extra={"facts": facts})
