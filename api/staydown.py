"""The stay-down list: what an upheld notice named must not come again.

On it are tracks of this ledger, and recordings that are not ours: these go into the catalogue as recordings
that are only compared with. An upload is recognised by the digest of its bytes or samples, by the mark of a
listed track in it, or by its sound. `stamp` and `generate` refuse what is recognised, whatever else they were
told to do with known recordings; `uploadcheck` answers for any upload. A restored case lifts its entries.
"""

from collections.abc import Iterable, Sequence

from .cases import StayDownRow
from .errors import StayDownError
from .evidence import Likeness
from .installation import Installation


def find_listed(
    installation: Installation,
    *,
    tracks: Iterable[str | None] = (),
    numbers: Iterable[int] = (),
    digests: Iterable[str] = (),
) -> list[StayDownRow]:
    """Return the entries of the list with one of these tracks, recordings of the catalogue, or digests."""
    return installation.cases.find_stay_down(
        tracks=sorted({item for item in tracks if item is not None}),
        numbers=sorted(set(numbers)),
        digests=sorted(set(digests)),
    )


def refuse_listed(
    installation: Installation,
    *,
    tracks: Sequence[str | None] = (),
    digests: Sequence[str] = (),
    matches: Sequence[Likeness] = (),
) -> None:
    """Raise StayDownError if one of these tracks, digests or matched recordings is on the list."""
    listed = find_listed(
        installation,
        tracks=[*tracks, *(item.track_id for item in matches)],
        numbers=[item.number for item in matches if item.track_id is None],
        digests=digests,
    )
    if listed:
        first = listed[0]
        what = f"track {first.track_id}" if first.track_id else f"recording {first.number}"
        raise StayDownError(
            f"this is {what}, which must stay down since case {first.case_id} was upheld",
            first.case_id,
            first.track_id,
        )
