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
from xpnet.assembly import SCHEMA, Arrays, put_together, take_apart
from xpnet.errors import BackendError, CheckpointError, XpnetError

if TYPE_CHECKING:
    from xpnet.backend import Backend
    from xpnet.network import Network

__all__ = ["load", "save"]

ENTRY = "xpnet"
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
