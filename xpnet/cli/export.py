"""``xpnet export``: a model's network as an ONNX file, with the scaling of the table's numbers in it."""

from __future__ import annotations

import argparse
from pathlib import Path

from xpnet.checkpoint import load, read_notes
from xpnet.cli.models import NOTE
from xpnet.cli.output import note, print_json, refuse_overwriting, reserve_output
from xpnet.cli.parser import Commands, UsageError, add_command
from xpnet.cli.preparation import Preparation
from xpnet.cli.tables import listed

__all__ = ["add"]

SUFFIX = ".onnx"

EXAMPLES = """\
  xpnet export iris.safetensors iris.onnx
  xpnet export iris.safetensors iris.onnx --link --json > features.json"""


def add(commands: Commands) -> None:
    """Add the command."""
    parser = add_command(commands, "export MODEL FILE", run, "write a model's network as an ONNX file", EXAMPLES)
    parser.add_argument("model", metavar="MODEL", help="file of xpnet train or Network.save")
    parser.add_argument("out", metavar="FILE", type=Path, help=f"ONNX file to write, NAME{SUFFIX}")
    parser.add_argument("--link", action="store_true", help="end in probabilities (softmax or sigmoid), not raw scores")
    parser.add_argument("--force", action="store_true", help="replace the file if there is one")
    parser.add_argument("--json", action="store_true", help="print what the graph takes and gives, as JSON")


def run(options: argparse.Namespace) -> int:
    """Export."""
    if options.out.suffix.lower() != SUFFIX:
        raise UsageError(f"FILE is written as ONNX, so its name must end in {SUFFIX}; got {str(options.out)!r}")
    refuse_overwriting(options.out, options.force, options.model)
    network = load(options.model)
    text = read_notes(options.model).get(NOTE)
    preparation = None if text is None else Preparation.from_json(text)
    with reserve_output(options.out, options.force) as path:
        if preparation is None:
            network.to_onnx(path, link=options.link)
        else:
            classes = preparation.target.classes
            network.to_onnx(path, link=options.link, scaler=preparation.scaler(), classes=classes)
            note(_described(preparation, network.backend.dtype))
        if options.json:
            features = None if preparation is None else preparation.names
            described = None if preparation is None else preparation.describe()
            print_json({"onnx": str(path), "features": features, "preparation": described})
        else:
            print(f"written to {path}")
    return 0


def _described(preparation: Preparation, dtype: str) -> str:
    """Say what the graph takes and gives."""
    target = preparation.target
    given = (
        f"{target.name!r} scaled: y = {target.mean:.6g} + {target.deviation:.6g} * output"
        if target.classes is None
        else f"one number for each class: {listed(target.classes)}"
    )
    return (
        f"the graph takes rows of {preparation.width} features, {dtype}: {listed(preparation.names)} (numbers in their "
        f"own units, else 1 or 0); it gives {given}"
    )
