"""Cosignatures (c2sp.org/tlog-cosignature): others state that they saw a log grow and never change.

A cosignature is a signature line on a checkpoint: base64(key hash || u64 time || signature). Two kinds:

- type 0x04, Ed25519, signs the text

      cosignature/v1
      time 1679315147
      example.com/behind-the-sofa
      20852163
      CsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=

- type 0x06, ML-DSA-44, signs "subtree/v1\\n\\0" || len8 cosigner name || u64 time || len8 origin ||
  u64 start || u64 end || root. It can also cover a subtree [start, end), then with time 0.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from .checkpoint import Checkpoint, parse_checkpoint
from .errors import BadSignatureError, FormatError, LedgerError, ProofError, UnknownKeyError
from .keys import PublicKey, SigningKey
from .merkle import HASH_BYTES
from .mldsa import MldsaPublicKey, MldsaSigningKey
from .note import (
    ED25519_TYPE,
    NoteSignature,
    NoteVerifier,
    VerifierKey,
    check_name,
    format_key,
    hash_key,
    open_note,
    parse_note,
    parse_vkey,
    split_vkey,
)

ED25519_COSIGNATURE_TYPE = b"\x04"
MLDSA_TYPE = b"\x06"
TIME_BYTES = 8
MAX_TIME_S = 2**63 - 1
LABEL = b"subtree/v1\n\0"


@dataclass(frozen=True)
class Cosigner:
    """A public key that cosigns checkpoints, under its name."""

    name: str
    public_key: PublicKey | MldsaPublicKey

    def __post_init__(self) -> None:
        check_name(self.name)

    @property
    def kind(self) -> bytes:
        """The signature type byte."""
        return MLDSA_TYPE if isinstance(self.public_key, MldsaPublicKey) else ED25519_COSIGNATURE_TYPE

    @property
    def key_hash(self) -> bytes:
        """The 4 bytes by which a signature line names the key."""
        return hash_key(self.name, self.kind, self.public_key.raw)

    @property
    def vkey(self) -> str:
        """The one-line text of the key."""
        return format_key(self.name, self.kind, self.public_key.raw)

    def check(self, signature: bytes, text: str) -> None:
        """Raise BadSignatureError unless `signature` is this cosigner's over a checkpoint's text."""
        time_s = read_time(signature)
        try:
            message = _encode_message(self, time_s, text)
        except LedgerError as error:
            raise BadSignatureError(f"cosigned text: {error}", key_id=self.name) from error
        self.public_key.check_signature(signature[TIME_BYTES:], message)


@dataclass(frozen=True)
class Cosignature:
    """A verified cosignature: who, by which verifier key, and when by the cosigner's clock (POSIX time)."""

    name: str
    vkey: str
    time_s: int


@dataclass(frozen=True)
class Cosigned:
    """A checkpoint whose log signature was verified, and the cosignatures of the cosigners asked about."""

    checkpoint: Checkpoint
    cosignatures: tuple[Cosignature, ...]


def parse_cosigner(vkey: str) -> Cosigner:
    """Parse a cosigner's verifier key, of type 0x04 or 0x06.

    Raises
    ------
    FormatError : another type, length or spelling
    WeakKeyError : an Ed25519 key that two verifiers could read differently
    """
    name, kind, raw = split_vkey(vkey)
    if kind == ED25519_COSIGNATURE_TYPE and len(raw) == 32:
        return Cosigner(name, PublicKey(raw))
    if kind == MLDSA_TYPE:
        return Cosigner(name, MldsaPublicKey(raw))
    raise FormatError(f"cosigner key {name!r:.80}: expected type 0x04 or 0x06, got 0x{kind.hex()}")


def parse_verifier(vkey: str) -> VerifierKey | Cosigner:
    """Parse a verifier key that may sign a checkpoint: the log's own (0x01), or a cosigner's."""
    return parse_vkey(vkey) if split_vkey(vkey)[1] == ED25519_TYPE else parse_cosigner(vkey)


def cosign(text: str, name: str, signing_key: SigningKey | MldsaSigningKey, *, time_s: int) -> NoteSignature:
    """Return a cosignature of a checkpoint's text, made at `time_s` (POSIX seconds, above 0).

    Raises
    ------
    FormatError : not a checkpoint, or a name that a key cannot have
    ValueError : a time beyond 2^63 - 1, or 0, which would make no statement about the newest tree
    """
    if not 0 < time_s <= MAX_TIME_S:
        raise ValueError(f"expected a time from 1 to 2^63 - 1, got {time_s}")
    parse_checkpoint(text)
    cosigner = Cosigner(name, signing_key.public_key)
    signature = signing_key.sign(_encode_message(cosigner, time_s, text))
    return NoteSignature(name, cosigner.key_hash, time_s.to_bytes(TIME_BYTES, "big") + signature)


def read_time(signature: bytes) -> int:
    """Return the time of a cosignature, unverified; BadSignatureError where it holds none."""
    time_s = int.from_bytes(signature[:TIME_BYTES], "big")
    if len(signature) <= TIME_BYTES or not 0 < time_s <= MAX_TIME_S:
        raise BadSignatureError("expected a cosignature with a time from 1 to 2^63 - 1", key_id="")
    return time_s


def encode_subtree(cosigner_name: str, time_s: int, origin: str, start: int, end: int, root: bytes) -> bytes:
    """Return the bytes that an ML-DSA-44 cosignature of the subtree [start, end) signs.

    Raises
    ------
    FormatError : a name of no or more than 255 bytes, or a time with a subtree that does not start the tree
    """
    if len(root) != HASH_BYTES or not 0 <= start <= end or (start and time_s):
        raise FormatError(f"cosigned subtree: expected a subtree, and no time beside [{start}, {end})")
    fields = [LABEL]
    for number, name in ((time_s, cosigner_name), (start, origin)):
        encoded = name.encode("utf-8")
        if not 1 <= len(encoded) <= 255:
            raise FormatError(f"cosigned subtree: expected names of 1 to 255 bytes, got {len(encoded)}")
        fields += [bytes([len(encoded)]), encoded, number.to_bytes(8, "big")]
    return b"".join([*fields, end.to_bytes(8, "big"), root])


def open_cosigned(note: bytes, origin: str, vkey: str, cosigners: Sequence[Cosigner] = ()) -> Cosigned:
    """Verify the log's signature on a checkpoint and the cosignatures of those cosigners that signed it.

    Parameters
    ----------
    note : the checkpoint with its signature lines
    origin, vkey : the log's name and its verifier key (Ed25519, or ML-DSA-44 as its own cosigner)
    cosigners : whom the caller trusts; lines of others are ignored

    Raises
    ------
    FormatError : not a note or not a checkpoint
    BadSignatureError : the signature of the log or of one of these cosigners does not verify
    UnknownKeyError : the log's own signature is missing
    ProofError : signed, but for another log
    """
    log = parse_verifier(vkey)
    keys: list[NoteVerifier] = [log, *cosigners]
    opened = open_note(note, keys)
    found = {(item.name, item.key_hash): item for item in opened.signatures}
    if (log.name, log.key_hash) not in found:
        raise UnknownKeyError(f"checkpoint: expected a signature by the log {log.name}", key_id=log.name)
    checkpoint = parse_checkpoint(opened.text)
    if checkpoint.origin != origin:
        raise ProofError(f"checkpoint: expected the log {origin!r}, got {checkpoint.origin!r:.120}")
    cosignatures = tuple(
        Cosignature(item.name, item.vkey, read_time(found[item.name, item.key_hash].signature))
        for item in cosigners
        if (item.name, item.key_hash) in found
    )
    return Cosigned(checkpoint, cosignatures)


def add_signatures(note: bytes, signatures: Sequence[NoteSignature]) -> bytes:
    """Return the note with more signature lines below those it has; one that is there is not repeated."""
    present = {(item.name, item.key_hash) for item in parse_note(note)[1]}
    fresh = {(item.name, item.key_hash): item for item in signatures}
    lines = [item.line() for key, item in fresh.items() if key not in present]
    return note + "".join(lines).encode("utf-8")


def _encode_message(cosigner: Cosigner, time_s: int, text: str) -> bytes:
    if cosigner.kind == ED25519_COSIGNATURE_TYPE:
        return f"cosignature/v1\ntime {time_s}\n{text}".encode()
    checkpoint = parse_checkpoint(text)
    return encode_subtree(cosigner.name, time_s, checkpoint.origin, 0, checkpoint.size, checkpoint.root)
