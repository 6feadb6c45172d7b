"""The package is light until an engine is opened."""

import subprocess
import sys

import pytest

import generator
from generator import RequestError


def test_importing_the_package_does_not_import_torch() -> None:
    code = "import sys; sys.modules['torch'] = None; import generator; assert 'mido' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)


def test_public_names_exist() -> None:
    for name in generator.__all__:
        assert hasattr(generator, name)


def test_an_unknown_engine_is_refused_with_the_known_ones() -> None:
    with pytest.raises(RequestError, match="embedded"):
        generator.open_engine("vocal")
