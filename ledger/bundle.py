"""Bundles: an asset's whole custody history in one file, checked offline.

What a bundle looks like is in `bundle_form` (version 2, which is made now) and `bundle_v1` (still read). What
a check says no to has a code, and the log index of the entry to blame, where there is one:

| code | meaning |
| --- | --- |
| form | not a canonical bundle |
| log-key | a bundle of another log than the one asked for |
| checkpoint-bad | not signed by the log, or changed; or a witness's line does not verify |
| witness-missing | without the quorum that the caller asks for |
| entry-malformed | no strict envelope, statement or event, or a key that must not be used |
| not-in-log | an entry is not the one that stands at its index under the checkpoint |
| signature-bad, key-unknown | a signature does not verify, or is by a key that the log had not added |
| order-broken | an event missing, doubled, out of order, for another log, or of another asset |
| key-retired, revoked, taken-down, role-missing, ... | against the rules of `custody`, `register` |
| untrusted-start | the log begins with a key that the caller does not trust |
| history-short | the anchored map knows more, or other, events than the bundle shows |
| heads-bad | a proof does not lead to the anchor's root |
| opening-bad | an opening gives no commitment of the asset |
| timestamp-bad | a token for other data, of no trusted authority, or for another history |
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from cryptography import x509

from . import bundle_v1, merkle
from .anchor import Anchor
from .blame import blame
from .bundle_form import Bundle, StampForm, parse_bundle, read_entry, read_format
from .bundle_walk import Walk, walk_entries
from .checkpoint import Checkpoint, format_checkpoint, parse_checkpoint
from .commitment import Opening, check_opening
from .cosignature import Cosigned, open_cosigned, parse_cosigner
from .custody import AssetState
from .errors import BundleError, LedgerError
from .event import KEYS_ASSET, Event, parse_commitments
from .heads import asset_key, open_head
from .keys import PublicKey
from .marks import MarkKey
from .note import parse_note
from .paths import split_paths
from .policy import Policy
from .proof import TlogProof, format_proof
from .register import KeyRecord
from .timestamp import Timestamp, hash_text, open_token


@dataclass(frozen=True)
class BundleEvent:
    """A verified event and its index in the log; `disputed` if a signer's revocation reaches back to it."""

    index: int
    event: Event
    disputed: bool = False


@dataclass(frozen=True)
class BundleTimestamp:
    """A time-stamp over the log's first `size` entries; `timestamp` is None where no authority is trusted."""

    authority: str
    size: int
    timestamp: Timestamp | None


@dataclass(frozen=True)
class BundleReport:
    """What a checked bundle proves.

    Attributes
    ----------
    vkey_pinned : the log's key was given by the caller; otherwise it is the bundle's own, and a forger could
        have made both: compare `vkey` with the log's published one before believing anything
    signers_pinned : the caller trusts the log's first key, or every signer; otherwise trust is the log's own
    openings : commitments opened, by label; by `label@n` where several events n commit under one label
    state : what the asset's history amounts to (owner, revoked, notices, erased); None in version 1
    keys : every key of the log and the entries between which it counts; empty in version 1
    mark_keys : the log's mark keys, the oldest first
    anchor : the map of heads, signed by an operator, that the events were compared with; None where none is
        shown
    cosigned : the cosigners whose lines verify; they are the caller's if `witnessed`, else only claimed
    witnessed : the caller's policy of witnesses is satisfied
    """

    origin: str
    vkey: str
    vkey_pinned: bool
    signers_pinned: bool
    asset: str
    checkpoint: Checkpoint
    events: tuple[BundleEvent, ...]
    openings: Mapping[str, object]
    state: AssetState | None = None
    keys: tuple[KeyRecord, ...] = ()
    mark_keys: tuple[MarkKey, ...] = ()
    anchor: Anchor | None = None
    cosigned: tuple[str, ...] = ()
    witnessed: bool = False
    timestamps: tuple[BundleTimestamp, ...] = field(default=())

    @property
    def whole_as_of(self) -> int | None:
        """All events of the asset among so many first entries are shown, and all of keys; None: not known."""
        return self.anchor.size if self.anchor else None


def check_bundle(
    bundle: bytes,
    *,
    vkey: str | None = None,
    public_keys: Sequence[PublicKey] | None = None,
    policy: Policy | None = None,
    roots: Sequence[x509.Certificate] | None = None,
) -> BundleReport:
    """Check a bundle without network or database.

    Steps: 1 form; 2 checkpoint under the log's key, cosignatures; 3 each entry in log order: its bytes, its
    place in the tree, its signatures, its place in its asset's history, the rules of custody; 4 nothing
    hidden, by the anchored map; 5 openings; 6 time-stamps.

    Parameters
    ----------
    bundle : the file's bytes
    vkey : the log's verifier key from a source other than the bundle; None takes the bundle's own and says so
    public_keys : the log's first key, or every signer, must be among these
    policy : the checkpoint must have this quorum of witnesses
    roots : certificates that every time-stamp must lead to; None leaves time-stamps unverified

    Raises
    ------
    BundleError : a step failed; see the module's table
    """
    # 1
    with blame("form", "bundle"):
        if read_format(bundle) == bundle_v1.FORMAT:
            return _check_v1(bundle, vkey, public_keys)
        form = parse_bundle(bundle)
    if vkey is not None and form.vkey != vkey:
        raise BundleError(
            f"expected a bundle of the log with key {vkey}, got {form.vkey!r:.200}", code="log-key"
        )
    # 2
    cosigned = _open_checkpoint(form, policy)
    # 3
    walk = walk_entries(form, cosigned.checkpoint)
    signers_pinned = _check_start(walk, public_keys)
    # 4
    anchor = _check_heads(form, walk)
    # 5
    openings = _check_openings(form.openings, walk)
    # 6
    timestamps = tuple(_check_timestamp(item, cosigned.checkpoint, roots) for item in form.timestamps)
    return BundleReport(
        origin=form.origin,
        vkey=form.vkey,
        vkey_pinned=vkey is not None,
        signers_pinned=signers_pinned,
        asset=form.asset,
        checkpoint=cosigned.checkpoint,
        events=tuple(
            BundleEvent(index, event, walk.is_disputed(index, event)) for index, event in walk.events
        ),
        openings=openings,
        state=walk.state,
        keys=tuple(walk.register.records.values()),
        mark_keys=walk.register.mark_keys,
        anchor=anchor,
        cosigned=tuple(item.name for item in cosigned.cosignatures),
        witnessed=policy is not None,
        timestamps=timestamps,
    )


def bundle_proofs(bundle: bytes) -> list[tuple[bytes, bytes]]:
    """Return entry bytes and C2SP tlog-proof text of each entry, for other verifiers; checks form only."""
    form = parse_bundle(bundle)
    checkpoint = parse_checkpoint(parse_note(form.note)[0])
    paths = split_paths(form.paths, [item.index for item in form.entries], checkpoint.size)
    return [
        (read_entry(item), format_proof(TlogProof(item.index, paths[item.index], form.note)))
        for item in form.entries
    ]


def _open_checkpoint(form: Bundle, policy: Policy | None) -> Cosigned:
    with blame("form", "witness"):
        cosigners = [parse_cosigner(item) for item in form.witnesses]
    if policy is not None:
        cosigners = [item.cosigner for item in policy.witnesses]
    with blame("checkpoint-bad", "checkpoint"):
        cosigned = open_cosigned(form.note, form.origin, form.vkey, cosigners)
    if policy is not None and not policy.is_met({item.vkey for item in cosigned.cosignatures}):
        names = ", ".join(item.name for item in cosigned.cosignatures) or "nobody"
        raise BundleError(f"checkpoint: cosigned by {names}, which is no quorum", code="witness-missing")
    return cosigned


def _check_start(walk: Walk, public_keys: Sequence[PublicKey] | None) -> bool:
    if public_keys is None:
        return False
    trusted = {key.key_id for key in public_keys}
    first = min(walk.register.records.values(), key=lambda item: item.added_at)
    signers = {key_id for _, event in walk.events for key_id in event.key_ids}
    if first.public_key.key_id in trusted or signers <= trusted:
        return True
    message = f"the log begins with key {first.public_key.key_id}, which is not trusted here"
    raise BundleError(message, code="untrusted-start", index=first.added_at)


def _check_heads(form: Bundle, walk: Walk) -> Anchor | None:
    """Compare the events shown with what the anchored map says of asset and keys."""
    if form.heads is None:
        return None
    index = form.heads.anchor
    anchor = walk.anchors.get(index)
    if anchor is None:
        raise BundleError(f"map of heads: expected an anchor at entry {index}", code="heads-bad", index=index)
    for asset, proof in ((form.asset, form.heads.asset), (KEYS_ASSET, form.heads.keys)):
        with blame("heads-bad", f"map of heads, {asset}", index):
            record = open_head(proof, asset_key(asset), anchor.heads_root)
        shown = [(at, leaf) for at, leaf in walk.leaves.get(asset, []) if at < anchor.size]
        known = (record.count, record.head) if record else (0, b"")
        if known != (len(shown), shown[-1][1] if shown else b""):
            raise BundleError(
                f"of {asset} the anchored map knows {known[0]} events before entry {anchor.size}, "
                f"the bundle shows {len(shown)}, or others",
                code="history-short",
                index=shown[-1][0] if shown else None,
            )
    return anchor


def _check_openings(openings: Sequence[Opening], walk: Walk) -> dict[str, object]:
    """Return the opened values by label; by `label@n` where several events n commit under one label."""
    committed = {
        (label, event.place.n): digest
        for _, event in walk.events
        for label, digest in parse_commitments(event.statement).items()
    }
    shared = Counter(label for label, _ in committed)
    found: dict[str, object] = {}
    for opening in openings:
        n = next((n for (label, n), digest in committed.items() if _opens(opening, label, digest)), None)
        name = opening.label if shared[opening.label] == 1 else f"{opening.label}@{n}"
        if n is None or name in found:
            message = f"opening {opening.label!r} gives no commitment of the asset, or one opened before"
            raise BundleError(message, code="opening-bad")
        found[name] = opening.value
    return found


def _opens(opening: Opening, label: str, commitment: bytes) -> bool:
    try:
        check_opening(opening, commitment)
    except LedgerError:
        return False
    return opening.label == label


def _check_timestamp(
    item: StampForm, checkpoint: Checkpoint, roots: Sequence[x509.Certificate] | None
) -> BundleTimestamp:
    found = None
    with blame("timestamp-bad", f"time-stamp of {item.authority}"):
        text = format_checkpoint(Checkpoint(checkpoint.origin, item.size, item.root))
        merkle.check_consistency(item.size, checkpoint.size, item.root, checkpoint.root, item.growth)
        if roots is not None:
            found = open_token(item.token, hash_text(text), roots)
    return BundleTimestamp(item.authority, item.size, found)


def _check_v1(bundle: bytes, vkey: str | None, public_keys: Sequence[PublicKey] | None) -> BundleReport:
    found = bundle_v1.check_bundle(bundle, vkey=vkey, public_keys=public_keys)
    return BundleReport(
        origin=found.origin,
        vkey=found.vkey,
        vkey_pinned=found.vkey_pinned,
        signers_pinned=found.signers_pinned,
        asset=found.asset,
        checkpoint=found.checkpoint,
        events=tuple(BundleEvent(item.index, item.event) for item in found.events),
        openings=found.openings,
    )
