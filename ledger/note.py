"""Signed notes (c2sp.org/signed-note): text that several keys may sign, checkpoints among it.

    This is an example message.

    — example.com/foo
    Uw2QOkn8srV1yJGh2VYRlL1Tnagv1YEq6TfXppzi2ONncAlTgK7Ztg1ERYNZXsYjOBH3mFXmRKuwHjG1Yu72IneyaQM=

A signature line is an em dash, the key's name and base64(key hash || signature), with
key hash = SHA-256(name || 0x0A || type || public key)[:4] and type 0x01 for Ed25519. A verifier key is
written `name+hex(key hash)+base64(type || public key)`. Unknown keys are ignored, a known key that fails
refuses the whole note.
"""

from __future__ import annotations

import functools
import hashlib
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from .encoding import decode_base64, encode_base64
from .errors import FormatError, UnknownKeyError
from .keys import PublicKey, SigningKey

ED25519_TYPE = b"\x01"
MAX_NOTE_BYTES = 1_000_000
MAX_SIGNATURES = 100
"""The specification asks for at least 16; 100 is the limit of golang.org/x/mod."""
_CONTROL = re.compile(r"[\x00-\x09\x0b-\x1f]")


class NoteVerifier(Protocol):
    """Whoever can judge the signatures of one key: a `VerifierKey`, or a cosigner (`cosignature`)."""

    @property
    def name(self) -> str:
        """The key's name."""

    @property
    def key_hash(self) -> bytes:
        """The 4 bytes by which a signature line names the key."""

    def check(self, signature: bytes, text: str) -> None:
        """Raise BadSignatureError unless `signature` is the key's over a note's text."""


@dataclass(frozen=True)
class VerifierKey:
    """An Ed25519 public key under the name that its notes carry."""

    name: str
    public_key: PublicKey

    def __post_init__(self) -> None:
        check_name(self.name)

    @property
    def key_hash(self) -> bytes:
        """The 4 bytes by which a signature line names its key."""
        return hash_key(self.name, ED25519_TYPE, self.public_key.raw)

    @property
    def vkey(self) -> str:
        """The one-line text of the key."""
        return format_key(self.name, ED25519_TYPE, self.public_key.raw)

    def check(self, signature: bytes, text: str) -> None:
        """Raise BadSignatureError unless `signature` (64 bytes) is this key's over the text."""
        self.public_key.check_signature(signature, text.encode("utf-8"))


@dataclass(frozen=True)
class NoteSignature:
    """One signature line: the key's name, its 4-byte hash and the signature."""

    name: str
    key_hash: bytes
    signature: bytes

    def line(self) -> str:
        """Return the line as it stands below a note, with its newline."""
        return f"— {self.name} {encode_base64(self.key_hash + self.signature)}\n"


@dataclass(frozen=True)
class Note:
    """An opened note: its text, the verified signatures, and those by keys that were not asked about."""

    text: str
    signatures: tuple[NoteSignature, ...]
    unverified_signatures: tuple[NoteSignature, ...]


def format_vkey(name: str, public_key: PublicKey) -> str:
    """Return the one-line text of a verifier key."""
    return VerifierKey(name, public_key).vkey


@functools.lru_cache(maxsize=64)
def parse_vkey(vkey: str) -> VerifierKey:
    """Parse a verifier key; FormatError for another type, hash or spelling, WeakKeyError for a weak key."""
    name, kind, raw = split_vkey(vkey)
    if kind != ED25519_TYPE or len(raw) != 32:
        raise FormatError(
            f"verifier key {name!r:.80}: expected type 0x01 and 32 bytes, got 0x{kind.hex()} and {len(raw)}"
        )
    return VerifierKey(name, PublicKey(raw))


def hash_key(name: str, kind: bytes, raw: bytes) -> bytes:
    """Return the 4-byte key hash (key ID) of a key of any signature type."""
    return hashlib.sha256(name.encode("utf-8") + b"\n" + kind + raw).digest()[:4]


def format_key(name: str, kind: bytes, raw: bytes) -> str:
    """Return the verifier key of a key of any signature type; FormatError for a name that is none."""
    check_name(name)
    return f"{name}+{hash_key(name, kind, raw).hex()}+{encode_base64(kind + raw)}"


def split_vkey(vkey: str) -> tuple[str, bytes, bytes]:
    """Return name, type byte and public key of a verifier key; FormatError unless strictly spelled."""
    parts = vkey.split("+", 2)
    if len(parts) != 3:
        raise FormatError(f"verifier key: expected name+hash+key, got {vkey!r:.120}")
    name, found, encoded = parts
    material = decode_base64(encoded, "verifier key")
    kind, raw = material[:1], material[1:]
    if format_key(name, kind, raw) != vkey:
        expected = hash_key(name, kind, raw).hex()
        raise FormatError(f"verifier key {name!r:.80}: expected hash {expected}, got {found!r:.20}")
    return name, kind, raw


def sign_note(text: str, name: str, signing_key: SigningKey) -> bytes:
    """Return the note with one signature; FormatError when the text cannot be a note's."""
    _check_text(text)
    key_hash = VerifierKey(name, signing_key.public_key).key_hash
    signature = NoteSignature(name, key_hash, signing_key.sign(text.encode("utf-8")))
    return f"{text}\n{signature.line()}".encode()


def open_note(note: bytes, verifier_keys: Sequence[NoteVerifier]) -> Note:
    """Check a note against the known keys.

    Raises
    ------
    FormatError : not a note, or beyond the limits on size and signatures
    BadSignatureError : a signature by a known key does not verify
    UnknownKeyError : no signature by a known key
    """
    text, signatures = parse_note(note)
    known = {(key.name, key.key_hash): key for key in verifier_keys}
    verified: dict[tuple[str, bytes], NoteSignature] = {}
    unverified = []
    for item in signatures:
        verifier = known.get((item.name, item.key_hash))
        if verifier is None:
            unverified.append(item)
        elif (item.name, item.key_hash) not in verified:  # a repeated signature by one key counts once
            verifier.check(item.signature, text)
            verified[item.name, item.key_hash] = item
    if not verified:
        names = ", ".join(key.name for key in verifier_keys)
        raise UnknownKeyError(f"note: expected a signature by {names}, got none", key_id=names)
    return Note(text, tuple(verified.values()), tuple(unverified))


def parse_note(note: bytes) -> tuple[str, tuple[NoteSignature, ...]]:
    """Split a note into its text and signature lines, checking form only."""
    if len(note) > MAX_NOTE_BYTES:
        raise FormatError(f"note: expected at most {MAX_NOTE_BYTES} bytes, got {len(note)}")
    try:
        content = note.decode("utf-8")
    except UnicodeDecodeError as error:
        raise FormatError("note: expected UTF-8") from error
    body, separator, lines = content.rpartition("\n\n")
    text = body + "\n"
    if not separator or not lines.endswith("\n"):
        raise FormatError("note: expected text, a blank line and signature lines that end in a newline")
    _check_text(text)
    _check_characters(lines)
    listed = lines[:-1].split("\n")
    if len(listed) > MAX_SIGNATURES:
        raise FormatError(f"note: expected at most {MAX_SIGNATURES} signatures, got {len(listed)}")
    return text, tuple(_parse_signature(line) for line in listed)


def parse_signatures(lines: bytes) -> tuple[NoteSignature, ...]:
    """Parse signature lines that stand alone, as a witness returns them; FormatError for anything else."""
    return parse_note(b"-\n\n" + lines)[1]


def _parse_signature(line: str) -> NoteSignature:
    parts = line.split(" ")
    if len(parts) != 3 or parts[0] != "—":
        raise FormatError(f"note: expected '— name base64' as signature line, got {line!r:.120}")
    check_name(parts[1])
    blob = decode_base64(parts[2], "note signature")
    if len(blob) < 5:
        raise FormatError(f"note: expected a signature after the 4-byte key hash, got {len(blob)} bytes")
    return NoteSignature(parts[1], blob[:4], blob[4:])


def check_name(name: str) -> None:
    """Raise FormatError unless a key can have this name."""
    if not name or "+" in name or re.search(r"\s", name):
        raise FormatError(f"note: expected a key name without space or '+', got {name!r:.80}")
    _check_characters(name)


def _check_text(text: str) -> None:
    if not text.endswith("\n") or text == "\n":
        raise FormatError("note: expected a text that ends in a newline")
    _check_characters(text)


def _check_characters(text: str) -> None:
    if _CONTROL.search(text):
        raise FormatError("note: expected no control character but newline")
