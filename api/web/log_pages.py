"""The ledger for people: its checkpoint, who attests it, its entries, and what each entry says."""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any

from fastapi import APIRouter, Path, Query, Request, Response
from fastapi.responses import RedirectResponse

from ledger.attestation import OPENTIMESTAMPS, RFC3161, Attestation
from ledger.errors import FormatError, NotFoundError, WeakKeyError
from ledger.event import check_asset, parse_event
from ledger.merkle import leaf_hash
from ledger.publication import read_publication

from ..errors import MissingError
from ..http.authorisation import open_to_all
from ..http.context import Context, UsedContext
from ..publishing import read_published
from .rendering import render
from .sessions import with_session

router = APIRouter(dependencies=[with_session(), open_to_all()])
PAGE_SIZE = 25
MAX_INDEX = (1 << 53) - 1
MAX_EVENTS = 500
STAMPED_SIZES = 3
"""Of time-stamped checkpoints, the newest are shown."""
_DIGEST = re.compile(r"[0-9a-f]{64}")
_TRACK = re.compile(r"[a-z2-7]{16}")


@dataclass(frozen=True)
class Line:
    """An entry as a line of a list, unverified; `event` is None for one that cannot be read."""

    index: int
    event: str | None
    asset: str
    time: str
    n: int
    key_ids: tuple[str, ...]


def read_line(index: int, entry: bytes) -> Line:
    """Return what an entry says of itself, unverified."""
    try:
        event = parse_event(entry)
    except (FormatError, WeakKeyError):
        return Line(index, None, "", "", 0, ())
    statement = event.statement
    return Line(
        index,
        statement.predicate_type,
        event.place.asset,
        str(statement.predicate.get("time", "")),
        event.place.n,
        event.envelope.key_ids,
    )


@router.get("/ledger")
def show_ledger(
    request: Request, context: UsedContext, before: Annotated[int | None, Query(ge=1, le=MAX_INDEX)] = None
) -> Response:
    """Show the checkpoint, who attests it, and entries, the newest first."""
    installation = context.installation
    state = installation.store.state()
    stop = min(state.size, before or state.size)
    start = max(0, stop - PAGE_SIZE)
    entries = installation.store.entries(start, stop)
    lines = [read_line(index, entry) for index, entry in zip(range(start, stop), entries, strict=False)]
    return render(
        request,
        "ledger.html",
        size=state.size,
        root=state.root.hex(),
        lines=lines[::-1],
        newer=stop < state.size,
        older=start if start > 0 else None,
        public=installation.public,
        publication=read_publication(installation.store, installation.attestations, installation.policy),
        published=read_published(installation.settings),
        policy=installation.policy,
        stamps=_list_stamps(context),
    )


def _list_stamps(context: Context) -> list[Attestation]:
    attestations = context.installation.attestations
    sizes = {
        size
        for kind in (RFC3161, OPENTIMESTAMPS)
        for size in attestations.list_sizes(kind, last=STAMPED_SIZES)
    }
    newest = sorted(sizes, reverse=True)[:STAMPED_SIZES]
    return [
        item
        for size in newest
        for item in attestations.list_of(size)
        if item.kind in (RFC3161, OPENTIMESTAMPS)
    ]


@router.get("/ledger/search")
def search_ledger(
    request: Request, context: UsedContext, q: Annotated[str, Query(max_length=200)] = ""
) -> Response:
    """Find a track, an entry, a digest or an asset by what was typed."""
    text = q.strip()
    store, plain = context.installation.store, text.lower().removeprefix("sha256:")
    if text.isascii() and text.isdigit() and len(text) <= 15 and int(text) < store.state().size:
        return RedirectResponse(f"/ledger/entries/{int(text)}", 303)
    if _TRACK.fullmatch(plain):
        row = context.installation.registry.find_track(plain)
        if row is not None and row.state == "released":
            return RedirectResponse(f"/tracks/{plain}", 303)
    found: list[Line] = []
    if _DIGEST.fullmatch(plain):
        indexes = [index for index, _ in store.find_subject(plain)][:MAX_EVENTS]
        found = [read_line(index, store.entry(index)) for index in indexes]
    elif text:
        found = _find_asset(context, text)
    return render(request, "search.html", status=200 if found or not text else 404, query=text, lines=found)


def _find_asset(context: Context, text: str) -> list[Line]:
    """Return the events of an asset that has this name, or this name after its kind."""
    for asset in (text, f"track:{text}", f"copy:{text}"):
        try:
            chain = context.installation.store.chain(check_asset(asset))
        except FormatError:
            continue
        if chain:
            return [read_line(index, entry) for index, entry in chain[:MAX_EVENTS]]
    return []


@router.get("/ledger/entries/{index}")
def show_entry(
    request: Request, context: UsedContext, index: Annotated[int, Path(ge=0, le=MAX_INDEX)]
) -> Response:
    """Show an entry: what it states, who signed it, its place, and its path to the root."""
    store = context.installation.store
    try:
        entry = store.entry(index)
    except NotFoundError as error:
        raise MissingError(str(error)) from error
    line, size = read_line(index, entry), store.state().size
    statement = _read_statement(entry)
    neighbours = _find_neighbours(context, line)
    return render(
        request,
        "entry.html",
        line=line,
        size=size,
        entry_bytes=len(entry),
        leaf=leaf_hash(entry).hex(),
        hashes=[item.hex() for item in store.inclusion_proof(index, size)],
        statement=statement,
        facts=_list_facts(statement),
        source=json.dumps(statement, indent=2, ensure_ascii=False)
        if statement
        else entry.decode("utf-8", "replace"),
        neighbours=neighbours,
        issuers={key.key_id for key in context.installation.public.issuers},
    )


def _read_statement(entry: bytes) -> dict[str, Any] | None:
    try:
        statement = parse_event(entry).statement
    except (FormatError, WeakKeyError):
        return None
    return {
        "subject": [
            {"name": item.name, "digest": {"sha256": item.sha256.hex()}} for item in statement.subjects
        ],
        "predicateType": statement.predicate_type,
        "predicate": dict(statement.predicate),
    }


def _list_facts(statement: dict[str, Any] | None) -> list[tuple[str, str]]:
    """Return the members of a predicate as labelled lines, nested ones by their path."""
    facts: list[tuple[str, str]] = []

    def walk(name: str, value: object) -> None:
        if isinstance(value, Mapping):
            for key, item in value.items():
                walk(f"{name} › {key}" if name else str(key), item)
        elif isinstance(value, list):
            facts.append(
                (name, ", ".join(json.dumps(item) if isinstance(item, dict) else str(item) for item in value))
            )
        else:
            facts.append((name, "none" if value is None else str(value)))

    for key, value in (statement or {"predicate": {}})["predicate"].items():
        if key != "ledger":
            walk(str(key).replace("_", " "), value)
    return facts


def _find_neighbours(context: Context, line: Line) -> tuple[int | None, int | None]:
    """Return the asset's events before and after this one."""
    if line.event is None or line.asset == "log":
        return None, None  # an anchor every few minutes: its neighbours say nothing
    indexes = [index for index, _ in context.installation.store.chain(line.asset)]
    at = indexes.index(line.index) if line.index in indexes else None
    if at is None:
        return None, None
    return indexes[at - 1] if at else None, indexes[at + 1] if at + 1 < len(indexes) else None
