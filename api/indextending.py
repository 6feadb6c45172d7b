"""Tending the index: large segments are merged while the service runs, or at the end of a command.

Nothing waits for it, and nothing is lost where it fails: more segments only take longer to search.
"""

import ledger

from .errors import ApiError
from .installation import Installation
from .leading import Lead
from .marking import Progress
from .rounds import Rounds

INTERVAL_S = 60.0


def tend_index(installation: Installation, progress: Progress) -> str | None:
    """Merge what is large; return why, where that failed: what was added is in use anyway."""
    try:
        installation.catalogue.tidy(progress)
    except (ledger.LedgerError, ApiError, OSError) as error:
        return f"segments of the index could not be merged: {error}"
    return None


def make_tender(installation: Installation, lead: Lead, interval_s: float = INTERVAL_S) -> Rounds:
    """Return what merges large segments beside a service; a merge under way is given up when it stops."""
    tidy = installation.catalogue.tidy
    return Rounds("merging the index", lambda stopping: tidy(cancelled=stopping), lead, interval_s)
