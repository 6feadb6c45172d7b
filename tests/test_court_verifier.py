"""The verifier for courts, run by itself, against the program's own: they must say the same."""

import importlib.util
import random
import subprocess
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from bundle_world import ASSET, LOG_MLDSA, TIME, World, edit, find, finish, make_world, read
from ledger_world import ACTOR_KEY, ORIGIN, OTHER_KEY, VKEY, append, draft, make_store
from test_ledger_bundle import FORGED, TAMPERED, resealed
from tsa_server import make_authority

import ledger
from ledger import Evidence, check_bundle, make_bundle
from ledger.bundling import StampedCheckpoint
from ledger.checkpoint import format_checkpoint
from ledger.cosignature import Cosigner
from ledger.errors import BundleError
from ledger.predicate import ERASED, TRANSFERRED
from ledger.timestamp import hash_text

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
