"""The registry's tables, their migration, and the rules that rows obey; over both databases."""

import contextlib
import threading
from collections.abc import Callable, Iterator

import pytest
import sqlalchemy
from sqlmodel import SQLModel

from api import registry as r
from api.errors import MissingError, RegisteredError
from api.jobtable import JobRow
from api.registry import MarkRow, Registry, TrackRow
from ledger.database import open_database
from ledger.migration import downgrade, upgrade


@pytest.fixture
def registry(url: str) -> Iterator[Registry]:
    with contextlib.closing(Registry(url)) as opened:
        yield opened


@pytest.fixture
def url(new_url: Callable[[], str]) -> str:
    address = new_url()
    upgrade(address)
    return address


def make_track(track_id: str, source: str = "s") -> TrackRow:
    return TrackRow(
        track_id=track_id,
        state=r.PENDING,
        origin="stamped",
        title="t",
        created="2026-01-01T00:00:00Z",
        audio_name="track.flac",
        container="flac",
        sample_rate=44_100,
        channels=2,
        samples=1,
        file_sha256="f",
        pcm_sha256="p",
        source_pcm_sha256=source,
    )


def make_mark(mark_id: str, track_id: str) -> MarkRow:
    return MarkRow(mark_id=mark_id, track_id=track_id, salt=b"s", profile="pn1", watermark_key_id="k")


def test_the_migration_makes_exactly_the_tables_that_the_program_reads(url: str) -> None:
    engine = open_database(url).engine
    found = sqlalchemy.inspect(engine)
    for name in ("track", "mark", JobRow.__tablename__):
        declared = SQLModel.metadata.tables[name]
        columns = {column["name"]: column for column in found.get_columns(name)}
        assert set(columns) == set(declared.columns.keys())
        for column in declared.columns:
            assert columns[column.name]["nullable"] == column.nullable, (name, column.name)
            found_type = str(columns[column.name]["type"]).replace("DOUBLE PRECISION", "FLOAT")  # the same
            assert found_type == str(column.type.compile(engine.dialect)), (name, column.name)
        indexes = {(index["name"], bool(index["unique"])) for index in found.get_indexes(name)}
        assert indexes == {(str(index.name), bool(index.unique)) for index in declared.indexes}
    engine.dispose()


def test_the_migration_runs_down_and_up_again(url: str) -> None:
    downgrade(url, "0001_ledger")
    engine = open_database(url).engine
    assert not {"track", "mark", "job"} & set(sqlalchemy.inspect(engine).get_table_names())
    engine.dispose()
    upgrade(url)
    with contextlib.closing(Registry(url)) as registry:
        registry.add_pending(make_track("a"), make_mark("m", "a"))


def test_a_track_is_pending_until_it_is_released(registry: Registry) -> None:
    registry.add_pending(make_track("a"), make_mark("m", "a"))
    with pytest.raises(MissingError):
        registry.get_released("a")
    assert registry.list_tracks(limit=9) == []
    registry.release("a")
    assert registry.get_released("a").track_id == "a"
    registry.drop_pending("a")  # too late: a released track stays
    assert registry.find_mark("m") is not None


def test_dropping_a_pending_track_drops_its_mark(registry: Registry) -> None:
    registry.add_pending(make_track("a"), make_mark("m", "a"))
    registry.drop_pending("a")
    assert registry.find_track("a") is None
    assert registry.find_mark("m") is None


def test_one_source_is_reserved_once(registry: Registry) -> None:
    registry.add_pending(make_track("a"), make_mark("m", "a"))
    with pytest.raises(RegisteredError) as caught:
        registry.add_pending(make_track("b"), make_mark("n", "b"))
    assert caught.value.track_id == "a"
    assert registry.find_mark("n") is None


def test_a_mark_needs_its_track(url: str) -> None:
    engine = open_database(url).engine
    insert = "INSERT INTO mark VALUES ('m', 'none', 'x', 'pn1', 'k')"
    with engine.connect() as connection, pytest.raises(sqlalchemy.exc.IntegrityError):
        connection.exec_driver_sql(insert)
    engine.dispose()


def test_of_two_at_the_same_time_one_reserves_the_source(registry: Registry) -> None:
    found = []

    def reserve(name: str) -> None:
        try:
            registry.add_pending(make_track(name), make_mark(name, name))
        except RegisteredError as error:
            found.append(error.track_id)

    threads = [threading.Thread(target=reserve, args=(name,)) for name in "abcd"]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(registry.list_pending()) == 1
    assert found == [registry.list_pending()[0].track_id] * 3


def test_pages_of_tracks_are_in_order_and_complete(registry: Registry) -> None:
    for name in "cabd":
        registry.add_pending(make_track(name, source=name), make_mark(name, name))
        registry.release(name)
    assert [row.track_id for row in registry.list_tracks(limit=2)] == ["a", "b"]
    assert [row.track_id for row in registry.list_tracks(limit=9, after="b")] == ["c", "d"]
