"""Who makes the transforms that marks are looked for with: numpy, or torch on the device that was set."""

import importlib
from functools import lru_cache

from watermark.segment import Preparation, prepare

from .errors import SettingsError

TORCH = "watermark.torch_segment"


@lru_cache(maxsize=4)
def preparation_on(device: str | None) -> Preparation:
    """Return what makes segments on `device`, a torch device as `cuda`; without one numpy does.

    Raises
    ------
    SettingsError
        Torch is not installed, or has no such device here.
    """
    if device is None:
        return prepare
    try:
        torch_segment = importlib.import_module(TORCH)
    except ImportError:
        raise SettingsError(
            f"PROVENOTE_MARK_DEVICE: {device!r:.80} needs torch: pip install provenote[generator]"
        ) from None
    try:
        preparation: Preparation = torch_segment.prepare_on(device)
    except ValueError as error:
        raise SettingsError(f"PROVENOTE_MARK_DEVICE: {error}") from None
    return preparation
