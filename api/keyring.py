"""The keys of one installation, in a folder of files that only their owner reads.

    keys/
    |- log.pem              signs checkpoints, nothing else
    |- log-mldsa44.key      32 secret bytes: signs published checkpoints as well, after quantum computers
    |- issuer-0001.pem      signs statements; the one with the highest number signs, the others are history
    |- report.pem           signs verification reports
    |- originals.key        seals recordings as they were before their marks (`api.originals`)
    |- persons/            a key for each person whose data is sealed (`ledger.vault`)
    |- watermark-0001.key   32 or 64 secret bytes for each epoch: one embeds, all detect (`api.epochs`)
    |- mark-tag-0001.key     32 secret bytes: the tags by which the log knows marks (`ledger.marks`)
    |- watermark-epochs.json   when each epoch was made, and which ones only detect
    |- clients.key          names under which addresses are counted (`api.quotas`)
    `- api-token.sha256     digest of the service's API token (the token itself is shown once, by `init`)

What others may know is in `public-keys.json`: the log's verifier key, the issuers' and the report key's
public halves. That file says whom this installation trusts; it is read, not derived, so a verifier needs no
signing key.
"""

import hashlib
import json
import os
import re
import secrets
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ledger import PublicKey, SigningKey
from ledger.cosignature import Cosigner
from ledger.keyfile import load_secret, load_signing_key, save_secret, save_signing_key
from ledger.mldsa import MldsaSigningKey
from ledger.vrf import VrfKey

from .epochs import Epoch, add_epoch, list_epochs, make_watermark_key
from .errors import LedgerFolderError
from .settings import Settings

TOKEN_BYTES = 32
MLDSA_NAME = "log-mldsa44.key"
_MARK_NAME = re.compile(r"mark-tag-([0-9]{4})\.key")
_ISSUER_NAME = re.compile(r"issuer-([0-9]{4})\.pem")


@dataclass(frozen=True)
class PublicKeys:
    """What is trusted: the log's origin and verifier keys, and the keys of statements and reports.

    `mldsa_vkey` is the log's second key, which signs published checkpoints; None in a ledger made before
    there was one.
    """

    origin: str
    vkey: str
    issuers: tuple[PublicKey, ...]
    reports: tuple[PublicKey, ...]
    mldsa_vkey: str | None = None


@dataclass(frozen=True)
class Keyring:
    """The secret keys; `epochs` are the watermark keys, newest first, one of them active.

    `mark_keys` tag marks, the newest first; a ledger of before there were any has none.
    """

    log_signing_key: SigningKey
    issuer_signing_key: SigningKey
    report_signing_key: SigningKey
    epochs: tuple[Epoch, ...]
    log_mldsa_signing_key: MldsaSigningKey | None = None
    mark_keys: tuple[VrfKey, ...] = ()

    @property
    def watermark_key(self) -> bytes:
        """The key that new marks are embedded with."""
        return next(epoch.watermark_key for epoch in self.epochs if epoch.active)


def detection_keys(keyring: Keyring) -> tuple[bytes, ...]:
    """Return what `watermark.detect` and `Detector` take to find marks of every epoch: the active one first.

    The one place where the ring of epochs becomes an argument of the signal core.
    """
    others = (epoch.watermark_key for epoch in keyring.epochs if not epoch.active)
    return (keyring.watermark_key, *others)


def list_issuers(keys: Path) -> list[Path]:
    """Return the issuers' key files, newest first."""
    return sorted((path for path in keys.iterdir() if _ISSUER_NAME.fullmatch(path.name)), reverse=True)


def next_issuer(keys: Path) -> Path:
    """Return the key file of the issuer that comes next."""
    found = list_issuers(keys)
    number = int(found[0].stem.removeprefix("issuer-")) + 1 if found else 1
    return keys / f"issuer-{number:04d}.pem"


def list_mark_keys(keys: Path) -> list[Path]:
    """Return the files of mark keys, newest first."""
    return sorted((path for path in keys.iterdir() if _MARK_NAME.fullmatch(path.name)), reverse=True)


def save_mark_key(keys: Path, key: VrfKey) -> Path:
    """Write a mark key under the number that comes next."""
    found = list_mark_keys(keys)
    match = _MARK_NAME.fullmatch(found[0].name) if found else None
    path = keys / f"mark-tag-{int(match[1]) + 1 if match else 1:04d}.key"
    save_secret(path, key.seed)
    return path


def make_keys(settings: Settings, *, created: str) -> tuple[Keyring, str]:
    """Make the keys of a new installation and an API token; return both. `created` is RFC 3339 UTC.

    Raises
    ------
    LedgerFolderError
        The folder of keys cannot be made or holds keys already.
    """
    try:
        settings.keys.mkdir(mode=0o700, exist_ok=True)
        settings.keys.chmod(0o700)
    except OSError as error:
        raise LedgerFolderError(
            f"{settings.keys}: cannot make the folder of keys: {error.strerror}"
        ) from error
    epoch = add_epoch(settings.keys, make_watermark_key(), created=created)
    mldsa = MldsaSigningKey.generate()
    signing = (SigningKey.generate(), SigningKey.generate(), SigningKey.generate())
    ring = Keyring(*signing, (epoch,), mldsa, (VrfKey.generate(),))
    save_signing_key(settings.keys / "log.pem", ring.log_signing_key)
    save_secret(settings.keys / MLDSA_NAME, mldsa.seed)
    save_mark_key(settings.keys, ring.mark_keys[0])
    save_signing_key(settings.keys / "issuer-0001.pem", ring.issuer_signing_key)
    save_signing_key(settings.keys / "report.pem", ring.report_signing_key)
    token = secrets.token_urlsafe(TOKEN_BYTES)
    save_secret(settings.keys / "api-token.sha256", hash_token(token))
    return ring, token


def open_keyring(settings: Settings) -> Keyring:
    """Load the secret keys.

    Raises
    ------
    LedgerFolderError
        The folder or a key is missing, or the folder is open to others.
    ledger.KeyFileError
        A key file is open to others or damaged.
    """
    check_private(settings.keys)
    issuers, epochs = list_issuers(settings.keys), list_epochs(settings.keys)
    if not issuers or not epochs:
        raise LedgerFolderError(f"{settings.keys}: expected an issuer key and a watermark key, got none")
    if not any(epoch.active for epoch in epochs):
        raise LedgerFolderError(
            f"{settings.keys}: every watermark key here only detects: "
            "`provenote keys rotate watermark` makes one that embeds"
        )
    return Keyring(
        load_signing_key(settings.keys / "log.pem"),
        load_signing_key(issuers[0]),
        load_signing_key(settings.keys / "report.pem"),
        epochs,
        _load_mldsa(settings.keys / MLDSA_NAME),
        tuple(VrfKey(load_secret(path)) for path in list_mark_keys(settings.keys)),
    )


def _load_mldsa(path: Path) -> MldsaSigningKey | None:
    """Return the log's second key, or None where an older version of this program made the keys."""
    return MldsaSigningKey(load_secret(path)) if path.exists() else None


def name_mldsa_key(origin: str, signing_key: MldsaSigningKey) -> str:
    """Return the verifier key of the log's second key: the log is its own cosigner."""
    return Cosigner(origin, signing_key.public_key).vkey


def check_private(folder: Path) -> None:
    """Raise LedgerFolderError unless the folder is there and only its owner can enter it."""
    try:
        mode = folder.stat().st_mode & 0o777
    except OSError as error:
        raise LedgerFolderError(f"{folder}: no folder of keys: {error.strerror}") from error
    if mode & 0o077:
        raise LedgerFolderError(
            f"{folder}: expected mode 0700, got {mode:04o}: others may have read the keys"
        )


def hash_token(token: str) -> bytes:
    """Return what is stored of an API token: tokens are random, so one SHA-256 is enough."""
    return hashlib.sha256(b"provenote/api-token/v1\n" + token.encode("utf-8", "surrogateescape")).digest()


def load_token_hash(settings: Settings) -> bytes:
    """Return the digest that a presented API token must have."""
    if settings.api_token is not None:
        return hash_token(settings.api_token)
    return load_secret(settings.keys / "api-token.sha256")


def write_public_keys(settings: Settings, public: PublicKeys) -> None:
    """Write public-keys.json, replacing an older one in one step."""
    content = json.dumps(format_public_keys(public), indent=2) + "\n"
    temporary = settings.public_keys.with_suffix(".new")
    with temporary.open("w", encoding="utf-8") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    temporary.replace(settings.public_keys)


def format_public_keys(public: PublicKeys) -> dict[str, Any]:
    """Return the JSON object of public-keys.json."""
    return {
        "origin": public.origin,
        "log_vkey": public.vkey,
        "log_mldsa_vkey": public.mldsa_vkey,
        "issuers": [{"key_id": key.key_id, "jwk": key.jwk()} for key in public.issuers],
        "reports": [{"key_id": key.key_id, "jwk": key.jwk()} for key in public.reports],
    }


def read_public_keys(settings: Settings) -> PublicKeys:
    """Read public-keys.json.

    Raises
    ------
    LedgerFolderError
        The file is missing or not what `write_public_keys` writes.
    """
    try:
        content = settings.public_keys.read_bytes()
    except OSError as error:
        raise LedgerFolderError(
            f"{settings.home}: no ledger here ({error.strerror}: {settings.public_keys.name}); "
            "make one with `provenote init`"
        ) from error
    return parse_public_keys(content, str(settings.public_keys))


def parse_public_keys(content: bytes, what: str) -> PublicKeys:
    """Return the keys of a public-keys.json; `what` names it in the error.

    Raises
    ------
    LedgerFolderError
        Not what `write_public_keys` writes.
    """
    try:
        document = json.loads(content)
        return PublicKeys(
            origin=str(document["origin"]),
            vkey=str(document["log_vkey"]),
            mldsa_vkey=document.get("log_mldsa_vkey"),
            issuers=tuple(PublicKey.from_jwk(item["jwk"]) for item in document["issuers"]),
            reports=tuple(PublicKey.from_jwk(item["jwk"]) for item in document["reports"]),
        )
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise LedgerFolderError(f"{what}: not a list of public keys: {error}") from error
