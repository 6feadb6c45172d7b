"""Verification tells a mark that is too weak to be decoded among those that were registered."""

from pathlib import Path

import soundfile
from conftest import Stamped

from api.installation import open_installation
from api.knownmarks import known_payloads
from api.settings import read_settings
from api.verification import verify


def test_the_registry_gives_its_marks_by_key_and_profile(stamped: Stamped) -> None:
    with open_installation(read_settings(stamped.home, {})) as installation:
        (known,) = known_payloads(installation)
        mark = installation.registry.get_mark_of(stamped.track_id)
        assert mark is not None
        assert known.payloads == (bytes.fromhex(mark.mark_id),)
        assert known.profile.name == mark.profile
        assert known.watermark_key == installation.keyring.watermark_key


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
