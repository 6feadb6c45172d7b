"""Custody events: what an entry says happened to an asset, and where in the asset's history it stands.

Every predicate has a member `ledger`, so that a signature holds at one place only:

    "ledger": {"asset": "track:7Q2XK", "n": 1, "origin": "provenote.example/log", "prev": "<leaf hash, hex>"}

`origin` is the log, `n` counts the asset's events from 0, `prev` is the hex leaf hash of event n - 1 ("" for
the first). What the types of events hold is in `predicate`, which may follow which and who may sign them in
`custody` and `register`. Checked here is what needs no history: form, signatures, that a key signs the entry
that adds it, and that events stand under an asset of their kind.
"""

from __future__ import annotations

import hashlib
import re
from collections import ChainMap
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

from .canonical import check_hex, check_members
from .ed25519 import Verify, verify_openssl
from .envelope import Envelope, check_signatures, parse_envelope
from .errors import EventError, FormatError
from .keys import PublicKey
from .predicate import (
    ANCHORED,
    EVENT_TYPES,
    GENERATED,
    KEY_ADDED,
    KEY_REVOKED,
    KEY_ROTATED,
    KEY_TYPES,
    check_commitments,
    check_predicate,
)
from .statement import Statement, Subject, build_statement, parse_statement

KEYS_ASSET = "keys"
"""The asset whose history is the ledger's own list of signing keys."""
LOG_ASSET = "log"
"""The asset whose history is what the log says of itself: anchors."""
ADDING = frozenset({KEY_ADDED, KEY_ROTATED})
"""Events that add a key."""
_OWN_ASSETS = ((KEY_TYPES, KEYS_ASSET), (frozenset({ANCHORED}), LOG_ASSET))
"""Types of events that have an asset to themselves, and that asset."""
_ASSET = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:/-]{0,127}")
MAX_N = 2**53 - 1


@dataclass(frozen=True)
class Head:
    """The last event of an asset: its count from 0 and its leaf hash (32 bytes)."""

    n: int
    leaf_hash: bytes


@dataclass(frozen=True)
class Place:
    """Where an event stands: the `ledger` member of its predicate; `prev` is b"" for a first event."""

    origin: str
    asset: str
    n: int
    prev: bytes

    @classmethod
    def after(cls, origin: str, asset: str, head: Head | None) -> Place:
        """Return the place that follows an asset's head."""
        return cls(origin, asset, head.n + 1, head.leaf_hash) if head else cls(origin, asset, 0, b"")

    def member(self) -> dict[str, Any]:
        """Return the JSON object that goes under `ledger` in a predicate."""
        return {"asset": self.asset, "n": self.n, "origin": self.origin, "prev": self.prev.hex()}


def build_event(
    predicate_type: str, place: Place, subjects: list[Subject] | tuple[Subject, ...], facts: Mapping[str, Any]
) -> bytes:
    """Return the statement bytes of an event at its place; `facts` are the predicate's other members.

    Raises
    ------
    FormatError : as `build_statement`; also an asset name beyond [A-Za-z0-9._:/-]
    ValueError : the facts hold a member named `ledger`
    """
    if "ledger" in facts:
        raise ValueError("the member 'ledger' is the event's place and cannot be among its facts")
    check_asset(place.asset)
    return build_statement(predicate_type, subjects, {**facts, "ledger": place.member()})


def build_key_added(
    place: Place,
    public_key: PublicKey,
    *,
    roles: Collection[str] = (),
    party: str | None = None,
    mark_key: PublicKey | None = None,
) -> bytes:
    """Return the statement bytes that add a signing key; without roles and party it is the house's.

    A `mark_key` is what marks are tagged with from there on (`marks`).
    """
    grant = {} if party is None and not roles else {"roles": sorted(roles), "party": party}
    facts = {"key": public_key.jwk(), **grant, **_mark_member(mark_key)}
    return build_event(KEY_ADDED, place, [_key_subject(public_key)], facts)


def build_key_rotated(
    place: Place, public_key: PublicKey, replaces: str, *, mark_key: PublicKey | None = None
) -> bytes:
    """Return the statement bytes by which a key takes over from the key with the id `replaces`."""
    facts = {"key": public_key.jwk(), "replaces": replaces, **_mark_member(mark_key)}
    return build_event(KEY_ROTATED, place, [_key_subject(public_key)], facts)


def build_key_revoked(
    place: Place, public_key: PublicKey, reason: str, *, disputed_from: int | None = None
) -> bytes:
    """Return the statement bytes that revoke a key; what it signed from a log index on can be disputed."""
    disputed = {} if disputed_from is None else {"from": disputed_from}
    facts = {"key_id": public_key.key_id, "reason": reason, **disputed}
    return build_event(KEY_REVOKED, place, [_key_subject(public_key)], facts)


def asset_subject(asset: str) -> Subject:
    """Return the subject of an event that is about no file: the digest of the asset's name."""
    return Subject("asset", hashlib.sha256(check_asset(asset).encode("ascii")).digest())


def _mark_member(mark_key: PublicKey | None) -> dict[str, Any]:
    return {} if mark_key is None else {"mark_key": mark_key.jwk()}


def _key_subject(public_key: PublicKey) -> Subject:
    return Subject("key", hashlib.sha256(public_key.raw).digest())


@dataclass(frozen=True)
class Event:
    """An entry whose signatures and rules were checked."""

    statement: Statement
    place: Place
    key_ids: tuple[str, ...]
    added_key: PublicKey | None
    """The key that this event adds to the ledger, if it is one of that kind."""


@dataclass(frozen=True)
class Proposal:
    """An entry whose form holds; its signatures and the event rules have not been checked."""

    envelope: Envelope
    statement: Statement
    place: Place
    added_key: PublicKey | None


def open_event(entry: bytes, known_keys: Mapping[str, PublicKey]) -> Event:
    """Check an entry's form, signatures and event rules; whether its place is free is not seen from here.

    Parameters
    ----------
    entry : the entry's exact bytes
    known_keys : the keys that the ledger knew before this entry, by key id

    Raises
    ------
    FormatError, SignatureError, WeakKeyError : as `parse_event` and `verify_event`
    EventError : as `check_event`
    """
    event = verify_event(parse_event(entry), known_keys)
    check_event(event.statement, event.place, event.key_ids, known_keys.keys())
    return event


def parse_event(entry: bytes) -> Proposal:
    """Parse an entry, checking form alone; FormatError, or WeakKeyError for a key that must not be added."""
    envelope = parse_envelope(entry)
    statement = parse_statement(envelope.unverified_payload)
    if statement.predicate_type in EVENT_TYPES:
        check_predicate(statement)
    added_key = parse_added_key(statement) if statement.predicate_type in ADDING else None
    if added_key is not None:
        parse_mark_key(statement)
    return Proposal(envelope, statement, parse_place(statement), added_key)


def verify_event(
    proposal: Proposal, public_keys: Mapping[str, PublicKey], verify: Verify = verify_openssl
) -> Event:
    """Check a proposal's signatures, whatever the event rules will say; SignatureError as `open_envelope`.

    The key that an event adds is itself one of its signers. It gains nothing by that, as `check_event` also
    asks for the signature of a key known before.
    """
    added = proposal.added_key
    # A ChainMap of read-only maps: nothing is written to it.
    keys = ChainMap({added.key_id: added}, public_keys) if added else public_keys  # type: ignore[arg-type]
    opened = check_signatures(proposal.envelope, keys, verify)
    return Event(proposal.statement, proposal.place, opened.key_ids, added)


def parse_place(statement: Statement) -> Place:
    """Return the place that a statement claims; FormatError when it has none or it is malformed."""
    member = check_members(
        statement.predicate.get("ledger"), {"asset", "n", "origin", "prev"}, "ledger member"
    )
    n, origin, prev = member["n"], member["origin"], member["prev"]
    if isinstance(n, bool) or not isinstance(n, int) or not 0 <= n <= MAX_N:
        raise FormatError(f"ledger member: expected n from 0, got {n!r:.40}")
    if not isinstance(origin, str) or not origin:
        raise FormatError(f"ledger member: expected the log's origin, got {origin!r:.80}")
    if (n == 0) != (prev == ""):
        raise FormatError(
            f"ledger member: expected prev empty for n 0 and only then, got n {n} prev {prev!r:.80}"
        )
    return Place(origin, check_asset(member["asset"]), n, check_hex(prev, "ledger prev") if n else b"")


def parse_added_key(statement: Statement) -> PublicKey:
    """Return the key that an event adds; WeakKeyError when it must not be used."""
    if statement.predicate_type not in ADDING:
        raise EventError(f"expected predicate type {KEY_ADDED}, got {statement.predicate_type}")
    return PublicKey.from_jwk(statement.predicate.get("key"))


def parse_mark_key(statement: Statement) -> PublicKey | None:
    """Return the mark key that an event brings beside a signing key; WeakKeyError for one not to be used."""
    if statement.predicate_type not in ADDING or "mark_key" not in statement.predicate:
        return None
    return PublicKey.from_jwk(statement.predicate["mark_key"])


def parse_commitments(statement: Statement) -> dict[str, bytes]:
    """Return the commitments of a predicate by label: its member `commitments`, {label: 64 hex digits}."""
    return check_commitments(statement.predicate.get("commitments", {}), "commitments")


def check_asset(asset: object) -> str:
    """Return the asset's name if it is 1 to 128 characters of [A-Za-z0-9._:/-]; FormatError otherwise."""
    if not isinstance(asset, str) or not _ASSET.fullmatch(asset):
        raise FormatError(f"asset: expected 1 to 128 of A-Z a-z 0-9 . _ : / -, got {asset!r:.80}")
    return asset


def check_event(
    statement: Statement, place: Place, key_ids: Collection[str], known_key_ids: Collection[str]
) -> None:
    """Check the rules of an event type, as far as they need no history (`custody` has those that do).

    Parameters
    ----------
    statement, place : of a parsed entry whose signatures were verified
    key_ids : the keys that signed it
    known_key_ids : the keys that the ledger knew before it

    Raises
    ------
    EventError : a type that the ledger does not know, or a rule of the module's table is broken
    """
    kind = statement.predicate_type
    if kind not in EVENT_TYPES:
        raise EventError(f"expected an event type of {sorted(EVENT_TYPES)}, got {kind!r:.120}")
    for kinds, asset in _OWN_ASSETS:
        if (kind in kinds) != (place.asset == asset):
            raise EventError(f"expected {sorted(kinds)} under the asset {asset!r} alone, got {kind} there")
    if kind == GENERATED and place.n != 0:
        raise EventError(f"expected 'generated' as an asset's first event, got it as event {place.n}")
    if kind in ADDING:
        added = parse_added_key(statement).key_id
        if added in known_key_ids:
            raise EventError(f"expected a key that is new to the ledger, got {added}")
        if added not in key_ids:
            raise EventError(f"expected the added key {added} to sign its own entry")
        vouched = any(key_id in known_key_ids for key_id in key_ids)
        if not vouched and (place.n > 0 or len(known_key_ids)):
            raise EventError(f"expected a known key to sign the entry that adds key {added}")
