"""Issuing and stamping: what is registered, what is refused, and what a fault at each step leaves."""

import fcntl
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
import soundfile
from conftest import SAMPLE_RATE, Audio, Stamped, make_music, write_audio

import api.issuing
import api.release
import ledger
from api.audiofile import PcmDigest
from api.errors import AudioRefusedError, RegisteredError, StoppedError, UnreadableMarkError, WriteError
from api.installation import Installation, open_installation
from api.issuing import Issued, make_track_id, register, stamp
from api.registry import PENDING, RELEASED
from api.release import recover
from api.settings import read_settings
from api.source import Encoding, Source
from ledger.errors import OutcomeUnknownError


@contextmanager
def opened(home: Path) -> Iterator[Installation]:
    with open_installation(read_settings(home, {})) as installation:
        yield installation


def left_over(installation: Installation) -> list[str]:
    return [path.name for path in installation.settings.incoming.iterdir()]


def sound(installation: Installation) -> bool:
    public = installation.public
    return ledger.fsck(installation.store, vkey=public.vkey, public_keys=public.issuers).ok


@pytest.fixture(scope="module")
def song() -> Audio:
    return make_music(14.0, seed=2, channels=1)


def register_audio(
    installation: Installation,
    audio: Audio,
    sample_rate: int = SAMPLE_RATE,
    encoding: Encoding = Encoding(),
    **callbacks: Callable[..., object],
) -> Issued:
    """Mark, log and release audio: `stamp` without its look at the source, which takes longest."""
    digest = PcmDigest()
    digest.push(audio)
    source = Source(
        event=ledger.STAMPED,
        title="song",
        sample_rate=sample_rate,
        channels=audio.shape[0],
        samples=audio.shape[1],
        blocks=lambda: iter([audio]),
        pcm_sha256=digest.hex(),
        facts={},
    )
    return register(installation, source, encoding=encoding, track_id=make_track_id(), **callbacks)  # type: ignore[arg-type]


def test_a_stamped_track_has_audio_bundle_rows_and_a_proven_entry(stamped: Stamped) -> None:
    with opened(stamped.home) as installation:
        track = installation.registry.get_released(stamped.track_id)
        mark = installation.registry.get_mark_of(stamped.track_id)
        assert track.state == RELEASED
        assert mark is not None
        assert track.audio_name == stamped.audio.name
        bundle = stamped.audio.with_name("bundle.json")
        report = ledger.check_bundle(bundle.read_bytes(), vkey=installation.public.vkey)
        assert report.openings == {"mark_id": mark.mark_id}
        assert bundle.stat().st_mode & 0o077 == 0
        subjects = {item.name: item.sha256.hex() for item in report.events[0].event.statement.subjects}
        assert subjects["file"] == track.file_sha256
        assert set(subjects) == {"file", "pcm", "source-pcm", "source-file", "fingerprint", "mark"}
        assert left_over(installation) == []
        assert sound(installation)


def test_the_ledger_shows_neither_mark_nor_title(stamped: Stamped) -> None:
    with opened(stamped.home) as installation:
        mark = installation.registry.get_mark_of(stamped.track_id)
        assert mark is not None
        payload = ledger.open_envelope(
            installation.store.entry(stamped.entry_index), installation.public.issuers
        ).payload
    assert mark.mark_id.encode() not in payload
    assert mark.salt.hex().encode() not in payload
    assert b"song" not in payload


def test_the_same_recording_is_refused_and_its_track_named(stamped: Stamped, tmp_path: Path) -> None:
    frames, rate = soundfile.read(stamped.source, dtype="int32")
    again = tmp_path / "again.wav"
    soundfile.write(again, frames, rate, subtype="PCM_24")
    with opened(stamped.home) as installation:
        with pytest.raises(RegisteredError) as caught:
            stamp(installation, again)
        assert caught.value.track_id == stamped.track_id
        assert installation.store.state().size == 2


def test_a_recording_that_carries_our_mark_is_refused_and_its_track_named(
    stamped: Stamped, tmp_path: Path
) -> None:
    frames, rate = soundfile.read(stamped.audio, dtype="float32")
    excerpt = write_audio(tmp_path / "excerpt.ogg", frames[3 * rate :].T, rate)
    with (
        opened(stamped.home) as installation,
        pytest.raises(RegisteredError, match="carries the mark") as caught,
    ):
        stamp(installation, excerpt)
    assert caught.value.track_id == stamped.track_id


@pytest.mark.parametrize(
    ("name", "audio"),
    [
        ("silence", np.zeros((2, 12 * SAMPLE_RATE), dtype=np.float32)),
        ("one sample", np.full((1, 1), 0.5, dtype=np.float32)),
        ("a tenth of a second", make_music(0.1, seed=3)),
    ],
)
def test_what_cannot_carry_a_mark_is_refused_and_nothing_is_left(
    stamped: Stamped, tmp_path: Path, name: str, audio: np.ndarray[tuple[int, int], np.dtype[np.float32]]
) -> None:
    path = write_audio(tmp_path / "a.wav", audio)
    with opened(stamped.home) as installation:
        with pytest.raises(UnreadableMarkError, match="cannot be read back"):
            stamp(installation, path)
        assert installation.store.state().size == 2
        assert installation.registry.list_pending() == []
        assert left_over(installation) == []


def test_a_damaged_file_is_refused(stamped: Stamped, tmp_path: Path) -> None:
    content = stamped.source.read_bytes()
    (tmp_path / "half.flac").write_bytes(content[: len(content) // 2])
    with opened(stamped.home) as installation, pytest.raises(AudioRefusedError, match="is damaged"):
        stamp(installation, tmp_path / "half.flac")


@pytest.mark.parametrize("stage", ["mark", "read back"])
def test_cancelling_at_any_stage_leaves_nothing(stamped: Stamped, song: Audio, stage: str) -> None:
    reached: list[str] = []
    with opened(stamped.home) as installation:
        with pytest.raises(StoppedError):
            register_audio(
                installation,
                song,
                progress=lambda name, _: reached.append(name),
                cancelled=lambda: stage in reached,
            )
        assert installation.registry.list_pending() == []
        assert left_over(installation) == []
        assert installation.store.state().size == 2


def test_digitally_clipped_audio_is_registered(stamped: Stamped) -> None:
    loud = np.clip(3.0 * make_music(15.0, seed=4), -1.0, 1.0)
    with opened(stamped.home) as installation:
        assert register_audio(installation, loud).seconds == 15.0


@pytest.mark.parametrize(("sample_rate", "seconds"), [(8_000, 60.0), (192_000, 11.0)])
def test_extreme_sample_rates_are_registered(stamped: Stamped, sample_rate: int, seconds: float) -> None:
    audio = make_music(seconds, seed=5, sample_rate=sample_rate, channels=1)
    with opened(stamped.home) as installation:
        issued = register_audio(installation, audio, sample_rate, Encoding("wav", 16))
    assert issued.seconds == seconds


class PowerCut(BaseException):
    """Stands for the end of the process: no handler of the program may react to it usefully."""


def _raise(error: BaseException) -> Callable[..., object]:
    def fail(*_: object, **__: object) -> object:
        raise error

    return fail


def _cut_after(work: Callable[..., object]) -> Callable[..., object]:
    def run(*arguments: object, **options: object) -> object:
        work(*arguments, **options)
        raise PowerCut

    return run


# Where the process ends; whether the track must exist after the next start.
CUTS = [
    ("api.issuing", "read_back", "before", False),
    ("api.issuing", "_append", "before", False),
    ("api.issuing", "_append", "after", True),
    ("api.issuing", "finish_release", "before", True),
    ("api.release", "make_bundle", "before", True),
    ("api.release", "write_synced", "after", True),
    ("api.release", "sync_file", "after", True),
]


@pytest.mark.parametrize(("module", "function", "moment", "kept"), CUTS)
def test_a_crash_at_any_step_loses_nothing_logged_and_leaves_nothing_else(
    stamped: Stamped,
    song: Audio,
    monkeypatch: pytest.MonkeyPatch,
    module: str,
    function: str,
    moment: str,
    kept: bool,
) -> None:
    target = {"api.issuing": api.issuing, "api.release": api.release}[module]
    broken = _raise(PowerCut()) if moment == "before" else _cut_after(getattr(target, function))
    with monkeypatch.context() as patch, opened(stamped.home) as installation:
        patch.setattr(target, function, broken)
        # A process that ends cleans nothing up.
        patch.setattr(api.issuing, "abandon", lambda *_: None)
        with pytest.raises(PowerCut):
            register_audio(installation, song)
    with opened(stamped.home) as installation:
        recovery = recover(installation)
        assert len(recovery.finished if kept else recovery.removed) == 1
        assert installation.registry.list_pending() == []
        assert left_over(installation) == []
        assert installation.store.state().size == (3 if kept else 2)
        assert sound(installation)
        folders = sorted(path.name for path in installation.settings.tracks.iterdir())
        rows = [track.track_id for track in installation.registry.list_tracks(limit=10)]
        assert folders == rows
        assert len(folders) == (2 if kept else 1)
        for folder in installation.settings.tracks.iterdir():
            ledger.check_bundle((folder / "bundle.json").read_bytes(), vkey=installation.public.vkey)


def test_a_crash_before_the_entry_lets_the_same_recording_be_stamped_again(
    stamped: Stamped, song: Audio, monkeypatch: pytest.MonkeyPatch
) -> None:
    with opened(stamped.home) as installation:
        with monkeypatch.context() as patch:
            patch.setattr(api.issuing, "_append", _raise(PowerCut()))
            patch.setattr(api.issuing, "abandon", lambda *_: None)
            with pytest.raises(PowerCut):
                register_audio(installation, song)
        recover(installation)
        assert isinstance(register_audio(installation, song), Issued)


def test_an_unknown_outcome_of_the_commit_is_left_for_recovery(
    stamped: Stamped, song: Audio, monkeypatch: pytest.MonkeyPatch
) -> None:
    with opened(stamped.home) as installation:
        with monkeypatch.context() as patch:
            patch.setattr(api.issuing, "_append", _raise(OutcomeUnknownError("the commit failed")))
            with pytest.raises(OutcomeUnknownError):
                register_audio(installation, song)
        assert [track.state for track in installation.registry.list_pending()] == [PENDING]
        assert len(recover(installation).removed) == 1


def test_an_interrupt_right_after_the_commit_does_not_remove_the_logged_track(
    stamped: Stamped, song: Audio, monkeypatch: pytest.MonkeyPatch
) -> None:
    with opened(stamped.home) as installation:
        with monkeypatch.context() as patch:
            patch.setattr(api.issuing, "_append", _cut_after(api.issuing._append))
            with pytest.raises(PowerCut):
                register_audio(installation, song)
        assert len(recover(installation).finished) == 1


def test_work_in_progress_of_another_process_is_left_alone(stamped: Stamped) -> None:
    with opened(stamped.home) as installation:
        with api.release.hold_incoming(installation, "a" * 16) as folder:
            assert recover(installation) == api.release.Recovery((), ())
            assert folder.is_dir()
        assert recover(installation).removed == ("a" * 16,)
        assert not folder.exists()


def test_a_lock_whose_file_was_removed_before_it_was_taken_is_taken_anew(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, take = tmp_path / "a.lock", fcntl.flock
    gone = iter([True])

    def take_late(descriptor: int, operation: int) -> None:
        if next(gone, False):
            path.unlink()  # as its holder does, who lets go just now
        take(descriptor, operation)

    monkeypatch.setattr(fcntl, "flock", take_late)
    with api.release.try_lock(path) as mine:
        assert mine
        with api.release.try_lock(path) as another:
            assert not another
    assert not path.exists()


def test_an_incoming_folder_that_cannot_be_written_is_an_error(stamped: Stamped, song: Audio) -> None:
    incoming = stamped.home / "incoming"
    incoming.rmdir()
    incoming.touch()  # a file in its place: refused for root, too
    with opened(stamped.home) as installation:
        with pytest.raises(WriteError, match="Not a directory"):
            register_audio(installation, song)
        assert installation.store.state().size == 2
