"""The issue flow: how a track comes to be marked, signed and logged.

    generate: prompt -> engine -> tape -> audio --.
    stamp:    file -> bounded decode -> audio ----+-> embed -> file -> read back -> margin -> statement ->
    ledger -> release

Nothing leaves before its entry is durable: the order of writes, and what a crash leaves, is in `api.release`.
No function hands out unmarked audio. The mark is read back from the very file that is released: what cannot
be read is refused. How much it has in hand is predicted where that is asked for (`api.margin`).
"""

import base64
import secrets
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import ledger
from ledger.errors import OutcomeUnknownError
from watermark.identity.extraction import Query

from .audiofile import AudioWriter, sync_file, write_synced
from .declaration import Declaration, draw_credits, state_declaration
from .decoding import open_recording
from .engines import LoadedEngine, Request
from .errors import (
    AudioRefusedError,
    RegisteredError,
    StoppedError,
    WeakMarkError,
    WriteError,
)
from .evidence import Likeness
from .factors import DeclaredFactors, state_factors
from .installation import Installation, now
from .keyring import detection_keys
from .labelling import label_file
from .margin import Margin, MarginPolicy, predict
from .marking import (
    MARK_BYTES,
    Block,
    CancelCheck,
    Listener,
    Progress,
    Strength,
    embed_blocks,
    examine,
    never_cancelled,
    report_nothing,
)
from .marktags import tag_subjects
from .metering import Meter
from .originals import keep_blocks
from .readback import read_back, state_audio_code, write_fingerprint
from .recognition import check_unknown, check_unknown_file, detection_profiles
from .record import build_rows, list_credit_rows, list_subjects, state_facts
from .registry import MarkRow, TrackRow
from .release import abandon, finish_release, hold_incoming, name_asset
from .resemblance import Resemblance, ResemblancePolicy, check_unlike, state_relations
from .source import Encoding, Played, Source, describe_generated
from .tape import Tape


@dataclass(frozen=True)
class Issued:
    """A released track: its id, its folder, the audio file in it, its place in the ledger, the margin of its
    mark where that was predicted, the known recordings that it sounds like, the nearest first, and the
    closest one, though it may be no match.
    """

    track_id: str
    folder: Path
    audio: Path
    entry_index: int
    leaf_hash: bytes
    seconds: float
    clipped: int
    margin: Margin | None = None
    nearest: tuple[Likeness, ...] = ()
    closest: Likeness | None = None


def make_track_id() -> str:
    """Draw a track id: 16 characters, 80 random bits."""
    return base64.b32encode(secrets.token_bytes(10)).decode("ascii").lower()


def issue(
    installation: Installation,
    engine: LoadedEngine,
    request: Request,
    *,
    factors: DeclaredFactors = DeclaredFactors(),
    encoding: Encoding = Encoding(),
    margin: MarginPolicy = MarginPolicy.OFF,
    strength: Strength = Strength.DEFAULT,
    resemblance: ResemblancePolicy = ResemblancePolicy.REFUSE,
    track_id: str | None = None,
    progress: Progress = report_nothing,
    cancelled: CancelCheck = never_cancelled,
) -> Issued:
    """Generate a track from a prompt and register it; `factors` is what the issuer declares of its making.

    Raises
    ------
    generator.GeneratorError
        The request cannot be served, or was cancelled.
    RegisteredError
        The same request with the same seed gave these very samples before, or they sound like a known
        recording.
    StayDownError
        An upheld notice named this recording.
    UnreadableMarkError, WeakMarkError, StoppedError, WriteError, ledger.LedgerError
        Nothing was registered (but see `ledger.errors.OutcomeUnknownError`: then the next start decides).
    """
    with Tape(installation.settings) as tape:
        meter = Meter(engine.description.device, engine.watts)
        account = engine.perform(request, tape, progress=progress, cancelled=cancelled)
        cost = meter.read()
        source = describe_generated(
            request,
            account,
            Played(tape.blocks, tape.sample_rate, tape.channels, tape.samples, tape.pcm_sha256),
            state_factors(factors, description=engine.description, account=account, cost=cost),
        )
        found = check_unlike(installation, _listen(source), resemblance)
        issued = register(
            installation,
            relate(source, found, resemblance),
            encoding=encoding,
            margin=margin,
            strength=strength,
            track_id=track_id or make_track_id(),
            progress=progress,
            cancelled=cancelled,
        )
    return replace(issued, nearest=found.matches, closest=found.closest)


def stamp(
    installation: Installation,
    path: Path,
    *,
    title: str | None = None,
    declared: Declaration = Declaration(),
    factors: DeclaredFactors = DeclaredFactors(),
    encoding: Encoding = Encoding(),
    margin: MarginPolicy = MarginPolicy.OFF,
    strength: Strength = Strength.DEFAULT,
    resemblance: ResemblancePolicy = ResemblancePolicy.REFUSE,
    track_id: str | None = None,
    progress: Progress = report_nothing,
    cancelled: CancelCheck = never_cancelled,
) -> Issued:
    """Mark and register a recording that exists as a file; the file itself is not changed.

    What is registered or carries a mark of any of our keys is refused (`api.recognition`).

    Raises
    ------
    AudioRefusedError, TooLargeError
        Not audio, damaged, or outside the limits.
    RegisteredError
        The recording is registered, carries a mark of ours, or sounds like a known recording and
        `resemblance` is to refuse that.
    StayDownError
        An upheld notice named this recording.
    UnreadableMarkError, WeakMarkError, StoppedError, WriteError, ledger.LedgerError, OSError
        Nothing was registered.
    """
    check_unknown_file(installation, path)
    found = examine(
        path,
        limits=installation.settings.limits,
        watermark_keys=detection_keys(installation.keyring),
        profiles=detection_profiles(installation),
        fingerprint=True,
        stage="examine",
        progress=progress,
        cancelled=cancelled,
    )
    if found.damage:
        raise AudioRefusedError("damaged", f"{path.name} is damaged: {found.damage}")
    check_unknown(installation, found)
    resembling = check_unlike(installation, found.query, resemblance)

    def blocks() -> Iterator[Block]:
        with open_recording(path, installation.settings.limits) as recording:
            yield from recording.blocks()

    source = Source(
        event=ledger.STAMPED,
        # A file name need not be Unicode; the registry's text must be.
        title=(declared.title or title or path.stem).encode("utf-8", "replace").decode("utf-8"),
        sample_rate=found.format.sample_rate,
        channels=found.format.channels,
        samples=found.samples,
        blocks=blocks,
        pcm_sha256=found.pcm_sha256,
        facts={
            "source": {"container": found.format.container, "encoding": found.format.subtype},
            **state_declaration(declared),
            **state_factors(factors),
        },
        subjects=(ledger.Subject("source-file", bytes.fromhex(found.file_sha256)),),
        credits=draw_credits(declared),
        upstream=path,
    )
    issued = register(
        installation,
        relate(source, resembling, resemblance),
        encoding=encoding,
        margin=margin,
        strength=strength,
        track_id=track_id or make_track_id(),
        progress=progress,
        cancelled=cancelled,
    )
    return replace(issued, nearest=resembling.matches, closest=resembling.closest)


def relate(source: Source, found: Resemblance, policy: ResemblancePolicy) -> Source:
    """Return the source with what it resembles among its facts."""
    return replace(source, facts={**source.facts, **state_relations(found.resembling, policy)})


def _listen(source: Source) -> Query | None:
    listener = Listener(sample_rate=source.sample_rate, channels=source.channels)
    for block in source.blocks():
        listener.push(block)
    return listener.finish()


def register(
    installation: Installation,
    source: Source,
    *,
    encoding: Encoding,
    margin: MarginPolicy = MarginPolicy.OFF,
    strength: Strength = Strength.DEFAULT,
    track_id: str,
    progress: Progress = report_nothing,
    cancelled: CancelCheck = never_cancelled,
) -> Issued:
    """Mark, write, log and release; steps as in `api.release`."""
    known = installation.registry.find_source(source.pcm_sha256)
    if known is not None:
        raise RegisteredError(f"the same recording is registered as track {known.track_id}", known.track_id)
    mark_id, mark_salt, created = secrets.token_bytes(MARK_BYTES), secrets.token_bytes(32), now()
    with hold_incoming(installation, track_id) as folder:
        try:
            writer = _write_marked(
                installation, source, encoding, folder, mark_id, strength, progress, cancelled
            )
            source = label_file(
                installation,
                source,
                encoding,
                writer,
                track_id=track_id,
                created=created,
                mark_commitment=ledger.commit("mark_id", mark_salt, mark_id.hex()),
            )
            found = read_back(installation, writer, mark_id, progress, cancelled)
            source = state_audio_code(installation, writer, write_fingerprint(folder, source, found))
            predicted = _predict(installation, writer, mark_id, margin, progress, cancelled)
            for name, content in source.files.items():
                write_synced(folder / name, content)
            sync_file(folder)
            progress("log", 0.0)
            track, mark = build_rows(
                source,
                encoding,
                writer,
                track_id=track_id,
                mark_id=mark_id,
                file_sha256=found.file_sha256,
                watermark_key=installation.keyring.watermark_key,
                created=created,
                mark_salt=mark_salt,
            )
            installation.registry.add_pending(track, mark, list_credit_rows(track_id, source))
            receipt = _append(installation, source, encoding, track, mark, predicted, strength)
        except OutcomeUnknownError:
            raise  # the entry may be there: the next `recover` looks it up
        except BaseException:
            abandon(installation, track_id)
            raise
        final = finish_release(installation, track)
    progress("log", 1.0)
    return Issued(
        track_id=track_id,
        folder=final,
        audio=final / track.audio_name,
        entry_index=receipt.index,
        leaf_hash=receipt.leaf_hash,
        seconds=track.samples / track.sample_rate,
        clipped=writer.clipped,
        margin=predicted,
    )


def _write_marked(
    installation: Installation,
    source: Source,
    encoding: Encoding,
    folder: Path,
    mark_id: bytes,
    strength: Strength,
    progress: Progress,
    cancelled: CancelCheck,
) -> AudioWriter:
    blocks = source.blocks()
    if installation.settings.keep_originals:
        blocks = keep_blocks(
            blocks,
            installation.settings,
            folder.name,
            sample_rate=source.sample_rate,
            channels=source.channels,
        )
    marked = embed_blocks(
        blocks,
        sample_rate=source.sample_rate,
        channels=source.channels,
        watermark_key=installation.keyring.watermark_key,
        payload=mark_id,
        strength=strength,
    )
    with AudioWriter(
        folder / f"track.{encoding.container}",
        container=encoding.container,
        sample_rate=source.sample_rate,
        channels=source.channels,
        bits=encoding.bits,
    ) as writer:
        for block in marked:
            if cancelled():
                raise StoppedError("stopped while the mark was embedded")
            writer.push(block)
            progress("mark", min(1.0, writer.samples / max(1, source.samples)))
    if writer.samples != source.samples:
        raise WriteError(f"expected {source.samples} marked samples, got {writer.samples}")
    return writer


def _predict(
    installation: Installation,
    writer: AudioWriter,
    mark_id: bytes,
    policy: MarginPolicy,
    progress: Progress,
    cancelled: CancelCheck,
) -> Margin | None:
    if policy is MarginPolicy.OFF:
        return None
    found = predict(
        writer.path,
        watermark_key=installation.keyring.watermark_key,
        payload=mark_id,
        progress=progress,
        cancelled=cancelled,
    )
    if policy is MarginPolicy.REQUIRE and not found.sufficient:
        raise WeakMarkError(found.warning, found.reasons)
    return found


def _append(
    installation: Installation,
    source: Source,
    encoding: Encoding,
    track: TrackRow,
    mark: MarkRow,
    margin: Margin | None,
    strength: Strength,
) -> ledger.Receipt:
    facts = state_facts(source, encoding, track, mark, margin, strength)
    tags = tag_subjects(installation, bytes.fromhex(mark.mark_id))
    subjects = (*list_subjects(source, track), *tags)
    issuer = installation.keyring.issuer_signing_key

    def build(place: ledger.Place) -> bytes:
        return ledger.sign_envelope(ledger.build_event(source.event, place, subjects, facts), [issuer])

    draft = ledger.Draft(name_asset(track.track_id), build)
    return installation.store.append([draft], log_signing_key=installation.keyring.log_signing_key)[0]
