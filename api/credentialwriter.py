"""The child process that puts a C2PA credential into a file; run by path, never imported.

    python -I credentialwriter.py '{"source": "a.flac", "destination": "a.part", "format": "audio/flac", ...}'

It holds no secret. When the library wants a signature, a line goes out and the answer comes in:

    > {"sign": "<base64 of what is to be signed>"}
    < <base64 of the signature>
    > {"done": "<base64 of the manifest store>"}        or {"failed": "<why>"}

It stands apart because it parses the credentials of a stranger's file, which are kept as an ingredient, and
because it waits for a time-stamping authority: both must not take our process along.
"""

import base64
import json
import os
import resource
import sys
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import c2pa


def give_up_rights(limits: dict[str, int]) -> None:
    """Lower this process's limits, for good."""
    for name, value in (
        (resource.RLIMIT_AS, limits["memory_bytes"]),
        (resource.RLIMIT_CPU, limits["cpu_s"]),
        (resource.RLIMIT_FSIZE, limits["file_bytes"]),
        (resource.RLIMIT_CORE, 0),
    ):
        hard = resource.getrlimit(name)[1]
        value = value if hard == resource.RLIM_INFINITY else min(value, hard)
        resource.setrlimit(name, (value, value))


def say(name: str, value: str) -> None:
    sys.stdout.write(json.dumps({name: value}) + "\n")
    sys.stdout.flush()


def ask_signature(message: bytes) -> bytes:
    say("sign", base64.b64encode(message).decode("ascii"))
    return base64.b64decode(sys.stdin.readline())


def sign(orders: dict[str, Any]) -> bytes:
    authority = orders["authority"]
    hosts = [urlsplit(authority).netloc] if authority else []
    context = c2pa.Context.from_dict(
        {
            "verify": {"remote_manifest_fetch": False, "ocsp_fetch": False},
            "core": {"allowed_network_hosts": hosts, "allow_redirects": False},
        }
    )
    builder = c2pa.Builder.from_json(json.dumps(orders["manifest"]), context)
    ingredient = orders["ingredient"]
    if ingredient is not None:
        with Path(ingredient["path"]).open("rb") as file:
            builder.add_ingredient(ingredient["about"], ingredient["format"], file)
    if not orders["embed"]:
        builder.set_no_embed()
    signer = c2pa.Signer.from_callback(
        ask_signature, c2pa.C2paSigningAlg.ED25519, orders["chain"], authority or None
    )
    with Path(orders["source"]).open("rb") as source, Path(orders["destination"]).open("w+b") as destination:
        store = bytes(builder.sign(signer, orders["format"], source, destination))
        destination.flush()
        os.fsync(destination.fileno())
    return store


def main() -> None:
    orders = json.loads(sys.argv[1])
    null = os.open(os.devnull, os.O_WRONLY)
    os.dup2(null, 2)
    give_up_rights(orders["limits"])
    try:
        store = sign(orders)
    except Exception as error:  # noqa: BLE001 - whatever the library says is the answer
        say("failed", f"{type(error).__name__}: {error}"[:300])
    else:
        say("done", base64.b64encode(store).decode("ascii"))


if __name__ == "__main__":
    main()
