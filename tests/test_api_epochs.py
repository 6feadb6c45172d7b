"""Watermark keys by epoch: which one embeds, which detect, and that no key is lost or put to use unasked."""

import json
import os
from pathlib import Path

import pytest
from conftest import SAMPLE_RATE, make_music

import api.epochs
import watermark
from api.epochs import MAX_EPOCHS, NOTES_NAME, Epoch, add_epoch, begin_epoch, list_epochs, merge_epochs
from api.errors import LedgerFolderError, RefusedError
from ledger.errors import KeyFileError
from ledger.keyfile import save_secret

TIME = "2026-11-22T17:31:32Z"


def key(number: int) -> bytes:
    return bytes([number]) * 32


def state(folder: Path) -> list[tuple[int, bytes, bool]]:
    return [(epoch.number, epoch.watermark_key, epoch.active) for epoch in list_epochs(folder)]


def test_the_newest_epoch_embeds_and_says_when_it_was_made(tmp_path: Path) -> None:
    assert list_epochs(tmp_path) == ()
    add_epoch(tmp_path, key(1), created=TIME)
    made = add_epoch(tmp_path, key(2), created="2027-01-01T00:00:00Z")
    assert made == list_epochs(tmp_path)[0]
    assert state(tmp_path) == [(2, key(2), True), (1, key(1), False)]
    assert list_epochs(tmp_path)[1].created == TIME
    assert {path.stat().st_mode & 0o777 for path in tmp_path.iterdir()} == {0o600}


def test_a_key_is_not_shown_where_an_epoch_is_printed(tmp_path: Path) -> None:
    epoch = add_epoch(tmp_path, key(7), created=TIME)
    assert key(7).hex() not in repr(epoch)
    assert repr(key(7)) not in repr(epoch)
    assert len(epoch.name) == 16


def test_keys_of_a_folder_without_notes_work_as_before(tmp_path: Path) -> None:
    save_secret(tmp_path / "watermark-0001.key", key(1))
    save_secret(tmp_path / "watermark-0002.key", key(2))
    assert state(tmp_path) == [(2, key(2), True), (1, key(1), False)]
    assert {epoch.created for epoch in list_epochs(tmp_path)} == {""}


def test_a_new_epoch_is_of_the_family_of_the_one_before_unless_it_is_to_be_independent(
    tmp_path: Path,
) -> None:
    first = add_epoch(tmp_path, key(1), created=TIME)
    second, third = (begin_epoch(tmp_path, created=TIME) for _ in range(2))
    assert [len(epoch.watermark_key) for epoch in (first, second, third)] == [32, 64, 64]
    assert {epoch.watermark_key[:32] for epoch in (second, third)} == {key(1)}
    assert second.watermark_key != third.watermark_key
    assert {epoch.family for epoch in (first, second, third)} == {first.name}
    assert len({epoch.name for epoch in (first, second, third)}) == 3
    apart = begin_epoch(tmp_path, created=TIME, independent=True)
    assert len(apart.watermark_key) == 64
    assert apart.family != first.family
    following = begin_epoch(tmp_path, created=TIME)
    assert following.family == apart.family
    # What epochs share is the synchronisation half alone.
    assert following.watermark_key[32:] not in apart.watermark_key
    assert [epoch.active for epoch in list_epochs(tmp_path)] == [True] + [False] * 4


def test_no_epoch_is_made_of_a_key_that_came_from_elsewhere(tmp_path: Path) -> None:
    merge_epochs(tmp_path, [Epoch(1, key(1))])
    made = begin_epoch(tmp_path, created=TIME)
    assert made.watermark_key[:32] != key(1)
    assert [(epoch.active, epoch.imported) for epoch in list_epochs(tmp_path)] == [
        (True, False),
        (False, True),
    ]


def test_a_mark_of_an_older_epoch_is_found_by_the_whole_family(tmp_path: Path) -> None:
    old = add_epoch(tmp_path, key(1), created=TIME)
    for _ in range(2):
        begin_epoch(tmp_path, created=TIME)
    marked = watermark.embed(
        make_music(6.0, seed=61, channels=1),
        sample_rate=SAMPLE_RATE,
        watermark_key=old.watermark_key,
        payload=b"\x07" * 8,
    )
    keys = [epoch.watermark_key for epoch in list_epochs(tmp_path)]
    found = watermark.detect(
        marked, sample_rate=SAMPLE_RATE, watermark_keys=keys, profiles=[watermark.PROFILE]
    )
    assert (found.payload, found.watermark_key_index) == (b"\x07" * 8, 2)


def test_imported_keys_detect_and_never_embed(tmp_path: Path) -> None:
    add_epoch(tmp_path, key(1), created=TIME)
    foreign = [Epoch(1, key(11), "2020-01-01T00:00:00Z"), Epoch(5, key(15), TIME, active=True)]
    added = merge_epochs(tmp_path, foreign)
    assert [(epoch.number, epoch.active) for epoch in added] == [(2, False), (5, False)]
    assert state(tmp_path) == [(5, key(15), False), (2, key(11), False), (1, key(1), True)]
    assert list_epochs(tmp_path)[1].created == "2020-01-01T00:00:00Z"
    assert merge_epochs(tmp_path, foreign) == ()
    assert add_epoch(tmp_path, key(3), created=TIME).number == 6
    assert state(tmp_path)[0] == (6, key(3), True)
    assert [active for _, _, active in state(tmp_path)].count(True) == 1


def test_where_no_key_is_left_the_imported_ones_are_restored_as_they_were(tmp_path: Path) -> None:
    add_epoch(tmp_path, key(9), created=TIME)
    (tmp_path / "watermark-0001.key").unlink()
    lost = [Epoch(1, key(1), TIME), Epoch(2, key(2), TIME, active=True), Epoch(3, key(3), TIME)]
    merge_epochs(tmp_path, lost)
    assert state(tmp_path) == [(3, key(3), False), (2, key(2), True), (1, key(1), False)]


def test_a_crash_during_an_import_leaves_no_foreign_key_that_embeds(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    add_epoch(tmp_path, key(1), created=TIME)
    real, written = api.epochs.save_secret, []

    def stop_after_one(path: Path, secret: bytes) -> None:
        if written:
            raise KeyFileError("the power went")
        real(path, secret)
        written.append(path)

    with monkeypatch.context() as patch:
        patch.setattr(api.epochs, "save_secret", stop_after_one)
        with pytest.raises(KeyFileError):
            merge_epochs(tmp_path, [Epoch(2, key(2), TIME, active=True), Epoch(3, key(3), TIME)])
    assert state(tmp_path) == [(2, key(2), False), (1, key(1), True)]
    merge_epochs(tmp_path, [Epoch(2, key(2), TIME, active=True), Epoch(3, key(3), TIME)])
    assert sorted(secret for _, secret, _ in state(tmp_path)) == [key(1), key(2), key(3)]


def test_the_number_of_a_retired_epoch_is_not_given_again(tmp_path: Path) -> None:
    for number in (1, 2):
        add_epoch(tmp_path, key(number), created=TIME)
    (tmp_path / "watermark-0002.key").unlink()
    assert state(tmp_path) == [(1, key(1), True)]
    assert add_epoch(tmp_path, key(3), created=TIME).number == 3


def test_more_epochs_than_a_detection_tries_are_refused_and_nothing_is_written(tmp_path: Path) -> None:
    for number in range(1, MAX_EPOCHS):
        add_epoch(tmp_path, key(number), created=TIME)
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    with pytest.raises(RefusedError, match="at most 32 watermark keys, got 33"):
        merge_epochs(tmp_path, [Epoch(100, key(100)), Epoch(101, key(101))])
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before
    add_epoch(tmp_path, key(MAX_EPOCHS), created=TIME)
    with pytest.raises(RefusedError, match="at most 32"):
        add_epoch(tmp_path, key(200), created=TIME)


@pytest.mark.parametrize("content", ["", "[]", "{}", '{"created": {"x": 1}, "detect_only": []}'])
def test_damaged_notes_are_an_error_and_not_a_guess(tmp_path: Path, content: str) -> None:
    add_epoch(tmp_path, key(1), created=TIME)
    (tmp_path / NOTES_NAME).write_text(content)
    with pytest.raises(LedgerFolderError, match="notes on watermark epochs"):
        list_epochs(tmp_path)


def test_a_key_open_to_others_is_refused(tmp_path: Path) -> None:
    add_epoch(tmp_path, key(1), created=TIME)
    os.chmod(tmp_path / "watermark-0001.key", 0o644)  # noqa: PTH101
    with pytest.raises(KeyFileError, match="expected mode 0600"):
        list_epochs(tmp_path)


def test_the_notes_hold_no_secret(tmp_path: Path) -> None:
    add_epoch(tmp_path, key(1), created=TIME)
    text = (tmp_path / NOTES_NAME).read_text()
    assert json.loads(text) == {"created": {"1": TIME}, "detect_only": []}
    assert key(1).hex() not in text
