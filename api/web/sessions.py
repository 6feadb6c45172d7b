"""Signing in at the desks: an API key, once, for a short-lived cookie that scripts cannot read.

    provenote-session = base64url({"bound": ..., "ends": ..., "key": ..., "nonce": ...}) . base64url(HMAC)

The cookie holds no key: it names one, and is signed (HMAC-SHA-256) under `keys/session.secret`, which is
made when it is first needed; whoever removes that file ends every session. Who it is, and what for, is looked
up anew at each request, so that a revoked key is signed out at once. Cookies are taken on pages alone, never
below `/v1/`; they are SameSite=Strict, and every form that changes something carries a token of its session
and must come from this site's own pages (`Origin`).
"""

import base64
import binascii
import hashlib
import hmac
import json
import secrets
import time
import urllib.parse
from dataclasses import dataclass
from typing import Annotated, Any

from fastapi import Depends, Request, Response

from ..access import OPERATOR, Caller, CallerKind
from ..errors import ForgeryError
from ..http.authorisation import identify_caller
from ..http.context import Context, UsedContext
from ..installation import now
from ..secretfile import open_secret

SESSION_S = 2 * 3600
"""How long a session lasts, whatever is done in it."""
COOKIE = "provenote-session"
SECRET_NAME = "session.secret"
NONCE_BYTES = 16
MAX_COOKIE_CHARACTERS = 1024


@dataclass(frozen=True)
class Session:
    """Somebody who has signed in: who it is, the token of the forms, when it ends (POSIX seconds)."""

    caller: Caller
    form_token: str
    ends_s: int


def sign_in(request: Request, context: Context, key: str, response: Response) -> Caller:
    """Check a key and put the cookie of a new session into the response; TokenError for a wrong key."""
    caller = identify_caller(context, key)
    fields = {
        "bound": _bind(context, caller),
        "ends": int(time.time()) + SESSION_S,
        "key": caller.actor if caller.kind is CallerKind.KEY else "",
        "nonce": secrets.token_hex(NONCE_BYTES),
    }
    body = _encode(json.dumps(fields, sort_keys=True, separators=(",", ":")).encode("ascii"))
    value = f"{body}.{_encode(_sign(context, 'cookie', body))}"
    response.set_cookie(
        COOKIE,
        value,
        max_age=SESSION_S,
        path="/",
        secure=_is_secure(request, context),
        httponly=True,
        samesite="strict",
    )
    return caller


def sign_out(request: Request, context: Context, response: Response) -> None:
    """Make the browser forget the session."""
    secure = _is_secure(request, context)
    response.delete_cookie(COOKIE, path="/", secure=secure, httponly=True, samesite="strict")


def read_session(context: Context, cookie: str) -> Session | None:
    """Return the session of a cookie, or None for one that is forged, over, or whose key no longer holds."""
    body, _, signature = cookie.partition(".")
    if len(cookie) > MAX_COOKIE_CHARACTERS or not signature:
        return None
    try:
        given = _decode(signature)
        if not hmac.compare_digest(given, _sign(context, "cookie", body)):
            return None
        fields = json.loads(_decode(body))
    except (ValueError, binascii.Error):
        return None
    if fields["ends"] <= time.time():
        return None
    caller = OPERATOR
    if fields["key"]:
        found = context.installation.access.find_active(fields["key"], now=now())
        if found is None:
            return None
        caller = found
    if not hmac.compare_digest(fields["bound"], _bind(context, caller)):
        return None
    return Session(caller, _encode(_sign(context, "form", fields["nonce"])), fields["ends"])


def use_session(request: Request, context: UsedContext) -> Session | None:
    """Let a page know who has signed in; a request with credentials of its own is known by those."""
    session = None
    cookie = request.cookies.get(COOKIE)
    if cookie and "authorization" not in request.headers:
        session = read_session(context, cookie)
        if session is not None:
            request.state.caller = session.caller
    request.state.session = session
    return session


UsedSession = Annotated[Session | None, Depends(use_session)]


def with_session() -> Any:
    """Return the dependency of a page that knows who has signed in, and serves others as well."""
    return Depends(use_session)


def check_same_site(request: Request, context: Context) -> None:
    """Raise ForgeryError unless a form was sent by one of this site's own pages."""
    origin = request.headers.get("origin")
    if origin is None:
        if request.headers.get("sec-fetch-site") == "same-origin":
            return
        raise ForgeryError("the browser does not say which page sent this form")
    own = {request.headers.get("host", "")}
    if context.installation.settings.public_url:
        own.add(urllib.parse.urlsplit(context.installation.settings.public_url).netloc)
    if urllib.parse.urlsplit(origin).netloc not in own:
        raise ForgeryError("the form was sent by a page of another site")


def check_form_token(session: Session | None, token: str) -> None:
    """Raise ForgeryError unless a form carries the token of its session."""
    if session is None or not hmac.compare_digest(token.encode(), session.form_token.encode()):
        raise ForgeryError("the form is not of this session: load its page again and send it anew")


def _is_secure(request: Request, context: Context) -> bool:
    """Say whether browsers reach this service by HTTPS, so that the cookie may be kept to that."""
    settings = context.installation.settings
    stated = (settings.public_url or "").startswith("https://") or settings.access.tls
    return stated or request.url.scheme == "https"


def _bind(context: Context, caller: Caller) -> str:
    """Return what ties a session to its key: another operator's token ends the operator's sessions."""
    about = context.token_hash if caller.kind is not CallerKind.KEY else caller.actor.encode("utf-8")
    return _encode(_sign(context, "bound", hashlib.sha256(about).hexdigest()))


def _sign(context: Context, purpose: str, text: str) -> bytes:
    message = f"provenote/session/v1\n{purpose}\n{text}".encode()
    secret = open_secret(context.installation.settings.keys / SECRET_NAME)
    return hmac.digest(secret, message, "sha256")


def _encode(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode("ascii")


def _decode(text: str) -> bytes:
    return base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
