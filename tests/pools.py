"""The threads that kernels can be shared by, each pool in its turn."""

from contextlib import contextmanager

import pytest
from xpnet_backends.on_numpy import native, openblas, openmp, team, workers

POOLS = {"MKL": openmp, "OpenBLAS": workers}
"""By whose products run on them."""

ROUTINES = {name: {} for name in POOLS}


@contextmanager
def used(name, threads, monkeypatch):
    """Let kernels be shared by so many threads of a pool; skip where it cannot be had."""
    pool = POOLS[name]
    if not (openmp._library() if pool is openmp else openblas.can_redirect_jobs()):
        pytest.skip(f"{name}'s threads cannot be had here: they can on Linux, with NumPy's wheel, or with xpnet[mkl]")
    monkeypatch.setattr(team, "_pool", lambda: pool)
    monkeypatch.setattr(team, "size", lambda: threads)
    # What was compiled for one pool does not suit the other.
    monkeypatch.setattr(native, "_routines", ROUTINES[name])
    if pool is openmp:
        yield
        return
    before, set_threads = openblas.size(), openblas.exported(openblas.library(), "scipy_openblas_set_num_threads")
    set_threads(threads)
    try:
        yield
    finally:
        set_threads(before)
