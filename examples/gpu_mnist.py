"""MNIST on a GPU: a classifier and a wide network, with throughput and accuracy.

    python examples/gpu_mnist.py                    # CuPy
    python examples/gpu_mnist.py --backend numpy    # the same on the processor, to compare
    python examples/gpu_mnist.py --epochs 5

Throughput is measured over whole epochs without the first one, which warms up; an epoch ends by fetching its
results, so the device has finished. Exit code 3, with one line that says why, where the backend or its GPU
cannot be had.
"""

from __future__ import annotations

import time
from collections.abc import Sequence

from common import accuracy, begin, canvas, load_mnist, options, save, table

import xpnet
from xpnet import Adam, CrossEntropy, Dense, Dropout, OneCycle, ReLU
from xpnet.plotting import plot_curves

WIDTHS = {"classifier, 512-512": 512, "wide, 4096-4096": 4096}


def main(arguments: Sequence[str] | None = None) -> dict[str, float]:
    """Train both networks, print a table, save the picture."""
    parser = options(__doc__, backend="cupy", mnist=True)
    parser.add_argument("--epochs", type=int, default=20, help="default: 20")
    parser.add_argument("--batch-size", type=int, default=512, help="default: 512")
    args = begin(parser, arguments)
    x, y, x_test, y_test = load_mnist(args.data)
    epochs, widths = max(args.epochs, 2), WIDTHS
    if args.quick:
        x, y, epochs, widths = x[:1_000], y[:1_000], 2, {"classifier, 64-64": 64, "wide, 256-256": 256}

    rows, figures, curves = [], {}, {}
    for name, width in widths.items():
        net = xpnet.Network(
            [Dense(width), ReLU(), Dropout(0.3), Dense(width), ReLU(), Dropout(0.3), Dense(10)],
            loss=CrossEntropy(label_smoothing=0.1),
            optimizer=Adam(OneCycle(1e-3, epochs * -(-len(x) // args.batch_size))),
            backend=args.backend,
            seed=args.seed,
            inputs=784,
        )
        print(f"\n{name} on {net.backend!r}", flush=True)
        net.fit(x, y, epochs=1, batch_size=args.batch_size, verbose=1)
        started = time.perf_counter()
        net.fit(x, y, epochs=epochs - 1, batch_size=args.batch_size, verbose=1)
        seconds = (time.perf_counter() - started) / (epochs - 1)
        figures[name] = accuracy(net, x_test, y_test)
        curves[name] = net.history["loss"]
        rows.append([name, f"{seconds:.2f} s", f"{len(x) / seconds:,.0f}", figures[name]])
    table(
        f"MNIST on {args.backend}: {epochs} epochs, batches of {args.batch_size}, float32, seed {args.seed}",
        ["network", "one epoch", "examples a second", "test accuracy"],
        rows,
    )
    figure, (axes,) = canvas()
    plot_curves(curves, ax=axes, ylabel="training loss", yscale="log")
    save(figure, args.out / "gpu_mnist.png")
    return figures


if __name__ == "__main__":
    main()
