"""Files in incoming/ that live as long as one request: uploads, and what is fetched to be read once.

Whoever makes one removes it. What a process that died has left is removed by the next service that is alone,
and no backup takes any.
"""

import secrets
from pathlib import Path

from .settings import Settings

PREFIX = "upload-"


def name_passing(settings: Settings) -> Path:
    """Return the path of a new file of that kind; nothing is made yet."""
    return settings.incoming / f"{PREFIX}{secrets.token_hex(8)}"


def remove_stale(settings: Settings) -> None:
    """Remove those of an earlier process."""
    for path in settings.incoming.glob(f"{PREFIX}*"):
        path.unlink(missing_ok=True)
