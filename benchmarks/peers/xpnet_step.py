"""xpnet, one ``train_step`` after the other on batches as a user has them; their x lies on the device."""

from __future__ import annotations

from time import perf_counter

from benchmarks.peers.xpnet_model import Model
from benchmarks.work import Pool, Weights, Work
from xpnet import Backend


class Trainer(Model):
    def __init__(self, work: Work, weights: Weights, pool: Pool, backend: str | Backend = "numpy") -> None:
        super().__init__(work, weights, backend)
        self.batches = [(self.place(x), y) for x, y in pool.batches()]

    def train(self, passes: int, shuffle: bool) -> float:
        step = self.network.train_step
        start = perf_counter()
        for _ in range(passes):
            for x, y in self.batches:
                loss = step(x, y)
        float(loss)
        return perf_counter() - start
