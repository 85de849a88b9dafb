"""``xpnet info``: show which backends and devices are available here, and how to get others; or what a file holds."""

from __future__ import annotations

import argparse
import os
import platform
import shutil
from collections.abc import Mapping
from dataclasses import asdict
from importlib.util import find_spec
from typing import Any

from xpnet.backend import BackendInfo, available_backends
from xpnet.checkpoint import load
from xpnet.cli.column_report import describe_inputs
from xpnet.cli.models import read_preparation
from xpnet.cli.output import print_json
from xpnet.cli.parser import Commands, add_command
from xpnet.cli.tables import listed, plural
from xpnet.cli.timing import find_candidates
from xpnet.extras import install_command
from xpnet.progress import describe
from xpnet.summary import short

__all__ = ["add", "advise"]

EXTRAS = {
    "fast": ("llvmlite", "the NumPy backend turns the operations of a training step into a few compiled passes"),
    "progress": ("rich", "training shows a live bar"),
    "parquet": ("pyarrow", "the shell reads Parquet files"),
    "sklearn": ("sklearn", "xpnet.sklearn has estimators for pipelines and searches"),
    "plot": ("matplotlib", "xpnet.plotting draws curves, decision boundaries and networks"),
    "onnx": ("ndonnx", "networks are exported to ONNX files"),
    "tensorboard": ("tensorboardX", "the TensorBoard callback logs training"),
}
"""Optional libraries by extra, with what they bring. Not ``mkl``, which only Intel's processors have use for."""

EXAMPLES = """\
  python -m xpnet info
  python -m xpnet info --json
  python -m xpnet info iris.safetensors"""


def add(commands: Commands) -> None:
    """Add the command."""
    summary = "list the backends, their versions and devices, why one is absent, and what to do; or what a file holds"
    parser = add_command(commands, "info", run, summary, EXAMPLES)
    parser.add_argument("model", nargs="?", metavar="FILE", help="file that xpnet train or Network.save wrote")
    parser.add_argument("--json", action="store_true", help="print one JSON object instead of a table")


def run(options: argparse.Namespace) -> int:
    """Report."""
    import xpnet

    if options.model is not None:
        return _describe_model(options.model, as_json=options.json)
    backends = available_backends()
    advice = advise(backends)
    if options.json:
        found = {name: asdict(info) for name, info in backends.items()}
        about = {"xpnet": xpnet.__version__, "python": platform.python_version()}
        print_json({**about, "backends": found, "advice": advice})
        return 0
    print(f"xpnet {xpnet.__version__}, Python {platform.python_version()}")
    for info in backends.values():
        print("\n".join(_lines(info)))
    print("\n" + "\n".join(f"- {line}" for line in advice))
    return 0


def _describe_model(path: str, *, as_json: bool) -> int:
    """Report what a file holds: the network, how its training ended, and what it predicts from which columns."""
    network = load(path)
    preparation = read_preparation(path)
    results = {name: values[-1] for name, values in network.history.items()}
    if as_json:
        about: dict[str, Any] = {
            "layers": [short(layer) for layer in network.model.layers],
            "inputs": network.in_shape,
            "parameters": network.layout.size if network.built else None,
            "epochs": network.epochs,
            "steps": network.steps,
            "last_epoch": results,
        }
        if preparation:
            columns = {part.name: part.kind for part in preparation.inputs}
            about |= {"target": preparation.target.name, "classes": preparation.target.classes, "columns": columns}
        print_json(about)
        return 0
    print(network.summary())
    if results:
        print(f"trained for {plural(network.epochs, 'epoch')}, the last of which gave {describe(results)}")
        if preparation and "val_loss" in results:
            print("its weights are those of the epoch with the lowest val_loss")
    if preparation:
        classes = preparation.target.classes
        print(f"predicts {preparation.target.name!r}{f': {listed(classes)}' if classes else ', a quantity'}")
        print(f"from {describe_inputs(preparation.inputs)}")
    return 0


def _lines(info: BackendInfo) -> list[str]:
    if not info.available:
        return [f"  {info.name:<17} not available: {info.problem}"]
    return [f"  {info.name:<17} {info.version}", *(f"  {'':<17} {device}" for device in info.devices)]


def advise(backends: Mapping[str, BackendInfo]) -> list[str]:
    """Return in sentences what is worth doing on this machine."""
    candidates, _ = find_candidates(backends, "float32")
    gpus = [candidate for candidate in candidates if candidate.gpu]
    advice = [f"a GPU answers: {candidate.option} computes on {candidate.description}" for candidate in gpus]
    if gpus:
        advice.append("small networks are often faster on the CPU; xpnet bench MODEL measures yours")
    elif shutil.which("nvidia-smi"):
        advice.append("nvidia-smi is installed, but no backend reaches a GPU: see above for what to install")
    else:
        advice.append("no GPU was found: everything runs on the CPU; xpnet bench MODEL finds the fastest library")
    if not os.environ.get("OMP_NUM_THREADS") and not gpus:
        advice.append("small networks gain nothing from many threads: try OMP_NUM_THREADS=1")
    advice += [
        install_command(f"{gain} with {library}: pip install 'xpnet[{extra}]'")
        for extra, (library, gain) in EXTRAS.items()
        if find_spec(library) is None
    ]
    return advice
