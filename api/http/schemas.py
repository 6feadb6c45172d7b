"""What goes over the wire: requests and answers, with examples for the OpenAPI document."""

from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field

from ..registry import TrackRow
from ..verdict import VERDICTS

TRACK_ID = "k3t5mz7qa2xw4hbn"
HASH = "7d865e959b2466918c9863afca942d0fb89d7c9ac0c99bafc3749504ded97730"
TIME = "2026-11-22T17:31:32Z"
TrackId = Annotated[str, Field(pattern="^[a-z2-7]{16}$", examples=[TRACK_ID])]


class Wire(BaseModel):
    """Base of what is sent and received: unknown members are an error."""

    model_config = ConfigDict(extra="forbid")


class Stretch(Wire):
    """A range of time in milliseconds."""

    start_ms: Annotated[int, Field(examples=[0])]
    end_ms: Annotated[int, Field(examples=[10_000])]


class Match(Wire):
    """A stretch of the clip that is a stretch of a recording in the catalogue."""

    track_id: Annotated[
        str | None, Field(description="null for a recording that is no track.", examples=[TRACK_ID])
    ]
    name: Annotated[str | None, Field(description="Of a recording that is no track.", examples=[None])]
    file: Annotated[Stretch, Field(description="In the clip.")]
    recording: Annotated[Stretch, Field(description="In the recording.")]
    speed_ppm: Annotated[int, Field(description="1050000: 5 % faster.", examples=[1_000_000])]
    pitch_cents: Annotated[int, Field(examples=[0])]
    false_alarm_at_most: Annotated[
        str | None, Field(description="null without a key.", examples=["1e-30"])
    ] = None


class Recognition(Wire):
    """Which recordings of the catalogue a clip is; no matches is the answer "unknown"."""

    known: bool
    seconds: float
    iscc: Annotated[
        str | None,
        Field(description="ISCC Audio-Code (ISO 24138) of the clip, where one can be made"),
    ] = None
    matches: list[Match]


class Track(Wire):
    """A registered track, without its private part (prompt, mark)."""

    track_id: TrackId
    origin: Annotated[Literal["generated", "stamped"], Field(examples=["generated"])]
    title: Annotated[str, Field(examples=["Waltz in D minor"])]
    created: Annotated[str, Field(examples=[TIME])]
    container: Annotated[Literal["flac", "wav"], Field(examples=["flac"])]
    sample_rate: Annotated[int, Field(description="Hz", examples=[44100])]
    channels: Annotated[int, Field(examples=[2])]
    samples: Annotated[int, Field(description="For each channel.", examples=[1323000])]
    file_sha256: Annotated[str, Field(examples=[HASH])]
    pcm_sha256: Annotated[str, Field(examples=[HASH])]

    @classmethod
    def of(cls, row: TrackRow) -> Self:
        """Return the public part of a track's row."""
        return cls.model_validate({name: getattr(row, name) for name in cls.model_fields})


class TrackList(Wire):
    """A page of tracks in the order of their ids; `next` is the `after` of the next page, or null."""

    tracks: list[Track]
    next: TrackId | None


class Entry(Wire):
    """An entry of the log: its place, its leaf hash, and the envelope as stored."""

    index: Annotated[int, Field(examples=[1])]
    leaf_hash: Annotated[str, Field(examples=[HASH])]
    envelope: dict[str, Any]


class Statement(Wire):
    """The newest statement about a track, opened (signature checked), and the entry that carries it."""

    index: Annotated[int, Field(examples=[1])]
    key_ids: Annotated[list[str], Field(examples=[["kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k"]])]
    statement: dict[str, Any]
    envelope: dict[str, Any]


class CustodyItem(Wire):
    """One verified event."""

    index: Annotated[int, Field(examples=[1])]
    leaf_hash: Annotated[str, Field(examples=[HASH])]
    event: Annotated[str, Field(examples=["https://provenote.example/stamped/v1"])]
    time: Annotated[str, Field(examples=[TIME])]
    key_ids: list[str]
    disputed: Annotated[bool, Field(description="A signer's key was later revoked from this entry on.")]


class Fault(Wire):
    """What does not hold in a record."""

    index: int | None
    code: Annotated[str, Field(examples=["entry-changed"])]
    message: str


class Custody(Wire):
    """A track's history, checked against the log's signed checkpoint just now."""

    origin: Annotated[str, Field(examples=["localhost/provenote/9f86d081884c7d65"])]
    size: int | None
    root: str | None
    events: list[CustodyItem]
    status: Annotated[str, Field(description="valid, contested, taken-down or revoked", examples=["valid"])]
    fault: Fault | None


class AppendedEntry(Wire):
    """An appended event, with the finished proof (C2SP tlog-proof) that it is in the log."""

    index: Annotated[int, Field(examples=[3])]
    leaf_hash: Annotated[str, Field(examples=[HASH])]
    proof: Annotated[str, Field(examples=["c2sp.org/tlog-proof@v1\nindex 3\n..."])]


class MarkQuestion(Wire):
    """A mark that the log is asked about."""

    mark_id: Annotated[
        str,
        Field(pattern="^([0-9a-f]{2}){1,32}$", description="Its id, in hex.", examples=["9f86d081884c7d65"]),
    ]


class InclusionProof(Wire):
    """Path from an entry to the root of the tree of `size` (RFC 6962, 2.1.1); hashes in hex, leaf first."""

    index: Annotated[int, Field(examples=[1])]
    size: Annotated[int, Field(examples=[3])]
    leaf_hash: Annotated[str, Field(examples=[HASH])]
    hashes: Annotated[list[str], Field(examples=[[HASH]])]
    checkpoint: Annotated[str | None, Field(description="The signed note of this size, where there is one.")]


class ConsistencyProof(Wire):
    """Proof that the tree of `new_size` only adds to that of `old_size` (RFC 6962, 2.1.2); hashes in hex."""

    old_size: Annotated[int, Field(examples=[1])]
    new_size: Annotated[int, Field(examples=[3])]
    hashes: Annotated[list[str], Field(examples=[[HASH]])]


class KeyInfo(Wire):
    """A public key."""

    key_id: Annotated[str, Field(examples=["kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k"])]
    jwk: Annotated[
        dict[str, str],
        Field(
            examples=[{"kty": "OKP", "crv": "Ed25519", "x": "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}]
        ),
    ]


class Keys(Wire):
    """Public keys of this service: what is needed to check its work offline."""

    origin: str
    log_vkey: Annotated[str, Field(description="C2SP signed-note verifier key of the log.")]
    log_mldsa_vkey: Annotated[
        str | None, Field(description="The log's ML-DSA-44 key, which signs published checkpoints too.")
    ]
    issuers: list[KeyInfo]
    reports: list[KeyInfo]


class Health(Wire):
    """Whether the service lives, and how its ledger stands."""

    status: Annotated[Literal["ok", "degraded"], Field(description="degraded: the database cannot be read")]
    version: Annotated[str, Field(examples=["0.1.0"])]
    ledger_size: Annotated[int | None, Field(examples=[3])]
    published_size: Annotated[
        int | None, Field(description="Size of the published checkpoint, if any.", examples=[3])
    ]
    witnessed: Annotated[bool, Field(description="Witnesses cosigned it, as many as the policy asks for.")]
    alarms: Annotated[
        list[str], Field(description="Witnesses that know another or a longer history of this log.")
    ]
    damaged: Annotated[list[int], Field(description="Entries with which scrubbing found something wrong.")]


class Readiness(Wire):
    """The service may be given requests."""

    ready: Literal[True]


class AccessEventItem(Wire):
    """A line of the audit trail."""

    n: Annotated[int, Field(examples=[7])]
    time: Annotated[str, Field(examples=[TIME])]
    actor: Annotated[str, Field(description="A key's id, or `public`.", examples=[TRACK_ID])]
    kind: Annotated[str, Field(description="public, key, token, oidc or command", examples=["key"])]
    scopes: Annotated[list[str], Field(examples=[["issuer"]])]
    action: Annotated[str, Field(examples=["POST /v1/stamps"])]
    object: Annotated[dict[str, str], Field(description="Ids of what it was done to.")]
    outcome: Annotated[str, Field(description="HTTP status, or `done`.", examples=["202"])]
    hash: Annotated[str, Field(description="Link of the chain.", examples=[HASH])]


class AccessLogPage(Wire):
    """A page of the audit trail; `next` is the `after` of the next page, or null."""

    events: list[AccessEventItem]
    next: int | None


class ReasonItem(Wire):
    """A reason with its stable code."""

    code: Annotated[str, Field(examples=["shorter-than-track"])]
    text: str


class VerificationReport(Wire):
    """The report: verdict, reasons, evidence by axis, and the same as a signed DSSE envelope."""

    detail: Annotated[
        Literal["full", "coarse"], Field(description="coarse, without a key: less of the mark is told.")
    ]
    verdict: Annotated[str, Field(json_schema_extra={"enum": list(VERDICTS)}, examples=["excerpt"])]
    good: bool
    text: str
    reasons: list[ReasonItem]
    track: dict[str, Any] | None
    content: dict[str, Any]
    identity: dict[str, Any]
    watermark: dict[str, Any]
    copies: dict[str, Any] | None
    credential: dict[str, Any]
    tags: dict[str, Any]
    ledger: dict[str, Any] | None
    signer: dict[str, Any] | None
    time: dict[str, Any] | None
    limits: list[str]
    examined: dict[str, str]
    envelope: dict[str, Any]
