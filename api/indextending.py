"""Tending the index: large segments are merged while the service runs, or at the end of a command.

Nothing waits for it, and nothing is lost where it fails: more segments only take longer to search.
"""

import logging
import threading

import ledger

from .errors import ApiError
from .installation import Installation
from .leading import Lead
from .marking import Progress

INTERVAL_S = 60.0
logger = logging.getLogger(__name__)


def tend_index(installation: Installation, progress: Progress) -> str | None:
    """Merge what is large; return why, where that failed: what was added is in use anyway."""
    try:
        installation.catalogue.tidy(progress)
    except (ledger.LedgerError, ApiError, OSError) as error:
        return f"segments of the index could not be merged: {error}"
    return None


class IndexTender:
    """A thread that merges what is large, of all services of a ledger folder in one."""

    def __init__(self, installation: Installation, lead: Lead, *, interval_s: float = INTERVAL_S) -> None:
        self._installation = installation
        self._lead = lead
        self._interval_s = interval_s
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="index tender", daemon=True)

    def start(self) -> None:
        """Begin after the first interval."""
        self._thread.start()

    def close(self) -> None:
        """Stop within a moment; a merge under way is given up."""
        self._stopping.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._stopping.wait(self._interval_s):
            try:
                if self._lead.take():
                    self._installation.catalogue.tidy(cancelled=self._stopping.is_set)
            except Exception:
                # Whatever it is, the index is as it was, and the next round tries again.
                logger.exception("segments of the index could not be merged; trying again")
