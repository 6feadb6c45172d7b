"""Making bundles: what a log, its publications and its map of heads hold about one asset, in one file."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from . import merkle
from .anchor import HeadIndex, read_anchor
from .bundle import check_bundle
from .bundle_form import FORMAT
from .canonical import format_json, parse_json
from .checkpoint import Checkpoint, open_checkpoint
from .commitment import Opening
from .encoding import encode_base64
from .envelope import MAX_ENTRY_BYTES, parse_envelope
from .errors import NotFoundError
from .event import KEYS_ASSET, LOG_ASSET, Event, parse_event
from .headmap import Mention
from .heads import asset_key, format_head_proof
from .merkle import Coordinate
from .paths import make_paths
from .predicate import ANCHORED

TARGET_BYTES = 32_768
"""A bundle beyond this size leaves out the post-quantum signature lines of its checkpoint."""
LARGE_LINE = 1024
SEARCHED_ENTRIES = 2000
"""How far back an anchor is looked for: one is written before each publication."""


class EntrySource(Protocol):
    """The log that a bundle is made from; a `Store` is one."""

    origin: str
    vkey: str

    def latest_checkpoint(self) -> bytes:
        """Return the newest checkpoint note."""

    def chain(self, asset: str) -> list[tuple[int, bytes]]:
        """Return index and bytes of an asset's events, in order."""

    def entries(self, start: int, stop: int) -> list[bytes]:
        """Return the entries [start, stop)."""

    def mentions(self, start: int, stop: int) -> Sequence[Mention]:
        """Return what the entries [start, stop) are about."""

    def nodes(self, coordinates: Sequence[Coordinate]) -> Sequence[bytes]:
        """Return the stored hashes of full subtrees."""


@dataclass(frozen=True)
class StampedCheckpoint:
    """A time-stamp token and the checkpoint that it is over."""

    authority: str
    checkpoint: Checkpoint
    token: bytes


@dataclass(frozen=True)
class Evidence:
    """What others say of the log, to go into a bundle.

    Attributes
    ----------
    note : a published checkpoint with cosignatures; taken if it covers every event of the asset
    witnesses : verifier keys of those who cosigned it
    heads : the log's map of heads
    stamped : time-stamps over this log's checkpoints; those up to the bundle's checkpoint are taken
    """

    note: bytes | None = None
    witnesses: tuple[str, ...] = ()
    heads: HeadIndex | None = None
    stamped: tuple[StampedCheckpoint, ...] = ()


def make_bundle(
    source: EntrySource, asset: str, *, openings: Sequence[Opening] = (), evidence: Evidence = Evidence()
) -> bytes:
    """Return the bundle of an asset's events so far.

    Raises
    ------
    NotFoundError : the asset has no event
    BundleError : an opening fits no commitment of the asset, or the bundle would not check
    """
    chain = source.chain(asset)
    note, checkpoint = _choose_checkpoint(source, evidence, chain[-1][0] if chain else 0)
    entries = dict(item for item in (*source.chain(KEYS_ASSET), *chain) if item[0] < checkpoint.size)
    if not any(index in entries for index, _ in chain):
        raise NotFoundError(f"the ledger has no event of {asset!r:.140}")
    heads = None
    anchor_index = _find_anchor(source, checkpoint.size) if evidence.heads else None
    if anchor_index is not None and evidence.heads is not None:
        (entry,) = source.entries(anchor_index, anchor_index + 1)
        entries[anchor_index] = entry
        anchor = read_anchor(_read_event(entry), anchor_index)
        proofs = evidence.heads.prove(anchor.size, [asset_key(asset), asset_key(KEYS_ASSET)])
        heads = {
            "anchor": anchor_index,
            "asset": format_head_proof(proofs[0]),
            "keys": format_head_proof(proofs[1]),
        }
    indexes = sorted(entries)
    stamped = [item for item in evidence.stamped if 0 < item.checkpoint.size <= checkpoint.size]
    members = {
        "format": FORMAT,
        "origin": source.origin,
        "vkey": source.vkey,
        "asset": asset,
        "checkpoint": note.decode("utf-8"),
        "entries": [_format_entry(index, entries[index]) for index in indexes],
        "paths": encode_base64(make_paths(source.nodes, indexes, checkpoint.size)),
        "openings": [
            {"label": item.label, "salt": item.salt.hex(), "value": item.value} for item in openings
        ],
        "heads": heads,
        "witnesses": list(evidence.witnesses) if note == evidence.note else [],
        "timestamps": [_format_timestamp(source, item, checkpoint) for item in stamped],
    }
    bundle = format_json(members)
    if len(bundle) > TARGET_BYTES:
        bundle = format_json(members | {"checkpoint": drop_large_lines(note).decode("utf-8")})
    check_bundle(bundle, vkey=source.vkey)
    return bundle


def drop_large_lines(note: bytes) -> bytes:
    """Return a note without its signature lines beyond 1,024 characters: those of ML-DSA take 3,300."""
    text, separator, lines = note.rpartition(b"\n\n")
    kept = [line for line in lines.splitlines(keepends=True) if len(line) <= LARGE_LINE]
    return text + separator + b"".join(kept)


def _choose_checkpoint(source: EntrySource, evidence: Evidence, last: int) -> tuple[bytes, Checkpoint]:
    """Return the published checkpoint, or the newest where the asset has moved on since."""
    if evidence.note is not None:
        published = open_checkpoint(evidence.note, source.origin, source.vkey)
        if published.size > last:
            return evidence.note, published
    note = source.latest_checkpoint()
    return note, open_checkpoint(note, source.origin, source.vkey)


def _find_anchor(source: EntrySource, size: int) -> int | None:
    mentions = source.mentions(max(0, size - SEARCHED_ENTRIES), size)
    return next((item.index for item in reversed(mentions) if item.asset == LOG_ASSET), None)


def _read_event(entry: bytes) -> Event:
    """Parse an entry of our own log; the finished bundle is checked as a stranger would."""
    proposal = parse_event(entry)
    assert proposal.statement.predicate_type == ANCHORED
    return Event(proposal.statement, proposal.place, (), None)


def _format_entry(index: int, entry: bytes) -> dict[str, Any]:
    envelope = parse_envelope(entry)
    return {
        "index": index,
        "payload": parse_json(envelope.unverified_payload, max_bytes=MAX_ENTRY_BYTES),
        "signatures": [
            {"keyid": item.key_id, "sig": encode_base64(item.signature)} for item in envelope.signatures
        ],
    }


def _format_timestamp(source: EntrySource, item: StampedCheckpoint, checkpoint: Checkpoint) -> dict[str, Any]:
    growth = merkle.consistency_proof(source.nodes, item.checkpoint.size, checkpoint.size)
    return {
        "authority": item.authority,
        "size": item.checkpoint.size,
        "root": encode_base64(item.checkpoint.root),
        "growth": encode_base64(b"".join(growth)),
        "token": encode_base64(item.token),
    }
