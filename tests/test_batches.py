"""Where batches come from: three kinds of source, each giving every row once, in the order that is asked for."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import xpnet
from xpnet import DataError
from xpnet.batches import LONG, PIECES, SECONDS, Epoch, HostRows, Resident, Stream
from xpnet.training import Batch

ROWS = 13
X = np.arange(2.0 * ROWS).reshape(ROWS, 2)
Y = np.arange(ROWS)


class Recorder:
    """Stands for the compiled training functions: the carry is the list of what was trained on."""

    def __init__(self, backend: xpnet.Backend, a_step: float = 0.0) -> None:
        self.backend, self.a_step = backend, a_step

    def seconds(self, rows: int) -> float:
        return self.a_step

    def on_batch(self, carry: list[Any], batch: Batch) -> list[Any]:
        x, y = (self.backend.to_numpy(array) for array in batch[:2])
        np.testing.assert_array_equal(x, X[y])
        return [*carry, y.tolist()]

    def copied(self, batch: Batch) -> Batch:
        return batch

    def on_rows(self, carry: list[Any], data: Batch, plan: Any) -> list[Any]:
        return [*carry, *plan.tolist()]


def place_on(backend: xpnet.Backend) -> Callable[..., Batch]:
    def place(x: Any, y: Any, weights: Any = None) -> Batch:
        return Batch(
            backend.asarray(x, dtype=backend.float),
            backend.asarray(y),
            None if weights is None else backend.asarray(weights, dtype=backend.float),
        )

    return place


def sources(backend: xpnet.Backend, rows: int = ROWS) -> dict[str, Any]:
    place = place_on(backend)
    return {
        "resident": Resident(place(X[:rows], Y[:rows]), backend),
        "host": HostRows((X, Y[:rows], None), place, np.arange(rows)),
    }


@pytest.mark.parametrize("kind", ["resident", "host"])
@pytest.mark.parametrize("size", [1, 4, 12])
def test_an_order_is_cut_into_batches(kind: str, size: int, backend: xpnet.Backend) -> None:
    order = np.random.default_rng(0).permutation(ROWS)
    steps = list(sources(backend)[kind].train(Recorder(backend), [], Epoch(0, order, size), None))
    assert steps[-1][0] == [order[start : start + size].tolist() for start in range(0, ROWS, size)]
    assert sum(done for _, done in steps) == -(-ROWS // size)


@pytest.mark.parametrize("kind", ["resident", "host"])
@pytest.mark.parametrize("size", [ROWS, 100])
def test_a_batch_of_everything_keeps_its_order(kind: str, size: int, backend: xpnet.Backend) -> None:
    order = np.random.default_rng(0).permutation(ROWS)
    ((carry, done),) = sources(backend)[kind].train(Recorder(backend), [], Epoch(0, order, size), None)
    assert (carry, done) == ([Y.tolist()], 1)


@pytest.mark.parametrize("kind", ["resident", "host", "stream"])
def test_each_step_is_announced_and_yielded_where_somebody_listens(kind: str, backend: xpnet.Backend) -> None:
    events: list[Any] = []
    stream = Stream([(X[:5], Y[:5]), (X[5:10], Y[5:10]), (X[10:], Y[10:])], place_on(backend))
    source = (sources(backend) | {"stream": stream})[kind]

    def before(batch: int, carry: list[Any]) -> list[Any]:
        events.append(("before", batch))
        return [*carry, "changed"]

    for carry, done in source.train(Recorder(backend), [], Epoch(0, None, 5), before):
        assert carry[-2] == "changed", "what it returns is gone on with"
        events.append(("after", len(carry) // 2, done))
    expected = [(("before", i), ("after", i + 1, 1)) for i in range(3)]
    assert events == [event for pair in expected for event in pair]


def test_epochs_that_take_long_come_in_pieces_and_others_whole(backend: xpnet.Backend) -> None:
    def pieces(rows: int, a_step: float, longest: int | None = None) -> list[int]:
        x = np.zeros((rows, 2))
        source = Resident(place_on(backend)(x, np.zeros(rows, dtype=int)), backend)
        functions = Recorder(backend, a_step)
        return [done for _, done in source.train(functions, [], Epoch(0, None, 1, longest=longest), None)]

    assert pieces(LONG, 9.0) == [LONG]
    assert pieces(2 * LONG, 9.0) == [2 * LONG // PIECES] * PIECES
    assert pieces(2 * LONG, 1e-4) == [2 * LONG]
    assert pieces(2 * LONG, 4 * SECONDS / (2 * LONG)) == [LONG // 2] * 4
    assert pieces(3 * 67, 2 * SECONDS / (3 * 67)) == [67] * 3, "of one length, so that one is compiled"
    assert pieces(103, 3 * SECONDS / 103) == [35, 35, 33], "where there is none"
    assert pieces(2 * LONG, 1e-4, longest=30) == [30] * 6 + [20]


def test_a_steps_time_is_guessed_by_parameters_and_rows(backend: xpnet.Backend) -> None:
    def seconds(units: int, rows: int) -> float:
        net = xpnet.Network([xpnet.Dense(units), xpnet.Dense(10)], inputs=784, backend=backend)
        return net.compiled.seconds(rows)

    assert 1e-4 <= seconds(1, 10) < 2e-4
    assert 0.001 < seconds(512, 128) < 0.1
    assert seconds(512, 1280) > 5 * seconds(512, 128)


@pytest.mark.parametrize("kind", ["resident", "host"])
@pytest.mark.parametrize("size", [1, 4, 13, 50])
def test_measuring_goes_through_all_rows_in_order(kind: str, size: int, backend: xpnet.Backend) -> None:
    found = [backend.to_numpy(batch.y).tolist() for batch in sources(backend)[kind].batches(size)]
    assert [label for part in found for label in part] == Y.tolist()
    assert [len(part) for part in found] == [min(size, ROWS - start) for start in range(0, ROWS, size)]


def test_chosen_rows_of_the_large_array_belong_to_the_small_ones(backend: xpnet.Backend) -> None:
    chosen = np.array([2, 3, 7, 11])
    source = HostRows((X, Y[chosen], np.ones(4)), place_on(backend), chosen)
    assert source.rows == 4
    for batch in source.batches(3):
        np.testing.assert_array_equal(backend.to_numpy(batch.x), X[backend.to_numpy(batch.y)])
    (carry, _), (carry, _) = source.train(Recorder(backend), [], Epoch(0, np.array([3, 0, 2, 1]), 2), None)
    assert carry == [[11, 2], [7, 3]]


def test_a_stream_starts_anew_each_epoch(backend: xpnet.Backend) -> None:
    calls = []

    def fresh() -> Any:
        calls.append(len(calls))
        return iter([(X, Y)])

    source = Stream(fresh, place_on(backend))
    for _ in range(3):
        assert [carry for carry, _ in source.train(Recorder(backend), [], Epoch(0, None, 1), None)] == [[Y.tolist()]]
    assert calls == [0, 1, 2]
    assert source.rows is None


def test_a_used_up_generator_is_named_with_its_pass(backend: xpnet.Backend) -> None:
    source = Stream(iter([(X, Y)]), place_on(backend))
    assert len(list(source.batches(1))) == 1
    with pytest.raises(DataError, match=r"pass 2.*generator is used up"):
        list(source.batches(1))


@pytest.mark.parametrize("position", [0, 1])
def test_a_list_is_looked_at_before_anything_is_trained_on(position: int, backend: xpnet.Backend) -> None:
    items: list[Any] = [(X, Y), (X, Y)]
    items[position] = (X,)
    with pytest.raises(DataError, match=r"must give \(x, y\) or \(x, y, sample_weight\); got tuple"):
        Stream(items, place_on(backend))


@pytest.mark.parametrize("item", [X, (X,), (X, Y, Y, Y), {"x": X}, "xy", None])
def test_what_is_no_batch_is_refused(item: Any, backend: xpnet.Backend) -> None:
    with pytest.raises(DataError, match=r"must give \(x, y\) or \(x, y, sample_weight\); got "):
        list(Stream(iter([item]), place_on(backend)).batches(1))
