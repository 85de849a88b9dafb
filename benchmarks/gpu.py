"""xpnet on CuPy beside its peers on one NVIDIA GPU: networks, precisions, inference, ceilings, kernels, questions.

    python -m benchmarks.gpu                                             # everything, as a table: more than an hour
    python -m benchmarks.gpu --only questions ceilings kernels --out     # and a JSON file in benchmarks/results
    python -m benchmarks.gpu --only mlp wide --precisions fp32 --minutes 9 --out --add

Every work is measured once for each precision, and the file is written after each. Each peer runs in a process of its
own; those of one work are built side by side and measured in turns; figures are medians of the rounds.

Exit code 3, with one sentence that says what is missing, where no GPU answers.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from itertools import product
from time import perf_counter
from typing import Any

from benchmarks import gpu_report as report
from benchmarks.command import log, machine, parse_measuring, save, write
from benchmarks.peers import GPU_PEERS, NO_EXTRAS
from benchmarks.processes import ROOT, WorkerFailed, ask
from benchmarks.rounds import ALLOWED, measure_work
from benchmarks.work import FOR_CPUS, INFERENCE, TRAINING, as_dict

PARTS = ("questions", "ceilings", "kernels", "mnist-98")
"""Each a module of this package, run in a process of its own."""

MODULES = {
    "questions": "benchmarks.questions",
    "ceilings": "benchmarks.ceilings",
    "kernels": "benchmarks.kernels",
    "mnist-98": "benchmarks.end_to_end",
}
WORKS = (*NO_EXTRAS, *(name for name in INFERENCE if name not in FOR_CPUS))
MEASURABLE = (*PARTS, *WORKS)
PACKAGES = (
    *("xpnet", "numpy", "cupy-cuda12x", "cupy-cuda13x", "torch", "triton", "jax", "jaxlib"),
    *("cuda-bindings", "nvmath-python", "nvidia-cublas", "nvidia-cuda-nvrtc", "nvidia-cuda-runtime"),
)
QUERY = ("name", "driver_version", "memory.total")
KINDS = {"cuda": "gpu", "cpu": "gpu-tried-on-cpu"}
"""What the files of each device are called."""

SAME = ("gpu", "revision", "python", "versions", "quick")
"""What measurements in one file have in common."""

NO_GPU = 3
"""The exit code, as the examples have it."""


class NoGpu(Exception):
    """No GPU answers; the message says what is missing."""


def main(arguments: list[str] | None = None) -> int:
    options = parse(arguments)
    try:
        found = {"gpu": gpu() if options.device == "cuda" else None}
        results: dict[str, Any] = {"machine": machine(options, PACKAGES) | found, "precisions": {}, "parts": {}}
        earlier = before(results, options)
    except NoGpu as error:
        print(f"nothing was measured: {error}", file=sys.stderr)
        return NO_GPU
    whole = merged(earlier, results)
    begin = perf_counter()
    todo = [(name, None) for name in options.only if name in PARTS]
    todo += list(product([name for name in options.only if name in WORKS], options.precisions))
    for number, (name, precision) in enumerate(todo, 1):
        seconds = perf_counter() - begin
        if options.minutes and seconds > 60 * options.minutes:
            log(
                "not begun, as the time is over: "
                + ", ".join(" ".join(filter(None, rest)) for rest in todo[number - 1 :])
            )
            break
        log(f"[{number}/{len(todo)}] {name} {precision or ''}, after {seconds:.0f} s")
        if precision is None:
            results["parts"][name] = part(name, options)
        else:
            works = results["precisions"].setdefault(precision, {}).setdefault("works", {})
            works[name] = measure(name, precision, options)
        results["machine"]["seconds"] = perf_counter() - begin
        whole = merged(earlier, results)
        if options.out is not None:
            write(whole, options.out, KINDS[options.device])
    print(report.text(whole))
    if options.out is not None:
        save(whole, options.out, KINDS[options.device], report.picture)
    return 1 if report.faults(whole) else 0


def parse(arguments: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name, known in (("only", MEASURABLE), ("peers", GPU_PEERS), ("precisions", ALLOWED)):
        parser.add_argument(
            f"--{name}", nargs="+", choices=known, default=list(known), metavar="NAME", help=", ".join(known)
        )
    parser.add_argument(
        "--device",
        choices=("cuda", "cpu"),
        default="cuda",
        help="cpu: the peers run on the processor, which tries them",
    )
    parser.add_argument("--minutes", type=float, help="begin nothing after so long; what is measured is written")
    parser.add_argument("--add", action="store_true", help="add to the day's file in --out instead of replacing it")
    options = parse_measuring(parser, arguments, "minutes")
    if options.add and options.out is None:
        parser.error("--add needs --out: there is no file to add to")
    return options


def gpu() -> str:
    """Return the first GPU's name, driver and memory."""
    command = ["nvidia-smi", f"--query-gpu={','.join(QUERY)}", "--format=csv,noheader"]
    try:
        found = subprocess.run(command, capture_output=True, text=True)
    except OSError:
        raise NoGpu("there is no NVIDIA GPU, or its driver is not installed: nvidia-smi is not on the PATH") from None
    if found.returncode or not found.stdout.strip():
        said = (found.stdout + found.stderr).strip().partition("\n")[0]
        raise NoGpu(f"no NVIDIA GPU answers; nvidia-smi says: {said or 'nothing'}")
    name, driver, memory = (cell.strip() for cell in found.stdout.splitlines()[0].split(","))
    return f"{name}, driver {driver}, {memory}"


def measure(name: str, precision: str, options: argparse.Namespace) -> dict[str, Any]:
    found = measure_work(
        name, options.peers, options.rounds, options.seconds, None, log, device=options.device, precision=precision
    )
    work = TRAINING.get(name) or INFERENCE[name].work
    return {"work": as_dict(work), **found}


def part(name: str, options: argparse.Namespace) -> dict[str, Any]:
    config = {"job": "mnist-gpu", "device": options.device, "quick": options.quick}
    try:
        return ask([MODULES[name], json.dumps(config)], None)
    except WorkerFailed as failure:
        return {"left_out": str(failure)}


def before(results: dict[str, Any], options: argparse.Namespace) -> dict[str, Any]:
    """Return the results to add to: those of the same day, GPU, revision and versions, or none."""
    empty = {"precisions": {}, "parts": {}}
    path = (options.out or ROOT) / f"{results['machine']['date']}-{KINDS[options.device]}.json"
    if not options.add or not path.exists():
        return empty
    found: dict[str, Any] = json.loads(path.read_text())
    for what in SAME:
        if found["machine"][what] != results["machine"][what]:
            raise SystemExit(
                f"--add: {path} has {what} {found['machine'][what]!r}, and this is {results['machine'][what]!r}; "
                "leave --add out, or give another --out"
            )
    return found


def merged(earlier: dict[str, Any], later: dict[str, Any]) -> dict[str, Any]:
    """Return both results, and what they say about the aims; what is in both is the later one's."""
    precisions = {
        precision: {
            "works": {
                **earlier["precisions"].get(precision, {"works": {}})["works"],
                **later["precisions"].get(precision, {"works": {}})["works"],
            }
        }
        for precision in ALLOWED
        if precision in earlier["precisions"] or precision in later["precisions"]
    }
    seconds = later["machine"].get("seconds", 0.0) + earlier.get("machine", {}).get("seconds", 0.0)
    whole: dict[str, Any] = {
        "machine": {**later["machine"], "seconds": seconds},
        "precisions": precisions,
        "parts": {**earlier["parts"], **later["parts"]},
    }
    return whole | {"reach": report.reach(whole) if whole["machine"]["gpu"] else []}


if __name__ == "__main__":
    sys.exit(main())
