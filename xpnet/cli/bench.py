"""``xpnet bench``: is this network on this machine better on the CPU or on a GPU, and with which library."""

from __future__ import annotations

import argparse
import re
from pathlib import Path
from typing import TYPE_CHECKING

from xpnet.backend import available_backends
from xpnet.cli.output import note, print_json
from xpnet.cli.parser import Commands, add_command
from xpnet.cli.timing import PURPOSES, Place, Task, find_places, judge, measure_rounds
from xpnet.cli.values import count, names, positive, sizes
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
    """Measure every place, and judge."""
    network = _network(options.network, options.dtype)
    if not network.built:
        raise DataError(f"{options.network} was saved before it knew its inputs; fit it, or give Network(inputs=...)")
    backends = available_backends()
    for name in options.only or ():
        if name not in backends:
            raise BackendError(str(unknown_name("backend", name, backends)))
    chosen = {name: info for name, info in backends.items() if name in (options.only or backends)}
    places, missing = find_places(chosen, network.backend.dtype)
    for name, problem in missing.items():
        note(f"{name} is not measured: {problem}")
    tasks = {place: Task(_there(network, place), options.batch_size) for place in places}
    if not tasks:
        raise BackendError("none of the backends asked for can be had here")
    found = measure_rounds(tasks, options.rounds, options.seconds, note)
    advice = [line for purpose in PURPOSES for line in judge(purpose, found[purpose])]
    if options.json:
        print_json(
            {
                "batch_size": options.batch_size,
                "dtype": network.backend.dtype,
                "parameters": network.layout.size,
                "not_measured": missing,
                **{
                    purpose: [
                        {**vars(timing.place), "median_seconds": timing.median, "rounds": timing.rounds}
                        for timing in timings
                    ]
                    for purpose, timings in found.items()
                },
                "advice": advice,
            }
        )
        return 0
    print(f"{network.layout.size:,} parameters, batches of {options.batch_size}, {network.backend.dtype}")
    for purpose, timings in found.items():
        what = "a training step" if purpose == PURPOSES[0] else "the answers for a batch, from the host and back"
        print(f"\nmicroseconds for {what}: median (fastest to slowest of {options.rounds} rounds)")
        for timing in timings:
            low, high = min(timing.rounds) * 1e6, max(timing.rounds) * 1e6
            print(f"  {timing.median * 1e6:12,.1f}  ({low:,.1f} to {high:,.1f})  {timing.place}")
    print("\n" + "\n".join(advice))
    return 0


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


def _there(network: Network, place: Place) -> Network:
    return network.to(place.backend, device=place.device)
