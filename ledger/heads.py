"""The map of heads: for each asset and each digest, how many events there are and which is the last.

Its root is written into the log (`anchored`), so that one short proof says that a custody chain shown is the
whole chain, or that an asset or file is not in the log at all. It is a binary tree over 256-bit keys, in
which a subtree of one key is that key's leaf:

    key    = SHA-256("provenote/heads/v1/asset\\n" || asset)      or     (".../digest\\n" || 32-byte digest)
    leaf   = SHA-256("provenote/heads/v1/leaf\\n" || key || u64 count || leaf hash of the last event)
    node   = SHA-256("provenote/heads/v1/node\\n" || left || right)      left: next bit of the key 0
    empty  = SHA-256("provenote/heads/v1/empty\\n")

Whoever follows the bits of a key from the root down comes to exactly one end: the key's own leaf, a leaf of
another key, or the empty subtree. So not even the operator can prove two different things about one key under
one root; what remains to be checked is that the root was made from the log, which `fsck` does.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from .canonical import check_hex, check_members
from .encoding import decode_base64, encode_base64
from .errors import FormatError, ProofError
from .predicate import check_count

HASH_BYTES = 32
KEY_BITS = 256
_PREFIX = b"provenote/heads/v1/"
EMPTY = hashlib.sha256(_PREFIX + b"empty\n").digest()


@dataclass(frozen=True)
class HeadRecord:
    """What the map says of one key: events so far (at least 1), and the leaf hash of the last (32 bytes)."""

    key: bytes
    count: int
    head: bytes


@dataclass(frozen=True)
class HeadProof:
    """The end of a key's path, and the siblings from there up to the root.

    Attributes
    ----------
    end : the record at the end of the path: the key's own, another key's, or None for the empty subtree
    siblings : hashes of 32 bytes, lowest first
    """

    end: HeadRecord | None
    siblings: tuple[bytes, ...]


def asset_key(asset: str) -> bytes:
    """Return the key of an asset."""
    return hashlib.sha256(_PREFIX + b"asset\n" + asset.encode("ascii")).digest()


def digest_key(sha256: bytes) -> bytes:
    """Return the key of a digest that entries are about: of a file, of samples, of a mark's tag."""
    return hashlib.sha256(_PREFIX + b"digest\n" + sha256).digest()


def hash_record(record: HeadRecord) -> bytes:
    """Return the hash of a record's leaf."""
    return hashlib.sha256(
        _PREFIX + b"leaf\n" + record.key + record.count.to_bytes(8, "big") + record.head
    ).digest()


def hash_node(left: bytes, right: bytes) -> bytes:
    """Return the hash over two subtrees."""
    return hashlib.sha256(_PREFIX + b"node\n" + left + right).digest()


def read_bit(key: bytes, depth: int) -> int:
    """Return the bit of a key that decides at a depth; depth 0 is the root."""
    return key[depth >> 3] >> (7 - (depth & 7)) & 1


def hash_records(records: Sequence[HeadRecord], depth: int = 0) -> bytes:
    """Return the hash over sorted records that share their first `depth` bits: the definition itself."""
    if len(records) <= 1:
        return hash_record(records[0]) if records else EMPTY
    split = next((i for i, item in enumerate(records) if read_bit(item.key, depth)), len(records))
    return hash_node(hash_records(records[:split], depth + 1), hash_records(records[split:], depth + 1))


def open_head(proof: HeadProof, key: bytes, root: bytes) -> HeadRecord | None:
    """Return what the map with this root says of a key, or None where the key is not in it.

    Raises
    ------
    ProofError : the proof does not lead to the root along the key's bits, or ends at a key of another place
    """
    if len(key) != HASH_BYTES or len(proof.siblings) > KEY_BITS:
        raise ProofError(f"head proof: expected a key of {HASH_BYTES} bytes and at most {KEY_BITS} hashes")
    depth = len(proof.siblings)
    end = proof.end
    if end is not None and _prefix(end.key, depth) != _prefix(key, depth):
        raise ProofError("head proof: ends at a key that is not on this path")
    computed = EMPTY if end is None else hash_record(end)
    for sibling in proof.siblings:
        depth -= 1
        computed = hash_node(sibling, computed) if read_bit(key, depth) else hash_node(computed, sibling)
    if computed != root:
        raise ProofError(f"head proof: expected the map root {root.hex()}, got {computed.hex()}")
    return end if end is not None and end.key == key else None


def format_head_proof(proof: HeadProof) -> dict[str, Any]:
    """Return a proof as JSON: {"end": {"key": hex, "count": 3, "head": hex} or null, "siblings": base64}."""
    end = None
    if proof.end is not None:
        end = {"key": proof.end.key.hex(), "count": proof.end.count, "head": proof.end.head.hex()}
    return {"end": end, "siblings": encode_base64(b"".join(proof.siblings))}


def parse_head_proof(value: object) -> HeadProof:
    """Parse a proof; FormatError unless `format_head_proof` gives it back."""
    members = check_members(value, {"end", "siblings"}, "head proof")
    end = None
    if members["end"] is not None:
        found = check_members(members["end"], {"key", "count", "head"}, "head proof end")
        count = check_count(found["count"], "head proof count")
        if count < 1:
            raise FormatError("head proof: expected a count from 1")
        end = HeadRecord(check_hex(found["key"], "head proof key"), count, check_hex(found["head"], "head"))
    if not isinstance(members["siblings"], str) or len(members["siblings"]) > 2 * KEY_BITS * HASH_BYTES:
        raise FormatError("head proof: expected siblings as base64 text")
    joined = decode_base64(members["siblings"], "head proof siblings")
    if len(joined) % HASH_BYTES:
        raise FormatError(f"head proof: expected siblings of {HASH_BYTES} bytes each, got {len(joined)}")
    siblings = tuple(joined[start : start + HASH_BYTES] for start in range(0, len(joined), HASH_BYTES))
    return HeadProof(end, siblings)


def _prefix(key: bytes, bits: int) -> int:
    return int.from_bytes(key, "big") >> (KEY_BITS - bits)
