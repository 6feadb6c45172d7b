"""Tags and credential of a file about to be released: the last things that are written into it.

    marked audio -> tags -> C2PA credential -> read back -> ledger

In this order, because each covers what stands before it: any change after the credential breaks it, and the
entry in the ledger states the SHA-256 of the finished file. What the credential cannot name is therefore its
own entry, which does not exist yet; it names log and asset instead, and the entry states the credential's id
and digest (docs/decisions/0007-credential-before-entry.md).
"""

import dataclasses
import datetime
import importlib.metadata
from typing import Any

import watermark

from .audiofile import AudioWriter
from .credentialkeys import open_signer, read_own_root
from .credentialmanifest import build_manifest, draw_manifest_id
from .credentials import Credential, Ingredient, sign_file
from .disclosing import build_disclosure, state_issuer
from .disclosure import Disclosure
from .errors import CredentialError
from .installation import Installation
from .labels import Anchors, read_labels
from .source import Encoding, Source
from .tags import write_tags

MAX_SIGNED_BYTES = 1 << 30
"""The library holds a file twice while it signs: larger ones are released without a credential."""
CHANNEL_NAMES = {1: "mono", 2: "stereo"}  # EBU R98, 3.4


def label_file(
    installation: Installation,
    source: Source,
    encoding: Encoding,
    writer: AudioWriter,
    *,
    track_id: str,
    created: str,
    mark_commitment: bytes,
) -> Source:
    """Write tags and credential into a finished file; return the source with what the entry states of them.

    `created` is RFC 3339 UTC; `mark_commitment` the 32 bytes by which the entry will name the mark.

    Raises
    ------
    WriteError
        The file cannot be written.
    CredentialError
        The credential cannot be signed, or does not read back as valid.
    """
    facts = {**source.facts, **state_issuer(installation.settings, track_id)}
    disclosure = build_disclosure(
        installation.public,
        facts,
        track_id=track_id,
        created=created,
        seconds=source.samples / source.sample_rate,
        pcm_sha256=writer.pcm_sha256,
        credits={item.label: item.value for item in source.credits},
    )
    channels = CHANNEL_NAMES.get(source.channels, "multitrack")
    coding = f"A=PCM,F={source.sample_rate},W={encoding.bits},M={channels}"
    write_tags(writer.path, disclosure, coding=coding)
    if installation.settings.credentials and writer.path.stat().st_size <= MAX_SIGNED_BYTES:
        credential = _sign(installation, source, encoding, writer, disclosure, mark_commitment)
        if credential is not None:
            facts = {**facts, **state_credential(credential)}
    return dataclasses.replace(source, facts=facts)


def state_credential(credential: Credential) -> dict[str, Any]:
    """Return what a statement says of a credential: its id and digest, and who stamped the time."""
    authority = {} if credential.authority is None else {"time_stamp": credential.authority}
    return {"credential": {"id": credential.manifest_id, "sha256": credential.sha256, **authority}}


def _sign(
    installation: Installation,
    source: Source,
    encoding: Encoding,
    writer: AudioWriter,
    disclosure: Disclosure,
    mark_commitment: bytes,
) -> Credential | None:
    """Sign a credential; None for sound of which neither a file nor a declaration tells the origin."""
    settings, public = installation.settings, installation.public
    upstream, carried = None, False
    if source.upstream is not None:
        found = read_labels(source.upstream, settings.limits)
        carried = found.credential is not None or bool(found.credential_problem)
        # What the library cannot read it is not asked to parse: it is kept as bytes of no known kind.
        upstream = Ingredient(source.upstream, "" if found.credential_problem else found.container)
    created = disclosure.source_type is not None and not carried
    if not created and upstream is None:
        return None
    manifest = build_manifest(
        disclosure,
        manifest_id=draw_manifest_id(),
        program_version=importlib.metadata.version("provenote"),
        profile=watermark.PROFILE.name,
        mark_commitment=mark_commitment,
        log_key=public.vkey,
        created=created,
    )
    signer = open_signer(settings, disclosure.provider, now=datetime.datetime.now(datetime.UTC))
    credential = sign_file(
        writer.path,
        encoding.container,
        manifest,
        signer,
        ingredient=None if created else upstream,
        authorities=installation.authorities,
    )
    _read_back(installation, writer, credential)
    return credential


def _read_back(installation: Installation, writer: AudioWriter, credential: Credential) -> None:
    """Check the credential in the file as any verifier would."""
    settings = installation.settings
    found = read_labels(writer.path, settings.limits, Anchors(own=read_own_root(settings))).credential
    if found is None or (found["state"], found["label"], found["sha256"]) != (
        "Trusted",
        credential.manifest_id,
        credential.sha256,
    ):
        state = None if found is None else found["state"]
        raise CredentialError(f"the credential of {writer.path.name} does not read back: {state}")
