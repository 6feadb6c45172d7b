"""The verifier in the browser: what it accepts is what ours accepts, and nothing that was tampered with."""

import copy
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from bundle_world import make_world, read
from chromium import Page, run_chromium
from conftest import Stamped
from http_service import served
from ledger_world import VKEY, sha

import ledger
from ledger.merkle import leaf_hash, root

pytestmark = pytest.mark.tool("chromium")
SIZES = 20
Members = dict[str, Any]


@pytest.fixture(scope="module")
def page(stamped_once: Stamped, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Page]:
    """A page of the service, with the modules as `proof` and `bundles`."""
    folder = tmp_path_factory.mktemp("proof")
    with served(stamped_once.home) as client, run_chromium(folder / "profile") as browser:
        opened = browser.open(f"{client.base_url}/tracks")
        opened.run(
            "Promise.all([import('/assets/proof.js'), import('/assets/bundle.js')])"
            ".then(([a, b]) => { window.proof = a; window.bundles = b; return 0; })"
        )
        yield opened


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Members:
    world = make_world(tmp_path_factory.mktemp("world"))
    ledger.check_bundle(world.bundle, vkey=VKEY)
    members = read(world.bundle)
    world.store.close()
    return members


def check(page: Page, members: Members, vkey: str = VKEY) -> str:
    """Return "good", or what the browser says no with."""
    found = page.run(
        f"bundles.checkBundle(JSON.parse({json.dumps(json.dumps(members))}), {json.dumps(vkey)})"
        ".then(() => 'good', error => String(error))"
    )
    return str(found)


def test_a_whole_history_is_accepted(page: Page, bundle: Members) -> None:
    assert check(page, bundle) == "good"


def spoil(text: str) -> str:
    """Return base64 of other bytes with the same length."""
    at = 3 if text[3] not in "=" else 0
    return text[:at] + ("A" if text[at] != "A" else "B") + text[at + 1 :]


def drop_event(members: Members) -> None:
    """Leave out the second event of the asset: paths are made for the rest, as a forger would."""
    del members["entries"][4]


TAMPERED: dict[str, Callable[[Members], object]] = {
    "another form": lambda m: m.update(format="https://provenote.example/bundle/v9"),
    "another origin": lambda m: m.update(origin="other.example/log"),
    "another asset": lambda m: m.update(asset="track:other"),
    "size of the checkpoint": lambda m: m.update(checkpoint=m["checkpoint"].replace("\n", "\n1", 1)),
    "origin of the checkpoint": lambda m: m.update(checkpoint="x" + m["checkpoint"]),
    "checkpoint without signatures": lambda m: m.update(checkpoint=m["checkpoint"].split("\n\n")[0] + "\n\n"),
    "an entry left out": drop_event,
    "entries in another order": lambda m: m["entries"].reverse(),
    "an entry twice": lambda m: m["entries"].insert(1, m["entries"][1]),
    "a path hash less": lambda m: m.update(paths=m["paths"][:-44]),
    "no entries": lambda m: m.update(entries=[]),
    "index beyond the log": lambda m: m["entries"][-1].update(index=10_000),
    "index that is no number": lambda m: m["entries"][-1].update(index="7"),
    "a signature less": lambda m: m["entries"][-1].update(signatures=[]),
    "a signature twice": lambda m: m["entries"][3]["signatures"].append(m["entries"][3]["signatures"][0]),
    "unknown signer": lambda m: m["entries"][3]["signatures"][0].update(keyid="A" * 43),
}


@pytest.mark.parametrize("name", TAMPERED)
def test_a_bundle_that_was_tampered_with_is_refused(page: Page, bundle: Members, name: str) -> None:
    members = copy.deepcopy(bundle)
    TAMPERED[name](members)
    assert check(page, members).startswith(("ProofError", "TypeError")), name


def test_every_changed_signature_statement_and_hash_is_refused(page: Page, bundle: Members) -> None:
    for at, entry in enumerate(bundle["entries"]):
        changed = copy.deepcopy(bundle)
        for signature in changed["entries"][at]["signatures"]:
            signature["sig"] = spoil(signature["sig"])
        assert check(page, changed).startswith("ProofError"), entry["index"]
        changed = copy.deepcopy(bundle)
        changed["entries"][at]["payload"]["predicate"]["seed"] = 8
        assert check(page, changed).startswith("ProofError"), entry["index"]
    for at in range(0, len(bundle["paths"]) - 44, 43):  # in each hash at least once
        changed = {**bundle, "paths": bundle["paths"][:at] + spoil(bundle["paths"][at:])}
        assert check(page, changed).startswith("ProofError"), at


def test_a_bundle_of_a_log_with_another_key_is_refused(page: Page, bundle: Members) -> None:
    name, _, _ = VKEY.split("+", 2)
    stranger = ledger.format_vkey(name, ledger.SigningKey(sha("stranger")).public_key)
    assert "another log" in check(page, bundle, stranger)
    forged = {**bundle, "vkey": stranger}
    assert "not signed by" in check(page, forged, stranger)


def make_trees() -> list[dict[str, Any]]:
    """All inclusion and consistency proofs of all trees up to SIZES leaves."""
    leaves = [leaf_hash(b"%d" % item) for item in range(SIZES)]

    def read_nodes(coordinates: Any) -> list[bytes]:
        return [root(leaves[at << level : (at + 1) << level]) for level, at in coordinates]

    return [
        {
            "size": size,
            "root": root(leaves[:size]).hex(),
            "inclusion": [
                [
                    leaves[at].hex(),
                    [item.hex() for item in ledger.merkle.inclusion_proof(read_nodes, at, size)],
                ]
                for at in range(size)
            ],
            "consistency": [
                [
                    root(leaves[:old]).hex(),
                    [item.hex() for item in ledger.merkle.consistency_proof(read_nodes, old, size)],
                ]
                for old in range(1, size + 1)
            ],
        }
        for size in range(1, SIZES + 1)
    ]


def test_every_proof_of_every_small_tree_holds_and_no_corrupted_one_does(page: Page) -> None:
    counts = page.run(
        "(async trees => {"
        + Path(__file__).with_name("page_proof_cases.js").read_text(encoding="utf-8")
        + f"}})({json.dumps(make_trees())})"
    )
    assert counts["held"] == SIZES * (SIZES + 1)
    assert counts["refused"] > 5 * counts["held"]
    assert counts["wrong"] == []


def test_text_is_written_as_the_canonical_form_wants_it(page: Page) -> None:
    value = {"ä": [1, -7, True, None, ""], "a": {'é\u2028\n"\\': "€\U0001f600"}, "\U0001f600": 1, "\ufb33": 2}
    written = page.run(f"proof.canonicalize({json.dumps(value)})")
    assert written.encode("utf-8") == ledger.canonical.format_json(value)
    refused = page.run("(() => { try { proof.canonicalize({a: 0.5}); } catch (e) { return e.name; } })()")
    assert refused == "ProofError"


@pytest.mark.parametrize("text", ["QQ", "QR==", "QQ==\n", "Q Q=", "Q-==", "é"])
def test_base64_has_one_spelling(page: Page, text: str) -> None:
    said = page.run(
        f"(() => {{ try {{ proof.fromBase64({json.dumps(text)}); return 'taken'; }}"
        " catch (e) { return String(e); } })()"
    )
    assert said.startswith("ProofError")
