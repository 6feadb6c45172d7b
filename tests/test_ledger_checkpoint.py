import base64
import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from ledger_world import ACTOR_KEY, LOG_KEY, ORIGIN, VKEY, vector_path

from ledger import Checkpoint, merkle, open_checkpoint, sign_checkpoint
from ledger.checkpoint import format_checkpoint, parse_checkpoint
from ledger.errors import BadSignatureError, FormatError, LedgerError, ProofError, UnknownKeyError
from ledger.note import sign_note

ROOT = bytes(range(32))
ROOT_LINE = base64.b64encode(ROOT).decode()


@settings(derandomize=True, max_examples=60, deadline=None)
@given(st.integers(1, 2**63 - 1), st.binary(min_size=32, max_size=32))
def test_a_signed_checkpoint_opens_to_its_fields(size: int, root: bytes) -> None:
    note = sign_checkpoint(ORIGIN, size, root, LOG_KEY)
    assert open_checkpoint(note, ORIGIN, VKEY) == Checkpoint(ORIGIN, size, root)


def test_extension_lines_of_others_are_kept() -> None:
    text = f"{ORIGIN}\n5\n{ROOT_LINE}\nextra one\nextra two\n"
    checkpoint = parse_checkpoint(text)
    assert checkpoint == Checkpoint(ORIGIN, 5, ROOT, ("extra one", "extra two"))
    assert format_checkpoint(checkpoint) == text


@pytest.mark.parametrize(
    "text",
    [
        "",
        f"{ORIGIN}\n5\n",
        f"{ORIGIN}\n5\n{ROOT_LINE}",
        f"\n5\n{ROOT_LINE}\n",
        f"{ORIGIN}\n05\n{ROOT_LINE}\n",
        f"{ORIGIN}\n+5\n{ROOT_LINE}\n",
        f"{ORIGIN}\n-5\n{ROOT_LINE}\n",
        f"{ORIGIN}\n５\n{ROOT_LINE}\n",  # a full-width digit
        f"{ORIGIN}\n5 \n{ROOT_LINE}\n",
        f"{ORIGIN}\n{2**63}\n{ROOT_LINE}\n",
        f"{ORIGIN}\n{'9' * 5000}\n{ROOT_LINE}\n",
        f"{ORIGIN}\n0\n{ROOT_LINE}\n",  # the empty tree has one root
        f"{ORIGIN}\n5\n{ROOT_LINE[:-4]}\n",
        f"{ORIGIN}\n5\n{ROOT_LINE[:-1]}\n",
        f"{ORIGIN}\n5\n{ROOT_LINE}\n\n",
        f"{ORIGIN}\n5\n{ROOT_LINE}\n\nextra\n",
    ],
)
def test_other_texts_are_no_checkpoint(text: str) -> None:
    with pytest.raises(FormatError):
        parse_checkpoint(text)


def test_a_checkpoint_of_another_log_or_key_is_refused() -> None:
    note = sign_checkpoint(ORIGIN, 5, ROOT, LOG_KEY)
    with pytest.raises(UnknownKeyError):
        open_checkpoint(sign_checkpoint(ORIGIN, 5, ROOT, ACTOR_KEY), ORIGIN, VKEY)
    with pytest.raises(ProofError, match="expected the log"):
        open_checkpoint(note, "provenote.example/other", VKEY)
    foreign = sign_note(f"provenote.example/other\n5\n{ROOT_LINE}\n", ORIGIN, LOG_KEY)
    with pytest.raises(ProofError, match="expected the log"):
        open_checkpoint(foreign, ORIGIN, VKEY)
    with pytest.raises(BadSignatureError):
        open_checkpoint(note.replace(b"\n5\n", b"\n6\n"), ORIGIN, VKEY)


def test_the_go_checksum_database_s_checkpoint_opens() -> None:
    cases = json.loads(vector_path("signed-note/signed-note.json").read_text("utf-8"))["accept"]
    case = next(item for item in cases if "checksum database" in item["name"])
    checkpoint = open_checkpoint(case["note"].encode(), "go.sum database tree", case["vkeys"][0])
    assert checkpoint.size == 35225469


def test_real_rekor_checkpoints_and_proofs_are_judged_as_they_say() -> None:
    cases = json.loads(vector_path("real-log-rekor2/cases.json").read_text("utf-8"))["cases"]
    assert len(cases) == 11
    for case in cases:
        origin = case["vkey"].split("+")[0]
        proof = [base64.b64decode(item) for item in case["inclusion_proof_b64"]]
        leaf = merkle.leaf_hash(base64.b64decode(case["leaf_b64"]))

        def judge(case=case, origin=origin, proof=proof, leaf=leaf) -> None:  # type: ignore[no-untyped-def]
            checkpoint = open_checkpoint(case["checkpoint"].encode(), origin, case["vkey"])
            merkle.check_inclusion(case["index"], checkpoint.size, leaf, proof, checkpoint.root)

        if case["accept"]:
            judge()
        else:
            with pytest.raises(LedgerError):
                judge()
