"""Adam on a three-armed spiral, as published, then in a tenth of the epochs and on spirals it has never seen.

The arms overlap, as their noise is as wide as the gap between two of them. So beside every figure on fresh spirals
stands the best that any classifier can reach there, computed from the law that draws the points.

    python examples/spiral.py
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from common import accuracy, begin, canvas, options, save, spread, table

import xpnet
from xpnet import Adam, Dense, InverseTimeDecay, Normal, OneCycle, ReLU
from xpnet.plotting import plot_curves, plot_decision_boundary

FRESH_SEED = 1_000
"""Seeds of fresh spirals start here, far from those of training."""


def best_answers(x: np.ndarray, noise: float) -> np.ndarray:
    """Return the most likely arm of each point, from the formula that draws the spiral.

    At radius r the angle of arm c is normal around 4c + 4r, so the nearest arm, going around the circle, wins.
    """
    radius = np.hypot(x[:, 0], x[:, 1])
    angle = np.arctan2(x[:, 0], x[:, 1])
    from_arm = angle[:, None] - 2.5 * 4 * (np.arange(3) + radius[:, None])
    turns = from_arm[:, :, None] + 2 * np.pi * np.arange(-8, 9)
    return np.argmax(np.exp(-0.5 * (turns / (2.5 * noise)) ** 2).sum(axis=2), axis=1)


def published_start() -> tuple[np.ndarray, np.ndarray, dict[str, np.ndarray]]:
    """Return the very points and first weights that were published: NumPy's legacy generator with seed 0."""
    legacy = np.random.RandomState(0)
    noise = legacy.randn(3, 100)
    weights = {"0.weight": 0.01 * legacy.randn(2, 64), "2.weight": 0.01 * legacy.randn(64, 3)}
    radius = np.linspace(0.0, 1.0, 100)
    angle = 4.0 * np.arange(3)[:, None] + np.linspace(0.0, 4.0, 100) + 0.2 * noise
    x = np.stack([radius * np.sin(2.5 * angle), radius * np.cos(2.5 * angle)], axis=-1)
    return x.reshape(-1, 2), np.repeat(np.arange(3), 100), weights


def published_network(backend: str, seed: int) -> xpnet.Network:
    """Return the network 2-64-3 with its published optimizer and a start of the published kind."""
    small = Normal(0.01)
    return xpnet.Network(
        [Dense(64, weight_initializer=small), ReLU(), Dense(3, weight_initializer=small)],
        optimizer=Adam(InverseTimeDecay(0.05, decay=5e-7), epsilon=1e-7),
        inputs=2,
        backend=backend,
        seed=seed,
    )


def better_network(backend: str, seed: int, steps: int) -> xpnet.Network:
    """Return one with a second hidden layer of 64, He's start and a one-cycle rate."""
    return xpnet.Network(
        [Dense(64), ReLU(), Dense(64), ReLU(), Dense(3)],
        optimizer=Adam(OneCycle(0.01, steps)),
        backend=backend,
        seed=seed,
    )


def main(arguments: Sequence[str] | None = None) -> dict[str, float]:
    """Train as published and better, measure on fresh spirals, print tables, save the picture."""
    args = begin(options(__doc__), arguments)
    epochs, short, few = (20, 10, 1) if args.quick else (10_001, 900, 50)
    repeats = range(args.seed, args.seed + (1 if args.quick else 5))
    fresh = {noise: xpnet.spiral(10_000, noise=noise, seed=FRESH_SEED) for noise in (0.2, 0.1)}
    best = {noise: float(np.mean(best_answers(x, noise) == y)) for noise, (x, y) in fresh.items()}

    # The published recipe, from the published points and weights.
    x, y, weights = published_start()
    published = published_network(args.backend, args.seed)
    published.set_weights(weights)
    history = published.fit(x, y, epochs=epochs, batch_size=None, verbose=0)
    at_1000 = min(1_000, epochs - 1)
    table(
        "The published recipe on the published points (training accuracy, loss)",
        ["epoch", "published", "reproduced"],
        [
            ["1,000", "0.940, 0.217", f"{history['accuracy'][at_1000]:.3f}, {history['loss'][at_1000]:.3f}"],
            ["10,000", "0.967, 0.074", f"{history['accuracy'][-1]:.3f}, {history['loss'][-1]:.3f}"],
        ],
    )

    # Repeated on other points: each recipe is (points of an arm, noise, network, epochs, batch size).
    recipes = {
        "published recipe": (100, 0.2, None, epochs, None),
        "better, same 300 points": (100, 0.2, better_network, short, None),
        "better, 6,000 points": (2_000, 0.2, better_network, few, 64),
        "better, 6,000 points, noise 0.1": (2_000, 0.1, better_network, few, 64),
    }
    rows, figures, curves = [], {}, {"published": history["loss"]}
    for name, (points, noise, recipe, length, batch) in recipes.items():
        training, held_out = [], []
        for seed in repeats:
            seen = xpnet.spiral(points, noise=noise, seed=seed)
            steps = length * -(-3 * points // (batch or 3 * points))
            net = recipe(args.backend, seed, steps) if recipe else published_network(args.backend, seed)
            fitted = net.fit(*seen, epochs=length, batch_size=batch, verbose=0)
            training.append(fitted["accuracy"][-1])
            held_out.append(accuracy(net, *fresh[noise]))
        rows.append([name, f"{length:,}", spread(training), spread(held_out), f"{best[noise]:.4f}"])
        figures[name] = float(np.mean(held_out))
        if recipe:
            curves[name] = fitted["loss"]
        if name == "better, 6,000 points":
            better = net
    table(
        f"Fresh spirals: 30,000 points of their own seed; mean and deviation of {len(repeats)} runs",
        ["recipe", "epochs", "training accuracy", "fresh accuracy", "best possible"],
        rows,
    )
    figure, (left, middle, right) = canvas(3)
    plot_curves(curves, ax=left, ylabel="training loss", xscale="log", yscale="log")
    plot_decision_boundary(published, x, y, ax=middle)
    middle.set_title(f"published recipe, its 300 points:\n{middle.get_title()}", fontsize="medium")
    plot_decision_boundary(better, *xpnet.spiral(100, seed=FRESH_SEED), ax=right)
    right.set_title(f"better, 6,000 points; these are fresh:\n{right.get_title()}", fontsize="medium")
    save(figure, args.out / "spiral.png")
    return {"published": history["accuracy"][-1], "best": best[0.2], **figures}


if __name__ == "__main__":
    main()
