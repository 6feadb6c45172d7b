"""What can go wrong in the record.

LedgerError
├── FormatError             bytes are not the strict form that a format demands
├── WeakKeyError            an Ed25519 public key that two verifiers could read differently
├── SignatureError
│   ├── UnknownKeyError     signed by a key that is not among the trusted ones
│   ├── WrongKeyError       the key at hand is not the key asked for
│   └── BadSignatureError   a known key, but its signature does not verify
├── ProofError              an inclusion or consistency proof does not lead to the root
├── QuorumError             a checkpoint without the witnesses that a policy asks for
├── TimestampError          a time-stamp that no trusted authority gave
├── EventError              a well-formed statement that this ledger may not take
│   └── CustodyError        it may not follow what happened before, or its signers may not sign it; see `code`
├── LedgerConflictError     the event's place is taken or not yet reached: the asset's head is in `head`
├── BundleError             a bundle does not prove what it claims
├── SourceUnreachableError  a witness or time-stamping authority does not answer
├── KeyFileError            a key file is missing, readable by others, or not a key
└── StorageError            the database; nothing was acknowledged
    ├── BusyError           another writer held the ledger for too long
    ├── DiskFullError
    ├── ReadOnlyError
    ├── SchemaError         made by an older or newer version of this program, or not a ledger
    ├── OutcomeUnknownError the commit itself failed: look the entry up before doing it again
    ├── GuardError          the lock store beside the database is missing or cannot be used
    │   └── RollbackError   the database is behind it, or has another history: an old or second copy
    └── CorruptError        what is stored contradicts itself; the entry, if known, is in `index`
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .event import Head


class LedgerError(Exception):
    """Base of every error that the ledger raises on purpose."""


class FormatError(LedgerError):
    """Bytes are not the strict form that a format demands."""


class WeakKeyError(LedgerError):
    """An Ed25519 public key that is not canonical, not on the curve, or not in the prime-order group."""


class SignatureError(LedgerError):
    """A signature cannot be accepted; `key_id` names the key it claims."""

    def __init__(self, message: str, *, key_id: str) -> None:
        super().__init__(message)
        self.key_id = key_id


class UnknownKeyError(SignatureError):
    """Signed by a key that is not among the trusted ones."""


class WrongKeyError(SignatureError):
    """The key at hand is not the key asked for."""


class BadSignatureError(SignatureError):
    """A known key, but its signature does not verify."""


class ProofError(LedgerError):
    """An inclusion or consistency proof does not lead to the root."""


class QuorumError(LedgerError):
    """A checkpoint without the cosignatures that a policy asks for."""


class TimestampError(LedgerError):
    """A time-stamp that no trusted authority gave, or that it refused to give."""


class EventError(LedgerError):
    """A well-formed statement that this ledger may not take."""


class CustodyError(EventError):
    """An event that may not follow what happened, or that its signers may not sign; `code` says the rule."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(f"{message} ({code})")
        self.code = code


class LedgerConflictError(LedgerError):
    """An event claims a place that is not the asset's next one.

    Attributes
    ----------
    asset : the asset
    head : the asset's last event, or None when it has none; build again on top of it
    """

    def __init__(self, message: str, *, asset: str, head: Head | None) -> None:
        super().__init__(message)
        self.asset = asset
        self.head = head


class NotFoundError(LedgerError):
    """An entry, size or asset that was asked for by name is not in the ledger."""


class BundleError(LedgerError):
    """A bundle does not prove what it claims.

    Attributes
    ----------
    code : which check failed; the table is in `bundle`
    index : log index of the entry to blame, or None
    """

    def __init__(self, message: str, *, code: str = "form", index: int | None = None) -> None:
        super().__init__(message)
        self.code = code
        self.index = index


class SourceUnreachableError(LedgerError):
    """A witness or time-stamping authority does not answer; what needs none goes on."""


class KeyFileError(LedgerError):
    """A key file is missing, readable by others, or not a key."""


class StorageError(LedgerError):
    """The database failed; nothing was acknowledged."""


class BusyError(StorageError):
    """Another writer held the ledger for longer than the waiting time."""


class DiskFullError(StorageError):
    """No space left for the database; the transaction was rolled back."""


class ReadOnlyError(StorageError):
    """The database or its folder cannot be written."""


class SchemaError(StorageError):
    """The database was made by an older or newer version of this program, or is not a ledger."""


class OutcomeUnknownError(StorageError):
    """The commit itself failed, so the entries may or may not be there."""


class GuardError(StorageError):
    """The lock store is missing, cannot be used, or belongs to another ledger."""


class RollbackError(GuardError):
    """The database is behind the lock store or has another history: an old backup, or a second copy."""


class CorruptError(StorageError):
    """What is stored contradicts itself; `index` is the first entry known to be touched, or None."""

    def __init__(self, message: str, *, index: int | None = None) -> None:
        super().__init__(message)
        self.index = index
