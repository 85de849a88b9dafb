"""JAX with a whole epoch inside jit, and what ``fit`` does beside the steps: shuffled rows, accuracy, history."""

from __future__ import annotations

from time import perf_counter
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from benchmarks.peers.jax_model import Model, State
from benchmarks.work import Pool, Weights, Work


class Trainer(Model):
    def __init__(self, work: Work, weights: Weights, pool: Pool) -> None:
        super().__init__(work, weights)
        self.shape = (len(pool), pool.batch)
        self.x, self.y = jnp.asarray(pool.x), jnp.asarray(pool.y, jnp.int32)
        self.jitted = jax.jit(self.run, donate_argnums=0)
        self.random = np.random.default_rng(0)

    def run(self, state: State, x: jax.Array, y: jax.Array, order: jax.Array | None) -> tuple[State, Any]:
        if order is None:  # one batch of everything, whose order does not matter
            state, loss, right = self.measured_step(state, x, y)
            return state, (loss, right)

        def body(state: State, rows: jax.Array) -> tuple[State, Any]:
            state, loss, right = self.measured_step(state, x[rows], y[rows])
            return state, (loss, right)

        state, (losses, rights) = jax.lax.scan(body, state, order)
        return state, (losses.mean(), rights.mean())

    def train(self, passes: int, shuffle: bool) -> float:
        start = perf_counter()
        history: list[tuple[float, float]] = []
        ended: list[Any] = []
        for _ in range(passes):
            order = self.random.permutation(len(self.x)) if shuffle else np.arange(len(self.x))
            rows = None if self.shape[0] == 1 else jnp.asarray(order.reshape(self.shape), jnp.int32)
            self.state, results = self.jitted(self.state, self.x, self.y, rows)
            ended.append(results)
            if len(ended) > 1:  # an epoch's results are waited for during the next one
                history.append(tuple(map(float, ended.pop(0))))
        history.append(tuple(map(float, ended.pop(0))))
        jax.block_until_ready(self.state)
        return perf_counter() - start
