"""One shape for every error: RFC 9457 problem+json, also for unknown paths, wrong methods and malformed
requests.

    HTTP/1.1 404 Not Found
    content-type: application/problem+json

    {"type": "https://provenote.example/problems/not-found", "title": "There is no such thing here",
     "status": 404, "detail": "no track 'abc'"}
"""

import logging
from typing import Any

from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from pydantic import BaseModel, ConfigDict
from starlette.exceptions import HTTPException

from ..errors import QuotaError
from ..jobs import format_problem
from ..outcomes import EXPECTED, PROBLEM_BASE, classify
from .protection import HEADERS

MEDIA_TYPE = "application/problem+json"
RETRY_AFTER_S = "5"
TITLES = {
    400: "The request cannot be read",
    401: "An API key is needed",
    403: "This key is not for that",
    404: "There is no such thing here",
    405: "This method is not for this address",
    408: "The request came too slowly",
    409: "Not possible in this state",
    413: "More bytes than are taken",
    414: "The address is too long",
    415: "This kind of body is not taken",
    422: "The request cannot be carried out",
    429: "Asked too often",
    451: "The recording must stay down",
    500: "A fault in the program",
    503: "Not possible now",
    507: "A file cannot be written",
}
logger = logging.getLogger(__name__)


class Problem(BaseModel):
    """An error (RFC 9457)."""

    model_config = ConfigDict(
        extra="allow",
        json_schema_extra={
            "examples": [
                {
                    "type": PROBLEM_BASE + "audio-refused",
                    "title": "The audio is not taken",
                    "status": 422,
                    "detail": "no known audio format: Format not recognised.",
                    "code": "not-audio",
                }
            ]
        },
    )

    type: str
    title: str
    status: int
    detail: str


def declare_problems(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """Return the `responses` of a route: each of these statuses, as a problem."""
    content = {MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/Problem"}}}
    return {
        status: {"description": TITLES[status], "content": content}
        for status in sorted({*statuses, 422, 500})
    }


def answer(problem: dict[str, Any], headers: dict[str, str] | None = None) -> JSONResponse:
    """Return a problem as a response."""
    return JSONResponse(problem, problem["status"], headers, MEDIA_TYPE)


def respond(request: Request, problem: dict[str, Any], headers: dict[str, str] | None = None) -> Response:
    """Return a problem as the application shows it: to a browser as a page, where it has pages."""
    answer_page = getattr(request.app.state, "answer_page", None)
    page: Response | None = answer_page(request, problem, headers or {}) if answer_page else None
    return page or answer(problem, headers)


def add_handlers(app: FastAPI) -> None:
    """Make every error leave the application as a problem."""
    for kind in EXPECTED:
        app.add_exception_handler(kind, _answer_expected)
    app.add_exception_handler(HTTPException, _answer_http)
    app.add_exception_handler(RequestValidationError, _answer_malformed)
    app.add_exception_handler(Exception, _answer_fault)


def _answer_expected(request: Request, error: Exception) -> Response:
    problem = format_problem(error)
    if classify(error).status >= 500:
        logger.error("%s %s: %s", request.method, request.url.path, problem["detail"])
    headers = {"retry-after": RETRY_AFTER_S} if problem["status"] == 503 else {}
    if isinstance(error, QuotaError):
        headers["retry-after"] = str(error.retry_after_s)
    if problem["status"] == 401:
        headers["www-authenticate"] = "Bearer"
    return respond(request, problem, headers)


def _answer_http(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    title = TITLES.get(error.status_code, "The request cannot be carried out")
    slug = {404: "not-found", 405: "wrong-method"}.get(error.status_code, "request-refused")
    detail = f"{request.method} {request.url.path}: {error.detail}"
    problem = {"type": PROBLEM_BASE + slug, "title": title, "status": error.status_code, "detail": detail}
    return respond(request, problem, dict(error.headers or {}))


def _answer_malformed(request: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)
    faults = [{"at": ".".join(map(str, item["loc"])), "message": item["msg"]} for item in error.errors()]
    problem = {
        "type": PROBLEM_BASE + "malformed",
        "title": TITLES[422],
        "status": 422,
        "detail": "; ".join(f"{fault['at']}: {fault['message']}" for fault in faults[:5]),
        "faults": faults[:20],
    }
    return respond(request, problem)


def _answer_fault(request: Request, error: Exception) -> Response:
    logger.error("%s %s", request.method, request.url.path, exc_info=error)
    problem = {
        "type": PROBLEM_BASE + "internal",
        "title": TITLES[500],
        "status": 500,
        "detail": "a fault in the program; its log has the details",
    }
    return respond(request, problem, HEADERS)  # this handler stands outside the layer that adds them
