"""Kinds of engines: other packages add theirs by an entry point."""

from pathlib import Path

import numpy as np
import pytest

from generator import EngineError, EngineSetup, Request, RequestError, open_engine
from generator.engine import collect_result
from generator.kinds import GROUP, SHIPPED, list_kinds

PLUG_IN = """
import numpy as np
from generator import Account, EngineDescription, ModelIdentity


class Sweep:
    def __init__(self, setup):
        self.setup = setup

    def describe(self):
        return EngineDescription(
            name=self.setup.name, version="1", sample_rate=22050, channels=1, min_seconds=1.0,
            max_seconds=60.0, accepts=("text",), parameters={}, deterministic=True, licence="MIT",
            training_corpus="none", training_classes=("public-domain",), kind=self.setup.kind,
        )

    def perform(self, request, sink, *, progress=None, cancelled=None):
        count = int(request.seconds * 22050)
        sweep = 0.3 * np.sin(np.cumsum(np.linspace(0.05, 0.5, count)))
        sink.write(sweep[None].astype(np.float32), sample_rate=22050)
        return Account(
            model=ModelIdentity("sweep", "1", {}, "MIT", {}), understood={}, seed=request.seed, timings_s={},
            training_corpus="none",
        )


def give_nothing(setup):
    return object()
"""


@pytest.fixture
def plug_in(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Install a distribution with three entry points on the path, as pip would."""
    (tmp_path / "sweep_engine.py").write_text(PLUG_IN)
    info = tmp_path / "sweep_engine-1.2.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: sweep-engine\nVersion: 1.2\n")
    points = {"sweep": "Sweep", "broken": "give_nothing", "embedded": "Sweep"}
    lines = [f"{name} = sweep_engine:{target}" for name, target in points.items()]
    (info / "entry_points.txt").write_text("\n".join([f"[{GROUP}]", *lines]) + "\n")
    monkeypatch.syspath_prepend(str(tmp_path))


@pytest.mark.usefixtures("plug_in")
def test_a_plug_in_is_listed_with_its_package_and_plays() -> None:
    kind = {item.name: item for item in list_kinds()}["sweep"]
    assert kind.package == "sweep-engine 1.2"
    engine = open_engine(EngineSetup("my-sweep", "sweep"))
    assert engine.describe().name == "my-sweep"
    result = collect_result(engine, Request("", 2.0, 1))
    assert result.audio.shape == (1, 44_100)
    assert result.audio.dtype == np.float32


@pytest.mark.usefixtures("plug_in")
def test_a_plug_in_cannot_stand_in_for_a_shipped_kind() -> None:
    names = [item.name for item in list_kinds()]
    assert names[: len(SHIPPED)] == list(SHIPPED)
    assert names.count("embedded") == 1
    assert {item.name: item for item in list_kinds()}["embedded"].package == "provenote"


@pytest.mark.usefixtures("plug_in")
def test_what_is_no_engine_is_refused_with_its_package() -> None:
    with pytest.raises(EngineError, match=r"give_nothing of sweep-engine 1.2 returned object.*describe"):
        open_engine("broken")


def test_an_unknown_kind_is_refused_with_the_known_ones() -> None:
    with pytest.raises(
        RequestError, match="embedded, transformers, diffusers, audiolm, command, got 'vocal'"
    ):
        open_engine("vocal")
