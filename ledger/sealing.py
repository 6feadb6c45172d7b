"""Personal values outside the log, sealed under a key for each person: destroying the key erases them.

An entry holds only the salted commitment. What opens it, salt and value, is kept sealed:

    sealed = nonce (12 bytes) || AES-256-GCM(person key, nonce, padded JSON of {"salt", "value"}, context)
    context = "provenote/sealed/v1\\n" || asset || "\\n" || label || "\\n" || commitment (32 bytes)

The JSON is padded with newlines to a multiple of 256 bytes, so that lengths say little. The context ties a
sealed value to its commitment: moved elsewhere, it does not open. Once the key is gone nobody, we included,
can open the commitment, while every hash, signature and proof stays what it was.
"""

from __future__ import annotations

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from .canonical import check_hex, check_members, format_json, parse_json
from .commitment import Opening, check_opening, commit
from .errors import ProofError

KEY_BYTES = 32
NONCE_BYTES = 12
BLOCK_BYTES = 256
MAX_VALUE_BYTES = 60_000
_PREFIX = b"provenote/sealed/v1\n"


def seal_opening(opening: Opening, asset: str, person_key: bytes, nonce: bytes) -> bytes:
    """Return the sealed form of an opening.

    Parameters
    ----------
    opening : label, salt and value of a commitment
    asset : whose history the commitment is in
    person_key : 32 secret bytes
    nonce : 12 bytes, never used twice with this key

    Raises
    ------
    FormatError : a value that is no canonical JSON, or a label or salt that a commitment cannot have
    ValueError : a key or nonce of another length, or a value beyond 60,000 bytes
    """
    if len(person_key) != KEY_BYTES or len(nonce) != NONCE_BYTES:
        raise ValueError(f"expected a key of {KEY_BYTES} and a nonce of {NONCE_BYTES} bytes")
    text = format_json({"salt": opening.salt.hex(), "value": opening.value})
    if len(text) > MAX_VALUE_BYTES:
        raise ValueError(f"expected a value of at most {MAX_VALUE_BYTES} bytes, got {len(text)}")
    padded = text + b"\n" * (-len(text) % BLOCK_BYTES)
    commitment = commit(opening.label, opening.salt, opening.value)
    return nonce + AESGCM(person_key).encrypt(nonce, padded, _context(asset, opening.label, commitment))


def open_sealed(sealed: bytes, asset: str, label: str, commitment: bytes, person_key: bytes) -> Opening:
    """Return what a sealed value holds, having checked that it opens the commitment.

    Raises
    ------
    ProofError : another key, another place, or changed bytes
    """
    try:
        nonce, ciphertext = sealed[:NONCE_BYTES], sealed[NONCE_BYTES:]
        padded = AESGCM(person_key).decrypt(nonce, ciphertext, _context(asset, label, commitment))
    except (InvalidTag, ValueError) as error:  # ValueError: too short for a nonce
        raise ProofError(f"sealed value of {label!r}: does not open with this key, or was changed") from error
    members = check_members(
        parse_json(padded.rstrip(b"\n"), max_bytes=MAX_VALUE_BYTES), {"salt", "value"}, "sealed value"
    )
    opening = Opening(label, check_hex(members["salt"], "sealed salt"), members["value"])
    check_opening(opening, commitment)
    return opening


def _context(asset: str, label: str, commitment: bytes) -> bytes:
    return _PREFIX + asset.encode("ascii") + b"\n" + label.encode("ascii") + b"\n" + commitment
