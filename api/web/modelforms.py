"""Forms of the page made of the forms of casework: their fields, and what was filled in.

A model (`api.notices.Form`) says what may be written. Each of its members becomes a field, named by its path
(`claimant.email`), and what a browser sends becomes the model's JSON again, without what was left empty.
"""

import re
import types
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from annotated_types import MaxLen
from pydantic.fields import FieldInfo

from ..notices import STATEMENTS, Form

TEXT, PROSE, LINES, PAIRS, CHECK, CHOICE = "text", "prose", "lines", "pairs", "check", "choice"
LONG_TEXT = 600
YES_NO = {"": "not said", "yes": "yes", "no": "no"}


@dataclass(frozen=True)
class FormField:
    """A field: its name, label and kind; of a choice its values with their words."""

    name: str
    label: str
    kind: str
    choices: Mapping[str, str]


def list_fields(model: type[Form], prefix: str = "") -> list[FormField]:
    """Return the fields of a model in its order, those of nested ones in their place."""
    fields = []
    for name, info in model.model_fields.items():
        nested = _nested(info)
        if nested is not None:
            fields += list_fields(nested, f"{prefix}{name}.")
            continue
        kind, choices = _kind(info)
        fields.append(FormField(f"{prefix}{name}", _label(name, prefix), kind, choices))
    return fields


def read_fields(model: type[Form], texts: Mapping[str, str], prefix: str = "") -> dict[str, Any]:
    """Return what was filled in, as the model's JSON; the model checks it."""
    found: dict[str, Any] = {}
    for name, info in model.model_fields.items():
        nested = _nested(info)
        if nested is not None:
            value: Any = read_fields(nested, texts, f"{prefix}{name}.")
        else:
            value = _read(_kind(info)[0], info, texts.get(f"{prefix}{name}", "").strip())
        if value not in (None, "", {}, []):
            found[name] = value
    return found


def _read(kind: str, info: FieldInfo, text: str) -> Any:
    if not text:
        return None
    if kind == CHECK:
        return True
    if kind == LINES:
        return [line.strip() for line in text.splitlines() if line.strip()]
    if kind == PAIRS:
        pairs = (line.partition("=") for line in text.splitlines() if line.strip())
        return {name.strip(): value.strip() for name, _, value in pairs}
    if kind == CHOICE and _is_three_way(info):
        return text == "yes"
    return text


def _kind(info: FieldInfo) -> tuple[str, Mapping[str, str]]:
    annotation = info.annotation
    origin, arguments = get_origin(annotation), get_args(annotation)
    if annotation is bool:
        return CHECK, {}
    if _is_three_way(info):
        return CHOICE, YES_NO
    if origin is Literal:
        return CHOICE, _choices(arguments)
    if origin is list:
        return LINES, {}
    if origin is dict:
        return PAIRS, {}
    for pattern in (getattr(item, "pattern", None) for item in info.metadata):
        words = re.fullmatch(r"\^\(([a-z|-]*)\)\$", pattern or "")
        if words is not None:
            return CHOICE, _choices(words[1].split("|"))
    longest = next((item.max_length for item in info.metadata if isinstance(item, MaxLen)), LONG_TEXT)
    return (PROSE if longest > LONG_TEXT else TEXT), {}


def _is_three_way(info: FieldInfo) -> bool:
    """Say whether a member is yes, no or not said."""
    arguments = get_args(info.annotation)
    plain = {get_args(item)[0] if get_origin(item) is Annotated else item for item in arguments}
    return get_origin(info.annotation) in (Union, types.UnionType) and plain == {bool, type(None)}


def _choices(values: Iterable[str]) -> dict[str, str]:
    return {value: value.replace("-", " ") or "not said" for value in sorted(values)}


def _nested(info: FieldInfo) -> type[Form] | None:
    kind = info.annotation
    return kind if isinstance(kind, type) and issubclass(kind, Form) else None


def _label(name: str, prefix: str) -> str:
    if name in STATEMENTS:
        return STATEMENTS[name]
    inside = prefix.removesuffix(".").rpartition(".")[2]
    words = f"{inside} {name}" if inside not in ("", "statements") else name
    return words.replace("_", " ").capitalize()
