import base64
import json

import pytest
from ledger_world import vector_path
from test_ledger_merkle import LEAVES, ROOTS, TREE, corrupt

from ledger import merkle
from ledger.errors import ProofError
from ledger.subtree import check_subtree, check_subtree_inclusion, is_subtree, subtree_proof

SIZE = 34


def decode(value: str | None) -> bytes:
    return base64.b64decode(value or "")


def read_cases(kind: str) -> list[dict]:
    files = sorted(vector_path(f"rfc6962-merkle-proofs/{kind}").rglob("*.json"))
    return [json.loads(file.read_text()) for file in files]


def test_subtree_inclusion_vectors_are_judged_as_they_say() -> None:
    cases = read_cases("subtreeinclusion")
    assert (len(cases), sum(case["wantErr"] for case in cases)) == (204, 192)
    for case in cases:
        arguments = (
            *(case[name] for name in ("leafIdx", "start", "end")),
            decode(case["leafHash"]),
            [decode(item) for item in case["proof"] or []],
            decode(case["root"]),
        )
        if case["wantErr"]:
            with pytest.raises(ProofError):
                check_subtree_inclusion(*arguments)
        else:
            check_subtree_inclusion(*arguments)


def test_subtree_consistency_vectors_are_judged_as_they_say() -> None:
    cases = read_cases("subtreeconsistency")
    assert (len(cases), sum(case["wantErr"] for case in cases)) == (118, 106)
    for case in cases:
        arguments = (
            *(case[name] for name in ("start", "end", "size")),
            decode(case["root1"]),
            decode(case["root2"]),
            [decode(item) for item in case["proof"] or []],
        )
        if case["wantErr"]:
            with pytest.raises(ProofError):
                check_subtree(*arguments)
        else:
            check_subtree(*arguments)


def test_valid_subtrees_are_those_of_the_draft_s_definition() -> None:
    for start in range(20):
        for end in range(start + 1, 20):
            power = 1
            while power < end - start:
                power *= 2
            assert is_subtree(start, end) == (start % power == 0)
    assert is_subtree(3, 3)
    assert not is_subtree(2, 1)
    assert not is_subtree(-2, 0)


@pytest.mark.parametrize("size", [1, 2, 5, 8, 13, SIZE])
def test_every_subtree_is_proved_and_every_corrupted_proof_refused(size: int) -> None:
    for start in range(size):
        for end in range(start + 1, size + 1):
            if not is_subtree(start, end):
                with pytest.raises(ValueError, match="non-empty subtree"):
                    subtree_proof(TREE.read, start, end, size)
                continue
            proof = subtree_proof(TREE.read, start, end, size)
            part = merkle.root(LEAVES[start:end])
            check_subtree(start, end, size, part, ROOTS[size], proof)
            for bad in corrupt(proof):
                with pytest.raises(ProofError):
                    check_subtree(start, end, size, part, ROOTS[size], bad)
            for roots in ((ROOTS[0], ROOTS[size]), (part, ROOTS[size + 1])):
                with pytest.raises(ProofError):
                    check_subtree(start, end, size, *roots, proof)


def test_a_subtree_that_starts_the_tree_has_the_proof_of_rfc_6962() -> None:
    for old in range(1, SIZE + 1):
        assert subtree_proof(TREE.read, 0, old, SIZE) == merkle.consistency_proof(TREE.read, old, SIZE)


def test_a_leaf_is_proved_in_its_subtree_alone() -> None:
    leaves = LEAVES[8:14]
    root = merkle.root(leaves)
    proof = [leaves[3], merkle.root(leaves[:2]), merkle.root(leaves[4:])]
    check_subtree_inclusion(10, 8, 14, leaves[2], proof, root)
    for index, start, end in ((9, 8, 14), (10, 0, 14), (10, 8, 12), (7, 8, 14), (14, 8, 14)):
        with pytest.raises(ProofError):
            check_subtree_inclusion(index, start, end, leaves[2], proof, root)
