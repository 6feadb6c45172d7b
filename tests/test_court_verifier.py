"""The verifier for courts, run by itself, against the program's own: they must say the same."""

import importlib.util
import random
import subprocess
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from bundle_world import (
    ASSET,
    LOG_MLDSA,
    MARK_KEYS,
    MARKS,
    TIME,
    World,
    edit,
    find,
    finish,
    make_mark_world,
    make_world,
    on_keys,
    read,
)
from ledger_world import ACTOR_KEY, ORIGIN, OTHER_KEY, VKEY, append, draft, make_store, sha
from test_ledger_answer import denied_mark, end_of_another, exchanged, one_key_left_out, other_mark
from test_ledger_bundle import FORGED, TAMPERED, resealed
from tsa_server import make_authority

import ledger
from ledger import Evidence, Place, SigningKey, check_bundle, make_bundle
from ledger.answer import MarkId, Question, check_answer, make_answer
from ledger.bundling import StampedCheckpoint
from ledger.checkpoint import format_checkpoint
from ledger.cosignature import Cosigner
from ledger.errors import BundleError
from ledger.event import build_key_added, build_key_rotated
from ledger.predicate import ERASED, TRANSFERRED
from ledger.timestamp import hash_text

DAMAGED: dict[str, tuple[str | MarkId, Any]] = {
    "another mark": (MarkId(MARKS[1]), other_mark),
    "tags exchanged": (MarkId(MARKS[1]), exchanged),
    "a mark key left out": (MarkId(MARKS[1]), one_key_left_out),
    "the map's end of another tag": (MarkId(MARKS[1]), end_of_another),
    "a mark denied": (MarkId(MARKS[1]), denied_mark),
    "an asset denied": (ASSET, lambda members: members["proof"].update(end=None)),
    "another asset": (ASSET, lambda members: members["subject"].update(asset="track:never")),
    "no map": (ASSET, lambda members: members["bundle"].update(heads=None)),
    "a member more": (ASSET, lambda members: members.update(more=1)),
    "a mark that is no hex": (MarkId(MARKS[1]), lambda members: members["subject"].update(mark="xyz")),
}
PROGRAM = Path(__file__).parent.parent / "docs" / "court_verifier.py"


@pytest.fixture(scope="module")
def court() -> ModuleType:
    spec = importlib.util.spec_from_file_location("court_verifier", PROGRAM)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory):  # type: ignore[no-untyped-def]
    made = make_world(tmp_path_factory.mktemp("court"))
    yield made
    made.store.close()


def trusted(world: World) -> dict[str, Any]:
    return {
        "log_key": VKEY,
        "first_key": ACTOR_KEY.key_id,
        "witness_keys": [item.cosigner.vkey for item in world.policy.witnesses],
        "quorum": 2,
    }


def run(*arguments: object) -> subprocess.CompletedProcess[str]:
    """Run the file as a stranger does: isolated from this project, with the interpreter's own libraries."""
    command = [sys.executable, "-I", PROGRAM, *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, cwd="/")


def test_it_runs_alone_and_reports_what_the_bundle_proves(world: World, tmp_path: Path) -> None:
    file = tmp_path / "bundle.json"
    file.write_bytes(world.bundle)
    witnesses = [item for witness in world.policy.witnesses for item in ("--witness", witness.cosigner.vkey)]
    done = run(file, "--log-key", VKEY, "--first-key", ACTOR_KEY.key_id, *witnesses, "--quorum", 2)
    assert done.returncode == 0, done.stdout + done.stderr
    for line in (
        "HOLDS",
        f"Recording {ASSET} in the log {ORIGIN}",
        "Status: valid, owned by house",
        f"  key {OTHER_KEY.key_id} of house (issuer, operator, owner): from entry 1, until entry 15",
        "Completeness: all events and key changes among the first 24 entries are shown",
        "Witnesses: one.example/w, two.example/w",
        'Opened: prompt = "slow waltz in D minor, piano"',
    ):
        assert line in done.stdout.splitlines(), done.stdout
    assert "NOT given" not in done.stdout
    unpinned = run(file)
    assert unpinned.returncode == 0
    assert unpinned.stdout.count("NOT given by you") == 3
    file.write_bytes(edit(world.bundle, lambda m: find(m, 4)["payload"]["predicate"].update(channel="tv")))
    broken = run(file, "--log-key", VKEY)
    assert (broken.returncode, broken.stderr) == (1, "")
    assert broken.stdout.startswith("DOES NOT HOLD (not-in-log, entry 11)")


def test_it_imports_nothing_of_this_project() -> None:
    imported = {
        line.split()[1].split(".")[0]
        for line in PROGRAM.read_text("utf-8").splitlines()
        if line.lstrip().startswith(("import ", "from "))
    }
    assert imported == {"argparse", "base64", "hashlib", "json", "sys", "cryptography"}


# What this verifier says where it reads the same fault at an earlier or later step.
OTHER_CODES = {
    "float in an entry": "not-in-log",  # it leaves the largest size of an entry to the log
    "forbidden transition": "already-begun",
}


@pytest.mark.parametrize("name", list(TAMPERED))
def test_both_refuse_a_tampered_bundle_for_the_same_reason_and_entry(
    court: ModuleType, world: World, name: str
) -> None:
    bundle = edit(world.bundle, TAMPERED[name][0])
    with pytest.raises(BundleError) as ours:
        check_bundle(bundle, vkey=VKEY, policy=world.policy)
    with pytest.raises(court.Refused) as theirs:
        court.check_bundle(bundle, **trusted(world))
    assert theirs.value.code == OTHER_CODES.get(name, ours.value.code), theirs.value
    if ours.value.code != "heads-bad":
        assert theirs.value.index == ours.value.index


@pytest.mark.parametrize("name", list(FORGED))
def test_both_refuse_a_bundle_forged_with_the_log_s_own_key(
    court: ModuleType, world: World, name: str
) -> None:
    bundle = resealed(world, FORGED[name][0])
    with pytest.raises(BundleError) as ours:
        check_bundle(bundle, vkey=VKEY)
    with pytest.raises(court.Refused) as theirs:
        court.check_bundle(bundle, VKEY)
    assert theirs.value.code == OTHER_CODES.get(name, ours.value.code), theirs.value
    assert theirs.value.index == ours.value.index


def test_both_say_the_same_of_random_damage(court: ModuleType, world: World) -> None:
    """Bytes changed, deleted, doubled at 400 seeded places: none may be taken by one and not the other."""
    generator = random.Random(5)
    options = trusted(world)
    for _ in range(400):
        place = generator.randrange(len(world.bundle))
        damage = generator.choice(
            (b"", world.bundle[place : place + 1] * 2, bytes([generator.randrange(32, 127)]))
        )
        bundle = world.bundle[:place] + damage + world.bundle[place + 1 :]
        outcomes = []
        for check in (
            lambda bundle=bundle: check_bundle(bundle, vkey=VKEY, policy=world.policy),
            lambda bundle=bundle: court.check_bundle(bundle, **options),
        ):
            try:
                check()
            except (BundleError, court.Refused):
                outcomes.append(False)
            else:
                outcomes.append(True)
        assert outcomes[0] == outcomes[1], (place, damage)


def test_the_log_s_post_quantum_signature_is_checked_when_asked_for(court: ModuleType, world: World) -> None:
    own = Cosigner(ORIGIN, LOG_MLDSA.public_key).vkey
    assert court.check_bundle(world.bundle, VKEY, witness_keys=[own], quorum=1)
    note = read(world.bundle)["checkpoint"]
    line = next(line for line in note.split("\n") if len(line) > 3000)
    changed = note.replace(line, line[:100] + ("A" if line[100] != "A" else "B") + line[101:])
    with pytest.raises(court.Refused) as caught:
        court.check_bundle(
            edit(world.bundle, lambda m: m.update(checkpoint=changed)), VKEY, witness_keys=[own], quorum=1
        )
    assert caught.value.code == "checkpoint-bad"


def test_erased_and_transferred_recordings_are_told_as_that(court: ModuleType, tmp_path: Path) -> None:
    buyer = ledger.SigningKey(b"b" * 32)
    with make_store(tmp_path) as store:
        grant = ledger.build_key_added
        append(
            store,
            ledger.Draft(
                ledger.KEYS_ASSET,
                lambda place: ledger.sign_envelope(
                    grant(place, buyer.public_key, roles=["owner"], party="buyer.example"), [ACTOR_KEY, buyer]
                ),
            ),
            draft(ASSET, commitments={"prompt": "00" * 32}),
            draft(ASSET, kind=ERASED, time=TIME, ground="gdpr-17", erased=[{"n": 0, "label": "prompt"}]),
            draft(ASSET, kind=TRANSFERRED, signing_keys=(ACTOR_KEY, buyer), time=TIME, to="buyer.example"),
        )
        lines = court.check_bundle(finish(store, openings=()).bundle, VKEY)
    assert "Status: valid, owned by buyer.example" in lines
    assert "Erased: prompt of event 0; its commitment and all proofs stand" in lines


@pytest.mark.tool("openssl")
def test_a_time_stamp_is_checked_down_to_the_root_that_is_trusted(
    court: ModuleType, world: World, tmp_path: Path
) -> None:
    authority, stranger = make_authority(tmp_path / "tsa"), make_authority(tmp_path / "other")
    older = ledger.open_checkpoint(world.store.checkpoint(11), ORIGIN, VKEY)
    token = authority.stamp(hash_text(format_checkpoint(older)))
    evidence = Evidence(
        world.evidence.note,
        world.evidence.witnesses,
        world.evidence.heads,
        (StampedCheckpoint("tsa", older, token),),
    )
    bundle = make_bundle(world.store, ASSET, evidence=evidence)
    ours = check_bundle(bundle, vkey=VKEY, roots=[authority.root]).timestamps[0].timestamp
    assert ours is not None
    line = court.check_bundle(bundle, VKEY, roots=[authority.root])[-1]
    assert line.startswith("Time-stamp over the first 11 entries: ")
    assert ours.time.strftime("%Y%m%d%H%M%SZ by CN=Test time-stamps") in line
    assert "NOT CHECKED" in court.check_bundle(bundle, VKEY)[-1]
    wrong = [
        edit(bundle, lambda m: m["timestamps"][0].update(size=12)),
        edit(bundle, lambda m: m["timestamps"][0].update(growth="")),
        edit(bundle, lambda m: m["timestamps"][0].update(token=m["timestamps"][0]["token"][:400])),
        edit(bundle, lambda m: m["timestamps"][0].update(token="AAAA")),
    ]
    for case, roots in [(bundle, [stranger.root]), *((item, [authority.root]) for item in wrong)]:
        with pytest.raises(court.Refused) as caught:
            court.check_bundle(case, VKEY, roots=roots)
        assert caught.value.code == "timestamp-bad"
        with pytest.raises(BundleError):
            check_bundle(case, vkey=VKEY, roots=roots)
    raw = ledger.encoding.decode_base64(read(bundle)["timestamps"][0]["token"], "token")
    generator = random.Random(3)
    survived = 0
    for _ in range(150):
        place = generator.randrange(len(raw))
        changed = raw[:place] + bytes([raw[place] ^ 1]) + raw[place + 1 :]
        try:
            court.check_token(changed, format_checkpoint(older).encode(), [authority.root])
        except court.Refused:
            continue
        survived += 1
    # It does not read version numbers, nor names of algorithms that are said twice: 2 % of a token's bytes.
    assert survived <= 10


@pytest.fixture(scope="module")
def marked(tmp_path_factory: pytest.TempPathFactory):  # type: ignore[no-untyped-def]
    made = make_mark_world(tmp_path_factory.mktemp("court-marks"))
    yield made
    made.store.close()


def ask(world: World, subject: str | bytes | MarkId) -> bytes:
    return make_answer(world.store, Question(subject), world.evidence, mark_keys=MARK_KEYS)


def test_it_reads_answers_about_assets_digests_and_marks(
    court: ModuleType, marked: World, tmp_path: Path
) -> None:
    said = {
        "track:never": "NO event among the entries 0 to 7",
        sha("no file"): "NO event among the entries 0 to 7",
        MarkId(sha("no mark")[:8]): "NO event among the entries 2 to 7",
        MarkId(MARKS[0]): "1 events, the last",
        MarkId(MARKS[1]): "3 events, the last",
    }
    for subject, expected in said.items():
        first, *rest = court.check_bundle(ask(marked, subject), **trusted(marked))
        assert expected in first
        assert any(line.startswith("Completeness: all events and key changes") for line in rest)
    file = tmp_path / "answer.json"
    file.write_bytes(ask(marked, MarkId(MARKS[1])))
    done = run(file, "--log-key", VKEY)
    assert done.returncode == 0, done.stdout + done.stderr
    assert f"Of mark {MARKS[1].hex()}: 3 events" in done.stdout
    assert f"  mark key {MARK_KEYS[1].public_key.raw.hex()}: from entry 5" in done.stdout


@pytest.mark.parametrize("name", list(DAMAGED))
def test_both_refuse_a_damaged_answer_for_the_same_reason(
    court: ModuleType, marked: World, name: str
) -> None:
    subject, change = DAMAGED[name]
    answer = edit(ask(marked, subject), change)
    with pytest.raises(BundleError) as ours:
        check_answer(answer, vkey=VKEY, policy=marked.policy)
    with pytest.raises(court.Refused) as theirs:
        court.check_bundle(answer, **trusted(marked))
    assert theirs.value.code == ours.value.code, theirs.value


def test_both_refuse_a_mark_without_its_tag_and_a_mark_key_by_nobody_who_may(
    court: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Their operator's own log, in which the rules were switched off."""
    issuer, other, mark_key = SigningKey(sha("issuer")), SigningKey(sha("other")), MARK_KEYS[0].public_key
    grant = {"roles": ["issuer"], "party": "nobody.example"}

    def add(place: Place) -> bytes:
        return build_key_added(place, issuer.public_key, **grant, mark_key=mark_key)

    def add_other(place: Place) -> bytes:
        return build_key_added(place, issuer.public_key, **grant)

    def rotate(place: Place) -> bytes:
        return build_key_rotated(place, other.public_key, issuer.key_id, mark_key=mark_key)

    def again(place: Place) -> bytes:
        return build_key_added(place, other.public_key, **grant, mark_key=mark_key)

    cases = {
        "mark-untagged": ("ledger.custody.lacks_tag", [on_keys(add, ACTOR_KEY, issuer)]),
        "role-missing": (
            "ledger.register.OPERATOR",
            [on_keys(add_other, ACTOR_KEY, issuer), on_keys(rotate, issuer, other)],
        ),
        "key-known": (
            "ledger.register._is_known",
            [on_keys(add, ACTOR_KEY, issuer), on_keys(again, ACTOR_KEY, other)],
        ),
    }
    for code, (rule, drafts) in cases.items():
        folder = tmp_path / code
        folder.mkdir()
        with make_store(folder) as store, monkeypatch.context() as patch:
            patch.setattr(rule, "issuer" if rule.endswith("OPERATOR") else lambda *_: False)
            marked = {"mark_id": sha("commitment").hex()} if code == "mark-untagged" else {}
            append(store, *drafts, draft(ASSET, commitments=marked))
            bundle = finish(store, openings=()).bundle
        with pytest.raises(BundleError) as ours:
            check_bundle(bundle, vkey=VKEY)
        with pytest.raises(court.Refused) as theirs:
            court.check_bundle(bundle, VKEY)
        assert (theirs.value.code, theirs.value.index) == (ours.value.code, ours.value.index)
        assert ours.value.code == code
