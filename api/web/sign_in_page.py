"""Signing in and out."""

from typing import Annotated

from fastapi import APIRouter, Form, Query, Request, Response
from fastapi.responses import RedirectResponse

from ..errors import TokenError
from ..http.authorisation import open_to_all
from ..http.context import UsedContext
from .rendering import render
from .sessions import UsedSession, check_form_token, check_same_site, sign_in, sign_out, with_session

router = APIRouter(dependencies=[with_session(), open_to_all()])
MAX_KEY_CHARACTERS = 200
# Only to a desk of our own: anything else would make this a way to lead people astray.
Next = Annotated[str, Query(alias="next", pattern=r"^(/desk(/[A-Za-z0-9/-]{0,80})?)?$")]


@router.get("/sign-in")
def show_sign_in(request: Request, session: UsedSession, following: Next = "") -> Response:
    """Show the form, or lead on whoever has signed in."""
    if session is not None:
        return RedirectResponse(following or "/desk", 303)
    return render(request, "sign-in.html", following=following, refused="")


@router.post("/sign-in")
def take_key(
    request: Request,
    context: UsedContext,
    key: Annotated[str, Form(max_length=MAX_KEY_CHARACTERS)] = "",
    following: Next = "",
) -> Response:
    """Open a session for whoever has a key that holds."""
    check_same_site(request, context)
    answer = RedirectResponse(following or "/desk", 303)
    try:
        request.state.caller = sign_in(request, context, key.strip(), answer)
    except TokenError:
        refused = "This key does not hold here: it is mistyped, over, or revoked."
        return render(request, "sign-in.html", status=401, following=following, refused=refused)
    return answer


@router.post("/sign-out")
def leave(
    request: Request,
    context: UsedContext,
    session: UsedSession,
    form_token: Annotated[str, Form(max_length=MAX_KEY_CHARACTERS)] = "",
) -> Response:
    """End the session in this browser."""
    check_same_site(request, context)
    check_form_token(session, form_token)
    answer = RedirectResponse("/", 303)
    sign_out(request, context, answer)
    return answer
