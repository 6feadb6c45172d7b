"""What the ledger's benchmarks append: keys from a seed, events of ordinary size, ledgers to put them in."""

import hashlib
from pathlib import Path

import ledger
from ledger import Draft, Head, Place, SigningKey, Store, Subject, merkle

ORIGIN = "provenote.example/benchmark"


def make_key(name: str) -> SigningKey:
    """Derive a key from its name: the ledgers of two runs are the same."""
    return SigningKey(hashlib.sha256(f"provenote benchmark {name}".encode()).digest())


LOG_KEY = make_key("log")
ACTOR_KEY = make_key("actor")


def sign_event(place: Place) -> bytes:
    """Sign a stamped event of ordinary size: an entry of about 1 kB."""
    subjects = [
        Subject(name, hashlib.sha256(f"{name} {place.asset} {place.n}".encode()).digest())
        for name in ("file", "pcm")
    ]
    facts = {
        "commitments": {"mark_id": hashlib.sha256(place.prev).hexdigest()},
        "profile": "pn1",
        "sample_rate": 44100,
        "channels": 2,
    }
    return ledger.sign_envelope(ledger.build_event(ledger.STAMPED, place, subjects, facts), [ACTOR_KEY])


def draft_event(asset: str) -> Draft:
    """Draft a stamped event."""
    return Draft(asset, sign_event)


def sign_chains(count: int, events: int, *, prefix: str = "track") -> list[list[bytes]]:
    """Sign the first `events` events of `count` assets, each on top of the one before."""
    chains = []
    for number in range(count):
        asset = f"{prefix}:{hashlib.sha256(f'{prefix} {number}'.encode()).hexdigest()[:16]}"
        chain: list[bytes] = []
        head: Head | None = None
        for n in range(events):
            chain.append(sign_event(Place.after(ORIGIN, asset, head)))
            head = Head(n, merkle.leaf_hash(chain[-1]))
        chains.append(chain)
    return chains


def make_ledger(place: Path | str) -> str:
    """Start a ledger in a folder, or at a database URL; its first entry adds the actor's key."""
    url = place if isinstance(place, str) else f"sqlite:///{place / 'ledger.db'}"
    ledger.upgrade(url)
    first = Draft(
        ledger.KEYS_ASSET,
        lambda at: ledger.sign_envelope(ledger.build_key_added(at, ACTOR_KEY.public_key), [ACTOR_KEY]),
    )
    with Store.create(url, origin=ORIGIN, log_signing_key=LOG_KEY) as store:
        store.append([first], log_signing_key=LOG_KEY)
    return url
