"""What every answer tells browsers, whose pages may read it, and how long a request's body may take.

Pages of this service load nothing from elsewhere, so the policy allows nothing else: no inline script or
style, no frame around it, no other server. A route with other needs sets its own Content-Security-Policy.
"""

import asyncio
import time

from fastapi import FastAPI
from starlette.middleware.cors import CORSMiddleware
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from uvicorn.middleware.proxy_headers import ProxyHeadersMiddleware

from ..accesssettings import AccessSettings
from ..errors import SlowBodyError

POLICY = "; ".join(
    (
        "default-src 'none'",
        "script-src 'self'",
        "style-src 'self'",
        "img-src 'self' data: blob:",
        "media-src 'self' blob:",
        "font-src 'self'",
        "connect-src 'self'",
        "form-action 'self'",
        "base-uri 'none'",
        "frame-ancestors 'none'",
    )
)
HEADERS = {
    "content-security-policy": POLICY,
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    "referrer-policy": "no-referrer",
    "permissions-policy": "camera=(), geolocation=(), microphone=()",
    "cross-origin-opener-policy": "same-origin",
}
HSTS = "max-age=31536000"
CORS_AGE_S = 600
MIN_BYTES_PER_S = 4096
"""Once `body_timeout_s` has passed, a body must have come at least as fast as this on the whole."""


def add_protection(app: FastAPI, settings: AccessSettings) -> None:
    """Put the layers of this file around an application; the last one added is the outermost."""
    app.add_middleware(BodyTimeout, timeout_s=settings.body_timeout_s)
    if settings.cors_origins:
        app.add_middleware(
            CORSMiddleware,
            allow_origins=settings.cors_origins,
            allow_methods=["GET", "POST", "PUT", "DELETE"],
            allow_headers=["authorization", "content-type", "idempotency-key"],
            expose_headers=["idempotency-replayed", "location", "retry-after"],
            max_age=CORS_AGE_S,
        )
    app.add_middleware(SecurityHeaders, tls=settings.tls)
    if settings.trusted_proxies:
        # Walks X-Forwarded-For from its end to the first address that is no proxy of ours.
        app.add_middleware(ProxyHeadersMiddleware, trusted_hosts=list(settings.trusted_proxies))


class SecurityHeaders:
    """Adds the headers to every answer that has not set them itself."""

    def __init__(self, app: ASGIApp, *, tls: bool) -> None:
        self._app = app
        stated = {**HEADERS, "strict-transport-security": HSTS} if tls else HEADERS
        self._headers = [(name.encode(), value.encode()) for name, value in stated.items()]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def send_protected(message: Message) -> None:
            if message["type"] == "http.response.start":
                there = {name.lower() for name, _ in message["headers"]}
                added = [item for item in self._headers if item[0] not in there]
                message = {**message, "headers": [*message["headers"], *added]}
            await send(message)

        await self._app(scope, receive, send_protected if scope["type"] == "http" else send)


class BodyTimeout:
    """Gives up a body of which nothing comes for a while, or which comes by drips."""

    def __init__(self, app: ASGIApp, *, timeout_s: int) -> None:
        self._app = app
        self._timeout_s = timeout_s

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        begun_s, received, more = time.monotonic(), 0, True

        async def receive_in_time() -> Message:
            nonlocal received, more
            if not more:
                return await receive()
            earned_s = self._timeout_s + received / MIN_BYTES_PER_S - (time.monotonic() - begun_s)
            try:
                async with asyncio.timeout(max(0.0, min(self._timeout_s, earned_s))):
                    message = await receive()
            except TimeoutError as error:
                raise SlowBodyError(
                    f"expected a part of the body every {self._timeout_s} s and {MIN_BYTES_PER_S} bytes a "
                    f"second in all, got {received} bytes in {time.monotonic() - begun_s:.0f} s"
                ) from error
            received += len(message.get("body", b""))
            more = message["type"] == "http.request" and message.get("more_body", False)
            return message

        await self._app(scope, receive_in_time, send)
