import itertools
from collections.abc import Callable
from pathlib import Path

import pytest
from bundle_world import World, make_world
from ledger_world import ACTOR_KEY, LOG_KEY, ORIGIN, OTHER_KEY, append, check, draft, fill, make_store, sha

import ledger
from ledger import Draft, Store
from ledger.anchor import Anchor, HeadIndex, sign_anchor
from ledger.custodian import Custodian
from ledger.errors import ProofError
from ledger.event import LOG_ASSET
from ledger.predicate import NOTICE
from ledger.replay import REMEMBERED_SIZES, Replay
from ledger.tilefolder import export_tiles, folder_fetch
from ledger.tilereader import check_tiles, open_tile_log

TIME = "2026-11-22T17:31:32Z"


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory):  # type: ignore[no-untyped-def]
    made = make_world(tmp_path_factory.mktemp("replay"))
    yield made
    made.store.close()


def read_all(store: Store) -> list[bytes]:
    return store.entries(0, store.state().size)


def replay(entries: list[bytes], origin: str = ORIGIN) -> Replay:
    found = Replay(origin)
    for entry in entries:
        found.take(entry)
    return found


def anchor_draft(anchor: Anchor) -> Draft:
    return Draft(LOG_ASSET, lambda place: sign_anchor(place, anchor, TIME, ACTOR_KEY))


def test_a_log_with_several_parties_replays_from_its_tiles_alone(world: World, tmp_path: Path) -> None:
    note = world.store.latest_checkpoint()
    export_tiles(world.store, tmp_path / "tiles", note, origin=ORIGIN, vkey=world.store.vkey)
    found = Replay(ORIGIN)
    check_tiles(open_tile_log(folder_fetch(tmp_path / "tiles"), ORIGIN, world.store.vkey), found.take)
    assert (found.size, found.anchors) == (world.store.state().size, 1)
    assert found.assets == 6  # the asset of the bundle, three others, keys, log
    assert len(found.register.records) == 3


Change = Callable[[list[bytes]], object]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda entries: entries.pop(5), r"entry 6: expected event 1 of track:7q2xk .* got event 2"),
        (lambda entries: entries.insert(6, entries[5]), "entry 6: expected event"),
        (lambda entries: entries.reverse(), "entry 0: "),
        (lambda entries: entries.pop(0), "entry 0: "),
        (lambda entries: entries.__setitem__(4, entries[4].replace(b"sig", b"Sig")), "entry 4: "),
        (lambda entries: entries.__setitem__(4, b""), "entry 4: "),
    ],
)
def test_entries_missing_doubled_moved_or_damaged_are_named(
    world: World, change: Change, message: str
) -> None:
    entries = read_all(world.store)
    change(entries)
    with pytest.raises(ProofError, match=message):
        replay(entries)


def test_no_two_neighbours_of_one_asset_can_be_exchanged(world: World) -> None:
    entries = read_all(world.store)
    places = [ledger.event.parse_event(entry).place.asset for entry in entries]
    for index, (here, after) in enumerate(itertools.pairwise(places)):
        if here == after:
            swapped = [*entries[:index], entries[index + 1], entries[index], *entries[index + 2 :]]
            with pytest.raises(ProofError, match=f"entry {index}: "):
                replay(swapped)


def test_entries_of_another_log_are_refused(world: World) -> None:
    with pytest.raises(ProofError, match="entry 0: expected event 0 of keys in the log other"):
        replay(read_all(world.store), "other.example/log")


@pytest.fixture
def store(tmp_path: Path):
    with make_store(tmp_path) as opened:
        fill(opened, 6)
        yield opened


@pytest.mark.parametrize("what", ["root", "size", "keys"])
def test_a_false_map_is_found_by_whoever_has_the_entries(store: Store, what: str) -> None:
    sound = HeadIndex(store).measure(7)
    wrong = {
        "root": Anchor(7, sha("root"), sound.keys),
        "size": Anchor(6, sound.heads_root, sound.keys),
        "keys": Anchor(7, sound.heads_root, sound.keys + 1),
    }[what]
    append(store, anchor_draft(wrong))
    with pytest.raises(ProofError, match="entry 7: anchor of"):
        replay(read_all(store))


def test_anchors_may_stand_some_entries_after_what_they_measure(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    append(store, anchor_draft(HeadIndex(store).measure(4)))
    assert replay(read_all(store)).anchors == 1
    assert REMEMBERED_SIZES >= 1000
    monkeypatch.setattr("ledger.replay.REMEMBERED_SIZES", 3)
    with pytest.raises(ProofError, match="one of the last 3 sizes"):
        replay(read_all(store))


def test_an_operator_who_breaks_the_rules_is_found(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Custodian, "admit", lambda *_: None)
    append(store, draft("track:1", kind=NOTICE, time=TIME, claim="copyright"))
    with pytest.raises(ProofError, match=r"entry 7: .*platform"):
        replay(read_all(store))
    assert not check(store).ok


def test_an_actor_that_the_log_never_added_is_found(store: Store) -> None:
    entries = read_all(store)
    place = ledger.Place.after(ORIGIN, "track:9", None)
    subjects = [ledger.Subject("file", sha("x"))]
    event = ledger.build_event(ledger.STAMPED, place, subjects, {"time": TIME})
    entries.append(ledger.sign_envelope(event, [OTHER_KEY]))
    with pytest.raises(ProofError, match=r"entry 7: .*key"):
        replay(entries)
    assert LOG_KEY.public_key.key_id not in replay(entries[:-1]).register.records
