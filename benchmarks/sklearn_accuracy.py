"""Our perceptrons beside scikit-learn's: accuracy over ten seeds on five data sets, and the time of ``fit``.

    python -m benchmarks.sklearn_accuracy [--seeds 10] [--only digits moons]

Each seed splits the data (a quarter is the test's), and is the ``random_state`` of both; features are standardized on
the training part, and so is diabetes' target. All parameters are scikit-learn's defaults, but for ``max_iter=500``.
Within a seed the three are fitted one after the other, in turn another one first. Prints a table in Markdown; ends
with status 1 where a mean of ours is lower than scikit-learn's by more than one test sample would make it.
"""

from __future__ import annotations

import argparse
import platform
import statistics
import sys
import warnings
from collections.abc import Callable, Iterator
from time import perf_counter
from typing import Any, NamedTuple

import numpy as np
import sklearn
from sklearn import datasets, neural_network
from sklearn.exceptions import ConvergenceWarning
from sklearn.model_selection import train_test_split
from sklearn.preprocessing import StandardScaler

import xpnet
from xpnet import sklearn as ours

Data = tuple[np.ndarray, np.ndarray]

DATA: dict[str, Callable[[], Data]] = {
    "digits": lambda: datasets.load_digits(return_X_y=True),
    "breast cancer": lambda: datasets.load_breast_cancer(return_X_y=True),
    "wine": lambda: datasets.load_wine(return_X_y=True),
    "moons": lambda: datasets.make_moons(1000, noise=0.2, random_state=0),
    "diabetes": lambda: datasets.load_diabetes(return_X_y=True),
}
REGRESSION = {"diabetes"}

ROUNDING = 1e-9
"""Largest difference of two scores that counts as none."""

KINDS: dict[str, tuple[Any, dict[str, Any]]] = {
    "scikit-learn": (neural_network, {}),
    "xpnet": (ours, {}),
    "xpnet, float32": (ours, {"dtype": "float32"}),
}


class Run(NamedTuple):
    """One fitted estimator: its score on the test's samples, its epochs, and how long the fit took."""

    score: float
    epochs: int
    seconds: float


def split(name: str, seed: int) -> tuple[np.ndarray, ...]:
    """Return standardized training and test features, and targets."""
    x, y = DATA[name]()
    stratify = None if name in REGRESSION else y
    x, x_test, y, y_test = train_test_split(x, y, test_size=0.25, random_state=seed, stratify=stratify)
    scaler = StandardScaler().fit(x)
    if name in REGRESSION:
        mean, deviation = y.mean(), y.std()
        y, y_test = (y - mean) / deviation, (y_test - mean) / deviation
    return scaler.transform(x), scaler.transform(x_test), y, y_test


def compare(name: str, seed: int) -> Iterator[tuple[str, Run]]:
    """Fit one of each kind, another one first with every seed."""
    x, x_test, y, y_test = split(name, seed)
    estimator = "MLPRegressor" if name in REGRESSION else "MLPClassifier"
    order = list(KINDS)
    for kind in order[seed % len(order) :] + order[: seed % len(order)]:
        package, options = KINDS[kind]
        model = getattr(package, estimator)(max_iter=500, random_state=seed, **options)
        start = perf_counter()
        model.fit(x, y)
        seconds = perf_counter() - start
        yield kind, Run(model.score(x_test, y_test), model.n_iter_, seconds)


def row(name: str, kind: str, runs: list[Run], theirs: list[Run]) -> str:
    """Return a line of the table."""
    scores = [run.score for run in runs]
    taken, base = (statistics.median(run.seconds for run in found) for found in (runs, theirs))
    same = sum(abs(run.score - other.score) < ROUNDING for run, other in zip(runs, theirs, strict=True))
    return (
        f"| {name} | {kind} | {statistics.mean(scores):.4f} | {statistics.stdev(scores):.4f} | {same} of {len(runs)} | "
        f"{statistics.mean(run.epochs for run in runs):.0f} | {taken:.3f} | {base / taken:.2f} |"
    )


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=10, help="at least 2 (default: %(default)s)")
    parser.add_argument("--only", nargs="+", choices=DATA, default=list(DATA), metavar="DATA", help=", ".join(DATA))
    options = parser.parse_args()
    warnings.simplefilter("ignore", ConvergenceWarning)
    print(f"Python {platform.python_version()}, NumPy {np.__version__}, scikit-learn {sklearn.__version__}, ", end="")
    print(f"xpnet {xpnet.__version__}, {options.seeds} seeds\n")
    print("| data | | mean score | deviation | same score | epochs | seconds (median) | times as fast |")
    print("|---|---|---|---|---|---|---|---|")
    worse = []
    for name in options.only:
        list(compare(name, 0))  # the first fits import, allocate and compile
        found: dict[str, list[Run]] = {kind: [] for kind in KINDS}
        for seed in range(options.seeds):
            for kind, run in compare(name, seed):
                found[kind].append(run)
        theirs = found["scikit-learn"]
        for kind, runs in found.items():
            print(row(name, kind, runs, theirs), flush=True)
        lost = statistics.mean(r.score for r in theirs) - statistics.mean(r.score for r in found["xpnet"])
        if lost > 1 / (len(split(name, 0)[1]) * options.seeds):
            worse.append(name)
    if worse:
        print(f"\nless accurate than scikit-learn: {', '.join(worse)}")
    return 1 if worse else 0


if __name__ == "__main__":
    sys.exit(main())
