from pathlib import Path

import pytest
from ledger_world import (
    ACTOR_KEY,
    LOG_KEY,
    ORIGIN,
    OTHER_KEY,
    VKEY,
    append,
    draft,
    draft_key,
    fill,
    make_store,
    sha,
)

import ledger
from ledger import Opening, Store, check_bundle, check_proof, commit, make_bundle, merkle, sign_checkpoint
from ledger.bundle import bundle_proofs
from ledger.canonical import format_json, parse_object
from ledger.errors import BundleError, LedgerError, NotFoundError

SALT = sha("salt")


@pytest.fixture
def store(tmp_path: Path):
    with make_store(tmp_path) as opened:
        fill(opened, 4)
        facts = {"commitments": {"prompt": commit("prompt", SALT, "slow waltz").hex()}}
        append(opened, draft("track:a", kind=ledger.GENERATED, **facts), draft("track:a"))
        fill(opened, 3)
        append(opened, draft("track:a", note="third"))
        yield opened


def edit(bundle: bytes, **changes: object) -> bytes:
    return format_json(parse_object(bundle, max_bytes=10**7) | changes)


def members(bundle: bytes) -> dict:
    return parse_object(bundle, max_bytes=10**7)


def test_a_bundle_proves_an_asset_s_history_with_the_log_s_key_alone(store: Store) -> None:
    report = check_bundle(make_bundle(store, "track:a"), vkey=VKEY)
    assert (report.origin, report.asset, report.vkey_pinned, report.signers_pinned) == (
        ORIGIN,
        "track:a",
        True,
        False,
    )
    assert [item.index for item in report.events] == [5, 6, 10]
    assert [item.event.statement.predicate_type for item in report.events] == [
        ledger.GENERATED,
        ledger.STAMPED,
        ledger.STAMPED,
    ]
    assert report.checkpoint.size == 11


def test_a_bundle_s_own_key_is_said_to_be_unpinned(store: Store) -> None:
    assert check_bundle(make_bundle(store, "track:a")).vkey_pinned is False


def test_trust_can_be_narrowed_to_known_signers(store: Store) -> None:
    bundle = make_bundle(store, "track:a")
    assert check_bundle(bundle, vkey=VKEY, public_keys=[ACTOR_KEY.public_key]).signers_pinned
    with pytest.raises(BundleError, match="not trusted here"):
        check_bundle(bundle, vkey=VKEY, public_keys=[OTHER_KEY.public_key])


def test_commitments_are_opened_only_by_their_value(store: Store) -> None:
    opening = Opening("prompt", SALT, "slow waltz")
    bundle = make_bundle(store, "track:a", openings=[opening])
    assert check_bundle(bundle, vkey=VKEY).openings == {"prompt": "slow waltz"}
    assert check_bundle(make_bundle(store, "track:a"), vkey=VKEY).openings == {}
    for wrong in (Opening("prompt", SALT, "fast waltz"), Opening("mark_id", SALT, "slow waltz")):
        with pytest.raises(BundleError):
            make_bundle(store, "track:a", openings=[wrong])


def test_keys_that_sign_are_followed_to_the_log_s_first_key(store: Store) -> None:
    third = ledger.SigningKey(sha("third"))
    append(
        store,
        draft_key(OTHER_KEY, ACTOR_KEY, OTHER_KEY),
        draft_key(third, OTHER_KEY, third),
        draft("track:b", signing_keys=(third,)),
    )
    bundle = make_bundle(store, "track:b")
    assert len(members(bundle)["keys"]) == 3
    check_bundle(bundle, vkey=VKEY)
    for gap in range(3):
        kept = [item for number, item in enumerate(members(bundle)["keys"]) if number != gap]
        with pytest.raises(BundleError):
            check_bundle(edit(bundle, keys=kept), vkey=VKEY)


def test_the_key_list_is_an_asset_with_a_bundle_of_its_own(store: Store) -> None:
    append(store, draft_key(OTHER_KEY, ACTOR_KEY, OTHER_KEY))
    report = check_bundle(make_bundle(store, ledger.KEYS_ASSET), vkey=VKEY)
    assert [item.event.added_key for item in report.events] == [ACTOR_KEY.public_key, OTHER_KEY.public_key]


def test_each_event_is_a_proof_for_other_c2sp_verifiers(store: Store) -> None:
    for entry, text in bundle_proofs(make_bundle(store, "track:a")):
        index, _ = check_proof(text, merkle.leaf_hash(entry), ORIGIN, VKEY)
        assert store.entry(index) == entry


def test_no_changed_byte_of_a_bundle_goes_unnoticed(store: Store) -> None:
    bundle = make_bundle(store, "track:a", openings=[Opening("prompt", SALT, "slow waltz")])
    for position in range(0, len(bundle), 3):
        changed = bytearray(bundle)
        changed[position] ^= 1
        with pytest.raises(BundleError):
            check_bundle(bytes(changed), vkey=VKEY)


def test_hidden_moved_and_foreign_events_are_refused(store: Store) -> None:
    bundle = make_bundle(store, "track:a")
    events = members(bundle)["events"]
    other = members(make_bundle(store, "track:0"))["events"]
    for tampered in (
        events[1:],
        [events[0], events[2]],
        [events[1], events[0], events[2]],
        [events[0], events[0], events[1]],
        [events[0], other[0]],
        [events[0] | {"proof": events[1]["proof"]}, *events[1:]],
        other,
        [],
    ):
        with pytest.raises(BundleError):
            check_bundle(edit(bundle, events=tampered), vkey=VKEY)
    check_bundle(edit(bundle, events=events[:2]), vkey=VKEY)  # an older bundle is not a wrong one


def test_a_checkpoint_from_elsewhere_is_refused(store: Store) -> None:
    bundle = make_bundle(store, "track:a")
    state = store.state()
    for note in (
        store.checkpoint(8),
        sign_checkpoint(ORIGIN, state.size, state.root, OTHER_KEY),
        sign_checkpoint(ORIGIN, state.size, sha("x"), LOG_KEY),
        sign_checkpoint("provenote.example/other", state.size, state.root, LOG_KEY),
    ):
        with pytest.raises(BundleError):
            check_bundle(edit(bundle, checkpoint=note.decode()), vkey=VKEY)
    with pytest.raises(BundleError, match="expected a bundle of the log"):
        check_bundle(bundle, vkey=ledger.format_vkey(ORIGIN, OTHER_KEY.public_key))


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"{}",
        b"[]",
        b"x" * 4_000_001,
        b'{"format":"https://provenote.example/bundle/v2"}',
    ],
)
def test_other_files_are_no_bundle(data: bytes) -> None:
    with pytest.raises(BundleError):
        check_bundle(data)


@pytest.mark.parametrize(
    "change",
    [
        {"format": "https://provenote.example/bundle/v2"},
        {"origin": "provenote.example/other"},
        {"origin": 5},
        {"asset": "track:b"},
        {"asset": ""},
        {"events": {}},
        {"events": [5]},
        {"keys": []},
        {"keys": [{"envelope": {}, "proof": ""}]},
        {"openings": [{"label": "prompt"}]},
        {"openings": [{"label": "prompt", "salt": "00", "value": 1}]},
        {"extra": 1},
    ],
)
def test_changed_members_are_refused(store: Store, change: dict[str, object]) -> None:
    with pytest.raises(BundleError):
        check_bundle(edit(make_bundle(store, "track:a"), **change), vkey=VKEY)


def test_ten_events_in_a_log_of_ten_million_would_fit_32_kilobytes(tmp_path: Path) -> None:
    with make_store(tmp_path) as store:
        append(store, *[draft("track:a", licence="all rights reserved " * 10) for _ in range(10)])
        bundle = make_bundle(store, "track:a")
        path_bytes = 24 * 46  # hashes of 44 characters, newline escaped as two
        largest = len(bundle) + 11 * path_bytes
    assert largest <= 32_768


def test_an_asset_without_events_has_no_bundle(store: Store) -> None:
    with pytest.raises(NotFoundError):
        make_bundle(store, "track:none")


def test_every_error_of_a_check_is_one_of_the_ledger(store: Store) -> None:
    bundle = make_bundle(store, "track:a")
    for cut in range(0, len(bundle), 97):
        with pytest.raises(LedgerError):
            check_bundle(bundle[:cut])
