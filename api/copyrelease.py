"""From a copy in progress to a delivered one, so that a crash never leaves a file that is not in the ledger.

The steps are numbered at the head of `api.deliveries`.
"""

import contextlib
import logging
import shutil
from pathlib import Path

from ledger.errors import LedgerError

from .audiofile import sync_file
from .copies import CopyRow
from .errors import WriteError
from .installation import Installation
from .registry import PENDING
from .release import COPY_SUFFIX, Recovery, locate_lock, name_asset, try_lock

logger = logging.getLogger(__name__)


def finish_copy(installation: Installation, row: CopyRow) -> Path:
    """Steps 4 and 5, each of which may have been done before; return the folder of the copy."""
    settings = installation.settings
    incoming, final = settings.incoming / (row.copy_id + COPY_SUFFIX), settings.copies / row.copy_id
    try:
        if incoming.is_dir():
            settings.copies.mkdir(exist_ok=True)
            incoming.rename(final)
            sync_file(settings.copies)
            sync_file(settings.incoming)
        elif not final.is_dir():
            raise WriteError(f"{final}: the copy is in the ledger, but its file is gone")
    except OSError as error:
        raise WriteError(f"{final}: cannot be released: {error.strerror}") from error
    installation.copies.release(row.copy_id)
    return final


def abandon_copy(installation: Installation, copy_id: str, row: CopyRow | None) -> None:
    """Remove what is left of a copy that never reached the ledger; one that is in it stays for recovery.

    Called while another error is on its way, it raises none of its own.
    """
    try:
        row = row or installation.copies.find_copy(copy_id)
        if row is not None:
            if _is_logged(installation, row):
                return
            installation.copies.drop_pending(copy_id)
            installation.vault.remove([row.recipient_commitment])
    except LedgerError:
        logger.exception("leftovers of copy %s stay until the next start", copy_id)
    else:
        with contextlib.suppress(OSError):
            shutil.rmtree(installation.settings.incoming / (copy_id + COPY_SUFFIX))


def recover_copies(installation: Installation) -> Recovery:
    """Finish or remove what a crash left of deliveries; called before new work, as `release.recover` is."""
    finished, removed = [], []
    folders = {
        path.name.removesuffix(COPY_SUFFIX)
        for path in installation.settings.incoming.iterdir()
        if path.is_dir() and path.name.endswith(COPY_SUFFIX)
    }
    for copy_id in sorted({row.copy_id for row in installation.copies.list_pending()} | folders):
        with try_lock(locate_lock(installation, copy_id + COPY_SUFFIX)) as free:
            if not free:
                continue
            # Read again under the lock: the process that held it may have just finished.
            row = installation.copies.find_copy(copy_id)
            if row is not None and row.state == PENDING and _is_logged(installation, row):
                try:
                    finish_copy(installation, row)
                except WriteError:
                    logger.exception("copy %s cannot be finished", copy_id)
                else:
                    finished.append(copy_id)
            elif row is None or row.state == PENDING:
                abandon_copy(installation, copy_id, row)
                removed.append(copy_id)
    return Recovery(tuple(finished), tuple(removed))


def _is_logged(installation: Installation, row: CopyRow) -> bool:
    asset = name_asset(row.track_id)
    return any(found == asset for _, found in installation.store.find_subject(row.file_sha256))
