"""xpnet's compiled step alone on placed batches: no checks, no metrics. What ``fit`` costs is counted from here."""

from __future__ import annotations

from time import perf_counter

from benchmarks.peers.xpnet_model import Model
from benchmarks.work import Pool, Weights, Work
from xpnet import Backend
from xpnet.fitting import prepare_batch


class Trainer(Model):
    def __init__(self, work: Work, weights: Weights, pool: Pool, backend: str | Backend = "numpy") -> None:
        super().__init__(work, weights, backend, metrics=())
        self.batches = [prepare_batch(self.network, x, y) for x, y in pool.batches()]
        self.step = self.network.backend.compile(self.network.compiled.program.step_loss, donated=True)

    def train(self, passes: int, shuffle: bool) -> float:
        step, state = self.step, self.network.state
        start = perf_counter()
        for _ in range(passes):
            for batch in self.batches:
                state, loss = step(state, batch)
        float(loss)
        seconds = perf_counter() - start
        self.network.take_state(state, passes * len(self.batches))
        return seconds
