import pytest
from ledger_world import sha

from ledger import merkle
from ledger.growth import grow_tree

LEAVES = [sha(f"leaf {number}") for number in range(70)]


def read_from(leaves: list[bytes]) -> merkle.Reader:
    return lambda coordinates: [
        merkle.root(leaves[position << level : (position + 1) << level]) for level, position in coordinates
    ]


def test_growth_from_every_size_has_the_root_paths_nodes_and_frontier_of_the_definitions() -> None:
    for size in range(1, 41):
        leaves = LEAVES[:size]
        read = read_from(leaves)
        paths = [merkle.inclusion_proof(read, index, size) for index in range(size)]
        for old_size in range(size):
            frontier = read(merkle.cover_range(0, old_size))
            growth = grow_tree(old_size, frontier, leaves[old_size:])
            assert (growth.old_size, growth.size) == (old_size, size)
            assert growth.root == merkle.root(leaves)
            assert [growth.path(index) for index in range(old_size, size)] == paths[old_size:]
            assert growth.frontier() == read(merkle.cover_range(0, size))
            expected = {
                (level, position)
                for level in range(1, 7)
                for position in range(old_size >> level, size >> level)
            }
            nodes = growth.nodes()
            assert {coordinate for coordinate, _ in nodes} == expected
            assert read([coordinate for coordinate, _ in nodes]) == [hashed for _, hashed in nodes]


def test_growth_agrees_with_leaves_added_one_by_one() -> None:
    frontier: list[bytes] = []
    stored = {}
    for index, leaf in enumerate(LEAVES):
        frontier, completed = merkle.complete_nodes(index, frontier, leaf)
        stored |= {(level, index >> level): node for level, node in enumerate(completed) if level}
    growth = grow_tree(0, [], LEAVES)
    assert growth.frontier() == frontier
    assert dict(growth.nodes()) == stored


def test_a_caller_s_mistakes_are_named() -> None:
    with pytest.raises(ValueError, match="at least one"):
        grow_tree(0, [], [])
    with pytest.raises(ValueError, match="zip"):
        grow_tree(3, LEAVES[:1], LEAVES[:1])
    growth = grow_tree(2, [merkle.node_hash(*LEAVES[:2])], LEAVES[2:4])
    for index in (1, 4, -1):
        with pytest.raises(ValueError, match="expected a new leaf"):
            growth.path(index)
