"""Compare what must agree, and raise a :class:`CheckError` that says where it does not."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from xpnet.arrays import Host
from xpnet.errors import XpnetError

__all__ = ["CheckError", "check_close", "check_finite", "check_same", "check_shapes", "require"]


class CheckError(XpnetError, AssertionError):
    """A layer, a loss, an optimizer or a backend breaks its contract."""


def require(condition: bool, where: str, complaint: str) -> None:
    """Raise CheckError unless *condition* holds."""
    if not condition:
        raise CheckError(f"{where}: {complaint}")


def check_close(where: str, name: str, got: Host, wanted: Host, tolerance: float, floor: float = 0.0) -> None:
    """Compare by the largest difference as a share of the largest element (of the two, and of *floor*)."""
    require(got.shape == wanted.shape, where, f"{name} must have shape {wanted.shape}; got {got.shape}")
    if not got.size:
        return
    off = np.abs(got - wanted)
    scale = max(float(np.max(np.abs(wanted))), float(np.max(np.abs(got))), floor)
    place = tuple(int(i) for i in np.unravel_index(int(np.argmax(off)), off.shape))
    require(
        bool(np.all(off <= tolerance * scale)),
        where,
        f"{name} is {got[place]:.9g} at {place}, expected {wanted[place]:.9g} "
        f"(off by {float(np.max(off)):.1e}; the largest element is {scale:.3g})",
    )


def check_same(where: str, name: str, after: Host, before: Host) -> None:
    """Raise CheckError if an array that a function must not write to has changed."""
    require(np.array_equal(after, before), where, f"writes to {name}, which is not its own")


def check_shapes(where: str, found: Mapping[str, Host], like: Mapping[str, Host], dtype: str) -> None:
    """Raise CheckError unless arrays have the shapes of those of the same names, and *dtype*."""
    for name, wanted in like.items():
        require(name in found, where, f"there is no {name}")
        got = found[name]
        require(got.shape == wanted.shape, where, f"{name} must have shape {wanted.shape}; got {got.shape}")
        require(got.dtype == dtype, where, f"{name} must stay {dtype}; got {got.dtype}{_widened(got, dtype)}")
    for name in found:
        require(not name.endswith(".gradient") or name in like, where, f"{name} belongs to no declared parameter")


def _widened(got: Host, dtype: str) -> str:
    """Say what makes float64 of float32, where that has happened."""
    if (str(got.dtype), dtype) != ("float64", "float32"):
        return ""
    return (
        "; functions of Python's numbers alone give that, such as xp.where(e > 0.0, 2.0, 1.0): multiply one of them by "
        "xp.ones_like(e)"
    )


def check_finite(where: str, found: Mapping[str, Host], what: str) -> None:
    """Raise CheckError if infinity or NaN results from *what*, which is finite."""
    for name, values in found.items():
        require(bool(np.isfinite(values).all()), where, f"{name} is not finite for {what}")
