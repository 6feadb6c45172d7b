"""The custody rules where they bite: at the writer, and in fsck."""

from pathlib import Path

import pytest
from ledger_world import (
    ACTOR_KEY,
    LOG_KEY,
    ORIGIN,
    OTHER_KEY,
    append,
    check,
    draft,
    draft_key,
    make_store,
    sha,
    sign_event,
)

import ledger
from ledger import Draft, Place, SigningKey, Store
from ledger import custodian as custodian_module
from ledger.custodian import Custodian
from ledger.errors import CorruptError, CustodyError, FormatError
from ledger.event import build_key_added, build_key_revoked, build_key_rotated
from ledger.lock import hold_writer_lock
from ledger.predicate import GENERATED, LICENSED, NOTICE, PUBLISHED, REVOKED, STAMPED

TIME = "2026-11-22T17:31:32Z"
PLATFORM_KEY = SigningKey(sha("platform"))
PUBLISH = {"time": TIME, "channel": "radio"}
REVOKE = {"time": TIME, "reason": "stamped-in-error"}
LICENCE = {"time": TIME, "licence": {"class": "sync", "terms_sha256": sha("terms").hex()}}
CLAIM = {"time": TIME, "claim": "copyright"}


@pytest.fixture
def store(tmp_path: Path):
    with make_store(tmp_path) as opened:
        yield opened


def on_keys(payload, *signers: SigningKey) -> Draft:  # type: ignore[no-untyped-def]
    return Draft(ledger.KEYS_ASSET, lambda place: ledger.sign_envelope(payload(place), signers))


def add_platform(store: Store) -> None:
    key = PLATFORM_KEY.public_key
    append(
        store,
        on_keys(
            lambda place: build_key_added(place, key, roles=["platform"], party="platform.example"),
            ACTOR_KEY,
            PLATFORM_KEY,
        ),
    )


def refuse(store: Store, code: str, *events: Draft | bytes) -> None:
    before = store.state()
    with pytest.raises(CustodyError) as caught:
        append(store, *events)
    assert caught.value.code == code
    assert store.state() == before


def test_the_writer_refuses_what_may_not_follow_and_records_nothing(store: Store) -> None:
    refuse(store, "not-begun", draft("track:1", kind=PUBLISHED, **PUBLISH))
    append(store, draft("track:1", kind=GENERATED), draft("track:1", kind=REVOKED, **REVOKE))
    for kind, facts in ((PUBLISHED, PUBLISH), (LICENSED, LICENCE), (STAMPED, {}), (REVOKED, REVOKE)):
        refuse(store, "revoked", draft("track:1", kind=kind, **facts))
    refuse(store, "revoked", draft("track:2"), draft("track:1", kind=PUBLISHED, **PUBLISH))
    append(store, draft("track:2"))
    with pytest.raises(FormatError):
        append(store, draft("track:2", kind=PUBLISHED, channel="radio"))
    assert check(store).ok


def test_roles_are_those_of_the_register(store: Store) -> None:
    append(store, draft("track:1"))
    refuse(store, "role-missing", draft("track:1", kind=NOTICE, **CLAIM))
    add_platform(store)
    append(store, draft("track:1", kind=NOTICE, signing_keys=(PLATFORM_KEY,), **CLAIM))
    refuse(store, "role-missing", draft("track:2", signing_keys=(PLATFORM_KEY,)))
    refuse(store, "role-missing", draft_key(OTHER_KEY, PLATFORM_KEY, OTHER_KEY))
    assert check(store).ok


def test_a_batch_sees_its_own_events(store: Store) -> None:
    key = OTHER_KEY.public_key
    append(
        store,
        draft_key(OTHER_KEY, ACTOR_KEY, OTHER_KEY),
        draft("track:1", signing_keys=(OTHER_KEY,)),
        draft("track:1", kind=PUBLISHED, signing_keys=(OTHER_KEY,), **PUBLISH),
        on_keys(lambda place: build_key_revoked(place, key, "compromised", disputed_from=2), ACTOR_KEY),
        draft("track:1", kind=REVOKED, **REVOKE),
    )
    refuse(store, "key-retired", draft("track:2", signing_keys=(OTHER_KEY,)))
    assert check(store).ok


def test_a_rotated_key_signs_in_place_of_the_old_one(store: Store) -> None:
    append(store, draft("track:1"))
    append(
        store,
        on_keys(
            lambda place: build_key_rotated(place, OTHER_KEY.public_key, ACTOR_KEY.key_id),
            ACTOR_KEY,
            OTHER_KEY,
        ),
    )
    refuse(store, "key-retired", draft("track:1", kind=PUBLISHED, **PUBLISH))
    append(store, draft("track:1", kind=PUBLISHED, signing_keys=(OTHER_KEY,), **PUBLISH))
    assert {key.key_id for key in store.public_keys()} == {ACTOR_KEY.key_id, OTHER_KEY.key_id}
    assert check(store).ok


def test_states_hold_across_restarts_other_writers_and_refused_batches(store: Store) -> None:
    add_platform(store)
    append(store, draft("track:1", kind=GENERATED))
    with Store(store.url) as other:
        append(other, draft("track:1", kind=NOTICE, signing_keys=(PLATFORM_KEY,), **CLAIM))
        append(store, draft("track:1", kind=PUBLISHED, **PUBLISH))
        append(other, draft("track:1", kind=REVOKED, **REVOKE))
        refuse(store, "revoked", draft("track:1", kind=PUBLISHED, **PUBLISH))
        # A batch that is refused as a whole leaves no trace of its first half.
        with pytest.raises(CustodyError):
            append(other, draft("track:2"), draft("track:2", kind=REVOKED, **REVOKE), draft("track:2"))
        append(other, draft("track:2"), draft("track:2", kind=PUBLISHED, **PUBLISH))
        key = SigningKey(sha("fresh"))
        append(store, draft_key(key, ACTOR_KEY, key))
        append(other, draft("track:3", signing_keys=(key,)))
    assert check(store).ok


def test_a_refused_submission_leaves_no_state_to_those_after_it_in_the_same_commit(store: Store) -> None:
    add_platform(store)
    append(store, draft("track:1"))
    before = store.state().size
    notice = draft("track:1", kind=NOTICE, signing_keys=(PLATFORM_KEY,), **CLAIM)
    key = SigningKey(sha("fresh"))
    submissions = [
        [draft("track:1", kind=REVOKED, **REVOKE), draft_key(key, ACTOR_KEY, key)],
        [notice, draft_key(OTHER_KEY, ACTOR_KEY, OTHER_KEY), draft("track:9", kind=PUBLISHED, **PUBLISH)],
        [draft("track:1", kind=PUBLISHED, **PUBLISH)],
        [draft("track:2", signing_keys=(key,))],
        [draft("track:3", signing_keys=(OTHER_KEY,))],
    ]
    # While the writer's right is held here, all of them queue up for one commit.
    with hold_writer_lock(Path(store.url.removeprefix("sqlite:///")), timeout_s=5):
        futures = [store.submit(events, log_signing_key=LOG_KEY) for events in submissions]
    outcomes = [future.exception(timeout=30) for future in futures]
    assert [type(item).__name__ for item in outcomes] == [
        "NoneType",
        "CustodyError",
        "CustodyError",
        "NoneType",
        "UnknownKeyError",
    ]
    assert "revoked" in str(outcomes[2])
    assert store.state().size == before + 3
    assert check(store).ok


def test_a_forgotten_state_is_replayed(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(custodian_module, "MAX_STATES", 2)
    append(store, draft("track:1"), draft("track:1", kind=REVOKED, **REVOKE))
    append(store, *[draft(f"track:{number}") for number in range(2, 6)])
    refuse(store, "revoked", draft("track:1"))
    append(store, draft("track:2", kind=PUBLISHED, **PUBLISH))


def test_fsck_names_an_event_that_the_rules_refuse(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    append(store, draft("track:1"), draft("track:1", kind=REVOKED, **REVOKE))
    with monkeypatch.context() as patch:  # a writer without the rules, whoever wrote it
        patch.setattr(Custodian, "admit", lambda *_: None)
        append(store, draft("track:1", kind=PUBLISHED, **PUBLISH), draft("track:1", kind=LICENSED, **LICENCE))
        append(store, draft("track:2"))
    report = check(store)
    assert [(item.index, item.code) for item in report.findings] == [(3, "event-refused")]
    assert "may not follow the revocation" in report.findings[0].message
    with Store(store.url) as fresh, pytest.raises(CorruptError, match="entry 3"):
        append(fresh, draft("track:1", kind=REVOKED, **REVOKE))


def test_fsck_says_one_fault_once_when_a_key_entry_is_broken(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(Custodian, "admit", lambda *_: None)
        add_platform(store)
        append(store, draft_key(OTHER_KEY, PLATFORM_KEY, OTHER_KEY))  # added by a key that is no operator's
        append(store, draft("track:1", signing_keys=(OTHER_KEY,)))
    assert [(item.index, item.code) for item in check(store).findings] == [(2, "event-refused")]


def test_an_event_signed_for_the_writer_s_place_is_judged_like_a_draft(store: Store) -> None:
    entry = sign_event(Place(ORIGIN, "track:1", 0, b""), kind=PUBLISHED, **PUBLISH)
    refuse(store, "not-begun", entry)
