import pytest
from ledger_world import sha

from ledger import Subject, build_statement, parse_statement
from ledger.errors import FormatError
from ledger.event import asset_subject
from ledger.predicate import (
    ANCHORED,
    COUNTER_NOTICE,
    DECISION,
    DELIVERED,
    ERASED,
    EVENT_TYPES,
    GENERATED,
    KEY_ADDED,
    KEY_REVOKED,
    KEY_ROTATED,
    LICENSED,
    NOTICE,
    PUBLISHED,
    REVOKED,
    SIGNED,
    STAMPED,
    TRANSFERRED,
    check_predicate,
)

TIME = "2026-11-22T17:31:32Z"
HEX = sha("x").hex()
KEY_ID = "kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k"
SMALLEST: dict[str, dict[str, object]] = {
    GENERATED: {},
    STAMPED: {},
    SIGNED: {"time": TIME, "credential": {"id": "urn:c2pa:1", "sha256": HEX}},
    DELIVERED: {"time": TIME, "commitments": {"recipient": HEX}},
    PUBLISHED: {"time": TIME, "channel": "radio"},
    LICENSED: {"time": TIME, "licence": {"class": "sync", "terms_sha256": HEX}},
    TRANSFERRED: {"time": TIME, "to": "label.example"},
    NOTICE: {"time": TIME, "claim": "copyright"},
    COUNTER_NOTICE: {"time": TIME, "notice": 3},
    DECISION: {"time": TIME, "notice": 3, "outcome": "upheld"},
    REVOKED: {"time": TIME, "reason": "stamped-in-error"},
    ERASED: {"time": TIME, "ground": "gdpr-17", "erased": [{"n": 0, "label": "prompt"}]},
    KEY_ADDED: {"key": {}},
    KEY_ROTATED: {"key": {}, "replaces": KEY_ID},
    KEY_REVOKED: {"key_id": KEY_ID, "reason": "compromised"},
    ANCHORED: {"time": TIME, "size": 9, "heads_root": HEX, "keys": 4},
}
LARGEST: dict[str, dict[str, object]] = {
    GENERATED: {
        "anything": [1, {"deep": True}],
        "time": TIME,
        "audio": {"container": "flac", "bits": 24, "sample_rate": 44_100, "channels": 2, "samples": 9},
        "mark": {"profile": "pn3", "watermark_key": "k", "strength_percent": 60, "margin": {"rows": []}},
        "generation": {"engine": "provenote"},
        "digital_source_type": "http://cv.iptc.org/newscodes/digitalsourcetype/trainedAlgorithmicMedia",
    },
    DELIVERED: {"mark": {"profile": "pn1", "watermark_key": "k"}},
    PUBLISHED: {"address": "https://radio.example/1", "identifiers": {"isrc": "AA6Q72000047"}},
    NOTICE: {"reference": "case 7", "evidence_sha256": HEX, "commitments": {"claimant": HEX}},
    COUNTER_NOTICE: {"evidence_sha256": HEX},
    DECISION: {"reason": "no-licence", "evidence_sha256": HEX},
    KEY_ADDED: {"roles": ["issuer", "owner"], "party": "label.example", "mark_key": {}},
    KEY_ROTATED: {"mark_key": {}},
    KEY_REVOKED: {"from": 12},
}


def check(kind: str, predicate: dict[str, object]) -> None:
    subjects = [Subject("file", sha("file"))]
    check_predicate(parse_statement(build_statement(kind, subjects, {**predicate, "ledger": {}})))


def test_every_type_of_event_has_its_members() -> None:
    assert set(SMALLEST) == EVENT_TYPES
    assert len(EVENT_TYPES) == 16
    for kind, predicate in SMALLEST.items():
        check(kind, predicate)
        check(kind, {"time": TIME, "commitments": {"recipient": HEX}, **predicate, **LARGEST.get(kind, {})})


@pytest.mark.parametrize("kind", sorted(EVENT_TYPES))
def test_a_missing_or_unknown_member_is_refused(kind: str) -> None:
    for member in SMALLEST[kind]:
        short = {name: value for name, value in SMALLEST[kind].items() if name != member}
        with pytest.raises(FormatError):
            check(kind, short)
    if kind not in (GENERATED, STAMPED):
        with pytest.raises(FormatError, match="unknown"):
            check(kind, {**SMALLEST[kind], "remark": "by hand"})


@pytest.mark.parametrize("kind", sorted(EVENT_TYPES))
def test_every_member_has_a_type(kind: str) -> None:
    members = {**SMALLEST[kind], **LARGEST.get(kind, {}), "time": TIME, "commitments": {"recipient": HEX}}
    members.pop("anything", None)
    for member, sound in members.items():
        for wrong in (None, True, -1, "", [], {"x": 1}, "\u00e4" * 2000, [sound]):
            if (
                type(wrong) is type(sound)
                and member in ("key", "mark_key", "identifiers", "generation")
                and isinstance(wrong, dict)
            ):
                continue  # an object of any members; the key itself is judged by `keys`
            with pytest.raises(FormatError):
                check(kind, {**members, member: wrong})


@pytest.mark.parametrize(
    ("kind", "change"),
    [
        (REVOKED, {"time": "2026-02-30T00:00:00Z"}),
        (REVOKED, {"time": "2026-11-22T17:31:32+00:00"}),
        (REVOKED, {"time": "2026-11-22T17:31:32.5Z"}),
        (REVOKED, {"time": "2026-11-22 17:31:32Z"}),
        (REVOKED, {"reason": "Free prose about somebody"}),
        (TRANSFERRED, {"to": "Jane Doe"}),
        (DELIVERED, {"commitments": {"somebody": HEX}}),
        (DELIVERED, {"commitments": {"recipient": HEX.upper()}}),
        (DECISION, {"outcome": "maybe"}),
        (SIGNED, {"credential": {"id": "urn:c2pa:1", "sha256": HEX, "more": 1}}),
        (LICENSED, {"licence": {"class": "Sync", "terms_sha256": HEX}}),
        (PUBLISHED, {"identifiers": {"ISRC": "AA6Q72000047"}}),
        (PUBLISHED, {"identifiers": {str(n): "x" for n in range(17)}}),
        (ERASED, {"erased": [{"n": 0, "label": "prompt"}, {"label": "prompt", "n": 0}]}),
        (ERASED, {"erased": [{"n": 0, "label": str(n)} for n in range(257)]}),
        (KEY_ADDED, {"roles": ["owner", "issuer"], "party": "x"}),
        (KEY_ADDED, {"roles": ["issuer", "issuer"], "party": "x"}),
        (KEY_ADDED, {"roles": ["pope"], "party": "x"}),
        (KEY_REVOKED, {"key_id": "short"}),
    ],
)
def test_values_that_a_member_cannot_have_are_refused(kind: str, change: dict[str, object]) -> None:
    with pytest.raises(FormatError):
        check(kind, {**SMALLEST[kind], **change})


def test_a_type_that_nobody_defined_is_refused() -> None:
    with pytest.raises(FormatError, match="known event type"):
        check("https://provenote.example/unheard-of/v1", {})


def test_an_event_about_no_file_is_about_its_asset() -> None:
    assert asset_subject("track:1").name == "asset"
    assert asset_subject("track:1") != asset_subject("track:2")
