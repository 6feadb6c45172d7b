"""Base64 as the formats of the record spell it: one text for each value, every other spelling refused."""

from __future__ import annotations

import base64
import binascii

from .errors import FormatError


def encode_base64(data: bytes) -> str:
    """Return standard base64 with padding (RFC 4648, section 4)."""
    return base64.b64encode(data).decode("ascii")


def decode_base64(text: str | bytes, what: str) -> bytes:
    """Return the bytes of standard base64; FormatError for white space, wrong padding or stray bits."""
    try:
        spelled = text.encode("ascii") if isinstance(text, str) else text
        data = binascii.a2b_base64(spelled, strict_mode=True)
    except (binascii.Error, UnicodeEncodeError) as error:
        raise FormatError(f"{what}: expected base64, got {text!r:.80}") from error
    if binascii.b2a_base64(data, newline=False) != spelled:
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
