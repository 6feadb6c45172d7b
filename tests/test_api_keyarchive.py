"""Sealed watermark keys: what goes in comes out, and nothing else opens."""

import hashlib
import re
from pathlib import Path

import pytest

from api.epochs import Epoch
from api.errors import RefusedError
from api.keyarchive import TITLE, open_epochs, seal_epochs

PASSPHRASE = "correct horse battery"
# The cheapest scrypt that is taken: 16 MiB, some 50 ms.
CHEAP = 14
EPOCHS = (
    Epoch(3, b"\x03" * 32, "2026-11-22T17:31:32Z", active=True),
    Epoch(2, b"\x02" * 32, ""),
    Epoch(1, b"\x01" * 32, "2025-01-01T00:00:00Z"),
)
# `seal_epochs(EPOCHS, "a fixed vector", log_n=14)` of the first version: later versions must open it.
VECTOR = Path(__file__).parent / "vectors" / "watermark-keys" / "v1.txt"


def with_checksum(text: str) -> bytes:
    """Return an archive whose checksum line is made to fit."""
    body = re.sub(r"sha256 [0-9a-f]{64}\n$", "", text)
    return (body + f"sha256 {hashlib.sha256(body.encode()).hexdigest()}\n").encode()


@pytest.fixture(scope="module")
def sealed() -> str:
    return seal_epochs(EPOCHS, PASSPHRASE, log_n=CHEAP)


def test_keys_come_out_as_they_went_in(sealed: str) -> None:
    assert open_epochs(sealed.encode(), PASSPHRASE) == EPOCHS
    assert open_epochs(seal_epochs(EPOCHS[::-1], PASSPHRASE, log_n=CHEAP).encode(), PASSPHRASE) == EPOCHS


def test_keys_of_both_lengths_come_out_as_they_went_in() -> None:
    family = (Epoch(2, b"\x01" * 32 + b"\x02" * 32, "", active=True), Epoch(1, b"\x01" * 32))
    assert open_epochs(seal_epochs(family, PASSPHRASE, log_n=CHEAP).encode(), PASSPHRASE) == family


def test_a_key_of_another_length_is_not_one() -> None:
    odd = (Epoch(1, b"\x01" * 48),)
    with pytest.raises(RefusedError, match="expected a key of 64 or 128 hex digits"):
        open_epochs(seal_epochs(odd, PASSPHRASE, log_n=CHEAP).encode(), PASSPHRASE)


def test_an_archive_of_the_first_version_opens() -> None:
    assert open_epochs(VECTOR.read_bytes(), "a fixed vector") == EPOCHS


def test_the_text_names_its_format_and_shows_no_key(sealed: str) -> None:
    lines = sealed.split("\n")
    assert lines[0] == TITLE == "provenote-watermark-keys/v1"
    assert lines[1] == "names " + " ".join(epoch.name for epoch in EPOCHS)
    assert re.fullmatch(r"kdf scrypt 14 8 1 [0-9a-f]{32}", lines[2])
    assert re.fullmatch(r"cipher chacha20-poly1305 [0-9a-f]{24}", lines[3])
    assert max(map(len, lines)) <= 80
    assert sealed.isascii()
    for epoch in EPOCHS:
        assert epoch.watermark_key.hex() not in sealed


def test_two_archives_of_the_same_keys_share_neither_salt_nor_nonce(sealed: str) -> None:
    other = seal_epochs(EPOCHS, PASSPHRASE, log_n=CHEAP).split("\n")
    assert not set(sealed.split("\n")[2:]) & set(other[2:]) - {""}


def test_the_default_cost_is_the_documented_one() -> None:
    assert "\nkdf scrypt 17 8 1 " in seal_epochs(EPOCHS, PASSPHRASE)


@pytest.mark.parametrize("passphrase", ["", "Correct horse battery", PASSPHRASE + " "])
def test_a_wrong_passphrase_is_called_that(sealed: str, passphrase: str) -> None:
    with pytest.raises(RefusedError, match="passphrase does not open"):
        open_epochs(sealed.encode(), passphrase)


def test_a_passphrase_typed_on_another_keyboard_opens() -> None:
    composed, decomposed = "bl\u00e5b\u00e6rsyltet\u00f8y \u00e9", "bla\u030ab\u00e6rsyltet\u00f8y e\u0301"
    assert open_epochs(seal_epochs(EPOCHS, composed, log_n=CHEAP).encode(), decomposed) == EPOCHS


def test_an_archive_cut_short_anywhere_is_refused(sealed: str) -> None:
    content = sealed.encode()
    for length in range(len(content)):
        with pytest.raises(RefusedError, match=r"cut short|not an archive|expected an archive|does not hold"):
            open_epochs(content[:length], PASSPHRASE)


def test_any_changed_byte_is_called_damage_or_another_format(sealed: str) -> None:
    content = bytearray(sealed.encode())
    for place in range(len(content)):
        changed = bytearray(content)
        changed[place] ^= 0x01
        expected = "not an archive|expected an archive|is damaged|cut short"
        with pytest.raises(RefusedError, match=expected):
            open_epochs(bytes(changed), PASSPHRASE)


@pytest.mark.parametrize("line", [1, 2, 3, 5, 6])
def test_a_change_whose_checksum_was_made_to_fit_does_not_open(sealed: str, line: int) -> None:
    lines = sealed.split("\n")
    last = lines[line][-1]
    lines[line] = lines[line][:-1] + ("0" if last != "0" else "1")
    with pytest.raises(RefusedError, match=r"does not open|is damaged"):
        open_epochs(with_checksum("\n".join(lines)), PASSPHRASE)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("/v1\n", "/v2\n", "got version 'v2'"),
        ("provenote-", "other-", "not an archive of watermark keys"),
        ("scrypt 14 8 1", "scrypt 40 8 1", "log2 N of 14 to 20, got 40"),
        ("scrypt 14 8 1", "scrypt 14 9 1", "header is not what version 1 writes"),
        ("kdf scrypt", "kdf argon2id", "header is not what version 1 writes"),
        ("chacha20-poly1305", "aes-256-gcm", "header is not what version 1 writes"),
    ],
)
def test_other_versions_and_costs_are_refused_before_any_work(
    sealed: str, old: str, new: str, message: str
) -> None:
    with pytest.raises(RefusedError, match=message):
        open_epochs(with_checksum(sealed.replace(old, new, 1)), PASSPHRASE)


def test_lines_cut_in_another_way_are_not_the_format(sealed: str) -> None:
    lines = sealed.split("\n")
    lines[5:7] = [lines[5] + lines[6]]
    with pytest.raises(RefusedError, match="lines are not cut"):
        open_epochs(with_checksum("\n".join(lines)), PASSPHRASE)


def test_what_is_no_archive_is_refused() -> None:
    for content in (b"", b"\xff" * 100, b"k" * 64, b"x" * (65 << 10)):
        with pytest.raises(RefusedError, match="archive"):
            open_epochs(content, PASSPHRASE)


def test_weak_passphrases_and_empty_rings_are_not_sealed() -> None:
    with pytest.raises(RefusedError, match="12 characters or more, got 11"):
        seal_epochs(EPOCHS, "x" * 11)
    with pytest.raises(RefusedError, match="at least one watermark key"):
        seal_epochs((), PASSPHRASE)
    with pytest.raises(ValueError, match="log2 N"):
        seal_epochs(EPOCHS, PASSPHRASE, log_n=10)
