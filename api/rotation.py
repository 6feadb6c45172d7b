"""New keys beside the old ones: what was signed or marked before stays verifiable."""

import dataclasses
import os
from pathlib import Path

import ledger
from ledger.event import build_key_rotated
from ledger.keyfile import load_signing_key, save_signing_key
from ledger.sqlite import sync_folder

from .epochs import Epoch, begin_epoch
from .installation import Installation, check_layout, now
from .keyring import check_private, next_issuer, write_public_keys
from .marktags import prepare_mark_key
from .settings import Settings


def add_issuer(installation: Installation, *, new_mark_key: bool = False) -> tuple[str, Path]:
    """Make an issuer key that takes over from the present one, and sign with it from now on.

    Both sign the entry `key-rotated`: the new key gets roles, party and tracks of the old one, which retires
    there; what it signed before stays good. A service that is running has to be restarted: its key counts no
    more.

    With `new_mark_key` the entry also brings a mark key, which tags marks from there on: another one, or the
    first of an older ledger. Earlier ones stay, since a mark is looked for under each.

    Order: the keys are written, that of the issuer as issuer-next.pem, the ledger is told, public-keys.json
    is rewritten, the key gets its number. After a crash in between, a call goes on where it stopped.
    """
    settings, present = installation.settings, installation.keyring.issuer_signing_key
    pending = settings.keys / "issuer-next.pem"
    key = load_signing_key(pending) if pending.exists() else None
    if key is not None and key.public_key == present.public_key:
        pending.unlink()  # it has its number already
        key = None
    if key is None:
        key = ledger.SigningKey.generate()
        save_signing_key(pending, key)
    added = key.public_key
    mark_key = prepare_mark_key(installation).public_key if new_mark_key else None

    def build(place: ledger.Place) -> bytes:
        return ledger.sign_envelope(
            build_key_rotated(place, added, present.key_id, mark_key=mark_key), [present, key]
        )

    store, public = installation.store, installation.public
    if added not in store.public_keys():
        draft = ledger.Draft(ledger.KEYS_ASSET, build)
        store.append([draft], log_signing_key=installation.keyring.log_signing_key)
    if added not in public.issuers:
        write_public_keys(settings, dataclasses.replace(public, issuers=(*public.issuers, added)))
    path = next_issuer(settings.keys)
    os.link(pending, path)  # unlike a rename, never over another key
    sync_folder(settings.keys)
    pending.unlink()
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
