"""Publishing checkpoints: what the log's second key and its witnesses sign, and what others are shown.

Every commit has a checkpoint with the log's Ed25519 signature: that is what receipts carry. Every so often
the newest of them is *published*: the log's ML-DSA-44 key signs it as well, the witnesses of the policy are
asked to cosign it, and the outcome is kept. Without witnesses, or with too few, publishing goes on; the note
then lacks their lines, and `witnessed` says so.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Protocol

from .attestation import COSIGNATURE, Attestation, Attestations
from .checkpoint import Checkpoint
from .cosignature import Cosigned, Cosigner, add_signatures, cosign, open_cosigned
from .merkle import Coordinate
from .mldsa import MldsaSigningKey
from .note import parse_note, parse_signatures
from .policy import Policy, Witness
from .witness import Outcome, Post, Submission, submit_checkpoint

ALARMS = frozenset({Outcome.INCONSISTENT, Outcome.AHEAD})
SEARCHED_SIZES = 1000
"""How many published sizes are looked through, newest first, for one with a quorum."""


class PublicationSource(Protocol):
    """The log that is published; a `Store` is one."""

    origin: str
    vkey: str

    def latest_checkpoint(self) -> bytes:
        """Return the newest checkpoint note."""

    def checkpoint(self, size: int) -> bytes:
        """Return the checkpoint note of a size."""

    def nodes(self, coordinates: Sequence[Coordinate]) -> Sequence[bytes]:
        """Return the stored hashes of full subtrees."""


@dataclass(frozen=True)
class Publication:
    """A published checkpoint.

    Attributes
    ----------
    note : the checkpoint with every signature line that is known
    cosigned : the checkpoint, and the verified cosignatures of the policy's witnesses
    witnessed : at least one witness has cosigned, and the cosignatures make the policy's quorum
    submissions : what came of asking, witness by witness; empty when nobody was asked just now
    """

    note: bytes
    cosigned: Cosigned
    witnessed: bool
    submissions: tuple[Submission, ...] = ()

    @property
    def checkpoint(self) -> Checkpoint:
        """The tree head."""
        return self.cosigned.checkpoint

    @property
    def alarms(self) -> tuple[Submission, ...]:
        """Answers that the log may have been forked or rolled back: a person must look."""
        return tuple(item for item in self.submissions if item.outcome in ALARMS)


def publish(
    source: PublicationSource,
    attestations: Attestations,
    policy: Policy,
    post: Post,
    *,
    now_s: int,
    mldsa_signing_key: MldsaSigningKey | None = None,
    sizes: Mapping[str, int] | None = None,
) -> Publication:
    """Publish the newest checkpoint, asking the witnesses that have not cosigned it yet, all at once.

    Parameters
    ----------
    source : the log
    attestations : where cosignatures are kept
    policy : the witnesses with URLs are asked
    post : how requests are sent; called from several threads
    now_s : our clock, POSIX seconds
    mldsa_signing_key : the log's second key, if it has one
    sizes : where each witness, by its name in the policy, is believed to stand

    Raises
    ------
    FormatError, SignatureError, ProofError : the log's own checkpoint does not hold
    StorageError : the database cannot be used
    """
    note = source.latest_checkpoint()
    known = _read_publication(source, attestations, policy, note)
    size, text = known.checkpoint.size, parse_note(note)[0]
    fresh = []
    if mldsa_signing_key is not None:
        own = Cosigner(source.origin, mldsa_signing_key.public_key)
        if not _has_line(known.note, own):
            line = cosign(text, own.name, mldsa_signing_key, time_s=now_s).line().encode("utf-8")
            fresh.append(Attestation(size, COSIGNATURE, own.vkey, now_s, line))
    asked = [item for item in policy.witnesses if item.url and not _has_line(known.note, item.cosigner)]

    def ask(witness: Witness) -> Submission:
        old_size = (sizes or {}).get(witness.name, 0)
        return submit_checkpoint(source.nodes, note, witness, post, old_size=old_size, now_s=now_s)

    submissions: tuple[Submission, ...] = ()
    if asked:
        with ThreadPoolExecutor(max_workers=min(len(asked), 16)) as pool:
            submissions = tuple(pool.map(ask, asked))
    fresh += [
        Attestation(
            size, COSIGNATURE, item.witness.cosigner.vkey, now_s, item.signature.line().encode("utf-8")
        )
        for item in submissions
        if item.signature is not None
    ]
    attestations.add(fresh)
    found = _read_publication(source, attestations, policy, note)
    return Publication(found.note, found.cosigned, found.witnessed, submissions)


def read_publication(
    source: PublicationSource, attestations: Attestations, policy: Policy, *, witnessed: bool = False
) -> Publication | None:
    """Return the newest published checkpoint, or None when none was published.

    Parameters
    ----------
    witnessed : only one whose cosignatures make the policy's quorum will do

    Raises
    ------
    FormatError, SignatureError, ProofError : what is kept does not hold
    StorageError : the database cannot be used
    """
    for size in attestations.list_sizes(COSIGNATURE, last=SEARCHED_SIZES if witnessed else 1):
        found = _read_publication(source, attestations, policy, source.checkpoint(size))
        if found.witnessed or not witnessed:
            return found
    return None


def _read_publication(
    source: PublicationSource, attestations: Attestations, policy: Policy, note: bytes
) -> Publication:
    cosigners = [witness.cosigner for witness in policy.witnesses]
    size = open_cosigned(note, source.origin, source.vkey).checkpoint.size
    lines = [
        line
        for item in attestations.list_of(size)
        if item.kind == COSIGNATURE
        for line in parse_signatures(item.content)
    ]
    whole = add_signatures(note, lines)
    cosigned = open_cosigned(whole, source.origin, source.vkey, cosigners)
    vkeys = {item.vkey for item in cosigned.cosignatures}
    return Publication(whole, cosigned, bool(vkeys) and policy.is_met(vkeys))


def _has_line(note: bytes, cosigner: Cosigner) -> bool:
    return any(
        (item.name, item.key_hash) == (cosigner.name, cosigner.key_hash) for item in parse_note(note)[1]
    )
