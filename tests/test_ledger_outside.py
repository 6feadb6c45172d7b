"""What other people's software says of a log that we made: golang.org/x/mod, aics-tlog, metamorphic-log; and
the witness aics-witness.

The log has 601 entries in four commits, is published to a witness, and is served from exported files by a
plain web server. Each verifier must accept it, and must refuse every tampered copy.
"""

from __future__ import annotations

import base64
import functools
import hashlib
import os
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import httpx
import pytest
from ledger_world import ACTOR_KEY, LOG_KEY, ORIGIN, OTHER_KEY, VKEY, append, draft, make_store, sha
from witness_server import WitnessState

import ledger
from api.publishing import web_post
from ledger import Store, merkle, sign_checkpoint
from ledger.attestation import Attestations
from ledger.note import parse_note, parse_vkey
from ledger.policy import parse_policy
from ledger.proof import parse_proof
from ledger.publication import publish
from ledger.tilefolder import export_tiles
from ledger.witness import Outcome

WITNESS_KEY = ledger.SigningKey(sha("outside witness"))
GO_ENVIRONMENT = {"GO111MODULE": "off", "GOPATH": "/usr/share/gocode", "CGO_ENABLED": "0"}


@dataclass(frozen=True)
class Exported:
    """An exported log, an older checkpoint of it, and the proof of entry 300."""

    folder: Path
    old: bytes
    proof: bytes
    entry: bytes
    witness_vkey: str


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory) -> Exported:
    home = tmp_path_factory.mktemp("outside")
    with make_store(home) as store:
        for start in (1, 200, 400):
            append(
                store, *[draft(f"track:{number % 9}", number=number) for number in range(start, start + 200)]
            )
        state = WitnessState("witness.example/w1", WITNESS_KEY, {ORIGIN: parse_vkey(VKEY)})
        policy = parse_policy(f"witness w {state.vkey} http://w\nquorum w\n".encode())
        attestations = Attestations(store.url)
        published = publish(
            store,
            attestations,
            policy,
            lambda _, body: state.add_checkpoint(body),
            now_s=int(time.time()),
        )
        attestations.close()
        assert published.witnessed
        export_tiles(store, home / "log", published.note, origin=ORIGIN, vkey=VKEY)
        proof = store.receipt(300).text()
        return Exported(home / "log", store.checkpoint(201), proof, store.entry(300), state.vkey)


@pytest.fixture
def copied(exported: Exported, tmp_path: Path) -> Path:
    """The exported folder, to be tampered with."""
    return Path(shutil.copytree(exported.folder, tmp_path / "log"))


@contextmanager
def served(folder: Path) -> Iterator[str]:
    class Quiet(SimpleHTTPRequestHandler):
        def log_message(self, *_: object) -> None:
            return

    server = ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Quiet, directory=str(folder)))
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def tamper(folder: Path, what: str) -> None:
    """Damage an exported log in one of the ways that no verifier may overlook."""

    def edit(path: str, old: bytes, new: bytes) -> None:
        content = (folder / path).read_bytes()
        assert old in content
        (folder / path).write_bytes(content.replace(old, new, 1))

    note = (folder / "checkpoint").read_bytes()
    if what == "entry":
        bundle = (folder / "tile/entries/001").read_bytes()
        edit("tile/entries/001", bundle[100:120], bytes(item ^ 1 for item in bundle[100:120]))
    elif what == "tile":
        tile = (folder / "tile/0/001").read_bytes()
        edit("tile/0/001", tile[32:64], bytes(32))
    elif what == "swapped entries":
        first, second = (folder / "tile/0/000").read_bytes()[:32], (folder / "tile/0/000").read_bytes()[32:64]
        edit("tile/0/000", first + second, second + first)
    elif what == "size":
        edit("checkpoint", b"\n601\n", b"\n600\n")
    elif what == "root":
        edit("checkpoint", note.split(b"\n")[2], base64.b64encode(sha("other root")))
    elif what == "signature":
        edit("checkpoint", note.split(b"\n")[4][-8:], b"AAAAAAA=")
    elif what == "other key":
        checkpoint = ledger.open_checkpoint(note, ORIGIN, VKEY)
        (folder / "checkpoint").write_bytes(sign_checkpoint(ORIGIN, 601, checkpoint.root, OTHER_KEY))
    else:
        assert what == "unsigned"
        (folder / "checkpoint").write_bytes(note.split(b"\n\n")[0] + b"\n\n")


TAMPERED = ["entry", "tile", "swapped entries", "size", "root", "signature", "other key", "unsigned"]
OF_CHECKPOINT = TAMPERED[3:]


@pytest.fixture(scope="module")
def go_verifier(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("go")
    program = folder / "verify_log"
    source = Path(__file__).parent / "outside" / "verify_log.go"
    environment = os.environ | GO_ENVIRONMENT | {"GOCACHE": str(folder / "cache")}
    subprocess.run(["go", "build", "-o", program, source], env=environment, check=True, timeout=240)
    return program


def run_go(program: Path, folder: Path, *arguments: object) -> subprocess.CompletedProcess[str]:
    with served(folder) as url:
        command = [program, url, VKEY, *map(str, arguments)]
        return subprocess.run(command, capture_output=True, text=True, timeout=60)


@pytest.mark.tool("go")
def test_go_s_reference_checks_every_entry_the_growth_and_a_proof(
    exported: Exported, go_verifier: Path, tmp_path: Path
) -> None:
    (tmp_path / "old").write_bytes(exported.old)
    (tmp_path / "proof").write_bytes(exported.proof)
    run = run_go(go_verifier, exported.folder, tmp_path / "old", tmp_path / "proof")
    assert (run.returncode, run.stdout) == (0, "601\n"), run.stderr


@pytest.mark.tool("go")
@pytest.mark.parametrize("what", TAMPERED)
def test_go_s_reference_refuses_a_tampered_log(go_verifier: Path, copied: Path, what: str) -> None:
    tamper(copied, what)
    assert run_go(go_verifier, copied).returncode == 1


@pytest.mark.tool("go")
def test_go_s_reference_refuses_a_fork_and_a_moved_proof(
    exported: Exported, go_verifier: Path, tmp_path: Path
) -> None:
    forked, moved, old, proof = (tmp_path / name for name in ("forked", "moved", "old", "proof"))
    old.write_bytes(exported.old)
    proof.write_bytes(exported.proof)
    forked.write_bytes(sign_checkpoint(ORIGIN, 201, sha("another history"), LOG_KEY))
    moved.write_bytes(exported.proof.replace(b"index 300\n", b"index 301\n"))
    assert run_go(go_verifier, exported.folder, forked, proof).returncode == 1
    assert run_go(go_verifier, exported.folder, old, moved).returncode == 1


@pytest.mark.package("aics_tlog")
def test_aics_tlog_checks_the_whole_log_and_its_witness(exported: Exported) -> None:
    import aics_tlog
    from aics_tlog.checkpoint import verify_checkpoint
    from aics_tlog.verified import audit_tiles

    note = aics_tlog.parse_note((exported.folder / "checkpoint").read_text("utf-8"))
    log, witness = aics_tlog.parse_vkey(VKEY), aics_tlog.parse_vkey(exported.witness_vkey)
    verified = verify_checkpoint(note, log, [witness], 1, expected_origin=ORIGIN)
    assert verified.ok, verified.error
    assert (verified.size, verified.witnesses) == (601, ["witness.example/w1"])
    reader = aics_tlog.FileSystemTileReader(exported.folder)
    report = audit_tiles(reader, verified.size, verified.root)
    assert (report.size, report.bundles) == (601, 3)
    old = ledger.open_checkpoint(exported.old, ORIGIN, VKEY)
    growth = aics_tlog.consistency_proof_from_tiles(reader, old.size, 601)
    assert aics_tlog.verify_consistency(old.size, 601, old.root, verified.root, growth)
    assert not aics_tlog.verify_consistency(old.size, 601, sha("another history"), verified.root, growth)
    proof = parse_proof(exported.proof)
    under = aics_tlog.parse_checkpoint(parse_note(proof.checkpoint)[0])
    arguments = (proof.index, under.size, list(proof.hashes), under.root)
    assert aics_tlog.verify_leaf_inclusion(exported.entry, *arguments)
    assert not aics_tlog.verify_leaf_inclusion(exported.entry + b" ", *arguments)


@pytest.mark.package("aics_tlog")
@pytest.mark.parametrize("what", TAMPERED)
def test_aics_tlog_refuses_a_tampered_log(copied: Path, what: str) -> None:
    import aics_tlog
    from aics_tlog.checkpoint import verify_checkpoint
    from aics_tlog.verified import audit_tiles

    tamper(copied, what)

    def accept() -> None:
        note = aics_tlog.parse_note((copied / "checkpoint").read_text("utf-8"))
        verified = verify_checkpoint(note, aics_tlog.parse_vkey(VKEY), expected_origin=ORIGIN)
        assert verified.ok, verified.error
        audit_tiles(aics_tlog.FileSystemTileReader(copied), verified.size, verified.root)

    with pytest.raises((AssertionError, ValueError)):
        accept()


@pytest.mark.package("metamorphic_log")
def test_metamorphic_log_verifies_checkpoint_growth_and_inclusion(exported: Exported) -> None:
    import metamorphic_log as m

    note = (exported.folder / "checkpoint").read_text("utf-8")
    head = m.checkpoint_verify(note, [VKEY])
    assert (head.origin, head.size) == (ORIGIN, 601)
    proof = parse_proof(exported.proof)
    leaf, hashes = merkle.leaf_hash(exported.entry), list(proof.hashes)
    under = proof.checkpoint.decode()
    m.checkpoint_verify_inclusion(under, [VKEY], proof.index, leaf, hashes)
    for wrong in (
        (under, [VKEY], proof.index + 1, leaf, hashes),
        (under, [VKEY], proof.index, sha("leaf"), hashes),
        (under, [VKEY], proof.index, leaf, hashes[:-1]),
        (under, [ledger.format_vkey(ORIGIN, OTHER_KEY.public_key)], proof.index, leaf, hashes),
    ):
        with pytest.raises(m.VerifyError):
            m.checkpoint_verify_inclusion(*wrong)


@pytest.mark.package("metamorphic_log")
def test_metamorphic_log_follows_the_growth_and_refuses_a_fork(tmp_path: Path) -> None:
    import metamorphic_log as m

    with make_store(tmp_path) as store:
        older = store.latest_checkpoint().decode()
        append(store, *[draft("track:1", number=number) for number in range(20)])
        newer, proof = store.latest_checkpoint().decode(), list(store.consistency_proof(1, 21))
    m.checkpoint_verify_consistency(older, newer, [VKEY], proof)
    forked = sign_checkpoint(ORIGIN, 1, sha("another history"), LOG_KEY).decode()
    with pytest.raises(m.VerifyError):
        m.checkpoint_verify_consistency(forked, newer, [VKEY], proof)


@pytest.mark.package("metamorphic_log")
@pytest.mark.parametrize("what", OF_CHECKPOINT)
def test_metamorphic_log_refuses_a_tampered_checkpoint(copied: Path, what: str) -> None:
    import metamorphic_log as m

    tamper(copied, what)
    with pytest.raises(m.VerifyError):
        m.checkpoint_verify((copied / "checkpoint").read_text("utf-8"), [VKEY])


@contextmanager
def running_witness(folder: Path) -> Iterator[tuple[str, str]]:
    """Run aics-witness as a process of its own, trusting our log; give its URL and verifier key."""
    config = folder / "witness.json"
    command = [sys.executable, "-m", "aics_witness"]

    def run(*arguments: str) -> str:
        done = subprocess.run([*command, *arguments], capture_output=True, text=True, timeout=60, check=True)
        return done.stdout

    vkey = run("init", "--name", "witness.example/aics", "--config", str(config)).split()[-1]
    run("add-log", "--origin", ORIGIN, "--vkey", VKEY, "--config", str(config))
    with served(folder) as free:  # borrow a free port's number
        port = free.rsplit(":", 1)[1]
    process = subprocess.Popen(
        [*command, "serve", "--listen", f"127.0.0.1:{port}", "--config", str(config)],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    url = f"http://127.0.0.1:{port}"
    try:
        deadline = time.monotonic() + 30
        while True:
            try:
                httpx.get(f"{url}/healthz").raise_for_status()
                break
            except httpx.HTTPError:
                assert process.poll() is None
                assert time.monotonic() < deadline
                time.sleep(0.05)
        yield url, vkey
    finally:
        process.terminate()
        process.wait(timeout=30)


@pytest.mark.package("aics_witness")
def test_a_foreign_witness_cosigns_our_growth_and_refuses_rollback_split_view_and_forgery(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("witness", "log", "split"):
        (tmp_path / name).mkdir()
    with running_witness(tmp_path / "witness") as (url, vkey), web_post() as post:
        policy = parse_policy(f"witness w {vkey} {url}\nquorum w\n".encode())

        def ask(store: Store) -> ledger.publication.Publication:
            attestations = Attestations(store.url)
            try:
                return publish(store, attestations, policy, post, now_s=int(time.time()))
            finally:
                attestations.close()

        with make_store(tmp_path / "log") as store:
            append(store, draft("track:1"))
            assert ask(store).witnessed
            append(store, *[draft("track:2", number=number) for number in range(300)])
            published = ask(store)
            assert published.witnessed
            assert published.submissions[0].detail == "from size 2"  # after a 409 that named it
            origin_hash = hashlib.sha256(ORIGIN.encode()).hexdigest()
            monitored = httpx.get(f"{url}/{origin_hash}/checkpoint").raise_for_status().content
            assert ledger.open_checkpoint(monitored, ORIGIN, VKEY).size == 302
            # Rollback: the log shows an older state of itself.
            with monkeypatch.context() as patch:
                older = store.checkpoint(2)
                patch.setattr(store, "latest_checkpoint", lambda: older)
                patch.setattr("ledger.publication._has_line", lambda *_: False)
                assert ask(store).alarms[0].outcome is Outcome.AHEAD
            # Forgery: a checkpoint that the log's key did not sign.
            state = store.state()
            for forged in (
                sign_checkpoint(ORIGIN, state.size, state.root, OTHER_KEY),
                store.latest_checkpoint().replace(b"\n302\n", b"\n303\n"),
            ):
                body = b"old 302\n\n" + forged
                assert post(f"{url}/add-checkpoint", body)[0] == 403
        # Split view: another log under the same key and origin.
        with make_store(tmp_path / "split") as split:
            append(split, *[draft("track:3", number=number) for number in range(400)])
            found = ask(split)
            assert not found.witnessed
            assert found.alarms[0].outcome is Outcome.INCONSISTENT
            assert ACTOR_KEY.public_key in split.public_keys()
