"""The same training on two backends side by side: after every epoch, how far apart are they?

One seed gives both the same first weights, the same batches and the same dropout masks, so all that can differ is
rounding. Real digits of scikit-learn, no download.

    python examples/gpu_parity.py                              # CuPy against NumPy
    python examples/gpu_parity.py --backend torch --dtype float64
    python examples/gpu_parity.py --backend array-api-strict   # without a GPU: the strictest stand-in for one

Exit code 3, with one line that says why, where the backend or its GPU cannot be had.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from common import begin, canvas, options, save, table
from sklearn.datasets import load_digits

import xpnet
from xpnet import Adam, Dense, Dropout, ReLU
from xpnet.plotting import plot_curves


def largest_difference(one: xpnet.Network, other: xpnet.Network) -> float:
    """Return the largest difference of any weight."""
    pair = one.get_weights(), other.get_weights()
    return max(float(np.max(np.abs(pair[0][name] - pair[1][name]))) for name in pair[0])


def main(arguments: Sequence[str] | None = None) -> dict[str, float]:
    """Train on both backends epoch by epoch, print the differences, save the picture."""
    parser = options(__doc__, backend="cupy")
    parser.add_argument("--dtype", choices=["float32", "float64"], default="float32", help="default: float32")
    args = begin(parser, arguments)
    epochs = 2 if args.quick else 20
    images, labels = load_digits(return_X_y=True)
    x, y, x_test, y_test = xpnet.split(images / 16, labels, test=0.25, stratify=labels, seed=args.seed)
    if args.quick:
        x, y = x[:200], y[:200]

    reference, other = (
        xpnet.Network(
            [Dense(128), ReLU(), Dropout(0.3), Dense(128), ReLU(), Dense(10)],
            optimizer=Adam(1e-3),
            backend=backend,
            dtype=args.dtype,
            seed=args.seed,
            inputs=64,
        )
        for backend in ("numpy", args.backend)
    )
    rows, weights, losses = [], [], []
    for epoch in range(1, epochs + 1):
        expected, found = (net.fit(x, y, epochs=1, verbose=0)["loss"][0] for net in (reference, other))
        weights.append(largest_difference(reference, other))
        losses.append(abs(expected - found))
        rows.append([epoch, f"{expected:.6f}", f"{found:.6f}", f"{losses[-1]:.1e}", f"{weights[-1]:.1e}"])
    table(
        f"numpy and {args.backend}, {args.dtype}, seed {args.seed}: {other.backend!r}",
        ["epoch", "loss on numpy", f"loss on {args.backend}", "loss difference", "largest weight difference"],
        rows,
    )
    scores = [net.evaluate(x_test, y_test)["accuracy"] for net in (reference, other)]
    print(f"\ntest accuracy: {scores[0]:.4f} on numpy, {scores[1]:.4f} on {args.backend}")

    figure, (axes,) = canvas()
    scale = "log" if max(weights) > 0 else "linear"
    plot_curves({"largest weight": weights, "loss": losses}, ax=axes, ylabel=f"difference, {args.dtype}", yscale=scale)
    save(figure, args.out / "gpu_parity.png")
    return {"weights": max(weights), "loss": max(losses), "numpy": scores[0], args.backend: scores[1]}


if __name__ == "__main__":
    main()
