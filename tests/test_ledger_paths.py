import itertools

import pytest
from test_ledger_merkle import LEAVES, ROOTS, TREE

from ledger import merkle
from ledger.errors import ProofError
from ledger.paths import MAX_ENTRIES, make_paths, path_ranges, split_paths


def test_the_example_of_the_module() -> None:
    assert path_ranges([2, 5], 7) == [(0, 2), (0, 4), (3, 4), (4, 5), (4, 7), (6, 7)]


@pytest.mark.parametrize("size", range(1, 10))
def test_every_set_of_entries_has_the_paths_of_each(size: int) -> None:
    for count in range(1, size + 1):
        for indexes in itertools.combinations(range(size), count):
            hashes = make_paths(TREE.read, indexes, size)
            for index, path in split_paths(hashes, indexes, size).items():
                assert path == merkle.inclusion_proof(TREE.read, index, size)
                merkle.check_inclusion(index, size, LEAVES[index], path, ROOTS[size])


def test_what_paths_have_in_common_is_written_once() -> None:
    indexes = range(40, 50)
    alone = sum(len(merkle.inclusion_proof(TREE.read, index, 129)) for index in indexes)
    assert len(make_paths(TREE.read, indexes, 129)) < 32 * alone / 3
    assert make_paths(TREE.read, [5, 3, 5], 9) == make_paths(TREE.read, [3, 5], 9)


def test_too_many_or_too_few_hashes_are_refused() -> None:
    hashes = make_paths(TREE.read, [2, 5], 7)
    for wrong in (hashes[:-1], hashes[:-32], hashes + bytes(32), b""):
        with pytest.raises(ProofError, match="expected 6 hashes"):
            split_paths(wrong, [2, 5], 7)
    for indexes in ([7], [-1], [2, 99]):
        with pytest.raises(ProofError, match="below 7"):
            split_paths(hashes, indexes, 7)
    with pytest.raises(ProofError, match="at most"):
        split_paths(b"", list(range(MAX_ENTRIES + 1)), 10**6)


def test_a_hash_in_another_place_breaks_an_entry_s_own_check() -> None:
    hashes = make_paths(TREE.read, [2, 5], 7)
    swapped = hashes[32:64] + hashes[:32] + hashes[64:]
    paths = split_paths(swapped, [2, 5], 7)
    for index in (2, 5):
        with pytest.raises(ProofError):
            merkle.check_inclusion(index, 7, LEAVES[index], paths[index], ROOTS[7])
