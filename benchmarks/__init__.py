"""Measurements of the mark on real music, each run as `python -m benchmarks.NAME`; see docs/benchmarks.md."""

import os

# Before NumPy is loaded, as the program itself does: threads of OpenBLAS wait for each other, spinning.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
