"""The tamper table: every way to falsify a record that we know of, and who names it, with the exact entry.

Most of it is spread over the files of the parts that notice; COVERED says where, and a test keeps it true.
Here is the strongest forger of all: the operator, who has the log's real key and the database, and writes the
whole log anew with every hash, index and checkpoint in order. What is left to tell are actors' signatures,
the events' places, the rules of custody and the anchored maps, for the full check as for a stranger who
replays the tiles; and, where all of these hold, whoever kept a checkpoint.
"""

import ast
from collections.abc import Callable
from pathlib import Path

import pytest
from bundle_world import ASSET, TIME, make_world
from ledger_world import (
    ACTOR_KEY,
    LOG_KEY,
    ORIGIN,
    OTHER_KEY,
    VKEY,
    append,
    draft,
    make_store,
    make_url,
    sha,
    sign_event,
)

import ledger
from ledger import Place, SigningKey, Store, merkle
from ledger.anchor import Anchor, sign_anchor
from ledger.cosignature import Cosigner
from ledger.envelope import Envelope, format_envelope
from ledger.errors import FormatError, ProofError
from ledger.event import LOG_ASSET, Event, parse_event
from ledger.policy import parse_policy
from ledger.predicate import PUBLISHED
from ledger.replay import Replay
from ledger.rows import ENTRY, read_state
from ledger.sequencer import Accepted
from ledger.tilefolder import export_tiles, folder_fetch
from ledger.tilereader import check_tiles, open_tile_log
from ledger.transaction import read_edge, seal_batch, write_batch

Entries = list[bytes]
LATE_KEY = SigningKey(sha("late"))
REVOKED_AT = 15
"""Index of the entry that revokes OTHER_KEY in `bundle_world`."""

COVERED: dict[str, tuple[str, ...]] = {
    "1 a byte of an entry": (
        "inspection.test_a_changed_byte_names_its_entry",
        "scrubbing.test_each_damage_is_named_with_its_entry",
    ),
    "2 a leaf hash with it": (
        "inspection.test_a_leaf_hash_changed_with_its_entry_breaks_chain_tree_and_signature",
    ),
    "3 the last entry deleted": ("inspection.test_a_deleted_entry_is_named",),
    "4 one in the middle": ("inspection.test_an_entry_cut_out_with_the_rest_moved_up_is_named",),
    "5 entries swapped": ("inspection.test_two_swapped_entries_are_named",),
    "6 an entry inserted": ("inspection.test_an_inserted_entry_is_named",),
    "7 the log rewritten with its real key": (
        "inspection.test_a_history_rewritten_with_the_log_s_real_key_is_shown_by_a_kept_checkpoint",
        "bundle.test_a_rewritten_log_has_no_witnesses",
        "tampering.test_a_log_written_anew_with_the_real_key_names_the_entry",
    ),
    "8 the tail cut off, with an older checkpoint": (
        "inspection.test_a_rollback_to_an_older_state_is_shown_by_a_kept_checkpoint",
        "guard.test_a_restored_old_backup_stops_the_log",
        "publication.test_a_log_restored_from_an_old_backup_is_found_out_by_its_witnesses",
    ),
    "9 two views of the log": ("publication.test_a_split_view_never_has_two_quorums",),
    "10 a tile altered": ("tiles.test_every_changed_or_missing_tile_is_found_and_named",),
    "11 a tile of another log": ("tampering.test_a_tile_of_another_log_is_named",),
    "12 a checkpoint's size, root or origin": (
        "inspection.test_a_checkpoint_of_another_size_root_or_log_is_named",
    ),
    "13 a signature stripped": (
        "bundle.test_a_tampered_bundle_is_refused_for_the_right_reason_with_the_entry_named",
    ),
    "14 a cosignature by an unknown or reused key": (
        "bundle.test_a_cosigner_that_the_policy_does_not_name_does_not_count",
        "tampering.test_one_key_under_two_witness_names_is_no_quorum",
    ),
    "15 a cosignature of another checkpoint": (
        "cosignature.test_a_cosignature_holds_for_its_own_checkpoint_time_and_name",
    ),
    "16 an event hidden": ("bundle.test_a_bundle_forged_with_the_log_s_own_key_is_refused",),
    "17 an event under the wrong asset": ("bundle.test_a_bundle_forged_with_the_log_s_own_key_is_refused",),
    "18 n skipped or doubled": ("bundle.test_a_bundle_forged_with_the_log_s_own_key_is_refused",),
    "19 a signature of another event": (
        "bundle.test_a_tampered_bundle_is_refused_for_the_right_reason_with_the_entry_named",
        "tampering.test_a_log_written_anew_with_the_real_key_names_the_entry",
    ),
    "20 a key revoked or not yet valid": (
        "custody.test_keys_count_from_their_entry_up_to_their_revocation",
        "tampering.test_a_log_written_anew_with_the_real_key_names_the_entry",
    ),
    "21 a weak or non-canonical key": (
        "keys.test_cctv_edge_cases_are_accepted_only_where_every_verifier_agrees",
    ),
    "22 a forbidden transition": (
        "custody.test_every_event_in_every_state_is_allowed_or_refused_by_the_table",
    ),
    "23 a map root wrong or stale": (
        "replay.test_a_false_map_is_found_by_whoever_has_the_entries",
        "tampering.test_a_log_written_anew_with_the_real_key_names_the_entry",
    ),
    "24 an erased field given another value": ("bundle.test_commitments_are_opened_only_by_their_value",),
    "25 a proof of another index or leaf": ("proof.test_a_proof_holds_for_no_other_entry_index_log_or_key",),
    "26 other JSON, doubled or too long": ("envelope.test_every_changed_byte_of_an_entry_is_refused",),
    "27 a time-stamp of other data": ("timestamp.test_a_token_holds_for_its_own_data_and_request_alone",),
    "28 a trigger removed and a row edited": (
        "inspection.test_a_removed_trigger_is_named_and_so_is_what_was_edited",
    ),
    "29 a backup of another installation": ("tampering.test_a_database_of_another_log_is_refused",),
    "30 an index edited": ("inspection.test_each_edited_column_is_named_with_its_entry",),
}


@pytest.fixture(scope="module")
def entries(tmp_path_factory: pytest.TempPathFactory) -> Entries:
    """The entries of a log with several parties, a revocation and an anchor at its end."""
    world = make_world(tmp_path_factory.mktemp("tampering"))
    found = world.store.entries(0, world.store.state().size)
    world.store.close()
    assert parse_event(found[REVOKED_AT]).statement.predicate["reason"] == "compromised"
    return found


def forge(folder: Path, forged: Entries) -> Store:
    """Write a log of these entries as an operator can: whatever they are, all else follows from them."""
    url = make_url(folder)
    ledger.upgrade(url)
    store = Store.create(url, origin=ORIGIN, log_signing_key=LOG_KEY)
    accepted = []
    for entry in forged:
        seen = parse_event(entry)
        event = Event(seen.statement, seen.place, seen.envelope.key_ids, seen.added_key)
        accepted.append(Accepted(entry, merkle.leaf_hash(entry), event, None))
    with store.database.begin() as connection:
        state = read_state(connection)
        assert state is not None
        edge = read_edge(store.database, connection, state)
        batch = seal_batch(edge, accepted, LOG_KEY)
        places: set[tuple[str, int]] = set()
        for number, row in enumerate(batch.rows[ENTRY]):  # the table has room for a place once
            batch.rows[ENTRY][number] = (*row[:5], row[5] + 1000) if row[4:] in places else row
            places.add(row[4:])
        write_batch(store.database, connection, batch)
        connection.commit()
    return store


def place_of(entries: Entries, index: int) -> Place:
    return parse_event(entries[index]).place


def indexes_of(entries: Entries, asset: str) -> list[int]:
    return [index for index, entry in enumerate(entries) if parse_event(entry).place.asset == asset]


def put(index: int, make: Callable[[Entries], bytes]) -> Callable[[Entries], Entries]:
    """Put another entry in the place of one."""
    return lambda entries: [*entries[:index], make(entries), *entries[index + 1 :]]


def resign(index: int, key: SigningKey) -> Callable[[Entries], Entries]:
    """Sign an entry again by another key."""
    return put(
        index,
        lambda entries: ledger.sign_envelope(parse_event(entries[index]).envelope.unverified_payload, [key]),
    )


def borrow_signature(entries: Entries) -> bytes:
    taken, given = (parse_event(entries[index]).envelope for index in (7, 5))
    return format_envelope(Envelope(taken.unverified_payload, given.signatures))


def swap(first: int, second: int) -> Callable[[Entries], Entries]:
    def apply(entries: Entries) -> Entries:
        changed = list(entries)
        changed[first], changed[second] = entries[second], entries[first]
        return changed

    return apply


def add(*makers: Callable[[Entries], bytes]) -> Callable[[Entries], Entries]:
    """Add entries at the end."""
    return lambda entries: [*entries, *(make(entries) for make in makers)]


def add_late_key(entries: Entries) -> bytes:
    last = indexes_of(entries, ledger.KEYS_ASSET)[-1]
    place = Place(ORIGIN, ledger.KEYS_ASSET, place_of(entries, last).n + 1, merkle.leaf_hash(entries[last]))
    payload = ledger.build_key_added(place, LATE_KEY.public_key)
    return ledger.sign_envelope(payload, [ACTOR_KEY, LATE_KEY])


def next_event(key: SigningKey, **options: object) -> Callable[[Entries], bytes]:
    """Make the asset's next event, signed by a key."""

    def make(entries: Entries) -> bytes:
        last = indexes_of(entries, ASSET)[-1]
        leaf = merkle.leaf_hash(entries[last])
        place = Place(ORIGIN, ASSET, place_of(entries, last).n + 1, leaf)
        return sign_event(place, signing_keys=(key,), **options)  # type: ignore[arg-type]

    return make


def stale_anchor(entries: Entries) -> bytes:
    last = indexes_of(entries, LOG_ASSET)[-1]
    place = Place(ORIGIN, LOG_ASSET, 1, merkle.leaf_hash(entries[last]))
    old = parse_event(entries[last]).statement.predicate
    anchor = Anchor(old["size"] - 1, bytes.fromhex(old["heads_root"]), old["keys"])
    return sign_anchor(place, anchor, TIME, ACTOR_KEY)


# name: what is done to the entries, the code, and the index that is named.
FORGED: dict[str, tuple[Callable[[Entries], Entries], str, int]] = {
    "edited": (resign(7, SigningKey(sha("stranger"))), "key-unknown", 7),
    "signed again by another known key": (resign(7, OTHER_KEY), "order-broken", 9),
    "signature of another event": (put(7, borrow_signature), "signature-bad", 7),
    "deleted": (lambda entries: entries[:7] + entries[8:], "order-broken", 8),
    "first event deleted": (lambda entries: entries[:3] + entries[4:], "order-broken", 4),
    "reordered": (swap(5, 7), "order-broken", 5),
    "replayed": (lambda entries: [*entries[:10], entries[7], *entries[10:]], "order-broken", 10),
    "hidden at the end of its history": (
        put(23, lambda _: sign_event(Place(ORIGIN, "track:filler", 0, b""))),
        "anchor-bad",
        24,
    ),
    "by a key that was revoked": (
        add(next_event(OTHER_KEY, kind=PUBLISHED, time=TIME, channel="tv")),
        "event-refused",
        25,
    ),
    "by a key that is only added later": (add(next_event(LATE_KEY), add_late_key), "key-unknown", 25),
    "of another log": (
        add(
            lambda _: sign_event(Place("provenote.example/other", "track:new", 0, b"")),
        ),
        "event-refused",
        25,
    ),
    "against the rules": (
        add(next_event(ACTOR_KEY, kind=ledger.predicate.DECISION, time=TIME, notice=6, outcome="upheld")),
        "event-refused",
        25,
    ),
    "anchor of another size": (add(stale_anchor), "anchor-bad", 25),
}


def replay_all(entries: Entries) -> None:
    replay = Replay(ORIGIN)
    for entry in entries:
        replay.take(entry)


def test_the_log_itself_holds_when_it_is_written_anew(entries: Entries, tmp_path: Path) -> None:
    with forge(tmp_path, entries) as store:
        assert ledger.fsck(store, vkey=VKEY, public_keys=[ACTOR_KEY.public_key]).ok


@pytest.mark.parametrize("name", list(FORGED))
def test_a_log_written_anew_with_the_real_key_names_the_entry(
    entries: Entries, tmp_path: Path, name: str
) -> None:
    change, code, index = FORGED[name]
    forged = change(entries)
    with forge(tmp_path, forged) as store:
        report = ledger.fsck(store, vkey=VKEY, public_keys=[ACTOR_KEY.public_key])
    assert (report.first_broken, report.findings[0].code) == (index, code), report.findings[:3]
    with pytest.raises(ProofError, match=f"^entry {index}: "):
        replay_all(forged)


def test_a_log_cut_short_or_forked_holds_by_itself_but_not_against_a_kept_checkpoint(
    entries: Entries, tmp_path: Path
) -> None:
    (tmp_path / "real").mkdir()
    with forge(tmp_path / "real", entries) as store:
        kept = store.latest_checkpoint()
    fork = [*entries[:-1], next_event(ACTOR_KEY, kind=PUBLISHED, time=TIME, channel="tv")(entries[:-1])]
    for name, forged in (("short", entries[:-4]), ("fork", fork)):
        (tmp_path / name).mkdir()
        with forge(tmp_path / name, forged) as store:
            assert ledger.fsck(store, vkey=VKEY).ok
            report = ledger.fsck(store, vkey=VKEY, known_checkpoints=[kept])
            assert [item.code for item in report.findings] == ["history-rewritten"]
            with pytest.raises(ProofError):
                store.check_ancestor(kept)


@pytest.mark.parametrize("path", ["tile/entries/000.p/6", "tile/0/000.p/6"])
def test_a_tile_of_another_log_is_named(tmp_path: Path, path: str) -> None:
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        with make_store(tmp_path / name) as store:
            append(store, *(draft(f"track:{name}-{number}") for number in range(5)))
            note = store.latest_checkpoint()
            export_tiles(store, tmp_path / f"tiles-{name}", note, origin=ORIGIN, vkey=VKEY)
    (tmp_path / "tiles-one" / path).write_bytes((tmp_path / "tiles-two" / path).read_bytes())
    with pytest.raises(ProofError, match="entry 1 "):
        check_tiles(open_tile_log(folder_fetch(tmp_path / "tiles-one"), ORIGIN, VKEY))


def test_one_key_under_two_witness_names_is_no_quorum() -> None:
    key = SigningKey(sha("witness")).public_key
    lines = [f"witness {name} {Cosigner(f'{name}.example/w', key).vkey}\n" for name in ("one", "two")]
    with pytest.raises(FormatError, match="key"):
        parse_policy(("".join(lines) + "group g all one two\nquorum g\n").encode())


def test_a_database_of_another_log_is_refused(entries: Entries, tmp_path: Path) -> None:
    """Its origin and key are in every entry and checkpoint."""
    with forge(tmp_path, entries) as store:
        other = ledger.format_vkey("provenote.example/other", LOG_KEY.public_key)
        report = ledger.fsck(store, vkey=other)
    assert report.first_broken == 0
    assert {"checkpoint-bad", "event-refused", "state-altered"} <= {item.code for item in report.findings}


def test_every_case_of_the_table_has_its_test() -> None:
    assert [int(name.split()[0]) for name in COVERED] == list(range(1, 31))
    folder = Path(__file__).parent
    for places in COVERED.values():
        for place in places:
            file, name = place.split(".")
            tree = ast.parse((folder / f"test_ledger_{file}.py").read_text("utf-8"))
            assert name in {item.name for item in tree.body if isinstance(item, ast.FunctionDef)}, place
