"""A client of the Provenote service: typed, with httpx and the standard library alone.

    from provenote_client import Client

    with Client("https://provenote.example", key="pnk_...") as client:
        report = client.verify("clip.mp3")       # in a notebook a report shows itself
        print(report.verdict, report.changed)
        job = client.stamp("song.flac", title="Song")
        track = client.wait(job, progress=print)

`AsyncClient` is the same to be awaited. Importing either loads nothing of the service: no web framework, no
database, no arrays.
"""

from .answers import ChangedRange, Custody, CustodyEvent, EngineInfo, Job, Match, Recognition, Track
from .async_client import AsyncClient
from .client import Client
from .errors import (
    AnswerError,
    ClientError,
    ConnectionFailedError,
    JobError,
    ProblemError,
    RefusedError,
    UnauthorisedError,
    UnavailableError,
    UnknownError,
)
from .report import Report

__all__ = [
    "AnswerError",
    "AsyncClient",
    "ChangedRange",
    "Client",
    "ClientError",
    "ConnectionFailedError",
    "Custody",
    "CustodyEvent",
    "EngineInfo",
    "Job",
    "JobError",
    "Match",
    "ProblemError",
    "Recognition",
    "RefusedError",
    "Report",
    "Track",
    "UnauthorisedError",
    "UnavailableError",
    "UnknownError",
]
