"""The custody rules at the writer: each new event is judged in the state that the log has come to.

States are kept in memory, named by the leaf hash of the asset's head; where one is not known, the asset's
entries are replayed. So a state whose head is not the log's (a commit was rolled back, another writer came
first) is never used.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Sequence

from .custody import NEW_ASSET, AssetState, Custody, check_event
from .errors import CorruptError, LedgerError
from .event import KEYS_ASSET, Event, Head, parse_event
from .register import EMPTY_REGISTER, Register

MAX_STATES = 20_000
"""States kept; an asset that has not been written to for so many others is replayed."""

ReadEntries = Callable[[str], Sequence[tuple[int, bytes]]]
"""Return index and bytes of an asset's entries in the log, in order."""


class Custodian:
    """The rules of `custody` over one log; used by one writer at a time."""

    def __init__(self) -> None:
        self._register: tuple[bytes, Register] = (b"", EMPTY_REGISTER)
        self._assets: OrderedDict[str, tuple[bytes, AssetState]] = OrderedDict()

    def admit(
        self, event: Event, leaf: bytes, index: int, keys_head: Head | None, read_entries: ReadEntries
    ) -> None:
        """Judge an event that is about to enter the log, and remember what it makes of its asset.

        Parameters
        ----------
        event : its signatures verified, its place compared with the asset's head
        leaf, index : its leaf hash, and its place in the log
        keys_head : the head of the asset `keys` just before it
        read_entries : the log's entries; asked only for an asset whose state is not known

        Raises
        ------
        CustodyError, FormatError : the event may not enter
        CorruptError : what the log holds of the asset does not follow the rules
        """
        register = self._find_register(keys_head, read_entries)
        asset = event.place.asset
        state = Custody(register, self._find_state(event, register, read_entries))
        after = check_event(state, event, index)
        self._keep(asset, leaf, after.asset)
        if asset == KEYS_ASSET:
            self._register = (leaf, after.register)

    def _find_register(self, head: Head | None, read_entries: ReadEntries) -> Register:
        leaf = head.leaf_hash if head else b""
        if self._register[0] != leaf:
            entries = read_entries(KEYS_ASSET) if head else []
            self._register = (leaf, replay(Custody(), entries).register)
        return self._register[1]

    def _find_state(self, event: Event, register: Register, read_entries: ReadEntries) -> AssetState:
        if not event.place.n:
            return NEW_ASSET
        kept = self._assets.get(event.place.asset)
        if kept is not None and kept[0] == event.place.prev:
            return kept[1]
        if event.place.asset == KEYS_ASSET:
            return AssetState(events=event.place.n)
        return replay(Custody(register), read_entries(event.place.asset)).asset

    def _keep(self, asset: str, leaf: bytes, state: AssetState) -> None:
        self._assets[asset] = (leaf, state)
        self._assets.move_to_end(asset)
        if len(self._assets) > MAX_STATES:
            self._assets.popitem(last=False)


def replay(state: Custody, entries: Sequence[tuple[int, bytes]]) -> Custody:
    """Return the state after an asset's entries in the log; their signatures are not checked again.

    Raises
    ------
    CorruptError : they are not entries, or do not follow the rules; `index` names the first such
    """
    for index, entry in entries:
        try:
            proposal = parse_event(entry)
            key_ids = tuple(item.key_id for item in proposal.envelope.signatures)
            event = Event(proposal.statement, proposal.place, key_ids, proposal.added_key)
            state = check_event(state, event, index)
        except LedgerError as error:
            raise CorruptError(
                f"entry {index} does not follow its asset's history: {error}", index=index
            ) from error
    return state
