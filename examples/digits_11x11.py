"""A sigmoid network on shrunken handwritten digits: 1,000 images of 11 x 11 pixels, ten classes.

First as published, from an untrained network that guesses to one trained by full-batch descent; then how far the
same 1,000 images carry with scaled pixels, ReLU, Adam and dropout; and what nodes, rate and samples change.

    python examples/digits_11x11.py
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from common import (
    accuracy,
    begin,
    canvas,
    classes,
    mnist_images,
    options,
    save,
    spread,
    table,
)

import xpnet
from xpnet import SGD, Adam, CrossEntropy, Dense, Dropout, Normal, OneCycle, ReLU, Sigmoid
from xpnet.plotting import plot_confusion_matrix, plot_curves

EPOCHS, BATCH = 60, 32
"""Of the better recipe."""


def published_network(hidden: int, rate: float, args: Any, seed: int) -> xpnet.Network:
    """Return the network 121-hidden-10: standard-normal start, descent on the summed loss."""
    start = {"weight_initializer": Normal(1.0), "bias_initializer": Normal(1.0)}
    return xpnet.Network(
        [Dense(hidden, **start), Sigmoid(), Dense(10, **start)],
        loss=CrossEntropy(reduction="sum"),
        optimizer=SGD(rate),
        inputs=121,
        backend=args.backend,
        seed=seed,
    )


def better_network(hidden: int, samples: int, epochs: int, args: Any, seed: int, dropout: bool = True) -> xpnet.Network:
    """Return two hidden layers of ReLU with Adam and a one-cycle rate, with or without dropout."""
    layers: list[Any] = [Dense(hidden), ReLU(), Dropout(0.5), Dense(hidden), ReLU(), Dropout(0.5), Dense(10)]
    layers = [Dropout(0.2), *layers] if dropout else [layer for layer in layers if not isinstance(layer, Dropout)]
    steps = epochs * -(-samples // BATCH)
    return xpnet.Network(layers, optimizer=Adam(OneCycle(3e-3, steps)), backend=args.backend, seed=seed)


def main(arguments: Sequence[str] | None = None) -> dict[str, float]:
    """Train as published and better, print tables, save the picture."""
    parser = options(__doc__, mnist=True)
    parser.add_argument("--hidden", type=int, default=100, help="hidden units of the published network (default: 100)")
    args = begin(parser, arguments)
    images, labels, test_images, test_labels = mnist_images(args.data)
    x, y = xpnet.digits_11x11(images[:1_000]), labels[:1_000]
    x_test, y_test = xpnet.digits_11x11(test_images[:1_000]), test_labels[:1_000]
    seeds = range(args.seed, args.seed + (1 if args.quick else 3))
    starts, epochs, better_epochs = (2, 20, 2) if args.quick else (20, 500, EPOCHS)

    # As published: first a network that knows nothing, then two learning rates.
    guesses = [accuracy(published_network(args.hidden, 1e-4, args, seed), x_test, y_test) for seed in range(starts)]
    rows = [[f"untrained, {starts} starts", "about 0.10", spread(guesses), "-", "-"]]
    curves, figures = {}, {"untrained": float(np.mean(guesses))}
    for rate, paper in ((1e-5, "0.152"), (1e-4, "0.496")):
        found = []
        for seed in seeds:
            net = published_network(args.hidden, rate, args, seed)
            history = net.fit(x, y, epochs=epochs, batch_size=None, verbose=0)
            found.append((accuracy(net, x_test, y_test), history["accuracy"][-1], history["loss"][-1] / len(x)))
        test, training, cost = zip(*found, strict=True)
        rows.append([f"rate {rate:g}, {epochs} epochs", paper, spread(test), spread(training), spread(cost)])
        curves[f"published recipe, rate {rate:g}"] = history["accuracy"]
        figures[f"rate {rate:g}"] = float(np.mean(test))
        at_400 = min(400, epochs - 1)
        cost_400, share_400 = history["loss"][at_400] / len(x), history["accuracy"][at_400]
    rows.append(
        ["  at epoch 400, last seed", "cost 1.43, 0.617 of training", "-", f"{share_400:.4f}", f"{cost_400:.4f}"]
    )
    table(
        f"The published recipe, 121-{args.hidden}-10; mean and deviation of {len(seeds)} seeds",
        ["", "published", "test accuracy", "training accuracy", "mean cost"],
        rows,
    )

    # Better: pixels in 0..1, ReLU, Adam, and dropout against overfitting.
    rows = []
    for dropout in (False, True):
        found = []
        for seed in seeds:
            net = better_network(512, len(x), better_epochs, args, seed, dropout)
            history = net.fit(x / 255, y, epochs=better_epochs, batch_size=BATCH, verbose=0)
            found.append((accuracy(net, x_test / 255, y_test), accuracy(net, x / 255, y)))
        test, training = zip(*found, strict=True)
        name = "with dropout" if dropout else "without dropout"
        rows.append([name, spread(training), spread(test)])
        curves[f"better recipe, {name}"] = history["accuracy"]
        figures[name] = float(np.mean(test))
    table(
        f"The better recipe, 121-512-512-10, {better_epochs} epochs, the same 1,000 images",
        ["", "training accuracy", "test accuracy"],
        rows,
    )

    # What nodes, learning rate and samples change, one run each.
    rows = []
    for hidden in (5,) if args.quick else (5, 20, 100):
        net = published_network(hidden, 1e-4, args, args.seed)
        net.fit(x, y, epochs=epochs, batch_size=None, verbose=0)
        rows.append([f"published recipe, {hidden} hidden", accuracy(net, x_test, y_test)])
    for rate in (1e-3,) if args.quick else (1e-3, 1e-2):
        net = published_network(args.hidden, rate, args, args.seed)
        net.fit(x, y, epochs=epochs, batch_size=None, verbose=0)
        rows.append([f"published recipe, rate {rate:g}", accuracy(net, x_test, y_test)])
    for samples in (100,) if args.quick else (100, 300, 1_000):
        net = better_network(128, samples, better_epochs, args, args.seed)
        net.fit(x[:samples] / 255, y[:samples], epochs=better_epochs, batch_size=BATCH, verbose=0)
        rows.append([f"better recipe, 128 hidden, {samples} samples", accuracy(net, x_test / 255, y_test)])
    table("What each choice changes", ["", "test accuracy"], rows)

    net = better_network(512, len(x), better_epochs, args, args.seed)
    net.fit(x / 255, y, epochs=better_epochs, batch_size=BATCH, verbose=0)
    figure, (left, right) = canvas(2)
    plot_curves(curves, ax=left, ylabel="training accuracy", xscale="log", yscale="linear")
    plot_confusion_matrix(xpnet.confusion_matrix(y_test, classes(net, x_test / 255), 10), ax=right, colorbar=False)
    right.set_title(f"better recipe: {right.get_title()}")
    save(figure, args.out / "digits_11x11.png")
    return figures


if __name__ == "__main__":
    main()
