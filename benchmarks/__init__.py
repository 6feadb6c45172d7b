"""Measurements of the mark on real music, each run as `python -m benchmarks.NAME`; see docs/benchmarks.md."""
