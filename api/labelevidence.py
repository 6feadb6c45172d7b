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
    nothing. `claims_track` is the track that the tags name, if they name one. `unsupported`: that track is
    registered here, but the file was found to be none.
    """

    state: str = NOT_READ
    problem: str = ""
    count: int = 0
    contradicted: tuple[Contradiction, ...] = ()
    confirmed: tuple[str, ...] = ()
    unregistered: tuple[str, ...] = ()
    claims_track: str | None = None
    unsupported: bool = False


TRUSTED, VALID, EXPIRED, BROKEN = "trusted", "valid", "expired", "broken"


@dataclass(frozen=True)
class CredentialEvidence:
    """The embedded C2PA credential.

    `state`: trusted (by a list of ours), valid (by somebody unknown), expired (signed well, by a certificate
    that is over, without a trusted time-stamp), broken, absent, unreadable, unsupported (the container has no
    place for one) or not-read. `ours`: signed under this ledger's own authority. `logged`: the track's entry
    states this very credential; None where there is no track or the entry states none. `codes` are C2PA's
    own failure codes. `track_id`, `source_type` and `pcm_sha256` are what it says, whoever says it.
    `expected_id` is the credential that the entry states, where there is one: it can be recovered from the
    released file.
    """

    state: str = NOT_READ
    problem: str = ""
    manifest_id: str | None = None
    sha256: str | None = None
    signer: str | None = None
    ours: bool = False
    codes: tuple[str, ...] = ()
    stamped_time: str | None = None
    stamp_trusted: bool = False
    log: str | None = None
    track_id: str | None = None
    pcm_sha256: str | None = None
    source_type: str | None = None
    ingredients: int = 0
    logged: bool | None = None
    expected_id: str | None = None
    other_track: bool = False
    contradicted: tuple[Contradiction, ...] = ()


UNREAD_TAGS = TagEvidence()
UNREAD_CREDENTIAL = CredentialEvidence()
