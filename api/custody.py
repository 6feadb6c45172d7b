"""The history of one track, checked as a stranger would check it: against the log's public key and trusted
issuers.

Steps of `check_custody`; the first that fails becomes the fault, with the entry to blame:

1. the newest checkpoint is signed by the log's key and is for this log
2. each entry of the track, as stored, is proven to be in the tree of that checkpoint
3. each entry is a well-formed event of this track, signed by trusted keys
4. the entries follow one another: n = 0, 1, 2 ..., each naming the one before
"""

from dataclasses import dataclass

import ledger
from ledger import Event, Head, Place, Store
from ledger.errors import (
    BadSignatureError,
    CorruptError,
    EventError,
    FormatError,
    ProofError,
    SignatureError,
    UnknownKeyError,
)
from ledger.merkle import check_inclusion, leaf_hash

from .evidence import CustodyEvent, LedgerEvidence, LedgerFault
from .keyring import PublicKeys

FAULT_CODES: dict[type[ledger.LedgerError], str] = {
    UnknownKeyError: "signer-unknown",
    BadSignatureError: "signature-failed",
    SignatureError: "signature-failed",
    FormatError: "statement-malformed",
    EventError: "statement-malformed",
    ProofError: "proof-failed",
    CorruptError: "proof-failed",
}


@dataclass(frozen=True)
class Custody:
    """The outcome: evidence for a report, and the verified events themselves."""

    evidence: LedgerEvidence
    events: tuple[Event, ...]


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
    chain = [(index, entry) for index, entry in store.chain(asset) if index < checkpoint.size]
    if not chain:
        return _fail(public, checkpoint, LedgerFault(None, "history-missing", f"no entry of {asset}"))
    keys = {key.key_id: key for key in public.issuers}
    head: Head | None = None
    events: list[Event] = []
    listed: list[CustodyEvent] = []
    for index, entry in chain:
        try:
            leaf = leaf_hash(entry)
            _check_included(store, index, leaf, checkpoint)
            event = ledger.open_event(entry, keys)
        except tuple(FAULT_CODES) as error:
            code = next(code for kind, code in FAULT_CODES.items() if isinstance(error, kind))
            # A changed entry fails its proof: the log's own word for it is clearer than "the proof fails".
            code = "entry-changed" if isinstance(error, ProofError) else code
            return _fail(public, checkpoint, LedgerFault(index, code, str(error)), listed)
        if event.place != Place.after(public.origin, asset, head):
            message = f"expected event {len(events)} of {asset}, got {event.place.n} of {event.place.asset}"
            return _fail(public, checkpoint, LedgerFault(index, "history-out-of-order", message), listed)
        head = Head(event.place.n, leaf)
        events.append(event)
        listed.append(
            CustodyEvent(
                index=index,
                leaf_hash=leaf.hex(),
                event=event.statement.predicate_type,
                time=str(event.statement.predicate.get("time", "")),
                key_ids=event.key_ids,
            )
        )
    evidence = LedgerEvidence(public.origin, checkpoint.size, checkpoint.root.hex(), tuple(listed), None)
    return Custody(evidence, tuple(events))


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
