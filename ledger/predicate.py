"""The predicates of custody events: which members each type must have, and may have, and what they hold.

| type (…/NAME/v1) | required | optional |
| --- | --- | --- |
| generated, stamped | | audio, mark, generation, digital_source_type; anything else without a float |
| signed | time, credential {id, sha256} | |
| delivered | time, commitments with `recipient` | mark {profile, watermark_key} |
| published | time, channel | address, identifiers {name: value} |
| licensed | time, licence {class, terms_sha256} | |
| transferred | time, to | |
| notice | time, claim | reference, evidence_sha256 |
| counter-notice | time, notice | evidence_sha256 |
| decision | time, notice, outcome | reason, evidence_sha256 |
| revoked | time, reason | |
| erased | time, ground, erased [{n, label}] | |
| key-added | key | roles and party, both or none; mark_key |
| key-rotated | key, replaces | mark_key |
| key-revoked | key_id, reason | from |
| anchored | time, size, heads_root, keys | |

`time` is RFC 3339 UTC to the second, by the signer's own clock. `notice` is the number n of the notice within
the asset. `commitments` is allowed in every one: what is personal (who received, who claims) is only
committed to. Claims, reasons and grounds are codes, lower-case words, not prose.
"""

from __future__ import annotations

import datetime
import functools
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from .canonical import check_hex, check_members, check_text
from .errors import FormatError
from .statement import Statement

PREDICATE_BASE = "https://provenote.example/"
"""Stable prefix of the project's predicate types; a name, not an address."""


def name_type(name: str) -> str:
    """Return the predicate type of an event's short name."""
    return f"{PREDICATE_BASE}{name}/v1"


GENERATED = name_type("generated")
STAMPED = name_type("stamped")
SIGNED = name_type("signed")
DELIVERED = name_type("delivered")
PUBLISHED = name_type("published")
LICENSED = name_type("licensed")
TRANSFERRED = name_type("transferred")
NOTICE = name_type("notice")
COUNTER_NOTICE = name_type("counter-notice")
DECISION = name_type("decision")
REVOKED = name_type("revoked")
ERASED = name_type("erased")
KEY_ADDED = name_type("key-added")
KEY_ROTATED = name_type("key-rotated")
KEY_REVOKED = name_type("key-revoked")
ANCHORED = name_type("anchored")

KEY_TYPES = frozenset({KEY_ADDED, KEY_ROTATED, KEY_REVOKED})
UPHELD, DENIED, RESTORED = "upheld", "denied", "restored"
OUTCOMES = frozenset({UPHELD, DENIED, RESTORED})
OPERATOR, ISSUER, OWNER, PLATFORM, COURT = "operator", "issuer", "owner", "platform", "court"
ROLES = frozenset({OPERATOR, ISSUER, OWNER, PLATFORM, COURT})
MAX_INTEGER = 2**53 - 1
MAX_LISTED = 256

Check = Callable[[object, str], Any]
"""Raise FormatError unless a member, named for the message, holds what it must."""

_CODE = re.compile(r"[a-z][a-z0-9-]{0,63}")
_PARTY = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:/-]{0,63}")
_KEY_ID = re.compile(r"[A-Za-z0-9_-]{43}")
_TIME = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}Z")


def check_code(value: object, what: str) -> str:
    """Return a code: 1 to 64 of a-z 0-9 -, beginning with a letter."""
    return _match(_CODE, value, what, "a lower-case code")


def check_party(value: object, what: str) -> str:
    """Return the name of a party (an organisation, never a person): 1 to 64 of A-Z a-z 0-9 . _ : / -."""
    return _match(_PARTY, value, what, "1 to 64 of A-Z a-z 0-9 . _ : / -")


def check_key_id(value: object, what: str) -> str:
    """Return a key id: the 43 characters of an RFC 7638 thumbprint."""
    return _match(_KEY_ID, value, what, "a key id of 43 characters")


def check_time(value: object, what: str) -> str:
    """Return a time such as 2026-11-22T17:31:32Z, if there is such a moment."""
    text = _match(_TIME, value, what, "RFC 3339 UTC to the second")
    try:
        datetime.datetime.strptime(text, "%Y-%m-%dT%H:%M:%SZ")
    except ValueError as error:
        raise FormatError(f"{what}: expected a moment that exists, got {text!r}") from error
    return text


def check_count(value: object, what: str) -> int:
    """Return a whole number from 0 to 2^53 - 1."""
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= MAX_INTEGER:
        raise FormatError(f"{what}: expected a number from 0 to 2^53 - 1, got {value!r:.40}")
    return value


def check_roles(value: object, what: str) -> frozenset[str]:
    """Return roles from a list that is sorted, without repetition, and not empty."""
    if not isinstance(value, list) or not value or not all(isinstance(item, str) for item in value):
        raise FormatError(f"{what}: expected some of {sorted(ROLES)}, got {value!r:.120}")
    if value != sorted(set(value)) or not set(value) <= ROLES:
        raise FormatError(f"{what}: expected each of them once, in alphabetical order, got {value!r:.120}")
    return frozenset(value)


def check_erasures(value: object, what: str) -> frozenset[tuple[int, str]]:
    """Return what is erased: the commitments named by event number and label."""
    if not isinstance(value, list) or not 1 <= len(value) <= MAX_LISTED:
        raise FormatError(f"{what}: expected a list of 1 to {MAX_LISTED}, got {str(value)[:80]}")
    found = set()
    for item in value:
        members = check_members(item, {"n", "label"}, what)
        found.add((check_count(members["n"], f"{what} n"), check_text(members["label"], f"{what} label")))
    if len(found) != len(value):
        raise FormatError(f"{what}: expected each commitment once")
    return frozenset(found)


def check_commitments(value: object, what: str) -> dict[str, bytes]:
    """Return commitments by label: {label: 64 hex digits}."""
    if not isinstance(value, dict):
        raise FormatError(f"{what}: expected an object, got {type(value).__name__}")
    return {label: check_hex(digest, f"commitment {label:.80}") for label, digest in value.items()}


@dataclass(frozen=True)
class Shape:
    """The members of one type of predicate, beside `ledger`; an open one may hold others as well."""

    required: Mapping[str, Check] = field(default_factory=dict)
    optional: Mapping[str, Check] = field(default_factory=dict)
    open: bool = False

    @functools.cached_property
    def checks(self) -> Mapping[str, Check]:
        """Every member that it may have, with what that must hold."""
        return {**_ALWAYS, **self.required, **self.optional}


def check_predicate(statement: Statement) -> None:
    """Raise FormatError unless a predicate has the members of its type; for a type unknown here, too."""
    shape = SHAPES.get(statement.predicate_type)
    name = statement.predicate_type.removeprefix(PREDICATE_BASE).removesuffix("/v1")
    if shape is None:
        raise FormatError(f"expected a known event type, got {statement.predicate_type!r:.120}")
    members = statement.predicate.keys()
    missing = shape.required.keys() - members
    unknown = () if shape.open else members - shape.checks.keys() - {"ledger"}
    if missing or unknown:
        optional = shape.checks.keys() - shape.required.keys()
        raise FormatError(
            f"{name}: expected members {sorted(shape.required)} and perhaps {sorted(optional)}, "
            f"missing {sorted(missing)}, unknown {sorted(unknown)[:8]}"
        )
    for member, value in statement.predicate.items():
        check = shape.checks.get(member)
        if check is not None:
            check(value, f"{name} {member}")


def _match(pattern: re.Pattern[str], value: object, what: str, expected: str) -> str:
    if not isinstance(value, str) or not pattern.fullmatch(value):
        raise FormatError(f"{what}: expected {expected}, got {value!r:.80}")
    return value


def _check_object(members: Mapping[str, Check]) -> Check:
    def check(value: object, what: str) -> None:
        found = check_members(value, set(members), what)
        for name, inner in members.items():
            inner(found[name], f"{what} {name}")

    return check


def _check_recipient(value: object, what: str) -> None:
    if "recipient" not in check_commitments(value, what):
        raise FormatError(f"{what}: expected a commitment to the recipient")


def _check_outcome(value: object, what: str) -> None:
    if not isinstance(value, str) or value not in OUTCOMES:
        raise FormatError(f"{what}: expected one of {sorted(OUTCOMES)}, got {value!r:.40}")


def _check_identifiers(value: object, what: str) -> None:
    if not isinstance(value, dict) or not 1 <= len(value) <= 16:
        raise FormatError(f"{what}: expected an object of 1 to 16 members, got {str(value)[:80]}")
    for name, text in value.items():
        check_code(name, what)
        check_text(text, f"{what} {name}", max_characters=128)


def _check_any_object(value: object, what: str) -> None:
    if not isinstance(value, dict):
        raise FormatError(f"{what}: expected an object, got {type(value).__name__}")


def _check_mark(value: object, what: str) -> None:
    _check_any_object(value, what)
    assert isinstance(value, dict)
    for name in ("profile", "watermark_key"):
        if name not in value:
            raise FormatError(f"{what}: expected a member {name}")
        check_text(value[name], f"{what} {name}")
    if "strength_percent" in value:
        check_count(value["strength_percent"], f"{what} strength_percent")
    if "margin" in value:
        _check_any_object(value["margin"], f"{what} margin")


_ALWAYS: Mapping[str, Check] = {"commitments": check_commitments, "time": check_time}
_EVIDENCE: Mapping[str, Check] = {"evidence_sha256": check_hex}
_ORIGIN: Mapping[str, Check] = {
    "audio": _check_object(
        {
            "container": check_text,
            "bits": check_count,
            "sample_rate": check_count,
            "channels": check_count,
            "samples": check_count,
        }
    ),
    "mark": _check_mark,
    "generation": _check_any_object,
    "digital_source_type": check_text,
}
"""What an engine says of a track has no end, so these two types hold other members as well."""
SHAPES: Mapping[str, Shape] = {
    GENERATED: Shape(optional=_ORIGIN, open=True),
    STAMPED: Shape(optional=_ORIGIN, open=True),
    SIGNED: Shape({"time": check_time, "credential": _check_object({"id": check_text, "sha256": check_hex})}),
    DELIVERED: Shape(
        {"time": check_time, "commitments": _check_recipient},
        {"mark": _check_object({"profile": check_text, "watermark_key": check_text})},
    ),
    PUBLISHED: Shape(
        {"time": check_time, "channel": check_text},
        {"address": check_text, "identifiers": _check_identifiers},
    ),
    LICENSED: Shape(
        {
            "time": check_time,
            "licence": _check_object({"class": check_code, "terms_sha256": check_hex}),
        }
    ),
    TRANSFERRED: Shape({"time": check_time, "to": check_party}),
    NOTICE: Shape({"time": check_time, "claim": check_code}, {"reference": check_text, **_EVIDENCE}),
    COUNTER_NOTICE: Shape({"time": check_time, "notice": check_count}, _EVIDENCE),
    DECISION: Shape(
        {"time": check_time, "notice": check_count, "outcome": _check_outcome},
        {"reason": check_code, **_EVIDENCE},
    ),
    REVOKED: Shape({"time": check_time, "reason": check_code}),
    ERASED: Shape({"time": check_time, "ground": check_code, "erased": check_erasures}),
    KEY_ADDED: Shape(
        {"key": _check_any_object},
        {"roles": check_roles, "party": check_party, "mark_key": _check_any_object},
    ),
    KEY_ROTATED: Shape({"key": _check_any_object, "replaces": check_key_id}, {"mark_key": _check_any_object}),
    KEY_REVOKED: Shape({"key_id": check_key_id, "reason": check_code}, {"from": check_count}),
    ANCHORED: Shape({"time": check_time, "size": check_count, "heads_root": check_hex, "keys": check_count}),
}
EVENT_TYPES = frozenset(SHAPES)
