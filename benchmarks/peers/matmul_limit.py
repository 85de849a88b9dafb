"""The matrix products of a training step alone, by what xpnet multiplies with, into memory of their own."""

from __future__ import annotations

from time import perf_counter

import numpy as np
from xpnet_backends.on_numpy import products

from benchmarks.work import Pool, Weights, Work


class Trainer:
    def __init__(self, work: Work, weights: Weights, pool: Pool) -> None:
        generator = np.random.default_rng(3)
        matrices = [layer["weight"] for layer in weights]
        self.first = [x for x, _ in pool.batches()]
        units = matrices[0].shape[1]
        self.y = np.empty((pool.batch, units), np.float32)
        self.dy = generator.standard_normal((pool.batch, units), dtype=np.float32)
        self.w, self.dw = matrices[0], np.empty_like(matrices[0])
        self.products: list[tuple[np.ndarray, np.ndarray, np.ndarray]] = []
        for w in matrices[1:]:
            inputs, units = w.shape
            a = generator.standard_normal((pool.batch, inputs), dtype=np.float32)
            dy = generator.standard_normal((pool.batch, units), dtype=np.float32)
            self.products.append((a, w, np.empty((pool.batch, units), np.float32)))
            self.products.append((a.T, dy, np.empty_like(w)))
            self.products.append((dy, w.T, np.empty((pool.batch, inputs), np.float32)))

    def train(self, passes: int, shuffle: bool) -> float:
        w, y, dy, dw = self.w, self.y, self.dy, self.dw
        multiply = products.multiply if products.available() else np.dot
        start = perf_counter()
        for _ in range(passes):
            for x in self.first:
                multiply(x, w, y)
                for a, b, out in self.products:
                    multiply(a, b, out)
                multiply(x.T, dy, dw)
        float(dw[0, 0])
        return perf_counter() - start

    def weights(self) -> None:
        return None
