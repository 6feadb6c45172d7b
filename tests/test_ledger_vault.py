from collections.abc import Callable
from pathlib import Path

import pysqlite3.dbapi2 as sqlite
import pytest
from ledger_editor import edit
from ledger_world import ACTOR_KEY, VKEY, append, check, draft, find_path, make_store, make_url, sha
from sqlmodel import SQLModel

import ledger
from ledger import Opening, Store, check_bundle, commit, make_bundle
from ledger.commitment import check_opening
from ledger.errors import FormatError, KeyFileError, NotFoundError, ProofError
from ledger.predicate import DELIVERED, ERASED
from ledger.sealing import BLOCK_BYTES, open_sealed, seal_opening
from ledger.vault import Vault

ASSET = "track:1"
TIME = "2026-11-22T17:31:32Z"
KEY, NONCE, SALT = sha("person"), sha("nonce")[:12], sha("salt")
OPENING = Opening("recipient", SALT, {"name": "Jane Doe", "mail": "jane@example.org"})
COMMITMENT = commit(OPENING.label, SALT, OPENING.value)


@pytest.fixture
def store(new_url: Callable[[], str]):
    with make_store(new_url()) as opened:
        yield opened


@pytest.fixture
def vault(store: Store, tmp_path: Path):
    opened = Vault(store.url, tmp_path / "persons")
    yield opened
    opened.close()


def test_a_sealed_value_opens_with_its_key_at_its_place_alone() -> None:
    sealed = seal_opening(OPENING, ASSET, KEY, NONCE)
    assert open_sealed(sealed, ASSET, "recipient", COMMITMENT, KEY) == OPENING
    assert b"Jane" not in sealed
    for arguments in (
        (sealed, ASSET, "recipient", COMMITMENT, sha("another person")),
        (sealed, "track:2", "recipient", COMMITMENT, KEY),
        (sealed, ASSET, "claimant", COMMITMENT, KEY),
        (sealed, ASSET, "recipient", sha("another commitment"), KEY),
        (sealed[:-1], ASSET, "recipient", COMMITMENT, KEY),
        (sealed[:5], ASSET, "recipient", COMMITMENT, KEY),
        (b"", ASSET, "recipient", COMMITMENT, KEY),
    ):
        with pytest.raises(ProofError):
            open_sealed(*arguments)
    for position in range(0, len(sealed), 7):
        changed = bytearray(sealed)
        changed[position] ^= 1
        with pytest.raises(ProofError):
            open_sealed(bytes(changed), ASSET, "recipient", COMMITMENT, KEY)


def test_lengths_say_little() -> None:
    lengths = {len(seal_opening(Opening("a", SALT, "x" * n), ASSET, KEY, NONCE)) for n in range(150)}
    assert lengths == {12 + BLOCK_BYTES + 16}


def test_what_cannot_be_sealed_is_refused() -> None:
    with pytest.raises(ValueError, match="32"):
        seal_opening(OPENING, ASSET, KEY[:16], NONCE)
    with pytest.raises(ValueError, match="12 bytes"):
        seal_opening(OPENING, ASSET, KEY, NONCE[:8])
    with pytest.raises(ValueError, match="at most"):
        seal_opening(Opening("a", SALT, "x" * 70_000), ASSET, KEY, NONCE)
    with pytest.raises(FormatError):
        seal_opening(Opening("a", SALT, 0.5), ASSET, KEY, NONCE)


def test_values_of_several_persons_are_kept_apart_and_open_again(vault: Vault, tmp_path: Path) -> None:
    jane, john = vault.add_person(), vault.add_person()
    first = vault.seal(jane, ASSET, "recipient", "Jane Doe")
    second = vault.seal(john, ASSET, "claimant", "John Roe")
    vault.seal(john, "track:2", "recipient", "John Roe")
    assert {item.value for item in vault.open_asset(ASSET)} == {"Jane Doe", "John Roe"}
    for opening, commitment in zip(vault.open_asset(ASSET), (second, first), strict=True):
        check_opening(opening, commitment)
    assert [item.asset for item in vault.list_of_person(john)] == [ASSET, "track:2"]
    assert {path.stat().st_mode & 0o777 for path in (tmp_path / "persons").iterdir()} == {0o600}


def test_destroying_a_key_erases_one_person_and_nobody_else(vault: Vault, tmp_path: Path) -> None:
    jane, john = vault.add_person(), vault.add_person()
    for person, name in ((jane, "Jane Doe"), (john, "John Roe")):
        vault.seal(person, ASSET, "recipient", name)
    path = tmp_path / "persons" / f"{jane}.key"
    secret = path.read_bytes()
    link = tmp_path / "held"  # another name of the same bytes: they must be overwritten, not only unlinked
    link.hardlink_to(path)
    vault.destroy_key(jane)
    vault.destroy_key(jane)
    assert not path.exists()
    assert link.read_bytes() != secret
    assert set(link.read_bytes()) == {ord("0")}
    assert [item.value for item in vault.open_asset(ASSET)] == ["John Roe"]
    with pytest.raises(NotFoundError):
        vault.seal(jane, ASSET, "recipient", "Jane Doe")
    assert len(vault.list_of_person(jane)) == 1
    vault.remove([item.commitment for item in vault.list_of_person(jane)])
    assert vault.list_of_person(jane) == ()


def test_all_proofs_stay_valid_after_an_erasure(store: Store, vault: Vault) -> None:
    jane = vault.add_person()
    commitment = vault.seal(jane, ASSET, "recipient", "Jane Doe")
    facts = {"time": TIME, "commitments": {"recipient": commitment.hex()}}
    append(store, draft(ASSET), draft(ASSET, kind=DELIVERED, **facts))
    before = make_bundle(store, ASSET, openings=vault.open_asset(ASSET))
    assert check_bundle(before, vkey=VKEY).openings == {"recipient": "Jane Doe"}
    note = store.latest_checkpoint()
    vault.destroy_key(jane)
    append(
        store, draft(ASSET, kind=ERASED, time=TIME, ground="gdpr-17", erased=[{"n": 1, "label": "recipient"}])
    )
    vault.remove([commitment])
    after = check_bundle(make_bundle(store, ASSET, openings=vault.open_asset(ASSET)), vkey=VKEY)
    assert after.openings == {}
    assert after.state is not None
    assert after.state.erased == {(1, "recipient")}
    assert store.check_ancestor(note).size == 3
    assert check_bundle(before, vkey=VKEY).checkpoint.size == 3
    assert check(store).ok
    if store.url.startswith("sqlite"):
        assert b"Jane Doe" not in find_path(store.url).read_bytes()
    assert ACTOR_KEY.key_id.encode() in b"".join(store.entries(0, 9))


def test_changed_rows_and_files_are_found_out(store: Store, vault: Vault, tmp_path: Path) -> None:
    jane = vault.add_person()
    vault.seal(jane, ASSET, "recipient", "Jane Doe")
    with edit(store.url) as editor:
        editor.execute("UPDATE sealed_value SET asset = 'track:2'")
    with pytest.raises(ProofError):
        vault.open_asset("track:2")
    path = tmp_path / "persons" / f"{jane}.key"
    path.chmod(0o644)
    with pytest.raises(KeyFileError, match="0600"):
        vault.open_asset("track:2")
    for person in ("", "../log", "A" * 32, "0" * 31):
        with pytest.raises(NotFoundError):
            vault.destroy_key(person)


def test_the_migrated_table_is_the_one_of_the_program(tmp_path: Path) -> None:
    url = make_url(tmp_path)
    ledger.upgrade(url)
    connection = sqlite.connect(find_path(url))
    found = [(row[1], row[2], bool(row[3])) for row in connection.execute("PRAGMA table_info(sealed_value)")]
    indexes = {row[1] for row in connection.execute("PRAGMA index_list(sealed_value)")}
    connection.close()
    table = SQLModel.metadata.tables["sealed_value"]
    assert found == [(c.name, str(c.type), not c.nullable) for c in table.columns]
    assert {index.name for index in table.indexes} <= indexes
    assert ledger.vault.PERSON_BYTES == 16
