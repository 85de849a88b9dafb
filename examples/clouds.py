"""A sigmoid network on three Gaussian clouds, as published, and everything that its author left to the reader.

A split into training, validation and test points, normalised inputs, early stopping, minibatches, Nesterov
momentum, Adam, L1 and L2 penalties, dropout, tanh, and networks with one output: a yes or no, and a number.
The clouds overlap, so the best possible answer, the nearest centre, stands beside every figure.

    python examples/clouds.py
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from common import accuracy, begin, canvas, options, save, spread, table

import xpnet
from xpnet import L1, L2, SGD, Adam, CrossEntropy, Dense, Dropout, EarlyStopping, Normal, Sigmoid, StandardScaler, Tanh
from xpnet.plotting import plot_curves, plot_decision_boundary

CENTERS = np.array([(0, -2), (2, 2), (-2, 2)])
FRESH_SEED = 1_000
"""Seed of the large test set, far from those of training."""


def published_network(backend: str, seed: int) -> xpnet.Network:
    """Return the network 2-5-3: standard-normal start, descent on the summed loss with rate 1e-5."""
    start = {"weight_initializer": Normal(1.0), "bias_initializer": Normal(1.0)}
    return xpnet.Network(
        [Dense(5, **start), Sigmoid(), Dense(3, **start)],
        loss=CrossEntropy(reduction="sum"),
        optimizer=SGD(1e-5),
        backend=backend,
        seed=seed,
    )


def recipes() -> dict[str, tuple[list[Any], Any, int | None]]:
    """Return what the author's closing list asks for: hidden layers, optimizer, batch size."""
    return {
        "full-batch descent": ([Dense(5), Sigmoid()], SGD(0.5), None),
        "stochastic descent": ([Dense(5), Sigmoid()], SGD(0.02), 1),
        "minibatches of 32": ([Dense(5), Sigmoid()], SGD(0.5), 32),
        "Nesterov momentum": ([Dense(5), Sigmoid()], SGD(0.1, momentum=0.9, nesterov=True), 32),
        "Adam": ([Dense(5), Sigmoid()], Adam(0.02), 32),
        "Adam, tanh": ([Dense(5), Tanh()], Adam(0.02), 32),
        "Adam, L1": ([Dense(5), Sigmoid()], xpnet.chain(L1(1e-3), Adam(0.02)), 32),
        "Adam, L2": ([Dense(5), Sigmoid()], xpnet.chain(L2(1e-3), Adam(0.02)), 32),
        "Adam, dropout": ([Dense(20), Sigmoid(), Dropout(0.2)], Adam(0.02), 32),
    }


def main(arguments: Sequence[str] | None = None) -> dict[str, float]:
    """Train as published and better, print tables, save the picture."""
    args = begin(options(__doc__), arguments)
    points, epochs, patient = (50, 50, 5) if args.quick else (500, 10_000, 300)
    x_fresh, y_fresh = xpnet.clouds(60 * points, seed=FRESH_SEED)
    nearest = np.linalg.norm(x_fresh[:, None] - CENTERS, axis=2).argmin(axis=1)
    best = float(np.mean(nearest == y_fresh))

    # As published: all 1,500 points train the network and measure it. Then the same measured on fresh points.
    training, fresh = [], []
    for seed in range(args.seed, args.seed + (1 if args.quick else 5)):
        x, y = xpnet.clouds(points, seed=seed)
        published = published_network(args.backend, seed)
        history = published.fit(x, y, epochs=epochs, batch_size=None, verbose=0)
        training.append(history["accuracy"][-1])
        fresh.append(accuracy(published, x_fresh, y_fresh))
    table(
        f"The published recipe, {epochs:,} epochs; mean and deviation of {len(training)} runs",
        ["", "published", "reproduced"],
        [
            ["accuracy, training points", "about 0.97", spread(training)],
            [f"accuracy, {len(y_fresh):,} fresh points", "-", spread(fresh)],
            ["best possible on these", "-", f"{best:.4f}"],
        ],
    )

    # Better: three parts, inputs normalised by the training part, and validation points that say when to stop.
    x, y = xpnet.clouds(points, seed=args.seed)
    x_train, y_train, x_val, y_val, x_test, y_test = xpnet.split(
        x, y, test=0.2, validation=0.2, stratify=y, seed=args.seed
    )
    scaler = StandardScaler().fit(x_train)
    x_train, x_val, x_test, x_far = (scaler.transform(part) for part in (x_train, x_val, x_test, x_fresh))
    rows, figures, curves = [], {}, {}
    for name, (hidden, optimizer, batch) in recipes().items():
        net = xpnet.Network([*hidden, Dense(3)], optimizer=optimizer, backend=args.backend, seed=args.seed)
        stop = EarlyStopping("val_loss", patience=20)
        fitted = net.fit(
            x_train,
            y_train,
            epochs=patient,
            batch_size=batch,
            validation_data=(x_val, y_val),
            callbacks=[stop],
            verbose=0,
        )
        figures[name] = accuracy(net, x_far, y_fresh)
        curves[name] = fitted["val_loss"]
        rows.append([name, (stop.best_epoch or 0) + 1, accuracy(net, x_test, y_test), figures[name]])
    table(
        f"{len(x_train)} points train, {len(x_val)} say when to stop, {len(x_test)} test (best possible: {best:.4f})",
        ["recipe", "best epoch", "test accuracy", "fresh accuracy"],
        rows,
    )

    # One output: is it cloud 0 or not; and a number: the square of a point's height.
    yes_no = xpnet.Network(
        [Dense(5), Tanh(), Dense(1)],
        loss="binary_cross_entropy",
        optimizer=Adam(0.02),
        seed=args.seed,
        backend=args.backend,
    )
    yes_no.fit(x_train, y_train == 0, epochs=patient // 5, verbose=0)
    height = (x_train[:, 1] ** 2, x_test[:, 1] ** 2)
    number = xpnet.Network(
        [Dense(20), Tanh(), Dense(1)],
        loss="mse",
        metrics=["r2"],
        optimizer=Adam(0.02),
        seed=args.seed,
        backend=args.backend,
    )
    number.fit(x_train, height[0], epochs=patient // 5, verbose=0)
    figures["one output"] = accuracy(yes_no, x_test, y_test == 0)
    figures["regression"] = number.evaluate(x_test, height[1])["r2"]
    table(
        "Networks with one output",
        ["question", "measure", "test"],
        [
            ["is it cloud 0?", "accuracy", figures["one output"]],
            ["the square of a point's height", "R²", figures["regression"]],
        ],
    )

    figure, (left, middle, right) = canvas(3)
    plot_curves({"published recipe": history["loss"]}, ax=left, ylabel="training loss, summed", yscale="log")
    plot_curves({name: curves[name] for name in list(curves)[:5]}, ax=middle, ylabel="validation loss", yscale="log")
    plot_decision_boundary(published, *xpnet.clouds(200, seed=FRESH_SEED + 1), ax=right)
    right.set_title(f"published recipe, fresh points: {right.get_title()}", fontsize="medium")
    save(figure, args.out / "clouds.png")
    return {"published": float(np.mean(training)), "fresh": float(np.mean(fresh)), "best": best, **figures}


if __name__ == "__main__":
    main()
