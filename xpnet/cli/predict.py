"""``xpnet predict``: a model's answers for new data, as CSV."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from xpnet.cli.models import apply_unknown_option, check_threshold, load_model
from xpnet.cli.options import add_backend, add_reading, add_threshold, add_unknown, open_table
from xpnet.cli.output import open_output, print_json, refuse_overwriting, write_csv
from xpnet.cli.parser import Commands, UsageError, add_command

__all__ = ["add"]

EXAMPLES = """\
  xpnet predict iris.safetensors new.csv
  xpnet predict iris.safetensors new.csv --probabilities --out answers.csv
  cat new.csv | xpnet predict iris.safetensors - | sort | uniq -c"""


def add(commands: Commands) -> None:
    """Add the command."""
    parser = add_command(
        commands, "predict MODEL DATA", run, "write a model's answers for new data as CSV, a line a row", EXAMPLES
    )
    parser.add_argument("model", metavar="MODEL", help="file that xpnet train wrote")
    parser.add_argument(
        "data",
        metavar="DATA",
        help="CSV (- is standard input), Parquet, NPZ, NPY or IDX; columns go by name, in any order",
    )
    parser.add_argument("--probabilities", action="store_true", help="add a column for each class")
    parser.add_argument("--out", type=Path, metavar="FILE", help="file to write (default, and -: standard output)")
    parser.add_argument("--force", action="store_true", help="replace the file if there is one")
    parser.add_argument("--json", action="store_true", help="write one JSON object instead of CSV")
    add_threshold(parser)
    add_backend(parser)
    add_unknown(parser)
    add_reading(parser, kept="as in training")


def run(options: argparse.Namespace) -> int:
    """Predict and write."""
    if options.out == Path("-"):
        options.out = None
    model = load_model(options.model, backend=options.backend, device=options.device)
    target, network = model.preparation.target, model.network
    if options.probabilities and target.classes is None:
        raise UsageError(f"{target.name!r} is a quantity, which has no probabilities; leave out --probabilities")
    check_threshold(target, options.threshold)
    table, _ = open_table(options.data, options, None, model.preparation.notation)
    model.preparation.check_columns(table)
    if options.out is not None:
        refuse_overwriting(options.out, options.force, options.model, options.data)
    x = model.preparation.features(apply_unknown_option(table, model, options.unknown), network.backend.dtype)
    outputs = network.backend.to_numpy(network.predict(x))
    columns: dict[str, list[Any]] = {}
    if target.classes is None:
        columns[target.name] = target.decode(outputs).tolist()
    else:
        columns[target.name] = [target.classes[i] for i in target.choose(outputs, options.threshold).tolist()]
        if options.probabilities:
            columns |= {f"probability of {name}": outputs[:, i].tolist() for i, name in enumerate(target.classes)}
    with open_output(options.out, options.force) as stream:
        if options.json:
            print_json(columns, stream)
        else:
            write_csv(stream, list(columns), zip(*columns.values(), strict=True))
    return 0
