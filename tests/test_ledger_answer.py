from pathlib import Path
from typing import Any

import pytest
from bundle_world import ASSET, World, edit, make_world
from ledger_world import VKEY, make_store, sha

from ledger import SigningKey, make_bundle
from ledger.answer import MAX_ANSWER_BYTES, Question, check_answer, make_answer
from ledger.bundling import Evidence
from ledger.errors import BundleError, NotFoundError
from ledger.event import KEYS_ASSET
from ledger.heads import HeadProof, digest_key, format_head_proof
from ledger.merkle import leaf_hash
from ledger.note import format_vkey

NOWHERE = Question(sha("a file that nobody registered"))


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory):  # type: ignore[no-untyped-def]
    made = make_world(tmp_path_factory.mktemp("answer"))
    yield made
    made.store.close()


def ask(world: World, question: Question) -> bytes:
    return make_answer(world.store, question, world.evidence)


def test_what_is_not_in_the_log_is_proven_not_to_be(world: World) -> None:
    content = ask(world, NOWHERE)
    found = check_answer(content, vkey=VKEY, policy=world.policy, question=NOWHERE)
    assert found.record is None
    assert found.as_of == world.store.state().size - 1
    assert (found.report.witnessed, found.report.vkey_pinned) == (True, True)
    assert len(content) < 32_768
    unknown = check_answer(ask(world, Question("track:never")), vkey=VKEY)
    assert (unknown.record, unknown.question.subject) == (None, "track:never")


def test_what_is_in_the_log_is_told_with_its_last_event(world: World) -> None:
    chain = world.store.chain(ASSET)
    record = check_answer(ask(world, Question(ASSET)), vkey=VKEY).record
    assert record is not None
    assert (record.count, record.head) == (len(chain), leaf_hash(chain[-1][1]))
    *_, last = (item for item in world.store.mentions(0, chain[-1][0] + 1) if item.asset == ASSET)
    digest = check_answer(ask(world, Question(last.digests[0])), vkey=VKEY).record
    assert digest is not None
    assert digest.key == digest_key(last.digests[0])


def other_subject(members: dict[str, Any]) -> None:
    members["subject"] = {"asset": ASSET}


def denied(members: dict[str, Any]) -> None:
    members["proof"]["end"] = None


def emptied(members: dict[str, Any]) -> None:
    members["proof"] = format_head_proof(HeadProof(None, ()))


def without_map(members: dict[str, Any]) -> None:
    members["bundle"]["heads"] = None


def later_index(members: dict[str, Any]) -> None:
    members["bundle"]["heads"]["anchor"] += 1


def changed_map(members: dict[str, Any]) -> None:
    anchor = members["bundle"]["entries"][-1]["payload"]["predicate"]
    anchor["heads_root"] = sha("another map").hex()


@pytest.mark.parametrize(
    ("change", "code", "words"),
    [
        (other_subject, "heads-bad", "answer: head proof"),
        (denied, "heads-bad", "answer: head proof"),
        (emptied, "heads-bad", "expected the map root"),
        (without_map, "heads-bad", "anchored map of heads"),
        (later_index, "heads-bad", "expected an anchor"),
        (changed_map, "not-in-log", "entry"),
        (lambda members: members.update(subject={"sha256": "00"}), "form", "64 lower-case"),
        (lambda members: members.update(subject={"asset": "a b"}), "form", "asset"),
        (lambda members: members.update(format="provenote-answer/v2"), "form", "expected format"),
        (lambda members: members.update(more=1), "form", "more"),
    ],
)
def test_an_answer_with_a_changed_member_does_not_hold(
    world: World, change: Any, code: str, words: str
) -> None:
    with pytest.raises(BundleError, match=words) as caught:
        check_answer(edit(ask(world, NOWHERE), change), vkey=VKEY)
    assert caught.value.code == code


def test_a_known_asset_cannot_be_denied_with_the_proof_of_an_unknown_one(world: World) -> None:
    proof = read_proof(ask(world, NOWHERE))
    with pytest.raises(BundleError, match="head proof") as caught:
        check_answer(
            edit(ask(world, Question(ASSET)), lambda members: members.update(proof=proof)), vkey=VKEY
        )
    assert caught.value.code == "heads-bad"


def read_proof(answer: bytes) -> Any:
    found: dict[str, Any] = {}
    edit(answer, found.update)
    return found["proof"]


def test_only_the_bundle_of_all_keys_can_carry_an_answer(world: World) -> None:
    other: dict[str, Any] = {}
    edit(world.bundle, other.update)
    with pytest.raises(BundleError, match="expected a bundle of 'keys'"):
        check_answer(edit(ask(world, NOWHERE), lambda members: members.update(bundle=other)), vkey=VKEY)


def test_an_answer_is_to_the_question_asked_and_of_the_log_asked(world: World) -> None:
    content = ask(world, NOWHERE)
    with pytest.raises(BundleError) as caught:
        check_answer(content, vkey=VKEY, question=Question(ASSET))
    assert caught.value.code == "subject"
    stranger = format_vkey(world.store.origin, SigningKey(sha("stranger")).public_key)
    with pytest.raises(BundleError) as caught:
        check_answer(content, vkey=stranger)
    assert caught.value.code == "log-key"
    with pytest.raises(BundleError):
        check_answer(b" " * (MAX_ANSWER_BYTES + 1))


def test_a_log_without_an_anchor_gives_no_answer(world: World, tmp_path: Path) -> None:
    with make_store(tmp_path) as store, pytest.raises(NotFoundError, match="publish"):
        make_answer(store, NOWHERE, Evidence(heads=world.evidence.heads))
    with pytest.raises(NotFoundError, match="publish"):
        make_answer(world.store, NOWHERE, Evidence())
    assert make_bundle(world.store, KEYS_ASSET)
