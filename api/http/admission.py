"""How often callers may ask the detector: strangers by address and by track, keys by their own bound.

    async def verify_recording(caller: Annotated[Caller, ask_detector()], ...)   before the body is read
    verify(limit_length(context, caller), ...,                                    by how long it is
           admit=limit_versions(context, caller))                                by what it is about

A version of a track (other samples) counts once, for all strangers together: an attack on the detector needs
hundreds of versions of one clip, a recording that is passed on is one. Registered samples do not count. A
stranger's recording may be so long and no longer: silence of hours is a file of kilobytes, and searching it
is work for minutes.
"""

import dataclasses
from collections.abc import Callable
from typing import Annotated, Any

from fastapi import Depends, Request, Security

from ..access import Caller
from ..evidence import Evidence
from ..installation import Installation
from ..quotas import DAY_S, MINUTE_S, Bound, name_client
from .authorisation import get_caller
from .context import Context, UsedContext


def count_question(
    request: Request, context: UsedContext, caller: Annotated[Caller, Depends(get_caller)]
) -> Caller:
    """Count a question to the detector and return the caller; QuotaError when a bound is reached."""
    request.state.audited = True
    if caller.known:
        if caller.daily is not None:
            bound = Bound(caller.daily, DAY_S, f"this key has {caller.daily} questions a day")
            context.quotas.take(f"caller/{caller.actor}", [bound])
        return caller
    host = request.client.host if request.client else None
    context.quotas.take(name_client(host), _bound_strangers(context))
    return caller


def _bound_strangers(context: Context) -> list[Bound]:
    access = context.installation.settings.access
    return [
        Bound(access.public_minute, MINUTE_S, f"without a key {access.public_minute} questions a minute"),
        Bound(access.public_daily, DAY_S, f"without a key {access.public_daily} questions a day"),
    ]


def ask_detector() -> Any:
    """Return the dependency of a route that examines what strangers send."""
    return Security(count_question)


def count_other(what: str) -> Any:
    """Return the dependency of another route whose work strangers may cause as often, counted apart."""

    def count(
        request: Request, context: UsedContext, caller: Annotated[Caller, Depends(get_caller)]
    ) -> Caller:
        if not caller.known:
            host = request.client.host if request.client else None
            context.quotas.take(f"{what}/{name_client(host)}", _bound_strangers(context))
        return caller

    return Security(count)


def limit_length(context: Context, caller: Caller) -> Installation:
    """Return the installation as a caller may use it: strangers' recordings are bounded in length."""
    installation = context.installation
    settings = installation.settings
    if caller.known or settings.limits.max_seconds <= settings.access.public_seconds:
        return installation
    limits = dataclasses.replace(settings.limits, max_seconds=settings.access.public_seconds)
    return dataclasses.replace(installation, settings=dataclasses.replace(settings, limits=limits))


def limit_versions(context: Context, caller: Caller) -> Callable[[Evidence], None]:
    """Return what `verify` calls before it says anything: a stranger's question counts for its track."""
    most = context.installation.settings.access.public_variants
    bound = Bound(most, DAY_S, f"without a key {most} versions of a track a day")

    def admit(evidence: Evidence) -> None:
        if caller.known or evidence.content.matched is not None:
            return
        mark, sound = evidence.watermark, evidence.identity.track_id
        about = {mark.track_id or "unknown-mark"} if mark.found else set()
        for track_id in sorted(about | ({sound} if sound is not None else set())):
            context.quotas.take_version(f"track/{track_id}", evidence.content.pcm_sha256, bound)

    return admit
