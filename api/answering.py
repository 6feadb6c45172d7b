"""What the log says of an asset, a digest or a mark, or that it says nothing: the finished answer."""

from ledger.answer import MarkId, Question, make_answer
from ledger.canonical import check_hex
from ledger.errors import FormatError
from ledger.event import KEYS_ASSET, check_asset
from ledger.marks import MAX_MARK_BYTES

from .collecting import collect_evidence
from .installation import Installation


def answer_question(installation: Installation, question: Question) -> bytes:
    """Return the answer as of the last published map of heads.

    Raises
    ------
    ledger.errors.NotFoundError
        No map is published yet, or about a mark: the log tags no marks, or a mark key's secret is not here.
    ledger.LedgerError
        What is kept does not hold, or the database cannot be used.
    """
    evidence = collect_evidence(installation, KEYS_ASSET)
    return make_answer(installation.store, question, evidence, mark_keys=installation.keyring.mark_keys)


def parse_question(
    *, asset: str | None = None, sha256: str | None = None, mark_id: str | None = None
) -> Question:
    """Return the question about one of these; FormatError unless there is exactly one, well written."""
    if sum(item is not None for item in (asset, sha256, mark_id)) != 1:
        raise FormatError("expected one subject of the question: an asset, a digest or a mark")
    if asset is not None:
        return Question(check_asset(asset))
    if sha256 is not None:
        return Question(check_hex(sha256, "sha256"))
    octets = min(len(mark_id or "") // 2, MAX_MARK_BYTES)
    return Question(MarkId(check_hex(mark_id, "mark id", octets=max(1, octets))))
