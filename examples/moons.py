"""A ReLU network on two moons: minibatches, repeated experiments, and the neurons-versus-accuracy curve.

First 100 repetitions of the published recipe, then of a better one, with mean and deviation on the held-out quarter
of the points; then the sweep over 3..99 hidden units that its author had to break off.

    python examples/moons.py
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from functools import partial
from typing import Any

import numpy as np
from common import BLUE, ORANGE, accuracy, begin, canvas, options, save, spread, table
from sklearn.datasets import make_moons
from sklearn.model_selection import train_test_split

import xpnet
from xpnet import L2, SGD, Adam, CrossEntropy, Dense, Normal, OneCycle, ReLU
from xpnet.plotting import plot_curves, plot_decision_boundary

BATCH = 50
"""Of the better recipe. It was chosen by its accuracy on fresh points, not on the held-out ones."""


def published_network(hidden: int, args: Any, seed: int) -> xpnet.Network:
    """Return the network 2-hidden-2: standard-normal start, descent on the summed loss with rate 1e-4."""
    start = {"weight_initializer": Normal(1.0), "bias_initializer": Normal(1.0)}
    return xpnet.Network(
        [Dense(hidden, **start), ReLU(), Dense(2, **start)],
        loss=CrossEntropy(reduction="sum"),
        optimizer=SGD(1e-4),
        backend=args.backend,
        seed=seed,
    )


def better_network(hidden: int, depth: int, steps: int, args: Any, seed: int) -> xpnet.Network:
    """Return one or two hidden layers with He's start, a light L2 penalty, Adam and a one-cycle rate."""
    return xpnet.Network(
        [Dense(hidden), ReLU()] * depth + [Dense(2)],
        optimizer=xpnet.chain(L2(1e-4), Adam(OneCycle(0.02, steps))),
        backend=args.backend,
        seed=seed,
    )


def main(arguments: Sequence[str] | None = None) -> dict[str, float]:
    """Repeat both recipes, sweep the hidden units, print tables, save the picture."""
    parser = options(__doc__)
    parser.add_argument("--repeats", type=int, default=100, help="repetitions of each experiment (default: 100)")
    args = begin(parser, arguments)
    points, repeats, trials = (500, 1, 1) if args.quick else (5_000, args.repeats, 3)
    short, normal, long = (2, 2, 2) if args.quick else (10, 20, 100)
    x, y = make_moons(points, noise=0.1, random_state=42)
    x_train, x_test, y_train, y_test = train_test_split(x, y, random_state=42)
    one_hot = xpnet.one_hot(y_train, 2)
    fresh = make_moons(20_000, noise=0.1, random_state=1)

    def published(hidden: int, batch: int, epochs: int, seed: int) -> tuple[xpnet.Network, xpnet.History]:
        net = published_network(hidden, args, seed)
        return net, net.fit(x_train, one_hot, epochs=epochs, batch_size=batch, verbose=0)

    def better(hidden: int, depth: int, seed: int) -> tuple[xpnet.Network, xpnet.History]:
        net = better_network(hidden, depth, normal * -(-len(x_train) // BATCH), args, seed)
        return net, net.fit(x_train, y_train, epochs=normal, batch_size=BATCH, verbose=0)

    # Repeated experiments: (training with a seed, repetitions, epochs, what was published).
    experiments: dict[str, tuple[Any, int, int, str]] = {
        "published, 64 units, batch 10": (partial(published, 64, 10, short), repeats, short, "0.94541 ± 0.019558"),
        "published, 99 units, batch 20": (partial(published, 99, 20, short), repeats, short, "0.9496"),
        "published, 35 units, batch 20": (partial(published, 35, 20, long), trials, long, "about 0.98"),
        "better, 64 units": (partial(better, 64, 1), repeats, normal, "-"),
        "better, 64 and 64 units": (partial(better, 64, 2), repeats, normal, "-"),
    }
    rows, figures, kept = [], {}, {}
    for name, (train, times, epochs, paper) in experiments.items():
        started, test, new = time.perf_counter(), [], []
        for i in range(times):
            kept[name] = train(args.seed + i)
            test.append(accuracy(kept[name][0], x_test, y_test))
            new.append(accuracy(kept[name][0], *fresh))
        figures[name] = float(np.mean(test))
        seconds = time.perf_counter() - started
        rows.append([name, epochs, times, paper, spread(test, 5), spread(new, 5), f"{seconds:.0f} s"])
    table(
        f"Accuracy on the {len(x_test):,} held-out points, and on 20,000 fresh ones",
        ["recipe", "epochs", "runs", "published", "held out", "fresh", "time"],
        rows,
    )

    # The sweep: every number of hidden units from 3 to 99, three trials each.
    started = time.perf_counter()
    units = range(3, 100, 48) if args.quick else range(3, 100)
    sweep = np.array(
        [
            [accuracy(better(hidden, 1, args.seed + trial)[0], x_test, y_test) for trial in range(trials)]
            for hidden in units
        ]
    )
    minutes = (time.perf_counter() - started) / 60
    table(
        f"The sweep, better recipe, {len(units)} sizes, {trials} trials each: {minutes:.1f} minutes",
        ["hidden units", "test accuracy"],
        [[hidden, spread(scores)] for hidden, scores in zip(units, sweep, strict=True) if hidden % 8 == 3],
    )
    figures["sweep, 32 units and more"] = float(sweep[np.array(units) >= 32].mean())

    figure, (left, middle, right) = canvas(3)
    losses = {name: kept[name][1]["accuracy"] for name in ("published, 64 units, batch 10", "better, 64 units")}
    plot_curves(losses, ax=left, ylabel="training accuracy")
    mean = sweep.mean(axis=1)
    middle.fill_between(units, sweep.min(axis=1), sweep.max(axis=1), color=BLUE, alpha=0.3)
    middle.plot(units, mean, color=BLUE, label=f"better recipe, {trials} trials")
    middle.axhline(0.98, color=ORANGE, linestyle="--", label="published, 30 to 40 units")
    middle.set(xlabel="hidden units", ylabel="test accuracy")
    middle.grid(alpha=0.3)
    middle.legend()
    plot_decision_boundary(kept["better, 64 and 64 units"][0], x_test, y_test, ax=right)
    right.set_title(f"better recipe, test points: {right.get_title()}", fontsize="medium")
    save(figure, args.out / "moons.png")
    return figures


if __name__ == "__main__":
    main()
