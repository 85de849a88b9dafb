"""Check a backend: first each part of its record, then a network on it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np

from xpnet.arrays import Host
from xpnet.backend import CREATION, DTYPES, Backend, Namespace, available_backends, open_backend
from xpnet.errors import BackendError, ConfigurationError
from xpnet.random import bits16, host_stream, key_words, make_key
from xpnet.testing.comparing import CheckError, check_close, require
from xpnet.testing.comparison_backends import PARITY
from xpnet.testing.operations import check_operations

__all__ = ["check_backend"]

NOWHERE = "no-such-device"


def check_backend(backend: str | Backend, *, seed: int = 0) -> None:
    """Hold a backend to the contract of ``backends/README.md``, in float32 and float64.

    Values of every kind go in by ``asarray`` and come out by ``to_numpy`` as they were; compiled functions, donated
    or not, the loop, and epochs in one call give what plain Python gives; all functions of ``xp.nn`` have the
    reference's signature and numbers; random bits are equal to the last one; a network trains as it does on NumPy,
    whatever the backend is called. By name, also: versions and devices are told, and a device that is not there is
    refused.

    Parameters
    ----------
    backend : str or Backend
        The name of an entry point, or what :func:`open_backend` returned, in one dtype.
    seed : int
        Of all values.

    Raises
    ------
    CheckError
        The backend breaks the contract; the message says where.
    BackendError
        It cannot be opened.
    ConfigurationError
        A record that :func:`open_backend` has not bound yet.
    """
    if isinstance(backend, str):
        _check_module(backend)
        opened = [open_backend(backend, dtype=dtype) for dtype in DTYPES]
    else:
        opened = [backend]
    for each in opened:
        if not isinstance(each.xp, Namespace):
            raise ConfigurationError(f"backend must be what open_backend() returned, or its name; got {each!r}")
        where = f"backend {each.name!r} in {each.dtype}"
        _check_record(where, each)
        _check_doors(where, each)
        _check_compiled(where, each, seed)
        _check_loop(where, each, seed)
        _check_epochs(where, each, seed)
        check_operations(where, each, seed)
        _check_bits(where, each, seed)
        _check_network(where, each, seed)


def _check_module(name: str) -> None:
    where = f"backend {name!r}"
    info = available_backends().get(name)
    if info is None:
        open_backend(name)  # says which names there are
        return
    if not info.available:
        raise BackendError(info.problem)
    require(isinstance(info.version, str) and bool(info.version), where, f"version() must be text; got {info.version}")
    require(
        bool(info.devices) and all(isinstance(line, str) for line in info.devices),
        where,
        f"devices() must give a line of text for each device; got {info.devices}",
    )
    try:
        open_backend(name, device=NOWHERE)
    except BackendError as error:
        require(NOWHERE in str(error), where, f"the error for device={NOWHERE!r} does not name it: {error}")
    else:
        raise CheckError(f"{where}: opens device={NOWHERE!r}, which is not there")


def _check_record(where: str, backend: Backend) -> None:
    xp = backend.xp
    require(backend.dtype in DTYPES, where, f"dtype must be one of {', '.join(DTYPES)}; got {backend.dtype!r}")
    for name in CREATION:
        require(hasattr(xp, name), where, f"the namespace has no {name}")
    made = {"asarray": backend.asarray(np.zeros(2)), "zeros": xp.zeros((2,)), "arange": xp.arange(2)}
    for name, array in made.items():
        device = getattr(array, "device", None)
        require(str(device) == str(backend.device), where, f"{name} makes arrays on {device}, not {backend.device}")
    require(backend.synchronize() is None, where, "synchronize() must return None")  # type: ignore[func-returns-value]
    registered = available_backends().get(backend.name)
    if registered is not None and registered.available:
        again = open_backend(backend.name, device=backend.device, dtype=backend.dtype)
        require(str(again.device) == str(backend.device), where, f"device={backend.device!r} opens {again.device}")


class _Exporter:
    """An array of some other library: all it has is DLPack."""

    def __init__(self, values: Host) -> None:
        self.values = values

    def __dlpack__(self, **options: Any) -> Any:
        return self.values.__dlpack__(**options)

    def __dlpack_device__(self) -> tuple[int, int]:
        return self.values.__dlpack_device__()


def _kinds() -> Iterator[tuple[str, Host]]:
    """Yield host arrays of every kind that users have."""
    matrix = np.arange(24.0).reshape(4, 6)
    for dtype in ("bool", "int32", "float32"):
        yield f"a {dtype} array", np.arange(4).astype(dtype)
    yield "a 0-d array", np.asarray(3.0, dtype=np.float32)
    yield "an empty array", np.zeros((0, 2), dtype=np.float32)
    yield "a matrix in Fortran order", np.asfortranarray(matrix.astype(np.float32))
    yield "a strided view", matrix.astype(np.float32)[::2, 1::3]
    yield "a view with negative strides", matrix.astype(np.float32)[::-1, ::-1]
    frozen = matrix.astype(np.float32)
    frozen.flags.writeable = False
    yield "a read-only array", frozen


def _check_doors(where: str, backend: Backend) -> None:
    for what, values in _kinds():
        before = values.copy()
        inside = backend.asarray(values)
        back = backend.to_numpy(inside)
        require(isinstance(back, np.ndarray), where, f"to_numpy gives {type(back).__name__}, not a NumPy array")
        require(back.shape == values.shape, where, f"{what} of shape {values.shape} comes back as {back.shape}")
        require(back.dtype == values.dtype, where, f"{what} of {values.dtype} is {back.dtype} inside")
        require(np.array_equal(back, values), where, f"{what} comes back with other values")
        again = backend.to_numpy(backend.asarray(inside))
        require(np.array_equal(again, values), where, f"asarray changes an array of its own, made of {what}")
        require(np.array_equal(values, before), where, f"asarray writes to {what}")
    wide = np.arange(3.0)
    for what, given in (("a float64 array", wide), ("a DLPack exporter", _Exporter(wide))):
        inside = backend.asarray(given, dtype=backend.float)
        require(inside.dtype == backend.float, where, f"{what} becomes {inside.dtype} with dtype={backend.dtype}")
        require(np.array_equal(backend.to_numpy(inside), wide), where, f"{what} comes in with other values")
    values = np.arange(4, dtype=np.float32)
    doubled = backend.compile(lambda x: x + x)(backend.asarray(values))
    values *= 0.0
    require(
        np.array_equal(backend.to_numpy(doubled), 2.0 * np.arange(4)),
        where,
        "what was computed follows a later change of the caller's array: asarray must copy where the library waits",
    )


def _advance(carry: Any, x: Any) -> Any:
    """Return another carry of the same structure: nested, with a None, a 0-d array and an integer one in it."""
    return {
        "pair": (carry["pair"][0] * 0.5 + x, carry["pair"][1] + 1),
        "nothing": None,
        "deep": {"total": carry["deep"]["total"] + carry["pair"][0][0]},
    }


def _carry(backend: Backend, values: Host) -> Any:
    first, total = (backend.asarray(part, dtype=backend.float) for part in (values.copy(), np.zeros(())))
    count = backend.asarray(np.zeros((), dtype=np.int32))
    return {"pair": (first, count), "nothing": None, "deep": {"total": total}}


def _leaves(backend: Backend, carry: Any) -> dict[str, Host]:
    found = {"pair.0": carry["pair"][0], "pair.1": carry["pair"][1], "deep.total": carry["deep"]["total"]}
    return {name: np.array(backend.to_numpy(array)) for name, array in found.items()}


def _check_compiled(where: str, backend: Backend, seed: int) -> None:
    stream = host_stream(seed, "compile")
    plain, donated = backend.compile(_advance), backend.compile(_advance, donated=True)
    for size in (3, 3, 5):  # the same shape twice, so that what was recorded is used, and another one
        values, x = stream.normal(size=size), stream.normal(size=size)
        on_device = backend.asarray(x.copy(), dtype=backend.float)
        carry = _carry(backend, values)
        once = plain(carry, on_device)
        require(once["nothing"] is None, where, "compile loses a None among results")
        kept = _leaves(backend, _carry(backend, values))
        for name, after in _leaves(backend, carry).items():
            require(np.array_equal(after, kept[name]), where, f"a compiled function writes to its argument {name}")
        wanted = {"pair.0": values * 0.5 + x, "pair.1": np.asarray(1), "deep.total": np.asarray(values[0])}
        for what, found in (("compile", once), ("compile with donated", donated(carry, on_device))):
            for name, array in _leaves(backend, found).items():
                check_close(f"{where}, {what}", name, array, wanted[name], PARITY[backend.dtype])
        if backend.immutable:
            for name, after in _leaves(backend, carry).items():
                message = f"immutable is said, but a compiled function writes to its donated argument {name}"
                require(np.array_equal(after, kept[name]), where, message)
        after = backend.to_numpy(on_device)
        check_close(where, "an argument that was not donated", after, x, PARITY[backend.dtype])
    _check_checked_calls(where, backend, stream.normal(size=(2, 3)))


def _check_checked_calls(where: str, backend: Backend, values: Host) -> None:
    compiled = backend.compile(lambda factor, x: factor * x)
    call = getattr(compiled, "checked_call", None)
    if call is None:
        return
    x, factor = values.astype(backend.dtype), backend.asarray(np.full(3, 2.0), dtype=backend.float)
    wrong = {"inf": x.copy(), "NaN": x.copy(), "another dtype": x.astype(np.int32), "a list": x.tolist()}
    wrong["inf"][1, 2], wrong["NaN"][0, 0] = np.inf, np.nan
    for _ in range(3):
        compiled(factor, backend.asarray(x))
        found = call(factor, x)
        if found is not None:
            check_close(f"{where}, checked_call", "result", backend.to_numpy(found), 2.0 * x, PARITY[backend.dtype])
        for what, given in wrong.items():
            require(call(factor, given) is None, where, f"checked_call returns a result for {what}")


def _check_loop(where: str, backend: Backend, seed: int) -> None:
    if backend.loop is None:
        raise ConfigurationError(f"backend must be what open_backend() returned, or its name; got {backend!r}")
    data = host_stream(seed, "loop").normal(size=(6, 3))
    xp = backend.xp

    def step(carry: Any, data: Any, row: Any) -> Any:
        return _advance(carry, xp.sum(xp.take(data["x"], row, axis=0), axis=0))

    run = backend.loop(step)
    inside = {"x": backend.asarray(data, dtype=backend.float)}
    for order in (np.array([[0, 1], [2, 3], [4, 5]]), np.array([[5, 0]])):
        total, rows = np.zeros(3), np.asarray(0.0)
        for row in order:
            total, rows = total * 0.5 + data[row].sum(axis=0), rows + total[0]
        found = run(_carry(backend, np.zeros(3)), inside, order)
        wanted = {"pair.0": total, "pair.1": np.asarray(len(order)), "deep.total": rows}
        for name, array in _leaves(backend, found).items():
            check_close(f"{where}, loop over {len(order)} rows", name, array, wanted[name], PARITY[backend.dtype])
    check_close(where, "data after a loop", backend.to_numpy(inside["x"]), data, PARITY[backend.dtype])


def _check_epochs(where: str, backend: Backend, seed: int) -> None:
    if backend.epochs is None:
        return
    xp = backend.xp
    values, first, begin = host_stream(seed, "epochs").normal(size=6), np.asarray(2.0), np.asarray(10.0)
    orders, rests = np.array([[[0, 1], [2, 3]], [[5, 4], [3, 2]], [[4, 0], [5, 1]]]), np.array([[4], [0], [3]])

    def step(carry: Any, data: Any, row: Any) -> Any:
        state, (total, steps) = carry
        more = xp.sum(xp.take(data, row, axis=0), axis=0)
        return {"deep": state["deep"] * 0.5 + more}, (total + state["deep"], steps + 1)

    run = backend.epochs(step)
    data, state, total = (backend.asarray(part, dtype=backend.float) for part in (values, first, begin))
    start = (total, backend.asarray(np.zeros((), dtype=np.int32)))
    for given, count in ((rests, 1), (rests, 3), (None, 3)):
        wanted, totals, steps = first, [], 0
        for number in range(count):
            rows = [*orders[number], *([] if given is None else [given[number]])]
            added, steps = begin, len(rows)
            for row in rows:
                wanted, added = wanted * 0.5 + values[row].sum(), added + wanted
            totals.append(added)
        end, ends = run({"deep": state}, start, data, orders, given, np.asarray(count, dtype=np.int32))
        found = {"state": (end["deep"], wanted), "sums": (ends[0][:count], np.stack(totals))}
        found["steps"] = ends[1][:count], np.full(count, steps)
        found |= {"its own state": (state, first), "its own start": (total, begin), "its own data": (data, values)}
        kind = f"{count} of {len(orders)} epochs in one call, {'no rests' if given is None else 'rests'}"
        for name, (array, expected) in found.items():
            check_close(f"{where}, {kind}", name, backend.to_numpy(array), expected, PARITY[backend.dtype])


def _check_bits(where: str, backend: Backend, seed: int) -> None:
    drawn = {}
    for each in (backend, open_backend("numpy")):
        xp = each.xp
        words = xp.nn.words(key_words(seed))
        draw = each.compile(lambda words, step, xp=xp: bits16(make_key(words, step, xp), 1001, xp))
        drawn[each] = [
            each.to_numpy(draw(words, each.asarray(np.asarray(step, dtype=np.int32)))) for step in (0, 1, 2**31 - 1)
        ]
    for mine, reference in zip(*drawn.values(), strict=True):
        require(
            np.array_equal(mine.astype(np.int64), reference.astype(np.int64)),
            where,
            "random bits are not those of the reference: look at nn's words() and wrap()",
        )


def _check_network(where: str, backend: Backend, seed: int) -> None:
    """Train under the backend's name, under no known name, and on NumPy."""
    from xpnet import BatchNorm, Dense, Dropout, Network

    stream = host_stream(seed, "network")
    x, y = stream.normal(size=(24, 4)), stream.integers(3, size=24)

    def trained(on: Backend) -> dict[str, Host]:
        net = Network([Dense(5), BatchNorm(), "tanh", Dropout(0.3), Dense(3)], backend=on, inputs=4, seed=seed)
        net.fit(x, y, epochs=2, batch_size=7, verbose=0)
        return net.get_weights()

    mine, renamed = trained(backend), trained(replace(backend, name="a-name-of-its-own"))
    reference = trained(open_backend("numpy", dtype=backend.dtype))
    # Adam divides by the root of squares: where a gradient is nearly 0, rounding decides a step of the rate's size.
    room = 1e-7 if backend.dtype == "float64" else 1e-2
    for name, values in reference.items():
        require(np.array_equal(mine[name], renamed[name]), where, f"the backend's name decides {name} of a network")
        check_close(f"{where}, a network beside NumPy's", name, mine[name], values, room, floor=1.0)
