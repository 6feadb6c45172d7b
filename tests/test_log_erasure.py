"""Forgetting what the registry holds of a track, and rotating the issuer's key."""

from pathlib import Path

import pytest
from conftest import Audio, Shell, Stamped, make_music, write_audio

import ledger
from api import rotation
from api.errors import LedgerFolderError
from api.installation import open_installation
from api.outcomes import BAD
from api.recording import record_event
from api.rotation import add_issuer
from api.settings import read_settings
from ledger.errors import CustodyError
from ledger.event import KEYS_ASSET, parse_event
from ledger.predicate import ERASED, KEY_ROTATED

TITLE, ARTIST = "Walzer für Erika Mustermann", "Erika Mustermann"


def test_title_and_artist_are_forgotten_and_the_record_still_holds(
    shell: Shell, stamped: Stamped, tmp_path: Path
) -> None:
    audio: Audio = make_music(20.0, seed=5)
    source = write_audio(tmp_path / "waltz.flac", audio, subtype="PCM_24")
    home = ("--home", stamped.home)
    made = shell.json("stamp", source, "--title", TITLE, "--artist", ARTIST, "--no-margin", *home)
    track = made["track_id"]
    found = shell.json("custody", "erase-track", track, "--ground", "gdpr-17", *home)
    assert (found["values"], len(found["entries"])) == (3, 1)
    again = shell.json("custody", "erase-track", track, "--ground", "gdpr-17", *home)
    assert again == {"values": 0, "entries": []}
    for path in stamped.home.rglob("*"):
        if path.is_file() and path.suffix in (".db", ".db-wal", ".json"):
            content = path.read_bytes()
            assert ARTIST.encode() not in content, path
            assert TITLE.encode() not in content, path
    with open_installation(read_settings(stamped.home, {})) as installation:
        last = parse_event(installation.store.chain(f"track:{track}")[-1][1]).statement
        assert last.predicate_type == ERASED
        assert sorted(item["label"] for item in last.predicate["erased"]) == ["artist", "title"]
        audio_path = (
            installation.settings.tracks / track / installation.registry.get_released(track).audio_name
        )
    assert shell.json("verify", audio_path, *home)["verdict"] == "exact"
    assert shell.json("custody", "show", track, *home)["ok"]
    assert shell.json("log", "fsck", *home)["ok"]
    bundle = stamped.home / "tracks" / track / "bundle.json"
    checked = shell.json("bundle", "check", bundle)
    assert set(checked["openings"]) == {"mark_id"}


def last_key_event(installation):  # type: ignore[no-untyped-def]
    return parse_event(installation.store.chain(KEYS_ASSET)[-1][1])


def test_a_rotated_issuer_hands_over_and_retires(shell: Shell, stamped: Stamped) -> None:
    settings = read_settings(stamped.home, {})
    with open_installation(settings) as installation:
        old = installation.keyring.issuer_signing_key
        key_id, _ = add_issuer(installation)
        event = last_key_event(installation)
        assert event.statement.predicate_type == KEY_ROTATED
        assert event.statement.predicate["replaces"] == old.key_id
        with pytest.raises(CustodyError, match="key-retired"):
            record_event(installation, stamped.track_id, "published", {"channel": "radio"})
    with open_installation(settings) as installation:
        assert installation.keyring.issuer_signing_key.key_id == key_id
        record_event(installation, stamped.track_id, "published", {"channel": "radio"})
    assert shell.json("verify", stamped.audio, "--home", stamped.home)["verdict"] == "exact"
    assert shell.json("log", "fsck", "--home", stamped.home)["ok"]
    assert shell.json("custody", "show", stamped.track_id, "--home", stamped.home)["ok"]


@pytest.mark.parametrize("step", ["append", "write_public_keys", "link"])
def test_a_rotation_that_stopped_anywhere_is_gone_on_with(
    stamped: Stamped, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    settings = read_settings(stamped.home, {})

    def fail(*_: object, **__: object) -> None:
        raise LedgerFolderError("stopped")

    with open_installation(settings) as installation, monkeypatch.context() as patch:
        if step == "append":
            patch.setattr(installation.store, "append", fail)
        elif step == "link":
            patch.setattr(rotation.os, "link", fail)
        else:
            patch.setattr(rotation, step, fail)
        with pytest.raises(LedgerFolderError, match="stopped"):
            add_issuer(installation)
    with open_installation(settings) as installation:
        size = installation.store.state().size
        key_id, path = add_issuer(installation)
        assert installation.store.state().size == size + (step == "append")
    with open_installation(settings) as installation:
        assert installation.keyring.issuer_signing_key.key_id == key_id
        assert [key.key_id for key in installation.public.issuers][-1] == key_id
        record_event(installation, stamped.track_id, "published", {"channel": "radio"})
        assert ledger.fsck(
            installation.store, vkey=installation.public.vkey, public_keys=installation.public.issuers
        ).ok
    assert path.name == "issuer-0002.pem"
    assert sorted(item.name for item in path.parent.glob("issuer-*")) == [
        "issuer-0001.pem",
        "issuer-0002.pem",
    ]


def test_an_answer_is_not_written_over_a_file_that_is_there(
    shell: Shell, stamped: Stamped, tmp_path: Path
) -> None:
    answer = tmp_path / "answer.json"
    answer.write_bytes(b"mine")
    shell.json("log", "publish", "--home", stamped.home)
    asked = ("log", "ask", "-o", answer, "--asset", "track:none", "--home", stamped.home)
    code, _ = shell(*asked)
    assert code not in (0, BAD)
    assert "exists already" in shell.errors
    assert "space" not in shell.errors
    assert answer.read_bytes() == b"mine"
