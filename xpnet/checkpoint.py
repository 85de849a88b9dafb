"""Networks in files: one safetensors file with every array by name and one JSON entry that describes the rest.

The entry names hyper-parameters of a closed set of classes; it cannot name code, a path or an address. Nothing
is pickled. Classes of your own are loaded only where the caller passes them.
"""

from __future__ import annotations

import dataclasses
import json
import os
import tempfile
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from xpnet import initializers, layers, losses, metrics, optimizers, schedules
from xpnet.backend import DTYPES
from xpnet.checks import check_real
from xpnet.errors import BackendError, CheckpointError, XpnetError
from xpnet.parameters import flatten
from xpnet.weights import read_arrays, write_arrays

if TYPE_CHECKING:
    from xpnet.backend import Backend
    from xpnet.network import Network

__all__ = ["copy_network", "load", "save"]

ENTRY = "xpnet"
SCHEMA = 1
MAX_HEADER = 1 << 20
"""Bytes of header that are read at most: a network of thousands of layers stays below, an attack does not."""

KNOWN: dict[str, type] = {
    name: getattr(module, name)
    for module in (layers, losses, optimizers, schedules, initializers, metrics)
    for name in module.__all__
    if dataclasses.is_dataclass(getattr(module, name))
}

UNUSABLE = (XpnetError, ArithmeticError, AttributeError, LookupError, RecursionError, TypeError, ValueError)
"""What a description that means nothing raises somewhere."""

Arrays = dict[str, np.ndarray[Any, Any]]


def save(network: Network, path: str | Path) -> None:
    """Write *network* to *path*; the file is replaced in one move, so a reader sees the old one or the new one."""
    from safetensors.numpy import save as to_bytes

    description, arrays = take_apart(network)
    description["network"] = {name: to_config(value) for name, value in description["network"].items()}
    text = json.dumps(description, separators=(",", ":"), allow_nan=False)
    contiguous = {name: np.ascontiguousarray(array).reshape(array.shape) for name, array in arrays.items()}
    _replace(Path(path), to_bytes(contiguous, metadata={ENTRY: text}))


def load(
    path: str | Path,
    *,
    backend: str | Backend = "numpy",
    device: object = None,
    custom: Iterable[type] = (),
) -> Network:
    """Read a network that :meth:`Network.save` wrote, on any backend, whichever it was trained on.

    Parameters
    ----------
    path : str or Path
        The file.
    backend, device
        Where the network goes, as for :class:`Network`.
    custom : iterable of classes
        Your own layers, losses, metrics or optimizers that the file may use.

    Raises
    ------
    CheckpointError
        The file is missing, damaged, not xpnet's, or uses a class that is not known.
    BackendError
        The backend cannot be had.
    """
    description, arrays = _read(Path(path))
    try:
        known = KNOWN | {cls.__name__: cls for cls in custom}
        description["network"] = {name: from_config(value, known) for name, value in description["network"].items()}
        return put_together(description, arrays, backend, device)
    except BackendError:
        raise
    except UNUSABLE as error:
        reason = error if isinstance(error, XpnetError) else repr(error)
        raise CheckpointError(f"{path} does not describe a network that can be built: {reason}") from error


def copy_network(network: Network, backend: Backend) -> Network:
    """Return an independent copy on *backend*, with all training state."""
    description, arrays = take_apart(network)
    return put_together(description | {"dtype": backend.dtype}, arrays, backend)


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
        "history": {name: [_number(value) for value in values] for name, values in network.history.items()},
    }
    return description, read_arrays(network) if network.built else {}


def put_together(
    description: Mapping[str, Any],
    arrays: Arrays,
    backend: str | Backend,
    device: object = None,
) -> Network:
    """Return the network that :func:`take_apart` took apart."""
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
        dtype=description["dtype"],
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


def to_config(value: Any) -> Any:
    """Return a record of hyper-parameters as JSON: ``{"type": "Dense", "units": 10, ...}``."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        fields = {field.name: to_config(getattr(value, field.name)) for field in dataclasses.fields(value)}
        return {"type": type(value).__name__, **fields}
    if isinstance(value, tuple | list):
        return [to_config(item) for item in value]
    if value is None or isinstance(value, str | bool | int | float):
        return value
    raise CheckpointError(f"{value!r} cannot be saved: hyper-parameters must be numbers, text, or dataclasses of them")


def from_config(config: Any, known: Mapping[str, type]) -> Any:
    """Return the record that :func:`to_config` described, if its class is among *known*."""
    if isinstance(config, list):
        return tuple(from_config(item, known) for item in config)
    if not isinstance(config, dict):
        return config
    name = config.get("type")
    if not isinstance(name, str) or name not in known:
        raise CheckpointError(f"the file uses a class {name!r} that is not known; pass custom=[{name}] if it is yours")
    return known[name](**{key: from_config(value, known) for key, value in config.items() if key != "type"})


def _number(value: float) -> float | str:
    """Return a JSON number, or ``"nan"``, ``"inf"``, ``"-inf"``, for which JSON has none."""
    return value if np.isfinite(value) else str(value)


def _replace(path: Path, content: bytes) -> None:
    """Write beside *path*, make it durable, and move it in place."""
    try:
        handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.", suffix=".tmp")
        try:
            with os.fdopen(handle, "wb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
            os.chmod(temporary, 0o666 & ~_umask())
            os.replace(temporary, path)
        except BaseException:
            os.unlink(temporary)
            raise
    except OSError as error:
        raise CheckpointError(f"cannot write {path}: {error.strerror or error}") from error


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask


def _read(path: Path) -> tuple[dict[str, Any], Arrays]:
    """Return description and arrays, the header's size checked before anything is parsed."""
    from safetensors import SafetensorError
    from safetensors.numpy import load as from_bytes

    try:
        content = path.read_bytes()
    except OSError as error:
        raise CheckpointError(f"cannot read {path}: {error.strerror or error}") from error
    size = int.from_bytes(content[:8], "little")
    if len(content) < 8 or not 2 <= size <= min(MAX_HEADER, len(content) - 8):
        raise CheckpointError(f"{path} is not an xpnet file (safetensors with an entry {ENTRY!r}), or it is cut short")
    try:
        description = json.loads(json.loads(content[8 : 8 + size])["__metadata__"][ENTRY])
        if description["schema"] != SCHEMA:
            raise CheckpointError(
                f"{path} has schema {description['schema']!r}; this xpnet reads {SCHEMA}: upgrade xpnet"
            )
        return description, from_bytes(content)
    except (ValueError, KeyError, TypeError, RecursionError, SafetensorError) as error:
        if isinstance(error, CheckpointError):
            raise
        raise CheckpointError(f"{path} is not an xpnet file, or it is damaged: {error!r}") from error
