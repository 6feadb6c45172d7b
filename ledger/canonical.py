"""Canonical JSON (RFC 8785), the only JSON that is ever signed.

The subset has no floating-point numbers: two programs may print the same float differently, and no fact of a
statement needs one. Integers stay inside +-(2^53 - 1), as RFC 8785 (section 3.2.2.3) can carry them.

>>> format_json({"b": 1, "a": "ü"})
b'{"a":"\\xc3\\xbc","b":1}'

For such values the encoder of Python's `json`, which is C, writes the RFC's bytes, save in one case: it sorts
members by code point, the RFC by UTF-16 unit. The two orders differ only where a character beyond U+FFFF
occurs; such documents go through the library `rfc8785`, which is forty times slower.

Where `msgspec` is installed (extra `fast`), it reads plain documents in a third of the time, but refuses
nothing: what it has read counts only if it writes the same bytes again and none of them can be of a float.
Everything else is read by the parser that is always there.
"""

from __future__ import annotations

import importlib
import importlib.util
import json
import re
from typing import Any, NoReturn

import rfc8785

from .errors import FormatError

_msgspec: Any = importlib.import_module("msgspec") if importlib.util.find_spec("msgspec") else None

MAX_DEPTH = 32
"""Nesting allowed in a document: ours have 6 levels, and recursion must stay bounded."""
MAX_INTEGER = 2**53 - 1
_LARGE = re.compile(rb'":-?[0-9]{16}').search
_LATER = re.compile(rb",[-0-9]").search
_FIRST = re.compile(rb"\[[-0-9]").search
"""A large number as a member, any number in a list; a text may hold the same. Three searches for what begins
alike are quicker than one for all."""

_ENCODER = json.JSONEncoder(
    ensure_ascii=False, check_circular=False, allow_nan=False, sort_keys=True, separators=(",", ":")
)


def format_json(value: object) -> bytes:
    """Return the RFC 8785 bytes of a value made of mappings, lists, strings, integers, booleans and None.

    Raises
    ------
    FormatError : a float, an integer beyond 2^53 - 1, a lone surrogate, or any other type
    """
    _check_value(value, 0)
    return _encode(value)


def parse_json(data: bytes, *, max_bytes: int) -> Any:
    """Parse bytes that must be exactly the RFC 8785 form of their value.

    Raises
    ------
    FormatError : too long, not UTF-8, not JSON, duplicate member, float, or any byte that is not canonical
    """
    if len(data) > max_bytes:
        raise FormatError(f"expected at most {max_bytes} bytes of JSON, got {len(data)}")
    found = _read_plain(data) if _QUICK else None
    if found is not None:
        return found
    try:
        text = data.decode("utf-8")
        value, end = _DECODER.raw_decode(text)  # `decode` would also look for white space around it
    except (ValueError, RecursionError) as error:  # UnicodeDecodeError and JSONDecodeError are ValueErrors
        raise FormatError(f"expected canonical JSON: {error}") from error
    if end != len(text):
        raise FormatError(f"expected canonical JSON, got more after character {end}")
    # The decoder makes no other types than ours, so depth is all that is left to check; few brackets, little
    # depth. Of duplicate members only the last is kept, so that they do not come out as they went in.
    if _may_be_deep(data):
        _check_value(value, 0)
    if _encode(value) != data:
        raise FormatError("expected canonical JSON, got another spelling of the same value")
    return value


def parse_object(data: bytes, *, max_bytes: int) -> dict[str, Any]:
    """Parse canonical JSON that must be an object; errors as `parse_json`."""
    value = parse_json(data, max_bytes=max_bytes)
    if not isinstance(value, dict):
        raise FormatError(f"expected a JSON object, got {type(value).__name__}")
    return value


def check_members(value: object, expected: set[str], what: str) -> dict[str, Any]:
    """Return `value` as a dict if it is an object with exactly the expected members."""
    if not isinstance(value, dict):
        raise FormatError(f"{what}: expected an object, got {type(value).__name__}")
    if value.keys() != expected:
        raise FormatError(f"{what}: expected members {sorted(expected)}, got {sorted(value)}")
    return value


def check_text(value: object, what: str, *, max_characters: int = 1024) -> str:
    """Return `value` if it is a non-empty string of bounded length."""
    if not isinstance(value, str) or not 0 < len(value) <= max_characters:
        raise FormatError(f"{what}: expected 1 to {max_characters} characters, got {value!r:.80}")
    return value


def check_hex(value: object, what: str, *, octets: int = 32) -> bytes:
    """Return the bytes of a lower-case hexadecimal string of exactly `octets` bytes."""
    try:
        decoded = bytes.fromhex(value) if isinstance(value, str) else b""
    except ValueError:
        decoded = b""
    if len(decoded) != octets or decoded.hex() != value:  # `fromhex` also takes capitals and white space
        raise FormatError(f"{what}: expected {2 * octets} lower-case hex digits, got {value!r:.80}")
    return decoded


def _read_plain(data: bytes) -> dict[str, Any] | None:
    """Return an object of ASCII without floats and large numbers; None for all that may be else.

    What is written again has its members in order, and each name once.
    """
    if not data.isascii() or _may_be_deep(data) or _LARGE(data) or _LATER(data) or _FIRST(data):
        return None
    decoder, encoder = _QUICK
    try:
        value = decoder.decode(data)
    except (_msgspec.DecodeError, ValueError):
        return None
    return value if encoder.encode(value) == data and isinstance(value, dict) else None


def _may_be_deep(data: bytes) -> bool:
    return data.count(b"{") + data.count(b"[") > MAX_DEPTH


def _check_value(value: object, depth: int) -> None:
    if depth > MAX_DEPTH:
        raise FormatError(f"expected at most {MAX_DEPTH} levels of JSON, got more")
    if isinstance(value, dict):
        for name, member in value.items():
            if not isinstance(name, str):
                raise FormatError(f"expected a string as member name, got {type(name).__name__}")
            _check_value(member, depth + 1)
    elif isinstance(value, list | tuple):
        for item in value:
            _check_value(item, depth + 1)
    elif isinstance(value, int) and not -MAX_INTEGER <= value <= MAX_INTEGER:  # bool is an int
        raise FormatError(f"expected an integer below 2^53, got {value}")
    elif not (value is None or isinstance(value, str | int)):
        raise FormatError(f"expected a string, integer, boolean or null, got {type(value).__name__}")


def _encode(value: object) -> bytes:
    try:
        text = _ENCODER.encode(value)
        if not text.isascii() and max(text) > "\uffff":
            return rfc8785.dumps(value)  # type: ignore[arg-type]  # its types were checked
        return text.encode("utf-8")
    except (rfc8785.CanonicalizationError, UnicodeEncodeError) as error:
        raise FormatError(f"cannot be written as canonical JSON: {error}") from error


def _refuse_number(text: str) -> NoReturn:
    raise ValueError(f"expected an integer, got {text:.40}")


def _parse_integer(text: str) -> int:
    if len(text) > 17 or abs(int(text)) > MAX_INTEGER:  # -(2^53 - 1) has 17 characters
        raise ValueError(f"expected an integer below 2^53, got {text:.20}")
    return int(text)


_DECODER = json.JSONDecoder(
    parse_float=_refuse_number, parse_constant=_refuse_number, parse_int=_parse_integer
)
_QUICK: Any = _msgspec and (
    _msgspec.json.Decoder(float_hook=_refuse_number),
    _msgspec.json.Encoder(order="sorted"),
)
"""What reads and writes plain documents quickly, or None."""
