"""What a piece of work has cost: wall time, processor time, energy where it can be measured or is declared.

Energy is one of:

- `declared-power`: the power that the operator declares for an engine, times the wall time;
- `rapl-package`: the processors' own counters (Linux powercap, `intel-rapl:N`), which cover the whole
  package, other work on the machine included; read for engines on the CPU alone, where the system lets us;
- nothing, where there is neither.
"""

import platform
import re
import time
from dataclasses import dataclass
from pathlib import Path

POWERCAP = Path("/sys/class/powercap")
DECLARED, MEASURED = "declared-power", "rapl-package"
_PACKAGE = re.compile(r"intel-rapl:[0-9]+")


@dataclass(frozen=True)
class Cost:
    """Wall and processor seconds of the whole process; joules and how they were found, both or neither."""

    wall_s: float
    cpu_s: float
    energy_j: float | None = None
    method: str | None = None


class Meter:
    """Runs from the moment it is made.

    Parameters
    ----------
    device
        What the work runs on: only `cpu` is covered by the processors' counters.
    watts
        Power that is declared for it, None where none is.
    powercap
        Where the counters are.
    """

    def __init__(self, device: str, watts: int | None = None, powercap: Path = POWERCAP) -> None:
        self._watts = watts
        self._packages = list_packages(powercap) if device == "cpu" and watts is None else []
        self._energy = [read_counter(package / "energy_uj") for package in self._packages]
        self._wall, self._cpu = time.monotonic(), time.process_time()

    def read(self) -> Cost:
        """Return the cost so far."""
        wall_s, cpu_s = time.monotonic() - self._wall, time.process_time() - self._cpu
        if self._watts is not None:
            return Cost(wall_s, cpu_s, self._watts * wall_s, DECLARED)
        total = 0
        for package, before in zip(self._packages, self._energy, strict=True):
            after, span = read_counter(package / "energy_uj"), read_counter(package / "max_energy_range_uj")
            if before is None or after is None or (after < before and span is None):
                return Cost(wall_s, cpu_s)
            # The counter starts again at its end.
            total += after - before if after >= before else after - before + (span or 0)
        return Cost(wall_s, cpu_s, total / 1e6, MEASURED) if self._packages else Cost(wall_s, cpu_s)


def list_packages(powercap: Path) -> list[Path]:
    """Return the folders of the processors' counters, their sub-counters left out."""
    if not powercap.is_dir():
        return []
    return sorted(path for path in powercap.iterdir() if _PACKAGE.fullmatch(path.name))


def read_counter(path: Path) -> int | None:
    """Return a counter, None where it cannot be read: since 2020 only root may, on most systems."""
    try:
        text = path.read_text(encoding="ascii").strip()
    except (OSError, UnicodeDecodeError):
        return None
    return int(text) if text.isdigit() else None


def name_processor(cpuinfo: Path = Path("/proc/cpuinfo")) -> str | None:
    """Return the processor's model name, None where the system does not tell."""
    try:
        for line in cpuinfo.read_text(encoding="utf-8", errors="replace").splitlines():
            key, _, value = line.partition(":")
            if key.strip() == "model name" and value.strip():
                return " ".join(value.split())[:120]
    except OSError:
        pass
    return platform.processor()[:120] or None
