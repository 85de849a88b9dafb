"""What ``precision="bfloat16"`` does to accuracy and to the time of a step, beside float32, on each backend.

    python -m benchmarks.precision [--rounds 5] [--only spiral mnist wide] [--backends numpy torch jax] [--out]

Accuracy is that of held-out data: a spiral drawn anew, and MNIST's test images (``XPNET_DATA`` names the folder). Both
precisions have equal seeds, so equal first weights and batches, and take turns. A step's time is an epoch's by ``fit``,
over its steps, the first epoch left out. Prints tables in Markdown; ``--out`` writes a JSON file.
"""

from __future__ import annotations

import argparse
import statistics
from collections.abc import Callable
from importlib.util import find_spec
from time import perf_counter
from typing import Any

import numpy as np

import xpnet
from benchmarks.command import add_output, log, machine, write

PRECISIONS = ("float32", "bfloat16")
BACKENDS = ("numpy", "torch", "jax")
PACKAGES = ("xpnet", "numpy", "llvmlite", "torch", "jax", "jaxlib")

Data = tuple[np.ndarray, np.ndarray]


def spiral(seed: int) -> tuple[Data, Data]:
    return xpnet.spiral(points=300, seed=seed), xpnet.spiral(points=300, seed=1000 + seed)


def mnist(seed: int) -> tuple[Data, Data]:
    x, y, x_test, y_test = xpnet.mnist(download=False)
    x, x_test = (images.reshape(len(images), -1).astype(np.float32) / 255 for images in (x, x_test))
    return (x, y), (x_test, y_test)


def noise(seed: int) -> tuple[Data, Data]:
    generator = np.random.default_rng(seed)
    data = generator.standard_normal((8 * 1024, 784), dtype=np.float32), generator.integers(0, 10, 8 * 1024)
    return data, (data[0][:1024], data[1][:1024])


WORKS: dict[str, tuple[Callable[[int], tuple[Data, Data]], tuple[int, ...], float, int, int]] = {
    "spiral": (spiral, (64, 64, 3), 1e-2, 100, 90),
    "mnist": (mnist, (512, 512, 10), 1e-3, 5, 128),
    "wide": (noise, (2048, 2048, 10), 1e-3, 4, 1024),
}
"""Data by seed, units of the layers, Adam's rate, epochs, batch. The widest is for its time: it learns noise."""


class Clock(xpnet.Callback):
    """Takes the time of each epoch."""

    def __init__(self) -> None:
        self.seconds: list[float] = []

    def on_epoch_begin(self, epoch: int, logs: dict[str, float]) -> None:
        self.start = perf_counter()

    def on_epoch_end(self, epoch: int, logs: dict[str, float]) -> None:
        self.seconds.append(perf_counter() - self.start)


def run(name: str, backend: str, precision: str, seed: int, quick: bool) -> dict[str, float]:
    """Train once; return loss and accuracy on held-out data, and microseconds a step."""
    make, units, rate, epochs, batch = WORKS[name]
    (x, y), held_out = make(seed)
    layers: list[Any] = [part for width in units[:-1] for part in (xpnet.Dense(width), "relu")]
    net = xpnet.Network(
        [*layers, xpnet.Dense(units[-1])],
        optimizer=xpnet.Adam(rate),
        backend=backend,
        precision=precision,
        seed=seed,
    )
    clock = Clock()
    net.fit(x, y, epochs=2 if quick else epochs, batch_size=batch, callbacks=[clock], verbose=0)
    steps = -(-len(x) // batch)
    return {**net.evaluate(*held_out), "microseconds": 1e6 * statistics.median(clock.seconds[1:]) / steps}


def measure(name: str, backend: str, options: argparse.Namespace) -> dict[str, list[dict[str, float]]]:
    found: dict[str, list[dict[str, float]]] = {precision: [] for precision in PRECISIONS}
    for seed in range(options.rounds):
        for precision in PRECISIONS if seed % 2 == 0 else reversed(PRECISIONS):
            found[precision].append(run(name, backend, precision, seed, options.quick))
        log(f"{name} on {backend}: {seed + 1} of {options.rounds} seeds")
    return found


def table(results: dict[str, Any]) -> str:
    """Return a row for each work and backend: accuracies, mean and least to most, and times, in both precisions."""
    lines = [
        "| | backend | accuracy, float32 | bfloat16 | loss, float32 | bfloat16 | us a step, float32 | bfloat16 |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for name, backends in results["trainings"].items():
        for backend, found in backends.items():
            cells = [_range([one["accuracy"] for one in found[precision]]) for precision in PRECISIONS]
            cells += [f"{statistics.mean(one['loss'] for one in found[precision]):.4f}" for precision in PRECISIONS]
            times = [statistics.median(one["microseconds"] for one in found[precision]) for precision in PRECISIONS]
            lines.append(f"| {' | '.join([name, backend, *cells, *(f'{time:,.0f}' for time in times)])} |")
    return "\n".join(lines)


def _range(values: list[float]) -> str:
    return f"{statistics.mean(values):.4f} ({min(values):.4f} to {max(values):.4f})"


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, help="trainings of each kind, each of a seed (default: 5)")
    for option, known in (("only", tuple(WORKS)), ("backends", BACKENDS)):
        parser.add_argument(f"--{option}", nargs="+", choices=known, default=list(known), metavar="NAME")
    add_output(parser)
    options = parser.parse_args(arguments)
    if options.rounds is None:
        options.rounds = 1 if options.quick else 5
    if options.rounds < 1:
        parser.error(f"--rounds must be at least 1; got {options.rounds}")
    results: dict[str, Any] = {"machine": machine(options, PACKAGES), "trainings": {}}
    for name in options.only:
        for backend in options.backends:
            if find_spec(backend) is None:
                log(f"{backend} is not installed")
                continue
            results["trainings"].setdefault(name, {})[backend] = measure(name, backend, options)
    print(table(results))
    if options.out is not None:
        print(f"wrote {write(results, options.out, 'precision')}")


if __name__ == "__main__":
    main()
