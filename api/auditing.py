"""Auditing a catalogue: what is what, and how much of it a machine made; in parallel, resumable, signed.

folder, list of addresses, or object store -> rows (`api.screening`) -> files.jsonl, audit.csv,
audit.parquet, audit.html -> manifest.json, signed over all of them
"""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from .auditpage import format_audit_page
from .collection import Collection, FolderCollection
from .errors import RefusedError
from .exports import format_csv, format_parquet
from .manifest import AUDIT_TYPE, Row
from .screening import LIMITS, Kind
from .settings import Settings
from .storecollection import StoreCollection
from .urlcollection import UrlCollection, read_url_policy

Form = Callable[[Mapping[str, Any], Sequence[Row]], bytes]
FORMS: Mapping[str, tuple[str, Form]] = {
    "csv": ("audit.csv", format_csv),
    "html": ("audit.html", format_audit_page),
    "parquet": ("audit.parquet", format_parquet),
}
"""Forms in which rows are written beside files.jsonl: name of the file, and what makes it."""
AUDIT_LIMITS = (
    *LIMITS,
    "The share of machine-made recordings counts what a signed record says so of; what carries no mark and "
    "is like nothing in the catalogue may be made by anybody, or anything.",
)


def make_kind(forms: Sequence[str]) -> Kind:
    """Return what an audit makes of a collection; RefusedError for a form that is not one of FORMS, or cannot
    be made here.
    """
    unknown = sorted(set(forms) - FORMS.keys())
    if unknown:
        raise RefusedError(f"expected forms of {', '.join(FORMS)}, got {', '.join(unknown):.80}")
    if "parquet" in forms:
        format_parquet({}, ())  # before hours of work, not after
    return Kind(AUDIT_TYPE, "source", AUDIT_LIMITS, dict(FORMS[name] for name in sorted(set(forms))))


def choose_collection(source: str, output: Path, settings: Settings, policy: Path | None) -> Collection:
    """Return the collection that a source stands for: a folder, a file of addresses, or a store's address.

    Raises
    ------
    RefusedError
        There is no such thing, it is not taken, or a list comes without a policy.
    """
    if "://" in source:
        _refuse_policy(policy)
        return StoreCollection(source, output.absolute(), settings.limits.max_bytes)
    path = Path(source)
    if path.is_dir():
        _refuse_policy(policy)
        return FolderCollection(path.absolute(), (output.absolute(),))
    if not path.is_file():
        raise RefusedError(f"{source:.200}: expected a folder, a list of addresses, or a store's address")
    if policy is None:
        raise RefusedError("a list of addresses needs a policy that names the hosts to ask: --url-policy")
    return UrlCollection(path.absolute(), read_url_policy(policy), output.absolute())


def _refuse_policy(policy: Path | None) -> None:
    if policy is not None:
        raise RefusedError("--url-policy is for a list of addresses")
