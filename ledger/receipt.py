"""Receipts: what an append returns, and what anybody can ask for later."""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import Connection, func, select

from . import merkle
from .errors import NotFoundError
from .proof import TlogProof, format_proof
from .rows import CHECKPOINT, ENTRY, read_note


@dataclass(frozen=True)
class Receipt:
    """Proof that an entry is in the log: index, leaf hash, signed checkpoint, and the path between them."""

    index: int
    leaf_hash: bytes
    checkpoint: bytes
    proof: tuple[bytes, ...]

    def text(self) -> bytes:
        """Return the receipt as a C2SP tlog-proof file."""
        return format_proof(TlogProof(self.index, self.proof, self.checkpoint))


def read_receipt(connection: Connection, read: merkle.Reader, index: int, size: int | None = None) -> Receipt:
    """Return the receipt under a checkpoint size, by default the first that covers the entry."""
    if size is None:
        size = connection.scalar(select(func.min(CHECKPOINT.c.size)).where(CHECKPOINT.c.size > index))
    leaf = connection.scalar(select(ENTRY.c.leaf_hash).where(ENTRY.c.entry_index == index))
    note = read_note(connection, size) if size is not None else b""
    if size is None or leaf is None or not note or index >= size:
        raise NotFoundError(f"the ledger has no entry {index} under a checkpoint of size {size}")
    return Receipt(index, leaf, note, merkle.inclusion_proof(read, index, size))
