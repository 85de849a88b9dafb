"""The kernels' sources, in the folder ``kernels`` beside this: what each file holds, and how it is compiled."""

from __future__ import annotations

from importlib.resources import files

__all__ = ["FUNCTIONS", "OPTIONS", "REAL", "source"]

FUNCTIONS = {
    "adam": ("adam", "adamw"),
    "bias_activation": ("bias_activation", "bias_activation_backward", "add_partial_sums"),
    "dropout_mask": ("dropout_mask",),
    "softmax_cross_entropy": ("softmax_cross_entropy",),
}
"""The kernels of each file, by the file's name without its ending."""

OPTIONS = ("--std=c++17", "--fmad=false")
"""NVRTC's options. Without contraction every operation rounds as the reference's own does, and kernels that wait for
memory lose nothing by it."""

REAL = {"float32": "float", "float64": "double"}
"""What ``real`` stands for in the sources."""


def source(file: str, dtype: str) -> str:
    """Return a file's text in one floating-point type.

    >>> source("adam", "float32").partition(";")[0]
    'typedef float real'
    """
    text = (files("xpnet_backends.on_cupy") / "kernels" / f"{file}.cu").read_text(encoding="utf-8")
    return f"typedef {REAL[dtype]} real;\n{text}"
