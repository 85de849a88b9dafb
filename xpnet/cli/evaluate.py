"""``xpnet evaluate``: how good a model is on data that has the answers."""

from __future__ import annotations

import argparse
import math
from collections.abc import Mapping
from typing import Any

import numpy as np

from xpnet.arrays import Host
from xpnet.cli.models import Model, apply_unknown_option, check_threshold, load_model
from xpnet.cli.options import add_backend, add_reading, add_threshold, add_unknown, open_table
from xpnet.cli.output import note, print_json
from xpnet.cli.parser import Commands, add_command
from xpnet.cli.tables import plural, shown
from xpnet.cli.target import Target, describe_missing
from xpnet.errors import DataError
from xpnet.metrics import (
    classification_report,
    confusion_matrix,
    mean_absolute_error,
    precision_recall_f1,
    r2,
    roc_auc,
)

__all__ = ["add", "measure", "show_measures"]

EXAMPLES = """\
  xpnet evaluate iris.safetensors more.csv
  xpnet evaluate mnist.safetensors t10k-images-idx3-ubyte.gz --target t10k-labels-idx1-ubyte.gz
  xpnet evaluate iris.safetensors more.csv --json | jq .accuracy"""


def add(commands: Commands) -> None:
    """Add the command."""
    parser = add_command(commands, "evaluate MODEL DATA", run, "measure a model on data that has the answers", EXAMPLES)
    parser.add_argument("model", metavar="MODEL", help="file that xpnet train wrote")
    parser.add_argument("data", metavar="DATA", help="CSV (- is standard input), Parquet, NPZ, NPY or IDX")
    parser.add_argument("--target", metavar="COL", help="column with the answers (default: as in training)")
    parser.add_argument("--json", action="store_true", help="print one JSON object instead of a report")
    add_threshold(parser)
    add_backend(parser)
    add_unknown(parser)
    add_reading(parser, kept="as in training")


def run(options: argparse.Namespace) -> int:
    """Measure and report."""
    model = load_model(options.model, backend=options.backend, device=options.device)
    target = model.preparation.target
    check_threshold(target, options.threshold)
    table, name = open_table(options.data, options, options.target, model.preparation.notation)
    if table.bare and name is None:
        raise DataError(f"{table.source} has no answers; give the file of its labels with --target")
    answers = name or target.name
    known = target.known(table, answers)
    dtype = model.network.backend.dtype
    x = model.preparation.features(apply_unknown_option(table.without(name), model, options.unknown), dtype)
    if len(known) != len(x):
        raise DataError(f"{table.source} has {len(x)} rows, but {len(known)} answers in {answers!r}")
    rows, taken = np.flatnonzero(known), describe_missing(table, answers)
    if len(rows) < len(x):
        note(f"left out: {plural(len(x) - len(rows), 'row')} without a value of {target.name!r}{taken}")
    if not len(rows):
        raise DataError(f"{table.source} has no row with a value of {target.name!r}{taken}")
    measured = measure(model, x[rows], target.encode(table, answers, dtype)[rows], options.threshold)
    if options.json:
        print_json({"target": target.name, "classes": target.classes, **measured})
    else:
        show_measures(measured, target)
    return 0


def measure(model: Model, x: Host, y: Host, threshold: tuple[str, float] | None = None) -> dict[str, Any]:
    """Return figures over prepared rows; those of a quantity are in its own unit (the loss is of the scaled one).

    Accuracy, F1 and confusion are of the classes that the *threshold* makes of the probabilities; of two classes, the
    areas under the ROC curve and under those of precision and recall (one for each class) depend on no threshold. They
    are None where one of the classes does not occur.
    """
    network, target = model.network, model.preparation.target
    found: dict[str, Any] = {"rows": len(x), **network.evaluate(x, y)}
    host = network.backend.to_numpy
    if target.classes is None:
        true, predicted = target.decode(y), target.decode(host(network.predict(x)))
        found["rmse"] = math.dist(true, predicted) / math.sqrt(len(true))  # no square underflows
        found["mae"] = mean_absolute_error(true, predicted)
        found["r2"] = r2(true, predicted) if np.ptp(true) else None
        return found
    if threshold is None:
        predicted = host(network.classify(x))
    else:
        predicted = target.choose(host(network.predict(x)), threshold)
        found["accuracy"] = float(np.mean(predicted == y))
    found["macro_f1"] = precision_recall_f1(y, predicted, average="macro").f1
    found["confusion"] = confusion_matrix(y, predicted, len(target.classes)).tolist()
    if len(target.classes) == 2:
        found |= _rank_measures(y, host(network.forward(x)).astype(np.float64))
    return found


def _rank_measures(y: Host, scores: Host) -> dict[str, Any]:
    """Return what the order of rows by their scores (rows, 2) is worth; scores do not saturate as probabilities do."""
    margin = scores[:, 1] - scores[:, 0]
    if len(np.unique(y)) < 2 or np.isnan(margin).any():
        return {"roc_auc": None, "average_precision": None}
    precisions = [_average_precision(y == index, sign * margin) for index, sign in enumerate((-1, 1))]
    return {"roc_auc": roc_auc(y, margin), "average_precision": precisions}


def _average_precision(positive: Host, score: Host) -> float:
    """Return the mean over the positives of the precision among all rows that score as high or higher."""
    groups = np.unique(-score, return_inverse=True)[1]
    found = np.bincount(groups, positive)
    precision = np.cumsum(found) / np.cumsum(np.bincount(groups))
    return float(np.sum(found * precision) / found.sum())


def show_measures(measured: Mapping[str, Any], target: Target) -> None:
    """Print figures for a person."""
    if target.classes is not None:
        counts = np.asarray(measured["confusion"])
        true, predicted = np.repeat(np.indices(counts.shape).reshape(2, -1), counts.reshape(-1), axis=1)
        print(classification_report(true, predicted, names=list(map(shown, target.classes))))
        print(f"\nloss {measured['loss']:.4f}")
        if measured.get("roc_auc") is not None:
            print(f"area under the ROC curve {measured['roc_auc']:.4f}")
            pairs = zip(target.classes, measured["average_precision"], strict=True)
            print("average precision " + ", ".join(f"of {shown(name)} {value:.4f}" for name, value in pairs))
        return
    print(f"rows                        {measured['rows']}")
    print(f"root mean squared error     {measured['rmse']:.6g}")
    print(f"mean absolute error         {measured['mae']:.6g}")
    print(
        "R2                          " + ("undefined: one value" if measured["r2"] is None else f"{measured['r2']:.4f}")
    )
