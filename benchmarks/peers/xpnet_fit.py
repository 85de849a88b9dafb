"""xpnet through ``fit``, with what a user gets: shuffling, accuracy, history, the learning rate's record."""

from __future__ import annotations

from time import perf_counter

import xpnet
from benchmarks.peers.xpnet_model import Model
from benchmarks.work import Pool, Weights, Work


class Trainer(Model):
    def __init__(
        self, work: Work, weights: Weights, pool: Pool, backend: str | xpnet.Backend, extras: bool = True
    ) -> None:
        if not extras:
            leave_out_extras()
        super().__init__(work, weights, backend)
        self.pool = pool

    def train(self, passes: int, shuffle: bool) -> float:
        pool, clock = self.pool, Clock()
        self.network.fit(
            pool.x, pool.y, epochs=passes, batch_size=pool.batch, shuffle=shuffle, callbacks=[clock], verbose=0
        )
        return perf_counter() - clock.start


def leave_out_extras() -> None:
    """Let this process's NumPy backend do as if llvmlite and MKL were not installed."""
    from xpnet_backends.on_numpy import mkl, writer

    writer.available = mkl.available = lambda: False


class Clock(xpnet.Callback):
    """Starts with the first epoch: moving the data in happens once a training, however long that is."""

    def on_train_begin(self, logs: dict[str, float]) -> None:
        self.start = perf_counter()
