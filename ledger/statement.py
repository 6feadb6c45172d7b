"""in-toto Statements (v1): who says what about which bytes.

The payload of an entry is the RFC 8785 JSON of

    {"_type":"https://in-toto.io/Statement/v1",
     "subject":[{"name":"file","digest":{"sha256":"9f86..."}},{"name":"pcm","digest":{"sha256":"60303a..."}}],
     "predicateType":"https://provenote.example/generated/v1",
     "predicate":{"ledger":{"asset":"track:7Q2","n":0,"origin":"provenote.example/log","prev":""}, ...}}

Subject names used by this project: `file` is the digest of the delivered file's bytes, `pcm` of its decoded
samples, `key` of a public key's 32 bytes.
"""

from __future__ import annotations

import types
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from .canonical import check_hex, check_members, check_text, format_json, parse_object
from .envelope import MAX_ENTRY_BYTES
from .errors import FormatError

STATEMENT_TYPE = "https://in-toto.io/Statement/v1"
MAX_SUBJECTS = 64


@dataclass(frozen=True)
class Subject:
    """One thing a statement is about: a name inside the statement and its SHA-256 (32 bytes)."""

    name: str
    sha256: bytes


@dataclass(frozen=True)
class Statement:
    """A parsed statement; `predicate` is read-only."""

    subjects: tuple[Subject, ...]
    predicate_type: str
    predicate: Mapping[str, Any]


def build_statement(predicate_type: str, subjects: Sequence[Subject], predicate: Mapping[str, Any]) -> bytes:
    """Return the canonical bytes of a statement.

    Raises
    ------
    FormatError : no subject, two of one name, a digest that is not 32 bytes, or a predicate with a float
    """
    payload = format_json(
        {
            "_type": STATEMENT_TYPE,
            "subject": [{"name": item.name, "digest": {"sha256": item.sha256.hex()}} for item in subjects],
            "predicateType": predicate_type,
            "predicate": predicate,
        }
    )
    parse_statement(payload)
    return payload


def parse_statement(payload: bytes) -> Statement:
    """Parse the canonical bytes of a statement; FormatError for what `build_statement` would not write."""
    members = check_members(
        parse_object(payload, max_bytes=MAX_ENTRY_BYTES),
        {"_type", "subject", "predicateType", "predicate"},
        "statement",
    )
    if members["_type"] != STATEMENT_TYPE:
        raise FormatError(f"statement: expected type {STATEMENT_TYPE}, got {members['_type']!r:.80}")
    listed = members["subject"]
    if not isinstance(listed, list) or not 1 <= len(listed) <= MAX_SUBJECTS:
        raise FormatError(f"statement: expected 1 to {MAX_SUBJECTS} subjects, got {str(listed)[:80]}")
    subjects = tuple(_parse_subject(item) for item in listed)
    if len({item.name for item in subjects}) != len(subjects):
        raise FormatError("statement: expected each subject name once")
    predicate = members["predicate"]
    if not isinstance(predicate, dict):
        raise FormatError(f"statement: expected an object as predicate, got {type(predicate).__name__}")
    predicate_type = check_text(members["predicateType"], "statement predicateType", max_characters=256)
    return Statement(subjects, predicate_type, types.MappingProxyType(predicate))


def _parse_subject(value: object) -> Subject:
    members = check_members(value, {"name", "digest"}, "subject")
    digest = check_members(members["digest"], {"sha256"}, "subject digest")
    name = check_text(members["name"], "subject name", max_characters=256)
    return Subject(name, check_hex(digest["sha256"], "subject sha256"))
