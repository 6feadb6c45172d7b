"""What has to happen in a case, and by when: a pure function of its steps.

| deadline | starts with | due | ends with | rests on |
| --- | --- | --- | --- | --- |
| acknowledge | received | 1 business day | sent receipt | DSA Art. 16(4): without undue delay |
| ask-for-missing | checked: incomplete | 2 business days | sent missing, supplemented | 512(c)(3)(B)(ii) |
| assess | received and complete | 2 business days | accepted, closed, withdrawn | DSA Art. 16(6): timely |
| act | accepted, dmca | 2 business days | restricted, decided | 512(c)(1)(C): expeditiously |
| decide | accepted | 10 business days; 48 hours if urgent | decided | DSA Art. 16(6): timely |
| forward-counter-notice | countered | 1 business day | sent counter-notice | 512(g)(2)(B): promptly |
| restore | countered | 10th to 14th business day | restored, decided, court-action | 512(g)(2)(C) |
| tell-claimant | decided, restored | 1 business day | sent decision | DSA Art. 16(5): without undue delay |
| state-reasons | restricted, upheld | 1 business day | sent reasons | DSA Art. 17(2) |
| decide-complaint | complained | 10 business days | complaint-decided | DSA Art. 20(4): timely |
| answer | accepted verification request | 5 business days | examined | this service |

Those of 512 run for notices under that law alone. A notice that lacks more than the provider must ask for
(`requirements.SUBSTANTIAL`) starts no `ask-for-missing`. Only `restore` is a number of the law (`firm`): the
laws say "promptly", and the other numbers are this service's, in `ClockPolicy`. Days are dates of UTC; a
deadline ends with its day.
"""

import datetime
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from . import casestates as cs
from .businessdays import add_business_days
from .notices import DMCA, DSA

RECEIPT, MISSING_LETTER, COUNTER_LETTER, DECISION_LETTER, REASONS_LETTER = (
    "receipt",
    "missing",
    "counter-notice",
    "decision",
    "reasons",
)
LETTERS = (RECEIPT, MISSING_LETTER, COUNTER_LETTER, DECISION_LETTER, REASONS_LETTER)
RESTORE_FIRST, RESTORE_LAST = 10, 14
"""Business days after a counter-notice in which the material is put back: 17 U.S.C. 512(g)(2)(C)."""
COMPLAINT_MONTHS = 6
"""How long a decision can be complained about, at least: Art. 20(1)."""
TIME_FORMAT = "%Y-%m-%dT%H:%M:%SZ"


@dataclass(frozen=True)
class ClockPolicy:
    """Business days that this service takes for "promptly" and "timely"; `urgent_hours` are hours."""

    acknowledge: int = 1
    ask: int = 2
    assess: int = 2
    act: int = 2
    decide: int = 10
    forward: int = 1
    tell: int = 1
    complaint: int = 10
    answer: int = 5
    urgent_hours: int = 48


POLICY = ClockPolicy()


@dataclass(frozen=True)
class Deadline:
    """Something that has to happen.

    Attributes
    ----------
    name : one of the module's table
    due : RFC 3339 UTC
    earliest : not before this time, or ""
    basis : the provision that it rests on
    firm : whether the number is the law's
    """

    name: str
    due: str
    basis: str
    earliest: str = ""
    firm: bool = False

    def is_late(self, time: str) -> bool:
        """Say whether it is past at a time, RFC 3339 UTC."""
        return time > self.due


@dataclass(frozen=True)
class Happened:
    """A step, as far as clocks go: its kind, time and facts."""

    step: str
    time: str
    facts: Mapping[str, Any]


def parse_time(text: str) -> datetime.datetime:
    """Return the moment of an RFC 3339 UTC text such as 2026-11-22T17:31:32Z."""
    return datetime.datetime.strptime(text, TIME_FORMAT).replace(tzinfo=datetime.UTC)


def find_window(countered: str) -> tuple[str, str]:
    """Return from when and until when material is put back after a counter-notice of this time."""
    day = parse_time(countered).date()
    first, last = add_business_days(day, RESTORE_FIRST), add_business_days(day, RESTORE_LAST)
    return f"{first.isoformat()}T00:00:00Z", _end(last)


def find_complaint_end(decided: str) -> str:
    """Return until when a decision of this time can be complained about: the end of a day in six months."""
    day = parse_time(decided).date()
    months = day.month - 1 + COMPLAINT_MONTHS
    year, month = day.year + months // 12, months % 12 + 1
    for last in (day.day, 30, 29, 28):
        try:
            return _end(datetime.date(year, month, last))
        except ValueError:
            continue
    raise AssertionError(f"no such day in {year}-{month}")


def list_deadlines(steps: Sequence[Happened], policy: ClockPolicy = POLICY) -> tuple[Deadline, ...]:
    """Return what has to happen in a case, the earliest first.

    Parameters
    ----------
    steps
        All steps of the case in order, each allowed (`casestates.advance`).
    policy
        What the laws' words come to in days.
    """
    state = cs.NEW_CASE
    open_: dict[str, Deadline] = {}
    laws: tuple[str, ...] = ()
    urgent = False
    for item in steps:
        if item.step == cs.RECEIVED:
            laws, urgent = tuple(item.facts.get("laws", ())), bool(item.facts.get("urgent"))
        before = state
        state = cs.advance(state, item.step, item.facts, time=item.time, kind=item.facts.get("kind", ""))
        for name in _ENDS.get(item.step, ()):
            open_.pop(name, None)
        if item.step == cs.SENT:
            open_.pop(_SENT.get(str(item.facts.get("letter")), ""), None)
        for deadline in _start(item, before, state, laws, policy, urgent=urgent):
            open_[deadline.name] = deadline
        if state.status in (cs.CLOSED, cs.RESTORED, cs.DENIED):
            open_ = {name: open_[name] for name in _AFTER_THE_END if name in open_}
    return tuple(sorted(open_.values(), key=lambda deadline: (deadline.due, deadline.name)))


_ENDS: Mapping[str, tuple[str, ...]] = {
    cs.SUPPLEMENTED: ("ask-for-missing",),
    cs.ACCEPTED: ("assess", "ask-for-missing"),
    cs.RESTRICTED: ("act",),
    cs.DECIDED: ("act", "decide", "restore"),
    cs.RESTORED: ("restore",),
    cs.COURT_ACTION: ("restore",),
    cs.COMPLAINT_DECIDED: ("decide-complaint",),
    cs.EXAMINED: ("answer",),
}
_SENT = {
    RECEIPT: "acknowledge",
    MISSING_LETTER: "ask-for-missing",
    COUNTER_LETTER: "forward-counter-notice",
    DECISION_LETTER: "tell-claimant",
    REASONS_LETTER: "state-reasons",
}
_AFTER_THE_END = ("acknowledge", "tell-claimant", "decide-complaint", "state-reasons")


def _start(
    item: Happened,
    before: cs.CaseState,
    after: cs.CaseState,
    laws: tuple[str, ...],
    policy: ClockPolicy,
    *,
    urgent: bool,
) -> list[Deadline]:
    """Return the deadlines that a step starts."""
    notice = after.kind == cs.NOTICE

    def days(name: str, count: int, basis: str) -> Deadline:
        return Deadline(name, _end(add_business_days(parse_time(item.time).date(), count)), basis)

    if item.step == cs.RECEIVED:
        return [days("acknowledge", policy.acknowledge, "DSA Art. 16(4)" if DSA in laws else "this service")]
    if item.step == cs.CHECKED and item.facts["missing"]:
        asked = [days("ask-for-missing", policy.ask, "512(c)(3)(B)(ii)" if DMCA in laws else "this service")]
        return asked if not notice or item.facts.get("substantial") else []
    if item.step == cs.CHECKED:
        return [days("assess", policy.assess, "DSA Art. 16(6)" if DSA in laws else "this service")]
    if item.step == cs.ACCEPTED and not notice:
        return [days("answer", policy.answer, "this service")]
    if item.step == cs.ACCEPTED:
        decide = days("decide", policy.decide, "DSA Art. 16(6)" if DSA in laws else "this service")
        if urgent:
            due = parse_time(item.time) + datetime.timedelta(hours=policy.urgent_hours)
            decide = Deadline("decide", due.strftime(TIME_FORMAT), decide.basis)
        return [decide, *([days("act", policy.act, "512(c)(1)(C)")] if DMCA in laws else [])]
    if item.step == cs.COUNTERED and DMCA in laws:
        first, last = find_window(item.time)
        return [
            days("forward-counter-notice", policy.forward, "512(g)(2)(B)"),
            Deadline("restore", last, "512(g)(2)(C)", earliest=first, firm=True),
        ]
    if item.step == cs.COMPLAINED:
        return [days("decide-complaint", policy.complaint, "DSA Art. 20(4)")]
    started = []
    if after.restricted and not before.restricted:
        started.append(days("state-reasons", policy.tell, "DSA Art. 17(2)"))
    if notice and after.status != before.status and after.status in (cs.UPHELD, cs.DENIED, cs.RESTORED):
        started.append(days("tell-claimant", policy.tell, "DSA Art. 16(5)"))
    return started


def _end(day: datetime.date) -> str:
    return f"{day.isoformat()}T23:59:59Z"
