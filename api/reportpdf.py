"""A verification report as a PDF: A4, text that can be selected, pictures as vectors.

The same words as the page (`api.reportpage`), from the same signed predicate.
"""

import hashlib
from collections.abc import Iterator, Mapping
from typing import Any

from ledger.envelope import parse_envelope

from .axes import AGAINST, STATE_WORDS, SUPPORTS, Axis
from .explanation import Explanation, explain
from .paper import BAD, EDGE, GOOD, MUTED, SOFT, Paper, is_hash, load_letters, paint
from .strip import draw_report, format_clock
from .waveform import Peaks


def format_pdf(
    predicate: Mapping[str, Any],
    envelope: bytes,
    *,
    origin: str,
    peaks: Peaks | None = None,
    name: str | None = None,
) -> bytes:
    """Return a report as a PDF; parameters as `reportpage.format_page`.

    Raises
    ------
    RefusedError
        reportlab, the extra `pdf`, is not installed.
    """
    said = explain(predicate)
    sheet = Paper(load_letters())
    story = list(_tell(sheet, said, predicate, envelope, origin=origin, peaks=peaks, name=name))
    title = f"{said.headline} – verification report"
    foot = f"{origin}, {predicate['examined']['time']}   SHA-256 {predicate['content']['file_sha256'][:16]}…"
    return sheet.build(story, title=title, author=origin, foot=foot)


def _tell(
    sheet: Paper,
    said: Explanation,
    predicate: Mapping[str, Any],
    envelope: bytes,
    *,
    origin: str,
    peaks: Peaks | None,
    name: str | None,
) -> Iterator[Any]:
    """Yield what stands on the pages, from top to bottom."""
    from reportlab.platypus import KeepTogether, Spacer

    yield sheet.say(f"Verification report by {origin}, {predicate['examined']['time']}", 8.5, colour=MUTED)
    yield Spacer(0, 6)
    yield _draw_verdict(sheet, said, predicate["verdict"])
    yield Spacer(0, 8)
    yield _list_answers(sheet, said, predicate, name)
    picture = draw_report(predicate, peaks)
    if picture is not None:
        without = "" if peaks is not None else "The waveform is not shown: reports hold no audio."
        yield KeepTogether(
            [
                sheet.heading("What was found where"),
                paint(picture, sheet.width),
                *([sheet.say(without, 8, colour=MUTED)] if without else []),
            ]
        )
    if said.ranges:
        rows = [[sheet.say(item, 8.5) for item in row] for row in said.ranges]
        yield sheet.ruled(("What", "In the file", "In the track", "Band"), rows, [sheet.width / 4] * 4)
    yield sheet.heading("Why: the evidence, axis by axis")
    yield sheet.say(
        "Each axis supports the claim that this is the registered track, unchanged, speaks against it, or "
        "says nothing of it.",
        8.5,
        colour=MUTED,
        spaceAfter=4,
    )
    for axis in said.axes:
        yield KeepTogether([_draw_axis(sheet, axis), Spacer(0, 5)])
    if said.steps:
        yield sheet.heading("What happened to the track")
        yield _draw_steps(sheet, said)
    yield sheet.heading("Reasons, by their stable codes")
    codes = [
        (sheet.hash(code), sheet.say(f"{text[0].upper()}{text[1:]}.", 8.5)) for code, text in said.reasons
    ]
    yield sheet.ruled(("Code", "Meaning"), codes, (165, sheet.width - 165))
    yield sheet.heading("What this report does not say")
    for limit in said.limits:
        yield sheet.text(sheet.show(limit), 9, leftIndent=10, bulletText="•")
    yield from _draw_signature(sheet, predicate, envelope, origin)


def _draw_verdict(sheet: Paper, said: Explanation, code: str) -> Any:
    colour = GOOD if said.good else BAD
    words = (
        "a registered track whose record holds"
        if said.good
        else "not confirmed as a registered, unchanged track"
    )
    cell = [
        sheet.say(said.headline, 17, font="Report-Bold", colour=colour, spaceAfter=3),
        sheet.say(said.text, 10.5),
        sheet.say(f"Verdict {code}: {words}", 8.5, colour=MUTED, spaceBefore=3),
    ]
    return sheet.table(
        [["", cell]],
        (8, sheet.width - 8),
        ("BACKGROUND", (0, 0), (0, 0), colour),
        ("BACKGROUND", (1, 0), (1, 0), SOFT),
        ("BOX", (0, 0), (-1, -1), 1.2, colour),
        ("LEFTPADDING", (1, 0), (1, 0), 10),
        ("TOPPADDING", (1, 0), (1, 0), 8),
        ("BOTTOMPADDING", (1, 0), (1, 0), 9),
    )


def _list_answers(sheet: Paper, said: Explanation, predicate: Mapping[str, Any], name: str | None) -> Any:
    rows = []
    if name:
        rows.append(("File", f"{name} (the name as it was given; it is not part of what is signed)"))
    track = predicate["track"]
    if track is not None:
        rows.append(
            (
                "Track named",
                f"{track['track_id']}, {format_clock(track['milliseconds'] / 1000)}, {track['origin']}",
            )
        )
    rows.append(("Made by a machine?", said.machine_made))
    rows.append(("SHA-256 of the file", predicate["content"]["file_sha256"]))
    return sheet.table(
        [
            (
                sheet.say(key, 9, font="Report-Bold"),
                sheet.hash(value) if is_hash(value) else sheet.say(value, 9),
            )
            for key, value in rows
        ],
        (115, sheet.width - 115),
    )


def _draw_axis(sheet: Paper, axis: Axis) -> Any:
    colour = {SUPPORTS: GOOD, AGAINST: BAD}.get(axis.state, MUTED)
    inner = sheet.width - 16
    head = sheet.table(
        [
            (
                sheet.say(axis.title, 10, font="Report-Bold"),
                sheet.say(STATE_WORDS[axis.state], 8.5, colour=colour, font="Report-Bold", alignment=2),
            )
        ],
        (inner - 110, 110),
    )
    cell = [head, *(sheet.say(sentence, 9.5) for sentence in axis.sentences)]
    cell.append(sheet.say(f"Rests on: {axis.rests_on}.", 8, colour=MUTED, spaceBefore=1))
    if axis.facts:
        cell.append(sheet.facts(axis.facts, inner))
    return sheet.table(
        [[cell]],
        (sheet.width,),
        ("BOX", (0, 0), (-1, -1), 0.6, EDGE),
        ("LINEBEFORE", (0, 0), (0, -1), 2.5, colour),
        ("LEFTPADDING", (0, 0), (-1, -1), 8),
        ("TOPPADDING", (0, 0), (-1, -1), 4),
        ("BOTTOMPADDING", (0, 0), (-1, -1), 5),
    )


def _draw_steps(sheet: Paper, said: Explanation) -> Any:
    rows = []
    for step in said.steps:
        words = f"{step.words[0].upper()}{step.words[1:]}"
        disputed = "; signature in dispute" if step.disputed else ""
        rows.append(
            (
                sheet.say("●" if step.disputed else "○", 9, colour=BAD if step.disputed else GOOD),
                sheet.say(step.time or "no time stated", 8.5),
                [
                    sheet.say(f"{words}, entry {step.index}{disputed}", 9),
                    sheet.hash(step.leaf_hash),
                ],
            )
        )
    return sheet.table(
        rows,
        (16, 128, sheet.width - 144),
        ("LINEBEFORE", (1, 0), (1, -1), 1, EDGE),
        ("LEFTPADDING", (1, 0), (1, -1), 8),
    )


def _draw_signature(
    sheet: Paper, predicate: Mapping[str, Any], envelope: bytes, origin: str
) -> Iterator[Any]:
    from reportlab.platypus import KeepTogether

    facts = [
        ("Signed by", f"{origin}, the report key of this ledger"),
        *(("Key (RFC 7638)", key_id) for key_id in parse_envelope(envelope).key_ids),
        ("Form", "in-toto statement in a DSSE envelope, Ed25519"),
        ("SHA-256, envelope", hashlib.sha256(envelope).hexdigest()),
        ("Made by", f"{predicate['examined']['program']}, mark profile {predicate['examined']['detector']}"),
    ]
    yield KeepTogether(
        [
            sheet.heading("Signature"),
            sheet.facts(facts, sheet.width),
            sheet.say(
                "This paper shows what was signed; the signature is over the report itself, a JSON file, not "
                "over the paper. Ask for that file and check it: provenote check-report report.json --file "
                "AUDIO. The examined audio is not in this report and was not kept by the service.",
                8.5,
                spaceBefore=4,
            ),
        ]
    )
