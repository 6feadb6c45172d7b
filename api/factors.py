"""The factors of a track's making in its signed statement: measured or declared, absent where unknown.

    "factors": {"version": 1,
                "latency_ms": 1840,
                "compute": {"cpu_ms": 1790, "cpu_of": "piece", "device": "cpu", "processor": "AMD EPYC 9B14",
                            "energy": {"millijoules": 64400, "method": "declared-power"}},
                "training_data": {"classes": ["licensed", "public-domain"], "stated_by": "engine"},
                "royalty_class": "royalty-free",
                "human_oversight": "prompt_guided"}

| member | is | found by |
| --- | --- | --- |
| latency_ms | from the order until the engine's last sample, without marking | measured |
| compute.cpu_ms | of the `piece` alone, or of the whole `process` meanwhile, an upper bound | measured |
| compute.energy | `method` says how it was found (`api.metering`) | measured, or declared power |
| training_data | classes of what the model was trained on | the engine or its operator |
| royalty_class | what is owed for using the music | the issuer, or the engine's operator |
| human_oversight | fully_autonomous, prompt_guided, human_validated, as in C2PA | the issuer |

No number is a float. A statement without `factors`, or with a version that is not known here, is as valid as
before: readers show nothing then.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from .engines import ROYALTY_CLASSES, TRAINING_CLASSES, Account, EngineDescription
from .errors import RefusedError
from .metering import Cost, name_processor

VERSION = 1
OVERSIGHT_LEVELS = ("fully_autonomous", "human_validated", "prompt_guided")
ENGINE, ISSUER = "engine", "issuer"


@dataclass(frozen=True)
class DeclaredFactors:
    """What the issuer declares for one track; made by `parse_factors`, None or empty for what is not said."""

    oversight: str | None = None
    royalty_class: str | None = None
    training_classes: tuple[str, ...] = ()


def parse_factors(
    *,
    oversight: str | None = None,
    royalty_class: str | None = None,
    training_classes: tuple[str, ...] | list[str] = (),
) -> DeclaredFactors:
    """Check what an issuer declares; RefusedError for a word that is not taken."""
    for name, value, known in (
        ("oversight", oversight, OVERSIGHT_LEVELS),
        ("royalty class", royalty_class, ROYALTY_CLASSES),
        *(("training class", item, TRAINING_CLASSES) for item in training_classes),
    ):
        if value is not None and value not in known:
            raise RefusedError(f"{name}: expected one of {', '.join(known)}, got {value!r:.80}")
    return DeclaredFactors(oversight, royalty_class, tuple(sorted(set(training_classes))))


def state_factors(
    declared: DeclaredFactors,
    *,
    description: EngineDescription | None = None,
    account: Account | None = None,
    cost: Cost | None = None,
) -> dict[str, Any]:
    """Return the member `factors` of a statement, or nothing where nothing is known.

    Parameters
    ----------
    description, account, cost
        Of the engine that made it, of its work; None for a recording that was not made here.
    """
    factors: dict[str, Any] = {}
    if cost is not None and account is not None and description is not None:
        factors["latency_ms"] = round(1000 * cost.wall_s)
        factors["compute"] = _state_compute(description, account, cost)
    training = declared.training_classes, ISSUER
    if description is not None and description.training_classes:
        training = description.training_classes, ENGINE
    if training[0]:
        factors["training_data"] = {"classes": list(training[0]), "stated_by": training[1]}
    royalty = declared.royalty_class or (None if description is None else description.royalty_class)
    if royalty is not None:
        factors["royalty_class"] = royalty
    if declared.oversight is not None:
        factors["human_oversight"] = declared.oversight
    return {"factors": {"version": VERSION, **factors}} if factors else {}


def _state_compute(description: EngineDescription, account: Account, cost: Cost) -> dict[str, Any]:
    own = account.cpu_s is not None
    cpu_s = cost.cpu_s if account.cpu_s is None else account.cpu_s
    processor = name_processor()
    compute: dict[str, Any] = {
        "cpu_ms": round(1000 * cpu_s),
        "cpu_of": "piece" if own else "process",
        "device": description.device,
        **({} if processor is None else {"processor": processor}),
    }
    if cost.energy_j is not None and cost.method is not None:
        compute["energy"] = {"millijoules": round(1000 * cost.energy_j), "method": cost.method}
    return compute


def read_factors(facts: Mapping[str, Any]) -> dict[str, Any] | None:
    """Return the factors of a statement's predicate; None where there are none of a known version."""
    factors = facts.get("factors")
    if not isinstance(factors, Mapping) or factors.get("version") != VERSION:
        return None
    return dict(factors)


def describe_factors(factors: Mapping[str, Any]) -> list[str]:
    """Return the factors as lines for people, those that are there."""
    lines = []
    compute = factors.get("compute") or {}
    if "latency_ms" in factors:
        lines.append(f"made in {factors['latency_ms'] / 1000:.1f} s")
    if compute:
        whose = "" if compute.get("cpu_of") == "piece" else " of the whole process"
        where = compute.get("processor") if compute.get("device") == "cpu" else None
        device = where or compute.get("device")
        lines.append(f"{compute.get('cpu_ms', 0) / 1000:.1f} s of processor time{whose}, on {device}")
        if energy := compute.get("energy"):
            lines.append(f"energy {energy['millijoules'] / 1000:.1f} J ({energy['method']})")
    if training := factors.get("training_data"):
        lines.append(
            f"trained on {', '.join(training['classes'])} data, as the {training['stated_by']} states"
        )
    if "royalty_class" in factors:
        lines.append(f"royalties: {factors['royalty_class']}, as declared")
    if "human_oversight" in factors:
        lines.append(f"human oversight: {factors['human_oversight']}, as declared")
    return lines
