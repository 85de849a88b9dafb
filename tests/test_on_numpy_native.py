"""Operations of a plan as calls of C functions: the numbers of NumPy's own calls, bit for bit."""

import functools
import gc
import weakref
from typing import NamedTuple

import numpy as np
import pytest
from test_on_numpy import LAYERS, OPTIMIZERS, check_equal, plain_numpy, trained  # noqa: F401
from test_on_numpy_kernels import draw, run_random_program
from xpnet_backends.on_numpy import compiling, fusing, native, openblas, plan as plan_module
from xpnet_backends.on_numpy.compiling import Compiled

import xpnet

pytest.importorskip("llvmlite")

needs_openblas = pytest.mark.skipif(openblas.library() is None, reason="NumPy multiplies by another library here")


@pytest.fixture
def at_once(monkeypatch):
    """Have plans of calls at once, none of them a kernel."""
    monkeypatch.setattr(compiling, "COMPILE_AFTER", -1.0)
    monkeypatch.setattr(fusing, "MIN_GAIN", 1e12)


def same_bits(found, wanted):
    assert (found.dtype, found.shape) == (wanted.dtype, wanted.shape)
    np.testing.assert_array_equal(np.ascontiguousarray(found).view("uint8"), np.ascontiguousarray(wanted).view("uint8"))


def plan_of(compiled):
    """Return the one plan that a function has, which is to be compiled."""
    (plan,) = compiled._local.plans.values()
    assert plan.pending is None
    assert not plan.kernel_error
    return plan


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("layers", LAYERS, ids=lambda layers: f"{len(layers)} layers")
def test_layers_are_called_bit_for_bit(plain_numpy, at_once, layers, dtype):  # noqa: F811
    called = trained("numpy", layers, xpnet.Adam(0.01), dtype)
    check_equal(called, trained(plain_numpy(dtype), layers, xpnet.Adam(0.01), dtype))


@pytest.mark.parametrize("optimizer", OPTIMIZERS, ids=lambda optimizer: type(optimizer).__name__)
def test_optimizers_are_called_bit_for_bit(plain_numpy, at_once, optimizer):  # noqa: F811
    layers = [xpnet.Dense(7), "relu", xpnet.Dropout(0.3), xpnet.Dense(12), xpnet.LayerNorm(), "sigmoid", xpnet.Dense(3)]
    called = trained("numpy", layers, optimizer, "float32")
    check_equal(called, trained(plain_numpy("float32"), layers, optimizer, "float32"))


@pytest.mark.parametrize("seed", range(40))
def test_random_programs_are_called_bit_for_bit(at_once, seed):
    assert "perform(" in plan_of(run_random_program(seed)).source


@needs_openblas
def test_a_small_networks_step_is_one_call(monkeypatch):
    monkeypatch.setattr(compiling, "COMPILE_AFTER", -1.0)
    network = xpnet.Network([xpnet.Dense(8), "relu", xpnet.Dense(3)], optimizer="adam", seed=0)
    x, y = draw(10, 2), np.arange(10) % 3
    for _ in range(4):
        network.train_step(x, y)
    source = plan_of(network.compiled.function("step_loss")).source
    python = [line.strip() for line in source.splitlines() if not line.strip().startswith("#")]
    assert [line.partition("(")[0] for line in python if "objects" not in line][1:2] == ["perform"]
    assert len(python) == 6  # the head, two arguments' identities, the call, a copy of the loss, return


# Arguments


def test_arguments_are_looked_for_at_each_run(at_once):
    compiled = Compiled(lambda x, y: (x * 2.0 + y, x[1:, ::2] * 3.0))
    for seed in range(8):
        rng = np.random.default_rng(seed)
        x, y = rng.normal(size=(6, 5)), rng.normal(size=5)
        found = compiled(x, y)
        for one, wanted in zip(found, (x * 2.0 + y, x[1:, ::2] * 3.0), strict=True):
            same_bits(one, wanted)
    assert "x0[" not in plan_of(compiled).source.partition("#")[0]  # no view is made


def test_what_is_not_aligned_is_left_to_numpy(at_once):
    raw = np.zeros(8 * 30 + 1, dtype="uint8")
    odd = raw[1:].view("float64")
    odd[:] = np.arange(30)
    assert not odd.flags.aligned
    compiled = Compiled(lambda x: (x * 2.0 + 1.0) * x)
    for given in (odd, odd.copy()):
        for _ in range(4):
            same_bits(compiled(given), (given * 2.0 + 1.0) * given)
    first, second = compiled._local.plans.values()
    assert "multiply(x0, " in first.source.partition("#")[0]
    assert "multiply(x0, " not in second.source.partition("#")[0]


@needs_openblas
def test_a_matrix_by_its_own_transpose_is_multiplied_as_numpy_does(at_once):
    """That is by another routine, which computes half of the result, and is seen by the addresses alone."""
    compiled = Compiled(lambda a, b: np.matmul(a, np.matrix_transpose(b)) + 1.0)
    for seed in range(6):
        a, b = draw(40, 33), draw(40, 33) + seed
        same_bits(compiled(a, b), a @ b.T + 1.0)
        same_bits(compiled(a, a), a @ a.T + 1.0)
    known = Compiled(lambda a: np.matmul(np.tanh(a), np.matrix_transpose(np.tanh(a))) + 1.0)
    again = Compiled(lambda a: (lambda t: np.matmul(t, np.matrix_transpose(t)) + 1.0)(np.tanh(a)))
    for seed in range(4):
        a = draw(40, 33) + seed
        same_bits(known(a), np.tanh(a) @ np.tanh(a.copy()).T + 1.0)
        t = np.tanh(a)
        same_bits(again(a), t @ t.T + 1.0)


def test_an_operand_is_not_written_over_while_another_order_of_it_is_read(at_once):
    def folded(x):
        t = np.tanh(x)
        return t + np.matrix_transpose(t), t * 1.0

    def turned(x):
        t = np.tanh(x)
        t = t + np.matrix_transpose(t)
        return t - t[:1]

    for function in (folded, turned):
        compiled = Compiled(function)
        x = draw(30, 30)
        for _ in range(4):
            found = compiled(x)
        np.testing.assert_array_equal(found, function(x))


# Loops


def rows_of(seed, steps, batch, rows):
    return np.random.default_rng(seed).integers(rows, size=(steps, batch))


def problem(dtype):
    rng = np.random.default_rng(0)
    x, y, weights = (rng.normal(size=shape).astype(dtype) for shape in ((50, 4), (50,), (4, 2)))
    return (x, y), (weights, np.zeros((), dtype="int32"))


def step(carry, data, order):
    weights, count = carry
    x = np.take(data[0], order, axis=0)
    y = np.take(data[1], order, axis=0)
    error = np.matmul(x, weights) - y[:, None]
    return weights - 0.01 * np.matmul(np.matrix_transpose(x), error), count + 1


def after(carry, data, orders):
    for order in orders:
        carry = step(carry, data, order)
    return carry


def test_a_loop_is_one_call_for_many_steps(at_once, monkeypatch):
    data, carry = problem("float64")
    orders = rows_of(0, 300, 7, 50)
    run = compiling.loop(step)
    found = run(carry, data, orders)
    wanted = after(carry, data, orders)
    for one, expected in zip(found, wanted, strict=True):
        np.testing.assert_array_equal(one, expected)
    monkeypatch.setattr(plan_module, "CALL_SECONDS", -1.0)  # one step a call
    for more in (orders[::2], np.asfortranarray(orders), orders[:, ::-1], orders[3:4]):
        found, wanted = run(found, data, more), after(wanted, data, more)
        for one, expected in zip(found, wanted, strict=True):
            np.testing.assert_array_equal(one, expected)


def test_a_loop_refuses_rows_that_are_not_there(at_once):
    data, carry = problem("float32")
    orders = rows_of(0, 40, 7, 50)
    run = compiling.loop(step)
    carry = run(carry, data, orders)
    wrong = orders.copy()
    wrong[30, 3] = 50
    with pytest.raises(IndexError, match="index 50 is out of bounds for axis 0 with size 50"):
        run(carry, data, wrong)
    (_, fresh), end = problem("float32"), np.where(orders == 49, -1, orders)
    for one, expected in zip(run(fresh, data, end), after(fresh, data, orders), strict=True):
        np.testing.assert_array_equal(one, expected)


@needs_openblas
def test_a_long_step_gives_python_a_turn_after_each(at_once, monkeypatch):
    calls = []
    data, carry = problem("float32")
    run = compiling.loop(step)
    carry = run(carry, data, rows_of(0, 5, 7, 50))
    (compiled,) = [cell.cell_contents for cell in run.__wrapped__.__closure__ if hasattr(cell.cell_contents, "plan")]
    (plan,) = compiled._local.plans.values()
    original = plan.run_times
    monkeypatch.setattr(plan, "run_times", lambda *given: calls.append(given[-2]) or original(*given))
    monkeypatch.setattr(plan, "_rows_per_call", 1)
    clock = iter(np.arange(0.0, 1e6, 1.0))  # each look a second later
    monkeypatch.setattr(plan_module, "perf_counter", lambda: next(clock))
    run(carry, data, rows_of(1, 6, 7, 50))
    assert calls == [1] * 6
    calls.clear()
    monkeypatch.setattr(plan_module, "CALL_SECONDS", 2.0)
    run(plan.unflatten_donated(()), data, rows_of(1, 20, 7, 50))
    assert calls == [1, 2, 4, 8, 5]
    calls.clear()
    run(plan.unflatten_donated(()), data, rows_of(1, 20, 7, 50))
    assert calls == [16, 4]  # the last is no whole piece, so it says nothing
    calls.clear()
    monkeypatch.setattr(plan_module, "CALL_SECONDS", 0.1)
    run(plan.unflatten_donated(()), data, rows_of(1, 60, 7, 50))
    assert calls == [32, 16, 8, 4]


def test_a_loop_over_numbers_that_is_not_all_calls(at_once):
    def step(carry, data, row):
        return carry[0] + np.sum(data * row) + np.where(data > 0, data, 1.0), carry[1] + 1

    run, data = compiling.loop(step), np.arange(5.0)
    carry = wanted = np.zeros(5), np.zeros((), dtype="int32")
    for _ in range(4):
        carry = run(carry, data, np.arange(10))
        for i in range(10):
            wanted = step(wanted, data, np.asarray(i))
        np.testing.assert_array_equal(carry[0], wanted[0])


def test_a_loop_that_gathers_from_a_view_refuses_as_numpy_does(at_once):
    def step(carry, data, row):
        return carry[0] + np.sum(np.take(data[2:], row, axis=0)), carry[1] + 1

    run, data, orders = compiling.loop(step), np.arange(20.0), rows_of(0, 12, 3, 18)
    carry = run((np.zeros(2), np.zeros((), dtype="int32")), data, orders)
    orders[7, 1] = 18
    with pytest.raises(IndexError, match="index 18 is out of bounds for axis 0 with size 18"):
        run(carry, data, orders)


# What is handed over


def test_what_a_plan_gave_back_may_be_changed_in_place(at_once):
    compiled, x = Compiled(lambda state, x: {"w": state["w"] + x}, donated=True), np.arange(3.0)
    state = {"w": np.zeros(3)}
    for _ in range(5):
        state = compiled(state, x)
    state["w"] = np.full(3, 100.0)
    np.testing.assert_array_equal(compiled(state, x)["w"], 100.0 + x)
    both = Compiled(lambda carry, x: ({"w": carry[0]["w"] + x}, carry[1] + 1.0), donated=True)
    carry = ({"w": np.zeros(3)}, np.zeros(()))
    for _ in range(5):
        carry = both(carry, x)
    whole = np.arange(3)
    carry[0]["w"] = whole
    found = both((carry[0], np.zeros(())), x)
    np.testing.assert_array_equal(found[0]["w"], whole + x)
    again = both((found[0], np.ones(())), x)  # the first part is known, the second is not
    np.testing.assert_array_equal(again[0]["w"], whole + x + x)
    assert again[1] == 2.0


class Pair(NamedTuple):
    a: np.ndarray
    b: np.ndarray


@pytest.mark.parametrize(
    "function",
    [
        lambda state, x: (state + x,),
        lambda state, x: state + x,
        lambda state, x: (state + x, {"sum": np.sum(x, keepdims=True), "more": [x * 2.0, ()]}),
        lambda state, x: (state + x, Pair(x + 1.0, x + 2.0)),
    ],
    ids="wrapped bare dict named".split(),
)
def test_results_keep_their_structure(at_once, function):
    compiled, x = Compiled(function, donated=True), np.arange(3.0)
    state = plain = np.zeros(3)
    for _ in range(5):
        found, wanted = compiled(state, x), function(plain, x)
        np.testing.assert_equal(found, wanted)
        assert str(found) == str(wanted)
        state, plain = (result[0] if isinstance(result, tuple) else result for result in (found, wanted))


@pytest.mark.parametrize("given", [tuple, lambda pair: Pair(*pair)], ids=["tuple", "named"])
@pytest.mark.parametrize("made", [tuple, lambda pair: Pair(*pair)], ids=["tuple", "named"])
def test_donated_tuples_of_either_kind(at_once, given, made):
    compiled = Compiled(lambda state, x: made((state[0] + x, state[1] * 2.0)), donated=True)
    state, x = (np.zeros(3), np.ones(3)), np.arange(3.0)
    for k in range(6):
        found = compiled(given(state), x)
        np.testing.assert_array_equal(found[0], (k + 1) * x)
        np.testing.assert_array_equal(found[1], 2.0 ** (k + 1))
        state = tuple(found)


def test_a_donated_array_in_another_order_is_summed_as_it_lies(at_once):
    compiled = Compiled(lambda state, x: (state * 1.0, np.sum(state) + x), donated=True)
    state = np.asfortranarray(draw(33, 70))
    for _ in range(5):
        assert compiled(state, np.zeros(()))[1] == np.sum(state)


# Types


@pytest.mark.parametrize("fuse", [-1e12, 1e12], ids=["kernels", "calls"])
def test_what_only_numpy_can_read_is_left_to_it(monkeypatch, fuse):
    monkeypatch.setattr(compiling, "COMPILE_AFTER", -1.0)
    monkeypatch.setattr(fusing, "MIN_GAIN", fuse)
    table = np.linspace(1, 2, 60).reshape(12, 5)
    foreign, own = table.astype(">f4"), table.astype("f4")
    text, bits = np.array([1, 2, "x", None], dtype=object), np.array([0, 1, 2, 255], dtype="u1").view(bool)
    numbers = np.arange(4.0)
    seconds, milli = np.arange(4).astype("m8[s]"), np.arange(4).astype("m8[ms]")
    for function, *given in (
        (lambda a, b: (a + b) * b + 1.0, foreign, own),
        (lambda a, b: (b + a[:1]) * a[:, :1] - b, foreign, own),
        (lambda a, b: a == b, text, text.copy()),
        (lambda a, b: a + b, seconds, milli),
        (lambda a, b: (a * b + np.astype(a, np.float64), a ^ (b > 1.0), np.where(a, b, -b) * 2.0), bits, numbers),
        (lambda a, b: np.matmul(a, b), np.zeros((1, 1)), -np.ones((1, 1))),
        (lambda a, b: np.where(a, b, np.int64(-1)) ^ 1, bits, np.arange(4, dtype="u4")),
    ):
        compiled = Compiled(function)
        for _ in range(5):
            np.testing.assert_equal(compiled(*given), function(*given))
        assert str(compiled(*given)) == str(function(*given))
    power = Compiled(lambda a, b: a**b)
    for _ in range(4):
        power(np.array([2, 3]), np.array([1, 2]))
    with pytest.raises(ValueError, match="negative integer powers"):
        power(np.array([2, 3]), np.array([-1, 2]))


def test_what_was_recorded_is_not_kept(at_once, monkeypatch):
    monkeypatch.setattr(fusing, "MIN_GAIN", -1e12)
    monkeypatch.setattr(native, "_routines", {})
    recorded = []
    original = plan_module.record

    def record(*arguments):
        nodes, result = original(*arguments)
        recorded.extend(weakref.ref(node.value) for node in nodes if node.kind == "ufunc")
        return nodes, result

    monkeypatch.setattr(plan_module, "record", record)
    compiled, x = Compiled(lambda x: np.maximum(np.tanh(x) * 2.0 + 1.0, 0.25) - 0.125), draw(30, 20)
    for _ in range(4):
        compiled(x)
    assert "kernel(" in plan_of(compiled).source
    gc.collect()
    assert recorded
    assert not [value for value in recorded if value() is not None]


def test_an_address_that_does_not_stand_where_it_should_is_noticed(monkeypatch):
    monkeypatch.setattr(native, "OBJECT_HEADER", native.OBJECT_HEADER - 8)
    with pytest.raises(RuntimeError, match="an array's address"):
        native.program_runner.__wrapped__()


def test_without_calls_a_plan_goes_on_as_it_was(monkeypatch):
    monkeypatch.setattr(compiling, "COMPILE_AFTER", -1.0)

    def refuse():
        raise RuntimeError("an array's address does not stand where NumPy's C API has it")

    monkeypatch.setattr(native, "program_runner", functools.cache(refuse))
    compiled, x = Compiled(lambda x: np.maximum(x * 2.0 + 1.0, 0.0)), draw(500, 100)
    for _ in range(5):
        same_bits(compiled(x), np.maximum(x * 2.0 + 1.0, 0.0))
    (plan,) = compiled._local.plans.values()
    assert plan.kernel_error.startswith("RuntimeError(")
    assert "maximum(" in plan.source.partition("#")[0]
