"""JAX with the loop itself inside jit, over batches that lie on the device."""

from __future__ import annotations

from time import perf_counter

import jax
import jax.numpy as jnp

from benchmarks.peers.jax_model import Model, State
from benchmarks.work import Pool, Weights, Work


class Trainer(Model):
    def __init__(self, work: Work, weights: Weights, pool: Pool) -> None:
        super().__init__(work, weights)
        self.pool = len(pool)
        # A pool of one batch is used as it is: indexing it would copy it at every step.
        shape = (self.pool, pool.batch) if self.pool > 1 else (pool.batch,)
        self.x = jnp.asarray(pool.x.reshape(*shape, -1))
        self.y = jnp.asarray(pool.y.reshape(shape), jnp.int32)
        self.jitted = jax.jit(self.run, donate_argnums=0)

    def run(self, state: State, steps: jax.Array, x: jax.Array, y: jax.Array) -> tuple[State, jax.Array]:
        def body(number: jax.Array, carry: tuple[State, jax.Array]) -> tuple[State, jax.Array]:
            batch = (x[number % self.pool], y[number % self.pool]) if self.pool > 1 else (x, y)
            return self.step(carry[0], *batch)

        return jax.lax.fori_loop(0, steps, body, (state, jnp.zeros(())))

    def train(self, passes: int, shuffle: bool) -> float:
        start = perf_counter()
        self.state, loss = self.jitted(self.state, passes * self.pool, self.x, self.y)
        jax.block_until_ready((self.state, loss))
        float(loss)
        return perf_counter() - start
