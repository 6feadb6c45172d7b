"""Saying what is to blame: errors inside a block become BundleErrors with a code and an entry."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

from .errors import (
    BadSignatureError,
    BundleError,
    CustodyError,
    EventError,
    FormatError,
    LedgerError,
    UnknownKeyError,
    WeakKeyError,
)

OF_ENTRIES: dict[type[LedgerError], str] = {
    UnknownKeyError: "key-unknown",
    BadSignatureError: "signature-bad",
    WeakKeyError: "entry-malformed",
    FormatError: "entry-malformed",
    EventError: "entry-malformed",
}
"""Codes for what goes wrong with an entry, by the kind of error; a CustodyError brings its own."""


@contextlib.contextmanager
def blame(code: str | None, what: str, index: int | None = None) -> Iterator[None]:
    """Turn a LedgerError inside the block into a BundleError.

    Parameters
    ----------
    code : the code; None chooses one by the kind of error, for entries
    what : what was looked at, in words
    index : the log index of the entry to blame, if any
    """
    try:
        yield
    except BundleError:
        raise
    except LedgerError as error:
        found = code or next(
            (name for kind, name in OF_ENTRIES.items() if isinstance(error, kind)), "entry-malformed"
        )
        if isinstance(error, CustodyError):
            found = error.code
        raise BundleError(f"{what}: {error}", code=found, index=index) from error
