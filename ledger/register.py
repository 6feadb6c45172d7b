"""The register of signing keys: what the events of the asset `keys` make of each other, in log order.

A key belongs to a party (an organisation), has roles, and counts from the entry that adds it up to the entry
that replaces or revokes it. Positions in the log decide, never clocks:

| event | signed by | effect |
| --- | --- | --- |
| key-added | the new key and an operator's (in the log's first entry: the new key) | it counts from here |
| key-rotated | the new key and the one it replaces | takes over roles and party; the old one retires |
| key-revoked | an operator's key, or the key itself | retires; what it signed from `from` on is disputed |

What an operator signs of the first two may bring a *mark key* as well: from there on marks are tagged with it
(`marks`). It signs nothing, and earlier ones are not forgotten.

A key-added without roles, as older logs hold it, gives the roles operator, issuer and owner, in the party
`house`. The last operator's key cannot be revoked: nobody could add another. Weak Ed25519 keys are refused
when they are read (`keys`).

    code                meaning of a CustodyError
    key-known           the added key is in the register already, or is a mark key
    key-absent          the added or the replaced key did not sign
    key-unknown         a key that is not in the register, or was revoked before
    key-retired         a key that was replaced or revoked before
    role-missing        no signer may add or revoke keys
    operator-missing    no operator's key would be left, or the first key is none
    grant-partial       roles without a party, or a party without roles
    revocation-late     `from` is beyond the revocation itself
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import Any

from .errors import CustodyError, EventError
from .keys import PublicKey
from .marks import MarkKey
from .predicate import (
    ISSUER,
    KEY_REVOKED,
    KEY_ROTATED,
    KEY_TYPES,
    OPERATOR,
    OWNER,
    check_key_id,
    check_party,
    check_roles,
)
from .statement import Statement

HOUSE = "house"
"""The party of keys that were added without one: whoever runs the log."""
HOUSE_ROLES = frozenset({OPERATOR, ISSUER, OWNER})


@dataclass(frozen=True)
class KeyRecord:
    """One key and what the log has said of it.

    Attributes
    ----------
    added_at : index of the entry that added it
    retired_at : index of the entry that replaced or revoked it, or None
    disputed_from : log index from which its signatures are disputed, or None; never after `retired_at`
    reason : why it was revoked, or None
    """

    public_key: PublicKey
    roles: frozenset[str]
    party: str
    added_at: int
    retired_at: int | None = None
    disputed_from: int | None = None
    reason: str | None = None

    def is_active(self) -> bool:
        """Tell whether the key may sign the next entry."""
        return self.retired_at is None

    def is_disputed(self, index: int) -> bool:
        """Tell whether a signature at a log index is one that its revocation disputes."""
        return self.disputed_from is not None and index >= self.disputed_from


@dataclass(frozen=True)
class Register:
    """All keys of a log as of some entry: those that sign by key id, and its mark keys, the oldest first."""

    records: Mapping[str, KeyRecord] = field(default_factory=lambda: MappingProxyType({}))
    mark_keys: tuple[MarkKey, ...] = ()

    def public_keys(self) -> dict[str, PublicKey]:
        """Return every key that the log knows, retired ones too, by key id."""
        return {key_id: record.public_key for key_id, record in self.records.items()}

    def tags_marks(self, index: int) -> bool:
        """Tell whether an entry at this index that commits to a mark must name its tag."""
        return bool(self.mark_keys) and self.mark_keys[0].added_at < index

    def find_signers(self, key_ids: Iterable[str], index: int) -> list[KeyRecord]:
        """Return the records of an entry's signers; CustodyError unless all of them counted at its index."""
        found = []
        for key_id in key_ids:
            record = self.records.get(key_id)
            if record is None or record.added_at >= index:
                raise CustodyError("key-unknown", f"key {key_id} is not in the register at entry {index}")
            if record.retired_at is not None and record.retired_at < index:
                raise CustodyError(
                    "key-retired",
                    f"key {key_id} retired with entry {record.retired_at}, before entry {index}",
                )
            found.append(record)
        return found


EMPTY_REGISTER = Register()


def extend_register(
    register: Register,
    statement: Statement,
    key_ids: Collection[str],
    added_key: PublicKey | None,
    index: int,
) -> Register:
    """Return the register after a key event whose signatures were verified.

    Parameters
    ----------
    register : the register before
    statement : the event's statement, its predicate checked
    key_ids : who signed it
    added_key : the key that it adds, for key-added and key-rotated
    index : its place in the log

    Raises
    ------
    CustodyError : a rule of the module's table is broken
    """
    kind = statement.predicate_type
    if kind not in KEY_TYPES:
        raise EventError(f"expected a key event, got {kind!r:.120}")
    if kind == KEY_REVOKED:
        return _revoke(register, statement.predicate, key_ids, index)
    assert added_key is not None
    if _is_known(register, added_key):
        raise CustodyError("key-known", f"expected a key that is new to the ledger, got {added_key.key_id}")
    if added_key.key_id not in key_ids:
        raise CustodyError("key-absent", f"expected the added key {added_key.key_id} to sign its own entry")
    others = [key_id for key_id in key_ids if key_id != added_key.key_id]
    signers = register.find_signers(others, index)
    register = _take_mark_key(register, statement.predicate, added_key, index)
    if kind == KEY_ROTATED:
        return _rotate(register, statement.predicate, others, added_key, index)
    roles, party = read_grant(statement.predicate)
    if not register.records:
        if OPERATOR not in roles:
            raise CustodyError("operator-missing", "expected the log's first key to be an operator's")
    elif not any(OPERATOR in signer.roles for signer in signers):
        raise CustodyError(
            "role-missing", f"expected a known operator's key to sign the entry that adds {added_key.key_id}"
        )
    return _put(register, KeyRecord(added_key, roles, party, index))


def read_grant(predicate: Mapping[str, Any]) -> tuple[frozenset[str], str]:
    """Return roles and party of a key-added predicate; CustodyError when it has one without the other."""
    if ("roles" in predicate) != ("party" in predicate):
        raise CustodyError("grant-partial", "expected both roles and party of an added key, or neither")
    if "roles" not in predicate:
        return HOUSE_ROLES, HOUSE
    return check_roles(predicate["roles"], "key-added roles"), check_party(
        predicate["party"], "key-added party"
    )


def _take_mark_key(
    register: Register, predicate: Mapping[str, Any], added_key: PublicKey, index: int
) -> Register:
    if "mark_key" not in predicate:
        return register
    public_key = PublicKey.from_jwk(predicate["mark_key"])
    if public_key == added_key or _is_known(register, public_key):
        raise CustodyError("key-known", f"expected a mark key new to the log, got {public_key.key_id}")
    return replace(register, mark_keys=(*register.mark_keys, MarkKey(public_key, index)))


def _is_known(register: Register, public_key: PublicKey) -> bool:
    marks = (item.public_key for item in register.mark_keys)
    return public_key.key_id in register.records or public_key in marks


def _rotate(
    register: Register, predicate: Mapping[str, Any], others: list[str], added_key: PublicKey, index: int
) -> Register:
    old_id = check_key_id(predicate["replaces"], "key-rotated replaces")
    if old_id not in others:
        raise CustodyError("key-absent", f"expected the replaced key {old_id} to sign its own rotation")
    old = register.records[old_id]
    if "mark_key" in predicate and OPERATOR not in old.roles:
        raise CustodyError("role-missing", "expected an operator's key to bring a mark key")
    retired = _put(register, replace(old, retired_at=index))
    return _put(retired, KeyRecord(added_key, old.roles, old.party, index))


def _revoke(
    register: Register, predicate: Mapping[str, Any], key_ids: Collection[str], index: int
) -> Register:
    key_id = check_key_id(predicate["key_id"], "key-revoked key_id")
    record = register.records.get(key_id)
    if record is None or record.reason is not None:
        raise CustodyError("key-unknown", f"expected a known key that was not revoked, got {key_id}")
    signers = register.find_signers(key_ids, index)
    if key_id not in key_ids and not any(OPERATOR in signer.roles for signer in signers):
        raise CustodyError("role-missing", f"expected an operator or the key itself to revoke {key_id}")
    if record.is_active() and OPERATOR in record.roles and not _other_operator(register, key_id):
        raise CustodyError("operator-missing", f"key {key_id} is the last operator's: rotate it instead")
    disputed_from = predicate.get("from")
    if disputed_from is not None and disputed_from > index:
        raise CustodyError(
            "revocation-late", f"expected a revocation from an index up to {index}, got {disputed_from}"
        )
    revoked = replace(
        record,
        retired_at=index if record.retired_at is None else record.retired_at,
        disputed_from=disputed_from,
        reason=predicate["reason"],
    )
    return _put(register, revoked)


def _other_operator(register: Register, key_id: str) -> bool:
    return any(
        record.is_active() and OPERATOR in record.roles
        for other, record in register.records.items()
        if other != key_id
    )


def _put(register: Register, record: KeyRecord) -> Register:
    records = MappingProxyType({**register.records, record.public_key.key_id: record})
    return replace(register, records=records)
