"""Publishing checkpoints to the configured witnesses: once by command, or every few seconds in the service.

The policy is `witness-policy.txt` in the ledger folder (C2SP tlog-policy): witnesses with a URL are asked.
Without the file the log has no witnesses; publishing then means the signature of its second key alone. A
witness that does not answer is asked again at the next round; nothing else waits for it.
"""

import contextlib
import json
import logging
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass

import httpx

import ledger
from ledger.anchor import sign_anchor
from ledger.errors import SourceUnreachableError
from ledger.event import LOG_ASSET
from ledger.note import MAX_NOTE_BYTES
from ledger.publication import Publication, publish, read_publication
from ledger.witness import Post

from .errors import WriteError
from .installation import Installation, now
from .leading import Lead
from .settings import Settings
from .tilefetch import web_fetch
from .timestamping import Stamping, complete_promises, stamp_publication

CONNECT_TIMEOUT_S = 3.0
TIMEOUT_S = 10.0
logger = logging.getLogger(__name__)


@contextlib.contextmanager
def web_post(
    *, content_type: str = "text/plain; charset=utf-8", transport: httpx.BaseTransport | None = None
) -> Iterator[Post]:
    """Give a way to post over HTTP that keeps its connections and bounds what it reads."""
    timeout = httpx.Timeout(TIMEOUT_S, connect=CONNECT_TIMEOUT_S)
    headers = {"content-type": content_type}

    def post(url: str, body: bytes) -> tuple[int, bytes]:
        try:
            with client.stream("POST", url, content=body, headers=headers) as answer:
                content = bytearray()
                for chunk in answer.iter_bytes():
                    content += chunk
                    if len(content) > MAX_NOTE_BYTES:
                        raise SourceUnreachableError(f"{url}: expected at most {MAX_NOTE_BYTES} bytes")
                return answer.status_code, bytes(content)
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            raise SourceUnreachableError(f"{url}: {error or type(error).__name__}") from error

    with httpx.Client(timeout=timeout, transport=transport) as client:
        yield post


def anchor_once(installation: Installation) -> None:
    """Write the root of the map of heads into the log, if anything but that happened since the last time.

    Raises
    ------
    ledger.LedgerError
        The issuer's key is no operator's, or the database cannot be used.
    """
    store, keyring = installation.store, installation.keyring
    size = store.state().size
    if not size or store.mentions(size - 1, size)[0].asset == LOG_ASSET:
        return
    anchor = installation.heads.measure(size)

    def build(place: ledger.Place) -> bytes:
        return sign_anchor(place, anchor, now(), keyring.issuer_signing_key)

    store.append([ledger.Draft(LOG_ASSET, build)], log_signing_key=keyring.log_signing_key)


def publish_once(
    installation: Installation, post: Post, *, sizes: dict[str, int] | None = None
) -> Publication:
    """Anchor the map of heads and publish the newest checkpoint.

    Parameters
    ----------
    installation
        The ledger folder.
    post
        How witnesses are reached.
    sizes
        Where each witness is believed to stand; brought up to date.

    Raises
    ------
    ledger.LedgerError
        The log's own checkpoint does not hold, or the database cannot be used.
    """
    anchor_once(installation)
    found = publish(
        installation.store,
        installation.attestations,
        installation.policy,
        post,
        now_s=int(time.time()),
        mldsa_signing_key=installation.keyring.log_mldsa_signing_key,
        sizes=sizes,
    )
    for item in found.submissions:
        if sizes is not None and item.size is not None:
            sizes[item.witness.name] = item.size
        level = logging.ERROR if item in found.alarms else logging.WARNING
        if item.signature is None:
            logger.log(level, "witness %s: %s: %s", item.witness.name, item.outcome.value, item.detail)
    return found


def stamp_once(
    installation: Installation, publication: Publication, *, interval_s: int = 0
) -> tuple[Stamping, ...]:
    """Ask the configured authorities for time-stamps on a published checkpoint; see `stamp_publication`."""
    with web_post(content_type="application/timestamp-query") as post:
        return stamp_publication(
            installation.attestations,
            installation.authorities,
            publication,
            post,
            now_s=int(time.time()),
            interval_s=interval_s,
        )


def complete_once(installation: Installation) -> int:
    """Ask the configured calendars for what they promised; see `complete_promises`."""
    return complete_promises(
        installation.store, installation.attestations, installation.authorities, web_fetch
    )


def find_published_note(installation: Installation) -> bytes:
    """Return the published checkpoint with all its signature lines; the newest where none was published."""
    found = read_publication(installation.store, installation.attestations, installation.policy)
    return installation.store.latest_checkpoint() if found is None else found.note


@dataclass(frozen=True)
class Published:
    """The last round of publishing: when it was, and what came of it."""

    time_s: float
    size: int
    witnessed: bool
    alarms: tuple[str, ...]


def write_published(settings: Settings, publication: Publication) -> None:
    """Write down what came of a round, for all services of the ledger folder; the file appears whole."""
    document = {
        "time_s": time.time(),
        "size": publication.checkpoint.size,
        "witnessed": publication.witnessed,
        "alarms": [item.witness.name for item in publication.alarms],
    }
    fresh = settings.published.with_suffix(".new")
    fresh.write_text(json.dumps(document) + "\n", encoding="utf-8")
    fresh.replace(settings.published)


def read_published(settings: Settings) -> Published | None:
    """Return the last round of publishing, whichever service did it; None where there was none yet."""
    try:
        members = json.loads(settings.published.read_bytes())
        return Published(
            float(members["time_s"]),
            int(members["size"]),
            bool(members["witnessed"]),
            tuple(members["alarms"]),
        )
    except (OSError, ValueError, TypeError, KeyError):
        return None


class Publisher:
    """A thread that publishes whenever the log has grown, or a witness has not cosigned yet."""

    def __init__(self, installation: Installation, lead: Lead) -> None:
        self._installation = installation
        self._lead = lead
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="publisher", daemon=True)

    def start(self) -> None:
        """Begin with a first round at once."""
        self._thread.start()

    def close(self) -> None:
        """Stop after the round under way."""
        self._stopping.set()
        self._thread.join()

    def _run(self) -> None:
        sizes: dict[str, int] = {}
        with web_post() as post:
            while True:
                try:
                    if self._lead.take():
                        self._publish(post, sizes)
                except (ledger.LedgerError, WriteError, OSError) as error:
                    # What is wrong with the ledger or the disk, in a line: where in our code tells nothing.
                    logger.error("the checkpoint could not be published, trying again: %s", error)  # noqa: TRY400
                except Exception:
                    # A fault of ours; the next round may be free of it, and the service goes on meanwhile.
                    logger.exception("the checkpoint could not be published, trying again")
                if self._stopping.wait(self._installation.settings.publish_interval_s):
                    return

    def _publish(self, post: Post, sizes: dict[str, int]) -> None:
        latest = publish_once(self._installation, post, sizes=sizes)
        write_published(self._installation.settings, latest)
        interval_s = self._installation.settings.timestamp_interval_s
        if stamp_once(self._installation, latest, interval_s=interval_s):
            complete_once(self._installation)
