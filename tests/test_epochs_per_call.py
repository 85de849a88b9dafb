"""Several epochs in one call, if the backend can and nothing uses the network between them: the same training."""

from __future__ import annotations

import re
from collections.abc import Callable
from copy import deepcopy
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

import xpnet
from tests.pressing import press
from xpnet import Dense, Network, batches, ended_epochs, fitting, history, network, nonfinite_guard
from xpnet.data_adapter import DataAdapter
from xpnet.training import Sums
from xpnet.weights import read_arrays

MAX_EPOCHS = 4
"""Epochs that one call may have in these tests."""

ROWS = 22
X = np.random.default_rng(3).normal(size=(ROWS, 3))
Y = (X[:, 0] > 0).astype(np.int64) + (X[:, 1] > 1)


class Watching(xpnet.Callback):
    """Has a hook for the end of an epoch, so that each epoch is a call of its own."""

    def on_epoch_end(self, epoch: int, logs: Any) -> None:
        self.epoch = epoch


def plain_epochs(opened: xpnet.Backend) -> Callable[..., Any]:
    """Return a ``Backend.epochs`` that is a Python loop."""

    def epochs(step: Callable[..., Any]) -> Callable[..., Any]:
        compiled = opened.compile(step)

        def run(state: Any, start: Any, data: Any, orders: Any, rests: Any, count: Any) -> Any:
            ends = [start] * len(orders)
            for number in range(int(count)):
                rows = [*orders[number], *([] if rests is None else [rests[number]])]
                carry = deepcopy((state, start))  # steps may write to it
                for row in rows:
                    carry = compiled(carry, data, opened.asarray(row))
                state, ends[number] = carry
            return state, Sums(*(opened.xp.stack(parts) for parts in zip(*ends, strict=True)))

        return run

    return epochs


@pytest.fixture(params=["plain", "jax"])
def backend(request: pytest.FixtureRequest, open_backend: Callable[..., xpnet.Backend]) -> xpnet.Backend:
    """Return NumPy with a plain loop, which every machine has, or JAX."""
    opened = open_backend("numpy" if request.param == "plain" else "jax")
    return replace(opened, epochs=plain_epochs(opened)) if request.param == "plain" else opened


@pytest.fixture
def calls(backend: xpnet.Backend, monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Let a call have up to :data:`MAX_EPOCHS` epochs, and return a list that records how many each call has."""
    monkeypatch.setattr(batches, "MAX_CALL_ROWS", MAX_EPOCHS * ROWS)
    monkeypatch.setattr(batches, "MAX_CALL_SECONDS", 1e9)
    seen: list[int] = []
    train = batches.DeviceSource.train_epochs

    def counted(self: Any, functions: Any, state: Any, given: Any) -> Any:
        seen.append(len(given))
        return train(self, functions, state, given)

    monkeypatch.setattr(batches.DeviceSource, "train_epochs", counted)
    return seen


def make(backend: xpnet.Backend, **arguments: Any) -> Network:
    settings = {"optimizer": xpnet.Adam(0.02), "seed": 5, **arguments}
    return Network([Dense(7), "softplus", Dense(3)], backend=backend, **settings)


def assert_same(net: Network, other: Network) -> None:
    """Bit for bit: weights, optimizer, history and counts."""
    mine, others = ({name: a.tobytes() for name, a in read_arrays(each).items()} for each in (net, other))
    assert mine == others
    assert dict(net.history) == dict(other.history)
    assert (net.epochs, net.steps) == (other.epochs, other.steps)


@pytest.mark.parametrize("size", [6, 11, 16])
@pytest.mark.parametrize("shuffle", [True, False])
def test_training_is_the_same_as_epoch_by_epoch(
    size: int, shuffle: bool, backend: xpnet.Backend, calls: list[int]
) -> None:
    """With and without a smaller last batch, also after one whole batch, and for any number of epochs."""
    rate = xpnet.CosineDecay(0.05, 60, final=0.001)
    net, watched = (make(backend, optimizer=xpnet.Adam(rate), metrics=["accuracy"]) for _ in range(2))
    weights = np.linspace(0.5, 2.0, ROWS)
    for count in (2 * MAX_EPOCHS + 3, MAX_EPOCHS, 1):
        found = net.fit(
            X, Y, epochs=count, batch_size=size, shuffle=shuffle, sample_weight=weights, callbacks=[xpnet.Callback()],
            verbose=0,
        )  # fmt: skip
        expected = watched.fit(
            X, Y, epochs=count, batch_size=size, shuffle=shuffle, sample_weight=weights, callbacks=[Watching()],
            verbose=0,
        )  # fmt: skip
        assert dict(found) == dict(expected)
        assert_same(net, watched)
    assert len(set(net.history["learning_rate"])) == net.epochs
    assert calls == ([MAX_EPOCHS, MAX_EPOCHS, 3, MAX_EPOCHS, 1] if 2 * size <= ROWS else [])


@pytest.mark.parametrize(
    "watching",
    [
        {"callbacks": [Watching()]},
        {"validation_split": 0.2},
        {"verbose": 2},
        {"on_nonfinite": "skip"},
        {"shuffle": lambda epoch, rows: np.arange(rows)},
        {"batch_size": ROWS},
    ],
    ids=["callback", "validation", "lines", "skip", "shuffle function", "one batch"],
)
def test_epochs_are_calls_of_their_own_if_something_uses_each(
    watching: dict[str, Any], backend: xpnet.Backend, calls: list[int]
) -> None:
    net = make(backend)
    net.fit(X, Y, **{"epochs": MAX_EPOCHS, "batch_size": 6, "verbose": 0, **watching})
    assert (net.epochs, calls) == (MAX_EPOCHS, [])


def test_a_saved_run_is_saved_epoch_by_epoch(backend: xpnet.Backend, calls: list[int], tmp_path: Any) -> None:
    net = make(backend)
    net.fit(X, Y, epochs=MAX_EPOCHS, batch_size=6, verbose=0, checkpoint=tmp_path / "run")
    assert (net.epochs, calls) == (MAX_EPOCHS, [])


def test_a_call_has_as_many_epochs_as_take_a_fifth_of_a_second(backend: xpnet.Backend) -> None:
    """By an estimate, so that calls are alike on every machine, and only so many that their orders fit in memory."""
    net = make(backend, inputs=3)
    source = DataAdapter(net).open(X, Y, None)
    assert source.max_epochs_per_call(net.compiled, 2) == int(0.2 / (11 * net.compiled.step_seconds(2)))
    assert source.max_epochs_per_call(net.compiled, ROWS) == 1
    large = Network([Dense(500), Dense(500), Dense(3)], backend=backend, inputs=3)
    long = DataAdapter(net).open(np.zeros((400_000, 3)), np.zeros(400_000, dtype=np.int64), None)
    assert long.max_epochs_per_call(net.compiled, 200_000) == 2
    assert long.max_epochs_per_call(large.compiled, 200_000) == 1
    plain = make(replace(backend, epochs=None), inputs=3)
    assert DataAdapter(plain).open(X, Y, None).max_epochs_per_call(plain.compiled, 2) == 1


@pytest.mark.parametrize("bad", [1, 9, 15, 29])
def test_the_error_names_the_same_step_as_epoch_by_epoch(bad: int, backend: xpnet.Backend, calls: list[int]) -> None:
    """Wherever in a call the step is, the network is as before it, and the epochs before it have their results."""
    rate = xpnet.PiecewiseConstant((bad,), (0.02, 1e300))
    net, watched = (make(backend, optimizer=xpnet.SGD(rate)) for _ in range(2))
    with pytest.raises(xpnet.NonFiniteError) as raised:
        net.fit(X, Y, epochs=9, batch_size=6, verbose=0)
    with pytest.raises(xpnet.NonFiniteError) as other:
        watched.fit(X, Y, epochs=9, batch_size=6, verbose=0, callbacks=[Watching()])
    assert str(raised.value) == str(other.value)
    assert net.steps >= bad
    assert_same(net, watched)
    assert calls


def test_an_ignored_step_ruins_what_follows(backend: xpnet.Backend, calls: list[int]) -> None:
    rate = xpnet.PiecewiseConstant((9,), (0.02, 1e300))
    net = make(backend, optimizer=xpnet.SGD(rate))
    with np.errstate(all="ignore"):
        found = net.fit(X, Y, epochs=9, batch_size=6, verbose=0, on_nonfinite="ignore")
    assert found.epochs == 9
    assert np.isfinite(found["loss"][:2]).all()
    assert not np.isfinite(found["loss"][-1])


@pytest.mark.parametrize("within", ["the whole training", "a call's end"])
def test_an_interruption_loses_no_epoch(within: str, backend: xpnet.Backend, calls: list[int]) -> None:
    """Wherever Ctrl-C comes in xpnet's own code, history, counts and weights agree, and training goes on from there."""
    files = {module.__file__ for module in (batches, ended_epochs, fitting, history, network, nonfinite_guard)}
    ending = {"_train_epochs", "take_state", "add"}

    def chosen(code: Any) -> bool:
        return code.co_filename in files and (within == "the whole training" or code.co_name in ending)

    whole = make(backend)
    train(whole)
    lines = press(lambda: train(make(backend, inputs=3)), 0, chosen)
    for line in range(1, lines, max(1, lines // 40)):
        net = make(backend, inputs=3)
        press(lambda net=net: train(net), line, chosen)
        assert net.history.epochs == net.epochs
        assert int(backend.to_numpy(net.state.step)) == net.steps == 4 * net.epochs
        net.fit(X, Y, epochs=3 * MAX_EPOCHS - net.epochs, batch_size=6, verbose=0)
        assert_same(net, whole)


def train(net: Network) -> None:
    net.fit(X, Y, epochs=3 * MAX_EPOCHS, batch_size=6, verbose=0)


def test_a_lost_device_stopped_within_an_epoch(
    backend: xpnet.Backend, calls: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The note counts no more batches than an epoch has, though a call has more."""

    def lost(*arguments: Any) -> Any:
        raise xpnet.BackendError("the device is gone")

    net = make(backend, inputs=3)
    monkeypatch.setattr(type(net.compiled), "results", lost)
    with pytest.raises(xpnet.BackendError) as raised:
        net.fit(X, Y, epochs=9, batch_size=6, verbose=0)
    assert re.search("stopped in epoch 1 of 9 after [04] of 4 batches", raised.value.__notes__[0])
