"""Time-stamps over real HTTP: a local authority, a dead one, a lying one; nothing waits for any of them."""

import json
import logging
import time
from pathlib import Path

import pytest
from conftest import Shell, Stamped
from test_api_http import served
from tsa_server import Authority, make_authority, served_authority

from api.errors import LedgerFolderError
from api.installation import format_time, open_installation
from api.publishing import publish_once, stamp_once, web_post
from api.releasecheck import check_release
from api.releasepolicy import FORMAT, parse_policy
from api.settings import Settings, read_settings
from api.timestamping import read_authorities
from api.verification import verify
from ledger.attestation import RFC3161, Attestation
from ledger.note import parse_note
from ledger.timestamp import hash_text, load_roots, open_token

pytestmark = pytest.mark.tool("openssl")


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return make_authority(tmp_path_factory.mktemp("tsa"))


def settings_of(stamped: Stamped) -> Settings:
    return read_settings(stamped.home, {})


def configure(stamped: Stamped, authority: Authority, **urls: str) -> None:
    (stamped.home / "root.pem").write_bytes(authority.roots_pem)
    items = [{"name": name, "url": url, "roots": "root.pem"} for name, url in urls.items()]
    settings_of(stamped).timestamp_authorities.write_text(json.dumps(items))


def test_a_published_checkpoint_is_stamped_once_and_the_token_verifies(
    shell: Shell, stamped: Stamped, authority: Authority
) -> None:
    with served_authority(authority) as url:
        configure(stamped, authority, here=url)
        answer = shell.json("log", "publish", "--home", stamped.home)
        again = shell.json("log", "publish", "--home", stamped.home)
    assert [item["authority"] for item in answer["time_stamps"]] == ["here"]
    assert again["time_stamps"] == []
    imprint = hash_text(parse_note(answer["checkpoint"].encode())[0])
    with open_installation(settings_of(stamped)) as installation:
        (token,) = [
            item.content for item in installation.attestations.list_of(answer["size"]) if item.kind == RFC3161
        ]
    found = open_token(token, imprint, load_roots(authority.roots_pem))
    assert found.time.isoformat() == answer["time_stamps"][0]["time"]


def test_a_report_and_a_release_rest_on_time_stamps_that_verify_and_on_no_others(
    stamped: Stamped, authority: Authority
) -> None:
    rules = {"logged": {"time_stamped": True}}
    policy = parse_policy(json.dumps({"format": FORMAT, "name": "stamped", "rules": rules}).encode())

    def look() -> tuple[dict[str, str], bool]:
        with open_installation(settings_of(stamped)) as opened:
            report = verify(opened, stamped.audio).predicate
            checked = check_release(opened, stamped.audio, policy)
        (logged,) = [rule for rule in checked.document()["rules"] if rule["rule"] == "logged"]
        codes = {item["code"] for item in logged["findings"]}
        return report["time"], "not-time-stamped" not in codes

    with served_authority(authority) as url:
        configure(stamped, authority, here=url)
        assert look()[0]["stamped"] is None
        with open_installation(settings_of(stamped)) as opened, web_post() as post:
            # What the database has of a smaller log is noise: it hides no good time-stamp.
            size = opened.store.state().size
            opened.attestations.add([Attestation(size, RFC3161, "here", 0, b"noise")])
            (outcome,) = stamp_once(opened, publish_once(opened, post))
    assert outcome.timestamp is not None
    time_, passed = look()
    assert passed
    moment = format_time(outcome.timestamp.time.timestamp())
    assert time_["stamped"] == {"time": moment, "authority": "here", "log_size": size + 1}
    assert time_["rests_on"] == f"the issuer's clock; a time-stamp of here at {moment}"
    # Another authority in its place: the token leads to nobody who is believed.
    other = make_authority(stamped.home / "other")
    configure(stamped, other, here=url)
    time_, passed = look()
    assert (time_["stamped"], time_["rests_on"], passed) == (None, "the issuer's clock", False)


def test_dead_and_lying_authorities_are_said_and_delay_nothing(
    stamped: Stamped, authority: Authority, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    liar = make_authority(tmp_path / "liar")
    with served_authority(authority) as url, served_authority(liar) as lies:
        configure(stamped, authority, dead="http://127.0.0.1:9/", lying=lies, second=f"{url}/2", good=url)
        with (
            open_installation(settings_of(stamped)) as installation,
            web_post() as post,
            caplog.at_level(logging.CRITICAL),
        ):
            started = time.monotonic()
            outcomes = stamp_once(installation, publish_once(installation, post))
            assert time.monotonic() - started < 10
            kept = installation.attestations.list_of(3)
    assert [(item.authority, item.timestamp is not None) for item in outcomes] == [
        ("dead", False),
        ("lying", False),
        ("second", True),
        ("good", True),
    ]
    assert "trusted authority" in outcomes[1].detail
    assert {item.source for item in kept if item.kind == RFC3161} == {"second", "good"}


def test_the_service_stamps_at_intervals_and_appends_go_on_without(
    stamped: Stamped, authority: Authority
) -> None:
    with served_authority(authority) as url:
        configure(stamped, authority, here=url, dead="http://127.0.0.1:9/")
        with served(stamped.home, PROVENOTE_PUBLISH_S="1") as client:
            deadline = time.monotonic() + 30
            while True:
                with open_installation(settings_of(stamped)) as installation:
                    if installation.attestations.latest_time(RFC3161, "here") is not None:
                        break
                assert time.monotonic() < deadline
                time.sleep(0.1)
            assert client.get("/health").json()["status"] == "ok"
    with open_installation(settings_of(stamped)) as installation, web_post() as post:
        found = publish_once(installation, post)
        assert stamp_once(installation, found, interval_s=3600)[0].authority == "dead"
        assert installation.attestations.latest_time(RFC3161, "dead") is None


@pytest.mark.parametrize(
    "content",
    [
        "{}",
        "[",
        "[1]",
        '[{"name": "a", "url": "https://a"}]',
        '[{"name": "a", "url": "ftp://a", "roots": "root.pem"}]',
        '[{"name": "A b", "url": "https://a", "roots": "root.pem"}]',
        '[{"name": "a", "url": "https://a", "roots": "nowhere.pem"}]',
        '[{"name": "a", "url": "https://a", "roots": "provenote.json"}]',
        '[{"name": "a", "url": "https://a", "roots": "root.pem", "more": 1}]',
        json.dumps([{"name": "a", "url": "https://a", "roots": "root.pem"}] * 2),
    ],
)
def test_a_list_that_is_none_is_said_before_anything_else(
    stamped: Stamped, authority: Authority, content: str
) -> None:
    configure(stamped, authority)
    assert read_authorities(settings_of(stamped)) == ()
    settings_of(stamped).timestamp_authorities.write_text(content)
    with pytest.raises(LedgerFolderError):
        open_installation(settings_of(stamped))
