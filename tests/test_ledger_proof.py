import base64
import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from ledger_world import ACTOR_KEY, LOG_KEY, ORIGIN, VKEY, vector_path

import ledger
from ledger import check_proof, merkle, sign_checkpoint
from ledger.errors import FormatError, ProofError, SignatureError
from ledger.proof import TlogProof, format_proof, parse_proof

HASHES = st.binary(min_size=32, max_size=32)
LEAVES = [merkle.leaf_hash(b"%d" % number) for number in range(6)]
ROOT = merkle.root(LEAVES)


def make_proof(index: int = 1) -> TlogProof:
    sibling, uncle, cousin = LEAVES[0], merkle.node_hash(*LEAVES[2:4]), merkle.node_hash(*LEAVES[4:6])
    return TlogProof(index, (sibling, uncle, cousin), sign_checkpoint(ORIGIN, 6, ROOT, LOG_KEY))


def test_vectors_are_built_and_refused_as_they_say() -> None:
    vectors = json.loads(vector_path("tlog-proof/tlog-proof.json").read_text("utf-8"))
    for case in vectors["marshal"]:
        extra = base64.b64decode(case["extra_b64"]) if case["extra_b64"] else None
        hashes = tuple(base64.b64decode(item) for item in case["hashes_b64"])
        proof = TlogProof(case["index"], hashes, case["checkpoint"].encode(), extra)
        assert format_proof(proof) == case["want"].encode()
        assert parse_proof(case["want"].encode()) == proof
    for case in vectors["reject"]:
        with pytest.raises(FormatError):
            parse_proof(case["proof"].encode())
    assert (len(vectors["marshal"]), len(vectors["reject"])) == (3, 7)


@settings(derandomize=True, max_examples=80, deadline=None)
@given(
    st.integers(0, 2**63 - 1),
    st.lists(HASHES, max_size=63),
    st.binary(min_size=1, max_size=99),
    st.none() | st.binary(min_size=1, max_size=40),
)
def test_a_proof_parses_to_what_was_formatted(
    index: int, hashes: list[bytes], checkpoint: bytes, extra: bytes | None
) -> None:
    proof = TlogProof(index, tuple(hashes), checkpoint, extra)
    assert parse_proof(format_proof(proof)) == proof


def test_a_proof_leads_from_the_entry_to_the_signed_root() -> None:
    index, checkpoint = check_proof(format_proof(make_proof()), LEAVES[1], ORIGIN, VKEY)
    assert (index, checkpoint.size, checkpoint.root) == (1, 6, ROOT)


def test_a_proof_holds_for_no_other_entry_index_log_or_key() -> None:
    text = format_proof(make_proof())
    with pytest.raises(ProofError):
        check_proof(text, LEAVES[2], ORIGIN, VKEY)
    with pytest.raises(ProofError):
        check_proof(format_proof(make_proof(index=2)), LEAVES[1], ORIGIN, VKEY)
    with pytest.raises(ProofError):
        check_proof(text, LEAVES[1], "provenote.example/other", VKEY)
    with pytest.raises(SignatureError):
        check_proof(text, LEAVES[1], ORIGIN, ledger.format_vkey(ORIGIN, ACTOR_KEY.public_key))


def test_a_stale_proof_does_not_hold_under_a_newer_checkpoint() -> None:
    newer = sign_checkpoint(ORIGIN, 7, merkle.root([*LEAVES, LEAVES[0]]), LOG_KEY)
    stale = TlogProof(1, make_proof().hashes, newer)
    with pytest.raises(ProofError, match="inclusion"):
        check_proof(format_proof(stale), LEAVES[1], ORIGIN, VKEY)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (b"index 1\n", b"index 01\n"),
        (b"index 1\n", b"index +1\n"),
        (b"index 1\n", b"index 1 \n"),
        (b"index 1\n", b"index 1\nindex 1\n"),
        (b"index 1\n", b""),
        (b"index 1\n", b"index %d\n" % 2**63),
        (b"index 1\n", b"extra \nindex 1\n"),
        (b"index 1\n", b"index 1\nextra AA==\n"),
        (b"@v1", b"@v2"),
        (b"c2sp", b"\xc3\xa9c2sp"),
        (b"=\n", b"\n"),
        (b"=\n", b"=\r\n"),
    ],
)
def test_other_spellings_are_refused(old: bytes, new: bytes) -> None:
    text = format_proof(make_proof())
    assert old in text
    with pytest.raises(FormatError):
        parse_proof(text.replace(old, new, 1))


def test_limits_hold() -> None:
    for proof in (
        TlogProof(0, (bytes(32),) * 64, b"x"),
        TlogProof(0, (bytes(31),), b"x"),
        TlogProof(0, (), b""),
        TlogProof(0, (), b"x", b""),
        TlogProof(0, (), b"x", bytes(65_537)),
        TlogProof(-1, (), b"x"),
    ):
        with pytest.raises(FormatError):
            format_proof(proof)
    head = b"c2sp.org/tlog-proof@v1\nindex 0\n"
    line = base64.b64encode(bytes(32)) + b"\n"
    parse_proof(head + line * 63 + b"\nx")
    with pytest.raises(FormatError, match="at most 63 hashes"):
        parse_proof(head + line * 64 + b"\nx")
