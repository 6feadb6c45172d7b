"""Fingerprints: which recording is this, which part of it, and what was changed. Pure."""
