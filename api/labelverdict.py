"""What a file's own labels change in its verdict: a pure function, and the words for its reasons.

Rank: labels never make a verdict better, and never outweigh what the record or the sound says. Where the
verdict is bad already they add reasons. Where it is good they decide:

1. a tag or a credential contradicts the signed entry, or the credential is that of another track of this log:
   `metadata-forged`; the sound is the track's, and the file lies about it
2. anything else is a reason beside a verdict that stays: a credential broken by later editing, gone, expired,
   or by another signer who contradicts nothing. Adding a cover picture breaks a credential: no forgery.

Contradictions count whoever signed them: a credential that is valid by its own rules and says another origin
than the ledger is the better forgery.
"""

from .labelevidence import (
    ABSENT,
    BROKEN,
    EXPIRED,
    TRUSTED,
    UNREADABLE,
    VALID,
    CredentialEvidence,
    TagEvidence,
)

METADATA_FORGED = "metadata-forged"
FORGED_TEXT = (
    "The sound is that of the registered track, but what the file says of itself contradicts the ledger."
)
LABEL_REASONS = {
    "tags-contradict-ledger": "tags of the file say otherwise than the signed entry; each field is named",
    "tags-unreadable": "not all tags of the file could be read",
    "tags-claim-unsupported": "the tags name a track of this log; neither sound nor digest bears that out",
    "credentials-contradict-ledger": "the file's C2PA credential says another origin than the signed entry",
    "credentials-of-other-track": "the file's C2PA credential is that of another track of this log",
    "credentials-broken": "the file's C2PA credential does not hold: the file was changed after signing",
    "credentials-of-other-signer": "the file's C2PA credential is by a signer other than this ledger",
    "credentials-not-logged": "the file's C2PA credential is signed by this ledger, but the entry states "
    "another one",
    "credentials-expired": "the certificate of the file's C2PA credential has expired, and no trusted "
    "time-stamp tells when it signed",
    "credentials-stripped": "the track was released with a C2PA credential, which this file does not have",
    "credentials-unreadable": "the file's C2PA credential could not be read",
    "credentials-valid": "the file's C2PA credential is the one that the signed entry states, and holds",
}


def list_notes(tags: TagEvidence, credential: CredentialEvidence, *, good: bool) -> tuple[str, ...]:
    """Return the reasons that labels give without lying; `good` as in `weigh_verdict`."""
    notes = []
    if tags.unsupported:
        notes.append("tags-claim-unsupported")
    if credential.state == BROKEN and not credential.other_track:
        notes.append("credentials-broken")
    if credential.state in (TRUSTED, VALID) and not credential.ours and credential.logged is not True:
        notes.append("credentials-of-other-signer")
    if credential.state == EXPIRED and credential.logged is not True:
        notes.append("credentials-expired")
    if credential.ours and credential.logged is False and not credential.other_track:
        notes.append("credentials-not-logged")
    if good and credential.state == ABSENT and credential.expected_id is not None:
        notes.append("credentials-stripped")
    if credential.state == UNREADABLE:
        notes.append("credentials-unreadable")
    if credential.state in (TRUSTED, VALID, EXPIRED) and credential.logged is True:
        notes.append("credentials-valid")
    if tags.state == UNREADABLE:
        notes.append("tags-unreadable")
    return tuple(notes)


def weigh_verdict(
    code: str, reasons: tuple[str, ...], *, good: bool, tags: TagEvidence, credential: CredentialEvidence
) -> tuple[str, tuple[str, ...]]:
    """Return verdict and reasons with the labels taken into account, as ranked above."""
    forged, notes = list_forgeries(tags, credential), list_notes(tags, credential, good=good)
    if good and forged:
        return METADATA_FORGED, (*forged, *reasons, *notes)
    return code, (*reasons, *forged, *notes)


def list_forgeries(tags: TagEvidence, credential: CredentialEvidence) -> tuple[str, ...]:
    """Return the reasons that say that a label lies."""
    found = []
    if tags.contradicted:
        found.append("tags-contradict-ledger")
    if credential.contradicted:
        found.append("credentials-contradict-ledger")
    if credential.other_track:
        found.append("credentials-of-other-track")
    return tuple(found)
