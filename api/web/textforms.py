"""Forms of texts alone, as a dependency: sent by a page of this site, with the token of its session."""

from typing import Annotated

from fastapi import Depends, Request

from ..http.context import UsedContext
from .sessions import UsedSession, check_form_token, check_same_site

MAX_FIELDS = 32
MAX_FIELD_BYTES = 64 << 10


async def read_form(request: Request, context: UsedContext, session: UsedSession) -> dict[str, str]:
    """Return the texts of a form without files that one of this session's pages has sent."""
    check_same_site(request, context)
    form = await request.form(max_files=0, max_fields=MAX_FIELDS, max_part_size=MAX_FIELD_BYTES)
    texts = {name: value for name, value in form.items() if isinstance(value, str)}
    check_form_token(session, texts.pop("form_token", ""))
    return texts


UsedForm = Annotated[dict[str, str], Depends(read_form)]
