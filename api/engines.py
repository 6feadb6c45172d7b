"""Opening a music generator, with a clear word where its libraries are not installed."""

import generator

from .errors import GeneratorMissingError


def load_engine(name: str = "embedded") -> generator.Engine:
    """Open an engine; its weights are loaded now.

    Raises
    ------
    GeneratorMissingError
        torch, or another library of the extra `generator`, is not installed.
    generator.GeneratorError
        No such engine, or its weights are missing or changed.
    """
    try:
        return generator.open_engine(name)
    except ImportError as error:
        raise GeneratorMissingError(
            f"generating needs the extra 'generator' (pip install 'provenote[generator]'): {error}"
        ) from error
