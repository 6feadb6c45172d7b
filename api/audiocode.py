"""The ISCC Audio-Code of a recording (ISO 24138:2024), an identifier that other systems know and can compare.

    ISCC:EIAQCHZ6FAQBMSTE

It stands beside our own fingerprint and decides nothing: codes of two encodings of one recording differ in a
few of their 64 bits, those of an excerpt or of another speed in as many as unrelated ones. It is made of
Chromaprint's features by two programs that are not needed for anything else: the library `iscc-lib` (extra
`iscc`), and `fpcalc` of Chromaprint. What `fpcalc` is given are samples that our own bounded decoder made,
never a file.
"""

import importlib
import importlib.util
import json
import logging
import shutil
import subprocess
from pathlib import Path
from typing import Any

import numpy as np

from .decoding import Limits, open_recording

FPCALC = "fpcalc"
LIBRARY = "iscc_lib"
BITS = 64
ANSWER_S = 60
"""`fpcalc` works as it reads; after the last sample it is done in no time."""
logger = logging.getLogger(__name__)


def can_code() -> bool:
    """Say whether both programs are there."""
    return shutil.which(FPCALC) is not None and importlib.util.find_spec(LIBRARY) is not None


def code_file(path: Path, limits: Limits) -> str | None:
    """Return the ISCC Audio-Code of a whole recording; None where it is too short for one (about 3 s), or a
    program is missing or fails, which is logged.

    Raises
    ------
    AudioRefusedError, TooLargeError
        Not audio, or outside the limits.
    OSError
        The file cannot be read.
    """
    if not can_code():
        return None
    features = _measure(path, limits)
    return code_features(features) if features else None


def code_features(features: list[int]) -> str:
    """Return the Audio-Code of Chromaprint's features, signed numbers of 32 bits."""
    library: Any = importlib.import_module(LIBRARY)
    return str(library.gen_audio_code_v0(features, BITS)["iscc"])


def _measure(path: Path, limits: Limits) -> list[int]:
    with open_recording(path, limits) as recording:
        shape = recording.format
        command = [FPCALC, "-raw", "-signed", "-json", "-length", "0", "-format", "s16le"]
        command += ["-rate", str(shape.sample_rate), "-channels", str(shape.channels), "-"]
        with subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
        ) as process:
            assert process.stdin is not None
            try:
                for block in recording.blocks():
                    steps = np.rint(np.clip(block.T * 32_768.0, -32_768, 32_767))
                    process.stdin.write(steps.astype("<i2").tobytes())
                answer, _ = process.communicate(timeout=ANSWER_S)
            except BrokenPipeError:
                answer, _ = process.communicate(timeout=ANSWER_S)
            except subprocess.TimeoutExpired:
                answer = b""
            finally:
                process.kill()
    try:
        return [int(number) for number in json.loads(answer)["fingerprint"]]
    except (ValueError, KeyError, TypeError):
        logger.info("%s: %s found nothing to make an ISCC of", path.name, FPCALC)
        return []
