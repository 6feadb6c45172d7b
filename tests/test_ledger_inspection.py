"""Tampering, as anybody with the file and an SQLite shell can do it, and what the full check says."""

import hashlib
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from ledger_editor import Editor, edit
from ledger_world import (
    LOG_KEY,
    ORIGIN,
    OTHER_KEY,
    VKEY,
    append,
    check,
    draft,
    fill,
    find_path,
    make_store,
    sha,
)

import ledger
from benchmarks.postgres_cluster import Cluster
from ledger import Place, Store, merkle, sign_checkpoint
from ledger.chain import extend_chain, start_chain
from ledger.scrubbing import scrub

COUNT = 12


@pytest.fixture
def store(new_url: Callable[[], str]) -> Iterator[Store]:
    with make_store(new_url()) as opened:
        fill(opened, COUNT)
        yield opened


@pytest.fixture
def file_store(tmp_path: Path) -> Iterator[Store]:
    with make_store(tmp_path) as opened:
        fill(opened, COUNT)
        yield opened


def tamper(store: Store, change: Callable[[Editor], object], *, keep_triggers: bool = True) -> None:
    """Edit the database with the triggers out of the way, and put them back unless told otherwise."""
    store.close()
    with edit(store.url, keep_triggers=keep_triggers) as editor:
        change(editor)


def run(*statements: str) -> Callable[[Editor], None]:
    def change(editor: Editor) -> None:
        for statement in statements:
            editor.execute(statement)

    return change


def change_byte(editor: Editor, index: int) -> bytes:
    """Change one byte of an entry's payload, keeping it base64, and return the new entry."""
    (entry,) = editor.execute("SELECT entry FROM ledger_entry WHERE entry_index = ?", (index,)).fetchone()
    place = entry.index(b'"payload":"') + 60
    changed = entry[:place] + (b"B" if entry[place : place + 1] != b"B" else b"C") + entry[place + 1 :]
    editor.execute("UPDATE ledger_entry SET entry = ? WHERE entry_index = ?", (changed, index))
    return changed


def codes(report: ledger.FsckReport) -> set[tuple[int | None, str]]:
    return {(item.index, item.code) for item in report.findings}


def test_a_sound_ledger_has_no_findings(store: Store) -> None:
    report = check(store)
    assert (report.ok, report.size, report.findings, report.first_broken) == (True, COUNT + 1, (), None)
    assert ledger.fsck(store.url, vkey=VKEY) == report


@pytest.mark.parametrize("index", range(COUNT + 1))
def test_a_changed_byte_names_its_entry(store: Store, index: int) -> None:
    tamper(store, lambda editor: change_byte(editor, index))
    report = check(store)
    assert report.first_broken == index
    assert report.findings[0].code == "entry-altered"
    assert {item.index for item in report.findings if item.code == "entry-altered"} == {index}


def test_a_leaf_hash_changed_with_its_entry_breaks_chain_tree_and_signature(store: Store) -> None:
    def change(editor: Editor) -> None:
        leaf = merkle.leaf_hash(change_byte(editor, 5))
        editor.execute("UPDATE ledger_entry SET leaf_hash = ? WHERE entry_index = 5", (leaf,))

    tamper(store, change)
    report = check(store)
    assert report.first_broken == 5
    assert {(5, "chain-broken"), (5, "node-altered"), (5, "checkpoint-bad")} <= codes(report)
    assert [item.index for item in report.findings if item.code == "node-altered"] == [5]


def rebuild(editor: Editor) -> None:
    """Compute leaf hashes, chain, nodes and state anew, as a forger without the keys would."""
    link, frontier = start_chain(ORIGIN), []
    editor.execute("DELETE FROM ledger_node")
    rows = editor.execute("SELECT entry_index, entry FROM ledger_entry ORDER BY 1").fetchall()
    for index, entry in rows:
        leaf = merkle.leaf_hash(entry)
        link = extend_chain(link, leaf)
        frontier, completed = merkle.complete_nodes(index, frontier, leaf)
        editor.execute(
            "UPDATE ledger_entry SET leaf_hash = ?, chain_hash = ? WHERE entry_index = ?", (leaf, link, index)
        )
        for level, node in enumerate(completed[1:], start=1):
            editor.execute("INSERT INTO ledger_node VALUES (?, ?, ?)", (level, index >> level, node))
    editor.execute(
        "UPDATE ledger_state SET size = ?, root = ?, chain_hash = ?",
        (len(rows), merkle.fold_hashes(frontier), link),
    )


def test_a_forger_who_recomputes_every_hash_is_stopped_by_signatures_and_checkpoints(store: Store) -> None:
    def change(editor: Editor) -> None:
        change_byte(editor, 5)
        rebuild(editor)

    tamper(store, change)
    report = check(store)
    assert report.first_broken == 5
    assert (5, "checkpoint-bad") in codes(report)
    assert {item.code for item in report.findings if item.index == 5} & {"signature-bad", "entry-malformed"}


@pytest.mark.parametrize(("index", "expected"), [(4, 4), (COUNT, COUNT), (0, 0)])
def test_a_deleted_entry_is_named(store: Store, index: int, expected: int) -> None:
    tamper(store, run(f"DELETE FROM ledger_entry WHERE entry_index = {index}"))
    report = check(store)
    assert report.first_broken == expected
    assert (index, "entry-missing") in codes(report)


def test_an_entry_cut_out_with_the_rest_moved_up_is_named(store: Store) -> None:
    def change(editor: Editor) -> None:
        editor.execute("DELETE FROM ledger_entry WHERE entry_index = 4")
        for index in range(5, COUNT + 1):
            editor.execute(f"UPDATE ledger_entry SET entry_index = {index - 1} WHERE entry_index = {index}")
        editor.execute("DELETE FROM ledger_checkpoint WHERE size > 12")
        rebuild(editor)

    tamper(store, change)
    report = check(store)
    assert report.first_broken == 4
    assert (4, "checkpoint-bad") in codes(report)


def test_two_swapped_entries_are_named(store: Store) -> None:
    tamper(
        store,
        run(
            "UPDATE ledger_entry SET entry_index = 99 WHERE entry_index = 3",
            "UPDATE ledger_entry SET entry_index = 3 WHERE entry_index = 8",
            "UPDATE ledger_entry SET entry_index = 8 WHERE entry_index = 99",
        ),
    )
    report = check(store)
    assert {(3, "chain-broken"), (8, "chain-broken")} <= codes(report)
    assert report.first_broken == 3


def test_an_inserted_entry_is_named(store: Store) -> None:
    entry = ledger.sign_envelope(
        ledger.build_event(
            ledger.STAMPED, Place(ORIGIN, "track:x", 0, b""), [ledger.Subject("file", sha("x"))], {}
        ),
        [OTHER_KEY],
    )

    def change(editor: Editor) -> None:
        editor.execute(
            "INSERT INTO ledger_entry VALUES (?, ?, ?, ?, 'track:x', 0)",
            (COUNT + 1, entry, merkle.leaf_hash(entry), bytes(32)),
        )
        rebuild(editor)

    tamper(store, change)
    report = check(store)
    assert report.first_broken == COUNT + 1
    assert {(COUNT + 1, "key-unknown"), (COUNT + 1, "checkpoint-missing")} <= codes(report)


def test_rows_beyond_the_end_are_named(store: Store) -> None:
    tamper(
        store,
        run(
            "INSERT INTO ledger_entry VALUES (50, x'00', x'00', x'00', 'a', 0)",
            "INSERT INTO ledger_node VALUES (1, 40, x'00')",
            "INSERT INTO ledger_checkpoint VALUES (60, x'00')",
        ),
    )
    assert codes(check(store)) == {(COUNT + 1, "row-unexpected")}


@pytest.mark.parametrize(
    ("statement", "finding"),
    [
        ("UPDATE ledger_entry SET chain_hash = zeroblob(32) WHERE entry_index = 6", (6, "chain-broken")),
        ("UPDATE ledger_entry SET asset = 'track:z' WHERE entry_index = 6", (6, "column-altered")),
        ("UPDATE ledger_entry SET n = 77 WHERE entry_index = 6", (6, "column-altered")),
        ("UPDATE ledger_node SET hash = zeroblob(32) WHERE level = 1 AND position = 3", (7, "node-altered")),
        ("DELETE FROM ledger_node WHERE level = 2 AND position = 1", (7, "node-missing")),
        ("UPDATE ledger_checkpoint SET note = x'00' WHERE size = 7", (6, "checkpoint-bad")),
        ("DELETE FROM ledger_checkpoint WHERE size = 13", (12, "checkpoint-missing")),
        (
            "UPDATE ledger_subject SET sha256 = zeroblob(32) WHERE entry_index = 6 AND name = 'pcm'",
            (6, "subject-index"),
        ),
        ("DELETE FROM ledger_subject WHERE entry_index = 6", (6, "subject-index")),
        ("INSERT INTO ledger_subject VALUES (6, 'more', zeroblob(32))", (6, "subject-index")),
        ("UPDATE ledger_key SET public_key = zeroblob(32)", (0, "key-index")),
        ("DELETE FROM ledger_key", (0, "key-index")),
        ("INSERT INTO ledger_key VALUES ('intruder', zeroblob(32), 6)", (6, "key-index")),
        ("UPDATE ledger_state SET root = zeroblob(32)", (None, "state-altered")),
        ("UPDATE ledger_state SET chain_hash = zeroblob(32)", (None, "state-altered")),
        ("UPDATE ledger_state SET origin = 'provenote.example/other'", (None, "state-altered")),
        ("DELETE FROM ledger_state", (None, "state-altered")),
    ],
)
def test_each_edited_column_is_named_with_its_entry(
    store: Store, statement: str, finding: tuple[int | None, str]
) -> None:
    tamper(store, run(statement))
    report = check(store)
    assert finding in codes(report)
    assert report.first_broken == finding[0]


def test_a_checkpoint_of_another_size_root_or_log_is_named(store: Store) -> None:
    for number, note in enumerate(
        [
            store.checkpoint(6),
            sign_checkpoint(ORIGIN, 7, sha("another"), LOG_KEY),
            sign_checkpoint("provenote.example/other", 7, sha("x"), LOG_KEY),
            sign_checkpoint(ORIGIN, 7, store.state().root, OTHER_KEY),
        ]
    ):

        def change(editor: Editor, note: bytes = note) -> None:
            editor.execute("UPDATE ledger_checkpoint SET note = ? WHERE size = 7", (note,))

        tamper(store, change)
        report = check(store)
        assert codes(report) == {(6, "checkpoint-bad")}, number


def test_a_removed_trigger_is_named_and_so_is_what_was_edited(store: Store) -> None:
    def change(editor: Editor) -> None:
        change_byte(editor, 9)

    tamper(store, change, keep_triggers=False)
    report = check(store)
    assert report.first_broken == 9
    assert sum(item.code == "trigger-altered" for item in report.findings) == len(
        store.database.expected_triggers()
    )


@pytest.mark.parametrize(
    ("change", "name"),
    [
        ("ALTER TABLE ledger_entry ADD COLUMN more TEXT", "ledger_entry"),
        ("DROP INDEX ledger_subject_sha256", "ledger_subject"),
        ("CREATE INDEX extra ON ledger_key (entry_index)", "ledger_key"),
        ("ALTER TABLE ledger_request RENAME COLUMN entry_index TO n", "ledger_request"),
    ],
)
def test_a_changed_definition_of_a_table_is_named(store: Store, change: str, name: str) -> None:
    tamper(store, lambda editor: editor.execute(change))
    altered = [item.message for item in check(store).findings if item.code == "definition-altered"]
    assert altered
    assert any(name in message for message in altered)


@pytest.mark.parametrize(
    "change",
    [
        "ALTER TABLE ledger_node ALTER COLUMN hash DROP NOT NULL",
        "ALTER TABLE ledger_entry DROP CONSTRAINT ledger_entry_asset_n",
        "ALTER TABLE ledger_state DROP CONSTRAINT ledger_state_single",
        "ALTER TABLE ledger_checkpoint ALTER COLUMN size TYPE numeric",
    ],
)
@pytest.mark.tool("pg_createcluster")
def test_a_constraint_taken_from_a_table_of_postgresql_is_named(cluster: Cluster, change: str) -> None:
    with make_store(cluster.create(f"definitions_{sha(change).hex()[:8]}")) as store:
        tamper(store, lambda editor: editor.execute(change))
        assert "definition-altered" in {item.code for item in check(store).findings}


def test_a_table_of_somebody_else_beside_ours_is_none_of_our_business(file_store: Store) -> None:
    tamper(file_store, lambda editor: editor.execute("CREATE TABLE theirs (a PRIMARY KEY)"))
    assert check(file_store).ok


def test_a_flipped_bit_in_any_definition_is_found(file_store: Store) -> None:
    """A bit of every 211th byte of the text of each CREATE, in the file itself."""
    path = find_path(file_store.url)
    with file_store.database.read() as connection:
        query = "SELECT sql FROM sqlite_master WHERE sql NOT NULL"
        texts = list(connection.exec_driver_sql(query).scalars())
    file_store.close()
    content = path.read_bytes()
    assert len(texts) > 60
    for number, text in enumerate(texts):
        encoded = text.encode()
        for offset in range(7 * number % len(encoded), len(encoded), 211):
            damaged = bytearray(encoded)
            damaged[offset] ^= 1 << (number + offset) % 8
            path.write_bytes(content.replace(encoded, damaged))  # old copies in free pages as well
            try:
                assert not ledger.fsck(file_store.url, vkey=VKEY).ok, (text, offset)
            except ledger.LedgerError:
                continue


def test_a_history_rewritten_with_the_log_s_real_key_is_shown_by_a_kept_checkpoint(
    store: Store, new_url: Callable[[], str]
) -> None:
    kept = store.checkpoint(9)
    with make_store(new_url()) as other:
        fill(other, 3)
        append(other, draft("track:0", changed=True))
        fill(other, COUNT, assets=2)
        assert check(other).ok
        report = ledger.fsck(other, vkey=VKEY, known_checkpoints=[kept])
        assert codes(report) == {(None, "history-rewritten")}
    assert ledger.fsck(store, vkey=VKEY, known_checkpoints=[kept]).ok


def test_a_rollback_to_an_older_state_is_shown_by_a_kept_checkpoint(
    store: Store, new_url: Callable[[], str]
) -> None:
    kept = store.latest_checkpoint()
    with make_store(new_url()) as older:  # deterministic: the same ledger, shorter
        fill(older, 5)
        assert older.latest_checkpoint() == store.checkpoint(6)
        assert codes(ledger.fsck(older, vkey=VKEY, known_checkpoints=[kept])) == {(None, "history-rewritten")}


def test_another_verifier_key_or_root_of_trust_is_not_satisfied(store: Store) -> None:
    other = ledger.format_vkey(ORIGIN, OTHER_KEY.public_key)
    assert "checkpoint-bad" in {item.code for item in ledger.fsck(store, vkey=other).findings}
    report = ledger.fsck(store, vkey=VKEY, public_keys=[OTHER_KEY.public_key])
    assert codes(report) == {(0, "key-untrusted")}


def find_pages(path: Path, needle: bytes) -> list[int]:
    data = path.read_bytes()
    return [start for start in range(0, len(data), 4096) if needle in data[start : start + 4096]]


def test_a_damaged_page_is_reported_with_the_entries_that_it_held(file_store: Store) -> None:
    store = file_store
    fill(store, 30)
    entry = store.entry(20)
    store.close()
    data = bytearray(find_path(store.url).read_bytes())
    (page,) = find_pages(find_path(store.url), entry[200:600])
    generator = hashlib.sha256(b"damage").digest()
    data[page : page + 4096] = (generator * 128)[:4096]
    find_path(store.url).write_bytes(bytes(data))
    report = ledger.fsck(store.url, vkey=VKEY)
    assert not report.ok
    damaged = {item.index for item in report.findings if item.code in ("database-corrupt", "entry-missing")}
    assert 20 in damaged
    assert 0 not in damaged
    assert report.first_broken == min(index for index in damaged if index is not None)


@pytest.mark.parametrize("offset", [0, 4096, 5 * 4096])
def test_damage_anywhere_is_a_finding_and_never_an_exception(file_store: Store, offset: int) -> None:
    store = file_store
    store.close()
    data = bytearray(find_path(store.url).read_bytes())
    data[offset : offset + 4096] = bytes(4096)
    find_path(store.url).write_bytes(bytes(data))
    report = ledger.fsck(store.url, vkey=VKEY)
    assert not report.ok
    assert "database-corrupt" in {item.code for item in report.findings}


def test_a_truncated_file_is_a_finding(file_store: Store) -> None:
    store = file_store
    store.close()
    data = find_path(store.url).read_bytes()
    find_path(store.url).write_bytes(data[: len(data) // 2])
    assert not ledger.fsck(store.url, vkey=VKEY).ok


COLUMNS = [
    *(("ledger_state", name) for name in ("origin", "vkey", "size", "root", "chain_hash")),
    *(("ledger_entry", name) for name in ("entry", "leaf_hash", "chain_hash", "asset", "n")),
    *(("ledger_node", name) for name in ("level", "position", "hash")),
    *(("ledger_checkpoint", name) for name in ("note",)),
    *(("ledger_subject", name) for name in ("entry_index", "name", "sha256")),
    *(("ledger_key", name) for name in ("key_id", "public_key", "entry_index")),
]


@pytest.mark.parametrize(("table", "column"), COLUMNS)
def test_a_value_of_another_type_is_a_finding_and_never_an_exception(
    file_store: Store, table: str, column: str
) -> None:
    """SQLite keeps any type in any column, and one flipped bit of a row's header changes a type."""
    file_store.close()
    path = find_path(file_store.url)
    sound = path.read_bytes()
    for value in (b"\x00\xff", "text", 7, 1.5, 2**62):
        with edit(file_store.url) as editor:
            before = editor.execute(f"SELECT {column} FROM {table}").fetchall()
            editor.execute(
                f"UPDATE OR IGNORE {table} SET {column} = ?"
                f" WHERE {column} = (SELECT {column} FROM {table} ORDER BY 1 DESC LIMIT 1)",
                (value,),
            )
            changed = editor.execute(f"SELECT {column} FROM {table}").fetchall() != before
        report = ledger.fsck(file_store.url, vkey=VKEY)
        assert report.ok is not changed, value
        for start in (0, 5):
            try:
                with Store(file_store.url) as store:
                    scrub(store, vkey=VKEY, start=start)
            except ledger.LedgerError:
                continue
        path.write_bytes(sound)
