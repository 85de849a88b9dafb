"""``xpnet bench``: find the array library and device on which a network is fastest here."""

from __future__ import annotations

import argparse
import re
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from xpnet.backend import available_backends
from xpnet.cli.option_types import count, names, positive, sizes
from xpnet.cli.output import note, print_json
from xpnet.cli.parser import Commands, add_command
from xpnet.cli.timing import PURPOSES, Candidate, Task, Timing, find_candidates, judge, measure_rounds
from xpnet.errors import BackendError, DataError, unknown_name

if TYPE_CHECKING:
    from xpnet.network import Network

__all__ = ["add"]

SHAPE = re.compile(r"[1-9]\d*(,[1-9]\d*)+")

EXAMPLES = """\
  xpnet bench iris.safetensors
  xpnet bench 784,256,128,10 --batch-size 128
  xpnet bench 784,256,10 --only numpy,torch --json"""


def add(commands: Commands) -> None:
    """Add the command."""
    summary = "measure a network on every array library and device here, and say where it is fastest"
    parser = add_command(commands, "bench MODEL", run, summary, EXAMPLES)
    parser.add_argument("network", metavar="MODEL", help="model file, or a shape: inputs, hidden units, outputs")
    parser.add_argument("--batch-size", type=count, default=32, metavar="N", help="(default: %(default)s)")
    parser.add_argument("--dtype", choices=["float32", "float64"], help="(default: the model's, else float32)")
    parser.add_argument("--only", type=names, metavar="NAME,NAME", help="backends to measure (default: all)")
    parser.add_argument("--rounds", type=count, default=5, metavar="N", help="(default: %(default)s)")
    parser.add_argument("--seconds", type=positive, default=0.3, help="of a round at least (default: %(default)s)")
    parser.add_argument("--json", action="store_true", help="print one JSON object with every round")


def run(options: argparse.Namespace) -> int:
    """Measure every candidate, and say which is fastest."""
    network = _network(options.network, options.dtype)
    if not network.built:
        raise DataError(f"{options.network} was saved before it knew its inputs; fit it, or give Network(inputs=...)")
    backends = available_backends()
    for name in options.only or ():
        if name not in backends:
            raise BackendError(str(unknown_name("backend", name, backends)))
    chosen = {name: info for name, info in backends.items() if name in (options.only or backends)}
    candidates, missing = find_candidates(chosen, network.backend.dtype)
    for name, problem in missing.items():
        note(f"{name} is not measured: {problem}")
    tasks = {candidate: Task(_moved(network, candidate), options.batch_size) for candidate in candidates}
    if not tasks:
        raise BackendError("none of the backends asked for can be had here")
    found = measure_rounds(tasks, options.rounds, options.seconds, note)
    advice = [line for purpose in PURPOSES for line in judge(purpose, found[purpose])]
    if options.json:
        figures = {purpose: list(map(_figures, timings)) for purpose, timings in found.items()}
        head = {"batch_size": options.batch_size, "dtype": network.backend.dtype, "parameters": network.layout.size}
        print_json({**head, "not_measured": missing, **figures, "advice": advice})
        return 0
    print(f"{network.layout.size:,} parameters, batches of {options.batch_size}, {network.backend.dtype}")
    for purpose, timings in found.items():
        _print_timings(purpose, timings)
    print("\n" + "\n".join(advice))
    return 0


def _figures(timing: Timing) -> dict[str, Any]:
    """Return a timing for JSON."""
    return {**vars(timing.candidate), "median_seconds": timing.median, "rounds": timing.rounds}


def _print_timings(purpose: str, timings: Sequence[Timing]) -> None:
    what = "a training step" if purpose == PURPOSES[0] else "the answers for a batch, from the host and back"
    print(f"\nmicroseconds for {what}: median (fastest to slowest of {len(timings[0].rounds)} rounds)")
    for timing in timings:
        low, high = min(timing.rounds) * 1e6, max(timing.rounds) * 1e6
        print(f"  {timing.median * 1e6:12,.1f}  ({low:,.1f} to {high:,.1f})  {timing.candidate}")


def _network(text: str, dtype: str | None) -> Network:
    """Return a network of a shape, or that of a file."""
    from xpnet.checkpoint import load
    from xpnet.layers import Dense
    from xpnet.network import Network

    if not SHAPE.fullmatch(text):
        if not Path(text).exists():
            raise DataError(f"there is no file {text}; a shape is inputs, hidden units and outputs, such as 784,256,10")
        network = load(text)
        return network if dtype is None else network.to("numpy", dtype=dtype)
    inputs, *hidden, outputs = sizes(text)
    layers = [part for units in hidden for part in (Dense(units), "relu")]
    return Network(
        [*layers, Dense(outputs)], loss="cross_entropy" if outputs > 1 else "mse", inputs=inputs, dtype=dtype
    )


def _moved(network: Network, candidate: Candidate) -> Network:
    return network.to(candidate.backend, device=candidate.device)
