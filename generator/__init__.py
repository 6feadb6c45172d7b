"""Prompt to music: a composer of tunes, an arranger, and a neural synthesiser, behind one engine interface.

    engine = generator.open_engine("embedded")
    result = engine.generate(generator.Request(prompt="slow waltz in D minor, piano", seconds=30.0, seed=7))
    result.audio        # float32 (2, samples) at 44,100 Hz
    result.abc, result.midi, result.score, result.model, result.understood

torch is imported when an engine is opened, never by importing this package.
"""

from .engine import (
    Account,
    CopyCheck,
    Engine,
    EngineDescription,
    ModelIdentity,
    Request,
    Result,
    Sink,
)
from .errors import Cancelled, EngineError, GeneratorError, RequestError, WeightsError
from .kinds import open_engine
from .score import Note, Part, Score
from .setup import EngineSetup
from .transcription import transcribe_midi

__all__ = [
    "Account",
    "Cancelled",
    "CopyCheck",
    "Engine",
    "EngineDescription",
    "EngineError",
    "EngineSetup",
    "GeneratorError",
    "ModelIdentity",
    "Note",
    "Part",
    "Request",
    "RequestError",
    "Result",
    "Score",
    "Sink",
    "WeightsError",
    "open_engine",
    "transcribe_midi",
]
