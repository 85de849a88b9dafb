"""Networks in parts, records and host arrays, and whole again: for files, copies and pickles alike."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from xpnet.backend import DTYPES, Backend
from xpnet.checks import check_real
from xpnet.errors import BackendError, CheckpointError
from xpnet.parameters import flatten
from xpnet.safefile import Arrays
from xpnet.weights import read_arrays, write_arrays

if TYPE_CHECKING:
    from xpnet.network import Network

__all__ = ["SCHEMA", "copy_network", "put_together", "take_apart", "unpickle"]

SCHEMA = 1
"""Version of the description's form."""


def copy_network(network: Network, backend: Backend) -> Network:
    """Return an independent copy on *backend*, with all training state."""
    description, arrays = take_apart(network)
    return put_together(description, arrays, backend)


def unpickle(description: dict[str, Any], arrays: Arrays, backend: str, device: object) -> Network:
    """Return a pickled network on its own backend, or, where that cannot be had, on NumPy with a warning."""
    try:
        return put_together(description, arrays, backend, device)
    except BackendError as error:
        warnings.warn(f"the network was pickled on backend {backend!r}, and goes on with NumPy: {error}", stacklevel=2)
        return put_together(description, arrays, "numpy")


def take_apart(network: Network) -> tuple[dict[str, Any], Arrays]:
    """Return the description, its records as they are, and the arrays that :func:`put_together` takes."""
    description: dict[str, Any] = {
        "network": {
            "layers": network.model,
            "loss": network.loss,
            "optimizer": network.optimizer,
            "metrics": network.metrics,
        },
        "schema": SCHEMA,
        "dtype": network.backend.dtype,
        "inputs": list(network.in_shape) if network.in_shape else None,
        "seed": network.seed,
        "check_finite": network.check_finite,
        "epochs": network.epochs,
        "steps": network.steps,
        "scale": network.scale,
        "history": {name: list(values) for name, values in network.history.items()},
    }
    return description, read_arrays(network) if network.built else {}


def put_together(
    description: Mapping[str, Any],
    arrays: Arrays,
    backend: str | Backend,
    device: object = None,
) -> Network:
    """Return the network that :func:`take_apart` took apart, in the dtype of an open backend or else its own."""
    from xpnet.network import Network

    if description["dtype"] not in DTYPES:
        raise CheckpointError(f"dtype must be one of {', '.join(DTYPES)}; got {description['dtype']!r}")
    parts = description["network"]
    network = Network(
        parts["layers"],
        loss=parts["loss"],
        optimizer=parts["optimizer"],
        metrics=parts["metrics"],
        backend=backend,
        device=device,
        dtype=None if isinstance(backend, Backend) else description["dtype"],
        seed=description["seed"],
        check_finite=description["check_finite"],
    )
    network.epochs, network.steps = (_count(name, description[name]) for name in ("epochs", "steps"))
    for name, values in description["history"].items():
        network.history[name] = [float(value) for value in values]
    if description["inputs"] is not None:
        in_shape = tuple(description["inputs"])
        _check_weights(network, in_shape, arrays)
        check_real("scale", description["scale"], least=0)
        network.build(in_shape)
        write_arrays(network, arrays)
        network.set_scale(float(description["scale"]))
    return network


def _check_weights(network: Network, in_shape: tuple[int, ...], arrays: Arrays) -> None:
    """Compare the layers' shapes with the arrays, so that no description makes us reserve more than it brings."""
    built = network.model.build(in_shape)
    for name, param in (*flatten(built.params), *flatten(built.state)):
        given = arrays.get(f"weights.{name}")
        if given is None or given.shape != param.shape:
            found = "none" if given is None else f"shape {given.shape}"
            raise CheckpointError(f"the array weights.{name} must have shape {param.shape}; got {found}")


def _count(name: str, value: Any) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value < 2**31:
        raise CheckpointError(f"{name} must be a count; got {value!r}")
    return value
