"""The threads that kernels can be shared by, each pool in its turn."""

from contextlib import contextmanager
from functools import cache

import pytest
from xpnet_backends.on_numpy import gathering, kernels, loops, openblas, openmp, team

POOLS = {"MKL": openmp, "OpenBLAS": openblas}

PARTS = {name: [(module, cache(module.part.__wrapped__)) for module in (gathering, loops)] for name in POOLS}
KERNELS = {name: {} for name in POOLS}


@contextmanager
def used(name, threads, monkeypatch):
    """Let kernels be shared by so many threads of a pool; skip where it cannot be had."""
    pool = POOLS[name]
    if pool._library() is None:
        pytest.skip(f"{name}'s threads cannot be had here: they can on Linux, with NumPy's wheel, or with xpnet[mkl]")
    monkeypatch.setattr(team, "_pool", lambda: pool)
    monkeypatch.setattr(team, "size", lambda: threads)
    # What was compiled for one pool does not suit the other.
    monkeypatch.setattr(kernels, "_compiled", KERNELS[name])
    for module, part in PARTS[name]:
        monkeypatch.setattr(module, "part", part)
    if pool is openmp:
        yield
        return
    before, set_threads = pool.size(), pool._exported(pool._library(), "scipy_openblas_set_num_threads")
    set_threads(threads)
    try:
        yield
    finally:
        set_threads(before)
