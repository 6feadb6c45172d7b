"""From what was found of single files to the rows of a manifest: who is whose duplicate.

Two files are the same by their bytes, by their samples, or by their sound, in this order; of those that are,
the first in the order of paths stays what it is and the others name it. By sound, what is the same as the
same recording is one group.
"""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from .dataset import FILE, Item, format_path
from .manifest import DUPLICATE, SKIPPED, UNKNOWN, Row
from .nearness import Near
from .screenwork import describe_unreadable

BYTES, SAMPLES, SOUND = "bytes", "samples", "sound"
MAX_SHARING = 8
"""Recordings that are named as sharing sound with one."""


def assemble(
    items: Iterable[Item],
    rows: Mapping[bytes, Row],
    originals: Mapping[bytes, bytes],
    near: Mapping[str, tuple[Near, ...]],
) -> Iterator[Row]:
    """Yield the row of every item, in their order.

    Parameters
    ----------
    items : in the order of their paths
    rows : of each file that was listened to
    originals : for files whose bytes another has, that one's path
    near : for recordings, by PCM digest, those that they sound like
    """
    listed = list(items)
    found = {item.path: rows[originals.get(item.path, item.path)] for item in listed if item.kind == FILE}
    first: dict[str, Item] = {}
    for item in listed:
        digest = found[item.path]["pcm_sha256"] if item.path in found else None
        if digest is not None:
            first.setdefault(digest, item)
    groups = _group(list(first), near)
    for item in listed:
        if item.path not in found:
            yield {**_begin(item), **describe_unreadable(item.kind), "class": SKIPPED, **_say(None, "")}
            continue
        row = {name: value for name, value in found[item.path].items() if name not in ("path", "path_hex")}
        row = {**_begin(item), **row, "bytes": item.size or row["bytes"]}
        earlier, how = _find_earlier(item, row, first, groups, originals)
        if earlier is not None and row["class"] == UNKNOWN:
            row["class"] = DUPLICATE
        sharing = [
            first[other.pcm_sha256] for other in near.get(row["pcm_sha256"] or "", ()) if not other.whole
        ]
        names = sorted(format_path(other.path)["path"] for other in sharing)[:MAX_SHARING]
        yield {**row, **_say(earlier, how), **({"shares_sound_with": names} if names else {})}


def _begin(item: Item) -> Row:
    return {**format_path(item.path), "bytes": item.size}


def _say(earlier: Item | None, how: str) -> dict[str, Any]:
    if earlier is None:
        return {"duplicate_of": None}
    return {"duplicate_of": format_path(earlier.path)["path"], "same": how}


def _find_earlier(
    item: Item,
    row: Row,
    first: Mapping[str, Item],
    groups: Mapping[str, str],
    originals: Mapping[bytes, bytes],
) -> tuple[Item | None, str]:
    """Return the file that this one repeats, and by what."""
    digest = row["pcm_sha256"]
    if digest is None:
        return None, ""
    head = first[groups.get(digest, digest)]
    if head.path == item.path:
        return None, ""
    if originals.get(item.path) == head.path:
        return head, BYTES
    return head, SAMPLES if first[digest].path == head.path else SOUND


def _group(digests: list[str], near: Mapping[str, tuple[Near, ...]]) -> dict[str, str]:
    """Return for each recording the first one, in the order of `digests`, that is the same by sound."""
    place = {digest: number for number, digest in enumerate(digests)}
    head = {digest: digest for digest in digests}

    def find(digest: str) -> str:
        while head[digest] != digest:
            head[digest] = head[head[digest]]
            digest = head[digest]
        return digest

    for digest, others in near.items():
        for other in others:
            if other.whole:
                one, two = sorted((find(digest), find(other.pcm_sha256)), key=place.__getitem__)
                head[two] = one
    return {digest: find(digest) for digest in digests}
