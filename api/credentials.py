"""Signing C2PA credentials into files, by the C2PA library in a child process.

    sign_file(file, manifest, signer, authorities=...) -> Credential

Embedded in WAV, FLAC, MP3 and MP4; for every other container the manifest store is a sidecar, and the file
stays as it is, byte for byte. The signature is time-stamped by the first authority that answers; where none
does, it is made without, and `Credential.authority` says so.
"""

import base64
import hashlib
import json
import logging
import os
import select
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ledger.keys import SigningKey

from .credentialkeys import CredentialSigner
from .errors import CredentialError
from .timestamping import Authority

WRITER = Path(__file__).with_name("credentialwriter.py")
EMBEDDED = {
    "wav": "audio/wav",
    "flac": "audio/flac",
    "mp3": "audio/mpeg",
    "mp4": "audio/mp4",
}
"""Containers that the library embeds in, and how it names them."""
OTHERS = {"ogg": "audio/ogg", "aiff": "audio/aiff"}
UNKNOWN = "application/octet-stream"
MEMORY_BYTES = 4 << 30  # the library holds the file twice while it signs
CPU_S = 300
ROOM_BYTES = 128 << 20  # beyond the source: manifests of ingredients
START_S, AUTHORITY_S = 60.0, 30.0
BYTES_PER_S = 20 << 20  # slower than any disk that audio is kept on
MAX_STORE_BYTES = 64 << 20
MAX_LINE_BYTES = 2 * MAX_STORE_BYTES
logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Ingredient:
    """The file that something was made from: where it is, its container as `labelreader.py` names it."""

    path: Path
    container: str


@dataclass(frozen=True)
class Credential:
    """A signed manifest store: its id (urn:c2pa:...), its bytes, the authority that stamped it, if any."""

    manifest_id: str
    store: bytes
    authority: str | None

    @property
    def sha256(self) -> str:
        """Hex SHA-256 of the manifest store."""
        return hashlib.sha256(self.store).hexdigest()


def name_format(container: str) -> str:
    """Return the media type of a container, as the library takes it."""
    return EMBEDDED.get(container) or OTHERS.get(container, UNKNOWN)


def sign_file(
    path: Path,
    container: str,
    manifest: Mapping[str, Any],
    signer: CredentialSigner,
    *,
    ingredient: Ingredient | None = None,
    authorities: Sequence[Authority] = (),
) -> Credential:
    """Embed a signed credential in a file, in place and synced; a sidecar's file is not changed.

    Parameters
    ----------
    container
        Of the file, as `labelreader.py` names it: wav, flac, mp3, mp4 are embedded in.
    manifest
        From `credentialmanifest.build_manifest`.
    ingredient
        The parent that `c2pa.opened` speaks of.
    authorities
        Whom to ask for a time-stamp, in this order.

    Raises
    ------
    CredentialError
        The library cannot sign; the file is unchanged.
    OSError
        The file cannot be replaced.
    """
    embed = container in EMBEDDED
    temporary = path.with_name(f".{path.name}.credential")
    orders: dict[str, Any] = {
        "source": str(path.absolute()),
        "destination": str(temporary.absolute()),
        "format": name_format(container),
        "manifest": dict(manifest),
        "chain": signer.chain_pem,
        "embed": embed,
        "ingredient": None
        if ingredient is None
        else {
            "path": str(ingredient.path.absolute()),
            "format": name_format(ingredient.container),
            "about": {"title": "source", "relationship": "parentOf", "label": "source"},
        },
        "limits": {
            "memory_bytes": MEMORY_BYTES,
            "cpu_s": CPU_S,
            "file_bytes": path.stat().st_size + ROOM_BYTES,
        },
    }
    try:
        store, authority = _sign_with_first(orders, signer.signing_key, authorities)
        if embed:
            temporary.chmod(path.stat().st_mode & 0o777)
            temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)
    return Credential(str(manifest["label"]), store, authority)


def _sign_with_first(
    orders: dict[str, Any], signing_key: SigningKey, authorities: Sequence[Authority]
) -> tuple[bytes, str | None]:
    """Sign with a time-stamp of the first authority that gives one, else without."""
    for authority in authorities:
        try:
            return _sign({**orders, "authority": authority.url}, signing_key), authority.name
        except CredentialError as error:
            logger.warning("time-stamp of %s on a credential: %s", authority.name, error)
    return _sign({**orders, "authority": None}, signing_key), None


def _sign(orders: dict[str, Any], signing_key: SigningKey) -> bytes:
    """Run the child once and answer what it asks."""
    environment = {}
    if "LD_LIBRARY_PATH" in os.environ:
        environment["LD_LIBRARY_PATH"] = os.environ["LD_LIBRARY_PATH"]
    wait_s = START_S + orders["limits"]["file_bytes"] / BYTES_PER_S
    with subprocess.Popen(
        [sys.executable, "-I", str(WRITER), json.dumps(orders)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        env=environment,
        cwd="/",
    ) as process:
        try:
            while True:
                document = _read_line(process, wait_s)
                if "done" in document:
                    return base64.b64decode(document["done"])
                if "sign" not in document:
                    raise CredentialError(f"no credential was signed: {document.get('failed')}")
                signature = signing_key.sign(base64.b64decode(document["sign"]))
                assert process.stdin is not None
                process.stdin.write(base64.b64encode(signature) + b"\n")
                process.stdin.flush()
                if orders["authority"] is not None:
                    wait_s = AUTHORITY_S + orders["limits"]["file_bytes"] / BYTES_PER_S
        except BrokenPipeError as error:
            raise CredentialError("no credential was signed: the signing process ended") from error
        finally:
            process.kill()


def _read_line(process: subprocess.Popen[bytes], wait_s: float) -> dict[str, Any]:
    """Return the child's next line."""
    assert process.stdout is not None
    deadline = time.monotonic() + wait_s
    line = b""
    while not line.endswith(b"\n"):
        left_s = deadline - time.monotonic()
        if left_s <= 0 or not select.select([process.stdout], [], [], left_s)[0]:
            raise CredentialError(f"no credential was signed: no answer within {wait_s:.0f} s")
        chunk = os.read(process.stdout.fileno(), 1 << 20)
        line += chunk
        if not chunk or len(line) > MAX_LINE_BYTES:
            raise CredentialError("no credential was signed: the signing process ended")
    document: dict[str, Any] = json.loads(line)
    return document
