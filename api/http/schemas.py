"""What goes over the wire: requests and answers, with examples for the OpenAPI document."""

import json
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field

from ..engines import EngineListing
from ..installation import format_time
from ..jobtable import JobRow
from ..margin import Margin, MarginPolicy, document_margin
from ..marking import Strength
from ..registry import TrackRow
from ..resemblance import ResemblancePolicy
from ..verdict import VERDICTS

TRACK_ID = "k3t5mz7qa2xw4hbn"
HASH = "7d865e959b2466918c9863afca942d0fb89d7c9ac0c99bafc3749504ded97730"
TIME = "2026-11-22T17:31:32Z"
TrackId = Annotated[str, Field(pattern="^[a-z2-7]{16}$", examples=[TRACK_ID])]
MARGIN_POLICY = "off: do not predict; report: predict and say; require: refuse without enough margin."
STRENGTH = "How strongly the mark is embedded; how that sounds is measured in docs/watermark.md."
IF_KNOWN = "When it sounds like a known recording: refuse, link it as derived, or allow and log the conflict."
PRIORITY = "Jobs of a higher one are taken first; a running job is not put aside."
Priority = Literal["low", "normal", "high"]
PRIORITIES: dict[Priority, int] = {"low": -1, "normal": 0, "high": 1}
OVERSIGHT = (
    "How far people oversaw it: fully_autonomous, human_validated or prompt_guided; stated as declared."
)
ROYALTY_CLASS = "What is owed for using it: non-commercial, public-domain, royalty-bearing or royalty-free."
JobId = Annotated[str, Field(pattern="^[0-9a-f]{16}$", examples=["9f86d081884c7d65"])]


class Wire(BaseModel):
    """Base of what is sent and received: unknown members are an error."""

    model_config = ConfigDict(extra="forbid")


class IssueRequest(Wire):
    """What to generate and how to write it."""

    engine: Annotated[
        str, Field(max_length=64, description="One of `GET /v1/engines`.", examples=["embedded"])
    ] = "embedded"
    prompt: Annotated[str, Field(min_length=1, max_length=1000, examples=["slow waltz in D minor, piano"])]
    seconds: Annotated[float, Field(gt=0, le=3600, allow_inf_nan=False, examples=[30.0])] = 30.0
    seed: Annotated[int | None, Field(ge=0, lt=1 << 53, description="Drawn when left out.", examples=[7])] = (
        None
    )
    abc: Annotated[str | None, Field(max_length=20_000, description="Opening in ABC notation.")] = None
    midi: Annotated[
        str | None,
        Field(max_length=44_000, description="Opening as a Standard MIDI File of at most 32 KiB, in base64."),
    ] = None
    parameters: Annotated[
        dict[str, str], Field(max_length=32, description="Override what the prompt says.")
    ] = {}
    format: Literal["flac", "wav"] = "flac"
    bits: Literal[16, 24] = 24
    margin: Annotated[MarginPolicy, Field(description=MARGIN_POLICY)] = MarginPolicy.REPORT
    strength: Annotated[Strength, Field(description=STRENGTH)] = Strength.DEFAULT
    if_known: Annotated[ResemblancePolicy, Field(description=IF_KNOWN)] = ResemblancePolicy.REFUSE
    priority: Annotated[Priority, Field(description=PRIORITY)] = "normal"
    oversight: Annotated[str | None, Field(max_length=32, description=OVERSIGHT)] = None
    royalty_class: Annotated[str | None, Field(max_length=32, description=ROYALTY_CLASS)] = None


class EngineInfo(Wire):
    """An engine as its operator set it up; `problem` says why it cannot be used now, if so."""

    name: Annotated[str, Field(examples=["embedded"])]
    kind: Annotated[str, Field(examples=["embedded"])]
    package: Annotated[str, Field(description="Who brings this kind.", examples=["provenote"])]
    summary: str
    licence: str | None
    training_corpus: str | None
    training_classes: Annotated[list[str], Field(examples=[["licensed"]])]
    royalty_class: str | None
    problem: str | None

    @classmethod
    def of(cls, item: EngineListing) -> Self:
        """Return the public part of a listing: neither folders nor commands."""
        setup = item.setup
        return cls(
            name=setup.name,
            kind=setup.kind,
            package=item.package,
            summary=item.summary,
            licence=setup.licence,
            training_corpus=setup.training_corpus,
            training_classes=list(setup.training_classes),
            royalty_class=setup.royalty_class,
            problem=None if item.problem is None else "it cannot be used: its operator's log says why",
        )


class EngineList(Wire):
    """The engines that a track can be issued with."""

    engines: list[EngineInfo]


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


class MarkMargin(Wire):
    """How many clips of the marked track the stamper read its mark from, as written and after MP3."""

    class Row(Wire):
        """In how many windows of a length, after a coding, the mark was read."""

        coding: Annotated[str, Field(description="none, mp3-128 or mp3-64", examples=["mp3-128"])]
        window_s: Annotated[int, Field(description="Length of a window, seconds.", examples=[10])]
        windows: Annotated[int, Field(examples=[4])]
        read: Annotated[int, Field(examples=[4])]

    rows: list[Row]
    reasons: Annotated[
        list[str], Field(description="Why the audio is a poor carrier.", examples=[["sustained-tone"]])
    ]
    sufficient: Annotated[
        bool, Field(description="All of the longest windows were read, also after MP3 128.")
    ]
    warning: str | None

    @classmethod
    def of(cls, margin: Margin | None) -> Self | None:
        """Return what is answered of a margin, if there is one."""
        return None if margin is None else cls.model_validate(document_margin(margin))


class Job(Wire):
    """A job; `track_id` names a track once the state is `done`, and `margin` is what its statement says."""

    job_id: JobId
    kind: Annotated[Literal["audit", "issue", "stamp"], Field(examples=["issue"])]
    state: Annotated[
        Literal["queued", "running", "done", "failed", "cancelled", "interrupted"],
        Field(examples=["running"]),
    ]
    stage: Annotated[str, Field(examples=["render"])]
    fraction: Annotated[float, Field(ge=0, le=1, description="Of the present stage.", examples=[0.4])]
    track_id: TrackId | None
    margin: Annotated[MarkMargin | None, Field(description="Of a track that is done, where predicted.")]
    problem: Annotated[
        dict[str, Any] | None, Field(description="Why it failed, or its last attempt did (RFC 9457).")
    ]
    attempts: Annotated[int, Field(description="How often it was begun.", examples=[1])]
    retry_at: Annotated[
        str | None, Field(description="When a job that is queued again will be taken.", examples=[None])
    ]
    created: Annotated[str, Field(examples=[TIME])]
    updated: Annotated[str, Field(examples=[TIME])]

    @classmethod
    def of(cls, row: JobRow, margin: Margin | None = None) -> Self:
        """Return the public part of a job's row."""
        return cls.model_validate(
            {
                "job_id": row.job_id,
                "kind": row.kind,
                "state": row.state,
                "stage": row.stage,
                "fraction": row.fraction,
                "track_id": row.track_id if row.state == "done" and row.kind != "audit" else None,
                "margin": MarkMargin.of(margin),
                "problem": None if row.problem is None else json.loads(row.problem),
                "attempts": row.attempts,
                "retry_at": format_time(row.due_s) if row.state == "queued" and row.due_s else None,
                "created": row.created,
                "updated": row.updated,
            }
        )


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
