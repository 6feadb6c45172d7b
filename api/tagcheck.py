"""Tags held against what the ledger states: which fields are borne out, which lie.

Rules, field by field; a field on which the entry says nothing is neither:

1. title, artist     equal but for case, spacing and Unicode's forms; several values, each or joined
2. isrc     equal but for hyphens
3. track-id, log     equal; an OriginatorReference or FILE_UID counts only if it has the form of a track id
4. link     equal to the one that the entry states
5. digital-source-type, contains-ai     equal as terms
6. aigc     names another producer or product, or labels as generated what is declared not to be
7. date    earlier than the registration by more than a day, of a track that was generated then: no recording
   is older than its making. A stamped recording may be of any age.
"""

import datetime
import json
import re
import unicodedata
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from .declaration import NONE, SOURCE_TYPE_BASE
from .disclosure import Disclosure
from .labelevidence import ABSENT, PRESENT, UNREADABLE, Contradiction, TagEvidence

TRACK_ID = re.compile(r"[a-z2-7]{16}")
JOINTS = (", ", "; ", " & ", "/", " / ", " and ")
NAMES = {
    "TITLE": "title",
    "ARTIST": "artist",
    "ISRC": "isrc",
    "DATE": "date",
    "YEAR": "date",
    "DIGITALSOURCETYPE": "digital-source-type",
    "CONTAINSAI": "contains-ai",
    "PROVENANCE_ID": "track-id",
    "ORIGINATOR_REFERENCE": "track-id",
    "FILE_UID": "track-id",
    "PROVENANCE_LOG": "log",
    "PROVENANCE_URL": "link",
    "AIGC": "aigc",
}
LOOSE = frozenset({"ORIGINATOR_REFERENCE", "FILE_UID"})
"""Names that other programs use for ids of their own."""
MAX_SHOWN = 200
_DATE = re.compile(r"([0-9]{4})(?:-([0-9]{2})(?:-([0-9]{2}))?)?")


@dataclass(frozen=True)
class TagField:
    """One tag as read: where it stands, its name in capitals, its text."""

    carrier: str
    name: str
    value: str


@dataclass
class _Findings:
    contradicted: list[Contradiction] = field(default_factory=list)
    confirmed: set[str] = field(default_factory=set)
    unregistered: set[str] = field(default_factory=set)


def check_tags(
    fields: Iterable[TagField], stated: Disclosure | None, *, generated: bool = False, problem: str = ""
) -> TagEvidence:
    """Hold tags against a track's proven disclosure, or only look which track they name.

    Parameters
    ----------
    fields
        The tags as read.
    stated
        What the ledger says of the track that the file was found to be; None where it was found to be none.
    generated
        Whether the track was made when it was registered.
    problem
        Why not all tags could be read; "" if they could.
    """
    found = tuple(item for item in fields if item.value.strip())
    state = UNREADABLE if problem else PRESENT if found else ABSENT
    claims = next(
        (item.value for item in found if item.name == "PROVENANCE_ID" and TRACK_ID.fullmatch(item.value)),
        None,
    )
    if stated is None:
        return TagEvidence(state, problem, len(found), claims_track=claims)
    findings = _Findings()
    groups: dict[tuple[str, str], list[str]] = {}
    for item in found:
        if item.name in NAMES and not (item.name in LOOSE and not TRACK_ID.fullmatch(item.value)):
            groups.setdefault((item.carrier, NAMES[item.name]), []).append(item.value.strip())
    for (carrier, name), values in groups.items():
        _check_group(findings, stated, carrier, name, values, generated)
    bad = {item.field for item in findings.contradicted}
    return TagEvidence(
        state=state,
        problem=problem,
        count=len(found),
        contradicted=tuple(findings.contradicted),
        confirmed=tuple(sorted(findings.confirmed - bad)),
        unregistered=tuple(sorted(findings.unregistered)),
        claims_track=claims,
    )


def _check_group(
    findings: _Findings, stated: Disclosure, carrier: str, name: str, values: list[str], generated: bool
) -> None:
    """Check what one carrier says in one field."""
    expected = {
        "title": stated.title,
        "artist": stated.artist,
        "isrc": stated.isrc,
        "digital-source-type": stated.source_type,
        "contains-ai": stated.share,
        "track-id": stated.track_id,
        "log": stated.log,
        "link": stated.link,
        "aigc": stated.share,
        "date": stated.created[:10] if generated else None,
    }[name]
    if expected is None:
        findings.unregistered.add(name)
        return
    if name in ("title", "artist") and any(_fold(joint.join(values)) == _fold(expected) for joint in JOINTS):
        findings.confirmed.add(name)
        return
    for value in values:
        agrees = _agrees(name, value, expected, stated)
        if agrees is None:
            findings.unregistered.add(name)
        elif agrees:
            findings.confirmed.add(name)
        else:
            findings.contradicted.append(Contradiction(name, carrier, value[:MAX_SHOWN], expected))


def _agrees(name: str, value: str, expected: str, stated: Disclosure) -> bool | None:
    """Say whether a value agrees with the entry; None where it says nothing that could."""
    if name == "aigc":
        return _check_label(value, stated)
    if name == "date":
        return _check_date(value, expected)
    if name == "isrc":
        return value.upper().replace("-", "").replace(" ", "") == expected
    if name == "digital-source-type":
        return _shorten(value) == _shorten(expected)
    if name == "link":
        return value.rstrip("/") == expected.rstrip("/")
    return _fold(value) == _fold(expected)


def _fold(text: str) -> str:
    return " ".join(unicodedata.normalize("NFKC", text).casefold().split())


def _shorten(term: str) -> str:
    """Return the last part of an IPTC URI, with either scheme."""
    return term.replace("https://", "http://", 1).removeprefix(SOURCE_TYPE_BASE)


def _check_label(text: str, stated: Disclosure) -> bool | None:
    try:
        document: Any = json.loads(text)
    except (ValueError, RecursionError):
        return None
    label = document.get("AIGC", document) if isinstance(document, Mapping) else None
    if not isinstance(label, Mapping) or "Label" not in label:
        return None
    if stated.share == NONE:
        return False
    return label.get("ProduceID") == stated.track_id and label.get("ContentProducer") == stated.provider


def _check_date(text: str, registered: str) -> bool | None:
    """Say whether a date, to the precision that it is given in, is no more than a day before another."""
    match = _DATE.match(text)
    if match is None:
        return None
    latest = datetime.date.fromisoformat(registered) - datetime.timedelta(days=1)
    parts = tuple(int(part) for part in match.groups() if part is not None)
    return parts >= (latest.year, latest.month, latest.day)[: len(parts)]
