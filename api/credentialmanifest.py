"""The C2PA 2.4 manifest of a released file, before it is signed: a JSON document for the C2PA library.

| assertion | says |
| --- | --- |
| c2pa.actions.v2 | how it came to be, `c2pa.created` or `c2pa.opened`; then `c2pa.watermarked.bound` |
| c2pa.soft-binding | which watermark: our algorithm, and the salted commitment to the mark, not the mark |
| c2pa.ai-disclosure, cawg.training-mining | what `api.disclosure` discloses |
| example.provenote.custody | log, asset, digest of the samples: where the entry is to be looked up |

C2PA allows `c2pa.created` only to whoever knows the origin: so it stands for what we generated, and for what
the issuer declared the source of and which carries no credential of somebody else. All other recordings are
opened, with the stamped file as the parent ingredient; its own credentials are kept in it.

Every assertion is marked as created: without that the library files them under gathered ones, which the
conformance programme does not count.
"""

import base64
import secrets
import uuid
from typing import Any

from .disclosure import Disclosure, list_assertions

SPEC_VERSION = "2.4.0"
CUSTODY_LABEL = "example.provenote.custody"
ALGORITHM_BASE = "example.provenote.watermark"
"""Soft-binding algorithms are named like domains. Ours is not in C2PA's list of algorithms."""
INGREDIENT = "source"


def name_algorithm(profile: str) -> str:
    """Return the soft-binding algorithm of a watermark profile, such as example.provenote.watermark.pn2."""
    return f"{ALGORITHM_BASE}.{profile}"


def draw_manifest_id() -> str:
    """Return a fresh manifest id: urn:c2pa: and a random UUID."""
    return f"urn:c2pa:{uuid.UUID(bytes=secrets.token_bytes(16), version=4)}"


def build_manifest(
    disclosure: Disclosure,
    *,
    manifest_id: str,
    program_version: str,
    profile: str,
    mark_commitment: bytes,
    log_key: str,
    created: bool,
    derived: bool = False,
) -> dict[str, Any]:
    """Return the manifest of a track's released file.

    Parameters
    ----------
    profile, mark_commitment
        The watermark's profile, and the 32 bytes by which the ledger's entry names the mark.
    log_key
        The log's verifier key (C2SP).
    created
        True for `c2pa.created`; False for `c2pa.opened`, with an ingredient that the signer adds.
    derived
        Of a file that was made of the released one: transcoded, not marked anew.
    """
    agent = {"name": "Provenote", "version": program_version}
    generator = agent
    if disclosure.system is not None:
        generator = {"name": disclosure.system, "version": disclosure.version or ""}
    if created:
        assert disclosure.source_type is not None
        first: dict[str, Any] = {
            "action": "c2pa.created",
            "when": disclosure.created,
            "digitalSourceType": disclosure.source_type,
            "softwareAgent": generator,
        }
    else:
        first = {
            "action": "c2pa.opened",
            "when": disclosure.created,
            "softwareAgent": agent,
            "parameters": {"ingredientIds": [INGREDIENT]},
        }
    name = "c2pa.transcoded" if derived else "c2pa.watermarked.bound"
    second = {"action": name, "when": disclosure.created, "softwareAgent": agent}
    if derived:
        # Neither when it was transcoded nor by what is known here.
        second = {"action": name}
    assertions = [
        {"label": "c2pa.actions.v2", "data": {"actions": [first, second], "allActionsIncluded": not derived}},
        {
            "label": "c2pa.soft-binding",
            "data": {
                "alg": name_algorithm(profile),
                "name": "Salted commitment to the watermark's payload, as in the ledger's entry",
                "blocks": [{"scope": {}, "value": base64.b64encode(mark_commitment).decode("ascii")}],
            },
        },
        *list_assertions(disclosure),
        {
            "label": CUSTODY_LABEL,
            "data": {
                "log": disclosure.log,
                "log_key": log_key,
                "asset": f"track:{disclosure.track_id}",
                "pcm_sha256": disclosure.pcm_sha256,
                **({} if disclosure.link is None else {"link": disclosure.link}),
            },
        },
    ]
    return {
        "label": manifest_id,
        "claim_generator_info": [{**agent, "specVersion": SPEC_VERSION}],
        "title": disclosure.title or disclosure.track_id,
        "assertions": [{**item, "created": True} for item in assertions],
    }
