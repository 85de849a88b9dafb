"""Calls like the last one, which its plan serves at once: only where it is the right one."""

import pickle

import numpy as np
import pytest
from xpnet_backends.on_numpy import argument_checks, compiling, team
from xpnet_backends.on_numpy.compiling import Compiled

from xpnet import DataError, Dense, Network


@pytest.fixture(params=["NumPy's calls", "compiled"], autouse=True)
def plans(request, monkeypatch):
    """Have plans that can raise NumPy's warnings, or plans of compiled code alone."""
    if request.param == "compiled":
        pytest.importorskip("llvmlite")
        monkeypatch.setattr(compiling, "COMPILE_AFTER", -1.0)
    else:
        monkeypatch.setattr("xpnet_backends.on_numpy.writer.available", lambda: False)
    return request.param


def warmed_up(function, *arguments, donated=False):
    """Return a compiled function after some calls, all of which gave what the plain one gives."""
    compiled = Compiled(function, donated)
    for _ in range(4):
        compiled(*arguments)
    return compiled


def plan_of(compiled):
    return compiled._local.fast_path[0]


def test_the_next_call_is_served_at_once(plans, monkeypatch):
    x = np.arange(12.0).reshape(3, 4)
    compiled = warmed_up(lambda x: x * 2.0, x)
    assert plan_of(compiled).is_silent == (plans == "compiled")
    monkeypatch.setattr(compiled, "_call", None)
    np.testing.assert_array_equal(compiled(x + 1.0), (x + 1.0) * 2.0)


TABLE = np.arange(12.0).reshape(3, 4)


OTHERS = {
    "shape": (TABLE.reshape(4, 3), (TABLE, {"a": TABLE})),
    "axes": (TABLE[None], (TABLE, {"a": TABLE})),
    "type": (TABLE.astype("float32"), (TABLE, {"a": TABLE})),
    "bytes": (TABLE.astype(">f8"), (TABLE, {"a": TABLE})),
    "integers": (TABLE.astype("int64"), (TABLE, {"a": TABLE})),
    "order": (np.asfortranarray(TABLE), (TABLE, {"a": TABLE})),
    "strides": (np.arange(24.0).reshape(3, 8)[:, ::2], (TABLE, {"a": TABLE})),
    "other strides": (np.arange(36.0).reshape(3, 12)[:, ::3], (TABLE, {"a": TABLE})),
    "number": (np.float64(3.0), (TABLE, {"a": TABLE})),
    "list": (TABLE, [TABLE, {"a": TABLE}]),
    "longer": (TABLE, (TABLE, {"a": TABLE}, TABLE)),
    "shorter": (TABLE, (TABLE,)),
    "another name": (TABLE, (TABLE, {"b": TABLE})),
    "more names": (TABLE, (TABLE, {"a": TABLE, "b": TABLE})),
    "nothing": (TABLE, (TABLE, {"a": None})),
    "constant": (TABLE, (TABLE, {"a": 2})),
    "another constant": (TABLE, (TABLE, {"a": 3})),
    "truth": (TABLE, (TABLE, {"a": True})),
    "inside": (TABLE, (TABLE, {"a": TABLE.astype("float32")})),
    "fewer arguments": (TABLE,),
    "more arguments": (TABLE, (TABLE, {"a": TABLE}), TABLE),
}


def doubled(*tree):
    """Return a tree with each array and number doubled, and its parts named by their types."""

    def walk(item):
        if isinstance(item, dict):
            return {name: walk(part) for name, part in item.items()}
        if isinstance(item, tuple | list):
            return type(item)(map(walk, item))
        return item if item is None else item * 2

    return walk(tree)


def assert_same(found, expected):
    assert type(found) is type(expected)
    if isinstance(expected, dict):
        assert list(found) == list(expected)
        for name in expected:
            assert_same(found[name], expected[name])
    elif isinstance(expected, tuple | list):
        assert len(found) == len(expected)
        for one, other in zip(found, expected, strict=True):
            assert_same(one, other)
    elif isinstance(expected, np.ndarray):
        assert found.dtype == expected.dtype
        np.testing.assert_array_equal(found, expected)
    else:
        assert found == expected


@pytest.mark.parametrize("other", OTHERS)
def test_what_differs_has_a_plan_of_its_own(other):
    usual, unusual = (TABLE, (TABLE, {"a": TABLE})), OTHERS[other]
    compiled = warmed_up(doubled, *usual)
    for arguments in (unusual, unusual, usual, unusual, unusual, usual, unusual):
        found, expected = compiled(*arguments), doubled(*arguments)
        if other == "number":  # of which a plan makes an array
            found, expected = found[1:], expected[1:]
        assert_same(found, expected)


def test_names_in_another_order_are_other_arguments():
    compiled = warmed_up(lambda tree: np.concatenate([*tree.values()]), {"a": TABLE, "b": 2 * TABLE})
    for _ in range(3):
        found = compiled({"b": 3 * TABLE, "a": TABLE})
        np.testing.assert_array_equal(found, np.concatenate([3 * TABLE, TABLE]))


def double(x):
    return x * 2.0


def test_a_class_that_calculates_in_its_own_way_is_left_to_it():
    compiled = warmed_up(double, TABLE)
    for _ in range(3):
        assert isinstance(compiled(np.ma.masked_array(TABLE, mask=TABLE > 5)), np.ma.MaskedArray)
        assert type(compiled(TABLE)) is np.ndarray


def test_other_strides_are_another_order():
    compiled = warmed_up(double, np.arange(24.0).reshape(3, 8)[:, ::2])
    for x in (np.arange(36.0).reshape(3, 12)[:, ::3], np.arange(24.0).reshape(3, 8)[:, ::2]):
        for _ in range(3):
            np.testing.assert_array_equal(compiled(x), double(x))


def test_numbers_between_the_places_that_their_type_asks_for_are_other_ones():
    compiled = warmed_up(double, TABLE)
    x = np.frombuffer(bytes(1) + TABLE.tobytes(), dtype=np.uint8)[1:].view(TABLE.dtype).reshape(TABLE.shape)
    assert not x.flags.aligned
    assert compiled._local.fast_path[1]((TABLE,)) is not None
    assert compiled._local.fast_path[1]((x,)) is None
    np.testing.assert_array_equal(compiled(x), double(x))


def test_arrays_from_another_process_have_types_of_their_own_that_are_the_same():
    (x,) = pickle.loads(pickle.dumps([TABLE]))
    assert x.dtype is not TABLE.dtype
    for first, then in ((x, TABLE), (TABLE, x)):
        compiled = warmed_up(double, first)
        assert compiled._local.fast_path[1]((then,)) is not None


def test_a_carrys_names_in_another_order_are_moved_to_their_places():
    def step(carry, x):
        return {"a": carry["a"] * 0.5 + np.sum(x), "b": carry["b"] + carry["a"]}, carry["a"] * 1.0

    compiled = Compiled(step, donated=True)
    carry = plain = {"a": np.ones(3), "b": np.zeros(3)}
    for rows in (3, 3, 4, 3, 4, 4, 3, 4, 3):
        if rows == 4:
            carry = {"b": carry["b"], "a": carry["a"]}
        x = np.arange(rows * 2.0).reshape(rows, 2)
        (carry, first), (plain, expected) = compiled(carry, x), step(plain, x)
        np.testing.assert_array_equal(first, expected)
        for name, value in plain.items():
            np.testing.assert_array_equal(carry[name], value)


def step(carry, x):
    state, total = carry
    return (state * 0.5 + np.sum(x, axis=0), total + 1.0), state * 1.0


def test_a_carry_that_is_another_one_is_brought_in():
    compiled = Compiled(step, donated=True)
    carry = plain = (np.ones(4), np.zeros(3))
    for rows in (3, 3, 3, 3, 5, 5, 3, 5, 5, 3, 3):
        x = np.arange(rows * 4.0).reshape(rows, 4)
        (carry, first), (plain, expected) = compiled(carry, x), step(plain, x)
        assert_same(first, expected)
        for found, other in zip(carry, plain, strict=True):
            np.testing.assert_array_equal(found, other)
        if rows == 5:  # as where weights are set between two steps
            carry = (carry[0] + 1.0, carry[1])
            plain = (plain[0] + 1.0, plain[1])


def test_what_was_given_back_is_served_at_once(monkeypatch):
    compiled, carry, x = Compiled(step, donated=True), (np.ones(4), np.zeros(3)), np.ones((3, 4))
    for _ in range(4):
        carry, _ = compiled(carry, x)
    expected, first = step(tuple(array.copy() for array in carry), x)
    monkeypatch.setattr(compiled, "_call", None)
    carry, found = compiled(carry, x)
    assert_same(found, first)
    for one, other in zip(carry, expected, strict=True):
        np.testing.assert_array_equal(one, other)


def test_a_plan_of_another_number_of_threads_is_made_anew(plans, monkeypatch):
    compiled = warmed_up(lambda x: x * 2.0, TABLE)
    plan = plan_of(compiled)
    plan.threads = team.size()
    compiled(TABLE)
    assert plan_of(compiled) is plan
    monkeypatch.setattr(team, "size", lambda: plan.threads + 1)
    np.testing.assert_array_equal(compiled(TABLE), TABLE * 2.0)
    assert plan_of(compiled) is not plan


@pytest.mark.filterwarnings("error")
def test_no_warning_comes_from_a_settled_plan():
    compiled = warmed_up(lambda x: np.log(x) / (x - x), TABLE)
    assert np.isnan(compiled(-TABLE - 1.0)).all()


def test_weights_that_are_set_are_used_at_once():
    network = Network([Dense(5), "relu", Dense(3)], inputs=4, seed=0)
    x = np.ones((1, 4), "float32")
    for _ in range(4):
        before = network.predict(x)
    network.set_weights({name: value * 2.0 for name, value in network.get_weights().items()})
    assert not np.array_equal(network.predict(x), before)
    fresh = Network([Dense(5), "relu", Dense(3)], inputs=4, seed=1)
    fresh.set_weights(network.get_weights())
    np.testing.assert_array_equal(network.predict(x), fresh.predict(x))


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_a_networks_memory_begins_at_a_cache_line(dtype):
    for units in range(2, 7):
        network = Network([Dense(units)], inputs=3, dtype=dtype)
        places = [network.state.params.ctypes.data, network.copy().state.params.ctypes.data]
        network.set_weights(network.get_weights())
        places.append(network.state.params.ctypes.data)
        places.append(network.backend.asarray(np.arange(9_000 + units), dtype=dtype).ctypes.data)
        assert not [place % 64 for place in places if place % 64]


def test_what_is_no_array_is_converted_as_numpy_does():
    asarray = Network([Dense(2)]).backend.asarray
    with pytest.raises(OverflowError):
        asarray([300], dtype=np.uint8)
    assert asarray([[1, 2]], dtype=np.float32).dtype == np.float32
    things = np.empty((2, 3), dtype=object, order="F")
    assert asarray(things).flags.c_contiguous
    assert asarray(things).dtype == object


def test_a_signals_handler_may_call_what_it_has_interrupted(plans):
    """Which happens between two lines of a plan, as after its code has run and before the result has been copied."""
    compiled = Compiled(lambda x: np.exp(x) + 1.0)
    for _ in range(4):
        compiled(TABLE)
    lines = compiled._local.fast_path[0].run.__globals__
    name = "perform" if plans == "compiled" else next(name for name, value in lines.items() if value is np.exp)
    original, inner = lines[name], []

    def interrupted(*arguments, **options):
        result = original(*arguments, **options)
        if not inner:
            inner.append(None)
            inner.append(compiled(TABLE - 1.0))
        return result

    lines[name] = interrupted
    np.testing.assert_array_equal(compiled(TABLE), np.exp(TABLE) + 1.0)
    np.testing.assert_array_equal(inner[1], np.exp(TABLE - 1.0) + 1.0)
    np.testing.assert_array_equal(compiled(TABLE), np.exp(TABLE) + 1.0)


def test_two_forms_of_a_carrys_calls_are_known_by_their_tests(monkeypatch):
    """As an epoch's batches and its last, smaller one; also where it began with a number of NumPy's."""
    compiled = Compiled(lambda carry, x: (carry + np.sum(x), np.sum(x)), donated=True)
    big, small = np.ones((4, 2)), np.ones((3, 2))
    carry = np.float64(0.0)
    for x in [big, big, big, small, small, small]:
        carry, _ = compiled(carry, x)
    for x in [big, small]:
        carry, _ = compiled(np.array(carry), x)
    kept = compiled._cached_plan
    monkeypatch.setattr(compiled, "_cached_plan", lambda *_: pytest.fail("looked up"))
    for x in [big, small, big, big, small]:
        expected = float(carry) + x.size
        carry, _ = compiled(np.array(carry), x)
        assert float(carry) == expected
    monkeypatch.setattr(compiled, "_cached_plan", kept)
    assert len({id(plan) for plan, *_ in compiled._local.recent}) == 2


# Calls whose arguments compiled code checks


@pytest.fixture
def needs_compiled_code(plans):
    if plans != "compiled":
        pytest.skip("without compiled code there are no such calls")


def checked(function, *arguments):
    """Return a compiled function after some calls, from the second on with checks."""
    compiled = Compiled(function)
    assert compiled.checked_call(*arguments) is None
    for _ in range(4):
        compiled(*arguments)
    return compiled


def test_plans_that_are_not_all_compiled_code_serve_no_checked_call(plans):
    compiled = checked(double, TABLE)
    assert (plan_of(compiled).run_checked is None) == (plans != "compiled")
    assert (compiled.checked_call(TABLE) is None) == (plans != "compiled")


@pytest.mark.usefixtures("needs_compiled_code")
@pytest.mark.parametrize("other", OTHERS)
def test_a_checked_call_is_for_arguments_like_the_last_ones(other, monkeypatch):
    usual, unusual = (TABLE, (TABLE, {"a": TABLE})), OTHERS[other]
    compiled = checked(doubled, *usual)
    monkeypatch.setattr(compiled, "_call", None)
    for _ in range(2):
        assert compiled.checked_call(*unusual) is None
        assert_same(compiled.checked_call(*usual), doubled(*usual))


@pytest.mark.filterwarnings("ignore:Setting the shape")  # which NumPy 2.5 deprecates
@pytest.mark.usefixtures("needs_compiled_code")
def test_a_checked_call_is_not_for_other_places_in_memory():
    compiled = checked(double, TABLE)
    shifted = np.frombuffer(bytes(1) + TABLE.tobytes(), dtype=np.uint8)[1:].view(TABLE.dtype).reshape(TABLE.shape)
    masked = np.ma.masked_array(TABLE, mask=TABLE > 5)
    for other in (shifted, masked, TABLE[::-1], TABLE.tolist(), None, object(), 1.0):
        assert compiled.checked_call(other) is None
    assert compiled.checked_call() is None
    x = TABLE.copy()
    assert_same(compiled.checked_call(x), x * 2.0)
    x.shape = (4, 3)
    assert compiled.checked_call(x) is None
    (unpickled,) = pickle.loads(pickle.dumps([TABLE]))
    assert_same(compiled.checked_call(unpickled), TABLE * 2.0)


@pytest.mark.usefixtures("needs_compiled_code")
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("size", [1, 7, 64, 1000])
def test_a_checked_call_is_for_finite_numbers(dtype, size):
    x = np.linspace(-1.0, 1.0, size, dtype=dtype)
    compiled = checked(lambda x: x * 0.5, x)
    limits = np.finfo(dtype)
    for place in {0, size // 2, size - 1}:
        for value in (np.nan, -np.nan, np.inf, -np.inf, limits.max, limits.min, limits.smallest_subnormal, -0.0):
            given = x.copy()
            given[place] = value
            found = compiled.checked_call(given)
            assert (found is not None) == np.isfinite(value)
            if found is not None:
                np.testing.assert_array_equal(found, given * 0.5)


@pytest.mark.usefixtures("needs_compiled_code")
def test_only_the_last_argument_has_to_be_finite():
    compiled = checked(lambda a, b: a + b, TABLE, TABLE)
    assert np.isnan(compiled.checked_call(TABLE * np.nan, TABLE)).all()
    assert compiled.checked_call(TABLE, TABLE * np.nan) is None


@pytest.mark.usefixtures("needs_compiled_code")
@pytest.mark.parametrize(
    ("function", "x"),
    [
        (lambda x: x, TABLE),
        (lambda x: (x * 2.0, x[1:]), TABLE),
        (lambda x: np.cumsum(x), TABLE),
        (double, TABLE[:, ::2]),
        (double, TABLE.astype(int)),
        (double, TABLE > 3.0),
    ],
    ids=["argument", "part of it", "Python", "strides", "integers", "booleans"],
)
def test_some_functions_have_no_checked_call(function, x):
    compiled = checked(function, x)
    assert compiled.checked_call(x) is None
    assert_same(compiled(x), function(x))


@pytest.mark.usefixtures("needs_compiled_code")
def test_where_an_arrays_fields_lie_elsewhere_there_is_no_checked_call(monkeypatch):
    assert argument_checks._layout_is_known()
    monkeypatch.setattr(argument_checks, "FLAGS", argument_checks.AXES)
    argument_checks._layout_is_known.cache_clear()
    compiled = checked(double, TABLE)
    argument_checks._layout_is_known.cache_clear()
    assert compiled.checked_call(TABLE) is None
    assert plan_of(compiled).is_silent


@pytest.mark.usefixtures("needs_compiled_code")
def test_a_plan_that_runs_or_is_of_another_number_of_threads_serves_no_checked_call(monkeypatch):
    compiled = checked(double, TABLE)
    plan = plan_of(compiled)
    plan.is_running = True
    assert compiled.checked_call(TABLE) is None
    plan.is_running, plan.threads = False, team.size() + 1
    assert compiled.checked_call(TABLE) is None
    plan.threads = team.size()
    assert_same(compiled.checked_call(TABLE), TABLE * 2.0)


@pytest.mark.usefixtures("needs_compiled_code")
def test_rows_like_the_last_ones_are_predicted_without_checks_in_python(monkeypatch):
    network = Network([Dense(5), "relu", Dense(3)], loss="mse", inputs=4, seed=0)
    x = np.random.default_rng(0).normal(size=(2, 4)).astype("float32")
    first = network.predict(x)
    for _ in range(4):
        network.predict(x)
    with monkeypatch.context() as patch:
        patch.setattr("xpnet.network.needs_no_checks", lambda *_: pytest.fail("was asked"))
        np.testing.assert_array_equal(network.predict(x), first)
        with pytest.raises(pytest.fail.Exception):
            network.predict(x, batch_size=1)
    x[1, 2] = np.inf
    with pytest.raises(DataError, match=r"x\[1, 2\]"):
        network.predict(x)
    network.check_finite = False
    assert network.predict(x).shape == first.shape


@pytest.mark.usefixtures("needs_compiled_code")
def test_batches_have_the_size_that_is_asked_for_whatever_was_asked_for_before(monkeypatch):
    monkeypatch.setattr("xpnet.network.EVALUATION_ROWS", 4)
    network = Network([Dense(2)], loss="mse", inputs=3, seed=0)
    x = np.ones((9, 3), "float32")
    for _ in range(5):
        network.predict(x, batch_size=9)
        network.compiled.checked("predictions")((network.state.params, network.state.layers), x)
    assert network.compiled.checked("predictions")((network.state.params, network.state.layers), x) is not None
    function, rows = network.compiled.function("predictions"), []
    monkeypatch.setitem(
        network.compiled._functions, "predictions", lambda model, x: (rows.append(len(x)), function(model, x))[1]
    )
    np.testing.assert_array_equal(network._compute("predict", "predictions", x, 4), network.predict(x, batch_size=9))
    assert rows == [4, 4, 1, 9]


@pytest.mark.usefixtures("needs_compiled_code")
def test_forms_that_alternate_have_their_checked_calls_written_once(monkeypatch):
    from xpnet_backends.on_numpy import plan

    original, written = plan.caller_for, []
    monkeypatch.setattr(plan, "caller_for", lambda *arguments: (written.append(1), original(*arguments))[1])
    compiled = checked(double, TABLE)
    for _ in range(8):
        for x in (TABLE[:2], TABLE):
            assert_same(compiled(x), x * 2.0)
            assert_same(compiled.checked_call(x) if len(x) == 3 else x * 2.0, x * 2.0)
    assert len(written) == 2
