import base64
import hashlib
import json
import random
from collections.abc import Sequence
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from ledger_world import vector_path

from ledger import merkle, open_checkpoint
from ledger.errors import ProofError

SIZES = range(1, 65)
LEAVES = [merkle.leaf_hash(b"%d" % number) for number in range(130)]


class MemoryTree:
    """All stored nodes of a growing tree, as the store keeps them."""

    def __init__(self, leaves: Sequence[bytes]) -> None:
        self.nodes: dict[merkle.Coordinate, bytes] = {}
        self.frontier: list[bytes] = []
        for index, leaf in enumerate(leaves):
            self.frontier, completed = merkle.complete_nodes(index, self.frontier, leaf)
            for level, node in enumerate(completed):
                assert (level, index >> level) not in self.nodes
                self.nodes[level, index >> level] = node

    def read(self, coordinates: Sequence[merkle.Coordinate]) -> list[bytes]:
        return [self.nodes[coordinate] for coordinate in coordinates]


TREE = MemoryTree(LEAVES)
ROOTS = [merkle.root(LEAVES[:size]) for size in range(len(LEAVES) + 1)]


def corrupt(proof: Sequence[bytes]) -> list[list[bytes]]:
    """Return every proof with one hash changed, dropped, doubled or swapped with the next."""
    changed = [[*proof, bytes(32)], [bytes(32), *proof]]
    for place in range(len(proof)):
        flipped = bytes([proof[place][0] ^ 1]) + proof[place][1:]
        changed.append([*proof[:place], flipped, *proof[place + 1 :]])
        changed.append([*proof[:place], *proof[place + 1 :]])
        changed.append([*proof[: place + 1], *proof[place:]])
        if place + 1 < len(proof):
            changed.append([*proof[:place], proof[place + 1], proof[place], *proof[place + 2 :]])
    return changed


def test_the_empty_tree_and_the_first_leaves_have_the_hashes_of_the_rfc() -> None:
    assert merkle.EMPTY_ROOT.hex() == "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
    assert merkle.leaf_hash(b"").hex() == "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d"
    assert merkle.node_hash(bytes(32), bytes(32)) == hashlib.sha256(b"\x01" + bytes(64)).digest()


def test_stored_nodes_give_the_root_of_the_recursive_definition_at_every_size() -> None:
    for size in range(len(LEAVES) + 1):
        assert merkle.read_root(TREE.read, size) == ROOTS[size]


@pytest.mark.parametrize("size", SIZES)
def test_every_leaf_is_proved_and_every_corrupted_proof_refused(size: int) -> None:
    for index in range(size):
        proof = merkle.inclusion_proof(TREE.read, index, size)
        merkle.check_inclusion(index, size, LEAVES[index], proof, ROOTS[size])
        for bad in corrupt(proof):
            with pytest.raises(ProofError):
                merkle.check_inclusion(index, size, LEAVES[index], bad, ROOTS[size])
        with pytest.raises(ProofError):
            merkle.check_inclusion(index, size, LEAVES[index + 1], proof, ROOTS[size])
        with pytest.raises(ProofError):
            merkle.check_inclusion(index, size, LEAVES[index], proof, ROOTS[size + 1])


@pytest.mark.parametrize("size", [1, 2, 3, 7, 8, 11, 16, 33, 64])
def test_a_proof_holds_for_its_own_index_alone(size: int) -> None:
    for index in range(size):
        proof = merkle.inclusion_proof(TREE.read, index, size)
        for other in (*range(size), size, -1):
            if other != index:
                with pytest.raises(ProofError):
                    merkle.check_inclusion(other, size, LEAVES[index], proof, ROOTS[size])


@pytest.mark.parametrize("new_size", SIZES)
def test_every_older_tree_is_proved_and_every_corrupted_proof_refused(new_size: int) -> None:
    for old_size in range(1, new_size + 1):
        proof = merkle.consistency_proof(TREE.read, old_size, new_size)
        merkle.check_consistency(old_size, new_size, ROOTS[old_size], ROOTS[new_size], proof)
        for bad in corrupt(proof):
            with pytest.raises(ProofError):
                merkle.check_consistency(old_size, new_size, ROOTS[old_size], ROOTS[new_size], bad)
        for roots in ((ROOTS[old_size - 1], ROOTS[new_size]), (ROOTS[old_size], ROOTS[new_size + 1])):
            with pytest.raises(ProofError):
                merkle.check_consistency(old_size, new_size, *roots, proof)


def test_proofs_outside_the_tree_cannot_be_asked_for() -> None:
    for index, size in ((0, 0), (5, 5), (-1, 5)):
        with pytest.raises(ValueError, match="expected an index"):
            merkle.inclusion_proof(TREE.read, index, size)
    for old, new in ((0, 5), (6, 5), (-1, 5)):
        with pytest.raises(ValueError, match="expected 0 < old size"):
            merkle.consistency_proof(TREE.read, old, new)


def decode(value: str | None) -> bytes:
    return base64.b64decode(value or "")


def vector_files(kind: str) -> list[Path]:
    return sorted(vector_path(f"rfc6962-merkle-proofs/{kind}").rglob("*.json"))


def test_inclusion_vectors_are_judged_as_they_say() -> None:
    files = vector_files("inclusion")
    assert len(files) == 98
    for file in files:
        case = json.loads(file.read_text())
        arguments = (
            case["leafIdx"],
            case["treeSize"],
            decode(case["leafHash"]),
            [decode(item) for item in case["proof"] or []],
            decode(case["root"]),
        )
        if case["wantErr"]:
            with pytest.raises(ProofError):
                merkle.check_inclusion(*arguments)
        else:
            merkle.check_inclusion(*arguments)


def test_consistency_vectors_are_judged_as_they_say() -> None:
    files = vector_files("consistency")
    assert len(files) == 98
    for file in files:
        case = json.loads(file.read_text())
        arguments = (
            case["size1"],
            case["size2"],
            decode(case["root1"]),
            decode(case["root2"]),
            [decode(item) for item in case["proof"] or []],
        )
        if case["wantErr"]:
            with pytest.raises(ProofError):
                merkle.check_consistency(*arguments)
        else:
            merkle.check_consistency(*arguments)


def test_a_signed_tile_log_has_our_leaf_hashes_and_roots_at_every_size() -> None:
    folder = vector_path("tlog-tiles")
    log = folder / "log"
    vkey = (folder / "vkey.txt").read_text().strip()
    for size in range(16):
        bundle = (log / f"tile/entries/000.p/{size}").read_bytes() if size else b""
        entries = []
        while bundle:
            length = int.from_bytes(bundle[:2], "big")
            entries.append(bundle[2 : 2 + length])
            bundle = bundle[2 + length :]
        leaves = [merkle.leaf_hash(entry) for entry in entries]
        if size:
            assert b"".join(leaves) == (log / f"tile/0/000.p/{size}").read_bytes()
        checkpoint = open_checkpoint(
            (log / f"checkpoint.{size}").read_bytes(), "example.com/log/testdata", vkey
        )
        assert (checkpoint.size, checkpoint.root) == (size, merkle.root(leaves))


@settings(derandomize=True, max_examples=60, deadline=None)
@given(st.integers(1, 129), st.data())
def test_old_and_new_proofs_agree_on_random_sizes(size: int, data: st.DataObject) -> None:
    index = data.draw(st.integers(0, size - 1))
    old = data.draw(st.integers(1, size))
    proof = merkle.inclusion_proof(TREE.read, index, size)
    assert len(proof) <= (size - 1).bit_length()
    merkle.check_inclusion(index, size, LEAVES[index], proof, ROOTS[size])
    merkle.check_consistency(
        old, size, ROOTS[old], ROOTS[size], merkle.consistency_proof(TREE.read, old, size)
    )


def test_a_long_seeded_run_gives_one_digest() -> None:
    generator = random.Random(2026)
    tree = MemoryTree([merkle.leaf_hash(generator.randbytes(20)) for _ in range(2000)])
    digest = hashlib.sha256()
    for _ in range(500):
        size = generator.randint(1, 2000)
        for item in merkle.inclusion_proof(tree.read, generator.randrange(size), size):
            digest.update(item)
        for item in merkle.consistency_proof(tree.read, generator.randint(1, size), size):
            digest.update(item)
    assert digest.hexdigest() == "95b9ebdb3c4efd030203c34e9b323d28a95f7c12b21fb4f452eac56434b111e5"
