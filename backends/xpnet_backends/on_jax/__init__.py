"""JAX: every step compiled by XLA, an epoch's steps in one ``lax.scan``, on CPU, GPU or TPU."""

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
from xpnet_backends.on_jax.nn import NN, ON_CPU

INSTALL = "pip install 'xpnet[jax]'"

KEPT = 256
"""Compiled functions that are kept for networks to come."""


def open(device: object, dtype: str) -> Backend:
    """Open JAX on its default device, or on ``"cpu"``, ``"gpu"``, ``"gpu:1"`` or a ``jax.Device``.

    float64 needs no process-wide switch: everything runs in a scope that allows it.
    """
    import jax
    import jax.numpy as jnp

    place = _device(jax, device)
    scope = _wide_scope(jax) if dtype == "float64" else nullcontext

    def asarray(values: Any, dtype: Any = None) -> Any:
        if isinstance(values, jax.core.Tracer):
            raise TypeError("it is being traced by a jax transformation, so it holds no numbers")
        with scope():
            if not isinstance(values, jax.Array | np.ndarray) and hasattr(values, "__dlpack__"):
                values = jnp.from_dlpack(values)
                if all(found.platform == "cpu" for found in values.devices()):
                    values = np.asarray(values)  # still the caller's memory, to be copied as an array of NumPy's is
            if isinstance(values, np.ndarray):
                # A copy of our own: JAX reads it later, when the caller may have written to the original. On a CPU
                # it keeps the copy itself, if that is aligned, instead of making another.
                kind = np.dtype(values.dtype if dtype is None else dtype).newbyteorder("=")
                copy = aligned_copy(values, jax.dtypes.canonicalize_dtype(kind))
                return jax.device_put(copy, place, may_alias=True)
            return jax.device_put(jnp.asarray(values, dtype=dtype), place)

    def compile(function: Callable[..., Any], donated: bool = False) -> Callable[..., Any]:
        return _within(scope, _shared(_jitted, function))

    def loop(step: Callable[..., Any]) -> Callable[..., Any]:
        return _within(scope, _shared(_jitted_loop, step))

    def epochs(step: Callable[..., Any]) -> Callable[..., Any]:
        return _within(scope, _shared(_jitted_epochs, step))

    def synchronize() -> None:
        (jax.device_put(np.zeros(()), place) + 0).block_until_ready()

    return Backend(
        name="jax",
        xp=jnp,
        device=place,
        dtype=dtype,
        asarray=asarray,
        to_numpy=np.asarray,
        compile=compile,
        loop=loop,
        epochs=epochs,
        synchronize=synchronize,
        immutable=True,
        nn=ON_CPU if place.platform == "cpu" else NN,
    )


def _device(jax: Any, device: object) -> Any:
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


def _jitted(function: Callable[..., Any]) -> Callable[..., Any]:
    import jax

    compiled: Callable[..., Any] = jax.jit(function)
    return compiled


def _jitted_loop(step: Callable[..., Any]) -> Callable[..., Any]:
    import jax

    from xpnet_backends.on_jax.pieces import scan

    def run(carry: Any, data: Any, order: Any) -> Any:
        return scan(lambda carry, row: step(carry, data, row), carry, order)

    compiled: Callable[..., Any] = jax.jit(run)
    return compiled


def _jitted_epochs(step: Callable[..., Any]) -> Callable[..., Any]:
    import jax
    import jax.numpy as jnp

    from xpnet_backends.on_jax.pieces import scan

    def run(state: Any, start: Any, data: Any, orders: Any, rests: Any, count: Any) -> Any:
        def through(carry: Any, order: Any) -> Any:
            return scan(lambda carry, row: step(carry, data, row), carry, order)

        def epoch(number: Any, carry: Any) -> Any:
            state, ends = carry
            reached = through((state, start), orders[number])
            if rests is not None:  # as a loop, too, which rounds as `loop` does
                reached = through(reached, rests[number][None])
            return reached[0], jax.tree.map(lambda every, end: every.at[number].set(end), ends, reached[1])

        ends = jax.tree.map(lambda leaf: jnp.zeros((len(orders), *leaf.shape), leaf.dtype), start)
        return jax.lax.fori_loop(0, count, epoch, (state, ends))

    compiled: Callable[..., Any] = jax.jit(run)
    return compiled


@lru_cache(maxsize=KEPT)
def _compiled_method(make: Any, method: Callable[..., Any], owner: Any) -> Callable[..., Any]:
    compiled: Callable[..., Any] = make(partial(method, owner))
    return compiled


def _shared(make: Any, function: Callable[..., Any]) -> Callable[..., Any]:
    """Return what was compiled for the same method of an equal object, as of an equal network; else compile anew."""
    owner = getattr(function, "__self__", None)
    try:
        hash(owner)
    except TypeError:  # a layer of the user's own that can be changed
        owner = None
    compiled: Callable[..., Any] = (
        make(function) if owner is None else _compiled_method(make, function.__func__, owner)  # type: ignore[attr-defined]
    )
    return compiled


def _wide_scope(jax: Any) -> Callable[[], AbstractContextManager[Any]]:
    """Return what opens a scope with 64-bit types, under the name that this release of JAX gives it."""
    if hasattr(jax, "enable_x64"):
        return lambda: jax.enable_x64(True)
    from jax.experimental import enable_x64

    return lambda: enable_x64(True)


def _within(scope: Callable[[], AbstractContextManager[Any]], function: Callable[..., Any]) -> Callable[..., Any]:
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
