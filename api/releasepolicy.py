"""What a release pipeline asks of a master: a policy file, strict and versioned.

    {"format": "provenote-release-policy/1",
     "name": "house",
     "rules": {"loudness": {"enforce": "required", "min_lufs": -16, "max_lufs": -9},
               "disclosure": {"fields": ["source-type", "isrc"]}}}

A rule that is not named, and a setting that is not given, is as in the policy `default`. Unknown rules,
settings, values and versions are refused, as are members given twice: a typing error must not switch a check
off. docs/release.md has all settings.
"""

import dataclasses
import hashlib
import json
import math
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ledger.canonical import format_json

from .declaration import SOURCE_TYPES
from .errors import MissingError, RefusedError
from .tagcheck import NAMES
from .verdict import GOOD

FORMAT = "provenote-release-policy/1"
MAX_POLICY_BYTES = 64 << 10
POLICY_NAME = re.compile(r"[a-z0-9][a-z0-9-]{0,63}")
REQUIRED, ADVISED, OFF = "required", "advised", "off"
ENFORCEMENTS = (REQUIRED, ADVISED, OFF)
ANY, NEEDED = "any", "required"
ALLOW, REFUSE = "allow", "refuse"
DISCLOSED = ("source-type", "isrc", "title", "artist")
CONFIRMABLE = tuple(sorted(set(NAMES.values())))
FOLDER = "release-policies"
"""Folder of named policies in the ledger folder: NAME.json."""


@dataclass(frozen=True)
class Stamped:
    """The track's mark is in the sound; `margin`: `sufficient` asks for one that an ordinary MP3 keeps."""

    enforce: str = REQUIRED
    margin: str = ANY


@dataclass(frozen=True)
class Signed:
    """The record is signed by keys that are trusted and not in dispute."""

    enforce: str = REQUIRED


@dataclass(frozen=True)
class Logged:
    """The record is proven to be in the log; on wish witnessed by its quorum, and time-stamped by others."""

    enforce: str = REQUIRED
    witnessed: bool = False
    time_stamped: bool = False


@dataclass(frozen=True)
class Unaltered:
    """It verifies as one of `verdicts`; a delivered copy, which names its recipient, is no master."""

    enforce: str = REQUIRED
    verdicts: tuple[str, ...] = ("exact",)
    copies: str = REFUSE


@dataclass(frozen=True)
class LoudnessRule:
    """Integrated loudness and loudness range (BS.1770-4, EBU R 128) lie within bounds; None is no bound."""

    enforce: str = ADVISED
    min_lufs: float | None = -24.0
    max_lufs: float | None = -8.0
    max_range_lu: float | None = None


@dataclass(frozen=True)
class TruePeakRule:
    """The true peak is no higher than this."""

    enforce: str = ADVISED
    max_dbtp: float = -1.0


@dataclass(frozen=True)
class Metadata:
    """No tag and no credential contradicts the signed entry; `confirmed` names fields that the tags must have
    and the entry bear out, `credential: required` asks for the logged credential, whole.
    """

    enforce: str = REQUIRED
    credential: str = ANY
    confirmed: tuple[str, ...] = ()


@dataclass(frozen=True)
class DisclosureRule:
    """The signed record states these fields, and a source type that is among `source_types`, if any are."""

    enforce: str = REQUIRED
    fields: tuple[str, ...] = ("source-type",)
    source_types: tuple[str, ...] = ()


@dataclass(frozen=True)
class Rights:
    """The registration is in force, a licence of these classes is logged, if any are named, and the record
    names no other recording that it is derived from, or conflicts with, unless that is allowed.
    """

    enforce: str = REQUIRED
    licences: tuple[str, ...] = ()
    conflicts: str = REFUSE
    derived: str = ALLOW


@dataclass(frozen=True)
class ReleasePolicy:
    """All rules, with a name."""

    name: str = "default"
    stamped: Stamped = field(default_factory=Stamped)
    signed: Signed = field(default_factory=Signed)
    logged: Logged = field(default_factory=Logged)
    unaltered: Unaltered = field(default_factory=Unaltered)
    loudness: LoudnessRule = field(default_factory=LoudnessRule)
    true_peak: TruePeakRule = field(default_factory=TruePeakRule)
    metadata: Metadata = field(default_factory=Metadata)
    disclosure: DisclosureRule = field(default_factory=DisclosureRule)
    rights: Rights = field(default_factory=Rights)

    def document(self) -> dict[str, Any]:
        """Return the policy in full, as a file would have it."""
        rules = {
            item.name.replace("_", "-"): {
                entry.name: _to_list(getattr(getattr(self, item.name), entry.name))
                for entry in dataclasses.fields(getattr(self, item.name))
            }
            for item in dataclasses.fields(self)
            if item.name != "name"
        }
        return {"format": FORMAT, "name": self.name, "rules": rules}

    def sha256(self) -> str:
        """Return a digest of the policy in full, bounds as decimal text: what a signed check names it by."""
        return hashlib.sha256(format_json(without_floats(self.document()))).hexdigest()


RULES = tuple(
    name.replace("_", "-")
    for name in (item.name for item in dataclasses.fields(ReleasePolicy))
    if name != "name"
)
"""Names of the rules, in the order in which they are told."""
BUILT_IN = {
    "default": ReleasePolicy(),
    "streaming": ReleasePolicy(
        name="streaming",
        stamped=Stamped(margin="sufficient"),
        loudness=LoudnessRule(REQUIRED, -16.0, -9.0),
        true_peak=TruePeakRule(REQUIRED, -1.0),
        metadata=Metadata(credential=NEEDED, confirmed=("isrc", "title")),
        disclosure=DisclosureRule(fields=("source-type", "isrc", "title", "artist")),
    ),
    "broadcast": ReleasePolicy(
        name="broadcast",
        loudness=LoudnessRule(REQUIRED, -23.5, -22.5),
        true_peak=TruePeakRule(REQUIRED, -1.0),
        disclosure=DisclosureRule(fields=("source-type", "isrc")),
    ),
}
"""Policies that need no file."""


def find_policy(name: str, folder: Path) -> ReleasePolicy:
    """Return a policy by name: of the operator (`folder`), else built in.

    Raises
    ------
    MissingError
        There is none of that name.
    RefusedError
        Its file is no policy.
    """
    if POLICY_NAME.fullmatch(name):
        path = folder / f"{name}.json"
        if path.is_file():
            return read_policy_file(path)
        if name in BUILT_IN:
            return BUILT_IN[name]
    raise MissingError(f"there is no release policy {name!r:.80}: expected one of {', '.join(BUILT_IN)}")


def read_policy_file(path: Path) -> ReleasePolicy:
    """Return the policy in a file; RefusedError where it is none."""
    try:
        with path.open("rb") as file:
            content = file.read(MAX_POLICY_BYTES + 1)
    except OSError as error:
        raise RefusedError(f"{path}: cannot be read: {error.strerror}") from error
    try:
        return parse_policy(content)
    except RefusedError as error:
        raise RefusedError(f"{path}: {error}") from error


def parse_policy(content: bytes) -> ReleasePolicy:
    """Return the policy of a file's bytes; RefusedError for anything that is not one, to the last member."""
    if len(content) > MAX_POLICY_BYTES:
        raise RefusedError(f"expected a policy of at most {MAX_POLICY_BYTES} bytes")
    try:
        document = json.loads(content, object_pairs_hook=_refuse_repeated, parse_constant=_refuse_constant)
    except (UnicodeDecodeError, json.JSONDecodeError, RecursionError) as error:
        raise RefusedError(f"expected a policy in JSON: {error}") from error
    document = _expect_object(document, "policy", {"format", "name", "rules"})
    if document.get("format") != FORMAT:
        raise RefusedError(f"expected format {FORMAT!r}, got {document.get('format')!r:.80}")
    name = document.get("name")
    if not isinstance(name, str) or not POLICY_NAME.fullmatch(name):
        raise RefusedError(f"name: expected a-z, 0-9 and -, got {name!r:.80}")
    if name in BUILT_IN:
        raise RefusedError(f"name: {name!r} is the name of a built-in policy")
    given = _expect_object(document.get("rules", {}), "rules", set(RULES))
    rules = {rule.replace("-", "_"): _parse_rule(rule, value) for rule, value in given.items()}
    policy = ReleasePolicy(name=name, **rules)
    bounds = policy.loudness.min_lufs, policy.loudness.max_lufs
    if bounds[0] is not None and bounds[1] is not None and bounds[0] > bounds[1]:
        raise RefusedError(f"loudness: expected min_lufs below max_lufs, got {bounds[0]} and {bounds[1]}")
    return policy


def _parse_rule(rule: str, value: object) -> Any:
    plain = getattr(BUILT_IN["default"], rule.replace("-", "_"))
    given = _expect_object(value, rule, {entry.name for entry in dataclasses.fields(plain)})
    return dataclasses.replace(
        plain, **{name: _parse_setting(f"{rule} {name}", name, setting) for name, setting in given.items()}
    )


def _parse_setting(where: str, name: str, value: object) -> Any:
    if name in _CHOICES:
        if value not in _CHOICES[name]:
            raise RefusedError(f"{where}: expected one of {', '.join(_CHOICES[name])}, got {value!r:.80}")
        return value
    if name in _LISTS:
        known = _LISTS[name]
        if not isinstance(value, list) or not all(isinstance(item, str) and known(item) for item in value):
            raise RefusedError(f"{where}: expected a list of known words, got {value!r:.120}")
        if len(set(value)) != len(value) or (name == "verdicts" and not value):
            raise RefusedError(f"{where}: expected each word once, and one at least for verdicts")
        return tuple(value)
    if name in ("witnessed", "time_stamped"):
        if not isinstance(value, bool):
            raise RefusedError(f"{where}: expected true or false, got {value!r:.80}")
        return value
    if value is None and name != "max_dbtp":
        return None
    if isinstance(value, bool) or not isinstance(value, int | float) or not abs(value) <= 200:
        raise RefusedError(f"{where}: expected a number from -200 to 200, got {value!r:.80}")
    return float(value)


_CHOICES: Mapping[str, tuple[str, ...]] = {
    "enforce": ENFORCEMENTS,
    "margin": (ANY, "sufficient"),
    "copies": (ALLOW, REFUSE),
    "credential": (ANY, NEEDED),
    "conflicts": (ALLOW, REFUSE),
    "derived": (ALLOW, REFUSE),
}
_LICENCE = re.compile(r"[a-z][a-z0-9-]{0,63}")
_LISTS: Mapping[str, Callable[[str], object]] = {
    "verdicts": GOOD.__contains__,
    "confirmed": CONFIRMABLE.__contains__,
    "fields": DISCLOSED.__contains__,
    "source_types": tuple(SOURCE_TYPES).__contains__,
    "licences": _LICENCE.fullmatch,
}


def without_floats(value: Any) -> Any:
    """Return a document with each float as decimal text: what is signed has no floats."""
    if isinstance(value, float):
        return format_decimal(value)
    if isinstance(value, Mapping):
        return {name: without_floats(item) for name, item in value.items()}
    return [without_floats(item) for item in value] if isinstance(value, list | tuple) else value


def format_decimal(value: float) -> str:
    """Return a level with two decimals; `-inf` for digital silence."""
    return "-inf" if math.isinf(value) else f"{value:.2f}"


def _expect_object(value: object, where: str, known: set[str]) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise RefusedError(f"{where}: expected an object, got {type(value).__name__}")
    unknown = sorted(value.keys() - known)
    if unknown:
        raise RefusedError(
            f"{where}: unknown {', '.join(unknown[:5])!r:.200}; expected {', '.join(sorted(known))}"
        )
    return value


def _refuse_repeated(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise RefusedError("expected each member once")
    return found


def _refuse_constant(name: str) -> None:
    raise RefusedError(f"expected numbers, got {name}")


def _to_list(value: Any) -> Any:
    return list(value) if isinstance(value, tuple) else value
