"""Read and write a network's arrays by name, on the host: its weights, and all of its training state."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from xpnet.aligned import aligned_copy, aligned_empty
from xpnet.arrays import Host, as_real_array, check_finite
from xpnet.errors import ConfigurationError, DataError, ShapeError, unknown_name
from xpnet.optimizers.chaining import averages, with_averages
from xpnet.parameters import Layout, flatten, unflatten

if TYPE_CHECKING:
    from xpnet.backend import Array
    from xpnet.network import Network

__all__ = [
    "checked_weights",
    "flat_parameters",
    "read_arrays",
    "read_averages",
    "read_weights",
    "write_averages",
    "write_optimizer",
    "write_weights",
]


def read_weights(network: Network) -> dict[str, Host]:
    """Return copies of all parameters and running statistics."""
    to_numpy, state = network.backend.to_numpy, network.state
    params = network.layout.views(to_numpy(state.params), np)
    arrays = {name: np.array(view) for name, view in flatten(params)}
    statistics = dict(flatten(state.layers))  # in whatever order the backend's compiler has left them
    return arrays | {slot.name: np.array(to_numpy(statistics[slot.name])) for slot in network.state_layout.slots}


def write_weights(network: Network, weights: Mapping[str, Host]) -> None:
    """Set all weights as :func:`read_weights` returns them; names and shapes are not checked."""
    flat = flat_parameters(network.layout, weights)
    layers = {slot.name: network.from_host(weights[slot.name]) for slot in network.state_layout.slots}
    network.state = network.state._replace(params=network.from_host(flat), layers=unflatten(layers))


def read_averages(network: Network) -> list[Host]:
    """Return copies of the moving averages of the parameters that the optimizer keeps."""
    kept = averages(network.optimizer, network.state.optimizer)
    return [np.array(network.backend.to_numpy(average)) for average in kept]


def write_averages(network: Network, values: Iterable[Host]) -> None:
    """Set the moving averages as :func:`read_averages` returns them."""
    given = map(network.from_host, values)
    state = with_averages(network.optimizer, network.state.optimizer, given)
    network.state = network.state._replace(optimizer=state)


def flat_parameters(layout: Layout, weights: Mapping[str, Host]) -> Host:
    """Return all parameters as one flat vector."""
    parts = [weights[slot.name].reshape(-1) for slot in layout.slots]
    return np.concatenate(parts, out=aligned_empty((layout.size,), np.result_type(*parts)))


def checked_weights(network: Network, values: Mapping[str, Any]) -> dict[str, Host]:
    """Check a user's values for some of the weights, and return all weights with these in place.

    Raises
    ------
    ConfigurationError
        A name is unknown.
    ShapeError, DataError, DtypeError
        A value has another shape, is not finite, or is no real number.
    """
    if not isinstance(values, Mapping):
        raise ConfigurationError(
            "weights must be a mapping of names to arrays, as get_weights() returns; "
            f"got {type(values).__name__}. A list in its order becomes one by dict(zip(net.get_weights(), weights))"
        )
    weights = read_weights(network)
    for name, value in values.items():
        if name not in weights:
            raise unknown_name("weight", name, weights)
        array = as_real_array(value, network.backend, f"weight {name!r}", rows=False)
        array = array if isinstance(array, np.ndarray) else network.backend.to_numpy(array)
        if array.shape != weights[name].shape:
            from xpnet.remedies import weight_remedy

            expected = weights[name].shape
            raise ShapeError(
                f"weight {name!r} must have shape {expected}; got {array.shape}; {weight_remedy(expected, array.shape)}"
            )
        if network.check_finite:
            check_finite(array, network.backend, f"weight {name!r}", "set `network.check_finite = False` to allow that")
        weights[name] = array
    return weights


def read_arrays(network: Network) -> dict[str, Host]:
    """Return copies of every array of the training state: ``weights.0.bias``, ``optimizer.m``, ..."""
    arrays = {f"weights.{name}": array for name, array in read_weights(network).items()}
    for name, array in flatten(network.state.optimizer):
        arrays[f"optimizer.{name}"] = np.array(network.backend.to_numpy(array))
    return arrays


def write_optimizer(network: Network, arrays: Mapping[str, Host]) -> None:
    """Set the optimizer's arrays as :func:`read_arrays` returns them, and the network's count of steps.

    Raises
    ------
    DataError, ShapeError
        A name is missing or not the network's own, or an array has another shape.
    """
    own = {f"weights.{slot.name}" for layout in (network.layout, network.state_layout) for slot in layout.slots}
    given = {name: array for name, array in arrays.items() if name not in own}
    expected = {f"optimizer.{name}": tuple(array.shape) for name, array in flatten(network.state.optimizer)}
    unlike = {"missing": set(expected) - set(given), "not its own": set(given) - set(expected)}
    if any(unlike.values()):
        told = [f"{', '.join(sorted(names)[:3])} {word}" for word, names in unlike.items() if names]
        raise DataError(f"the arrays do not belong to this network: {'; '.join(told)}")
    for name, shape in expected.items():
        if given[name].shape != shape:
            raise ShapeError(f"array {name!r} must have shape {shape}; got {given[name].shape}")
    backend, tree = network.backend, _tree_of_dtypes(network.state.optimizer)
    network.state = network.state._replace(optimizer={})  # frees the memory before as much is reserved again
    network.state = network.state._replace(
        optimizer=_tree_of_arrays(tree, given, "optimizer.", network),
        step=backend.asarray(np.asarray(network.steps, dtype=np.int32), dtype=backend.xp.int32),
    )


def _tree_of_dtypes(tree: Mapping[str, Any]) -> dict[str, Any]:
    """Return a nested mapping with the dtypes of its arrays in their place."""
    return {name: _tree_of_dtypes(value) if isinstance(value, Mapping) else value.dtype for name, value in tree.items()}


def _tree_of_arrays(
    tree: Mapping[str, Any], arrays: Mapping[str, Host], prefix: str, network: Network
) -> dict[str, Any]:
    """Nest arrays as *tree* is nested, empty branches included; the leaves of *tree* are their dtypes."""
    filled: dict[str, Array] = {}
    for name, value in tree.items():
        if isinstance(value, Mapping):
            filled[name] = _tree_of_arrays(value, arrays, f"{prefix}{name}.", network)
        else:
            array = arrays[prefix + name]
            filled[name] = network.backend.asarray(aligned_copy(array, array.dtype), dtype=value)
    return filled
