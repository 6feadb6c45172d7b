"""The history of one track, checked as a stranger would check it: against the log's public key and trusted
issuers.

Steps of `check_custody`; the first that fails becomes the fault, with the entry to blame:

1. the newest checkpoint is signed by the log's key and is for this log
2. the log's own list of keys: each entry proven, signed, in order, and begun by a trusted issuer; where it is
   not, every signer of the track must be a trusted issuer
3. each entry of the track, as stored, is proven to be in the tree of that checkpoint
4. each is a well-formed event of this track, signed by keys that counted at its place
5. the entries follow one another: n = 0, 1, 2 ..., each naming the one before
6. none breaks the rules of custody: what may follow what, and who may sign it
"""

from collections.abc import Iterable
from dataclasses import dataclass, field

import ledger
from ledger import Event, Head, Place, Store
from ledger.custody import NEW_ASSET, AssetState, check_event
from ledger.custody import Custody as Rules
from ledger.errors import (
    BadSignatureError,
    CorruptError,
    CustodyError,
    EventError,
    FormatError,
    ProofError,
    SignatureError,
    UnknownKeyError,
)
from ledger.event import KEYS_ASSET
from ledger.merkle import check_inclusion, leaf_hash
from ledger.register import EMPTY_REGISTER, Register

from .evidence import CustodyEvent, LedgerEvidence, LedgerFault
from .keyring import PublicKeys

FAULT_CODES: dict[type[ledger.LedgerError], str] = {
    UnknownKeyError: "signer-unknown",
    BadSignatureError: "signature-failed",
    SignatureError: "signature-failed",
    FormatError: "statement-malformed",
    CustodyError: "event-refused",
    EventError: "statement-malformed",
    ProofError: "entry-changed",  # a changed entry fails its proof, and this says it more clearly
    CorruptError: "proof-failed",
}


@dataclass(frozen=True)
class Custody:
    """The outcome: evidence for a report, and the verified events themselves."""

    evidence: LedgerEvidence
    events: tuple[Event, ...]


@dataclass
class _Walk:
    """What is known on the way through keys and track."""

    store: Store
    public: PublicKeys
    checkpoint: ledger.Checkpoint
    register: Register = EMPTY_REGISTER
    state: AssetState = NEW_ASSET
    head: Head | None = None
    seen: list[tuple[int, bytes, Event]] = field(default_factory=list)

    def follow(self, asset: str, chain: Iterable[tuple[int, bytes]]) -> LedgerFault | None:
        """Check an asset's entries one after the other; return what is wrong with the first bad one."""
        self.state, self.head, self.seen = NEW_ASSET, None, []
        for index, entry in chain:
            try:
                self._take(asset, index, entry)
            except tuple(FAULT_CODES) as error:
                code = next(code for kind, code in FAULT_CODES.items() if isinstance(error, kind))
                if isinstance(error, CustodyError) and error.code == "order-broken":
                    code = "history-out-of-order"
                return LedgerFault(index, code, str(error))
        return None

    def _take(self, asset: str, index: int, entry: bytes) -> None:
        leaf = leaf_hash(entry)
        _check_included(self.store, index, leaf, self.checkpoint)
        event = ledger.open_event(entry, self.register.public_keys())
        if event.place != Place.after(self.public.origin, asset, self.head):
            message = (
                f"expected event {len(self.seen)} of {asset}, got {event.place.n} of {event.place.asset}"
            )
            raise CustodyError("order-broken", message)
        after = check_event(Rules(self.register, self.state), event, index)
        self.register, self.state = after.register, after.asset
        self.head = Head(event.place.n, leaf)
        self.seen.append((index, leaf, event))


def check_custody(store: Store, public: PublicKeys, asset: str) -> Custody:
    """Check an asset's history; a fault is a result, not an error.

    Raises
    ------
    ledger.StorageError
        The database cannot be read at all.
    """
    try:
        checkpoint = ledger.open_checkpoint(store.latest_checkpoint(), public.origin, public.vkey)
    except (SignatureError, FormatError, ProofError) as error:
        return _fail(public, None, LedgerFault(None, "checkpoint-failed", str(error)))
    chain = _until(store.chain(asset), checkpoint)
    if not chain:
        return _fail(public, checkpoint, LedgerFault(None, "history-missing", f"no entry of {asset}"))
    walk = _Walk(store, public, checkpoint)
    fault = walk.follow(KEYS_ASSET, _until(store.chain(KEYS_ASSET), checkpoint))
    if fault is not None:
        return _fail(public, checkpoint, fault)
    trusted = {key.key_id for key in public.issuers}
    house = bool(walk.seen) and bool(trusted & set(walk.seen[0][2].key_ids))
    fault = walk.follow(asset, chain)
    listed = [_list_event(walk.register, index, leaf, event) for index, leaf, event in walk.seen]
    if fault is None and not house:
        fault = next(
            (
                LedgerFault(index, "signer-unknown", f"signed by {', '.join(event.key_ids)}")
                for index, _, event in walk.seen
                if not set(event.key_ids) <= trusted
            ),
            None,
        )
    if fault is not None:
        return _fail(public, checkpoint, fault, [item for item in listed if item.index != fault.index])
    evidence = LedgerEvidence(
        public.origin, checkpoint.size, checkpoint.root.hex(), tuple(listed), None, walk.state.status
    )
    return Custody(evidence, tuple(event for _, _, event in walk.seen))


def _list_event(register: Register, index: int, leaf: bytes, event: Event) -> CustodyEvent:
    records = [register.records[key_id] for key_id in event.key_ids]
    return CustodyEvent(
        index=index,
        leaf_hash=leaf.hex(),
        event=event.statement.predicate_type,
        time=str(event.statement.predicate.get("time", "")),
        key_ids=event.key_ids,
        disputed=any(record.is_disputed(index) for record in records),
    )


def _until(chain: list[tuple[int, bytes]], checkpoint: ledger.Checkpoint) -> list[tuple[int, bytes]]:
    return [item for item in chain if item[0] < checkpoint.size]


def _check_included(store: Store, index: int, leaf: bytes, checkpoint: ledger.Checkpoint) -> None:
    check_inclusion(
        index, checkpoint.size, leaf, store.inclusion_proof(index, checkpoint.size), checkpoint.root
    )


def _fail(
    public: PublicKeys,
    checkpoint: ledger.Checkpoint | None,
    fault: LedgerFault,
    listed: list[CustodyEvent] | None = None,
) -> Custody:
    size = checkpoint.size if checkpoint else None
    root = checkpoint.root.hex() if checkpoint else None
    return Custody(LedgerEvidence(public.origin, size, root, tuple(listed or ()), fault), ())
