"""Train a classifier of handwritten digits on real data that needs no download, in seconds.

The data are scikit-learn's 1,797 digits of 8 x 8 pixels. A quarter of them, drawn by the seed with every class
in proportion, is held out for the test and takes no part in training.

    python examples/digits.py
    python examples/digits.py --backend cupy

It leaves out/digits.png (test digits and the confusion matrix) and out/digits.safetensors (the model).
"""

from __future__ import annotations

import time
from collections.abc import Sequence

import numpy as np
from common import begin, canvas, classes, options, save
from sklearn.datasets import load_digits

import xpnet
from xpnet import Adam, Dense, Dropout, OneCycle, ReLU
from xpnet.plotting import plot_confusion_matrix


def main(arguments: Sequence[str] | None = None) -> dict[str, float]:
    """Train, report, and leave a picture and a model file."""
    args = begin(options(__doc__), arguments)
    epochs, batch_size = (3 if args.quick else 40), 32
    images, labels = load_digits(return_X_y=True)
    x, y, x_test, y_test = xpnet.split(images / 16, labels, test=0.25, stratify=labels, seed=args.seed)

    steps = epochs * -(-len(x) // batch_size)
    net = xpnet.Network(
        [Dense(256), ReLU(), Dropout(0.3), Dense(128), ReLU(), Dropout(0.3), Dense(10)],
        loss="cross_entropy",
        optimizer=Adam(OneCycle(3e-3, steps)),
        backend=args.backend,
        seed=args.seed,
        inputs=64,
    )
    print(net.summary())
    started = time.perf_counter()
    net.fit(x, y, epochs=epochs, batch_size=batch_size)
    seconds = time.perf_counter() - started

    predicted = classes(net, x_test)
    print(xpnet.classification_report(y_test, predicted))
    result = net.evaluate(x_test, y_test)
    print(f"test accuracy {result['accuracy']:.4f} on {len(x_test)} digits never trained on; {seconds:.1f} s to train")

    net.save(args.out / "digits.safetensors")
    print(f"model: {args.out / 'digits.safetensors'}")
    draw(net, x_test, y_test, predicted, args.out / "digits.png")
    return result


def draw(net: xpnet.Network, x: np.ndarray, y: np.ndarray, predicted: np.ndarray, path: object) -> None:
    """Draw test digits with their predictions, every mistake among them, beside the confusion matrix."""
    figure, (left, right) = canvas(2, width=4.6, height=4.4)
    wall = np.zeros((5 * 12, 5 * 10))
    for place, index in enumerate(np.argsort(predicted == y, kind="stable")[:25]):
        top, start = 12 * (place // 5) + 4, 10 * (place % 5) + 1
        wall[top : top + 8, start : start + 8] = x[index].reshape(8, 8)
        right_answer = predicted[index] == y[index]
        text = str(predicted[index]) if right_answer else f"{predicted[index]} ({y[index]})"
        left.text(start + 3.5, top - 1, text, ha="center", color="black" if right_answer else "red")
    left.imshow(wall, cmap="gray_r")
    left.set_axis_off()
    left.set_title("predictions, mistakes first (true digit)")
    plot_confusion_matrix(xpnet.confusion_matrix(y, predicted, 10), ax=right, colorbar=False)
    save(figure, path)


if __name__ == "__main__":
    main()
