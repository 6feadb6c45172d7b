import json

import pytest
from ledger_world import ACTOR_KEY, LOG_KEY, ORIGIN, OTHER_KEY, VKEY, sha, vector_path
from test_ledger_merkle import ROOTS, TREE
from witness_server import WitnessState

from ledger import PublicKey, merkle, sign_checkpoint
from ledger.cosignature import Cosigner, cosign
from ledger.errors import BadSignatureError, FormatError, SourceUnreachableError
from ledger.mldsa import MldsaSigningKey
from ledger.note import VerifierKey, parse_note, parse_vkey
from ledger.policy import Witness
from ledger.witness import (
    AddCheckpoint,
    Outcome,
    format_request,
    open_answer,
    parse_request,
    parse_size,
    submit_checkpoint,
)

NAME = "witness.example/one"
NOW_S = 1_790_000_000
WITNESS = Witness("one", Cosigner(NAME, ACTOR_KEY.public_key), "https://witness.example/prefix/")


def make_note(size: int) -> bytes:
    return sign_checkpoint(ORIGIN, size, ROOTS[size], LOG_KEY)


def make_state(**options: object) -> WitnessState:
    return WitnessState(NAME, ACTOR_KEY, {ORIGIN: parse_vkey(VKEY)}, clock=lambda: NOW_S, **options)


def submit(size: int, state: WitnessState, *, old_size: int = 0, witness: Witness = WITNESS):  # type: ignore[no-untyped-def]
    def post(url: str, body: bytes) -> tuple[int, bytes]:
        assert url == "https://witness.example/prefix/add-checkpoint"
        parse_request(body)
        return state.add_checkpoint(body)

    return submit_checkpoint(TREE.read, make_note(size), witness, post, old_size=old_size, now_s=NOW_S)


def answering(status: int, body: bytes):  # type: ignore[no-untyped-def]
    return submit_checkpoint(
        TREE.read, make_note(5), WITNESS, lambda *_: (status, body), old_size=0, now_s=NOW_S
    )


def test_the_requests_of_litewitness_parse_and_the_test_s_witness_judges_them_as_they_say() -> None:
    vectors = json.loads(vector_path("tlog-witness/add-checkpoint.json").read_text("utf-8"))
    origin = vectors["log_origin"]
    key = VerifierKey(origin, PublicKey(bytes.fromhex(vectors["log_ed25519_public_key_hex"])))
    state = WitnessState("example.com/witness", ACTOR_KEY, {origin: key})
    assert len(vectors["steps"]) == 9
    for step in vectors["steps"]:
        body = step["request"].encode()
        assert format_request(parse_request(body)) == body
        status, answer = state.add_checkpoint(body)
        assert status == step["status"]
        if status == 200:
            assert "— example.com/witness" in answer.decode()
        if status == 409:
            assert step["assert"] == f'body == "{parse_size(answer)}\\n"'


def test_a_witness_is_followed_as_the_log_grows() -> None:
    state = make_state()
    for old, new in ((0, 1), (1, 1), (1, 6), (6, 64), (64, 100)):
        found = submit(new, state, old_size=old)
        assert (found.outcome, found.size) == (Outcome.COSIGNED, new)
        WITNESS.cosigner.check(found.signature.signature, parse_note(make_note(new))[0])
    assert state.requests == 5


def test_a_conflict_is_answered_from_the_size_where_the_witness_stands() -> None:
    state = make_state()
    submit(33, state)
    for believed in (0, 1, 40, 64, 10**9):
        found = submit(64, state, old_size=believed)
        assert (found.outcome, found.size) == (Outcome.COSIGNED, 64)
    found = submit(64, state)
    assert (found.outcome, found.detail) == (Outcome.COSIGNED, "from size 64")


def test_a_witness_that_has_seen_more_or_other_than_this_is_an_alarm() -> None:
    state = make_state()
    submit(64, state)
    found = submit(33, state)
    assert (found.outcome, found.size, found.signature) == (Outcome.AHEAD, 64, None)
    state.seen[ORIGIN] = (33, sha("another history"))
    found = submit(64, state)
    assert (found.outcome, found.size) == (Outcome.INCONSISTENT, 33)
    assert "422" in found.detail
    found = submit(33, state)
    assert found.outcome is Outcome.INCONSISTENT


def test_refusals_and_silence_are_told_apart() -> None:
    stranger = WitnessState(NAME, ACTOR_KEY, {}, clock=lambda: NOW_S)
    assert submit(5, stranger).outcome is Outcome.REFUSED
    other_log = WitnessState(NAME, ACTOR_KEY, {ORIGIN: VerifierKey(ORIGIN, OTHER_KEY.public_key)})
    found = submit(5, other_log)
    assert (found.outcome, found.detail) == (Outcome.REFUSED, "answered 403: invalid signature")
    for status in (500, 502, 503, 429):
        assert answering(status, b"").outcome is Outcome.UNREACHABLE

    def silent(url: str, body: bytes) -> tuple[int, bytes]:
        raise SourceUnreachableError("no route")

    found = submit_checkpoint(TREE.read, make_note(5), WITNESS, silent, old_size=0, now_s=NOW_S)
    assert (found.outcome, found.detail) == (Outcome.UNREACHABLE, "no route")


@pytest.mark.parametrize(
    "body",
    [b"", b"5", b"-1\n", b"05\n", b"5\n\n", b" 5\n", b"x\n", b"\xff\n", b"9" * 30 + b"\n"],
)
def test_a_size_that_is_none_is_a_refusal(body: bytes) -> None:
    with pytest.raises(FormatError):
        parse_size(body)
    assert answering(409, body).outcome is Outcome.REFUSED


def test_a_witness_that_never_agrees_is_left_after_three_answers() -> None:
    answers = iter([b"1\n", b"2\n", b"3\n", b"4\n"])
    found = submit_checkpoint(
        TREE.read, make_note(5), WITNESS, lambda *_: (409, next(answers)), old_size=0, now_s=NOW_S
    )
    assert (found.outcome, found.size) == (Outcome.REFUSED, 3)
    assert next(answers) == b"4\n"


def test_a_lying_witness_gains_nothing() -> None:
    text = parse_note(make_note(5))[0]
    other = parse_note(make_note(6))[0]
    for lines in (
        b"",
        b"no lines\n",
        cosign(text, NAME, OTHER_KEY, time_s=NOW_S).line().encode(),
        cosign(text, "someone.example", ACTOR_KEY, time_s=NOW_S).line().encode(),
        cosign(other, NAME, ACTOR_KEY, time_s=NOW_S).line().encode(),
        cosign(text, NAME, ACTOR_KEY, time_s=NOW_S + 301).line().encode(),
        cosign(text, NAME, ACTOR_KEY, time_s=NOW_S - 301).line().encode(),
        cosign(text, NAME, ACTOR_KEY, time_s=NOW_S).line().encode() * 101,
    ):
        found = answering(200, lines)
        assert (found.outcome, found.signature) == (Outcome.REFUSED, None), lines
    strangers = cosign(text, "someone.example", OTHER_KEY, time_s=1).line().encode()
    own = cosign(text, NAME, ACTOR_KEY, time_s=NOW_S)
    assert answering(200, strangers + own.line().encode()).signature == own
    with pytest.raises(BadSignatureError):
        open_answer(own.line().encode(), other, WITNESS.cosigner, now_s=NOW_S)


def test_an_ml_dsa_witness_is_followed_like_any_other() -> None:
    key = MldsaSigningKey(sha("mldsa"))
    state = WitnessState(NAME, key, {ORIGIN: parse_vkey(VKEY)}, clock=lambda: NOW_S)
    witness = Witness("one", Cosigner(NAME, key.public_key), WITNESS.url)
    assert submit(5, state, witness=witness).outcome is Outcome.COSIGNED


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (b"old 3\n", b"old 03\n"),
        (b"old 3\n", b"old 3 \n"),
        (b"old 3\n", b"Old 3\n"),
        (b"old 3\n", b"old -3\n"),
        (b"old 3\n", b""),
        (b"=\n\n", b"=\n"),
        (b"=\n", b"\n"),
        (b"old 3\n", b"old 3\n" + b"A" * 43 + b"=\n" * 1 + (b"A" * 43 + b"=\n") * 63),
        (b"old 3\n", b"\xe9ld 3\n"),
    ],
)
def test_other_spellings_of_a_request_are_refused(old: bytes, new: bytes) -> None:
    body = format_request(AddCheckpoint(3, merkle.consistency_proof(TREE.read, 3, 5), make_note(5)))
    assert parse_request(body).old_size == 3
    assert old in body
    with pytest.raises(FormatError):
        parse_request(body.replace(old, new, 1))


def test_limits_hold() -> None:
    for request in (
        AddCheckpoint(-1, (), b""),
        AddCheckpoint(2**63, (), b""),
        AddCheckpoint(1, (bytes(32),) * 64, b""),
        AddCheckpoint(1, (bytes(31),), b""),
    ):
        with pytest.raises(FormatError):
            format_request(request)
    with pytest.raises(FormatError, match="at most"):
        parse_request(b"old 1\n\n" + bytes(1_000_001))
