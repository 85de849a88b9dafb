"""Every backend keeps its contract, and a record that breaks it in one place is caught there."""

from __future__ import annotations

import numpy as np
import pytest

import xpnet
from xpnet.testing import CheckError, check_backend


def test_every_backend_keeps_its_contract(backend_name, open_backend):
    open_backend(backend_name)  # skips where it cannot be had
    check_backend(backend_name)


def asarray(values, dtype=None):
    return np.asarray(values if isinstance(values, np.ndarray) else np.from_dlpack(values), dtype)


def record(**fields):
    """Return a record on NumPy with these fields, opened as a third party's is, under a name of its own."""
    from xpnet import backend as door

    plain = {"name": "own", "device": "cpu", "dtype": "float64", "asarray": asarray, "to_numpy": np.asarray}
    return door.bind(xpnet.Backend(**{**plain, "xp": np, **fields}))


def test_a_third_partys_record_passes():
    check_backend(record())
    check_backend(record(dtype="float32"))
    check_backend(record(compile=writes_to_what_is_donated))
    check_backend(record(epochs=epochs_with()))
    check_backend(record(dtype="float32", compile=compile_with_checked_calls(serves_finite_arrays)))
    check_backend(record(compile=compile_with_checked_calls(lambda *_: None)))


def compile_with(change):
    """Return a compile whose functions give changed results."""
    return lambda function, donated=False: lambda *arguments: change(function(*arguments), donated)


def forget_none(result, donated):
    return {**result, "nothing": 0} if isinstance(result, dict) and "nothing" in result else result


def wrong_when_donated(result, donated):
    return {**result, "pair": (result["pair"][0] + 1.0, result["pair"][1])} if donated and "pair" in result else result


def compile_once(function, donated=False):
    """Remember the first result, as a recording that bakes its arguments in."""
    kept = []

    def run(*arguments):
        kept.append(function(*arguments))
        return kept[0]

    return run


def writes_to_its_argument(function, donated=False):
    def run(*arguments):
        result = function(*arguments)
        if arguments and isinstance(arguments[0], dict) and "pair" in arguments[0]:
            arguments[0]["pair"][0][...] = 0.0
        return result

    return run


def writes_to_what_is_donated(function, donated=False):
    return writes_to_its_argument(function) if donated else function


def skips_the_last_row(step):
    def run(carry, data, order):
        for row in order[:-1]:
            carry = step(carry, data, row)
        return carry

    return run


def epochs_with(rests=True, start=True, ends=True):
    """Return ``Backend.epochs`` in plain Python, of which a part may be left out."""

    def several(step):
        def run(state, first, data, orders, given, count):
            found = [[], []]
            carry = (state, first)
            for number in range(int(count)):
                carry = (carry[0], first if start else carry[1])
                for row in [*orders[number], *([] if given is None or not rests else [given[number]])]:
                    carry = step(carry, data, row)
                for each, end in zip(found, carry[1], strict=True):
                    each.append(end)
            stacked = [np.stack(each if ends else each[::-1]) for each in found]
            return carry[0], first._make(stacked) if hasattr(first, "_make") else tuple(stacked)

        return run

    return several


def lazily(function, donated=False):
    """Keep the arguments, and compute when somebody looks."""

    class Later:
        def __init__(self, arguments):
            self.arguments = arguments

        def __array__(self, dtype=None, copy=None):
            return np.asarray(function(*self.arguments))

    return lambda *arguments: (
        Later(arguments) if len(arguments) == 1 and hasattr(arguments[0], "shape") else function(*arguments)
    )


def compile_with_checked_calls(serve):
    """Return a ``compile`` whose functions have a ``checked_call``, which is *serve* of the function and arguments."""

    def compile(function, donated=False):
        def compiled(*arguments):
            return function(*arguments)

        compiled.checked_call = lambda *arguments: serve(function, *arguments)
        return compiled

    return compile


def serves_all(function, model, x):
    return function(model, np.asarray(x, dtype="float32"))


def serves_finite_arrays(function, model, x):
    plain = isinstance(x, np.ndarray) and x.dtype == "float32" and np.isfinite(x).all()
    return function(model, x) if plain else None


def serves_wrongly(function, model, x):
    found = serves_finite_arrays(function, model, x)
    return None if found is None else found + 1.0


def softplus(xp, x):
    return xp.log(1.0 + xp.exp(xp.minimum(x, 3.0)))


def overwriting_sigmoid(xp, x):
    x *= -1.0
    return 1.0 / (1.0 + xp.exp(x))


def asarray_of_its_own_dtype(values, dtype=None):
    return np.asarray(values, dtype or "float64")


def asarray_in_memorys_order(values, dtype=None):
    return np.asarray(values, dtype).ravel("K").reshape(np.shape(values))


def asarray_without_dtype(values, dtype=None):
    return np.asarray(values)


def truncated(xp, x):
    return xp.astype(xp.astype(4.0 * x, xp.int32), x.dtype) / 4.0


def doubled(xp, a, b):
    return xp.astype(xp.matmul(a, b), xp.float64)


def one_hot(xp, labels, classes, dtype):
    return xp.ones((3, classes), dtype=dtype)


def dropout_mask(xp, key, shape, rate, dtype):
    return xp.ones(shape, dtype=dtype)


MISTAKES = {
    "dtype": ({"dtype": "float16"}, "dtype must be one of float32, float64; got 'float16'"),
    "list": ({"to_numpy": lambda array: array.tolist()}, "to_numpy gives list"),
    "0-d": ({"to_numpy": np.atleast_1d}, r"a 0-d array of shape \(\) comes back as \(1,\)"),
    "own dtype": ({"asarray": asarray_of_its_own_dtype}, "a bool array of bool is float64"),
    "order": ({"asarray": asarray_in_memorys_order}, "a matrix in Fortran order comes back with other values"),
    "dtype ignored": ({"asarray": asarray_without_dtype}, "a float64 array becomes float64 with dtype=float32"),
    "none": ({"compile": compile_with(forget_none)}, "loses a None"),
    "donated": ({"compile": compile_with(wrong_when_donated)}, "compile with donated: pair.0 is"),
    "baked in": ({"compile": compile_once}, "compile: pair.0 is"),
    "writes": ({"compile": writes_to_its_argument}, "writes to its argument pair.0"),
    "immutable": (
        {"compile": writes_to_what_is_donated, "immutable": True},
        "immutable is said, but a compiled function writes to its donated argument pair.0",
    ),
    "lazy": ({"compile": lazily}, "later change of the caller's array"),
    "unchecked": ({"compile": compile_with_checked_calls(serves_all)}, "checked_call returns a result for inf"),
    "checked": ({"compile": compile_with_checked_calls(serves_wrongly)}, "checked_call: result is"),
    "loop": ({"loop": skips_the_last_row}, "loop over 2 rows: pair.0 is|loop over 3 rows: pair.0 is"),
    "rests": ({"epochs": epochs_with(rests=False)}, "1 of 3 epochs in one call, rests: state is"),
    "start": ({"epochs": epochs_with(start=False)}, "3 of 3 epochs in one call, rests: sums is"),
    "ends": ({"epochs": epochs_with(ends=False)}, "3 of 3 epochs in one call, rests: sums is"),
    "numbers": ({"nn": {"softplus": softplus}}, "nn's softplus.*: result 0 is"),
    "signature": ({"nn": {"softplus": lambda xp, z: z}}, "nn's softplus takes .*'z'.*; the reference takes .*'x'"),
    "nn writes": ({"nn": {"sigmoid": overwriting_sigmoid}}, "nn's sigmoid: writes to argument 0"),
    "words": ({"nn": {"words": lambda xp, values: xp.asarray(values, dtype=xp.int64)}}, r"not those modulo 2\*\*32"),
    "one_hot": ({"nn": {"one_hot": one_hot}}, "one_hot gives other"),
    "rows": ({"nn": {"rows": lambda xp, array, indices: array[: len(indices)]}}, "rows gives other"),
    "coarse": ({"nn": {"rounded": truncated}}, "nn's rounded_product is off for numbers between"),
    "twice": ({"nn": {"rounded_product": lambda xp, a, b: 2.0 * xp.matmul(a, b)}}, "is off for whole numbers"),
    "wide": ({"nn": {"rounded_product": doubled}}, "nn's rounded_product gives float64"),
    "mask": ({"nn": {"dropout_mask": dropout_mask}}, "dropout_mask drops"),
    "synchronize": ({"synchronize": lambda: 0}, r"synchronize\(\) must return None"),
}


@pytest.mark.filterwarnings("ignore:overflow")
@pytest.mark.parametrize("mistake", MISTAKES)
def test_mistakes_in_backends_are_caught(mistake):
    fields, message = MISTAKES[mistake]
    with pytest.raises(CheckError, match=message):
        check_backend(record(**{"dtype": "float32", **fields}))


def test_a_backend_that_looks_at_its_name_is_caught(monkeypatch):
    """As a core with favourites would."""
    plain = xpnet.Network.fit

    def favouring_fit(self, *arguments, **options):
        history = plain(self, *arguments, **options)
        if self.backend.name == "own":
            self.set_weights({name: 1.01 * values for name, values in self.get_weights().items()})
        return history

    monkeypatch.setattr(xpnet.Network, "fit", favouring_fit)
    with pytest.raises(CheckError, match="the backend's name decides"):
        check_backend(record())


def test_a_raw_record_and_an_unknown_name_are_refused():
    raw = xpnet.Backend("own", np, "cpu", "float64", np.asarray, np.asarray)
    with pytest.raises(xpnet.ConfigurationError, match=r"what open_backend\(\) returned"):
        check_backend(raw)
    with pytest.raises(xpnet.BackendError, match="did you mean 'numpy'"):
        check_backend("nunpy")
