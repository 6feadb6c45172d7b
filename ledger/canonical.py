"""Canonical JSON (RFC 8785), the only JSON that is ever signed.

The subset has no floating-point numbers: two programs may print the same float differently, and no fact of a
statement needs one. Integers stay inside +-(2^53 - 1), as RFC 8785 (section 3.2.2.3) can carry them.

>>> format_json({"b": 1, "a": "ü"})
b'{"a":"\\xc3\\xbc","b":1}'
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, NoReturn

import rfc8785

from .errors import FormatError

MAX_DEPTH = 32
"""Nesting allowed in a parsed document: ours have 6 levels, and recursion must stay bounded."""


def format_json(value: object) -> bytes:
    """Return the RFC 8785 bytes of a value made of mappings, lists, strings, integers, booleans and None.

    Raises
    ------
    FormatError : a float, an integer beyond 2^53 - 1, a lone surrogate, or any other type
    """
    _check_value(value, 0)
    try:
        return rfc8785.dumps(value)  # type: ignore[arg-type]  # checked just above
    except rfc8785.CanonicalizationError as error:
        raise FormatError(f"cannot be written as canonical JSON: {error}") from error


def parse_json(data: bytes, *, max_bytes: int) -> Any:
    """Parse bytes that must be exactly the RFC 8785 form of their value.

    Raises
    ------
    FormatError : too long, not UTF-8, not JSON, duplicate member, float, or any byte that is not canonical
    """
    if len(data) > max_bytes:
        raise FormatError(f"expected at most {max_bytes} bytes of JSON, got {len(data)}")
    try:
        value = json.loads(
            data.decode("utf-8"),
            object_pairs_hook=_build_object,
            parse_float=_refuse_number,
            parse_constant=_refuse_number,
            parse_int=_parse_integer,
        )
    except (ValueError, RecursionError) as error:  # UnicodeDecodeError and JSONDecodeError are ValueErrors
        raise FormatError(f"expected canonical JSON: {error}") from error
    if format_json(value) != data:
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
    if set(value) != expected:
        raise FormatError(f"{what}: expected members {sorted(expected)}, got {sorted(value)}")
    return value


def check_text(value: object, what: str, *, max_characters: int = 1024) -> str:
    """Return `value` if it is a non-empty string of bounded length."""
    if not isinstance(value, str) or not 0 < len(value) <= max_characters:
        raise FormatError(f"{what}: expected 1 to {max_characters} characters, got {value!r:.80}")
    return value


def check_hex(value: object, what: str, *, octets: int = 32) -> bytes:
    """Return the bytes of a lower-case hexadecimal string of exactly `octets` bytes."""
    if (
        not isinstance(value, str)
        or len(value) != 2 * octets
        or any(digit not in "0123456789abcdef" for digit in value)
    ):
        raise FormatError(f"{what}: expected {2 * octets} lower-case hex digits, got {value!r:.80}")
    return bytes.fromhex(value)


def _check_value(value: object, depth: int) -> None:
    if depth > MAX_DEPTH:
        raise FormatError(f"expected at most {MAX_DEPTH} levels of JSON, got more")
    if isinstance(value, Mapping):
        for name, member in value.items():
            if not isinstance(name, str):
                raise FormatError(f"expected a string as member name, got {type(name).__name__}")
            _check_value(member, depth + 1)
    elif isinstance(value, list | tuple):
        for item in value:
            _check_value(item, depth + 1)
    elif not (value is None or isinstance(value, str | int)):  # bool is an int
        raise FormatError(f"expected a string, integer, boolean or null, got {type(value).__name__}")


def _build_object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    value = dict(pairs)
    if len(value) != len(pairs):
        raise ValueError("duplicate member in an object")
    return value


def _refuse_number(text: str) -> NoReturn:
    raise ValueError(f"expected an integer, got {text:.40}")


def _parse_integer(text: str) -> int:
    if len(text) > 17:  # -(2^53 - 1) has 17 characters
        raise ValueError(f"expected an integer below 2^53, got {len(text)} digits")
    return int(text)
