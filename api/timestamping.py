"""Time-stamps on published checkpoints: which authorities are asked, how, and how often.

`time-stamp-authorities.json` in the ledger folder, if it is there:

    [{"name": "example-tsa", "url": "https://tsa.example/", "roots": "example-tsa.pem"},
     {"name": "example-calendar", "url": "https://calendar.example", "kind": "opentimestamps"}]

`roots` is a PEM file beside it with the certificates that the authority's tokens must lead to (RFC 3161). A
token is verified before it is kept. An OpenTimestamps calendar has no roots: what it gives is kept as a
promise, and completed when a later round finds it in a block. An authority that does not answer, or answers
nonsense, is asked again at the next publication: nothing waits for it.
"""

import dataclasses
import json
import logging
import re
import secrets
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path

from cryptography import x509

import ledger
from ledger import calendar
from ledger.attestation import OPENTIMESTAMPS, RFC3161, Attestation
from ledger.errors import FormatError, NotFoundError, SourceUnreachableError, TimestampError
from ledger.note import parse_note
from ledger.publication import Publication
from ledger.tilereader import Fetch
from ledger.timestamp import Timestamp, build_request, hash_text, load_roots, open_token, read_response
from ledger.witness import Post

from .errors import LedgerFolderError, SourceError
from .settings import Settings

MAX_AUTHORITIES = 16
NONCE_BITS = 63
MAX_PROMISES = 50
"""Checkpoints, counted from the newest, for which a calendar is asked again."""
_NAME = re.compile(r"[a-z][a-z0-9-]{0,63}")
logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Authority:
    """A time-stamping authority: our name for it, where it answers, and whom it must lead to; or a calendar
    of OpenTimestamps.
    """

    name: str
    url: str
    roots: tuple[x509.Certificate, ...] = ()
    kind: str = RFC3161


@dataclass(frozen=True)
class Stamping:
    """What came of asking one authority: a verified time-stamp, or the reason why there is none."""

    authority: str
    timestamp: Timestamp | None
    detail: str


def read_authorities(settings: Settings) -> tuple[Authority, ...]:
    """Read the list of authorities; without the file there are none.

    Raises
    ------
    LedgerFolderError
        The file or a certificate cannot be read or is not what it should be.
    """
    path = settings.timestamp_authorities
    try:
        document = json.loads(path.read_bytes())
    except FileNotFoundError:
        return ()
    except (OSError, ValueError) as error:
        raise LedgerFolderError(f"{path}: expected a JSON list: {error}") from error
    if not isinstance(document, list) or len(document) > MAX_AUTHORITIES:
        raise LedgerFolderError(f"{path}: expected a list of at most {MAX_AUTHORITIES} authorities")
    authorities = tuple(_read_authority(settings, item) for item in document)
    if len({item.name for item in authorities}) != len(authorities):
        raise LedgerFolderError(f"{path}: expected each name once")
    return authorities


def stamp_publication(
    attestations: ledger.attestation.Attestations,
    authorities: tuple[Authority, ...],
    publication: Publication,
    post: Post,
    *,
    now_s: int,
    interval_s: int = 0,
) -> tuple[Stamping, ...]:
    """Ask for the time-stamps that a published checkpoint does not have yet, and keep them.

    Parameters
    ----------
    attestations
        Where tokens are kept.
    authorities
        Whom to ask.
    publication
        The published checkpoint.
    post
        How requests are sent.
    now_s
        Our clock, POSIX seconds.
    interval_s
        An authority that gave a token for any checkpoint less than this long ago is not asked.

    Raises
    ------
    ledger.StorageError
        The database cannot be used.
    """
    imprint = hash_text(parse_note(publication.note)[0])
    size = publication.checkpoint.size
    outcomes = []
    for authority in authorities:
        latest_s = attestations.latest_time(authority.kind, authority.name)
        kept = {item.source for item in attestations.list_of(size) if item.kind == authority.kind}
        if authority.name in kept or (latest_s is not None and now_s - latest_s < interval_s):
            continue
        try:
            content, outcome = _ask(authority, imprint, post)
        except (SourceUnreachableError, FormatError, TimestampError, ledger.errors.ProofError) as error:
            logger.warning("time-stamp of %s: %s", authority.name, error)
            outcomes.append(Stamping(authority.name, None, str(error)))
            continue
        attestations.add([Attestation(size, authority.kind, authority.name, now_s, content)])
        outcomes.append(outcome)
    return tuple(outcomes)


def complete_promises(
    store: ledger.Store,
    attestations: ledger.attestation.Attestations,
    authorities: tuple[Authority, ...],
    fetch_from: Callable[[str], AbstractContextManager[Fetch]],
) -> int:
    """Ask calendars for the blocks of what they promised; return how many stamps have one now.

    Parameters
    ----------
    store, attestations
        The log's checkpoints, and what is kept of them.
    authorities
        Whom to ask, at the address that is configured and no other.
    fetch_from
        Gives a fetch below a URL, as `tilefetch.web_fetch`.
    """
    completed = 0
    for authority in authorities:
        if authority.kind != OPENTIMESTAMPS:
            continue
        with fetch_from(authority.url) as fetch:
            for size in attestations.list_sizes(OPENTIMESTAMPS, last=MAX_PROMISES):
                for item in attestations.list_of(size):
                    if (item.kind, item.source) == (OPENTIMESTAMPS, authority.name):
                        completed += _complete(store, attestations, item, fetch)
    return completed


def _complete(
    store: ledger.Store, attestations: ledger.attestation.Attestations, item: Attestation, fetch: Fetch
) -> bool:
    imprint = hash_text(parse_note(store.checkpoint(item.size))[0])

    def ask(commitment: bytes) -> bytes | None:
        try:
            return fetch(f"timestamp/{commitment.hex()}")
        except NotFoundError:
            return None

    try:
        if calendar.open_stamp(item.content, imprint).blocks:
            return False
        content = calendar.upgrade_stamp(item.content, imprint, ask)
        if not calendar.open_stamp(content, imprint).blocks:
            return False
    except (ledger.LedgerError, SourceError) as error:
        logger.warning("calendar %s: %s", item.source, error)
        return False
    attestations.replace(dataclasses.replace(item, content=content))
    return True


def _ask(authority: Authority, imprint: bytes, post: Post) -> tuple[bytes, Stamping]:
    """Ask an authority for a stamp, check it, and return what is kept."""
    if authority.kind == OPENTIMESTAMPS:
        status, body = post(f"{authority.url.rstrip('/')}/digest", imprint)
        if status != 200:
            raise SourceUnreachableError(f"{authority.url}: answered {status}")
        content = calendar.read_promise(body, imprint)
        return content, Stamping(authority.name, None, "promised; complete once it is in a block")
    nonce = secrets.randbits(NONCE_BITS)
    token = _request_token(authority, build_request(imprint, nonce), post)
    found = open_token(token, imprint, authority.roots, nonce=nonce)
    return token, Stamping(authority.name, found, f"serial {found.serial}")


def _request_token(authority: Authority, request: bytes, post: Post) -> bytes:
    status, body = post(authority.url, request)
    if status != 200:
        raise SourceUnreachableError(f"{authority.url}: answered {status}")
    return read_response(body)


def _read_authority(settings: Settings, value: object) -> Authority:
    path = settings.timestamp_authorities
    members = value if isinstance(value, dict) else {}
    if members.get("kind") == OPENTIMESTAMPS:
        return _read_calendar(path, members)
    texts = [members.get(name) for name in ("name", "url", "roots")]
    if len(members) != 3 or not all(isinstance(text, str) for text in texts):
        raise LedgerFolderError(f"{path}: expected name, url and roots of each authority, got {value!r:.120}")
    name, url, roots = map(str, texts)
    if not _NAME.fullmatch(name) or not url.startswith(("http://", "https://")):
        raise LedgerFolderError(f"{path}: expected a lower-case name and an http(s) URL, got {name!r:.80}")
    try:
        certificates = load_roots((path.parent / roots).read_bytes())
    except OSError as error:
        raise LedgerFolderError(f"{path.parent / roots}: cannot be read: {error.strerror}") from error
    except FormatError as error:
        raise LedgerFolderError(f"{path.parent / roots}: {error}") from error
    return Authority(name, url, tuple(certificates))


def _read_calendar(path: Path, members: dict[str, object]) -> Authority:
    name, url = members.get("name"), members.get("url")
    if len(members) != 3 or not isinstance(name, str) or not isinstance(url, str):
        raise LedgerFolderError(f"{path}: expected name, url and kind of a calendar, got {members!r:.120}")
    if not _NAME.fullmatch(name) or not url.startswith(("http://", "https://")):
        raise LedgerFolderError(f"{path}: expected a lower-case name and an http(s) URL, got {name!r:.80}")
    return Authority(name, url, kind=OPENTIMESTAMPS)
