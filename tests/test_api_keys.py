"""`provenote keys`: rotation, the list of epochs, and carrying watermark keys from one ledger to another."""

import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from conftest import Shell, Stamped

from api.outcomes import ENVIRONMENT, GOOD, USAGE

PASSPHRASE = "correct horse battery"


@pytest.fixture
def passphrase(tmp_path: Path) -> Path:
    path = tmp_path / "passphrase"
    path.touch(0o600)
    path.write_text(PASSPHRASE + "\n")
    return path


def list_epochs(shell: Shell, home: Path) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = shell.json("keys", "list", "--home", home)["watermark"]
    return found


def test_rotation_begins_an_epoch_and_the_older_one_only_detects(shell: Shell, stamped: Stamped) -> None:
    home = ("--home", stamped.home)
    (first,) = list_epochs(shell, stamped.home)
    assert (first["number"], first["state"], first["embeds"]) == (1, "active", True)
    made = shell.json("keys", "rotate", "watermark", *home)
    assert made["number"] == 2
    newest, oldest = list_epochs(shell, stamped.home)
    assert (newest["key_id"], newest["state"]) == (made["key_id"], "active")
    assert (oldest["key_id"], oldest["state"]) == (first["key_id"], "detect-only")
    assert newest["created"] == made["created"] >= oldest["created"]
    assert shell.json("verify", stamped.audio, *home)["verdict"] == "exact"
    text = shell("keys", "list", *home)[1]
    assert f"{made['key_id']}  epoch    2" in text
    assert "detect-only" in text
    assert text.count(f"family {first['family']}") == 2
    assert {item["family"] for item in (newest, oldest, made)} == {first["family"]}


def test_an_independent_key_begins_a_family(shell: Shell, stamped: Stamped) -> None:
    home = ("--home", stamped.home)
    made = shell.json("keys", "rotate", "watermark", "--independent", *home)
    newest, oldest = list_epochs(shell, stamped.home)
    assert newest["family"] == made["family"]
    assert oldest["family"] != newest["family"]
    assert shell.json("verify", stamped.audio, *home)["verdict"] == "exact"
    assert shell("keys", "rotate", "issuer", "--independent", *home)[0] == USAGE


def test_rotating_the_issuer_signs_anew(shell: Shell, stamped: Stamped) -> None:
    made = shell.json("keys", "rotate", "issuer", "--home", stamped.home)
    listed = shell.json("keys", "list", "--home", stamped.home)["issuers"]
    assert [item["key_id"] for item in listed if item["signs"]] == [made["key_id"]]


def test_exported_keys_find_the_marks_in_another_ledger(
    shell: Shell, stamped: Stamped, tmp_path: Path, passphrase: Path
) -> None:
    archive, other = tmp_path / "keys.txt", tmp_path / "other"
    sealed = shell.json("keys", "export", archive, "--passphrase-file", passphrase, "--home", stamped.home)
    assert archive.stat().st_mode & 0o777 == 0o600
    shell.json("init", "--home", other)
    (own,) = list_epochs(shell, other)
    assert shell.json("verify", stamped.audio, "--home", other, code=1)["verdict"] == "nothing-found"
    answer = shell.json("keys", "import", archive, "--passphrase-file", passphrase, "--home", other)
    assert [item["key_id"] for item in answer["keys"]] == sealed["keys"]
    assert answer["added"] == 1
    assert {item["key_id"]: item["embeds"] for item in list_epochs(shell, other)} == {
        own["key_id"]: True,
        sealed["keys"][0]: False,
    }
    # The mark is read now; whose it is, only the ledger that registered it knows.
    assert shell.json("verify", stamped.audio, "--home", other, code=1)["verdict"] == "unknown-mark"
    again = shell.json("keys", "import", archive, "--passphrase-file", passphrase, "--home", other)
    assert (again["added"], again["keys"][0]["added"]) == (0, False)


def test_lost_keys_are_restored_from_an_export(
    shell: Shell, stamped: Stamped, tmp_path: Path, passphrase: Path
) -> None:
    home, archive = ("--home", stamped.home), tmp_path / "keys.txt"
    shell.json("keys", "rotate", "watermark", *home)
    before = list_epochs(shell, stamped.home)
    shell.json("keys", "export", archive, "--passphrase-file", passphrase, *home)
    for path in (stamped.home / "keys").glob("watermark-*"):
        path.unlink()
    assert shell("verify", stamped.audio, *home)[0] == ENVIRONMENT
    assert shell("keys", "import", archive, "--passphrase-file", passphrase, *home)[0] == GOOD
    assert list_epochs(shell, stamped.home) == before
    assert shell.json("verify", stamped.audio, *home)["verdict"] == "exact"


@pytest.mark.parametrize(
    ("fault", "message"),
    [
        ("passphrase", "the passphrase does not open"),
        ("truncated", "cut short"),
        ("altered", "is damaged"),
        ("foreign", "not an archive of watermark keys"),
    ],
)
def test_what_does_not_open_changes_nothing_and_says_why(
    shell: Shell, stamped: Stamped, tmp_path: Path, passphrase: Path, fault: str, message: str
) -> None:
    archive, home = tmp_path / "keys.txt", ("--home", stamped.home)
    shell.json("keys", "export", archive, "--passphrase-file", passphrase, *home)
    content = archive.read_bytes()
    changed = {
        "passphrase": content,
        "truncated": content[:-40],
        "altered": content.replace(b"sha256 ", b"sha256 0", 1)[:-2] + b"\n",
        "foreign": b"hello",
    }[fault]
    archive.write_bytes(changed)
    if fault == "passphrase":
        passphrase.write_text("another one altogether\n")
    shutil.rmtree(stamped.home / "tracks")
    before = {path.name: path.read_bytes() for path in (stamped.home / "keys").iterdir()}
    code, _ = shell("keys", "import", archive, "--passphrase-file", passphrase, *home)
    assert code == USAGE
    assert message in shell.errors
    assert {path.name: path.read_bytes() for path in (stamped.home / "keys").iterdir()} == before


def test_an_export_never_replaces_a_file(
    shell: Shell, stamped: Stamped, tmp_path: Path, passphrase: Path
) -> None:
    (tmp_path / "keys.txt").write_text("mine")
    arguments = ("keys", "export", tmp_path / "keys.txt", "--passphrase-file", passphrase)
    assert shell(*arguments, "--home", stamped.home)[0] == USAGE
    assert "exists already" in shell.errors
    assert (tmp_path / "keys.txt").read_text() == "mine"


def test_the_passphrase_may_come_from_the_environment_and_is_never_an_argument(
    shell: Shell, stamped: Stamped, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    home, archive = ("--home", stamped.home), tmp_path / "keys.txt"
    monkeypatch.setenv("PROVENOTE_PASSPHRASE", PASSPHRASE)
    shell.json("keys", "export", archive, *home)
    assert shell.json("keys", "import", archive, *home)["added"] == 0
    assert shell("keys", "export", tmp_path / "b.txt", "--passphrase", PASSPHRASE, *home)[0] == USAGE
    monkeypatch.setenv("PROVENOTE_PASSPHRASE", "short")
    assert shell("keys", "export", tmp_path / "b.txt", *home)[0] == USAGE
    assert "12 characters or more, got 5" in shell.errors
    assert not (tmp_path / "b.txt").exists()


def test_without_a_terminal_a_missing_passphrase_is_an_error(stamped: Stamped, tmp_path: Path) -> None:
    command = [sys.executable, "-m", "api", "keys", "export", str(tmp_path / "keys.txt")]
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PROVENOTE_")}
    ended = subprocess.run(
        [*command, "--home", str(stamped.home)],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=60,
        env=environment,
    )
    assert ended.returncode == USAGE
    assert "no passphrase" in ended.stderr
    assert not (tmp_path / "keys.txt").exists()


def test_a_passphrase_asked_for_twice_must_be_the_same(
    shell: Shell, stamped: Stamped, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    answers = iter([PASSPHRASE, PASSPHRASE, PASSPHRASE, "something else"])
    monkeypatch.setattr("sys.stdin.isatty", lambda: True)
    monkeypatch.setattr("getpass.getpass", lambda _: next(answers))
    home = ("--home", stamped.home)
    assert shell("keys", "export", tmp_path / "a.txt", *home)[0] == GOOD
    assert shell("keys", "export", tmp_path / "b.txt", *home)[0] == USAGE
    assert "not the same" in shell.errors


def test_a_passphrase_file_that_others_can_read_is_warned_about(
    shell: Shell, stamped: Stamped, tmp_path: Path, passphrase: Path
) -> None:
    passphrase.chmod(0o644)
    arguments = ("keys", "export", tmp_path / "a.txt", "--passphrase-file", passphrase)
    assert shell(*arguments, "--home", stamped.home)[0] == GOOD
    assert "can be read by others" in shell.errors
    passphrase.write_text("\n")
    assert (
        shell("keys", "import", tmp_path / "a.txt", "--passphrase-file", passphrase, "--home", stamped.home)[
            0
        ]
        == USAGE
    )
    assert "the passphrase is empty" in shell.errors


def test_a_ring_without_an_active_key_asks_for_a_rotation(shell: Shell, stamped: Stamped) -> None:
    notes = stamped.home / "keys" / "watermark-epochs.json"
    notes.write_text('{"created": {}, "detect_only": [1]}')
    home = ("--home", stamped.home)
    assert shell("keys", "list", *home)[0] == ENVIRONMENT
    assert "keys rotate watermark" in shell.errors
    assert shell("keys", "rotate", "watermark", *home)[0] == GOOD
    assert [item["state"] for item in list_epochs(shell, stamped.home)] == ["active", "detect-only"]
