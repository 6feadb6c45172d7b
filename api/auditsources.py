"""Catalogues that may be audited over HTTP: named by who runs the service, in a file of the ledger folder.

`audit-sources.json`:

    {"format": "provenote-audit-sources/1",
     "sources": {"masters": {"folder": "/srv/masters"},
                 "archive": {"store": "s3://bucket/archive"},
                 "partners": {"addresses": {"hosts": ["cdn.example.org"], "max_bytes": 500000000}}}}

Whoever asks names one of them, and nothing else: no path and no address around the service is taken from a
request. Addresses are sent with the request, and are asked only by the policy that stands here.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .collection import Collection, FolderCollection
from .errors import LedgerFolderError, MissingError, RefusedError
from .settings import Settings
from .storecollection import StoreCollection
from .urlcollection import FORMAT as POLICY_FORMAT
from .urlcollection import UrlCollection, UrlPolicy, parse_url_policy

FORMAT = "provenote-audit-sources/1"
NAME = "audit-sources.json"
KINDS = ("folder", "store", "addresses")
MAX_BYTES = 1 << 20


@dataclass(frozen=True)
class AuditSource:
    """A catalogue by name: the folder, the store's address, or whose addresses are asked."""

    name: str
    kind: str
    place: str | UrlPolicy

    def open(self, output: Path, listing: Path, settings: Settings) -> Collection:
        """Return its files; `listing` is where the addresses of this audit stand."""
        if isinstance(self.place, UrlPolicy):
            return UrlCollection(listing, self.place, output)
        if self.kind == "store":
            return StoreCollection(self.place, output, settings.limits.max_bytes)
        return FolderCollection(Path(self.place), (output, settings.home))


def read_sources(settings: Settings) -> dict[str, AuditSource]:
    """Return the catalogues of a ledger folder, by name; none where there is no file.

    Raises
    ------
    LedgerFolderError
        The file is not what the module says.
    """
    path = settings.home / NAME
    try:
        document = json.loads(path.read_bytes()[: MAX_BYTES + 1])
    except FileNotFoundError:
        return {}
    except (OSError, ValueError, RecursionError) as error:
        raise LedgerFolderError(f"{path}: expected catalogues to audit, in JSON") from error
    stated = document.get("sources") if isinstance(document, dict) else None
    if (
        not isinstance(stated, dict)
        or document.keys() != {"format", "sources"}
        or document["format"] != FORMAT
    ):
        raise LedgerFolderError(f"{path}: expected format {FORMAT!r} and sources")
    return {name: _read_source(f"{path}: {name}", name, one) for name, one in stated.items()}


def find_source(settings: Settings, name: str) -> AuditSource:
    """Return a catalogue; MissingError for a name that is none."""
    sources = read_sources(settings)
    if name not in sources:
        raise MissingError(f"no catalogue {name!r:.80} may be audited here")
    return sources[name]


def check_addresses(source: AuditSource, addresses: tuple[str, ...]) -> None:
    """Raise RefusedError unless addresses come with a source of addresses, and with no other."""
    if (source.kind == "addresses") != bool(addresses):
        raise RefusedError(
            f"expected addresses for {source.name}" if not addresses else f"{source.name} takes no addresses"
        )


def _read_source(where: str, name: str, stated: Any) -> AuditSource:
    if not isinstance(stated, Mapping) or len(stated) != 1 or next(iter(stated)) not in KINDS:
        raise LedgerFolderError(f"{where}: expected one of {', '.join(KINDS)}")
    [(kind, place)] = stated.items()
    if kind == "addresses":
        if not isinstance(place, dict):
            raise LedgerFolderError(f"{where}: expected a policy")
        try:
            return AuditSource(name, kind, parse_url_policy({"format": POLICY_FORMAT, **place}, where))
        except RefusedError as error:
            raise LedgerFolderError(str(error)) from error
    good = isinstance(place, str) and (("://" in place) if kind == "store" else Path(place).is_absolute())
    if not good:
        raise LedgerFolderError(f"{where}: expected the address of a store, or an absolute folder")
    return AuditSource(name, kind, place)
