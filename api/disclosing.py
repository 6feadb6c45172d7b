"""What is disclosed of a track, put together from what its statement says.

Before the statement is signed its facts come from the source; afterwards from the proven entry, and then
title and artist count only if they open the commitments in it.
"""

from collections.abc import Mapping
from typing import Any

import ledger
from ledger.commitment import check_opening
from ledger.errors import FormatError, ProofError
from ledger.event import Event, parse_commitments
from ledger.predicate import GENERATED, STAMPED

from .custody import check_custody
from .disclosure import Disclosure
from .errors import RefusedError
from .factors import read_factors
from .installation import Installation
from .keyring import PublicKeys
from .release import name_asset
from .settings import TRAINING_USES, Settings

PROMPT_GUIDED = "prompt_guided"
"""C2PA's word for what was generated before there were factors: a person wrote the prompt alone."""


def state_issuer(settings: Settings, track_id: str) -> dict[str, Any]:
    """Return what a statement says of its issuer's settings: name, link to the track, use for training."""
    link = {} if settings.public_url is None else {"link": f"{settings.public_url}/v1/tracks/{track_id}"}
    provider = {} if settings.provider is None else {"provider": settings.provider}
    return {"issuer": {**provider, **link, "training_use": settings.training_use}}


def build_disclosure(
    public: PublicKeys,
    facts: Mapping[str, Any],
    *,
    track_id: str,
    created: str,
    seconds: float,
    pcm_sha256: str,
    credits: Mapping[str, str],
) -> Disclosure:
    """Return the disclosure that a statement's facts amount to.

    Parameters
    ----------
    facts
        Members of the statement's predicate, or of a source that is about to be stated.
    created
        RFC 3339 UTC.
    credits
        Declared `title` and `artist`, those that there are.
    """
    generation = facts.get("generation") or {}
    identifiers = facts.get("identifiers") or {}
    weights = generation.get("weights") or {}
    issuer = facts.get("issuer") or {}
    source_type = facts.get("digital_source_type")
    factors = read_factors(facts)
    # Since there are factors, oversight is what the issuer declares, and nothing where they declare nothing.
    oversight = PROMPT_GUIDED if generation and "factors" not in facts else None
    return Disclosure(
        track_id=track_id,
        log=public.origin,
        provider=issuer.get("provider") or public.origin,
        created=created,
        milliseconds=round(1000 * seconds),
        pcm_sha256=pcm_sha256,
        source_type=None if source_type is None else str(source_type),
        system=generation.get("engine"),
        version=generation.get("version"),
        model=" ".join(f"{name}=sha256:{digest}" for name, digest in sorted(weights.items())) or None,
        oversight=(factors or {}).get("human_oversight") or oversight,
        factors=factors,
        title=credits.get("title"),
        artist=credits.get("artist"),
        isrc=identifiers.get("isrc"),
        link=issuer.get("link"),
        training_use=issuer.get("training_use") or TRAINING_USES[1],
    )


def disclose_track(installation: Installation, track_id: str) -> Disclosure:
    """Return what is disclosed of a released track, from its proven history.

    Raises
    ------
    MissingError
        No such track.
    RefusedError
        The track's record does not hold, or has no statement about its sound.
    """
    installation.registry.get_released(track_id)
    custody = check_custody(installation.store, installation.public, name_asset(track_id))
    if custody.evidence.fault is not None:
        raise RefusedError(f"the record of track {track_id} does not hold: {custody.evidence.fault.message}")
    event = find_registration(custody.events)
    if event is None:
        raise RefusedError(f"the record of track {track_id} does not state how its sound came to be")
    return disclose_event(installation, track_id, event)


def disclose_event(installation: Installation, track_id: str, event: Event) -> Disclosure:
    """Return what a proven event that registered sound (`find_registration`) discloses."""
    predicate = event.statement.predicate
    audio = predicate["audio"]
    subjects = {item.name: item.sha256.hex() for item in event.statement.subjects}
    return build_disclosure(
        installation.public,
        predicate,
        track_id=track_id,
        created=str(predicate["time"]),
        seconds=int(audio["samples"]) / int(audio["sample_rate"]),
        pcm_sha256=subjects["pcm"],
        credits=open_credits(installation, track_id, event),
    )


def find_registration(events: tuple[Event, ...]) -> Event | None:
    """Return the newest event that registered sound, if there is one."""
    for event in reversed(events):
        kind, predicate = event.statement.predicate_type, event.statement.predicate
        if kind in (GENERATED, STAMPED) and isinstance(predicate.get("audio"), Mapping):
            return event
    return None


def open_credits(installation: Installation, track_id: str, event: Event) -> dict[str, str]:
    """Return the registry's title and artist of a track as far as they open the commitments of its event."""
    stated = parse_commitments(event.statement)
    found = {}
    for row in installation.registry.list_credits(track_id):
        commitment = stated.get(row.label)
        if commitment is None:
            continue
        try:
            check_opening(ledger.Opening(row.label, row.salt, row.value), commitment)
        except (ProofError, FormatError):
            continue
        found[row.label] = row.value
    return found
