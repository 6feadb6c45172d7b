"""Base64 as the formats of the record spell it: one text for each value, every other spelling refused."""

from __future__ import annotations

import base64
import binascii

from .errors import FormatError


def encode_base64(data: bytes) -> str:
    """Return standard base64 with padding (RFC 4648, section 4)."""
    return base64.b64encode(data).decode("ascii")


def decode_base64(text: str, what: str) -> bytes:
    """Return the bytes of standard base64; FormatError for white space, wrong padding or stray bits."""
    try:
        data = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError) as error:
        raise FormatError(f"{what}: expected base64, got {text!r:.80}") from error
    if encode_base64(data) != text:
        raise FormatError(f"{what}: expected canonical base64, got {text!r:.80}")
    return data


def encode_base64url(data: bytes) -> str:
    """Return base64url without padding (RFC 7515, section 2)."""
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode("ascii")


def decode_base64url(text: str, what: str) -> bytes:
    """Return the bytes of base64url without padding; FormatError for any other spelling."""
    try:
        data = base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
    except (binascii.Error, ValueError) as error:
        raise FormatError(f"{what}: expected base64url, got {text!r:.80}") from error
    if encode_base64url(data) != text:
        raise FormatError(f"{what}: expected canonical base64url, got {text!r:.80}")
    return data
