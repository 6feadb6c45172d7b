"""Answers: what the log says of one asset or digest, above all that it says nothing; checked offline.

A file of RFC 8785 JSON, in which the bundle of the asset `keys` brings the checkpoint, the witnesses, the
operators' keys and the anchored map of heads:

    {"bundle":{...},"format":"provenote-answer/v1","proof":{head proof},"subject":{"asset":"track:7q2xk"}}

The subject may be {"sha256":hex} instead: of a file or of its samples. The answer holds for that digest and
no other; whether a file's mark is registered is another question, which takes the watermark key.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from .blame import blame
from .bundle import BundleReport, check_bundle
from .bundle_form import MAX_BUNDLE_BYTES, parse_bundle
from .bundling import EntrySource, Evidence, make_bundle
from .canonical import check_hex, check_members, format_json, parse_object
from .errors import BundleError, FormatError, NotFoundError
from .event import KEYS_ASSET, check_asset
from .heads import HeadRecord, asset_key, digest_key, format_head_proof, open_head, parse_head_proof
from .keys import PublicKey
from .policy import Policy

FORMAT = "provenote-answer/v1"
MAX_ANSWER_BYTES = MAX_BUNDLE_BYTES + 65_536


@dataclass(frozen=True)
class Question:
    """What is asked about: an asset's name, or a SHA-256 digest of 32 bytes."""

    subject: str | bytes

    @property
    def key(self) -> bytes:
        """The key in the map of heads."""
        if isinstance(self.subject, bytes):
            return digest_key(self.subject)
        return asset_key(self.subject)


@dataclass(frozen=True)
class Answer:
    """A checked answer.

    Attributes
    ----------
    record : how many events there are about the subject, and the leaf hash of the last; None if there is none
    as_of : the answer is about the first so many entries of the log
    report : what the bundle around it proves: the log, its checkpoint, witnesses
    """

    question: Question
    record: HeadRecord | None
    as_of: int
    report: BundleReport


def make_answer(source: EntrySource, question: Question, evidence: Evidence) -> bytes:
    """Return the answer as of the last anchor that a checkpoint covers.

    Raises
    ------
    NotFoundError : the log has no anchor yet; one is written before each publication
    """
    bundle = make_bundle(source, KEYS_ASSET, evidence=evidence)
    report = check_bundle(bundle, vkey=source.vkey)
    if report.anchor is None or evidence.heads is None:
        raise NotFoundError("the log has no anchored map of heads yet: publish a checkpoint first")
    (proof,) = evidence.heads.prove(report.anchor.size, [question.key])
    subject = question.subject
    named = {"sha256": subject.hex()} if isinstance(subject, bytes) else {"asset": subject}
    members = {
        "format": FORMAT,
        "subject": named,
        "bundle": parse_object(bundle, max_bytes=MAX_BUNDLE_BYTES),
        "proof": format_head_proof(proof),
    }
    answer = format_json(members)
    check_answer(answer, vkey=source.vkey)
    return answer


def check_answer(
    answer: bytes,
    *,
    vkey: str | None = None,
    public_keys: Sequence[PublicKey] | None = None,
    policy: Policy | None = None,
    question: Question | None = None,
) -> Answer:
    """Check an answer without network or database; the parameters are those of `check_bundle`.

    Parameters
    ----------
    question : what the answer has to be about; None takes any

    Raises
    ------
    BundleError : a step failed, with the codes of `bundle`, or `subject`: an answer to another question
    """
    with blame("form", "answer"):
        members = check_members(
            parse_object(answer, max_bytes=MAX_ANSWER_BYTES),
            {"bundle", "format", "proof", "subject"},
            "answer",
        )
        if members["format"] != FORMAT:
            raise FormatError(f"answer: expected format {FORMAT}, got {members['format']!r:.120}")
        found = _parse_subject(members["subject"])
        proof = parse_head_proof(members["proof"])
        bundle = format_json(members["bundle"])
        if parse_bundle(bundle).asset != KEYS_ASSET:
            raise FormatError(f"answer: expected a bundle of {KEYS_ASSET!r}")
    if question not in (None, found):
        raise BundleError("answer: expected one to another question", code="subject")
    report = check_bundle(bundle, vkey=vkey, public_keys=public_keys, policy=policy)
    if report.anchor is None:
        raise BundleError("answer: expected a bundle with an anchored map of heads", code="heads-bad")
    with blame("heads-bad", "answer"):
        record = open_head(proof, found.key, report.anchor.heads_root)
    return Answer(found, record, report.anchor.size, report)


def _parse_subject(value: object) -> Question:
    if isinstance(value, dict) and "sha256" in value:
        return Question(check_hex(check_members(value, {"sha256"}, "subject")["sha256"], "subject sha256"))
    return Question(check_asset(check_members(value, {"asset"}, "subject")["asset"]))
