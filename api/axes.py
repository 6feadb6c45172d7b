"""The axes of a report's evidence in plain words: what was found, what it says, what it rests on.

Pages, PDFs and the front page of the service (`api.web.findings`) take titles and what an axis rests on from
here. Pure functions of the signed predicate: nothing is decided.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from .labelreport import describe_credential, describe_tags
from .strip import format_clock

SUPPORTS, AGAINST, SILENT = "supports", "against", "silent"
STATE_WORDS = {SUPPORTS: "supports it", AGAINST: "speaks against it", SILENT: "says nothing"}
"""What an axis says of the claim that this is the registered track, unchanged."""
STATUS_WORDS = {
    "valid": "in force",
    "contested": "contested: a notice against it is not decided",
    "taken-down": "taken down: a notice against it was upheld",
    "revoked": "revoked by its owner or a court",
}
TOLD_WORDS = {
    "code": "decoded from the sound alone",
    "registry": "too weak to be decoded; told among all registered marks",
    "candidate": "told among the marks of the track that the sound is like",
}


@dataclass(frozen=True)
class Axis:
    """What one axis of the evidence says: `state` is one of STATE_WORDS, `facts` are names and values."""

    code: str
    title: str
    state: str
    sentences: tuple[str, ...]
    rests_on: str
    facts: tuple[tuple[str, str], ...] = ()


def list_axes(predicate: Mapping[str, Any]) -> Iterator[Axis]:
    """Yield each axis, in the order of the report."""
    broken = predicate["ledger"] is not None and predicate["ledger"]["fault"] is not None
    yield _explain_content(predicate["content"])
    yield _explain_identity(predicate["identity"], broken=broken)
    yield _explain_mark(predicate["watermark"], predicate["copies"])
    yield _explain_credential(predicate["credential"])
    yield _explain_tags(predicate["tags"])
    yield _explain_ledger(predicate["ledger"])
    yield _explain_signer(predicate["signer"], predicate["ledger"])
    yield _explain_time(predicate["time"])


def _explain_content(content: Mapping[str, Any]) -> Axis:
    matched = content["matched"]
    said = {
        None: "Neither the bytes of the file nor its samples are registered. Any new encoding changes both.",
        "file": "The file is registered byte for byte.",
        "pcm": "The samples are registered one by one; only what is around them (container, tags) differs.",
        "source-file": "It is, byte for byte, the recording that was handed in to be stamped.",
        "source-pcm": "Its samples are those of the recording that was handed in to be stamped.",
    }[matched]
    sentences = [said]
    if content["damage"]:
        sentences.append(f"The file is damaged: {content['damage']}. What could be decoded was examined.")
    seconds = content["milliseconds"] / 1000
    return Axis(
        "content",
        "Bytes and samples",
        SUPPORTS if matched in ("file", "pcm") else SILENT,
        tuple(sentences),
        "SHA-256 of the file and of its decoded samples",
        (
            ("SHA-256 of the file", content["file_sha256"]),
            ("SHA-256 of the samples", content["pcm_sha256"]),
            (
                "Form",
                f"{content['container']}, {content['encoding']}, {content['sample_rate']} Hz, "
                f"{content['channels']} channel{'s' if content['channels'] != 1 else ''}",
            ),
            ("Length", f"{format_clock(seconds)} ({seconds:.3f} s)"),
        ),
    )


def _explain_identity(identity: Mapping[str, Any], *, broken: bool) -> Axis:
    rests_on = "an acoustic fingerprint, compared with the catalogue of this ledger"
    facts = tuple(
        (
            f"Match {number}",
            f"{_name_match(item)}: {format_span(item['file'])} of the file is "
            f"{format_span(item['recording'])} of it, at {item['speed_ppm'] / 1e4:.1f} % speed, "
            f"{item['pitch_cents']:+d} cents{_say_chance(item)}",
        )
        for number, item in enumerate(identity["matches"], start=1)
    )
    state, sentences = _say_identity(identity, broken=broken)
    return Axis("identity", "The sound itself", state, sentences, rests_on, facts)


def _say_identity(identity: Mapping[str, Any], *, broken: bool) -> tuple[str, tuple[str, ...]]:
    comparison = identity["comparison"]
    if broken:
        return SILENT, (
            "The sound was not compared: the record of the track it would be compared with is broken.",
        )
    if comparison is not None:
        return _say_comparison(comparison)
    if identity["matches"]:
        return SILENT, (f"It sounds like {_name_match(identity['matches'][0])}.",)
    if identity["searched"]:
        return SILENT, ("It sounds like no recording in the catalogue.",)
    return SILENT, ("It is too short or too quiet to be looked up by its sound.",)


def _say_comparison(comparison: Mapping[str, Any]) -> tuple[str, tuple[str, ...]]:
    track = f"track {comparison['track_id']}"
    if comparison["foreign"]:
        return AGAINST, (f"No part of the sound is that of {track}, whose mark it carries.",)
    if not comparison["assessable"]:
        return SILENT, (f"It was compared with {track}, without a result: {comparison['reason']}.",)
    intact_s = sum(item["end_ms"] - item["start_ms"] for item in comparison["intact"]) / 1000
    said = f"{intact_s:.1f} s of the sound are those of {track}."
    changes = comparison["changed"]
    if not changes:
        return SUPPORTS, (said, "Between them nothing was found changed.")
    counted = ", ".join(
        f"{sum(item['kind'] == kind for item in changes)} {kind}"
        for kind in dict.fromkeys(item["kind"] for item in changes)
    )
    return AGAINST, (said, f"Changed ranges: {counted}. Each is listed with its place below the picture.")


def _say_chance(item: Mapping[str, Any]) -> str:
    chance = item.get("false_alarm_at_most")
    return "" if chance is None else f"; by chance at most {chance}"


def _name_match(item: Mapping[str, Any]) -> str:
    return f"track {item['track_id']}" if item["track_id"] else f"the catalogued recording “{item['name']}”"


def _explain_mark(mark: Mapping[str, Any], copies: Mapping[str, Any] | None) -> Axis:
    rests_on = "the watermark key of this ledger; who does not have it can neither read nor forge a mark"
    if not mark["found"]:
        sentences = [
            "No mark of this ledger's keys was found.",
            "A mark can be too weak to be read, or destroyed.",
        ]
        return Axis("watermark", "The mark in the sound", SILENT, tuple(sentences), rests_on)
    state = SUPPORTS
    if mark["track_id"] is None:
        state, sentences = (
            AGAINST,
            ["A mark under this ledger's key was found, but it names no track registered here."],
        )
    else:
        sentences = [f"The mark of track {mark['track_id']} was found."]
    if mark["opens_commitment"] is False:
        state = AGAINST
        sentences.append("It is not the mark that the signed entry commits to.")
    elif mark["opens_commitment"]:
        sentences.append("It is the mark that the signed entry commits to.")
    if mark.get("absent"):
        ranges = ", ".join(format_span(item) for item in mark["absent"][:6])
        sentences.append(f"It is missing at {ranges}.")
    sentences.extend(_say_change(mark))
    sentences.extend(_say_copies(copies))
    facts = [("Profile", str(mark["profile"]))]
    if "told_by" in mark:  # a report for the public has less (`api.coarse`)
        facts += [
            ("Found by", TOLD_WORDS[mark["told_by"]]),
            ("By chance", f"at most {mark['false_alarm_at_most']}"),
        ]
    return Axis("watermark", "The mark in the sound", state, tuple(sentences), rests_on, tuple(facts))


def _say_change(mark: Mapping[str, Any]) -> Iterator[str]:
    speed, cents = mark["speed_ppm"] / 1e6 - 1.0, mark["pitch_cents"]
    if abs(speed) >= 0.002:
        yield f"The file runs {abs(100 * speed):.1f} % {'faster' if speed > 0 else 'slower'} than the track."
    if abs(cents) >= 10:
        yield f"It sounds {abs(cents) / 100:.1f} semitones {'higher' if cents > 0 else 'lower'}."


def _say_copies(copies: Mapping[str, Any] | None) -> Iterator[str]:
    if copies is None or not copies["named"]:
        return
    names = ", ".join(item["copy_id"] for item in copies["named"])
    several = copies["several"]
    yield f"It comes from {'copies' if several else 'the delivered copy'} {names}."
    if copies["foreign"]:
        yield "It carries a further mark of this ledger that is none of this track's."


def _explain_credential(credential: Mapping[str, Any]) -> Axis:
    bad = credential["contradicted"] or credential["of_other_track"] or credential["state"] == "broken"
    good = credential["state"] in ("trusted", "valid", "expired") and credential["logged"]
    facts = [
        (name, str(credential[key]))
        for name, key in (("Manifest", "manifest_id"), ("Signer", "signer"), ("Time-stamp", "time_stamp"))
        if credential[key]
    ]
    if credential["codes"]:
        facts.append(("C2PA codes", ", ".join(credential["codes"])))
    return Axis(
        "credential",
        "Content Credential (C2PA)",
        AGAINST if bad else SUPPORTS if good else SILENT,
        (_end(describe_credential(credential)),),
        "the signer's certificate, and the lists of trust of this ledger",
        tuple(facts),
    )


def _explain_tags(tags: Mapping[str, Any]) -> Axis:
    state = AGAINST if tags["contradicted"] else SUPPORTS if tags["confirmed"] else SILENT
    return Axis(
        "tags",
        "Tags of the file",
        state,
        tuple(_end(line) for line in describe_tags(tags)),
        "the signed entry in the ledger; anybody can write tags",
    )


def _explain_ledger(history: Mapping[str, Any] | None) -> Axis:
    rests_on = "the public key of the log: proofs of inclusion under its newest signed checkpoint"
    title = "The custody ledger"
    if history is None:
        return Axis(
            "ledger", title, SILENT, ("No track was named, so there was no record to look at.",), rests_on
        )
    facts = [("Log", history["origin"])]
    if history["size"] is not None:
        facts += [("Entries in the log", str(history["size"])), ("Root of the log", history["root"])]
    fault = history["fault"]
    if fault is not None:
        place = "" if fault["index"] is None else f" at entry {fault['index']}"
        said = f"The record does not hold{place}: {fault['message']}."
        return Axis(
            "ledger", title, AGAINST, (said, "Nothing that it says is believed."), rests_on, tuple(facts)
        )
    count = len(history["events"])
    proven = "it is signed" if count == 1 else "each is signed, in order,"
    sentences = [
        f"{count} entr{'y' if count == 1 else 'ies'} about the track: {proven} and proven to be in the log.",
        f"The registration is {STATUS_WORDS.get(history['status'], history['status'])}.",
    ]
    state = SUPPORTS if history["status"] == "valid" else AGAINST
    return Axis("ledger", title, state, tuple(sentences), rests_on, tuple(facts))


def _explain_signer(signer: Mapping[str, Any] | None, history: Mapping[str, Any] | None) -> Axis:
    rests_on = "the list of trusted keys of this ledger (public-keys.json)"
    title = "Who signed the record"
    if signer is None:
        said = "There is no record whose signer could be named."
        if history is not None and history["fault"] is not None:
            said = "The record does not hold, so its signer is not named."
        return Axis("signer", title, SILENT, (said,), rests_on)
    disputed = any(item["disputed"] for item in history["events"]) if history is not None else False
    sentences = ["Every entry is signed by a key that is trusted here."]
    if disputed:
        sentences.append(
            "A key was later revoked for entries from one of these on: its signature is in dispute."
        )
    facts = tuple(("Key", key_id) for key_id in signer["key_ids"])
    return Axis("signer", title, AGAINST if disputed else SUPPORTS, tuple(sentences), rests_on, facts)


def _explain_time(time: Mapping[str, Any] | None) -> Axis:
    if time is None:
        return Axis("time", "When", SILENT, ("No time is stated.",), "the record")
    sentences = [f"Registered {time['stated']}, as stated."]
    stamped = time.get("stamped")  # a report of an earlier program has none
    if stamped is not None:
        sentences.append(
            f"The time-stamping authority {stamped['authority']} says that the entry was in the log by "
            f"{stamped['time']}."
        )
    return Axis("time", "When", SILENT, tuple(sentences), time["rests_on"])


def format_span(item: Mapping[str, int]) -> str:
    """Return a range for people: 0:07.4–0:12.0."""
    start, end = item["start_ms"] / 1000, item["end_ms"] / 1000
    return format_clock(start) if start == end else f"{format_clock(start)}–{format_clock(end)}"


def _end(line: str) -> str:
    """Return a line as a sentence."""
    said = line[:1].upper() + line[1:]
    return said if said.endswith((".", "!", "?")) else said + "."
