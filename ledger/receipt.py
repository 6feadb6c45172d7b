"""Receipts: what an append returns, and what anybody can ask for later."""

from __future__ import annotations

from dataclasses import dataclass

from .proof import TlogProof, format_proof


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
