"""Take a network apart into records and host arrays, and put one together again: for files, copies and pickles."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from copy import deepcopy
from functools import cached_property
from math import prod
from typing import TYPE_CHECKING, Any

import numpy as np

from xpnet import optimizers
from xpnet.arrays import LARGEST
from xpnet.backend import DTYPES, Backend
from xpnet.checks import check_real
from xpnet.configuration import as_shape
from xpnet.errors import BackendError, CheckpointError, DataError
from xpnet.initializers import Zeros
from xpnet.optimizers import Chain
from xpnet.parameters import Layout, Param, flatten
from xpnet.safefile import Arrays
from xpnet.weights import read_arrays, read_weights, write_optimizer, write_weights

if TYPE_CHECKING:
    from xpnet.network import Network
    from xpnet.optimizers import Link, Optimizer
    from xpnet.parameters import Shape

__all__ = [
    "SCHEMA",
    "copy_attributes",
    "own_attributes",
    "put_together",
    "records",
    "restore_state",
    "take_apart",
    "unpickle",
    "with_optimizer",
]

SCHEMA = 1
"""Version of the format of the description."""


def with_optimizer(network: Network, optimizer: Optimizer | str) -> Network:
    """Return a copy of a built network with another optimizer, which starts from its initial state."""
    copy = _make(
        type(network),
        **records(network) | {"optimizer": optimizer},
        backend=network.backend,
        seed=network.seed,
        check_finite=network.check_finite,
    )
    copy._device = network._device
    copy.build_from(network.in_shape or (), read_weights(network))
    copy.epochs = network.epochs
    copy.history.update({name: list(values) for name, values in network.history.items()})
    copy_attributes(network, copy)
    return copy


def unpickle(
    description: dict[str, Any], arrays: Arrays, backend: str, device: object, kind: type[Network] | None = None
) -> Network:
    """Return a pickled network on its own backend, or on NumPy with a warning if that is not available."""
    try:
        return put_together(description, arrays, backend, device, kind=kind)
    except BackendError as error:
        warnings.warn(f"the network was pickled on backend {backend!r}, and goes on with NumPy: {error}", stacklevel=2)
        return put_together(description, arrays, "numpy", kind=kind)


def own_attributes(network: Network) -> dict[str, Any]:
    """Return what a user, or a subclass, has set on the network beside the attributes that all networks have."""
    from xpnet.network import Network

    of_all = {*Network.__annotations__, *vars(Network), "_device", "_scale", "_trained_by"}
    kept = {name: value for name, value in vars(network).copy().items() if name not in of_all}
    return {name: kept[name] for name in kept if not isinstance(getattr(type(network), name, None), cached_property)}


def copy_attributes(network: Network, twin: Network) -> None:
    """Give the twin copies of the :func:`own_attributes`, in which the twin takes the network's place.

    What cannot be copied, such as a lock or an open file, is shared.
    """
    known: dict[int, Any] = {id(network): twin}
    for name, value in own_attributes(network).items():
        try:
            vars(twin)[name] = deepcopy(value, known)
        except Exception:
            vars(twin)[name] = value


def records(network: Network) -> dict[str, Any]:
    """Return the records that a network is made of, by the names of its arguments."""
    return {
        "layers": network.model,
        "loss": network.loss,
        "optimizer": network.optimizer,
        "metrics": network.metrics,
    }


def take_apart(network: Network) -> tuple[dict[str, Any], Arrays]:
    """Return the description and the arrays from which :func:`put_together` makes the network again."""
    description: dict[str, Any] = {
        "network": records(network),
        "schema": SCHEMA,
        "dtype": network.backend.dtype,
        "precision": network.backend.precision,
        "inputs": None if network.in_shape is None else list(network.in_shape),
        "seed": network.seed,
        "check_finite": network.check_finite,
        "epochs": network.epochs,
        # The state's own count, as fit updates network.steps only when a call is done.
        "steps": int(network.backend.to_numpy(network.state.step)) if network.built else 0,
        "scale": network.scale,
        "history": {name: list(values) for name, values in network.history.items()},
    }
    return description, read_arrays(network) if network.built else {}


def put_together(
    description: Mapping[str, Any],
    arrays: Arrays,
    backend: str | Backend,
    device: object = None,
    *,
    kind: type[Network] | None = None,
) -> Network:
    """Make a network from what :func:`take_apart` returned, in the dtype of an open backend or else in its own.

    It is of the class *kind*, whose own ``__init__``, with arguments that are not known, is not called.
    """
    if description["dtype"] not in DTYPES:
        raise CheckpointError(f"dtype must be one of {', '.join(DTYPES)}; got {description['dtype']!r}")
    parts, is_open = description["network"], isinstance(backend, Backend)
    network = _make(
        kind,
        layers=parts["layers"],
        loss=parts["loss"],
        optimizer=parts["optimizer"],
        metrics=parts["metrics"],
        backend=backend,
        device=device,
        dtype=None if is_open else description["dtype"],
        precision=None if is_open else description["precision"],
        seed=description["seed"],
        check_finite=description["check_finite"],
    )
    restore_state(network, description, arrays)
    return network


def _make(kind: type[Network] | None, **arguments: Any) -> Network:
    """Make a network by the arguments of :class:`xpnet.Network`, which its subclass need not take."""
    from xpnet.network import Network

    network: Network = object.__new__(kind or Network)
    Network.__init__(network, **arguments)
    return network


def restore_state(network: Network, description: Mapping[str, Any], arrays: Arrays) -> None:
    """Restore a training state to a network whose records are those of the description."""
    epochs, steps = (_count(name, description[name]) for name in ("epochs", "steps"))
    history = {name: [float(value) for value in values] for name, values in description["history"].items()}
    if description["inputs"] is not None:
        in_shape = as_shape(description["inputs"])
        weights = _checked_weights(network, in_shape, description["dtype"], arrays)
        if network.check_finite and description["dtype"] != network.backend.dtype == "float32":
            _check_range(arrays, network.backend.dtype)
        check_real("scale", description["scale"], least=0)
        if network.built:
            write_weights(network, weights)
        else:
            network.build_from(in_shape, weights)
        network.steps = steps
        write_optimizer(network, arrays)
        network.scale = float(description["scale"])
    network.epochs, network.steps = epochs, steps
    network.history.clear()
    network.history.update(history)


def _checked_weights(network: Network, in_shape: Shape, dtype: str, arrays: Arrays) -> Arrays:
    """Return the weights by name, after checking that every array of the network is there.

    No memory is reserved before that, so a description cannot make us reserve more than its own file contains.
    """
    network.check_buildable(in_shape)
    built = network.model.build(in_shape)
    weights = {}
    for name, param in (*flatten(built.params), *flatten(built.state)):
        weights[name] = _checked(f"weights.{name}", param.shape, dtype, arrays)
    size = sum(prod(param.shape) for _, param in flatten(built.params))
    _check_kept(network.optimizer, "optimizer.", size, dtype, arrays)
    return weights


def _check_range(arrays: Arrays, dtype: str) -> None:
    """Raise DataError where a number would become infinite in a smaller dtype."""
    for name, array in arrays.items():
        beyond = np.isfinite(array) & (np.abs(array) > LARGEST[dtype])
        if np.any(beyond):
            from xpnet.remedies import not_finite_message

            own = name.removeprefix("weights.")
            raise DataError(
                not_finite_message(
                    array,
                    f"array {name!r}" if own == name else f"weight {own!r}",
                    tuple(np.argwhere(beyond)[0].tolist()),
                    dtype,
                    "keep dtype='float64', or set `check_finite = False` on the float64 network to allow that",
                )
            )


def _check_kept(link: Link, prefix: str, size: int, dtype: str, arrays: Arrays) -> None:
    """Check the arrays of our own optimizers for *size* parameters, by what they keep for a single one."""
    if isinstance(link, Chain):
        for i, inner in enumerate(link.links):
            _check_kept(inner, f"{prefix}{i}.", size, dtype, arrays)
    elif type(link).__name__ in optimizers.__all__ and type(link) is getattr(optimizers, type(link).__name__):
        one = Layout({"0": Param((1,), Zeros())})
        for name, array in link.init(np.zeros(1), one, np).items():
            _checked(prefix + name, (size,) if array.shape == (1,) else array.shape, dtype, arrays)


def _checked(name: str, shape: Shape, dtype: str, arrays: Arrays) -> np.ndarray[Any, Any]:
    given = arrays.get(name)
    if given is None or given.shape != shape or given.dtype != dtype:
        found = "none" if given is None else f"shape {given.shape}, {given.dtype}"
        raise CheckpointError(f"the array {name} must have shape {shape}, {dtype}; got {found}")
    return given


def _count(name: str, value: Any) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value < 2**31:
        raise CheckpointError(f"{name} must be a count; got {value!r}")
    return value
