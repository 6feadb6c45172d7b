"""Which events of the ledger go with a step of a case, and who signs them.

| step | event of each track of the case | signed by |
| --- | --- | --- |
| accepted; examined, once accepted | notice, where this case has none yet | case desk, or the key given |
| countered | counter-notice | the track's owner, if their key is at hand |
| decided upheld, denied | decision: the same | case desk, or the key given |
| complaint-decided reversed | decision restored; of a denied notice: a new notice, and upheld | the same |
| restored, withdrawn | decision restored; of an undecided notice: denied | the same |

Each names the step by its digest (`evidence_sha256`). The other steps have no event.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import ledger
from ledger.custodian import replay
from ledger.custody import Custody
from ledger.event import KEYS_ASSET, asset_subject
from ledger.predicate import COUNTER_NOTICE, DECISION, DENIED, NOTICE, OWNER, RESTORED, UPHELD
from ledger.register import EMPTY_REGISTER, HOUSE

from . import casestates as cs
from .casestates import CaseState
from .casesteps import Step
from .casewriter import Drafts, find_events
from .installation import Installation, now
from .release import name_asset


def draft_notices(
    installation: Installation, steps: Sequence[Step], claim: str, signing_keys: Sequence[ledger.SigningKey]
) -> Drafts:
    """Give a notice for each track that has none of this case, once the case is valid."""

    def drafts(_before: CaseState, after: CaseState, digest: bytes) -> list[ledger.Draft]:
        if after.status != cs.VALID or after.kind != cs.NOTICE:
            return []
        return [
            _draft(track_id, NOTICE, {"claim": claim}, digest, signing_keys)
            for track_id in after.tracks
            if find_notice(installation, track_id, steps) is None
        ]

    return drafts


def draft_counter_notice(
    installation: Installation, steps: Sequence[Step], signing_keys: Sequence[ledger.SigningKey]
) -> Drafts:
    """Give a counter-notice for each track whose owner's key is among those given, or is the house's own."""

    def drafts(_before: CaseState, after: CaseState, digest: bytes) -> list[ledger.Draft]:
        found = []
        for track_id in after.tracks:
            signers = _find_owner_keys(installation, track_id, signing_keys)
            n = find_notice(installation, track_id, steps)
            if signers and n is not None:
                found.append(_draft(track_id, COUNTER_NOTICE, {"notice": n}, digest, signers))
        return found

    return drafts


def draft_decision(
    installation: Installation,
    steps: Sequence[Step],
    claim: str,
    reason: str,
    signing_keys: Sequence[ledger.SigningKey],
) -> Drafts:
    """Give the decision that a step's change of status is, for each track with a notice of this case."""

    def drafts(before: CaseState, after: CaseState, digest: bytes) -> list[ledger.Draft]:
        found: list[ledger.Draft] = []
        for track_id in after.tracks:
            n = find_notice(installation, track_id, steps)
            if n is None or after.status == before.status:
                continue
            outcome = {cs.UPHELD: UPHELD, cs.DENIED: DENIED, cs.RESTORED: RESTORED}.get(after.status, DENIED)
            facts: dict[str, Any] = {"outcome": outcome, "reason": reason}
            if before.status == cs.DENIED:  # decided for good: the ledger takes it up again as a new notice
                found.append(_draft(track_id, NOTICE, {"claim": claim}, digest, signing_keys))
                found.append(_draft(track_id, DECISION, facts, digest, signing_keys, after_notice=True))
            else:
                found.append(_draft(track_id, DECISION, {**facts, "notice": n}, digest, signing_keys))
        return found

    return drafts


def find_notice(installation: Installation, track_id: str, steps: Sequence[Step]) -> int | None:
    """Return the number of the newest notice of a track that is this case's."""
    found = find_events(installation, track_id, {step.digest for step in steps})
    return next((n for _, n, kind, _ in reversed(found) if kind == NOTICE), None)


def _find_owner_keys(
    installation: Installation, track_id: str, signing_keys: Sequence[ledger.SigningKey]
) -> list[ledger.SigningKey]:
    """Return those of the keys that are the owner's; the issuer's own where the house owns the track."""
    store = installation.store
    register = replay(Custody(EMPTY_REGISTER), store.chain(KEYS_ASSET)).register
    owner = replay(Custody(register), store.chain(name_asset(track_id))).asset.owner
    if not signing_keys and owner == HOUSE:
        return [installation.keyring.issuer_signing_key]
    return [
        key
        for key in signing_keys
        if (record := register.records.get(key.key_id)) is not None
        and record.is_active()
        and record.party == owner
        and OWNER in record.roles
    ]


def _draft(
    track_id: str,
    kind: str,
    facts: Mapping[str, Any],
    digest: bytes,
    signing_keys: Sequence[ledger.SigningKey],
    *,
    after_notice: bool = False,
) -> ledger.Draft:
    asset = name_asset(track_id)
    members = {"time": now(), **facts, "evidence_sha256": digest.hex()}

    def build(place: ledger.Place) -> bytes:
        named = {"notice": place.n - 1} if after_notice else {}
        payload = ledger.build_event(kind, place, [asset_subject(asset)], {**members, **named})
        return ledger.sign_envelope(payload, signing_keys)

    return ledger.Draft(asset, build)
