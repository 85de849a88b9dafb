"""A matrix product called through cuBLASLt itself, by nvmath or by ctypes, which a CUDA graph may hold.

CuPy refuses its own products while a stream is captured. Both bindings have the names of nvmath.bindings.cublasLt; the
constants are those of cublasLt.h, cublas_api.h and library_types.h.
"""

from __future__ import annotations

import ctypes
from collections.abc import Callable
from typing import Any

REAL_32F, REAL_16BF = 0, 14  # cudaDataType
COMPUTE_32F, COMPUTE_32F_FAST_TF32 = 68, 77  # cublasComputeType_t
EPILOGUE, BIAS_POINTER, AUX_POINTER, AUX_LD = 7, 8, 11, 12  # cublasLtMatmulDescAttributes_t
MAX_WORKSPACE_BYTES = 1  # cublasLtMatmulPreferenceAttributes_t
EPILOGUES = {
    "DEFAULT": 1,
    "BIAS": 4,
    "RELU_BIAS": 6,
    "RELU_AUX_BIAS": 134,
    "GELU_AUX_BIAS": 164,
    "DRELU_BGRAD": 152,
    "DGELU_BGRAD": 208,
    "BGRADA": 256,
    "BGRADB": 512,
}
"""cublasLtEpilogue_t: what a layer could have done on the way from a product to memory."""

WORKSPACE = 32 * 2**20
"""Bytes, as cuBLAS's own documentation recommends for Hopper."""

HEURISTIC_BYTES = 96
"""sizeof(cublasLtMatmulHeuristicResult_t): the algorithm's 64 bytes, size_t, status, float and four reserved ints."""


class Bindings:
    """The functions that a product takes, by ctypes, under the names that nvmath has for them."""

    def __init__(self) -> None:
        from cuda.pathfinder import load_nvidia_dynamic_lib

        self.library = ctypes.CDLL(load_nvidia_dynamic_lib("cublasLt").abs_path)

    def _call(self, name: str, *arguments: Any) -> None:
        status = getattr(self.library, name)(*arguments)
        if status:
            raise RuntimeError(f"{name} gave status {status}")

    def _made(self, name: str, *arguments: Any) -> int:
        handle = ctypes.c_void_p()
        self._call(name, ctypes.byref(handle), *arguments)
        return handle.value or 0

    def create(self) -> int:
        return self._made("cublasLtCreate")

    def matmul_desc_create(self, compute: int, scale: int) -> int:
        return self._made("cublasLtMatmulDescCreate", ctypes.c_int(compute), ctypes.c_int(scale))

    def matmul_desc_set_attribute(self, desc: int, attribute: int, address: int, size: int) -> None:
        given = (ctypes.c_void_p(desc), ctypes.c_int(attribute), ctypes.c_void_p(address), ctypes.c_size_t(size))
        self._call("cublasLtMatmulDescSetAttribute", *given)

    def matrix_layout_create(self, kind: int, rows: int, columns: int, ld: int) -> int:
        given = (ctypes.c_int(kind), ctypes.c_uint64(rows), ctypes.c_uint64(columns), ctypes.c_int64(ld))
        return self._made("cublasLtMatrixLayoutCreate", *given)

    def matmul_preference_create(self) -> int:
        return self._made("cublasLtMatmulPreferenceCreate")

    def matmul_preference_set_attribute(self, preference: int, attribute: int, address: int, size: int) -> None:
        given = (ctypes.c_void_p(preference), ctypes.c_int(attribute), ctypes.c_void_p(address), ctypes.c_size_t(size))
        self._call("cublasLtMatmulPreferenceSetAttribute", *given)

    def matmul_algo_get_heuristic(self, *given: int) -> None:
        *handles, count, results, found = given
        pointers = [ctypes.c_void_p(handle) for handle in handles]
        last = (ctypes.c_int(count), ctypes.c_void_p(results), ctypes.c_void_p(found))
        self._call("cublasLtMatmulAlgoGetHeuristic", *pointers, *last)

    def matmul(self, *given: int) -> None:
        *handles, size, stream = given
        pointers = [ctypes.c_void_p(handle) for handle in handles]
        self._call("cublasLtMatmul", *pointers, ctypes.c_size_t(size), ctypes.c_void_p(stream))


def nvmath() -> Any:
    from nvmath.bindings import cublasLt

    return cublasLt


BINDINGS: dict[str, Callable[[], Any]] = {"nvmath": nvmath, "ctypes": Bindings}


class Product:
    """``out = a @ b``, row-major and of one type, planned once and launched on any stream.

    cuBLASLt counts by columns, so it is given the transposed product: b's memory first, read as (n, k), then a's.
    """

    def __init__(
        self, lt: Any, a: Any, b: Any, out: Any, kind: int, compute: int, epilogue: str = "DEFAULT", **addresses: int
    ) -> None:
        import cupy

        (m, k), n = a.shape, b.shape[1]
        self.lt, self.arrays = lt, (a, b, out)
        self.numbers = [ctypes.c_float(1.0), ctypes.c_float(0.0)]  # alpha and beta, on the host
        self.workspace = cupy.empty(WORKSPACE, dtype=cupy.uint8)
        self.handle, self.desc = lt.create(), lt.matmul_desc_create(compute, REAL_32F)
        self._set(EPILOGUE, ctypes.c_int32(EPILOGUES[epilogue]))
        if "bias" in addresses:
            self._set(BIAS_POINTER, ctypes.c_void_p(addresses["bias"]))
        if "aux" in addresses:
            self._set(AUX_POINTER, ctypes.c_void_p(addresses["aux"]))
            self._set(AUX_LD, ctypes.c_int64(n))
        self.layouts = [lt.matrix_layout_create(kind, *shape) for shape in ((n, k, n), (k, m, k), (n, m, n), (n, m, n))]
        preference, size = lt.matmul_preference_create(), ctypes.c_uint64(WORKSPACE)
        lt.matmul_preference_set_attribute(preference, MAX_WORKSPACE_BYTES, ctypes.addressof(size), 8)
        self.algorithm, found = (ctypes.c_ubyte * HEURISTIC_BYTES)(), ctypes.c_int()
        addresses_of = (ctypes.addressof(self.algorithm), ctypes.addressof(found))
        lt.matmul_algo_get_heuristic(self.handle, self.desc, *self.layouts, preference, 1, *addresses_of)
        if not found.value:
            raise RuntimeError("cuBLASLt knows no algorithm for it")

    def _set(self, attribute: int, value: Any) -> None:
        self.lt.matmul_desc_set_attribute(self.desc, attribute, ctypes.addressof(value), ctypes.sizeof(value))

    def launch(self, stream: int) -> None:
        """Launch on a stream, given by its address."""
        a, b, out = (array.data.ptr for array in self.arrays)
        one, zero = (ctypes.addressof(number) for number in self.numbers)
        first, second, third, fourth = self.layouts
        self.lt.matmul(
            *(self.handle, self.desc, one, b, first, a, second, zero, out, third, out, fourth),
            *(ctypes.addressof(self.algorithm), self.workspace.data.ptr, WORKSPACE, stream),
        )
