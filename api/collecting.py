"""What goes into a bundle beside the log itself: the published checkpoint, the map of heads, time-stamps."""

import ledger
from ledger.attestation import RFC3161
from ledger.bundling import StampedCheckpoint
from ledger.publication import read_publication

from .installation import Installation


def collect_evidence(installation: Installation, asset: str) -> ledger.Evidence:
    """Return what others say of the log's checkpoints, as far as it bears on an asset.

    Of the time-stamps those are taken that are the earliest to cover all of the asset's events.

    Raises
    ------
    ledger.LedgerError
        What is kept does not hold, or the database cannot be used.
    """
    published = read_publication(installation.store, installation.attestations, installation.policy)
    if published is None:
        return ledger.Evidence(heads=installation.heads)
    vkeys = sorted(item.vkey for item in published.cosigned.cosignatures)
    return ledger.Evidence(
        note=published.note,
        witnesses=tuple(vkeys),
        heads=installation.heads,
        stamped=_find_stamped(installation, asset),
    )


def _find_stamped(installation: Installation, asset: str) -> tuple[StampedCheckpoint, ...]:
    chain = installation.store.chain(asset)
    size = installation.attestations.first_size(RFC3161, chain[-1][0]) if chain else None
    if size is None:
        return ()
    public = installation.public
    checkpoint = ledger.open_checkpoint(installation.store.checkpoint(size), public.origin, public.vkey)
    return tuple(
        StampedCheckpoint(item.source, checkpoint, item.content)
        for item in installation.attestations.list_of(size)
        if item.kind == RFC3161
    )
