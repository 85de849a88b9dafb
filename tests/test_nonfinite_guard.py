"""Where numbers stop being finite: the step, the layer, the cause, and the state before it."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import threading
from dataclasses import dataclass, replace
from itertools import count, islice
from pathlib import Path
from types import CodeType
from typing import Any

import numpy as np
import pytest

import xpnet
from tests.pressing import press
from tests.soak.press import WAYS, check
from xpnet import ConfigurationError, Dense, Network, NonFiniteError, ended_epochs, history, nonfinite_guard
from xpnet.batches import DeviceSource, Epoch
from xpnet.compiled import pass_order
from xpnet.resuming import Run
from xpnet.training import Batch
from xpnet.weights import read_arrays

RNG = np.random.default_rng(0)
X = RNG.normal(size=(60, 3))
Y = (X[:, 0] > 0).astype(np.int64)
WRONG = 13

pytestmark = pytest.mark.filterwarnings("ignore::RuntimeWarning")


@dataclass(frozen=True)
class NaNFrom:
    """A learning rate that is NaN at one step."""

    at: int
    rate: float = 0.1

    def __call__(self, step: Any, xp: Any) -> Any:
        return xp.where(step == float(self.at), step * float("nan"), step * 0.0 + self.rate)


def make(backend: Any, **arguments: Any) -> Network:
    return Network([Dense(4), "tanh", Dense(2)], seed=1, backend=backend, **arguments)


def arrays(net: Network) -> dict[str, bytes]:
    return {name: array.tobytes() for name, array in read_arrays(net).items()}


@pytest.mark.parametrize("kind", ["arrays", "stream", "hooks", "callback", "checkpoint"])
@pytest.mark.parametrize("at", [1, 5, 9, 13, 29])
def test_training_stops_at_the_step_with_the_state_before_it(
    kind: str, at: int, backend: xpnet.Backend, tmp_path: Path
) -> None:
    """Ten steps an epoch: the second, the sixth, an epoch's last, one of the second epoch, the very last."""

    class Hook(xpnet.Callback):
        def on_train_batch_end(self, batch: int, logs: Any) -> None:
            self.network.scale = 1.0  # makes a new state

    class Watch(xpnet.Callback):
        def on_epoch_end(self, epoch: int, logs: Any) -> None:
            assert np.isfinite(self.network.get_weights()["0.weight"]).all()

    data: Any = ([(X[i : i + 6], Y[i : i + 6]) for i in range(0, 60, 6)],) if kind == "stream" else (X, Y)
    arguments: dict[str, Any] = {"batch_size": 6, "shuffle": False, "verbose": 0}
    watching: list[Any] = {"hooks": [Hook()], "callback": [Watch()]}.get(kind, [])
    net = make(backend, optimizer=xpnet.SGD(NaNFrom(at)), inputs=3)
    saved = {"checkpoint": tmp_path, "every": "3 steps"} if kind == "checkpoint" else {}
    with pytest.raises(
        NonFiniteError, match=rf"stopped at step {at + 1} \(epoch {at // 10 + 1}, batch {at % 10 + 1}, .* 1\).*SGD"
    ):
        net.fit(*data, epochs=3, callbacks=watching, **arguments, **saved)
    by_hand = make(backend, optimizer=xpnet.SGD(0.1), inputs=3)
    for step in range(at):
        rows = slice(step % 10 * 6, step % 10 * 6 + 6)
        by_hand.train_step(X[rows], Y[rows])
    for name, array in read_arrays(by_hand).items():
        np.testing.assert_allclose(read_arrays(net)[name], array, rtol=1e-9, atol=1e-12)
    assert (net.steps, net.epochs, net.history.epochs) == (at, at // 10, at // 10)
    for file in tmp_path.iterdir():
        assert np.isfinite(xpnet.load(file, custom=[NaNFrom]).get_weights()["0.weight"]).all()
    net.optimizer  # noqa: B018 - the network is whole
    assert np.isfinite(net.evaluate(X, Y)["loss"])


def test_a_rate_that_is_too_high_is_named(backend32: xpnet.Backend) -> None:
    net = Network([Dense(8), "relu", Dense(1)], loss="mse", optimizer=xpnet.SGD(1e4), backend=backend32, seed=0)
    with pytest.raises(
        NonFiniteError, match=r"step \d+ \(epoch \d+, batch \d+, .* 1\): .*overflow.*learning rate 10000 is too"
    ):
        net.fit(X, X[:, :1], epochs=50, batch_size=10, verbose=0)


def test_a_layer_that_overflows_is_named(backend: xpnet.Backend) -> None:
    net = make(backend, inputs=3)
    weights = net.get_weights()
    net.set_weights({"2.weight": weights["2.weight"] * 1e308, "2.bias": weights["2.bias"] + 1e308})
    with pytest.raises(NonFiniteError, match=r"layer 2 \(Dense\(2\)\)|CrossEntropy"):
        net.fit(X, Y, verbose=0)


@dataclass(frozen=True)
class SquareRoot(xpnet.layers.base.Elementwise):
    def forward(self, params: Any, x: Any, context: Any) -> Any:
        y = context.xp.sqrt(x)
        return y, y

    def backward(self, params: Any, y: Any, dy: Any, context: Any) -> Any:
        return dy / (2.0 * y), {}


class Logarithm(xpnet.MeanSquaredError):
    def __call__(self, scores: Any, targets: Any, xp: Any) -> Any:
        return xp.sum(xp.log(scores - targets), axis=1), 1.0 / (scores - targets)


def test_a_root_of_negative_numbers_is_no_overflow(backend: xpnet.Backend) -> None:
    net = Network([Dense(4), SquareRoot(), Dense(2)], backend=backend, seed=1)
    with pytest.raises(
        NonFiniteError, match=r"layer 1 \(SquareRoot\(\)\) gives NaN .*not defined there, such"
    ) as caught:
        net.fit(X, Y, verbose=0)
    assert "overflow" not in str(caught.value)
    assert "learning rate" not in str(caught.value)


def test_a_gradient_that_there_is_none_of_is_no_certain_overflow() -> None:
    net = Network([Dense(3), "relu", SquareRoot(), Dense(2)], seed=1)
    with pytest.raises(
        NonFiniteError,
        match=r"the gradient of layer 1 .*in the backward pass: overflow, or .* \(a division by 0,",
    ):
        net.fit(X, Y, verbose=0)


@dataclass(frozen=True)
class Power(xpnet.layers.base.Elementwise):
    exponent: float

    def forward(self, params: Any, x: Any, context: Any) -> Any:
        return x**self.exponent, x

    def backward(self, params: Any, x: Any, dy: Any, context: Any) -> Any:
        return dy * self.exponent * x ** (self.exponent - 1.0), {}


@pytest.mark.parametrize(
    ("exponent", "numbers", "cause"),
    [
        (30.0, [1.0, 39.0], "what that code computes; keep its inputs in their range"),
        (-1.0, [0.0, 39.0], "what that code computes; keep its inputs in their range"),
        (
            -1.0,
            [0.0, 1000.0],
            "inputs of up to 1e+03; scale them, as with xpnet.StandardScaler; or else what that",
        ),
    ],
)
def test_infinity_from_a_layer_of_the_users_has_two_explanations(
    exponent: float, numbers: list[float], cause: str, backend32: xpnet.Backend
) -> None:
    net = Network([Power(exponent), Dense(2)], backend=backend32, seed=1)
    said = "overflow, or an operation that is not defined there (a division by 0, the logarithm of 0). Likely cause: "
    with pytest.raises(NonFiniteError, match=re.escape(said + cause)):
        net.fit(np.asarray(numbers)[:, None], np.asarray([0, 1]), verbose=0)


@pytest.mark.filterwarnings("ignore:the network can be trained but not saved")
@pytest.mark.parametrize(
    ("size", "kind"), [(1.0, "an operation that is not defined there, such as"), (1e3, "overflow, or an op")]
)
def test_a_logarithm_of_negative_numbers_is_no_certain_overflow(size: float, kind: str) -> None:
    net = Network([Dense(1)], loss=Logarithm(), seed=0)
    with pytest.raises(NonFiniteError, match=rf"Logarithm\(\) gives NaN .* scores of up to [^:]*: {kind}"):
        net.fit(X * size, X[:, 0] * size, verbose=0)


def test_a_schedule_that_is_not_finite_is_named(backend: xpnet.Backend) -> None:
    net = make(backend, optimizer=xpnet.SGD(NaNFrom(5)))
    with pytest.raises(
        NonFiniteError, match=r"rate of SGD\(learning_rate=NaNFrom\(5\)\) is nan: its schedule gives that after 5 steps"
    ):
        net.fit(X * 200.0, Y, verbose=0, epochs=3, batch_size=10)


@dataclass(frozen=True)
class Reciprocal:
    def __call__(self, step: Any, xp: Any) -> Any:
        return 0.1 / step


@pytest.mark.parametrize(("schedule", "first"), [(NaNFrom(0), "nan"), (Reciprocal(), "inf")])
def test_a_schedule_that_begins_with_no_finite_rate_is_refused(schedule: Any, first: str) -> None:
    net = make("numpy", optimizer=xpnet.SGD(schedule))
    with pytest.raises(
        ConfigurationError, match=rf"learning_rate must not be infinite or NaN; .* with 0 at .*begins with {first}$"
    ):
        net.fit(X, Y, verbose=0)
    assert not net.built


@pytest.mark.filterwarnings("error")
def test_a_rate_is_looked_at_without_a_warning() -> None:
    with pytest.raises(ConfigurationError, match="begins with inf"):
        make("numpy", optimizer=xpnet.SGD(Reciprocal()), inputs=3)


def test_a_first_step_is_not_put_down_to_the_learning_rate(backend32: xpnet.Backend) -> None:
    net = Network([Dense(1)], loss="mse", backend=backend32, seed=0)
    with pytest.raises(NonFiniteError, match="Likely cause: targets or weights of extreme size, as no step has"):
        net.fit(X, X[:, 0] * 1e30, verbose=0)


def test_a_bad_batch_of_a_stream_is_named(backend: xpnet.Backend) -> None:
    batches = [(X[i : i + 6].copy(), Y[i : i + 6]) for i in range(0, 60, 6)]
    batches[7][0][2, 1] = np.nan
    with pytest.raises(NonFiniteError, match=r"batch 8, counted from 1\): x holds NaN \(1 of 18 values\).*bad input"):
        make(backend, inputs=3).fit(batches, verbose=0)


@pytest.mark.parametrize("weighted", [False, True])
def test_a_stream_may_write_each_batch_to_the_same_memory(weighted: bool, backend: xpnet.Backend) -> None:
    x, y, weights = np.empty((6, 3), dtype=backend.dtype), np.empty(6, dtype=np.int32), np.ones(6, dtype=backend.dtype)

    def batches() -> Any:
        for number in range(10):
            rows = slice(6 * number, 6 * number + 6)
            x[:], y[:], weights[:] = X[rows], Y[rows], number + 1
            if number == 5:
                x[:] = np.nan
            yield (x, y, weights) if weighted else (x, y)

    net, other = (make(backend, inputs=3, optimizer=xpnet.SGD(0.1)) for _ in range(2))
    with pytest.raises(NonFiniteError, match="batch 6, counted from 1"):
        net.fit(batches, verbose=0)
    for batch in islice(batches(), 5):
        other.train_step(*batch)
    assert arrays(net) == arrays(other)


def test_no_batch_is_kept_where_nobody_looks(backend: xpnet.Backend, monkeypatch: pytest.MonkeyPatch) -> None:
    kinds = []
    monkeypatch.setattr("xpnet.compiled.Compiled.copy", lambda compiled, tree: kinds.append(type(tree)) or tree)
    net = make(backend, inputs=3)
    net.fit([(X, Y)], on_nonfinite="ignore", verbose=0)
    assert Batch not in kinds
    net.fit([(X, Y)], verbose=0)
    assert Batch in kinds


def test_a_bad_step_is_skipped_and_the_rate_halved(backend: xpnet.Backend) -> None:
    net = make(backend, optimizer=xpnet.SGD(NaNFrom(WRONG)))
    with pytest.warns(
        RuntimeWarning, match=rf"skipped step {WRONG + 1} \(epoch 2, batch 4, counted from 1\)"
    ) as caught:
        history = net.fit(X, Y, epochs=3, batch_size=6, on_nonfinite="skip", verbose=0)
    assert [warning.filename for warning in caught] == [__file__]
    assert (net.steps, net.scale) == (30, 0.5)
    assert history["learning_rate"] == pytest.approx([0.1, 0.05, 0.05])
    assert np.isfinite(history["loss"]).all()


@pytest.mark.parametrize("short", [0.0, 1e9])
@pytest.mark.parametrize("size", [5, 10])
def test_an_epoch_that_went_wrong_is_found_after_a_look_within_the_next(
    size: int, short: float, backend32: xpnet.Backend, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first step's loss overflows, the step mends it; the second epoch's sums are finite, and looked at first."""

    def order(epoch: int, rows: int) -> Any:
        monkeypatch.setattr(nonfinite_guard, "INTERVAL", 0.0 if epoch == 1 else 1e9)
        return np.arange(rows)

    monkeypatch.setattr(nonfinite_guard, "SHORT_INTERVAL", short)
    monkeypatch.setattr(nonfinite_guard, "MAX_OVERHEAD", 1e9)  # whatever a look costs
    x, y = np.zeros((10, 2), dtype=np.float32), np.full((10, 1), 1e20, dtype=np.float32)
    net = Network([Dense(1)], loss="mse", optimizer=xpnet.SGD(0.5), backend=backend32)
    with pytest.raises(
        NonFiniteError, match=r"step 1 \(epoch 1, batch 1, .* 1\): MeanSquaredError\(\) gives infinity.*: overflow\."
    ):
        net.fit(x, y, epochs=3, batch_size=size, shuffle=order, verbose=0)
    assert (net.steps, net.epochs, net.history.epochs) == (0, 0, 0)


def test_looks_within_an_epoch_leave_little_to_train_again(
    backend32: xpnet.Backend, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where epochs are long, the bad step is pinned from the last look, not from an epoch earlier."""
    for name, value in {
        "INTERVAL": 0.0,
        "SHORT_INTERVAL": 0.0,
        "MAX_OVERHEAD": 1e9,
    }.items():  # look wherever there is an end
        monkeypatch.setattr(nonfinite_guard, name, value)
    monkeypatch.setattr("xpnet.batches.MIN_PIECE_SECONDS", 1e-9)
    starts: list[int] = []
    replay = DeviceSource.replay

    def counted(self: Any, epoch: Epoch) -> Any:
        starts.append(epoch.start)
        return replay(self, epoch)

    monkeypatch.setattr(DeviceSource, "replay", counted)
    x = np.zeros((1000, 3))
    net = make(backend32, optimizer=xpnet.SGD(NaNFrom(2 * 1000 + 950)), inputs=3)
    with pytest.raises(NonFiniteError, match=r"epoch 3, batch 951, "):
        net.fit(x, np.zeros(1000, dtype=int), epochs=4, batch_size=1, verbose=0)
    assert starts == [900]


def test_an_epoch_that_went_wrong_is_found_though_a_hook_makes_a_new_state(backend32: xpnet.Backend) -> None:
    class Hook(xpnet.Callback):
        def on_train_batch_begin(self, batch: int, logs: Any) -> None:
            if self.network.steps == 2:
                self.network.scale = 1.0

    x, y = np.zeros((10, 2), dtype=np.float32), np.full((10, 1), 1e20, dtype=np.float32)
    net = Network([Dense(1)], loss="mse", optimizer=xpnet.SGD(0.5), backend=backend32)
    with pytest.raises(NonFiniteError, match=r"step 1 \(epoch 1, batch 1, counted from 1\)"):
        net.fit(x, y, epochs=3, batch_size=5, callbacks=[Hook()], verbose=0)


def test_a_run_that_went_wrong_before_it_is_resumed_is_refused(
    backend: xpnet.Backend, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Saved with ``on_nonfinite="ignore"`` after an epoch's last batch, so that going on needs no step to see it."""
    batches = [(X[i : i + 6], Y[i : i + 6]) for i in range(0, 60, 6)]
    arguments: dict[str, Any] = {"checkpoint": tmp_path, "resume": True, "every": "10 steps", "verbose": 0}
    save = Run.save

    def die(self: Run, *given: Any) -> None:
        save(self, *given)
        raise KeyboardInterrupt

    net = make(backend, optimizer=xpnet.SGD(NaNFrom(4)), inputs=3)
    with monkeypatch.context() as patch:
        patch.setattr(Run, "save", die)
        with pytest.raises(KeyboardInterrupt):
            net.fit(batches, on_nonfinite="ignore", **arguments)
    again = make(backend, optimizer=xpnet.SGD(NaNFrom(4)), inputs=3)
    with pytest.raises(NonFiniteError, match=r"before its first step: .* holds NaN .* an older file, or start anew"):
        again.fit(batches, **arguments)


def test_weights_that_were_ruined_before_are_not_put_down_to_the_halved_rate(backend32: xpnet.Backend) -> None:
    net = Network([Dense(8), "relu", Dense(1)], loss="mse", optimizer=xpnet.SGD(1e4), backend=backend32, seed=0)
    with pytest.warns(RuntimeWarning) as caught, pytest.raises(NonFiniteError, match="start anew from a smaller learn"):
        net.fit(X, X[:, :1], epochs=50, batch_size=10, on_nonfinite="skip", verbose=0)
    first, *later = [said for said in (str(each.message) for each in caught) if said.startswith("skipped step ")]
    assert "the learning rate 10000 is too high" in first
    for said in later:
        assert "earlier steps left weights of up to" in said
        assert "is too high" not in said


def test_skipping_ends_where_it_does_not_help(backend: xpnet.Backend) -> None:
    net = make(backend, inputs=3, check_finite=False)
    batches = [(np.full((4, 3), np.nan), np.zeros(4, dtype=np.int64))] * 20
    before = arrays(net)
    with pytest.raises(NonFiniteError, match="10 steps before it were skipped"):
        net.fit(batches, on_nonfinite="skip", verbose=0)
    assert {name: array for name, array in arrays(net).items() if "weight" in name} == {
        name: array for name, array in before.items() if "weight" in name
    }


def test_nobody_looks_where_that_is_asked(backend: xpnet.Backend) -> None:
    for arguments, network in (({"on_nonfinite": "ignore"}, {}), ({}, {"check_finite": False})):
        net = make(backend, optimizer=xpnet.SGD(NaNFrom(2)), **network)
        history = net.fit(X, Y, batch_size=6, verbose=0, **arguments)
        assert np.isnan(history["loss"][0])


def test_skipping_nothing_changes_nothing(backend: xpnet.Backend) -> None:
    nets = [make(backend) for _ in range(3)]
    for net, policy in zip(nets, ("raise", "skip", "ignore"), strict=True):
        net.fit(X, Y, epochs=2, batch_size=6, on_nonfinite=policy, verbose=0)
    for net in nets[1:]:
        for name, array in read_arrays(net).items():
            np.testing.assert_allclose(array, read_arrays(nets[0])[name], rtol=1e-9)


def test_a_step_skipped_at_an_epochs_end_changes_nothing_afterwards(backend: xpnet.Backend) -> None:
    x = X[:18].copy()
    x[17] = np.inf  # in the last of three batches
    settings: dict[str, Any] = {"batch_size": 6, "shuffle": False, "on_nonfinite": "skip", "verbose": 0}

    def trained(calls: list[int], rates: list[float]) -> Network:
        net = make(backend, optimizer=xpnet.SGD(0.1), inputs=3)
        net.check_finite = False
        for length in calls:
            callback = xpnet.LearningRateScheduler(lambda epoch, rate: rates[epoch])
            net.fit(x, Y[:18], epochs=length, callbacks=[callback], **settings)
        return net

    whole, apart = trained([3], [0.1, 0.05, 0.0]), trained([1, 1, 1], [0.1, 0.05, 0.0])
    assert dict(whole.history) == dict(apart.history)
    assert arrays(whole) == arrays(apart)
    two = trained([2], [0.1, 0.05]).get_weights()
    assert all(np.array_equal(value, two[name]) for name, value in whole.get_weights().items()), "the last rate is 0"


def test_an_unknown_policy_is_named() -> None:
    with pytest.raises(ConfigurationError, match="on_nonfinite 'skp'; did you mean 'skip'"):
        make("numpy").fit(X, Y, on_nonfinite="skp", verbose=0)


def test_arrays_are_sorted_as_the_passes_meet_them() -> None:
    names = ["10.output", "2.output", "2.shortcut.weight", "2.1.output", "2.1.weight"]
    assert sorted(names, key=pass_order) == ["2.1.weight", "2.1.output", "2.shortcut.weight", "2.output", "10.output"]


# Threads and Ctrl-C


def test_eight_threads_predict_while_a_ninth_trains_a_copy(backend: xpnet.Backend) -> None:
    net = make(backend)
    net.fit(X, Y, epochs=2, verbose=0)
    expected, twin, alone = backend.to_numpy(net.predict(X)).copy(), net.copy(), net.copy()
    wrong: list[Any] = []

    def predict() -> None:
        for _ in range(20):
            if not np.array_equal(backend.to_numpy(net.predict(X)), expected):
                wrong.append("prediction")

    threads = [threading.Thread(target=predict) for _ in range(8)]
    threads.append(threading.Thread(target=lambda: twin.fit(X, Y, epochs=5, batch_size=6, verbose=0)))
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    alone.fit(X, Y, epochs=5, batch_size=6, verbose=0)
    assert not wrong
    assert twin.epochs == 7
    assert arrays(twin) == arrays(alone)


def is_an_epochs_end(code: CodeType) -> bool:
    names = ("report_next", "_report_epoch", "_enter", "append")
    return code.co_filename in (ended_epochs.__file__, history.__file__) and code.co_name in names


@pytest.mark.parametrize(
    ("way", "ends"), [("watched", {0, 1, 2, 3}), ("unwatched", {1, 2, 3}), ("unwatched, on a device", {2, 3})]
)
def test_control_c_at_any_line_of_an_epochs_end_leaves_whole_epochs(way: str, ends: set[int]) -> None:
    backend = xpnet.open_backend("numpy")
    if way == "unwatched, on a device":  # an epoch's results are waited for during the next one
        backend = replace(backend, synchronize=lambda: None)
    data = {"validation_data": (X, Y)} if way == "watched" else {}
    whole = make(backend)
    whole.fit(X, Y, epochs=3, batch_size=20, verbose=0, **data)
    lengths = set()
    for line in count(1):
        net = make(backend)
        if (
            press(lambda net=net: net.fit(X, Y, epochs=3, batch_size=20, verbose=0, **data), line, is_an_epochs_end)
            < line
        ):
            break
        assert {len(values) for values in net.history.values()} <= {net.epochs}
        assert net.history == {name: values[: net.epochs] for name, values in whole.history.items() if net.epochs}
        lengths.add(net.epochs)
    # Unwatched, what has ended is waited for after Ctrl-C, too.
    assert lengths == ends


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")  # a file may be closed with its object
@pytest.mark.parametrize("way", WAYS)
def test_control_c_at_random_lines_of_training_loses_nothing(way: str) -> None:
    """A few; thousands of them: python -m tests.soak.press"""
    check(way, presses=12, seed=7)


SCRIPT = """
import traceback, numpy as np, xpnet
x = np.random.default_rng(0).normal(size=(2000, 20)); y = (x[:, 0] > 0).astype(int)
net = xpnet.Network([xpnet.Dense(64), "relu", xpnet.Dense(2)])
def order(epoch, rows):
    if epoch == 3:
        print("training", flush=True)
    return np.arange(rows)
try:
    net.fit(x, y, epochs=10**6, shuffle=order, verbose=0)
except KeyboardInterrupt as interrupt:
    print("".join(traceback.format_exception(interrupt)))
net.fit(x, y, verbose=0)
print(net.epochs == net.history.epochs, np.isfinite(net.evaluate(x, y)["loss"]))
"""


@pytest.mark.skipif(os.name == "nt", reason="needs SIGINT for another process")
def test_control_c_says_where_it_stopped_and_leaves_a_usable_network() -> None:
    process = subprocess.Popen([sys.executable, "-c", SCRIPT], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stdout.readline() == "training\n"
    with pytest.raises(subprocess.TimeoutExpired):
        process.wait(0.5)
    process.send_signal(signal.SIGINT)
    output, _ = process.communicate(timeout=300)
    assert process.returncode == 0
    found = re.search(
        r"training stopped in epoch (\d+) of 1000000 after (\d+) of 63 batches, (\d+) steps in all", output
    )
    assert found is not None
    epoch, batches, steps = map(int, found.groups())
    assert steps == 63 * (epoch - 1) + batches
    assert output.splitlines()[-1] == "True True"


class Interrupting(xpnet.Callback):
    """Interrupts training at the end of a batch, or of an epoch."""

    def __init__(self, epoch: int, batch: int | None = None) -> None:
        self.epoch, self.batch = epoch, batch

    def on_epoch_begin(self, epoch: int, logs: Any) -> None:
        self.now = epoch

    def on_train_batch_end(self, batch: int, logs: Any) -> None:
        if (self.now, batch) == (self.epoch, self.batch):
            raise KeyboardInterrupt

    def on_epoch_end(self, epoch: int, logs: Any) -> None:
        if epoch == self.epoch:
            raise KeyboardInterrupt


@pytest.mark.parametrize(
    ("interrupting", "where"),
    [
        (Interrupting(0, 0), "epoch 1 of 9 after 1 of 6 batches, 1 steps"),
        (Interrupting(3, 4), "epoch 4 of 9 after 5 of 6 batches, 23 steps"),
        (Interrupting(3), "epoch 5 of 9 after 0 of 6 batches, 24 steps"),
    ],
    ids=["first batch", "batch", "epoch"],
)
def test_an_interruption_is_counted_as_the_progress_line_counts(interrupting: Interrupting, where: str) -> None:
    x, y = xpnet.clouds(40, seed=0)
    net = Network([Dense(3)], seed=0)
    with pytest.raises(KeyboardInterrupt) as raised:
        net.fit(x, y, epochs=9, batch_size=20, callbacks=[interrupting], verbose=0)
    (note,) = raised.value.__notes__
    assert where in note
    with pytest.raises(KeyboardInterrupt) as raised:
        net.fit(x, y, epochs=2, batch_size=20, callbacks=[Interrupting(net.epochs, 1)], verbose=0)
    assert f"epoch {net.epochs + 1} of {net.epochs + 2} after 2 of 6 batches" in raised.value.__notes__[0]
