"""Peers of one work, side by side: every round goes through all of them, one after the other."""

from __future__ import annotations

import json
import math
import statistics
import time
from collections.abc import Callable, Iterable
from functools import cache
from typing import Any, NamedTuple

from benchmarks import core_distance
from benchmarks.peers import ALL_PEERS
from benchmarks.processes import Worker, WorkerFailed
from benchmarks.work import INFERENCE, TRAINING, first_weights, loss_of, make_pool

PAUSE = 0.1
"""Seconds between two peers, in which the threads of the first stop spinning."""

ALLOWED = {"fp32": (0.05, 1e-4), "tf32": (0.05, 5e-3), "bf16": (0.1, 5e-2)}
"""By precision: how far the loss's first decrease may be from float64's, as a share, and a probability as it is."""

AGAIN = 2
"""Times that a round is taken anew at most where the cores were far apart: a stretch of minutes may be longer."""

FAR = 2.0
"""Times the quickest trip of a cache line from core to core from which a round does not count."""

Log = Callable[[str], None]


class Round(NamedTuple):
    """What a step took, and how long a cache line took between two cores, the longer of before and after it."""

    microseconds: float
    trip: float | None


def measure_work(
    name: str,
    peers: Iterable[str],
    rounds: int,
    seconds: float,
    threads: int | None,
    log: Log,
    *,
    device: str | None = None,
    precision: str = "fp32",
) -> dict[str, Any]:
    """Return microseconds a step by peer, with every round, and why a peer was left out.

    A round during which the machine's cores were far from each other, see :mod:`core_distance`, is set aside, for all
    peers alike, and taken again. Where some peer has none but such rounds in the end, all rounds of all count.

    With a *device*, which is for peers that have one, all are built at the same time: building is not timed, and where
    it compiles it takes minutes. They are warmed and measured one after the other in any case.
    """
    results: dict[str, Any] = {}
    left_out: dict[str, str] = {}
    workers: dict[str, Worker] = {}

    def build(peer: str) -> None:
        _guard(workers, left_out, peer, lambda w: results.__setitem__(peer, w.answer()))

    def warm(peer: str) -> None:
        _guard(workers, left_out, peer, lambda w: results[peer].update(_told(w, "warm")))
        log(f"  {peer}: " + (f"left out, {left_out[peer]}" if peer in left_out else "ready"))

    try:
        for peer in peers:
            if absence := ALL_PEERS[peer].absence():
                left_out[peer] = absence
            elif precision not in ALL_PEERS[peer].precisions:
                left_out[peer] = f"computes in {' and '.join(ALL_PEERS[peer].precisions)}, not in {precision}"
            elif ALL_PEERS[peer].does(name):
                workers[peer] = _worker(peer, name, seconds, threads, device, precision)
                if device is None:
                    build(peer)
                    if peer in workers:
                        warm(peer)
        if device is not None:
            for peer in list(workers):
                build(peer)
            for peer in list(workers):
                warm(peer)
        probe = core_distance.round_trip if device is None else lambda: None
        taken: dict[str, list[Round]] = {peer: [] for peer in workers}
        for number in range(rounds * (1 + AGAIN)):
            waiting = [peer for peer in workers if len(counted(taken[peer])) < rounds]
            # Every other round runs backwards, so that nobody always follows the same neighbour.
            for peer in waiting[:: -1 if number % 2 else 1]:
                time.sleep(PAUSE)
                _guard(workers, left_out, peer, lambda w: taken[peer].append(_one_round(w, probe)))  # noqa: B023
        for peer in list(workers):
            _guard(workers, left_out, peer, lambda w: results[peer].update(_told(w, "end")))  # noqa: B023
    finally:
        for worker in workers.values():
            worker.close()
            worker.errors.close()
    results = {peer: result for peer, result in results.items() if peer not in left_out}
    reference = after_one_pass(name) if name in TRAINING and results else None
    near = {peer: counted(taken[peer]) for peer in results}
    for peer, result in results.items():
        count = near[peer] if all(near.values()) else taken[peer]
        result["rounds"] = [round.microseconds for round in count]
        result["set_aside"] = [round for round in taken[peer] if round not in count]
        result["far"] = len(count) - len(near[peer])
        result["median"] = statistics.median(result["rounds"])
        result["spread"] = [min(result["rounds"]), max(result["rounds"])]
        result["wrong"] = fault(name, peer, result, reference, precision)
    return {"peers": results, "left_out": left_out}


def _worker(peer: str, work: str, seconds: float, threads: int | None, device: str | None, precision: str) -> Worker:
    """Start the process of one peer."""
    options = {"device": device, "precision": precision} if ALL_PEERS[peer].placed else {}
    config = {"peer": peer, "work": work, "seconds": seconds, "threads": threads, "options": options}
    environment = ALL_PEERS[peer].environment | ALL_PEERS[peer].precisions[precision]
    return Worker(["benchmarks.worker", json.dumps(config)], threads, environment)


def _guard(workers: dict[str, Worker], left_out: dict[str, str], peer: str, action: Callable[[Worker], object]) -> None:
    """Do something with a peer's worker; a failure leaves this peer out, with its reason."""
    try:
        action(workers[peer])
    except WorkerFailed as failure:
        left_out[peer] = str(failure)
        worker = workers.pop(peer)
        worker.close()
        worker.errors.close()


def _one_round(worker: Worker, probe: Callable[[], float | None]) -> Round:
    before = probe()
    microseconds = float(_told(worker, "go")["microseconds"])
    trips = [trip for trip in (before, probe()) if trip is not None]
    return Round(microseconds, max(trips, default=None))


def counted(rounds: Iterable[Round]) -> list[Round]:
    """Those rounds before and after which the cores were about as near to each other as they have been at all."""
    least = core_distance.least()
    return [round for round in rounds if least is None or round.trip is None or round.trip < FAR * least]


def _told(worker: Worker, order: str) -> dict[str, Any]:
    worker.tell(order)
    return worker.answer()


@cache
def after_one_pass(name: str) -> float:
    """The loss after one pass over the pool from the common weights, in float64 by the plain peer."""
    from benchmarks.peers.numpy_source import Trainer

    work, weights = TRAINING[name], first_weights(TRAINING[name])
    pool = make_pool(work)
    trainer = Trainer(work, weights, pool)
    trainer.train(1, shuffle=False)
    return loss_of(work, trainer.weights(), pool)


def fault(name: str, peer: str, result: dict[str, Any], reference: float | None, precision: str = "fp32") -> str | None:
    """Say what shows that a peer did not do the work, or None.

    Every peer's loss has to be finite and lower in the end than at the start. Where nothing random differs, the
    decrease in the first pass, from equal weights over equal batches, has to be the reference's, to the share that the
    precision of products allows.
    """
    share, largest = ALLOWED[precision]
    if name in INFERENCE:
        far = result["deviation"]
        return None if far < largest else f"probabilities are {far:.2g} from those of the given weights"
    before, first, after = result["before"], result["after_pass"], result["after"]
    if after is None:
        return None
    if not (math.isfinite(after) and after < before):
        return f"loss went from {before:.6f} to {after:.6f}"
    work = TRAINING[name]
    alone = work.dropout or (peer == "sklearn" and work.binary)
    if not alone and abs(first - reference) > share * abs(before - reference):
        return f"loss after one pass is {first:.6f}, not {reference:.6f}"
    return None
