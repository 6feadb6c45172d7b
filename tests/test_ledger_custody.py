"""The state machine and the roles, event by event; every rule once kept and once broken."""

import itertools
from dataclasses import dataclass, field, replace

import pytest
from ledger_world import ORIGIN, sha

from ledger import PublicKey, SigningKey, Subject, build_statement, parse_statement
from ledger.custody import Custody, check_event
from ledger.errors import CustodyError
from ledger.event import KEYS_ASSET, LOG_ASSET, Event, Place
from ledger.predicate import (
    ANCHORED,
    COUNTER_NOTICE,
    COURT,
    DECISION,
    DELIVERED,
    ERASED,
    EVENT_TYPES,
    GENERATED,
    ISSUER,
    KEY_ADDED,
    KEY_REVOKED,
    KEY_ROTATED,
    KEY_TYPES,
    LICENSED,
    NOTICE,
    OPERATOR,
    OWNER,
    PLATFORM,
    PUBLISHED,
    REVOKED,
    ROLES,
    SIGNED,
    STAMPED,
    TRANSFERRED,
)
from ledger.register import HOUSE

TIME = "2026-11-22T17:31:32Z"
HEX = sha("x").hex()
NAMES = ("root", "label", "label2", "buyer", "platform", "court", "issuer", "spare")
KEYS = {name: SigningKey(sha(name)).public_key for name in NAMES}
GRANTS = {
    "label": ((OWNER, ISSUER), "label.example"),
    "label2": ((OWNER,), "label.example"),
    "buyer": ((OWNER,), "buyer.example"),
    "platform": ((PLATFORM,), "platform.example"),
    "court": ((COURT,), "court.example"),
    "issuer": ((ISSUER,), "studio.example"),
}
FACTS: dict[str, dict[str, object]] = {
    GENERATED: {"commitments": {"prompt": HEX}},
    STAMPED: {},
    SIGNED: {"credential": {"id": "urn:c2pa:1", "sha256": HEX}},
    DELIVERED: {"commitments": {"recipient": HEX}},
    PUBLISHED: {"channel": "radio"},
    LICENSED: {"licence": {"class": "sync", "terms_sha256": HEX}},
    TRANSFERRED: {"to": "buyer.example"},
    NOTICE: {"claim": "copyright"},
    COUNTER_NOTICE: {"notice": 1},
    DECISION: {"notice": 1, "outcome": "upheld"},
    REVOKED: {"reason": "stamped-in-error"},
    ERASED: {"ground": "gdpr-17", "erased": [{"n": 0, "label": "prompt"}]},
    ANCHORED: {"size": 3, "heads_root": HEX, "keys": 4},
}
PROPER = {
    GENERATED: ("label",),
    STAMPED: ("label",),
    SIGNED: ("label",),
    DELIVERED: ("label",),
    PUBLISHED: ("label",),
    LICENSED: ("label",),
    TRANSFERRED: ("label", "buyer"),
    NOTICE: ("platform",),
    COUNTER_NOTICE: ("label",),
    DECISION: ("court",),
    REVOKED: ("label",),
    ERASED: ("root",),
}


def make_event(
    kind: str,
    signers: tuple[str, ...],
    n: int,
    *,
    asset: str = "track:1",
    added: str | None = None,
    tagged: bool = False,
    **facts: object,
) -> Event:
    """Return an event as it is after its signatures were verified."""
    place = Place(ORIGIN, asset, n, sha("prev") if n else b"")
    timed = {} if kind in KEY_TYPES else {"time": TIME}
    members = {**timed, **FACTS.get(kind, {}), **facts}
    if added:
        members["key"] = KEYS[added].jwk()
    subjects = [Subject("file", sha("file")), *([Subject("mark", sha("tag"))] if tagged else [])]
    payload = build_statement(kind, subjects, {**members, "ledger": place.member()})
    key = KEYS[added] if added else None
    return Event(parse_statement(payload), place, tuple(KEYS[name].key_id for name in signers), key)


@dataclass
class Log:
    """A log that grows by one event at a time; only `track:1` and the keys are looked at."""

    state: Custody = field(default_factory=Custody)
    index: int = 0
    n: int = 0
    keys_n: int = 0

    def add(self, kind: str, *signers: str, asset: str | None = None, **facts: object) -> "Log":
        on_keys = kind in KEY_TYPES
        where = asset or (KEYS_ASSET if on_keys else LOG_ASSET if kind == ANCHORED else "track:1")
        number = self.keys_n if on_keys else self.n
        event = make_event(kind, signers or PROPER[kind], number, asset=where, **facts)
        after = check_event(self.state, event, self.index)
        self.state = replace(after, asset=self.state.asset) if on_keys else after
        self.index += 1
        self.keys_n += on_keys
        self.n += not on_keys
        return self

    def refuses(self, code: str, kind: str, *signers: str, **facts: object) -> None:
        before = replace(self.state)
        with pytest.raises(CustodyError) as caught:
            self.add(kind, *signers, **facts)
        assert caught.value.code == code, caught.value
        assert self.state == before


def make_log() -> Log:
    """Return a log whose keys are those of GRANTS, added by the root key."""
    log = Log().add(KEY_ADDED, "root", added="root")
    for name, (roles, party) in GRANTS.items():
        log.add(KEY_ADDED, name, "root", added=name, roles=sorted(roles), party=party)
    return log


@pytest.fixture
def log() -> Log:
    return make_log().add(GENERATED)


def test_a_whole_life_is_followed(log: Log) -> None:
    assert (log.state.asset.owner, log.state.asset.status) == ("label.example", "valid")
    for kind in (STAMPED, SIGNED, DELIVERED, PUBLISHED, LICENSED):
        log.add(kind)
    log.add(NOTICE)
    assert log.state.asset.status == "contested"
    log.add(COUNTER_NOTICE, notice=6)
    assert log.state.asset.contested
    log.add(DECISION, notice=6)
    assert log.state.asset.status == "taken-down"
    log.add(DECISION, notice=6, outcome="restored")
    assert log.state.asset.status == "valid"
    log.add(TRANSFERRED)
    assert log.state.asset.owner == "buyer.example"
    log.add(LICENSED, "buyer")
    log.add(ERASED)
    assert log.state.asset.erased == {(0, "prompt")}
    log.add(REVOKED, "buyer")
    assert log.state.asset.status == "revoked"
    assert log.state.asset.events == log.n


# Each state with what may not follow in it; everything else must be accepted there.
STATES: dict[str, tuple[list[tuple[str, dict[str, object]]], dict[str, str]]] = {
    "begun": ([], {GENERATED: "already-begun", COUNTER_NOTICE: "notice-unknown", DECISION: "notice-unknown"}),
    "contested": ([(NOTICE, {})], {GENERATED: "already-begun", TRANSFERRED: "notice-open"}),
    "countered": (
        [(NOTICE, {}), (COUNTER_NOTICE, {})],
        {GENERATED: "already-begun", TRANSFERRED: "notice-open", COUNTER_NOTICE: "notice-closed"},
    ),
    "denied": (
        [(NOTICE, {}), (DECISION, {"outcome": "denied"})],
        {GENERATED: "already-begun", COUNTER_NOTICE: "notice-closed", DECISION: "notice-closed"},
    ),
    "taken down": (
        [(NOTICE, {}), (DECISION, {})],
        {
            GENERATED: "already-begun",
            DECISION: "notice-closed",
            DELIVERED: "taken-down",
            PUBLISHED: "taken-down",
            LICENSED: "taken-down",
        },
    ),
    "restored": (
        [(NOTICE, {}), (DECISION, {}), (DECISION, {"outcome": "restored"})],
        {GENERATED: "already-begun", COUNTER_NOTICE: "notice-closed", DECISION: "notice-closed"},
    ),
    "revoked": (
        [(NOTICE, {}), (REVOKED, {})],
        {GENERATED: "already-begun"}
        | dict.fromkeys((STAMPED, SIGNED, DELIVERED, PUBLISHED, LICENSED, TRANSFERRED, REVOKED), "revoked"),
    ),
    "erased": (
        [(ERASED, {})],
        {
            GENERATED: "already-begun",
            COUNTER_NOTICE: "notice-unknown",
            DECISION: "notice-unknown",
            ERASED: "commitment-unknown",
        },
    ),
}
ABOUT_RECORDINGS = sorted(EVENT_TYPES - KEY_TYPES - {ANCHORED})


@pytest.mark.parametrize("kind", ABOUT_RECORDINGS)
@pytest.mark.parametrize("name", list(STATES))
def test_every_event_in_every_state_is_allowed_or_refused_by_the_table(
    log: Log, name: str, kind: str
) -> None:
    events, refused = STATES[name]
    for earlier, facts in events:
        log.add(earlier, **facts)
    if kind in refused:
        log.refuses(refused[kind], kind)
    else:
        log.add(kind)


@pytest.mark.parametrize("kind", ABOUT_RECORDINGS)
def test_a_history_begins_with_generated_or_stamped(kind: str) -> None:
    log = make_log()
    if kind in (GENERATED, STAMPED):
        log.add(kind)
        assert log.state.asset.owner == "label.example"
    else:
        log.refuses("not-begun", kind)


def test_restoring_needs_an_upheld_notice_and_its_own_number(log: Log) -> None:
    log.add(NOTICE).add(NOTICE)
    log.refuses("notice-closed", DECISION, notice=1, outcome="restored")
    log.add(DECISION, notice=1).add(DECISION, notice=2)
    log.add(DECISION, notice=1, outcome="restored")
    assert log.state.asset.taken_down  # the second notice stands
    log.refuses("notice-unknown", DECISION, notice=0)
    log.refuses("notice-unknown", DECISION, notice=3)
    log.refuses("notice-unknown", DECISION, notice=99)


def test_a_counter_notice_against_an_upheld_notice_leaves_it_taken_down(log: Log) -> None:
    log.add(NOTICE).add(DECISION).add(COUNTER_NOTICE)
    assert log.state.asset.status == "taken-down"
    log.add(DECISION, outcome="restored")
    assert log.state.asset.status == "valid"
    log.refuses("notice-closed", COUNTER_NOTICE)


ALLOWED: dict[str, set[str]] = {
    STAMPED: {"root", "label", "issuer"},
    SIGNED: {"root", "label", "issuer"},
    DELIVERED: {"label", "label2"},
    PUBLISHED: {"label", "label2", "platform"},
    LICENSED: {"label", "label2"},
    NOTICE: {"platform", "court"},
    COUNTER_NOTICE: {"label", "label2"},
    DECISION: {"platform", "court"},
    REVOKED: {"label", "label2", "court"},
    ERASED: {"root"},
}
STRANGERS = {  # these have the role, but another party's
    DELIVERED: {"root", "buyer", "issuer"},
    PUBLISHED: {"root", "buyer", "issuer"},
    LICENSED: {"root", "buyer"},
    COUNTER_NOTICE: {"root", "buyer"},
    REVOKED: {"root", "buyer", "issuer"},
}


@pytest.mark.parametrize("kind", sorted(ALLOWED))
@pytest.mark.parametrize("signer", ["root", "label", "label2", "buyer", "platform", "court", "issuer"])
def test_every_role_may_do_what_the_table_says_and_no_more(log: Log, kind: str, signer: str) -> None:
    log.add(NOTICE)
    if signer in ALLOWED[kind]:
        log.add(kind, signer)
    else:
        log.refuses("not-owner" if signer in STRANGERS.get(kind, set()) else "role-missing", kind, signer)


def test_a_transfer_is_signed_by_both_sides(log: Log) -> None:
    log.refuses("role-missing", TRANSFERRED, "label")
    log.refuses("not-owner", TRANSFERRED, "buyer")
    log.refuses("role-missing", TRANSFERRED, "label", "platform", to="platform.example")
    log.add(TRANSFERRED, "label", "buyer")
    log.refuses("not-owner", LICENSED, "label")
    log.add(LICENSED, "buyer")


def test_the_owner_is_the_party_of_the_issuer_who_signed_first() -> None:
    assert make_log().add(GENERATED, "root").state.asset.owner == HOUSE
    assert make_log().add(STAMPED, "court", "issuer").state.asset.owner == "studio.example"
    make_log().refuses("role-missing", GENERATED, "buyer")


def test_events_stand_under_an_asset_of_their_kind(log: Log) -> None:
    for kind, asset in (
        (STAMPED, KEYS_ASSET),
        (STAMPED, LOG_ASSET),
        (ANCHORED, "track:1"),
        (ANCHORED, KEYS_ASSET),
    ):
        log.refuses("asset-kind", kind, "root", asset=asset)
    log.refuses(
        "asset-kind", KEY_REVOKED, "root", asset="track:1", key_id=KEYS["buyer"].key_id, reason="lost"
    )


def test_anchors_are_the_operator_s_and_speak_of_what_came_before() -> None:
    log = make_log()
    log.refuses("anchor-late", ANCHORED, "root", size=log.index + 1)
    log.add(ANCHORED, "root", size=log.index)
    make_log().add(ANCHORED, "root")
    for name in GRANTS:
        make_log().refuses("role-missing", ANCHORED, name)


def test_keys_count_from_their_entry_up_to_their_revocation(log: Log) -> None:
    log.refuses("key-unknown", LICENSED, "spare")
    log.add(LICENSED, "label2")
    log.add(KEY_REVOKED, "root", key_id=KEYS["label2"].key_id, reason="compromised", **{"from": 3})
    log.refuses("key-retired", LICENSED, "label2")
    log.refuses("key-retired", LICENSED, "label", "label2")  # one good signature does not mend it
    log.add(LICENSED, "label")
    record = log.state.register.records[KEYS["label2"].key_id]
    assert (record.retired_at, record.disputed_from, record.reason) == (9, 3, "compromised")
    assert [record.is_disputed(index) for index in (2, 3, 8)] == [False, True, True]
    assert not log.state.register.records[KEYS["label"].key_id].is_disputed(99)


def test_a_rotation_hands_over_roles_party_and_ownership(log: Log) -> None:
    log.refuses("key-absent", KEY_ROTATED, "spare", added="spare", replaces=KEYS["label"].key_id)
    log.refuses("key-absent", KEY_ROTATED, "label", added="spare", replaces=KEYS["label"].key_id)
    log.refuses("key-absent", KEY_ROTATED, "spare", "root", added="spare", replaces=KEYS["label"].key_id)
    log.refuses("key-known", KEY_ROTATED, "buyer", "label", added="buyer", replaces=KEYS["label"].key_id)
    log.add(KEY_ROTATED, "spare", "label", added="spare", replaces=KEYS["label"].key_id)
    log.refuses("key-retired", LICENSED, "label")
    log.add(LICENSED, "spare")
    assert log.state.register.records[KEYS["spare"].key_id].party == "label.example"


def test_only_operators_add_and_revoke_keys_and_every_key_itself() -> None:
    for name in GRANTS:
        log = make_log()
        grant = {"roles": ["owner"], "party": "x"}
        log.refuses("role-missing", KEY_ADDED, "spare", name, added="spare", **grant)
        other = "court" if name != "court" else "buyer"
        log.refuses("role-missing", KEY_REVOKED, name, key_id=KEYS[other].key_id, reason="lost")
        log.add(KEY_REVOKED, name, key_id=KEYS[name].key_id, reason="lost")
        log.refuses("key-unknown", KEY_REVOKED, "root", key_id=KEYS[name].key_id, reason="again")
    make_log().refuses("key-unknown", KEY_REVOKED, "root", key_id=KEYS["spare"].key_id, reason="lost")


def test_an_operator_always_remains() -> None:
    with pytest.raises(CustodyError, match="operator-missing"):
        Log().add(KEY_ADDED, "root", added="root", roles=["issuer"], party="x")
    log = make_log()
    log.refuses("operator-missing", KEY_REVOKED, "root", key_id=KEYS["root"].key_id, reason="lost")
    log.add(KEY_ADDED, "spare", "root", added="spare", roles=["operator"], party="house")
    log.add(KEY_REVOKED, "root", key_id=KEYS["root"].key_id, reason="lost")
    log.refuses("operator-missing", KEY_REVOKED, "spare", key_id=KEYS["spare"].key_id, reason="lost")


def test_malformed_grants_and_revocations_are_refused() -> None:
    log = make_log()
    log.refuses("grant-partial", KEY_ADDED, "spare", "root", added="spare", roles=["owner"])
    log.refuses("grant-partial", KEY_ADDED, "spare", "root", added="spare", party="x")
    log.refuses("key-known", KEY_ADDED, "buyer", "root", added="buyer")
    log.refuses("key-absent", KEY_ADDED, "root", added="spare")
    revocation = {"key_id": KEYS["buyer"].key_id, "reason": "lost"}
    log.refuses("revocation-late", KEY_REVOKED, "root", **revocation, **{"from": log.index + 1})
    log.add(KEY_REVOKED, "root", **revocation, **{"from": log.index})


def test_a_mark_key_is_brought_by_an_operator_signs_nothing_and_is_new() -> None:
    log = make_log()
    mark_key = SigningKey(sha("mark key")).public_key
    brought = {"added": "spare", "mark_key": mark_key.jwk()}
    log.refuses("role-missing", KEY_ADDED, "spare", "label", **brought)
    log.refuses("role-missing", KEY_ROTATED, "spare", "label", replaces=KEYS["label"].key_id, **brought)
    for known in ("spare", "buyer"):
        log.refuses("key-known", KEY_ADDED, "spare", "root", added="spare", mark_key=KEYS[known].jwk())
    log.add(KEY_ROTATED, "spare", "root", replaces=KEYS["root"].key_id, **brought)
    (found,) = log.state.register.mark_keys
    assert (found.public_key, found.added_at) == (mark_key, log.index - 1)
    assert mark_key.key_id not in log.state.register.public_keys()
    log.refuses("key-known", KEY_ADDED, "issuer", "spare", added="root", mark_key=mark_key.jwk())


def test_a_mark_key_cannot_be_added_as_a_signing_key() -> None:
    log = Log().add(KEY_ADDED, "root", added="root", mark_key=KEYS["spare"].jwk())
    log.refuses("key-known", KEY_ADDED, "spare", "root", added="spare")
    log.refuses("key-known", KEY_ROTATED, "spare", "root", added="spare", replaces=KEYS["root"].key_id)


def test_where_marks_are_tagged_no_event_commits_to_one_without_its_tag(log: Log) -> None:
    marked = {"commitments": {"mark_id": HEX, "recipient": HEX}}
    log.add(DELIVERED, "label", **marked)
    before = log.index
    mark_key = SigningKey(sha("mark key")).public_key.jwk()
    log.add(KEY_ADDED, "spare", "root", added="spare", mark_key=mark_key)
    log.refuses("mark-untagged", DELIVERED, "label", **marked)
    log.refuses("mark-untagged", STAMPED, "label", commitments={"mark_id": HEX})
    log.add(DELIVERED, "label", tagged=True, **marked)
    log.add(DELIVERED, "label")  # no mark, no tag
    assert [log.state.register.tags_marks(index) for index in (before, before + 1)] == [False, True]


def test_a_retired_key_can_still_be_revoked_so_that_its_signatures_are_disputed() -> None:
    log = make_log()
    log.add(KEY_ROTATED, "spare", "buyer", added="spare", replaces=KEYS["buyer"].key_id)
    log.add(KEY_REVOKED, "root", key_id=KEYS["buyer"].key_id, reason="compromised", **{"from": 2})
    record = log.state.register.records[KEYS["buyer"].key_id]
    assert (record.retired_at, record.disputed_from) == (7, 2)


def test_a_replay_with_the_final_register_comes_to_the_same_state(log: Log) -> None:
    """What a verifier does who has the whole key history first and the asset's events after it."""
    signed = [(LICENSED, "label2"), (PUBLISHED, "label"), (NOTICE, "platform")]
    start = log.index
    for kind, signer in signed:
        log.add(kind, signer)
    log.add(KEY_REVOKED, "root", key_id=KEYS["label2"].key_id, reason="compromised")
    state = Custody(log.state.register)
    state = check_event(state, make_event(GENERATED, ("label",), 0), start - 1)
    for offset, (kind, signer) in enumerate(signed):
        state = check_event(state, make_event(kind, (signer,), 1 + offset), start + offset)
    assert state.asset == log.state.asset
    with pytest.raises(CustodyError, match="key-retired"):
        check_event(state, make_event(LICENSED, ("label2",), 4), log.index)
    with pytest.raises(CustodyError, match="key-unknown"):
        check_event(Custody(log.state.register), make_event(GENERATED, ("label",), 0), 1)


def test_every_role_is_used_and_no_key_is_shared_between_states() -> None:
    given = set(itertools.chain.from_iterable(roles for roles, _ in GRANTS.values())) | {OPERATOR}
    assert given == ROLES
    log = make_log()
    before = log.state.register
    log.add(KEY_REVOKED, "root", key_id=KEYS["buyer"].key_id, reason="lost")
    assert before.records[KEYS["buyer"].key_id].is_active()
    assert before.public_keys()[KEYS["buyer"].key_id] == KEYS["buyer"]
    assert isinstance(KEYS["buyer"], PublicKey)
