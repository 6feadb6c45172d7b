"""Bundles of version 1, as ledgers made them before keys could be revoked: still checked, no longer made.

    {"format": "https://provenote.example/bundle/v1",
     "origin": "provenote.example/log",  "vkey": "provenote.example/log+33d7b496+AeHT...",
     "asset": "track:7Q2XK",             "checkpoint": "provenote.example/log\\n15\\n...",
     "events": [{"envelope": {...}, "proof": "c2sp.org/tlog-proof@v1\\nindex 7\\n...\\n\\n"}, ...],
     "keys":   [{"envelope": {...}, "proof": "..."}],
     "openings": [{"label": "prompt", "salt": "<64 hex>", "value": "slow waltz"}]}

`envelope` is the entry itself: its RFC 8785 bytes are the leaf. `proof` and `checkpoint`, one after the
other, are a C2SP tlog-proof. `keys` holds the key-added entries of every key that signed, so the log's own
key is all that must be known beforehand. A bundle proves that these events happened in this order with none
left out in between; it cannot show that nothing came after them, nor that no key was revoked.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from .canonical import check_hex, check_members, check_text, format_json, parse_object
from .checkpoint import Checkpoint, open_checkpoint
from .commitment import Opening, check_opening
from .errors import BundleError, FormatError, LedgerError
from .event import Event, Head, Place, check_asset, open_event, parse_commitments
from .keys import PublicKey
from .merkle import leaf_hash
from .predicate import PREDICATE_BASE
from .proof import MAX_HASHES, check_proof

FORMAT = PREDICATE_BASE + "bundle/v1"
MAX_BUNDLE_BYTES = 4_000_000
MAX_EVENTS = 1000
MAX_OPENINGS = 256


@dataclass(frozen=True)
class BundleEvent:
    """A verified event of a bundle and its index in the log."""

    index: int
    event: Event


@dataclass(frozen=True)
class BundleReport:
    """What a checked bundle proves.

    Attributes
    ----------
    vkey_pinned : the log's key was given by the caller; otherwise it is the bundle's own, and a forger could
        have made both: compare `vkey` with the log's published one before believing anything
    signers_pinned : every event is signed by keys that the caller gave; otherwise by keys that the log lists
    openings : commitments opened, by label
    """

    origin: str
    vkey: str
    vkey_pinned: bool
    signers_pinned: bool
    asset: str
    checkpoint: Checkpoint
    events: tuple[BundleEvent, ...]
    openings: Mapping[str, object]


def check_bundle(
    bundle: bytes, *, vkey: str | None = None, public_keys: Sequence[PublicKey] | None = None
) -> BundleReport:
    """Check a bundle without network or database.

    Steps: 1 form; 2 checkpoint under the log's key; 3 each key entry: proof and signatures; 4 each event:
    proof, and signatures by keys added before it; 5 the events are 0, 1, 2, ... of the asset, each naming
    the one before it; 6 openings.

    Parameters
    ----------
    bundle : the file's bytes
    vkey : the log's verifier key from a source other than the bundle; None takes the bundle's own and says so
    public_keys : trust only signers among these

    Raises
    ------
    BundleError : a step failed; the message names the step's subject, the cause is chained
    """
    try:
        return _check(bundle, vkey, public_keys)
    except BundleError:
        raise
    except LedgerError as error:
        raise BundleError(f"the bundle does not hold: {error}") from error


def _check(bundle: bytes, vkey: str | None, public_keys: Sequence[PublicKey] | None) -> BundleReport:
    # 1
    members = _parse(bundle)
    origin, asset = members["origin"], check_asset(members["asset"])
    if vkey is not None and members["vkey"] != vkey:
        raise BundleError(f"expected a bundle of the log with key {vkey}, got {members['vkey']!r:.200}")
    # 2
    note = members["checkpoint"].encode("utf-8")
    checkpoint = open_checkpoint(note, origin, members["vkey"])

    def check_item(item: object, known: Mapping[str, PublicKey], what: str) -> tuple[int, bytes, Event]:
        entry, head = _parse_item(item)
        try:
            index, _ = check_proof(head + note, leaf_hash(entry), origin, members["vkey"])
            event = open_event(entry, known)
        except LedgerError as error:
            raise BundleError(f"{what}: {error}") from error
        if event.place.origin != origin:
            raise BundleError(f"{what}: signed for the log {event.place.origin!r:.120}, not {origin!r:.120}")
        return index, leaf_hash(entry), event

    # 3
    known: dict[str, PublicKey] = {}
    added_at: dict[str, int] = {}
    for number, item in enumerate(members["keys"]):
        index, _, event = check_item(item, known, f"key entry {number}")
        if event.added_key is None:
            raise BundleError(f"key entry {number}: expected a key-added event")
        if not known and event.place.n != 0:
            raise BundleError(
                f"key entry {number}: expected the log's first key, got key event {event.place.n}"
            )
        known[event.added_key.key_id] = event.added_key
        added_at[event.added_key.key_id] = index
    # 4, 5
    events: list[BundleEvent] = []
    head: Head | None = None
    for number, item in enumerate(members["events"]):
        what = f"event {number} of {asset}"
        index, leaf, event = check_item(item, known, what)
        if event.place != Place.after(origin, asset, head):
            raise BundleError(
                f"{what}: signed as event {event.place.n} of {event.place.asset}, or after another"
            )
        late = [key_id for key_id in event.key_ids if added_at.get(key_id, index) > index]
        if late or (events and index <= events[-1].index):
            raise BundleError(f"{what}: index {index} in the log comes before what it rests on")
        if event.added_key is not None:
            known[event.added_key.key_id] = event.added_key
            added_at[event.added_key.key_id] = index
        head = Head(event.place.n, leaf)
        events.append(BundleEvent(index, event))
    # 4, continued: with pinned signers, being listed in the log is not enough
    signers = {key_id for item in events for key_id in item.event.key_ids}
    if public_keys is not None:
        strangers = signers - {key.key_id for key in public_keys}
        if strangers:
            raise BundleError(f"signed by keys that are not trusted here: {', '.join(sorted(strangers))}")
    # 6
    openings = _check_openings(members["openings"], [item.event for item in events])
    return BundleReport(
        origin=origin,
        vkey=members["vkey"],
        vkey_pinned=vkey is not None,
        signers_pinned=public_keys is not None,
        asset=asset,
        checkpoint=checkpoint,
        events=tuple(events),
        openings=openings,
    )


def _parse(bundle: bytes) -> dict[str, Any]:
    members = check_members(
        parse_object(bundle, max_bytes=MAX_BUNDLE_BYTES),
        {"format", "origin", "vkey", "asset", "checkpoint", "events", "keys", "openings"},
        "bundle",
    )
    if members["format"] != FORMAT:
        raise FormatError(f"bundle: expected format {FORMAT}, got {members['format']!r:.120}")
    for name in ("origin", "vkey", "checkpoint"):
        check_text(members[name], f"bundle {name}", max_characters=1_000_000)
    for name, least, most in (
        ("events", 1, MAX_EVENTS),
        ("keys", 0, MAX_EVENTS),
        ("openings", 0, MAX_OPENINGS),
    ):
        if not isinstance(members[name], list) or not least <= len(members[name]) <= most:
            raise FormatError(f"bundle: expected {least} to {most} {name}, got {str(members[name])[:80]}")
    return members


def _parse_item(value: object) -> tuple[bytes, bytes]:
    members = check_members(value, {"envelope", "proof"}, "bundle entry")
    head = check_text(members["proof"], "bundle proof", max_characters=64 * (MAX_HASHES + 4))
    return format_json(members["envelope"]), head.encode("utf-8")


def _check_openings(values: list[Any], events: Sequence[Event]) -> dict[str, object]:
    committed: dict[str, list[bytes]] = {}
    for event in events:
        for label, digest in parse_commitments(event.statement).items():
            committed.setdefault(label, []).append(digest)
    openings: dict[str, object] = {}
    for value in values:
        members = check_members(value, {"label", "salt", "value"}, "opening")
        label = check_text(members["label"], "opening label", max_characters=64)
        opening = Opening(label, check_hex(members["salt"], "opening salt"), members["value"])
        if label in openings or label not in committed:
            raise BundleError(f"opening {label!r}: expected one for a commitment of the asset")
        _check_any(opening, committed[label])
        openings[label] = members["value"]
    return openings


def _check_any(opening: Opening, commitments: Sequence[bytes]) -> None:
    for commitment in commitments[:-1]:
        try:
            return check_opening(opening, commitment)
        except LedgerError:
            continue
    return check_opening(opening, commitments[-1])
