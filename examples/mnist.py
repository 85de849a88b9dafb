"""MNIST in three steps, then far beyond them.

(a) one sigmoid unit that tells zeros from all other digits, (b) one hidden layer of 64 for the same, (c) ten
classes with softmax: full-batch gradient descent as published. Then (d) a wider network with Adam, a one-cycle
learning rate and smoothed labels, (e) one with dropout and max-norm, and (f) one that sees every image shifted by
up to two pixels, anew in each epoch. Every network trains on all 60,000 images and is measured once on the 10,000
of the test set; nothing stops by the test set.

    python examples/mnist.py                 # all six: half an hour on two free cores
    python examples/mnist.py --steps a d     # some of them
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from functools import partial
from typing import Any

import numpy as np
from common import begin, canvas, classes, load_mnist, options, save, table

import xpnet
from xpnet import SGD, Adam, BinaryCrossEntropy, CrossEntropy, Dense, Dropout, MaxNorm, Normal, OneCycle, ReLU, Sigmoid
from xpnet.plotting import plot_confusion_matrix, plot_curves

PUBLISHED = {
    "a": ("one unit: zero or not", "0.0251", (8980 + 947) / 10_000),
    "b": ("64 hidden: zero or not", "0.0242", (8984 + 944) / 10_000),
    "c": ("64 hidden: ten digits", "0.2407", 0.92),
    "d": ("512-512, smoothed labels", "-", 0.984),
    "e": ("1024-1024, dropout, max-norm", "-", 0.9894),
    "f": ("1024-1024, dropout, shifts", "-", 0.9894),
}
"""What, final training cost, test accuracy; from (d) on, the accuracy that others reached with such networks."""

BATCH = 256
EPOCHS = {"a": 2_000, "b": 2_000, "c": 2_000, "d": 15, "e": 25, "f": 20}


def published_network(step: str, args: Any) -> xpnet.Network:
    """Return the network of step (a), (b) or (c): descent with rate 1 from normal weights and zero biases."""
    small, wide = Normal(0.01), Normal(1.0)
    layers: dict[str, list[Any]] = {
        "a": [Dense(1, weight_initializer=small)],
        "b": [Dense(64, weight_initializer=wide), Sigmoid(), Dense(1, weight_initializer=wide)],
        "c": [Dense(64, weight_initializer=wide), Sigmoid(), Dense(10, weight_initializer=wide)],
    }
    loss = CrossEntropy() if step == "c" else BinaryCrossEntropy()
    return xpnet.Network(layers[step], loss=loss, optimizer=SGD(1.0), backend=args.backend, seed=args.seed)


def better_network(step: str, steps: int, args: Any) -> xpnet.Network:
    """Return the network of step (d), (e) or (f)."""
    layers: dict[str, list[Any]] = {
        "d": [Dense(512), ReLU(), Dense(512), ReLU(), Dense(10)],
        "e": [Dropout(0.2), Dense(1024), ReLU(), Dropout(0.5), Dense(1024), ReLU(), Dropout(0.5), Dense(10)],
        "f": [Dense(1024), ReLU(), Dropout(0.2), Dense(1024), ReLU(), Dropout(0.2), Dense(10)],
    }
    optimizer: Any = Adam(OneCycle(2e-3, steps))
    if step == "e":
        optimizer = xpnet.chain(optimizer, MaxNorm(3.0))
    loss = CrossEntropy(label_smoothing=0.1 if step == "d" else 0.0)
    return xpnet.Network(layers[step], loss=loss, optimizer=optimizer, backend=args.backend, seed=args.seed, inputs=784)


def shifted_batches(x: np.ndarray, y: np.ndarray, stream: np.random.Generator) -> Iterator[tuple[np.ndarray, ...]]:
    """Yield one epoch of batches in a new order, every image moved by up to two pixels each way."""
    padded = np.pad(x.reshape(-1, 28, 28), ((0, 0), (2, 2), (2, 2)))
    windows = np.lib.stride_tricks.sliding_window_view(padded, (28, 28), axis=(1, 2))  # (N, 5, 5, 28, 28)
    order = stream.permutation(len(x))
    for start in range(0, len(x), BATCH):
        rows = order[start : start + BATCH]
        down, right = stream.integers(0, 5, (2, len(rows)))
        yield windows[rows, down, right].reshape(len(rows), 784), y[rows]


def main(arguments: Sequence[str] | None = None) -> dict[str, float]:
    """Train the chosen steps, print reports and a table, save a picture of each step."""
    parser = options(__doc__, mnist=True)
    parser.add_argument("--steps", nargs="+", choices=list(PUBLISHED), default=list(PUBLISHED), help="default: all")
    args = begin(parser, arguments)
    x, y, x_test, y_test = load_mnist(args.data)
    epochs = dict.fromkeys(EPOCHS, 2) if args.quick else EPOCHS
    if args.quick:
        x, y, x_test, y_test = x[:1_000], y[:1_000], x_test[:1_000], y_test[:1_000]

    rows, figures = [], {}
    for step in args.steps:
        what, paper_cost, paper = PUBLISHED[step]
        print(f"\n({step}) {what}, {epochs[step]:,} epochs", flush=True)
        zero = step in "ab"
        target, truth = (y == 0, (y_test == 0).astype(int)) if zero else (y, y_test)
        started = time.perf_counter()
        if step in "abc":
            net = published_network(step, args)
            history = net.fit(x, target, epochs=epochs[step], batch_size=None, verbose=0)
        else:
            net = better_network(step, epochs[step] * -(-len(x) // BATCH), args)
            if step == "f":
                shifts = partial(shifted_batches, x, y, np.random.default_rng(args.seed))
                history = net.fit(shifts, epochs=epochs[step], verbose=1)
            else:
                history = net.fit(x, y, epochs=epochs[step], batch_size=BATCH, verbose=1)
        seconds = time.perf_counter() - started

        predicted = classes(net, x_test)
        matrix = xpnet.confusion_matrix(truth, predicted, 2 if zero else 10)
        print(xpnet.classification_report(truth, predicted, names=["other", "zero"] if zero else None))
        print("confusion matrix (rows true, columns predicted):")
        print(matrix)
        figures[step] = float(np.mean(predicted == truth))
        rows.append([f"({step}) {what}", paper_cost, history["loss"][-1], paper, figures[step], f"{seconds:.0f} s"])

        figure, (left, right) = canvas(2)
        plot_curves({"training": history["loss"]}, ax=left, ylabel="loss", yscale="log")
        plot_confusion_matrix(matrix, ax=right, colorbar=False)
        right.set_title(f"({step}) {what}: {figures[step]:.2%}")
        save(figure, args.out / f"mnist_{step}.png")
    table(
        f"MNIST, {len(x):,} training and {len(x_test):,} test images, seed {args.seed}",
        ["step", "published cost", "cost", "published accuracy", "test accuracy", "training"],
        rows,
    )
    return figures


if __name__ == "__main__":
    main()
