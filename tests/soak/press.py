"""Press Ctrl-C at random lines of training, and go on: ``python -m tests.soak.press``.

Afterwards the network must be whole (its counts agree, its epochs are those of a run that nobody stopped) and train on;
a run with checkpoints must come to the same end.
"""

from __future__ import annotations

import argparse
import random
import tempfile
import time
from pathlib import Path
from types import CodeType
from typing import Any

import numpy as np

import xpnet
from tests.pressing import press

MODULES = (
    "fitting ended_epochs history nonfinite_guard resuming network atomic_write checkpoint callbacks locking batches"
    " compiling"
).split()
WAYS = ("arrays", "watched", "checkpoint", "watched checkpoint")

RNG = np.random.default_rng(0)
X = RNG.normal(size=(60, 3))
Y = (X[:, 0] > 0).astype(np.int64)


def make() -> xpnet.Network:
    return xpnet.Network([xpnet.Dense(4), "tanh", xpnet.Dropout(0.2), xpnet.Dense(2)], seed=1, optimizer="adam")


def train(net: xpnet.Network, way: str, folder: Path) -> None:
    options: dict[str, Any] = {"epochs": 4, "batch_size": 20, "verbose": 0}
    if "watched" in way:
        options |= {"validation_data": (X, Y), "callbacks": [xpnet.EarlyStopping(monitor="loss", patience=9)]}
    if "checkpoint" in way:
        options |= {"checkpoint": folder, "resume": True, "every": "2 steps"}
    net.fit(X, Y, **options)


def is_training(code: CodeType) -> bool:
    path = Path(code.co_filename)
    return path.stem in MODULES and bool({"xpnet", "xpnet_backends"} & set(path.parts))


def check(way: str, presses: int, seed: int) -> None:
    """Press so often, each time in a run of its own; raise AssertionError where something is lost."""
    whole, chance = make(), random.Random(seed)
    with tempfile.TemporaryDirectory() as place:
        lines = press(lambda: train(whole, way, Path(place)), 0, is_training)
    weights = whole.get_weights()
    for _ in range(presses):
        line, net = chance.randint(1, lines), make()
        with tempfile.TemporaryDirectory() as place:
            # How many lines a run takes depends on the clock too, by some; then it may end before.
            press(lambda net=net, place=place: train(net, way, Path(place)), line, is_training)
            where = f"{way}, line {line} of {lines}"
            assert net.epochs == net.history.epochs, where
            assert net.history == {
                name: values[: net.epochs] for name, values in whole.history.items() if net.epochs
            }, where
            if net.built:
                assert net.steps == int(net.state.step), where
                net.predict(X)
            if "checkpoint" in way:
                again = make()
                train(again, way, Path(place))
                assert again.history == whole.history, where
                for name, array in again.get_weights().items():
                    np.testing.assert_array_equal(array, weights[name], err_msg=where)
        net.fit(X, Y, batch_size=20, verbose=0)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--presses", type=int, default=1000, help="for each of four ways to train")
    parser.add_argument("--seed", type=int, default=0)
    chosen = parser.parse_args()
    for way in WAYS:
        begun = time.monotonic()
        check(way, chosen.presses, chosen.seed)
        print(f"{way}: Ctrl-C at {chosen.presses} lines, nothing lost, {time.monotonic() - begun:.0f} s", flush=True)


if __name__ == "__main__":
    main()
