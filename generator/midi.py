"""Score to a Standard MIDI File, format 1: a conductor track, then one track for each part."""

import io
from fractions import Fraction

import mido

from .instruments import DRUM_CHANNEL
from .score import TICKS_PER_QUARTER, Score

_MODE_SUFFIX = {"major": "", "minor": "m"}


def format_midi(score: Score) -> bytes:
    """Bytes of the file: title, metre, key where MIDI knows it, tempo changes, programs, pan and notes."""
    conductor = mido.MidiTrack()
    title = score.title.encode("latin-1", "replace").decode("latin-1")
    conductor.append(mido.MetaMessage("track_name", name=title, time=0))
    conductor.append(mido.MetaMessage("set_tempo", tempo=mido.bpm2tempo(score.tempo_bpm), time=0))
    if score.pickup_ticks:
        # A short first bar, so that the bar lines of the file are those of the music.
        short = Fraction(score.pickup_ticks, 4 * TICKS_PER_QUARTER)
        conductor.append(
            mido.MetaMessage("time_signature", numerator=short.numerator, denominator=short.denominator)
        )
    before = score.pickup_ticks
    beats, unit = score.metre
    conductor.append(mido.MetaMessage("time_signature", numerator=beats, denominator=unit, time=before))
    suffix = _MODE_SUFFIX.get(score.mode)
    if suffix is not None:
        conductor.append(mido.MetaMessage("key_signature", key=score.tonic + suffix, time=0))
    for tick, tempo in score.slowdown:
        conductor.append(mido.MetaMessage("set_tempo", tempo=mido.bpm2tempo(tempo), time=tick - before))
        before = tick
    tracks = [conductor]
    melodic = (channel for channel in range(16) if channel != DRUM_CHANNEL)
    for part in score.parts:
        channel = DRUM_CHANNEL if part.instrument == "drums" else next(melodic)
        track = mido.MidiTrack([mido.MetaMessage("track_name", name=part.name, time=0)])
        track.append(mido.Message("program_change", channel=channel, program=part.program, time=0))
        pan = round(64 + 63 * part.pan)
        track.append(mido.Message("control_change", channel=channel, control=10, value=pan, time=0))
        # Ends before beginnings at one tick, so that a repeated pitch is not cut by its predecessor.
        events = [(n.onset + n.duration, 0, n.pitch, 0) for n in part.notes]
        events += [(n.onset, 1, n.pitch, n.velocity) for n in part.notes]
        before = 0
        for tick, begins, pitch, velocity in sorted(events):
            kind = "note_on" if begins else "note_off"
            message = mido.Message(kind, channel=channel, note=pitch, velocity=velocity, time=tick - before)
            track.append(message)
            before = tick
        tracks.append(track)
    file = mido.MidiFile(type=1, ticks_per_beat=TICKS_PER_QUARTER, tracks=tracks)
    buffer = io.BytesIO()
    file.save(file=buffer)
    return buffer.getvalue()
