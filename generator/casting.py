"""Who plays: melody, chords, bass, harmony voice and drums out of the words of a prompt.

"fiddle, second fiddle, guitar and bass, no drums" -> violin, accompanied by guitar, double bass
"""

import re
from collections.abc import Mapping

from .errors import RequestError
from .findings import Findings
from .instruments import BY_NAME, INSTRUMENTS

_DRUMS = re.compile(r"\b(?:drum ?kits?|drums?|percussion|beat|drummer)\b", re.IGNORECASE)
_NO_DRUMS = re.compile(r"\b(?:no|without)(?: any)? (?:drum ?kits?|drums?|percussion|beat)\b", re.IGNORECASE)
# A band or quartet is melody, chords, bass and drums; a trio the same without drums.
_BANDS = re.compile(r"\b(band|quartet|trio)\b", re.IGNORECASE)
_NO_SECOND = re.compile(
    r"\b(?:no|without)(?: an?)? (?:harmony|second)(?: (?:voice|part|line))?\b", re.IGNORECASE
)
_SECOND = re.compile(
    r"\b(?:(?:second|harmony) (?:voice|part|line)s?|(?:with|in) harmony|(?:four|4)[- ](?:parts?|voices?))\b",
    re.IGNORECASE,
)


def read_drums(found: Findings, parameters: Mapping[str, str]) -> bool:
    """Whether the kit plays: "drums", "percussion", "beat", a band; "no drums", "without percussion"."""
    refused = found.take(_NO_DRUMS) is not None
    asked = found.take(_DRUMS) is not None
    band = _BANDS.search(found.rest)
    drums = not refused and (asked or (band is not None and band[1].lower() in ("band", "quartet")))
    if "drums" in parameters:
        if parameters["drums"] not in ("on", "off"):
            raise RequestError(f"expected drums on or off, got {parameters['drums']!r}")
        drums = parameters["drums"] == "on"
    if drums or refused:
        found.understood["drums"] = "on" if drums else "off"
    return drums


def read_second(found: Findings, parameters: Mapping[str, str]) -> str | None:
    """Who plays the harmony voice, "" for whoever plays the melody: "second fiddle", "in harmony"."""
    words = {word: i.name for i in INSTRUMENTS for word in i.words}
    refused = found.take(_NO_SECOND) is not None
    player: str | None = None
    asked = found.take(_SECOND)
    if asked:
        player = ""
        if asked[0].lower().startswith(("four", "4")):
            found.rest += " trio"  # melody, chords and bass beside it
    named = found.take(
        re.compile(rf"\bsecond ({'|'.join(sorted(words, key=len, reverse=True))})\b", re.IGNORECASE)
    )
    if named:
        player = words[named[1].lower()]
    if refused:
        player = None
    if "harmony" in parameters:
        value = parameters["harmony"].strip().lower()
        if value not in ("on", "off", *BY_NAME):
            raise RequestError(f"expected harmony on, off or an instrument, got {parameters['harmony']!r}")
        player = {"on": player or "", "off": None}.get(value, value)
    return player


def read_instruments(found: Findings, parameters: Mapping[str, str]) -> tuple[str, str | None, str | None]:
    """Melody, accompaniment and bass."""
    band = found.take(_BANDS)
    alone = re.search(r"\b(solo|alone|unaccompanied)\b", found.rest, re.IGNORECASE) is not None
    named: list[tuple[int, str]] = []
    words = {word: i.name for i in INSTRUMENTS for word in i.words}
    for word in sorted(words, key=len, reverse=True):
        place = found.rest.lower().find(word)
        if found.take(re.compile(rf"\b{word}s?\b", re.IGNORECASE)) and words[word] not in [
            n for _, n in named
        ]:
            named.append((place, words[word]))
    names = [name for _, name in sorted(named)]
    if "instruments" in parameters:
        names = [name.strip().lower() for name in parameters["instruments"].split(",")]
        for name in names:
            if name not in BY_NAME:
                raise RequestError(f"expected instruments out of {', '.join(BY_NAME)}, got {name!r}")
        if len(names) > 3:
            raise RequestError(f"expected one to three instruments, got {len(names)}")
    bass = next((name for name in names[1:] if name == "bass"), None)
    if bass is None and len(names) == 3:
        # Of three the lowest that does not lead is the bass.
        bass = min(names[1:], key=lambda name: BY_NAME[name].low)
    if bass is None and band:
        bass = "bass"
    names = [name for name in names if name != bass]
    if not names:
        names, chosen = ["piano"], " (chosen)"
    else:
        chosen = ""
    melody = names[0]
    if len(names) == 1 and alone and bass is None:
        found.understood["instruments"] = f"{melody} alone{chosen}"
        return melody, None, None
    if len(names) == 1:
        accompaniment = melody if BY_NAME[melody].polyphonic and not band else "guitar" if band else "piano"
        if accompaniment == melody and band:
            accompaniment = "piano"
        note = "" if accompaniment == melody else " (chosen)"
    else:
        # The first that can play chords accompanies; two single-line instruments leave them to the piano.
        others = names[1:]
        chordal = [name for name in others if BY_NAME[name].polyphonic]
        if not chordal and BY_NAME[melody].polyphonic:
            melody, chordal = others[0], [melody]
        accompaniment = chordal[0] if chordal else "piano"
        note = "" if chordal else " (chosen)"
    said = melody + chosen
    if accompaniment != melody or bass or len(names) > 1:
        said += f", accompanied by {accompaniment}{note}"
    if bass:
        said += f", bass played by {'double bass' if bass == 'bass' else bass}"
    found.understood["instruments"] = said
    unused = [name for name in names if name not in (melody, accompaniment)]
    found.rest += "".join(f" {name}" for name in unused)
    return melody, accompaniment, bass
