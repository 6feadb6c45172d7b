"""New keys beside the old ones: what was signed or marked before stays verifiable."""

import dataclasses
import os
from pathlib import Path

import ledger
from ledger.keyfile import save_secret, save_signing_key

from .installation import Installation
from .keyring import make_watermark_key, name_watermark_key, next_number, write_public_keys


def add_issuer(installation: Installation) -> tuple[str, Path]:
    """Make an issuer key, have the present one vouch for it in the ledger, and sign with it from now on.

    Order: the key is written under a temporary name, the ledger is told, public-keys.json is rewritten, the
    key gets its number. A crash leaves a key that signs nothing yet, which is harmless.
    """
    settings, present = installation.settings, installation.keyring.issuer_signing_key
    key = ledger.SigningKey.generate()
    path = settings.keys / f"{next_number(settings.keys, 'issuer')}.pem"
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


def add_watermark_key(installation: Installation) -> tuple[str, Path]:
    """Make a watermark key that embeds from now on; detection tries all of them."""
    keys = installation.settings.keys
    path = keys / f"{next_number(keys, 'watermark')}.key"
    key = make_watermark_key()
    save_secret(path, key)
    return name_watermark_key(key), path
