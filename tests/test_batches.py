"""Sources of batches: each of the three kinds gives every row once an epoch, in the requested order."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import xpnet
from xpnet import DataError
from xpnet.batches import MAX_PIECES, MAX_UNCUT_STEPS, MIN_PIECE_SECONDS, DeviceSource, Epoch, HostSource, StreamSource
from xpnet.training import Batch

ROWS = 13
X = np.arange(2.0 * ROWS).reshape(ROWS, 2)
Y = np.arange(ROWS)


class Recorder:
    """Stands in for the compiled functions: the carry is the list of the batches trained on."""

    def __init__(self, backend: xpnet.Backend, seconds: float = 0.0) -> None:
        self.backend, self.seconds = backend, seconds

    def step_seconds(self, rows: int) -> float:
        return self.seconds

    def train_on_batch(self, carry: list[Any], batch: Batch) -> list[Any]:
        x, y = (self.backend.to_numpy(array) for array in batch[:2])
        np.testing.assert_array_equal(x, X[y])
        return [*carry, y.tolist()]

    def copy(self, batch: Batch) -> Batch:
        return batch

    def train_on_rows(self, carry: list[Any], data: Batch, plan: Any) -> list[Any]:
        return [*carry, *plan.tolist()]


def mover(backend: xpnet.Backend) -> Callable[..., Batch]:
    def to_device(x: Any, y: Any, weights: Any = None) -> Batch:
        return Batch(
            backend.asarray(x, dtype=backend.float),
            backend.asarray(y),
            None if weights is None else backend.asarray(weights, dtype=backend.float),
        )

    return to_device


def sources(backend: xpnet.Backend, rows: int = ROWS) -> dict[str, Any]:
    to_device = mover(backend)
    return {
        "device": DeviceSource(to_device(X[:rows], Y[:rows]), backend),
        "host": HostSource((X, Y[:rows], None), to_device, np.arange(rows)),
    }


@pytest.mark.parametrize("kind", ["device", "host"])
@pytest.mark.parametrize("size", [1, 4, 12])
def test_an_order_is_cut_into_batches(kind: str, size: int, backend: xpnet.Backend) -> None:
    order = np.random.default_rng(0).permutation(ROWS)
    steps = list(sources(backend)[kind].train(Recorder(backend), [], Epoch(0, order, size), None))
    assert steps[-1][0] == [order[start : start + size].tolist() for start in range(0, ROWS, size)]
    assert sum(done for _, done in steps) == -(-ROWS // size)


@pytest.mark.parametrize("kind", ["device", "host"])
@pytest.mark.parametrize("size", [ROWS, 100])
def test_a_batch_of_everything_keeps_its_order(kind: str, size: int, backend: xpnet.Backend) -> None:
    order = np.random.default_rng(0).permutation(ROWS)
    ((carry, done),) = sources(backend)[kind].train(Recorder(backend), [], Epoch(0, order, size), None)
    assert (carry, done) == ([Y.tolist()], 1)


@pytest.mark.parametrize("kind", ["device", "host", "stream"])
def test_with_a_function_before_each_batch_every_step_is_yielded(kind: str, backend: xpnet.Backend) -> None:
    events: list[Any] = []
    stream = StreamSource([(X[:5], Y[:5]), (X[5:10], Y[5:10]), (X[10:], Y[10:])], mover(backend))
    source = (sources(backend) | {"stream": stream})[kind]

    def before(batch: int, carry: list[Any]) -> list[Any]:
        events.append(("before", batch))
        return [*carry, "changed"]

    for carry, done in source.train(Recorder(backend), [], Epoch(0, None, 5), before):
        assert carry[-2] == "changed", "the step takes the carry that it returns"
        events.append(("after", len(carry) // 2, done))
    expected = [(("before", i), ("after", i + 1, 1)) for i in range(3)]
    assert events == [event for pair in expected for event in pair]


def test_long_epochs_are_cut_into_pieces_and_short_ones_are_not(backend: xpnet.Backend) -> None:
    def pieces(rows: int, step_seconds: float, longest: int | None = None) -> list[int]:
        x = np.zeros((rows, 2))
        source = DeviceSource(mover(backend)(x, np.zeros(rows, dtype=int)), backend)
        functions = Recorder(backend, step_seconds)
        return [done for _, done in source.train(functions, [], Epoch(0, None, 1, longest_piece=longest), None)]

    assert pieces(MAX_UNCUT_STEPS, 9.0) == [MAX_UNCUT_STEPS]
    assert pieces(2 * MAX_UNCUT_STEPS, 9.0) == [2 * MAX_UNCUT_STEPS // MAX_PIECES] * MAX_PIECES
    assert pieces(2 * MAX_UNCUT_STEPS, 1e-4) == [2 * MAX_UNCUT_STEPS]
    assert pieces(2 * MAX_UNCUT_STEPS, 4 * MIN_PIECE_SECONDS / (2 * MAX_UNCUT_STEPS)) == [MAX_UNCUT_STEPS // 2] * 4
    assert pieces(3 * 67, 2 * MIN_PIECE_SECONDS / (3 * 67)) == [67] * 3, "of one length, so that only one is compiled"
    assert pieces(103, 3 * MIN_PIECE_SECONDS / 103) == [35, 35, 33], "where no equal pieces exist"
    assert pieces(2 * MAX_UNCUT_STEPS, 1e-4, longest=30) == [30] * 6 + [20]


def test_a_steps_time_is_estimated_from_parameters_and_rows(backend: xpnet.Backend) -> None:
    def seconds(units: int, rows: int) -> float:
        net = xpnet.Network([xpnet.Dense(units), xpnet.Dense(10)], inputs=784, backend=backend)
        return net.compiled.step_seconds(rows)

    assert 1e-4 <= seconds(1, 10) < 2e-4
    assert 0.001 < seconds(512, 128) < 0.1
    assert seconds(512, 1280) > 5 * seconds(512, 128)


@pytest.mark.parametrize("kind", ["device", "host"])
@pytest.mark.parametrize("size", [1, 4, 13, 50])
def test_evaluation_goes_through_all_rows_in_order(kind: str, size: int, backend: xpnet.Backend) -> None:
    found = [backend.to_numpy(batch.y).tolist() for batch in sources(backend)[kind].batches(size)]
    assert [label for part in found for label in part] == Y.tolist()
    assert [len(part) for part in found] == [min(size, ROWS - start) for start in range(0, ROWS, size)]


def test_chosen_rows_of_the_large_array_belong_to_the_small_ones(backend: xpnet.Backend) -> None:
    chosen = np.array([2, 3, 7, 11])
    source = HostSource((X, Y[chosen], np.ones(4)), mover(backend), chosen)
    assert source.rows == 4
    for batch in source.batches(3):
        np.testing.assert_array_equal(backend.to_numpy(batch.x), X[backend.to_numpy(batch.y)])
    (carry, _), (carry, _) = source.train(Recorder(backend), [], Epoch(0, np.array([3, 0, 2, 1]), 2), None)
    assert carry == [[11, 2], [7, 3]]


def test_a_stream_is_iterated_over_again_each_epoch(backend: xpnet.Backend) -> None:
    calls = []

    def fresh() -> Any:
        calls.append(len(calls))
        return iter([(X, Y)])

    source = StreamSource(fresh, mover(backend))
    for _ in range(3):
        assert [carry for carry, _ in source.train(Recorder(backend), [], Epoch(0, None, 1), None)] == [[Y.tolist()]]
    assert calls == [0, 1, 2]
    assert source.rows is None


def test_a_used_up_generator_is_named_with_its_pass(backend: xpnet.Backend) -> None:
    source = StreamSource(iter([(X, Y)]), mover(backend))
    assert len(list(source.batches(1))) == 1
    with pytest.raises(DataError, match=r"pass 2.*generator is used up"):
        list(source.batches(1))


def test_a_used_up_generator_of_validation_is_named_as_such() -> None:
    net = xpnet.Network([xpnet.Dense(ROWS)])
    with pytest.raises(DataError, match=r"^validation_data: the iterable of batches gave none in pass 2; a generator"):
        net.fit(X, Y, validation_data=(batch for batch in [(X, Y)]), epochs=2, verbose=0)
    with pytest.raises(DataError, match=r"^validation_data: x as a function must return an iterable .*; got None: a"):
        net.fit(X, Y, validation_data=lambda: None, verbose=0)


@pytest.mark.parametrize("position", [0, 1])
def test_a_list_is_checked_before_training(position: int, backend: xpnet.Backend) -> None:
    items: list[Any] = [(X, Y), (X, Y)]
    items[position] = (X,)
    with pytest.raises(DataError, match=r"must give \(x, y\) or \(x, y, sample_weight\); got tuple"):
        StreamSource(items, mover(backend))


@pytest.mark.parametrize("item", [X, (X,), (X, Y, Y, Y), {"x": X}, "xy", None])
def test_items_that_are_no_batches_are_refused(item: Any, backend: xpnet.Backend) -> None:
    with pytest.raises(DataError, match=r"must give \(x, y\) or \(x, y, sample_weight\); got "):
        list(StreamSource(iter([item]), mover(backend)).batches(1))
