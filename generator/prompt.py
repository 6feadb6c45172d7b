"""Plain words to settings: which key, metre, tempo, form, instruments and length a prompt asks for.

    "slow waltz in D minor, piano" -> waltz, 3/4, D minor, 84 quarter notes per minute, piano

Rules, not a model: every word is recognised, a filler, or reported as ignored. Parameters of the request
override the prompt. What nothing asks for is chosen by default and reported as such.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass

from .casting import read_drums, read_instruments, read_second
from .errors import RequestError
from .findings import Findings
from .instruments import INSTRUMENTS
from .tune import METRES, MODE_FIFTHS, RHYTHMS, tonic_fifths

MAX_PROMPT_CHARACTERS = 2_000
MIN_TEMPO_BPM, MAX_TEMPO_BPM = 30.0, 260.0
PARAMETERS = {
    "key": "tonic and mode, such as D minor",
    "metre": "one of " + ", ".join(METRES),
    "rhythm": "one of " + ", ".join(RHYTHMS),
    "tempo_bpm": f"quarter notes per minute, {MIN_TEMPO_BPM:g} to {MAX_TEMPO_BPM:g}",
    "instruments": "one to three names, melody, chords, bass: " + ", ".join(i.name for i in INSTRUMENTS),
    "drums": "on or off",
    "harmony": "on, off, or who plays the second voice under the melody",
}

# Words for a form -> (rhythm, metre or "" for the rhythm's own, tempo factor).
_FORMS = {
    **{name: (name, "", 1.0) for name in RHYTHMS},
    "valse": ("waltz", "", 1.0), "minuet": ("waltz", "3/4", 0.9), "ballad": ("air", "", 1.0),
    "lullaby": ("air", "3/4", 0.9), "lament": ("air", "", 0.85), "elegy": ("air", "", 0.85),
    "hymn": ("song", "4/4", 0.8), "chorale": ("song", "4/4", 0.8), "anthem": ("march", "", 0.9),
    "quickstep": ("march", "", 1.15), "barcarolle": ("air", "6/8", 1.0), "nocturne": ("air", "", 0.9),
    "folk song": ("song", "", 1.0), "dance": ("reel", "", 0.9),
}  # fmt: skip
_METRE_OF = {"waltz": "3/4", "jig": "6/8", "slip jig": "9/8", "polka": "2/4"}
_RHYTHM_OF_METRE = {"3/4": "waltz", "6/8": "jig", "9/8": "slip jig", "2/4": "polka", "4/4": "song"}
_TEMPO_OF = {
    "air": 76.0, "hornpipe": 150.0, "jig": 162.0, "march": 108.0, "polka": 112.0, "reel": 176.0,
    "slip jig": 156.0, "song": 104.0, "strathspey": 116.0, "waltz": 120.0,
}  # fmt: skip
_TEMPO_WORDS = {
    "very slow": 0.6, "slow": 0.7, "largo": 0.58, "adagio": 0.66, "lento": 0.62, "andante": 0.8, "calm": 0.8,
    "gentle": 0.82, "relaxed": 0.82, "peaceful": 0.78, "moderate": 1.0, "moderato": 1.0, "medium": 1.0,
    "lively": 1.12, "brisk": 1.15, "allegro": 1.15, "vivace": 1.22, "fast": 1.2, "quick": 1.18, "upbeat":
    1.12, "presto": 1.3, "very fast": 1.32, "energetic": 1.15,
}  # fmt: skip
_MOODS = {
    "sad": "minor", "melancholy": "minor", "melancholic": "minor", "dark": "minor", "mournful": "minor",
    "gloomy": "minor", "wistful": "minor", "happy": "major", "cheerful": "major", "joyful": "major",
    "bright": "major", "merry": "major", "sunny": "major",
}  # fmt: skip
_FILLERS = frozenset(
    [
        "a",
        "an",
        "the",
        "in",
        "of",
        "with",
        "and",
        "for",
        "on",
        "at",
        "by",
        "to",
        "please",
        "music",
        "piece",
        "tune",
        "track",
        "some",
        "key",
        "tempo",
        "played",
        "solo",
        "duet",
        "alone",
        "unaccompanied",
        "write",
        "make",
        "compose",
        "create",
        "generate",
        "me",
        "time",
        "bpm",
        "accompanied",
        "accompaniment",
        "style",
        "like",
        "long",
        "short",
        "seconds",
        "second",
        "minutes",
        "minute",
        "sec",
        "s",
        "min",
        "is",
        "that",
        "played",
        "quarter",
        "note",
        "notes",
        "feel",
    ]
)
_NAMES = {"sharp": "#", "#": "#", "♯": "#", "flat": "b", "b": "b", "♭": "b", "-flat": "b", "-sharp": "#"}
_MODE_WORDS = {"major": "major", "maj": "major", "minor": "minor", "min": "minor", "dorian": "dorian"}
_MODE_WORDS |= {"mixolydian": "mixolydian"}
_KEY = re.compile(
    r"\b([A-Ga-g])\s?(-?(?:sharp|flat)|#|♯|♭|b)?\s*-?\s*(major|minor|dorian|mixolydian|maj|min)\b",
    re.IGNORECASE,
)
_SHORT_KEY = re.compile(r"\bin ([A-G])(#|b|♯|♭| sharp| flat)?(m)?(?![\w#])")
_ENHARMONIC = {"Cb": "B", "Fb": "E", "E#": "F", "B#": "C", "G#": "Ab", "D#": "Eb", "A#": "Bb"}
_MINOR_RESPELLED = {"Ab": "G#", "Db": "C#", "Gb": "F#"}


@dataclass(frozen=True, slots=True)
class Settings:
    """What will be made. melody, accompaniment and bass name instruments; accompaniment None plays the melody
    alone, bass None leaves the bass to the accompaniment's left hand.

    tempo_is_exact: the tempo was given in figures and is kept; else it may bend to meet the length. second
    plays a harmony voice under the melody, None leaves it out.
    """

    tonic: str
    mode: str
    metre: str
    rhythm: str
    tempo_bpm: float
    tempo_is_exact: bool
    melody: str
    accompaniment: str | None
    bass: str | None
    drums: bool
    understood: Mapping[str, str]
    second: str | None = None


def respell(tonic: str, mode: str) -> str:
    """The name of a tonic whose key signature has at most seven sharps or flats (G# major -> Ab major)."""
    if abs(tonic_fifths(tonic) + MODE_FIFTHS[mode]) <= 7:
        return tonic
    table = _MINOR_RESPELLED if mode != "major" and tonic in _MINOR_RESPELLED else _ENHARMONIC
    return table[tonic]


def read_prompt(prompt: str, parameters: Mapping[str, str], *, seed: int) -> Settings:
    """Read a prompt.

    Raises
    ------
    RequestError
        The prompt is too long, or a parameter is unknown or has a value that cannot be used.
    """
    if len(prompt) > MAX_PROMPT_CHARACTERS:
        raise RequestError(
            f"expected a prompt of at most {MAX_PROMPT_CHARACTERS} characters, got {len(prompt)}"
        )
    unknown = sorted(set(parameters) - set(PARAMETERS))
    if unknown:
        raise RequestError(f"expected parameters out of {', '.join(PARAMETERS)}, got {unknown[0]!r}")
    found = Findings(prompt)
    tonic, mode = _read_key(found, parameters, seed)
    rhythm, metre, factor = _read_form(found, parameters)
    tempo, exact = _read_tempo(found, parameters, rhythm, metre, factor)
    drums = read_drums(found, parameters)
    second = read_second(found, parameters)
    melody, accompaniment, bass = read_instruments(found, parameters)
    if second is not None:
        second = second or melody
        found.understood["harmony voice"] = second
    length = found.take(re.compile(r"\b(\d+(?:\.\d+)?)\s*(seconds?|secs?|s|minutes?|mins?)\b", re.IGNORECASE))
    if length:
        found.understood["length"] = f"{length[0]} (the request's own length is used)"
    ignored = [w for w in re.findall(r"[^\W_][\w'/-]*", found.rest) if w.lower() not in _FILLERS]
    if ignored:
        found.understood["ignored"] = ", ".join(ignored)
    return Settings(
        tonic,
        mode,
        metre,
        rhythm,
        tempo,
        exact,
        melody,
        accompaniment,
        bass,
        drums,
        dict(found.understood),
        second,
    )


def _read_key(found: Findings, parameters: Mapping[str, str], seed: int) -> tuple[str, str]:
    moods = [found.take_word(_MOODS)]
    if "key" in parameters:
        match = _KEY.fullmatch(parameters["key"].strip())
        if not match:
            raise RequestError(f"expected a key such as 'D minor', got {parameters['key']!r}")
        found.take(_KEY)
    else:
        match = found.take(_KEY)
    if match:
        name = match[1].upper() + _NAMES.get((match[2] or "").lower().strip(), "")
        mode = _MODE_WORDS[match[3].lower()]
        tonic = respell(name, mode)
        found.understood["key"] = f"{tonic} {mode}" + (f" (for {name})" if tonic != name else "")
        return tonic, mode
    short = found.take(_SHORT_KEY)
    word = found.take_word(dict.fromkeys(("major", "minor", "dorian", "mixolydian"), 1))
    mode = word or (_MOODS[moods[0]] if moods[0] else "major")
    if short:
        mode = "minor" if short[3] else mode
        tonic = respell(short[1] + _NAMES.get((short[2] or "").strip(), ""), mode)
        found.understood["key"] = f"{tonic} {mode}"
        return tonic, mode
    choices = ("G", "D", "A", "C", "F") if mode in ("major", "mixolydian") else ("A", "D", "E", "G", "B")
    tonic = choices[seed % len(choices)]
    said = f", {mode} as asked" if word or moods[0] else ""
    found.understood["key"] = f"{tonic} {mode} (tonic chosen{said})" if said else f"{tonic} {mode} (chosen)"
    return tonic, mode


def _read_form(found: Findings, parameters: Mapping[str, str]) -> tuple[str, str, float]:
    metre_match = found.take(re.compile(r"\b(\d{1,2}/\d{1,2})\b"))
    metre = parameters.get("metre", metre_match[1] if metre_match else "")
    if metre and metre not in METRES:
        if "metre" in parameters:
            raise RequestError(f"expected a metre out of {', '.join(METRES)}, got {metre!r}")
        found.rest += f" {metre}"
        metre = ""
    word = found.take_word(_FORMS)
    if "rhythm" in parameters:
        if parameters["rhythm"] not in RHYTHMS:
            raise RequestError(f"expected a rhythm out of {', '.join(RHYTHMS)}, got {parameters['rhythm']!r}")
        word = parameters["rhythm"]
    if word:
        rhythm, own_metre, factor = _FORMS[word]
        own_metre = own_metre or _METRE_OF.get(rhythm, "4/4")
        found.understood["form"] = word if word == rhythm else f"{word} (as {rhythm})"
        found.understood["metre"] = metre or own_metre
        return rhythm, metre or own_metre, factor
    rhythm = _RHYTHM_OF_METRE[metre] if metre else "song"
    found.understood["form"] = f"{rhythm} (chosen)"
    found.understood["metre"] = metre or "4/4 (chosen)"
    return rhythm, metre or "4/4", 1.0


def _read_tempo(
    found: Findings, parameters: Mapping[str, str], rhythm: str, metre: str, factor: float
) -> tuple[float, bool]:
    figures = found.take(re.compile(r"\b(\d{2,3}(?:\.\d+)?)\s*bpm\b", re.IGNORECASE))
    word = found.take_word(_TEMPO_WORDS)
    wanted: float | None = None
    if "tempo_bpm" in parameters:
        try:
            wanted = float(parameters["tempo_bpm"])
        except ValueError:
            raise RequestError(f"expected tempo_bpm as a number, got {parameters['tempo_bpm']!r}") from None
    elif figures:
        # In compound time people count dotted quarters.
        wanted = float(figures[1]) * (1.5 if metre in ("6/8", "9/8") else 1.0)
    if wanted is not None:
        if not MIN_TEMPO_BPM <= wanted <= MAX_TEMPO_BPM:
            raise RequestError(
                f"expected a tempo of {MIN_TEMPO_BPM:g} to {MAX_TEMPO_BPM:g} quarter notes per minute, "
                f"got {wanted:g}"
            )
        found.understood["tempo"] = f"{wanted:g} quarter notes per minute"
        return wanted, True
    tempo = round(_TEMPO_OF[rhythm] * factor * (_TEMPO_WORDS[word] if word else 1.0), 1)
    found.understood["tempo"] = f"{word or 'usual for the form'}: about {tempo:g} quarter notes per minute"
    return tempo, False
