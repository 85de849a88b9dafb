"""One row through the mlp, call by call: back to back and after rests, alone and beside processes that keep all cores.

    python -m benchmarks.latency --peers xpnet torch --seconds 5

A server is called when somebody calls it, and its cores are not its own. Where threads share a call, the one that is
asleep, or has lost its core, keeps the others waiting; medians of a loop do not show that. Microseconds: the median,
the mean, and what 99 of 100 calls stay below.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from time import perf_counter, sleep

import numpy as np

from benchmarks.peers import PEERS
from benchmarks.work import INFERENCE
from benchmarks.worker import Inference

RESTS = 0.0, 0.01
"""Seconds between two calls."""

WARM_UP = 0.6
"""Share of a measurement's time for which calls do not count before the first."""

Found = dict[str, dict[str, float]]


@contextmanager
def busy(processes: int) -> Iterator[None]:
    """Have so many other processes that compute without end."""
    others = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(processes)]
    try:
        yield
    finally:
        for other in others:
            other.kill()
            other.wait()


def latencies(network: Inference, rest: float, seconds: float) -> dict[str, float]:
    """Call for some seconds, with rests; return how often, and a call's microseconds."""
    rows, found = network.inputs, []
    end = perf_counter() + seconds
    while not found or perf_counter() < end:
        if rest:
            sleep(rest)
        begin = perf_counter()
        network.predict(rows[len(found) % len(rows)])
        found.append(1e6 * (perf_counter() - begin))
    figures = {"median": np.median(found), "mean": np.mean(found), "99 %": np.percentile(found, 99)}
    return {"calls": len(found)} | {name: float(figure) for name, figure in figures.items()}


def measure(peer: str, seconds: float) -> Found:
    """Measure a peer in this process."""
    network = Inference(peer, INFERENCE["predict-1"], {})
    latencies(network, 0.0, WARM_UP * seconds)
    found = {}
    for processes in (0, os.cpu_count() or 1):
        with busy(processes):
            for rest in RESTS:
                name = f"{'beside others' if processes else 'alone'}, {'after rests' if rest else 'back to back'}"
                found[name] = latencies(network, rest, seconds)
    return found


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description="Measure a call of predict with one row, alone and beside others.")
    parser.add_argument("--peers", nargs="+", default=["xpnet", "torch", "sklearn"], choices=list(PEERS))
    parser.add_argument("--seconds", type=float, default=5.0, help="of each measurement (default: 5)")
    parser.add_argument("--here", action="store_true", help="measure one peer in this process, and print JSON")
    options = parser.parse_args(arguments)
    if options.here:
        print(json.dumps(measure(options.peers[0], options.seconds)))
        return
    for peer in options.peers:
        command = [sys.executable, "-m", "benchmarks.latency", "--here", "--peers", peer]
        told = subprocess.run([*command, "--seconds", str(options.seconds)], check=True, capture_output=True, text=True)
        for name, figures in json.loads(told.stdout).items():
            print(
                f"{peer:10} {name:28}", *[f"{key} {value:,.0f}" for key, value in figures.items()], sep="  ", flush=True
            )


if __name__ == "__main__":
    main()
