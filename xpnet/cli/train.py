"""``xpnet train``: from a file of data to a model file."""

from __future__ import annotations

import argparse
import contextlib
import math
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from xpnet.arrays import Host
from xpnet.cli.column_report import by_kind, describe_columns
from xpnet.cli.evaluate import measure, show_measures
from xpnet.cli.features import mean_and_deviation
from xpnet.cli.models import Model, check_size, save_model
from xpnet.cli.option_types import count, folder, names, part, positive, share, sizes, whole
from xpnet.cli.options import SAVING, add_backend, add_reading, open_table
from xpnet.cli.output import note, print_json, refuse_overwriting, reserve_output, warnings_as_notes
from xpnet.cli.parser import Commands, UsageError, add_command
from xpnet.cli.preparation import Preparation, check_names, learn_inputs
from xpnet.cli.splitting import RowSplit, split_rows
from xpnet.cli.tables import SHOWN, Table, listed, plural, shown
from xpnet.cli.target import Target, describe_keep_option, describe_missing, learn_target
from xpnet.errors import DataError
from xpnet.layers.names import NAMES as LAYERS
from xpnet.optimizers import NAMES as OPTIMIZERS

if TYPE_CHECKING:
    from xpnet.network import Network

__all__ = ["add"]

ACTIVATIONS = sorted(set(LAYERS) - {"dropout", "batch_norm", "layer_norm", "flatten", "softmax", "step"})
SUFFIX = ".safetensors"
PATIENCE = 10

EXAMPLES = """\
  xpnet train iris.csv --target species
  xpnet train houses.csv --target price --drop id,remarks --hidden 128,64 --dropout 0.1 --out houses.safetensors
  xpnet train train-images-idx3-ubyte.gz --target train-labels-idx1-ubyte.gz --backend torch
  xpnet train data.npz --target y --json > result.json"""


def add(commands: Commands) -> None:
    """Add the command."""
    parser = add_command(
        commands, "train DATA --target COL", run, "train a network on a table, and write a model file", EXAMPLES
    )
    # fmt: off
    parser.add_argument("data", metavar="DATA", help="CSV (- is standard input), Parquet, NPZ, NPY or IDX")
    parser.add_argument("--target", metavar="COL",
                        help="column to predict; an array of NPZ; the labels' file for NPY or IDX")
    parser.add_argument("--out", type=Path, metavar="FILE",
                        help=f"model file (default: the data's name with {SUFFIX}, in this folder)")
    parser.add_argument("--force", action="store_true", help="replace the model file if there is one")
    parser.add_argument("--json", action="store_true", help="print one JSON object instead of a report")
    parser.add_argument("--quiet", action="store_true", help="no progress")
    table = parser.add_argument_group("the data")
    table.add_argument("--task", choices=["auto", "classification", "regression"], default="auto", metavar="TASK",
                       help="classification or regression (default: by what the target holds)")
    table.add_argument("--drop", type=names, default=[], metavar="COL,COL", help="columns to leave out")
    table.add_argument("--categorical", type=names, default=[], metavar="COL,COL",
                       help="columns to take as categories, whatever they hold")
    table.add_argument("--test", type=part, default=0.2, metavar="PART",
                       help="share (0.2) or count (50) of rows to test on (default: %(default)s)")
    table.add_argument("--validation", type=part, default=0.1, metavar="PART",
                       help="share or count of rows to watch while training (default: %(default)s)")
    table.add_argument("--balanced", action="store_true",
                       help="let every class count alike, however rare, in training and validation")
    network = parser.add_argument_group("the network")
    network.add_argument("--hidden", type=sizes, default=(64, 64), metavar="N,N",
                         help="units of the hidden layers (default: 64,64)")
    network.add_argument("--activation", choices=ACTIVATIONS, default="relu", metavar="NAME",
                         help=f"{', '.join(ACTIVATIONS)} (default: %(default)s)")
    network.add_argument("--dropout", type=share, default=0.0, metavar="P", help="share of units left out (default: 0)")
    add_backend(network)
    network.add_argument("--dtype", choices=["float32", "float64"], default="float32", metavar="DTYPE",
                         help="float32 or float64 (default: %(default)s)")
    network.add_argument("--precision", choices=["bfloat16", "float32", "float64"], metavar="NAME",
                         help="bfloat16: round what is multiplied as matrices (default: the dtype)")
    training = parser.add_argument_group("training")
    training.add_argument("--epochs", type=count, default=100, metavar="N", help="at most (default: %(default)s)")
    training.add_argument("--patience", type=whole, metavar="N",
                          help="stop after so many epochs without a better validation loss, and keep the best "
                          f"(default: {PATIENCE})")
    training.add_argument("--batch-size", type=count, default=32, metavar="N",
                          help="rows in a step (default: %(default)s)")
    training.add_argument("--optimizer", choices=sorted(OPTIMIZERS), default="adam", metavar="NAME",
                          help=f"{', '.join(sorted(OPTIMIZERS))} (default: %(default)s)")
    training.add_argument("--learning-rate", type=positive, metavar="R", help="(default: the optimizer's own)")
    training.add_argument("--checkpoint", type=folder, metavar="DIR",
                          help=f"keep the training's state in this folder, every {SAVING} seconds and at its end; the "
                          "same command goes on from there")
    training.add_argument("--seed", type=whole, default=0, metavar="N",
                          help="decides split, weights and batches (default: %(default)s)")
    # fmt: on
    add_reading(parser)


def run(options: argparse.Namespace) -> int:
    """Train, report, save."""
    if options.target is None:
        raise UsageError(_choice_of_targets(options))
    if options.target in options.drop:
        raise UsageError(f"--drop has the target {options.target!r}, which is no feature anyway; leave it out there")
    doubled = [column for column in options.drop if column in options.categorical]
    if doubled:
        raise UsageError(f"--drop and --categorical both have {doubled[0]!r}; leave it out of one of them")
    if options.patience is None:
        options.patience = PATIENCE
    elif not options.validation:
        raise UsageError(
            "--patience counts epochs without a better loss on the validation rows, of which --validation 0 leaves "
            "none; leave out one of the two"
        )
    table, name = open_table(options.data, options, options.target)
    target, reason = learn_target(table, str(name), options.task)
    if options.balanced and target.classes is None:
        raise UsageError(f"--balanced is for classes, and {target.name!r} is a quantity; leave it out")
    check_names(table, options.drop, options.categorical)
    network = _network(options, target)
    out = options.out or _default_out(options.data)
    refuse_overwriting(out, options.force, options.data, *([options.target] if table.bare else []))
    rows = _rows_with_target(table, target)
    parts = split_rows(table, target, rows, test=options.test, validation=options.validation, seed=options.seed)
    target = _scaled(table, target, parts.training)
    inputs, left_out = learn_inputs(
        table, target.name, parts.training, drop=options.drop, categorical=options.categorical
    )
    preparation = Preparation(inputs, target, table.notation)
    check_size(preparation)
    x, y = preparation.features(table, options.dtype), target.encode(table, target.name, options.dtype)
    network.build(x.shape[1])
    task = "classification" if target.classes else "regression"
    _describe_task(f"{task} of {target.name!r} ({reason})", target, parts, preparation)
    for line in describe_columns(table, inputs, left_out, options.drop, target):
        note(line)
    kept = _fit(network, x, y, parts, options)
    model = Model(network, preparation)
    where, chosen = ("test", parts.test) if len(parts.test) else ("training", parts.training)
    measured = measure(model, x[chosen], y[chosen])
    if target.classes is not None and not options.balanced:
        _note_classes_never_predicted(target.classes, y[parts.training], np.asarray(measured["confusion"]), where)
    with reserve_output(out, options.force) as path:
        save_model(model, path)
        if options.json:
            print_json(
                {
                    "task": task,
                    "rows": {name: len(found) for name, found in vars(parts).items()},
                    "features": x.shape[1],
                    "target": target.name,
                    "classes": target.classes,
                    "columns": by_kind(inputs, options.drop),
                    "left_out": left_out,
                    "epochs": network.epochs,
                    "kept_epoch": kept,
                    "parameters": network.layout.size,
                    "backend": network.backend.name,
                    "device": str(network.backend.device),
                    where: measured,
                    "model": str(path),
                }
            )
        else:
            print(f"\non the {where} rows, which were {'not ' if where == 'test' else ''}trained on:")
            show_measures(measured, target)
            print(f"\nmodel written to {path}")
    return 0


def _choice_of_targets(options: argparse.Namespace) -> str:
    """Say that the target is missing, and what it may be."""
    table, _ = open_table(options.data, options, None)
    if table.bare:
        return f"--target is missing: give the file of the labels for the rows of {options.data}"
    return f"--target is missing: name the column to predict; {options.data} has {', '.join(map(shown, table.columns))}"


def _rows_with_target(table: Table, target: Target) -> Host:
    """Return the numbers of the rows that have a value of the target; a note says how many are left out."""
    rows = np.flatnonzero(target.known(table, target.name))
    dropped = len(table.column(target.name)) - len(rows)
    if dropped:
        taken = describe_missing(table, target.name)
        taken += describe_keep_option(table, target.name) if target.classes else ""
        note(f"left out: {plural(dropped, 'row')} without a value of {target.name!r}{taken}")
    return rows


def _describe_task(about: str, target: Target, parts: RowSplit, preparation: Preparation) -> None:
    """Note *about* what is trained, with the classes and the numbers of rows, columns and features."""
    about += f": {listed(target.classes)}" if target.classes else ""
    sizes = {name: len(found) for name, found in vars(parts).items()}
    held = ", ".join(f"{size} for {name}" for name, size in sizes.items() if size)
    counted = f"{plural(len(preparation.inputs), 'column')}, {plural(preparation.width, 'feature')}"
    note(f"{about}\n{plural(sum(sizes.values()), 'row')} ({held}), {counted}")


def _note_classes_never_predicted(classes: Sequence[str], trained_on: Host, confusion: Host, where: str) -> None:
    """Note which rare classes are trained on, occur among the rows *where*, and are never predicted for any of them.

    Rare is a class with less than half of an equal share of these rows. *trained_on* are the class indices in training.
    """
    true, predicted = confusion.sum(axis=1), confusion.sum(axis=0)
    rare = 2 * len(classes) * true < true.sum()
    missed = rare & (true > 0) & (predicted == 0) & np.isin(np.arange(len(classes)), trained_on)
    if missed.any():
        names = [f"{shown(classes[i])} ({plural(int(true[i]), 'row')})" for i in np.flatnonzero(missed).tolist()]
        more = f", ... ({len(names)} in all)" * (len(names) > SHOWN)
        note(
            f"never predicted, though among the {where} rows: {', '.join(names[:SHOWN])}{more}; "
            "--balanced lets rare classes count as much as others in training"
        )


def _default_out(data: str) -> Path:
    name = "" if data == "-" else Path(data).name.removesuffix(".gz")
    return Path(name or "model").with_suffix(SUFFIX)


def _scaled(table: Table, target: Target, rows: Host) -> Target:
    """Return a quantity with the scale of these rows; classes have none."""
    if target.classes is not None:
        return target
    values: Any = table.numbers(target.name)
    (mean,), (deviation,) = mean_and_deviation(values[rows], table, rows, f"the target {target.name!r}")
    return replace(target, mean=mean, deviation=deviation)


def _network(options: argparse.Namespace, target: Target) -> Network:
    """Return a network for the target, which is yet to be built for a number of features."""
    from xpnet.layers import Dense, Dropout
    from xpnet.network import Network

    rate = () if options.learning_rate is None else (options.learning_rate,)
    layers: list[Any] = []
    for units in options.hidden:
        layers += [Dense(units), options.activation, *([Dropout(options.dropout)] if options.dropout else [])]
    layers.append(Dense(1 if target.classes is None else len(target.classes)))
    return Network(
        layers,
        loss="mse" if target.classes is None else "cross_entropy",
        optimizer=OPTIMIZERS[options.optimizer](*rate),
        backend=options.backend,
        device=options.device,
        dtype=options.dtype,
        precision=options.precision,
        seed=options.seed,
    )


def _fit(network: Network, x: Host, y: Host, parts: RowSplit, options: argparse.Namespace) -> int:
    """Train, with progress on standard error; return the epoch, from 1 on, whose weights were kept.

    Raises
    ------
    DataError
        The loss left the finite numbers, or the folder of checkpoints holds another training.
    KeyboardInterrupt
        Ctrl-C; it says after how many epochs, and where the training can go on from.
    """
    from xpnet.callbacks import Callback, EarlyStopping, TerminateOnNaN
    from xpnet.cli.checkpointing import Checkpoints

    checkpoints = Checkpoints(options, x, y)
    callbacks: list[Callback] = [TerminateOnNaN(), *checkpoints.callbacks()]
    validation, stopping = None, EarlyStopping(patience=options.patience)
    if len(parts.validation):
        validation = (x[parts.validation], y[parts.validation])
        callbacks.append(stopping)
    try:
        with contextlib.redirect_stdout(sys.stderr), warnings_as_notes():
            history = network.fit(
                x[parts.training],
                y[parts.training],
                epochs=options.epochs,
                batch_size=options.batch_size,
                validation_data=validation,
                class_weight="balanced" if options.balanced else None,
                callbacks=callbacks,
                verbose=0 if options.quiet else "auto",
                **checkpoints.arguments(),
            )
    except KeyboardInterrupt as error:
        ended = f"after {plural(network.epochs, 'epoch')}; no model was written{checkpoints.how_to_continue()}"
        raise KeyboardInterrupt(ended) from error
    if not all(math.isfinite(loss) for loss in history["loss"]):
        raise DataError(
            f"training went out of bounds in epoch {network.epochs}: the loss is {history['loss'][-1]}; "
            f"give a smaller --learning-rate{' and another --checkpoint' if checkpoints.folder else ''}. "
            "No model was written"
        )
    if stopping.best_epoch is None:
        return network.epochs
    note(f"kept the weights of epoch {stopping.best_epoch + 1}, whose validation loss was lowest")
    return stopping.best_epoch + 1
