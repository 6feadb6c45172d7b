"""Marks on whole files: what the strength does, in the file and in what is said of it."""

from pathlib import Path

import numpy as np
import soundfile
from conftest import Shell, Stamped, make_music, write_audio

import watermark
from api.installation import open_installation
from api.marking import Strength
from api.settings import read_settings
from api.verification import verify
from ledger.keyfile import save_secret


def test_a_stronger_mark_changes_more_and_is_called_that(shell: Shell, tmp_path: Path) -> None:
    source = write_audio(tmp_path / "a.wav", make_music(2.0, seed=51, channels=1), subtype="PCM_24")
    save_secret(tmp_path / "k.key", b"k" * 32)
    host, _ = soundfile.read(source)
    changes, stated = [], []
    for strength in ("gentle", "default", "strong"):
        marked = tmp_path / f"{strength}.wav"
        command = ("mark", "embed", source, marked, "--key", tmp_path / "k.key", "--payload", "01" * 8)
        answer = shell.json(*command, "--strength", strength, "--over-mark", "--no-margin")
        stated.append(answer["strength_percent"])
        changes.append(float(np.abs(soundfile.read(marked)[0] - host).mean()))
    assert stated == [60, 100, 125]
    assert 1.2 * changes[0] < changes[1] < changes[2] / 1.1


def test_every_strength_is_one_that_was_measured() -> None:
    assert [strength.factor for strength in Strength] == [watermark.GENTLE, 1.0, watermark.STRONG]


def test_verification_with_torch_gives_the_same_mark(stamped: Stamped, tmp_path: Path) -> None:
    audio, rate = soundfile.read(stamped.audio, dtype="float32")
    soundfile.write(tmp_path / "clip.wav", audio[: 4 * rate], rate, subtype="FLOAT")
    found = []
    for environment in ({}, {"PROVENOTE_MARK_DEVICE": "cpu"}):
        with open_installation(read_settings(stamped.home, environment)) as installation:
            found.append(verify(installation, tmp_path / "clip.wav").predicate)
    assert found[0]["watermark"]["told_by"] == "code"
    assert found[0]["watermark"] == found[1]["watermark"]
    assert found[0]["verdict"] == found[1]["verdict"]
