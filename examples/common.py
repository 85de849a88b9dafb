"""What the examples share: their options, tables, pictures, and MNIST."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

import xpnet

NO_BACKEND = 3
"""Exit code of an example whose array library or GPU cannot be had."""

BLUE, ORANGE = "#0072B2", "#D55E00"  # as xpnet.plotting has them


def options(description: str | None, backend: str = "numpy", mnist: bool = False) -> argparse.ArgumentParser:
    """Return the options that every example takes."""
    parser = argparse.ArgumentParser(
        description=description, formatter_class=argparse.RawDescriptionHelpFormatter, allow_abbrev=False
    )
    parser.add_argument("--backend", default=backend, help="array library to compute with (default: %(default)s)")
    parser.add_argument("--seed", type=int, default=0, help="decides weights, batches and splits (default: 0)")
    parser.add_argument("--quick", action="store_true", help="a short run that shows the way, not the figures")
    parser.add_argument("--out", type=Path, default=Path("out"), help="folder for pictures (default: %(default)s)")
    if mnist:
        parser.add_argument("--data", help="folder with MNIST's four files (default: $XPNET_DATA, cache, download)")
    return parser


def begin(parser: argparse.ArgumentParser, arguments: Sequence[str] | None) -> argparse.Namespace:
    """Read the options, make the folder for pictures, and leave with one line where the backend is missing."""
    args = parser.parse_args(arguments)
    try:
        xpnet.open_backend(args.backend)
    except xpnet.BackendError as error:
        print(f"{parser.prog}: cannot run here: {error}", file=sys.stderr)
        sys.exit(NO_BACKEND)
    args.out.mkdir(parents=True, exist_ok=True)
    return args


def mnist_images(folder: str | None) -> tuple[np.ndarray, ...]:
    """Return MNIST's grey values and labels, or leave with one line where there are none."""
    try:
        return xpnet.mnist(folder)
    except xpnet.DatasetError as error:
        sys.exit(str(error))


def load_mnist(folder: str | None) -> tuple[np.ndarray, ...]:
    """Return MNIST as numbers in 0..1, images (N, 784): x_train, y_train, x_test, y_test."""
    x_train, y_train, x_test, y_test = mnist_images(folder)
    return scaled(x_train), y_train, scaled(x_test), y_test


def scaled(images: np.ndarray) -> np.ndarray:
    """Return grey values 0..255 of images (N, 28, 28) as numbers in 0..1, (N, 784)."""
    return images.reshape(len(images), -1).astype(np.float32) / 255


def classes(net: xpnet.Network, x: Any) -> np.ndarray:
    """Return the predicted classes on the host."""
    return net.backend.to_numpy(net.classify(x))


def accuracy(net: xpnet.Network, x: Any, y: Any) -> float:
    """Return the share of right answers."""
    return net.evaluate(x, y)["accuracy"]


def spread(values: Sequence[float], digits: int = 4) -> str:
    """Return mean and standard deviation of repeated runs.

    >>> spread([0.5, 0.7])
    '0.6000 ± 0.1000'
    """
    return f"{np.mean(values):.{digits}f} ± {np.std(values):.{digits}f}"


def table(title: str, head: Sequence[str], rows: Sequence[Sequence[Any]]) -> None:
    """Print rows below each other, the first column to the left and the others to the right."""
    texts = [[f"{cell:.4f}" if isinstance(cell, float) else str(cell) for cell in row] for row in [head, *rows]]
    widths = [max(map(len, column)) for column in zip(*texts, strict=True)]
    lines = ["  ".join([row[0].ljust(widths[0]), *map(str.rjust, row[1:], widths[1:])]).rstrip() for row in texts]
    print("\n".join(["", title, lines[0], "-" * len(lines[0]), *lines[1:]]), flush=True)


# Pictures: matplotlib without pyplot needs no screen and keeps nothing global.


def canvas(columns: int = 1, width: float = 5.0, height: float = 4.0) -> tuple[Any, list[Any]]:
    """Return an empty figure and its axes, side by side."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width * columns, height), layout="constrained")
    return figure, list(np.atleast_1d(figure.subplots(1, columns)))


def save(figure: Any, path: Path) -> None:
    """Write a picture as PNG and say where it is."""
    figure.savefig(path, dpi=80)
    print(f"picture: {path}", flush=True)
