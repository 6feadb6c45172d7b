import random

import pytest
from ledger_world import sha

from ledger.canonical import format_json, parse_json
from ledger.errors import FormatError, ProofError
from ledger.headmap import BUCKET_BITS, HeadMap, Mention
from ledger.heads import (
    EMPTY,
    HeadProof,
    HeadRecord,
    asset_key,
    digest_key,
    format_head_proof,
    hash_node,
    hash_record,
    hash_records,
    open_head,
    parse_head_proof,
    read_bit,
)


def mention(index: int, asset: str, *digests: bytes) -> Mention:
    return Mention(index, sha(f"leaf {index}"), asset, digests)


def make_map(count: int, *, assets: int) -> HeadMap:
    """A map over `count` events of some assets, each event about one digest of its own."""
    built = HeadMap()
    built.advance(mention(i, f"track:{i % assets}", sha(f"file {i}")) for i in range(count))
    return built


def list_records(count: int, *, assets: int) -> list[HeadRecord]:
    """The same by the definition: counted in a dictionary, sorted by key."""
    records: dict[bytes, HeadRecord] = {}
    for i in range(count):
        for key in (asset_key(f"track:{i % assets}"), digest_key(sha(f"file {i}"))):
            before = records.get(key)
            records[key] = HeadRecord(key, before.count + 1 if before else 1, sha(f"leaf {i}"))
    return sorted(records.values(), key=lambda item: item.key)


def test_the_map_has_the_root_of_the_definition_at_every_size() -> None:
    built = HeadMap()
    assert built.root() == EMPTY
    for size in range(1, 120):
        built.advance([mention(size - 1, f"track:{(size - 1) % 7}", sha(f"file {size - 1}"))])
        records = list_records(size, assets=7)
        assert built.root() == hash_records(records)
        assert built.keys == len(records)


def test_small_trees_are_those_of_the_formula() -> None:
    low, high = HeadRecord(bytes(32), 1, sha("a")), HeadRecord(b"\x80" + bytes(31), 2, sha("b"))
    deep = HeadRecord(b"\x20" + bytes(31), 3, sha("c"))
    assert hash_records([]) == EMPTY
    assert hash_records([low]) == hash_record(low)
    assert hash_records([low, high]) == hash_node(hash_record(low), hash_record(high))
    # 000..., 001...: they part at the third bit, under two nodes whose other half is empty.
    parted = hash_node(hash_record(low), hash_record(deep))
    assert hash_records([low, deep]) == hash_node(hash_node(parted, EMPTY), EMPTY)
    assert [read_bit(b"\xa5", depth) for depth in range(8)] == [1, 0, 1, 0, 0, 1, 0, 1]


@pytest.mark.parametrize(("count", "assets"), [(1, 1), (2, 2), (40, 5), (400, 400)])
def test_every_key_that_is_there_is_proved_with_its_count_and_head(count: int, assets: int) -> None:
    built = make_map(count, assets=assets)
    root = built.root()
    for record in list_records(count, assets=assets):
        proof = built.prove(record.key)
        assert open_head(proof, record.key, root) == record == built.find(record.key)
        assert parse_head_proof(parse_json(format_json(format_head_proof(proof)), max_bytes=10**5)) == proof


@pytest.mark.parametrize("count", [0, 1, 2, 40, 400])
def test_every_key_that_is_not_there_is_proved_absent(count: int) -> None:
    built = make_map(count, assets=9)
    root = built.root()
    ends = set()
    for number in range(300):
        key = asset_key(f"stranger:{number}")
        proof = built.prove(key)
        assert open_head(proof, key, root) is None
        assert built.find(key) is None
        ends.add(proof.end is None)
    if count in (0, 400):
        assert ends == ({True} if count == 0 else {True, False})


def test_no_other_answer_can_be_proved_about_a_key() -> None:
    built = make_map(60, assets=6)
    root = built.root()
    for record in list_records(60, assets=6):
        proof = built.prove(record.key)
        wrong_ends = [
            None,
            HeadRecord(record.key, record.count - 1, record.head),
            HeadRecord(record.key, record.count + 1, record.head),
            HeadRecord(record.key, record.count, sha("an earlier event")),
            HeadRecord(sha("another key"), record.count, record.head),
        ]
        for end in wrong_ends:
            with pytest.raises(ProofError):
                open_head(HeadProof(end, proof.siblings), record.key, root)
        for place in range(len(proof.siblings)):
            siblings = list(proof.siblings)
            siblings[place] = sha("sibling")
            with pytest.raises(ProofError):
                open_head(HeadProof(record, tuple(siblings)), record.key, root)
            with pytest.raises(ProofError):
                open_head(HeadProof(None, proof.siblings[place + 1 :]), record.key, root)
        for siblings in ((), proof.siblings[1:], (EMPTY, *proof.siblings), (*proof.siblings, EMPTY)):
            with pytest.raises(ProofError):
                open_head(HeadProof(record, tuple(siblings)), record.key, root)
        with pytest.raises(ProofError):
            open_head(proof, record.key, sha("root"))
    stranger = asset_key("stranger")
    with pytest.raises(ProofError):
        open_head(built.prove(asset_key("track:1")), stranger, root)


def test_keys_that_share_a_bucket_are_told_apart(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ledger.headmap.asset_key", lambda asset: b"\x12\x34" + sha(asset)[2:])
    monkeypatch.setattr("ledger.headmap.digest_key", lambda digest: b"\x12\x34\x00" + digest[3:])
    built = make_map(50, assets=50)
    records = [
        item
        for i in range(50)
        for item in (
            HeadRecord(b"\x12\x34" + sha(f"track:{i}")[2:], 1, sha(f"leaf {i}")),
            HeadRecord(b"\x12\x34\x00" + sha(f"file {i}")[3:], 1, sha(f"leaf {i}")),
        )
    ]
    records.sort(key=lambda item: item.key)
    root = built.root()
    assert root == hash_records(records)
    for record in records:
        proof = built.prove(record.key)
        assert len(proof.siblings) > BUCKET_BITS
        assert open_head(proof, record.key, root) == record
    for near in (b"\x12\x34\xff" + bytes(29), b"\x12\x35" + bytes(30), b"\x92\x34" + bytes(30)):
        assert open_head(built.prove(near), near, root) is None


def test_a_long_seeded_run_agrees_with_the_definition() -> None:
    generator = random.Random(7)
    built, expected = HeadMap(), {}
    for index in range(3000):
        asset = f"track:{generator.randrange(900)}"
        built.advance([mention(index, asset)])
        key = asset_key(asset)
        before = expected.get(key)
        expected[key] = HeadRecord(key, before.count + 1 if before else 1, sha(f"leaf {index}"))
        if index % 500 == 499:
            assert built.root() == hash_records(sorted(expected.values(), key=lambda item: item.key))
    sizes = [len(built.prove(key).siblings) for key in expected]
    assert sum(sizes) / len(sizes) < 13  # log2(900) and a little


def test_an_entry_that_names_a_digest_twice_counts_once_and_gaps_are_refused() -> None:
    built = HeadMap()
    built.advance([mention(0, "track:1", sha("file"), sha("file"))])
    record = built.find(digest_key(sha("file")))
    assert record is not None
    assert record.count == 1
    for index in (0, 2):
        with pytest.raises(ValueError, match="expected entry 1"):
            built.advance([mention(index, "track:1")])


@pytest.mark.parametrize(
    "value",
    [
        None,
        {},
        {"end": None, "siblings": ""} | {"more": 1},
        {"end": {}, "siblings": ""},
        {"end": {"key": "00" * 32, "count": 0, "head": "00" * 32}, "siblings": ""},
        {"end": {"key": "00" * 31, "count": 1, "head": "00" * 32}, "siblings": ""},
        {"end": {"key": "00" * 32, "count": True, "head": "00" * 32}, "siblings": ""},
        {"end": None, "siblings": "AAAA"},
        {"end": None, "siblings": "!"},
        {"end": None, "siblings": 5},
        {"end": None, "siblings": "A" * 20_000},
    ],
)
def test_malformed_proofs_are_refused(value: object) -> None:
    with pytest.raises(FormatError):
        parse_head_proof(value)


def test_proofs_beyond_256_levels_are_refused() -> None:
    with pytest.raises(ProofError, match="256"):
        open_head(HeadProof(None, (EMPTY,) * 257), bytes(32), EMPTY)
    with pytest.raises(ProofError, match="32 bytes"):
        open_head(HeadProof(None, ()), bytes(31), EMPTY)
