"""Appending from many processes to one PostgreSQL database: a pending table and one elected sequencer."""

import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from pathlib import Path

import pytest
import sqlalchemy
from ledger_editor import edit
from ledger_world import (
    ACTOR_KEY,
    LOG_KEY,
    ORIGIN,
    OTHER_KEY,
    append,
    check,
    draft,
    fill,
    make_store,
    sha,
    sign_event,
)

import ledger
from benchmarks.postgres_cluster import Cluster, run_cluster
from ledger import Draft, Head, Place, Receipt, Store, merkle, postgres, sequencing
from ledger.database import open_database
from ledger.errors import (
    BadSignatureError,
    BusyError,
    CorruptError,
    EventError,
    LedgerConflictError,
    LedgerError,
    RollbackError,
    SchemaError,
    StorageError,
    UnknownKeyError,
)
from ledger.guard import FileGuard
from ledger.pending import (
    Pending,
    decode_outcome,
    encode_outcome,
    encode_submission,
    open_submission,
    tag_submission,
)

pytestmark = pytest.mark.tool("pg_createcluster")


@pytest.fixture
def url(cluster: Cluster) -> str:
    with make_store(cluster.create(f"test_{os.urandom(8).hex()}")) as store:
        return store.url


@pytest.fixture
def store(url: str) -> Iterator[Store]:
    with Store(url) as opened:
        yield opened


def execute(url: str, sql: str, *values: object) -> list[tuple[object, ...]]:
    """Execute SQL as somebody who can reach the database."""
    database = open_database(url)
    try:
        with database.engine.begin() as connection:
            result = connection.exec_driver_sql(sql, values)
            return [tuple(row) for row in result] if result.returns_rows else []
    finally:
        database.close()


def wait_until(condition: Callable[[], object]) -> None:
    deadline = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_two_open_ledgers_append_in_turn_and_see_each_other(url: str) -> None:
    with Store(url) as first, Store(url) as second:
        for number in range(5):
            (mine,) = append(first, draft("track:1"))
            (yours,) = append(second, draft("track:1"))
            assert (mine.index, yours.index) == (2 * number + 1, 2 * number + 2)
        assert len(first.chain("track:1")) == 10
        assert check(second).ok
    assert execute(url, "SELECT count(*) FROM ledger_pending")[0] == (0,)
    assert execute(url, "SELECT count(*) FROM ledger_outcome")[0] == (0,)


def test_drafts_of_one_asset_from_many_sides_are_all_appended(url: str) -> None:
    """Each is built on the head that its own process sees; who comes second builds again."""
    stores = [Store(url) for _ in range(3)]
    futures: list[Future[list[Receipt]]] = []
    for _ in range(8):
        futures += [store.submit([draft("track:1")], log_signing_key=LOG_KEY) for store in stores]
    indexes = sorted(future.result(60)[0].index for future in futures)
    assert indexes == list(range(1, 25))
    assert len(stores[0].chain("track:1")) == 24
    assert check(stores[0]).ok
    for store in stores:
        store.close()


def test_the_next_candidate_goes_on_when_the_sequencer_s_process_is_killed(url: str) -> None:
    read_end, write_end = os.pipe()
    child = os.fork()
    if child == 0:
        with Store(url) as leading:
            append(leading, draft("track:1"))
            os.write(write_end, b"x")
            time.sleep(60)
        os._exit(0)
    os.read(read_end, 1)
    with Store(url) as store:
        append(store, draft("track:1"))  # sequenced by the child
        os.kill(child, signal.SIGSTOP)
        future = store.submit([draft("track:1")], log_signing_key=LOG_KEY)
        time.sleep(0.3)
        assert not future.done()
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
        assert future.result(30)[0].index == 3
        fill(store, 3)
        assert check(store).ok
    for end in (read_end, write_end):
        os.close(end)


def test_a_submission_that_nobody_sequences_is_taken_back_in_time(
    url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    database = open_database(url)
    with database.engine.connect() as other:
        other.exec_driver_sql("SELECT pg_advisory_lock(%s)", (sequencing.SEQUENCER_LOCK,))
        with Store(url, lock_timeout_s=0.3) as store:
            with pytest.raises(BusyError, match="nobody took the submission"):
                append(store, draft("track:1"))
            assert execute(url, "SELECT count(*) FROM ledger_pending")[0] == (0,)
            other.exec_driver_sql("SELECT pg_advisory_unlock(%s)", (sequencing.SEQUENCER_LOCK,))
            assert append(store, draft("track:1"))[0].index == 1
    database.close()


def insert_pending(url: str, events: list[Draft | bytes], entries: list[bytes], tag: bytes) -> None:
    body = encode_submission(events, entries)
    execute(url, "INSERT INTO ledger_pending (body, tag) VALUES (%s, %s)", body, tag)


def test_who_can_only_write_to_the_database_gets_nothing_unsigned_into_the_log(store: Store) -> None:
    forged = sign_event(Place(ORIGIN, "track:1", 0, b""), signing_keys=(OTHER_KEY,)).replace(
        OTHER_KEY.key_id.encode(), ACTOR_KEY.key_id.encode()
    )
    body = encode_submission([forged], [forged])
    for tag in (b"", bytes(32), tag_submission(body, OTHER_KEY), tag_submission(body + b" ", LOG_KEY)):
        insert_pending(store.url, [forged], [forged], tag)
    for body in (b"", b"\xff", b"[]", b"[1]", b'[["x", false, null]]', b"[[1,2,3,4]]"):
        execute(store.url, "INSERT INTO ledger_pending (body, tag) VALUES (%s, '')", body)
    (receipt,) = append(store, draft("track:2"))
    wait_until(lambda: execute(store.url, "SELECT count(*) FROM ledger_pending")[0] == (0,))
    assert (receipt.index, store.state().size) == (1, 2)
    assert check(store).ok


def test_an_entry_that_was_inserted_by_hand_is_judged_like_any_other(store: Store) -> None:
    entry = sign_event(Place(ORIGIN, "track:1", 0, b""))
    insert_pending(store.url, [entry], [entry], b"")
    append(store, draft("track:2"))
    wait_until(lambda: store.state().size == 3)
    assert {entry} < set(store.entries(0, 9))
    assert check(store).ok


def test_a_tag_says_that_the_signatures_were_verified_and_holds_for_its_body_alone() -> None:
    entry = sign_event(Place(ORIGIN, "track:1", 0, b""))
    body = encode_submission([entry], [entry])
    tagged = open_submission(Pending(1, body, tag_submission(body, LOG_KEY)), LOG_KEY)
    bare = open_submission(Pending(1, body, b""), LOG_KEY)
    assert [type(item.examined[0]).__name__ for item in (tagged, bare)] == ["Event", "Proposal"]
    assert LOG_KEY.derive("a") != LOG_KEY.derive("b")
    assert tag_submission(body, LOG_KEY) != tag_submission(body, OTHER_KEY)


@pytest.mark.parametrize(
    "error",
    [
        LedgerConflictError("taken", asset="track:1", head=Head(4, sha("head"))),
        LedgerConflictError("taken", asset="track:1", head=None),
        UnknownKeyError("who?", key_id="abc"),
        CorruptError("broken", index=7),
        EventError("not now"),
        BusyError("later"),
    ],
)
def test_an_error_arrives_as_it_was(error: LedgerError) -> None:
    body = encode_outcome(error)
    found = decode_outcome(body, {}.__getitem__)
    assert isinstance(found, LedgerError)
    assert (type(found), str(found), vars(found)) == (type(error), str(error), vars(error))


def test_receipts_arrive_as_they_were(tmp_path: Path) -> None:
    with make_store(tmp_path) as store:
        receipts = append(store, draft("track:1"), draft("track:2")) + append(store, draft("track:1"))
        body = encode_outcome(receipts)
        assert decode_outcome(body, store.checkpoint) == receipts


def test_one_event_that_the_database_cannot_hold_does_not_stop_the_others(store: Store) -> None:
    place = Place(ORIGIN, "track:1", 0, b"")
    subjects = [ledger.Subject("nul\0", sha("x"))]
    payload = ledger.build_event(ledger.STAMPED, place, subjects, {})
    bad = ledger.sign_envelope(payload, [ACTOR_KEY])
    futures = [store.submit([event], log_signing_key=LOG_KEY) for event in (draft("a"), bad, draft("b"))]
    assert isinstance(futures[1].exception(30), LedgerError)
    assert sorted(futures[number].result(30)[0].index for number in (0, 2)) == [1, 2]
    fill(store, 1)
    assert check(store).ok


def test_the_tables_refuse_to_be_rewritten(store: Store) -> None:
    fill(store, 2)
    for table in ("entry", "node", "checkpoint", "subject", "key"):
        columns = {"node": "hash", "checkpoint": "note", "subject": "sha256", "key": "public_key"}
        column = columns.get(table, "entry")
        for sql in (
            f"UPDATE ledger_{table} SET {column} = ''",
            f"DELETE FROM ledger_{table}",
            f"TRUNCATE ledger_{table}",
            f"INSERT INTO ledger_{table} SELECT * FROM ledger_{table} ON CONFLICT DO NOTHING; "
            f"UPDATE ledger_{table} SET {column} = ''",
        ):
            with pytest.raises(sqlalchemy.exc.DBAPIError, match="append-only"):
                execute(store.url, sql)
    for sql in ("DELETE FROM ledger_state", "TRUNCATE ledger_state", "UPDATE ledger_state SET size = 0"):
        with pytest.raises(sqlalchemy.exc.DBAPIError, match=r"only grows|cannot be deleted"):
            execute(store.url, sql)
    assert check(store).ok


def test_a_lock_store_is_told_before_anybody_gets_a_receipt(url: str, tmp_path: Path) -> None:
    lock = FileGuard(tmp_path / "lock")
    with Store(url, guard=lock) as store:
        for _ in range(4):
            (receipt,) = append(store, draft("track:1"))
            assert lock.read().note == receipt.checkpoint
    with edit(url) as editor:
        editor.execute("DELETE FROM ledger_entry WHERE entry_index = 4")
        editor.execute("DELETE FROM ledger_checkpoint WHERE size = 5")
        before = editor.execute("SELECT note FROM ledger_checkpoint WHERE size = 4").fetchone()[0]
        state = ledger.open_checkpoint(before, ORIGIN, ledger.format_vkey(ORIGIN, LOG_KEY.public_key))
        editor.execute("UPDATE ledger_state SET size = 4, root = ?", (state.root,))
    with pytest.raises(RollbackError, match="old copy"):
        Store(url, guard=lock)


def test_a_server_that_is_restarted_loses_nothing_acknowledged() -> None:
    with run_cluster() as cluster, make_store(cluster.create("restarted")) as store:
        acknowledged: dict[int, bytes] = {}
        stop = threading.Event()

        def work(asset: str) -> None:
            while not stop.is_set():
                try:
                    for receipt in append(store, draft(asset)):
                        acknowledged[receipt.index] = receipt.leaf_hash
                except StorageError:
                    time.sleep(0.02)

        threads = [threading.Thread(target=work, args=(f"track:{name}",)) for name in range(3)]
        for thread in threads:
            thread.start()
        for mode in ("immediate", "fast"):
            target = len(acknowledged) + 10
            wait_until(lambda target=target: len(acknowledged) >= target)  # type: ignore[misc]
            cluster.control("restart", "-m", mode)
        target = len(acknowledged) + 10
        wait_until(lambda: len(acknowledged) >= target)
        stop.set()
        for thread in threads:
            thread.join()
        for index, leaf in acknowledged.items():
            assert merkle.leaf_hash(store.entry(index)) == leaf
        assert check(store).ok


def test_a_server_that_does_not_sync_is_refused(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(postgres.SETTINGS, "fsync", "off")  # as if our server were the one with the other
    with pytest.raises(StorageError, match="expected fsync=off, got on"):
        Store(url)


def test_databases_that_cannot_be_used_are_named(cluster: Cluster) -> None:
    with pytest.raises(SchemaError, match="does not exist"):
        Store(cluster.url("nowhere"))
    with pytest.raises(SchemaError, match="without schema version"):
        Store(cluster.create("empty"))
    with pytest.raises(StorageError, match="No such file"):
        Store("postgresql://ledger@/x?host=/nonexistent")
    with pytest.raises(StorageError) as caught:
        Store("postgresql://ledger:secret@127.0.0.1:1/x")
    assert "secret" not in str(caught.value)


def test_a_signature_that_does_not_verify_never_reaches_the_database(store: Store) -> None:
    forged = sign_event(Place(ORIGIN, "track:1", 0, b""), signing_keys=(OTHER_KEY,)).replace(
        OTHER_KEY.key_id.encode(), ACTOR_KEY.key_id.encode()
    )
    with pytest.raises(BadSignatureError):
        append(store, forged)
    assert execute(store.url, "SELECT last_value, is_called FROM ledger_pending_pending_id_seq")[0][0] == 1
