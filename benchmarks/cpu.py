"""xpnet beside its peers on this machine's processor: every network, inference, start-up, memory, whole jobs.

    python -m benchmarks.cpu                          # everything, as a table
    python -m benchmarks.cpu --only moons mlp --peers xpnet xpnet-fit torch
    python -m benchmarks.cpu --out                    # and a JSON file and a picture in benchmarks/results

Each peer runs in a process of its own; the rounds of all peers take turns; figures are medians of the rounds, but for
those during which the machine moved its cores apart (see core_distance.py), which are taken again.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import sys
from functools import partial
from time import perf_counter
from typing import Any

from benchmarks import core_distance, report, startup
from benchmarks.command import log, machine, parse_measuring, save
from benchmarks.end_to_end import GOAL, MNIST, MOST_EPOCHS, SEARCHED, SHORT
from benchmarks.peers import PEERS
from benchmarks.processes import WorkerFailed, ask
from benchmarks.rounds import measure_work
from benchmarks.work import FOR_GPUS, INFERENCE, TRAINING, as_dict

PARTS = ("import", "cold-start", "size", "memory", *(f"short-{work}" for work in SHORT), "sweep", "search", "mnist-98")
MEASURABLE = (*(name for name in (*TRAINING, *INFERENCE) if name not in FOR_GPUS), *PARTS)
MEMORY_WORK = "mnist-full"
MEMORY_PEERS = tuple(name for name in PEERS if PEERS[name].does(MEMORY_WORK) and name != "torch-compile")
PACKAGES = ("xpnet", "numpy", "torch", "jax", "jaxlib", "keras", "scikit-learn", "llvmlite", "mkl", "scipy")


def main(arguments: list[str] | None = None) -> int:
    options = parse(arguments)
    results: dict[str, Any] = {"machine": machine(options, PACKAGES), "works": {}, "parts": {}}
    begin = perf_counter()
    for number, name in enumerate(options.only, 1):
        log(f"[{number}/{len(options.only)}] {name}, after {perf_counter() - begin:.0f} s")
        if name in PARTS:
            results["parts"][name] = PART_FUNCTIONS[name](options)
        else:
            found = measure_work(name, options.peers, options.rounds, options.seconds, options.threads, log)
            work = TRAINING.get(name) or INFERENCE[name].work
            results["works"][name] = {"work": as_dict(work), **found}
    results["machine"]["seconds"] = perf_counter() - begin
    results["machine"]["round_trip"] = core_distance.least()
    results["machine"]["load_after"] = os.getloadavg()
    results["reach"] = report.reach(results)
    print(report.text(results))
    if options.out is not None:
        save(results, options.out, "cpu", report.picture)
    return 1 if report.faults(results) else 0


def parse(arguments: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--only", nargs="+", choices=MEASURABLE, default=list(MEASURABLE), metavar="WORK", help=", ".join(MEASURABLE)
    )
    parser.add_argument("--peers", nargs="+", choices=PEERS, default=list(PEERS), metavar="PEER", help=", ".join(PEERS))
    parser.add_argument("--threads", type=int, help="threads of every library (default: what each one takes)")
    parser.add_argument("--full", action="store_true", help="do the whole moons sweep instead of extrapolating it")
    return parse_measuring(parser, arguments, "threads")


def startup_runs(options: argparse.Namespace) -> int:
    return 1 if options.quick else options.rounds + 2


def memory(options: argparse.Namespace) -> dict[str, Any]:
    """Peak bytes of a process that trains on one full batch of mnist-full."""
    found: dict[str, Any] = {}
    for peer in (name for name in options.peers if name in MEMORY_PEERS):
        if absence := PEERS[peer].absence():
            found[peer] = {"left_out": absence}
            continue
        config = {"peer": peer, "work": MEMORY_WORK, "threads": options.threads, "memory": True}
        try:
            found[peer] = ask(["benchmarks.worker", json.dumps(config)], options.threads, PEERS[peer].environment)
        except WorkerFailed as failure:
            found[peer] = {"left_out": str(failure)}
    return found


def sweep(options: argparse.Namespace) -> dict[str, Any]:
    config = {"job": "sweep", "full": options.full, "quick": options.quick}
    try:
        return {"xpnet": ask(["benchmarks.end_to_end", json.dumps(config)], options.threads)}
    except WorkerFailed as failure:
        return {"xpnet": {"left_out": str(failure)}}


def short(work: str, options: argparse.Namespace) -> dict[str, Any]:
    """Seconds from a process's start until it has trained for a while; median."""
    peers = [peer for peer in options.peers if PEERS[peer].does(work) and peer not in ("limit", "xpnet-bare")]
    return in_turn("short", peers, options, {"work": work, "steps": 1 if options.quick else SHORT[work]})


def search(options: argparse.Namespace) -> dict[str, Any]:
    """Seconds of a grid search by cross-validation; median."""
    peers = [peer for peer in SEARCHED if peer in options.peers]
    if absence := PEERS["sklearn"].absence():  # which searches for both
        return {peer: {"left_out": absence} for peer in peers}
    return in_turn("search", peers, options, {"quick": options.quick})


def mnist_98(options: argparse.Namespace) -> dict[str, Any]:
    """Seconds until a network knows 98 % of the test images; median over seeds."""
    peers = [peer for peer in MNIST if peer in options.peers]
    if "XPNET_DATA" not in os.environ:
        return {peer: {"left_out": "XPNET_DATA does not name the folder with MNIST's files"} for peer in peers}
    found = in_turn("mnist", peers, options, {"most": 1 if options.quick else MOST_EPOCHS})
    for result in found.values():
        if runs := result.get("runs"):
            result["epochs"] = [len(run["accuracy"]) for run in runs]
            result["reached"] = all(run["accuracy"][-1] >= GOAL for run in runs)
    return found


def in_turn(job: str, peers: list[str], options: argparse.Namespace, config: dict[str, Any]) -> dict[str, Any]:
    """Let peers take turns at a whole job, three times, each in a process whose seconds count from its start."""
    found: dict[str, Any] = {}
    for seed in range(1 if options.quick else 3):
        for peer in peers:
            if absence := PEERS[peer].absence():
                found[peer] = {"left_out": absence}
                continue
            told = {"job": job, "peer": peer, "seed": seed, "threads": options.threads, **config}
            start = perf_counter()
            try:
                answer = ask(["benchmarks.end_to_end", json.dumps(told)], options.threads, PEERS[peer].environment)
            except WorkerFailed as failure:
                found[peer] = {"left_out": str(failure)}
                continue
            run = {**answer, "seconds": perf_counter() - start}
            found.setdefault(peer, {"runs": []}).setdefault("runs", []).append(run)
    for result in found.values():
        if runs := result.get("runs"):
            result["median"] = statistics.median(run["seconds"] for run in runs)
    return found


PART_FUNCTIONS = {
    "import": lambda options: startup.import_times(startup_runs(options), options.threads),
    "cold-start": lambda options: startup.cold_starts(options.peers, startup_runs(options), options.threads),
    "size": lambda options: startup.installed_sizes(),
    "memory": memory,
    **{f"short-{work}": partial(short, work) for work in SHORT},
    "sweep": sweep,
    "search": search,
    "mnist-98": mnist_98,
}


if __name__ == "__main__":
    sys.exit(main())
