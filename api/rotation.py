"""New keys beside the old ones: what was signed or marked before stays verifiable."""

import dataclasses
import os
from pathlib import Path

import ledger
from ledger.keyfile import save_signing_key

from .epochs import Epoch, begin_epoch
from .installation import Installation, check_layout, now
from .keyring import check_private, next_issuer, write_public_keys
from .settings import Settings


def add_issuer(installation: Installation) -> tuple[str, Path]:
    """Make an issuer key, have the present one vouch for it in the ledger, and sign with it from now on.

    Order: the key is written under a temporary name, the ledger is told, public-keys.json is rewritten, the
    key gets its number. A crash leaves a key that signs nothing yet, which is harmless.
    """
    settings, present = installation.settings, installation.keyring.issuer_signing_key
    key = ledger.SigningKey.generate()
    path = next_issuer(settings.keys)
    temporary = path.with_suffix(f".{os.getpid()}.new")
    save_signing_key(temporary, key)

    def build(place: ledger.Place) -> bytes:
        return ledger.sign_envelope(ledger.build_key_added(place, key.public_key), [present, key])

    try:
        draft = ledger.Draft(ledger.KEYS_ASSET, build)
        installation.store.append([draft], log_signing_key=installation.keyring.log_signing_key)
        public = installation.public
        write_public_keys(settings, dataclasses.replace(public, issuers=(*public.issuers, key.public_key)))
        os.link(temporary, path)  # unlike a rename, never over another key
    finally:
        temporary.unlink(missing_ok=True)
    return key.key_id, path


def rotate_watermark_key(settings: Settings, *, independent: bool = False) -> Epoch:
    """Begin a new epoch: a new watermark key embeds from now on, the earlier ones go on detecting.

    It shares its synchronisation pattern with the present one, unless it is to be `independent`. A service
    that runs meanwhile goes on with the keys it started with.

    Raises
    ------
    LedgerFolderError
        No finished ledger folder there, or its keys are open to others.
    RefusedError
        There are as many epochs as a detection tries.
    ledger.KeyFileError
        The key cannot be written.
    """
    check_layout(settings)
    check_private(settings.keys)
    return begin_epoch(settings.keys, created=now(), independent=independent)
