"""The lists of attacks that a benchmark can be run on.

from benchmarks.attacks import find
from benchmarks.attack import apply
audio, sample_rate = apply(find("mp3 64"), audio, 44_100, seed=7)
"""

from benchmarks.attack import Attack, AttackList, apply
from benchmarks.attacks_audiomarkbench import AUDIOMARKBENCH
from benchmarks.attacks_raw_bench import RAW_BENCH
from benchmarks.attacks_table import ATTACKS, FAMILIES, TABLE

__all__ = [
    "ATTACKS",
    "FAMILIES",
    "LISTS",
    "Attack",
    "AttackList",
    "apply",
    "find",
    "list_families",
    "list_names",
    "short_list",
]

LISTS = {some.name: some for some in (TABLE, RAW_BENCH, AUDIOMARKBENCH)}
_BY_NAME = {attack.name: attack for some in LISTS.values() for attack in some.attacks}


def find(name: str) -> Attack:
    """Find an attack of any list by its name.

    Raises
    ------
    ValueError
        There is none of that name; the message lists all.
    """
    if name not in _BY_NAME:
        raise ValueError(f"expected one of {list(_BY_NAME)}, got {name!r}")
    return _BY_NAME[name]


def short_list(name: str = "table") -> tuple[Attack, ...]:
    """The attacks of a list's short mode: every family is there."""
    return tuple(find(attack) for attack in LISTS[name].short)


def list_families() -> dict[str, str]:
    """Every family of every list with its description, in the order of the tables; shared ones last."""
    families: dict[str, str] = {}
    for some in LISTS.values():
        for family, text in some.families.items():
            families.pop(family, None)
            families[family] = text
    return families


def list_names() -> list[str]:
    """The names of all attacks, in the order of their families."""
    return [
        attack.name for family in list_families() for attack in _BY_NAME.values() if attack.family == family
    ]
