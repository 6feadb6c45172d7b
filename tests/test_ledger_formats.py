"""The formats as a file that other implementations can read: they must not change unnoticed."""

import base64
import hashlib
import importlib.util
import json
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from test_ledger_bundle import choose_places

import ledger
from ledger.errors import BundleError

FOLDER = Path(__file__).parent / "vectors" / "ledger"
VECTORS = json.loads((FOLDER / "first-light.json").read_text("utf-8"))


def test_what_is_made_today_is_what_was_published() -> None:
    path = FOLDER / "make_first_light.py"
    spec = importlib.util.spec_from_file_location("make_first_light", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    assert module.make_vectors() == {name: value for name, value in VECTORS.items() if name != "bundle"}


@pytest.mark.parametrize("version", ["bundle", "bundle_v2"])
def test_the_published_bundles_check_with_the_log_s_key_alone(version: str) -> None:
    report = ledger.check_bundle(VECTORS[version].encode(), vkey=VECTORS["vkey"])
    assert [item.index for item in report.events] == [1, 2]
    assert report.openings == {"prompt": "slow waltz in D minor, piano"}


@pytest.mark.parametrize("version", ["bundle", "bundle_v2"])
def test_every_changed_byte_of_a_published_bundle_is_refused(version: str) -> None:
    bundle = VECTORS[version].encode()
    for position in choose_places(bundle):  # all of the structure, and each name and value
        changed = bytearray(bundle)
        changed[position] ^= 1
        with pytest.raises(BundleError):
            ledger.check_bundle(bytes(changed), vkey=VECTORS["vkey"])


def test_the_vectors_hold_by_hashlib_and_an_ed25519_library_alone() -> None:
    """A second, independent reading of the documented formats, without the package under test."""
    sha = hashlib.sha256
    jwk = VECTORS["actor_jwk"]
    thumbprint = sha(json.dumps(jwk, sort_keys=True, separators=(",", ":")).encode()).digest()
    assert base64.urlsafe_b64encode(thumbprint).rstrip(b"=").decode() == VECTORS["actor_key_id"]
    actor = Ed25519PublicKey.from_public_bytes(base64.urlsafe_b64decode(jwk["x"] + "="))
    link = sha(b"provenote/chain/v1/origin\n" + VECTORS["origin"].encode()).digest()
    leaves = []
    heads: dict[str, str] = {}
    for case, chain in zip(VECTORS["entries"], VECTORS["chain"], strict=True):
        envelope = json.loads(case["entry"])
        payload = base64.b64decode(envelope["payload"])
        assert payload.decode() == case["payload"]
        pae = b"DSSEv1 28 application/vnd.in-toto+json %d %b" % (len(payload), payload)
        assert sha(pae).hexdigest() == case["pae_sha256"]
        for signature in envelope["signatures"]:
            actor.verify(base64.b64decode(signature["sig"]), pae)
        leaf = sha(b"\x00" + case["entry"].encode()).digest()
        assert leaf.hex() == case["leaf_hash"]
        link = sha(b"provenote/chain/v1/link\n" + link + leaf).digest()
        assert link.hex() == chain
        place = json.loads(payload)["predicate"]["ledger"]
        assert place["prev"] == heads.get(place["asset"], "")
        heads[place["asset"]] = leaf.hex()
        leaves.append(leaf)
    root = sha(b"\x01" + sha(b"\x01" + leaves[0] + leaves[1]).digest() + leaves[2]).digest()
    assert root.hex() == VECTORS["root"]
    text, signature_line = VECTORS["entries"][2]["tlog_proof"].split("\n\n", 1)[1].rsplit("\n\n", 1)
    assert text + "\n" == f"{VECTORS['origin']}\n3\n{base64.b64encode(root).decode()}\n"
    log = Ed25519PublicKey.from_public_bytes(base64.b64decode(VECTORS["vkey"].split("+", 2)[2])[1:])
    log.verify(base64.b64decode(signature_line.split(" ")[2])[4:], (text + "\n").encode())
    opened = VECTORS["commitment"]
    commitment = sha(
        b"provenote/commitment/v1\nprompt\n"
        + bytes.fromhex(opened["salt"])
        + json.dumps(opened["value"]).encode()
    )
    assert commitment.hexdigest() == opened["commitment"]
