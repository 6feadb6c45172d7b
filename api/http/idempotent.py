"""Routes that take an `Idempotency-Key`: the same request sent again gets the answer of the first one.

    router = APIRouter(route_class=IdempotentRoute)
    @router.post("/v1/tracks", dependencies=[takes_key()])

    POST /v1/tracks
    Idempotency-Key: 8e03978e-40d5-43e8-bc93-6894a57f9324

A key is its caller's own: of an API key or token, or of a stranger's address. What makes a request the same
is method, address, query and body. Answers of success are kept; after a refusal nothing was made, and the
key is free again. Where it cannot be known whether something was made, the key stays taken.
"""

import hashlib
import re
from collections.abc import Callable, Coroutine
from typing import Annotated, Any

from fastapi import Depends, Header, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.routing import APIRoute
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.types import Message

from ..errors import TooLargeError
from ..idempotency import Answer
from ..outcomes import INTERNAL, classify
from ..quotas import name_client
from .authorisation import bearer, get_caller
from .context import Context, get_context

NAME = "idempotency-key"
FORM = "^[\x21-\x7e]{8,255}$"
KEPT_HEADERS = frozenset({"content-type", "location", "content-disposition"})
REPLAYED = {"idempotency-replayed": "true"}
Handler = Callable[[Request], Coroutine[Any, Any, Response]]


class IdempotentRoute(APIRoute):
    """A route that is done once for each key, where it says that it takes one."""

    def get_route_handler(self) -> Handler:
        """Return the handler of the framework, inside of what looks at the key."""
        handle = super().get_route_handler()
        if all(item.dependency is not check_key for item in self.dependencies):
            return handle

        async def handle_once(request: Request) -> Response:
            key = request.headers.get(NAME, "")
            if not re.fullmatch(FORM, key):
                return await handle(request)  # without one; or it is refused there, as any malformed header
            context = get_context(request)
            caller = await run_in_threadpool(name_caller, request, context, await bearer(request))
            keys, digest = context.request_keys, begin_digest(request)
            if not await run_in_threadpool(keys.begin, caller, key):
                await read_through(request, digest, context.installation.settings.limits.max_bytes)
                answer = await run_in_threadpool(keys.recall, caller, key, digest.digest())
                return Response(answer.body, answer.status, {**answer.headers, **REPLAYED})
            try:
                response = await handle(listen(request, digest))
            except Exception as error:
                if is_refusal(error):
                    await run_in_threadpool(keys.give_back, caller, key)
                raise
            headers = {name: value for name, value in response.headers.items() if name in KEPT_HEADERS}
            kept = Answer(response.status_code, headers, bytes(response.body))
            await run_in_threadpool(keys.keep, caller, key, digest.digest(), kept)
            return response

        return handle_once


def check_key(
    key: Annotated[
        str | None,
        Header(
            alias=NAME,
            pattern=FORM,
            description="A new random text (8 to 255 characters) for each request: sent again with the same "
            "key, it is not done twice and gets the same answer.",
        ),
    ] = None,
) -> None:
    """Refuse a malformed key, and write the header into the OpenAPI document."""


def takes_key() -> Any:
    """Return the dependency of a route that takes a key."""
    return Depends(check_key)


def is_refusal(error: Exception) -> bool:
    """Tell whether a failed request has surely made nothing."""
    if isinstance(error, HTTPException | RequestValidationError):
        return True
    outcome = classify(error)
    return outcome is not INTERNAL and outcome.slug != "outcome-unknown"


def name_caller(request: Request, context: Context, credentials: Any) -> str:
    """Return whose keys these are; TokenError as everywhere."""
    caller = get_caller(request, context, credentials)
    if caller.known:
        return caller.actor
    return f"public/{name_client(request.client.host if request.client else None)}"


def begin_digest(request: Request) -> Any:
    """Return the digest of a request before its body."""
    path = f"{request.method}\n{request.url.path}\n{request.url.query}\n"
    return hashlib.sha256(path.encode("utf-8"))


def listen(request: Request, digest: Any) -> Request:
    """Return the request, with a body that is digested as it is read."""

    async def receive() -> Message:
        message = await request.receive()
        if message["type"] == "http.request":
            digest.update(message.get("body", b""))
        return message

    return Request(request.scope, receive)


async def read_through(request: Request, digest: Any, limit: int) -> None:
    """Digest a body that is not worked on; TooLargeError as where it would be."""
    total = 0
    async for chunk in request.stream():
        total += len(chunk)
        if total > limit:
            raise TooLargeError(f"expected at most {limit} bytes, got more")
        digest.update(chunk)
