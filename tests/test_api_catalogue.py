"""The catalogue on disk: its index survives restarts, merges, crashes and damage, and never answers alone."""

import dataclasses
import hashlib
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path

import pytest
from conftest import SAMPLE_RATE, make_music

from api.catalogue import MERGED, Catalogue
from api.errors import LedgerFolderError, MissingError
from api.fingerprints import FingerprintRow
from api.settings import Settings, read_settings
from ledger import upgrade
from watermark.identity.extraction import Query, extract_query, make_fingerprint
from watermark.identity.fingerprint_format import format_fingerprint

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


def test_small_segments_are_merged_and_all_are_found(catalogue: Catalogue, settings: Settings) -> None:
    for seed in range(MERGED + 1):
        add(catalogue, seed)
    assert sorted(segment.recordings for segment in catalogue.rows.list_segments()) == [1, MERGED]
    assert len(list_files(settings, "segments")) == 2
    for seed in (0, MERGED - 1, MERGED):
        assert name(catalogue, seed) == f"song {seed}"


def test_a_lean_index_is_searched_beside_a_rich_one(catalogue: Catalogue, settings: Settings) -> None:
    for seed in range(3):
        add(catalogue, seed)
    lean = Catalogue(dataclasses.replace(settings, index="lean"))
    try:
        for seed in range(3, 2 + MERGED):
            add(lean, seed)
        # Ten recordings, each in a segment: three of one kind, seven of the other, too few to be merged.
        assert len(lean.rows.list_segments()) == 2 + MERGED
        assert [name(lean, seed) for seed in (0, 4)] == ["song 0", "song 4"]
        assert lean.rebuild() == 2 + MERGED
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
    for seed in range(1, MERGED):
        add(catalogue, seed)
    assert name(reader, 0) == "song 0"
    assert name(reader, MERGED - 1) == f"song {MERGED - 1}"
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
        patch.setattr(Catalogue, "_put", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt()))
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
