"""A verification report in plain words: first three answers, then each axis of evidence for experts.

Pure: a report's predicate in, texts out. Nothing is judged here; every sentence says what a code of the
report says, and no more.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from .. import axes
from .. import verdict as verdicts
from ..axes import TOLD_WORDS
from ..declaration import measure_share
from ..explanation import HEADLINES
from ..labelreport import describe_credential, describe_tags
from ..labelverdict import METADATA_FORGED
from .wording import (
    STATUSES,
    count_things,
    format_length,
    format_moment,
    format_odds,
    format_pitch,
    format_range,
    format_speed,
)

GOOD, CAUTION, BAD, OPEN = "good", "caution", "bad", "open"
"""Tones: it holds; look closer; do not rely on it; nothing to say."""
Report = Mapping[str, Any]

TONES = {
    **dict.fromkeys(verdicts.GOOD, GOOD),
    verdicts.ALTERED: CAUTION,
    verdicts.MARK_REMOVED: CAUTION,
    verdicts.MARK_MISSING: CAUTION,
    verdicts.UNMARKED_ORIGINAL: CAUTION,
    verdicts.KNOWN_RECORDING: CAUTION,
    verdicts.UNKNOWN_MARK: CAUTION,
    verdicts.MARK_TRANSPLANTED: BAD,
    verdicts.MARK_CONFLICT: BAD,
    verdicts.LEDGER_BROKEN: BAD,
    verdicts.SIGNER_NOT_TRUSTED: BAD,
    METADATA_FORGED: BAD,
    verdicts.REVOKED: BAD,
    verdicts.NOTHING_FOUND: OPEN,
}
SHARES = {
    "all": ("Yes.", "The signed record says that a generative system made this recording."),
    "partly": ("In part.", "The signed record says that a generative system made parts of this recording."),
    "none": ("Not according to its issuer.", "The signed record declares no generative system. That is the "
             "issuer's word; no examination of the sound confirms it."),
}  # fmt: skip
KINDS = {
    "replaced": "replaced by other sound",
    "inserted": "inserted sound",
    "removed": "cut out",
    "reordered": "in another order",
    "overlaid": "other sound laid over",
}
UNTOLD = "Nothing here says so, either way. Finding nothing does not mean that a person made it."
CREDENTIAL_STATES = {
    "trusted": ("Holds, by a trusted signer", GOOD),
    "valid": ("Holds, by a signer not trusted here", CAUTION),
    "expired": ("Signed by an expired certificate", CAUTION),
    "broken": ("Broken", BAD),
    "absent": ("None", OPEN),
    "unreadable": ("Unreadable", CAUTION),
    "unsupported": ("No place for one", OPEN),
    "not-read": ("Not looked for", OPEN),
}


@dataclass(frozen=True)
class Answer:
    """An answer to a plain question: in a word or two, and in a sentence."""

    question: str
    short: str
    text: str


@dataclass(frozen=True)
class Axis:
    """One axis of evidence: its state in a few words, what it rests on, lines, and labelled values."""

    name: str
    title: str
    state: str
    tone: str
    rests_on: str
    lines: tuple[str, ...] = ()
    rows: tuple[tuple[str, str], ...] = field(default=())


@dataclass(frozen=True)
class _Seen:
    """What is seen on an axis, before it is given its title."""

    name: str
    state: str
    tone: str
    lines: tuple[str, ...] = ()
    rows: tuple[tuple[str, str], ...] = field(default=())


COPIES = ("Delivered copy", "the marks of the track's delivered copies")
"""Title of the axis that reports on paper tell with the mark, and what it rests on."""


def name_verdict(report: Report) -> tuple[str, str]:
    """Return headline and tone of a report's verdict."""
    code = report["verdict"]
    return HEADLINES[code], TONES[code]


def answer_questions(report: Report) -> tuple[Answer, ...]:
    """Return the three answers that most people come for."""
    return (
        Answer("What is it?", *_say_what(report)),
        Answer("Was it made by a machine?", *_say_made(report)),
        Answer("Was it changed?", *_say_changed(report)),
    )


def _say_what(report: Report) -> tuple[str, str]:
    track, history = report["track"], report["ledger"]
    if history is not None and history["fault"] is not None:
        return "Not certain.", "A record points to a track, but it does not hold: do not rely on it."
    if report["verdict"] == verdicts.MARK_TRANSPLANTED:
        return "Not the track that its mark names.", f"The mark is that of track {track['track_id']}."
    if report["verdict"] == verdicts.MARK_CONFLICT:
        return "Disputed.", "What the mark names is not what the sound is like."
    if track is not None:
        stated = report["time"]
        when = f", stated on {format_moment(stated['stated'])}" if stated else ""
        return f"Track {track['track_id']}.", f"Registered in the log {history['origin']}{when}."
    matches = report["identity"]["matches"]
    if matches:
        return "A known recording.", f"It sounds like “{matches[0]['name']}”, which is not stamped here."
    if report["watermark"]["found"]:
        return "Marked with this service's key.", "The mark names no track that is registered here."
    return (
        "Not known here.",
        "Neither its digests, nor a mark, nor its sound lead to anything registered here.",
    )


def _say_made(report: Report) -> tuple[str, str]:
    track = report["track"]
    share = measure_share(track["digital_source_type"]) if track is not None else None
    if share is not None and report["verdict"] not in (verdicts.MARK_TRANSPLANTED, verdicts.MARK_CONFLICT):
        return SHARES[share]
    claims = report["credential"]["claims"]
    claimed = measure_share(claims["digital_source_type"]) if claims else None
    if claimed is not None:
        said = {"all": "all of it", "partly": "parts of it", "none": "nothing of it"}[claimed]
        trusted = "trusted" if report["credential"]["state"] == "trusted" else "not trusted here"
        return (
            "A credential speaks of it.",
            f"The credential in the file ({trusted}) says that a generative system made {said}.",
        )
    return "Not known.", UNTOLD


def _say_changed(report: Report) -> tuple[str, str]:
    code, comparison, mark = report["verdict"], report["identity"]["comparison"], report["watermark"]
    if code == verdicts.EXACT or report["content"]["matched"] in ("file", "pcm"):
        return "No.", "Every sample is the one that was registered."
    if report["track"] is None:
        return "Not known.", "There is no registered recording to compare it with."
    if comparison is None or not comparison["assessable"]:
        reason = comparison["reason"] if comparison is not None else "its sound was not compared"
        return "Not known.", f"It could not be held against the registered recording: {reason}."
    if comparison["foreign"]:
        return "It is other sound.", "No part of it is the registered recording."
    changes = comparison["changed"]
    moved = []
    if mark["found"] and format_speed(mark["speed_ppm"]) != "as registered":
        moved.append(f"it runs {format_speed(mark['speed_ppm'])}")
    if mark["found"] and format_pitch(mark["pitch_cents"]) != "as registered":
        moved.append(f"it sounds {format_pitch(mark['pitch_cents'])}")
    also = f" Also, {' and '.join(moved)}." if moved else ""
    if changes:
        return (
            "Yes.",
            f"{count_things(len(changes), 'range')} of it {'is' if len(changes) == 1 else 'are'} not the "
            f"registered recording.{also}",
        )
    if moved:
        return "In time or pitch.", f"Compared with the registered recording, {' and '.join(moved)}."
    if code == verdicts.EXCERPT:
        return "Shortened.", "It is a part of the registered recording; within it, no change was found."
    return "Encoded again.", "Its samples are others, but no change of what is heard was found."


def list_axes(report: Report) -> tuple[Axis, ...]:
    """Return every axis of evidence, in the order of the report, with the titles of `api.axes`."""
    words = {item.code: (item.title, item.rests_on) for item in axes.list_axes(report)}
    words["copies"] = COPIES
    seen = (
        _content(report),
        _identity(report),
        _mark(report),
        _copies(report),
        _credential(report),
        _tags(report),
        _ledger(report),
        _signer(report),
        _time(report),
    )
    return tuple(
        Axis(
            item.name, words[item.name][0], item.state, item.tone, words[item.name][1], item.lines, item.rows
        )
        for item in seen
        if item is not None
    )


def _content(report: Report) -> _Seen:
    content = report["content"]
    states = {
        "file": ("The file is registered, byte for byte", GOOD),
        "pcm": ("The samples are registered; the container is another", GOOD),
        "source-file": ("The file is the one before stamping", CAUTION),
        "source-pcm": ("The samples are those before stamping", CAUTION),
    }
    state, tone = states.get(content["matched"], ("Neither bytes nor samples are registered", OPEN))
    rows = (
        ("File, SHA-256", content["file_sha256"]),
        ("Samples, SHA-256", content["pcm_sha256"]),
        ("Container", f"{content['container']}, {content['encoding']}"),
        ("Sound", f"{content['sample_rate']:,} Hz, {count_things(content['channels'], 'channel')}"),
        ("Length", format_length(content["milliseconds"])),
        *((("Damage", content["damage"]),) if content["damage"] else ()),
    )
    return _Seen("content", state, tone, (), rows)


def _identity(report: Report) -> _Seen:
    identity = report["identity"]
    if not identity["searched"]:
        return _Seen("identity", "Not compared: too short or too quiet", OPEN)
    comparison = identity["comparison"]
    lines = tuple(
        f"{format_range(item['file'])} sounds like {item['name'] or 'track ' + str(item['track_id'])} "
        f"from {format_length(item['recording']['start_ms'])}; "
        f"speed {format_speed(item['speed_ppm'])}, pitch {format_pitch(item['pitch_cents'])}"
        for item in identity["matches"]
    )
    if comparison is not None and comparison["foreign"]:
        return _Seen("identity", "Other sound than the track's", BAD, lines)
    if comparison is not None and comparison["assessable"]:
        changed = comparison["changed"]
        state = f"The track's, but for {count_things(len(changed), 'range')}" if changed else "The track's"
        return _Seen("identity", state, CAUTION if changed else GOOD, lines)
    if lines:
        return _Seen("identity", "Like a known recording", CAUTION, lines)
    return _Seen("identity", "Like no recording in the catalogue", OPEN)


def _mark(report: Report) -> _Seen:
    mark = report["watermark"]
    if not mark["found"]:
        return _Seen("watermark", "No mark of this service found", OPEN)
    # A report for the public leaves out what would help to remove a mark (`api.coarse`).
    told = TOLD_WORDS.get(mark.get("told_by"))
    odds = mark.get("false_alarm_at_most")
    rows = (
        *((("Read", told),) if told else ()),
        ("Profile", mark["profile"]),
        ("Names", f"track {mark['track_id']}" if mark["track_id"] else "no registered track"),
        *((("Chance of a false alarm", format_odds(odds)),) if odds else ()),
        ("Speed", format_speed(mark["speed_ppm"])),
        ("Pitch", format_pitch(mark["pitch_cents"])),
    )
    good = mark["track_id"] is not None and mark["opens_commitment"] is not False
    state = "Found, and borne out by the signed entry" if mark["opens_commitment"] else "Found"
    return _Seen("watermark", state, GOOD if good else CAUTION, (), rows)


def _copies(report: Report) -> _Seen | None:
    copies = report["copies"]
    if copies is None:
        return None
    named = [item["copy_id"] for item in copies["named"]]
    state = "Mixed from several marked files" if copies["several"] else (
        f"Copy {named[0]}" if named else "No copy named")  # fmt: skip
    lines = tuple(f"Copy {item['copy_id']}, told by its {item['by']}" for item in copies["named"])
    tone = CAUTION if copies["several"] or copies["foreign"] else GOOD
    return _Seen("copies", state, tone, lines)


def _credential(report: Report) -> _Seen:
    credential = report["credential"]
    state, tone = CREDENTIAL_STATES.get(credential["state"], (credential["state"], OPEN))
    if credential["contradicted"] or credential["of_other_track"]:
        tone = BAD
    return _Seen("credential", state, tone, (describe_credential(credential),))


def _tags(report: Report) -> _Seen:
    tags = report["tags"]
    if tags["state"] in ("absent", "not-read"):
        return _Seen("tags", "None" if tags["state"] == "absent" else "Not looked for", OPEN)
    if tags["contradicted"]:
        state, tone = f"{count_things(len(tags['contradicted']), 'field')} contradict the record", BAD
    elif tags["confirmed"]:
        state, tone = "Borne out by the record", GOOD
    else:
        state, tone = "Present; the record says nothing of them", OPEN
    return _Seen("tags", state, tone, tuple(describe_tags(tags)))


def _ledger(report: Report) -> _Seen:
    history = report["ledger"]
    if history is None:
        return _Seen("ledger", "No entry to check", OPEN)
    rows = (
        ("Log", history["origin"]),
        ("Size", f"{history['size']:,}" if history["size"] is not None else "not known"),
        ("Root", history["root"] or "not known"),
        ("Entries of the track", f"{len(history['events'])}"),
    )
    if history["fault"] is not None:
        return _Seen("ledger", "Does not hold", BAD, (history["fault"]["message"],), rows)
    status = history["status"]
    tone = {"valid": GOOD, "revoked": BAD}.get(status, CAUTION)
    state = "Proven, unbroken" if status == "valid" else f"Proven. {STATUSES.get(status, status)}"
    return _Seen("ledger", state, tone, (), rows)


def _signer(report: Report) -> _Seen:
    signer = report["signer"]
    if signer is None:
        return _Seen("signer", "Nobody to name", OPEN)
    rows = tuple(("Key", key_id) for key_id in signer["key_ids"])
    return _Seen("signer", "Trusted here", GOOD, (), rows)


def _time(report: Report) -> _Seen:
    time = report["time"]
    if time is None:
        return _Seen("time", "Not stated", OPEN)
    return _Seen("time", f"Stated: {format_moment(time['stated'])}", OPEN)
