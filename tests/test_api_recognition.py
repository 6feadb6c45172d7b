"""Which profiles are searched for: those that can be there, and no others."""

from pathlib import Path

import pysqlite3.dbapi2 as sqlite
from conftest import SAMPLE_RATE, Shell, Stamped, make_music, write_audio

import watermark
from api.epochs import Epoch, list_epochs, merge_epochs
from api.installation import open_installation
from api.outcomes import ENVIRONMENT
from api.recognition import detection_profiles
from api.rotation import rotate_watermark_key
from api.settings import read_settings

PRESENT = (watermark.PROFILE.name,)
ALL = tuple(profile.name for profile in watermark.PROFILES)


def list_names(home: Path) -> tuple[str, ...]:
    with open_installation(read_settings(home, {})) as installation:
        return tuple(profile.name for profile in detection_profiles(installation))


def name_profile(home: Path, name: str) -> None:
    """Say in the registry that every mark has a profile of this name."""
    with sqlite.connect(home / "ledger.db") as connection:
        connection.execute("UPDATE mark SET profile = ?", (name,))
    connection.close()


def test_only_the_profiles_that_were_ever_stamped_with_are_searched_for(stamped: Stamped) -> None:
    assert list_names(stamped.home) == PRESENT
    name_profile(stamped.home, "pn1")
    assert list_names(stamped.home) == ("pn3", "pn1")


def test_own_epochs_add_no_profile_and_a_key_from_elsewhere_adds_all(stamped: Stamped) -> None:
    settings = read_settings(stamped.home, {})
    for independent in (False, True):
        rotate_watermark_key(settings, independent=independent)
    assert list_names(stamped.home) == PRESENT
    merge_epochs(settings.keys, [Epoch(1, b"f" * 32)])
    assert list_names(stamped.home) == ALL


def test_own_keys_that_were_restored_add_no_profile(stamped: Stamped) -> None:
    settings = read_settings(stamped.home, {})
    (kept,) = list_epochs(settings.keys)
    (settings.keys / "watermark-0001.key").unlink()
    rotate_watermark_key(settings)
    merge_epochs(settings.keys, [kept])
    assert list_names(stamped.home) == PRESENT


def test_a_profile_that_this_version_does_not_know_is_an_error_and_not_a_missing_mark(
    shell: Shell, stamped: Stamped, tmp_path: Path
) -> None:
    name_profile(stamped.home, "pn9")
    song = write_audio(tmp_path / "a.wav", make_music(1.0, seed=3))
    for command in ("stamp", "verify"):
        problem = shell.json(command, song, "--home", stamped.home, code=ENVIRONMENT)
        assert "profile 'pn9'" in problem["detail"]


def test_a_mark_of_an_older_profile_is_read_where_the_registry_has_some(
    shell: Shell, stamped: Stamped, tmp_path: Path
) -> None:
    (epoch,) = list_epochs(stamped.home / "keys")
    marked = watermark.embed(
        make_music(6.0, seed=4, channels=1),
        sample_rate=SAMPLE_RATE,
        watermark_key=epoch.watermark_key,
        payload=b"\x05" * 8,
        profile=next(profile for profile in watermark.PROFILES if profile.name == "pn1"),
    )
    song = write_audio(tmp_path / "a.flac", marked, subtype="PCM_24")
    for name, verdict in (("pn3", "nothing-found"), ("pn1", "unknown-mark")):
        name_profile(stamped.home, name)
        assert shell.json("verify", song, "--home", stamped.home, code=1)["verdict"] == verdict
