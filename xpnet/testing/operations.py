"""Check the functions of ``xp.nn`` on a backend against the reference on NumPy in float64."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from xpnet import nn
from xpnet.arrays import Host
from xpnet.backend import Backend, open_backend
from xpnet.random import host_stream, key_words, make_key
from xpnet.testing.comparing import check_close, check_same, require
from xpnet.testing.comparison_backends import PARITY, arrays_to_host

__all__ = ["check_operations"]

DONATED = {"adam"}
"""Functions that may write into their arguments."""


def check_operations(where: str, backend: Backend, seed: int) -> None:
    """Hold replacements to the reference's signatures, and all of ``xp.nn`` to its numbers and its purity."""
    for name, function in backend.nn.items():
        mine, reference = _signature(function), _signature(getattr(nn, name))
        require(mine == reference, where, f"nn's {name} takes {mine}; the reference takes {reference}")
    exact = open_backend("numpy", dtype="float64")
    for name, arguments in _cases(seed).items():
        operation = name.partition(" ")[0]
        found, after = _call(operation, arguments, backend)
        wanted, _ = _call(operation, arguments, exact)
        require(set(found) == set(wanted), where, f"nn's {name} gives {len(found)} arrays; expected {len(wanted)}")
        for place, values in wanted.items():
            require(found[place].dtype == backend.dtype, where, f"nn's {name} gives {found[place].dtype}")
            check_close(f"{where}, nn's {name}", place, found[place], values, PARITY[backend.dtype])
        for place, values in after.items() if operation not in DONATED else ():
            given = arguments[int(place)].astype(backend.dtype)
            check_same(f"{where}, nn's {name}", f"argument {place}", values, given)
    _check_integers(where, backend, seed)
    if backend.dtype == "float32":
        _check_rounding(where, backend, seed)


def _signature(function: Callable[..., Any]) -> list[tuple[str, str]]:
    return [(each.name, each.kind.name) for each in inspect.signature(function).parameters.values()]


def _cases(seed: int) -> dict[str, tuple[Any, ...]]:
    stream = host_stream(seed, "operations")
    x, weight, bias, dy = (stream.normal(size=shape) for shape in ((4, 2), (2, 3), (3,), (4, 3)))
    blocks, block_slopes = stream.normal(size=(4, 5, 2)), stream.normal(size=(4, 5, 3))
    z, targets = stream.normal(scale=3.0, size=(4, 3)), stream.dirichlet(np.ones(3), 4)
    wide, wide_targets = stream.normal(scale=3.0, size=(4, 12)), stream.dirichlet(np.ones(12), 4)
    wild = np.array([[1e4, -1e4, 0.0], [-1e4, -1e4, -1e4], [80.0, 90.0, 100.0]])
    g, p, m = stream.normal(size=(3, 7))
    v = stream.random(7)
    return {
        "product": (x, weight),
        "linear": (x, weight, bias),
        "linear without a bias": (x, weight, None),
        "linear of blocks": (blocks, weight, bias),
        "linear_backward": (x, weight, dy, True),
        "linear_backward without dx": (x, weight, dy, False),
        "linear_backward of blocks": (blocks, weight, block_slopes, True),
        "weight_gradient": (x, dy),
        "bias_gradient": (dy,),
        "sigmoid": (z,),
        "sigmoid of large numbers": (wild,),
        "softplus": (z,),
        "softplus of large numbers": (wild,),
        "softmax": (z,),
        "softmax of large numbers": (wild,),
        "log_softmax": (z,),
        "log_softmax of large numbers": (wild,),
        "softmax_cross_entropy": (z, targets),
        "softmax_cross_entropy of large numbers": (wild, targets[:3]),
        "softmax_cross_entropy of many classes": (wide, wide_targets),
        "sigmoid_cross_entropy": (z, targets),
        "sigmoid_cross_entropy of large numbers": (wild, targets[:3]),
        "normalize": (z, (0,), 1e-3),
        "normalize rows": (z, (-1,), 1e-3),
        "normalize blocks": (blocks, (0, 1), 1e-3),
        "normalize_backward": (z, np.abs(z[:1]) + 0.5, dy, (0,)),
        "adam": (g, p, m, v, np.asarray(0.1), np.asarray(1.0), 0.9, 0.999, 1e-8),
        "adam far on": (g, p, m, v, np.asarray(0.01), np.asarray(1000.0), 0.5, 0.9999, 1e-3),
        "bias_correction": (0.999, np.asarray(3.0)),
    }


def _call(name: str, arguments: tuple[Any, ...], backend: Backend) -> tuple[dict[str, Host], dict[str, Host]]:
    """Call an operation compiled; return its results, and its array arguments afterwards, by place."""
    given = {
        str(i): backend.asarray(value.copy(), dtype=backend.float)
        for i, value in enumerate(arguments)
        if isinstance(value, np.ndarray)
    }

    def run(arrays: Mapping[str, Any]) -> dict[str, Any]:
        rest = (arrays.get(str(i), value) for i, value in enumerate(arguments))
        found = getattr(backend.xp.nn, name)(*rest)
        results = found if isinstance(found, tuple) else (found,)
        return {f"result {i}": array for i, array in enumerate(results) if array is not None}

    found = arrays_to_host(backend.compile(run)(given), backend)
    return found, arrays_to_host(given, backend)


def _check_integers(where: str, backend: Backend, seed: int) -> None:
    """Hold what works on integers to exact results: one-hot rows, chosen rows, places, words, and masks."""
    xp, stream = backend.xp, np.random.default_rng(seed)
    labels = np.array([2, 0, 1], dtype=np.int32)
    rows = backend.compile(lambda labels: xp.nn.one_hot(labels, 3, backend.float))(backend.asarray(labels))
    require(np.array_equal(backend.to_numpy(rows), np.eye(3)[labels]), where, "nn's one_hot gives other rows")
    table, order = np.arange(12.0).reshape(4, 3), np.array([3, 0, 0, 2], dtype=np.int32)
    placed = backend.asarray(table, dtype=backend.float), backend.asarray(order)
    chosen = backend.to_numpy(backend.compile(lambda table, order: xp.nn.rows(table, order))(*placed))
    require(np.array_equal(chosen, table[order]), where, "nn's rows gives other rows")
    for columns in (2, 3, 12):
        scores = np.round(stream.normal(size=(50, columns)))  # many of which are equal
        scores[0, -1], scores[1] = np.inf, -np.inf
        placed = backend.asarray(scores, dtype=backend.float)
        places = backend.to_numpy(backend.compile(lambda scores: xp.nn.argmax(scores))(placed))
        require(np.array_equal(places, np.argmax(scores, axis=1)), where, "nn's argmax gives other places")
    given = [1, 2**31, 2**32 - 1, 0x21F0AAAD]
    words = backend.to_numpy(backend.compile(lambda: xp.nn.wrap(xp.nn.words(given) * xp.nn.words(given)))())
    require(
        [int(word) for word in words] == [word * word % 2**32 for word in given],
        where,
        "products of nn's words are not those modulo 2**32 after wrap()",
    )
    masks = []
    for each in (backend, open_backend("numpy", dtype=backend.dtype)):
        draw = each.compile(_mask(each))
        masks.append(each.to_numpy(draw(each.xp.nn.words(key_words(seed)), each.xp.zeros((), dtype=each.xp.int32))))
    require(np.array_equal(masks[0], masks[1]), where, "nn's dropout_mask drops other values than the reference")


def _check_rounding(where: str, backend: Backend, seed: int) -> None:
    """Hold products in bfloat16 to exact ones of numbers that it has, and else to what 8 significant bits leave."""
    nn, stream = backend.xp.nn, host_stream(seed, "rounding")
    multiply = backend.compile(lambda a, b: nn.rounded_product(nn.rounded(a), nn.rounded(b)))
    for what, (a, b), room in (
        ("whole numbers", (stream.integers(-4, 5, size=shape) for shape in ((5, 7), (7, 3))), 0.0),
        ("numbers between", (stream.normal(size=shape) for shape in ((5, 70), (70, 3))), 2.0**-7),
    ):
        found = backend.to_numpy(multiply(*(backend.asarray(each, dtype=backend.float) for each in (a, b))))
        require(found.dtype == backend.dtype, where, f"nn's rounded_product gives {found.dtype}")
        off = np.abs(found - a @ b)
        require(bool(np.all(off <= room * (np.abs(a) @ np.abs(b)))), where, f"nn's rounded_product is off for {what}")


def _mask(backend: Backend) -> Callable[[Any, Any], Any]:
    xp = backend.xp
    return lambda words, step: xp.nn.dropout_mask(make_key(words, step, xp), (9, 11), 0.3, backend.float)
