import base64
import hashlib
import struct

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.mldsa import MLDSA44PublicKey
from ledger_world import ACTOR_KEY, LOG_KEY, ORIGIN, OTHER_KEY, VKEY, sha

from ledger import merkle, sign_checkpoint
from ledger.cosignature import (
    Cosignature,
    Cosigner,
    add_signatures,
    cosign,
    encode_subtree,
    open_cosigned,
    parse_cosigner,
    read_time,
)
from ledger.errors import (
    BadSignatureError,
    FormatError,
    LedgerError,
    ProofError,
    UnknownKeyError,
    WeakKeyError,
)
from ledger.mldsa import MldsaSigningKey
from ledger.note import format_key, parse_note

ROOT = sha("root")
NOTE = sign_checkpoint(ORIGIN, 5, ROOT, LOG_KEY)
TEXT = parse_note(NOTE)[0]
MLDSA_KEY = MldsaSigningKey(sha("mldsa"))
KEYS = {"witness.example/one": ACTOR_KEY, "witness.example/two": MLDSA_KEY}
COSIGNERS = [Cosigner(name, key.public_key) for name, key in KEYS.items()]
TIME_S = 1_790_000_000


def cosigned(text: str = TEXT, note: bytes = NOTE) -> bytes:
    return add_signatures(note, [cosign(text, name, key, time_s=TIME_S) for name, key in KEYS.items()])


def test_a_cosigned_checkpoint_opens_with_who_and_when() -> None:
    opened = open_cosigned(cosigned(), ORIGIN, VKEY, COSIGNERS)
    assert (opened.checkpoint.size, opened.checkpoint.root) == (5, ROOT)
    assert opened.cosignatures == tuple(Cosignature(c.name, c.vkey, TIME_S) for c in COSIGNERS)
    assert open_cosigned(cosigned(), ORIGIN, VKEY).cosignatures == ()
    assert open_cosigned(NOTE, ORIGIN, VKEY, COSIGNERS).cosignatures == ()


def test_the_bytes_are_those_of_the_specification_by_a_second_reading() -> None:
    lines = cosigned().decode().split("\n\n")[1].splitlines()
    name, blob = lines[1].split(" ")[1:]
    blob = base64.b64decode(blob)
    raw = ACTOR_KEY.public_key.raw
    assert blob[:4] == hashlib.sha256(name.encode() + b"\n\x04" + raw).digest()[:4]
    assert struct.unpack(">Q", blob[4:12]) == (TIME_S,)
    Ed25519PublicKey.from_public_bytes(raw).verify(
        blob[12:], f"cosignature/v1\ntime {TIME_S}\n{ORIGIN}\n5\n{base64.b64encode(ROOT).decode()}\n".encode()
    )
    name, blob = lines[2].split(" ")[1:]
    blob = base64.b64decode(blob)
    raw = MLDSA_KEY.public_key.raw
    assert blob[:4] == hashlib.sha256(name.encode() + b"\n\x06" + raw).digest()[:4]
    assert len(blob) == 4 + 8 + 2420
    message = b"subtree/v1\n\0" + bytes([len(name)]) + name.encode() + struct.pack(">Q", TIME_S)
    message += bytes([len(ORIGIN)]) + ORIGIN.encode() + struct.pack(">QQ", 0, 5) + ROOT
    MLDSA44PublicKey.from_public_bytes(raw).verify(blob[12:], message)


def test_every_changed_byte_of_a_cosignature_refuses_the_note() -> None:
    note = cosigned()
    start = note.index(b"\xe2\x80\x94 witness.example/one")
    stop = note.index(b"\xe2\x80\x94 witness.example/two")
    for position in range(start, stop):
        changed = bytearray(note)
        changed[position] ^= 1
        try:
            opened = open_cosigned(bytes(changed), ORIGIN, VKEY, COSIGNERS)
        except LedgerError:
            continue
        # Where the line no longer names the key, it is a stranger's and counts for nothing.
        assert [item.name for item in opened.cosignatures] == ["witness.example/two"]


@pytest.mark.parametrize("name", list(KEYS))
def test_a_cosignature_holds_for_its_own_checkpoint_time_and_name(name: str) -> None:
    key = KEYS[name]
    signature = cosign(TEXT, name, key, time_s=TIME_S)
    cosigner = Cosigner(name, key.public_key)
    cosigner.check(signature.signature, TEXT)
    later = (TIME_S + 1).to_bytes(8, "big") + signature.signature[8:]
    for text, blob in (
        (TEXT.replace("\n5\n", "\n6\n"), signature.signature),
        (TEXT.replace(ORIGIN, "provenote.example/other"), signature.signature),
        (TEXT, later),
        (TEXT, bytes(8) + signature.signature[8:]),
        (TEXT, b"\xff" * 8 + signature.signature[8:]),
        (TEXT, signature.signature[:8]),
        (TEXT, b""),
        ("no checkpoint\n", signature.signature),
    ):
        with pytest.raises(BadSignatureError):
            cosigner.check(blob, text)
    with pytest.raises(BadSignatureError):
        Cosigner(name, type(key)(sha("stranger")).public_key).check(signature.signature, TEXT)


def test_an_ml_dsa_cosignature_binds_the_cosigner_s_name_and_no_extension_line() -> None:
    signature = cosign(TEXT, "a.example", MLDSA_KEY, time_s=TIME_S).signature
    with pytest.raises(BadSignatureError):
        Cosigner("b.example", MLDSA_KEY.public_key).check(signature, TEXT)
    Cosigner("a.example", MLDSA_KEY.public_key).check(signature, TEXT + "extension\n")
    ed25519 = cosign(TEXT, "a.example", ACTOR_KEY, time_s=TIME_S).signature
    with pytest.raises(BadSignatureError):
        Cosigner("a.example", ACTOR_KEY.public_key).check(ed25519, TEXT + "extension\n")


def test_the_log_s_own_signature_is_always_needed() -> None:
    lines = cosigned().split("— witness.example/one".encode())
    stripped = TEXT.encode() + b"\n" + "— witness.example/one".encode() + lines[1]
    with pytest.raises(UnknownKeyError):
        open_cosigned(stripped, ORIGIN, VKEY, COSIGNERS)
    with pytest.raises(ProofError):
        open_cosigned(cosigned(), "provenote.example/other", VKEY, COSIGNERS)
    forged = sign_checkpoint(ORIGIN, 5, ROOT, OTHER_KEY)
    with pytest.raises(UnknownKeyError):
        open_cosigned(cosigned(note=forged), ORIGIN, VKEY, COSIGNERS)


def test_the_log_may_sign_with_ml_dsa_as_its_own_cosigner() -> None:
    note = add_signatures(NOTE, [cosign(TEXT, ORIGIN, MLDSA_KEY, time_s=TIME_S)])
    vkey = Cosigner(ORIGIN, MLDSA_KEY.public_key).vkey
    assert open_cosigned(note, ORIGIN, vkey).checkpoint.size == 5
    with pytest.raises(UnknownKeyError):
        open_cosigned(NOTE, ORIGIN, vkey)


def test_a_line_that_is_there_is_not_added_again() -> None:
    note = cosigned()
    assert add_signatures(note, [cosign(TEXT, "witness.example/one", ACTOR_KEY, time_s=TIME_S + 9)]) == note
    fresh = cosign(TEXT, "witness.example/three", OTHER_KEY, time_s=TIME_S)
    assert add_signatures(note, [fresh, fresh]).count(b"three") == 1


def test_cosigner_keys_have_one_spelling_and_two_types() -> None:
    for cosigner in COSIGNERS:
        assert parse_cosigner(cosigner.vkey) == cosigner
        with pytest.raises(FormatError):
            parse_cosigner(cosigner.vkey + "=")
    with pytest.raises(FormatError, match="0x04 or 0x06"):
        parse_cosigner(VKEY)
    with pytest.raises(FormatError):
        parse_cosigner(format_key("a.example", b"\x06", bytes(1311)))
    with pytest.raises(FormatError):
        parse_cosigner(format_key("a.example", b"\x04", bytes(31)))
    with pytest.raises(WeakKeyError):
        parse_cosigner(format_key("a.example", b"\x04", bytes(32)))


def test_what_cannot_be_cosigned_is_refused() -> None:
    for time_s in (0, -1, 2**63):
        with pytest.raises(ValueError, match="time"):
            cosign(TEXT, "a.example", ACTOR_KEY, time_s=time_s)
    with pytest.raises(FormatError):
        cosign("no checkpoint\n", "a.example", ACTOR_KEY, time_s=1)
    with pytest.raises(FormatError):
        cosign(TEXT, "a" * 256, MLDSA_KEY, time_s=1)
    with pytest.raises(FormatError):
        encode_subtree("a", TIME_S, ORIGIN, 8, 16, ROOT)
    assert encode_subtree("a", 0, ORIGIN, 8, 16, merkle.EMPTY_ROOT).startswith(b"subtree/v1\n\0\x01a")
    with pytest.raises(BadSignatureError):
        read_time(b"")
