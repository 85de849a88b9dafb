"""Callbacks: names and order as Keras has them, each one that comes with the library, and your own."""

from __future__ import annotations

import json
import os
import signal
import threading
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import xpnet
from xpnet import Callback, ConfigurationError, Dense, Network

RNG = np.random.default_rng(1)
X = RNG.normal(size=(20, 3))
Y = (X[:, 0] > 0).astype(int)


def make(backend: xpnet.Backend, **arguments: Any) -> Network:
    return Network([Dense(5), "tanh", Dense(2)], backend=backend, **{"seed": 0, **arguments})


class Diary(Callback):
    def __init__(self) -> None:
        self.lines: list[Any] = []

    def on_train_begin(self, logs: Any) -> None:
        self.lines.append("train begin")

    def on_train_end(self, logs: Any) -> None:
        self.lines.append(("train end", sorted(logs)))

    def on_epoch_begin(self, epoch: int, logs: Any) -> None:
        self.lines.append(("epoch begin", epoch))

    def on_epoch_end(self, epoch: int, logs: Any) -> None:
        self.lines.append(("epoch end", epoch, sorted(logs)))

    def on_test_begin(self, logs: Any) -> None:
        self.lines.append("test begin")

    def on_test_end(self, logs: Any) -> None:
        self.lines.append(("test end", sorted(logs)))


class BatchDiary(Diary):
    def on_train_batch_begin(self, batch: int, logs: Any) -> None:
        self.lines.append(("batch begin", batch, self.network.steps, dict(logs)))

    def on_train_batch_end(self, batch: int, logs: Any) -> None:
        self.lines.append(("batch end", batch, self.network.steps, dict(logs)))


RESULTS = ["accuracy", "learning_rate", "loss"]
WITH_VALIDATION = sorted([*RESULTS, "val_loss", "val_accuracy"])


def test_hooks_are_called_in_keras_order(backend: xpnet.Backend) -> None:
    diary = Diary()
    net = make(backend)
    net.fit(X, Y, epochs=2, validation_data=(X, Y), callbacks=[diary], verbose=0)
    epochs = [
        [
            ("epoch begin", epoch),
            "test begin",
            ("test end", ["accuracy", "loss"]),
            ("epoch end", epoch, WITH_VALIDATION),
        ]
        for epoch in (0, 1)
    ]
    assert diary.lines == ["train begin", *epochs[0], *epochs[1], ("train end", WITH_VALIDATION)]
    diary.lines.clear()
    net.fit(X, Y, callbacks=[diary], verbose=0)
    assert diary.lines == ["train begin", ("epoch begin", 2), ("epoch end", 2, RESULTS), ("train end", RESULTS)]


@pytest.mark.parametrize(
    ("name", "meant"),
    [("on_epoch_ends", "on_epoch_end"), ("on_batch_end", "on_train_batch_end")],
)
def test_a_method_that_is_nearly_a_hook_is_warned_of(name: str, meant: str) -> None:
    net = make(xpnet.open_backend("numpy"))
    callback = type("Mine", (Callback,), {name: lambda self, *given: 1 / 0})()
    with pytest.warns(UserWarning, match=f"Mine.{name} is never called; did you mean 'on_"):
        net.fit(X, Y, callbacks=[callback], verbose=0)


def test_a_callbacks_own_methods_and_attributes_are_its_own() -> None:
    class Improving(xpnet.EarlyStopping):
        on_done, on_exception = print, ValueError

        class on_event:
            pass

        @property
        def on_epoch_ended(self) -> None:
            raise RuntimeError("looked at")

        def on_improvement(self) -> None:
            raise RuntimeError("called")

    with warnings.catch_warnings():
        warnings.simplefilter("error")
        make(xpnet.open_backend("numpy")).fit(X, Y, callbacks=[Improving("loss")], verbose=0)


def test_hooks_of_an_object_are_hooks_as_those_of_its_class(backend: xpnet.Backend) -> None:
    class Given(Callback):
        def __init__(self, **hooks: Any) -> None:
            vars(self).update(hooks)

    seen: list[Any] = []
    net = make(backend, inputs=3)

    def look(epoch: int, logs: dict[str, float]) -> None:
        seen.append((epoch, net.epochs, net.steps))
        net.stop_training = epoch == 1

    net.fit(X, Y, epochs=6, batch_size=8, callbacks=[Given(on_epoch_end=look)], verbose=0)
    assert seen == [(0, 1, 3), (1, 2, 6)]
    assert net.epochs == 2
    net.fit(X, Y, batch_size=8, callbacks=[Given(on_train_batch_end=lambda batch, logs: seen.append(batch))], verbose=0)
    assert seen[2:] == [0, 1, 2]


def batches(size: int) -> list[tuple[Any, Any]]:
    return [(X[start : start + size], Y[start : start + size]) for start in range(0, len(X), size)]


@pytest.mark.parametrize("source", ["arrays", "all at once", "mapped", "batches"])
def test_batch_hooks_surround_every_step(source: str, backend: xpnet.Backend, tmp_path: Path) -> None:
    diary = BatchDiary()
    net = make(backend, inputs=3)
    steps = 1 if source == "all at once" else 3
    if source == "batches":
        net.fit(batches(8), epochs=2, callbacks=[diary], verbose=0)
    else:
        np.save(tmp_path / "x.npy", X)
        x = np.load(tmp_path / "x.npy", mmap_mode="r") if source == "mapped" else X
        net.fit(x, Y, epochs=2, batch_size=None if steps == 1 else 8, callbacks=[diary], verbose=0)
    expected: list[Any] = ["train begin"]
    for epoch in (0, 1):
        expected.append(("epoch begin", epoch))
        for batch in range(steps):
            done = epoch * steps + batch
            expected += [("batch begin", batch, done, {}), ("batch end", batch, done + 1, {})]
        expected.append(("epoch end", epoch, RESULTS))
    assert diary.lines == [*expected, ("train end", RESULTS)]


def test_callbacks_are_called_in_their_order_and_share_the_logs(backend: xpnet.Backend) -> None:
    class Adds(Callback):
        def on_epoch_end(self, epoch: int, logs: dict[str, float]) -> None:
            logs["distance"] = 10.0 - epoch

    stopper = xpnet.EarlyStopping("distance", patience=1, mode="max")
    net = make(backend)
    history = net.fit(X, Y, epochs=9, callbacks=[Adds(), stopper], verbose=0)
    assert history["distance"] == [10.0, 9.0]
    with pytest.raises(ConfigurationError, match="monitor='distance'"):
        net.fit(X, Y, callbacks=[stopper, Adds()], verbose=0)


def test_what_is_monitored_without_validation_is_mended_in_fit_or_in_an_estimator(backend: xpnet.Backend) -> None:
    with pytest.raises(
        ConfigurationError, match=r"'val_loss' is not among .*validation_split or validation_data .*XPClass"
    ):
        make(backend).fit(X, Y, callbacks=["early_stopping"], verbose=0)
    sklearn = pytest.importorskip("xpnet.sklearn", exc_type=ImportError)
    with pytest.raises(
        ConfigurationError, match=r"'val_loss' is not among .*XPRegressor validation_fraction"
    ) as caught:
        sklearn.XPClassifier(callbacks=["early_stopping"]).fit(X, Y)
    assert "MLPRegressor early_stopping=True" in str(caught.value)


def test_your_own_may_change_the_network(backend: xpnet.Backend) -> None:
    class Zeroes(Callback):
        def on_epoch_end(self, epoch: int, logs: Any) -> None:
            self.network.set_weights({"0.bias": np.zeros(5)})

    net = make(backend)
    net.fit(X, Y, epochs=2, callbacks=[Zeroes()], verbose=0)
    np.testing.assert_array_equal(net.get_weights()["0.bias"], np.zeros(5))


@pytest.mark.parametrize(("hook", "steps"), [("on_epoch_end", 3), ("on_train_batch_end", 1)])
def test_stop_training_acts_after_the_hook_and_is_forgotten(hook: str, steps: int, backend: xpnet.Backend) -> None:
    class Stops(Callback):
        pass

    def stop(self: Callback, *arguments: Any) -> None:
        self.network.stop_training = True

    setattr(Stops, hook, stop)
    net = make(backend)
    history = net.fit(X, Y, epochs=5, batch_size=8, validation_data=(X, Y), callbacks=[Stops()], verbose=0)
    assert (history.epochs, net.epochs, net.steps) == (1, 1, steps)
    assert sorted(history) == WITH_VALIDATION
    assert net.fit(X, Y, epochs=2, verbose=0).epochs == 2


SOURCES = ["arrays", "mapped", "batches"]


def fit_from(source: str, net: Network, folder: Path, callback: Callback, **arguments: Any) -> xpnet.History:
    """Train on X and Y in batches of 8, in their order."""
    if source == "batches":
        return net.fit(batches(8), callbacks=[callback], verbose=0, **arguments)
    np.save(folder / "x.npy", X)
    x = np.load(folder / "x.npy", mmap_mode="r") if source == "mapped" else X
    return net.fit(x, Y, batch_size=8, shuffle=False, callbacks=[callback], verbose=0, **arguments)


@pytest.mark.parametrize("source", SOURCES)
@pytest.mark.parametrize("hook", ["on_train_batch_begin", "on_train_batch_end"])
def test_a_rate_set_between_batches_acts_from_the_next_step(
    hook: str, source: str, backend: xpnet.Backend, tmp_path: Path
) -> None:
    class Sets(Callback):
        pass

    shown: list[float] = []

    def step(self: Any, batch: int, logs: Any) -> None:
        self.network.learning_rate = 0.1 * 0.5**self.network.steps
        shown.append(self.network.learning_rate)

    setattr(Sets, hook, step)
    net, by_hand = (make(backend, optimizer=xpnet.SGD(0.1), inputs=3) for _ in range(2))
    history = fit_from(source, net, tmp_path, Sets(), epochs=2)
    for x, y in 2 * batches(8):
        by_hand.learning_rate = 0.1 * 0.5**by_hand.steps
        by_hand.train_step(x, y)
    for name, array in by_hand.get_weights().items():
        np.testing.assert_allclose(net.get_weights()[name], array, rtol=1e-12, atol=1e-15)
    first = hook == "on_train_batch_end"
    assert shown == pytest.approx([0.1 * 0.5 ** (i + first) for i in range(6)])
    assert history["learning_rate"] == pytest.approx([0.1 * 0.5**2, 0.1 * 0.5**5]), "the rate of the last step"


@pytest.mark.parametrize("source", SOURCES)
@pytest.mark.parametrize("hook", ["on_train_batch_begin", "on_train_batch_end"])
def test_weights_set_between_batches_are_trained_on(
    hook: str, source: str, backend: xpnet.Backend, tmp_path: Path
) -> None:
    class Sets(Callback):
        pass

    weights = {"0.weight": np.full((3, 5), 0.25), "2.bias": np.ones(2)}

    def put(self: Any, batch: int, logs: Any) -> None:
        if batch == 1:
            self.network.set_weights(weights)

    setattr(Sets, hook, put)
    net, by_hand = (make(backend, optimizer=xpnet.SGD(0.1), inputs=3) for _ in range(2))
    fit_from(source, net, tmp_path, Sets())
    for number, (x, y) in enumerate(batches(8)):
        if number == (1 if hook == "on_train_batch_begin" else 2):
            by_hand.set_weights(weights)
        by_hand.train_step(x, y)
    for name, array in by_hand.get_weights().items():
        np.testing.assert_allclose(net.get_weights()[name], array, rtol=1e-12, atol=1e-15)


@pytest.mark.parametrize("source", SOURCES)
def test_a_step_of_your_own_between_batches_counts(source: str, backend: xpnet.Backend, tmp_path: Path) -> None:
    class Steps(Callback):
        def on_train_batch_end(self, batch: int, logs: Any) -> None:
            self.network.train_step(X, Y)

    net, by_hand = (make(backend, inputs=3) for _ in range(2))
    fit_from(source, net, tmp_path, Steps())
    for x, y in batches(8):
        by_hand.train_step(x, y)
        by_hand.train_step(X, Y)
    assert int(backend.to_numpy(net.state.step)) == net.steps == 6
    for name, array in by_hand.get_weights().items():
        np.testing.assert_allclose(net.get_weights()[name], array, rtol=1e-12, atol=1e-15)


@pytest.mark.parametrize(
    ("name", "value"), [("note", "text"), ("note", "1"), ("note", None), ("note", [1, 2]), (5, 1.0)]
)
def test_what_is_no_number_in_the_logs_is_named(name: Any, value: Any, backend: xpnet.Backend) -> None:
    class Notes(Callback):
        def on_epoch_end(self, epoch: int, logs: Any) -> None:
            logs["fine"] = 2
            logs[name] = value

    net = make(backend)
    with pytest.raises(ConfigurationError, match=r"logs must hold a number.*Notes.on_epoch_end left") as caught:
        net.fit(X, Y, epochs=2, callbacks=[Notes()], verbose=0)
    assert repr(name) in str(caught.value)
    assert repr(value) in str(caught.value)
    assert net.history.epochs == net.epochs == 1
    assert sorted(net.copy().history) == RESULTS
    net.fit(X, Y, verbose=0)
    assert {len(values) for values in net.history.values()} == {2}


def test_numbers_of_any_kind_in_the_logs_are_pythons(backend: xpnet.Backend, tmp_path: Path) -> None:
    class Notes(Callback):
        def on_epoch_end(self, epoch: int, logs: Any) -> None:
            logs |= {"a": np.float32(0.5), "b": backend.asarray(np.asarray(0.25)), "c": 2}

    logger = xpnet.JSONLinesLogger(tmp_path / "history.jsonl")
    net = make(backend)
    history = net.fit(X, Y, callbacks=[Notes(), logger], verbose=0)
    assert (history["a"], history["b"], history["c"]) == ([0.5], [0.25], [2.0])
    assert all(type(values[0]) is float for values in net.history.values())
    assert json.loads((tmp_path / "history.jsonl").read_text())["a"] == 0.5


# Early stopping


class Scripted(Callback):
    """Puts prepared numbers into the logs, and remembers the weights of every epoch."""

    def __init__(self, values: list[float]) -> None:
        self.values, self.weights = values, []

    def on_epoch_end(self, epoch: int, logs: dict[str, float]) -> None:
        logs["watched"] = self.values[epoch - self.network.epochs + len(self.weights) + 1]
        self.weights.append(self.network.get_weights())


def run(backend: xpnet.Backend, values: list[float], callback: Callback) -> tuple[Network, Scripted]:
    script, net = Scripted(values), make(backend)
    net.fit(X, Y, epochs=len(values), callbacks=[script, callback], verbose=0)
    return net, script


def test_defaults_of_callbacks() -> None:
    """Patience and weights as in scikit-learn's MLPClassifier, the plateau's as in Keras."""
    stopper, reducer = xpnet.EarlyStopping(), xpnet.ReduceLROnPlateau()
    assert (stopper.patience, stopper.min_delta, stopper.restore_best_weights) == (10, 0.0, True)
    assert (reducer.factor, reducer.patience, reducer.min_delta, reducer.min_learning_rate) == (0.1, 10, 1e-4, 0.0)


def test_early_stopping_restores_the_best_weights(backend: xpnet.Backend) -> None:
    stopper = xpnet.EarlyStopping("watched", patience=2)
    net, script = run(backend, [3.0, 1.0, 2.0, 1.0, 0.0], stopper)
    assert (net.epochs, stopper.best_epoch, stopper.stopped_epoch) == (4, 1, 3)
    for name, array in net.get_weights().items():
        np.testing.assert_array_equal(array, script.weights[1][name])


@pytest.mark.parametrize(
    "optimizer",
    [
        xpnet.chain(xpnet.Adam(), xpnet.ExponentialMovingAverage(0.5)),
        xpnet.chain(xpnet.L2(), xpnet.chain(xpnet.SGD(0.1), xpnet.ExponentialMovingAverage(0.5)), xpnet.MaxNorm()),
    ],
    ids=["chain", "chain within"],
)
def test_early_stopping_restores_the_best_average(optimizer: Any, backend: xpnet.Backend) -> None:
    class Averages(Callback):
        def on_train_begin(self, logs: Any) -> None:
            self.seen: list[Any] = []

        def on_epoch_end(self, epoch: int, logs: Any) -> None:
            self.seen.append(self.network.averaged().get_weights())

    net, averages, stopper = make(backend, optimizer=optimizer), Averages(), xpnet.EarlyStopping("watched", patience=2)
    net.fit(X, Y, epochs=4, callbacks=[Scripted([3.0, 1.0, 2.0, 1.0]), averages, stopper], verbose=0)
    for name, array in net.averaged().get_weights().items():
        np.testing.assert_array_equal(array, averages.seen[1][name])
        assert not np.array_equal(array, averages.seen[3][name])
    net.fit(X, Y, epochs=1, verbose=0)  # goes on


def test_best_weights_come_back_when_training_ends_by_itself(backend: xpnet.Backend) -> None:
    stopper = xpnet.EarlyStopping("watched", patience=5)
    net, script = run(backend, [1.0, 2.0, 3.0], stopper)
    assert stopper.stopped_epoch is None
    np.testing.assert_array_equal(net.get_weights()["0.weight"], script.weights[0]["0.weight"])


def test_early_stopping_without_restoring_keeps_the_last_weights(backend: xpnet.Backend) -> None:
    stopper = xpnet.EarlyStopping("watched", patience=0, restore_best_weights=False)
    net, script = run(backend, [1.0, 2.0, 3.0], stopper)
    assert net.epochs == 2
    np.testing.assert_array_equal(net.get_weights()["0.weight"], script.weights[1]["0.weight"])


@pytest.mark.parametrize(
    ("monitor", "mode", "values", "best"),
    [
        ("watched", "min", [3.0, 2.0, 2.5], 1),
        ("watched", "max", [3.0, 2.0, 2.5], 0),
        ("watched", "auto", [3.0, 2.0, 2.5], 1),
        ("watched", "min", [float("nan"), 2.0, 1.0], 2),
        ("watched", "min", [1.0, float("nan"), 2.0], 0),
        ("accuracy", "auto", [], None),
    ],
)
def test_which_epoch_is_best(
    monitor: str, mode: str, values: list[float], best: int | None, backend: xpnet.Backend
) -> None:
    stopper = xpnet.EarlyStopping(monitor, patience=9, mode=mode)
    if values:
        run(backend, values, stopper)
        assert stopper.best_epoch == best
    else:
        net = make(backend, optimizer=xpnet.Adam(0.05))
        net.fit(X, Y, epochs=8, callbacks=[stopper], verbose=0)
        assert stopper.best_epoch == int(np.argmax(net.history["accuracy"]))


@pytest.mark.parametrize("average", ["macro", "micro", "weighted"])
def test_more_is_better_of_a_metric_with_an_average_in_its_name(average: str, backend: xpnet.Backend) -> None:
    net = make(backend, optimizer=xpnet.Adam(0.05), metrics=[xpnet.F1(average)])
    stopper = xpnet.EarlyStopping(f"f1_{average}", patience=9)
    net.fit(X, Y, epochs=8, callbacks=[stopper], verbose=0)
    assert stopper.best_epoch == int(np.argmax(net.history[f"f1_{average}"]))


def test_too_small_an_improvement_is_none(backend: xpnet.Backend) -> None:
    stopper = xpnet.EarlyStopping("watched", patience=2, min_delta=0.5)
    net, _ = run(backend, [3.0, 2.8, 2.6, 1.0], stopper)
    assert (net.epochs, stopper.best_epoch) == (3, 0)


def test_a_callback_can_serve_twice(backend: xpnet.Backend) -> None:
    stopper = xpnet.EarlyStopping("loss", patience=1, mode="max")
    for _ in range(2):
        net = make(backend)
        assert net.fit(X, Y, epochs=5, callbacks=[stopper], verbose=0).epochs == 2
        assert stopper.best_epoch == 0


# Learning rates


def test_a_plateau_reduces_the_rate(backend: xpnet.Backend) -> None:
    reducer = xpnet.ReduceLROnPlateau("watched", factor=0.5, patience=2, min_learning_rate=3e-4)
    net, _ = run(backend, [3.0, 3.0, 3.0, 3.0, 3.0, 3.0, 3.0, 3.0], reducer)
    assert net.history["learning_rate"] == pytest.approx([1e-3] * 3 + [5e-4] * 2 + [3e-4] * 3)


def test_a_plateau_never_raises_the_rate(backend: xpnet.Backend) -> None:
    net, _ = run(backend, [3.0] * 4, xpnet.ReduceLROnPlateau("watched", patience=0, min_learning_rate=0.01))
    assert net.history["learning_rate"] == pytest.approx([1e-3] * 4)


def test_a_reduced_rate_multiplies_the_schedule(backend: xpnet.Backend) -> None:
    net = make(backend, optimizer=xpnet.SGD(xpnet.ExponentialDecay(0.1, every=1, factor=0.5)))
    net.fit(X, Y, batch_size=None, verbose=0)
    assert net.learning_rate == pytest.approx(0.05)
    net.learning_rate = 0.01
    net.fit(X, Y, epochs=2, batch_size=None, verbose=0)
    assert net.history["learning_rate"] == pytest.approx([0.1, 0.01, 0.005])


def test_the_rate_that_is_shown_is_the_rate_that_acts(backend: xpnet.Backend) -> None:
    net = Network([Dense(2)], backend=backend, seed=0, optimizer=xpnet.SGD(0.1), inputs=3)
    net.learning_rate = 0.3
    before, gradient = net.get_weights()["0.weight"], net.gradients(X, Y)["0.weight"]
    net.train_step(X, Y)
    np.testing.assert_allclose(net.get_weights()["0.weight"], before - 0.3 * gradient, rtol=1e-12)
    net.learning_rate = 0
    frozen = net.get_weights()["0.weight"]
    net.train_step(X, Y)
    np.testing.assert_array_equal(net.get_weights()["0.weight"], frozen)
    net.learning_rate = 0.2
    assert net.learning_rate == pytest.approx(0.2)


def test_a_scheduler_sets_the_rate_of_each_epoch(backend: xpnet.Backend) -> None:
    scheduler = xpnet.LearningRateScheduler(lambda epoch, rate: 0.1 if epoch == 0 else rate / 2)
    net = make(backend, optimizer=xpnet.SGD(1.0))
    net.fit(X, Y, epochs=3, callbacks=[scheduler], verbose=0)
    assert net.history["learning_rate"] == pytest.approx([0.1, 0.05, 0.025])


def test_a_scheduler_that_gives_nonsense_is_named(backend: xpnet.Backend) -> None:
    net = make(backend)
    with pytest.raises(ConfigurationError, match=r"learning_rate.*-1"):
        net.fit(X, Y, callbacks=[xpnet.LearningRateScheduler(lambda epoch, rate: -1.0)], verbose=0)


@pytest.mark.parametrize("given", [None, "fast", [0.1]])
def test_a_scheduler_that_returns_no_number_is_told_to(given: Any, backend: xpnet.Backend) -> None:
    net = make(backend)
    with pytest.raises(ConfigurationError, match=r"LearningRateScheduler.*must return.*for epoch 0.*`return rate`"):
        net.fit(X, Y, callbacks=[xpnet.LearningRateScheduler(lambda epoch, rate: given)], verbose=0)
    assert (net.steps, net.epochs) == (0, 0)


@pytest.mark.filterwarnings("ignore::RuntimeWarning")  # of array-api-strict, which compiles nothing
def test_nan_ends_training(backend: xpnet.Backend) -> None:
    net = make(backend, loss="mse", metrics=[], optimizer=xpnet.SGD(1e300))
    targets = np.stack([Y, Y], axis=1)
    history = net.fit(X, targets, epochs=50, callbacks=["terminate_on_nan"], verbose=0)
    assert 1 <= history.epochs < 50
    assert not np.isfinite(history["loss"][-1])
    assert np.isfinite(history["loss"][:-1]).all()


# Files


def test_a_checkpoint_an_epoch(backend: xpnet.Backend, tmp_path: Path) -> None:
    net = make(backend)
    saver = xpnet.ModelCheckpoint(tmp_path / "{epoch}-{loss:.3f}.safetensors", every=2)
    net.fit(X, Y, epochs=5, callbacks=[saver], verbose=0)
    expected = {done: f"{done}-{net.history['loss'][done - 1]:.3f}.safetensors" for done in (2, 4)}
    assert sorted(path.name for path in tmp_path.iterdir()) == list(expected.values())
    for done, name in expected.items():
        saved = xpnet.load(tmp_path / name, backend=backend)
        assert saved.epochs == saved.history.epochs == done
        assert saved.history == {name: values[:done] for name, values in net.history.items()}


def test_a_checkpoint_of_the_best(backend: xpnet.Backend, tmp_path: Path) -> None:
    path = tmp_path / "best.safetensors"
    net, script = run(backend, [3.0, 1.0, 2.0], xpnet.ModelCheckpoint(path, "watched", save_best_only=True))
    best = xpnet.load(path, backend=backend)
    np.testing.assert_array_equal(best.get_weights()["0.weight"], script.weights[1]["0.weight"])
    assert (best.epochs, net.epochs) == (2, 3)


def test_the_best_is_that_of_all_training_of_one_network(backend: xpnet.Backend, tmp_path: Path) -> None:
    path = tmp_path / "best.safetensors"
    saver = xpnet.ModelCheckpoint(path, "watched", save_best_only=True)

    def saved_after(net: Network, *values: float) -> int:
        """Return the epochs of the best network so far, after *net* has gone on with such results."""
        net.fit(X, Y, epochs=len(values), callbacks=[Scripted([*values]), saver], verbose=0)
        return xpnet.load(path).epochs

    net = make(backend)
    assert saved_after(net, 3.0, 1.0, 2.0) == 2
    assert saved_after(net, 1.5, 1.25) == 2
    assert saved_after(net.copy(), 1.5, 0.5) == 7
    assert saved_after(net.with_optimizer("sgd"), 0.75) == 6  # which knows nothing of what the copy has done
    assert saved_after(make(backend), 4.0, 5.0) == 1
    other = make(backend, seed=7)
    other.fit(X, Y, epochs=2, callbacks=[Scripted([4.0, 5.0])], verbose=0)
    assert saved_after(other, 6.0) == 3, "another network, though it has had the best result, too"


def test_a_checkpoint_holds_what_callbacks_before_it_added(backend: xpnet.Backend, tmp_path: Path) -> None:
    path = tmp_path / "net.safetensors"
    net, _ = run(backend, [3.0, 1.0], xpnet.ModelCheckpoint(path))
    assert xpnet.load(path, backend=backend).history["watched"] == net.history["watched"] == [3.0, 1.0]


def test_a_checkpoint_goes_where_a_path_of_any_kind_says(backend: xpnet.Backend, tmp_path: Path) -> None:
    class Place(os.PathLike[str]):
        def __fspath__(self) -> str:
            return str(tmp_path / "net.safetensors")

    net = make(backend)
    net.fit(X, Y, callbacks=[xpnet.ModelCheckpoint(Place())], verbose=0)
    assert xpnet.load(Place(), backend=backend).steps == net.steps
    with pytest.raises(ConfigurationError, match=r"ModelCheckpoint.path must be text or a pathlib.Path; got 3"):
        xpnet.ModelCheckpoint(3)  # type: ignore[arg-type]


@pytest.mark.parametrize("kind", [xpnet.ModelCheckpoint, xpnet.JSONLinesLogger, xpnet.CSVLogger])
def test_a_missing_folder_is_named_before_training(kind: Any, backend: xpnet.Backend, tmp_path: Path) -> None:
    path = tmp_path / "missing" / "file"
    net = make(backend)
    with pytest.raises(ConfigurationError, match=rf"{kind.__name__}.path='.*': there is no folder .*pathlib") as caught:
        net.fit(X, Y, callbacks=[kind(path)], verbose=0)
    assert (net.steps, net.epochs) == (0, 0)
    exec(f"import pathlib; {str(caught.value).partition('make it first: ')[2]}")
    assert path.parent.is_dir()
    net.fit(X, Y, callbacks=[kind(path)], verbose=0)
    assert path.stat().st_size > 0


def test_a_folder_whose_name_is_filled_in_may_come_later(backend: xpnet.Backend, tmp_path: Path) -> None:
    class Makes(Callback):
        def on_epoch_end(self, epoch: int, logs: Any) -> None:
            (tmp_path / str(epoch + 1)).mkdir()

    saver = xpnet.ModelCheckpoint(tmp_path / "{epoch}" / "net.safetensors")
    make(backend).fit(X, Y, epochs=2, callbacks=[Makes(), saver], verbose=0)
    assert (tmp_path / "2" / "net.safetensors").exists()


# What goes wrong in between


@pytest.mark.parametrize("hook", ["on_train_begin", "on_epoch_begin", "on_train_batch_begin", "on_train_batch_end"])
@pytest.mark.parametrize("error", [KeyboardInterrupt, RuntimeError])
def test_an_interrupted_network_is_usable(hook: str, error: type[BaseException], backend: xpnet.Backend) -> None:
    class Interrupts(Callback):
        calls = 0

    def interrupt(self: Any, *arguments: Any) -> None:
        self.calls += 1
        if self.calls == (1 if hook == "on_train_begin" else 2):
            raise error("now")

    setattr(Interrupts, hook, interrupt)
    net = make(backend)
    with pytest.raises(error, match="now"):
        net.fit(X, Y, epochs=3, batch_size=8, callbacks=[Interrupts()], verbose=0)
    assert net.built is (hook != "on_train_begin")
    if net.built:
        assert int(backend.to_numpy(net.state.step)) == net.steps
        assert all(np.isfinite(array).all() for array in net.get_weights().values())
    assert net.history.epochs == net.epochs
    net.fit(X, Y, verbose=0)
    assert np.isfinite(net.history["loss"][-1])


@pytest.mark.parametrize("hook", ["on_train_begin", "on_epoch_begin"])
def test_callbacks_that_have_begun_are_told_of_an_interruption(hook: str, backend: xpnet.Backend) -> None:
    told: list[str] = []

    class Watches(Callback):
        def __init__(self, name: str) -> None:
            self.name = name

        def on_train_interrupted(self, logs: dict[str, float]) -> None:
            told.append(self.name)

    def fails(*arguments: Any) -> None:
        raise RuntimeError("no")

    failing = Watches("failing")
    setattr(failing, hook, fails)
    with pytest.raises(RuntimeError, match="no"):
        make(backend).fit(X, Y, callbacks=[Watches("first"), failing, Watches("last")], verbose=0)
    assert told == (["first"] if hook == "on_train_begin" else ["first", "failing", "last"])


def test_ctrl_c_within_an_epoch_leaves_a_usable_network(backend: xpnet.Backend) -> None:
    x, y = np.tile(X, (200, 1)), np.tile(Y, 200)
    net = make(backend)
    net.fit(x, y, batch_size=4, verbose=0)
    epochs = net.epochs
    timer = threading.Timer(0.2, signal.raise_signal, [signal.SIGINT])

    class Begins(Callback):
        def on_train_begin(self, logs: dict[str, float]) -> None:
            timer.start()

    with pytest.raises(KeyboardInterrupt):
        net.fit(x, y, epochs=10_000, batch_size=4, callbacks=[Begins()], verbose=0)
    timer.join()
    assert int(backend.to_numpy(net.state.step)) == net.steps
    assert net.history.epochs == net.epochs >= epochs
    assert all(np.isfinite(array).all() for array in net.get_weights().values())
    assert np.isfinite(net.evaluate(X, Y)["loss"])
    net.fit(X, Y, verbose=0)
    assert np.isfinite(net.history["loss"][-1])


@pytest.mark.parametrize("call", ["fit", "train_step"])
def test_an_interrupted_call_leaves_both_counts_of_steps_alike(
    call: str, backend: xpnet.Backend, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The device is ahead of the host where steps are done in place: so they are counted on the device."""
    net = make(backend, inputs=3)
    net.fit(X, Y, batch_size=8, verbose=0)

    def interrupted(*arguments: Any) -> Any:
        net.state = net.state._replace(step=backend.asarray(np.asarray(5, np.int32), dtype=backend.xp.int32))
        raise KeyboardInterrupt

    for trained in ("train_on_rows", "train_epochs"):
        monkeypatch.setitem(vars(net.compiled), trained, interrupted)
    monkeypatch.setitem(net.compiled._functions, "step_loss", interrupted)
    calls = {"fit": lambda: net.fit(X, Y, batch_size=8, verbose=0), "train_step": lambda: net.train_step(X, Y)}
    with pytest.raises(KeyboardInterrupt):
        calls[call]()
    assert net.steps == 5
    assert int(backend.to_numpy(net.copy().state.step)) == 5


def test_numbers_of_numpy_are_numbers() -> None:
    assert xpnet.EarlyStopping(patience=np.int64(3), min_delta=np.float32(0.5)).patience == 3
    assert xpnet.ReduceLROnPlateau(factor=np.float32(0.5), patience=np.int8(2)).factor == 0.5
    assert xpnet.ModelCheckpoint("a", every=np.int32(2)).every == 2


def test_a_callback_shows_the_call_that_makes_it() -> None:
    class Patient(xpnet.EarlyStopping):
        pass

    assert repr(xpnet.EarlyStopping("loss", patience=3)) == "EarlyStopping(monitor='loss', patience=3)"
    assert repr(Patient(mode="max", min_delta=0.5)) == "Patient(min_delta=0.5, mode='max')"
    assert repr(xpnet.ModelCheckpoint("best.safetensors", save_best_only=True)) == (
        "ModelCheckpoint(path='best.safetensors', save_best_only=True)"
    )
    assert repr(xpnet.TerminateOnNaN()) == "TerminateOnNaN()"
    assert repr(Diary()) == "Diary()"
