"""What goes over the wire about making tracks: requests, engines, jobs."""

import json
from typing import Annotated, Any, Literal, Self

from pydantic import Field

from ..engines import EngineListing
from ..installation import format_time
from ..jobtable import JobRow
from ..margin import Margin, MarginPolicy, document_margin
from ..marking import Strength
from ..resemblance import ResemblancePolicy
from .schemas import TIME, TrackId, Wire

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
        dict[str, str], Field(default={}, max_length=32, description="Override what the prompt says.")
    ]
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


class TimeRange(Wire):
    """A range of a time line."""

    start_ms: Annotated[int, Field(examples=[0])]
    end_ms: Annotated[int, Field(examples=[30_000])]


class Closest(Wire):
    """The known recording whose sound is closest to a new track; mostly, it is no match."""

    track_id: TrackId | None
    name: Annotated[str | None, Field(description="What a recording that is no track was added under.")]
    file: Annotated[TimeRange, Field(description="The stretch of the new track.")]
    recording: Annotated[TimeRange, Field(description="The stretch of the known recording.")]
    speed_ppm: Annotated[int, Field(examples=[1_000_000])]
    pitch_cents: Annotated[int, Field(examples=[0])]
    false_alarm_at_most: Annotated[
        str, Field(description="That unrelated music agrees as well; 1e0: it is no match.", examples=["1e0"])
    ]
    alike_percent: Annotated[
        int,
        Field(description="Bits of the fingerprints alike where they overlap; 50 to 60 of unrelated music."),
    ]


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
    closest: Annotated[
        Closest | None,
        Field(description="Of a track that is done, unless the worker that made it died at its very end."),
    ]
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
                "closest": json.loads(row.outcome or "{}").get("closest"),
                "problem": None if row.problem is None else json.loads(row.problem),
                "attempts": row.attempts,
                "retry_at": format_time(row.due_s) if row.state == "queued" and row.due_s else None,
                "created": row.created,
                "updated": row.updated,
            }
        )
