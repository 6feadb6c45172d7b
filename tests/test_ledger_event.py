import hashlib

import pytest
from ledger_world import ACTOR_KEY, ORIGIN, OTHER_KEY, sha, sign_event

import ledger
from ledger import GENERATED, KEY_ADDED, KEYS_ASSET, STAMPED, Head, Place, Subject, build_event, open_event
from ledger.errors import EventError, FormatError, UnknownKeyError, WeakKeyError
from ledger.event import build_key_added, parse_place
from ledger.statement import build_statement, parse_statement

FIRST = Place(ORIGIN, "track:1", 0, b"")
SECOND = Place(ORIGIN, "track:1", 1, sha("leaf"))
KNOWN = {ACTOR_KEY.key_id: ACTOR_KEY.public_key}
SUBJECT = [Subject("file", sha("file"))]


def test_a_place_follows_its_asset_s_head() -> None:
    assert Place.after(ORIGIN, "track:1", None) == FIRST
    assert Place.after(ORIGIN, "track:1", Head(0, sha("leaf"))) == SECOND


def test_an_event_opens_to_its_place_and_signers() -> None:
    event = open_event(sign_event(SECOND, number=7), KNOWN)
    assert (event.place, event.key_ids, event.added_key) == (SECOND, (ACTOR_KEY.key_id,), None)
    assert event.statement.predicate["number"] == 7


def test_a_key_unknown_to_the_ledger_may_not_sign() -> None:
    with pytest.raises(UnknownKeyError):
        open_event(sign_event(FIRST, signing_keys=(OTHER_KEY,)), KNOWN)


@pytest.mark.parametrize(
    ("kind", "place", "match"),
    [
        ("https://provenote.example/unheard-of/v1", FIRST, "event type"),
        (GENERATED, SECOND, "first event"),
        (STAMPED, Place(ORIGIN, KEYS_ASSET, 0, b""), "alone"),
    ],
)
def test_events_against_the_rules_are_refused(kind: str, place: Place, match: str) -> None:
    with pytest.raises(EventError, match=match):
        open_event(sign_event(place, kind=kind), KNOWN)


def add_key(added: ledger.SigningKey, *signers: ledger.SigningKey, asset: str = KEYS_ASSET) -> bytes:
    return ledger.sign_envelope(build_key_added(Place(ORIGIN, asset, 0, b""), added.public_key), signers)


def test_a_key_is_added_by_itself_and_a_key_known_before() -> None:
    assert open_event(add_key(ACTOR_KEY, ACTOR_KEY), {}).added_key == ACTOR_KEY.public_key
    assert open_event(add_key(OTHER_KEY, ACTOR_KEY, OTHER_KEY), KNOWN).added_key == OTHER_KEY.public_key
    with pytest.raises(EventError, match="known key"):
        open_event(add_key(OTHER_KEY, OTHER_KEY), KNOWN)
    with pytest.raises(EventError, match="its own entry"):
        open_event(add_key(OTHER_KEY, ACTOR_KEY), KNOWN)
    with pytest.raises(EventError, match="new to the ledger"):
        open_event(add_key(ACTOR_KEY, ACTOR_KEY), KNOWN)
    with pytest.raises(EventError, match="alone"):
        open_event(add_key(OTHER_KEY, ACTOR_KEY, OTHER_KEY, asset="track:1"), KNOWN)


def test_a_weak_key_cannot_be_added() -> None:
    facts = {"key": {"crv": "Ed25519", "kty": "OKP", "x": "A" * 43}}
    place = Place(ORIGIN, KEYS_ASSET, 1, sha("leaf"))
    payload = build_event(KEY_ADDED, place, [Subject("key", hashlib.sha256(bytes(32)).digest())], facts)
    with pytest.raises(WeakKeyError):
        open_event(ledger.sign_envelope(payload, [ACTOR_KEY]), KNOWN)


@pytest.mark.parametrize(
    "member",
    [
        None,
        {},
        {"asset": "a", "n": 0, "origin": "o"},
        {"asset": "a", "n": 0, "origin": "o", "prev": "", "chain": ""},
        {"asset": "", "n": 0, "origin": "o", "prev": ""},
        {"asset": "a b", "n": 0, "origin": "o", "prev": ""},
        {"asset": "a" * 129, "n": 0, "origin": "o", "prev": ""},
        {"asset": "-a", "n": 0, "origin": "o", "prev": ""},
        {"asset": "a", "n": -1, "origin": "o", "prev": ""},
        {"asset": "a", "n": True, "origin": "o", "prev": "ab" * 32},
        {"asset": "a", "n": "0", "origin": "o", "prev": ""},
        {"asset": "a", "n": 0, "origin": "", "prev": ""},
        {"asset": "a", "n": 0, "origin": "o", "prev": "ab" * 32},
        {"asset": "a", "n": 1, "origin": "o", "prev": ""},
        {"asset": "a", "n": 1, "origin": "o", "prev": "AB" * 32},
    ],
)
def test_malformed_places_are_refused(member: object) -> None:
    payload = build_statement(STAMPED, SUBJECT, {"ledger": member})
    with pytest.raises(FormatError):
        parse_place(parse_statement(payload))


@pytest.mark.parametrize("commitments", [[], {"prompt": "ab"}, {"prompt": 5}])
def test_malformed_commitments_are_refused(commitments: object) -> None:
    with pytest.raises(FormatError):
        open_event(sign_event(FIRST, commitments=commitments), KNOWN)


def test_facts_cannot_replace_the_place() -> None:
    with pytest.raises(ValueError, match="ledger"):
        build_event(STAMPED, FIRST, SUBJECT, {"ledger": {}})
