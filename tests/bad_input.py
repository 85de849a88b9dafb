"""Rows of bad input, and how they are run: what the ``test_bad_input_*`` files share.

A row is a call, the exception that it must raise, and what the message must contain: the argument, what was
expected, what was given. After every row the network is, bit for bit, what it was, and it still trains.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest

import xpnet
from xpnet import Dense, Network
from xpnet.weights import read_arrays

ROWS, FEATURES, CLASSES = 12, 4, 3
RNG = np.random.default_rng(0)
X = RNG.normal(size=(ROWS, FEATURES))
TARGETS = {
    "classes": np.arange(ROWS) % CLASSES,
    "binary": np.arange(ROWS) % 2,
    "answers": np.stack([np.arange(ROWS) % 2, np.arange(ROWS) % 3 == 0], axis=1),
    "real": RNG.normal(size=ROWS),
    "hinge": np.arange(ROWS) % 2 * 2 - 1,
}
LOSSES = {
    "classes": (CLASSES, "cross_entropy"),
    "binary": (1, "binary_cross_entropy"),
    "answers": (2, "binary_cross_entropy"),
    "real": (1, "mse"),
    "hinge": (1, "hinge"),
}

Call = Callable[[Network, Any, Any], object]


@dataclass(frozen=True)
class Row:
    """One line of the table."""

    name: str
    call: Call
    error: type[Exception]
    fragments: tuple[str, ...]
    kind: str = "classes"
    unbuilt: bool = False  # whether a network that has seen no data must refuse it too

    def __str__(self) -> str:
        return self.name


METHODS: dict[str, Call] = {
    "fit": lambda net, x, y: net.fit(x, y, verbose=0),
    "evaluate": lambda net, x, y: net.evaluate(x, y),
    "train_step": lambda net, x, y: net.train_step(x, y),
    "gradients": lambda net, x, y: net.gradients(x, y),
    "trace": lambda net, x, y: net.trace(x, y),
    "predict": lambda net, x, y: net.predict(x),
    "classify": lambda net, x, y: net.classify(x),
    "forward": lambda net, x, y: net.forward(x),
}
TRAINING = ("fit", "evaluate", "train_step", "gradients")
CHECKED = ("fit", "evaluate", "predict", "classify", "forward")


def bad_x(
    name: str,
    make: Callable[[], Any],
    error: type[Exception],
    *fragments: str,
    methods: tuple[str, ...] = tuple(METHODS),
    unbuilt: bool = True,
) -> Iterator[Row]:
    for method in methods:

        def call(net: Network, x: Any, y: Any, method: str = method) -> object:
            return METHODS[method](net, make(), y)

        yield Row(f"x-{name}-{method}", call, error, ("x ", *fragments), unbuilt=unbuilt and method == "fit")


def bad_y(
    name: str,
    make: Callable[[Any], Any],
    error: type[Exception],
    *fragments: str,
    kind: str = "classes",
    methods: tuple[str, ...] = TRAINING,
) -> Iterator[Row]:
    for method in methods:

        def call(net: Network, x: Any, y: Any, method: str = method) -> object:
            return METHODS[method](net, x, make(y))

        yield Row(f"y-{kind}-{name}-{method}", call, error, ("y", *fragments), kind, unbuilt=method == "fit")


def bad_weight(name: str, make: Callable[[], Any], error: type[Exception], *fragments: str) -> Iterator[Row]:
    calls: dict[str, Call] = {
        "fit": lambda net, x, y: net.fit(x, y, sample_weight=make(), verbose=0),
        "evaluate": lambda net, x, y: net.evaluate(x, y, sample_weight=make()),
        "train_step": lambda net, x, y: net.train_step(x, y, make()),
    }
    for method, call in calls.items():
        fragments_here = ("sample_weight", *fragments)
        yield Row(f"sample_weight-{name}-{method}", call, error, fragments_here, unbuilt=method == "fit")


def bad_fit(
    name: str, arguments: dict[str, Any], error: type[Exception], *fragments: str, kind: str = "classes"
) -> Iterator[Row]:
    def call(net: Network, x: Any, y: Any) -> object:
        return net.fit(
            x, y, verbose=arguments.get("verbose", 0), **{k: v for k, v in arguments.items() if k != "verbose"}
        )

    yield Row(f"fit-{name}", call, error, fragments, kind, unbuilt=True)


def with_value(value: float, where: tuple[int, ...] = (3, 1)) -> Callable[[], Any]:
    def make() -> Any:
        x = X.copy()
        x[where] = value
        return x

    return make


def put(index: int, value: float) -> Callable[[Any], Any]:
    def make(y: Any) -> Any:
        y = np.array(y, dtype=np.float64)
        y[index] = value
        return y

    return make


TEXT = np.full((ROWS, FEATURES), "a")
NAN, INF = float("nan"), float("inf")


def make(kind: str, backend: xpnet.Backend, **arguments: Any) -> Network:
    outputs, loss = LOSSES[kind]
    return Network([Dense(6), "relu", Dense(outputs)], loss=loss, backend=backend, seed=1, **arguments)


def snapshot(net: Network) -> dict[str, Any]:
    arrays = {name: array.tobytes() for name, array in read_arrays(net).items()}
    history = {name: list(values) for name, values in net.history.items()}
    return {
        **arrays,
        "history": history,
        "epochs": net.epochs,
        "steps": net.steps,
        "device steps": int(net.backend.to_numpy(net.state.step)),
        "rate": net.learning_rate,
        "scale": float(net.backend.to_numpy(net.state.scale)),
    }


def trained_networks(backend: xpnet.Backend) -> dict[str, Network]:
    """A network of each kind after an epoch of training."""
    nets = {kind: make(kind, backend) for kind in LOSSES}
    for kind, net in nets.items():
        net.fit(X, TARGETS[kind], epochs=1, batch_size=None, verbose=0)
    return nets


def assert_refused(net: Network, row: Row) -> None:
    with pytest.raises(row.error) as caught:
        row.call(net, X.copy(), TARGETS[row.kind].copy())
    assert isinstance(caught.value, xpnet.XpnetError)
    message = str(caught.value)
    missing = [part for part in row.fragments if part not in message]
    assert not missing, f"{missing} not in {message!r}"


def names(rows: list[Row]) -> list[str]:
    found = [row.name for row in rows]
    assert len(set(found)) == len(found)
    return found


def assert_a_trained_network_refuses(row: Row, trained: dict[str, Network]) -> None:
    net = trained[row.kind]
    before = snapshot(net)
    assert_refused(net, row)
    assert snapshot(net) == before
    loss = net.train_step(X, TARGETS[row.kind])
    assert np.isfinite(float(net.backend.to_numpy(loss)))
    assert net.steps == before["steps"] + 1


def assert_an_unbuilt_network_refuses(row: Row, backend: xpnet.Backend) -> None:
    net = make(row.kind, backend)
    assert_refused(net, row)
    assert not net.built
    assert (net.in_shape, net.out_shape, net.epochs, net.steps, dict(net.history)) == (None, (), 0, 0, {})
    assert net.learning_rate == 1e-3
    net.build(FEATURES)
    assert {name: array.shape for name, array in net.get_weights().items()} == {
        "0.weight": (4, 6),
        "0.bias": (6,),
        "2.weight": (6, LOSSES[row.kind][0]),
        "2.bias": (LOSSES[row.kind][0],),
    }
