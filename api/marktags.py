"""Tags of marks: what makes the marks of an entry known to the ledger's map of heads (`ledger.marks`)."""

import ledger
from ledger.errors import NotFoundError
from ledger.event import KEYS_ASSET, parse_event, parse_mark_key
from ledger.marks import tag_mark
from ledger.vrf import VrfKey

from .installation import Installation
from .keyring import save_mark_key


def tag_subjects(installation: Installation, mark_id: bytes) -> tuple[ledger.Subject, ...]:
    """Return the subject by which an event is about a mark; none in a log that has no mark key.

    Raises
    ------
    ledger.errors.NotFoundError
        The secret of the log's mark key is not among the keys that the installation was opened with.
    """
    logged = find_logged_keys(installation)
    if not logged:
        return ()
    for key in installation.keyring.mark_keys:
        if key.public_key == logged[-1]:
            return (tag_mark(key, mark_id).subject(),)
    keys = installation.settings.keys
    raise NotFoundError(
        f"{keys}: the secret of the log's mark key {logged[-1].raw.hex()} is not here: bring it back, "
        "or begin another with `provenote keys rotate issuer --new-mark-key`"
    )


def find_logged_keys(installation: Installation) -> list[ledger.PublicKey]:
    """Return the mark keys that the log has added, the one in use last."""
    statements = (parse_event(entry).statement for _, entry in installation.store.chain(KEYS_ASSET))
    return [key for item in statements if (key := parse_mark_key(item)) is not None]


def prepare_mark_key(installation: Installation) -> VrfKey:
    """Return a mark key whose secret is kept and that the log has not yet: one left by a crash, or new."""
    made = installation.keyring.mark_keys
    if made and made[0].public_key not in find_logged_keys(installation):
        return made[0]
    key = VrfKey.generate()
    save_mark_key(installation.settings.keys, key)
    return key
