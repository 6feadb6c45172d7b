"""What each error means to the outside: one table, for the command line and for HTTP (RFC 9457).

Exit codes: 0 good; 1 verified as bad; 2 the request or its input cannot be carried out as given; 3 the
environment (ledger folder, keys, database, disk, port) does not allow it; 130 cancelled.

The lists in `docs/cli.md` and `docs/api.md` repeat the table; a test compares them.
"""

from dataclasses import dataclass
from typing import Any

import generator
import ledger
import watermark
from generator.errors import Cancelled, RequestError, WeightsError
from ledger.errors import (
    BusyError,
    CorruptError,
    CustodyError,
    DiskFullError,
    KeyFileError,
    LedgerConflictError,
    NotFoundError,
    OutcomeUnknownError,
    ReadOnlyError,
    SchemaError,
    StorageError,
)

from .errors import (
    ApiError,
    AudioRefusedError,
    ConflictError,
    CredentialError,
    ForgeryError,
    GeneratorMissingError,
    KeyReusedError,
    LedgerFolderError,
    MarkedError,
    MissingError,
    OriginalError,
    OverloadError,
    PortError,
    QuotaError,
    RefusedError,
    RegisteredError,
    ScopeError,
    SettingsError,
    SlowBodyError,
    SourceError,
    StayDownError,
    StoppedError,
    TokenError,
    TooLargeError,
    UnreadableMarkError,
    WeakMarkError,
    WriteError,
)

GOOD, BAD, USAGE, ENVIRONMENT, CANCELLED = 0, 1, 2, 3, 130
PROBLEM_BASE = "https://provenote.example/problems/"
"""Stable prefix of problem types; names, not addresses."""


@dataclass(frozen=True)
class Outcome:
    """A problem type (last part of its URI), its title, HTTP status and exit code."""

    slug: str
    title: str
    status: int
    exit_code: int


INTERNAL = Outcome("internal", "A fault in the program", 500, ENVIRONMENT)

# From the most special to the most general: the first class that fits decides.
OUTCOMES: tuple[tuple[type[Exception], Outcome], ...] = (
    (AudioRefusedError, Outcome("audio-refused", "The audio is not taken", 422, USAGE)),
    (TooLargeError, Outcome("too-large", "More bytes than are taken", 413, USAGE)),
    (RegisteredError, Outcome("already-registered", "The recording is registered", 409, USAGE)),
    (StayDownError, Outcome("stay-down", "The recording must stay down", 451, USAGE)),
    (MarkedError, Outcome("already-marked", "The audio carries a mark", 409, USAGE)),
    (UnreadableMarkError, Outcome("mark-unreadable", "The audio cannot carry a mark", 422, USAGE)),
    (WeakMarkError, Outcome("mark-weak", "The mark would not survive", 422, USAGE)),
    (MissingError, Outcome("not-found", "There is no such thing here", 404, USAGE)),
    (ConflictError, Outcome("conflict", "Not possible in this state", 409, USAGE)),
    (KeyReusedError, Outcome("key-reused", "The key belongs to another request", 422, USAGE)),
    (TokenError, Outcome("unauthorised", "An API key is needed", 401, USAGE)),
    (ScopeError, Outcome("forbidden", "This key is not for that", 403, USAGE)),
    (ForgeryError, Outcome("form-refused", "The form is not of this session", 403, USAGE)),
    (SlowBodyError, Outcome("too-slow", "The request came too slowly", 408, USAGE)),
    (QuotaError, Outcome("quota-reached", "Asked too often", 429, USAGE)),
    (RefusedError, Outcome("request-refused", "The request cannot be carried out", 422, USAGE)),
    (SettingsError, Outcome("settings", "A setting is wrong", 500, USAGE)),
    (StoppedError, Outcome("cancelled", "The work was cancelled", 409, CANCELLED)),
    (Cancelled, Outcome("cancelled", "The work was cancelled", 409, CANCELLED)),
    (OverloadError, Outcome("busy", "No capacity now", 503, ENVIRONMENT)),
    (WriteError, Outcome("storage-full", "A file cannot be written", 507, ENVIRONMENT)),
    (SourceError, Outcome("source-unavailable", "Another server does not answer", 503, ENVIRONMENT)),
    (CredentialError, Outcome("credential-failed", "No credential could be signed", 503, ENVIRONMENT)),
    (OriginalError, Outcome("original-damaged", "The kept original cannot be used", 503, ENVIRONMENT)),
    (PortError, Outcome("port-in-use", "The address is taken", 500, ENVIRONMENT)),
    (
        GeneratorMissingError,
        Outcome("generator-unavailable", "The generator cannot be used", 503, ENVIRONMENT),
    ),
    (LedgerFolderError, Outcome("ledger-unavailable", "The ledger folder cannot be used", 503, ENVIRONMENT)),
    (ApiError, INTERNAL),
    (NotFoundError, Outcome("not-found", "There is no such thing here", 404, USAGE)),
    (BusyError, Outcome("busy", "No capacity now", 503, ENVIRONMENT)),
    (DiskFullError, Outcome("storage-full", "A file cannot be written", 507, ENVIRONMENT)),
    (ReadOnlyError, Outcome("ledger-unavailable", "The ledger folder cannot be used", 503, ENVIRONMENT)),
    (SchemaError, Outcome("ledger-unavailable", "The ledger folder cannot be used", 503, ENVIRONMENT)),
    (CorruptError, Outcome("ledger-damaged", "The ledger's database is damaged", 503, ENVIRONMENT)),
    (
        OutcomeUnknownError,
        Outcome("outcome-unknown", "It may or may not have been recorded", 500, ENVIRONMENT),
    ),
    (StorageError, Outcome("ledger-unavailable", "The ledger folder cannot be used", 503, ENVIRONMENT)),
    (KeyFileError, Outcome("ledger-unavailable", "The ledger folder cannot be used", 503, ENVIRONMENT)),
    (LedgerConflictError, Outcome("ledger-conflict", "The place in the history is taken", 409, USAGE)),
    (CustodyError, Outcome("custody-refused", "The rules of custody do not allow this", 422, USAGE)),
    (ledger.LedgerError, Outcome("record-refused", "The ledger does not take or hold this", 422, USAGE)),
    (RequestError, Outcome("request-refused", "The request cannot be carried out", 422, USAGE)),
    (WeightsError, Outcome("generator-unavailable", "The generator cannot be used", 503, ENVIRONMENT)),
    (
        generator.GeneratorError,
        Outcome("generator-unavailable", "The generator cannot be used", 503, ENVIRONMENT),
    ),
    (watermark.WatermarkError, Outcome("audio-refused", "The audio is not taken", 422, USAGE)),
    (OSError, Outcome("environment", "The system does not allow it", 503, ENVIRONMENT)),
)

EXPECTED = tuple(kind for kind, _ in OUTCOMES)
"""Every error that is an answer; anything else is a fault in the program."""


def classify(error: BaseException) -> Outcome:
    """Return what an error means; `INTERNAL` for one that is not in the table."""
    return next((outcome for kind, outcome in OUTCOMES if isinstance(error, kind)), INTERNAL)


def describe(error: BaseException) -> str:
    """Return the plain message of an error."""
    if isinstance(error, OSError) and error.strerror and error.filename:
        return f"{error.filename}: {error.strerror}"
    return str(error) or type(error).__name__


def list_facts(error: BaseException) -> dict[str, Any]:
    """Return what an error knows beyond its message, as members of a problem (RFC 9457, 3.2)."""
    if isinstance(error, LedgerConflictError):
        head = error.head and {"n": error.head.n, "leaf_hash": error.head.leaf_hash.hex()}
        return {"asset": error.asset, "head": head}
    if isinstance(error, CustodyError):
        return {"code": error.code}
    known = ("code", "track_id", "case_id", "mark_id", "reasons", "retry_after_s")
    names = known if isinstance(error, RefusedError) else ()
    facts = {name: getattr(error, name, None) for name in names}
    return {name: list(fact) if isinstance(fact, tuple) else fact for name, fact in facts.items() if fact}
