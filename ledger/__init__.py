"""The record: statements, envelopes, keys, Merkle tree, checkpoints, proofs, bundles, and their store."""

from .audit import Finding
from .bundle import BundleReport, check_bundle
from .bundling import Evidence, make_bundle
from .checkpoint import Checkpoint, open_checkpoint, sign_checkpoint
from .commitment import Opening, commit
from .envelope import Opened, open_envelope, sign_envelope
from .errors import LedgerConflictError, LedgerError
from .event import (
    KEYS_ASSET,
    Event,
    Head,
    Place,
    build_event,
    build_key_added,
    open_event,
)
from .inspection import FsckReport, fsck
from .keyfile import load_secret, load_signing_key, save_secret, save_signing_key
from .keys import PublicKey, SigningKey
from .migration import upgrade
from .note import format_vkey
from .predicate import GENERATED, KEY_ADDED, STAMPED
from .proof import check_proof
from .receipt import Receipt
from .sequencer import State
from .statement import Statement, Subject, build_statement, parse_statement
from .store import Store
from .submission import Draft

__all__ = [
    "GENERATED",
    "KEYS_ASSET",
    "KEY_ADDED",
    "STAMPED",
    "BundleReport",
    "Checkpoint",
    "Draft",
    "Event",
    "Evidence",
    "Finding",
    "FsckReport",
    "Head",
    "LedgerConflictError",
    "LedgerError",
    "Opened",
    "Opening",
    "Place",
    "PublicKey",
    "Receipt",
    "SigningKey",
    "State",
    "Statement",
    "Store",
    "Subject",
    "build_event",
    "build_key_added",
    "build_statement",
    "check_bundle",
    "check_proof",
    "commit",
    "format_vkey",
    "fsck",
    "load_secret",
    "load_signing_key",
    "make_bundle",
    "open_checkpoint",
    "open_envelope",
    "open_event",
    "parse_statement",
    "save_secret",
    "save_signing_key",
    "sign_checkpoint",
    "sign_envelope",
    "upgrade",
]
