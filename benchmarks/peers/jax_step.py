"""JAX with a jitted step, called from Python on batches that lie on the device."""

from __future__ import annotations

from time import perf_counter

import jax
import jax.numpy as jnp

from benchmarks.peers.jax_model import Model
from benchmarks.work import Pool, Weights, Work


class Trainer(Model):
    def __init__(self, work: Work, weights: Weights, pool: Pool) -> None:
        super().__init__(work, weights)
        self.batches = [(jnp.asarray(x), jnp.asarray(y, jnp.int32)) for x, y in pool.batches()]
        self.jitted = jax.jit(self.step, donate_argnums=0)

    def train(self, passes: int, shuffle: bool) -> float:
        step, state = self.jitted, self.state
        start = perf_counter()
        for _ in range(passes):
            for x, y in self.batches:
                state, loss = step(state, x, y)
        jax.block_until_ready((state, loss))
        float(loss)
        seconds = perf_counter() - start
        self.state = state
        return seconds
