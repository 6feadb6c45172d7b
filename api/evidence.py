"""What was found about a file, axis by axis; nothing here is a judgement.

| axis | question | rests on |
| --- | --- | --- |
| content | are these bytes, or these samples, registered? | SHA-256 of the file and of its decoded samples |
| watermark | does the sound carry a mark of ours, where, how was it changed? | the watermark key |
| ledger | is the track's history in the log, unbroken and proven? | the log's public key |
| signer | who signed the statements, and is the key trusted here? | public-keys.json |
| time | when does the statement say it was made? | the issuer's clock alone |
"""

from dataclasses import dataclass

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
    among the registered ones. `speed` 1.05 means that the file runs 5 % faster than the track.
    """

    found: bool
    false_alarm_probability: float = 1.0
    profile: str | None = None
    with_registry: bool = False
    track_id: str | None = None
    opens_commitment: bool | None = None
    speed: float = 1.0
    pitch_semitones: float = 0.0
    present: tuple[Range, ...] = ()
    absent: tuple[Range, ...] = ()


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
class LedgerEvidence:
    """The verified history of a track under a signed checkpoint, or the fault that was met.

    `status` is what the history amounts to: valid, contested, taken-down or revoked.
    """

    origin: str
    size: int | None
    root: str | None
    events: tuple[CustodyEvent, ...]
    fault: LedgerFault | None
    status: str = "valid"


@dataclass(frozen=True)
class TrackFacts:
    """What the signed statement says about the released track."""

    track_id: str
    origin: str
    seconds: float
    sample_rate: int
    channels: int
    digital_source_type: str | None


@dataclass(frozen=True)
class Evidence:
    """Everything known about a file. `ledger` and `track` are None where no track was named."""

    content: ContentEvidence
    watermark: WatermarkEvidence
    ledger: LedgerEvidence | None
    track: TrackFacts | None
