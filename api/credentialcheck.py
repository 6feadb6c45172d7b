"""What an embedded C2PA credential says, and what that is worth; held against the ledger.

The C2PA library has checked signature, certificate and hashes (`labelreader.py`, in a child process, without
network). Here its answer is read with suspicion: of a JSON document from a stranger's file nothing is taken
but texts of the expected form and bounded length.

C2PA's own states are kept: Trusted, Valid, Invalid. Two things are told apart that it throws together.
A credential whose certificate has run out, with everything else in order, is `expired`, not `broken`; and
which list a signer leads to is said: our own authority, or one that the operator lists.
"""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

from .credentialmanifest import CUSTODY_LABEL
from .disclosure import Disclosure
from .labelevidence import (
    ABSENT,
    BROKEN,
    EXPIRED,
    TRUSTED,
    UNREADABLE,
    UNSUPPORTED,
    VALID,
    Contradiction,
    CredentialEvidence,
)
from .labels import Labels
from .tagcheck import TRACK_ID

EMBEDDING = frozenset({"wav", "flac", "mp3", "mp4"})
MAX_TEXT = 200
MAX_CODES = 16
OPENING_ACTIONS = ("c2pa.created", "c2pa.opened")
_EXPIRY = frozenset(
    {"signingCredential.expired", "signingCredential.untrusted", "claimSignature.outsideValidity"}
)


def read_credential(labels: Labels) -> CredentialEvidence:
    """Return what the credential in a file says, before it is held against anything."""
    if labels.credential_problem:
        return CredentialEvidence(UNREADABLE, labels.credential_problem)
    if labels.credential is None:
        known = labels.container in EMBEDDING
        return CredentialEvidence(ABSENT if known else UNSUPPORTED)
    document = labels.credential
    store = _object(document.get("store"))
    manifests = _object(store.get("manifests"))
    manifest = _object(manifests.get(_text(document.get("label")) or ""))
    results = _object(store.get("validation_results"))
    active = _object(results.get("activeManifest"))
    codes = _codes(active.get("failure"))
    assertions = {
        item["label"]: _object(item.get("data"))
        for item in _list(manifest.get("assertions"))
        if isinstance(item, Mapping) and isinstance(item.get("label"), str)
    }
    custody = assertions.get(CUSTODY_LABEL, {})
    signature = _object(manifest.get("signature_info"))
    names = filter(None, (_text(signature.get("common_name")), _text(signature.get("issuer"))))
    asset = _text(custody.get("asset")) or ""
    state = _name_state(document.get("state"), codes)
    return CredentialEvidence(
        state=state,
        manifest_id=_text(document.get("label")),
        sha256=_text(document.get("sha256")),
        signer=", ".join(dict.fromkeys(names)) or None,
        ours=state in (TRUSTED, EXPIRED) and results.get("trustListUri") == "own",
        codes=codes,
        stamped_time=_text(signature.get("time")),
        stamp_trusted="timeStamp.trusted" in _codes(active.get("success")),
        log=_text(custody.get("log")),
        track_id=asset.removeprefix("track:") if TRACK_ID.fullmatch(asset.removeprefix("track:")) else None,
        pcm_sha256=_text(custody.get("pcm_sha256")),
        source_type=_find_source_type(assertions),
        ingredients=len(_list(manifest.get("ingredients"))),
    )


def check_credential(
    found: CredentialEvidence, stated: Disclosure, credentials: Sequence[Mapping[str, Any]]
) -> CredentialEvidence:
    """Hold a credential against a track's proven disclosure and against what its entry says of credentials.

    Parameters
    ----------
    credentials
        The members `credential` of the track's proven events, that of the released file first.
    """
    expected = _text(credentials[0].get("id")) if credentials else None
    if found.manifest_id is None:
        return dataclasses.replace(found, expected_id=expected)
    logged = found.sha256 in [item.get("sha256") for item in credentials] if credentials else None
    names_our_log = found.log == stated.log
    other = names_our_log and found.track_id is not None and found.track_id != stated.track_id
    contradicted = []
    if stated.source_type is not None and found.source_type not in (None, stated.source_type):
        assert found.source_type is not None
        contradicted.append(
            Contradiction("digital-source-type", "credential", found.source_type, stated.source_type)
        )
    return dataclasses.replace(
        found,
        logged=logged,
        expected_id=expected,
        other_track=other,
        contradicted=tuple(contradicted),
    )


def _name_state(state: object, codes: tuple[str, ...]) -> str:
    if state == "Trusted":
        return TRUSTED
    if state == "Valid":
        return VALID
    if codes and set(codes) <= _EXPIRY and "signingCredential.expired" in codes:
        return EXPIRED
    return BROKEN


def _find_source_type(assertions: Mapping[str, Mapping[str, Any]]) -> str | None:
    """Return the digital source type of the first action, if it is one that can have it."""
    for label, data in assertions.items():
        if not label.startswith("c2pa.actions"):
            continue
        for action in _list(data.get("actions")):
            if isinstance(action, Mapping) and action.get("action") in OPENING_ACTIONS:
                return _text(action.get("digitalSourceType"))
    return None


def _codes(items: object) -> tuple[str, ...]:
    found = (_text(item.get("code")) for item in _list(items) if isinstance(item, Mapping))
    return tuple(dict.fromkeys(code for code in found if code))[:MAX_CODES]


def _text(value: object) -> str | None:
    return value[:MAX_TEXT] if isinstance(value, str) else None


def _object(value: object) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}


def _list(value: object) -> list[Any]:
    return value if isinstance(value, list) else []
