"""The catalogue on disk: its index survives restarts, merges, crashes and damage, and never answers alone."""

import dataclasses
import hashlib
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path

import pytest
from conftest import SAMPLE_RATE, make_music
from hypothesis import example, given
from hypothesis import settings as settings_of_property
from hypothesis import strategies as st

from api import indexmerging
from api.catalogue import Catalogue
from api.errors import LedgerFolderError, MissingError, StoppedError
from api.fingerprints import FingerprintRow, Fingerprints
from api.indexmerging import choose_group
from api.settings import Settings, read_settings
from ledger import upgrade
from watermark.identity.extraction import Query, extract_query, make_fingerprint
from watermark.identity.fingerprint_format import format_fingerprint
from watermark.identity.segment import MAX_POSITION

SECONDS = 6.0


@lru_cache(maxsize=64)
def hear(seed: int) -> Query:
    return extract_query(make_music(SECONDS, seed=seed), sample_rate=SAMPLE_RATE)


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    made = read_settings(tmp_path / "ledger", {})
    made.home.mkdir()
    upgrade(made.database_url)
    return made


@pytest.fixture
def catalogue(settings: Settings) -> Iterator[Catalogue]:
    opened = Catalogue(settings)
    yield opened
    opened.close()


def add(catalogue: Catalogue, seed: int) -> tuple[int, bool]:
    fingerprint = make_fingerprint(hear(seed))
    content = format_fingerprint(fingerprint)
    row = FingerprintRow(
        name=f"song {seed}",
        profile=fingerprint.profile_name,
        milliseconds=round(1000 * SECONDS),
        sha256=hashlib.sha256(content).hexdigest(),
        pcm_sha256=hashlib.sha256(str(seed).encode()).hexdigest(),
        created="2026-01-01T00:00:00Z",
    )
    return catalogue.add_recording(row, fingerprint)


def name(catalogue: Catalogue, seed: int) -> str | None:
    """Look a song up; its name in the catalogue, or None for "unknown"."""
    matches = catalogue.identify(hear(seed)).matches
    if not matches:
        return None
    row = catalogue.find_row(matches[0].track)
    assert row is not None
    return row.name


def list_files(settings: Settings, folder: str) -> set[str]:
    return {path.name for path in (settings.catalogue / folder).iterdir()}


def test_what_was_added_is_found_also_by_another_process(catalogue: Catalogue, settings: Settings) -> None:
    assert name(catalogue, 1) is None
    assert add(catalogue, 1) == (1, True)
    assert name(catalogue, 1) == "song 1"
    assert name(catalogue, 2) is None
    other = Catalogue(settings)
    assert name(other, 1) == "song 1"
    add(catalogue, 2)
    assert name(other, 2) == "song 2"
    other.close()


def test_the_same_samples_are_added_once(catalogue: Catalogue) -> None:
    assert add(catalogue, 1) == (1, True)
    assert add(catalogue, 1) == (1, False)
    assert catalogue.rows.count() == 1


def test_small_segments_are_merged_at_once_and_all_are_found(
    catalogue: Catalogue, settings: Settings
) -> None:
    for seed in range(9):
        add(catalogue, seed)
    assert [segment.recordings for segment in catalogue.rows.list_segments()] == [9]
    assert len(list_files(settings, "segments")) == 1
    for seed in (0, 7, 8):
        assert name(catalogue, seed) == f"song {seed}"


@pytest.fixture
def all_large(monkeypatch: pytest.MonkeyPatch) -> None:
    """Take every segment for a large one, which is merged only when the index is tended."""
    monkeypatch.setattr(indexmerging, "SMALL_BYTES", 0)
    monkeypatch.setattr(indexmerging, "LEAST_BYTES", 0)


@pytest.mark.usefixtures("all_large")
def test_large_segments_are_merged_when_the_index_is_tended(catalogue: Catalogue, settings: Settings) -> None:
    for seed in range(5):
        add(catalogue, seed)
    assert len(catalogue.rows.list_segments()) == 5
    catalogue.remove(5)
    told: list[float] = []
    assert catalogue.tidy(lambda _, fraction: told.append(fraction)) >= 1
    assert told[-1] == 1.0
    segments = catalogue.rows.list_segments()
    assert len(segments) < 5
    assert list_files(settings, "segments") == {f"{segment.name}.seg" for segment in segments}
    assert catalogue.tidy() == 0
    assert [name(catalogue, seed) for seed in range(5)] == [*(f"song {seed}" for seed in range(4)), None]
    assert (catalogue.check(), catalogue.rows.list_loose(limit=9)) == ([], [])


@pytest.mark.usefixtures("all_large")
def test_of_a_merge_whose_other_recordings_are_gone_the_rest_stays(
    catalogue: Catalogue, settings: Settings
) -> None:
    for seed in (1, 2, 3):
        add(catalogue, seed)
    kept = {row.name for row in catalogue.rows.list_segments() if row.name.startswith("0000000001")}
    catalogue.remove(2)
    catalogue.remove(3)
    assert catalogue.tidy() == 1
    assert {segment.name for segment in catalogue.rows.list_segments()} == kept
    assert list_files(settings, "segments") == {f"{each}.seg" for each in kept}
    assert name(catalogue, 1) == "song 1"


@pytest.mark.usefixtures("all_large")
def test_a_merge_that_is_cancelled_or_crashes_leaves_the_index_as_it_was(
    catalogue: Catalogue, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    for seed in range(4):
        add(catalogue, seed)
    before = list_files(settings, "segments")
    with pytest.raises(StoppedError, match="cancelled"):
        catalogue.tidy(cancelled=lambda: True)
    assert list_files(settings, "segments") == before
    assert not (settings.catalogue / "merging.part").exists()
    with monkeypatch.context() as patch:
        patch.setattr(Fingerprints, "put_segments", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt()))
        with pytest.raises(KeyboardInterrupt):
            catalogue.tidy()
    assert list_files(settings, "segments") > before
    assert name(catalogue, 3) == "song 3"
    assert catalogue.tidy() >= 1
    # What the crash left is gone too.
    assert list_files(settings, "segments") == {f"{row.name}.seg" for row in catalogue.rows.list_segments()}


@pytest.mark.usefixtures("all_large")
def test_one_at_a_time_merges_and_others_add_meanwhile(catalogue: Catalogue, settings: Settings) -> None:
    for seed in range(4):
        add(catalogue, seed)
    other = Catalogue(settings)
    seen: list[int | str | None] = []

    def look(_: str, fraction: float) -> None:
        if not seen:
            seen.extend((other.tidy(), add(other, 9)[0], name(other, 9), name(other, 2)))

    assert catalogue.tidy(look) >= 1
    assert seen == [0, 5, "song 9", "song 2"]
    assert [name(catalogue, seed) for seed in (0, 3, 9)] == ["song 0", "song 3", "song 9"]
    other.close()


@settings_of_property(max_examples=200, deadline=None)
@example(sizes=[4, 4], frames=[1] * 12, least=0)
@given(
    sizes=st.lists(st.integers(1, 1 << 20), max_size=12),
    frames=st.lists(st.integers(1, 1 << 31), min_size=12, max_size=12),
    least=st.integers(0, 1 << 12),
)
def test_merging_ends_with_each_segment_larger_than_all_smaller_ones(
    sizes: list[int], frames: list[int], least: int
) -> None:
    held = list(zip(sizes, frames[: len(sizes)], strict=True))
    while group := choose_group([size for size, _ in held], [length for _, length in held], least=least):
        assert len(group) > 1
        merged = sum(held[k][0] for k in group), sum(held[k][1] for k in group)
        assert merged[1] < MAX_POSITION
        held = [*(item for k, item in enumerate(held) if k not in group), merged]
    assert sum(size for size, _ in held) == sum(sizes)
    held.sort()
    below = length = 0
    for size, frame in held:
        length += frame
        assert not below or length >= MAX_POSITION or size > max(below, least)
        below += size


def test_a_lean_index_is_searched_beside_a_rich_one(catalogue: Catalogue, settings: Settings) -> None:
    for seed in range(3):
        add(catalogue, seed)
    lean = Catalogue(dataclasses.replace(settings, index="lean"))
    try:
        for seed in range(3, 10):
            add(lean, seed)
        # Kinds are not merged with each other.
        assert sorted(segment.recordings for segment in lean.rows.list_segments()) == [3, 7]
        assert [name(lean, seed) for seed in (0, 4)] == ["song 0", "song 4"]
        assert lean.rebuild() == 10
        assert name(lean, 1) == "song 1"
    finally:
        lean.close()
    kinds = {path.read_bytes()[5] for path in (settings.catalogue / "segments").iterdir()}
    assert kinds == {3}


def test_a_reader_follows_a_merge_that_happens_while_it_is_open(
    catalogue: Catalogue, settings: Settings
) -> None:
    add(catalogue, 0)
    reader = Catalogue(settings)
    assert name(reader, 0) == "song 0"
    for seed in range(1, 4):
        add(catalogue, seed)
    assert name(reader, 0) == "song 0"
    assert name(reader, 3) == "song 3"
    reader.close()


def test_a_removed_recording_is_not_found_and_its_file_is_gone(
    catalogue: Catalogue, settings: Settings
) -> None:
    add(catalogue, 1)
    add(catalogue, 2)
    assert catalogue.remove(1).name == "song 1"
    assert name(catalogue, 1) is None
    assert name(catalogue, 2) == "song 2"
    assert len(list_files(settings, "recordings")) == 1
    with pytest.raises(MissingError, match="no recording 1"):
        catalogue.remove(1)
    # A number is never given twice: a segment may still hold it.
    assert add(catalogue, 3) == (3, True)


def test_a_crash_before_the_segment_is_finished_by_the_next_change(
    catalogue: Catalogue, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(Fingerprints, "put_segments", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt()))
        with pytest.raises(KeyboardInterrupt):
            add(catalogue, 1)
    assert name(catalogue, 1) is None
    add(catalogue, 2)
    assert name(catalogue, 1) == "song 1"


def test_the_index_is_rebuilt_from_the_fingerprints(catalogue: Catalogue, settings: Settings) -> None:
    add(catalogue, 1)
    add(catalogue, 2)
    for path in (settings.catalogue / "segments").iterdir():
        path.unlink()
    fresh = Catalogue(settings)
    with pytest.raises(LedgerFolderError, match="fingerprint rebuild"):
        fresh.identify(hear(1))
    assert fresh.rebuild() == 2
    assert name(fresh, 1) == "song 1"
    assert fresh.check() == []
    fresh.close()


def test_the_old_index_is_searched_while_a_new_one_is_built(
    catalogue: Catalogue, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("api.catalogue.BATCH", 2)
    for seed in range(5):
        add(catalogue, seed)
    catalogue.remove(3)
    other = Catalogue(settings)
    seen: list[str | None] = []
    assert catalogue.rebuild(lambda _, __: seen.append(name(other, 4))) == 4
    assert seen == ["song 4"] * 2
    assert [segment.recordings for segment in catalogue.rows.list_segments()] == [4]
    assert [name(other, seed) for seed in (0, 2, 4)] == ["song 0", None, "song 4"]
    assert len(list_files(settings, "segments")) == 1
    other.close()


def test_a_flipped_bit_in_any_file_is_named(catalogue: Catalogue, settings: Settings) -> None:
    add(catalogue, 1)
    for folder in ("recordings", "segments"):
        (path,) = (settings.catalogue / folder).iterdir()
        content = path.read_bytes()
        path.write_bytes(content[:-9] + bytes([content[-9] ^ 1]) + content[-8:])
        (fault,) = catalogue.check()
        assert path.name in fault
        path.write_bytes(content)
    assert catalogue.check() == []


def test_a_fingerprint_that_was_changed_is_not_compared_with(
    catalogue: Catalogue, settings: Settings
) -> None:
    add(catalogue, 1)
    (path,) = (settings.catalogue / "recordings").iterdir()
    path.write_bytes(format_fingerprint(make_fingerprint(hear(2))))
    with pytest.raises(LedgerFolderError, match="expected SHA-256"):
        catalogue.identify(hear(1))


@pytest.mark.parametrize("content", [b"", b"short", b"PVSG" + bytes(4092)])
def test_a_damaged_segment_is_an_error_that_says_what_to_do(
    catalogue: Catalogue, settings: Settings, content: bytes
) -> None:
    add(catalogue, 1)
    (path,) = (settings.catalogue / "segments").iterdir()
    path.write_bytes(content)
    fresh = Catalogue(settings)
    with pytest.raises(LedgerFolderError, match="fingerprint rebuild"):
        fresh.identify(hear(1))
    fresh.close()
