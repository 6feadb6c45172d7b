"""Who received copies: names, sealed in the vault, and the copies that are theirs."""

import unicodedata
from collections.abc import Mapping

import ledger

from .copies import CopyRow
from .errors import RefusedError
from .installation import Installation
from .release import name_asset

MAX_NAME_CHARACTERS = 200
RECIPIENT = "recipient"
"""The label of the commitment to the recipient's name."""


def parse_recipient(name: str) -> str:
    """Return a recipient's name in the one form that is compared: trimmed, Unicode normal form C.

    Raises
    ------
    RefusedError
        Empty, longer than 200 characters, or with control characters.
    """
    text = unicodedata.normalize("NFC", name).strip()
    if not 1 <= len(text) <= MAX_NAME_CHARACTERS or any(
        unicodedata.category(c) in ("Cc", "Cs") for c in text
    ):
        raise RefusedError(
            f"expected a recipient of 1 to {MAX_NAME_CHARACTERS} characters without control characters, "
            f"got {name!r:.80}"
        )
    return text


def name_recipients(installation: Installation, track_id: str) -> dict[bytes, str]:
    """Return the names of a track's recipients who were not erased, by their commitments in the ledger."""
    return {
        ledger.commit(opening.label, opening.salt, opening.value): str(opening.value)
        for opening in installation.vault.open_asset(name_asset(track_id))
        if opening.label == RECIPIENT
    }


def find_earlier(
    installation: Installation, track_id: str, names: Mapping[bytes, str], recipient: str
) -> list[CopyRow]:
    """Return the copies of a track that this recipient has; `names` as `name_recipients` gives them."""
    return [
        row
        for row in installation.copies.list_of_track(track_id)
        if names.get(row.recipient_commitment) == recipient
    ]
