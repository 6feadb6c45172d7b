"""Asking witnesses for cosignatures (c2sp.org/tlog-witness, the client's side).

A request is the body of `POST <prefix>/add-checkpoint`:

    old 20852014
    PlRNCrwHpqhGrupue0L7gxbjbMiKA9temvuZZDDpkaw=

    example.com/behind-the-sofa
    20852163
    CsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=

    — example.com/behind-the-sofa Az3grlgtzPICa5OS8npVmf1M...

The hashes prove that the tree has grown from the size that the witness saw last. It answers 200 with
cosignature lines, or 409 with that size; anything else is a refusal. How bytes travel is the caller's.
"""

from __future__ import annotations

import enum
from collections.abc import Callable
from dataclasses import dataclass

from . import merkle
from .checkpoint import MAX_SIZE, Checkpoint, parse_checkpoint
from .cosignature import Cosigner, read_time
from .encoding import decode_base64, encode_base64
from .errors import FormatError, LedgerError, SourceUnreachableError
from .note import MAX_NOTE_BYTES, NoteSignature, parse_note, parse_signatures
from .policy import Witness

MAX_HASHES = 63
MAX_CONFLICTS = 3
"""How often one submission follows a witness that says it stands elsewhere: others may submit as well."""
CLOCK_TOLERANCE_S = 300
"""A cosignature dated further than this from our clock is not taken: it would say something about a time that
has not come, or that has long passed."""

Post = Callable[[str, bytes], tuple[int, bytes]]
"""Send a body to a URL; return status and body of the answer, or raise SourceUnreachableError."""


class Outcome(enum.Enum):
    """How a submission ended."""

    COSIGNED = "cosigned"
    UNREACHABLE = "unreachable"
    REFUSED = "refused"
    INCONSISTENT = "inconsistent"
    AHEAD = "ahead"


@dataclass(frozen=True)
class Submission:
    """What came of asking one witness.

    Attributes
    ----------
    outcome : INCONSISTENT says that the witness knows another history of this log, AHEAD that it has seen a
        larger tree than the one submitted: either may mean that the log was forked or rolled back
    signature : the verified cosignature, if any
    size : the size that the witness is known to stand at afterwards, or None
    detail : the reason in words, for a log file
    """

    witness: Witness
    outcome: Outcome
    signature: NoteSignature | None
    size: int | None
    detail: str


@dataclass(frozen=True)
class AddCheckpoint:
    """A parsed request: the old size, the consistency proof, and the checkpoint's note."""

    old_size: int
    proof: tuple[bytes, ...]
    note: bytes


def format_request(request: AddCheckpoint) -> bytes:
    """Return the request body; FormatError for a field that cannot be written."""
    if not 0 <= request.old_size <= MAX_SIZE or len(request.proof) > MAX_HASHES:
        raise FormatError(
            f"add-checkpoint: expected a size below 2^63 and at most {MAX_HASHES} hashes, "
            f"got {request.old_size} and {len(request.proof)}"
        )
    if any(len(item) != merkle.HASH_BYTES for item in request.proof):
        raise FormatError(f"add-checkpoint: expected hashes of {merkle.HASH_BYTES} bytes")
    lines = [f"old {request.old_size}", *(encode_base64(item) for item in request.proof), "", ""]
    return "\n".join(lines).encode("ascii") + request.note


def parse_request(body: bytes) -> AddCheckpoint:
    """Parse a request body; FormatError unless `format_request` gives it back."""
    if len(body) > MAX_NOTE_BYTES:
        raise FormatError(f"add-checkpoint: expected at most {MAX_NOTE_BYTES} bytes, got {len(body)}")
    head, separator, note = body.partition(b"\n\n")
    try:
        first, *lines = head.decode("ascii").split("\n")
    except UnicodeDecodeError as error:
        raise FormatError("add-checkpoint: expected ASCII before the checkpoint") from error
    if not separator or not first.startswith("old "):
        raise FormatError(f"add-checkpoint: expected `old SIZE` and a blank line, got {first!r:.80}")
    if len(lines) > MAX_HASHES:
        raise FormatError(f"add-checkpoint: expected at most {MAX_HASHES} hashes, got {len(lines)}")
    proof = tuple(decode_base64(line, "consistency hash") for line in lines)
    request = AddCheckpoint(_parse_decimal(first.removeprefix("old ")), proof, note)
    if format_request(request) != body:
        raise FormatError("add-checkpoint: expected the strict spelling of the same request")
    return request


def parse_size(body: bytes) -> int:
    """Return the size that a witness names in the body of a 409; FormatError for anything else."""
    text = body.decode("ascii", "replace")
    if not text.endswith("\n"):
        raise FormatError(f"witness size: expected a decimal and a newline, got {text!r:.40}")
    return _parse_decimal(text[:-1])


def open_answer(lines: bytes, text: str, cosigner: Cosigner, *, now_s: int) -> NoteSignature:
    """Return the cosigner's own line from a witness's answer, verified; lines of other keys are ignored.

    Raises
    ------
    FormatError : not signature lines, none of them by this cosigner, or dated far from `now_s`
    BadSignatureError : its line does not verify for this checkpoint
    """
    for item in parse_signatures(lines):
        if (item.name, item.key_hash) == (cosigner.name, cosigner.key_hash):
            cosigner.check(item.signature, text)
            time_s = read_time(item.signature)
            if abs(time_s - now_s) > CLOCK_TOLERANCE_S:
                raise FormatError(f"expected a cosignature of about {now_s}, got one of {time_s}")
            return item
    raise FormatError(f"expected a cosignature by {cosigner.name}, got none")


def submit_checkpoint(
    read: merkle.Reader, note: bytes, witness: Witness, post: Post, *, old_size: int, now_s: int
) -> Submission:
    """Ask one witness for a cosignature, following it to the size where it stands.

    Parameters
    ----------
    read : the log's stored hashes, for consistency proofs
    note : a checkpoint signed by the log
    witness : one with a URL
    old_size : where the witness is believed to stand; 0 if nothing is known
    now_s : our clock, POSIX seconds
    """
    text = parse_note(note)[0]
    checkpoint = parse_checkpoint(text)
    old_size = min(old_size, checkpoint.size)
    url = f"{(witness.url or '').rstrip('/')}/add-checkpoint"
    known: int | None = None

    def end(outcome: Outcome, detail: str, signature: NoteSignature | None = None) -> Submission:
        size = checkpoint.size if outcome is Outcome.COSIGNED else known
        return Submission(witness, outcome, signature, size, detail)

    for _ in range(MAX_CONFLICTS):
        request = AddCheckpoint(old_size, _prove_growth(read, old_size, checkpoint), note)
        try:
            status, body = post(url, format_request(request))
        except SourceUnreachableError as error:
            return end(Outcome.UNREACHABLE, str(error))
        if status == 200:
            try:
                signature = open_answer(body, text, witness.cosigner, now_s=now_s)
            except LedgerError as error:
                return end(Outcome.REFUSED, f"answered 200, but {error}")
            return end(Outcome.COSIGNED, f"from size {old_size}", signature)
        said = body[:200].decode("utf-8", "replace").strip()
        if status != 409:
            outcome = Outcome.INCONSISTENT if status == 422 else Outcome.REFUSED
            outcome = Outcome.UNREACHABLE if status >= 500 or status == 429 else outcome
            return end(outcome, f"answered {status}: {said}")
        try:
            known = parse_size(body)
        except FormatError as error:
            return end(Outcome.REFUSED, f"answered 409, but {error}")
        if known > checkpoint.size:
            return end(Outcome.AHEAD, f"stands at size {known}, beyond {checkpoint.size}")
        old_size = known
    return end(Outcome.REFUSED, f"answered 409 {MAX_CONFLICTS} times, at last with size {known}")


def _prove_growth(read: merkle.Reader, old_size: int, checkpoint: Checkpoint) -> tuple[bytes, ...]:
    return merkle.consistency_proof(read, old_size, checkpoint.size) if old_size else ()


def _parse_decimal(text: str) -> int:
    if not (text.isascii() and text.isdecimal()) or len(text) > 19 or text != str(int(text)):
        raise FormatError(f"expected a decimal size without leading zeros, got {text!r:.40}")
    return int(text)
