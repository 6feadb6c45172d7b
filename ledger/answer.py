"""Answers: what the log says of one asset, digest or mark, above all that it says nothing; checked offline.

A file of RFC 8785 JSON, in which the bundle of the asset `keys` brings the checkpoint, the witnesses, the
operators' keys and the anchored map of heads:

    {"bundle":{...},"format":"provenote-answer/v1","proof":{head proof},"subject":{"asset":"track:7q2xk"}}

The subject may be {"sha256":hex} instead: of a file or of its samples. The answer holds for that digest and
no other. About a mark, by its id, the answer has for each mark key of the log, the oldest first, the proof of
the mark's tag under it (`marks`) and what the map says of that tag:

    {"bundle":{...},"format":"provenote-answer/v2","subject":{"mark":"9f0c..."},
     "tags":[{"proof":{head proof},"vrf":"<base64>"}]}

Such an answer tells its reader's id to whoever reads the file: it is not for the public.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from .blame import blame
from .bundle import BundleReport, check_bundle
from .bundle_form import MAX_BUNDLE_BYTES, parse_bundle
from .bundling import EntrySource, Evidence, make_bundle
from .canonical import check_hex, check_members, check_text, format_json, parse_object
from .encoding import decode_base64, encode_base64
from .errors import BundleError, FormatError, NotFoundError
from .event import KEYS_ASSET, check_asset
from .heads import (
    HeadProof,
    HeadRecord,
    asset_key,
    digest_key,
    format_head_proof,
    open_head,
    parse_head_proof,
)
from .keys import PublicKey
from .marks import MAX_MARK_BYTES, MarkKey, open_tag, tag_mark
from .policy import Policy
from .vrf import VrfKey

FORMAT = "provenote-answer/v1"
MARK_FORMAT = "provenote-answer/v2"
MAX_ANSWER_BYTES = MAX_BUNDLE_BYTES + 65_536
MAX_MARK_KEYS = 64


@dataclass(frozen=True)
class MarkId:
    """A mark by its id, 1 to 32 bytes."""

    mark_id: bytes


@dataclass(frozen=True)
class Question:
    """What is asked about: an asset's name, a SHA-256 digest of 32 bytes, or a mark."""

    subject: str | bytes | MarkId


@dataclass(frozen=True)
class Answer:
    """A checked answer.

    Attributes
    ----------
    records : what the map says of the subject's key: how many events, and the leaf hash of the last; empty if
        there is none. A mark may have a record under each mark key
    as_of : the answer is about the first so many entries of the log
    since : of a mark: entries before this one name no tags, and the answer says nothing of them; otherwise 0
    report : what the bundle around it proves: the log, its checkpoint, witnesses
    """

    question: Question
    records: tuple[HeadRecord, ...]
    as_of: int
    since: int
    report: BundleReport

    @property
    def events(self) -> int:
        """How many events are about the subject."""
        return sum(item.count for item in self.records)


@dataclass(frozen=True)
class _Claim:
    """A proof about one key of the map, for a mark with the proof that the key is its own."""

    proof: HeadProof
    vrf: bytes = b""


def make_answer(
    source: EntrySource, question: Question, evidence: Evidence, *, mark_keys: Sequence[VrfKey] = ()
) -> bytes:
    """Return the answer as of the last anchor that a checkpoint covers.

    Parameters
    ----------
    mark_keys : secret mark keys; a question about a mark needs each that the log has had

    Raises
    ------
    NotFoundError : the log has no anchor yet (one is written before each publication); or, asked about a
        mark, no mark key before it, or one whose secret is not given
    FormatError : a mark's id of no such length
    """
    bundle = make_bundle(source, KEYS_ASSET, evidence=evidence)
    report = check_bundle(bundle, vkey=source.vkey)
    if report.anchor is None or evidence.heads is None:
        raise NotFoundError("the log has no anchored map of heads yet: publish a checkpoint first")
    members: dict[str, Any] = {"bundle": parse_object(bundle, max_bytes=MAX_BUNDLE_BYTES)}
    subject = question.subject
    if isinstance(subject, MarkId):
        needed = _list_mark_keys(report)
        if not needed:
            raise NotFoundError("the map of heads has no marks: the log had no mark key before it")
        tags = [tag_mark(_find_secret(item, mark_keys), subject.mark_id) for item in needed]
        proofs = evidence.heads.prove(report.anchor.size, [digest_key(item.tag) for item in tags])
        members |= {
            "format": MARK_FORMAT,
            "subject": {"mark": subject.mark_id.hex()},
            "tags": [
                {"proof": format_head_proof(proof), "vrf": encode_base64(item.proof)}
                for item, proof in zip(tags, proofs, strict=True)
            ],
        }
    else:
        (proof,) = evidence.heads.prove(report.anchor.size, [_key_of(subject)])
        named = {"sha256": subject.hex()} if isinstance(subject, bytes) else {"asset": subject}
        members |= {"format": FORMAT, "subject": named, "proof": format_head_proof(proof)}
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
    BundleError : a step failed, with the codes of `bundle`, or `subject`: an answer to another question, or
        `tag-bad`: a tag that is not shown to be the mark's, or not one for each mark key
    """
    with blame("form", "answer"):
        found, claims, bundle = _parse(answer)
        if parse_bundle(bundle).asset != KEYS_ASSET:
            raise FormatError(f"answer: expected a bundle of {KEYS_ASSET!r}")
    if question not in (None, found):
        raise BundleError("answer: expected one to another question", code="subject")
    report = check_bundle(bundle, vkey=vkey, public_keys=public_keys, policy=policy)
    if report.anchor is None:
        raise BundleError("answer: expected a bundle with an anchored map of heads", code="heads-bad")
    subject, since = found.subject, 0
    if isinstance(subject, MarkId):
        mark_keys = _list_mark_keys(report)
        if len(claims) != len(mark_keys):
            message = f"answer: expected a tag for each of {len(mark_keys)} mark keys, got {len(claims)}"
            raise BundleError(message, code="tag-bad")
        with blame("tag-bad", "answer"):
            keys = [
                digest_key(open_tag(item.public_key, subject.mark_id, claim.vrf))
                for item, claim in zip(mark_keys, claims, strict=True)
            ]
        since = mark_keys[0].added_at
    else:
        keys = [_key_of(subject)]
    with blame("heads-bad", "answer"):
        opened = [
            open_head(claim.proof, key, report.anchor.heads_root)
            for claim, key in zip(claims, keys, strict=True)
        ]
    records = tuple(item for item in opened if item is not None)
    return Answer(found, records, report.anchor.size, since, report)


def _parse(answer: bytes) -> tuple[Question, list[_Claim], bytes]:
    """Return the question, the claims and the bundle of an answer; FormatError for anything else."""
    members = parse_object(answer, max_bytes=MAX_ANSWER_BYTES)
    if members.get("format") == MARK_FORMAT:
        check_members(members, {"bundle", "format", "subject", "tags"}, "answer")
        named = check_members(members["subject"], {"mark"}, "subject")["mark"]
        text = check_text(named, "subject mark", max_characters=2 * MAX_MARK_BYTES)
        subject = MarkId(check_hex(text, "subject mark", octets=len(text) // 2))
        listed = members["tags"]
        if not isinstance(listed, list) or not 1 <= len(listed) <= MAX_MARK_KEYS:
            raise FormatError(f"answer: expected 1 to {MAX_MARK_KEYS} tags, got {str(listed)[:80]}")
        return Question(subject), [_parse_tag(item) for item in listed], format_json(members["bundle"])
    check_members(members, {"bundle", "format", "proof", "subject"}, "answer")
    if members["format"] != FORMAT:
        raise FormatError(
            f"answer: expected format {FORMAT} or {MARK_FORMAT}, got {members['format']!r:.120}"
        )
    claim = _Claim(parse_head_proof(members["proof"]))
    return _parse_subject(members["subject"]), [claim], format_json(members["bundle"])


def _parse_tag(value: object) -> _Claim:
    found = check_members(value, {"proof", "vrf"}, "tag")
    text = check_text(found["vrf"], "tag vrf", max_characters=256)
    return _Claim(parse_head_proof(found["proof"]), decode_base64(text, "tag vrf"))


def _parse_subject(value: object) -> Question:
    if isinstance(value, dict) and "sha256" in value:
        return Question(check_hex(check_members(value, {"sha256"}, "subject")["sha256"], "subject sha256"))
    return Question(check_asset(check_members(value, {"asset"}, "subject")["asset"]))


def _key_of(subject: str | bytes) -> bytes:
    """Return the key in the map of heads."""
    return digest_key(subject) if isinstance(subject, bytes) else asset_key(subject)


def _list_mark_keys(report: BundleReport) -> list[MarkKey]:
    """Return the mark keys that an entry before the anchor's size can have been tagged with."""
    size = report.anchor.size if report.anchor else 0
    return [item for item in report.mark_keys if item.added_at < size]


def _find_secret(mark_key: MarkKey, secrets: Sequence[VrfKey]) -> VrfKey:
    for item in secrets:
        if item.public_key == mark_key.public_key:
            return item
    raise NotFoundError(f"the secret of the mark key of entry {mark_key.added_at} is not here")
