"""Errors of the generator.

GeneratorError
├── RequestError    the request cannot be served: seconds out of range, an opening that is not ABC, ...
├── WeightsError    a weights file is missing or is not the published one
├── EngineError     an engine is not set up as it must be, broke, or made no audio
└── Cancelled       the caller asked to stop
"""


class GeneratorError(Exception):
    """Base of everything that this package raises about outside data."""


class RequestError(GeneratorError):
    """The request cannot be served as it stands; the message says what was expected and what came."""


class WeightsError(GeneratorError):
    """A weights file is missing, unreadable or has another digest than the pinned one."""


class EngineError(GeneratorError):
    """An engine is not set up as it must be, broke while it played, or made something that is no audio."""


class Cancelled(GeneratorError):  # noqa: N818 - a request to stop is not a fault
    """The caller's `cancelled()` said yes; nothing was produced."""

    def __init__(self, stage: str) -> None:
        super().__init__(f"generation was cancelled during {stage}")
        self.stage = stage
