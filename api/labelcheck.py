"""A file's labels held against what the ledger proves of the track that its sound, mark or digest names.

The labels never choose the track: anybody can write them. They are read in a child process while the sound
is examined, and held against the track's history afterwards, which is checked again here.
"""

import dataclasses
from collections.abc import Mapping
from pathlib import Path

from cryptography.hazmat.primitives.serialization import Encoding

from ledger.event import Event
from ledger.predicate import GENERATED, SIGNED

from .credentialcheck import check_credential, read_credential
from .credentialkeys import read_own_root, read_roots
from .custody import check_custody
from .disclosing import disclose_event, find_registration
from .evidence import Evidence
from .installation import Installation
from .labels import Anchors, Labels, Reading, start_reading
from .release import name_asset
from .tagcheck import check_tags


def read_anchors(installation: Installation) -> Anchors:
    """Return whom this ledger believes: its own authority, those listed beside it, time-stamping authorities.

    Raises
    ------
    LedgerFolderError
        A list cannot be read.
    """
    roots = [root for authority in installation.authorities for root in authority.roots]
    return Anchors(
        own=read_own_root(installation.settings),
        listed=read_roots(installation.settings),
        tsa="".join(root.public_bytes(Encoding.PEM).decode("ascii") for root in roots),
    )


def start_labels(installation: Installation, path: Path) -> Reading:
    """Start reading a file's labels; `labels.Reading.finish` gives them. Errors as `labels.start_reading`."""
    return start_reading(path, installation.settings.limits, read_anchors(installation))


def weigh_labels(installation: Installation, evidence: Evidence, labels: Labels) -> Evidence:
    """Return the evidence with the axes `tags` and `credential` filled in.

    Raises
    ------
    ledger.StorageError
        The database cannot be used.
    """
    credential = read_credential(labels)
    track = evidence.track
    events: tuple[Event, ...] = ()
    event, stated = None, None
    if track is not None and evidence.ledger is not None and evidence.ledger.fault is None:
        custody = check_custody(installation.store, installation.public, name_asset(track.track_id))
        if custody.evidence.fault is None:
            events, event = custody.events, find_registration(custody.events)
        if event is not None:
            stated = disclose_event(installation, track.track_id, event)
    generated = event is not None and event.statement.predicate_type == GENERATED
    tags = check_tags(labels.tags, stated, generated=generated, problem=labels.tags_problem)
    if event is not None and stated is not None:
        signed = (item for item in events if item.statement.predicate_type == SIGNED)
        members = [item.statement.predicate.get("credential") for item in (event, *signed)]
        credential = check_credential(
            credential, stated, [item for item in members if isinstance(item, Mapping)]
        )
        if evidence.copies is not None and evidence.copies.named:
            # A delivered copy carries the track's tags and never had its credential.
            credential = dataclasses.replace(credential, expected_id=None)
    if track is None and tags.claims_track is not None:
        known = installation.store.head(name_asset(tags.claims_track)) is not None
        tags = dataclasses.replace(tags, unsupported=known)
    return dataclasses.replace(evidence, tags=tags, credential=credential)
