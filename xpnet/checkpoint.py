"""Save and load networks: a safetensors file with all arrays by name, and a JSON entry that describes the rest.

The entry names hyper-parameters of a closed set of classes; it cannot name code, a path or an address. Nothing
is pickled. Classes of your own are marked as such, and loaded only where the caller passes them, so that one with the
name of one of xpnet's never stands in for it, nor the other way round.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping
from math import isfinite
from numbers import Integral, Real
from typing import Any, TypeAlias

import numpy as np

import xpnet
from xpnet import initializers, layers, losses, metrics, optimizers, schedules
from xpnet.arguments import explains_arguments
from xpnet.assembly import SCHEMA, put_together, records, take_apart
from xpnet.backend import Backend, open_backend
from xpnet.checks import StrPath, check_path
from xpnet.errors import BackendError, CheckpointError, ConfigurationError, XpnetError
from xpnet.optimizers import as_scikit_learn
from xpnet.records import beyond_fields, differ
from xpnet.safefile import CHECKSUM, Arrays, read_file, read_texts, write_file
from xpnet.strict_json import read_json, write_json

__all__ = ["configs", "load", "read_notes", "read_parts", "save"]

ENTRY = "xpnet"

EXTRA = "extra."
"""What stands before the names of arrays that are not the network's."""

HISTORY = "history."
"""What stands before the names of the history's arrays: ten thousand epochs do not fit into a header."""

KNOWN: dict[str, type] = {
    name: getattr(module, name)
    for module in (layers, losses, optimizers, as_scikit_learn, schedules, initializers, metrics)
    for name in module.__all__
    if dataclasses.is_dataclass(getattr(module, name))
}

OWN = "custom:"
"""What stands before the name of a class that is not xpnet's."""

Own: TypeAlias = dict[str, tuple[type, str]]
"""Classes that are not xpnet's by their names, each with a place where a network has it."""

LONGEST = 500
"""Characters of a reason that are shown: a file may make it as long as itself."""

UNUSABLE = (XpnetError, ArithmeticError, AttributeError, LookupError, RecursionError, TypeError, ValueError)
"""What a description that means nothing raises somewhere."""


def save(
    network: xpnet.Network, path: StrPath, *, notes: Mapping[str, str] | None = None, extra: Arrays | None = None
) -> None:
    """Write *network* to *path*, atomically: a reader sees the old file or the new one.

    Parameters
    ----------
    network : Network
        Built or not.
    path : str or Path
        The file; its folder exists.
    notes : mapping of str to str, optional
        Texts that go along by name, such as what was done to the data; see :func:`read_notes`.
    extra : mapping of str to array, optional
        Arrays that go along by name; see :func:`read_parts`.

    Raises
    ------
    CheckpointError
        The file cannot be written, or the network has something that no file holds.
    ConfigurationError
        An argument is of another kind.
    """
    place, texts = check_path("path", path), _notes(notes)
    description, arrays = take_apart(network)
    description["network"] = configs(network)
    for name, values in description["history"].items():
        arrays[HISTORY + name] = np.asarray(values, dtype=np.float64)
    description["history"] = list(description["history"])
    arrays |= {EXTRA + name: array for name, array in (extra or {}).items()}
    try:
        texts[ENTRY] = write_json(description)
    except ValueError as error:
        raise CheckpointError(f"the network cannot be saved: {error}") from error
    write_file(place, arrays, texts)


def configs(network: xpnet.Network) -> dict[str, Any]:
    """Return the network's layers, loss, optimizer and metrics in the form in which files hold them.

    Raises
    ------
    CheckpointError
        No file holds one of them; the message says which.
    """
    own: Own = {}
    return {name: to_config(part, name, own) for name, part in records(network).items()}


def read_notes(path: StrPath) -> dict[str, str]:
    """Return the notes that were given to :func:`save`, without loading the network.

    Raises
    ------
    CheckpointError
        The file is missing, damaged or not xpnet's.
    ConfigurationError
        ``path`` is of another kind.
    """
    texts = read_texts(check_path("path", path))
    _description(texts, path)
    return {name: text for name, text in texts.items() if name != ENTRY}


def read_parts(path: StrPath) -> tuple[dict[str, Any], dict[str, str], Arrays, Arrays]:
    """Return the parts of a file: description of the network, notes, arrays of the network, extra arrays.

    Raises
    ------
    CheckpointError
        The file is missing, damaged or not xpnet's.
    """
    file = check_path("path", path)
    if file.is_dir():
        newest = max(file.glob("*.safetensors"), key=lambda each: each.stat().st_mtime, default="")
        raise CheckpointError(f"{path} is a folder; name a file in it{newest and f', such as its newest, {newest}'}")
    texts, arrays = read_file(file)
    description = _description(texts, path)
    try:
        description["history"] = _history(description["history"], arrays)
    except UNUSABLE as error:
        raise CheckpointError(f"{path} has no history that can be read: {error!r}") from error
    extra = {name: arrays.pop(name) for name in list(arrays) if name.startswith(EXTRA)}
    notes = {name: text for name, text in texts.items() if name != ENTRY}
    return description, notes, arrays, {name.removeprefix(EXTRA): array for name, array in extra.items()}


@explains_arguments
def load(
    path: StrPath,
    *,
    backend: str | Backend = "numpy",
    device: object = None,
    custom: Iterable[type] = (),
) -> xpnet.Network:
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
    description, _, arrays, _ = read_parts(path)
    try:
        description["network"] = {name: from_config(value, known) for name, value in description["network"].items()}
        with np.errstate(over="raise", invalid="ignore"):  # a number beyond the dtype is an error, a NaN is none
            return put_together(description, arrays, backend, device)
    except BackendError:
        raise
    except UNUSABLE as error:
        reason = str(error) if isinstance(error, XpnetError) else repr(error)
        raise CheckpointError(f"{path} does not describe a network that can be built: {reason[:LONGEST]}") from error


def to_config(value: Any, name: str, own: Own | None = None) -> Any:
    """Return a record of hyper-parameters as JSON: ``{"class": "Dense", "units": 10, ...}``; *name* is for errors.

    ``class`` is a word that no field can be called by. The caller's classes that are met are entered in *own*.
    """
    own = {} if own is None else own
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        cls = type(value)
        fields = [field.name for field in dataclasses.fields(value) if field.init]
        _require_rebuilt(value, fields, name)
        return {
            "class": cls.__name__ if KNOWN.get(cls.__name__) is cls else _own_name(cls, name, own),
            **{
                # The network's "layers" is a container, whose field has the same name.
                field: to_config(getattr(value, field), name if name == field else f"{cls.__name__}.{field}", own)
                for field in fields
            },
        }
    if isinstance(value, tuple | list):
        return [to_config(item, f"{name}[{i}]", own) for i, item in enumerate(value)]
    if value is None or isinstance(value, str | bool):
        return value
    if isinstance(value, Integral):
        return int(value)
    if isinstance(value, Real) and isfinite(value):
        return float(value)
    if isinstance(value, Real):
        raise CheckpointError(
            f"{name} is {value!r}, which cannot be saved: a file holds finite numbers alone. Give a finite number, or "
            "None, and let the class read that as it reads this"
        )
    kind = "a function or an object" if type(value).__module__ == "builtins" else type(value).__name__
    raise CheckpointError(
        f"{name} is {value!r}, which cannot be saved: a file holds finite numbers, text, None, and frozen dataclasses "
        f"of them. Write {kind} as a dataclass(frozen=True), and pass its class to load(custom=[...])"
    )


def _require_rebuilt(value: Any, fields: list[str], name: str) -> None:
    """Raise CheckpointError if an object has attributes that its class, called with the fields, does not make again.

    What a dataclass has got since it was made, as in ``build``, it will get again.
    """
    cls, beyond = type(value), beyond_fields(value)
    if not beyond:
        return
    decorated = "__dataclass_fields__" in vars(cls)
    try:
        made = cls(**{field: getattr(value, field) for field in fields})
        compared = [each for each in beyond if hasattr(made, each) or not decorated]
        lost = [each for each in compared if differ(getattr(made, each, None), getattr(value, each, None))]
    except Exception:  # of the user's own class, as of an argument that is missing
        lost = beyond
    if lost:
        shown = ", ".join(f"{each}={getattr(value, each, None)!r}" for each in lost)
        raise CheckpointError(
            f"{name} is a {cls.__name__} with {shown}, which cannot be saved: a file holds the fields of a dataclass "
            f"alone. Decorate {cls.__name__} with dataclass(frozen=True) and make {', '.join(lost)} a field"
        )


def _own_name(cls: type, name: str, own: Own) -> str:
    """Return the name by which a file refers to a user's class; two classes of a network cannot share one."""
    other, place = own.setdefault(cls.__name__, (cls, name))
    if other is not cls:
        both = f"{_where_from(other)} and {_where_from(cls)}"
        raise CheckpointError(
            f"{place} and {name} are of two classes {cls.__name__!r} ({both}), which "
            "cannot be saved: a file tells classes apart by their names. Rename one, or make one class of them"
        )
    return OWN + cls.__name__


def _where_from(cls: type) -> str:
    return f"{cls.__module__}.{cls.__qualname__}"


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


def _history(names: Any, arrays: Arrays) -> dict[str, list[float]]:
    """Remove the results of the epochs from the arrays, and return them."""
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        raise CheckpointError(f"history must be a list of names; got {names!r}")
    found: dict[str, list[float]] = {}
    for name in names:
        values = arrays.pop(HISTORY + name, None)
        if values is None or values.dtype != np.float64 or values.ndim != 1:
            raise CheckpointError(f"the array {HISTORY}{name} must be there, float64 and of one axis")
        found[name] = values.tolist()
    return found


def _own(custom: Iterable[type]) -> dict[str, type]:
    """Return the user's classes by the names that refer to them in files."""
    if isinstance(custom, type):
        raise ConfigurationError(f"custom must be a list of classes; write custom=[{custom.__name__}]")
    classes = tuple(custom) if isinstance(custom, Iterable) else (custom,)
    if not all(isinstance(cls, type) for cls in classes):
        raise ConfigurationError(f"custom must be a list of classes; got {custom!r}")
    found = {OWN + cls.__name__: cls for cls in classes}
    if len(found) < len(set(classes)):
        raise ConfigurationError(f"custom must be a list of classes of different names; got {custom!r}")
    return found


def _notes(notes: Any) -> dict[str, str]:
    if notes is None:
        return {}
    if not isinstance(notes, Mapping) or not all(isinstance(part, str) for item in notes.items() for part in item):
        raise ConfigurationError(f"notes must map text to text; got {notes!r}")
    for name, what in ((ENTRY, "describes the network"), (CHECKSUM, "is the file's checksum")):
        if name in notes:
            raise ConfigurationError(f"notes cannot be named {name!r}: that entry {what}")
    return dict(notes)


def _description(texts: Mapping[str, str], path: Any) -> dict[str, Any]:
    """Return the description of the network in a file's texts."""
    try:
        description: dict[str, Any] = read_json(texts[ENTRY])
        schema = description["schema"]
    except (KeyError, TypeError, ValueError) as error:
        raise CheckpointError(f"{path} is not an xpnet file, or it is damaged: {error!r}") from error
    if type(schema) is not int or schema != SCHEMA:
        raise CheckpointError(f"{path} has schema {schema!r}; this xpnet reads {SCHEMA}: upgrade xpnet")
    return {"precision": description.get("dtype"), **description}  # a file may say no precision
