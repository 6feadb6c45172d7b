from pathlib import Path

import pysqlite3.dbapi2 as sqlite
import pytest
from ledger_world import ACTOR_KEY, append, check, fill, make_store, sha

import ledger
from ledger import Draft, Store, open_event
from ledger.anchor import Anchor, HeadIndex, read_anchor, sign_anchor
from ledger.custodian import Custodian
from ledger.errors import CustodyError, ProofError
from ledger.event import KEYS_ASSET, LOG_ASSET
from ledger.heads import HeadRecord, asset_key, digest_key, hash_records, open_head
from ledger.merkle import leaf_hash

TIME = "2026-11-22T17:31:32Z"


@pytest.fixture
def store(tmp_path: Path):
    with make_store(tmp_path) as opened:
        fill(opened, 6)
        yield opened


def anchor_draft(anchor: Anchor) -> Draft:
    return Draft(LOG_ASSET, lambda place: sign_anchor(place, anchor, TIME, ACTOR_KEY))


def define_root(store: Store, size: int) -> bytes:
    """The root from the entries and the formulas alone."""
    records: dict[bytes, HeadRecord] = {}
    for entry in store.entries(0, size):
        event = open_event_unchecked(entry)
        keys = {asset_key(event.place.asset), *(digest_key(item.sha256) for item in event.statement.subjects)}
        for key in keys:
            before = records.get(key)
            records[key] = HeadRecord(key, before.count + 1 if before else 1, leaf_hash(entry))
    return hash_records(sorted(records.values(), key=lambda item: item.key))


def open_event_unchecked(entry: bytes):  # type: ignore[no-untyped-def]
    return ledger.event.parse_event(entry)


def test_an_anchor_says_what_the_entries_before_it_give(store: Store) -> None:
    index = HeadIndex(store)
    for size in (0, 3, 7, 2, 7):  # also back
        assert index.measure(size).heads_root == define_root(store, size)
    (receipt,) = append(store, anchor_draft(index.measure(7)))
    event = open_event(store.entry(receipt.index), {ACTOR_KEY.key_id: ACTOR_KEY.public_key})
    assert read_anchor(event, receipt.index) == index.measure(7)
    fill(store, 3)
    append(store, anchor_draft(index.measure(9)), anchor_draft(index.measure(11)))
    assert check(store).ok


def test_the_whole_history_of_an_asset_is_proved_and_a_shorter_one_is_not(store: Store) -> None:
    anchor = HeadIndex(store).measure(7)
    key = asset_key("track:1")
    (proof,) = HeadIndex(store).prove(7, [key])
    chain = store.chain("track:1")
    record = open_head(proof, key, anchor.heads_root)
    assert record is not None
    assert (record.count, record.head) == (len(chain), leaf_hash(chain[-1][1]))
    assert record.head != leaf_hash(chain[-2][1])


def test_assets_and_digests_that_are_not_in_the_log_are_proved_absent(store: Store) -> None:
    index = HeadIndex(store)
    anchor = index.measure(7)
    keys = [asset_key("track:9"), digest_key(sha("another file")), digest_key(sha("file track:1/0"))]
    proofs = index.prove(7, keys)
    found = [open_head(proof, key, anchor.heads_root) for proof, key in zip(proofs, keys, strict=True)]
    assert found[:2] == [None, None]
    assert found[2] is not None
    assert found[2].count == 1


@pytest.mark.parametrize("what", ["root", "size", "keys"])
def test_fsck_names_an_anchor_that_the_entries_do_not_give(store: Store, what: str) -> None:
    sound = HeadIndex(store).measure(7)
    wrong = {
        "root": Anchor(7, sha("root"), sound.keys),
        "size": Anchor(6, sound.heads_root, sound.keys),
        "keys": Anchor(7, sound.heads_root, sound.keys + 1),
    }[what]
    append(store, anchor_draft(wrong))
    fill(store, 1)
    assert [(item.index, item.code) for item in check(store).findings] == [(7, "anchor-bad")]


def test_an_anchor_of_entries_to_come_is_refused(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(CustodyError, match="anchor-late"):
        append(store, anchor_draft(Anchor(8, sha("root"), 1)))
    monkeypatch.setattr(Custodian, "admit", lambda *_: None)
    append(store, anchor_draft(Anchor(8, sha("root"), 1)))
    assert {item.code for item in check(store).findings} == {"anchor-bad", "event-refused"}
    event = open_event(store.entry(7), {ACTOR_KEY.key_id: ACTOR_KEY.public_key})
    with pytest.raises(ProofError, match="speaks of 8"):
        read_anchor(event, 7)


def test_other_events_are_no_anchor(store: Store) -> None:
    event = open_event(store.entry(1), {ACTOR_KEY.key_id: ACTOR_KEY.public_key})
    with pytest.raises(ProofError, match="expected an anchor"):
        read_anchor(event, 1)


def test_the_map_wants_every_entry(store: Store) -> None:
    index = HeadIndex(store)
    with pytest.raises(ProofError, match="the log has 7"):
        index.measure(8)
    assert store.mentions(-5, 2)[0].asset == KEYS_ASSET
    assert [item.index for item in store.mentions(5, 2**80)] == [5, 6]
    assert len(store.mentions(1, 2)[0].digests) == 2


@pytest.mark.parametrize("change", ["CAST(replace(entry, 'sig', 'Sig') AS BLOB)", "replace(entry, 'x', 'y')"])
def test_a_damaged_entry_is_found_and_no_anchor_is_blamed_for_it(store: Store, change: str) -> None:
    append(store, anchor_draft(HeadIndex(store).measure(7)))
    connection = sqlite.connect(store.url.removeprefix("sqlite:///"))
    connection.execute("DROP TRIGGER ledger_entry_no_update")
    connection.execute(f"UPDATE ledger_entry SET entry = {change} WHERE entry_index = 3")
    connection.commit()
    connection.close()
    found = {(item.index, item.code) for item in check(store).findings}
    assert {(3, "entry-altered"), (3, "entry-missing")} & found
    assert not any(code == "anchor-bad" for _, code in found)
