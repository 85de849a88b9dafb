"""Open the backends that a check compares, in float64 and float32, and move arrays to and from them."""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING

import numpy as np

from xpnet.backend import Array, Backend, available_backends, open_backend
from xpnet.errors import ConfigurationError
from xpnet.extras import install_command

if TYPE_CHECKING:
    from xpnet.arrays import Host

__all__ = [
    "PARITY",
    "arrays_to_device",
    "arrays_to_host",
    "open_float32",
    "open_float64",
    "other_backends",
    "to_device",
]

PARITY = {"float64": 1e-9, "float32": 1e-4}
"""Largest difference between two backends, or from float64, as a share of the largest element. It leaves room for some
1e6 and 1e3 rounding errors: sums are taken in other orders, and batches of few rows are normalized."""

STRICT = "array-api-strict"
"""The backend that refuses code that is not portable."""


def open_float64(backend: str | Backend) -> Backend:
    """Open a backend in float64, which numeric gradients need."""
    opened = open_backend(backend, dtype=None if isinstance(backend, Backend) else "float64")
    if opened.dtype != "float64":
        raise ConfigurationError(
            f"backend must compute in float64 for numeric gradients; got {opened}: use "
            f"open_backend({opened.name!r}, dtype='float64')"
        )
    return opened


def open_float32(backend: Backend) -> Backend:
    """Open the same backend in float32."""
    return open_backend(backend.name, device=backend.device, dtype="float32")


def other_backends(backend: Backend, beside: Iterable[str | Backend] | None) -> list[Backend]:
    """Open the backends to compare with, in float64: those of *beside*, or all that are available if it is None.

    Warns the caller of a check if array-api-strict, which finds code that is not portable, is not among these.
    """
    if beside is None:
        strict = available_backends().get(STRICT)
        if strict is not None and not strict.available:
            message = f"portability was not checked, as {STRICT} is missing; run: pip install 'xpnet[strict]'"
            warnings.warn(install_command(message), stacklevel=3)
        beside = [name for name, info in available_backends().items() if info.available]
    elif isinstance(beside, str | Backend):
        raise ConfigurationError(f"beside must be a list of backends; write beside=[{beside!r}]")
    opened = [open_float64(other) for other in beside]
    return [other for other in opened if other.name != backend.name]


def to_device(values: Host, backend: Backend) -> Array:
    """Return a copy of the values on the device."""
    return backend.asarray(np.array(values, dtype=np.float64), dtype=backend.float)


def arrays_to_device(arrays: Mapping[str, Host], backend: Backend) -> dict[str, Array]:
    """Return copies of arrays by name on the device."""
    return {name: to_device(values, backend) for name, values in arrays.items()}


def arrays_to_host(arrays: Mapping[str, Array], backend: Backend) -> dict[str, Host]:
    """Return copies of arrays by name on the host."""
    return {name: np.array(backend.to_numpy(array)) for name, array in arrays.items()}
