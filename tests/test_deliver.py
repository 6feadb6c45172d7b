"""Deliveries: a copy for somebody, made of the sealed original, logged before it leaves, and never twice."""

import dataclasses
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import soundfile
import sqlalchemy
from conftest import Shell, Stamped, make_music, write_audio
from sqlmodel import SQLModel

import api.copyrelease
import api.deliveries
import ledger
from api.copyrelease import recover_copies
from api.copysource import open_original
from api.deliveries import Delivered, deliver
from api.disclosing import disclose_track
from api.errors import MissingError, OriginalError, RefusedError, RegisteredError, SettingsError
from api.installation import Installation, make_installation, open_installation
from api.issuing import stamp
from api.originals import KEY_NAME, locate_original, read_blocks
from api.outcomes import USAGE
from api.recipients import list_by_recipient, parse_recipient
from api.recording import erase_person, record_event
from api.registry import RELEASED
from api.release import recover
from api.settings import read_settings
from api.tags import list_tags
from api.verification import verify
from ledger.errors import CustodyError, KeyFileError, OutcomeUnknownError
from ledger.marks import tag_mark

COURT_VERIFIER = Path(__file__).parent.parent / "docs" / "court_verifier.py"


@pytest.fixture(scope="module")
def stamped_once(tmp_path_factory: pytest.TempPathFactory) -> Stamped:
    """A ledger with one short recording, in place of the longer one of other files."""
    folder = tmp_path_factory.mktemp("short")
    source = write_audio(folder / "song.flac", make_music(7.0, seed=1, channels=1), subtype="PCM_24")
    settings = read_settings(folder / "ledger", {})
    make_installation(settings, origin="test.example/log")
    with open_installation(settings) as installation:
        issued = stamp(installation, source)
    return Stamped(settings.home, source, issued.audio, issued.track_id, issued.entry_index, "")


def opened(home: Path) -> Installation:
    return open_installation(read_settings(home, {}))


def hand_out(installation: Installation, stamped: Stamped, name: str = "Jane Doe") -> Delivered:
    return deliver(installation, open_original(installation, stamped.track_id), name)


def sound(installation: Installation) -> bool:
    public = installation.public
    return ledger.fsck(installation.store, vkey=public.vkey, public_keys=public.issuers).ok


def test_a_copy_has_a_mark_of_its_own_an_entry_and_no_name_in_the_clear(stamped: Stamped) -> None:
    with opened(stamped.home) as installation:
        made = hand_out(installation, stamped)
        assert made.row.state == RELEASED
        own = installation.registry.get_mark_of(stamped.track_id)
        assert own is not None
        assert own.mark_id != made.row.mark_id
        entry = installation.store.entry(made.entry_index)
        opened_entry = ledger.open_envelope(entry, installation.public.issuers)
        statement = ledger.parse_statement(opened_entry.payload)
        assert {item.name: item.sha256.hex() for item in statement.subjects} == {
            "file": made.row.file_sha256,
            "pcm": made.row.pcm_sha256,
            "mark": tag_mark(installation.keyring.mark_keys[0], bytes.fromhex(made.row.mark_id)).tag.hex(),
        }
        assert set(statement.predicate["commitments"]) == {"mark_id", "recipient"}
        for secret in (
            b"Jane",
            made.row.mark_id.encode(),
            made.row.person.encode(),
            made.row.copy_id.encode(),
        ):
            assert secret not in opened_entry.payload
        assert list(installation.settings.incoming.iterdir()) == []
        assert sound(installation)
        report = verify(installation, made.audio)
        assert report.verdict.code == "exact"
        assert "copy-named" in report.verdict.reasons
        assert report.predicate["copies"]["named"] == [
            {
                "copy_id": made.row.copy_id,
                "entry": made.entry_index,
                "by": "digest",
                "false_alarm_at_most": None,
            }
        ]


def test_a_copy_discloses_what_its_track_does(stamped: Stamped) -> None:
    with opened(stamped.home) as installation:
        made = hand_out(installation, stamped)
        disclosed = dataclasses.replace(
            disclose_track(installation, stamped.track_id), pcm_sha256=made.row.pcm_sha256
        )
    written = {f"{tag.name}={tag.value}".encode() for tag in list_tags(disclosed)}
    content = made.audio.read_bytes()
    assert written
    assert all(tag in content for tag in written)
    assert made.row.copy_id.encode() not in content


def test_the_copy_is_the_original_and_not_the_marked_file_with_a_mark(stamped: Stamped) -> None:
    source, rate = soundfile.read(stamped.source)
    released, _ = soundfile.read(stamped.audio)
    with opened(stamped.home) as installation:
        copy, found_rate = soundfile.read(hand_out(installation, stamped).audio)
    assert found_rate == rate
    change = ((copy - source) ** 2).sum()
    assert change == pytest.approx(((released - source) ** 2).sum(), rel=0.1)
    assert ((copy - released) ** 2).sum() > 1.2 * change


def test_the_kept_original_is_sealed_and_exact(stamped: Stamped) -> None:
    frames, _ = soundfile.read(stamped.source, dtype="float32", always_2d=True)
    with opened(stamped.home) as installation:
        settings = installation.settings
        path = locate_original(settings, stamped.track_id)
        assert path.stat().st_mode & 0o077 == 0
        assert b"fLaC" not in path.read_bytes()
        start = 0
        for block in read_blocks(settings, stamped.track_id):
            assert np.array_equal(frames[start : start + block.shape[1]], block.T)
            start += block.shape[1]
        assert start == len(frames)


@pytest.mark.parametrize("fault", ["flipped", "cut", "chunk left out", "other track", "other key", "empty"])
def test_a_changed_original_is_refused(stamped: Stamped, fault: str) -> None:
    with opened(stamped.home) as installation:
        settings = installation.settings
        path, track_id = locate_original(settings, stamped.track_id), stamped.track_id
        content = path.read_bytes()
        first = 22 + 16 + 4 + int.from_bytes(content[38:42], "big")
        second = first + 4 + int.from_bytes(content[first : first + 4], "big")
        if fault == "flipped":
            path.write_bytes(content[:-30] + bytes([content[-30] ^ 1]) + content[-29:])
        elif fault == "cut":
            path.write_bytes(content[:second])
        elif fault == "chunk left out":
            path.write_bytes(content[:first] + content[second:])
        elif fault == "other track":
            track_id = "b" * 16
            path.rename(locate_original(settings, track_id))
        elif fault == "other key":
            (settings.keys / KEY_NAME).write_text("00" * 32 + "\n")
        else:
            path.write_bytes(b"")
        with pytest.raises(OriginalError):
            list(read_blocks(settings, track_id))
        size = installation.store.state().size
        with pytest.raises((OriginalError, MissingError)):
            hand_out(installation, stamped)
        assert installation.store.state().size == size
        assert list(installation.settings.incoming.iterdir()) == []


def test_an_original_whose_key_is_gone_is_said_to_lack_it(stamped: Stamped) -> None:
    with opened(stamped.home) as installation:
        (installation.settings.keys / KEY_NAME).unlink()
        with pytest.raises(KeyFileError):
            hand_out(installation, stamped)


def test_where_no_original_is_kept_the_file_must_be_the_one_that_was_stamped(
    stamped: Stamped, tmp_path: Path
) -> None:
    with opened(stamped.home) as installation:
        locate_original(installation.settings, stamped.track_id).unlink()
        with pytest.raises(MissingError, match="--from FILE"):
            open_original(installation, stamped.track_id)
        other = write_audio(tmp_path / "other.wav", make_music(7.0, seed=2))
        with pytest.raises(RefusedError, match="another recording"):
            open_original(installation, stamped.track_id, other)
        with pytest.raises(RefusedError, match="own marked file"):
            open_original(installation, stamped.track_id, stamped.audio)
        frames, rate = soundfile.read(stamped.source, dtype="int32")
        same = tmp_path / "same.wav"
        soundfile.write(same, frames, rate, subtype="PCM_24")
        original = open_original(installation, stamped.track_id, same)
        made = deliver(installation, original, "Jane Doe")
        assert verify(installation, made.audio).verdict.code == "exact"


def test_keeping_originals_can_be_switched_off(stamped: Stamped, tmp_path: Path) -> None:
    song = write_audio(tmp_path / "b.flac", make_music(5.0, seed=21, channels=1), subtype="PCM_24")
    settings = read_settings(stamped.home, {"PROVENOTE_KEEP_ORIGINALS": "no"})
    with open_installation(settings) as installation:
        track_id = stamp(installation, song).track_id
        assert not locate_original(settings, track_id).exists()
        with pytest.raises(MissingError):
            open_original(installation, track_id)
    with pytest.raises(SettingsError, match="expected yes or no"):
        read_settings(stamped.home, {"PROVENOTE_KEEP_ORIGINALS": "perhaps"})


class PowerCut(BaseException):
    """Stands for the end of the process."""


def _raise(error: BaseException) -> Callable[..., object]:
    def fail(*_: object, **__: object) -> object:
        raise error

    return fail


def _cut_after(work: Callable[..., object]) -> Callable[..., object]:
    def run(*arguments: object, **options: object) -> object:
        work(*arguments, **options)
        raise PowerCut

    return run


# Where the process ends; whether the copy must exist after the next start.
CUTS = [
    ("deliveries", "_read_back", "before", False),
    ("deliveries", "_reserve", "before", False),
    ("deliveries", "_append", "before", False),
    ("deliveries", "_append", "after", True),
    ("deliveries", "finish_copy", "before", True),
    ("copyrelease", "sync_file", "before", True),
]


@pytest.mark.parametrize(("module", "function", "moment", "kept"), CUTS)
def test_a_crash_at_any_step_loses_nothing_logged_and_leaves_nothing_else(
    stamped: Stamped, monkeypatch: pytest.MonkeyPatch, module: str, function: str, moment: str, kept: bool
) -> None:
    target = {"deliveries": api.deliveries, "copyrelease": api.copyrelease}[module]
    broken = _raise(PowerCut()) if moment == "before" else _cut_after(getattr(target, function))
    with monkeypatch.context() as patch, opened(stamped.home) as installation:
        patch.setattr(target, function, broken)
        patch.setattr(api.deliveries, "abandon_copy", lambda *_: None)
        with pytest.raises(PowerCut):
            hand_out(installation, stamped)
    with opened(stamped.home) as installation:
        # The tracks' own recovery must not take a copy for a track.
        assert recover(installation) == api.release.Recovery((), ())
        found = recover_copies(installation)
        assert len(found.finished if kept else found.removed) == 1
        assert recover_copies(installation) == api.release.Recovery((), ())
        assert installation.copies.list_pending() == []
        assert list(installation.settings.incoming.iterdir()) == []
        rows = installation.copies.list_of_track(stamped.track_id)
        assert len(rows) == (1 if kept else 0)
        assert installation.store.state().size == (3 if kept else 2)
        assert set(list_by_recipient(installation, stamped.track_id)) == ({"Jane Doe"} if kept else set())
        assert sound(installation)
        if kept:
            audio = installation.settings.copies / rows[0].copy_id / rows[0].audio_name
            assert verify(installation, audio).verdict.code == "exact"


def test_a_failure_before_the_entry_leaves_nothing_and_after_it_the_copy(
    stamped: Stamped, monkeypatch: pytest.MonkeyPatch
) -> None:
    with opened(stamped.home) as installation:
        with monkeypatch.context() as patch:
            patch.setattr(api.deliveries, "_append", _raise(CustodyError("revoked", "no")))
            with pytest.raises(CustodyError):
                hand_out(installation, stamped)
        assert installation.copies.list_pending() == []
        assert list_by_recipient(installation, stamped.track_id) == {}
        with monkeypatch.context() as patch:
            patch.setattr(api.deliveries, "_append", _cut_after(api.deliveries._append))
            with pytest.raises(PowerCut):
                hand_out(installation, stamped)
        assert len(recover_copies(installation).finished) == 1
        with monkeypatch.context() as patch:
            patch.setattr(api.deliveries, "_append", _raise(OutcomeUnknownError("the commit failed")))
            with pytest.raises(OutcomeUnknownError):
                hand_out(installation, stamped, "Bob")
        assert len(recover_copies(installation).removed) == 1


def test_a_track_that_was_taken_down_is_not_delivered(stamped: Stamped) -> None:
    with opened(stamped.home) as installation:
        record_event(installation, stamped.track_id, "revoked", {"reason": "withdrawn"})
        with pytest.raises(CustodyError, match="not delivered"):
            open_original(installation, stamped.track_id)


def test_a_copy_is_not_stamped_as_if_it_were_a_new_recording(stamped: Stamped, tmp_path: Path) -> None:
    with opened(stamped.home) as installation:
        made = hand_out(installation, stamped)
        clip = tmp_path / "clip.ogg"
        frames, rate = soundfile.read(made.audio, dtype="float32")
        write_audio(clip, frames[2 * rate :][None], rate)
        for path in (made.audio, clip):
            with pytest.raises(RegisteredError) as caught:
                stamp(installation, path)
            assert caught.value.track_id == stamped.track_id


def test_erasing_the_recipient_keeps_the_copy_nameable(stamped: Stamped) -> None:
    with opened(stamped.home) as installation:
        made = hand_out(installation, stamped)
        erasure = erase_person(installation, made.row.person, "gdpr-17")
        assert (erasure.values, len(erasure.receipts)) == (1, 1)
        assert list_by_recipient(installation, stamped.track_id) == {}
        report = verify(installation, made.audio)
        assert [item["copy_id"] for item in report.predicate["copies"]["named"]] == [made.row.copy_id]
        assert sound(installation)


def test_a_bundle_opens_one_delivery_and_shows_none_of_the_others(
    shell: Shell, stamped: Stamped, tmp_path: Path
) -> None:
    with opened(stamped.home) as installation:
        made = hand_out(installation, stamped)
        hand_out(installation, stamped, "Bob")
        vkey = installation.public.vkey
    where = ("--home", stamped.home)
    for name, options, shown in (("a", ("--open",), None), ("b", ("--copy", made.row.copy_id), "Jane Doe")):
        path = tmp_path / name
        assert shell("bundle", "make", stamped.track_id, "-o", path, *options, *where)[0] == 0
        assert b"Bob" not in path.read_bytes()
        openings = ledger.check_bundle(path.read_bytes(), vkey=vkey).openings
        assert openings.get("recipient@1") == shown
        assert openings.get("mark_id@1") == (None if shown is None else made.row.mark_id)
        program = [sys.executable, str(COURT_VERIFIER), str(path), "--log-key", vkey]
        assert subprocess.run(program, capture_output=True, check=False).returncode == 0
    other = ("bundle", "make", stamped.track_id, "-o", tmp_path / "c", "--copy", "a" * 16)
    assert shell(*other, *where)[0] == USAGE


def test_names_have_one_form() -> None:
    assert parse_recipient("  Zoe\u0308  ") == "Zo\u00eb"
    for bad in ("", "   ", "a\nb", "x" * 201, "\x00", "\ud800"):
        with pytest.raises(RefusedError, match="1 to 200 characters"):
            parse_recipient(bad)


def test_the_command_makes_each_recipients_copy_once(shell: Shell, stamped: Stamped, tmp_path: Path) -> None:
    where = ("--home", stamped.home)
    names = tmp_path / "names.txt"
    names.write_text("Ann\n\nBob\nAnn\n", encoding="utf-8")
    made = shell.json("deliver", stamped.track_id, "--list", names, "--output", tmp_path / "out", *where)
    assert [(item["recipient"], item["new"]) for item in made["copies"]] == [("Ann", True), ("Bob", True)]
    assert {path.stem for path in (tmp_path / "out").iterdir()} == {i["copy_id"] for i in made["copies"]}
    again = shell.json("deliver", stamped.track_id, "--to", " Ann ", *where)
    assert [(item["copy_id"], item["new"]) for item in again["copies"]] == [
        (made["copies"][0]["copy_id"], False)
    ]
    more = shell.json("deliver", stamped.track_id, "--to", "Ann", "--again", *where)
    assert more["copies"][0]["copy_id"] != made["copies"][0]["copy_id"]
    assert more["copies"][0]["person"] == made["copies"][0]["person"]
    listed = shell.json("copies", stamped.track_id, *where)["copies"]
    assert [item["recipient"] for item in listed].count("Ann") == 2
    shell("custody", "erase", made["copies"][0]["person"], "--ground", "gdpr-17", *where)
    _, text = shell("copies", stamped.track_id, *where)
    assert "(erased)" in text
    assert "Ann" not in text


@pytest.mark.parametrize(
    "arguments",
    [
        (),
        ("--to", "a", "--list", "README.md"),
        ("--to", "a\x07"),
        ("--list", "README.md", "--count", "2"),
        ("--to", "a", "--bits", "20"),
        ("--to", "a", "--output", "."),
    ],
)
def test_bad_requests_are_refused_before_anything_is_made(
    shell: Shell, stamped: Stamped, arguments: tuple[str, ...]
) -> None:
    code, _ = shell("deliver", stamped.track_id, *arguments, "--home", stamped.home)
    assert code == USAGE
    code, _ = shell("deliver", "nosuchtrack", "--to", "a", "--home", stamped.home)
    assert code == USAGE
    assert not (stamped.home / "copies").exists()


def test_the_migrated_table_is_the_one_of_the_program(stamped: Stamped) -> None:
    with opened(stamped.home) as installation:
        engine = installation.copies._database.engine
        found = sqlalchemy.inspect(engine)
        declared = SQLModel.metadata.tables["delivered_copy"]
        columns = {column["name"]: column for column in found.get_columns("delivered_copy")}
        assert set(columns) == set(declared.columns.keys())
        for column in declared.columns:
            assert columns[column.name]["nullable"] == column.nullable, column.name
        indexes = {(index["name"], bool(index["unique"])) for index in found.get_indexes("delivered_copy")}
        assert indexes == {(str(index.name), bool(index.unique)) for index in declared.indexes}


def test_a_ledger_of_before_gets_the_table_and_folder_when_needed(stamped: Stamped) -> None:
    shutil.rmtree(stamped.home / "copies", ignore_errors=True)
    with opened(stamped.home) as installation:
        assert hand_out(installation, stamped).audio.is_file()
