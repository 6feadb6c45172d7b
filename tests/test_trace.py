"""Tracing a leaked clip to a copy, over files: what is named, what is said of mixes, what reports show."""

import json
from pathlib import Path

import numpy as np
import pytest
import soundfile
from conftest import SAMPLE_RATE, Shell, Stamped, make_music, write_audio

import ledger
from api.copysource import open_original
from api.deliveries import deliver
from api.installation import Installation, make_installation, open_installation
from api.issuing import stamp
from api.outcomes import BAD, USAGE
from api.recording import erase_person
from api.registry import PENDING
from api.settings import read_settings
from api.tracing import TRACE_TYPE, name_copies, sign_trace, trace
from api.verification import verify

NAMES = ("Ann", "Bob", "Cid")


@pytest.fixture(scope="module")
def stamped_once(tmp_path_factory: pytest.TempPathFactory) -> Stamped:
    """A ledger with one short recording and three copies of it."""
    folder = tmp_path_factory.mktemp("copies")
    source = write_audio(folder / "song.flac", make_music(9.0, seed=1, channels=1), subtype="PCM_24")
    settings = read_settings(folder / "ledger", {})
    make_installation(settings, origin="test.example/log")
    with open_installation(settings) as installation:
        issued = stamp(installation, source)
        original = open_original(installation, issued.track_id)
        for name in NAMES:
            deliver(installation, original, name)
    return Stamped(settings.home, source, issued.audio, issued.track_id, issued.entry_index, "")


def opened(home: Path) -> Installation:
    return open_installation(read_settings(home, {}))


def read_copies(stamped: Stamped) -> dict[str, np.ndarray]:
    with opened(stamped.home) as installation:
        return {
            row.copy_id: soundfile.read(
                stamped.home / "copies" / row.copy_id / row.audio_name, dtype="float32"
            )[0]
            for row in installation.copies.list_of_track(stamped.track_id)
        }


def named(stamped: Stamped, path: Path) -> list[str | None]:
    with opened(stamped.home) as installation:
        found = trace(installation, path, stamped.track_id)
    return [None if mark.copy is None else mark.copy.copy_id for mark in found.named]


def test_a_clip_of_little_more_than_a_second_is_traced_to_its_copy(stamped: Stamped, tmp_path: Path) -> None:
    copy_id, frames = list(read_copies(stamped).items())[1]
    start, stop = 2 * SAMPLE_RATE, round(3.3 * SAMPLE_RATE)
    clip = write_audio(tmp_path / "clip.wav", frames[None, start:stop])
    with opened(stamped.home) as installation:
        found = trace(installation, clip, stamped.track_id)
    assert [mark.copy.copy_id for mark in found.named if mark.copy] == [copy_id]
    assert not found.several
    assert found.candidates == 4
    assert found.named[0].false_alarm_probability <= 1e-9


def test_the_released_track_is_told_from_its_copies(stamped: Stamped) -> None:
    assert named(stamped, stamped.audio) == [None]


def test_of_two_mixed_copies_both_are_named_and_no_third(stamped: Stamped, tmp_path: Path) -> None:
    copies = read_copies(stamped)
    first, second, _ = copies
    mixed = write_audio(tmp_path / "mix.ogg", (copies[first] + copies[second])[None] / 2)
    assert set(named(stamped, mixed)) == {first, second}
    with opened(stamped.home) as installation:
        report = verify(installation, mixed)
    assert {item["copy_id"] for item in report.predicate["copies"]["named"]} == {first, second}
    assert all(item["by"] == "mark" for item in report.predicate["copies"]["named"])
    assert "copies-mixed" in report.verdict.reasons
    assert "copy-named" not in report.verdict.reasons


def test_a_copy_mixed_with_the_released_track_is_said_to_be_mixed(stamped: Stamped, tmp_path: Path) -> None:
    copies = read_copies(stamped)
    first = next(iter(copies))
    released, _ = soundfile.read(stamped.audio, dtype="float32")
    mixed = write_audio(tmp_path / "mix.flac", (copies[first] + released)[None] / 2)
    assert set(named(stamped, mixed)) == {first, None}
    with opened(stamped.home) as installation:
        assert "copies-mixed" in verify(installation, mixed).verdict.reasons


def test_unmarked_sound_names_nobody(stamped: Stamped) -> None:
    with opened(stamped.home) as installation:
        found = trace(installation, stamped.source, stamped.track_id)
    assert (found.named, found.foreign, found.several) == ((), False, False)


def test_reports_have_no_names_and_are_signed(stamped: Stamped) -> None:
    copy_id = next(iter(read_copies(stamped)))
    with opened(stamped.home) as installation:
        path = installation.settings.copies / copy_id / "copy.flac"
        predicate, envelope = sign_trace(installation, trace(installation, path, stamped.track_id))
        opened_envelope = ledger.open_envelope(envelope, installation.public.reports)
        report = verify(installation, path).envelope
    statement = json.loads(opened_envelope.payload)
    assert statement["predicateType"] == TRACE_TYPE
    assert statement["predicate"] == predicate
    assert [item["copy_id"] for item in predicate["named"]] == [copy_id]
    for name in NAMES:
        assert name.encode() not in opened_envelope.payload
        assert name.encode() not in ledger.open_envelope(report, installation.public.reports).payload


def test_a_copy_that_no_entry_bears_out_is_not_believed(stamped: Stamped) -> None:
    """Whoever writes into the tables cannot make somebody a copy's owner."""
    with opened(stamped.home) as installation:
        rows = installation.copies.list_of_track(stamped.track_id)
        engine = installation.copies._database.engine
        with engine.begin() as connection:
            connection.exec_driver_sql(
                "UPDATE delivered_copy SET salt = zeroblob(32) WHERE copy_id = ?", (rows[0].copy_id,)
            )
        path = installation.settings.copies / rows[0].copy_id / "copy.flac"
        clip = write_audio(path.with_name("clip.wav"), soundfile.read(path, dtype="float32")[0][None, 9000:])
        assert verify(installation, clip).verdict.code == "ledger-broken"


def test_a_copy_in_progress_is_no_candidate(stamped: Stamped) -> None:
    with opened(stamped.home) as installation:
        row = installation.copies.list_of_track(stamped.track_id)[0]
        engine = installation.copies._database.engine
        with engine.begin() as connection:
            connection.exec_driver_sql(
                "UPDATE delivered_copy SET state = ? WHERE copy_id = ?", (PENDING, row.copy_id)
            )
        path = installation.settings.copies / row.copy_id / "copy.flac"
        found = trace(installation, path, stamped.track_id)
    assert found.candidates == 3
    assert (found.named, found.foreign) == ((), True)


def test_the_commands_show_names_to_the_holder(shell: Shell, stamped: Stamped, tmp_path: Path) -> None:
    copies = read_copies(stamped)
    copy_id = next(iter(copies))
    where = ("--home", stamped.home)
    path = stamped.home / "copies" / copy_id / "copy.flac"
    with opened(stamped.home) as installation:
        names = name_copies(installation, stamped.track_id)  # copies come in the order of their ids
    name = names[copy_id]
    assert name in NAMES
    report = tmp_path / "trace.json"
    found = shell.json("trace", path, "--track", stamped.track_id, "--report", report, *where)
    assert found["recipients"] == {copy_id: name}
    assert name.encode() not in report.read_bytes()
    assert shell.json("check-report", report, "--file", path, *where)["report"]["named"] == found["named"]
    assert not shell.json("check-report", report, "--file", stamped.source, *where, code=BAD)["ok"]
    changed = tmp_path / "changed.json"
    changed.write_bytes(report.read_bytes().replace(b'"sig":"', b'"sig":"A', 1))
    assert not shell.json("check-report", changed, *where, code=BAD)["ok"]
    assert shell.json("verify", path, *where)["recipients"] == {copy_id: name}
    _, text = shell("verify", path, *where)
    assert f"copy {copy_id}: {name}" in text
    pair = list(copies)[:2]
    mixed = write_audio(tmp_path / "mix.wav", sum(copies[one] for one in pair)[None] / 2)
    code, text = shell("trace", mixed, "--track", stamped.track_id, *where)
    assert code == 0
    assert text.startswith("several copies")
    assert [one in text for one in NAMES] == [one in {names[two] for two in pair} for one in NAMES]
    with opened(stamped.home) as installation:
        erase_person(installation, installation.copies.get_released(copy_id).person, "gdpr-17")
    _, text = shell("trace", path, "--track", stamped.track_id, *where)
    assert f"copy {copy_id}, (erased)" in text
    code, text = shell("trace", stamped.source, "--track", stamped.track_id, *where)
    assert code == BAD
    assert text.startswith("nobody")
    assert shell("trace", path, "--track", "nosuchtrack", *where)[0] == USAGE
