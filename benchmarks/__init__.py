"""Measurements of the mark on real music; each module prints a table, writes JSON, and is run as `python -m benchmarks.NAME`."""
