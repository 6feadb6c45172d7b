"""What the routes work with: the opened installation, the jobs, the token, the places for verifications."""

import contextlib
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Annotated

import anyio
from fastapi import Depends, Request

from ..engines import EngineRack
from ..errors import OverloadError
from ..idempotency import RequestKeys
from ..installation import Installation
from ..jobs import Jobs
from ..manifests import ManifestIndex
from ..oidc import TokenChecker
from ..quotas import Quotas
from .metrics import Metrics

VERIFICATION_WAIT_S = 30.0
"""How long a verification waits for a place before it is told to come back."""


@dataclass(frozen=True)
class Context:
    """Everything that one running service holds open."""

    installation: Installation
    jobs: Jobs
    token_hash: bytes = field(repr=False)
    places: threading.BoundedSemaphore
    metrics: Metrics
    quotas: Quotas
    request_keys: RequestKeys
    stream_threads: anyio.CapacityLimiter
    is_stopping: Callable[[], bool]
    engines: EngineRack
    manifests: ManifestIndex
    oidc: TokenChecker | None = None

    @contextlib.contextmanager
    def take_place(self) -> Iterator[None]:
        """Hold one of the places for heavy work; OverloadError when none becomes free in time."""
        if not self.places.acquire(timeout=VERIFICATION_WAIT_S):
            raise OverloadError("every place for a verification is taken: try again later")
        try:
            yield
        finally:
            self.places.release()


def get_context(request: Request) -> Context:
    """Return the context that the application's start has opened."""
    context = request.app.state.context
    assert isinstance(context, Context)
    return context


UsedContext = Annotated[Context, Depends(get_context)]
