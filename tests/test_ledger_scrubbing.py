"""Scrubbing: what is stored of each slice of entries, hashed again up to the signed root."""

import shutil
from pathlib import Path

import pytest
from ledger_editor import edit
from ledger_world import ORIGIN, OTHER_KEY, VKEY, append, draft, find_path, make_store

from benchmarks.postgres_cluster import Cluster
from ledger import Store, format_vkey
from ledger.scrubbing import SLICE, ScrubReport, scrub

SIZE = 2 * SLICE + 40
Code = tuple[int | None, str]
DAMAGES: list[tuple[str, Code]] = [
    ("UPDATE ledger_entry SET entry = x'00' WHERE entry_index = 300", (300, "entry-altered")),
    ("UPDATE ledger_entry SET leaf_hash = zeroblob(32) WHERE entry_index = 551", (551, "entry-altered")),
    ("UPDATE ledger_entry SET chain_hash = zeroblob(32) WHERE entry_index = 7", (7, "chain-broken")),
    ("DELETE FROM ledger_entry WHERE entry_index = 255", (255, "entry-missing")),
    ("UPDATE ledger_entry SET n = 5 WHERE entry_index = 256", (256, "column-altered")),
    ("UPDATE ledger_entry SET asset = 'track:x' WHERE entry_index = 9", (9, "column-altered")),
    ("DELETE FROM ledger_subject WHERE entry_index = 40 AND name = 'pcm'", (40, "subject-index")),
    ("UPDATE ledger_subject SET sha256 = zeroblob(32) WHERE entry_index = 520", (520, "subject-index")),
    ("UPDATE ledger_node SET hash = zeroblob(32) WHERE level = 1 AND position = 3", (7, "node-altered")),
    ("DELETE FROM ledger_node WHERE level = 8 AND position = 1", (511, "node-missing")),
    ("UPDATE ledger_node SET hash = zeroblob(32) WHERE level = 9", (511, "node-altered")),
    ("UPDATE ledger_checkpoint SET note = x'00' WHERE size = 99", (98, "checkpoint-bad")),
    ("UPDATE ledger_checkpoint SET size = 147 WHERE size = 148", (146, "checkpoint-bad")),
]


@pytest.fixture(scope="module")
def grown(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The URL of a ledger of some slices; never change this one."""
    with make_store(tmp_path_factory.mktemp("grown")) as store:
        _grow(store)
        return store.url


def _grow(store: Store) -> None:
    for start in range(1, SIZE, 49):
        append(store, *(draft(f"track:{number}") for number in range(start, min(start + 49, SIZE))))


def scrub_all(store: Store) -> list[ScrubReport]:
    reports, start = [], 0
    while not reports or not reports[-1].ended:
        reports.append(scrub(store, vkey=VKEY, start=start))
        start = reports[-1].stop
    return reports


def damage(store: Store, *statements: str) -> None:
    store.close()
    with edit(store.url) as editor:
        for statement in statements:
            editor.execute(statement)


def find(store: Store) -> list[Code]:
    return [(item.index, item.code) for report in scrub_all(store) for item in report.findings]


def test_a_sound_log_is_scrubbed_slice_by_slice_and_then_from_the_start(grown: str) -> None:
    with Store(grown) as store:
        reports = scrub_all(store)
        assert scrub(store, vkey=VKEY, start=300).start == 256
        assert scrub(store, vkey=VKEY, start=SIZE).start == 0
    assert [(item.start, item.stop, item.findings) for item in reports] == [
        (0, 256, ()),
        (256, 512, ()),
        (512, 552, ()),
    ]
    assert [item.ended for item in reports] == [False, False, True]


@pytest.mark.parametrize(("statement", "expected"), DAMAGES)
def test_each_damage_is_named_with_its_entry(
    grown: str, tmp_path: Path, statement: str, expected: Code
) -> None:
    path = shutil.copy(find_path(grown), tmp_path)
    with Store(f"sqlite:///{path}") as store:
        damage(store, statement)
        assert expected in find(store)


@pytest.mark.tool("pg_createcluster")
def test_damages_in_postgresql_are_named_all_at_once(cluster: Cluster) -> None:
    with make_store(cluster.create("scrubbed")) as store:
        _grow(store)
        damage(store, *(statement for statement, _ in DAMAGES))
        found = find(store)
    hidden = {"node-altered", "checkpoint-bad"}  # over entries that are damaged themselves
    assert {item for _, item in DAMAGES if item[1] not in hidden} <= set(found)


def test_an_entry_changed_with_all_that_is_stored_of_it_does_not_lead_to_the_signed_root(
    tmp_path_factory: pytest.TempPathFactory, grown: str
) -> None:
    """Leaf hash, chain, tree and indexes made to fit: only the signature over the root is left to tell."""
    with Store(grown) as store:
        entries = [store.entry(index) for index in range(SIZE)]
        note = store.latest_checkpoint()
    with make_store(tmp_path_factory.mktemp("forged")) as forged:
        append(forged, *entries[1:300])
        append(forged, draft("track:forged"), *entries[301:])
        damage(forged, "DELETE FROM ledger_checkpoint WHERE size > 300")
        with edit(forged.url) as editor:
            editor.execute("INSERT INTO ledger_checkpoint VALUES (?, ?)", (SIZE, note))
        codes = find(forged)
    assert (256, "root-differs") in codes


def test_a_scrub_needs_the_right_key(grown: str) -> None:
    other = format_vkey(ORIGIN, OTHER_KEY.public_key)
    with Store(grown) as store:
        assert "root-differs" in {item.code for item in scrub(store, vkey=other).findings}


def test_a_changed_definition_is_named_once_a_round(grown: str, tmp_path: Path) -> None:
    path = shutil.copy(find_path(grown), tmp_path)
    with Store(f"sqlite:///{path}") as store:
        damage(store, "DROP INDEX ledger_subject_sha256")
        assert find(store) == [(None, "definition-altered")]
