"""Shared ground for the ledger's tests: seeded keys, events, a fresh ledger, and where the vectors are."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import pytest

import ledger
from ledger import Draft, Place, Receipt, SigningKey, Store, Subject

ORIGIN = "provenote.example/test"
VECTORS = Path(__file__).resolve().parents[2] / "shared" / "vectors"
LOG_KEY = SigningKey(hashlib.sha256(b"log").digest())
ACTOR_KEY = SigningKey(hashlib.sha256(b"actor").digest())
OTHER_KEY = SigningKey(hashlib.sha256(b"other").digest())
VKEY = ledger.format_vkey(ORIGIN, LOG_KEY.public_key)


def vector_path(name: str) -> Path:
    """Return a file or folder of the shared vectors, or skip the test, saying so, where they are absent."""
    path = VECTORS / name
    if not path.exists():
        pytest.skip(f"shared test vectors are not here: {path}")
    return path


def sha(text: str) -> bytes:
    return hashlib.sha256(text.encode()).digest()


def sign_event(
    place: Place,
    *,
    kind: str = ledger.STAMPED,
    signing_keys: tuple[SigningKey, ...] = (ACTOR_KEY,),
    **facts: Any,
) -> bytes:
    """Return a signed entry about two digests that follow from its place."""
    name = f"{place.asset}/{place.n}"
    subjects = [Subject("file", sha("file " + name)), Subject("pcm", sha("pcm " + name))]
    return ledger.sign_envelope(ledger.build_event(kind, place, subjects, facts), signing_keys)


def draft(asset: str, **options: Any) -> Draft:
    return Draft(asset, lambda place: sign_event(place, **options))


def draft_key(added: SigningKey, *signing_keys: SigningKey) -> Draft:
    return Draft(
        ledger.KEYS_ASSET,
        lambda place: ledger.sign_envelope(ledger.build_key_added(place, added.public_key), signing_keys),
    )


def make_url(folder: Path) -> str:
    return f"sqlite:///{folder / 'ledger.db'}"


def find_path(url: str) -> Path:
    """Return the file of an SQLite ledger."""
    return Path(url.removeprefix("sqlite:///"))


def make_store(place: Path | str) -> Store:
    """Return a new ledger, in a folder or at a URL, whose entry 0 adds the actor's key."""
    url = place if isinstance(place, str) else make_url(place)
    ledger.upgrade(url)
    store = Store.create(url, origin=ORIGIN, log_signing_key=LOG_KEY)
    append(store, draft_key(ACTOR_KEY, ACTOR_KEY))
    return store


def append(store: Store, *events: Draft | bytes) -> list[Receipt]:
    return store.append(events, log_signing_key=LOG_KEY)


def fill(store: Store, count: int, *, assets: int = 3) -> None:
    """Append `count` events, one commit each, over a few assets."""
    for number in range(count):
        append(store, draft(f"track:{number % assets}", number=number))


def check(store: Store) -> ledger.FsckReport:
    return ledger.fsck(store, vkey=VKEY, public_keys=[ACTOR_KEY.public_key])
