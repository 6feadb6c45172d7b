from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from ledger_world import ACTOR_KEY, OTHER_KEY

from ledger import envelope, open_envelope, sign_envelope
from ledger.canonical import format_json, parse_object
from ledger.encoding import decode_base64, decode_base64url, encode_base64, encode_base64url
from ledger.envelope import MAX_ENTRY_BYTES, Envelope, encode_pae, format_envelope, parse_envelope
from ledger.errors import BadSignatureError, FormatError, LedgerError, UnknownKeyError


def test_pae_is_that_of_the_dsse_specification() -> None:
    # The example of the DSSE protocol document.
    assert encode_pae(b"hello world", "http://example.com/HelloWorld") == (
        b"DSSEv1 29 http://example.com/HelloWorld 11 hello world"
    )


@settings(derandomize=True, max_examples=50, deadline=None)
@given(st.binary(max_size=300))
def test_an_envelope_opens_to_what_was_signed_and_formats_back(payload: bytes) -> None:
    entry = sign_envelope(payload, [ACTOR_KEY, OTHER_KEY])
    opened = open_envelope(entry, [OTHER_KEY.public_key, ACTOR_KEY.public_key])
    assert (opened.payload, opened.key_ids) == (payload, (ACTOR_KEY.key_id, OTHER_KEY.key_id))
    assert format_envelope(parse_envelope(entry)) == entry


def test_every_changed_byte_of_an_entry_is_refused() -> None:
    entry = sign_envelope(b'{"a":1}', [ACTOR_KEY])
    for position in range(len(entry)):
        for flip in (0x01, 0x20):  # 0x20 changes the case of a letter
            changed = bytearray(entry)
            changed[position] ^= flip
            with pytest.raises(LedgerError):
                open_envelope(bytes(changed), [ACTOR_KEY.public_key])


def test_a_stranger_s_signature_and_a_wrong_one_are_told_apart() -> None:
    entry = sign_envelope(b"x", [ACTOR_KEY, OTHER_KEY])
    with pytest.raises(UnknownKeyError) as unknown:
        open_envelope(entry, [ACTOR_KEY.public_key])
    assert unknown.value.key_id == OTHER_KEY.key_id
    members = parse_object(entry, max_bytes=10**5)
    members["payload"] = encode_base64(b"y")
    with pytest.raises(BadSignatureError) as bad:
        open_envelope(format_json(members), [ACTOR_KEY.public_key, OTHER_KEY.public_key])
    assert bad.value.key_id == ACTOR_KEY.key_id


@pytest.mark.parametrize(
    "change",
    [
        {"payloadType": "application/json"},
        {"payload": "eA"},
        {"payload": "eB=="},  # stray bits after the last byte
        {"payload": 5},
        {"signatures": []},
        {"signatures": {}},
        {"signatures": [{"keyid": "a", "sig": "AAAA"}]},
        {"signatures": [{"keyid": "", "sig": encode_base64(bytes(64))}]},
        {"signatures": [{"keyid": "a", "sig": encode_base64(bytes(64)), "cert": ""}]},
        {"signatures": [{"keyid": "a", "sig": encode_base64(bytes(64))}] * 2},
        {"signatures": [{"keyid": str(n), "sig": encode_base64(bytes(64))} for n in range(9)]},
        {"extra": 1},
    ],
)
def test_other_envelopes_are_refused(change: dict[str, object]) -> None:
    members = parse_object(sign_envelope(b"x", [ACTOR_KEY]), max_bytes=10**5)
    with pytest.raises(FormatError):
        parse_envelope(format_json(members | change))


def test_an_entry_longer_than_the_limit_is_refused() -> None:
    with pytest.raises(FormatError, match=f"at most {MAX_ENTRY_BYTES} bytes"):
        sign_envelope(bytes(45_000), [ACTOR_KEY])
    sign_envelope(bytes(44_000), [ACTOR_KEY])


@pytest.mark.parametrize("keys", [[], [ACTOR_KEY, ACTOR_KEY], [ACTOR_KEY] * 9])
def test_signing_needs_one_to_eight_different_keys(keys: list) -> None:
    with pytest.raises(ValueError, match="signing keys"):
        sign_envelope(b"x", keys)


@settings(derandomize=True, max_examples=100, deadline=None)
@given(st.text(alphabet="AZaz09+/-_= \n", max_size=12))
def test_a_base64_text_has_one_spelling(text: str) -> None:
    for encode, decode in ((encode_base64, decode_base64), (encode_base64url, decode_base64url)):
        try:
            data = decode(text, "text")
        except FormatError:
            continue
        assert encode(data) == text


def test_the_common_form_is_read_as_any_other_is() -> None:
    """A single signature by a thumbprint is read without JSON: what it says must be the same."""
    entry = sign_envelope(b"payload", [ACTOR_KEY])
    others = [entry, sign_envelope(b"", [ACTOR_KEY]), sign_envelope(bytes(range(256)), [ACTOR_KEY])]
    for text in others:
        assert parse_envelope(text) == envelope._parse_envelope(text)
    for position in range(len(entry)):
        for byte in (b'"', b"\\", b" ", b"A", b"=", b"\n", b"\xff"):
            changed = entry[:position] + byte + entry[position + 1 :]
            assert _read(parse_envelope, changed) == _read(envelope._parse_envelope, changed)


def _read(parse: Callable[[bytes], Envelope], entry: bytes) -> Envelope | None:
    try:
        return parse(entry)
    except FormatError:
        return None
