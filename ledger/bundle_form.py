"""The form of a bundle, version 2.

RFC 8785 JSON:

    {"format": "https://provenote.example/bundle/v2",
     "origin": "provenote.example/log",  "vkey": "provenote.example/log+33d7b496+AeHT...",
     "asset": "track:7Q2XK",             "checkpoint": "provenote.example/log\\n15\\n...",
     "entries": [{"index": 7, "payload": {"_type": ...}, "signatures": [{"keyid": ..., "sig": ...}]}, ...],
     "paths": "<base64: the audit paths of the entries, see `paths`>",
     "openings": [{"label": "prompt", "salt": "<64 hex>", "value": "slow waltz"}],
     "heads": {"anchor": 14, "asset": {...}, "keys": {...}}   or null,
     "witnesses": ["witness.example/one+8c0c3a31+BAAB...", ...],
     "timestamps": [{"authority": "tsa", "size": 12, "root": "...", "growth": "...", "token": "..."}]}

`entries` are, in log order, all events of the asset, all events of `keys`, and the newest anchor. Payload and
signatures make the envelope that is the log's entry, byte for byte. `heads` holds the proofs of `heads` that
asset and keys have no other event before the anchor's size. A time-stamp is over the text of an older
checkpoint or the same, with the consistency proof (`growth`) from there to the bundle's.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from .canonical import check_hex, check_members, check_text, format_json, parse_object
from .commitment import Opening
from .encoding import decode_base64
from .envelope import Envelope, Signature, format_envelope
from .errors import FormatError
from .event import check_asset
from .heads import HeadProof, parse_head_proof
from .merkle import HASH_BYTES
from .predicate import PREDICATE_BASE, check_count

FORMAT = PREDICATE_BASE + "bundle/v2"
MAX_BUNDLE_BYTES = 4_000_000
MAX_ENTRIES = 2000
MAX_OPENINGS = 256
MAX_TIMESTAMPS = 16
MAX_WITNESSES = 32
MEMBERS = {
    "format",
    "origin",
    "vkey",
    "asset",
    "checkpoint",
    "entries",
    "paths",
    "openings",
    "heads",
    "witnesses",
    "timestamps",
}


@dataclass(frozen=True)
class EntryForm:
    """An entry as the bundle writes it; nothing of it is verified."""

    index: int
    payload: object
    signatures: object


@dataclass(frozen=True)
class HeadsForm:
    """The index of the anchor, and the proofs of the asset and of `keys`."""

    anchor: int
    asset: HeadProof
    keys: HeadProof


@dataclass(frozen=True)
class StampForm:
    """A time-stamp: the tree head that it is over, the proof from there, and the token."""

    authority: str
    size: int
    root: bytes
    growth: tuple[bytes, ...]
    token: bytes


@dataclass(frozen=True)
class Bundle:
    """A parsed bundle; nothing of it is verified."""

    origin: str
    vkey: str
    asset: str
    note: bytes
    entries: tuple[EntryForm, ...]
    paths: bytes
    openings: tuple[Opening, ...]
    heads: HeadsForm | None
    witnesses: tuple[str, ...]
    timestamps: tuple[StampForm, ...]


def read_format(bundle: bytes) -> object:
    """Return what a bundle says its format is; FormatError when it is no canonical JSON object."""
    return parse_object(bundle, max_bytes=MAX_BUNDLE_BYTES).get("format")


def parse_bundle(bundle: bytes) -> Bundle:
    """Parse a bundle of this version; FormatError for anything else."""
    members = check_members(parse_object(bundle, max_bytes=MAX_BUNDLE_BYTES), MEMBERS, "bundle")
    if members["format"] != FORMAT:
        raise FormatError(f"bundle: expected format {FORMAT}, got {members['format']!r:.120}")
    entries = tuple(_parse_entry(item) for item in _list(members, "entries", 1, MAX_ENTRIES))
    indexes = [item.index for item in entries]
    if indexes != sorted(set(indexes)):
        raise FormatError("bundle: expected entries in log order, each once")
    return Bundle(
        origin=check_text(members["origin"], "bundle origin", max_characters=1024),
        vkey=check_text(members["vkey"], "bundle vkey", max_characters=4096),
        asset=check_asset(members["asset"]),
        note=check_text(members["checkpoint"], "bundle checkpoint", max_characters=1_000_000).encode("utf-8"),
        entries=entries,
        paths=_bytes(members["paths"], "bundle paths"),
        openings=tuple(_parse_opening(item) for item in _list(members, "openings", 0, MAX_OPENINGS)),
        heads=None if members["heads"] is None else _parse_heads(members["heads"]),
        witnesses=tuple(
            check_text(item, "witness", max_characters=4096)
            for item in _list(members, "witnesses", 0, MAX_WITNESSES)
        ),
        timestamps=tuple(_parse_stamp(item) for item in _list(members, "timestamps", 0, MAX_TIMESTAMPS)),
    )


def read_entry(item: EntryForm) -> bytes:
    """Return the log's entry: the canonical envelope around the canonical payload."""
    if not isinstance(item.signatures, list):
        raise FormatError("entry: expected a list of signatures")
    signatures = []
    for value in item.signatures:
        found = check_members(value, {"keyid", "sig"}, "signature")
        key_id = check_text(found["keyid"], "signature keyid", max_characters=64)
        signatures.append(Signature(key_id, _bytes(found["sig"], "signature")))
    return format_envelope(Envelope(format_json(item.payload), tuple(signatures)))


def _parse_entry(value: object) -> EntryForm:
    found = check_members(value, {"index", "payload", "signatures"}, "entry")
    return EntryForm(check_count(found["index"], "entry index"), found["payload"], found["signatures"])


def _parse_opening(value: object) -> Opening:
    found = check_members(value, {"label", "salt", "value"}, "opening")
    label = check_text(found["label"], "opening label", max_characters=64)
    return Opening(label, check_hex(found["salt"], "opening salt"), found["value"])


def _parse_heads(value: object) -> HeadsForm:
    found = check_members(value, {"anchor", "asset", "keys"}, "heads")
    anchor = check_count(found["anchor"], "anchor")
    return HeadsForm(anchor, parse_head_proof(found["asset"]), parse_head_proof(found["keys"]))


def _parse_stamp(value: object) -> StampForm:
    found = check_members(value, {"authority", "size", "root", "growth", "token"}, "time-stamp")
    growth = _bytes(found["growth"], "time-stamp growth")
    return StampForm(
        authority=check_text(found["authority"], "time-stamp authority", max_characters=64),
        size=check_count(found["size"], "time-stamp size"),
        root=_bytes(found["root"], "time-stamp root"),
        growth=tuple(growth[at : at + HASH_BYTES] for at in range(0, len(growth), HASH_BYTES)),
        token=_bytes(found["token"], "time-stamp token"),
    )


def _list(members: dict[str, Any], name: str, least: int, most: int) -> list[Any]:
    value = members[name]
    if not isinstance(value, list) or not least <= len(value) <= most:
        raise FormatError(f"bundle: expected {least} to {most} {name}, got {str(value)[:80]}")
    return value


def _bytes(value: object, what: str) -> bytes:
    if not isinstance(value, str):
        raise FormatError(f"{what}: expected base64 text, got {value!r:.80}")
    return decode_base64(value, what)
