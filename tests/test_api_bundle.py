"""A bundle of a real track with everything around it: witnesses, anchored map, a time-stamp."""

from pathlib import Path

import pytest
from conftest import Shell, Stamped
from test_api_publishing import settings_of, witnesses  # noqa: F401  # a fixture
from test_api_timestamping import configure
from tsa_server import make_authority, served_authority
from witness_server import WitnessState

import ledger
from api.keyring import read_public_keys
from api.outcomes import BAD, USAGE
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
