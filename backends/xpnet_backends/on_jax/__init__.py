"""JAX on CPU, GPU or TPU: XLA compiles every step, and an epoch's steps are one ``lax.scan``."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from functools import lru_cache, partial, wraps
from typing import Any

import numpy as np

from xpnet.aligned import aligned_copy
from xpnet.backend import Backend
from xpnet.errors import BackendError
from xpnet_backends.machine import cpu_memory
from xpnet_backends.on_jax.nn import NN, NN_ON_CPU

INSTALL = "pip install 'xpnet[jax]'"

MAX_COMPILED = 256
"""Compiled functions that are kept for later networks."""


def open(device: object, dtype: str) -> Backend:
    """Open JAX on its default device, or on ``"cpu"``, ``"gpu"``, ``"gpu:1"`` or a ``jax.Device``.

    float64 needs no process-wide switch: everything runs in a scope with 64-bit types.
    """
    import jax
    import jax.numpy as jnp

    target = _find_device(jax, device)
    scope = _x64_scope(jax) if dtype == "float64" else nullcontext

    def asarray(values: Any, dtype: Any = None) -> Any:
        if isinstance(values, jax.core.Tracer):
            raise TypeError("it is being traced by a jax transformation, so it holds no numbers")
        with scope():
            if not isinstance(values, jax.Array | np.ndarray) and hasattr(values, "__dlpack__"):
                values = jnp.from_dlpack(values)
                if all(found.platform == "cpu" for found in values.devices()):
                    values = np.asarray(values)  # still the caller's memory, so copied below as a NumPy array is
            if isinstance(values, np.ndarray):
                # A copy, as JAX reads the array later, when the caller may have written to it. On a CPU, JAX uses an
                # aligned copy as it is, instead of making another.
                native = np.dtype(values.dtype if dtype is None else dtype).newbyteorder("=")
                copy = aligned_copy(values, jax.dtypes.canonicalize_dtype(native))
                return jax.device_put(copy, target, may_alias=True)
            return jax.device_put(jnp.asarray(values, dtype=dtype), target)

    def compile(function: Callable[..., Any], donated: bool = False) -> Callable[..., Any]:
        return _in_scope(scope, _compile_once(_jit, function))

    def loop(step: Callable[..., Any]) -> Callable[..., Any]:
        return _in_scope(scope, _compile_once(_jit_loop, step))

    def epochs(step: Callable[..., Any]) -> Callable[..., Any]:
        return _in_scope(scope, _compile_once(_jit_epochs, step))

    def synchronize() -> None:
        (jax.device_put(np.zeros(()), target) + 0).block_until_ready()

    return Backend(
        name="jax",
        xp=jnp,
        device=target,
        dtype=dtype,
        asarray=asarray,
        to_numpy=np.asarray,
        compile=compile,
        loop=loop,
        epochs=epochs,
        synchronize=synchronize,
        immutable=True,
        nn=NN_ON_CPU if target.platform == "cpu" else NN,
    )


def _find_device(jax: Any, device: object) -> Any:
    if isinstance(device, jax.Device):
        return device
    kind, _, index = ("" if device is None else str(device)).partition(":")
    try:
        return jax.devices(kind or None)[int(index or 0)]
    except (RuntimeError, IndexError, ValueError) as error:
        reason = str(error).partition("\n")[0]
        raise BackendError(
            f"backend 'jax' cannot use device={device!r}: {reason}. Found: {', '.join(devices())}. "
            "Leave device out for the default, or run: pip install 'jax[cuda12]'"
        ) from error


def _jit(function: Callable[..., Any]) -> Callable[..., Any]:
    import jax

    compiled: Callable[..., Any] = jax.jit(function)
    return compiled


def _jit_loop(step: Callable[..., Any]) -> Callable[..., Any]:
    import jax

    from xpnet_backends.on_jax.pieces import scan

    def run(carry: Any, data: Any, order: Any) -> Any:
        return scan(lambda carry, row: step(carry, data, row), carry, order)

    compiled: Callable[..., Any] = jax.jit(run)
    return compiled


def _jit_epochs(step: Callable[..., Any]) -> Callable[..., Any]:
    import jax
    import jax.numpy as jnp

    from xpnet_backends.on_jax.pieces import scan

    def run(state: Any, start: Any, data: Any, orders: Any, rests: Any, count: Any) -> Any:
        def train_rows(carry: Any, order: Any) -> Any:
            return scan(lambda carry, row: step(carry, data, row), carry, order)

        def train_epoch(number: Any, carry: Any) -> Any:
            state, results = carry
            state, result = train_rows((state, start), orders[number])
            if rests is not None:  # a loop of one step, so that it rounds as `loop` does
                state, result = train_rows((state, result), rests[number][None])
            return state, jax.tree.map(lambda stacked, leaf: stacked.at[number].set(leaf), results, result)

        results = jax.tree.map(lambda leaf: jnp.zeros((len(orders), *leaf.shape), leaf.dtype), start)
        return jax.lax.fori_loop(0, count, train_epoch, (state, results))

    compiled: Callable[..., Any] = jax.jit(run)
    return compiled


@lru_cache(maxsize=MAX_COMPILED)
def _compile_method(jit: Any, method: Callable[..., Any], owner: Any) -> Callable[..., Any]:
    compiled: Callable[..., Any] = jit(partial(method, owner))
    return compiled


def _compile_once(jit: Any, function: Callable[..., Any]) -> Callable[..., Any]:
    """Compile a function by *jit*, or return what was compiled for the same method of an equal object.

    Programs of equal networks are equal, so they share what is compiled.
    """
    owner = getattr(function, "__self__", None)
    try:
        hash(owner)
    except TypeError:  # it holds something mutable, as a user's own layer may
        owner = None
    if owner is None:
        compiled: Callable[..., Any] = jit(function)
        return compiled
    return _compile_method(jit, function.__func__, owner)  # type: ignore[attr-defined]


def _x64_scope(jax: Any) -> Callable[[], AbstractContextManager[Any]]:
    """Return a function that opens a scope with 64-bit types; its name depends on the release of JAX."""
    if hasattr(jax, "enable_x64"):
        return lambda: jax.enable_x64(True)
    from jax.experimental import enable_x64

    return lambda: enable_x64(True)


def _in_scope(scope: Callable[[], AbstractContextManager[Any]], function: Callable[..., Any]) -> Callable[..., Any]:
    @wraps(function)
    def scoped(*arguments: Any) -> Any:
        with scope():
            return function(*arguments)

    return function if scope is nullcontext else scoped


def version() -> str:
    """Return JAX's version."""
    import jax

    return str(jax.__version__)


def devices() -> list[str]:
    """Name every device of JAX's default platform, with its memory where JAX knows it."""
    import jax

    return [f"{device.platform}:{device.id}: {device.device_kind}{_memory(device)}" for device in jax.devices()]


def _memory(device: Any) -> str:
    if device.platform == "cpu":
        return cpu_memory()
    size = (device.memory_stats() or {}).get("bytes_limit")
    return f", {size / 2**30:.1f} GiB" if size else ""
