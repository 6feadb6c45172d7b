"""Publishing to witnesses over real HTTP: by command, and by the service itself."""

import json
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import httpx
import pytest
from conftest import Shell, Stamped
from ledger_world import ACTOR_KEY, OTHER_KEY, sha
from test_api_http import served
from witness_server import WitnessState, served_witness

import ledger
from api.errors import LedgerFolderError
from api.installation import open_installation
from api.keyring import read_public_keys
from api.outcomes import BAD, GOOD
from api.publishing import publish_once, web_post
from api.settings import Settings, read_settings
from ledger.anchor import read_anchor
from ledger.answer import check_answer
from ledger.cosignature import open_cosigned
from ledger.errors import SourceUnreachableError
from ledger.mldsa import MldsaSigningKey
from ledger.note import parse_vkey
from ledger.policy import Policy, open_witnessed, parse_policy
from ledger.tilefolder import folder_fetch
from ledger.tilereader import check_tiles, open_tile_log

KEYS = {"one": ACTOR_KEY, "two": OTHER_KEY, "three": MldsaSigningKey(sha("three"))}


@pytest.fixture
def witnesses(stamped: Stamped) -> Iterator[dict[str, WitnessState]]:
    """Three running witnesses of the stamped ledger, and the policy that names them (two of three)."""
    public = read_public_keys(read_settings(stamped.home, {}))
    trusted = {public.origin: parse_vkey(public.vkey)}
    states = {name: WitnessState(f"{name}.example/w", key, trusted) for name, key in KEYS.items()}
    with ExitStack() as stack:
        lines = [f"log {public.vkey}"]
        for name, state in states.items():
            url = stack.enter_context(served_witness(state))
            lines.append(f"witness {name} {state.vkey} {url}")
        lines += ["group most 2 one two three", "quorum most", ""]
        settings_of(stamped).witness_policy.write_text("\n".join(lines))
        yield states


def settings_of(stamped: Stamped) -> Settings:
    return read_settings(stamped.home, {})


def test_the_published_checkpoint_satisfies_the_policy_for_a_stranger(
    shell: Shell,
    stamped: Stamped,
    witnesses: dict[str, WitnessState],
    tmp_path: Path,
) -> None:
    answer = shell.json("log", "publish", "--home", stamped.home)
    assert (answer["size"], answer["witnessed"]) == (3, True)  # key, track, anchor
    assert answer["cosigned_by"] == [state.name for state in witnesses.values()]
    policy = parse_policy(settings_of(stamped).witness_policy.read_bytes())
    note = answer["checkpoint"].encode()
    assert len(open_witnessed(note, policy).cosignatures) == 3
    public = read_public_keys(settings_of(stamped))
    assert public.mldsa_vkey is not None
    assert open_cosigned(note, public.origin, public.mldsa_vkey).checkpoint.size == 3
    again = shell.json("log", "publish", "--home", stamped.home)
    assert (again["submissions"], again["checkpoint"]) == ([], answer["checkpoint"])
    shell.json("log", "export-tiles", tmp_path / "public", "--home", stamped.home)
    log = open_tile_log(folder_fetch(tmp_path / "public"), public.origin, public.vkey)
    check_tiles(log)
    assert log.note == note
    assert "witnessed" in shell("log", "publish", "--home", stamped.home)[1]


def test_a_missing_quorum_and_an_alarm_end_with_exit_code_1(
    shell: Shell,
    stamped: Stamped,
    witnesses: dict[str, WitnessState],
) -> None:
    origin = read_public_keys(settings_of(stamped)).origin
    witnesses["one"].logs = {}
    witnesses["two"].seen[origin] = (9, sha("longer"))
    answer = shell.json("log", "publish", "--home", stamped.home, code=BAD)
    assert answer["witnessed"] is False
    assert [item["outcome"] for item in answer["submissions"]] == ["refused", "ahead", "cosigned"]
    code, text = shell("log", "publish", "--home", stamped.home)
    assert code == BAD
    assert "unwitnessed" in text
    assert "one: refused (answered 404: unknown origin)" in text


def test_without_witnesses_publishing_succeeds_and_says_so(shell: Shell, stamped: Stamped) -> None:
    answer = shell.json("log", "publish", "--home", stamped.home, code=GOOD)
    assert (answer["witnessed"], answer["cosigned_by"], answer["submissions"]) == (False, [], [])
    assert answer["checkpoint"].count("— ") == 2  # the log's two keys


def wait_until(happened: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 30
    while not happened():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_the_service_publishes_by_itself_and_serves_the_witnessed_checkpoint(
    stamped: Stamped, witnesses: dict[str, WitnessState]
) -> None:
    public = read_public_keys(settings_of(stamped))
    policy = parse_policy(settings_of(stamped).witness_policy.read_bytes())
    issuer = ledger.SigningKey.generate()
    with served(stamped.home, PROVENOTE_PUBLISH_S="1") as client:
        wait_until(lambda: client.get("/health").json()["witnessed"])
        assert client.get("/health").json()["published_size"] == 3
        cosigned = open_witnessed(client.get("/log/checkpoint").content, policy)
        assert cosigned.checkpoint.size == 3
        with open_installation(settings_of(stamped)) as installation:
            present = installation.keyring.issuer_signing_key

            def build(place: ledger.Place) -> bytes:
                return ledger.sign_envelope(
                    ledger.build_key_added(place, issuer.public_key), [present, issuer]
                )

            draft = ledger.Draft(ledger.KEYS_ASSET, build)
            installation.store.append([draft], log_signing_key=installation.keyring.log_signing_key)
        wait_until(lambda: client.get("/health").json()["published_size"] == 5)  # and its anchor
        wait_until(lambda: client.get("/health").json()["witnessed"])
        assert open_witnessed(client.get("/log/checkpoint").content, policy).checkpoint.size == 5
        assert all(state.seen[public.origin][0] == 5 for state in witnesses.values())
        assert client.get("/v1/keys").json()["log_mldsa_vkey"] == public.mldsa_vkey
        check_answers_over_http(client, stamped, policy)
        assert client.get("/health").json()["alarms"] == []


def check_answers_over_http(client: httpx.Client, stamped: Stamped, policy: Policy) -> None:
    vkey, digest = read_public_keys(settings_of(stamped)).vkey, sha("nobody's file").hex()
    absent = client.get("/v1/log/answers", params={"sha256": digest}).raise_for_status().content
    assert check_answer(absent, vkey=vkey, policy=policy).events == 0
    known = client.get("/v1/log/answers", params={"asset": f"track:{stamped.track_id}"}).content
    assert check_answer(known, vkey=vkey).events == 1
    assert client.get("/v1/log/answers").status_code == 422
    assert client.get("/v1/log/answers", params={"asset": "a", "sha256": digest}).status_code == 422
    with open_installation(settings_of(stamped)) as installation:
        mark = installation.registry.get_mark_of(stamped.track_id)
    assert mark is not None
    key = {"authorization": f"Bearer {stamped.token}"}
    assert client.post("/v1/log/mark-answers", json={"mark_id": mark.mark_id}).status_code == 401
    for mark_id, events in ((mark.mark_id, 1), ("0" * 16, 0)):
        answer = client.post("/v1/log/mark-answers", json={"mark_id": mark_id}, headers=key)
        assert check_answer(answer.raise_for_status().content, vkey=vkey).events == events
    assert client.post("/v1/log/mark-answers", json={"mark_id": "x"}, headers=key).status_code == 422


def test_an_alarm_is_shown_by_the_service(stamped: Stamped, witnesses: dict[str, WitnessState]) -> None:
    origin = read_public_keys(settings_of(stamped)).origin
    witnesses["two"].seen[origin] = (2, sha("another history"))
    with served(stamped.home, PROVENOTE_PUBLISH_S="1") as client:
        wait_until(lambda: client.get("/health").json()["witnessed"])
        assert client.get("/health").json()["alarms"] == ["two"]


def test_a_dead_witness_delays_nothing(stamped: Stamped, witnesses: dict[str, WitnessState]) -> None:
    policy = settings_of(stamped).witness_policy
    policy.write_text(policy.read_text().replace("http://127.0.0.1", "http://127.0.0.1:9/", 1))
    with open_installation(settings_of(stamped)) as installation, web_post() as post:
        started = time.monotonic()
        found = publish_once(installation, post)
        assert time.monotonic() - started < 5
        assert found.witnessed
        assert [item.outcome.value for item in found.submissions] == ["unreachable", "cosigned", "cosigned"]


def test_publishing_anchors_the_map_of_heads_once(stamped: Stamped) -> None:
    with open_installation(settings_of(stamped)) as installation, web_post() as post:
        store = installation.store
        for _ in range(2):
            assert publish_once(installation, post).checkpoint.size == 3
        key = installation.public.issuers[0]
        event = ledger.open_event(store.entry(2), {key.key_id: key})
        assert read_anchor(event, 2) == installation.heads.measure(2)
        assert ledger.fsck(store, vkey=installation.public.vkey).ok


def test_a_policy_that_cannot_be_read_is_said_before_anything_else(stamped: Stamped) -> None:
    settings_of(stamped).witness_policy.write_text("quorum nobody\n")
    with pytest.raises(LedgerFolderError, match="line 1"):
        open_installation(settings_of(stamped))
    settings_of(stamped).witness_policy.unlink()
    settings_of(stamped).witness_policy.mkdir()
    with pytest.raises(LedgerFolderError, match="cannot be read"):
        open_installation(settings_of(stamped))


def test_a_ledger_made_before_the_second_key_works_without_it(stamped: Stamped) -> None:
    settings = settings_of(stamped)
    (settings.keys / "log-mldsa44.key").unlink()
    document = json.loads(settings.public_keys.read_text())
    del document["log_mldsa_vkey"]
    settings.public_keys.write_text(json.dumps(document))
    with open_installation(settings) as installation, web_post() as post:
        assert installation.public.mldsa_vkey is None
        assert publish_once(installation, post).note == installation.store.latest_checkpoint()


def test_answers_without_end_or_sense_are_bounded() -> None:
    def answer(request: httpx.Request) -> httpx.Response:
        if request.url.path == "/long":
            return httpx.Response(200, content=bytes(1_000_001))
        raise httpx.ReadTimeout("", request=request)

    with web_post(transport=httpx.MockTransport(answer)) as post:
        for url in ("http://w.example/long", "http://w.example/slow", "no url"):
            with pytest.raises(SourceUnreachableError):
                post(url, b"")
