"""Settings come from a folder and the environment, and from nowhere else."""

from pathlib import Path

import pytest

from api import markdevice
from api.errors import SettingsError
from api.markdevice import preparation_on
from api.settings import read_settings
from watermark.segment import prepare


def test_the_home_folder_is_the_argument_then_the_environment_then_the_default() -> None:
    environment = {"PROVENOTE_HOME": "/there"}
    assert read_settings(Path("/here"), environment).home == Path("/here")
    assert read_settings(None, environment).home == Path("/there")
    assert read_settings(None, {}).home == Path.cwd() / "provenote-ledger"


def test_keys_can_be_kept_apart() -> None:
    assert read_settings(Path("/here"), {}).keys == Path("/here/keys")
    assert read_settings(Path("/here"), {"PROVENOTE_KEYS": "/vault"}).keys == Path("/vault")


def test_limits_come_from_the_environment() -> None:
    settings = read_settings(Path("/here"), {"PROVENOTE_MAX_UPLOAD_MB": "3", "PROVENOTE_MAX_SECONDS": "60"})
    assert (settings.limits.max_bytes, settings.limits.max_seconds) == (3 << 20, 60)


@pytest.mark.parametrize("text", ["0", "-1", "1.5", "many", "²", "1000001"])
def test_a_number_out_of_range_names_its_variable(text: str) -> None:
    with pytest.raises(SettingsError, match="PROVENOTE_VERIFICATIONS"):
        read_settings(Path("/here"), {"PROVENOTE_VERIFICATIONS": text})


def test_the_kind_of_index_is_rich_or_lean() -> None:
    assert read_settings(environment={}).index == "rich"
    assert read_settings(environment={"PROVENOTE_INDEX": "lean"}).index == "lean"
    with pytest.raises(SettingsError, match="PROVENOTE_INDEX: expected rich or lean"):
        read_settings(environment={"PROVENOTE_INDEX": "fat"})


def test_a_device_for_marks_is_opened_or_named_in_an_error() -> None:
    assert preparation_on(read_settings(environment={}).mark_device) is prepare
    settings = read_settings(environment={"PROVENOTE_MARK_DEVICE": "abacus"})
    with pytest.raises(SettingsError, match=r"PROVENOTE_MARK_DEVICE: .*abacus"):
        preparation_on(settings.mark_device)


def test_without_torch_a_device_for_marks_says_what_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(markdevice, "TORCH", "watermark.not_there")
    with pytest.raises(SettingsError, match="needs torch: pip install"):
        preparation_on("cuda:1")


def test_a_short_token_is_refused_and_none_is_shown() -> None:
    with pytest.raises(SettingsError, match="at least 32 characters, got 5"):
        read_settings(Path("/here"), {"PROVENOTE_API_TOKEN": "short"})
    secret = "s" * 40
    assert secret not in repr(read_settings(Path("/here"), {"PROVENOTE_API_TOKEN": secret}))
