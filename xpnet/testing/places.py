"""Where checks run: a backend in float64 and in float32, and the others beside it."""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING

import numpy as np

from xpnet.backend import Array, Backend, available_backends, open_backend
from xpnet.errors import ConfigurationError
from xpnet.extras import as_installed

if TYPE_CHECKING:
    from xpnet.arrays import Host

__all__ = ["PARITY", "hosted", "narrow", "open_wide", "others", "place", "placed"]

PARITY = {"float64": 1e-9, "float32": 1e-4}
"""Largest difference between two backends, or from float64, as a share of the largest element: some 1e6 and 1e3
roundings, for sums in another order and for the normalization of batches of few rows."""


STRICT = "array-api-strict"
"""The backend that refuses what others let through."""


def open_wide(backend: str | Backend) -> Backend:
    """Open a backend in float64, without which there are no numeric gradients."""
    opened = open_backend(backend, dtype=None if isinstance(backend, Backend) else "float64")
    if opened.dtype != "float64":
        raise ConfigurationError(
            f"backend must compute in float64 for numeric gradients; got {opened}: use "
            f"open_backend({opened.name!r}, dtype='float64')"
        )
    return opened


def narrow(backend: Backend) -> Backend:
    """Open the same backend in float32."""
    return open_backend(backend.name, device=backend.device, dtype="float32")


def others(backend: Backend, beside: Iterable[str | Backend] | None) -> list[Backend]:
    """Open the backends to compare with in float64: those of *beside*, or for None all that are available.

    Warns the caller of a check where they lack the one that finds what is not portable.
    """
    if beside is None:
        strict = available_backends().get(STRICT)
        if strict is not None and not strict.available:
            message = f"portability was not checked, as {STRICT} is missing; run: pip install 'xpnet[strict]'"
            warnings.warn(as_installed(message), stacklevel=3)
        beside = [name for name, info in available_backends().items() if info.available]
    elif isinstance(beside, str | Backend):
        raise ConfigurationError(f"beside must be a list of backends; write beside=[{beside!r}]")
    opened = [open_wide(other) for other in beside]
    return [other for other in opened if other.name != backend.name]


def place(values: Host, backend: Backend) -> Array:
    """Return the values on the device, in memory that the caller does not share."""
    return backend.asarray(np.array(values, dtype=np.float64), dtype=backend.float)


def placed(arrays: Mapping[str, Host], backend: Backend) -> dict[str, Array]:
    """Return arrays by name on the device."""
    return {name: place(values, backend) for name, values in arrays.items()}


def hosted(arrays: Mapping[str, Array], backend: Backend) -> dict[str, Host]:
    """Return arrays by name on the host."""
    return {name: np.array(backend.to_numpy(array)) for name, array in arrays.items()}
