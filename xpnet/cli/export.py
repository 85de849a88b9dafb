"""``xpnet export``: a model's network as an ONNX file."""

from __future__ import annotations

import argparse
from pathlib import Path

from xpnet.checkpoint import load, read_notes
from xpnet.cli.models import NOTE
from xpnet.cli.options import Commands, add_command
from xpnet.cli.output import note, print_json, refuse_overwriting
from xpnet.cli.preparation import Preparation

__all__ = ["add"]

EXAMPLES = """\
  xpnet export iris.safetensors iris.onnx
  xpnet export iris.safetensors iris.onnx --link --json > preparation.json"""


def add(commands: Commands) -> None:
    """Add the command."""
    parser = add_command(commands, "export", run, "write a model's network as an ONNX file", EXAMPLES)
    parser.add_argument("model", metavar="MODEL", help="file of xpnet train or Network.save")
    parser.add_argument("out", metavar="FILE", type=Path, help="ONNX file to write")
    parser.add_argument("--link", action="store_true", help="end in probabilities (softmax or sigmoid), not raw scores")
    parser.add_argument("--force", action="store_true", help="replace the file if there is one")
    parser.add_argument("--json", action="store_true", help="print how the graph's input is prepared, as JSON")


def run(options: argparse.Namespace) -> int:
    """Export."""
    refuse_overwriting(options.out, options.force)
    network = load(options.model)
    text = read_notes(options.model).get(NOTE)
    preparation = None if text is None else Preparation.from_json(text)
    network.to_onnx(options.out, link=options.link)
    if preparation is not None:
        note(
            f"the graph takes the {preparation.width} features as xpnet train prepares them (scaled, one for each "
            "category); --json prints how"
        )
    if options.json:
        described = None if preparation is None else preparation.describe()
        print_json({"onnx": str(options.out), "preparation": described})
    else:
        print(f"written to {options.out}")
    return 0
