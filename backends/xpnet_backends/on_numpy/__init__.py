"""NumPy: the default backend, on the CPU.

How ``compile(step)`` runs a step, and where each part is::

    compiling      a call: as it is at first, by a recorded plan from the second on (signatures, plan_cache, pytrees)
    tracing        records the step's operations as nodes (static_shapes: which functions may be recorded)
    graph          questions about the nodes: what is needed, whose memory, until when
    plan           makes and runs the plan of one signature
    writer         nodes -> lines of Python, on memory that is allocated once (memory, naming)
    fusing         which elementwise operations and reductions share a pass; kernels writes that pass (exponential)
    native         a line as a call of a C function; function_body joins lines of such calls to one Program
                   (argument_checks: programs that look at their arguments first)
      calls of     ufunc_loops, casting, scalar_powers, gathering (over memory: strides), blas (mkl, openblas, blocks,
                   one_row, gemm)
      gemm         tiled products: macrokernel, microkernel, bfloat16_pairs, summation_order
    compiler/      a subset of Python -> LLVM's text (functions, builder, language) -> machine code (llvm)
    team           calls that threads share: on MKL's (openmp) or on our own (workers, which run OpenBLAS's jobs, too)
"""

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
"""Copies of at least so many bytes begin at a cache line; arranging that takes 2 us."""


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
    """NumPy with another ``matmul``."""

    def __init__(self, matmul: Callable[[Any, Any], Any]) -> None:
        self.matmul = matmul

    def __getattr__(self, name: str) -> Any:
        return getattr(np, name)


def asarray(values: Any, dtype: Any = None) -> np.ndarray[Any, Any]:
    """Convert host values to an array in C order; take another library's array through DLPack.

    In Fortran order, strided or unaligned, BLAS adds the terms of a product in another order.
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
    """Describe the CPU and the libraries that speed it up here."""
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
