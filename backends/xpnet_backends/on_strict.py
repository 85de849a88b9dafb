"""array-api-strict on its second device: what a GPU would refuse, it refuses, on any machine.

It allows nothing beyond the standard, no implicit conversion to NumPy and no mixing of devices. It is for
tests, not for speed.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from xpnet.backend import Backend
from xpnet.errors import BackendError

INSTALL = "pip install 'xpnet[strict]'"
DEVICES = ("CPU_DEVICE", "device1", "device2")


def open(device: object, dtype: str) -> Backend:
    """Open array-api-strict on ``"device1"`` (default), ``"device2"``, ``"CPU_DEVICE"`` or a ``Device`` of its own."""
    import array_api_strict as strict

    name = "device1" if device is None else next((n for n in DEVICES if device in (n, strict.Device(n))), None)
    if name is None:
        raise BackendError(f"backend 'array-api-strict' has the devices {', '.join(DEVICES)}; got device={device!r}")
    place = strict.Device(name)
    own = type(strict.zeros(1))

    def asarray(values: Any, dtype: Any = None) -> Any:
        if isinstance(values, own):
            moved = strict.asarray(values, device=place)
        else:
            host = values if isinstance(values, np.ndarray) else _host(values)
            moved = strict.asarray(np.asarray(host, order="C"), device=place)
        return moved if dtype is None else strict.astype(moved, dtype)

    return Backend(name="array-api-strict", xp=strict, device=place, dtype=dtype, asarray=asarray, to_numpy=to_numpy)


def _host(values: Any) -> np.ndarray[Any, Any]:
    return np.from_dlpack(values) if hasattr(values, "__dlpack__") else np.asarray(values)


def to_numpy(array: Any) -> np.ndarray[Any, Any]:
    """Move to the CPU device, then to NumPy."""
    import array_api_strict as strict

    return np.asarray(array.to_device(strict.Device("CPU_DEVICE")))


def version() -> str:
    """Return array-api-strict's version."""
    import array_api_strict as strict

    return str(strict.__version__)


def devices() -> list[str]:
    """Name the pretended devices."""
    import array_api_strict  # noqa: F401 - that it is there is what is asked

    return [f"{name} (pretended, on the CPU)" for name in DEVICES]
