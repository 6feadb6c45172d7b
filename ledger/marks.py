"""Marks in the map of heads: found by whoever knows a mark's id, and by nobody else.

An entry only commits to a mark's id, with a salt, so that nobody can try ids against the public log; but then
nobody can be shown that an id is *not* in it either. So an entry that commits to one also names a *tag* among
its subjects, under the name `mark`, and by that the tag is a key of the map of heads:

    alpha = "provenote/mark/v1\\n" || mark id          tag = SHA-256("provenote/mark-tag/v1\\n" || output)

where `output` is that of a verifiable random function (`vrf`) under the log's *mark key*. Only who has its
secret can compute tags; with a proof of 80 bytes anybody can check that a tag is the one and only tag of an
id, and then, in the map, that there is an event about it or none.

The public half is brought by an event of the asset `keys` that an operator signs (`register`). From there on
every event that commits to `mark_id` must name a tag (`custody`); what came before has none. After another
mark key, tags are made with that one, and a mark is absent when its tags under all of them are.
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

from .errors import FormatError
from .keys import PublicKey
from .statement import Subject
from .vrf import VrfKey, open_output

MARK_SUBJECT = "mark"
MARK_LABEL = "mark_id"
"""The label of a commitment to a mark's id."""
MAX_MARK_BYTES = 32


@dataclass(frozen=True)
class MarkKey:
    """A log's mark key: its public half and the entry that brought it."""

    public_key: PublicKey
    added_at: int


@dataclass(frozen=True)
class MarkTag:
    """The tag of a mark (32 bytes), and the proof that it is (80 bytes)."""

    tag: bytes
    proof: bytes

    def subject(self) -> Subject:
        """Return the subject by which an event is about the mark."""
        return Subject(MARK_SUBJECT, self.tag)


def tag_mark(mark_key: VrfKey, mark_id: bytes) -> MarkTag:
    """Return the tag of a mark's id; FormatError for one that is not of 1 to 32 bytes."""
    proof = mark_key.prove(_alpha(mark_id))
    return MarkTag(open_tag(mark_key.public_key, mark_id, proof), proof)


def open_tag(public_key: PublicKey, mark_id: bytes, proof: bytes) -> bytes:
    """Return the one tag of a mark's id under a mark key.

    Raises
    ------
    FormatError : an id that is not of 1 to 32 bytes
    ProofError : the proof is malformed, or of another key or id
    """
    output = open_output(public_key, _alpha(mark_id), proof)
    return hashlib.sha256(b"provenote/mark-tag/v1\n" + output).digest()


def lacks_tag(predicate: Mapping[str, Any], subjects: Collection[Subject]) -> bool:
    """Tell whether an event commits to a mark's id and names no tag."""
    committed = MARK_LABEL in predicate.get("commitments", ())
    return committed and not any(item.name == MARK_SUBJECT for item in subjects)


def _alpha(mark_id: bytes) -> bytes:
    if not 1 <= len(mark_id) <= MAX_MARK_BYTES:
        raise FormatError(f"mark id: expected 1 to {MAX_MARK_BYTES} bytes, got {len(mark_id)}")
    return b"provenote/mark/v1\n" + mark_id
