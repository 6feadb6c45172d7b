"""Is what is about to be registered somebody's recording already? By its sound, with a policy.

A repeated registration of the same bytes or samples, or of what carries a mark of ours, is the business of
`api.recognition`. What is left is the sound: the recording of somebody else in another encoding, at another
speed, in part. The policy decides:

| policy | what happens |
| --- | --- |
| refuse | nothing is registered; the answer names the earlier recording and the ranges |
| link | registered as derived; the signed statement names the earlier track and the ranges |
| allow | registered; the signed statement names the conflict |
"""

import enum
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from watermark.identity.extraction import Query

from .errors import RegisteredError
from .evidence import Likeness
from .installation import Installation
from .likeness import identify_sound
from .staydown import refuse_listed

RESEMBLING_SHARE = 0.25
RESEMBLING_S = 15.0
"""A recording resembles another from this share of its length on, or so many seconds: less may be a loop."""
RESEMBLING_ERRORS = 0.30
"""Beyond this share of wrong bits it may be another piece of the same kind: same tempo, same chords, same
instruments. What is registered is a clean recording, in which another's would have fewer."""


@dataclass(frozen=True)
class Resemblance:
    """What a recording sounds like: everything that was matched, the best first, of that what it resembles
    enough to be a matter of policy, and what is closest though nothing may match.
    """

    matches: tuple[Likeness, ...]
    resembling: tuple[Likeness, ...]
    closest: Likeness | None = None


class ResemblancePolicy(enum.StrEnum):
    """What to do with a recording that sounds like a known one."""

    REFUSE = "refuse"
    LINK = "link"
    ALLOW = "allow"


RELATIONS = {ResemblancePolicy.LINK: "derived-from", ResemblancePolicy.ALLOW: "conflicts-with"}


def check_unlike(installation: Installation, query: Query | None, policy: ResemblancePolicy) -> Resemblance:
    """Return the known recordings that the sound is like, as the policy allows.

    Raises
    ------
    RegisteredError
        It resembles one, and the policy is to refuse.
    StayDownError
        It resembles one that must stay down, whatever the policy.
    """
    if query is None:
        return Resemblance((), ())
    evidence = identify_sound(installation, query)
    matches = evidence.matches
    found = select_resembling(matches, query.seconds)
    refuse_listed(installation, matches=found)
    if found and policy is ResemblancePolicy.REFUSE:
        first = found[0]
        what = f"recording {first.name!r:.120}" if first.track_id is None else f"track {first.track_id}"
        raise RegisteredError(
            f"the recording sounds like {what}: {first.file.start_s:.1f} to {first.file.end_s:.1f} s of it "
            f"are {first.recording.start_s:.1f} to {first.recording.end_s:.1f} s there "
            f"(by chance: at most {first.false_alarm_probability:.0e})",
            first.track_id,
        )
    return Resemblance(matches, found, evidence.closest)


def select_resembling(matches: Iterable[Likeness], seconds: float) -> tuple[Likeness, ...]:
    """Return the matches with recordings that a clip of `seconds` shares enough with."""
    matches = tuple(item for item in matches if item.bit_error_rate <= RESEMBLING_ERRORS)
    shared: dict[tuple[str | None, str], float] = {}
    for item in matches:
        name = item.track_id, item.name
        shared[name] = shared.get(name, 0.0) + item.file.seconds
    least_s = min(RESEMBLING_S, RESEMBLING_SHARE * seconds)
    return tuple(item for item in matches if shared[item.track_id, item.name] >= least_s)


def state_relations(found: Iterable[Likeness], policy: ResemblancePolicy) -> dict[str, Any]:
    """Return the members of a statement that name what a recording resembles; none where it does nothing.

    Of a recording that is no track only the fact is stated, since its name may be anybody's.
    """
    items = [
        {
            "relation": RELATIONS[policy],
            **({} if item.track_id is None else {"track_id": item.track_id}),
            "start_ms": round(1000 * item.file.start_s),
            "end_ms": round(1000 * item.file.end_s),
            "their_start_ms": round(1000 * item.recording.start_s),
            "their_end_ms": round(1000 * item.recording.end_s),
        }
        for item in found
    ]
    return {"relations": items} if items else {}
