"""PyTorch on the CPU, on CUDA or on Apple's GPU, as an array library; autograd is not used."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any

import numpy as np

from xpnet.backend import Backend
from xpnet.errors import BackendError
from xpnet_backends.machine import cpu_memory

INSTALL = "pip install 'xpnet[torch]'"


def open(device: object, dtype: str) -> Backend:
    """Open PyTorch on ``"cpu"`` (default), ``"cuda"``, ``"cuda:1"`` or ``"mps"``."""
    import array_api_compat.torch as library
    import torch

    target = _find_device(torch, device)
    if target.type == "mps" and dtype == "float64":
        raise BackendError("Apple's GPU (mps) has no float64; use dtype='float32' or device='cpu'")

    def outside_modes(function: Callable[..., Any], multiplies: bool = False) -> Callable[..., Any]:
        """Run a function outside the caller's ``torch.inference_mode`` and, where it multiplies, ``torch.autocast``.

        Tensors made in the one could not be written to in place later; the other would round what is multiplied.
        """
        kind = target.type
        may_round = multiplies and torch.amp.is_autocast_available(kind)

        @wraps(function)
        def run(*arguments: Any, **named: Any) -> Any:
            if torch.is_inference_mode_enabled():
                with torch.inference_mode(False), torch.no_grad():
                    return run(*arguments, **named)
            if may_round and torch.is_autocast_enabled(kind):
                with torch.autocast(kind, enabled=False):
                    return function(*arguments, **named)
            return function(*arguments, **named)

        return run

    @outside_modes
    def asarray(values: Any, dtype: Any = None) -> Any:
        if isinstance(values, torch.Tensor):
            tensor = values.detach()
        elif hasattr(values, "__dlpack__") and not isinstance(values, np.ndarray):
            tensor = torch.from_dlpack(values)
        else:
            tensor = torch.from_numpy(_shareable(np.asarray(values)))
        if tensor.layout is not torch.strided:
            raise TypeError("it is sparse; use its to_dense()")
        if tensor.is_nested:
            raise TypeError("it is nested; use its to_padded_tensor()")
        return tensor.to(device=target, dtype=dtype)

    def synchronize() -> None:
        if target.type != "cpu":
            getattr(torch, target.type).synchronize()

    return Backend(
        name="torch",
        xp=library,
        device=target,
        dtype=dtype,
        asarray=asarray,
        to_numpy=to_numpy,
        compile=lambda function, donated=False: outside_modes(function, multiplies=True),
        synchronize=synchronize,
        nn={"rounded": rounded, "rounded_product": rounded_product, "words": words, "wrap": wrap},
    )


def _find_device(torch: Any, device: object) -> Any:
    try:
        target = torch.device("cpu" if device is None else device)
        torch.empty(1, device=target)
    except (RuntimeError, AssertionError, TypeError, ValueError) as error:
        reason = str(error).partition("\n")[0]
        raise BackendError(
            f"backend 'torch' cannot use device={device!r}: {reason}. Found: {', '.join(devices())}. "
            "Leave device out for the CPU, or install a build of torch for your GPU"
        ) from error
    return target


def _shareable(host: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """Return an array that torch can share: writable, in native byte order, without negative strides."""
    if host.dtype.byteorder == ">":
        host = host.astype(host.dtype.newbyteorder("="))
    if host.flags.writeable and all(stride >= 0 for stride in host.strides):
        return host
    return host.copy()


def to_numpy(tensor: Any) -> np.ndarray[Any, Any]:
    """Return the tensor on the host, copied only if it is elsewhere."""
    array: np.ndarray[Any, Any] = tensor.cpu().numpy()
    return array


def rounded(xp: Any, x: Any) -> Any:
    """Convert to bfloat16 (see :func:`xpnet.nn.rounded`)."""
    return x.bfloat16()


def rounded_product(xp: Any, a: Any, b: Any) -> Any:
    """Multiply in bfloat16: PyTorch adds up in float32 and rounds the sums (see :func:`xpnet.nn.rounded_product`)."""
    return (a @ b).float()


def words(xp: Any, values: Any) -> Any:
    """Return 32-bit words in int64, as torch cannot shift uint32 (see :func:`xpnet.nn.words`)."""
    return xp.asarray(values, dtype=xp.int64)


def wrap(xp: Any, words: Any) -> Any:
    """Keep the low 32 bits (see :func:`xpnet.nn.wrap`)."""
    words &= 0xFFFFFFFF
    return words


def version() -> str:
    """Return PyTorch's version."""
    import torch

    return str(torch.__version__)


def devices() -> list[str]:
    """Name the CPU and every CUDA GPU, with their memory, and Apple's GPU."""
    import torch

    found = [f"cpu: {torch.get_num_threads()} threads{cpu_memory()}"]
    for i in range(torch.cuda.device_count()):
        card = torch.cuda.get_device_properties(i)
        found.append(f"cuda:{i}: {card.name}, {card.total_memory / 2**30:.1f} GiB")
    if torch.backends.mps.is_available():
        found.append("mps: Apple GPU")
    return found
