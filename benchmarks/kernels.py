"""The kernels of the CuPy backend, one by one, beside plain CuPy: error against float64, time, share of a copy's rate.

python -m benchmarks.kernels '{"device": "cuda", "quick": false}'
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
from xpnet_backends.on_cupy import fused

import xpnet
from benchmarks.timing import SECONDS, time_of
from xpnet import nn
from xpnet.random import Key, key_words, make_key

SIZES = {
    "parameters": (670_000, 20_000_000),
    "classes": ((8192, 10), (16_384, 1000)),
    "units": ((128, 512), (8192, 4096)),
}
QUICK = {"parameters": (1000,), "classes": ((20, 10),), "units": ((20, 40),)}
"""Small ones show what a launch costs; the large are several times the cache of a GPU."""


BETAS = (0.9, 0.999, 1e-8)
DECAY = 0.01
RATE = 0.2
"""Of dropout."""


@dataclass(frozen=True)
class Case:
    """A kernel and the reference's operations in its place, on the same float32 arrays, which both may write over."""

    name: str
    bytes: int  # that have to be read and written
    kernel: Callable[..., Any]  # of the arrays
    plain: Callable[..., Any]  # of a namespace and the arrays
    draw: Callable[[], tuple[np.ndarray, ...]]


def cases(sizes: dict[str, Any]) -> Iterator[Case]:
    """Yield every kernel at every size."""
    for size in sizes["parameters"]:
        yield Case(
            f"adam, {size:,} parameters",
            28 * size,
            lambda *arrays: fused.adam(None, *arrays, *BETAS),
            lambda xp, *arrays: nn.adam(xp, *arrays, *BETAS),
            partial(draw_moments, size),
        )
        yield Case(
            f"adamw, {size:,} parameters",
            32 * size,
            lambda *arrays: fused.adamw(*arrays, DECAY, *BETAS),
            plain_adamw,
            partial(draw_decaying, size),
        )
    for rows, classes in sizes["classes"]:
        yield Case(
            f"softmax_cross_entropy, {rows:,} x {classes:,}",
            12 * rows * classes + 4 * rows,
            partial(fused.softmax_cross_entropy, None),
            nn.softmax_cross_entropy,
            partial(draw_scores, rows, classes),
        )
    for rows, units in sizes["units"]:
        table = f"{rows:,} x {units:,}"
        yield Case(
            f"bias and ReLU, {table}",
            8 * rows * units,
            lambda product, bias: fused.bias_activation(product, bias, "relu"),
            lambda xp, product, bias: xp.maximum(product + bias, 0.0),
            partial(draw_product, rows, units),
        )
        yield Case(
            f"the way back of both, {table}",
            12 * rows * units,
            lambda y, dy: fused.bias_activation_backward(y, dy, "relu"),
            plain_backward,
            partial(draw_slopes, rows, units),
        )
        yield Case(
            f"dropout_mask, {table}",
            4 * rows * units,
            partial(_mask, fused.dropout_mask, (rows, units), None),
            partial(_mask, nn.dropout_mask, (rows, units)),
            draw_key,
        )


def normal(*shape: int) -> np.ndarray:
    return np.random.default_rng().standard_normal(shape, dtype=np.float32)


def draw_moments(size: int) -> tuple[np.ndarray, ...]:
    """Gradient, parameters, m, v; rate and step."""
    return (
        *(normal(size), normal(size), normal(size), np.abs(normal(size))),
        *(np.asarray(number, np.float32) for number in (1e-3, 3.0)),
    )


def draw_decaying(size: int) -> tuple[np.ndarray, ...]:
    """The same, with the mask of what decays before rate and step."""
    *vectors, rate, step = draw_moments(size)
    return *vectors, (np.arange(size) % 100 > 0).astype(np.float32), rate, step


def draw_scores(rows: int, classes: int) -> tuple[np.ndarray, ...]:
    labels = np.random.default_rng().integers(classes, size=rows)
    return normal(rows, classes), np.eye(classes, dtype=np.float32)[labels]


def draw_product(rows: int, units: int) -> tuple[np.ndarray, ...]:
    return normal(rows, units), normal(units)


def draw_slopes(rows: int, units: int) -> tuple[np.ndarray, ...]:
    return np.maximum(normal(rows, units), 0), normal(rows, units)


def draw_key() -> tuple[np.ndarray, ...]:
    host = xpnet.open_backend("numpy").xp
    return tuple(np.asarray(word) for word in make_key(host.nn.words(key_words(0)), np.asarray(1, np.int32), host))


def plain_adamw(xp: Any, g: Any, p: Any, m: Any, v: Any, mask: Any, rate: Any, step: Any) -> Any:
    p *= 1.0 - (rate * DECAY) * mask
    return nn.adam(xp, g, p, m, v, rate, step, *BETAS)


def plain_backward(xp: Any, y: Any, dy: Any) -> tuple[Any, Any]:
    dx = dy * xp.astype(y > 0.0, dy.dtype)
    return dx, xp.sum(dx, axis=0)


def _mask(function: Callable[..., Any], shape: tuple[int, int], xp: Any, *words: Any) -> Any:
    return function(xp, Key(*words), shape, RATE, np.dtype("float32"))


def measure(backend: xpnet.Backend, sizes: dict[str, Any], seconds: float) -> dict[str, Any]:
    """Return what every case gives on a backend."""
    xp = backend.xp

    def place(array: np.ndarray) -> Any:
        return backend.asarray(array.copy())  # which functions write over

    source = backend.asarray(normal(13 * max(sizes["parameters"])))
    rate = 2 * source.nbytes / time_of(lambda: xp.asarray(source, copy=True), backend.synchronize, seconds)
    found: dict[str, Any] = {"copy_bytes_a_second": rate}
    for case in cases(sizes):
        given = case.draw()
        exact = case.plain(xpnet.open_backend("numpy").xp, *map(widened, given))
        found[case.name] = {}
        for name, function in (("kernel", case.kernel), ("plain", partial(case.plain, xp))):
            error = largest_error(function(*(place(array) for array in given)), exact, backend.to_numpy)
            arrays = [place(array) for array in given]
            taken = time_of(lambda: function(*arrays), backend.synchronize, seconds)  # noqa: B023
            found[case.name] |= {f"{name}_error": error, f"{name}_microseconds": 1e6 * taken}
        least = case.bytes / rate
        found[case.name]["share_of_copy_rate"] = least / (1e-6 * found[case.name]["kernel_microseconds"])
    return found


def widened(array: np.ndarray) -> np.ndarray:
    """A copy, in float64 where it is floating."""
    return array.astype(np.float64) if array.dtype.kind == "f" else array.copy()


def largest_error(found: Any, exact: Any, to_numpy: Callable[[Any], np.ndarray]) -> float:
    """Return the largest ||found - exact|| / ||exact|| of what a function returns."""
    pairs = zip(found, exact, strict=True) if isinstance(found, tuple) else [(found, exact)]
    return max(float(np.linalg.norm(to_numpy(one) - other) / np.linalg.norm(other)) for one, other in pairs)


def main() -> None:
    config = json.loads(sys.argv[1])
    if config["device"] != "cuda":
        print(json.dumps({"left_out": "the kernels run on GPUs"}), flush=True)
        return
    sizes = QUICK if config["quick"] else SIZES
    print(json.dumps(measure(xpnet.open_backend("cupy"), sizes, SECONDS)), flush=True)


if __name__ == "__main__":
    main()
