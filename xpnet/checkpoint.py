"""Networks in files: one safetensors file with every array by name and one JSON entry that describes the rest.

The entry names hyper-parameters of a closed set of classes; it cannot name code, a path or an address. Nothing
is pickled. Classes of your own are marked as such, and loaded only where the caller passes them, so that one with the
name of one of xpnet's never stands in for it, nor the other way round.
"""

from __future__ import annotations

import dataclasses
import json
import os
import secrets
import stat
from collections.abc import Iterable, Mapping
from math import isfinite
from numbers import Integral, Real
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from xpnet import initializers, layers, losses, metrics, optimizers, schedules
from xpnet.assembly import SCHEMA, Arrays, put_together, take_apart
from xpnet.backend import Backend, open_backend
from xpnet.errors import BackendError, CheckpointError, ConfigurationError, XpnetError

if TYPE_CHECKING:
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

OWN = "custom:"
"""What stands before the name of a class that is not xpnet's."""

UNUSABLE = (XpnetError, ArithmeticError, AttributeError, LookupError, RecursionError, TypeError, ValueError)
"""What a description that means nothing raises somewhere."""


def save(network: Network, path: str | Path) -> None:
    """Write *network* to *path*; the file is replaced in one move, so a reader sees the old one or the new one."""
    from safetensors.numpy import save as to_bytes

    place = _path(path)
    description, arrays = take_apart(network)
    description["network"] = {name: to_config(value, name) for name, value in description["network"].items()}
    text = json.dumps(description, separators=(",", ":"), allow_nan=False)
    contiguous = {name: np.ascontiguousarray(array).reshape(array.shape) for name, array in arrays.items()}
    _replace(place, to_bytes(contiguous, metadata={ENTRY: text}))


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
        Your own layers, losses, metrics, optimizers or schedules that the file may use: frozen dataclasses.

    Raises
    ------
    CheckpointError
        The file is missing, damaged, not xpnet's, or uses a class that is not known.
    ConfigurationError
        An argument is of another kind, or ``device`` is not that of an open backend.
    BackendError
        The backend cannot be had.
    """
    known = KNOWN | _own(custom)
    if isinstance(backend, Backend):
        open_backend(backend, device=device)  # the file has no part in this conflict
    description, arrays = _read(_path(path))
    try:
        description["network"] = {name: from_config(value, known) for name, value in description["network"].items()}
        return put_together(description, arrays, backend, device)
    except BackendError:
        raise
    except UNUSABLE as error:
        reason = error if isinstance(error, XpnetError) else repr(error)
        raise CheckpointError(f"{path} does not describe a network that can be built: {reason}") from error


def to_config(value: Any, name: str) -> Any:
    """Return a record of hyper-parameters as JSON: ``{"class": "Dense", "units": 10, ...}``; *name* is for errors.

    ``class`` is a word that no field can be called by.
    """
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        cls = type(value)
        fields = [field.name for field in dataclasses.fields(value) if field.init]
        return {
            "class": cls.__name__ if KNOWN.get(cls.__name__) is cls else OWN + cls.__name__,
            **{field: to_config(getattr(value, field), f"{cls.__name__}.{field}") for field in fields},
        }
    if isinstance(value, tuple | list):
        return [to_config(item, name) for item in value]
    if value is None or isinstance(value, str | bool):
        return value
    if isinstance(value, Integral):
        return int(value)
    if isinstance(value, Real) and isfinite(value):
        return float(value)
    raise CheckpointError(
        f"{name} is {value!r}, which cannot be saved: a file holds finite numbers, text, None, and frozen dataclasses "
        "of them. Write a function or an object as a frozen dataclass, and pass its class to load(custom=[...])"
    )


def from_config(config: Any, known: Mapping[str, type]) -> Any:
    """Return the record that :func:`to_config` described, if its class is among *known*."""
    if isinstance(config, list):
        return tuple(from_config(item, known) for item in config)
    if not isinstance(config, dict):
        return config
    name = config.get("class")
    if not isinstance(name, str) or name not in known:
        own = str(name).removeprefix(OWN)
        raise CheckpointError(f"the file uses a class {own!r} that is not known; pass custom=[{own}] if it is yours")
    return known[name](**{key: from_config(value, known) for key, value in config.items() if key != "class"})


def _own(custom: Iterable[type]) -> dict[str, type]:
    """Return the caller's classes by the names that files give them."""
    if isinstance(custom, type):
        raise ConfigurationError(f"custom must be a list of classes; write custom=[{custom.__name__}]")
    classes = tuple(custom) if isinstance(custom, Iterable) else (custom,)
    if not all(isinstance(cls, type) for cls in classes):
        raise ConfigurationError(f"custom must be a list of classes; got {custom!r}")
    found = {OWN + cls.__name__: cls for cls in classes}
    if len(found) < len(set(classes)):
        raise ConfigurationError(f"custom must be a list of classes of different names; got {custom!r}")
    return found


def _path(path: Any) -> Path:
    try:
        return Path(path)
    except TypeError:
        raise ConfigurationError(f"path must be text or a pathlib.Path; got {path!r}") from None


def _replace(path: Path, content: bytes) -> None:
    """Write beside *path*, make it durable, and move it in place, with the rights of the file that it replaces."""
    temporary = path.parent / f".xpnet-{secrets.token_hex(8)}.tmp"
    try:
        mode = stat.S_IMODE(path.stat().st_mode) if path.is_file() else None
        flags = os.O_CREAT | os.O_EXCL | os.O_WRONLY | getattr(os, "O_BINARY", 0)
        handle = os.open(temporary, flags, 0o666 if mode is None else mode)  # less what the umask takes
        try:
            with os.fdopen(handle, "wb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
            if mode is not None:
                os.chmod(temporary, mode)
            os.replace(temporary, path)
        except BaseException:
            os.unlink(temporary)
            raise
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        if not path.parent.is_dir():
            reason = f"there is no folder {path.parent}; make it first, with pathlib.Path(...).mkdir(parents=True)"
        raise CheckpointError(f"cannot write {path}: {reason}") from error


def _read(path: Path) -> tuple[dict[str, Any], Arrays]:
    """Return description and arrays, the header's size checked before anything is parsed."""
    from safetensors import SafetensorError
    from safetensors.numpy import load as from_bytes

    try:
        content = path.read_bytes()
    except (OSError, ValueError) as error:
        raise CheckpointError(f"cannot read {path}: {getattr(error, 'strerror', None) or error}") from error
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
