import base64
from pathlib import Path
from typing import Any

import pytest
from bundle_world import ASSET, MARK_KEYS, MARKS, World, edit, make_mark_world, make_world
from ledger_world import ACTOR_KEY, VKEY, append, make_store, sha, sign_event

import ledger
from ledger import Place, SigningKey, make_bundle
from ledger.answer import MAX_ANSWER_BYTES, MarkId, Question, check_answer, make_answer
from ledger.bundling import Evidence
from ledger.errors import BundleError, CustodyError, FormatError, NotFoundError, ProofError
from ledger.event import KEYS_ASSET
from ledger.heads import HeadProof, digest_key, format_head_proof
from ledger.marks import tag_mark
from ledger.merkle import leaf_hash
from ledger.note import format_vkey
from ledger.replay import Replay
from ledger.vrf import VrfKey

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
    assert (found.records, found.events, found.since) == ((), 0, 0)
    assert found.as_of == world.store.state().size - 1
    assert (found.report.witnessed, found.report.vkey_pinned) == (True, True)
    assert len(content) < 32_768
    unknown = check_answer(ask(world, Question("track:never")), vkey=VKEY)
    assert (unknown.records, unknown.question.subject) == ((), "track:never")


def test_what_is_in_the_log_is_told_with_its_last_event(world: World) -> None:
    chain = world.store.chain(ASSET)
    (record,) = check_answer(ask(world, Question(ASSET)), vkey=VKEY).records
    assert (record.count, record.head) == (len(chain), leaf_hash(chain[-1][1]))
    *_, last = (item for item in world.store.mentions(0, chain[-1][0] + 1) if item.asset == ASSET)
    (digest,) = check_answer(ask(world, Question(last.digests[0])), vkey=VKEY).records
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
        (lambda members: members.update(format="provenote-answer/v3"), "form", "expected format"),
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


@pytest.fixture(scope="module")
def marked(tmp_path_factory: pytest.TempPathFactory):  # type: ignore[no-untyped-def]
    made = make_mark_world(tmp_path_factory.mktemp("marks"))
    yield made
    made.store.close()


def ask_mark(world: World, mark_id: bytes) -> bytes:
    return make_answer(world.store, Question(MarkId(mark_id)), world.evidence, mark_keys=MARK_KEYS)


def test_a_mark_that_is_not_in_the_log_is_proven_not_to_be(marked: World) -> None:
    nobody_s = sha("no mark")[:8]
    content = ask_mark(marked, nobody_s)
    found = check_answer(content, vkey=VKEY, policy=marked.policy, question=Question(MarkId(nobody_s)))
    assert (found.events, found.records) == (0, ())
    assert (found.since, found.as_of) == (2, marked.store.state().size - 1)
    assert len(content) < 32_768


def test_a_mark_in_the_log_is_found_under_every_mark_key_by_who_knows_its_id(marked: World) -> None:
    assert check_answer(ask_mark(marked, MARKS[0]), vkey=VKEY).events == 1
    found = check_answer(ask_mark(marked, MARKS[1]), vkey=VKEY)
    assert [item.count for item in found.records] == [1, 2]
    *_, (_, last) = marked.store.chain(ASSET)
    assert found.records[-1].head == leaf_hash(last)
    # What was committed to before the first mark key has no tag: the answer is about what came since.
    untagged = check_answer(ask_mark(marked, MARKS[2]), vkey=VKEY)
    assert (untagged.events, untagged.since) == (0, 2)


def test_the_public_log_shows_no_mark_to_who_has_no_mark_key(marked: World) -> None:
    whole = b"".join(marked.store.entries(0, marked.store.state().size))
    for mark_id in MARKS:
        assert mark_id.hex().encode() not in whole
    stranger = VrfKey(sha("a guess at the mark key"))
    tags = {item.tag for key in MARK_KEYS for item in [tag_mark(key, MARKS[1])]}
    mentioned = {digest for item in marked.store.mentions(0, 99) for digest in item.digests}
    assert tags <= mentioned
    assert tag_mark(stranger, MARKS[1]).tag not in mentioned


def other_mark(members: dict[str, Any]) -> None:
    members["subject"]["mark"] = MARKS[0].hex()


def exchanged(members: dict[str, Any]) -> None:
    members["tags"].reverse()


def one_key_left_out(members: dict[str, Any]) -> None:
    members["tags"].pop()


def tag_of_another(members: dict[str, Any]) -> None:
    proof = tag_mark(MARK_KEYS[1], MARKS[0]).proof
    members["tags"][1]["vrf"] = base64.b64encode(proof).decode()


def end_of_another(members: dict[str, Any]) -> None:
    members["tags"][1]["proof"] = members["tags"][0]["proof"]


def denied_mark(members: dict[str, Any]) -> None:
    members["tags"][1]["proof"]["end"] = None


@pytest.mark.parametrize(
    ("change", "code"),
    [
        (other_mark, "tag-bad"),
        (exchanged, "tag-bad"),
        (one_key_left_out, "tag-bad"),
        (tag_of_another, "tag-bad"),
        (end_of_another, "heads-bad"),
        (denied_mark, "heads-bad"),
        (lambda members: members["subject"].update(mark="AB"), "form"),
        (lambda members: members["subject"].update(mark=""), "form"),
        (lambda members: members["subject"].update(mark="ab" * 33), "form"),
        (lambda members: members.update(tags=[]), "form"),
        (lambda members: members["tags"][0].update(vrf="AAAA"), "tag-bad"),
        (lambda members: members["tags"][0].update(vrf="A"), "form"),
        (lambda members: members.update(format="provenote-answer/v1"), "form"),
        (lambda members: members.update(proof=members["tags"][0]["proof"]), "form"),
    ],
)
def test_an_answer_about_a_mark_with_a_changed_member_does_not_hold(
    marked: World, change: Any, code: str
) -> None:
    with pytest.raises(BundleError) as caught:
        check_answer(edit(ask_mark(marked, MARKS[1]), change), vkey=VKEY)
    assert caught.value.code == code, caught.value


def test_a_mark_is_answered_for_only_with_every_secret_and_from_a_tagging_log(
    world: World, marked: World
) -> None:
    with pytest.raises(NotFoundError, match="no mark key before it"):
        ask_mark(world, MARKS[0])
    with pytest.raises(NotFoundError, match="entry 5 is not here"):
        make_answer(marked.store, Question(MarkId(MARKS[0])), marked.evidence, mark_keys=MARK_KEYS[:1])
    for wrong in (b"", bytes(33)):
        with pytest.raises(FormatError, match="1 to 32 bytes"):
            ask_mark(marked, wrong)


def test_a_log_that_tags_marks_refuses_an_untagged_one_and_its_checks_agree(marked: World) -> None:
    place = Place(marked.store.origin, "track:untagged", 0, b"")
    entry = sign_event(place, commitments={"mark_id": sha("commitment").hex()})
    with pytest.raises(CustodyError, match="mark-untagged"):
        append(marked.store, entry)
    assert ledger.fsck(marked.store, vkey=VKEY, public_keys=[ACTOR_KEY.public_key]).ok
    replay = Replay(marked.store.origin)
    for taken in marked.store.entries(0, marked.store.state().size):
        replay.take(taken)
    with pytest.raises(ProofError, match="mark-untagged"):
        replay.take(entry)
