"""Powers in a plan have the bits of the plain function's: NumPy computes those of numbers and of arrays apart."""

import numpy as np
import pytest
from xpnet_backends.on_numpy import compiling, scalar_powers
from xpnet_backends.on_numpy.compiling import Compiled, loop
from xpnet_backends.on_numpy.plan import Plan

DTYPES = ["float16", "float32", "float64", "int64", "complex64"]
POWERS = {
    "constants": lambda x: (x**2, x**3, x**0.5, x**1.7, x**2.0, x**True, x**0),
    "negative": lambda x: (np.sqrt(x * 1.0) ** -0.37, (x * 1.0) ** -1, (x * 1.0) ** -0.5),
    "reflected": lambda x: (2**x, 3.0**x, 0.37**x),
    "of_each_other": lambda x: (x**x, (x + 1) ** x, x ** np.sum(x), np.sum(x) ** np.sum(x)),
    "ufuncs": lambda x: (np.power(x, 3), np.power(x, 1.7), np.square(x), np.sqrt(x), np.power(0.37, x)),
    "of_numbers": lambda x: (np.sum(x) ** 3, (x + 1.0) ** -0.51, np.max(x) ** 1.7, 0.37 ** np.sum(x)),
    "with_numbers_of_numpy": lambda x: (x ** np.float32(0.3), x ** np.float64(1.3), (x + 1) ** np.float32(0.3)),
    "with_arrays": lambda x: (x ** np.asarray(0.7), (x + 1) ** np.asarray(0.5), np.asarray(0.3) ** (x + 1)),
    "of_an_index": lambda x: (x[()] ** 3, x[...] ** 3, np.stack([x, x])[0] ** 0.37, np.stack([x, x])[:, None] ** 0.37),
    "of_another_type": lambda x: (np.astype(x, np.complex128) ** 3, np.astype(x + 1, np.complex64) ** 0.37),
}


def in_place(x):
    number, array = np.sum(x) * 1.0, x[...] * np.ones(2, dtype=x.dtype)
    number **= 3
    array **= 3
    return number, array


POWERS["in_place"] = in_place


def arguments(dtype, form, count=60):
    stream = np.random.default_rng(0)
    numbers = (0.1 + stream.uniform(size=count) * 4).astype(dtype)
    return [form(number) for number in numbers]


def assert_same_bits(found, expected):
    for value, wanted in zip(found, expected, strict=True):
        wanted = np.asarray(wanted)
        assert (value.dtype, value.shape) == (wanted.dtype, wanted.shape)
        assert value.tobytes() == wanted.tobytes()


@pytest.mark.parametrize("patience", [1e9, -1.0], ids=["not_compiled", "compiled"])
@pytest.mark.parametrize("form", [np.asarray, lambda number: number], ids=["array", "number"])
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", POWERS)
def test_a_power_in_a_plan_is_that_of_the_plain_function(name, dtype, form, patience, monkeypatch):
    monkeypatch.setattr(compiling, "COMPILE_AFTER", patience)
    compiled = Compiled(POWERS[name])
    with np.errstate(all="ignore"):
        for x in arguments(dtype, form):
            assert_same_bits(compiled(x), POWERS[name](x))


@pytest.mark.parametrize("length", [1, 5])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("exponent", [2, 3, 0.5, -1, -1.0, 0, np.float32(0.5), np.asarray(0.5)])
def test_the_operator_on_arrays_is_recorded_as_the_ufunc_that_it_is(exponent, dtype, length):
    def function(x):
        y = x + 1
        y **= np.asarray(exponent, dtype=dtype)
        return x**exponent, y

    x = np.linspace(0.1, 3.0, length).astype(dtype)
    plan = Plan(function, (x,), False)
    assert_same_bits(plan.unflatten(plan.run(x)), function(x))


def test_numbers_and_arrays_with_no_axes_have_plans_of_their_own():
    def function(x):
        return (x**-0.37,)

    compiled = Compiled(function)
    for number in arguments("float32", lambda number: number):
        for x in (number, np.asarray(number)):
            assert_same_bits(compiled(x), function(x))


def test_what_is_given_back_is_the_same_whether_the_function_or_its_plan_has_made_it():
    def step(carry, data=None, row=None):
        return (carry[0] + 1.0, carry[1] + carry[0] ** -0.37)

    def after(calls, made_anew):
        compiled, carry = Compiled(step), (np.asarray(1.0, dtype=np.float32), np.asarray(0.0, dtype=np.float32))
        for k in range(calls):
            if k in made_anew:
                compiled = Compiled(step)
            carry = compiled(carry)
            assert all(isinstance(part, np.ndarray) for part in carry)
        return carry

    assert_same_bits(after(300, made_anew={150}), after(300, made_anew=()))
    assert_same_bits(after(300, made_anew=range(300)), after(300, made_anew=()))
    start = (np.asarray(1.0, dtype=np.float32), np.asarray(0.0, dtype=np.float32))
    run = loop(lambda carry, data, row: step(carry))
    assert_same_bits(run(start, (), np.arange(300)), after(300, made_anew=()))


def test_a_learning_rate_with_a_power_stays_one_call_for_many_steps():
    pytest.importorskip("llvmlite")
    if not scalar_powers._address("float32"):
        pytest.skip("C's pow is not found, or not NumPy's")
    plan = Plan(lambda step: (0.05 * (step + 1.0) ** -0.51,), (np.ones((), dtype=np.float32),), True, compile_now=True)
    assert plan.run_times is not None
    assert plan.is_silent
