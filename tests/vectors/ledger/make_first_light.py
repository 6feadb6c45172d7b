"""Make first-light.json: every format of the ledger from fixed seeds, to be read by other implementations.

The member `bundle` is a bundle of version 1, as the first release made it; it is kept and no longer made.
Run as `python tests/vectors/ledger/make_first_light.py` from the project's folder. The file changes only when
a format changes, and then the format's version must change as well.
"""

import hashlib
import json
import tempfile
from pathlib import Path

import ledger
from ledger import Draft, Place, SigningKey, Store, Subject
from ledger.envelope import encode_pae

ORIGIN = "provenote.example/vectors"
TARGET = Path(__file__).with_name("first-light.json")


def derive_seed(name: str) -> bytes:
    return hashlib.sha256(b"provenote vectors " + name.encode()).digest()


def make_vectors() -> dict[str, object]:
    """Return three entries of a ledger with their payloads, hashes, checkpoints, proofs and a bundle."""
    log_key, actor_key = SigningKey(derive_seed("log")), SigningKey(derive_seed("actor"))
    salt = derive_seed("salt")
    commitment = ledger.commit("prompt", salt, "slow waltz in D minor, piano")

    def sign(kind: str, place: Place, **facts: object) -> bytes:
        subjects = [Subject("file", derive_seed("file")), Subject("pcm", derive_seed("pcm"))]
        return ledger.sign_envelope(ledger.build_event(kind, place, subjects, facts), [actor_key])

    drafts = [
        Draft(
            ledger.KEYS_ASSET,
            lambda place: ledger.sign_envelope(
                ledger.build_key_added(place, actor_key.public_key), [actor_key]
            ),
        ),
        Draft(
            "track:first",
            lambda place: sign(ledger.GENERATED, place, commitments={"prompt": commitment.hex()}, seed=7),
        ),
        Draft("track:first", lambda place: sign(ledger.STAMPED, place, profile="pn1")),
    ]
    with tempfile.TemporaryDirectory() as folder:
        url = f"sqlite:///{folder}/ledger.db"
        ledger.upgrade(url)
        entries, chain = [], []
        with Store.create(url, origin=ORIGIN, log_signing_key=log_key) as store:
            for draft in drafts:
                (receipt,) = store.append([draft], log_signing_key=log_key)
                entry = store.entry(receipt.index)
                payload = ledger.open_envelope(entry, [actor_key.public_key]).payload
                entries.append(
                    {
                        "payload": payload.decode(),
                        "pae_sha256": hashlib.sha256(encode_pae(payload)).hexdigest(),
                        "entry": entry.decode(),
                        "leaf_hash": receipt.leaf_hash.hex(),
                        "tlog_proof": receipt.text().decode(),
                    }
                )
                chain.append(store.state().chain_hash.hex())
            bundle = ledger.make_bundle(
                store,
                "track:first",
                openings=[ledger.Opening("prompt", salt, "slow waltz in D minor, piano")],
            )
            return {
                "about": "made by make_first_light.py; all keys are derived from public seeds",
                "origin": ORIGIN,
                "vkey": store.vkey,
                "actor_jwk": actor_key.public_key.jwk(),
                "actor_key_id": actor_key.key_id,
                "entries": entries,
                "chain": chain,
                "root": store.state().root.hex(),
                "commitment": {
                    "label": "prompt",
                    "salt": salt.hex(),
                    "value": "slow waltz in D minor, piano",
                    "commitment": commitment.hex(),
                },
                "bundle_v2": bundle.decode(),
            }


if __name__ == "__main__":
    kept = {"bundle": json.loads(TARGET.read_text(encoding="utf-8"))["bundle"]}
    TARGET.write_text(
        json.dumps(make_vectors() | kept, indent=1, ensure_ascii=False) + "\n", encoding="utf-8"
    )
