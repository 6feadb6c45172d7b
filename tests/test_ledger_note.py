import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from ledger_world import ACTOR_KEY, LOG_KEY, ORIGIN, VKEY, vector_path

from ledger.errors import BadSignatureError, FormatError, LedgerError, UnknownKeyError, WeakKeyError
from ledger.note import (
    MAX_NOTE_BYTES,
    MAX_SIGNATURES,
    format_vkey,
    open_note,
    parse_note,
    parse_vkey,
    sign_note,
)


def read_vectors() -> dict:
    return json.loads(vector_path("signed-note/signed-note.json").read_text("utf-8"))


def test_notes_of_the_specification_and_of_go_verify_by_exactly_their_signers() -> None:
    cases = read_vectors()["accept"]
    assert len(cases) == 5
    for case in cases:
        opened = open_note(case["note"].encode(), [parse_vkey(vkey) for vkey in case["vkeys"]])
        assert opened.text == case["text"]
        assert [item.name for item in opened.signatures] == case["verified"]


def test_broken_notes_are_refused() -> None:
    cases = read_vectors()["reject"]
    assert len(cases) == 11
    for case in cases:
        with pytest.raises(LedgerError):
            open_note(case["note"].encode(), [parse_vkey(vkey) for vkey in case["vkeys"]])


def test_broken_verifier_keys_are_refused() -> None:
    for vkey in read_vectors()["reject_vkeys"]:
        with pytest.raises(LedgerError):
            parse_vkey(vkey)


def test_a_verifier_key_has_one_spelling() -> None:
    assert format_vkey(parse_vkey(VKEY).name, parse_vkey(VKEY).public_key) == VKEY
    name, key_hash, material = VKEY.split("+", 2)
    for other in (
        f"{name}+{key_hash.upper()}+{material}",
        f"{name}+{key_hash}+{material} ",
        f"{name} +{key_hash}+{material}",
    ):
        with pytest.raises(FormatError):
            parse_vkey(other)


def test_a_weak_key_is_no_verifier_key() -> None:
    import base64
    import hashlib

    material = b"\x01" + bytes(32)
    key_hash = hashlib.sha256(b"x\n" + material).hexdigest()[:8]
    with pytest.raises(WeakKeyError):
        parse_vkey(f"x+{key_hash}+{base64.b64encode(material).decode()}")


TEXTS = st.text(st.characters(exclude_categories=["Cs", "Cc"]), min_size=1, max_size=30)


@settings(derandomize=True, max_examples=60, deadline=None)
@given(st.lists(TEXTS, min_size=1, max_size=4))
def test_a_signed_note_opens_to_its_text(lines: list[str]) -> None:
    text = "\n".join(lines) + "\n"
    note = sign_note(text, ORIGIN, LOG_KEY)
    assert open_note(note, [parse_vkey(VKEY)]).text == text


def test_every_changed_byte_of_a_note_is_refused() -> None:
    note = sign_note("line\n\nsecond\n", ORIGIN, LOG_KEY)
    for position in range(len(note)):
        changed = bytearray(note)
        changed[position] ^= 1
        with pytest.raises(LedgerError):
            open_note(bytes(changed), [parse_vkey(VKEY)])
        with pytest.raises(LedgerError):
            open_note(note[:position], [parse_vkey(VKEY)])
    with pytest.raises(FormatError):
        open_note(note + b"\n", [parse_vkey(VKEY)])


def test_signatures_of_strangers_are_kept_apart_and_a_repeated_one_counts_once() -> None:
    note = sign_note("text\n", ORIGIN, LOG_KEY)
    line = note.decode().split("\n\n")[1]
    stranger = sign_note("text\n", "someone.example", ACTOR_KEY).decode().split("\n\n")[1]
    opened = open_note(note + (stranger + line).encode(), [parse_vkey(VKEY)])
    assert [item.name for item in opened.signatures] == [ORIGIN]
    assert [item.name for item in opened.unverified_signatures] == ["someone.example"]


def test_a_known_key_that_fails_refuses_the_note_whatever_else_verifies() -> None:
    note = sign_note("text\n", ORIGIN, LOG_KEY)
    wrong = sign_note("other\n", "actor.example", ACTOR_KEY).decode().split("\n\n")[1]
    known = [parse_vkey(VKEY), parse_vkey(format_vkey("actor.example", ACTOR_KEY.public_key))]
    with pytest.raises(BadSignatureError):
        open_note(note + wrong.encode(), known)


def test_limits_on_size_and_signatures_hold() -> None:
    note = sign_note("text\n", ORIGIN, LOG_KEY)
    stranger = sign_note("text\n", "someone.example", ACTOR_KEY).decode().split("\n\n")[1].encode()
    open_note(note + stranger * (MAX_SIGNATURES - 1), [parse_vkey(VKEY)])
    with pytest.raises(FormatError, match="at most 100 signatures"):
        open_note(note + stranger * MAX_SIGNATURES, [parse_vkey(VKEY)])
    with pytest.raises(FormatError, match="at most 1000000 bytes"):
        parse_note(b"x" * (MAX_NOTE_BYTES + 1))


def test_a_note_by_other_keys_alone_is_refused() -> None:
    with pytest.raises(UnknownKeyError, match="expected a signature by"):
        open_note(sign_note("text\n", ORIGIN, ACTOR_KEY), [parse_vkey(VKEY)])


@pytest.mark.parametrize("text", ["", "no newline", "\n", "tab\there\n", "nul\0\n", "return\r\n"])
def test_texts_that_a_note_cannot_hold_are_not_signed(text: str) -> None:
    with pytest.raises(FormatError):
        sign_note(text, ORIGIN, LOG_KEY)


@pytest.mark.parametrize("name", ["", "a b", "a+b", "a\u00a0b", "a\nb", "a\tb"])
def test_names_that_a_key_cannot_have_are_refused(name: str) -> None:
    with pytest.raises(FormatError):
        sign_note("text\n", name, LOG_KEY)
