"""A bundle of a real track with everything around it: witnesses, anchored map, a time-stamp."""

import dataclasses
from pathlib import Path

import pytest
from conftest import Shell, Stamped
from test_api_publishing import settings_of, witnesses  # noqa: F401  # a fixture
from test_api_timestamping import configure
from tsa_server import make_authority, served_authority
from witness_server import WitnessState

import ledger
from api.installation import open_installation
from api.keyring import read_public_keys
from api.marktags import tag_subjects
from api.outcomes import BAD, USAGE
from ledger.errors import NotFoundError
from ledger.policy import parse_policy

pytestmark = pytest.mark.tool("openssl")


def test_a_bundle_carries_what_others_say_and_checks_by_what_the_reader_trusts(
    shell: Shell,
    stamped: Stamped,
    witnesses: dict[str, WitnessState],  # noqa: F811
    tmp_path: Path,
) -> None:
    vkey = read_public_keys(settings_of(stamped)).vkey
    early = shell.json("bundle", "check", stamped.audio.with_name("bundle.json"), "--vkey", vkey)
    assert (early["whole_as_of"], early["cosigned_by"], early["time_stamps"]) == (None, [], [])
    authority = make_authority(tmp_path / "tsa")
    with served_authority(authority) as url:
        configure(stamped, authority, here=url)
        shell.json("log", "publish", "--home", stamped.home)
    file, policy, roots = tmp_path / "bundle.json", settings_of(stamped).witness_policy, tmp_path / "root.pem"
    roots.write_bytes(authority.roots_pem)
    made = shell.json("bundle", "make", stamped.track_id, "-o", file, "--open", "--home", stamped.home)
    assert made["bytes"] == file.stat().st_size <= 32_768
    trusted = ("--vkey", vkey, "--policy", policy, "--roots", roots)
    answer = shell.json("bundle", "check", file, *trusted)
    assert (answer["status"], answer["owner"], answer["whole_as_of"]) == ("valid", "house", 2)
    assert (answer["witnessed"], len(answer["cosigned_by"])) == (True, 3)
    assert set(answer["openings"]) == {"mark_id"}
    assert [item["authority"] for item in answer["time_stamps"]] == ["here"]
    assert answer["time_stamps"][0]["time"] is not None
    assert [(item["party"], item["from_entry"], item["to_entry"]) for item in answer["keys"]] == [
        ("house", 0, None)
    ]
    text = shell("bundle", "check", file, *trusted)[1]
    assert "all its events among the first 2 entries are shown" in text
    assert "witnessed by one.example/w" in text
    unpinned = shell("bundle", "check", file)[1]
    assert "pass --policy" in unpinned
    assert "pass --roots" in unpinned
    assert "pass --vkey" in unpinned


def test_a_bundle_without_its_witnesses_does_not_hold_for_a_reader_who_asks_for_them(
    shell: Shell,
    stamped: Stamped,
    witnesses: dict[str, WitnessState],  # noqa: F811
    tmp_path: Path,
) -> None:
    for state in witnesses.values():
        state.logs = {}
    shell.json("log", "publish", "--home", stamped.home, code=BAD)
    file, policy = tmp_path / "bundle.json", settings_of(stamped).witness_policy
    shell.json("bundle", "make", stamped.track_id, "-o", file, "--home", stamped.home)
    answer = shell.json("bundle", "check", file, "--policy", policy, code=BAD)
    assert (answer["ok"], answer["code"]) == (False, "witness-missing")
    assert parse_policy(policy.read_bytes()).quorum == "most"
    assert ledger.check_bundle(file.read_bytes()).openings == {}
    assert shell("bundle", "make", "a" * 16, "-o", tmp_path / "none.json", "--home", stamped.home)[0] == USAGE


def test_the_log_answers_what_it_knows_of_a_file_and_that_it_knows_nothing_of_another(
    shell: Shell, stamped: Stamped, tmp_path: Path
) -> None:
    vkey, home, answer = read_public_keys(settings_of(stamped)).vkey, stamped.home, tmp_path / "answer.json"
    stranger = tmp_path / "stranger.wav"
    stranger.write_bytes(b"RIFF of somebody else")
    assert shell("log", "ask", "--file", stranger, "-o", answer, "--home", home)[0] == USAGE  # no anchor yet
    shell.json("log", "publish", "--home", home)
    assert shell.json("log", "ask", "--file", stranger, "-o", answer, "--home", home)["events"] == 0
    found = shell.json("log", "check-answer", answer, "--vkey", vkey, "--file", stranger)
    assert (found["events"], found["as_of"], found["vkey_pinned"]) == (0, 2, True)
    other = shell.json("log", "check-answer", answer, "--file", stamped.audio, code=BAD)
    assert other["code"] == "subject"
    answer = tmp_path / "of-ours.json"
    shell.json("log", "ask", "--file", stamped.audio, "-o", answer, "--home", home)
    text = shell("log", "check-answer", answer, "--file", stamped.audio)[1]
    assert "events: 1" in text
    assert "pass --vkey" in text
    assert "pass --policy" in text
    known = shell.json(
        "log", "ask", "--asset", f"track:{stamped.track_id}", "-o", tmp_path / "3.json", "--home", home
    )
    assert (known["events"], known["last_leaf_hash"] is None) == (1, False)
    assert shell("log", "ask", "-o", answer, "--home", home)[0] == USAGE


def test_the_log_answers_whether_a_mark_is_in_it_also_after_another_mark_key(
    shell: Shell, stamped: Stamped, tmp_path: Path
) -> None:
    home, settings = ("--home", stamped.home), settings_of(stamped)
    with open_installation(settings) as installation:
        mark = installation.registry.get_mark_of(stamped.track_id)
    assert mark is not None
    first = shell.json("keys", "list", *home)["mark_tags"]
    shell.json("log", "publish", *home)
    for mark_id, events in ((mark.mark_id, 1), ("00" * 8, 0)):
        answer = tmp_path / f"{mark_id}.json"
        asked = shell.json("log", "ask", "--mark", mark_id, "-o", answer, *home)
        assert (asked["subject"], asked["events"], asked["since"]) == (mark_id, events, 0)
        found = shell.json("log", "check-answer", answer, "--mark", mark_id)
        assert found["events"] == events
        assert shell.json("log", "check-answer", answer, "--mark", "11" * 8, code=BAD)["code"] == "subject"
    shell.json("keys", "rotate", "issuer", "--new-mark-key", *home)
    shell.json("log", "publish", *home)
    assert len(shell.json("keys", "list", *home)["mark_tags"]) == len(first) + 1 == 2
    again = shell.json("log", "ask", "--mark", mark.mark_id, "-o", tmp_path / "again.json", *home)
    assert again["events"] == 1
    assert shell("log", "ask", "--mark", "xy", "-o", tmp_path / "x.json", *home)[0] == USAGE
    assert shell("keys", "rotate", "watermark", "--new-mark-key", *home)[0] == USAGE
    (settings.keys / "mark-tag-0001.key").unlink()
    assert shell("log", "ask", "--mark", "00" * 8, "-o", tmp_path / "y.json", *home)[0] == USAGE
    assert "is not here" in shell.errors


def test_an_older_ledger_stamps_without_tags_until_it_is_given_a_mark_key(
    stamped: Stamped, monkeypatch: pytest.MonkeyPatch
) -> None:
    with open_installation(settings_of(stamped)) as installation:
        with monkeypatch.context() as patch:
            patch.setattr("api.marktags.find_logged_keys", lambda _: [])
            assert tag_subjects(installation, b"12345678") == ()
        (tag,) = tag_subjects(installation, b"12345678")
        without = dataclasses.replace(
            installation, keyring=dataclasses.replace(installation.keyring, mark_keys=())
        )
        with pytest.raises(NotFoundError, match="secret of the log's mark key"):
            tag_subjects(without, b"12345678")
    assert (tag.name, len(tag.sha256)) == ("mark", 32)
