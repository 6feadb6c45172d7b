"""The keys that sign C2PA credentials: a P-256 authority of the ledger's own, and Ed25519 leaves under it.

    keys/
    |- credential-ca.key         32 secret bytes of P-256: signs the leaves' certificates, nothing else
    |- credential-ca.crt         its certificate, self-signed
    |- credential-0001.pem       Ed25519, signs credentials; the highest number signs
    `- credential-0001.crt       its certificate, good for a year

    credential-roots.pem         in the ledger folder: who is believed, our own authority first

The shape is that of the C2PA certificate policy 0.2: authorities are ECDSA, since EdDSA is left to leaves; a
leaf lives at most 366 days, names C2PA's extended key usage (and e-mail protection, for validators that know
no other), and is renewed without a word when less than RENEWAL_DAYS are left. Outsiders have no reason to
trust an authority that we made ourselves: to them a credential is valid by an unknown signer, until they add
`credential-roots.pem` to their list, or the operator puts a leaf of a listed authority here.
"""

import contextlib
import datetime
import fcntl
import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.types import CertificatePublicKeyTypes
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from ledger import SigningKey
from ledger.keyfile import load_secret, load_signing_key, save_secret, save_signing_key

from .audiofile import write_synced
from .errors import LedgerFolderError
from .settings import MAX_PROVIDER_CHARACTERS, Settings

CLAIM_SIGNING = x509.ObjectIdentifier("1.3.6.1.4.1.62558.2.1")
"""c2pa-kp-claimSigning, C2PA 2.4, 14.5.1."""
AUTHORITY_DAYS = 20 * 365
LEAF_DAYS = 366
RENEWAL_DAYS = 30
CLOCK_SKEW = datetime.timedelta(hours=1)
_LEAF_NAME = re.compile(r"credential-([0-9]{4})\.crt")


@dataclass(frozen=True)
class CredentialSigner:
    """Who signs credentials now: the key, and the certificates that lead from it to the root, leaf first
    and without the root, as PEM.
    """

    signing_key: SigningKey
    chain_pem: str


def make_authority(settings: Settings, name: str, *, now: datetime.datetime) -> None:
    """Make the authority of a ledger, whose certificates name `name`; nothing where there is one.

    Raises
    ------
    LedgerFolderError, WriteError, ledger.KeyFileError
        The folder cannot be written.
    """
    certificate_path = settings.keys / "credential-ca.crt"
    with _hold(settings.keys):
        if certificate_path.exists():
            return
        (settings.keys / "credential-ca.key").unlink(missing_ok=True)  # a crash left it without certificate
        key = ec.generate_private_key(ec.SECP256R1())
        subject = _name(name, f"{name} credentials")
        certificate = (
            _begin(subject, subject, key.public_key(), now, AUTHORITY_DAYS)
            .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
            .add_extension(_usage(signs_certificates=True), critical=True)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
            .sign(key, hashes.SHA256())
        )
        save_secret(
            settings.keys / "credential-ca.key", key.private_numbers().private_value.to_bytes(32, "big")
        )
        _write_certificate(certificate_path, certificate)
        if not settings.credential_roots.exists():
            write_synced(settings.credential_roots, certificate.public_bytes(Encoding.PEM))


def open_signer(settings: Settings, name: str, *, now: datetime.datetime) -> CredentialSigner:
    """Return who signs credentials; makes authority and leaf where there are none, renews an old leaf.

    Raises
    ------
    LedgerFolderError, WriteError, ledger.KeyFileError
        A key or certificate cannot be read, or the folder cannot be written.
    """
    make_authority(settings, name, now=now)
    with _hold(settings.keys):
        newest = max(_list_leaves(settings.keys), default=None)
        if newest is not None:
            certificate = _load(newest)
            left = certificate.not_valid_after_utc - now
            if left > datetime.timedelta(days=RENEWAL_DAYS) and _organisation(certificate) == _cut(name):
                key = load_signing_key(newest.with_suffix(".pem"))
                return CredentialSigner(key, _pem(certificate))
        return _issue_leaf(settings, name, newest, now)


def read_own_root(settings: Settings) -> str:
    """Return the certificate of the ledger's own authority as PEM; "" where there is none yet."""
    path = settings.keys / "credential-ca.crt"
    return _pem(_load(path)) if path.exists() else ""


def read_roots(settings: Settings) -> str:
    """Return the certificates that are believed beside our own, as PEM; "" for none.

    Raises
    ------
    LedgerFolderError
        The file cannot be read or holds something else.
    """
    try:
        content = settings.credential_roots.read_bytes()
    except FileNotFoundError:
        return ""
    except OSError as error:
        raise LedgerFolderError(f"{settings.credential_roots}: cannot be read: {error.strerror}") from error
    try:
        certificates = x509.load_pem_x509_certificates(content)
    except ValueError as error:
        raise LedgerFolderError(f"{settings.credential_roots}: expected PEM certificates: {error}") from error
    own = read_own_root(settings)
    return "".join(text for text in map(_pem, certificates) if text != own)


def _issue_leaf(
    settings: Settings, name: str, newest: Path | None, now: datetime.datetime
) -> CredentialSigner:
    authority = _load(settings.keys / "credential-ca.crt")
    secret = load_secret(settings.keys / "credential-ca.key")
    authority_key = ec.derive_private_key(int.from_bytes(secret, "big"), ec.SECP256R1())
    number = 1 if newest is None else int(newest.stem.rsplit("-", 1)[1]) + 1
    key = SigningKey.generate()
    public_key = Ed25519PublicKey.from_public_bytes(key.public_key.raw)
    key_identifier = authority.extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value
    certificate = (
        _begin(_name(name, f"{name} signer"), authority.subject, public_key, now, LEAF_DAYS)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_usage(signs_certificates=False), critical=True)
        .add_extension(
            x509.ExtendedKeyUsage([CLAIM_SIGNING, ExtendedKeyUsageOID.EMAIL_PROTECTION]), critical=False
        )
        .add_extension(
            x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(key_identifier), critical=False
        )
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(public_key), critical=False)
        .sign(authority_key, hashes.SHA256())
    )
    path = settings.keys / f"credential-{number:04d}.crt"
    path.with_suffix(".pem").unlink(missing_ok=True)  # a crash left it without certificate
    save_signing_key(path.with_suffix(".pem"), key)
    _write_certificate(path, certificate)
    return CredentialSigner(key, _pem(certificate))


def _begin(
    subject: x509.Name,
    issuer: x509.Name,
    public_key: CertificatePublicKeyTypes,
    now: datetime.datetime,
    days: int,
) -> x509.CertificateBuilder:
    start = now - CLOCK_SKEW
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(public_key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(start)
        .not_valid_after(start + datetime.timedelta(days=days))
    )


def _usage(*, signs_certificates: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not signs_certificates,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=signs_certificates,
        crl_sign=signs_certificates,
        encipher_only=False,
        decipher_only=False,
    )


def _name(organisation: str, common: str) -> x509.Name:
    return x509.Name(
        [
            x509.NameAttribute(NameOID.ORGANIZATION_NAME, _cut(organisation)),
            x509.NameAttribute(NameOID.COMMON_NAME, _cut(common)),
        ]
    )


def _cut(text: str) -> str:
    return text[:MAX_PROVIDER_CHARACTERS]


def _organisation(certificate: x509.Certificate) -> str:
    found = certificate.subject.get_attributes_for_oid(NameOID.ORGANIZATION_NAME)
    return str(found[0].value) if found else ""


def _list_leaves(keys: Path) -> list[Path]:
    return [path for path in keys.iterdir() if _LEAF_NAME.fullmatch(path.name)]


def _load(path: Path) -> x509.Certificate:
    try:
        return x509.load_pem_x509_certificate(path.read_bytes())
    except OSError as error:
        raise LedgerFolderError(f"{path}: cannot be read: {error.strerror}") from error
    except ValueError as error:
        raise LedgerFolderError(f"{path}: expected a PEM certificate: {error}") from error


def _write_certificate(path: Path, certificate: x509.Certificate) -> None:
    write_synced(path, certificate.public_bytes(Encoding.PEM))
    path.chmod(0o600)  # it is no secret, but in this folder nothing is open to others


def _pem(certificate: x509.Certificate) -> str:
    return certificate.public_bytes(Encoding.PEM).decode("ascii")


@contextlib.contextmanager
def _hold(keys: Path) -> Iterator[None]:
    """Keep other processes from making keys at the same time."""
    descriptor = os.open(keys, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)
