"""Custody: which events may follow which, and who may sign them. Pure: state and event in, state out.

A recording's history as a state machine; `party` is the owner's, changed by a transfer:

| event | allowed when | signed by a key with the role (`own`: of the owner's party) |
| --- | --- | --- |
| generated | nothing happened yet | issuer |
| stamped | not revoked | issuer |
| signed | begun, not revoked | issuer |
| delivered | begun, not revoked, not taken down | issuer own, owner own |
| published | begun, not revoked, not taken down | issuer own, owner own, platform |
| licensed | begun, not revoked, not taken down | owner own |
| transferred | begun, not revoked, no notice open | owner own, and owner of the new party |
| notice | begun | platform, court |
| counter-notice | begun, its notice is open or upheld | owner own |
| decision upheld, denied | begun, its notice is open or countered | platform, court |
| decision restored | begun, its notice was upheld | platform, court |
| revoked | begun, not revoked | issuer own, owner own, court |
| erased | begun, its commitments are there and not erased | operator |

The first event is `generated` or `stamped`; its signer's party owns the recording. A recording is taken down
while a notice is upheld and not restored; a counter-notice against an upheld one does not change that. Key
events live under the asset `keys` (`register`), `anchored` under the asset `log`, signed by an operator.

    code                meaning of a CustodyError
    not-begun           the first event must be generated or stamped
    already-begun       generated is a first event only
    asset-kind          a key event outside `keys`, an anchor outside `log`, or another event there
    revoked             the recording was revoked
    taken-down          a notice was upheld
    notice-open         not while a notice is undecided
    notice-unknown      the event numbered is no notice of this asset
    notice-closed       the notice is not in a state that allows this
    commitment-unknown  what is to be erased is not there, or erased already
    mark-untagged       commits to a mark's id without its tag, in a log that has a mark key (`marks`)
    anchor-late         an anchor speaks of entries that come after it
    role-missing        no signer has a role for this
    not-owner           a signer has the role, but not of the owner's party
    key-unknown, key-retired, key-known, key-absent, operator-missing, grant-partial, revocation-late:
                        see `register`
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from .errors import CustodyError
from .event import KEYS_ASSET, LOG_ASSET, Event
from .marks import lacks_tag
from .predicate import (
    ANCHORED,
    COUNTER_NOTICE,
    COURT,
    DECISION,
    DELIVERED,
    ERASED,
    GENERATED,
    ISSUER,
    KEY_TYPES,
    LICENSED,
    NOTICE,
    OPERATOR,
    OWNER,
    PLATFORM,
    PUBLISHED,
    RESTORED,
    REVOKED,
    SIGNED,
    STAMPED,
    TRANSFERRED,
    UPHELD,
    check_erasures,
)
from .register import EMPTY_REGISTER, KeyRecord, Register, extend_register

OPEN, COUNTERED = "open", "countered"
UNDECIDED = frozenset({OPEN, COUNTERED})


@dataclass(frozen=True)
class Right:
    """Who may sign an event: a key with one of `roles`, or one of `own_roles` of the owner's party."""

    roles: frozenset[str] = frozenset()
    own_roles: frozenset[str] = frozenset()


RIGHTS: Mapping[str, Right] = {
    GENERATED: Right(frozenset({ISSUER})),
    STAMPED: Right(frozenset({ISSUER})),
    SIGNED: Right(frozenset({ISSUER})),
    DELIVERED: Right(own_roles=frozenset({ISSUER, OWNER})),
    PUBLISHED: Right(frozenset({PLATFORM}), frozenset({ISSUER, OWNER})),
    LICENSED: Right(own_roles=frozenset({OWNER})),
    TRANSFERRED: Right(own_roles=frozenset({OWNER})),
    NOTICE: Right(frozenset({PLATFORM, COURT})),
    COUNTER_NOTICE: Right(own_roles=frozenset({OWNER})),
    DECISION: Right(frozenset({PLATFORM, COURT})),
    REVOKED: Right(frozenset({COURT}), frozenset({ISSUER, OWNER})),
    ERASED: Right(frozenset({OPERATOR})),
    ANCHORED: Right(frozenset({OPERATOR})),
}
ENDED_BY_REVOCATION = frozenset({STAMPED, SIGNED, DELIVERED, PUBLISHED, LICENSED, TRANSFERRED, REVOKED})
HALTED_BY_TAKEDOWN = frozenset({DELIVERED, PUBLISHED, LICENSED})


@dataclass(frozen=True)
class AssetState:
    """What an asset's events so far amount to.

    Attributes
    ----------
    owner : the party that owns it; "" before its first event
    notices : state of each notice (open, countered, upheld, denied, restored) by its event number
    committed : commitments that can still be opened, as (event number, label)
    erased : those whose values were destroyed
    """

    events: int = 0
    owner: str = ""
    revoked: bool = False
    notices: tuple[tuple[int, str], ...] = ()
    committed: frozenset[tuple[int, str]] = frozenset()
    erased: frozenset[tuple[int, str]] = frozenset()

    @property
    def taken_down(self) -> bool:
        """A notice against it was upheld and it was not restored."""
        return any(status == UPHELD for _, status in self.notices)

    @property
    def contested(self) -> bool:
        """A notice against it is not decided."""
        return any(status in UNDECIDED for _, status in self.notices)

    @property
    def status(self) -> str:
        """One word for a reader: revoked, taken-down, contested or valid."""
        if self.revoked:
            return "revoked"
        return "taken-down" if self.taken_down else "contested" if self.contested else "valid"


NEW_ASSET = AssetState()


@dataclass(frozen=True)
class Custody:
    """The state that an event is judged in: the register of keys, and the asset that the event is about."""

    register: Register = EMPTY_REGISTER
    asset: AssetState = NEW_ASSET


def check_event(state: Custody, event: Event, index: int) -> Custody:
    """Return the state after an event whose signatures were verified.

    Parameters
    ----------
    state : the register and the event's asset just before; the place (n, prev) was compared by the caller
    event : the event, as parsed: its predicate has the members of its type
    index : its place in the log

    Raises
    ------
    CustodyError : it may not follow, or its signers may not sign it; `code` is one of the module's list
    """
    kind, asset = event.statement.predicate_type, event.place.asset
    if (kind in KEY_TYPES) != (asset == KEYS_ASSET) or (kind == ANCHORED) != (asset == LOG_ASSET):
        raise CustodyError("asset-kind", f"{_name(kind)} events do not belong to the asset {asset!r:.140}")
    if kind in KEY_TYPES:
        register = extend_register(state.register, event.statement, event.key_ids, event.added_key, index)
        return Custody(register, replace(state.asset, events=state.asset.events + 1))
    if kind == ANCHORED and event.statement.predicate["size"] > index:
        raise CustodyError("anchor-late", f"an anchor at entry {index} may not speak of later ones")
    signers = state.register.find_signers(event.key_ids, index)
    current = state.asset
    if kind != ANCHORED:
        _check_order(current, kind)
        if not current.events:
            current = AssetState(owner=_first_owner(signers))
    _check_right(current, kind, signers)
    statement = event.statement
    if state.register.tags_marks(index) and lacks_tag(statement.predicate, statement.subjects):
        raise CustodyError("mark-untagged", f"{_name(kind)} commits to a mark and names no tag of it")
    return Custody(state.register, _apply(current, event, signers))


def _check_order(state: AssetState, kind: str) -> None:
    if not state.events and kind not in (GENERATED, STAMPED):
        raise CustodyError("not-begun", f"expected generated or stamped as first event, got {_name(kind)}")
    if state.events and kind == GENERATED:
        raise CustodyError("already-begun", f"expected 'generated' as first event, got it as {state.events}")
    if state.revoked and kind in ENDED_BY_REVOCATION:
        raise CustodyError("revoked", f"{_name(kind)} may not follow the revocation")
    if kind in HALTED_BY_TAKEDOWN and state.taken_down:
        raise CustodyError("taken-down", f"{_name(kind)} may not follow an upheld notice")
    if kind == TRANSFERRED and state.contested:
        raise CustodyError("notice-open", "transferred may not follow a notice that is not decided")


def _check_right(state: AssetState, kind: str, signers: list[KeyRecord]) -> None:
    right = RIGHTS[kind]
    if not all(right.roles.isdisjoint(signer.roles) for signer in signers):
        return
    holders = [signer for signer in signers if signer.roles & right.own_roles]
    if any(signer.party == state.owner for signer in holders):
        return
    if holders:
        raise CustodyError(
            "not-owner", f"{_name(kind)} is signed by {holders[0].party}, but {state.owner} owns the asset"
        )
    allowed = sorted(right.roles | right.own_roles)
    raise CustodyError("role-missing", f"{_name(kind)} needs a signer with a role of {allowed}")


def _first_owner(signers: list[KeyRecord]) -> str:
    # Without an issuer among them the right is missing, which is said next.
    return next((signer.party for signer in signers if ISSUER in signer.roles), "")


def _apply(state: AssetState, event: Event, signers: list[KeyRecord]) -> AssetState:
    kind, predicate = event.statement.predicate_type, event.statement.predicate
    n = event.place.n
    labels = predicate.get("commitments", ())  # their form was checked with the predicate's
    committed = state.committed.union((n, label) for label in labels) if labels else state.committed
    # Written out: `replace` takes a tenth of a commit's work.
    after = AssetState(state.events + 1, state.owner, state.revoked, state.notices, committed, state.erased)
    if kind == TRANSFERRED:
        to = predicate["to"]
        if not any(signer.party == to and OWNER in signer.roles for signer in signers):
            raise CustodyError("role-missing", f"transferred needs a signature of the new owner {to}")
        return replace(after, owner=to)
    if kind == NOTICE:
        return replace(after, notices=(*state.notices, (n, OPEN)))
    if kind == COUNTER_NOTICE:
        if (predicate["notice"], UPHELD) in state.notices:
            return after  # it stays taken down until a decision restores it
        return _set_notice(after, predicate["notice"], COUNTERED, allowed=frozenset({OPEN}))
    if kind == DECISION:
        outcome = predicate["outcome"]
        allowed = frozenset({UPHELD}) if outcome == RESTORED else UNDECIDED
        return _set_notice(after, predicate["notice"], outcome, allowed=allowed)
    if kind == REVOKED:
        return replace(after, revoked=True)
    if kind == ERASED:
        named = check_erasures(predicate["erased"], "erased")
        if not named <= state.committed:
            missing = sorted(named - state.committed)[0]
            raise CustodyError("commitment-unknown", f"no commitment {missing[1]!r} of event {missing[0]}")
        return replace(after, committed=after.committed - named, erased=after.erased | named)
    return after


def _set_notice(state: AssetState, n: int, status: str, *, allowed: frozenset[str]) -> AssetState:
    notices = dict(state.notices)
    if n not in notices:
        raise CustodyError("notice-unknown", f"event {n} of this asset is no notice")
    if notices[n] not in allowed:
        raise CustodyError("notice-closed", f"notice {n} is {notices[n]}, and cannot become {status}")
    notices[n] = status
    return replace(state, notices=tuple(sorted(notices.items())))


def _name(kind: str) -> str:
    return kind.rsplit("/", 2)[-2]
