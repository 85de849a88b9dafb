"""JAX on a device that holds the data: a jitted step called from Python, or a shuffled epoch as one scan."""

from __future__ import annotations

from time import perf_counter
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from benchmarks.peers.jax_model import Model, State
from benchmarks.work import Pool, Weights, Work

PLATFORMS = {"cuda": "gpu", "cpu": "cpu"}
PRODUCTS = {"fp32": "float32", "tf32": "tensorfloat32", "bf16": "bfloat16"}


class Trainer(Model):
    def __init__(
        self,
        work: Work,
        weights: Weights,
        pool: Pool,
        device: str,
        precision: str,
        scanned: bool = False,
    ) -> None:
        self.place_of = jax.devices(PLATFORMS[device])[0]
        self.low = precision == "bf16"
        self.precision = PRODUCTS[precision]
        with jax.default_device(self.place_of):
            super().__init__(work, weights)
            self.x, self.y = jnp.asarray(pool.x), jnp.asarray(pool.y, jnp.int32)
            self.batches = [(jnp.asarray(x), jnp.asarray(y, jnp.int32)) for x, y in pool.batches()]
        self.scanned, self.batch = scanned, pool.batch
        self.one = jax.jit(self.step, donate_argnums=0)
        self.epoch = jax.jit(self.run_epoch, donate_argnums=0, static_argnums=2)

    def loss(self, params: Any, running: Any, key: Any, x: Any, y: Any) -> Any:
        return super().loss(self.lowered(params), running, key, self.lowered(x), y)

    def scores(self, params: Any, x: Any) -> Any:
        return super().scores(self.lowered(params), self.lowered(x)).astype(jnp.float32)

    def lowered(self, tree: Any) -> Any:
        """In bfloat16 where that is asked for; weights and moments themselves stay in float32."""
        return jax.tree.map(lambda array: array.astype(jnp.bfloat16), tree) if self.low else tree

    def run_epoch(self, state: State, key: Any, shuffle: bool, x: Any, y: Any) -> tuple[State, Any]:
        rows = jnp.arange(len(x))
        order = (jax.random.permutation(key, rows) if shuffle else rows).reshape(-1, self.batch)
        state, losses = jax.lax.scan(lambda state, chosen: self.step(state, x[chosen], y[chosen]), state, order)
        return state, losses[-1]

    def train(self, passes: int, shuffle: bool) -> float:
        state = self.state
        with jax.default_matmul_precision(self.precision), jax.default_device(self.place_of):
            key = jax.random.key(int(state.step))
            jax.block_until_ready((state, key))
            start = perf_counter()
            for _ in range(passes):
                if self.scanned:
                    key, own = jax.random.split(key)
                    state, loss = self.epoch(state, own, shuffle, self.x, self.y)
                else:
                    for x, y in self.batches:
                        state, loss = self.one(state, x, y)
            jax.block_until_ready((state, loss))
            float(loss)
            seconds = perf_counter() - start
        self.state = state
        return seconds

    def place(self, x: np.ndarray) -> Any:
        return jax.device_put(x, self.place_of)

    def predict(self, x: Any) -> np.ndarray:
        with jax.default_matmul_precision(self.precision):
            return super().predict(x)
