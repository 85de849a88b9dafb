"""One peer at one work, in a process of its own: prepares, proves that it learns, then runs a round when told.

    python -m benchmarks.worker '{"peer": ..., "work": ..., "seconds": ..., "threads": ..., "options": {...}}'

Answers are JSON lines: one when the peer is built, one when it is warm, one a round (microseconds), one at the end.
"""

from __future__ import annotations

import importlib
import json
import math
import os
import re
import resource
import sys
from dataclasses import replace
from pathlib import Path
from time import perf_counter
from typing import IO, Any, Protocol

import numpy as np

from benchmarks.peers import ALL_PEERS
from benchmarks.work import (
    INFERENCE,
    TRAINING,
    Calls,
    Pool,
    Weights,
    Work,
    first_weights,
    loss_of,
    make_pool,
    probabilities,
)

Options = dict[str, Any]
"""What a peer for GPUs is told besides: its device and precision. Empty for the others."""

WARM_UP = 6
"""Rounds, by their length, before the first that counts."""


class Runner(Protocol):
    """What a round repeats."""

    units: int  # steps or calls in one repetition

    def run(self, repetitions: int) -> float: ...

    def ready(self) -> dict[str, Any]: ...

    def end(self) -> dict[str, Any]: ...


class Training:
    """Steps over a pool of batches. The first pass goes in the pool's order, so that peers can be compared."""

    def __init__(self, name: str, work: Work, options: Options) -> None:
        self.work, self.pool = work, make_pool(work)
        weights = first_weights(work)
        self.units = len(self.pool)
        self.before = loss_of(work, weights, self.pool)
        self.trainer = make_trainer(name, work, weights, self.pool, options)
        self.trainer.train(1, False)
        self.after_pass = self._loss()

    def _loss(self) -> float | None:
        weights = self.trainer.weights()
        return None if weights is None else loss_of(self.work, weights, self.pool)

    def run(self, repetitions: int) -> float:
        return float(self.trainer.train(repetitions, True))

    def ready(self) -> dict[str, Any]:
        return {"before": self.before, "after_pass": self.after_pass}

    def end(self) -> dict[str, Any]:
        return {"after": self._loss()}


class Inference:
    """Predictions for rows as a user holds them, or that lie on the GPU; given back as probabilities on the host."""

    def __init__(self, name: str, calls: Calls, options: Options) -> None:
        work, weights = calls.work, first_weights(calls.work)
        small = make_pool(replace(work, pool=1))
        trainer = make_trainer(name, work, weights, small, options)
        self.predict = trainer.predict
        self.inputs = calls.draw()
        self.units = calls.count
        wanted = probabilities(work, weights, self.inputs[0][:64])
        if options:
            self.inputs = [trainer.place(x) for x in self.inputs]
        self.deviation = float(np.max(np.abs(np.asarray(self.predict(self.inputs[0]))[:64] - wanted)))

    def run(self, repetitions: int) -> float:
        predict, inputs = self.predict, self.inputs
        start = perf_counter()
        for _ in range(repetitions):
            for x in inputs:
                found = predict(x)
        float(found[0, 0])
        return perf_counter() - start

    def ready(self) -> dict[str, Any]:
        return {"deviation": self.deviation}

    def end(self) -> dict[str, Any]:
        return {}


def make_trainer(name: str, work: Work, weights: Weights, pool: Pool, options: Options | None = None) -> Any:
    peer = ALL_PEERS[name]
    module = importlib.import_module(f"benchmarks.peers.{peer.module}")
    return module.Trainer(work, weights, pool, **peer.options, **(options or {}))


def make_runner(name: str, work: str, options: Options) -> Runner:
    if work in INFERENCE:
        return Inference(name, INFERENCE[work], options)
    return Training(name, TRAINING[work], options)


def repetitions_for(runner: Runner, seconds: float) -> int:
    """Warm up, until a run lasts at least half of a round; return how many repetitions fill one."""
    repetitions = 1
    if runner.run(repetitions) >= 2 * seconds:
        return 1
    while True:
        taken = runner.run(repetitions)
        if taken >= seconds / 2:
            return max(1, round(repetitions * seconds / taken))
        repetitions = math.ceil(repetitions * min(10.0, max(2.0, seconds / max(taken, 1e-9))))


def warm_up(runner: Runner, repetitions: int, seconds: float) -> None:
    """Repeat rounds for so long: some peers compile what has been running for a while."""
    begin = perf_counter()
    while perf_counter() - begin < seconds:
        runner.run(repetitions)


def measure(config: dict[str, Any], answers: IO[str]) -> None:
    runner = make_runner(config["peer"], config["work"], config.get("options", {}))
    say(answers, runner.ready())
    sys.stdin.readline()  # until the machine is this peer's alone
    repetitions = repetitions_for(runner, config["seconds"])
    warm_up(runner, repetitions, WARM_UP * config["seconds"])
    say(answers, {"steps_a_round": repetitions * runner.units})
    for order in sys.stdin:
        if order.strip() != "go":
            break
        if repetitions > 1:  # the other peers have had the caches since
            runner.run(max(1, repetitions // 10))
        taken = runner.run(repetitions)
        say(answers, {"microseconds": taken / (repetitions * runner.units) * 1e6})
    say(answers, runner.end())


def measure_memory(config: dict[str, Any], answers: IO[str]) -> None:
    """Train for two epochs of one full batch and tell the process's peak, and what it was with the data alone."""
    work = TRAINING[config["work"]]
    pool, weights = make_pool(work), first_weights(work)
    data = peak_bytes()
    trainer = make_trainer(config["peer"], work, weights, pool)
    for _ in range(2):
        trainer.train(1, True)
    say(answers, {"peak_bytes": peak_bytes(), "data_bytes": data})


def peak_bytes() -> int:
    """The most memory that this process has held."""
    status = Path("/proc/self/status")
    # ru_maxrss starts, on Linux, from what the parent held when it made this process; VmHWM does not.
    if status.exists() and (found := re.search(r"VmHWM:\s+(\d+) kB", status.read_text())):
        return int(found[1]) * 1024
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024


def say(answers: IO[str], message: dict[str, Any]) -> None:
    print(json.dumps(message), file=answers, flush=True)


def main() -> None:
    # Libraries may print what they like: answers have a channel of their own.
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    config = json.loads(sys.argv[1])
    if config["threads"] and "torch" in ALL_PEERS[config["peer"]].needs:
        import torch

        torch.set_num_threads(config["threads"])
    (measure_memory if config.get("memory") else measure)(config, answers)


if __name__ == "__main__":
    main()
