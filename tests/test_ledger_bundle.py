import random
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from bundle_world import (
    ASSET,
    LIFE,
    LOG_MLDSA,
    PLATFORM_KEY,
    PROMPT,
    SALT,
    TIME,
    WITNESSES,
    World,
    edit,
    find,
    finish,
    make_world,
    read,
    resign,
)
from ledger_world import (
    ACTOR_KEY,
    LOG_KEY,
    ORIGIN,
    OTHER_KEY,
    VKEY,
    append,
    draft,
    draft_key,
    fill,
    make_store,
    sha,
    sign_event,
)

import ledger
from ledger import (
    Evidence,
    Opening,
    Place,
    Store,
    check_bundle,
    check_proof,
    make_bundle,
    merkle,
    sign_checkpoint,
)
from ledger.anchor import Anchor, HeadIndex, sign_anchor
from ledger.bundle import bundle_proofs
from ledger.bundling import drop_large_lines
from ledger.cosignature import Cosigner, add_signatures, cosign
from ledger.encoding import encode_base64
from ledger.errors import BundleError, LedgerError, NotFoundError
from ledger.event import KEYS_ASSET, LOG_ASSET
from ledger.note import parse_note
from ledger.paths import make_paths
from ledger.policy import parse_policy
from ledger.predicate import GENERATED, PUBLISHED, STAMPED

SIZE = 25
"""Entries of the log in `bundle_world`."""


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory):  # type: ignore[no-untyped-def]
    made = make_world(tmp_path_factory.mktemp("bundle"))
    yield made
    made.store.close()


def test_a_bundle_proves_a_whole_life_with_the_log_s_key_and_the_witnesses_alone(world: World) -> None:
    report = check_bundle(world.bundle, vkey=VKEY, policy=world.policy, public_keys=[ACTOR_KEY.public_key])
    assert (report.origin, report.asset, report.checkpoint.size) == (ORIGIN, ASSET, SIZE)
    assert (report.vkey_pinned, report.signers_pinned, report.witnessed) == (True, True, True)
    assert [item.event.statement.predicate_type for item in report.events] == [kind for kind, _, _ in LIFE]
    assert report.openings == {"prompt": PROMPT.value}
    assert report.cosigned == ("one.example/w", "two.example/w")
    assert report.state is not None
    assert (report.state.status, report.state.owner, report.state.notices) == (
        "valid",
        "house",
        ((6, "denied"),),
    )
    assert report.whole_as_of == report.checkpoint.size - 1
    validity = {record.public_key.key_id: (record.added_at, record.retired_at) for record in report.keys}
    assert validity == {
        ACTOR_KEY.key_id: (0, None),
        OTHER_KEY.key_id: (1, 15),
        PLATFORM_KEY.key_id: (2, None),
    }
    # The revocation reaches back to entry 12: of the two events by that key, the later one is disputed.
    assert [item.index for item in report.events if item.disputed] == []
    assert [item.index for item in report.events][3:5] == [9, 11]


def test_signatures_that_a_revocation_reaches_back_to_are_disputed(tmp_path: Path) -> None:
    with make_store(tmp_path) as store:
        append(store, draft_key(OTHER_KEY, ACTOR_KEY, OTHER_KEY))
        append(store, *[draft(ASSET, signing_keys=(OTHER_KEY,), number=number) for number in range(3)])
        public = OTHER_KEY.public_key
        payload = ledger.event.build_key_revoked
        append(
            store,
            ledger.Draft(
                KEYS_ASSET,
                lambda place: ledger.sign_envelope(
                    payload(place, public, "stolen", disputed_from=3), [ACTOR_KEY]
                ),
            ),
        )
        report = check_bundle(make_bundle(store, ASSET), vkey=VKEY)
        assert [(item.index, item.disputed) for item in report.events] == [(2, False), (3, True), (4, True)]


def test_without_evidence_a_bundle_says_less(world: World) -> None:
    report = check_bundle(make_bundle(world.store, ASSET))
    assert (report.vkey_pinned, report.signers_pinned, report.witnessed) == (False, False, False)
    assert (report.whole_as_of, report.cosigned, report.timestamps, report.openings) == (None, (), (), {})
    claimed = check_bundle(world.bundle, vkey=VKEY)
    assert (claimed.witnessed, claimed.cosigned) == (False, ("one.example/w", "two.example/w"))


def test_ten_events_with_everything_take_at_most_32_kilobytes_in_a_log_of_ten_million(world: World) -> None:
    """Paths and map proofs are lengthened to those of ten million entries at random places, events too."""
    generator = random.Random(1)
    members = read(world.bundle)
    assert len(members["entries"]) == 10 + 4 + 1
    members["checkpoint"] = drop_large_lines(members["checkpoint"].encode()).decode()
    for n in (0, 1):
        find(members, n)["payload"]["predicate"]["generation"] = {"libraries": "x" * 900}
    size = 10_000_000
    indexes = [0, 1, 2, *sorted(generator.sample(range(3, size - 1), 11)), size - 1]
    ranges = ledger.paths.path_ranges(indexes, size)
    members["paths"] = "A" * (len(ranges) * 32 * 4 // 3)
    for item, index in zip(members["entries"], indexes, strict=True):
        item["index"] = index
    for name in ("asset", "keys"):
        members["heads"][name]["siblings"] = "A" * (25 * 32 * 4 // 3)  # log2 of 16 million keys, and 1
    stamp = {
        "authority": "tsa",
        "size": size,
        "root": "A" * 44,
        "growth": "A" * (24 * 43),
        "token": "A" * 2100,
    }
    members["timestamps"] = [stamp]
    assert len(ledger.canonical.format_json(members)) <= 32_768


def test_a_bundle_too_large_leaves_out_the_post_quantum_line_alone(tmp_path: Path) -> None:
    with make_store(tmp_path) as store:
        append(store, *[draft(ASSET, note="x" * 1500, number=number) for number in range(18)])
        large = finish(store, openings=())
        report = check_bundle(large.bundle, vkey=VKEY, policy=large.policy)
        assert report.witnessed
        lines = [line for line in read(large.bundle)["checkpoint"].split("\n") if line.startswith("—")]
        assert [line.split(" ")[1] for line in lines] == [ORIGIN, "one.example/w", "two.example/w"]


def test_commitments_are_opened_only_by_their_value(world: World) -> None:
    assert check_bundle(make_bundle(world.store, ASSET), vkey=VKEY).openings == {}
    for wrong in (Opening("prompt", SALT, "fast waltz"), Opening("mark_id", SALT, PROMPT.value)):
        with pytest.raises(BundleError) as caught:
            make_bundle(world.store, ASSET, openings=[wrong])
        assert caught.value.code == "opening-bad"
    with pytest.raises(BundleError):
        make_bundle(world.store, ASSET, openings=[PROMPT, PROMPT])


def test_openings_of_one_label_are_told_apart_by_their_event(tmp_path: Path) -> None:
    openings = [Opening("recipient", sha(name), name) for name in ("Jane", "John")]
    with make_store(tmp_path) as store:
        for opening in openings:
            digest = ledger.commit(opening.label, opening.salt, opening.value).hex()
            append(store, draft(ASSET, commitments={"recipient": digest}))
        report = check_bundle(make_bundle(store, ASSET, openings=openings), vkey=VKEY)
    assert report.openings == {"recipient@0": "Jane", "recipient@1": "John"}


def test_trust_can_be_narrowed_to_known_signers(world: World) -> None:
    everybody = [key.public_key for key in (OTHER_KEY, PLATFORM_KEY, ACTOR_KEY)]
    for trusted in ([ACTOR_KEY.public_key], everybody):
        assert check_bundle(world.bundle, public_keys=trusted).signers_pinned
    with pytest.raises(BundleError) as caught:
        check_bundle(world.bundle, public_keys=[OTHER_KEY.public_key])
    assert (caught.value.code, caught.value.index) == ("untrusted-start", 0)


def test_keys_and_anchors_have_bundles_of_their_own(world: World) -> None:
    keys = check_bundle(make_bundle(world.store, KEYS_ASSET, evidence=world.evidence), vkey=VKEY)
    assert len(keys.events) == 4
    assert keys.whole_as_of == world.store.state().size - 1
    log = check_bundle(make_bundle(world.store, LOG_ASSET, evidence=world.evidence), vkey=VKEY)
    assert len(log.events) == 1


def test_each_entry_is_a_proof_for_other_c2sp_verifiers(world: World) -> None:
    proofs = bundle_proofs(world.bundle)
    assert len(proofs) == 15
    for entry, text in proofs:
        index, _ = check_proof(text, merkle.leaf_hash(entry), ORIGIN, VKEY)
        assert world.store.entry(index) == entry


def test_an_asset_that_has_moved_on_is_bundled_under_the_newest_checkpoint(tmp_path: Path) -> None:
    made = make_world(tmp_path)
    with made.store as store:
        append(store, draft(ASSET, kind=PUBLISHED, time=TIME, channel="late"))
        late = make_bundle(store, ASSET, evidence=made.evidence)
        report = check_bundle(late, vkey=VKEY)
        assert (len(report.events), report.cosigned) == (11, ())
        assert report.whole_as_of == report.checkpoint.size - 2  # the eleventh came after the anchor
        again = finish(store)
        assert (
            check_bundle(again.bundle, vkey=VKEY, policy=again.policy).whole_as_of == report.checkpoint.size
        )


def test_time_stamps_of_older_checkpoints_are_carried_with_their_growth(world: World) -> None:
    older = ledger.open_checkpoint(world.store.checkpoint(11), ORIGIN, VKEY)
    stamped = ledger.bundling.StampedCheckpoint("tsa", older, b"token")
    newer = ledger.bundling.StampedCheckpoint("tsa", ledger.Checkpoint(ORIGIN, 10**6, sha("x")), b"token")
    evidence = Evidence(world.evidence.note, world.evidence.witnesses, world.evidence.heads, (stamped, newer))
    bundle = make_bundle(world.store, ASSET, evidence=evidence)
    report = check_bundle(bundle, vkey=VKEY)
    assert [(item.authority, item.size, item.timestamp) for item in report.timestamps] == [("tsa", 11, None)]
    for change in ({"size": 12}, {"root": encode_base64(sha("root"))}, {"growth": ""}):
        with pytest.raises(BundleError) as caught:
            check_bundle(edit(bundle, lambda m, change=change: m["timestamps"][0].update(change)))
        assert caught.value.code == "timestamp-bad"
    with pytest.raises(BundleError) as caught:
        check_bundle(bundle, vkey=VKEY, roots=[])
    assert caught.value.code == "timestamp-bad"


TOKEN = re.compile(rb'"(?:[^"\\]|\\.)*"|[0-9]+|[a-z]+|[{}\[\],:]')


def choose_places(content: bytes) -> list[int]:
    """Return all punctuation of a JSON text, both quotes of each string, and a place in each name and value.

    The place inside moves on from token to token; of what is longer than 61 characters there are more.
    """
    places = set()
    for number, match in enumerate(TOKEN.finditer(content)):
        first, last = match.start(), match.end() - 1
        inside = range(first + 1, last) or range(first, last + 1)
        places |= {first, last, *inside[number % min(61, len(inside)) :: 61]}
    return sorted(places)


def test_no_changed_byte_of_a_bundle_goes_unnoticed(world: World) -> None:
    """Of every structural byte and of every name and value in it, whatever step has to notice."""
    own = Cosigner(ORIGIN, LOG_MLDSA.public_key).vkey
    named = "".join(f"witness {item.name} {item.cosigner.vkey}\n" for item in world.policy.witnesses)
    policy = parse_policy(f"{named}witness own {own}\ngroup g all one two own\nquorum g\n".encode())
    check_bundle(world.bundle, vkey=VKEY, policy=policy)
    places = choose_places(world.bundle)
    assert len(places) > 2500
    for position in places:
        changed = bytearray(world.bundle)
        changed[position] ^= 1
        with pytest.raises(BundleError):
            check_bundle(bytes(changed), vkey=VKEY, policy=policy)


Change = Callable[[dict[str, Any]], object]


def entry_edit(n: int, change: Change, *, asset: str = ASSET, key: ledger.SigningKey | None = None) -> Change:
    """Change the payload of an event, and sign it again if a key is given."""

    def apply(members: dict[str, Any]) -> None:
        item = find(members, n, asset)
        change(item["payload"])
        if key is not None:
            resign(item, key)

    return apply


def drop(n: int, asset: str = ASSET) -> Change:
    return lambda members: members["entries"].remove(find(members, n, asset))


def set_(**values: object) -> Change:
    return lambda members: members.update(values)


def swap_payloads(members: dict[str, Any]) -> None:
    first, second = find(members, 1), find(members, 2)
    for name in ("payload", "signatures"):
        first[name], second[name] = second[name], first[name]


def move(members: dict[str, Any]) -> None:
    find(members, 1)["index"] += 1


def weaken(members: dict[str, Any]) -> None:
    find(members, 1, KEYS_ASSET)["payload"]["predicate"]["key"]["x"] = "A" * 43


# What somebody without keys may try with a bundle: code, and n of the event of the asset that is blamed.
TAMPERED: dict[str, tuple[Change, str, int | None]] = {
    "entry changed": (entry_edit(4, lambda p: p["predicate"].update(channel="tv")), "not-in-log", 4),
    "entry changed and signed again": (
        entry_edit(4, lambda p: p["predicate"].update(channel="tv"), key=OTHER_KEY),
        "not-in-log",
        4,
    ),
    "events swapped": (swap_payloads, "not-in-log", 1),
    "another index": (move, "not-in-log", None),
    "signature of another event": (
        lambda m: find(m, 2).update(signatures=find(m, 1)["signatures"]),
        "not-in-log",
        2,
    ),
    "signature stripped": (lambda m: find(m, 2).update(signatures=[]), "not-in-log", 2),
    "key id of another signer": (
        lambda m: find(m, 2)["signatures"][0].update(keyid=OTHER_KEY.key_id),
        "not-in-log",
        2,
    ),
    "weak key": (weaken, "not-in-log", None),
    "float in an entry": (
        entry_edit(2, lambda p: p["predicate"].update(gain="x" * 70_000)),
        "entry-malformed",
        2,
    ),
    "checkpoint of another key": (
        set_(checkpoint=sign_checkpoint(ORIGIN, SIZE, sha("x"), OTHER_KEY).decode()),
        "checkpoint-bad",
        None,
    ),
    "checkpoint of another log": (
        set_(checkpoint=sign_checkpoint("provenote.example/other", SIZE, sha("x"), LOG_KEY).decode()),
        "checkpoint-bad",
        None,
    ),
    "checkpoint size changed": (
        lambda m: m.update(checkpoint=m["checkpoint"].replace(f"\n{SIZE}\n", f"\n{SIZE + 1}\n")),
        "checkpoint-bad",
        None,
    ),
    "log's signature stripped": (
        lambda m: m.update(checkpoint=m["checkpoint"].replace(m["checkpoint"].split("\n")[4] + "\n", "")),
        "checkpoint-bad",
        None,
    ),
    "stale checkpoint": (
        lambda m: m.update(checkpoint=stale_note(), witnesses=[], heads=None),
        "witness-missing",
        None,
    ),
    "origin": (set_(origin="provenote.example/other"), "checkpoint-bad", None),
    "asset": (set_(asset="track:0"), "order-broken", 0),
    "vkey": (set_(vkey=ledger.format_vkey(ORIGIN, OTHER_KEY.public_key)), "log-key", None),
    "map proof of another asset": (
        lambda m: m["heads"].update(asset=m["heads"]["keys"]),
        "heads-bad",
        None,
    ),
    "map count lowered": (
        lambda m: m["heads"]["asset"]["end"].update(count=9),
        "heads-bad",
        None,
    ),
    "map end removed": (lambda m: m["heads"]["asset"].update(end=None), "heads-bad", None),
    "anchor of no anchor": (lambda m: m["heads"].update(anchor=find(m, 0)["index"]), "heads-bad", 0),
    "opening of another value": (
        lambda m: m["openings"][0].update(value="fast waltz"),
        "opening-bad",
        None,
    ),
    "opening of another label": (lambda m: m["openings"][0].update(label="mark_id"), "opening-bad", None),
    "cosignature moved": (
        lambda m: m.update(checkpoint=moved_cosignature(m["checkpoint"])),
        "checkpoint-bad",
        None,
    ),
    "witnesses left out": (
        lambda m: m.update(checkpoint="\n".join(m["checkpoint"].split("\n")[:5]) + "\n"),
        "witness-missing",
        None,
    ),
    "witness's key exchanged": (
        lambda m: m.update(witnesses=["nonsense"]),
        "form",
        None,
    ),
}


def stale_note() -> str:
    """A checkpoint that the log has signed, but of other entries (its first one alone)."""
    return sign_checkpoint(ORIGIN, SIZE, sha("other root"), LOG_KEY).decode()


def moved_cosignature(note: str) -> str:
    """The witnesses' lines of a checkpoint under another that the log has signed."""
    other = sign_checkpoint(ORIGIN, SIZE - 1, sha("x"), LOG_KEY).decode()
    return other + "\n".join(note.split("\n")[5:])


@pytest.mark.parametrize("name", list(TAMPERED))
def test_a_tampered_bundle_is_refused_for_the_right_reason_with_the_entry_named(
    world: World, name: str
) -> None:
    change, code, n = TAMPERED[name]
    with pytest.raises(BundleError) as caught:
        check_bundle(edit(world.bundle, change), vkey=VKEY, policy=world.policy)
    assert caught.value.code == code, caught.value
    if n is not None:
        assert caught.value.index == find(read(world.bundle), n)["index"]


def resealed(world: World, change: Change, *, without: tuple[int, ...] = ()) -> bytes:
    """What an operator with the log's key can forge: entries changed or left out, everything signed anew."""
    members = read(world.bundle)
    change(members)
    store = world.store
    entries = store.entries(0, store.state().size)
    for item in members["entries"]:
        entries[item["index"]] = ledger.bundle_form.read_entry(
            ledger.bundle_form.EntryForm(item["index"], item["payload"], item["signatures"])
        )
    leaves = [merkle.leaf_hash(entry) for entry in entries]
    nodes = {}
    frontier: list[bytes] = []
    for index, leaf in enumerate(leaves):
        frontier, completed = merkle.complete_nodes(index, frontier, leaf)
        nodes.update({(level, index >> level): node for level, node in enumerate(completed)})

    def reader(coordinates):  # type: ignore[no-untyped-def]
        return [nodes[item] for item in coordinates]

    indexes = [item["index"] for item in members["entries"]]
    members["paths"] = encode_base64(make_paths(reader, indexes, len(leaves)))
    members["checkpoint"] = sign_checkpoint(ORIGIN, len(leaves), merkle.root(leaves), LOG_KEY).decode()
    members["witnesses"] = []
    return ledger.canonical.format_json(members)


def rewrite(n: int, kind: str, key: ledger.SigningKey, **facts: object) -> Change:
    """Put another event in the place of one, signed by a key."""

    def apply(members: dict[str, Any]) -> None:
        item = find(members, n)
        place = item["payload"]["predicate"]["ledger"]
        item["payload"]["predicateType"] = kind
        item["payload"]["predicate"] = {**facts, "ledger": place}
        resign(item, key)

    return apply


def renumber(number: int, /, **place: object) -> Change:
    def apply(members: dict[str, Any]) -> None:
        item = find(members, number)
        item["payload"]["predicate"]["ledger"].update(place)
        resign(item, ACTOR_KEY)

    return apply


def false_anchor(members: dict[str, Any]) -> None:
    item = next(
        item for item in members["entries"] if item["payload"]["predicate"]["ledger"]["asset"] == LOG_ASSET
    )
    item["payload"]["predicate"]["heads_root"] = sha("map").hex()
    resign(item)


# What an operator who signs the log anew may try; the code, and n of the event that is blamed.
FORGED: dict[str, tuple[Change, str, int | None]] = {
    "event hidden at the end": (drop(9), "history-short", 8),
    "event hidden in the middle": (drop(4), "order-broken", 5),
    "first event hidden": (drop(0), "order-broken", 1),
    "revocation hidden": (drop(3, KEYS_ASSET), "history-short", None),
    "number skipped": (renumber(9, n=10), "order-broken", 9),
    "number doubled": (renumber(9, n=8), "order-broken", 9),
    "after another event": (renumber(9, prev=sha("x").hex()), "order-broken", 9),
    "under another asset": (renumber(9, asset="track:0"), "order-broken", 9),
    "signed for another log": (renumber(9, origin="provenote.example/other"), "order-broken", 9),
    "last event changed": (rewrite(9, PUBLISHED, ACTOR_KEY, time=TIME, channel="tv"), "history-short", 9),
    "by a key that the log does not know": (
        rewrite(9, PUBLISHED, ledger.SigningKey(sha("stranger")), time=TIME, channel="tv"),
        "key-unknown",
        9,
    ),
    "by a key that was revoked": (
        rewrite(9, PUBLISHED, OTHER_KEY, time=TIME, channel="tv"),
        "key-retired",
        9,
    ),
    "by a key without the role": (
        rewrite(9, ledger.predicate.LICENSED, PLATFORM_KEY, **LIFE[5][2]),
        "role-missing",
        9,
    ),
    "forbidden transition": (rewrite(9, GENERATED, ACTOR_KEY), "entry-malformed", 9),
    "decided twice": (rewrite(9, ledger.predicate.DECISION, PLATFORM_KEY, **LIFE[8][2]), "notice-closed", 9),
    "signature of another event": (
        lambda m: find(m, 9).update(signatures=find(m, 7)["signatures"]),
        "signature-bad",
        9,
    ),
    "map root of other entries": (false_anchor, "heads-bad", None),
}


@pytest.mark.parametrize("name", list(FORGED))
def test_a_bundle_forged_with_the_log_s_own_key_is_refused(world: World, name: str) -> None:
    change, code, n = FORGED[name]
    with pytest.raises(BundleError) as caught:
        check_bundle(resealed(world, change), vkey=VKEY)
    assert caught.value.code == code, caught.value
    if n is not None:
        assert caught.value.index == find(read(world.bundle), n)["index"]


def test_a_rewritten_log_has_no_witnesses(world: World) -> None:
    """Everything signed anew with the real keys: only the witnesses (or an older checkpoint) can tell."""
    forged = resealed(world, rewrite(9, PUBLISHED, ACTOR_KEY, time=TIME, channel="tv"))
    hidden = edit(forged, lambda m: m.update(heads=None))
    assert check_bundle(hidden, vkey=VKEY).whole_as_of is None
    with pytest.raises(BundleError) as caught:
        check_bundle(hidden, vkey=VKEY, policy=world.policy)
    assert caught.value.code == "witness-missing"


def test_a_cosigner_that_the_policy_does_not_name_does_not_count(world: World) -> None:
    stranger = ledger.SigningKey(sha("stranger"))
    members = read(world.bundle)
    note = "\n".join(members["checkpoint"].split("\n")[:5]) + "\n"
    line = cosign(parse_note(note.encode())[0], "one.example/w", stranger, time_s=1)
    note = add_signatures(note.encode(), [line]).decode()
    vkey = Cosigner("one.example/w", stranger.public_key).vkey
    forged = edit(world.bundle, lambda m: m.update(checkpoint=note, witnesses=[vkey]))
    assert check_bundle(forged, vkey=VKEY).cosigned == ("one.example/w",)
    with pytest.raises(BundleError) as caught:
        check_bundle(forged, vkey=VKEY, policy=world.policy)
    assert caught.value.code == "witness-missing"
    assert len(WITNESSES) == 2


def test_the_second_key_of_the_log_is_a_policy_s_log_too(world: World) -> None:
    own = Cosigner(ORIGIN, LOG_MLDSA.public_key).vkey
    policy = parse_policy(f"witness own {own}\nquorum own\n".encode())
    assert check_bundle(world.bundle, vkey=VKEY, policy=policy).witnessed


def test_an_anchor_by_nobody_s_authority_is_refused(tmp_path: Path) -> None:
    made = make_world(tmp_path)
    with made.store as store:
        anchor = HeadIndex(store).measure(3)
        place = Place(ORIGIN, LOG_ASSET, 1, store.head(LOG_ASSET).leaf_hash)  # type: ignore[union-attr]
        with pytest.raises(ledger.errors.CustodyError, match="role-missing"):
            append(store, sign_anchor(place, anchor, TIME, PLATFORM_KEY))
        assert isinstance(anchor, Anchor)


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"{}",
        b"[]",
        b"x" * 4_000_001,
        b'{"format":"https://provenote.example/bundle/v3"}',
        b'{"format":"https://provenote.example/bundle/v2"}',
        b'{"format":"https://provenote.example/bundle/v1"}',
    ],
)
def test_other_files_are_no_bundle(data: bytes) -> None:
    with pytest.raises(BundleError):
        check_bundle(data)


@pytest.mark.parametrize(
    "change",
    [
        {"format": "https://provenote.example/bundle/v3"},
        {"origin": 5},
        {"asset": ""},
        {"entries": {}},
        {"entries": []},
        {"entries": [5]},
        {"paths": 5},
        {"paths": "AAAA"},
        {"openings": [{"label": "prompt"}]},
        {"openings": [{"label": "prompt", "salt": "00", "value": 1}]},
        {"heads": {}},
        {"heads": {"anchor": -1, "asset": {}, "keys": {}}},
        {"witnesses": [5]},
        {"timestamps": [{}]},
        {"timestamps": [{"authority": "", "size": 1, "root": "", "growth": "", "token": ""}]},
        {"extra": 1},
    ],
)
def test_changed_members_are_refused(world: World, change: dict[str, object]) -> None:
    with pytest.raises(BundleError):
        check_bundle(edit(world.bundle, lambda m: m.update(change)), vkey=VKEY)


def test_entries_in_another_order_or_twice_are_refused(world: World) -> None:
    for change in (
        lambda m: m["entries"].reverse(),
        lambda m: m["entries"].insert(1, m["entries"][0]),
        lambda m: m["entries"][0].update(index="0"),
    ):
        with pytest.raises(BundleError):
            check_bundle(edit(world.bundle, change), vkey=VKEY)


def test_an_asset_without_events_has_no_bundle(tmp_path: Path) -> None:
    with make_store(tmp_path) as store:
        fill(store, 1)
        with pytest.raises(NotFoundError):
            make_bundle(store, "track:none")
        # The smallest log of all: its first key.
        with Store(store.url) as other:
            assert len(check_bundle(make_bundle(other, KEYS_ASSET), vkey=VKEY).events) == 1


def test_every_error_of_a_check_is_one_of_the_ledger(world: World) -> None:
    for cut in range(0, len(world.bundle), 197):
        with pytest.raises(LedgerError):
            check_bundle(world.bundle[:cut])


def test_an_event_of_a_stranger_s_asset_is_refused(world: World) -> None:
    other = read(make_bundle(world.store, "track:0"))["entries"][-1]

    def insert(members: dict[str, Any]) -> None:
        members["entries"] = sorted([*members["entries"], other], key=lambda item: item["index"])
        indexes = [item["index"] for item in members["entries"]]
        members["paths"] = encode_base64(make_paths(world.store.nodes, indexes, SIZE))

    with pytest.raises(BundleError) as caught:
        check_bundle(edit(world.bundle, insert), vkey=VKEY)
    assert (caught.value.code, caught.value.index) == ("order-broken", other["index"])
    assert sign_event(Place(ORIGIN, "track:0", 0, b""), kind=STAMPED)
