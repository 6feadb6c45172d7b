"""Inclusion proofs as text (c2sp.org/tlog-proof): one file that proves one entry, offline.

    c2sp.org/tlog-proof@v1
    index 5
    rzFuy5Go7nrpkhBwKy1HWPMM3eO/YePY54fXRoH5Cm4=
    5784L25ZFbP4hhm4ZiI+vx1RxMUyHMzeLp/3AKMlkIY=

    (the checkpoint, a signed note)

Hashes run from the leaf to the root. An `extra` line may come before the index: base64 that the proof does
not cover.
"""

from __future__ import annotations

from dataclasses import dataclass

from .checkpoint import MAX_SIZE, Checkpoint, open_checkpoint
from .encoding import decode_base64, encode_base64
from .errors import FormatError
from .merkle import HASH_BYTES, check_inclusion
from .note import MAX_NOTE_BYTES

HEADER = "c2sp.org/tlog-proof@v1"
MAX_HASHES = 63
MAX_EXTRA_BYTES = 65_536


@dataclass(frozen=True)
class TlogProof:
    """A parsed proof text, nothing of it verified: leaf index, hashes from leaf to root, checkpoint note."""

    index: int
    hashes: tuple[bytes, ...]
    checkpoint: bytes
    extra: bytes | None = None


def format_proof(proof: TlogProof) -> bytes:
    """Return the proof text; FormatError when a field cannot be written."""
    return format_proof_head(proof).encode("ascii") + proof.checkpoint


def format_proof_head(proof: TlogProof) -> str:
    """Return the proof text up to and with the blank line: what is left out is the checkpoint."""
    if not 0 <= proof.index <= MAX_SIZE or len(proof.hashes) > MAX_HASHES:
        raise FormatError(
            f"proof: expected an index below 2^63 and at most {MAX_HASHES} hashes, got {proof.index} and "
            f"{len(proof.hashes)}"
        )
    if any(len(item) != HASH_BYTES for item in proof.hashes):
        raise FormatError(f"proof: expected hashes of {HASH_BYTES} bytes")
    if not 0 < len(proof.checkpoint) <= MAX_NOTE_BYTES:
        raise FormatError(
            f"proof: expected a checkpoint of 1 to {MAX_NOTE_BYTES} bytes, got {len(proof.checkpoint)}"
        )
    lines = [HEADER]
    if proof.extra is not None:
        if not 0 < len(proof.extra) <= MAX_EXTRA_BYTES:
            raise FormatError(f"proof: expected 1 to {MAX_EXTRA_BYTES} extra bytes, got {len(proof.extra)}")
        lines.append(f"extra {encode_base64(proof.extra)}")
    lines.append(f"index {proof.index}")
    lines.extend(encode_base64(item) for item in proof.hashes)
    return "\n".join(lines) + "\n\n"


def parse_proof(text: bytes) -> TlogProof:
    """Parse a proof text; FormatError unless `format_proof` gives it back."""
    head, separator, checkpoint = text.partition(b"\n\n")
    try:
        lines = head.decode("ascii").split("\n")
    except UnicodeDecodeError as error:
        raise FormatError("proof: expected ASCII before the checkpoint") from error
    if not separator or lines[0] != HEADER:
        raise FormatError(f"proof: expected the header {HEADER} and a blank line, got {lines[0]!r:.80}")
    lines = lines[1:]
    extra = None
    if lines and lines[0].startswith("extra "):
        extra = decode_base64(lines.pop(0).removeprefix("extra "), "proof extra")
    number = lines.pop(0).removeprefix("index ") if lines and lines[0].startswith("index ") else ""
    if not (number.isascii() and number.isdecimal()) or len(number) > 19:
        raise FormatError(f"proof: expected an index line, got {number!r:.40}")
    if len(lines) > MAX_HASHES:
        raise FormatError(f"proof: expected at most {MAX_HASHES} hashes, got {len(lines)}")
    hashes = tuple(decode_base64(line, "proof hash") for line in lines)
    proof = TlogProof(int(number), hashes, checkpoint, extra)
    if format_proof(proof) != text:
        raise FormatError("proof: expected the strict spelling of the same proof")
    return proof


def check_proof(text: bytes, leaf: bytes, origin: str, vkey: str) -> tuple[int, Checkpoint]:
    """Verify a proof text for a leaf hash against the log's key.

    Returns
    -------
    index : the entry's place in the log
    checkpoint : the verified tree head that the proof leads to

    Raises
    ------
    FormatError, SignatureError, ProofError : as `parse_proof`, `open_checkpoint` and `check_inclusion`
    """
    proof = parse_proof(text)
    checkpoint = open_checkpoint(proof.checkpoint, origin, vkey)
    check_inclusion(proof.index, checkpoint.size, leaf, proof.hashes, checkpoint.root)
    return proof.index, checkpoint
