"""Measure the running statistics of BatchNorm anew, for weights that no step has made."""

from __future__ import annotations

import copy
import warnings
from typing import TYPE_CHECKING, Any

import numpy as np

from xpnet.arguments import levels_to_user
from xpnet.arrays import as_real_array, check_features, check_finite, portable, take_rows
from xpnet.compiled import Compiled
from xpnet.errors import DataError
from xpnet.evaluation import EVALUATION_ROWS
from xpnet.layers import BatchNorm, Residual, Sequential
from xpnet.parameters import flatten
from xpnet.random import host_stream
from xpnet.weights import read_weights, write_weights

if TYPE_CHECKING:
    from xpnet.layers import Layer
    from xpnet.network import Network

__all__ = ["renew_statistics"]


def renew_statistics(network: Network, x: Any) -> None:
    """Set the running statistics of each BatchNorm to the mean over batches of x, drawn by the seed, as in training.

    Without x, a network that has such a layer is warned of, at the line that called a method of the network.
    """
    model, names = _measuring(network.model, "")
    if not names:
        return
    if x is None:
        warnings.warn(
            "the running statistics of BatchNorm are still those of the last steps' weights, not of their average, so "
            "that predictions may be far off: give the training data, net.averaged(x), to measure them anew",
            stacklevel=levels_to_user(),
        )
        return
    backend, program = network.backend, network.compiled.program
    given, x = x, as_real_array(x, backend, "x")
    check_features(x, network.in_shape or ())
    if network.check_finite:
        check_finite(x, backend, "x", given=given)
    if x.shape[0] == 1:
        raise DataError("x must have at least 2 rows, as BatchNorm needs a variance; got 1: give the training data")
    measure = Compiled(program.with_model(model), backend).function("statistics")
    rows, totals = x.shape[0], dict.fromkeys(names, np.zeros(()))
    order = host_stream(network.seed, "statistics").permutation(rows)
    for number, part in enumerate(np.array_split(order, -(-rows // EVALUATION_ROWS))):
        batch = backend.asarray(portable(take_rows(x, np.sort(part), backend)), dtype=backend.float)
        state = network.state._replace(step=network.state.step + number)  # so that each has other dropout masks
        found = dict(flatten(measure(state, batch)))
        for name in names:
            totals[name] = totals[name] + np.asarray(backend.to_numpy(found[name]), np.float64) * (len(part) / rows)
    write_weights(network, read_weights(network) | totals)


def _measuring(layer: Layer, prefix: str) -> tuple[Any, list[str]]:
    """Return a layer whose BatchNorms keep nothing of what they have, and the names of their running statistics."""
    if isinstance(layer, BatchNorm):
        return _with(layer, momentum=0.0), [f"{prefix}running_mean", f"{prefix}running_variance"]
    if not isinstance(layer, Sequential | Residual):
        return layer, []
    inner = [_measuring(child, f"{prefix}{i}.") for i, child in enumerate(layer.layers)]
    parts: dict[str, Any] = {"layers": tuple(child for child, _ in inner)}
    names = [name for _, found in inner for name in found]
    if isinstance(layer, Residual) and layer.shortcut is not None:
        parts["shortcut"], found = _measuring(layer.shortcut, f"{prefix}shortcut.")
        names += found
    return (_with(layer, **parts), names) if names else (layer, names)


def _with(layer: Layer, **fields: Any) -> Any:
    """Return a copy of a layer with other values of its fields; its class may take other arguments than these."""
    made = copy.copy(layer)
    for name, value in fields.items():
        object.__setattr__(made, name, value)
    return made
