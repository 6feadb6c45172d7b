"""Reading the labels of an untrusted file, its tags and its credential, in a child process with limits.

    with start_reading(path, limits) as reading:    # the child reads while we decode
        ...
    labels = reading.finish()

What comes back is what the file says, unchecked. A file that breaks the child, or a library in it, has labels
that cannot be read, and says so; it is still verified by its sound.
"""

import dataclasses
import json
import os
import select
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any

from .childprocess import Child
from .decoding import Limits
from .tagcheck import TagField

READER = Path(__file__).with_name("labelreader.py")
CPU_S = 120
MEMORY_BYTES = 3 << 29  # the library hashes in two buffers of 256 MiB
WAIT_S = 150.0
MAX_ANSWER_BYTES = 64 << 20
CHUNK_BYTES = 1 << 16


@dataclass(frozen=True)
class Anchors:
    """PEM certificates that may be led to: by signers of credentials, `own` those of this ledger and `listed`
    those that it was told to believe; `tsa` by authorities of time-stamps.
    """

    own: str = ""
    listed: str = ""
    tsa: str = ""


@dataclass(frozen=True)
class Labels:
    """What a file says of itself; `credential` as `labelreader.py` gives it, None where there is none.

    `tags_problem` and `credential_problem` say why something could not be read; "" if it could.
    """

    container: str
    tags: tuple[TagField, ...] = ()
    tags_problem: str = ""
    credential: Mapping[str, Any] | None = None
    credential_problem: str = ""


class Reading:
    """A child process that reads labels; made by `start_reading`."""

    def __init__(self, child: Child) -> None:
        self._child = child

    def __enter__(self) -> "Reading":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._child.close()

    def finish(self) -> Labels:
        """Wait for the child and return what it read.

        Raises
        ------
        OSError
            The child could not be started.
        """
        try:
            answer = self._read(time.monotonic() + WAIT_S)
            if len(answer) > MAX_ANSWER_BYTES:
                return _unreadable("the labels are too large")
            status = self._child.wait(WAIT_S)
        except TimeoutError:
            return _unreadable(f"reading took more than {WAIT_S:.0f} s")
        if status != 0:
            return _unreadable(f"the reader ended with status {status}: a limit, or a crash")
        try:
            return _parse(json.loads(answer))
        except (ValueError, KeyError, TypeError):  # of a child that a file has taken over
            return _unreadable("the reader gave no answer that it gives")

    def _read(self, until_s: float) -> bytes:
        """Read to the end, or a little more than is taken."""
        answer, output = bytearray(), self._child.output.fileno()
        while len(answer) <= MAX_ANSWER_BYTES:
            if not select.select([output], [], [], max(0.0, until_s - time.monotonic()))[0]:
                raise TimeoutError
            chunk = os.read(output, CHUNK_BYTES)
            if not chunk:
                break
            answer += chunk
        return bytes(answer)


def start_reading(
    path: Path, limits: Limits, anchors: Anchors = Anchors(), *, sidecar: bytes | None = None
) -> Reading:
    """Start reading the labels of a file; `sidecar` is a manifest store that stands apart from it.

    Raises
    ------
    OSError
        The file cannot be opened.
    """
    orders = {
        "memory_bytes": MEMORY_BYTES,
        "cpu_s": min(CPU_S, limits.decode_cpu_s),
        "anchors": dataclasses.asdict(anchors),
        "sidecar": None if sidecar is None else sidecar.hex(),
    }
    with path.open("rb") as file:
        return Reading(Child(READER, orders, file))


def read_labels(path: Path, limits: Limits, anchors: Anchors = Anchors(), **options: Any) -> Labels:
    """Read the labels of a file and wait for them."""
    with start_reading(path, limits, anchors, **options) as reading:
        return reading.finish()


def _unreadable(problem: str) -> Labels:
    return Labels("", tags_problem=problem, credential_problem=problem)


def _parse(document: Any) -> Labels:
    return Labels(
        container=document["container"],
        tags=tuple(TagField(*item) for item in document["tags"]),
        tags_problem=document["tags_problem"] or ("too many tags" if document["tags_cut"] else ""),
        credential=document["credential"],
        credential_problem=document["credential_problem"],
    )
