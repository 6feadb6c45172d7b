import itertools

import pytest
from ledger_world import LOG_KEY, ORIGIN, VKEY, sha

from ledger import SigningKey, sign_checkpoint
from ledger.cosignature import Cosigner, add_signatures, cosign
from ledger.errors import BadSignatureError, FormatError, LedgerError, QuorumError, UnknownKeyError
from ledger.mldsa import MldsaSigningKey
from ledger.note import parse_note
from ledger.policy import UNWITNESSED, Policy, open_witnessed, parse_policy

NAMES = ["X1", "X2", "X3", "Y1", "Y2", "Y3"]
KEYS = {name: SigningKey(sha(name)) for name in NAMES[:5]} | {"Y3": MldsaSigningKey(sha("Y3"))}
VKEYS = {name: Cosigner(f"{name}.example", key.public_key).vkey for name, key in KEYS.items()}
WITNESSES = "".join(f"witness {name} {vkey}\n" for name, vkey in VKEYS.items())
NOTE = sign_checkpoint(ORIGIN, 5, sha("root"), LOG_KEY)


def parse(text: str) -> Policy:
    return parse_policy(text.encode())


EXAMPLE = parse(
    f"log {VKEY}\n\n{WITNESSES}# the example of the specification\n"
    "group X-witnesses 2 X1 X2 X3\n\tgroup  Y-witnesses\tany Y1 Y2 Y3 \n"
    "group X-and-Y all X-witnesses Y-witnesses\nquorum X-and-Y\n"
)


def cosigned(*names: str) -> bytes:
    text = parse_note(NOTE)[0]
    return add_signatures(NOTE, [cosign(text, f"{name}.example", KEYS[name], time_s=9) for name in names])


def test_the_quorum_of_the_specification_s_example_for_every_set_of_witnesses() -> None:
    for count in range(7):
        for names in itertools.combinations(NAMES, count):
            xs, ys = sum(name[0] == "X" for name in names), sum(name[0] == "Y" for name in names)
            assert EXAMPLE.is_met({VKEYS[name] for name in names}) == (xs >= 2 and ys >= 1)


def test_a_checkpoint_is_believed_with_its_quorum_alone() -> None:
    opened = open_witnessed(cosigned("X1", "X3", "Y3"), EXAMPLE)
    assert [item.name for item in opened.cosignatures] == ["X1.example", "X3.example", "Y3.example"]
    for names in (("X1", "X3"), ("X1", "Y1", "Y2"), ()):
        with pytest.raises(QuorumError, match="X-and-Y"):
            open_witnessed(cosigned(*names), EXAMPLE)
    wrong = cosigned("X1", "X3").replace(b"\n5\n", b"\n6\n")
    with pytest.raises(BadSignatureError):
        open_witnessed(wrong, EXAMPLE)


def test_unknown_cosigners_and_a_cosigner_s_second_line_do_not_count() -> None:
    text = parse_note(NOTE)[0]
    stranger = cosign(text, "X2.example", SigningKey(sha("stranger")), time_s=9)
    twice = cosign(text, "X1.example", KEYS["X1"], time_s=10)
    note = cosigned("X1", "Y1") + (stranger.line() + twice.line()).encode()
    with pytest.raises(QuorumError):
        open_witnessed(note, EXAMPLE)


def test_a_cosignature_from_another_checkpoint_refuses_the_note() -> None:
    other = parse_note(sign_checkpoint(ORIGIN, 6, sha("root"), LOG_KEY))[0]
    moved = cosign(other, "X1.example", KEYS["X1"], time_s=9)
    with pytest.raises(BadSignatureError):
        open_witnessed(NOTE + moved.line().encode(), EXAMPLE)


def test_logs_outside_the_policy_are_refused() -> None:
    foreign = sign_checkpoint("other.example", 5, sha("root"), LOG_KEY)
    with pytest.raises(UnknownKeyError):
        open_witnessed(foreign, EXAMPLE)
    with pytest.raises(UnknownKeyError, match="none"):
        open_witnessed(NOTE, UNWITNESSED)


def test_no_quorum_is_a_policy_too() -> None:
    policy = parse(f"log {VKEY} https://log.example/\nquorum none\n")
    assert policy.logs[0].url == "https://log.example/"
    assert open_witnessed(NOTE, policy).cosignatures == ()
    single = parse(f"witness a {VKEYS['X1']} https://w.example\nquorum a\n")
    assert single.witnesses[0].url == "https://w.example"
    assert single.is_met({VKEYS["X1"]})
    assert not single.is_met({VKEYS["X2"]})


def test_names_are_opaque_octets() -> None:
    policy = parse_policy(
        b"witness \xff\xe2\x84\xaa " + VKEYS["X1"].encode() + b"\nquorum \xff\xe2\x84\xaa\n"
    )
    assert policy.is_met({VKEYS["X1"]})


W = f"witness a {VKEYS['X1']}\n"


@pytest.mark.parametrize(
    "text",
    [
        "",
        W,
        "quorum b\n",
        f"{W}quorum a",
        f"{W}quorum a\nquorum a\n",
        f"{W}quorum a b\n",
        f"{W}quorum\n",
        f"quorum a\n{W}",
        f"{W}{W}quorum a\n",
        f"{W}witness b {VKEYS['X1']}\nquorum a\n",
        f"witness none {VKEYS['X1']}\nquorum none\n",
        f"witness a {VKEY}\nquorum a\n",
        "witness a\nquorum none\n",
        f"log {VKEY}\nlog {VKEY}\nquorum none\n",
        "log\nquorum none\n",
        f"log {VKEYS['X1'][:-4]}\nquorum none\n",
        f"{W}group g 0 a\nquorum g\n",
        f"{W}group g 2 a\nquorum g\n",
        f"{W}group g 01 a\nquorum g\n",
        f"{W}group g some a\nquorum g\n",
        f"{W}group g all\nquorum g\n",
        f"{W}group g any b\nquorum g\n",
        f"{W}group g any a a\nquorum g\n",
        f"{W}group g any a\ngroup h any a\nquorum g\n",
        f"{W}group a any a\nquorum a\n",
        f"{W}group g any g\nquorum g\n",
        f"{W}group g any none\nquorum g\n",
        f"{W}quorum a\r\n",
        f"{W}quorum a\x00\n",
        f"{W}observer b\nquorum a\n",
        "\n" * 1001,
    ],
)
def test_other_texts_are_no_policy(text: str) -> None:
    with pytest.raises(LedgerError):
        parse(text)


def test_the_line_at_fault_is_named() -> None:
    with pytest.raises(FormatError, match="line 2"):
        parse(f"{W}group g any b\nquorum g\n")
