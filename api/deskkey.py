"""The case desk's signing key: role platform, party of the house; made and logged when it is first needed.

The issuer's key may not sign notices and decisions (`ledger.custody`): who registers recordings and who
decides about complaints against them are told apart by their keys, even in one house.
"""

import ledger
from ledger.errors import KeyFileError
from ledger.keyfile import load_signing_key, save_signing_key
from ledger.predicate import PLATFORM
from ledger.register import HOUSE

from .installation import Installation
from .recording import add_actor

KEY_NAME = "case-desk.pem"


def open_desk_key(installation: Installation) -> ledger.SigningKey:
    """Return the case desk's key; the first time it is made, and added to the ledger by an entry.

    Raises
    ------
    ledger.KeyFileError
        The key's file cannot be read or made.
    ledger.LedgerError
        The ledger does not take the key.
    """
    path = installation.settings.keys / KEY_NAME
    if not path.exists():
        try:
            save_signing_key(path, ledger.SigningKey.generate())
        except KeyFileError:
            if not path.exists():  # otherwise another process was first
                raise
    signing_key = load_signing_key(path)
    if signing_key.key_id not in {key.key_id for key in installation.store.public_keys()}:
        add_actor(installation, signing_key, [PLATFORM], HOUSE)
    return signing_key
