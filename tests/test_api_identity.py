"""Whose recording is it by its sound: the commands, and the verdicts that follow from mark and sound."""

import hashlib
from pathlib import Path

import numpy as np
import pysqlite3.dbapi2 as sqlite
import pytest
import soundfile
from conftest import SAMPLE_RATE, Audio, Shell, Stamped, make_free_music, write_audio

import watermark
from api import verdict as v
from api.catalogue import FINGERPRINT_NAME
from api.errors import RegisteredError
from api.installation import open_installation
from api.issuing import stamp
from api.report import Report
from api.resemblance import ResemblancePolicy
from api.settings import read_settings
from api.verification import verify
from ledger import parse_statement
from ledger.envelope import parse_envelope
from ledger.keyfile import load_secret
from watermark.identity import extract, format_fingerprint


def check(stamped: Stamped, path: Path) -> Report:
    with open_installation(read_settings(stamped.home, {})) as installation:
        return verify(installation, path)


def codes(report: Report) -> list[str]:
    return [reason["code"] for reason in report.predicate["reasons"]]


def read(path: Path) -> Audio:
    frames, _ = soundfile.read(path, dtype="float32", always_2d=True)
    return np.ascontiguousarray(frames.T)


def add_mark(stamped: Stamped, audio: Audio) -> Audio:
    """Write the registered track's own mark onto other sound: what a thief of the key could do."""
    key = load_secret(stamped.home / "keys" / "watermark-0001.key", lengths=(64,))
    with open_installation(read_settings(stamped.home, {})) as installation:
        mark = installation.registry.get_mark_of(stamped.track_id)
        assert mark is not None
    return watermark.embed(
        audio, sample_rate=SAMPLE_RATE, watermark_key=key, payload=bytes.fromhex(mark.mark_id)
    )


def test_an_excerpt_at_another_speed_is_identified_with_its_place(
    stamped: Stamped, tmp_path: Path, shell: Shell
) -> None:
    clip = read(stamped.source)[:, 4 * SAMPLE_RATE : 14 * SAMPLE_RATE]
    path = write_audio(tmp_path / "clip.wav", clip, round(SAMPLE_RATE * 1.05))
    found = shell.json("identify", path, "--home", stamped.home)
    assert found["known"]
    (match,) = found["matches"]
    assert match["track_id"] == stamped.track_id
    assert match["speed_ppm"] == pytest.approx(1_050_000, abs=2_000)
    assert match["recording"]["start_ms"] == pytest.approx(4_000, abs=150)
    assert match["recording"]["end_ms"] == pytest.approx(14_000, abs=300)


def test_unknown_is_an_answer(stamped: Stamped, tmp_path: Path, shell: Shell) -> None:
    path = write_audio(tmp_path / "clip.wav", make_free_music(6.0, seed=33))
    found = shell.json("identify", path, "--home", stamped.home, code=1)
    # Whether it has an ISCC depends on the programs that are there.
    iscc = found.pop("iscc")
    assert found == {"known": False, "seconds": 6.0, "matches": []}
    code, text = shell("identify", path, "--home", stamped.home)
    assert code == 1
    assert text.split() == ["clip.wav:", "unknown", *([] if iscc is None else [iscc])]


def test_recordings_are_added_listed_found_and_removed(
    stamped: Stamped, tmp_path: Path, shell: Shell
) -> None:
    song = write_audio(tmp_path / "hit.flac", make_free_music(8.0, seed=40))
    broken = tmp_path / "broken.wav"
    broken.write_bytes(b"RIFF")
    code, _ = shell("fingerprint", "add", song, broken, "--home", stamped.home)
    assert code == 2
    assert "broken.wav" in shell.errors
    listed = shell.json("fingerprint", "list", "--home", stamped.home)
    assert [(row["track_id"], row["name"]) for row in listed["recordings"]] == [
        (stamped.track_id, "song"),
        (None, "hit"),
    ]
    report = check(stamped, write_audio(tmp_path / "copy.ogg", read(song)))
    assert report.verdict.code == v.KNOWN_RECORDING
    with (
        open_installation(read_settings(stamped.home, {})) as installation,
        pytest.raises(RegisteredError, match="recording 'hit'"),
    ):
        stamp(installation, write_audio(tmp_path / "mine.wav", 0.7 * read(song)))
    assert shell.json("fingerprint", "remove", 2, "--home", stamped.home) == {"removed": 2, "name": "hit"}
    assert check(stamped, tmp_path / "copy.ogg").verdict.code == v.NOTHING_FOUND
    assert shell.json("fingerprint", "check", "--home", stamped.home) == {"recordings": 1, "faults": []}


def test_a_track_without_its_mark_is_told_by_its_sound(stamped: Stamped, tmp_path: Path) -> None:
    path = write_audio(tmp_path / "a.ogg", 0.8 * read(stamped.source))
    report = check(stamped, path)
    assert report.verdict.code == v.MARK_REMOVED
    assert {"content-of-track", "mark-not-found", "history-proven"} <= set(codes(report))
    assert report.predicate["track"]["track_id"] == stamped.track_id
    assert not report.verdict.good


def test_a_mark_too_weak_to_be_read_is_found_where_the_sound_says_it_lies(
    stamped: Stamped, tmp_path: Path
) -> None:
    clip = read(stamped.audio)[:, 5 * SAMPLE_RATE : 15 * SAMPLE_RATE]
    noise = np.random.default_rng(1).standard_normal(clip.shape).astype(np.float32)
    noisy = clip + noise * float(np.sqrt(np.mean(clip**2))) * 10 ** (-11 / 20)
    report = check(stamped, write_audio(tmp_path / "a.wav", noisy))
    mark = report.predicate["watermark"]
    assert (mark["found"], mark.get("told_by")) == (True, "candidate")
    assert report.verdict.code == v.EXCERPT
    assert mark["opens_commitment"]


def test_a_mark_lifted_onto_other_sound_is_exposed(stamped: Stamped, tmp_path: Path) -> None:
    path = write_audio(tmp_path / "a.wav", add_mark(stamped, make_free_music(15.0, seed=8)))
    report = check(stamped, path)
    assert report.verdict.code == v.MARK_TRANSPLANTED
    assert "content-foreign" in codes(report)
    assert report.predicate["identity"]["comparison"]["foreign"]


def test_a_replaced_part_is_told_with_its_place(stamped: Stamped, tmp_path: Path) -> None:
    audio = read(stamped.audio)
    audio[:, 8 * SAMPLE_RATE : 12 * SAMPLE_RATE] = make_free_music(4.0, seed=50)
    report = check(stamped, write_audio(tmp_path / "a.wav", audio))
    assert report.verdict.code == v.ALTERED
    assert "change-replaced" in codes(report)
    change = report.predicate["identity"]["comparison"]["changed"][0]
    assert change["file"]["start_ms"] == pytest.approx(8_000, abs=200)
    assert change["file"]["end_ms"] == pytest.approx(12_000, abs=200)


@pytest.mark.parametrize("ending", ["png", "svg"])
def test_pictures_are_drawn_of_what_was_changed(
    stamped: Stamped, tmp_path: Path, shell: Shell, ending: str
) -> None:
    audio = read(stamped.audio)
    audio[:, 8 * SAMPLE_RATE : 12 * SAMPLE_RATE] = make_free_music(4.0, seed=50)
    clip = write_audio(tmp_path / "a.wav", audio)
    changes, alignment = tmp_path / f"changes.{ending}", tmp_path / f"alignment.{ending}"
    options = ("--picture", changes, "--alignment", alignment, "--home", stamped.home)
    shell.json("verify", clip, *options, code=1)
    for path in (changes, alignment):
        assert path.read_bytes()[:5] == (b"\x89PNG\r" if ending == "png" else b"<?xml")
    code, _ = shell("verify", clip, "--picture", tmp_path / "a.jpg", "--home", stamped.home)
    assert code == 2
    code, _ = shell("verify", clip, "--picture", changes, "--home", stamped.home)
    assert code == 2


@pytest.mark.parametrize(
    ("policy", "relation"),
    [(ResemblancePolicy.LINK, "derived-from"), (ResemblancePolicy.ALLOW, "conflicts-with")],
)
def test_a_registered_recording_in_other_clothes_is_refused_linked_or_logged_as_a_conflict(
    stamped: Stamped, tmp_path: Path, policy: ResemblancePolicy, relation: str
) -> None:
    disguised = write_audio(tmp_path / "mine.wav", 0.8 * read(stamped.source), round(SAMPLE_RATE * 1.03))
    with open_installation(read_settings(stamped.home, {})) as installation:
        with pytest.raises(RegisteredError, match="sounds like track") as caught:
            stamp(installation, disguised)
        assert caught.value.track_id == stamped.track_id
        issued = stamp(installation, disguised, resemblance=policy)
        assert issued.nearest[0].track_id == stamped.track_id
        assert issued.closest == issued.nearest[0]
        (entry,) = installation.store.chain(f"track:{issued.track_id}")
    statement = parse_statement(parse_envelope(entry[1]).unverified_payload)
    (found,) = statement.predicate["relations"]
    assert (found["relation"], found["track_id"]) == (relation, stamped.track_id)
    assert found["their_end_ms"] - found["their_start_ms"] > 15_000


def test_the_nearest_track_is_told_of_sound_that_is_like_none(
    stamped: Stamped, tmp_path: Path, shell: Shell
) -> None:
    other = write_audio(tmp_path / "other.wav", make_free_music(6.0, seed=76))
    issued = shell.json("stamp", other, "--home", stamped.home)
    assert issued["nearest"] == []
    assert issued["closest"]["track_id"] == stamped.track_id
    assert 45 <= issued["closest"]["alike_percent"] < 70
    assert issued["closest"]["false_alarm_at_most"] != "0"


def test_a_changed_fingerprint_of_a_track_is_a_broken_record(stamped: Stamped, tmp_path: Path) -> None:
    forged = format_fingerprint(extract(make_free_music(15.0, seed=8), sample_rate=SAMPLE_RATE))
    path = stamped.home / "tracks" / stamped.track_id / FINGERPRINT_NAME
    path.chmod(0o600)
    path.write_bytes(forged)
    connection = sqlite.connect(str(stamped.home / "ledger.db"))
    connection.execute("UPDATE fingerprint SET sha256 = ?", (hashlib.sha256(forged).hexdigest(),))
    connection.commit()
    connection.close()
    audio = write_audio(tmp_path / "a.wav", add_mark(stamped, make_free_music(15.0, seed=8)))
    report = check(stamped, audio)
    assert report.verdict.code == v.LEDGER_BROKEN
    assert "fingerprint-contradicts-entry" in codes(report)
