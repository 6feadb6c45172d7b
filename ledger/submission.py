"""What a caller hands to the writer: signed entries, or drafts that are built once their place is known."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Sequence
from concurrent.futures import Future, InvalidStateError
from dataclasses import dataclass, field

from .event import Event, Place, Proposal
from .keys import SigningKey
from .receipt import Receipt


@dataclass(frozen=True)
class Draft:
    """An event that is built once its place is known, inside the writer's turn.

    `build` gets the place and returns the signed entry's bytes; it must be quick, as every other writer waits
    for it. With an `idempotency_key`, an event that was appended under that key before is not built again:
    its receipt is returned.
    """

    asset: str
    build: Callable[[Place], bytes]
    idempotency_key: str | None = None


@dataclass(frozen=True)
class Submission:
    """Events that are appended all or none, and where the receipts go.

    Attributes
    ----------
    examined : for each event, what is known of it beforehand: the parsed entry, as an `Event` if a worker
        found its signatures good; None for a draft
    """

    events: Sequence[Draft | bytes]
    log_signing_key: SigningKey
    future: Future[list[Receipt]] = field(default_factory=Future)
    examined: list[Event | Proposal | None] = field(default_factory=list)

    def settle(self, outcome: list[Receipt] | BaseException) -> None:
        """Give the caller the receipts or the error; only the first outcome counts."""
        with contextlib.suppress(InvalidStateError):
            if isinstance(outcome, BaseException):
                self.future.set_exception(outcome)
            else:
                self.future.set_result(outcome)
