"""fit and evaluate: history, batches, validation, weights, continuation, and every kind of input."""

from __future__ import annotations

import functools
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest

import xpnet
from xpnet import BatchNorm, DataError, Dense, Dropout, Network
from xpnet.data import draw_held_out
from xpnet.weights import read_arrays

RNG = np.random.default_rng(3)
X = RNG.normal(size=(22, 3))
Y = (X[:, 0] + 0.3 * RNG.normal(size=22) > 0).astype(np.int64) + (X[:, 1] > 1)
CLASSES = 3


def make(backend: xpnet.Backend, **arguments: Any) -> Network:
    settings = {"optimizer": xpnet.Adam(0.02), "seed": 5, **arguments}
    return Network([Dense(7), "tanh", Dense(CLASSES)], backend=backend, **settings)


def arrays(net: Network) -> dict[str, bytes]:
    return {name: array.tobytes() for name, array in read_arrays(net).items()}


def assert_same(net: Network, other: Network) -> None:
    """Bit for bit: weights, optimizer, history and counts."""
    assert arrays(net) == arrays(other)
    assert dict(net.history) == dict(other.history)
    assert (net.epochs, net.steps) == (other.epochs, other.steps)


def assert_close(net: Network, other: Network, tolerance: float = 1e-12) -> None:
    for name, array in read_arrays(net).items():
        np.testing.assert_allclose(array, read_arrays(other)[name], rtol=tolerance, atol=tolerance)


# History


def test_weights_weigh_metrics_as_they_weigh_the_loss(backend: xpnet.Backend) -> None:
    still = make(backend, optimizer=xpnet.SGD(1e-300), inputs=3)
    right = backend.to_numpy(still.classify(X)) == Y
    by_class, ones = [1.0, 5.0, 2.0], np.ones(len(Y))
    weights = np.array(by_class)[Y]
    for validation_data in ((X, Y), [(X[:9], Y[:9]), (X[9:], Y[9:])]):
        found = still.fit(X, Y, class_weight=by_class, validation_data=validation_data, verbose=0)
        assert found["accuracy"][0] == pytest.approx(np.average(right, weights=weights))
        assert found["val_accuracy"][0] == pytest.approx(found["accuracy"][0])
        assert found["val_loss"][0] == pytest.approx(found["loss"][0])
    found = still.fit(X, Y, sample_weight=weights, validation_data=(X, Y), verbose=0)
    assert found["accuracy"][0] == pytest.approx(np.average(right, weights=weights))
    assert found["val_accuracy"][0] == pytest.approx(right.mean())
    for given, class_weight in ((weights, None), (weights, "balanced"), (ones, "balanced")):  # given, they count alone
        found = still.fit(X, Y, validation_data=(X, Y, given), class_weight=class_weight, verbose=0)
        assert found["val_accuracy"][0] == pytest.approx(np.average(right, weights=given))


def test_batches_may_come_from_a_sequence_without_an_iterator(backend: xpnet.Backend) -> None:
    class Halves:
        def __getitem__(self, i: int) -> tuple[Any, Any]:
            return (X[12 * i : 12 * i + 12], Y[12 * i : 12 * i + 12]) if i < 2 else [][i]

    net = make(backend, inputs=3)
    net.fit(lambda: Halves(), epochs=2, verbose=0)
    assert net.steps == 4


def test_a_bad_batch_of_an_iterable_is_named(backend: xpnet.Backend) -> None:
    net = make(backend, inputs=3)
    bad = [(X[:8], Y[:8]), (X[8:16], Y[8:16]), (X[16:, :2], Y[16:])]
    for act in (lambda: net.fit(bad, verbose=0), lambda: net.evaluate(bad)):
        with pytest.raises(xpnet.ShapeError, match=r"x must have shape \(N, 3\)") as caught:
            act()
        assert "It is batch 3, counted from 1" in caught.value.__notes__[0]
    assert (net.steps, net.epochs) == (2, 0)


@pytest.mark.parametrize(
    ("function", "error", "said"),
    [
        (lambda: None, DataError, "x as a function must return an iterable of batches .* None: .*`yield` is missing"),
        (lambda: 3, DataError, "x as a function must return an iterable of batches .* got int"),
        (
            lambda size: [],
            xpnet.ConfigurationError,
            r"x as a function takes \(\); .*takes \(size\): write `lambda: an_it",
        ),
    ],
)
def test_a_function_that_gives_no_batches_is_refused(function: Any, error: type[Exception], said: str) -> None:
    net = make(xpnet.open_backend("numpy"), inputs=3)
    for act in (net.fit, net.evaluate):
        with pytest.raises(error, match=said):
            act(function)
    with pytest.raises(error, match=said):
        net.fit(X, Y, validation_data=function, verbose=0)


@pytest.mark.parametrize("kind", [float, np.float64, np.float32])
def test_a_share_is_a_number_of_python_or_numpy(kind: Any) -> None:
    nets = [make(xpnet.open_backend("numpy")) for _ in range(3)]
    for net, share in zip(nets, (0.25, kind(0.25), np.int64(0)), strict=True):
        net.fit(X, Y, validation_split=share, verbose=0)
    assert nets[0].history == nets[1].history
    assert "val_loss" not in nets[2].history


def test_history_has_an_entry_an_epoch_and_the_network_keeps_all(backend: xpnet.Backend) -> None:
    net = make(backend)
    first = net.fit(X, Y, epochs=2, batch_size=8, validation_split=0.2, verbose=0)
    assert {name: len(values) for name, values in first.items()} == dict.fromkeys(
        ["loss", "accuracy", "val_loss", "val_accuracy", "learning_rate"], 2
    )
    assert first.epochs == 2
    second = net.fit(X, Y, epochs=1, batch_size=8, verbose=0)
    assert sorted(second) == ["accuracy", "learning_rate", "loss"]
    assert net.history["loss"] == first["loss"] + second["loss"]
    assert np.isnan(net.history["val_loss"][2])
    assert net.history["val_loss"][:2] == first["val_loss"]
    assert all(isinstance(value, float) for values in net.history.values() for value in values)
    assert net.epochs == 3
    assert net.steps == 2 * 3 + 3  # 18 rows are left after the split: 3 steps of 8; 22 rows: 3


def test_results_do_not_depend_on_whether_callbacks_use_each_epoch(backend: xpnet.Backend) -> None:
    class Watching(xpnet.Callback):
        def on_epoch_end(self, epoch: int, logs: Any) -> None:
            pass

    nets = make(backend), make(backend)
    nets[0].fit(X, Y, epochs=4, batch_size=8, verbose=0)
    nets[1].fit(X, Y, epochs=4, batch_size=8, callbacks=[Watching()], verbose=0)
    assert_same(*nets)


def test_a_result_that_comes_later_has_nan_for_the_epochs_before() -> None:
    history = xpnet.History()
    history.append({"loss": 1.0})
    history.append({"loss": 0.5, "val_loss": 2.0})
    assert history.epochs == 2
    assert np.isnan(history["val_loss"][0])
    assert history["val_loss"][1] == 2.0


def test_no_epochs_build_and_train_nothing(backend: xpnet.Backend) -> None:
    net = make(backend)
    assert net.fit(X, Y, epochs=0, verbose=0) == {}
    assert (net.built, net.steps, net.epochs, dict(net.history)) == (True, 0, 0, {})


def test_the_epochs_loss_is_the_mean_over_its_batches(backend: xpnet.Backend) -> None:
    net = make(backend, optimizer=xpnet.SGD(1e-300))  # does not move, so that every batch sees the same weights
    history = net.fit(X, Y, batch_size=4, verbose=0)
    measured = net.evaluate(X, Y)
    assert history["loss"][0] == pytest.approx(measured["loss"], rel=1e-12)
    assert history["accuracy"][0] == pytest.approx(measured["accuracy"], rel=1e-12)


def test_the_recorded_rate_is_that_of_the_epochs_last_step(backend: xpnet.Backend) -> None:
    schedule = xpnet.InverseTimeDecay(0.1, decay=1.0)
    net = make(backend, optimizer=xpnet.SGD(schedule))
    history = net.fit(X, Y, epochs=2, batch_size=8, verbose=0)
    assert history["learning_rate"] == pytest.approx([0.1 / 3, 0.1 / 6])
    assert net.learning_rate == pytest.approx(0.1 / 7)


# Batches


@pytest.mark.parametrize(("size", "steps"), [(1, 22), (5, 5), (11, 2), (100, 1), (None, 1)])
def test_every_row_is_seen_once_an_epoch(size: int | None, steps: int, backend: xpnet.Backend) -> None:
    net = make(backend, optimizer=xpnet.SGD(1e-300), metrics=[])
    history = net.fit(X, Y, batch_size=size, verbose=0)
    assert net.steps == steps
    assert history["loss"][0] == pytest.approx(net.evaluate(X, Y)["loss"], rel=1e-12)


def test_a_remainder_batch_weighs_what_it_holds(backend: xpnet.Backend) -> None:
    """22 rows in batches of 8, unshuffled, against three steps by hand."""
    net, by_hand = make(backend), make(backend, inputs=3)
    net.fit(X, Y, batch_size=8, shuffle=False, verbose=0)
    for part in (slice(0, 8), slice(8, 16), slice(16, 22)):
        by_hand.train_step(X[part], Y[part])
    assert_close(net, by_hand)


def test_batch_statistics_see_no_padding(backend: xpnet.Backend) -> None:
    layers = [BatchNorm(momentum=0.0), Dense(CLASSES)]
    net = Network(layers, backend=backend, seed=0)
    net.fit(X[:10], Y[:10], batch_size=7, shuffle=False, verbose=0)
    np.testing.assert_allclose(net.get_weights()["0.running_mean"], X[7:10].mean(axis=0), rtol=1e-12)
    np.testing.assert_allclose(net.get_weights()["0.running_variance"], X[7:10].var(axis=0, ddof=1), rtol=1e-12)


def test_shuffling_is_new_each_epoch_and_decided_by_the_seed(backend: xpnet.Backend) -> None:
    orders: dict[int, list[list[float]]] = {}

    class Spy(xpnet.Callback):
        def on_train_batch_end(self, batch: int, logs: Any) -> None:
            losses.append(float(self.network.get_weights()["0.bias"][0]))

    for seed in (5, 6):
        for _ in range(2):
            losses: list[float] = []
            net = Network([Dense(CLASSES)], backend=backend, seed=seed, optimizer=xpnet.SGD(0.1))
            net.fit(X, Y, epochs=2, batch_size=11, callbacks=[Spy()], verbose=0)
            orders.setdefault(seed, []).append(losses)
    assert orders[5][0] == orders[5][1]
    assert orders[5][0] != orders[6][0]


def test_unshuffled_batches_come_in_order(backend: xpnet.Backend) -> None:
    net, streamed = make(backend), make(backend, inputs=3)
    net.fit(X, Y, epochs=2, batch_size=11, shuffle=False, verbose=0)
    streamed.fit([(X[:11], Y[:11]), (X[11:], Y[11:])], epochs=2, verbose=0)
    assert_close(net, streamed)
    assert net.history["loss"] == pytest.approx(streamed.history["loss"], rel=1e-12)


def test_cutting_a_long_epoch_changes_no_number(backend: xpnet.Backend) -> None:
    """More than a hundred steps run in pieces, and one by one with a batch hook: the numbers are the same."""

    class Spy(xpnet.Callback):
        seen = 0

        def on_train_batch_end(self, batch: int, logs: Any) -> None:
            self.seen += 1

    x, y = np.tile(X, (10, 1))[:207], np.tile(Y, 10)[:207]
    spy = Spy()
    pieces, single = make(backend), make(backend)
    pieces.fit(x, y, batch_size=2, verbose=0)
    single.fit(x, y, batch_size=2, callbacks=[spy], verbose=0)
    assert pieces.steps == single.steps == spy.seen == 104
    assert_close(pieces, single)


# Continuation


def test_ten_and_ten_epochs_are_twenty(backend: xpnet.Backend) -> None:
    layers = [Dense(7), BatchNorm(), "relu", Dropout(0.3), Dense(CLASSES)]
    optimizer = xpnet.chain(xpnet.Adam(xpnet.CosineDecay(0.02, 60)), xpnet.ExponentialMovingAverage(0.9))
    twenty, ten = (Network(layers, backend=backend, seed=1, optimizer=optimizer) for _ in range(2))
    twenty.fit(X, Y, epochs=20, batch_size=6, validation_split=0.1, verbose=0)
    for _ in range(2):
        ten.fit(X, Y, epochs=10, batch_size=6, validation_split=0.1, verbose=0)
    assert_same(twenty, ten)


# Validation


def test_a_validation_split_is_drawn_by_the_seed_and_held_out(backend: xpnet.Backend) -> None:
    x = np.arange(20.0)[:, None]
    net = Network([Dense(1)], loss="mse", backend=backend, seed=2, metrics=["mae"])
    net.fit(x, x[:, 0], validation_split=0.25, batch_size=None, verbose=0, epochs=3)
    order = xpnet.random.host_stream(2, "validation").permutation(20)
    held = np.sort(order[:5])
    np.testing.assert_allclose(net.history["val_loss"][-1], net.evaluate(x[held], held * 1.0)["loss"], rtol=1e-12)
    twin = Network([Dense(1)], loss="mse", backend=backend, seed=2, metrics=["mae"])
    rest = np.sort(order[5:])
    twin.fit(x[rest], rest * 1.0, validation_data=(x[held], held * 1.0), batch_size=None, verbose=0, epochs=3)
    assert net.history["val_mae"] == pytest.approx(twin.history["val_mae"], rel=1e-12)
    assert_close(net, twin)


def test_validation_data_may_be_weighted_or_batches(backend: xpnet.Backend) -> None:
    weights = np.linspace(0, 2, 22)
    results = {}
    for name, data in {
        "weighted": (X, Y, weights),
        "batches": [(X[:9], Y[:9], weights[:9]), (X[9:], Y[9:], weights[9:])],
        "function": lambda: iter([(X[:9], Y[:9], weights[:9]), (X[9:], Y[9:], weights[9:])]),
    }.items():
        net = make(backend)
        net.fit(X, Y, epochs=2, validation_data=data, verbose=0)
        assert net.evaluate(X, Y, sample_weight=weights)["loss"] == pytest.approx(
            net.history["val_loss"][-1], rel=1e-12
        )
        results[name] = net.history["val_accuracy"]
    assert results["weighted"] == pytest.approx(results["batches"])
    assert results["weighted"] == pytest.approx(results["function"])


def test_classes_weigh_what_is_held_out_as_what_is_trained_on(backend: xpnet.Backend) -> None:
    """With "balanced", by the examples that are trained on; a class without any there weighs 1."""
    seen, unseen = Y < 2, Y == 2
    still = make(backend, optimizer=xpnet.SGD(1e-300), inputs=3)
    found = still.fit(X[seen], Y[seen], class_weight="balanced", validation_data=(X, Y), verbose=0)
    table = np.append(np.sum(seen) / (2 * np.bincount(Y[seen])), 1.0)
    by_hand = still.evaluate(X, Y, sample_weight=table[Y])
    assert unseen.any()
    assert [found["val_loss"][0], found["val_accuracy"][0]] == pytest.approx([by_hand["loss"], by_hand["accuracy"]])
    for split in (0.0, 0.27):
        given = {} if split else {"validation_data": (X, Y)}
        found = still.fit(
            X, Y, class_weight=[3.0, 1.0, 0.0], sample_weight=Y + 1.0, validation_split=split, **given, verbose=0
        )
        order = held_out(Y, 6) if split else np.arange(len(Y))
        weights = np.array([3.0, 1.0, 0.0])[Y[order]] * (Y[order] + 1.0 if split else 1.0)
        by_hand = still.evaluate(X[order], Y[order], sample_weight=weights)
        assert found["val_loss"][0] == pytest.approx(by_hand["loss"])
    with pytest.raises(DataError, match=r"class_weight .* is 0 for every example that is held out"):
        still.fit(X, np.arange(22) // 21 * 2, class_weight=[0.0, 1.0, 1.0], validation_split=0.27, verbose=0)


def held_out(labels: Any, count: int, seed: int = 5) -> Any:
    """Return the rows that a network of this seed holds out."""
    return np.sort(draw_held_out(labels, count, xpnet.random.host_stream(seed, "validation")))


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("form", ["labels", "one-hot", "one output", "signs"])
def test_a_validation_split_holds_out_each_classs_share(form: str, seed: int) -> None:
    labels = np.zeros(200, dtype=int)
    labels[:6] = 1
    rows = np.random.default_rng(0).normal(size=(200, 3))
    y, outputs, loss = {
        "labels": (labels, 2, "cross_entropy"),
        "one-hot": (np.eye(2)[labels], 2, "cross_entropy"),
        "one output": (labels, 1, "binary_cross_entropy"),
        "signs": (2 * labels - 1, 1, "hinge"),
    }[form]
    net = Network([Dense(outputs)], loss=loss, seed=seed, inputs=3, optimizer=xpnet.SGD(1e-300))
    found = net.fit(rows, y, validation_split=0.1, verbose=0)
    chosen = held_out(labels, 20, seed)
    assert labels[chosen].sum() == 1
    assert found["val_loss"][0] == pytest.approx(net.evaluate(rows[chosen], y[chosen])["loss"], rel=1e-5)


@dataclass(frozen=True)
class Logistic:
    """A loss of a user's own, log(1 + exp(-yz)), whose classes are -1 and 1."""

    metrics: ClassVar[tuple[str, ...]] = ()
    dtype: str
    reduction: str = "mean"

    def __call__(self, scores: Any, targets: Any, xp: Any) -> tuple[Any, Any]:
        signs = xp.astype(xp.reshape(targets, (-1, 1)), scores.dtype)
        losses = xp.log1p(xp.exp(-signs * scores))
        return losses[:, 0], -signs / (1 + xp.exp(signs * scores))

    def check(self, out_shape: Any) -> None:
        pass

    def targets(self, y: Any, out_shape: Any) -> Any:
        return y.astype(self.dtype)

    def link(self, scores: Any, xp: Any) -> Any:
        return 1 / (1 + xp.exp(-scores))

    def classify(self, scores: Any, xp: Any) -> Any:
        return xp.where(scores[:, 0] > 0, 1, -1)


@pytest.mark.parametrize("dtype", ["float64", "int64"])
def test_a_validation_split_takes_the_classes_of_a_loss_of_ones_own(dtype: str, backend: xpnet.Backend) -> None:
    labels = np.zeros(200, dtype=int)
    labels[:20] = 1
    rows, signs = np.random.default_rng(0).normal(size=(200, 3)), 2 * labels - 1
    net = Network([Dense(1)], loss=Logistic(dtype), seed=5, inputs=3, backend=backend, optimizer=xpnet.SGD(1e-300))
    found = net.fit(rows, signs, validation_split=0.1, verbose=0)
    chosen = held_out(labels, 20)
    assert labels[chosen].sum() == 2
    assert found["val_loss"][0] == pytest.approx(net.evaluate(rows[chosen], signs[chosen])["loss"], rel=1e-5)


def test_every_class_is_held_out_by_some_seed() -> None:
    labels = np.repeat(np.arange(10), 5)
    seen = set[int]()
    for seed in range(12):
        chosen = held_out(labels, 5, seed)
        assert len(set(labels[chosen].tolist())) == 5
        seen |= set(labels[chosen].tolist())
    assert seen == set(range(10))


def test_a_class_is_not_held_out_whole_where_others_have_rows() -> None:
    labels = np.append(np.zeros(8, dtype=int), [1, 1])
    for seed in range(9):
        assert np.bincount(labels[held_out(labels, 8, seed)]).tolist() == [7, 1]


def test_a_class_of_one_row_is_trained_on() -> None:
    labels = np.append(np.arange(10) // 5, 2)
    for seed in range(9):
        stream = np.random.default_rng(seed)
        chosen = draw_held_out(labels, 5, stream)
        assert len({*chosen.tolist()}) == 5
        assert sorted(np.bincount(labels[chosen], minlength=3)) == [0, 2, 3]
        assert 10 not in chosen
        assert len(draw_held_out(np.arange(8), 3, stream)) == 3  # each row is a class of its own
    plain = np.random.default_rng(0).permutation(8)[:3]
    np.testing.assert_array_equal(draw_held_out(np.zeros(8, dtype=int), 3, np.random.default_rng(0)), plain)


def test_validation_leaves_training_as_it_is(backend: xpnet.Backend) -> None:
    layers = [Dense(5), BatchNorm(), Dropout(0.5), Dense(CLASSES)]
    watched, alone = (Network(layers, backend=backend, seed=0) for _ in range(2))
    watched.fit(X, Y, epochs=3, batch_size=8, validation_data=(X, Y), verbose=0)
    alone.fit(X, Y, epochs=3, batch_size=8, verbose=0)
    assert arrays(watched) == arrays(alone)


def test_a_schedule_that_gives_0_throughout_is_warned_of() -> None:
    """Once, at the line that calls fit, and not of a schedule that begins or ends with 0."""
    steps = 3  # an epoch has so many
    net = Network([Dense(CLASSES)], optimizer=xpnet.SGD(xpnet.CosineDecay(0.1, 2 * steps)), seed=0)
    net.fit(X, Y, epochs=3, batch_size=8, verbose=0)
    said = r"the schedule CosineDecay\(.*\) gives that at each of the steps 10 to "
    for x, y, last in ((X, Y, "18, all of this call;"), ([(X, Y)], None, "1,000,009;")):
        with pytest.warns(UserWarning, match=said + last) as caught:
            net.copy().fit(x, y, epochs=3, batch_size=8, verbose=0)
        assert [Path(one.filename).name for one in caught] == [Path(__file__).name]
    net.fit(X, Y, epochs=0, verbose=0)


@pytest.mark.parametrize("branches", [False, True])
def test_a_schedule_that_gives_0_at_first_is_not_said_to_give_it_throughout(branches: bool) -> None:
    """Whether it takes one step alone or several; of one that does not, some of many steps are looked at, and told."""

    def fit(first: int, last: int, x: Any = X, y: Any = Y) -> None:
        net = Network([Dense(CLASSES)], optimizer=xpnet.SGD(_Bump(first, last, branches)), inputs=X.shape[1])
        net.fit(x, y, batch_size=1, epochs=2000, verbose=0, callbacks=[_Stop()])

    fit(9, 9)
    fit(1500, 44_000)
    for x, y in ((X, Y), ([(X, Y)], None)):
        with pytest.warns(UserWarning, match="of the steps 1 to 1,000;") if branches else nullcontext():
            fit(1500, 1500, x, y)
    looked_at = "1,000;" if branches else "44,000, all of this call;"
    with pytest.warns(UserWarning, match=f"of the steps 1 to {looked_at}"):
        fit(44_000, 50_000)


@dataclass(frozen=True)
class _Bump:
    """A rate above 0 from one step to another, both counted from 0, alone."""

    first: int
    last: int
    branches: bool

    def __call__(self, step: Any, xp: Any) -> Any:
        if self.branches and xp is np:
            return 0.1 if self.first <= step <= self.last else 0.0
        return xp.where((step >= self.first) & (step <= self.last), 0.1 + 0.0 * step, 0.0 * step)


class _Stop(xpnet.Callback):
    def on_epoch_end(self, epoch: int, logs: Any) -> None:
        self.network.stop_training = True


# Weights


@pytest.mark.parametrize("loss", ["cross_entropy", "hinge"])
def test_a_sample_weight_is_a_repetition(loss: str, backend: xpnet.Backend) -> None:
    times = np.arange(22) % 3
    weighted, repeated = make(backend, loss=loss), make(backend, loss=loss)
    weighted.fit(X, Y, epochs=4, batch_size=None, sample_weight=times, verbose=0)
    repeated.fit(np.repeat(X, times, axis=0), np.repeat(Y, times), epochs=4, batch_size=None, verbose=0)
    assert_close(weighted, repeated, 1e-9)
    assert weighted.history["loss"] == pytest.approx(repeated.history["loss"])
    assert weighted.history["accuracy"] == pytest.approx(repeated.history["accuracy"])


def test_a_class_weight_is_a_repetition_of_its_class(backend: xpnet.Backend) -> None:
    times = np.array([2, 0, 3])
    nets = [make(backend) for _ in range(4)]
    nets[0].fit(np.repeat(X, times[Y], axis=0), np.repeat(Y, times[Y]), epochs=4, batch_size=None, verbose=0)
    nets[1].fit(X, Y, epochs=4, batch_size=None, class_weight={0: 2, 1: 0, 2: 3}, verbose=0)
    nets[2].fit(X, Y, epochs=4, batch_size=None, class_weight=[2, 0, 3], verbose=0)
    nets[3].fit(X, np.eye(3)[Y], epochs=4, batch_size=None, class_weight=times, verbose=0)
    for net in nets[1:]:
        assert_close(nets[0], net, 1e-9)


def test_class_and_sample_weights_multiply(backend: xpnet.Backend) -> None:
    weights = np.linspace(0.5, 2, 22)
    both, one = make(backend), make(backend)
    both.fit(X, Y, class_weight=[1.0, 2.0, 4.0], sample_weight=weights, verbose=0)
    one.fit(X, Y, sample_weight=weights * np.array([1.0, 2.0, 4.0])[Y], verbose=0)
    assert_same(both, one)


def test_balanced_makes_classes_count_alike(backend: xpnet.Backend) -> None:
    balanced, by_hand = make(backend), make(backend)
    counts = np.bincount(Y)
    balanced.fit(X, Y, class_weight="balanced", verbose=0)
    by_hand.fit(X, Y, class_weight=len(Y) / (3 * counts), verbose=0)
    assert_same(balanced, by_hand)


@pytest.mark.parametrize("loss", ["binary_cross_entropy", "hinge"])
def test_class_weights_of_one_output(loss: str, backend: xpnet.Backend) -> None:
    labels = (Y > 0).astype(int)
    nets = [Network([Dense(1)], loss=loss, backend=backend, seed=0) for _ in range(2)]
    nets[0].fit(X, labels, class_weight={1: 3.0}, verbose=0)
    nets[1].fit(X, labels, sample_weight=np.where(labels, 3.0, 1.0), verbose=0)
    assert_same(*nets)


def test_a_soft_target_of_one_output_weighs_as_its_two_classes_do(backend: xpnet.Backend) -> None:
    share = np.linspace(0, 1, 22)
    nets = [Network([Dense(1)], loss="binary_cross_entropy", backend=backend, seed=0) for _ in range(4)]
    nets[0].fit(X, share, class_weight=[1.0, 3.0], verbose=0)
    nets[1].fit(X, share, sample_weight=1.0 + 2.0 * share, verbose=0)
    assert_close(nets[0], nets[1], 1e-12)
    nets[2].fit(X, share**2, class_weight="balanced", verbose=0)
    counts = np.array([22 - np.sum(share**2), np.sum(share**2)])
    nets[3].fit(X, share**2, class_weight=22 / (2 * counts), verbose=0)
    assert_close(nets[2], nets[3], 1e-12)


def test_balanced_lets_a_class_of_less_than_one_example_count_like_the_others(backend: xpnet.Backend) -> None:
    rows = np.tile([0.5, 0.49, 0.01], (22, 1))
    balanced, by_hand = make(backend), make(backend)
    balanced.fit(X, rows, class_weight="balanced", verbose=0)
    by_hand.fit(X, rows, class_weight=1 / (3 * rows[0]), verbose=0)
    assert_close(balanced, by_hand, 1e-12)


def test_the_sum_is_not_divided(backend: xpnet.Backend) -> None:
    net = make(backend, loss=xpnet.CrossEntropy(reduction="sum"), inputs=3)
    mean = make(backend, inputs=3)
    assert net.evaluate(X, Y)["loss"] == pytest.approx(22 * mean.evaluate(X, Y)["loss"], rel=1e-12)
    weights = np.linspace(0, 1, 22)
    assert net.evaluate(X, Y, sample_weight=weights)["loss"] == pytest.approx(
        weights.sum() * mean.evaluate(X, Y, sample_weight=weights)["loss"], rel=1e-12
    )


@pytest.mark.parametrize("size", [1, 5, 22, 4096])
def test_evaluation_does_not_depend_on_the_batch_size(size: int, backend: xpnet.Backend) -> None:
    net = make(backend, inputs=3, metrics=["accuracy", "f1", xpnet.TopKAccuracy(2)])
    assert net.evaluate(X, Y, batch_size=size) == pytest.approx(net.evaluate(X, Y), rel=1e-12)


# Every kind of input. Small integers, which every dtype holds, so that all must train alike, bit for bit.

INTEGERS = (RNG.integers(0, 5, size=(12, 4))).astype(np.float64)
LABELS = np.arange(12) % 3


def strided(x: Any) -> Any:
    wide = np.zeros(tuple(3 * n for n in x.shape))
    every_third = (slice(None, None, 3),) * x.ndim
    wide[every_third] = x
    return wide[every_third]


def readonly(x: Any) -> Any:
    x = x.copy()
    x.flags.writeable = False
    return x


FORMS: dict[str, Callable[[Any], Any]] = {
    "list": lambda x: x.tolist(),
    "tuples": lambda x: tuple(tuple(row) if isinstance(row, list) else row for row in x.tolist()),
    "list of arrays": list,
    **{
        dtype: lambda x, dtype=dtype: x.astype(dtype)
        for dtype in (
            "int8 int16 int32 int64 uint8 uint16 uint32 uint64 float16 float32 longdouble >f8 >f4 >i4 <f8 object"
        ).split()
    },
    "fortran": np.asfortranarray,
    "negative strides": lambda x: np.flip(np.flip(x).copy()),
    "strided": strided,
    "read-only": readonly,
    "subclass": lambda x: x.view(type("Sub", (np.ndarray,), {})),
    "masked without masks": np.ma.asarray,
}


def library(name: str, dtype: str) -> Callable[[Any], Any]:
    def convert(x: Any) -> Any:
        xp = pytest.importorskip(name)
        return xp.asarray(x.astype(dtype) if x.dtype.kind == "f" else x)

    return convert


FORMS |= {
    f"{name} {dtype}": library(name, dtype)
    for name in ("torch", "jax.numpy", "array_api_strict")
    for dtype in ("float32", "int32")
}
FORMS["torch float64"] = library("torch", "float64")
FORMS["pandas"] = lambda x: pytest.importorskip("pandas").DataFrame(x) if x.ndim == 2 else pandas_series(x)


def pandas_series(y: Any) -> Any:
    pandas = pytest.importorskip("pandas")
    return pandas.Series(y, index=range(100, 100 + len(y)))


def small(backend: xpnet.Backend) -> Network:
    return Network([Dense(3)], backend=backend, seed=0, inputs=4, optimizer=xpnet.SGD(0.1))


@pytest.fixture(scope="module")
def trainee(backend: xpnet.Backend) -> Network:
    """One network for all forms, so that nothing is compiled twice."""
    return small(backend)


def trained(net: Network, x: Any, y: Any, **arguments: Any) -> dict[str, bytes]:
    """Return the weights after an epoch from the first ones."""
    net.set_weights(small(net.backend).get_weights())
    net.fit(x, y, batch_size=5, shuffle=False, verbose=0, **arguments)
    return {name: array.tobytes() for name, array in net.get_weights().items()}


@pytest.mark.parametrize("form", FORMS)
def test_every_form_of_the_same_numbers_trains_alike(form: str, trainee: Network) -> None:
    x, y, weights = (FORMS[form](part) for part in (INTEGERS, LABELS, np.ones(12)))
    expected = trained(trainee, INTEGERS, LABELS, sample_weight=np.ones(12))
    assert trained(trainee, x, y, sample_weight=weights) == expected
    assert trainee.evaluate(x, y) == trainee.evaluate(INTEGERS, LABELS)
    host = trainee.backend.to_numpy
    np.testing.assert_array_equal(host(trainee.predict(x)), host(trainee.predict(INTEGERS)))
    for given, before in ((x, INTEGERS), (y, LABELS), (weights, np.ones(12))):
        np.testing.assert_array_equal(np.asarray(given).astype(np.float64), before)


def test_booleans_are_numbers(trainee: Network) -> None:
    x = INTEGERS > 2
    assert trained(trainee, x, LABELS) == trained(trainee, x * 1.0, LABELS)


@pytest.mark.parametrize("targets", ["column", "float", "one-hot", "one-hot integers", "bool one-hot"])
def test_labels_in_every_form(targets: str, trainee: Network) -> None:
    y = {
        "column": LABELS[:, None],
        "float": LABELS * 1.0,
        "one-hot": np.eye(3)[LABELS],
        "one-hot integers": np.eye(3, dtype=int)[LABELS],
        "bool one-hot": np.eye(3, dtype=bool)[LABELS],
    }[targets]
    assert trained(trainee, INTEGERS, y) == trained(trainee, INTEGERS, LABELS)


# Memory-mapped


@pytest.mark.parametrize(("size", "split"), [(1, 0.0), (5, 0.2), (None, 0.0), (100, 0.2)])
def test_a_memory_mapped_array_trains_as_one_in_memory(
    size: int | None, split: float, backend: xpnet.Backend, tmp_path: Path
) -> None:
    np.save(tmp_path / "x.npy", X)
    np.save(tmp_path / "y.npy", Y)
    weights = np.linspace(0.5, 1.5, 22)
    mapped, resident = make(backend), make(backend)
    arguments: dict[str, Any] = {
        "epochs": 2,
        "batch_size": size,
        "validation_split": split,
        "sample_weight": weights,
        "class_weight": "balanced",
        "verbose": 0,
    }
    mapped.fit(np.load(tmp_path / "x.npy", mmap_mode="r"), np.load(tmp_path / "y.npy", mmap_mode="r"), **arguments)
    resident.fit(X, Y, **arguments)
    if backend.name == "jax":  # one step at a time and many in a scan are two compilations
        assert_close(mapped, resident)
    else:
        assert_same(mapped, resident)
    assert mapped.steps == resident.steps


def test_a_memory_mapped_array_is_evaluated_and_predicted(backend: xpnet.Backend, tmp_path: Path) -> None:
    np.save(tmp_path / "x.npy", X)
    mapped = np.load(tmp_path / "x.npy", mmap_mode="r")
    net = make(backend, inputs=3)
    assert net.evaluate(mapped, Y, batch_size=5) == pytest.approx(net.evaluate(X, Y, batch_size=5), rel=1e-12)
    np.testing.assert_array_equal(
        backend.to_numpy(net.predict(mapped, batch_size=5)), backend.to_numpy(net.predict(X, batch_size=5))
    )


# Iterables of batches


class Loader:
    """Like a DataLoader: it has a length, and each iterator begins at the first batch."""

    def __init__(self, wrap: Callable[[Any], Any] = np.asarray) -> None:
        self.wrap, self.passes = wrap, 0

    def __len__(self) -> int:
        return 3

    def __iter__(self) -> Iterator[list[Any]]:
        self.passes += 1
        for start in (0, 8, 16):
            yield [self.wrap(X[start : start + 8]), self.wrap(Y[start : start + 8])]


@pytest.mark.parametrize("kind", ["list", "loader", "function", "torch"])
def test_batches_from_any_iterable(kind: str, backend: xpnet.Backend) -> None:
    loader = Loader(pytest.importorskip("torch").tensor if kind == "torch" else np.asarray)
    given = {"list": list(loader), "function": lambda: iter(loader)}.get(kind, loader)
    streamed, arrays_ = make(backend, inputs=3), make(backend)
    streamed.fit(given, epochs=3, verbose=0)
    arrays_.fit(X, Y, epochs=3, batch_size=8, shuffle=False, verbose=0)
    assert_close(streamed, arrays_)
    assert streamed.steps == 9
    assert streamed.evaluate(given) == pytest.approx(streamed.evaluate(X, Y), rel=1e-12)


def test_batches_carry_weights(backend: xpnet.Backend) -> None:
    weights = np.linspace(0.5, 1.5, 22)
    streamed, arrays_ = make(backend, inputs=3), make(backend)
    streamed.fit([(X[:11], Y[:11], weights[:11]), (X[11:], Y[11:], weights[11:])], class_weight=[1, 2, 3], verbose=0)
    arrays_.fit(X, Y, batch_size=11, shuffle=False, sample_weight=weights, class_weight=[1, 2, 3], verbose=0)
    assert_close(streamed, arrays_)


def test_a_generator_lasts_for_one_epoch_and_says_so(backend: xpnet.Backend) -> None:
    net = make(backend, inputs=3)
    net.fit(iter(Loader()), verbose=0)
    assert (net.epochs, net.steps) == (1, 3)
    with pytest.raises(DataError, match=r"pass 2.*used up after one.*function"):
        net.fit(iter(Loader()), epochs=2, verbose=0)
    assert (net.epochs, net.steps) == (2, 6)  # the first pass of the second call was trained
    net.fit(Loader(), verbose=0)
    assert net.epochs == 3


@pytest.mark.parametrize("class_weight", [None, {0: 2.0}])
@pytest.mark.parametrize("position", [0, 1, 2])
def test_a_batch_of_padding_alone_adds_nothing(position: int, class_weight: Any, backend: xpnet.Backend) -> None:
    ones, batches = np.ones(11), [(X[:11], Y[:11]), (X[11:], Y[11:])]
    weighed: list[Any] = [(x, y, ones) for x, y in batches]
    weighed.insert(position, (X[:4] * 100, Y[:4], np.zeros(4)))
    padded, plain = (make(backend, inputs=3, optimizer=xpnet.SGD(0.1)) for _ in range(2))
    plain_data = [(x, y, ones) for x, y in batches]  # weights, as class weights would weigh what comes without
    padded.fit(weighed, validation_data=weighed, class_weight=class_weight, verbose=0)
    plain.fit(batches, validation_data=plain_data, class_weight=class_weight, verbose=0)
    assert_close(padded, plain)
    for name, values in plain.history.items():
        assert padded.history[name] == pytest.approx(values, rel=1e-12)


def test_a_later_bad_batch_is_refused_when_it_comes(backend: xpnet.Backend) -> None:
    net, by_hand = (make(backend, inputs=3) for _ in range(2))
    with pytest.raises(xpnet.ShapeError, match="expected 11, got 10"):
        net.fit([(X[:11], Y[:11]), (X[11:], Y[12:])], verbose=0)
    by_hand.train_step(X[:11], Y[:11])
    assert_close(net, by_hand)
    assert (net.steps, net.epochs, net.history.epochs) == (1, 0, 0)


def test_rows_that_are_tuples_are_validated_on(backend: xpnet.Backend) -> None:
    rows = tuple(tuple(row) for row in X.tolist())
    net, other = make(backend), make(backend)
    net.fit(X, Y, validation_data=(rows, Y), verbose=0)
    other.fit(X, Y, validation_data=(X, Y), verbose=0)
    assert_same(net, other)


def test_a_streams_first_batch_is_checked_for_nan(backend: xpnet.Backend) -> None:
    net = make(backend, inputs=3)
    bad = X.copy()
    bad[0, 0] = np.nan
    before = arrays(net)
    with pytest.raises(DataError, match="NaN"):
        net.fit([(bad, Y)], verbose=0)
    assert arrays(net) == before


@pytest.mark.parametrize("value", [np.nan, np.inf])
@pytest.mark.parametrize("wrap", [list, lambda batches: lambda: iter(batches)], ids=["list", "function"])
def test_each_batch_that_is_measured_is_checked_for_nan(value: float, wrap: Any, backend: xpnet.Backend) -> None:
    bad = X.copy()
    bad[20, 1] = value
    batches = wrap([(X[:11], Y[:11]), (bad[11:], Y[11:])])
    net = make(backend, inputs=3)
    found = r"x holds (NaN|\+inf): the first is x\[9, 1\]"
    with pytest.raises(DataError, match=found) as caught:
        net.evaluate(batches)
    assert caught.value.__notes__ == ["It is batch 2, counted from 1, of the iterable's pass 1."]
    with pytest.raises(DataError, match=found) as caught:
        net.fit(X, Y, validation_data=batches, verbose=0)
    assert caught.value.__notes__ == ["It is batch 2, counted from 1, of validation_data's pass 1."]
    assert net.history.epochs == 0
    net.check_finite = False
    net.evaluate(batches)


@pytest.mark.parametrize("count", [1, 2, 3, 4])
@pytest.mark.parametrize("rows", [np.asarray, np.ndarray.tolist], ids=["arrays", "lists"])
def test_batches_of_validation_may_be_lists(count: int, rows: Any, backend: xpnet.Backend) -> None:
    parts = np.array_split(np.arange(22), count)
    batches: Any = [[rows(X[part]), rows(Y[part])] for part in parts]
    net, other = make(backend), make(backend)
    found = net.fit(X, Y, validation_data=batches, verbose=0)
    expected = other.fit(X, Y, validation_data=(X, Y), verbose=0)
    assert found["val_loss"] == pytest.approx(expected["val_loss"], rel=1e-12)


@pytest.mark.parametrize("count", [2, 3, 4])
def test_a_list_of_few_rows_and_targets_is_no_list_of_batches(count: int, backend: xpnet.Backend) -> None:
    net, other = make(backend), make(backend)
    for rows in ([*X[:count]], X[:count].tolist()):
        found = net.fit(X, Y, validation_data=[rows, Y[:count].tolist()], verbose=0)
        expected = other.fit(X, Y, validation_data=(X[:count], Y[:count]), verbose=0)
        assert found["val_loss"] == expected["val_loss"]


def test_an_array_on_the_device_stays_there(backend: xpnet.Backend) -> None:
    """Data that already is the backend's is used as it is, and is not written to."""
    x = backend.asarray(X, dtype=backend.float)
    net, host = make(backend), make(backend)
    net.fit(x, backend.asarray(Y), epochs=2, batch_size=8, validation_split=0.2, verbose=0)
    host.fit(X, Y, epochs=2, batch_size=8, validation_split=0.2, verbose=0)
    assert_same(net, host)
    np.testing.assert_array_equal(backend.to_numpy(x), X)


def test_a_function_may_give_the_order(backend: xpnet.Backend) -> None:
    """A function is asked for each epoch's order, also of a single batch, and given the number of rows."""
    asked: list[tuple[int, int]] = []

    def backwards(epoch: int, rows: int) -> np.ndarray:
        asked.append((epoch, rows))
        return np.arange(rows)[::-1]

    net, expected = make(backend), make(backend)
    net.fit(X, Y, epochs=2, batch_size=8, shuffle=backwards, verbose=0)
    expected.fit(X[::-1], Y[::-1], epochs=2, batch_size=8, shuffle=False, verbose=0)
    assert_close(net, expected)
    net.fit(X, Y, batch_size=None, shuffle=backwards, verbose=0)
    assert asked == [(0, len(X)), (1, len(X)), (2, len(X))]


@pytest.mark.parametrize("order", [[0, 1], np.zeros(22, int), np.arange(22.0), "backwards"])
def test_a_result_of_that_function_that_is_no_order_is_refused(order: object) -> None:
    with pytest.raises(xpnet.ConfigurationError, match=r"shuffle's function must return each of 0\.\.21 once"):
        make(xpnet.open_backend("numpy")).fit(X, Y, shuffle=lambda epoch, rows: order, verbose=0)


class Misled(xpnet.Callback):
    """Sets a learning rate, and then one that is none."""

    def on_epoch_begin(self, epoch: int, logs: Any) -> None:
        self.network.learning_rate = 1.0
        self.network.learning_rate = None  # type: ignore[assignment]


@pytest.mark.parametrize(
    "arguments",
    [
        {"shuffle": lambda epoch, rows: np.arange(5)},
        {"callbacks": [xpnet.LearningRateScheduler(lambda epoch, rate: None)]},  # type: ignore[arg-type, return-value]
        {"callbacks": [Misled()]},
    ],
    ids=["shuffle", "schedule", "callback"],
)
def test_a_refusal_before_the_first_step_leaves_the_network_unbuilt(arguments: Any, backend: xpnet.Backend) -> None:
    net, expected = make(backend), make(backend)
    with pytest.raises(xpnet.XpnetError):
        net.fit(X, Y, verbose=0, **arguments)
    assert not net.built
    for each in (net, expected):
        each.fit(X[:, :2], Y, verbose=0)
    assert_same(net, expected)
    assert net.learning_rate == expected.learning_rate
    with pytest.raises(xpnet.XpnetError):
        net.fit(X[:, :2], Y, verbose=0, **arguments)
    assert net.built


# One at a time


def test_a_second_training_of_one_network_is_refused(backend: xpnet.Backend) -> None:
    class Again(xpnet.Callback):
        def on_epoch_end(self, epoch: int, logs: Any) -> None:
            with pytest.raises(xpnet.ConfigurationError, match=r"being trained by another call of fit.* net.copy\(\)"):
                self.network.fit(X, Y, epochs=1, verbose=0)
            self.network.copy().fit(X, Y, epochs=1, verbose=0)

    net, plain = make(backend), make(backend)
    net.fit(X, Y, epochs=3, batch_size=8, callbacks=[Again()], verbose=0)
    plain.fit(X, Y, epochs=3, batch_size=8, verbose=0)
    assert_same(net, plain)
    with pytest.raises(KeyboardInterrupt):
        net.fit(X, Y, shuffle=lambda epoch, rows: (_ for _ in ()).throw(KeyboardInterrupt), verbose=0)
    net.fit(X, Y, verbose=0)


@pytest.mark.parametrize("train", [lambda net: net.fit(X, Y, verbose=0), lambda net: net.train_step(X, Y)])
def test_two_threads_do_not_train_one_network(train: Callable[[Network], Any]) -> None:
    net, began, answers = make(xpnet.open_backend("numpy")), threading.Event(), []

    class Waits(xpnet.Callback):
        def on_train_begin(self, logs: Any) -> None:
            began.set()
            while not answers:
                time.sleep(0.01)

    def second() -> None:
        began.wait(60)
        try:
            train(net)
        except xpnet.ConfigurationError as error:
            answers.append(error)
        answers.append(None)

    thread = threading.Thread(target=second)
    thread.start()
    net.fit(X, Y, epochs=2, callbacks=[Waits()], verbose=0)
    thread.join()
    assert "another thread" in str(answers[0])
    assert (net.epochs, net.history.epochs) == (2, 2)
    assert net.steps == int(net.state.step)
    train(net)


def test_a_callback_that_refuses_to_begin_leaves_the_network_unbuilt(backend: xpnet.Backend) -> None:
    net = make(backend)
    with pytest.raises(xpnet.ConfigurationError, match="folder"):
        net.fit(X, Y, callbacks=[xpnet.ModelCheckpoint("/nowhere/net.safetensors")], verbose=0)
    assert not net.built
    net.fit(X[:, :2], Y, verbose=0)
    with pytest.raises(xpnet.ConfigurationError, match="folder"):
        net.fit(X[:, :2], Y, callbacks=[xpnet.ModelCheckpoint("/nowhere/net.safetensors")], verbose=0)
    assert (net.built, net.epochs) == (True, 1)


@pytest.mark.parametrize("weight", [1e-60, 1e39])
@pytest.mark.parametrize("how", ["sample_weight", "class_weight"])
def test_weights_are_numbers_that_the_network_can_hold(weight: float, how: str, backend32: xpnet.Backend) -> None:
    net = make(backend32, inputs=3)
    before = arrays(net)
    given = {how: np.full(len(X), weight) if how == "sample_weight" else [weight] * CLASSES}
    with pytest.raises(DataError, match=r"float32 holds; got 1e.* Divide all of them by their mean"):
        net.fit(X, Y, verbose=0, **given)
    if how == "sample_weight":
        for method in (net.train_step, net.evaluate):
            with pytest.raises(DataError, match="float32 holds"):
                method(X, Y, **given)
    assert arrays(net) == before
    net.fit(X, Y, verbose=0, sample_weight=np.where(np.arange(len(X)) < 3, weight if weight < 1 else 0.0, 1.0))


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("weight", [1e38, 3e38])
def test_the_sum_of_the_weights_is_a_number_that_the_network_can_hold(
    weight: float, dtype: str, backend32: xpnet.Backend
) -> None:
    net = make(backend32, inputs=3)
    before = arrays(net)
    for method in (functools.partial(net.fit, verbose=0), net.train_step, net.evaluate):
        with pytest.raises(DataError, match=r"must have a sum that float32 holds, up to 3.4e\+38; got weights from"):
            method(X, Y, sample_weight=np.full(len(X), weight, dtype=dtype))
    assert arrays(net) == before


def test_weights_are_checked_before_training_if_rows_stay_in_a_file(tmp_path: Path) -> None:
    path, weights = tmp_path / "x.npy", np.ones(len(X))
    np.save(path, X)
    weights[-1] = 1e39
    net = make(xpnet.open_backend("numpy"), inputs=3)
    with pytest.raises(DataError, match="float32 holds"):
        net.fit(np.load(path, mmap_mode="r"), Y, sample_weight=weights, batch_size=4, shuffle=False, verbose=0)
    assert net.steps == 0
    weights[:-4], weights[-4:] = 1.0, 1e-60  # a batch that weighs nothing
    net.fit(np.load(path, mmap_mode="r"), Y, sample_weight=weights, batch_size=4, shuffle=False, verbose=0)
    assert net.epochs == 1
