"""What was found about a file, axis by axis; nothing here is a judgement.

| axis | question | rests on |
| --- | --- | --- |
| content | are these bytes, or these samples, registered? | SHA-256 of the file and of its decoded samples |
| identity | by its sound: which recording, which part, what was changed? | the catalogue of fingerprints |
| watermark | does the sound carry a mark of ours, where, how was it changed? | the watermark key |
| credential | whose C2PA credential does it carry, does it hold, what does it say? | lists of trust |
| tags | which of its tags does the signed entry bear out, which does it contradict? | the ledger |
| ledger | is the track's history in the log, unbroken and proven? | the log's public key |
| signer | who signed the statements, and is the key trusted here? | public-keys.json |
| time | when was it registered? | the issuer's clock; a time-stamping authority, where one is configured |
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from .labelevidence import UNREAD_CREDENTIAL, UNREAD_TAGS, CredentialEvidence, TagEvidence

DIGEST_NAMES = ("file", "pcm", "source-file", "source-pcm")
RELEASED_DIGESTS = ("file", "pcm")


@dataclass(frozen=True)
class Extent:
    """How much sound the file holds, and in what shape; `damage` is empty for a whole file."""

    container: str
    encoding: str
    sample_rate: int
    channels: int
    samples: int
    damage: str

    @property
    def seconds(self) -> float:
        """Duration."""
        return self.samples / self.sample_rate


@dataclass(frozen=True)
class ContentEvidence:
    """Digests (hex SHA-256) and what they match: `matched` is one of DIGEST_NAMES, or None."""

    file_sha256: str
    pcm_sha256: str
    extent: Extent
    matched: str | None
    track_id: str | None


@dataclass(frozen=True)
class Range:
    """A stretch of the file, in seconds."""

    start_s: float
    end_s: float

    @property
    def seconds(self) -> float:
        """Length."""
        return self.end_s - self.start_s


@dataclass(frozen=True)
class WatermarkEvidence:
    """The mark: `track_id` is whom it names according to the registry, None for an unknown mark.

    `opens_commitment` says whether mark_id and salt of the registry give the commitment in the signed entry;
    None where there was nothing to compare. `with_registry`: the mark was too weak to be decoded and was told
    among the registered ones. `as_candidate`: it was told among the marks of the track that the sound is
    like. `speed` 1.05 means that the file runs 5 % faster than the track.
    """

    found: bool
    false_alarm_probability: float = 1.0
    profile: str | None = None
    with_registry: bool = False
    as_candidate: bool = False
    track_id: str | None = None
    opens_commitment: bool | None = None
    speed: float = 1.0
    pitch_semitones: float = 0.0
    present: tuple[Range, ...] = ()
    absent: tuple[Range, ...] = ()


@dataclass(frozen=True)
class Likeness:
    """A stretch of the file that sounds like a stretch of a recording in the catalogue.

    `track_id` is None, and `name` what it was added under, for a recording that was never stamped here.
    `number` is the recording's in the catalogue.
    """

    track_id: str | None
    name: str
    file: Range
    recording: Range
    speed: float
    pitch_semitones: float
    bit_error_rate: float
    false_alarm_probability: float
    number: int = 0


@dataclass(frozen=True)
class ChangedRange:
    """A range of the file that is not the track's; `kind` and `band` as in `watermark.identity.Change`."""

    kind: str
    file: Range
    track: Range
    band: str


@dataclass(frozen=True)
class ContentComparison:
    """The sound held against one track's fingerprint.

    `track_id`: against which. `assessable` False, with the reason in plain words, where nothing can be said.
    `intact` are the ranges of the file that are the track's; `changed` what was found between them.
    `foreign`: no part of the sound is the track's, though there is enough of it to say so.
    """

    track_id: str
    assessable: bool
    reason: str
    intact: tuple[Range, ...]
    changed: tuple[ChangedRange, ...]
    foreign: bool = False


@dataclass(frozen=True)
class IdentityEvidence:
    """What the sound itself is like: matches in the catalogue, best first, and the comparison with the track
    that the evidence names, if it has a fingerprint.

    `searched` False: the file is too short or too quiet for a fingerprint. `closest` is the best match, or
    what an unknown sound is like more than anything else, which says nothing about where it comes from.
    """

    searched: bool
    matches: tuple[Likeness, ...] = ()
    comparison: ContentComparison | None = None
    closest: Likeness | None = None

    def names_other(self, track_id: str) -> Likeness | None:
        """Return the best match that is a registered track other than this one."""
        return next((item for item in self.matches if item.track_id not in (None, track_id)), None)

    @property
    def track_id(self) -> str | None:
        """The registered track that the sound is like best, if any."""
        return next((item.track_id for item in self.matches if item.track_id is not None), None)


@dataclass(frozen=True)
class LedgerFault:
    """The first thing that does not hold: the entry to blame if any, a stable code, a plain message."""

    index: int | None
    code: str
    message: str


@dataclass(frozen=True)
class CustodyEvent:
    """One verified entry of a track: its index, type, time (as stated) and signers.

    `disputed`: a signer's key was revoked for entries from this one, or from an earlier one, on.
    """

    index: int
    leaf_hash: str
    event: str
    time: str
    key_ids: tuple[str, ...]
    disputed: bool = False


@dataclass(frozen=True)
class StampedTime:
    """That the first `log_size` entries of the log were there at `time` (RFC 3339 UTC), as a time-stamping
    authority says, by the name that it has here.
    """

    time: str
    authority: str
    log_size: int


@dataclass(frozen=True)
class LedgerEvidence:
    """The verified history of a track under a signed checkpoint, or the fault that was met.

    `status` is what the history amounts to: valid, contested, taken-down or revoked. `stamped` is about its
    first entry.
    """

    origin: str
    size: int | None
    root: str | None
    events: tuple[CustodyEvent, ...]
    fault: LedgerFault | None
    status: str = "valid"
    stamped: StampedTime | None = None


@dataclass(frozen=True)
class TrackFacts:
    """What the signed statement says about the released track; `factors` of its making (`api.factors`)."""

    track_id: str
    origin: str
    seconds: float
    sample_rate: int
    channels: int
    digital_source_type: str | None
    factors: Mapping[str, Any] | None = None


@dataclass(frozen=True)
class NamedCopy:
    """A copy that the file is, or was made from: told `by` its "digest" or its "mark", and the entry that
    bears it out, None if none does.
    """

    copy_id: str
    entry_index: int | None
    by: str
    false_alarm_probability: float


@dataclass(frozen=True)
class CopyEvidence:
    """Which copies of the track the file comes from, as found among its own mark and those of all its copies.

    `several`: it was mixed from more than one marked file. `foreign`: there is a mark of ours beside those
    named that is none of the candidates.
    """

    named: tuple[NamedCopy, ...]
    several: bool = False
    foreign: bool = False
    candidates: int = 0


@dataclass(frozen=True)
class Evidence:
    """Everything known about a file. `ledger` and `track` are None where no track was named, `copies` where
    none was, or it has none.
    """

    content: ContentEvidence
    watermark: WatermarkEvidence
    ledger: LedgerEvidence | None
    track: TrackFacts | None
    identity: IdentityEvidence = IdentityEvidence(False)
    copies: CopyEvidence | None = None
    tags: TagEvidence = UNREAD_TAGS
    credential: CredentialEvidence = UNREAD_CREDENTIAL
