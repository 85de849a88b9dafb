"""How many plans a function keeps where it meets many forms of arguments, and what is done without one."""

import gc
import weakref

import numpy as np
import pytest
from xpnet_backends.on_numpy import compiling, plan_cache
from xpnet_backends.on_numpy.compiling import Compiled
from xpnet_backends.on_numpy.memory import total_bytes
from xpnet_backends.on_numpy.plan import Plan

from xpnet import Dense, Network


@pytest.fixture(autouse=True)
def patient(monkeypatch):
    """Let no plan be made anew to be compiled, however long its calls take."""
    monkeypatch.setattr(compiling, "COMPILE_AFTER", 1e9)


@pytest.fixture
def made(monkeypatch):
    """Collect the arguments that plans are made of."""
    found = []
    original = Plan.__init__

    def note(plan, function, arguments, *rest, **more):
        found.append(arguments)
        original(plan, function, arguments, *rest, **more)

    monkeypatch.setattr(Plan, "__init__", note)
    return found


def called(compiled, sizes):
    for size in sizes:
        np.testing.assert_array_equal(compiled(np.full(size, 2.0)), np.full(size, 3.0))


def add_one(x):
    return x + 1.0


def test_many_sizes_have_a_plan_each(made):
    compiled = Compiled(add_one)
    sizes = range(1, plan_cache.MOST_KEPT + 1)
    called(compiled, [*sizes, *sizes])
    assert len(made) == plan_cache.MOST_KEPT
    called(compiled, np.random.default_rng(0).permutation([*sizes, *sizes]))
    assert len(made) == plan_cache.MOST_KEPT
    assert len(compiled._local.plans.values()) == plan_cache.MOST_KEPT


def test_the_one_that_was_not_used_for_longest_makes_room(made, monkeypatch):
    monkeypatch.setattr(plan_cache, "MOST_KEPT", 3)
    compiled = Compiled(add_one)
    called(compiled, [1, 1, 2, 2, 3, 3, 1, 4, 4])
    assert len(compiled._local.plans.values()) == 3
    called(compiled, [1, 3, 4])
    assert [len(arguments[0]) for arguments in made] == [1, 2, 3, 4]
    called(compiled, plan_cache.CALLS_UNTIL_REMADE * [2])
    assert [len(arguments[0]) for arguments in made] == [1, 2, 3, 4, 2]


def test_what_had_to_make_room_is_made_again_after_some_calls(made, monkeypatch):
    monkeypatch.setattr(plan_cache, "MOST_KEPT", 3)
    compiled = Compiled(add_one)
    called(compiled, [1, 1, 2, 2, 3, 3, 4, 4])
    called(compiled, [1] * (plan_cache.CALLS_UNTIL_REMADE - 1))
    assert len(made) == 4
    called(compiled, [1])
    assert [len(arguments[0]) for arguments in made] == [1, 2, 3, 4, 1]


def test_more_sizes_than_there_is_room_for_cost_few_plans(made, monkeypatch):
    monkeypatch.setattr(plan_cache, "MOST_KEPT", 20)
    compiled = Compiled(add_one)
    called(compiled, 150 * [*range(1, 41)])
    assert 40 < len(made) <= 40 + 40 * 150 / plan_cache.CALLS_UNTIL_REMADE


def test_large_plans_are_few(monkeypatch):
    monkeypatch.setattr(plan_cache, "ALWAYS_KEPT", 2)
    compiled = Compiled(lambda x: np.sum(x * 2.0, axis=1))
    monkeypatch.setattr(plan_cache, "MAX_BYTES", 5 * 8_000)
    for size in range(100, 109):
        for _ in range(2):
            compiled(np.ones((size, 10)))
    kept = compiled._local.plans.values()
    assert 2 < len(kept) < 6
    assert sum(plan.nbytes for plan in kept) == compiled._local.plans._bytes <= 5 * 8_000
    monkeypatch.setattr(plan_cache, "MAX_BYTES", 0)
    compiled(np.ones((3, 10))), compiled(np.ones((3, 10)))
    assert len(compiled._local.plans.values()) == 2
    assert sum(plan.nbytes for plan in compiled._local.plans.values()) == compiled._local.plans._bytes


def test_plans_without_room_are_let_go_of(monkeypatch):
    monkeypatch.setattr(plan_cache, "MOST_KEPT", 1)
    compiled = Compiled(add_one)
    called(compiled, [1, 1, 1])
    first = weakref.ref(compiled._local.plans.values()[0])
    called(compiled, [2, 2, 2])
    gc.collect()
    assert first() is None


def test_signatures_that_have_no_plan_are_forgotten_in_time(made, monkeypatch):
    monkeypatch.setattr(plan_cache, "MAX_SIGNATURES", 5)
    compiled = Compiled(add_one)
    called(compiled, [1, 2, 3, 4, 5, 6, 1, 1])
    assert [len(arguments[0]) for arguments in made] == [1]
    assert len(compiled._local.plans._calls_left) <= 5


def test_a_plans_memory_is_counted_once_and_without_its_homes():
    x = np.ones((100, 10))
    compiled = Compiled(lambda carry, x: (carry * 0.5 + np.sum(x * 2.0, axis=0), np.sum(x, axis=1)), donated=True)
    carry = np.zeros(10)
    for _ in range(3):
        carry, _ = compiled(carry, x)
    (plan,) = compiled._local.plans.values()
    assert 8 * 1_000 <= plan.nbytes < 8 * 1_000 + 8 * 300
    assert total_bytes([x, x[1:], x[2:].T, "x"]) == x.nbytes


def test_a_network_that_meets_many_sizes_is_planned_for_each(made):
    network = Network([Dense(8), "relu", Dense(2)], inputs=4, seed=0)
    x, y = np.random.default_rng(0).normal(size=(80, 4)), np.arange(80) % 2
    sizes = range(20, 60)
    for _ in range(3):
        for size in sizes:
            network.train_step(x[:size], y[:size])
    before = len(made)
    for size in np.random.default_rng(0).permutation([*sizes, *sizes]):
        network.train_step(x[:size], y[:size])
    assert len(made) == before


def test_memory_is_free_once_nobody_holds_the_network():
    """Without a look for cycles, which the collector takes rarely where arrays are few and large."""
    gc.disable()
    try:
        network = Network([Dense(3), "tanh", Dense(2)], seed=0)
        x, y = np.ones((20, 4), dtype="float32"), np.arange(20) % 2
        for _ in range(4):
            network.train_step(x, y)
            network.predict(x)
        arrays = []
        for name in ("step_loss", "predictions"):
            for plan in network.compiled.function(name)._local.plans.values():
                names = plan.run.__globals__.values()
                arrays += [weakref.ref(value) for value in names if isinstance(value, np.ndarray)]
        assert arrays
        del network, plan, names
        assert [array() for array in arrays] == [None] * len(arrays)
    finally:
        gc.enable()


def test_what_its_test_has_served_is_not_what_makes_room(monkeypatch):
    monkeypatch.setattr(plan_cache, "MOST_KEPT", 3)
    monkeypatch.setattr("xpnet_backends.on_numpy.writer.available", lambda: False)  # no plan waits for code
    compiled = Compiled(lambda carry, x: carry + np.sum(x), donated=True)
    carry = np.zeros(2)
    for size in (1, 1, 1, 2, 2, 2, 3, 3, 1, 1, 1):
        carry = compiled(np.array(carry), np.ones(size))
    hot = next(plan for plan, *_ in compiled._local.recent if plan.donated_buffers)
    for size in (4, 4):
        carry = compiled(np.array(carry), np.ones(size))
    assert hot in compiled._local.plans.values()
