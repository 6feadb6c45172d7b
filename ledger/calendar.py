"""OpenTimestamps: checkpoints in the Bitcoin block chain by way of calendars (extra `opentimestamps`).

A calendar takes a digest (`POST /digest`, the 32 bytes) and promises at once; hours later, when a block holds
what it has gathered, it gives the path from the digest to that block's Merkle root (`GET
/timestamp/COMMITMENT`). What is kept is the standard `.ots` file over the checkpoint's text, which every
OpenTimestamps client reads.

A promise proves nothing. A path proves that the checkpoint is older than a block, once its Merkle root is
compared with the block's header, as any node or explorer of Bitcoin shows it: nothing here asks one.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from .errors import FormatError, TimestampError

MAX_STAMP_BYTES = 16_384


@dataclass(frozen=True)
class CalendarStamp:
    """What a calendar has given.

    Attributes
    ----------
    pending : commitments (bytes) that it has promised to put into a block
    blocks : height of each Bitcoin block that the path leads to, and the Merkle root (32 bytes, in the order
        that explorers print) which that block's header must have
    """

    pending: tuple[bytes, ...]
    blocks: tuple[tuple[int, bytes], ...]


def check_installed() -> None:
    """Raise TimestampError where the library is missing."""
    if importlib.util.find_spec("opentimestamps") is None:
        raise TimestampError("OpenTimestamps needs the package opentimestamps (extra `opentimestamps`)")


def read_promise(body: bytes, digest: bytes) -> bytes:
    """Return the `.ots` file of a calendar's answer to a digest.

    Raises
    ------
    FormatError : not a timestamp of that digest, or one that leads nowhere
    TimestampError : the library is not installed
    """
    check_installed()
    from opentimestamps.core.op import OpSHA256
    from opentimestamps.core.timestamp import DetachedTimestampFile

    content = _write(DetachedTimestampFile(OpSHA256(), _read_timestamp(body, digest)))
    stamp = open_stamp(content, digest)
    if not stamp.pending and not stamp.blocks:
        raise FormatError("calendar: expected a promise or a block, got neither")
    return content


def open_stamp(content: bytes, digest: bytes) -> CalendarStamp:
    """Return what an `.ots` file says of a digest; FormatError where it is none, or of another digest."""
    check_installed()
    from opentimestamps.core.notary import BitcoinBlockHeaderAttestation, PendingAttestation

    found = list(_open(content, digest).timestamp.all_attestations())
    pending = sorted(message for message, item in found if isinstance(item, PendingAttestation))
    blocks = sorted(
        (item.height, message[::-1])
        for message, item in found
        if isinstance(item, BitcoinBlockHeaderAttestation)
    )
    return CalendarStamp(tuple(pending), tuple(blocks))


def upgrade_stamp(content: bytes, digest: bytes, ask: Callable[[bytes], bytes | None]) -> bytes:
    """Return the `.ots` file with what the calendar has found since.

    Parameters
    ----------
    content : the file so far
    ask : return the calendar's answer for a commitment, or None where it is not in a block yet

    Raises
    ------
    FormatError : not a timestamp, or an answer that is none
    """
    detached = _open(content, digest)
    for commitment in open_stamp(content, digest).pending:
        answer = ask(commitment)
        if answer is not None:
            more = _read_timestamp(answer, commitment)
            for stamp in _find(detached.timestamp, commitment):
                stamp.merge(more)
    return _write(detached)


def _find(timestamp: Any, message: bytes) -> list[Any]:
    """Return the nodes of a timestamp at a message."""
    below = [node for inner in timestamp.ops.values() for node in _find(inner, message)]
    return [timestamp, *below] if timestamp.msg == message else below


def _read_timestamp(body: bytes, message: bytes) -> Any:
    check_installed()
    from opentimestamps.core.serialize import BytesDeserializationContext, DeserializationError
    from opentimestamps.core.timestamp import Timestamp

    if len(body) > MAX_STAMP_BYTES:
        raise FormatError(f"calendar: expected at most {MAX_STAMP_BYTES} bytes, got {len(body)}")
    context = BytesDeserializationContext(body)
    try:
        timestamp = Timestamp.deserialize(context, message)
        context.assert_eof()
    except (DeserializationError, ValueError, TypeError) as error:
        raise FormatError(f"calendar: expected a timestamp: {error}") from error
    return timestamp


def _open(content: bytes, digest: bytes) -> Any:
    check_installed()
    from opentimestamps.core.op import OpSHA256
    from opentimestamps.core.serialize import BytesDeserializationContext, DeserializationError
    from opentimestamps.core.timestamp import DetachedTimestampFile

    context = BytesDeserializationContext(content)
    try:
        detached = DetachedTimestampFile.deserialize(context)
        context.assert_eof()
    except (DeserializationError, ValueError, TypeError) as error:
        raise FormatError(f"OpenTimestamps: expected a proof file: {error}") from error
    if not isinstance(detached.file_hash_op, OpSHA256) or detached.file_digest != digest:
        raise FormatError(f"OpenTimestamps: expected a proof of the SHA-256 {digest.hex()}")
    return detached


def _write(detached: Any) -> bytes:
    from opentimestamps.core.serialize import BytesSerializationContext

    context = BytesSerializationContext()
    detached.serialize(context)
    content: bytes = context.getbytes()
    return content
