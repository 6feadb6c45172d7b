"""Checkpoints (c2sp.org/tlog-checkpoint): signed tree heads.

    provenote.example/log
    15
    Vxdfz2rJuz1v9QPC6hFZVT2dYTBZY/kFnvCqkzkiIs4=

    — provenote.example/log
    M9e0lhxJACzE1KoUdqKuPa+9p6R7dSW8BlEvrg/noo8FkGg6PbJoRNOcdjqjOq89wVvTA60eubCc4oufo5BvIVEgtQc=

The note's text is the log's origin, the number of entries, and the base64 root. We write no extension lines;
those of others are kept, as the specification allows them.
"""

from __future__ import annotations

from dataclasses import dataclass

from .encoding import decode_base64, encode_base64
from .errors import FormatError, ProofError
from .keys import SigningKey
from .merkle import EMPTY_ROOT, HASH_BYTES
from .note import open_note, parse_vkey, sign_note

MAX_SIZE = 2**63 - 1


@dataclass(frozen=True)
class Checkpoint:
    """A tree head: the log's origin, its size in entries, its root (32 bytes), and extension lines if any."""

    origin: str
    size: int
    root: bytes
    extensions: tuple[str, ...] = ()


def format_checkpoint(checkpoint: Checkpoint) -> str:
    """Return the note text of a checkpoint; FormatError when a field cannot be written."""
    lines = (checkpoint.origin, *checkpoint.extensions)
    if any(not line or "\n" in line for line in lines):
        raise FormatError("checkpoint: expected a non-empty origin and non-empty extension lines")
    if not 0 <= checkpoint.size <= MAX_SIZE or len(checkpoint.root) != HASH_BYTES:
        raise FormatError(
            f"checkpoint: expected a size below 2^63 and a root of {HASH_BYTES} bytes, got {checkpoint.size} "
            f"and {len(checkpoint.root)}"
        )
    if checkpoint.size == 0 and checkpoint.root != EMPTY_ROOT:
        raise FormatError("checkpoint: expected the root of the empty tree at size 0")
    body = [checkpoint.origin, str(checkpoint.size), encode_base64(checkpoint.root), *checkpoint.extensions]
    return "\n".join(body) + "\n"


def parse_checkpoint(text: str) -> Checkpoint:
    """Parse a note text; FormatError unless `format_checkpoint` gives it back."""
    lines = text.split("\n")
    if len(lines) < 4 or lines[-1]:
        raise FormatError(f"checkpoint: expected origin, size and root lines, got {len(lines) - 1} lines")
    origin, size, root, *extensions = lines[:-1]
    if not (size.isascii() and size.isdecimal()) or len(size) > 19 or size != str(int(size)):
        raise FormatError(f"checkpoint: expected a decimal size without leading zeros, got {size!r:.40}")
    checkpoint = Checkpoint(origin, int(size), decode_base64(root, "checkpoint root"), tuple(extensions))
    format_checkpoint(checkpoint)  # the rules on single fields, stated once
    return checkpoint


def sign_checkpoint(origin: str, size: int, root: bytes, log_signing_key: SigningKey) -> bytes:
    """Return the signed note of a tree head; the key's name is the origin."""
    return sign_note(format_checkpoint(Checkpoint(origin, size, root)), origin, log_signing_key)


def open_checkpoint(note: bytes, origin: str, vkey: str) -> Checkpoint:
    """Verify a checkpoint's signature by the log's key and return it.

    Raises
    ------
    FormatError : not a note or not a checkpoint
    BadSignatureError, UnknownKeyError : not signed by the log's key
    ProofError : signed, but for another log
    """
    checkpoint = parse_checkpoint(open_note(note, [parse_vkey(vkey)]).text)
    if checkpoint.origin != origin:
        raise ProofError(f"checkpoint: expected the log {origin!r}, got {checkpoint.origin!r:.120}")
    return checkpoint
