"""The NumPy backend's plans: the numbers of the plain function bit for bit, and no memory shared with anybody."""

import gc
import sys
import threading

import numpy as np
import pytest
from xpnet_backends.on_numpy import compiling
from xpnet_backends.on_numpy.compiling import Compiled, loop
from xpnet_backends.on_numpy.tracing import Traced

import xpnet
from xpnet import BatchNorm, Dense, Dropout, LayerNorm, Network, Residual
from xpnet.weights import read_arrays

LAYERS = [
    [Dense(7), "relu", Dense(3)],
    [Dense(7), "sigmoid", Dropout(0.3), Dense(5), "tanh", Dense(3)],
    [Dense(6), BatchNorm(), "elu", Residual([Dense(6), "gelu", LayerNorm(), Dense(6)]), "silu", Dense(3)],
    [Dense(8), "leaky_relu", Residual([Dense(4), "softplus"], shortcut=Dense(4, bias=False)), Dense(3)],
]
OPTIMIZERS = [
    xpnet.SGD(0.1),
    xpnet.SGD(xpnet.CosineDecay(0.1, 9, warmup=3), momentum=0.9, nesterov=True),
    xpnet.AdamW(0.01),
    xpnet.Nadam(),
    xpnet.RMSProp(),
    xpnet.Adagrad(),
    xpnet.Adadelta(),
    xpnet.Lion(),
    xpnet.chain(
        xpnet.L1(1e-3),
        xpnet.ClipByNorm(0.1),
        xpnet.ClipByValue(0.05),
        xpnet.Adam(),
        xpnet.MaxNorm(1.0),
        xpnet.ExponentialMovingAverage(0.9),
    ),
]


def data(rows=47):
    stream = np.random.default_rng(0)
    return stream.normal(size=(rows, 4)), stream.integers(0, 3, rows), stream.uniform(0.5, 2, rows)


def trained(backend, layers, optimizer, dtype):
    """Train with remainder batches, weights and validation; return all that changed."""
    x, y, weights = data()
    network = Network(layers, optimizer=optimizer, backend=backend, dtype=dtype, metrics=["accuracy", "f1"], seed=3)
    network.fit(x, y, sample_weight=weights, epochs=3, batch_size=8, validation_split=0.2, verbose=0)
    for _ in range(3):
        network.train_step(x[:5], y[:5], weights[:5])
    return network


@pytest.fixture
def uncompiled(monkeypatch):
    """Have plans of NumPy's calls alone."""
    monkeypatch.setattr("xpnet_backends.on_numpy.writer.available", lambda: False)


@pytest.fixture(scope="module")
def plain_numpy():
    """NumPy without plans: every function as it stands."""
    from dataclasses import replace
    from functools import partial

    from xpnet.backend import _plain_loop

    def plain(dtype):
        def compile(function, donated=False):
            return function

        eager = replace(xpnet.open_backend("numpy", dtype=dtype), compile=compile)
        return replace(eager, loop=partial(_plain_loop, eager))

    return plain


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("layers", LAYERS, ids=lambda layers: f"{len(layers)} layers")
def test_layers_are_replayed_bit_for_bit(plain_numpy, layers, dtype):
    check_equal(
        trained("numpy", layers, xpnet.Adam(0.01), dtype), trained(plain_numpy(dtype), layers, xpnet.Adam(0.01), dtype)
    )


@pytest.mark.parametrize("optimizer", OPTIMIZERS, ids=lambda optimizer: type(optimizer).__name__)
def test_optimizers_are_replayed_bit_for_bit(plain_numpy, optimizer):
    layers = LAYERS[1]
    check_equal(
        trained("numpy", layers, optimizer, "float32"), trained(plain_numpy("float32"), layers, optimizer, "float32")
    )


def check_equal(planned, plain):
    x = data()[0]
    assert planned.history == plain.history
    expected = read_arrays(plain)
    for name, array in read_arrays(planned).items():
        np.testing.assert_array_equal(array, expected[name], err_msg=name)
    for _ in range(3):  # plain, recorded, replayed
        np.testing.assert_array_equal(planned.predict(x), plain.predict(x))


@pytest.mark.parametrize("loss", ["cross_entropy", "hinge", "mse", "mae", "huber", "binary_cross_entropy"])
def test_every_function_of_a_network_can_be_recorded(loss):
    x, y, _ = data()
    y = y if loss in ("cross_entropy", "hinge") else np.eye(3)[y]
    network = Network([Dense(6), "relu", Dropout(0.2), BatchNorm(), Dense(3)], loss=loss)
    network.fit(x, y, batch_size=8, epochs=2, verbose=0)
    for _ in range(3):
        network.train_step(x, y)
        network.evaluate(x, y)
        network.predict(x)
        network.trace(x, y)
    used = [*network.compiled._functions.values(), network.compiled.train_on_batch]
    assert not [function.function.__name__ for function in used if function.unrecordable]


def test_a_plan_can_be_read(uncompiled):
    compiled = Compiled(lambda x, w: np.maximum(x @ w, 0.0))
    x, w = np.ones((2, 3)), np.ones((3, 4))
    compiled(x, w), compiled(x, w)
    (plan,) = compiled._local.plans.values()
    assert "dot(x0, x1, " in plan.source
    assert "maximum(" in plan.source


def test_results_share_no_memory_with_the_plan_or_each_other():
    compiled = Compiled(lambda x: (x + 1.0, np.zeros(3), np.reshape(x * 2.0, (-1,))))
    x = np.arange(6.0).reshape(2, 3)
    calls = [compiled(x + i) for i in range(4)]
    for i, (added, zeros, doubled) in enumerate(calls):
        np.testing.assert_array_equal(added, x + i + 1)
        np.testing.assert_array_equal(zeros, np.zeros(3))
        np.testing.assert_array_equal(doubled, (2 * (x + i)).reshape(-1))
        zeros += 1.0


def test_arguments_that_are_not_donated_are_never_written_to():
    def function(x, y):
        total = x + y
        total *= 2.0
        total -= y
        return total

    compiled = Compiled(function)
    x, y = np.arange(4.0), np.ones(4)
    x.flags.writeable = y.flags.writeable = False
    for _ in range(4):
        np.testing.assert_array_equal(compiled(x, y), 2 * (x + y) - y)


def test_a_donated_argument_moves_into_the_plan_and_stays_right_across_shapes():
    def step(carry, batch):
        total, count = carry
        total = total * 0.5
        total += np.sum(batch, axis=0)
        count += 1
        return total, count

    compiled = Compiled(step, donated=True)
    carry, expected = (np.zeros(3), np.asarray(0)), (np.zeros(3), np.asarray(0))
    for i in range(12):
        batch = np.full((2 + i % 3, 3), float(i))
        carry = compiled(carry, batch)
        expected = step(expected, batch)
    np.testing.assert_array_equal(carry[0], expected[0])
    assert int(carry[1]) == int(expected[1]) == 12


def test_donated_arrays_that_change_places_are_not_planned():
    compiled = Compiled(lambda carry: (carry[1], carry[0]), donated=True)
    carry = (np.zeros(2), np.ones(2))
    for _ in range(4):
        carry = compiled(carry)
    assert compiled.unrecordable
    np.testing.assert_array_equal(carry[0], np.zeros(2))


def test_donated_arrays_may_change_places_between_calls():
    def step(carry):
        return carry[0] * 0.5, carry[1] + 1.0

    compiled = Compiled(step, donated=True)
    carry = plain = (np.zeros(2), np.ones(2))
    for _ in range(5):
        carry, plain = compiled(carry[::-1]), step(plain[::-1])
        np.testing.assert_array_equal(carry, plain)


def test_names_in_another_order_are_the_same_carry():
    def step(carry, data, rows):
        return {"count": carry["count"] + 1.0, "total": carry["total"] + np.sum(np.take(data, rows, axis=0))}

    run, data, order = loop(step), np.arange(10.0), np.arange(10).reshape(5, 2)
    for _ in range(4):
        carry = run({"total": np.asarray(0.0), "count": np.asarray(0.0)}, data, order)
        assert {name: float(value) for name, value in carry.items()} == {"count": 5.0, "total": 45.0}


def test_the_loop_equals_single_steps():
    def step(carry, data, rows):
        return carry + np.sum(np.take(data, rows, axis=0))

    data_, order = np.arange(10.0), np.random.default_rng(0).permutation(10).reshape(5, 2)
    assert float(loop(step)(np.asarray(0.0), data_, order)) == 45.0


@pytest.mark.parametrize(
    "function",
    [
        lambda x: x * 2 if x[0] > 0 else x * 3,
        lambda x: x * float(np.sum(x)),
        lambda x: np.asarray(x) + 1,
        lambda x: x[np.argsort(x)],
    ],
)
def test_a_function_that_looks_at_values_runs_as_it_stands(function):
    compiled = Compiled(function)
    for x in (np.array([1.0, -2.0]), np.array([-1.0, 5.0]), np.array([2.0, 3.0])):
        np.testing.assert_array_equal(compiled(x), function(x))
    assert compiled.unrecordable


@pytest.mark.parametrize("calls", [1, 4])
def test_where_plans_cannot_be_imported_functions_run_as_they_stand(calls, monkeypatch):
    monkeypatch.setitem(sys.modules, "xpnet_backends.on_numpy.plan", None)
    compiled, run = Compiled(lambda x: x * 2.0), loop(lambda carry, data, row: carry + data[row].sum())
    for _ in range(calls):
        np.testing.assert_array_equal(compiled(np.ones(3)), [2.0, 2.0, 2.0])
        assert run(np.zeros(()), np.ones((4, 2)), np.array([[0, 1], [2, 3]])) == 8.0


def test_an_error_inside_is_the_functions_own():
    compiled = Compiled(lambda x: np.take(x, np.asarray([7]), axis=0))
    for _ in range(3):
        with pytest.raises(IndexError):
            compiled(np.ones(3))


def _into_new(x):
    y = np.empty_like(x)
    np.multiply(x, 2.0, out=y)
    return y


def _through_a_view(x):
    y = x * 1.0
    part = y[:, :2]
    part *= 2.0
    return y


def _through_a_second_name(x):
    y = x * 1.0
    z = y
    z += 1.0
    return y


def _view_of_what_changes(x):
    y = x * 1.0
    part = y[:, :2]
    y += 1.0
    return part


def _into_a_constant(x):
    total = np.zeros(x.shape)
    same = total
    total += x
    return same


def _reshaped_transpose(x):
    flat = np.reshape(np.matrix_transpose(x) * 2.0, (-1,))
    other = x * 3.0
    return np.reshape(flat, x.shape) + other * x


def _view_by_a_function(x):
    doubled = x * 2.0
    turned = np.einsum("ij->ji", doubled)
    other = x * 3.0
    return np.matrix_transpose(turned) + other * x


@pytest.mark.parametrize(
    "function",
    [
        _into_new,
        _through_a_view,
        _through_a_second_name,
        _view_of_what_changes,
        _into_a_constant,
        _reshaped_transpose,
        _view_by_a_function,
        lambda x: np.hstack((x[:, :2], x[:, 2:] * 2.0)),
        lambda x: np.roll(x * 2.0, 1, axis=1) + np.cumulative_sum(x, axis=1),
        lambda x: x * np.float64(0.1) / np.float64(3),
        lambda x: np.clip(x, -0.5, 0.5) - np.std(x),
    ],
    ids=lambda function: function.__name__,
)
@pytest.mark.parametrize("order", ["C", "F"])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_whatever_a_layer_does_with_memory_comes_out_right(function, order, dtype):
    x = np.asarray(np.random.default_rng(0).normal(size=(4, 3)), dtype=dtype, order=order)
    compiled = Compiled(function)
    for i in range(4):
        result, expected = compiled(x + np.float32(i)), function(x + np.float32(i))
        assert result.dtype == expected.dtype
        np.testing.assert_array_equal(result, expected)


@pytest.mark.parametrize("axis", [0, 1])
@pytest.mark.parametrize(
    "turned", [np.matrix_transpose, np.asfortranarray, lambda x: x[:, ::-1]], ids=lambda f: f.__name__
)
def test_sums_in_another_memory_order_add_in_the_order_of_the_plain_function(turned, axis):
    def summed(x):
        x = np.matrix_transpose(x) if turned is np.matrix_transpose else x
        return np.sum(x * 2.0 + 1.0, axis=axis), (x * 2.0) @ np.ones((x.shape[1], 3), dtype=x.dtype)

    x = np.random.default_rng(0).normal(size=(200, 50)).astype(np.float32)
    x, compiled = x if turned is np.matrix_transpose else turned(x), Compiled(summed)
    for _ in range(4):
        for found, expected in zip(compiled(x), summed(x), strict=True):
            np.testing.assert_array_equal(found, expected)


def test_a_product_with_a_column_of_a_table_is_the_plain_functions():
    stream = np.random.default_rng(0)
    a, b, compiled = stream.normal(size=(16, 17)), stream.normal(size=(17, 17)), Compiled(lambda a, b: a @ b[:, :1])
    for _ in range(4):
        np.testing.assert_array_equal(compiled(a, b), a @ b[:, :1])


def test_a_view_by_a_function_sees_what_its_array_becomes():
    def function(x):
        doubled = x * 2.0
        turned = np.einsum("ij->ji", doubled)
        doubled += 1.0
        return turned * 1.0

    compiled, x = Compiled(function), np.ones((4, 3))
    for _ in range(4):
        np.testing.assert_array_equal(compiled(x), function(x))


def test_a_mean_of_half_precision_is_added_up_in_single_as_by_numpy():
    compiled, x = (
        Compiled(lambda x: np.mean(x, axis=0)),
        np.random.default_rng(0).normal(size=(200, 5)).astype("float16"),
    )
    for _ in range(4):
        np.testing.assert_array_equal(compiled(x), np.mean(x, axis=0))


@pytest.mark.parametrize("layers", [[BatchNorm()], [LayerNorm()], [Dense(3), LayerNorm()], [Dropout(0.3)]], ids=str)
def test_examples_in_another_memory_order_train_alike(layers):
    channels_first = np.random.default_rng(0).normal(size=(8, 4, 3))
    strided, labels = channels_first.transpose(0, 2, 1), np.arange(8) % 2
    trained_on = []
    for x in (strided, np.ascontiguousarray(strided)):
        network = Network([*layers, xpnet.Flatten(), Dense(2)], optimizer=xpnet.SGD(0.5), dtype="float64")
        network.fit(x, labels, epochs=10, batch_size=None, verbose=0)
        for _ in range(3):
            network.train_step(x, labels)
        trained_on.append(read_arrays(network))
    for name, array in trained_on[0].items():
        np.testing.assert_allclose(array, trained_on[1][name], rtol=1e-12, atol=1e-12)


def test_a_donated_array_that_is_also_returned_is_returned_as_it_was():
    compiled = Compiled(lambda total: (total + 1.0, total, total * 2.0), donated=True)
    total = np.ones(3)
    for i in range(1, 5):
        total, before, doubled = compiled(total)
        np.testing.assert_array_equal(total, np.full(3, i + 1.0))
        np.testing.assert_array_equal(before, np.full(3, float(i)))
        np.testing.assert_array_equal(doubled, np.full(3, 2.0 * i))


def test_a_plan_lets_go_of_its_recording():
    def traced():
        return {id(item): item for item in gc.get_objects() if type(item) is Traced}

    others = traced()  # which somebody else may hold
    compiled = [Compiled(lambda x: {"sum": np.sum(x * 2.0)}), Compiled(lambda x: (x + 1.0, x * 2.0), donated=True)]
    for function in compiled:
        function(np.ones(3)), function(np.ones(3))
        assert function._local.plans.values()
    gc.collect()
    assert not traced().keys() - others.keys()


def test_threads_do_not_meet_in_a_plan():
    x = data(400)[0]
    network = Network([Dense(32), "relu", Dense(3)], inputs=4)
    expected = np.concatenate([network.predict(x[i : i + 50]) for i in range(0, 400, 50)])
    wrong = []

    def work(part):
        for _ in range(50):
            if not np.array_equal(network.predict(x[part : part + 50]), expected[part : part + 50]):
                wrong.append(part)

    threads = [threading.Thread(target=work, args=(50 * i,)) for i in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong


def test_a_large_result_is_new_memory_at_each_call_and_written_once(uncompiled):
    compiled, x = Compiled(lambda x: {"copy": x * 1, "shifted": x + 1.0, "total": np.sum(x * 2.0)}), np.arange(9000.0)
    kept = [compiled(x + i) for i in range(4)]
    for i, found in enumerate(kept):
        np.testing.assert_array_equal(found["copy"], x + i)
        np.testing.assert_array_equal(found["shifted"], x + i + 1.0)
    (plan,) = compiled._local.plans.values()
    assert plan.source.count(".copy()") == 1  # of the total alone


def test_the_result_of_a_product_is_memory_of_its_own():
    compiled, w = Compiled(lambda x, w: np.tanh(x) @ w), np.random.default_rng(0).normal(size=(40, 60))
    kept = [(x, compiled(x, w)) for x in np.random.default_rng(1).normal(size=(4, 100, 40))]
    for x, found in kept:
        np.testing.assert_array_equal(found, np.tanh(x) @ w)


def test_arrays_of_another_byte_order_have_a_plan_of_their_own():
    compiled, x = Compiled(lambda x: x * 2.0 + 1.0), np.arange(9000.0)
    for given in (x, x, x, x.astype(">f8"), x.astype(">f8"), x.astype(">f8")):
        np.testing.assert_array_equal(compiled(given), x * 2.0 + 1.0)


def test_a_result_that_is_given_twice_or_read_again_is_copied():
    def function(x):
        y = x * 2.0
        return y, y, y + 1.0, y[:3]

    compiled, x = Compiled(function), np.arange(9000.0)
    for i in range(4):
        for found, plain in zip(compiled(x + i), function(x + i), strict=True):
            np.testing.assert_array_equal(found, plain)


@pytest.mark.parametrize("calls", [1, 3], ids=["as it stands", "by its plan"])
def test_compiled_functions_run_without_floating_point_warnings(calls: int) -> None:
    compiled = Compiled(lambda x, w: (x @ w) * 1e300 / np.sum(x))
    run = loop(lambda carry, data, row: carry * data[row[0]])
    with np.errstate(all="raise"):
        for _ in range(calls):
            found = compiled(np.zeros((3, 4)), np.full((4, 2), 1e300))
            assert np.isnan(found).all()
            assert np.isinf(run(np.full(5, 1e300), np.full(4, 1e300), np.zeros((2, 1), dtype=int))).all()
        assert np.geterr() == dict.fromkeys(("divide", "over", "under", "invalid"), "raise")


def test_views_of_a_parameter_are_taken_again_where_it_is_another_array(uncompiled) -> None:
    def function(flat, x):
        w, b, scale = np.reshape(flat[:12], (4, 3)), flat[12:15], flat[15:18]
        return (x @ w + b) * scale

    compiled, stream = Compiled(function), np.random.default_rng(0)
    flat, other = stream.normal(size=(2, 18))
    for given in (flat, flat, flat, other, flat, other.copy()):
        x = stream.normal(size=(5, 4))
        np.testing.assert_array_equal(compiled(given, x), function(given, x))
        given += 1.0  # what is kept are views, not values
        np.testing.assert_array_equal(compiled(given, x), function(given, x))
    (plan,) = compiled._local.plans.values()
    assert "if x0 is not last_x0:" in plan.source


def test_what_is_a_view_in_one_order_of_memory_and_a_copy_in_another_is_never_kept_for_both():
    def function(x):
        return np.reshape(x, (-1,))[:12] + x[0, 0] + x[1, 0] + x[2, 0]

    compiled = Compiled(function)
    view, copied = np.arange(48.0)[::2].reshape(4, 6), np.arange(52.0).reshape(4, 13)[:, :6]
    for x in (view, view, view, copied, copied, copied, view):
        x += 1.0
        np.testing.assert_array_equal(compiled(x), function(x))


def test_views_are_taken_again_after_an_interruption_while_they_were_taken(uncompiled):
    class Interrupted(BaseException):
        pass

    class Interrupting:
        """Stands for another array, when Ctrl-C comes between its views."""

        def __getitem__(self, index):
            if index[0] == 1:
                raise Interrupted
            return np.ones(2)

    compiled, x = Compiled(lambda x: (x[0] + 1.0, x[1] * 2.0, x[2] - 3.0)), np.zeros((3, 2))
    for _ in range(3):
        compiled(x)
    (plan,) = compiled._local.plans.values()
    with pytest.raises(Interrupted):
        plan.run(Interrupting())
    np.testing.assert_array_equal(compiled(x)[0], [1.0, 1.0])


def test_a_parameter_with_views_is_also_read_at_each_call() -> None:
    def function(table, x):
        return table[0] + x, table[1] * x, table[2] - np.sum(x)

    compiled = Compiled(lambda table, i, x: (*function(table, x), np.take(table, i, axis=0)[0]))
    table = np.arange(12.0).reshape(3, 4)
    for i in (0, 1, 2, 1):
        found = compiled(table, np.asarray([i]), np.full(4, float(i)))
        for a, b in zip(found, (*function(table, np.full(4, float(i))), table[i]), strict=True):
            np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize("others", [(1, True, 1.0), ((np.ones(3),), [np.ones(3)])], ids=["numbers", "sequences"])
def test_what_is_equal_and_of_another_type_has_a_plan_of_its_own(others):
    def function(x, y):
        return type(y)(2 * item for item in y) if isinstance(y, tuple | list) else x * y

    compiled, x = Compiled(function), np.arange(5)
    for other in 3 * others:
        found, expected = compiled(x, other), function(x, other)
        assert type(found) is type(expected)
        np.testing.assert_equal(found, expected)
        assert np.asarray(found).dtype == np.asarray(expected).dtype


def test_zeros_of_both_signs_have_plans_of_their_own():
    compiled, x = Compiled(lambda x, y: x / y), np.ones(3)
    with np.errstate(divide="ignore"):
        for y in 3 * (0.0, -0.0):
            np.testing.assert_array_equal(compiled(x, y), x / y)


def test_a_kind_of_array_that_calculates_in_its_own_way_is_left_to_it():
    compiled = Compiled(lambda x: x * 2.0)
    for _ in range(3):
        found = compiled(np.ma.masked_array(np.arange(4.0), mask=[0, 1, 0, 1]))
        assert found.mask.tolist() == [False, True, False, True]
        assert isinstance(compiled(np.arange(4.0)), np.ndarray)


def replayed(function, *arguments):
    """Return what the plain function gives, and the first calls of the compiled one, the last with kernels."""
    compiled = Compiled(function)
    return function(*arguments), [compiled(*arguments) for _ in range(5)]


def assert_same(plain, others):
    for other in others:
        assert np.asarray(other).dtype == np.asarray(plain).dtype
        np.testing.assert_array_equal(other, plain)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("name", ["log1p", "expm1", "exp", "log", "sinh", "cbrt", "tan"])
def test_arrays_that_are_gone_through_backwards_are_as_in_the_plain_function(name, dtype, monkeypatch):
    monkeypatch.setattr(compiling, "COMPILE_AFTER", -1.0)
    function = getattr(np, name)
    x = np.random.default_rng(0).uniform(0.1, 2.0, (300, 64)).astype(dtype)
    assert_same(*replayed(lambda x: function(np.flip(x * x, axis=-1)) + 1.0, x))
    assert_same(*replayed(lambda x: function(np.flip(x * x)) + 1.0, x))
    assert_same(*replayed(lambda x, y: function(x) + y, x[::-1], x))


def test_a_number_that_is_added_to_keeps_its_other_names():
    x = np.arange(3, dtype=np.float32)

    def kept(x):
        total = np.sum(x)
        before = total
        total += 1
        return before, total

    plain, others = replayed(kept, x)
    assert all((before, total) == plain for before, total in others)

    def widened(x):
        total = np.sum(x)
        total += np.sum(x > 0)
        return total

    assert_same(*replayed(widened, x))


def test_products_that_numpy_copies_for_are_the_plain_functions():
    stream = np.random.default_rng(0)

    def between(array):
        return np.frombuffer(b"\0" + array.tobytes(), array.dtype, offset=1).reshape(array.shape)

    for rows, terms, columns in [(40, 40, 17), (57, 33, 19), (200, 30, 100)]:
        a, b = stream.normal(size=(terms, rows)), stream.normal(size=(terms, columns))
        assert_same(*replayed(lambda a, b: np.matmul(a.T, b), a > 0, b))
        assert_same(*replayed(lambda a, b: np.matmul(a.T, b), between(a.astype("f4")), between(b.astype("f4"))))
    assert xpnet.open_backend("numpy").asarray(between(b)).flags.aligned


@pytest.mark.parametrize("turned", [False, True], ids=["row", "column"])
def test_a_zero_by_a_matrix_hides_no_nan_nor_infinity(turned):
    x, w = np.zeros((1, 1), np.float32), np.array([[0.0, np.nan, np.inf, -np.inf]], np.float32)
    plain, others = replayed(np.matmul, *((w.T, x) if turned else (x, w)))
    assert np.isnan(plain).sum() == 3
    assert_same(plain, others)
    tiny = np.full((1, 4), -1e-30, np.float32)  # its product is -0.0 by one of NumPy's functions, 0.0 by the other
    plain, others = replayed(np.matmul, *((tiny.T, -tiny[:, :1]) if turned else (-tiny[:, :1], tiny)))
    for other in others:
        np.testing.assert_array_equal(np.signbit(other), np.signbit(plain))


def test_a_zero_example_hides_no_weight_that_is_not_finite():
    network = Network([Dense(4)], loss="mse", inputs=1, check_finite=False)
    network.set_weights({"0.weight": [[0.0, np.nan, 0.0, np.inf]], "0.bias": np.zeros(4)})
    for _ in range(4):
        np.testing.assert_array_equal(network.predict(np.zeros((1, 1))), [[0.0, np.nan, 0.0, np.nan]])


def test_a_number_that_a_function_takes_in_another_type_stays_one():
    x = np.random.default_rng(0).uniform(0.5, 2.0, 50).astype(np.float32)
    assert_same(*replayed(lambda x: np.ldexp(x, -2) * 2.0, x))
    assert_same(*replayed(lambda x: np.float_power(x, 0.7) * 2.0, x))


@pytest.mark.parametrize(
    "function",
    [
        lambda x: np.stack([part * 2.0 for part in np.unstack(x[0])]),
        lambda x: x * np.linalg.slogdet(x + 9.0 * np.eye(3))[1],
        lambda x: x * np.count_nonzero(x > 0.0),
        lambda x: x + (1.0 if np.allclose(x, 1.0) else 2.0),
        lambda x: x + (1.0 if np.array_equal(x, np.ones_like(x)) else 2.0),
        lambda x: x[..., np.argsort(x[0])],
        lambda x: x[1:, np.argmax(x[0])],
    ],
    ids="unstack slogdet count allclose equal indices index".split(),
)
def test_a_value_that_hangs_on_numbers_is_not_that_of_the_recording(function):
    compiled = Compiled(function)
    for x in (np.eye(3), np.eye(3), np.ones((3, 3)), np.eye(3)[::-1] - 2.0, np.arange(9.0).reshape(3, 3)):
        np.testing.assert_array_equal(compiled(x), function(x))


def test_what_writes_by_a_function_writes_once():
    def step(p, g):
        np.copyto(p, p - g)
        return p

    compiled, p = Compiled(step, donated=True), np.zeros(3)
    for k in range(1, 5):
        p = compiled(p, np.ones(3))
        np.testing.assert_array_equal(p, -float(k))
