"""The OpenBLAS in NumPy's wheels: its routines, the number of its threads, and how to run its jobs on other threads."""

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

__all__ = [
    "MAX_THREADS",
    "can_redirect_jobs",
    "core",
    "exported",
    "library",
    "max_threads",
    "redirect_function",
    "size",
    "thread_counter",
]

CALLBACK = "openblas_set_threads_callback_function"
"""The function that redirects OpenBLAS's jobs; in the wheels of NumPy 2.4 and later it has their usual prefix."""

MAX_THREADS = 256
"""Jobs are not redirected from an OpenBLAS that is built for more threads than this."""


@cache
def library() -> ctypes.CDLL | None:
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
def _redirectable() -> ctypes.CDLL | None:
    """Return OpenBLAS if its jobs can be redirected: it has threads of its own, and is 0.3.29 (NumPy 2.2) or later."""
    found = library()
    if found is None:
        return None
    try:
        _callback(found)
        config = _description(found, "config")
        return found if 0 < _max_threads_in(config) <= MAX_THREADS and "OPENMP" not in config else None
    except AttributeError:
        return None


def _description(library: ctypes.CDLL, what: str) -> str:
    tell = exported(library, f"scipy_openblas_get_{what}")
    tell.restype = ctypes.c_char_p
    return str(tell().decode())


def _max_threads_in(config: str) -> int:
    most = re.search(r"MAX_THREADS=(\d+)", config)
    return int(most[1]) if most is not None else 0


@cache
def max_threads() -> int:
    """Return the number of threads that OpenBLAS is built for."""
    return _max_threads_in(_description(_required(), "config"))


def can_redirect_jobs() -> bool:
    """Say whether OpenBLAS's jobs can be run on other threads."""
    return _redirectable() is not None


def redirect_function() -> int:
    """Return the address of ``redirect(run)``, after which OpenBLAS calls *run* instead of its own threads.

    With 0 its own threads work again. *run* has the type ``openblas_threads_callback`` of ``cblas.h``,
    ``run(waits, do, jobs, bytes, data, argument)``, and calls ``do(k, data + k * bytes, argument)`` for each job ``k``,
    all at the same time.
    """
    return address(_callback(_required()))


@cache
def core() -> str:
    """Return OpenBLAS's name for the processor, by which it chooses its routines; "" if that is unknown."""
    library = _redirectable()
    return "" if library is None else _description(library, "corename")


def size() -> int:
    """Return the number of threads that OpenBLAS uses now."""
    return int(thread_counter()())


@cache
def thread_counter() -> Any:
    """Return OpenBLAS's function that returns the number of threads it uses now."""
    function = exported(_required(), "scipy_openblas_get_num_threads")
    function.argtypes = ()
    return function


def _required() -> ctypes.CDLL:
    library = _redirectable()
    if library is None:
        raise RuntimeError("OpenBLAS's jobs cannot be had here")
    return library
