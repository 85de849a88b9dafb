"""Measurements of xpnet beside its peers. ``python -m benchmarks.cpu --help``."""
