"""xpnet on NumPy, one ``train_step`` after the other on batches as a user has them."""

from __future__ import annotations

from time import perf_counter

from benchmarks.peers.xpnet_model import Model
from benchmarks.work import Pool, Weights, Work


class Trainer(Model):
    def __init__(self, work: Work, weights: Weights, pool: Pool) -> None:
        super().__init__(work, weights)
        self.batches = list(pool.batches())

    def train(self, passes: int, shuffle: bool) -> float:
        step = self.network.train_step
        start = perf_counter()
        for _ in range(passes):
            for x, y in self.batches:
                loss = step(x, y)
        float(loss)
        return perf_counter() - start
