"""Who received copies: names, sealed in the vault, and the copies that are theirs."""

import unicodedata
from collections import defaultdict

import ledger

from .copies import CopyRow
from .errors import MissingError, RefusedError
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


def open_personal(
    installation: Installation, track_id: str, copy_id: str | None = None
) -> tuple[ledger.Opening, ...]:
    """Return what opens a track's personal commitments, of copies only those of one: its recipient and mark.

    Whoever is shown one delivery learns nothing of the others.

    Raises
    ------
    MissingError
        The track has no such copy.
    """
    copies = {row.copy_id: row for row in installation.copies.list_of_track(track_id)}
    if copy_id is not None and copy_id not in copies:
        raise MissingError(f"track {track_id} has no copy {copy_id!r:.80}")
    shown = copies.get(copy_id or "")
    hidden = {row.recipient_commitment for row in copies.values()}
    openings = []
    for opening in installation.vault.open_asset(name_asset(track_id)):
        commitment = ledger.commit(opening.label, opening.salt, opening.value)
        if commitment not in hidden or (shown is not None and commitment == shown.recipient_commitment):
            openings.append(opening)
    if shown is not None:
        openings.append(ledger.Opening("mark_id", shown.salt, shown.mark_id))
    return tuple(openings)


def list_by_recipient(installation: Installation, track_id: str) -> dict[str, list[CopyRow]]:
    """Return a track's copies by whose they are, oldest first; those of erased recipients are left out."""
    names = name_recipients(installation, track_id)
    found: dict[str, list[CopyRow]] = defaultdict(list)
    for row in installation.copies.list_of_track(track_id):
        if (name := names.get(row.recipient_commitment)) is not None:
            found[name].append(row)
    return dict(found)
