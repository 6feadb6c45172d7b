"""An order's opening: ABC as it is, MIDI written down as ABC, never both."""

import base64
import sys

import pytest
from test_generator_transcription import WALTZ, write_midi

from api.errors import GeneratorMissingError, RefusedError
from api.incipit import decode_midi, read_incipit
from generator import RequestError, transcribe_midi


def test_an_opening_in_midi_becomes_one_in_abc() -> None:
    sent = base64.b64encode(write_midi(WALTZ, key="Dm")).decode()
    midi = decode_midi(sent)
    assert midi is not None
    assert read_incipit(abc=None, midi=midi, parameters={}) == transcribe_midi(midi)
    assert "K:Ddor" in str(read_incipit(abc=None, midi=midi, parameters={"key": "D dorian"}))
    assert read_incipit(abc="K:C", midi=None, parameters={}) == "K:C"
    assert read_incipit(abc=None, midi=decode_midi(None), parameters={}) is None


def test_an_opening_that_cannot_be_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(RefusedError, match="got both"):
        read_incipit(abc="K:C", midi=b"", parameters={})
    with pytest.raises(RefusedError, match="base64"):
        decode_midi("no base64!")
    with pytest.raises(RequestError, match="Standard MIDI File"):
        read_incipit(abc=None, midi=b"no midi", parameters={})
    monkeypatch.setitem(sys.modules, "mido", None)
    with pytest.raises(GeneratorMissingError, match="extra 'generator'"):
        read_incipit(abc=None, midi=write_midi(WALTZ)[:0], parameters={})
