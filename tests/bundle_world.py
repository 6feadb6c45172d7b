"""A log with everything that a bundle can show, and helpers to tamper with the finished bundle."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from ledger_world import ACTOR_KEY, ORIGIN, OTHER_KEY, VKEY, append, draft, make_store, sha
from witness_server import WitnessState

import ledger
from ledger import Draft, Evidence, Opening, PublicKey, SigningKey, Store, Subject, commit
from ledger.anchor import HeadIndex, sign_anchor
from ledger.attestation import Attestations
from ledger.canonical import format_json, parse_object
from ledger.event import LOG_ASSET, build_key_added, build_key_revoked
from ledger.marks import tag_mark
from ledger.mldsa import MldsaSigningKey
from ledger.note import parse_vkey
from ledger.policy import Policy, parse_policy
from ledger.predicate import (
    COUNTER_NOTICE,
    DECISION,
    DELIVERED,
    GENERATED,
    LICENSED,
    NOTICE,
    PUBLISHED,
    SIGNED,
    STAMPED,
)
from ledger.publication import publish
from ledger.vrf import VrfKey

ASSET = "track:7q2xk"
TIME = "2026-11-22T17:31:32Z"
NOW_S = 1_790_000_000
SALT = sha("salt")
PROMPT = Opening("prompt", SALT, "slow waltz in D minor, piano")
PLATFORM_KEY = SigningKey(sha("platform"))
LOG_MLDSA = MldsaSigningKey(sha("log mldsa"))
WITNESSES = {"one": SigningKey(sha("witness one")), "two": SigningKey(sha("witness two"))}
LIFE: list[tuple[str, SigningKey, dict[str, Any]]] = [
    (
        GENERATED,
        ACTOR_KEY,
        {"commitments": {"prompt": commit("prompt", SALT, PROMPT.value).hex()}, "seed": 7},
    ),
    (STAMPED, ACTOR_KEY, {"profile": "pn1", "time": TIME}),
    (SIGNED, ACTOR_KEY, {"time": TIME, "credential": {"id": "urn:c2pa:1", "sha256": sha("c2pa").hex()}}),
    (DELIVERED, OTHER_KEY, {"time": TIME, "commitments": {"recipient": sha("recipient").hex()}}),
    (PUBLISHED, OTHER_KEY, {"time": TIME, "channel": "radio"}),
    (LICENSED, ACTOR_KEY, {"time": TIME, "licence": {"class": "sync", "terms_sha256": sha("terms").hex()}}),
    (NOTICE, PLATFORM_KEY, {"time": TIME, "claim": "copyright"}),
    (COUNTER_NOTICE, ACTOR_KEY, {"time": TIME, "notice": 6}),
    (DECISION, PLATFORM_KEY, {"time": TIME, "notice": 6, "outcome": "denied"}),
    (PUBLISHED, ACTOR_KEY, {"time": TIME, "channel": "stream"}),
]


@dataclass(frozen=True)
class World:
    """The log, its bundle of ASSET, and the policy that names its witnesses."""

    store: Store
    bundle: bytes
    policy: Policy
    evidence: Evidence


def on_keys(build: Callable[[ledger.Place], bytes], *signers: SigningKey) -> Draft:
    return Draft(ledger.KEYS_ASSET, lambda place: ledger.sign_envelope(build(place), signers))


def make_world(folder) -> World:  # type: ignore[no-untyped-def]
    store = make_store(folder)
    other, platform = OTHER_KEY.public_key, PLATFORM_KEY.public_key
    append(
        store,
        on_keys(lambda place: build_key_added(place, other), ACTOR_KEY, OTHER_KEY),
        on_keys(
            lambda place: build_key_added(place, platform, roles=["platform"], party="platform.example"),
            ACTOR_KEY,
            PLATFORM_KEY,
        ),
    )
    for number, (kind, key, facts) in enumerate(LIFE):
        append(
            store,
            draft(ASSET, kind=kind, signing_keys=(key,), **facts),
            draft(f"track:{number % 3}", n=number),
        )
        if number == 5:
            append(
                store,
                on_keys(
                    lambda place: build_key_revoked(place, other, "compromised", disputed_from=12), ACTOR_KEY
                ),
            )
    return finish(store)


MARK_KEYS = tuple(VrfKey(sha(f"mark key {number}")) for number in range(2))
MARKS = tuple(sha(f"mark {number}")[:8] for number in range(3))
"""The first is known under the first mark key, the second under both, the third nowhere."""


def make_mark_world(folder) -> World:  # type: ignore[no-untyped-def]
    """A log that has an untagged mark, then two mark keys, each with events that it tagged."""
    store = make_store(folder)

    def marked(asset: str, mark_id: bytes, key: VrfKey | None) -> Draft:
        subjects = [Subject("file", sha(asset)), *([tag_mark(key, mark_id).subject()] if key else [])]
        facts = {"commitments": {"mark_id": commit("mark_id", SALT, mark_id.hex()).hex()}}
        return Draft(
            asset,
            lambda place: ledger.sign_envelope(
                ledger.build_event(STAMPED, place, subjects, facts), [ACTOR_KEY]
            ),
        )

    append(store, marked("track:old", MARKS[2], None))
    for number, key in enumerate(MARK_KEYS):
        signer, added = SigningKey(sha(f"brings mark key {number}")), key.public_key

        def bring(place: ledger.Place, signer: SigningKey = signer, added: PublicKey = added) -> bytes:
            return build_key_added(place, signer.public_key, mark_key=added)

        append(store, on_keys(bring, ACTOR_KEY, signer))
        append(store, *[marked(f"track:{number}-{item.hex()}", item, key) for item in MARKS[number:2]])
    append(store, marked(ASSET, MARKS[1], MARK_KEYS[1]))
    return finish(store, openings=())


def finish(store: Store, *, openings: tuple[Opening, ...] = (PROMPT,)) -> World:
    """Anchor, publish to the witnesses, and bundle."""
    heads = HeadIndex(store)
    anchor = heads.measure(store.state().size)
    append(store, Draft(LOG_ASSET, lambda place: sign_anchor(place, anchor, TIME, ACTOR_KEY)))
    trusted = {ORIGIN: parse_vkey(VKEY)}
    states = {
        name: WitnessState(f"{name}.example/w", key, trusted, clock=lambda: NOW_S)
        for name, key in WITNESSES.items()
    }
    lines = [f"witness {name} {state.vkey} http://{name}\n" for name, state in states.items()]
    policy = parse_policy(("".join(lines) + "group g all one two\nquorum g\n").encode())
    attestations = Attestations(store.url)
    published = publish(
        store,
        attestations,
        policy,
        lambda url, body: states[url.split("/")[2]].add_checkpoint(body),
        now_s=NOW_S,
        mldsa_signing_key=LOG_MLDSA,
    )
    attestations.close()
    vkeys = [state.vkey for state in states.values()]
    evidence = Evidence(published.note, tuple(vkeys), heads)
    return World(
        store, ledger.make_bundle(store, ASSET, openings=openings, evidence=evidence), policy, evidence
    )


def read(bundle: bytes) -> dict[str, Any]:
    return parse_object(bundle, max_bytes=10**7)


def edit(bundle: bytes, change: Callable[[dict[str, Any]], object]) -> bytes:
    """Return the bundle after a change to its members, canonical again."""
    members = read(bundle)
    change(members)
    return format_json(members)


def find(members: dict[str, Any], n: int, asset: str = ASSET) -> dict[str, Any]:
    """Return the entry of an asset's event n."""
    for item in members["entries"]:
        place = item["payload"]["predicate"]["ledger"]
        if (place["asset"], place["n"]) == (asset, n):
            return item
    raise AssertionError(f"no event {n} of {asset}")


def resign(item: dict[str, Any], key: SigningKey = ACTOR_KEY) -> None:
    """Sign an entry of a bundle again, as somebody who has the key."""
    entry = ledger.sign_envelope(format_json(item["payload"]), [key])
    (signature,) = parse_object(entry, max_bytes=10**6)["signatures"]
    item["signatures"] = [signature]
