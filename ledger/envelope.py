"""DSSE envelopes: the signed form of a statement, and the exact bytes of a ledger entry.

An entry is the RFC 8785 JSON of the envelope (DSSE v1, github.com/secure-systems-lab/dsse), stored and hashed
as it is:

    {"payload":"eyJf...","payloadType":"application/vnd.in-toto+json","signatures":[{"keyid":"kPrK...","sig":"..."}]}

What is signed is PAE(payloadType, payload) = "DSSEv1" SP len SP type SP len SP payload, so no JSON is read
before a signature holds.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from .canonical import check_members, check_text, format_json, parse_object
from .ed25519 import Verify, verify_openssl
from .encoding import decode_base64, encode_base64
from .errors import FormatError, UnknownKeyError
from .keys import PublicKey, SigningKey

PAYLOAD_TYPE = "application/vnd.in-toto+json"
MAX_ENTRY_BYTES = 60_000
"""C2SP tlog-tiles gives an entry a 16-bit length; the rest is room for a later frame."""
MAX_SIGNATURES = 8
_PLAIN = re.compile(
    rb'\{"payload":"([A-Za-z0-9+/]*={0,2})","payloadType":"%b","signatures":'
    rb'\[\{"keyid":"([A-Za-z0-9_-]{43})","sig":"([A-Za-z0-9+/]{86}==)"\}\]\}'
    % re.escape(PAYLOAD_TYPE).encode()
)
"""An envelope with one signature by a thumbprint: as it has no escapes, it is canonical as it stands."""


@dataclass(frozen=True)
class Signature:
    """One signature of an envelope, not yet checked."""

    key_id: str
    signature: bytes


@dataclass(frozen=True)
class Envelope:
    """A parsed envelope whose signatures have not been checked."""

    unverified_payload: bytes
    signatures: tuple[Signature, ...]

    @property
    def key_ids(self) -> tuple[str, ...]:
        """The keys that claim to have signed, in order."""
        return tuple(item.key_id for item in self.signatures)


@dataclass(frozen=True)
class Opened:
    """A payload of which every signature was verified, and the keys that signed it, in order."""

    payload: bytes
    key_ids: tuple[str, ...]


def encode_pae(payload: bytes, payload_type: str = PAYLOAD_TYPE) -> bytes:
    """Return DSSE's pre-authentication encoding, the bytes that are signed."""
    kind = payload_type.encode("utf-8")
    return b"DSSEv1 %d %b %d %b" % (len(kind), kind, len(payload), payload)


def sign_envelope(payload: bytes, signing_keys: Sequence[SigningKey]) -> bytes:
    """Return the entry bytes: `payload` signed by every key, in the order given.

    Raises
    ------
    ValueError : no key, more than 8, or the same key twice
    FormatError : the entry would be longer than 60,000 bytes
    """
    key_ids = [signing_key.key_id for signing_key in signing_keys]
    if not 1 <= len(key_ids) <= MAX_SIGNATURES or len(set(key_ids)) != len(key_ids):
        raise ValueError(f"expected 1 to {MAX_SIGNATURES} different signing keys, got {key_ids}")
    message = encode_pae(payload)
    return format_envelope(
        Envelope(payload, tuple(Signature(key.key_id, key.sign(message)) for key in signing_keys))
    )


def format_envelope(envelope: Envelope) -> bytes:
    """Return the entry bytes of an envelope; FormatError when they exceed 60,000 bytes."""
    entry = format_json(
        {
            "payload": encode_base64(envelope.unverified_payload),
            "payloadType": PAYLOAD_TYPE,
            "signatures": [
                {"keyid": item.key_id, "sig": encode_base64(item.signature)} for item in envelope.signatures
            ],
        }
    )
    if len(entry) > MAX_ENTRY_BYTES:
        raise FormatError(f"expected an entry of at most {MAX_ENTRY_BYTES} bytes, got {len(entry)}")
    return entry


def parse_envelope(entry: bytes) -> Envelope:
    """Parse entry bytes without checking a signature; FormatError unless `format_envelope` gives it back."""
    plain = _PLAIN.fullmatch(entry) if len(entry) <= MAX_ENTRY_BYTES else None
    if plain is not None:  # the most common form by far, in a third of the time
        payload, key_id, signature = plain.groups()
        signed = Signature(key_id.decode("ascii"), decode_base64(signature, "signature"))
        return Envelope(decode_base64(payload, "envelope payload"), (signed,))
    return _parse_envelope(entry)


def _parse_envelope(entry: bytes) -> Envelope:
    """Parse any envelope, by the JSON that it is."""
    members = check_members(
        parse_object(entry, max_bytes=MAX_ENTRY_BYTES), {"payload", "payloadType", "signatures"}, "envelope"
    )
    if members["payloadType"] != PAYLOAD_TYPE:
        raise FormatError(
            f"envelope: expected payload type {PAYLOAD_TYPE}, got {members['payloadType']!r:.80}"
        )
    listed = members["signatures"]
    if not isinstance(listed, list) or not 1 <= len(listed) <= MAX_SIGNATURES:
        raise FormatError(f"envelope: expected 1 to {MAX_SIGNATURES} signatures, got {str(listed)[:80]}")
    signatures = tuple(_parse_signature(item) for item in listed)
    if len({item.key_id for item in signatures}) != len(signatures):
        raise FormatError("envelope: expected each key to sign once")
    payload = members["payload"]
    if not isinstance(payload, str):
        raise FormatError("envelope: expected the payload as base64 text")
    return Envelope(decode_base64(payload, "envelope payload"), signatures)


def open_envelope(entry: bytes, public_keys: Iterable[PublicKey]) -> Opened:
    """Check every signature of an entry and return its payload.

    Raises
    ------
    FormatError : the bytes are not a canonical envelope
    UnknownKeyError : a signature by a key that is not in `public_keys`
    BadSignatureError : a signature that does not verify
    """
    return check_signatures(parse_envelope(entry), {key.key_id: key for key in public_keys})


def check_signatures(
    envelope: Envelope, known_keys: Mapping[str, PublicKey], verify: Verify = verify_openssl
) -> Opened:
    """Check every signature of a parsed envelope; SignatureError as `open_envelope`."""
    message = encode_pae(envelope.unverified_payload)
    for item in envelope.signatures:
        public_key = known_keys.get(item.key_id)
        if public_key is None:
            raise UnknownKeyError(
                f"signed by key {item.key_id}, which is not among the known keys",
                key_id=item.key_id,
            )
        public_key.check_signature(item.signature, message, verify)
    return Opened(envelope.unverified_payload, envelope.key_ids)


def _parse_signature(value: object) -> Signature:
    members = check_members(value, {"keyid", "sig"}, "signature")
    key_id = check_text(members["keyid"], "signature keyid", max_characters=64)
    if not isinstance(members["sig"], str):
        raise FormatError("signature: expected base64 text")
    signature = decode_base64(members["sig"], "signature")
    if len(signature) != 64:
        raise FormatError(f"signature: expected 64 bytes, got {len(signature)}")
    return Signature(key_id, signature)
