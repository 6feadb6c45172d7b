"""All pages, added to the service: routes that the OpenAPI document leaves out, and errors as pages."""

from fastapi import FastAPI, Request, Response
from fastapi.responses import RedirectResponse

from . import (
    asset_routes,
    case_checks_page,
    case_desk,
    case_intake_page,
    issue_desk,
    log_pages,
    sign_in_page,
    track_pages,
    verify_page,
)
from .rendering import render

PAGE_PREFIXES = ("/v1/", "/log/", "/.well-known/", "/openapi.json", "/health", "/assets/")
"""Addresses of programs and files: their errors are problems, whoever asks."""
DESKS = ("/desk",)
"""Pages for people who have signed in: others are led to do so."""
HEADLINES = {
    401: "Please sign in",
    403: "This is not for you, or not from here",
    404: "There is nothing at this address",
    413: "The file is too large",
    422: "This cannot be taken as it is",
    429: "Too many requests just now",
    503: "Not possible just now",
}


def add_pages(app: FastAPI) -> None:
    """Add every page to the application, and let browsers see errors as pages."""
    for module in (
        asset_routes,
        verify_page,
        track_pages,
        log_pages,
        sign_in_page,
        issue_desk,
        case_checks_page,
        case_intake_page,
        case_desk,  # after its other pages: it takes what stands after /desk/cases/ for the id of a case
    ):
        app.include_router(module.router, include_in_schema=False)
    app.state.answer_page = answer_page


def answer_page(request: Request, problem: dict[str, object], headers: dict[str, str]) -> Response | None:
    """Return an error as a page where a browser asked for one, else None."""
    if request.url.path.startswith(PAGE_PREFIXES) or "text/html" not in request.headers.get("accept", ""):
        return None
    status = int(str(problem["status"]))
    if status == 401 and request.method == "GET" and request.url.path.startswith(DESKS):
        return RedirectResponse(f"/sign-in?next={request.url.path}", 303)
    headline = HEADLINES.get(status, str(problem["title"]))
    kept = {name: value for name, value in headers.items() if name.lower() != "www-authenticate"}
    return render(request, "error.html", status=status, headers=kept, problem=problem, headline=headline)
