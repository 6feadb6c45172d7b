"""Salted commitments: a ledger entry binds a value without showing it.

    commitment = SHA-256("provenote/commitment/v1\\n" || label || "\\n" || salt || RFC 8785 JSON of the value)

The salt is 32 random bytes, one for each value. Whoever holds value and salt can open the commitment; once
both are destroyed it says nothing, while every proof over the entry stays valid.
"""

from __future__ import annotations

import hashlib
import hmac
import re
from dataclasses import dataclass

from .canonical import format_json
from .errors import FormatError, ProofError

SALT_BYTES = 32
_PREFIX = b"provenote/commitment/v1\n"
_LABEL = re.compile(r"[a-z][a-z0-9_]{0,63}")


@dataclass(frozen=True)
class Opening:
    """What opens one commitment: its label, the salt (32 bytes) and the value (any canonical JSON)."""

    label: str
    salt: bytes
    value: object


def commit(label: str, salt: bytes, value: object) -> bytes:
    """Return the 32-byte commitment to `value` under a label such as `prompt` or `mark_id`.

    Raises
    ------
    FormatError : a label that is not a lower-case identifier, a salt not of 32 bytes, or a value with a float
    """
    if not _LABEL.fullmatch(label):
        raise FormatError(f"commitment: expected a lower-case identifier as label, got {label!r:.80}")
    if len(salt) != SALT_BYTES:
        raise FormatError(f"commitment: expected a salt of {SALT_BYTES} bytes, got {len(salt)}")
    return hashlib.sha256(_PREFIX + label.encode("ascii") + b"\n" + salt + format_json(value)).digest()


def check_opening(opening: Opening, commitment: bytes) -> None:
    """Raise ProofError unless the opening gives exactly this commitment."""
    if not hmac.compare_digest(commit(opening.label, opening.salt, opening.value), commitment):
        raise ProofError(f"opening of {opening.label!r} does not give its commitment {commitment.hex()}")
