"""The OpenBLAS in NumPy's wheels: its routines, the number of its threads, and whom they work for."""

from __future__ import annotations

import ctypes
import os
import re
import sys
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from xpnet_backends.on_numpy.compiler import address

__all__ = ["MOST", "core", "exported", "lending", "lends", "loaded", "most", "size", "threads"]

CALLBACK = "openblas_set_threads_callback_function"
"""What has its jobs run elsewhere; the wheels of NumPy 2.4 and later call it as they call all else."""

MOST = 256
"""Threads up to which its jobs can be run elsewhere."""


@cache
def loaded() -> ctypes.CDLL | None:
    """Return the OpenBLAS that NumPy has loaded, on Linux; None where NumPy multiplies by something else."""
    files = [*Path(np.__file__).parent.parent.glob("numpy.libs/libscipy_openblas*.so")]
    if sys.platform != "linux" or len(files) != 1:
        return None
    try:
        return ctypes.CDLL(str(files[0]), mode=os.RTLD_NOLOAD | os.RTLD_NOW)
    except OSError:
        return None


def exported(library: ctypes.CDLL, name: str) -> Any:
    """Return a function, whose name says whether the library's integers have 64 bits."""
    return getattr(library, f"{name}64_", None) or getattr(library, name)


def _callback(library: ctypes.CDLL) -> Any:
    return getattr(library, CALLBACK, None) or exported(library, f"scipy_{CALLBACK}")


@cache
def _lender() -> ctypes.CDLL | None:
    """Return it if it has threads of its own, and lets others run their jobs, as from 0.3.29 on (NumPy 2.2)."""
    library = loaded()
    if library is None:
        return None
    try:
        _callback(library)
        told = _told(library, "config")
        return library if 0 < _most(told) <= MOST and "OPENMP" not in told else None
    except AttributeError:
        return None


def _told(library: ctypes.CDLL, what: str) -> str:
    tell = exported(library, f"scipy_openblas_get_{what}")
    tell.restype = ctypes.c_char_p
    return str(tell().decode())


def _most(told: str) -> int:
    most = re.search(r"MAX_THREADS=(\d+)", told)
    return int(most[1]) if most is not None else 0


@cache
def most() -> int:
    """Return how many threads it can have."""
    return _most(_told(_found(), "config"))


def lends() -> bool:
    """Say whether its jobs can be run elsewhere."""
    return _lender() is not None


def lending() -> int:
    """Return where ``lend(run)`` lies, which has *run* called with its jobs; 0 gives them back to its own threads.

    What is called is ``run(waits, do, jobs, bytes, data, told)``, the type ``openblas_threads_callback`` in
    ``cblas.h``. It calls ``do(k, data + k * bytes, told)`` for each of the jobs, all at the same time.
    """
    return address(_callback(_found()))


@cache
def core() -> str:
    """Return what OpenBLAS calls the processor, by which it chooses its routines; empty where that is not known."""
    library = _lender()
    return "" if library is None else _told(library, "corename")


def size() -> int:
    """Return the number of threads that it uses now."""
    return int(threads()())


@cache
def threads() -> Any:
    """Return the function that tells the number of its threads."""
    function = exported(_found(), "scipy_openblas_get_num_threads")
    function.argtypes = ()
    return function


def _found() -> ctypes.CDLL:
    library = _lender()
    if library is None:
        raise RuntimeError("OpenBLAS's jobs cannot be had here")
    return library
