import random
from collections.abc import Sequence
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from ledger_world import LOG_KEY, ORIGIN, VKEY, append, draft, make_store, vector_path
from test_ledger_merkle import MemoryTree

import ledger
from ledger import Store, check_proof, merkle, sign_checkpoint
from ledger.checkpoint import Checkpoint
from ledger.errors import (
    BusyError,
    CorruptError,
    DiskFullError,
    FormatError,
    LedgerError,
    NotFoundError,
    ProofError,
    SignatureError,
    StorageError,
)
from ledger.tilefolder import export_tiles, folder_fetch
from ledger.tilereader import (
    Fetch,
    TileLog,
    check_growth,
    check_tiles,
    open_tile_log,
    prove_entry,
    tile_reader,
)
from ledger.tiles import (
    ENTRIES,
    Tile,
    decode_entries,
    encode_entries,
    find_tile,
    format_path,
    list_tiles,
    parse_path,
    read_tile,
)

BIG = 70_000
"""The example of the specification."""


class MemoryLog:
    """A log of these entries, in memory."""

    def __init__(self, entries: Sequence[bytes]) -> None:
        self.all_entries = list(entries)
        self.read = MemoryTree([merkle.leaf_hash(entry) for entry in entries]).read

    def nodes(self, coordinates: Sequence[merkle.Coordinate]) -> list[bytes]:
        return self.read(coordinates)

    def entries(self, start: int, stop: int) -> list[bytes]:
        return self.all_entries[start:stop]


@pytest.fixture(scope="module")
def log() -> MemoryLog:
    return MemoryLog([b"entry %d" % number for number in range(BIG)])


def serve(log: MemoryLog, size: int) -> tuple[TileLog, dict[str, bytes]]:
    """Return the log's tiles at a size, in a dictionary, and the log opened over them."""
    resources = {format_path(tile): read_tile(log, tile, size) for tile in list_tiles(size)}
    root = merkle.read_root(log.read, size)
    resources["checkpoint"] = sign_checkpoint(ORIGIN, size, root, LOG_KEY)
    return open_tile_log(dictionary_fetch(resources), ORIGIN, VKEY), resources


def dictionary_fetch(resources: dict[str, bytes]) -> Fetch:
    def fetch(path: str) -> bytes:
        if path not in resources:
            raise NotFoundError(path)
        return resources[path]

    return fetch


def test_paths_are_those_of_the_specification() -> None:
    for tile, path in (
        (Tile(0, 1_234_067), "tile/0/x001/x234/067"),
        (Tile(0, 0, 5), "tile/0/000.p/5"),
        (Tile(63, 999), "tile/63/999"),
        (Tile(2, 1000, 255), "tile/2/x001/000.p/255"),
        (Tile(ENTRIES, 273, 112), "tile/entries/273.p/112"),
    ):
        assert format_path(tile) == path
        assert parse_path(path) == tile


@settings(derandomize=True, max_examples=200, deadline=None)
@given(st.integers(-1, 63), st.integers(0, 2**63 - 1), st.integers(1, 256))
def test_a_path_parses_to_what_was_formatted(level: int, index: int, width: int) -> None:
    assert parse_path(format_path(Tile(level, index, width))) == Tile(level, index, width)


@pytest.mark.parametrize(
    "path",
    [
        "",
        "checkpoint",
        "tile/0/0",
        "tile/00/000",
        "tile/64/000",
        "tile/-1/000",
        "tile/0/1000",
        "tile/0/x000/000",
        "tile/0/001/000",
        "tile/0/x001",
        "tile/0/000.p/0",
        "tile/0/000.p/256",
        "tile/0/000.p/05",
        "tile/0/000.p/",
        "tile/0/000.p",
        "tile/0/000/",
        "/tile/0/000",
        "tile/0/../000",
        "tile/0/٠٠٠",
        "tile/entry/000",
        "tile/0/" + "x001/" * 40 + "000",
        "tile/0/x999/x999/x999/x999/x999/x999/999",
    ],
)
def test_other_spellings_are_no_path(path: str) -> None:
    with pytest.raises(FormatError):
        parse_path(path)


def test_a_log_of_70000_entries_has_the_tiles_of_the_specification_s_example() -> None:
    tiles = list_tiles(BIG)
    counted = [(tile.level, tile.width == 256) for tile in tiles]
    assert [counted.count((level, True)) for level in (0, 1, 2)] == [273, 1, 0]
    assert [(tile.level, tile.width) for tile in tiles if tile.width < 256] == [
        (ENTRIES, 112),
        (0, 112),
        (1, 17),
        (2, 1),
    ]
    assert [format_path(tile) for tile in list_tiles(256)] == [
        "tile/entries/000",
        "tile/0/000",
        "tile/1/000.p/1",
    ]
    assert list_tiles(0) == []


def test_new_tiles_since_a_size_are_those_it_lacked() -> None:
    sizes = (0, 1, 255, 256, 257, 511, 512, 65_535, 65_536, 65_537, BIG)
    for old in sizes:
        there = set(list_tiles(old))
        for new in sizes:
            if old <= new:
                expected = [tile for tile in list_tiles(new) if tile not in there]
                assert list_tiles(new, since=old) == expected
    with pytest.raises(ValueError, match="since"):
        list_tiles(5, since=6)


def test_the_signed_tile_log_of_tessera_has_exactly_our_tiles_and_checks_at_every_size() -> None:
    folder = vector_path("tlog-tiles")
    vkey = (folder / "vkey.txt").read_text().strip()
    everything = folder_fetch(folder / "log")
    last = Tile(ENTRIES, 0, 15)
    source = MemoryLog(decode_entries(last, everything(format_path(last))))
    for size in range(16):
        for tile in list_tiles(size):
            assert read_tile(source, tile, size) == everything(format_path(tile))

        def fetch(path: str, size: int = size) -> bytes:
            return everything(f"checkpoint.{size}" if path == "checkpoint" else path)

        opened = open_tile_log(fetch, "example.com/log/testdata", vkey)
        assert opened.checkpoint.size == size
        check_tiles(opened)
        for index in range(size):
            entry, proof = prove_entry(opened, index)
            assert entry == source.all_entries[index]
            check_proof(proof, merkle.leaf_hash(entry), "example.com/log/testdata", vkey)
        for older in range(size):
            check_growth(
                opened, Checkpoint("", older, merkle.root(source.nodes([(0, i) for i in range(older)])))
            )


def test_the_root_and_every_proof_can_be_made_from_tiles_alone(log: MemoryLog) -> None:
    generator = random.Random(1)
    for size in (1, 255, 256, 257, 1000, 65_535, 65_536, 65_537, BIG):
        resources = {format_path(tile): read_tile(log, tile, size) for tile in list_tiles(size)}
        read = tile_reader(dictionary_fetch(resources), size)
        assert merkle.read_root(read, size) == merkle.read_root(log.read, size)
        for _ in range(30):
            index, old = generator.randrange(size), generator.randint(1, size)
            assert merkle.inclusion_proof(read, index, size) == merkle.inclusion_proof(log.read, index, size)
            assert merkle.consistency_proof(read, old, size) == merkle.consistency_proof(log.read, old, size)


def test_a_stranger_checks_the_whole_log_and_proves_entries_from_its_tiles(log: MemoryLog) -> None:
    opened, _ = serve(log, BIG)
    check_tiles(opened)
    for index in (0, 255, 256, 65_536, BIG - 1):
        entry, proof = prove_entry(opened, index)
        assert entry == b"entry %d" % index
        assert check_proof(proof, merkle.leaf_hash(entry), ORIGIN, VKEY)[0] == index
    for index in (BIG, BIG + 300, 10**12):
        with pytest.raises(NotFoundError):
            prove_entry(opened, index)


@pytest.mark.parametrize("size", [3, 256, 257, 700])
def test_every_changed_or_missing_tile_is_found_and_named(log: MemoryLog, size: int) -> None:
    opened, resources = serve(log, size)
    check_tiles(opened)
    sound = dict(resources)
    for path in [path for path in sound if path != "checkpoint"]:
        # One bit in an entry's text, in its length, and in the last byte of the tile.
        for position in (4, 0, len(sound[path]) - 1):
            changed = bytearray(sound[path])
            changed[position] ^= 1
            resources[path] = bytes(changed)
            with pytest.raises((ProofError, FormatError)):
                check_tiles(opened)
        for cut in (sound[path][:-1], sound[path] + b"x"):
            resources[path] = cut
            with pytest.raises(FormatError, match=path.split("/")[-1].split(".")[0]):
                check_tiles(opened)
        del resources[path]
        with pytest.raises(NotFoundError):
            check_tiles(opened)
        resources[path] = sound[path]
    check_tiles(opened)


def test_the_altered_entry_is_named(log: MemoryLog) -> None:
    opened, resources = serve(log, 700)
    resources["tile/entries/001"] = resources["tile/entries/001"].replace(b"entry 300", b"entry 999")
    with pytest.raises(ProofError, match=r"entry 300 .* tile/0/001"):
        check_tiles(opened)
    with pytest.raises(ProofError):
        prove_entry(opened, 300)
    prove_entry(opened, 299)


def test_an_entry_altered_with_its_tiles_does_not_give_the_root(log: MemoryLog) -> None:
    opened, resources = serve(log, 700)
    forged = MemoryLog([*log.entries(0, 300), b"forged", *log.entries(301, 700)])
    resources.update({format_path(tile): read_tile(forged, tile, 700) for tile in list_tiles(700)})
    with pytest.raises(ProofError, match="do not give the root"):
        check_tiles(opened)


def test_growth_is_checked_and_rollback_and_fork_are_refused(log: MemoryLog) -> None:
    opened, _ = serve(log, 700)
    for size in (0, 1, 256, 511, 700):
        check_growth(opened, Checkpoint(ORIGIN, size, merkle.read_root(log.read, size)))
    with pytest.raises(ProofError, match="shows only 700"):
        check_growth(opened, Checkpoint(ORIGIN, 701, bytes(32)))
    for size in (1, 256, 511, 700):
        with pytest.raises(ProofError):
            check_growth(opened, Checkpoint(ORIGIN, size, bytes(32)))


def test_a_full_tile_stands_in_for_a_partial_one_that_is_gone(log: MemoryLog) -> None:
    opened, resources = serve(log, 300)
    _, later = serve(log, 1000)
    for path in [path for path in resources if ".p/" in path]:
        del resources[path]
    resources.update({path: later[path] for path in ("tile/entries/001", "tile/0/001")})
    with pytest.raises(NotFoundError):
        check_tiles(opened)  # level 1 has no full tile yet
    resources["tile/1/000.p/1"] = later["tile/1/000.p/3"][:32]
    check_tiles(opened)
    prove_entry(opened, 299)


def test_bundles_hold_entries_of_up_to_65535_bytes() -> None:
    entries = [b"", b"a", bytes(65_535)]
    tile = Tile(ENTRIES, 0, 3)
    assert decode_entries(tile, encode_entries(entries)) == entries
    with pytest.raises(FormatError):
        encode_entries([bytes(65_536)])
    for broken in (
        b"",
        b"\x00",
        b"\x00\x05abc",
        encode_entries(entries[:2]),
        encode_entries([*entries, b""]),
    ):
        with pytest.raises(FormatError):
            decode_entries(tile, broken)


@pytest.fixture
def store(tmp_path: Path):
    with make_store(tmp_path) as opened:
        append(opened, *[draft(f"track:{number % 3}", number=number) for number in range(259)])
        yield opened


def export(store: Store, folder: Path, note: bytes | None = None) -> int:
    return export_tiles(store, folder, note or store.latest_checkpoint(), origin=ORIGIN, vkey=VKEY)


def test_an_exported_folder_checks_from_its_files_alone_and_is_continued(
    store: Store, tmp_path: Path
) -> None:
    folder = tmp_path / "public" / "log"
    assert export(store, folder) == 5
    opened = open_tile_log(folder_fetch(folder), ORIGIN, VKEY)
    check_tiles(opened)
    assert prove_entry(opened, 258)[0] == store.entry(258)
    assert export(store, folder) == 0
    append(store, *[draft("track:x", number=number) for number in range(260)])
    assert export(store, folder) == 5
    grown = open_tile_log(folder_fetch(folder), ORIGIN, VKEY)
    check_tiles(grown)
    check_growth(grown, opened.checkpoint)
    assert not (folder / "tile/0/001.p").exists()
    files = sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())
    assert files == [
        ".export.lock",
        "checkpoint",
        "tile/0/000",
        "tile/0/001",
        "tile/0/002.p/8",
        "tile/1/000.p/1",
        "tile/1/000.p/2",
        "tile/entries/000",
        "tile/entries/001",
        "tile/entries/002.p/8",
    ]


def test_a_folder_never_goes_back_or_takes_another_log(store: Store, tmp_path: Path) -> None:
    folder = tmp_path / "log"
    export(store, folder)
    with pytest.raises(ProofError, match="newer"):
        export(store, folder, store.checkpoint(1))
    state = store.state()
    before = (folder / "checkpoint").read_bytes()
    (folder / "checkpoint").write_bytes(sign_checkpoint(ORIGIN, state.size, bytes(32), LOG_KEY))
    with pytest.raises(ProofError, match="another history"):
        export(store, folder)
    (folder / "checkpoint").write_bytes(sign_checkpoint("example.com/other", 1, bytes(32), LOG_KEY))
    with pytest.raises(SignatureError):
        export(store, folder)
    (folder / "checkpoint").write_bytes(before)
    export(store, folder)


def test_a_checkpoint_is_written_last_so_that_a_failed_export_shows_the_old_log(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "log"
    export(store, folder)
    append(store, *[draft("track:x", number=number) for number in range(260)])
    real = Path.replace
    allowed = 0

    def fail_after(self: Path, target: Path) -> Path:
        nonlocal allowed
        allowed -= 1
        if allowed < 0:
            raise OSError(28, "No space left on device")
        return real(self, target)

    monkeypatch.setattr(Path, "replace", fail_after)
    for count in range(6):  # five tiles and the checkpoint
        allowed = count
        with pytest.raises(DiskFullError):
            export(store, folder)
        opened = open_tile_log(folder_fetch(folder), ORIGIN, VKEY)
        assert opened.checkpoint.size == 260
        check_tiles(opened)
    allowed = 99
    export(store, folder)
    opened = open_tile_log(folder_fetch(folder), ORIGIN, VKEY)
    assert opened.checkpoint.size == 520
    check_tiles(opened)


def test_damage_in_the_log_is_not_published(store: Store, tmp_path: Path) -> None:
    class Damaged:
        nodes = staticmethod(store.nodes)

        @staticmethod
        def entries(start: int, stop: int) -> list[bytes]:
            return [entry.replace(b"sig", b"Sig", 1) for entry in store.entries(start, stop)]

    with pytest.raises(CorruptError, match="entry 0"):
        export_tiles(Damaged(), tmp_path / "log", store.latest_checkpoint(), origin=ORIGIN, vkey=VKEY)
    assert not (tmp_path / "log" / "checkpoint").exists()
    note = sign_checkpoint(ORIGIN, 260, bytes(32), LOG_KEY)
    with pytest.raises(CorruptError, match="root"):
        export(store, tmp_path / "log", note)


def test_two_exports_do_not_share_a_folder(store: Store, tmp_path: Path) -> None:
    import fcntl

    folder = tmp_path / "log"
    folder.mkdir()
    with (folder / ".export.lock").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        with pytest.raises(BusyError):
            export(store, folder)


def test_a_folder_that_cannot_be_read_or_written_is_a_storage_error(store: Store, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(StorageError):
        export(store, tmp_path / "file")
    (tmp_path / "log").mkdir()
    (tmp_path / "log" / "checkpoint").write_bytes(b"x" * 1_000_001)
    with pytest.raises(StorageError, match="at most"):
        export(store, tmp_path / "log")
    with pytest.raises(LedgerError):
        open_tile_log(
            folder_fetch(tmp_path / "nowhere"), ORIGIN, ledger.format_vkey(ORIGIN, LOG_KEY.public_key)
        )


def test_tiles_that_the_log_has_not_reached_are_not_found(store: Store) -> None:
    assert find_tile(0, 2, 260) is None
    for tile in (Tile(0, 1, 5), Tile(1, 0, 2), Tile(ENTRIES, 1, 5), Tile(5, 0, 1)):
        with pytest.raises(NotFoundError):
            read_tile(store, tile, 260)
    assert read_tile(store, Tile(0, 1, 3), 260) == read_tile(store, Tile(0, 1, 4), 260)[:96]
