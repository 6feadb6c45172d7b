"""A melody in a MIDI file becomes an opening in ABC, or is refused by name."""

import io
import random

import mido
import pytest

from generator import RequestError, transcribe_midi
from generator.keyfinding import find_key, name_tonic
from generator.notation import parse_tune, split_tunes
from generator.opening import read_opening
from generator.transcription import MAX_MIDI_BYTES
from generator.tune import Tune, pitch_of

# (pitch, onset, duration) in ticks of 1/480 quarter note.
Played = tuple[int, int, int]
WALTZ: list[Played] = [(69, 0, 460), (74, 480, 460), (77, 960, 460), (76, 1440, 940), (73, 2400, 460)]


def write_midi(notes: list[Played], *, metre: tuple[int, int] = (3, 4), key: str | None = None) -> bytes:
    """A file of one track."""
    track = mido.MidiTrack([mido.MetaMessage("time_signature", numerator=metre[0], denominator=metre[1])])
    if key is not None:
        track.append(mido.MetaMessage("key_signature", key=key))
    events = [(onset + length, 0, pitch) for pitch, onset, length in notes]
    events += [(onset, 80, pitch) for pitch, onset, _ in notes]
    before = 0
    for tick, velocity, pitch in sorted(events):
        track.append(mido.Message("note_on", note=pitch, velocity=velocity, time=tick - before))
        before = tick
    buffer = io.BytesIO()
    mido.MidiFile(ticks_per_beat=480, tracks=[track]).save(file=buffer)
    return buffer.getvalue()


def read(data: bytes, key: str | None = None) -> Tune:
    """The tune that the transcription holds."""
    tune = parse_tune(split_tunes(transcribe_midi(data, key=key))[0], open_ended=True)
    assert len(tune.sections) == 1
    return tune


def line(tune: Tune) -> list[tuple[int | None, int]]:
    """(pitch, None for a rest; units) of all notes."""
    return [
        (None if n.step is None else pitch_of(n.step, n.alter, tune.tonic, tune.mode), n.units)
        for bar in tune.sections[0].bars
        for n in bar
    ]


def test_pitches_lengths_and_metre_are_kept() -> None:
    tune = read(write_midi(WALTZ, key="Dm"))
    assert (tune.metre, tune.tonic, tune.mode) == ("3/4", "D", "minor")
    assert line(tune) == [(69, 24), (74, 24), (77, 24), (76, 48), (73, 24)]


def test_the_key_is_that_of_the_parameter_the_file_or_the_notes() -> None:
    assert read(write_midi(WALTZ, key="Dm"), key="D dorian").mode == "dorian"
    scale = [(p, 480 * n, 470) for n, p in enumerate((67, 69, 71, 72, 74, 76, 78, 79, 74, 71, 67, 67))]
    assert (read(write_midi(scale)).tonic, read(write_midi(scale)).mode) == ("G", "major")
    assert [name_tonic(1, "minor"), name_tonic(1, "major"), name_tonic(10, "major")] == ["C#", "Db", "Bb"]
    assert find_key([1.0] * 12) == (0, "major")


def test_a_played_line_is_brought_to_sixteenths_and_triplets() -> None:
    wobble = random.Random(1)
    exact = [(67, 0, 480), (69, 480, 240), (71, 720, 120), (72, 840, 120)]
    exact += [(74, 960 + 160 * k, 160) for k in range(3)] + [(71, 1440, 480)]
    played = [(p, max(0, on + wobble.randint(-9, 9)), length - 20) for p, on, length in exact]
    tune = read(write_midi(played, metre=(4, 4), key="G"))
    assert [units for _, units in line(tune)] == [24, 12, 6, 6, 8, 8, 8, 24]
    assert [n.in_triplet for n in tune.sections[0].bars[0]] == [False] * 4 + [True] * 3 + [False]


def test_the_top_note_leads_a_pickup_stays_and_empty_bars_go() -> None:
    bar = 4 * 480
    chordal = [(67, 3 * bar - 480, 470), (55, 3 * bar, 900), (59, 3 * bar, 900), (71, 3 * bar, 950)]
    tune = read(write_midi([*chordal, (74, 3 * bar + 960, 950)], metre=(4, 4), key="G"))
    assert tune.sections[0].pickup_units == 24
    assert line(tune) == [(67, 24), (71, 48), (74, 48)]


def test_rests_are_kept_and_a_note_over_a_bar_line_is_struck_again() -> None:
    notes = [(62, 0, 240), (66, 480, 240), (69, 1440, 960)]
    tune = read(write_midi([*notes, (62, 2400, 480)], metre=(4, 4), key="D"))
    assert line(tune) == [(62, 12), (None, 12), (66, 12), (None, 36), *[(69, 24)] * 2, (62, 24)]


def test_drums_are_no_melody() -> None:
    track = mido.MidiTrack([mido.Message("note_on", channel=9, note=36, velocity=80)])
    track.append(mido.Message("note_off", channel=9, note=36, time=480))
    buffer = io.BytesIO()
    mido.MidiFile(tracks=[track]).save(file=buffer)
    with pytest.raises(RequestError, match="none but drums"):
        transcribe_midi(buffer.getvalue())


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "Standard MIDI File"),
        (b"RIFF" + bytes(40), "Standard MIDI File"),
        (bytes(MAX_MIDI_BYTES + 1), "at most 262144 bytes"),
        (write_midi(WALTZ, metre=(5, 4)), "got 5/4"),
        (write_midi([*WALTZ, (60, 480 * 3 * 70, 480)]), "at most 64 bars"),
        (write_midi([(60 + n, 100 * n * n + 67 * n, 90) for n in range(9)]), "on the beats"),
        (write_midi([(60 + n, 30 * n, 30) for n in range(9)]), "at least a 1/32 note|on the beats"),
    ],
)
def test_what_cannot_be_written_down_is_refused_by_name(data: bytes, message: str) -> None:
    with pytest.raises(RequestError, match=message):
        transcribe_midi(data)


def test_a_changed_metre_is_refused() -> None:
    file = mido.MidiFile(file=io.BytesIO(write_midi(WALTZ)))
    file.tracks[0].append(mido.MetaMessage("time_signature", numerator=4, denominator=4))
    buffer = io.BytesIO()
    file.save(file=buffer)
    with pytest.raises(RequestError, match="one metre throughout"):
        transcribe_midi(buffer.getvalue())


def test_damaged_files_are_refused_or_read_as_an_opening() -> None:
    # Seeded: the same 400 files each time.
    chance, whole, read_too = random.Random(1), write_midi(WALTZ, key="Dm"), 0
    for _ in range(400):
        damaged = bytearray(whole)
        for _ in range(chance.randint(1, 5)):
            damaged[chance.randrange(len(damaged))] = chance.randrange(256)
        try:
            read_opening(transcribe_midi(bytes(damaged)))
            read_too += 1
        except RequestError:
            pass
    assert 0 < read_too < 400
