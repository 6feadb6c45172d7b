"""Recording custody events after a track was released, and forgetting people.

`record_event` writes what happened to a track: delivered, published, licensed, a notice, a decision ... What
is personal goes into the vault, sealed under the person's key; the entry holds only commitments. A crash
between the two leaves a sealed value that no entry speaks of, which is harmless.

`erase_person` destroys the person's key first and logs it then: a log that says "erased" never lies. A crash
in between is put right by calling it again: the sealed values, by now noise, still say what was to be logged.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import ledger
from ledger.envelope import parse_envelope
from ledger.event import asset_subject, build_key_revoked, parse_commitments
from ledger.predicate import ERASED, EVENT_TYPES, KEY_TYPES, name_type

from .errors import MissingError, RefusedError
from .installation import Installation, now
from .release import name_asset


@dataclass(frozen=True)
class Erasure:
    """What an erasure did: how many values cannot be opened any more, and the entries that say so."""

    values: int
    receipts: tuple[ledger.Receipt, ...]


def record_event(
    installation: Installation,
    track_id: str,
    event: str,
    facts: Mapping[str, Any],
    *,
    personal: Mapping[str, object] | None = None,
    person: str | None = None,
    signing_keys: Sequence[ledger.SigningKey] = (),
) -> ledger.Receipt:
    """Append an event to a track's history.

    Parameters
    ----------
    installation
        The ledger folder.
    track_id
        A released track.
    event
        The short name of the type, such as `licensed`.
    facts
        The members of its predicate, without time, place and commitments.
    personal
        Values by label that are only committed to.
    person
        Whose they are, as `Vault.add_person` has named them.
    signing_keys
        Who signs; the issuer's key if none is given.

    Raises
    ------
    RefusedError
        An event that is not about a track, or personal values without a person.
    MissingError, ledger.LedgerError
        No such track or person; or the ledger does not take the event.
    """
    kind = name_type(event)
    if kind not in EVENT_TYPES - KEY_TYPES:
        names = sorted(item.rsplit("/", 2)[-2] for item in EVENT_TYPES - KEY_TYPES)
        raise RefusedError(f"expected an event of {names}, got {event!r:.80}")
    if personal and person is None:
        raise RefusedError("personal values need a person, whose key they are sealed under")
    installation.registry.get_released(track_id)
    asset = name_asset(track_id)
    commitments = {
        label: installation.vault.seal(person or "", asset, label, value).hex()
        for label, value in (personal or {}).items()
    }
    members = {"time": now(), **facts, **({"commitments": commitments} if commitments else {})}
    signers = list(signing_keys) or [installation.keyring.issuer_signing_key]

    def build(place: ledger.Place) -> bytes:
        return ledger.sign_envelope(ledger.build_event(kind, place, [asset_subject(asset)], members), signers)

    try:
        return _append(installation, ledger.Draft(asset, build))[0]
    except ledger.errors.OutcomeUnknownError:
        raise  # the entry may be there, and then it needs what opens it
    except ledger.LedgerError:
        installation.vault.remove([bytes.fromhex(item) for item in commitments.values()])
        raise


def erase_person(installation: Installation, person: str, ground: str) -> Erasure:
    """Destroy a person's key and log which commitments cannot be opened any more.

    Parameters
    ----------
    installation
        The ledger folder.
    person
        The id that `Vault.add_person` gave.
    ground
        Why, as a code such as `gdpr-17`.

    Raises
    ------
    MissingError
        Nothing is known of such a person.
    ledger.LedgerError
        The key cannot be destroyed, or the ledger does not take the event; call again.
    """
    vault, store = installation.vault, installation.store
    if not vault.is_known(person):
        raise MissingError(f"nothing is known of person {person!r:.80}")
    values = vault.list_of_person(person)
    vault.destroy_key(person)
    drafts = []
    for asset in sorted({item.asset for item in values}):
        wanted = {item.commitment for item in values if item.asset == asset}
        named = _find_commitments(store.chain(asset), wanted)
        if named:
            drafts.append(ledger.Draft(asset, _build_erased(installation, asset, ground, named)))
    receipts = _append(installation, *drafts) if drafts else []
    vault.remove([item.commitment for item in values])
    return Erasure(len(values), tuple(receipts))


def add_actor(
    installation: Installation, signing_key: ledger.SigningKey, roles: Sequence[str], party: str
) -> ledger.Receipt:
    """Take somebody else's key into the ledger; both they and the issuer sign; LedgerError if refused."""

    def build(place: ledger.Place) -> bytes:
        payload = ledger.build_key_added(place, signing_key.public_key, roles=roles, party=party)
        return ledger.sign_envelope(payload, [installation.keyring.issuer_signing_key, signing_key])

    return _append(installation, ledger.Draft(ledger.KEYS_ASSET, build))[0]


def revoke_key(
    installation: Installation, key_id: str, reason: str, *, disputed_from: int | None = None
) -> ledger.Receipt:
    """Revoke a key from the next entry on, and dispute what it signed from a log index on.

    Raises
    ------
    MissingError
        The ledger knows no such key.
    ledger.LedgerError
        The ledger does not take the event, for example since no operator's key would be left.
    """
    found = next((key for key in installation.store.public_keys() if key.key_id == key_id), None)
    if found is None:
        raise MissingError(f"the ledger knows no key {key_id!r:.80}")

    def build(place: ledger.Place) -> bytes:
        payload = build_key_revoked(place, found, reason, disputed_from=disputed_from)
        return ledger.sign_envelope(payload, [installation.keyring.issuer_signing_key])

    return _append(installation, ledger.Draft(ledger.KEYS_ASSET, build))[0]


def _append(installation: Installation, *drafts: ledger.Draft) -> list[ledger.Receipt]:
    return installation.store.append(drafts, log_signing_key=installation.keyring.log_signing_key)


def _build_erased(installation: Installation, asset: str, ground: str, named: list[tuple[int, str]]) -> Any:
    facts = {
        "time": now(),
        "ground": ground,
        "erased": [{"n": n, "label": label} for n, label in named],
    }
    signers = [installation.keyring.issuer_signing_key]

    def build(place: ledger.Place) -> bytes:
        return ledger.sign_envelope(ledger.build_event(ERASED, place, [asset_subject(asset)], facts), signers)

    return build


def _find_commitments(chain: list[tuple[int, bytes]], wanted: set[bytes]) -> list[tuple[int, str]]:
    """Return event number and label of the commitments of an asset, without those erased before."""
    found: list[tuple[int, str]] = []
    for n, (_, entry) in enumerate(chain):
        statement = ledger.parse_statement(parse_envelope(entry).unverified_payload)
        found += [(n, label) for label, digest in parse_commitments(statement).items() if digest in wanted]
        if statement.predicate_type == ERASED:
            gone = {(item["n"], item["label"]) for item in statement.predicate["erased"]}
            found = [item for item in found if item not in gone]
    return found
