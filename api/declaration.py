"""What the issuer says of a recording when it is registered, and the forms that is held to.

    title    Waltz in D minor        committed to in the ledger, shown in the file's tags
    artist   The Example Quartet     the same: it may be a person's name, which no public log may show
    isrc     NLA012600001            stated in the ledger (ISO 3901:2019)
    source_type   trainedAlgorithmicMedia    stated; a term of IPTC's vocabulary of digital source types

Nothing here is checked against the sound: it is the issuer's word, under the issuer's signature.
"""

import re
import secrets
import unicodedata
from dataclasses import dataclass
from typing import Any

from .errors import RefusedError

SOURCE_TYPE_BASE = "http://cv.iptc.org/newscodes/digitalsourcetype/"
ALL, PARTLY, NONE = "all", "partly", "none"
SOURCE_TYPES = {
    "trainedAlgorithmicMedia": ALL,
    "compositeWithTrainedAlgorithmicMedia": PARTLY,
    "compositeSynthetic": PARTLY,
    "digitalCapture": NONE,
    "digitalCreation": NONE,
    "humanEdits": NONE,
    "compositeCapture": NONE,
}
"""Terms that can be declared, and how much of such a recording a generative model made."""
MAX_CHARACTERS = 200
_ISRC = re.compile(r"[A-Z]{2}[A-Z0-9]{3}[0-9]{7}")


@dataclass(frozen=True)
class Declaration:
    """What the issuer declares; None for what it does not say. Made by `parse_declaration`.

    `source_type` is the full URI of an IPTC term.
    """

    title: str | None = None
    artist: str | None = None
    isrc: str | None = None
    source_type: str | None = None


@dataclass(frozen=True)
class Credit:
    """A declared value that the ledger only commits to: label `artist` or `title`, value, salt (32 bytes)."""

    label: str
    value: str
    salt: bytes


def draw_credits(declared: Declaration) -> tuple[Credit, ...]:
    """Return what of a declaration is committed to, each with a fresh salt."""
    values = (("artist", declared.artist), ("title", declared.title))
    return tuple(Credit(label, value, secrets.token_bytes(32)) for label, value in values if value)


def state_declaration(declared: Declaration) -> dict[str, Any]:
    """Return what of a declaration is stated in the open: ISRC and source type, those that are declared."""
    identifiers = {} if declared.isrc is None else {"identifiers": {"isrc": declared.isrc}}
    source_type = {} if declared.source_type is None else {"digital_source_type": declared.source_type}
    return {**identifiers, **source_type}


def parse_declaration(
    *,
    title: str | None = None,
    artist: str | None = None,
    isrc: str | None = None,
    source_type: str | None = None,
) -> Declaration:
    """Check what an issuer declares.

    Raises
    ------
    RefusedError
        A text is empty, too long or has control characters; no ISRC; no term that is taken.
    """
    return Declaration(
        title=None if title is None else check_credit(title, "title"),
        artist=None if artist is None else check_credit(artist, "artist"),
        isrc=None if isrc is None else parse_isrc(isrc),
        source_type=None if source_type is None else name_source_type(source_type),
    )


def check_credit(text: str, what: str) -> str:
    """Return a title or name in Unicode's composed form; RefusedError if it is not one line of text."""
    composed = unicodedata.normalize("NFC", text).strip()
    if not 1 <= len(composed) <= MAX_CHARACTERS:
        raise RefusedError(f"{what}: expected 1 to {MAX_CHARACTERS} characters, got {len(composed)}")
    if any(unicodedata.category(character) in ("Cc", "Cs") for character in composed):
        raise RefusedError(f"{what}: expected one line of text, got control characters")
    return composed


def parse_isrc(text: str) -> str:
    """Return an ISRC in its plain form: NL-A01-26-00001 gives NLA012600001; RefusedError if it is none."""
    plain = text.strip().upper().removeprefix("ISRC").strip(": ").replace("-", "").replace(" ", "")
    if not _ISRC.fullmatch(plain):
        raise RefusedError(f"isrc: expected a form like NLA012600001, got {text!r:.40}")
    return plain


def name_source_type(term: str) -> str:
    """Return the URI of a term of IPTC's vocabulary; RefusedError for one that is not taken."""
    short = term.removeprefix(SOURCE_TYPE_BASE)
    if short not in SOURCE_TYPES:
        raise RefusedError(f"source type: expected one of {', '.join(SOURCE_TYPES)}, got {term!r:.80}")
    return SOURCE_TYPE_BASE + short


def measure_share(source_type: str | None) -> str | None:
    """Return how much a generative model made, `all`, `partly` or `none`; None where nobody has said."""
    return None if source_type is None else SOURCE_TYPES.get(source_type.removeprefix(SOURCE_TYPE_BASE))
