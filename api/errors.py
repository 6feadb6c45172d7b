"""What can go wrong in the shell.

    ApiError
    |- LedgerFolderError      the ledger folder or a key file is missing, exists already, or cannot be used
    |- WriteError             a file cannot be written: the disk is full, the folder read-only
    |- SettingsError          an environment variable or option is not what it should be
    |- RefusedError           the request cannot be carried out as it is; nothing was changed
    |  |- AudioRefusedError   the bytes are not audio that is taken: `code` says why
    |  |- TooLargeError       more bytes than are taken
    |  |- RegisteredError     the same audio is registered: `track_id` names it, if it is known
    |  |- StayDownError       an upheld notice named this: `case_id` is its case
    |  |- MarkedError         the audio carries a mark of this key: `mark_id` is its payload
    |  |- UnreadableMarkError the mark cannot be read back from the stamped audio, so it was not registered
    |  |- WeakMarkError       the mark would not survive an ordinary MP3, and that was asked for
    |  |- ManifestError       a manifest is not signed by a trusted key, or its rows are not those signed
    |  |- BackupError         a backup does not hold, or cannot be made or restored where it was asked for
    |  |- MissingError        no such track, job, entry or file
    |  |- ConflictError       the job or track is in a state that does not allow it
    |  |- KeyReusedError      an Idempotency-Key that was sent with another request
    |  |- TokenError          no API key or token, or one that does not hold
    |  |- ScopeError          a key that is not for this
    |  |- ForgeryError        a form that was not sent by a page of this session
    |  |- SlowBodyError       a request's body came too slowly
    |  `- QuotaError          asked too often: `retry_after_s` says when to come back
    |- OverloadError          no capacity now, later perhaps
    |- GeneratorMissingError  the generator's libraries are not installed
    |- CredentialError        no C2PA credential could be signed into a file
    |- OriginalError          a track's sealed original is damaged or was changed
    |- PortError              the address to serve on is taken
    |- SourceError            somebody else's server does not answer as it should
    `- StoppedError           somebody cancelled the work

How each becomes an exit code or an HTTP problem is one table in `api.outcomes`.
"""


class ApiError(Exception):
    """Base of every error of this package."""


class LedgerFolderError(ApiError):
    """The ledger folder, or a key file in it, is missing, exists already, or cannot be used."""


class WriteError(ApiError):
    """A file cannot be written: the disk is full, the folder is read-only."""


class SettingsError(ApiError):
    """An environment variable or option is not what it should be."""


class RefusedError(ApiError):
    """The request cannot be carried out as it is; nothing was changed."""


class AudioRefusedError(RefusedError):
    """The bytes are not audio that is taken; `code` is one of the words in `api.decoding`."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


class TooLargeError(RefusedError):
    """More bytes than are taken."""


class RegisteredError(RefusedError):
    """The same audio is registered; `track_id` names the track, or is None when only the mark is known.

    `mark_id` is the payload of the mark that was read in it (16 hex digits), None when none was looked for.
    """

    def __init__(self, message: str, track_id: str | None, mark_id: str | None = None) -> None:
        super().__init__(message)
        self.track_id = track_id
        self.mark_id = mark_id


class StayDownError(RefusedError):
    """An upheld notice named this recording; `case_id` is its case, `track_id` the track if it is ours."""

    def __init__(self, message: str, case_id: str, track_id: str | None) -> None:
        super().__init__(message)
        self.case_id = case_id
        self.track_id = track_id


class MarkedError(RefusedError):
    """The audio carries a mark of this key; `mark_id` is its payload, 16 hex digits."""

    def __init__(self, message: str, mark_id: str) -> None:
        super().__init__(message)
        self.mark_id = mark_id


class UnreadableMarkError(RefusedError):
    """The mark cannot be read back from the stamped audio; `reasons` are codes of `api.carrier`."""

    def __init__(self, message: str, reasons: tuple[str, ...] = ()) -> None:
        super().__init__(message)
        self.reasons = reasons


class WeakMarkError(RefusedError):
    """The mark has too little margin, and enough was asked for; `reasons` are codes of `api.carrier`."""

    def __init__(self, message: str, reasons: tuple[str, ...]) -> None:
        super().__init__(message)
        self.reasons = reasons


class ManifestError(RefusedError):
    """A data set's manifest is not signed by a trusted key, or its rows are not those that were signed."""


class BackupError(RefusedError):
    """A backup does not hold, or cannot be made or restored where it was asked for."""


class MissingError(RefusedError):
    """No such track, job, entry or file."""


class ConflictError(RefusedError):
    """The job or track is in a state that does not allow it."""


class KeyReusedError(RefusedError):
    """An Idempotency-Key that was sent with another request."""


class TokenError(RefusedError):
    """No API key or token, or one that is wrong, expired or revoked."""


class ScopeError(RefusedError):
    """An API key that holds, but is not for this."""


class ForgeryError(RefusedError):
    """A form was not sent by one of this site's pages in this session."""


class SlowBodyError(RefusedError):
    """A request's body stopped coming, or came too slowly."""


class QuotaError(RefusedError):
    """Asked too often; in `retry_after_s` seconds the next question is taken."""

    def __init__(self, message: str, retry_after_s: int) -> None:
        super().__init__(f"{message}; the next is taken in {retry_after_s} s")
        self.retry_after_s = retry_after_s


class OverloadError(ApiError):
    """No capacity now, later perhaps."""


class GeneratorMissingError(ApiError):
    """The generator's libraries are not installed."""


class CredentialError(ApiError):
    """No C2PA credential could be signed into a file; the file is unchanged."""


class OriginalError(ApiError):
    """A track's sealed original is damaged, cut short, or was changed."""


class PortError(ApiError):
    """The address to serve on is taken or cannot be bound."""


class SourceError(ApiError):
    """Somebody else's server cannot be reached or does not answer as it should."""


class StoppedError(ApiError):
    """Somebody cancelled the work; nothing was registered."""
