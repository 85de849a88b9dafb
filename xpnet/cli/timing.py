"""How long a network takes on each array library of this machine, and what follows from it.

Rounds go through all places in turn, every other one backwards, so that what disturbs the machine for a while
disturbs all of them; a difference counts only where no round of the slower is as fast as some round of the faster.
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

__all__ = ["PURPOSES", "Place", "Task", "Timing", "find_places", "judge", "measure_rounds"]

PURPOSES = ("training", "inference")

BATCHES = 20
"""Batches in an epoch that is timed: enough that what an epoch costs once is small beside them."""

NOISY = 0.3
"""Spread of the rounds, of their median, from which a measurement is called noisy."""


@record
class Place:
    """A backend on one of its devices; ``device`` None is the only one."""

    backend: str
    device: Any
    description: str
    gpu: bool

    @property
    def option(self) -> str:
        """What to give to the shell."""
        return f"--backend {self.backend}" + (f" --device {self.device}" if self.gpu else "")

    def __str__(self) -> str:
        return f"{self.backend} ({self.description})"


@record
class Timing:
    """Seconds of each round, for one batch."""

    place: Place
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


def find_places(backends: Mapping[str, BackendInfo], dtype: str) -> tuple[list[Place], dict[str, str]]:
    """Return each backend's first CPU and first GPU, and the reasons why others cannot be had."""
    places: list[Place] = []
    missing: dict[str, str] = {}
    for name, info in backends.items():
        if not info.available:
            missing[name] = info.problem
            continue
        # A device is described as "name: what it is"; what has no name is the backend's only device.
        named = [line.split(": ", 1) for line in info.devices if ": " in line]
        wanted = [Place(name, int(d) if d.isdecimal() else d, text, not d.startswith("cpu")) for d, text in named]
        wanted = [*wanted, Place(name, "cpu", "cpu", False)] if named else [Place(name, None, info.devices[0], False)]
        for gpu in (False, True):
            found = (place for place in wanted if place.gpu is gpu and _opens(place, dtype))
            places += [place for place in (next(found, None),) if place is not None]
    return places, missing


def _opens(place: Place, dtype: str) -> bool:
    try:
        open_backend(place.backend, device=place.device, dtype=dtype)
    except BackendError:
        return False
    return True


class Task:
    """One network at one place, with a set of random examples that it trains on."""

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
    """Starts with the first epoch: moving the data in happens once a training, however long that is."""

    seconds = 0.0

    def on_train_begin(self, logs: Mapping[str, float]) -> None:
        self._start = perf_counter()

    def on_train_end(self, logs: Mapping[str, float]) -> None:
        self.seconds = perf_counter() - self._start


def measure_rounds(
    tasks: Mapping[Place, Task], rounds: int, seconds: float, watch: Callable[[str], object]
) -> dict[str, list[Timing]]:
    """Return the timings of each purpose, the fastest first; a round takes about so many *seconds*."""
    found: dict[str, list[Timing]] = {}
    for purpose in PURPOSES:
        runs = {place: getattr(task, purpose) for place, task in tasks.items()}
        repeats = {
            place: _repeats(run, BATCHES if purpose == PURPOSES[0] else 1, seconds) for place, run in runs.items()
        }
        times: dict[Place, list[float]] = {place: [] for place in runs}
        for number in range(rounds):
            watch(f"{purpose}: round {number + 1} of {rounds}")
            for place in list(runs)[:: -1 if number % 2 else 1]:
                times[place].append(runs[place](repeats[place]))
        found[purpose] = sorted((Timing(place, tuple(t)) for place, t in times.items()), key=lambda t: t.median)
    return found


def _repeats(run: Callable[[int], float], batches: int, seconds: float) -> int:
    """Return how often to repeat for a round; what is compiled at first use is compiled here."""
    run(1)
    return max(1, round(seconds / (min(run(1), run(1)) * batches)))


def judge(purpose: str, timings: Sequence[Timing]) -> list[str]:
    """Return in sentences what the timings of one purpose say, and what they do not."""
    best, *others = timings
    level = [other for other in others if not best.beats(other)]
    lines = [f"{purpose}: {best.place} is fastest; use {best.place.option}"]
    if not others:
        lines = [f"{purpose}: {best.place} alone was measured"]
    elif level:
        names = ", ".join(str(other.place) for other in level)
        lines = [
            f"{purpose}: no clear winner: {best.place} is fastest by its median, but its rounds overlap with {names}"
        ]
    cpu, gpu = (next((t for t in timings if t.place.gpu is kind), None) for kind in (False, True))
    if gpu is None:
        lines.append(f"{purpose}: no GPU was measured, so this says nothing of one")
    elif cpu is not None:
        fast, slow, words = (gpu, cpu, ("GPU", "CPU")) if gpu.median < cpu.median else (cpu, gpu, ("CPU", "GPU"))
        clear = "" if fast.beats(slow) else ", but the rounds overlap"
        ratio = slow.median / fast.median
        lines.append(f"{purpose}: the {words[0]} is {ratio:.2g} times as fast as the {words[1]}{clear}")
    noisy = [str(t.place) for t in timings if t.spread > NOISY]
    if noisy:
        lines.append(
            f"{purpose}: noisy (rounds differ by more than {NOISY:.0%} of their median) on {', '.join(noisy)}; "
            "repeat on a quiet machine, or with more --seconds"
        )
    return lines
