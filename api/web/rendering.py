"""Templates into pages: one environment, escaping everywhere, and the headers that pages carry."""

import functools
from collections.abc import Mapping

import jinja2
from fastapi import Request
from fastapi.responses import HTMLResponse

from .wording import FILTERS

# What browsers may load, and who may frame a page, is said by `api.http.protection` for every answer. Here
# is what pages need beside that: with no referrer at all a browser would not say where a form comes from.
PAGE_HEADERS = {"referrer-policy": "same-origin", "cache-control": "no-store"}


@functools.lru_cache(maxsize=1)
def environment() -> jinja2.Environment:
    """Return the environment of the templates, made at the first call."""
    made = jinja2.Environment(
        loader=jinja2.PackageLoader("api", "pages"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    made.filters.update(FILTERS)
    return made


def render(
    request: Request,
    template: str,
    *,
    status: int = 200,
    headers: Mapping[str, str] | None = None,
    **values: object,
) -> HTMLResponse:
    """Return a page; `values` are what its template works with."""
    text = (
        environment()
        .get_template(template)
        .render(
            path=request.url.path,
            origin=_name_log(request),
            session=getattr(request.state, "session", None),
            **values,
        )
    )
    return HTMLResponse(text, status, {**PAGE_HEADERS, **(headers or {})})


def _name_log(request: Request) -> str:
    context = getattr(request.app.state, "context", None)
    return context.installation.public.origin if context is not None else ""
