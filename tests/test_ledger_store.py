import os
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pysqlite3.dbapi2 as sqlite
import pytest
import sqlalchemy
from ledger_editor import edit
from ledger_world import (
    ACTOR_KEY,
    LOG_KEY,
    ORIGIN,
    OTHER_KEY,
    VKEY,
    append,
    check,
    draft,
    draft_key,
    fill,
    find_path,
    make_store,
    make_url,
    sha,
    sign_event,
)

import ledger
from ledger import Place, Store, check_proof, merkle, open_checkpoint, sign_checkpoint
from ledger.chain import extend_chain, start_chain
from ledger.errors import (
    BadSignatureError,
    CorruptError,
    DiskFullError,
    EventError,
    FormatError,
    LedgerConflictError,
    LedgerError,
    NotFoundError,
    OutcomeUnknownError,
    ProofError,
    SchemaError,
    StorageError,
    UnknownKeyError,
    WrongKeyError,
)


@pytest.fixture
def store(new_url: Callable[[], str]) -> Iterator[Store]:
    with make_store(new_url()) as opened:
        yield opened


@pytest.fixture
def file_store(tmp_path: Path) -> Iterator[Store]:
    with make_store(tmp_path) as opened:
        yield opened


def test_a_receipt_is_a_finished_proof_that_holds_without_the_ledger(store: Store) -> None:
    for number in range(20):
        (receipt,) = append(store, draft("track:1", number=number))
        entry = store.entry(receipt.index)
        assert receipt.leaf_hash == merkle.leaf_hash(entry)
        index, checkpoint = check_proof(receipt.text(), merkle.leaf_hash(entry), ORIGIN, VKEY)
        assert (index, checkpoint.size) == (number + 1, number + 2)
    assert check(store).ok


def test_root_and_chain_are_those_of_the_definitions(store: Store) -> None:
    fill(store, 12)
    entries = store.entries(0, 100)
    state = store.state()
    link = start_chain(ORIGIN)
    for entry in entries:
        link = extend_chain(link, merkle.leaf_hash(entry))
    assert state.size == len(entries) == 13
    assert state.root == merkle.root([merkle.leaf_hash(entry) for entry in entries])
    assert state.chain_hash == link


def test_drafts_of_one_batch_build_on_each_other_and_share_a_checkpoint(store: Store) -> None:
    receipts = append(store, draft("track:1", kind=ledger.GENERATED), draft("track:1"), draft("track:2"))
    assert [receipt.index for receipt in receipts] == [1, 2, 3]
    assert {receipt.checkpoint for receipt in receipts} == {store.latest_checkpoint()}
    assert store.head("track:1") == ledger.Head(1, receipts[1].leaf_hash)
    second = ledger.parse_statement(ledger.open_envelope(store.entry(2), [ACTOR_KEY.public_key]).payload)
    assert second.predicate["ledger"]["prev"] == receipts[0].leaf_hash.hex()
    assert check(store).ok


def test_a_batch_is_taken_whole_or_not_at_all(store: Store) -> None:
    before = store.state()
    with pytest.raises(UnknownKeyError):
        append(store, draft("track:1"), draft("track:2", signing_keys=(OTHER_KEY,)))
    assert store.state() == before
    assert store.head("track:1") is None


def test_the_same_entry_again_returns_its_first_receipt(store: Store) -> None:
    (first,) = append(store, draft("track:1"))
    fill(store, 5)
    entry = store.entry(first.index)
    before = store.state()
    assert append(store, entry) == [first]
    assert store.state() == before
    both = append(store, entry, draft("track:9"), entry)
    assert (both[0], both[2]) == (first, first)
    assert check(store).ok


def test_a_place_that_is_taken_or_not_yet_reached_is_a_conflict_with_the_head(store: Store) -> None:
    entry = sign_event(Place(ORIGIN, "track:1", 0, b""))
    (receipt,) = append(store, entry)
    for place in (
        Place(ORIGIN, "track:1", 0, b""),
        Place(ORIGIN, "track:1", 1, sha("another")),
        Place(ORIGIN, "track:1", 2, receipt.leaf_hash),
    ):
        with pytest.raises(LedgerConflictError) as caught:
            append(store, sign_event(place, note="late"))
        assert (caught.value.asset, caught.value.head) == ("track:1", ledger.Head(0, receipt.leaf_hash))
    append(store, sign_event(Place(ORIGIN, "track:1", 1, receipt.leaf_hash)))


def test_an_event_signed_for_another_log_or_asset_is_refused(store: Store) -> None:
    with pytest.raises(EventError, match="expected an event for the log"):
        append(store, sign_event(Place("provenote.example/other", "track:1", 0, b"")))
    with pytest.raises(EventError, match="from its draft"):
        append(store, ledger.Draft("track:1", lambda _: sign_event(Place(ORIGIN, "track:2", 0, b""))))


def test_bad_signatures_and_bytes_that_are_no_entry_are_refused(store: Store) -> None:
    entry = sign_event(Place(ORIGIN, "track:1", 0, b""))
    forged = sign_event(Place(ORIGIN, "track:1", 0, b""), signing_keys=(OTHER_KEY,)).replace(
        OTHER_KEY.key_id.encode(), ACTOR_KEY.key_id.encode()
    )
    with pytest.raises(BadSignatureError):
        append(store, forged)
    for data in (b"", b"{}", entry + b" ", entry[:-1], b"\xff" * 100):
        with pytest.raises(FormatError):
            append(store, data)
    assert store.state().size == 1


def test_keys_become_known_by_entries_and_only_then_may_sign(store: Store) -> None:
    with pytest.raises(UnknownKeyError):
        append(store, draft("track:1", signing_keys=(OTHER_KEY,)))
    with pytest.raises(EventError, match="known key"):
        append(store, draft_key(OTHER_KEY, OTHER_KEY))
    append(store, draft_key(OTHER_KEY, ACTOR_KEY, OTHER_KEY), draft("track:1", signing_keys=(OTHER_KEY,)))
    assert {key.key_id for key in store.public_keys()} == {ACTOR_KEY.key_id, OTHER_KEY.key_id}
    assert check(store).ok


def test_the_log_s_own_key_signs_checkpoints_alone(store: Store) -> None:
    with pytest.raises(EventError, match="apart from the log's own"):
        append(store, draft_key(LOG_KEY, ACTOR_KEY, LOG_KEY))
    with pytest.raises(WrongKeyError, match="expected the log's key"):
        store.append([draft("track:1")], log_signing_key=OTHER_KEY)


def test_an_error_in_a_draft_leaves_nothing_and_frees_the_lock(store: Store) -> None:
    def build(place: Place) -> bytes:
        raise RuntimeError("interrupted")

    before = store.state()
    with pytest.raises(RuntimeError, match="interrupted"):
        append(store, draft("track:1"), ledger.Draft("track:1", build))
    assert store.state() == before
    fill(store, 1)


def test_subjects_are_found_by_their_digest(store: Store) -> None:
    append(store, draft("track:1"), draft("track:2"), draft("track:1"))
    assert store.find_subject(sha("pcm track:1/1").hex()) == [(3, "track:1")]
    assert store.find_subject(sha("file track:2/0").hex()) == [(2, "track:2")]
    assert store.find_subject(sha("nothing").hex()) == []
    for text in ("", "xyz", "AB" * 32):
        with pytest.raises(FormatError):
            store.find_subject(text)


def test_an_asset_s_chain_is_complete_and_in_order(store: Store) -> None:
    fill(store, 9)
    chain = store.chain("track:1")
    assert [index for index, _ in chain] == [2, 5, 8]
    assert [entry for _, entry in chain] == [store.entry(index) for index, _ in chain]
    assert store.chain("track:none") == []


def test_every_proof_the_store_gives_holds(store: Store) -> None:
    fill(store, 30)
    checkpoints = {size: open_checkpoint(store.checkpoint(size), ORIGIN, VKEY) for size in range(1, 32)}
    leaves = [merkle.leaf_hash(entry) for entry in store.entries(0, 31)]
    for new_size, checkpoint in checkpoints.items():
        for index in range(0, new_size, 3):
            path = store.inclusion_proof(index, new_size)
            merkle.check_inclusion(index, new_size, leaves[index], path, checkpoint.root)
        for old_size in range(1, new_size + 1, 4):
            proof = store.consistency_proof(old_size, new_size)
            merkle.check_consistency(old_size, new_size, checkpoints[old_size].root, checkpoint.root, proof)
    assert store.receipt(3, 7).proof == store.inclusion_proof(3, 7)


@pytest.mark.parametrize(
    "ask",
    [
        lambda store: store.entry(99),
        lambda store: store.entry(2**70),
        lambda store: store.checkpoint(2**70),
        lambda store: store.receipt(2**70),
        lambda store: store.receipt(2, 2**70),
        lambda store: store.inclusion_proof(2**70, 2**71),
        lambda store: store.entry(-1),
        lambda store: store.checkpoint(99),
        lambda store: store.receipt(99),
        lambda store: store.receipt(2, 2),
        lambda store: store.inclusion_proof(5, 5),
        lambda store: store.inclusion_proof(-1, 5),
        lambda store: store.inclusion_proof(0, 99),
        lambda store: store.consistency_proof(0, 3),
        lambda store: store.consistency_proof(4, 3),
        lambda store: store.consistency_proof(3, 99),
    ],
)
def test_what_is_not_there_is_said_so(store: Store, ask: Callable[[Store], object]) -> None:
    fill(store, 5)
    with pytest.raises(NotFoundError):
        ask(store)


def test_a_checkpoint_that_somebody_holds_is_an_ancestor_or_proves_a_fork(store: Store) -> None:
    held = store.latest_checkpoint()
    fill(store, 5)
    assert store.check_ancestor(held).size == 1
    with pytest.raises(ProofError, match="another history"):
        store.check_ancestor(sign_checkpoint(ORIGIN, 3, sha("fork"), LOG_KEY))
    with pytest.raises(ProofError, match="has only 6"):
        store.check_ancestor(sign_checkpoint(ORIGIN, 7, sha("ahead"), LOG_KEY))
    with pytest.raises(UnknownKeyError):
        store.check_ancestor(sign_checkpoint(ORIGIN, 1, sha("x"), OTHER_KEY))


def test_a_ledger_opens_again_as_it_was_left(store: Store) -> None:
    fill(store, 4)
    before, note = store.state(), store.latest_checkpoint()
    store.close()
    with Store(store.url) as again:
        assert (again.state(), again.latest_checkpoint()) == (before, note)
        fill(again, 2)
        assert check(again).ok


def test_a_ledger_is_started_once(tmp_path: Path) -> None:
    url = make_url(tmp_path)
    with pytest.raises(SchemaError, match="no ledger here"):
        Store.create(url, origin=ORIGIN, log_signing_key=LOG_KEY)
    ledger.upgrade(url)
    with pytest.raises(SchemaError, match="no ledger has been started"):
        Store(url)
    with pytest.raises(FormatError, match="key name"):
        Store.create(url, origin="two words", log_signing_key=LOG_KEY)
    Store.create(url, origin=ORIGIN, log_signing_key=LOG_KEY).close()
    with pytest.raises(SchemaError, match="already"):
        Store.create(url, origin=ORIGIN, log_signing_key=LOG_KEY)


def test_threads_append_side_by_side_and_nothing_is_lost(store: Store) -> None:
    failures: list[BaseException] = []

    def work(name: str) -> None:
        try:
            fill_asset(store, name, 10)
        except LedgerError as error:
            failures.append(error)

    threads = [threading.Thread(target=work, args=(f"track:{number % 2}",)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    assert store.state().size == 41
    assert len(store.chain("track:0")) == 20
    assert check(store).ok


def fill_asset(store: Store, asset: str, count: int) -> None:
    for _ in range(count):
        append(store, draft(asset))


# Faults. Each statement of an append fails once, before and after it is executed, then the commit.


class InjectedError(sqlite.OperationalError):
    """As the library raises it for a disk error; SQLITE_IOERR."""

    sqlite_errorcode = sqlite.SQLITE_IOERR


def count_statements(store: Store) -> int:
    seen: list[str] = []

    def see(connection, cursor, statement, *_: object) -> None:  # type: ignore[no-untyped-def]
        seen.append(statement)

    sqlalchemy.event.listen(store.database.engine, "before_cursor_execute", see)
    fill_asset(store, "track:count", 1)
    sqlalchemy.event.remove(store.database.engine, "before_cursor_execute", see)
    return len(seen)


@pytest.mark.parametrize("when", ["before_cursor_execute", "after_cursor_execute"])
def test_an_error_at_any_statement_records_nothing_and_the_next_append_works(
    file_store: Store, when: str
) -> None:
    store = file_store
    fill(store, 4)
    statements = count_statements(store)
    assert statements > 10
    fill(store, 1)  # the number of reads depends on the tree's shape: keep the size even at each step
    for step in range(statements):
        before = store.state()
        remaining = [step]

        def fail(*_: object, remaining: list[int] = remaining) -> None:
            remaining[0] -= 1
            if remaining[0] < 0:
                raise InjectedError("disk I/O error")

        sqlalchemy.event.listen(store.database.engine, when, fail)
        with pytest.raises(StorageError, match="disk I/O error"):
            append(store, draft("track:1"))
        sqlalchemy.event.remove(store.database.engine, when, fail)
        assert store.state() == before, step
        append(store, draft("track:1"))
        append(store, draft("track:1"))
        assert store.state().size == before.size + 2
    assert check(store).ok


@pytest.mark.parametrize("persisted", [False, True])
def test_a_failed_commit_has_an_unknown_outcome_that_the_same_entry_again_settles(
    file_store: Store, persisted: bool
) -> None:
    store = file_store
    (first,) = append(store, draft("track:1"))
    entry = sign_event(Place(ORIGIN, "track:1", 1, first.leaf_hash))
    dialect = store.database.engine.dialect
    real = dialect.do_commit

    def fail(connection) -> None:  # type: ignore[no-untyped-def]
        if persisted:
            real(connection)
        raise InjectedError("disk I/O error")

    dialect.do_commit = fail  # type: ignore[method-assign]
    with pytest.raises(OutcomeUnknownError):
        append(store, entry)
    with pytest.raises(OutcomeUnknownError):  # and twice in a row
        append(store, draft("track:2"))
    dialect.do_commit = real  # type: ignore[method-assign]
    there = 2 if persisted else 0
    assert store.state().size == 2 + there
    (receipt,) = append(store, entry)
    assert receipt.index == 2
    check_proof(receipt.text(), merkle.leaf_hash(entry), ORIGIN, VKEY)
    assert check(store).ok


def test_a_full_disk_is_said_so_and_nothing_is_recorded(file_store: Store) -> None:
    store = file_store
    fill(store, 3)
    before = store.state()

    def limit(connection, _record) -> None:  # type: ignore[no-untyped-def]
        pages = connection.execute("PRAGMA page_count").fetchone()[0]
        connection.execute(f"PRAGMA max_page_count={pages}").fetchall()

    store.close()
    sqlalchemy.event.listen(store.database.engine, "connect", limit)
    with pytest.raises(DiskFullError, match="no space left"):
        append(store, draft("track:1", filler="x" * 40_000))
    sqlalchemy.event.remove(store.database.engine, "connect", limit)
    assert store.state() == before
    store.close()
    fill(store, 3)
    assert check(store).ok


def test_an_edge_that_contradicts_itself_is_not_built_upon(store: Store) -> None:
    fill(store, 4)
    store.close()
    with edit(store.url) as editor:
        editor.execute("UPDATE ledger_state SET root = zeroblob(32)")
    with pytest.raises(CorruptError, match="run fsck"):
        fill(store, 1)


def test_a_weak_key_slipped_into_the_key_list_is_corruption(store: Store) -> None:
    store.close()
    with edit(store.url) as editor:
        for key_id, raw in ((OTHER_KEY.key_id, bytes(32)), ("intruder", OTHER_KEY.public_key.raw)):
            editor.execute("INSERT INTO ledger_key VALUES (?, ?, 0)", (key_id, raw))
    entry = sign_event(Place(ORIGIN, "track:1", 0, b""), signing_keys=(OTHER_KEY,))
    for signed in (entry, entry.replace(OTHER_KEY.key_id.encode(), b"intruder")):
        with pytest.raises(CorruptError, match="key list"):
            append(store, signed)


def test_the_tables_refuse_to_be_rewritten(file_store: Store) -> None:
    store = file_store
    fill(store, 3)
    statements = [
        "INSERT OR REPLACE INTO ledger_entry VALUES (1, x'00', x'00', x'00', 'a', 0)",
        "INSERT OR REPLACE INTO ledger_entry SELECT 99, entry, leaf_hash, chain_hash, asset, n"
        " FROM ledger_entry LIMIT 1",
        "INSERT OR REPLACE INTO ledger_checkpoint VALUES (1, x'00')",
        "UPDATE ledger_state SET size = 1",
        "UPDATE ledger_state SET origin = 'x', size = 99",
        "DELETE FROM ledger_state",
    ]
    for table in ("entry", "node", "checkpoint", "subject", "key"):
        statements += [f"DELETE FROM ledger_{table}", f"UPDATE ledger_{table} SET rowid = 9"]
    connection = sqlite.connect(find_path(store.url))
    for statement in statements:
        if "rowid" in statement:
            column = {"node": "hash", "checkpoint": "note", "subject": "sha256", "key": "public_key"}
            table = statement.split()[1].removeprefix("ledger_")
            statement = statement.replace("rowid = 9", f"{column.get(table, 'entry')} = x'00'")
        with pytest.raises(sqlite.IntegrityError, match=r"append-only|only grows|cannot be deleted"):
            connection.execute(statement)
    connection.rollback()
    connection.close()
    assert check(store).ok


def test_a_fork_of_the_process_can_append_and_both_see_it(store: Store) -> None:
    store.close()
    child = os.fork()
    if child == 0:
        status = 1
        try:
            with Store(store.url) as own:
                fill(own, 5)
            status = 0
        finally:
            os._exit(status)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert store.state().size == 6
