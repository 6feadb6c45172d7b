"""How a step of a case is written, so that case, ledger and vault never contradict each other.

Order of writes:

1. what is personal is sealed in the vault
2. the signed step, in state `pending`
3. the ledger's events that go with it, if any, each naming the step's digest       <- the commit point
4. the step is `done`, and the case's row says what it has come to

A crash before 3 leaves a step that never counted: the next step of this case removes it. A crash after 3
leaves one that the ledger has: the next step finishes it. Steps are written under a lock of the folder.
"""

import contextlib
import fcntl
import hashlib
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import ledger
from ledger.envelope import parse_envelope
from ledger.errors import CorruptError, LedgerError, OutcomeUnknownError

from .cases import DONE, PENDING, CaseRow, DocumentRow, StayDownRow, StepRow
from .casestates import NEW_CASE, NOTICE, RESTORED, UPHELD, CaseError, CaseState, advance
from .casesteps import Step, build_step, name_case, open_step, replay
from .deadlines import list_deadlines
from .errors import MissingError, WriteError
from .installation import Installation, now
from .release import name_asset

Drafts = Callable[[CaseState, CaseState, bytes], list[ledger.Draft]]
"""Give the ledger's events that go with a step: state before and after it, digest of its bytes."""


@dataclass(frozen=True)
class Taken:
    """A step that was taken: the step, the case's state after it, the ledger's entries that go with it."""

    step: Step
    state: CaseState
    receipts: tuple[ledger.Receipt, ...]


def no_events(_before: CaseState, _after: CaseState, _digest: bytes) -> list[ledger.Draft]:
    """Give no events."""
    return []


@contextlib.contextmanager
def hold_cases(installation: Installation) -> Iterator[None]:
    """Hold the lock under which steps are written; WriteError when its file cannot be made."""
    path = installation.settings.home / "cases.lock"
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise WriteError(f"{path}: cannot be made: {error.strerror}") from error
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def load_steps(installation: Installation, case_id: str) -> tuple[tuple[Step, ...], CaseState]:
    """Return a case's steps, signatures and order checked, and what they amount to; without a pending one.

    Raises
    ------
    MissingError
        No such case.
    ledger.errors.CorruptError
        The stored steps do not hold: somebody changed the database.
    """
    installation.cases.get_case(case_id)
    keys = installation.store.public_keys()
    try:
        steps = tuple(
            open_step(row.envelope, keys)
            for row in installation.cases.list_steps(case_id)
            if row.state == DONE
        )
        return steps, replay(case_id, steps)
    except (LedgerError, CaseError, KeyError) as error:
        raise CorruptError(f"case {case_id}: its stored steps do not hold: {error}", index=None) from error


def take_step(
    installation: Installation,
    case_id: str,
    step: str,
    facts: Mapping[str, Any],
    *,
    signing_keys: Sequence[ledger.SigningKey],
    personal: Mapping[str, object] | None = None,
    person: str = "",
    subjects: Sequence[ledger.Subject] = (),
    document: bytes | None = None,
    listed: Sequence[StayDownRow] = (),
    drafts: Drafts = no_events,
) -> Taken:
    """Add a step to a case, with the ledger's events that go with it, or change nothing.

    Parameters
    ----------
    installation
        The ledger folder.
    case_id
        A case that was begun.
    step, facts
        What happened (`casestates`), and what its statement says: nothing personal.
    signing_keys
        Who signs the step.
    personal, person
        Values by label that are sealed under a person's key and only committed to.
    subjects
        Digests of files that the step is about.
    document
        A signed document that the facts name by its digest, to be kept with the case.
    listed
        What goes on the stay-down list with it; the case's own tracks do so by themselves.
    drafts
        Gives the ledger's events.

    Raises
    ------
    MissingError, CaseError, ConflictError
        No such case; the step may not follow; somebody else was first.
    ledger.LedgerError
        The ledger does not take the events.
    """
    with hold_cases(installation):
        settle(installation, case_id)
        steps, before = load_steps(installation, case_id)
        time = now()
        after = advance(before, step, facts, time=time)  # before anything is sealed or written
        commitments = _seal(installation, case_id, person, personal or {})
        try:
            payload = build_step(
                case_id,
                before.kind,
                steps[-1],
                step,
                facts,
                time=time,
                commitments=commitments,
                subjects=subjects,
            )
            envelope = ledger.sign_envelope(payload, signing_keys)
            taken = open_step(envelope, installation.store.public_keys())
            row = StepRow(case_id=case_id, n=taken.n, state=PENDING, digest=taken.digest, envelope=envelope)
            installation.cases.add_step(row, _describe_document(case_id, document))
        except BaseException:
            installation.vault.remove(list(commitments.values()))
            raise
        try:
            events = drafts(before, after, taken.digest)
            log_key = installation.keyring.log_signing_key
            receipts = installation.store.append(events, log_signing_key=log_key) if events else []
        except OutcomeUnknownError:
            raise  # the entries may be there: the next step looks them up
        except LedgerError:
            installation.cases.drop_step(case_id, taken.n)
            installation.vault.remove(list(commitments.values()))
            raise
        _finish(installation, case_id, (*steps, taken), after, listed)
    return Taken(taken, after, tuple(receipts))


def begin_case(
    installation: Installation,
    row: CaseRow,
    facts: Mapping[str, Any],
    *,
    signing_keys: Sequence[ledger.SigningKey],
    personal: Mapping[str, object],
) -> Step:
    """Write a new case with its first step, `received`; errors as `take_step`."""
    case_id = row.case_id
    advance(NEW_CASE, "received", facts, time=row.opened, kind=row.kind)
    commitments = _seal(installation, case_id, row.person, personal)
    try:
        payload = build_step(
            case_id, row.kind, None, "received", facts, time=row.opened, commitments=commitments
        )
        envelope = ledger.sign_envelope(payload, signing_keys)
        step = open_step(envelope, [key.public_key for key in signing_keys])
        first = StepRow(case_id=case_id, n=0, state=DONE, digest=step.digest, envelope=envelope)
        installation.cases.open_case(row, first)
    except BaseException:
        installation.vault.remove(list(commitments.values()))
        raise
    return step


def settle(installation: Installation, case_id: str) -> None:
    """Finish or remove a step that a crash left pending; the caller holds the lock.

    Raises
    ------
    MissingError
        No such case.
    """
    pending = [row for row in installation.cases.list_steps(case_id) if row.state == PENDING]
    for row in pending:
        steps, state = load_steps(installation, case_id)
        step = open_step(row.envelope, installation.store.public_keys())
        after = advance(state, step.step, step.facts, time=step.time)
        if any(find_events(installation, track_id, {row.digest}) for track_id in after.tracks):
            _finish(installation, case_id, (*steps, step), after)
        else:
            installation.cases.drop_step(case_id, row.n)
            installation.vault.remove(list(step.commitments.values()))


def find_events(
    installation: Installation, track_id: str, digests: set[bytes]
) -> list[tuple[int, int, str, bytes]]:
    """Return the events of a track that name one of these steps: index, number, type, digest of the step."""
    found = []
    for n, (index, entry) in enumerate(installation.store.chain(name_asset(track_id))):
        statement = ledger.parse_statement(parse_envelope(entry).unverified_payload)
        named = statement.predicate.get("evidence_sha256")
        if isinstance(named, str) and bytes.fromhex(named) in digests:
            found.append((index, n, statement.predicate_type, bytes.fromhex(named)))
    return found


def _finish(
    installation: Installation,
    case_id: str,
    steps: Sequence[Step],
    state: CaseState,
    listed: Sequence[StayDownRow] = (),
) -> None:
    deadlines = list_deadlines([item.happened() for item in steps])
    time = steps[-1].time
    if state.kind == NOTICE and state.status == UPHELD:
        tracks = [
            StayDownRow(case_id=case_id, track_id=track_id, added=False, created=time)
            for track_id in state.tracks
        ]
        listed = (*tracks, *listed)
    lifted = state.status == RESTORED
    added = installation.cases.list_stay_down(case_id=case_id) if lifted else []
    installation.cases.finish_step(
        case_id,
        steps[-1].n,
        status=state.status,
        updated=steps[-1].time,
        due=deadlines[0].due if deadlines else None,
        tracks=" ".join(state.tracks),
        listed=listed,
        lifted=lifted,
    )
    for row in added:
        if row.added and row.number is not None:
            _forget_recording(installation, row.number)


def _forget_recording(installation: Installation, number: int) -> None:
    """Take a recording out of the catalogue that was put there for a case, unless another case lists it."""
    if not installation.cases.find_stay_down(tracks=(), numbers=[number], digests=()):
        with contextlib.suppress(MissingError):
            installation.catalogue.remove(number)


def _seal(
    installation: Installation, case_id: str, person: str, personal: Mapping[str, object]
) -> dict[str, bytes]:
    sealed: dict[str, bytes] = {}
    try:
        for label, value in personal.items():
            sealed[label] = installation.vault.seal(person, name_case(case_id), label, value)
    except BaseException:
        installation.vault.remove(list(sealed.values()))
        raise
    return sealed


def _describe_document(case_id: str, content: bytes | None) -> DocumentRow | None:
    if content is None:
        return None
    return DocumentRow(case_id=case_id, sha256=hashlib.sha256(content).hexdigest(), content=content)
