"""Time a network on each array library and device of this machine, and say which is fastest.

Each round times all candidates in turn, every other round in reverse order, so that a disturbance of the machine
affects all of them. A difference counts only if every round of the faster one beats every round of the slower one.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from statistics import median
from time import perf_counter
from typing import TYPE_CHECKING, Any

import numpy as np

from xpnet.backend import BackendInfo, open_backend
from xpnet.callbacks import Callback
from xpnet.errors import BackendError
from xpnet.losses import BinaryCrossEntropy
from xpnet.records import record

if TYPE_CHECKING:
    from xpnet.network import Network

__all__ = ["PURPOSES", "Candidate", "Task", "Timing", "find_candidates", "judge", "measure_rounds"]

PURPOSES = ("training", "inference")

BATCHES = 20
"""Batches in an epoch that is timed: enough that what an epoch costs once is small beside them."""

NOISY = 0.3
"""Spread of the rounds, of their median, from which a measurement is called noisy."""


@record
class Candidate:
    """A backend on one of its devices; ``device`` is None if the backend has only one."""

    backend: str
    device: Any
    description: str
    gpu: bool

    @property
    def option(self) -> str:
        """The command-line options that choose it."""
        return f"--backend {self.backend}" + (f" --device {self.device}" if self.gpu else "")

    def __str__(self) -> str:
        return f"{self.backend} ({self.description})"


@record
class Timing:
    """Seconds of each round, for one batch."""

    candidate: Candidate
    rounds: tuple[float, ...]

    @property
    def median(self) -> float:
        """The middle round."""
        return median(self.rounds)

    @property
    def spread(self) -> float:
        """(slowest - fastest) / median."""
        return (max(self.rounds) - min(self.rounds)) / self.median

    def beats(self, other: Timing) -> bool:
        """Say whether every round here was faster than every round there."""
        return max(self.rounds) < min(other.rounds)


def find_candidates(backends: Mapping[str, BackendInfo], dtype: str) -> tuple[list[Candidate], dict[str, str]]:
    """Return the first CPU and the first GPU of each backend, and why other backends are not available."""
    candidates: list[Candidate] = []
    missing: dict[str, str] = {}
    for name, info in backends.items():
        if not info.available:
            missing[name] = info.problem
            continue
        # A device is described as "name: what it is"; what has no name is the backend's only device.
        named = [line.split(": ", 1) for line in info.devices if ": " in line]
        wanted = [Candidate(name, int(d) if d.isdecimal() else d, text, not d.startswith("cpu")) for d, text in named]
        wanted.append(Candidate(name, "cpu", "cpu", False) if named else Candidate(name, None, info.devices[0], False))
        for gpu in (False, True):
            first = next((one for one in wanted if one.gpu is gpu and _opens(one, dtype)), None)
            if first is not None:
                candidates.append(first)
    return candidates, missing


def _opens(candidate: Candidate, dtype: str) -> bool:
    try:
        open_backend(candidate.backend, device=candidate.device, dtype=dtype)
    except BackendError:
        return False
    return True


class Task:
    """A network on one candidate, with random examples to train on."""

    def __init__(self, network: Network, batch_size: int) -> None:
        stream = np.random.default_rng(0)
        rows = BATCHES * batch_size
        self.network, self.batch_size = network, batch_size
        self.x = stream.standard_normal((rows, *(network.in_shape or ())), dtype=np.float32)
        outputs = network.out_shape
        if not hasattr(network.loss, "classify"):
            self.y: Any = stream.standard_normal((rows, *outputs), dtype=np.float32)
        elif isinstance(network.loss, BinaryCrossEntropy) or outputs == (1,):
            self.y = stream.integers(0, 2, (rows, *outputs))
        else:
            self.y = stream.integers(0, outputs[-1], rows)

    def training(self, repeats: int) -> float:
        """Return seconds a step over so many epochs of ``fit``, the data on the device."""
        clock = _Clock()
        self.network.fit(self.x, self.y, epochs=repeats, batch_size=self.batch_size, callbacks=[clock], verbose=0)
        return clock.seconds / (repeats * BATCHES)

    def inference(self, repeats: int) -> float:
        """Return seconds for one batch, from the host and back to it."""
        batch, network = self.x[: self.batch_size], self.network
        start = perf_counter()
        for _ in range(repeats):
            network.backend.to_numpy(network.predict(batch))
        return (perf_counter() - start) / repeats


class _Clock(Callback):
    """Measures from the first epoch on: data is moved to the device once, however long training takes."""

    seconds = 0.0

    def on_train_begin(self, logs: Mapping[str, float]) -> None:
        self._start = perf_counter()

    def on_train_end(self, logs: Mapping[str, float]) -> None:
        self.seconds = perf_counter() - self._start


def measure_rounds(
    tasks: Mapping[Candidate, Task], rounds: int, seconds: float, watch: Callable[[str], object]
) -> dict[str, list[Timing]]:
    """Return the timings for each purpose, the fastest first; a round takes about so many *seconds*."""
    found: dict[str, list[Timing]] = {}
    for purpose in PURPOSES:
        runs = {candidate: getattr(task, purpose) for candidate, task in tasks.items()}
        repeats = {
            candidate: _repeats(run, BATCHES if purpose == PURPOSES[0] else 1, seconds)
            for candidate, run in runs.items()
        }
        times: dict[Candidate, list[float]] = {candidate: [] for candidate in runs}
        for number in range(rounds):
            watch(f"{purpose}: round {number + 1} of {rounds}")
            for candidate in list(runs)[:: -1 if number % 2 else 1]:
                times[candidate].append(runs[candidate](repeats[candidate]))
        found[purpose] = sorted((Timing(candidate, tuple(t)) for candidate, t in times.items()), key=lambda t: t.median)
    return found


def _repeats(run: Callable[[int], float], batches: int, seconds: float) -> int:
    """Return how many repeats make a round, after a run in which everything is compiled."""
    run(1)
    return max(1, round(seconds / (min(run(1), run(1)) * batches)))


def judge(purpose: str, timings: Sequence[Timing]) -> list[str]:
    """Say in sentences what the timings for one purpose show, and what they do not."""
    best, *others = timings
    level = [other for other in others if not best.beats(other)]
    lines = [f"{purpose}: {best.candidate} is fastest; use {best.candidate.option}"]
    if not others:
        lines = [f"{purpose}: {best.candidate} alone was measured"]
    elif level:
        names = ", ".join(str(other.candidate) for other in level)
        lines = [
            f"{purpose}: no clear winner: {best.candidate} is fastest by its median, but its rounds overlap with "
            f"{names}"
        ]
    cpu, gpu = (next((t for t in timings if t.candidate.gpu is kind), None) for kind in (False, True))
    if gpu is None:
        lines.append(f"{purpose}: no GPU was measured, so this says nothing of one")
    elif cpu is not None:
        fast, slow, words = (gpu, cpu, ("GPU", "CPU")) if gpu.median < cpu.median else (cpu, gpu, ("CPU", "GPU"))
        clear = "" if fast.beats(slow) else ", but the rounds overlap"
        ratio = slow.median / fast.median
        lines.append(f"{purpose}: the {words[0]} is {ratio:.2g} times as fast as the {words[1]}{clear}")
    noisy = [str(t.candidate) for t in timings if t.spread > NOISY]
    if noisy:
        lines.append(
            f"{purpose}: noisy (rounds differ by more than {NOISY:.0%} of their median) on {', '.join(noisy)}; "
            "repeat on a quiet machine, or with more --seconds"
        )
    return lines
