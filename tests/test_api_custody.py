"""Custody after the release: events by several parties, revoked keys, erasure; by command and over HTTP."""

import hashlib
import json
from pathlib import Path

import pytest
from conftest import Shell, Stamped
from ledger_world import sha
from test_api_http import authorised, check_problem, served

import ledger
from api import verdict as v
from api.custody import check_custody
from api.errors import MissingError, RefusedError
from api.installation import Installation, open_installation
from api.outcomes import BAD, GOOD, USAGE
from api.recording import add_actor, erase_person, record_event, revoke_key
from api.settings import read_settings
from api.verification import verify
from ledger import SigningKey
from ledger.errors import CustodyError, NotFoundError
from ledger.event import asset_subject
from ledger.keyfile import save_signing_key
from ledger.predicate import NOTICE, PUBLISHED

PLATFORM_KEY = SigningKey(sha("platform"))
BUYER_KEY = SigningKey(sha("buyer"))
TERMS = {"class": "sync", "terms_sha256": sha("terms").hex()}


@pytest.fixture
def installation(stamped: Stamped):
    with open_installation(read_settings(stamped.home, {})) as opened:
        add_actor(opened, PLATFORM_KEY, ["platform"], "platform.example")
        add_actor(opened, BUYER_KEY, ["owner"], "buyer.example")
        yield opened


def history(installation: Installation, stamped: Stamped):  # type: ignore[no-untyped-def]
    return check_custody(installation.store, installation.public, f"track:{stamped.track_id}").evidence


def test_a_track_s_later_life_is_recorded_and_checks(installation: Installation, stamped: Stamped) -> None:
    track = stamped.track_id
    record_event(installation, track, "published", {"channel": "radio"})
    record_event(installation, track, "licensed", {"licence": TERMS})
    notice = record_event(installation, track, "notice", {"claim": "copyright"}, signing_keys=[PLATFORM_KEY])
    found = history(installation, stamped)
    assert (found.fault, found.status, len(found.events)) == (None, "contested", 4)
    assert found.events[-1].index == notice.index
    record_event(installation, track, "counter-notice", {"notice": 3})
    ruling = {"notice": 3, "outcome": "upheld"}
    record_event(installation, track, "decision", ruling, signing_keys=[PLATFORM_KEY])
    assert history(installation, stamped).status == "taken-down"
    with pytest.raises(CustodyError, match="taken-down"):
        record_event(installation, track, "licensed", {"licence": TERMS})
    owners = [installation.keyring.issuer_signing_key, BUYER_KEY]
    record_event(installation, track, "transferred", {"to": "buyer.example"}, signing_keys=owners)
    with pytest.raises(CustodyError, match="not-owner"):
        record_event(installation, track, "revoked", {"reason": "mine"})
    assert history(installation, stamped).fault is None


def test_verification_says_what_the_history_says_against_a_track(
    installation: Installation, stamped: Stamped
) -> None:
    track = stamped.track_id
    record_event(installation, track, "notice", {"claim": "copyright"}, signing_keys=[PLATFORM_KEY])
    found = verify(installation, stamped.audio)
    assert (found.verdict.code, "contested" in found.verdict.reasons) == (v.EXACT, True)
    ruling = {"notice": 1, "outcome": "upheld"}
    record_event(installation, track, "decision", ruling, signing_keys=[PLATFORM_KEY])
    assert "taken-down" in verify(installation, stamped.audio).verdict.reasons
    record_event(installation, track, "revoked", {"reason": "stamped-in-error"})
    found = verify(installation, stamped.audio)
    assert (found.verdict.code, found.verdict.good) == (v.REVOKED, False)
    assert found.predicate["ledger"]["status"] == "revoked"


def test_a_revoked_key_s_earlier_entries_are_disputed_and_later_ones_refused(
    installation: Installation, stamped: Stamped
) -> None:
    issuer = SigningKey(sha("second issuer"))
    add_actor(installation, issuer, ["issuer", "owner"], "house")
    first = record_event(installation, stamped.track_id, "published", {"channel": "a"}, signing_keys=[issuer])
    second = record_event(
        installation, stamped.track_id, "published", {"channel": "b"}, signing_keys=[issuer]
    )
    revoke_key(installation, issuer.key_id, "compromised", disputed_from=second.index)
    found = history(installation, stamped)
    assert found.fault is None
    assert [item.index for item in found.events if item.disputed] == [second.index]
    assert first.index < second.index
    assert "signature-disputed" in verify(installation, stamped.audio).verdict.reasons
    with pytest.raises(CustodyError, match="key-retired"):
        record_event(installation, stamped.track_id, "published", {"channel": "c"}, signing_keys=[issuer])
    with pytest.raises(MissingError):
        revoke_key(installation, "unknown", "lost")


def test_a_notice_may_name_a_file_without_making_it_the_track_s(
    installation: Installation, stamped: Stamped, tmp_path: Path
) -> None:
    """A platform's notice about some other file must not turn that file into a registered one."""
    other = stamped.source.read_bytes() + b"x"
    path = tmp_path / "other.flac"
    path.write_bytes(other)
    asset = f"track:{stamped.track_id}"
    facts = {"time": "2026-11-22T17:31:32Z", "claim": "copyright"}
    subject = ledger.Subject("file", hashlib.sha256(other).digest())

    def build(place: ledger.Place) -> bytes:
        return ledger.sign_envelope(ledger.build_event(NOTICE, place, [subject], facts), [PLATFORM_KEY])

    installation.store.append(
        [ledger.Draft(asset, build)], log_signing_key=installation.keyring.log_signing_key
    )
    assert verify(installation, path).predicate["content"]["matched"] != "file"


def test_erasing_a_person_is_logged_and_leaves_every_proof(
    installation: Installation, stamped: Stamped
) -> None:
    track = stamped.track_id
    jane, john = installation.vault.add_person(), installation.vault.add_person()
    for person, name in ((jane, "Jane Doe"), (john, "John Roe")):
        record_event(installation, track, "delivered", {}, personal={"recipient": name}, person=person)
    asset = f"track:{track}"
    before = ledger.make_bundle(installation.store, asset, openings=installation.vault.open_asset(asset))
    opened = ledger.check_bundle(before, vkey=installation.public.vkey).openings
    assert set(opened.values()) == {"Jane Doe", "John Roe"}
    erasure = erase_person(installation, jane, "gdpr-17")
    assert (erasure.values, len(erasure.receipts)) == (1, 1)
    report = ledger.check_bundle(
        ledger.make_bundle(installation.store, asset, openings=installation.vault.open_asset(asset)),
        vkey=installation.public.vkey,
    )
    assert list(report.openings.values()) == ["John Roe"]
    assert report.state is not None
    assert report.state.erased == {(1, "recipient")}
    assert history(installation, stamped).fault is None
    assert ledger.fsck(installation.store, vkey=installation.public.vkey).ok
    with pytest.raises(MissingError):
        erase_person(installation, jane, "gdpr-17")
    with pytest.raises(NotFoundError):
        record_event(installation, track, "delivered", {}, personal={"recipient": "x"}, person=jane)


def test_an_erasure_that_was_cut_short_is_finished_by_calling_it_again(
    installation: Installation, stamped: Stamped, monkeypatch: pytest.MonkeyPatch
) -> None:
    jane = installation.vault.add_person()
    record_event(installation, stamped.track_id, "delivered", {}, personal={"recipient": "Jane"}, person=jane)
    with monkeypatch.context() as patch:

        def fail(*_: object, **__: object) -> None:
            raise ledger.errors.BusyError("another writer")

        patch.setattr(installation.store, "append", fail)
        with pytest.raises(ledger.errors.BusyError):
            erase_person(installation, jane, "gdpr-17")
    assert installation.vault.open_asset(f"track:{stamped.track_id}") == ()
    assert len(erase_person(installation, jane, "gdpr-17").receipts) == 1
    assert installation.vault.list_of_person(jane) == ()


def test_an_event_that_is_refused_leaves_no_sealed_value(
    installation: Installation, stamped: Stamped
) -> None:
    jane = installation.vault.add_person()
    for facts, error in (({"channel": 5}, ledger.LedgerError), ({"more": "x"}, ledger.LedgerError)):
        with pytest.raises(error):
            record_event(
                installation, stamped.track_id, "published", facts, personal={"a": "Jane"}, person=jane
            )
    assert installation.vault.list_of_person(jane) == ()
    with pytest.raises(RefusedError, match="need a person"):
        record_event(installation, stamped.track_id, "delivered", {}, personal={"recipient": "Jane"})
    with pytest.raises(RefusedError, match="expected an event"):
        record_event(installation, stamped.track_id, "key-revoked", {})
    with pytest.raises(MissingError):
        record_event(installation, "a" * 16, "published", {"channel": "radio"})


def test_the_commands_do_the_same(shell: Shell, stamped: Stamped, tmp_path: Path) -> None:
    home, track = ("--home", stamped.home), stamped.track_id
    key = tmp_path / "platform.pem"
    save_signing_key(key, PLATFORM_KEY)
    shell.json("custody", "add-key", key, "--role", "platform", "--party", "platform.example", *home)
    shell.json("custody", "record", track, "published", "--set", "channel=radio", *home)
    shell.json("custody", "record", track, "notice", "--set", "claim=copyright", "--key", key, *home)
    shell.json(
        "custody",
        "record",
        track,
        "decision",
        "--set",
        "notice=2",
        "--set",
        "outcome=denied",
        "--key",
        key,
        *home,
    )
    person = shell.json("custody", "add-person", *home)["person"]
    shell.json(
        "custody", "record", track, "delivered", "--personal", "recipient=Jane", "--person", person, *home
    )
    assert shell.json("custody", "erase", person, "--ground", "gdpr-17", *home)["values"] == 1
    shell.json("custody", "revoke-key", PLATFORM_KEY.key_id, "--reason", "contract-ended", *home)
    answer = shell.json("custody", "show", track, *home)
    assert (answer["ok"], answer["status"]) == (True, "valid")
    names = [item["event"].rsplit("/", 2)[-2] for item in answer["events"]]
    assert names == ["stamped", "published", "notice", "decision", "delivered", "erased"]
    code, text = shell("custody", "show", track, *home)
    assert code == GOOD
    assert "holds: valid" in text
    refused = shell.json(
        "custody", "record", track, "notice", "--set", "claim=copyright", "--key", key, *home, code=USAGE
    )
    assert "key-retired" in refused["detail"]
    assert shell("custody", "record", track, "published", "--set", "channel", *home)[0] == USAGE


def test_a_history_that_does_not_hold_is_shown_with_its_fault(shell: Shell, stamped: Stamped) -> None:
    path = stamped.home / "public-keys.json"
    document = json.loads(path.read_text())
    stranger = SigningKey(sha("stranger")).public_key
    document["issuers"] = [{"key_id": stranger.key_id, "jwk": stranger.jwk()}]
    path.write_text(json.dumps(document))
    answer = shell.json("custody", "show", stamped.track_id, "--home", stamped.home, code=BAD)
    assert answer["fault"]["code"] == "signer-unknown"
    assert "does not hold" in shell("custody", "show", stamped.track_id, "--home", stamped.home)[1]


def test_actors_append_their_own_events_over_http(stamped: Stamped) -> None:
    asset = f"track:{stamped.track_id}"
    with open_installation(read_settings(stamped.home, {})) as installation:
        owner, origin = installation.keyring.issuer_signing_key, installation.public.origin
        vkey, head = installation.public.vkey, installation.store.head(asset)

    def sign(place: ledger.Place, kind: str = PUBLISHED, **facts: str) -> bytes:
        members = {"time": "2026-11-22T17:31:32Z", **facts}
        return ledger.sign_envelope(ledger.build_event(kind, place, [asset_subject(asset)], members), [owner])

    entry = sign(ledger.Place.after(origin, asset, head), channel="radio")
    with served(stamped.home) as client:
        token = authorised(stamped)
        check_problem(client.post("/v1/log/entries", content=entry), 401, "unauthorised")
        made = client.post("/v1/log/entries", content=entry, headers=token)
        assert made.status_code == 201
        proof = made.json()["proof"].encode()
        index, _ = ledger.check_proof(proof, ledger.merkle.leaf_hash(entry), origin, vkey)
        assert index == made.json()["index"]
        assert client.post("/v1/log/entries", content=entry, headers=token).json()["index"] == index
        stale = sign(ledger.Place.after(origin, asset, head), channel="television")
        problem = check_problem(
            client.post("/v1/log/entries", content=stale, headers=token), 409, "ledger-conflict"
        )
        assert problem["asset"] == asset
        assert problem["head"] == {"n": 1, "leaf_hash": ledger.merkle.leaf_hash(entry).hex()}
        fresh = ledger.Place(origin, asset, 2, ledger.merkle.leaf_hash(entry))
        problem = check_problem(
            client.post("/v1/log/entries", content=sign(fresh, NOTICE, claim="copyright"), headers=token),
            422,
            "custody-refused",
        )
        assert problem["code"] == "role-missing"
        for body in (b"", b"{}", b"x" * 70_000):
            assert client.post("/v1/log/entries", content=body, headers=token).status_code in (413, 422)
        custody = client.get(f"/v1/tracks/{stamped.track_id}/custody").json()
        assert (custody["status"], len(custody["events"])) == ("valid", 2)
