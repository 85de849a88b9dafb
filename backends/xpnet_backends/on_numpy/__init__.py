"""NumPy: the default backend, on the CPU."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from xpnet.aligned import aligned_copy
from xpnet.backend import Backend
from xpnet.errors import BackendError
from xpnet_backends.machine import cpu_memory
from xpnet_backends.on_numpy import bfloat16, blocks, mkl
from xpnet_backends.on_numpy.compiling import Compiled, loop

INSTALL = "pip install 'numpy>=2.1'"

LARGE = 1 << 14
"""Bytes from which a copy begins at a cache line: to see to that takes 2 us."""


def open(device: object, dtype: str) -> Backend:
    """Open NumPy; its only device is ``"cpu"``."""
    if device not in (None, "cpu"):
        raise BackendError(
            f"backend 'numpy' computes on device 'cpu' only; got device={device!r}. "
            "For a GPU use backend='cupy'; for the CPU leave device out"
        )
    by_mkl = mkl.available()
    return Backend(
        name="numpy",
        xp=_Namespace(mkl.matmul if by_mkl else blocks.matmul),
        device="cpu",
        dtype=dtype,
        asarray=asarray,
        to_numpy=np.asarray,
        compile=Compiled,
        loop=loop,
        spare_core=True,
        nn={"bias_gradient": mkl.bias_gradient} | ({} if by_mkl else {"rounded_product": bfloat16.rounded_product}),
    )


class _Namespace:
    """NumPy, with a product of its own."""

    def __init__(self, matmul: Callable[[Any, Any], Any]) -> None:
        self.matmul = matmul

    def __getattr__(self, name: str) -> Any:
        return getattr(np, name)


def asarray(values: Any, dtype: Any = None) -> np.ndarray[Any, Any]:
    """Take host values in C's order, and another library's array through DLPack.

    BLAS adds the terms of a product in another order where a matrix lies in Fortran's order, in strides, or between
    the places that its type asks for.
    """
    array: np.ndarray[Any, Any] = values
    if type(values) is not np.ndarray:
        if not isinstance(values, np.ndarray) and hasattr(values, "__dlpack__"):
            values = np.from_dlpack(values)
        array = np.asarray(values, dtype=None if isinstance(values, np.ndarray) else dtype)
    flags = array.flags
    if (dtype is None or array.dtype == dtype) and flags.c_contiguous and flags.aligned:
        return array
    kind = array.dtype if dtype is None else np.dtype(dtype)
    if array.nbytes < LARGE or kind.hasobject:
        return np.array(array, dtype=kind, order="C")
    return aligned_copy(array, kind)


def version() -> str:
    """Return NumPy's version."""
    return np.__version__


def devices() -> list[str]:
    """Name the CPU, and what makes it faster here."""
    import os
    import platform

    from xpnet_backends.on_numpy import openblas
    from xpnet_backends.on_numpy.compiler import llvm

    used = mkl.available()
    extras = [name for name, there in (("LLVM", llvm.available()), ("MKL", used)) if there]
    helped = f", with {' and '.join(extras)}" if extras else ""
    idle = ""
    if mkl.library_file() and not used:
        idle = f"; MKL is not used here, {mkl.VARIABLE}=1 asks" if mkl.is_loadable() else "; MKL cannot be loaded"
    if llvm.available() and not used and openblas.library() and not openblas.can_redirect_jobs():
        helped += "; this NumPy's OpenBLAS keeps its jobs to itself: NumPy 2.2 or later is faster"
    return [f"cpu: {platform.machine()}, {os.cpu_count()} cores{cpu_memory()}{helped}{idle}"]
