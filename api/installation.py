"""An installation: the ledger folder, opened. `make_installation` is `provenote init`."""

import datetime
import json
import secrets
import shutil
from dataclasses import dataclass
from types import TracebackType

from ledger import Draft, Place, Store, build_key_added, format_vkey, sign_envelope, upgrade
from ledger.anchor import HeadIndex
from ledger.attestation import Attestations
from ledger.errors import FormatError, WeakKeyError
from ledger.guard import FileGuard
from ledger.policy import UNWITNESSED, Policy, parse_policy
from ledger.vault import Vault

from .accesskeys import AccessKeys
from .accesslog import AccessLog
from .cases import Cases
from .catalogue import Catalogue
from .copies import Copies
from .credentialkeys import make_authority
from .errors import LedgerFolderError
from .jobtable import JobTable
from .keyring import (
    Keyring,
    PublicKeys,
    make_keys,
    name_mldsa_key,
    open_keyring,
    read_public_keys,
    write_public_keys,
)
from .knownmarks import KnownMarks
from .objectstore import ObjectStore, open_objects
from .registry import Registry
from .settings import Settings
from .timestamping import Authority, read_authorities

FORMAT = 1


@dataclass(frozen=True)
class Installation:
    """Settings, keys, ledger and registry of one ledger folder; what others attest, and who is asked to;
    the map of the log's heads.
    """

    settings: Settings
    public: PublicKeys
    keyring: Keyring
    store: Store
    registry: Registry
    jobs: JobTable
    attestations: Attestations
    policy: Policy
    heads: HeadIndex
    vault: Vault
    copies: Copies
    marks: KnownMarks
    catalogue: Catalogue
    access: AccessKeys
    cases: Cases
    access_log: AccessLog
    authorities: tuple[Authority, ...] = ()
    objects: ObjectStore | None = None

    def __enter__(self) -> "Installation":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the database connections."""
        self.store.close()
        self.registry.close()
        self.jobs.close()
        self.copies.close()
        self.catalogue.close()
        self.access.close()
        self.cases.close()
        self.access_log.close()
        self.attestations.close()
        self.vault.close()


def now() -> str:
    """Return the time as RFC 3339 UTC to the second, such as 2026-11-22T17:31:32Z."""
    return format_time(datetime.datetime.now(datetime.UTC).timestamp())


def format_time(time_s: float) -> str:
    """Return POSIX seconds as RFC 3339 UTC to the second."""
    return datetime.datetime.fromtimestamp(time_s, datetime.UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def make_installation(settings: Settings, *, origin: str | None = None) -> tuple[PublicKeys, str]:
    """Make a ledger folder: keys, database, first entry (the issuer's key); return public keys and API token.

    The file provenote.json is written last: a folder without it is an unfinished one, and is refused
    everywhere.

    Raises
    ------
    LedgerFolderError
        The folder holds something already or cannot be made.
    ledger.LedgerError
        The origin is not a name for a log, or the database cannot be made.
    """
    origin = origin or f"localhost/provenote/{secrets.token_hex(8)}"
    try:
        settings.home.mkdir(mode=0o700, parents=True, exist_ok=True)
        settings.home.chmod(0o700)  # the database holds prompts and marks
        if any(settings.home.iterdir()):
            raise LedgerFolderError(f"{settings.home}: expected an empty or new folder, it holds files")
        settings.tracks.mkdir()
        settings.incoming.mkdir(mode=0o700)
    except OSError as error:
        raise LedgerFolderError(f"{settings.home}: cannot make the folder: {error.strerror}") from error
    try:
        return _fill_folder(settings, origin)
    except BaseException:
        # The folder was empty: what it holds now is unfinished, and would be in the way of the next try.
        for path in settings.home.iterdir():
            shutil.rmtree(path) if path.is_dir() else path.unlink()
        raise


def _fill_folder(settings: Settings, origin: str) -> tuple[PublicKeys, str]:
    ring, token = make_keys(settings, created=now())
    make_authority(settings, settings.provider or origin, now=datetime.datetime.now(datetime.UTC))
    upgrade(settings.database_url)
    if settings.uses_file:
        settings.database.chmod(0o600)
    issuer = ring.issuer_signing_key

    def build(place: Place) -> bytes:
        mark_key = ring.mark_keys[0].public_key
        return sign_envelope(build_key_added(place, issuer.public_key, mark_key=mark_key), [issuer])

    with Store.create(settings.database_url, origin=origin, log_signing_key=ring.log_signing_key) as store:
        store.append([Draft("keys", build)], log_signing_key=ring.log_signing_key)
    public = PublicKeys(
        origin=origin,
        vkey=format_vkey(origin, ring.log_signing_key.public_key),
        issuers=(issuer.public_key,),
        reports=(ring.report_signing_key.public_key,),
        mldsa_vkey=name_mldsa_key(origin, ring.log_mldsa_signing_key) if ring.log_mldsa_signing_key else None,
    )
    try:
        write_public_keys(settings, public)
        settings.description.write_text(
            json.dumps({"format": FORMAT, "origin": origin, "created": now()}, indent=2) + "\n",
            encoding="utf-8",
        )
    except OSError as error:
        raise LedgerFolderError(f"{settings.home}: cannot be written: {error.strerror}") from error
    return public, token


def check_layout(settings: Settings) -> None:
    """Raise LedgerFolderError unless the folder is a finished ledger folder of this format."""
    try:
        document = json.loads(settings.description.read_bytes())
    except OSError as error:
        raise LedgerFolderError(
            f"{settings.home}: no ledger here ({error.strerror}); make one with `provenote init`"
        ) from error
    except ValueError as error:
        raise LedgerFolderError(f"{settings.description}: expected JSON: {error}") from error
    found = document.get("format") if isinstance(document, dict) else None
    if found != FORMAT:
        raise LedgerFolderError(f"{settings.description}: expected format {FORMAT}, got {found!r}")


def open_installation(settings: Settings) -> Installation:
    """Open a ledger folder.

    Raises
    ------
    LedgerFolderError
        No ledger there, or it does not match its public keys.
    ledger.LedgerError
        The database or a key file cannot be used.
    """
    check_layout(settings)
    public = read_public_keys(settings)
    keyring = open_keyring(settings)
    policy, authorities = read_witness_policy(settings), read_authorities(settings)
    objects = open_objects(settings)
    guard = FileGuard(settings.lock_store) if settings.lock_store else None
    store = Store(settings.database_url, guard=guard)
    # The database is not trusted: the key it names must be the one this installation knows.
    if (store.origin, store.vkey) != (public.origin, public.vkey):
        store.close()
        raise LedgerFolderError(
            f"{store.database.where}: expected the log {public.vkey}, the database names {store.vkey}"
        )
    url = settings.database_url
    heads = HeadIndex(store)
    vault = Vault(url, settings.keys / "persons")
    registry, copies = Registry(url), Copies(url)
    return Installation(
        settings,
        public,
        keyring,
        store,
        registry,
        JobTable(url),
        Attestations(url),
        policy,
        heads,
        vault,
        copies,
        KnownMarks(store, registry, copies, keyring.epochs),
        Catalogue(settings),
        AccessKeys(url),
        Cases(url),
        AccessLog(url),
        authorities,
        objects,
    )


def read_witness_policy(settings: Settings) -> Policy:
    """Read the policy of witnesses; without the file there are none.

    Raises
    ------
    LedgerFolderError
        The file cannot be read or is not a policy.
    """
    try:
        return parse_policy(settings.witness_policy.read_bytes())
    except FileNotFoundError:
        return UNWITNESSED
    except OSError as error:
        raise LedgerFolderError(f"{settings.witness_policy}: cannot be read: {error.strerror}") from error
    except (FormatError, WeakKeyError) as error:
        raise LedgerFolderError(f"{settings.witness_policy}: {error}") from error
