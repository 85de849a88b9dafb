"""An Array API namespace that records an ONNX graph: ndonnx's, bound like a backend, for :mod:`xpnet.onnx` alone.

Its arrays are placeholders without values, and what is computed with them becomes nodes. Where ONNX has an operator for
a whole function, that operator is used: the graph is shorter, and runtimes have fast kernels for it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any
from warnings import catch_warnings, filterwarnings

from xpnet.backend import Backend, Namespace, bind
from xpnet.extras import import_extra

if TYPE_CHECKING:
    from xpnet.backend import Array

__all__ = ["OPSET", "import_ndonnx", "open_graph"]

OPSET = 21
"""Version of ONNX's operators that ndonnx writes."""


def import_ndonnx() -> Any:
    """Return ndonnx, or raise MissingExtraError.

    Without onnxruntime, which only running a file needs, it warns of constants that it cannot compute ahead of time.
    """
    with catch_warnings():
        filterwarnings("ignore", "onnxruntime is not installed")
        return import_extra("ndonnx", "onnx", "to_onnx()")


def open_graph(dtype: str) -> Backend:
    """Return the namespace for a graph in one floating-point type.

    Raises
    ------
    MissingExtraError
        ndonnx is not installed.
    """
    ndonnx = import_ndonnx()
    op = import_extra(f"spox.opset.ai.onnx.v{OPSET}", "onnx", "to_onnx()")

    def operator(call: Callable[..., Any]) -> Callable[..., Array]:
        """Return an operator of ONNX as a function of arrays."""

        def function(*arrays: Array, **attributes: Any) -> Array:
            return ndonnx.asarray(call(*(array.unwrap_spox() for array in arrays), **attributes))

        return function

    def replacement(call: Callable[..., Any]) -> Callable[..., Array]:
        """Return an operator of ONNX as a function of ``xp.nn``, which are given the namespace first."""
        function = operator(call)
        return lambda xp, x: function(x)

    def integers(values: Any) -> Array:
        return ndonnx.asarray(list(values), dtype=ndonnx.int64)

    matmul, gemm, relu = operator(op.matmul), operator(op.gemm), operator(op.relu)

    def maximum(a: Array, b: Array | float) -> Array:
        rectified = isinstance(b, float) and b == 0.0 and ndonnx.isdtype(a.dtype, "real floating")
        return relu(a) if rectified else ndonnx.maximum(a, b)

    def mean(a: Array, *, axis: int | tuple[int, ...] | None = None, keepdims: bool = False) -> Array:
        axes = range(a.ndim) if axis is None else (axis,) if isinstance(axis, int) else axis
        return operator(op.reduce_mean)(a, integers(axes), keepdims=keepdims)

    def reshape(a: Array, shape: tuple[int | None, ...]) -> Array:
        """Reshape, where the one unknown length, that of the batch, is inferred."""
        return operator(op.reshape)(a, integers(-1 if length is None else length for length in shape))

    def linear(xp: Any, x: Array, weight: Array, bias: Array | None) -> Array:
        if bias is None:
            return matmul(x, weight)
        return gemm(x, weight, bias) if x.ndim == 2 else matmul(x, weight) + bias

    nn = {
        "linear": linear,
        "log_softmax": replacement(op.log_softmax),
        "sigmoid": replacement(op.sigmoid),
        "softmax": replacement(op.softmax),
    }
    if dtype == "float32":  # onnxruntime has no Softplus in float64
        nn["softplus"] = replacement(op.softplus)
    return bind(
        Backend(
            name="onnx",
            xp=Namespace(
                "onnx", vars(ndonnx) | {"matmul": matmul, "maximum": maximum, "mean": mean, "reshape": reshape}
            ),
            device=ndonnx.__array_namespace_info__().default_device(),
            dtype=dtype,
            asarray=ndonnx.asarray,
            to_numpy=ndonnx.Array.unwrap_numpy,
            nn=nn,
        )
    )
