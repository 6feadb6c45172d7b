"""Verifying real files against a real ledger: each verdict, and each kind of tampering."""

import dataclasses
import json
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pysqlite3.dbapi2 as sqlite
import pytest
import soundfile
from conftest import SAMPLE_RATE, Stamped, make_free_music, make_music, write_audio

import watermark
from api import verdict as v
from api.errors import AudioRefusedError
from api.installation import open_installation
from api.keyring import make_watermark_key, read_public_keys, write_public_keys
from api.report import Report, open_report
from api.settings import read_settings
from api.verification import verify
from ledger.errors import CorruptError, SignatureError
from ledger.keyfile import load_secret, save_secret


def check(home: Path, path: Path) -> Report:
    with open_installation(read_settings(home, {})) as installation:
        return verify(installation, path)


def codes(report: Report) -> list[str]:
    return [reason["code"] for reason in report.predicate["reasons"]]


def change(home: Path, statement: str, *values: object) -> None:
    """Change the database as somebody with write access could, past the triggers."""
    connection = sqlite.connect(str(home / "ledger.db"))
    for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'trigger'").fetchall():
        connection.execute(f"DROP TRIGGER {name}")
    assert connection.execute(statement, values).rowcount == 1
    connection.commit()
    connection.close()


def test_the_released_file_is_exact_and_its_report_is_signed(stamped: Stamped) -> None:
    report = check(stamped.home, stamped.audio)
    assert report.verdict.code == v.EXACT
    assert report.predicate["track"]["track_id"] == stamped.track_id
    public = read_public_keys(read_settings(stamped.home, {}))
    assert open_report(report.envelope, public.reports) == report.predicate
    with pytest.raises(SignatureError):
        open_report(report.envelope, public.issuers)


def test_the_same_samples_in_another_container_are_exact(stamped: Stamped, tmp_path: Path) -> None:
    frames, rate = soundfile.read(stamped.audio, dtype="int32")
    soundfile.write(tmp_path / "a.wav", frames, rate, subtype="PCM_24")
    report = check(stamped.home, tmp_path / "a.wav")
    assert report.verdict.code == v.EXACT
    assert "pcm-digest-registered" in codes(report)


def edit(stamped: Stamped, path: Path, work: Callable[[np.ndarray], np.ndarray], **options: object) -> Path:
    frames, rate = soundfile.read(stamped.audio, dtype="float32")
    return write_audio(path, work(frames.T), rate, **options)


@pytest.mark.parametrize("name", ["a.mp3", "a.ogg"])
def test_a_lossy_copy_is_re_encoded(stamped: Stamped, tmp_path: Path, name: str) -> None:
    report = check(stamped.home, edit(stamped, tmp_path / name, lambda audio: audio))
    assert report.verdict.code == v.RE_ENCODED
    assert "content-matches" in codes(report)


def test_a_part_is_an_excerpt(stamped: Stamped, tmp_path: Path) -> None:
    path = edit(stamped, tmp_path / "a.wav", lambda audio: audio[:, 3 * SAMPLE_RATE : 15 * SAMPLE_RATE])
    assert check(stamped.home, path).verdict.code == v.EXCERPT


def test_a_faster_copy_in_full_length_is_retimed(stamped: Stamped, tmp_path: Path) -> None:
    # The same samples called 4 % faster: what a record player does.
    frames, rate = soundfile.read(stamped.audio, dtype="float32")
    path = write_audio(tmp_path / "a.wav", frames.T, round(rate * 1.04))
    report = check(stamped.home, path)
    assert report.verdict.code == v.RETIMED
    assert report.predicate["watermark"]["speed_ppm"] == pytest.approx(1_040_000, abs=2_000)


def test_foreign_sound_behind_the_track_is_altered(stamped: Stamped, tmp_path: Path) -> None:
    other = make_music(20.0, seed=9)
    path = edit(stamped, tmp_path / "a.wav", lambda audio: np.concatenate([audio, other], axis=1))
    assert check(stamped.home, path).verdict.code == v.ALTERED


def test_the_source_is_an_unmarked_original(stamped: Stamped) -> None:
    report = check(stamped.home, stamped.source)
    assert report.verdict.code == v.UNMARKED_ORIGINAL
    assert not report.verdict.good


def test_a_mark_of_our_key_that_is_not_registered_is_unknown(stamped: Stamped, tmp_path: Path) -> None:
    key = load_secret(stamped.home / "keys" / "watermark-0001.key", lengths=(64,))
    marked = watermark.embed(
        make_free_music(15.0, seed=6), sample_rate=SAMPLE_RATE, watermark_key=key, payload=b"\x01" * 8
    )
    assert check(stamped.home, write_audio(tmp_path / "a.wav", marked)).verdict.code == v.UNKNOWN_MARK


def test_with_the_wrong_watermark_key_registered_bytes_have_no_mark(stamped: Stamped) -> None:
    key = stamped.home / "keys" / "watermark-0001.key"
    key.unlink()
    save_secret(key, make_watermark_key())
    assert check(stamped.home, stamped.audio).verdict.code == v.MARK_MISSING


def test_older_watermark_keys_go_on_detecting(stamped: Stamped) -> None:
    save_secret(stamped.home / "keys" / "watermark-0002.key", make_watermark_key())
    assert check(stamped.home, stamped.audio).verdict.code == v.EXACT


@pytest.mark.parametrize("name", ["silence", "one sample", "music", "square wave"])
def test_what_was_never_stamped_gives_nothing(stamped: Stamped, tmp_path: Path, name: str) -> None:
    time = np.arange(11 * SAMPLE_RATE) / SAMPLE_RATE
    audio = {
        "silence": np.zeros((2, 11 * SAMPLE_RATE)),
        "one sample": np.full((1, 1), 0.5),
        "music": make_music(11.0, seed=7),
        "square wave": np.sign(np.sin(2 * np.pi * 440.0 * time))[None, :],
    }[name]
    report = check(stamped.home, write_audio(tmp_path / "a.wav", audio.astype(np.float32)))
    assert report.verdict.code == v.NOTHING_FOUND
    assert "does not mean that a person made it" in report.predicate["text"]


def test_a_truncated_file_is_judged_by_what_is_left_and_called_damaged(
    stamped: Stamped, tmp_path: Path
) -> None:
    content = stamped.audio.read_bytes()
    (tmp_path / "a.flac").write_bytes(content[: int(0.7 * len(content))])
    report = check(stamped.home, tmp_path / "a.flac")
    assert report.verdict.code == v.EXCERPT
    assert "file-damaged" in codes(report)


def test_not_audio_is_an_error_and_no_verdict(stamped: Stamped, tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("hello")
    with pytest.raises(AudioRefusedError):
        check(stamped.home, tmp_path / "a.txt")


def test_one_changed_byte_in_the_entry_breaks_the_ledger_and_names_the_entry(stamped: Stamped) -> None:
    database = stamped.home / "ledger.db"
    with open_installation(read_settings(stamped.home, {})) as installation:
        piece = installation.store.entry(stamped.entry_index)[200:264]
    content = bytearray(database.read_bytes())
    place = content.index(piece)
    content[place] = ord("A") if content[place] != ord("A") else ord("B")
    database.write_bytes(content)
    report = check(stamped.home, stamped.audio)
    assert report.verdict.code == v.LEDGER_BROKEN
    assert report.predicate["ledger"]["fault"]["index"] == stamped.entry_index
    assert report.predicate["ledger"]["fault"]["code"] == "entry-changed"


@pytest.mark.parametrize(
    ("statement", "values", "reason"),
    [
        ("UPDATE mark SET salt = ?", (b"\0" * 32,), "registry-contradicts-ledger"),
        ("DELETE FROM mark", (), "registry-contradicts-ledger"),
        ("UPDATE ledger_checkpoint SET note = ? WHERE size = 2", (b"a\n2\n\n",), "checkpoint-failed"),
        ("UPDATE ledger_entry SET leaf_hash = ? WHERE entry_index = 0", (b"\0" * 32,), "entry-changed"),
        ("UPDATE ledger_entry SET asset = 'track:x' WHERE entry_index = 1", (), "history-out-of-order"),
        ("UPDATE ledger_entry SET entry = x'00' WHERE entry_index = 1", (), "entry-changed"),
        (
            "UPDATE ledger_subject SET sha256 = zeroblob(32) WHERE name = 'file'",
            (),
            "file-digest-registered",  # the index is only a hint: the entry itself says so
        ),
    ],
)
def test_a_tampered_database_is_exposed(
    stamped: Stamped, statement: str, values: tuple[object, ...], reason: str
) -> None:
    change(stamped.home, statement, *values)
    report = check(stamped.home, stamped.audio)
    assert reason in codes(report)
    assert (report.verdict.code == v.EXACT) == (reason == "file-digest-registered")


def test_an_index_that_lists_foreign_digests_is_exposed(stamped: Stamped, tmp_path: Path) -> None:
    path = write_audio(tmp_path / "a.wav", make_music(1.0, seed=8))
    from api.audiofile import hash_file

    digest = bytes.fromhex(hash_file(path))
    change(stamped.home, "UPDATE ledger_subject SET sha256 = ? WHERE name = 'file'", digest)
    report = check(stamped.home, path)
    assert report.verdict.code == v.LEDGER_BROKEN
    assert codes(report) == ["index-contradicts-entry"]


def test_a_signer_that_is_no_longer_trusted_is_named_as_the_reason(stamped: Stamped) -> None:
    settings = read_settings(stamped.home, {})
    public = read_public_keys(settings)
    write_public_keys(settings, dataclasses.replace(public, issuers=public.reports))
    assert check(stamped.home, stamped.audio).verdict.code == v.SIGNER_NOT_TRUSTED


def test_a_damaged_database_is_an_error_and_no_verdict(stamped: Stamped) -> None:
    database = stamped.home / "ledger.db"
    content = bytearray(database.read_bytes())
    content[: 16 * 1024] = b"\xff" * (16 * 1024)
    database.write_bytes(content)
    with pytest.raises(CorruptError):
        check(stamped.home, stamped.audio)


def test_a_ledger_rolled_back_behind_a_track_does_not_verify_it(
    stamped: Stamped, stamped_once: Stamped
) -> None:
    # The registry still names the track, the log has never heard of it.
    shutil.copy(stamped_once.home / "ledger.db", stamped.home / "ledger.db")
    for table in ("ledger_entry", "ledger_subject"):
        connection = sqlite.connect(str(stamped.home / "ledger.db"))
        for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type='trigger'").fetchall():
            connection.execute(f"DROP TRIGGER {name}")
        connection.execute(f"DELETE FROM {table} WHERE entry_index = 1")
        connection.commit()
        connection.close()
    report = check(stamped.home, stamped.audio)
    assert report.verdict.code == v.LEDGER_BROKEN
    assert codes(report)[0] == "history-missing"


def test_a_report_holds_no_floats_and_no_mark_id(stamped: Stamped) -> None:
    report = check(stamped.home, stamped.audio)

    def refuse(text: str) -> float:
        raise AssertionError(text)

    document = json.loads(json.dumps(report.predicate), parse_float=refuse)
    with open_installation(read_settings(stamped.home, {})) as installation:
        mark = installation.registry.get_mark_of(stamped.track_id)
    assert mark is not None
    assert mark.mark_id not in json.dumps(document)
