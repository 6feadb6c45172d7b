"""Group commit: appends share a commit, and still stand or fall each by itself."""

import gc
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from pathlib import Path

import pytest
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
    make_store,
    sha,
    sign_event,
)

from ledger import Draft, Head, Place, Receipt, Store, check_proof, merkle, writer
from ledger.collection import GATHERED, settle_heap
from ledger.errors import (
    BadSignatureError,
    BusyError,
    FormatError,
    LedgerConflictError,
    LedgerError,
    UnknownKeyError,
)
from ledger.postgres import PostgresDatabase


@pytest.fixture(params=[0, 2], ids=["inline", "workers"])
def store(request: pytest.FixtureRequest, new_url: Callable[[], str]) -> Iterator[Store]:
    with make_store(new_url()) as made:
        url = made.url
    with Store(url, workers=request.param) as opened:
        yield opened


def sign_chain(asset: str, count: int) -> list[bytes]:
    """Sign an asset's first events, each on top of the one before, without asking the ledger."""
    entries: list[bytes] = []
    head: Head | None = None
    for n in range(count):
        entries.append(sign_event(Place.after(ORIGIN, asset, head)))
        head = Head(n, merkle.leaf_hash(entries[-1]))
    return entries


def submit(store: Store, *events: Draft | bytes) -> Future[list[Receipt]]:
    return store.submit(events, log_signing_key=LOG_KEY)


class Gate:
    """Holds the writer inside a commit, so that what is submitted meanwhile gathers."""

    def __init__(self, store: Store) -> None:
        self.entered, self.opened = threading.Event(), threading.Event()
        self.future = submit(store, Draft("track:gate", self._build))
        assert self.entered.wait(10)

    def _build(self, place: Place) -> bytes:
        self.entered.set()
        assert self.opened.wait(10)
        return sign_event(place)


def count_commits(store: Store) -> int:
    commits = 0
    for size in range(store.state().size + 1):
        try:
            store.checkpoint(size)
            commits += 1
        except LedgerError:
            continue
    return commits


def test_what_gathers_during_a_commit_is_the_next_commit_and_keeps_its_order(store: Store) -> None:
    before = count_commits(store)
    gate = Gate(store)
    chains = [sign_chain(f"track:{name}", 6) for name in "abcde"]
    entries = [entry for position in range(6) for entry in (chain[position] for chain in chains)]
    futures = [submit(store, entry) for entry in entries]
    gate.opened.set()
    receipts = [future.result(30)[0] for future in futures]
    assert [receipt.index for receipt in receipts] == list(range(2, 32))
    assert store.entries(2, 99) == entries
    for receipt, entry in zip(receipts, entries, strict=True):
        index, checkpoint = check_proof(receipt.text(), merkle.leaf_hash(entry), ORIGIN, VKEY)
        assert (index, checkpoint.size) == (receipt.index, 32)
    assert count_commits(store) - before in (1, 2)
    assert check(store).ok


def test_one_refused_submission_leaves_the_others_of_its_commit(store: Store) -> None:
    gate = Gate(store)
    good = sign_chain("track:a", 3)
    stranger = sign_event(Place(ORIGIN, "track:b", 0, b""), signing_keys=(OTHER_KEY,))
    forged = stranger.replace(OTHER_KEY.key_id.encode(), ACTOR_KEY.key_id.encode())
    late = sign_event(Place(ORIGIN, "track:a", 1, sha("elsewhere")))

    def fail(_: Place) -> bytes:
        raise RuntimeError("interrupted")

    futures = [
        submit(store, good[0]),
        submit(store, draft("track:c"), stranger),
        submit(store, forged),
        submit(store, b"{}"),
        submit(store, good[1]),
        submit(store, late),
        submit(store, draft("track:c"), Draft("track:c", fail)),
        submit(store, draft("track:c")),
        submit(store, good[2]),
        submit(store, good[0]),
    ]
    gate.opened.set()
    kinds = [UnknownKeyError, BadSignatureError, FormatError, LedgerConflictError, RuntimeError]
    for number, kind in zip((1, 2, 3, 5, 6), kinds, strict=True):
        assert isinstance(futures[number].exception(30), kind), number
    indexes = [futures[number].result(30)[0].index for number in (0, 4, 7, 8, 9)]
    assert sorted(indexes) == [2, 2, 3, 4, 5]  # a draft on top of a refused one may come later
    assert indexes[0] < indexes[1] < indexes[3]
    assert store.head("track:c") == Head(0, futures[7].result()[0].leaf_hash)
    assert store.state().size == 6
    assert check(store).ok


def test_a_key_may_be_used_in_the_commit_that_adds_it_but_not_before(store: Store) -> None:
    gate = Gate(store)
    head = store.head("keys")
    place = Place.after(ORIGIN, "keys", head)
    added = draft_key(OTHER_KEY, ACTOR_KEY, OTHER_KEY).build(place)
    events = [sign_event(Place(ORIGIN, f"track:{n}", 0, b""), signing_keys=(OTHER_KEY,)) for n in range(9)]
    early = [submit(store, entry) for entry in events[:4]]
    adding = submit(store, added)
    late = [submit(store, entry) for entry in events[4:]]
    gate.opened.set()
    assert all(isinstance(future.exception(30), UnknownKeyError) for future in early)
    assert [future.result(30)[0].index for future in (adding, *late)] == list(range(2, 8))
    assert check(store).ok


def test_many_threads_share_commits(store: Store) -> None:
    def work(name: int) -> None:
        for entry in sign_chain(f"track:{name}", 5):
            append(store, entry)

    before = count_commits(store)
    threads = [threading.Thread(target=work, args=(name,)) for name in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert store.state().size == 41
    assert count_commits(store) - before <= 40
    assert check(store).ok


def test_more_than_the_queue_takes_is_refused_at_once(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(writer, "MAX_WAITING", 5)
    gate = Gate(store)
    futures = [submit(store, draft(f"track:{number}")) for number in range(5)]
    with pytest.raises(BusyError, match="5 events wait"):
        submit(store, draft("track:6"))
    gate.opened.set()
    assert len([future.result(30) for future in futures]) == 5
    submit(store, draft("track:6")).result(30)


def test_a_batch_has_its_limit(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(writer, "MAX_BATCH", 4)
    gate = Gate(store)
    futures = [submit(store, draft("track:1")) for number in range(10)]
    big = submit(store, *[draft("track:2")] * 9)
    gate.opened.set()
    sizes = [merkle_size(future.result(30)[0]) for future in futures]
    if isinstance(store.database, PostgresDatabase):  # its sequencer commits what is pending together
        assert sizes == sorted(sizes)
    else:
        assert sizes == [6] * 4 + [10] * 4 + [12] * 2
    assert merkle_size(big.result(30)[0]) == 21


def merkle_size(receipt: Receipt) -> int:
    return check_proof(receipt.text(), receipt.leaf_hash, ORIGIN, VKEY)[1].size


def test_what_is_cancelled_while_it_waits_is_not_appended(store: Store) -> None:
    gate = Gate(store)
    futures = [submit(store, draft("track:1")) for _ in range(3)]
    assert futures[1].cancel()
    gate.opened.set()
    assert [futures[number].result(30)[0].index for number in (0, 2)] == [2, 3]
    assert store.state().size == 4


def test_closing_appends_what_waits_and_the_store_can_be_used_again(store: Store) -> None:
    futures = [submit(store, entry) for entry in sign_chain("track:1", 20)]
    store.close()
    assert [future.result(0)[0].index for future in futures] == list(range(1, 21))
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("ledger-")]
    fill(store, 2)
    assert store.state().size == 23


def test_nothing_to_append_is_no_commit(store: Store) -> None:
    before = count_commits(store)
    assert append(store) == []
    assert count_commits(store) == before


def test_an_idempotency_key_gives_the_first_receipt_without_building_again(store: Store) -> None:
    built = []

    def build(place: Place) -> bytes:
        built.append(place)
        return sign_event(place, time=f"2026-11-22T17:31:3{len(built)}Z")

    def once(asset: str, key: str) -> Draft:
        return Draft(asset, build, idempotency_key=key)

    (first,) = append(store, once("track:1", "a"))
    fill(store, 2)
    assert append(store, once("track:1", "a")) == [first]
    both = append(store, once("track:1", "b"), once("track:1", "b"))
    assert [receipt.index for receipt in both] == [4, 4]
    assert len(built) == 2
    store.close()
    assert append(store, once("track:1", "a")) == [first]
    with pytest.raises(RuntimeError, match="interrupted"):
        append(store, once("track:1", "c"), Draft("track:1", interrupt))
    assert append(store, once("track:1", "c"))[0].index == 5
    assert check(store).ok


def interrupt(_: Place) -> bytes:
    raise RuntimeError("interrupted")


def test_workers_examine_during_a_commit_what_gathers_and_it_keeps_its_order(tmp_path: Path) -> None:
    with make_store(tmp_path) as made:
        url = made.url
    with Store(url, workers=2) as store:
        gate = Gate(store)
        chain = sign_chain("track:1", writer.MIN_AHEAD + 40)
        futures = [submit(store, entry) for entry in chain]
        deadline = time.monotonic() + 30
        while not all(item.done() for item in [*store._writer._prepared] or [gate.future]):
            assert time.monotonic() < deadline
            time.sleep(0.01)
        assert not gate.opened.is_set()  # the commit is still under way
        gate.opened.set()
        assert [future.result(30)[0].index for future in futures] == list(range(2, 2 + len(chain)))
        assert check(store).ok


def test_a_worker_that_dies_costs_time_and_nothing_else(tmp_path: Path) -> None:
    with make_store(tmp_path) as made:
        url = made.url
    with Store(url, workers=1) as store:
        chain = sign_chain("track:1", 30)
        for future in [submit(store, entry) for entry in chain[:10]]:
            future.result(30)
        (worker,) = store._writer._examiners._workers  # type: ignore[union-attr]
        os.kill(worker._process.pid, signal.SIGKILL)
        futures = [submit(store, entry) for entry in chain[10:20]]
        assert [future.result(30)[0].index for future in futures] == list(range(11, 21))
        deadline = time.monotonic() + 10
        while worker.alive and time.monotonic() < deadline:
            time.sleep(0.01)
        gate = Gate(store)
        futures = [submit(store, entry) for entry in chain[20:]]
        gate.opened.set()
        assert [future.result(30)[0].index for future in futures] == list(range(22, 32))
        assert check(store).ok


def test_a_settled_heap_is_not_looked_at_again() -> None:
    threshold = gc.get_threshold()
    try:
        settle_heap()
        assert gc.get_freeze_count() > 1000
        assert len(gc.get_objects()) < 1000
        assert gc.get_threshold() == (GATHERED, *threshold[1:])
    finally:
        gc.unfreeze()
        gc.set_threshold(*threshold)
