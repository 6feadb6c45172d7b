"""Verification tells a mark that is too weak to be decoded among those that were registered."""

from pathlib import Path

import numpy as np
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


def test_a_clip_too_noisy_to_decode_is_told_among_the_registered(stamped: Stamped, tmp_path: Path) -> None:
    audio, rate = soundfile.read(stamped.audio, dtype="float64")
    clip = audio[2 * rate : 10 * rate]
    noise = clip.std() * np.random.default_rng(5).standard_normal(clip.shape)
    told = {}
    with open_installation(read_settings(stamped.home, {})) as installation:
        # The key is new in each run, and so is the noise that it stands: more and more, until it is too much.
        for percent in (3, 7, 9, 11, 14, 200):
            soundfile.write(tmp_path / "clip.wav", clip + percent / 100 * noise, rate, subtype="FLOAT")
            found = verify(installation, tmp_path / "clip.wav").predicate
            told[percent] = found["watermark"].get("told_by")
            if told[percent]:
                assert found["track"]["track_id"] == stamped.track_id
    assert told[3] == "code"
    assert "registry" in told.values()
    assert told[200] is None
