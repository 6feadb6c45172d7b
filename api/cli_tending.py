"""What commands that add recordings do last, when their result has been told: tend the index."""

from .console import errors, show_progress
from .indextending import tend_index
from .installation import Installation


def tend(installation: Installation, *, quiet: bool) -> None:
    """Merge what is large, with a bar; a fault is told and changes nothing about the command's outcome."""
    with show_progress(quiet=quiet) as progress:
        fault = tend_index(installation, progress)
    if fault is not None:
        errors.print(fault, markup=False)
