"""CuPy: NVIDIA GPUs. Plain CuPy calls on the current stream, inside the context of the chosen device.

The kernels in ``fused.py`` beside this are not switched on: they have never run on a GPU.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any

import numpy as np

from xpnet.backend import Backend
from xpnet.errors import BackendError
from xpnet.extras import install_command
from xpnet_backends.on_cupy.failures import explained

INSTALL = "pip install 'xpnet[cuda13x]' (CUDA 12: 'xpnet[cuda12x]'; without a system CUDA: 'xpnet[cuda13x-ctk]')"

HOST = 1
"""DLPack's number for main memory, which CuPy itself does not read."""


def open(device: object, dtype: str) -> Backend:
    """Open CuPy on GPU ``0`` (default) or the GPU with the given number (also ``"cuda:1"``)."""
    import array_api_compat.cupy as library
    import cupy

    number = _number(device)
    count = _count(cupy)
    if not 0 <= number < count:
        raise BackendError(
            f"backend 'cupy' has no device={device!r}: this machine shows {count} GPU(s), numbered from 0. "
            "Choose one of them, or check CUDA_VISIBLE_DEVICES"
        )
    place = cupy.cuda.Device(number)

    def compile(function: Callable[..., Any], donated: bool = False) -> Callable[..., Any]:
        @wraps(function)
        @explained
        def on_device(*arguments: Any) -> Any:
            with place:
                return function(*arguments)

        return on_device

    @explained
    def asarray(values: Any, dtype: Any = None) -> Any:
        with place:
            if not isinstance(values, cupy.ndarray | np.ndarray) and hasattr(values, "__dlpack__"):
                on_host = values.__dlpack_device__()[0] == HOST
                values = (np if on_host else cupy).from_dlpack(values)
            return cupy.asarray(values, dtype=dtype, order="C")

    @explained
    def synchronize() -> None:
        with place:
            cupy.cuda.get_current_stream().synchronize()

    return Backend(
        name="cupy",
        xp=library,
        device=place,
        dtype=dtype,
        asarray=asarray,
        to_numpy=explained(cupy.asnumpy),
        compile=compile,
        synchronize=synchronize,
        spare_core=True,
    )


def _number(device: object) -> int:
    text = "0" if device is None else str(getattr(device, "id", device)).removeprefix("cuda:")
    if not text.isdecimal():
        raise BackendError(f"backend 'cupy' takes a GPU's number such as device=0; got device={device!r}")
    return int(text)


def _count(cupy: Any) -> int:
    """Count the GPUs, and turn the driver's refusals into one error that says what to do."""
    try:
        return int(cupy.cuda.runtime.getDeviceCount())
    except cupy.cuda.runtime.CUDARuntimeError as error:
        raise BackendError(
            f"backend 'cupy' is installed but no GPU answers ({error}). Check with: nvidia-smi. Without a GPU use "
            "backend='numpy'; with one, install a driver at least as new as CUDA, or the wheel for your CUDA: "
            + install_command(INSTALL)
        ) from error


def version() -> str:
    """Return CuPy's version and CUDA's."""
    import cupy

    return f"{cupy.__version__} (CUDA {cupy.cuda.runtime.runtimeGetVersion()})"


def devices() -> list[str]:
    """Name every GPU with its memory."""
    import cupy

    found = []
    for i in range(_count(cupy)):
        card = cupy.cuda.runtime.getDeviceProperties(i)
        found.append(f"{i}: {card['name'].decode()}, {card['totalGlobalMem'] / 2**30:.1f} GiB")
    return found
