"""Where a ledger lives and what it may spend: read from a folder's name and the environment, once.

| variable | meaning | default |
| --- | --- | --- |
| PROVENOTE_HOME | the ledger folder | ./provenote-ledger |
| PROVENOTE_KEYS | the folder with the secret keys, where they are kept apart | keys/ in the ledger folder |
| PROVENOTE_DATABASE | URL of the database: postgresql://USER:PASSWORD@HOST/NAME | ledger.db in the folder |
| PROVENOTE_OBJECTS | URL (fsspec) of an object store for released files as well: s3://bucket/prefix | |
| PROVENOTE_API_TOKEN | API token of the service (32 characters or more) instead of the one of `init` | |
| PROVENOTE_MAX_UPLOAD_MB | largest audio file taken, in MiB | 2048 |
| PROVENOTE_MAX_SECONDS | longest recording taken, in seconds | 7200 |
| PROVENOTE_VERIFICATIONS | verifications at the same time in the service | 2 |
| PROVENOTE_JOB_WORKERS | jobs at the same time in the service; 0: only in `provenote work` | 1 |
| PROVENOTE_LOG | form of the service's log: text or json | text |
| PROVENOTE_LOG_LEVEL | least important records that are logged: DEBUG, INFO, WARNING, ERROR | WARNING |
| PROVENOTE_PUBLISH_S | seconds between two publications of the checkpoint by the service | 10 |
| PROVENOTE_SCRUB_S | seconds between two slices (256 entries) that the service hashes again | 60 |
| PROVENOTE_LOCK_STORE | file of the lock store: on another disk, outside the backup of the ledger folder | |
| PROVENOTE_TIMESTAMP_S | seconds between two time-stamps that the service asks of an authority | 3600 |
| PROVENOTE_PROVIDER | who issues, in tags and credentials: an organisation's name | the log's origin |
| PROVENOTE_PUBLIC_URL | where tracks are shown: a link to each is put into its tags and credential | |
| PROVENOTE_TRAINING | may models be trained on the tracks: allowed, notAllowed or constrained | notAllowed |
| PROVENOTE_CREDENTIALS | `no`: put no C2PA credential into released files | yes |
| PROVENOTE_INTAKE_PER_HOUR | cases that strangers may open in an hour | 60 |
| PROVENOTE_INDEX | index of the fingerprints: `rich`, or `lean`, a third as large | rich |
| PROVENOTE_MARK_DEVICE | torch device on which marks are looked for, as `cuda`; numpy does it without | |
| PROVENOTE_KEEP_ORIGINALS | `no`: do not keep recordings as they were before their marks, sealed | yes |

Those of how strangers and browsers are met are in `api.accesssettings`.

The folder:

    provenote-ledger/
    |- provenote.json      format and origin of the ledger
    |- witness-policy.txt   whom to ask for cosignatures, and the quorum (C2SP tlog-policy); optional
    |- time-stamp-authorities.json   whom to ask for time-stamps; optional
    |- public-keys.json    what others need to check our work: log key, issuers, report key
    |- audit-sources.json   catalogues that may be audited over HTTP (`api.auditsources`); optional
    |- audits/<job id>/     files of an audit over HTTP
    |- credential-roots.pem   certificates that C2PA credentials may lead to, our own first
    |- ledger.db           the ledger and the registry (SQLite), with its -wal and -shm files
    |- keys/               0700; every file in it 0600
    |- tracks/<track id>/  audio, score, fingerprint and bundle of each released track
    |- catalogue/          index of the fingerprints, and recordings that are only compared with
    |- copies/<copy id>/   audio of each delivered copy
    |- originals/          recordings before their marks, sealed (`api.originals`)
    |- cases.lock          held while a step of a case is written
    |- queue.db            ids of jobs that wait to be taken; can be lost without harm
    |- published.json      what came of the last publication
    |- scrub.json          where scrubbing stands, and what it found
    `- incoming/           work in progress; emptied by the next start
"""

import os
import urllib.parse
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from .accesssettings import DEFAULT_ACCESS, AccessSettings, read_access_settings
from .decoding import DEFAULT_LIMITS, Limits
from .errors import SettingsError

DEFAULT_HOME = Path("provenote-ledger")
MIN_TOKEN_CHARACTERS = 32
MAX_PROVIDER_CHARACTERS = 64  # X.509's bound for an organisation's name
LOG_FORMS = ("text", "json")
LOG_LEVELS = ("WARNING", "DEBUG", "INFO", "ERROR")
"""The first of each is the default."""
INDEX_KINDS = ("rich", "lean")
TRAINING_USES = ("allowed", "notAllowed", "constrained")


@dataclass(frozen=True)
class Settings:
    """Everything that varies between installations. Paths are absolute."""

    home: Path
    keys: Path
    limits: Limits = DEFAULT_LIMITS
    verifications: int = 2
    job_workers: int = 1
    log_form: str = "text"
    log_level: str = "WARNING"
    publish_interval_s: int = 10
    timestamp_interval_s: int = 3600
    scrub_interval_s: int = 60
    lock_store: Path | None = None
    queued_jobs: int = 100
    intake_per_hour: int = 60
    keep_originals: bool = True
    index: str = "rich"
    mark_device: str | None = None
    provider: str | None = None
    public_url: str | None = None
    training_use: str = "notAllowed"
    credentials: bool = True
    access: AccessSettings = DEFAULT_ACCESS
    objects_url: str | None = field(default=None, repr=False)  # it may have a password
    given_database_url: str | None = field(default=None, repr=False)  # it may have a password
    api_token: str | None = field(default=None, repr=False)

    @property
    def database_url(self) -> str:
        """URL of the database: the one that was set, else of the file in the ledger folder."""
        return self.given_database_url or f"sqlite:///{self.database}"

    @property
    def uses_file(self) -> bool:
        """Whether the database is the SQLite file in the ledger folder."""
        return self.given_database_url is None

    @property
    def database(self) -> Path:
        """The database file, where no other database was set."""
        return self.home / "ledger.db"

    @property
    def published(self) -> Path:
        """File with what came of the last round of publishing; made when first needed."""
        return self.home / "published.json"

    @property
    def queue(self) -> Path:
        """File of the queue of jobs, where the database is SQLite; it can be lost without harm."""
        return self.home / "queue.db"

    @property
    def scrubbing(self) -> Path:
        """File with where scrubbing stands; made when first needed."""
        return self.home / "scrub.json"

    @property
    def tracks(self) -> Path:
        """Folder of released tracks."""
        return self.home / "tracks"

    @property
    def catalogue(self) -> Path:
        """Folder of the index of fingerprints and of recordings that are only compared with."""
        return self.home / "catalogue"

    @property
    def copies(self) -> Path:
        """Folder of delivered copies, on the same file system as `incoming`; made when first needed."""
        return self.home / "copies"

    @property
    def credential_roots(self) -> Path:
        """File of certificates that C2PA credentials may lead to; the first is this ledger's own."""
        return self.home / "credential-roots.pem"

    @property
    def originals(self) -> Path:
        """Folder of sealed originals; made when first needed."""
        return self.home / "originals"

    @property
    def incoming(self) -> Path:
        """Folder of work in progress, on the same file system as `tracks`."""
        return self.home / "incoming"

    @property
    def public_keys(self) -> Path:
        """File of public keys."""
        return self.home / "public-keys.json"

    @property
    def witness_policy(self) -> Path:
        """File of witnesses and their quorum; it need not be there."""
        return self.home / "witness-policy.txt"

    @property
    def timestamp_authorities(self) -> Path:
        """File of time-stamping authorities; it need not be there."""
        return self.home / "time-stamp-authorities.json"

    @property
    def description(self) -> Path:
        """File with format and origin of the ledger."""
        return self.home / "provenote.json"


def read_settings(home: Path | None = None, environment: Mapping[str, str] | None = None) -> Settings:
    """Put settings together; `home` wins over PROVENOTE_HOME.

    Raises
    ------
    SettingsError
        A variable is not what the table above says.
    """
    environment = os.environ if environment is None else environment
    folder = (home or Path(environment.get("PROVENOTE_HOME") or DEFAULT_HOME)).expanduser().absolute()
    keys = environment.get("PROVENOTE_KEYS")
    lock_store = environment.get("PROVENOTE_LOCK_STORE")
    token = environment.get("PROVENOTE_API_TOKEN") or None
    if token is not None and len(token) < MIN_TOKEN_CHARACTERS:
        raise SettingsError(
            f"PROVENOTE_API_TOKEN: expected at least {MIN_TOKEN_CHARACTERS} characters, got {len(token)}"
        )
    return Settings(
        home=folder,
        keys=Path(keys).expanduser().absolute() if keys else folder / "keys",
        limits=Limits(
            max_bytes=_read_number(environment, "PROVENOTE_MAX_UPLOAD_MB", DEFAULT_LIMITS.max_bytes >> 20)
            << 20,
            max_seconds=_read_number(environment, "PROVENOTE_MAX_SECONDS", DEFAULT_LIMITS.max_seconds),
        ),
        verifications=_read_number(environment, "PROVENOTE_VERIFICATIONS", 2),
        job_workers=_read_number(environment, "PROVENOTE_JOB_WORKERS", 1, least=0),
        log_form=_read_word(environment, "PROVENOTE_LOG", LOG_FORMS),
        log_level=_read_word(environment, "PROVENOTE_LOG_LEVEL", LOG_LEVELS),
        publish_interval_s=_read_number(environment, "PROVENOTE_PUBLISH_S", 10),
        timestamp_interval_s=_read_number(environment, "PROVENOTE_TIMESTAMP_S", 3600),
        scrub_interval_s=_read_number(environment, "PROVENOTE_SCRUB_S", 60),
        lock_store=Path(lock_store).expanduser().absolute() if lock_store else None,
        intake_per_hour=_read_number(environment, "PROVENOTE_INTAKE_PER_HOUR", 60),
        keep_originals=_read_choice(environment, "PROVENOTE_KEEP_ORIGINALS", default=True),
        index=_read_index(environment),
        mark_device=environment.get("PROVENOTE_MARK_DEVICE") or None,
        provider=_read_provider(environment),
        public_url=_read_address(environment),
        training_use=_read_training(environment),
        credentials=_read_choice(environment, "PROVENOTE_CREDENTIALS", default=True),
        access=read_access_settings(environment),
        objects_url=environment.get("PROVENOTE_OBJECTS") or None,
        given_database_url=_read_database(environment),
        api_token=token,
    )


def _read_provider(environment: Mapping[str, str]) -> str | None:
    text = environment.get("PROVENOTE_PROVIDER") or None
    if text is not None and (len(text) > MAX_PROVIDER_CHARACTERS or not text.isprintable()):
        raise SettingsError(
            f"PROVENOTE_PROVIDER: expected at most {MAX_PROVIDER_CHARACTERS} printable characters, "
            f"got {text!r:.80}"
        )
    return text


def _read_database(environment: Mapping[str, str]) -> str | None:
    text = environment.get("PROVENOTE_DATABASE") or None
    if text is None:
        return None
    parts = urllib.parse.urlsplit(text)
    # The address is not repeated: it may have a password.
    if parts.scheme != "postgresql" or len(parts.path) < 2:
        raise SettingsError("PROVENOTE_DATABASE: expected postgresql://USER:PASSWORD@HOST/NAME")
    return text


def _read_address(environment: Mapping[str, str]) -> str | None:
    text = environment.get("PROVENOTE_PUBLIC_URL") or None
    if text is None:
        return None
    parts = urllib.parse.urlsplit(text)
    if parts.scheme not in ("http", "https") or not parts.netloc or parts.query or parts.fragment:
        raise SettingsError(f"PROVENOTE_PUBLIC_URL: expected an http(s) address, got {text!r:.80}")
    return text.rstrip("/")


def _read_index(environment: Mapping[str, str]) -> str:
    text = environment.get("PROVENOTE_INDEX") or INDEX_KINDS[0]
    if text not in INDEX_KINDS:
        raise SettingsError(f"PROVENOTE_INDEX: expected {' or '.join(INDEX_KINDS)}, got {text!r:.80}")
    return text


def _read_training(environment: Mapping[str, str]) -> str:
    text = environment.get("PROVENOTE_TRAINING") or TRAINING_USES[1]
    if text not in TRAINING_USES:
        raise SettingsError(f"PROVENOTE_TRAINING: expected {', '.join(TRAINING_USES)}, got {text!r:.80}")
    return text


def _read_word(environment: Mapping[str, str], name: str, words: tuple[str, ...]) -> str:
    text = environment.get(name) or words[0]
    if text not in words:
        raise SettingsError(f"{name}: expected {', '.join(words)}, got {text!r:.80}")
    return text


def _read_choice(environment: Mapping[str, str], name: str, *, default: bool) -> bool:
    text = environment.get(name)
    if not text:
        return default
    if text not in ("yes", "no"):
        raise SettingsError(f"{name}: expected yes or no, got {text!r:.80}")
    return text == "yes"


def _read_number(environment: Mapping[str, str], name: str, default: int, *, least: int = 1) -> int:
    text = environment.get(name)
    if not text:
        return default
    if not text.isascii() or not text.isdigit() or not least <= int(text) <= 1_000_000:
        raise SettingsError(f"{name}: expected a whole number from {least} to 1000000, got {text!r}")
    return int(text)
