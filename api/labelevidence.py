"""What a file says of itself: its tags and its C2PA credential, held against the ledger."""

from dataclasses import dataclass

ABSENT, PRESENT, UNREADABLE, UNSUPPORTED, NOT_READ = (
    "absent",
    "present",
    "unreadable",
    "unsupported",
    "not-read",
)


@dataclass(frozen=True)
class Contradiction:
    """A field that says otherwise than the signed entry.

    `field` is one of title, artist, isrc, date, digital-source-type, contains-ai, track-id, log, link, aigc;
    `carrier` is where in the file it stands: vorbis, id3, mp4, ape, bext, ixml, info, riff, credential.
    """

    field: str
    carrier: str
    found: str
    stated: str


@dataclass(frozen=True)
class TagEvidence:
    """The tags: `state` is present, absent, unreadable or not-read.

    `confirmed` and `unregistered` name fields that agree with the entry, and fields on which the entry says
    nothing. `claims_track` is the track of this ledger that the tags name, if they name one.
    """

    state: str = NOT_READ
    problem: str = ""
    count: int = 0
    contradicted: tuple[Contradiction, ...] = ()
    confirmed: tuple[str, ...] = ()
    unregistered: tuple[str, ...] = ()
    claims_track: str | None = None
