import os
import stat
from pathlib import Path

import pytest
from ledger_world import ACTOR_KEY

import ledger
from ledger.errors import KeyFileError


def test_a_signing_key_is_saved_for_its_owner_alone_and_loads_again(tmp_path: Path) -> None:
    path = tmp_path / "signing.pem"
    old = os.umask(0)
    try:
        ledger.save_signing_key(path, ACTOR_KEY)
    finally:
        os.umask(old)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert ledger.load_signing_key(path).key_id == ACTOR_KEY.key_id


def test_a_secret_is_saved_as_a_line_of_hex_and_loads_again(tmp_path: Path) -> None:
    path = tmp_path / "watermark.key"
    ledger.save_secret(path, bytes(range(32)))
    assert path.read_text() == bytes(range(32)).hex() + "\n"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert ledger.load_secret(path) == bytes(range(32))


def test_a_secret_of_64_bytes_loads_only_where_one_is_expected(tmp_path: Path) -> None:
    path = tmp_path / "watermark.key"
    ledger.save_secret(path, bytes(range(64)))
    assert ledger.load_secret(path, lengths=(32, 64)) == bytes(range(64))
    with pytest.raises(KeyFileError, match="expected 64 hex digits"):
        ledger.load_secret(path)
    with pytest.raises(ValueError, match="32 or 64 bytes, got 48"):
        ledger.save_secret(tmp_path / "odd.key", bytes(48))


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o620, 0o644])
def test_a_key_file_that_others_may_touch_is_refused(tmp_path: Path, mode: int) -> None:
    path = tmp_path / "signing.pem"
    ledger.save_signing_key(path, ACTOR_KEY)
    path.chmod(mode)
    with pytest.raises(KeyFileError, match=f"expected mode 0600, got {mode:04o}"):
        ledger.load_signing_key(path)


def test_a_key_file_is_never_overwritten(tmp_path: Path) -> None:
    path = tmp_path / "watermark.key"
    ledger.save_secret(path, bytes(32))
    with pytest.raises(KeyFileError, match="never overwritten"):
        ledger.save_secret(path, bytes([1]) * 32)
    assert ledger.load_secret(path) == bytes(32)


def test_a_key_file_behind_a_link_is_not_written(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(KeyFileError):
        ledger.save_secret(tmp_path / "link", bytes(32))
    assert not (tmp_path / "elsewhere").exists()


@pytest.mark.parametrize(
    "content",
    [b"", b"00" * 31, b"00" * 32 + b"\n\n", b"0" * 63 + b"G", b"AA" * 32, b"\xff" * 64, b"x" * 5000],
)
def test_a_damaged_secret_is_refused_without_repeating_it(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "watermark.key"
    path.write_bytes(content)
    path.chmod(0o600)
    with pytest.raises(KeyFileError) as caught:
        ledger.load_secret(path)
    assert "0000" not in str(caught.value)


def test_missing_files_folders_and_garbage_are_named(tmp_path: Path) -> None:
    with pytest.raises(KeyFileError, match="cannot be read"):
        ledger.load_signing_key(tmp_path / "none.pem")
    with pytest.raises(KeyFileError, match="cannot be written"):
        ledger.save_signing_key(tmp_path / "none" / "key.pem", ACTOR_KEY)
    with pytest.raises(KeyFileError, match=r"cannot be read|regular file"):
        ledger.load_signing_key(tmp_path)
    (tmp_path / "text").write_text("hello")
    (tmp_path / "text").chmod(0o600)
    with pytest.raises(KeyFileError, match="PKCS#8"):
        ledger.load_signing_key(tmp_path / "text")
