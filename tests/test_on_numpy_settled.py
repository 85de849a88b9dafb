"""Calls like the last one, which its plan serves at once: only where it is the right one."""

import numpy as np
import pytest
from xpnet_backends.on_numpy import compiling, team
from xpnet_backends.on_numpy.compiling import Compiled

from xpnet import Dense, Network


@pytest.fixture(params=["NumPy's calls", "compiled"], autouse=True)
def plans(request, monkeypatch):
    """Have plans that can raise NumPy's warnings, or plans of compiled code alone."""
    if request.param == "compiled":
        pytest.importorskip("llvmlite")
        monkeypatch.setattr(compiling, "PATIENCE", -1.0)
    else:
        monkeypatch.setattr("xpnet_backends.on_numpy.writer.available", lambda: False)
    return request.param


def settled(function, *arguments, donated=False):
    """Return a compiled function after some calls, all of which gave what the plain one gives."""
    compiled = Compiled(function, donated)
    for _ in range(4):
        compiled(*arguments)
    return compiled


def plan_of(compiled):
    return compiled._local.settled[0]


def test_the_next_call_is_served_at_once(plans, monkeypatch):
    x = np.arange(12.0).reshape(3, 4)
    compiled = settled(lambda x: x * 2.0, x)
    assert plan_of(compiled).is_silent == (plans == "compiled")
    monkeypatch.setattr(compiled, "_call", None)
    np.testing.assert_array_equal(compiled(x + 1.0), (x + 1.0) * 2.0)


TABLE = np.arange(12.0).reshape(3, 4)


def mapped(folder):
    """Return a memory-mapped array, which is of a class of its own."""
    np.save(folder / "x.npy", TABLE)
    return np.load(folder / "x.npy", mmap_mode="r")


OTHERS = {
    "shape": lambda folder: (TABLE.reshape(4, 3), (TABLE, {"a": TABLE})),
    "axes": lambda folder: (TABLE[None], (TABLE, {"a": TABLE})),
    "type": lambda folder: (TABLE.astype("float32"), (TABLE, {"a": TABLE})),
    "bytes": lambda folder: (TABLE.astype(">f8"), (TABLE, {"a": TABLE})),
    "integers": lambda folder: (TABLE.astype("int64"), (TABLE, {"a": TABLE})),
    "order": lambda folder: (np.asfortranarray(TABLE), (TABLE, {"a": TABLE})),
    "strides": lambda folder: (np.arange(24.0).reshape(3, 8)[:, ::2], (TABLE, {"a": TABLE})),
    "other strides": lambda folder: (np.arange(36.0).reshape(3, 12)[:, ::3], (TABLE, {"a": TABLE})),
    "class": lambda folder: (mapped(folder), (TABLE, {"a": TABLE})),
    "number": lambda folder: (np.float64(3.0), (TABLE, {"a": TABLE})),
    "list": lambda folder: (TABLE, [TABLE, {"a": TABLE}]),
    "longer": lambda folder: (TABLE, (TABLE, {"a": TABLE}, TABLE)),
    "shorter": lambda folder: (TABLE, (TABLE,)),
    "another name": lambda folder: (TABLE, (TABLE, {"b": TABLE})),
    "more names": lambda folder: (TABLE, (TABLE, {"a": TABLE, "b": TABLE})),
    "nothing": lambda folder: (TABLE, (TABLE, {"a": None})),
    "constant": lambda folder: (TABLE, (TABLE, {"a": 2})),
    "another constant": lambda folder: (TABLE, (TABLE, {"a": 3})),
    "truth": lambda folder: (TABLE, (TABLE, {"a": True})),
    "inside": lambda folder: (TABLE, (TABLE, {"a": TABLE.astype("float32")})),
    "fewer arguments": lambda folder: (TABLE,),
    "more arguments": lambda folder: (TABLE, (TABLE, {"a": TABLE}), TABLE),
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
def test_what_differs_has_a_plan_of_its_own(other, tmp_path):
    usual, unusual = (TABLE, (TABLE, {"a": TABLE})), OTHERS[other](tmp_path)
    compiled = settled(doubled, *usual)
    for arguments in (unusual, unusual, usual, unusual, unusual, usual, unusual):
        found, expected = compiled(*arguments), doubled(*arguments)
        if other in ("class", "number"):  # of which a plan makes plain arrays
            found, expected = found[1:], expected[1:]
        assert_same(found, expected)


def test_names_in_another_order_are_the_same_arguments():
    compiled = settled(lambda tree: tree["a"] - tree["b"], {"a": TABLE, "b": 2 * TABLE})
    np.testing.assert_array_equal(compiled({"b": TABLE, "a": 3 * TABLE}), 2 * TABLE)


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
    compiled = settled(lambda x: x * 2.0, TABLE)
    plan = plan_of(compiled)
    plan.threads = team.size()
    compiled(TABLE)
    assert plan_of(compiled) is plan
    monkeypatch.setattr(team, "size", lambda: plan.threads + 1)
    np.testing.assert_array_equal(compiled(TABLE), TABLE * 2.0)
    assert plan_of(compiled) is not plan


@pytest.mark.filterwarnings("error")
def test_no_warning_comes_from_a_settled_plan():
    compiled = settled(lambda x: np.log(x) / (x - x), TABLE)
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


def test_a_networks_memory_begins_at_a_cache_line():
    for units in range(2, 7):
        network = Network([Dense(units)], inputs=3)
        places = [network.state.params.ctypes.data]
        network.set_weights(network.get_weights())
        places.append(network.state.params.ctypes.data)
        places.append(network.backend.asarray(np.arange(9.0 + units), dtype=np.float32).ctypes.data)
        assert not [place % 64 for place in places if place % 64]
