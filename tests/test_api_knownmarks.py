"""Verification tells a mark that is too weak to be decoded among those that were registered."""

from pathlib import Path

import pytest
import soundfile
from conftest import Stamped

from api import knownmarks
from api.deskkey import open_desk_key
from api.installation import open_installation
from api.recording import add_actor
from api.registry import MarkRow, TrackRow
from api.settings import read_settings
from api.verification import verify
from ledger import SigningKey


def test_the_registry_gives_its_marks_by_key_and_profile(stamped: Stamped) -> None:
    with open_installation(read_settings(stamped.home, {})) as installation:
        (known,) = installation.marks.list_payloads()
        mark = installation.registry.get_mark_of(stamped.track_id)
        assert mark is not None
        assert known.payloads == (bytes.fromhex(mark.mark_id),)
        assert known.profile.name == mark.profile
        assert known.watermark_key == installation.keyring.watermark_key


def test_marks_are_gathered_when_the_ledger_has_grown_and_encoded_when_they_are_others(
    stamped: Stamped, monkeypatch: pytest.MonkeyPatch
) -> None:
    with open_installation(read_settings(stamped.home, {})) as installation:
        registry, marks = installation.registry, installation.marks
        (before,) = marks.list_payloads()
        open_desk_key(installation)  # made and logged
        assert marks.list_payloads()[0] is before
        mark, track = registry.get_mark_of(stamped.track_id), registry.find_track(stamped.track_id)
        assert mark is not None
        assert track is not None
        other = {"track_id": "a" * 16, "source_pcm_sha256": "0" * 64, "state": "pending"}
        registry.add_pending(
            TrackRow(**{**track.model_dump(), **other}),
            MarkRow(**{**mark.model_dump(), "track_id": "a" * 16, "mark_id": "0f" * 8}),
        )
        assert marks.list_payloads()[0] is before
        add_actor(installation, SigningKey.generate(), ["platform"], "platform.example")
        (after,) = marks.list_payloads()
        assert set(after.payloads) == {*before.payloads, b"\x0f" * 8}
        assert marks.list_schemes() == {(mark.profile, mark.watermark_key_id)}
        monkeypatch.setattr(knownmarks, "MAX_MARKS", 1)
        assert marks.list_payloads() == ()


def test_a_clip_too_short_to_decode_is_told_among_the_registered(stamped: Stamped, tmp_path: Path) -> None:
    audio, rate = soundfile.read(stamped.audio, dtype="float32")
    told = {}
    with open_installation(read_settings(stamped.home, {})) as installation:
        for milliseconds in (3000, 520, 490, 480, 470, 460, 100):
            clip = audio[2 * rate : 2 * rate + milliseconds * rate // 1000]
            soundfile.write(tmp_path / "clip.wav", clip, rate, subtype="FLOAT")
            found = verify(installation, tmp_path / "clip.wav").predicate
            told[milliseconds] = found["watermark"].get("told_by")
            if told[milliseconds]:
                assert found["track"]["track_id"] == stamped.track_id
    assert told[3000] == "code"
    assert "registry" in told.values(), told
    assert told[100] is None
