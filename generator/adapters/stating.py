"""What every adapter says of itself in the same way: limits of a request, identity, libraries."""

import math
import platform
from collections.abc import Mapping
from importlib.metadata import PackageNotFoundError
from importlib.metadata import version as library_version

from ..engine import EngineDescription, ModelIdentity, Request
from ..errors import RequestError
from ..setup import EngineSetup

MAX_SEED = 2**63 - 1
MAX_PROMPT_CHARACTERS = 4_000
UNSTATED = "not stated"


def check_request(request: Request, *, most_s: float, least_s: float = 1.0) -> None:
    """Refuse a request that no adapter can serve: length, seed or prompt out of range."""
    seconds = request.seconds
    if isinstance(seconds, bool) or not isinstance(seconds, int | float) or not math.isfinite(seconds):
        raise RequestError(f"expected a length in seconds, got {seconds!r:.40}")
    if not least_s <= seconds <= most_s:
        raise RequestError(f"expected a length of {least_s:g} to {most_s:g} seconds, got {seconds:g}")
    if isinstance(request.seed, bool) or not isinstance(request.seed, int):
        raise RequestError(f"expected a whole number as seed, got {request.seed!r:.40}")
    if not 0 <= request.seed <= MAX_SEED:
        raise RequestError(f"expected a seed of 0 to {MAX_SEED}, got {request.seed}")
    if len(request.prompt) > MAX_PROMPT_CHARACTERS:
        raise RequestError(
            f"expected a prompt of at most {MAX_PROMPT_CHARACTERS} characters, got {len(request.prompt)}"
        )


def refuse_score(request: Request, name: str) -> None:
    """Refuse an opening for an engine that cannot take one up."""
    if request.abc is not None:
        raise RequestError(f"engine {name} takes no opening in ABC notation")


def read_number(request: Request, name: str, default: float, *, least: float, most: float) -> float:
    """Return a parameter of the request that is a number within limits; RequestError for anything else."""
    text = request.parameters.get(name)
    if text is None:
        return default
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not least <= value <= most:  # a NaN is not
        raise RequestError(f"{name}: expected {least:g} to {most:g}, got {text!r:.40}")
    return value


def refuse_unknown(request: Request, known: tuple[str, ...], name: str) -> None:
    """Refuse parameters that an engine does not know."""
    unknown = sorted(set(request.parameters) - set(known))
    if unknown:
        raise RequestError(
            f"engine {name}: expected parameters out of {', '.join(known) or 'none'}, got {unknown[0]!r:.80}"
        )


def describe_checkpoint(
    setup: EngineSetup,
    sha256: str,
    *,
    sample_rate: int,
    channels: int,
    most_s: float,
    accepts: tuple[str, ...],
    parameters: Mapping[str, str],
) -> EngineDescription:
    """Return what an engine over the checkpoint of a digest can do, as its folder and operator state it."""
    return EngineDescription(
        name=setup.name,
        version=sha256[:12],
        sample_rate=sample_rate,
        channels=channels,
        min_seconds=1.0,
        max_seconds=most_s,
        accepts=accepts,
        parameters=parameters,
        deterministic=setup.device == "cpu",
        licence=setup.licence or UNSTATED,
        training_corpus=setup.training_corpus or UNSTATED,
        training_classes=setup.training_classes,
        royalty_class=setup.royalty_class,
        kind=setup.kind,
        device=setup.device,
        weights={"checkpoint": sha256},
    )


def identify(
    name: str, version: str, weights: dict[str, str], licence: str | None, libraries: tuple[str, ...]
) -> ModelIdentity:
    """Return a model's identity, with the versions of the libraries that are installed."""
    versions = {"python": platform.python_version()}
    for library in libraries:
        try:
            versions[library] = library_version(library)
        except PackageNotFoundError:
            continue
    return ModelIdentity(name, version, weights, licence or UNSTATED, versions)
