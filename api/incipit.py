"""The opening that an order gives to be continued: ABC notation, or a MIDI file written down as ABC."""

import base64
import binascii
from collections.abc import Mapping

from .engines import MAX_MIDI_BYTES, transcribe_midi
from .errors import GeneratorMissingError, RefusedError

__all__ = ["MAX_MIDI_BYTES", "decode_midi", "read_incipit"]


def read_incipit(*, abc: str | None, midi: bytes | None, parameters: Mapping[str, str]) -> str | None:
    """Return the opening as ABC notation, or None; the parameter `key` settles a MIDI file's key.

    Raises
    ------
    RefusedError
        Both are given.
    generator.RequestError
        The MIDI file cannot be written down.
    GeneratorMissingError
        The library that reads MIDI is not installed.
    """
    if midi is None:
        return abc
    if abc is not None:
        raise RefusedError("expected an opening in ABC notation or in MIDI, got both")
    try:
        return transcribe_midi(midi, key=parameters.get("key"))
    except ImportError as error:
        raise GeneratorMissingError(f"an opening in MIDI needs the extra 'generator': {error}") from error


def decode_midi(text: str | None) -> bytes | None:
    """Return the bytes of a MIDI file in base64; RefusedError where it is none."""
    if text is None:
        return None
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError) as error:
        raise RefusedError(f"midi: expected base64, got text that is not: {error}") from error
