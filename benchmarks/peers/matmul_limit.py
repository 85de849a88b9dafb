"""The matrix products of a training step alone, as xpnet's compiled steps multiply, into memory of their own."""

from __future__ import annotations

from array import array
from time import perf_counter

import numpy as np
from xpnet_backends.on_numpy import blas, mkl, native
from xpnet_backends.on_numpy.native import Location, NativeCall, Program

from benchmarks.work import Pool, Weights, Work


class Trainer:
    def __init__(self, work: Work, weights: Weights, pool: Pool) -> None:
        generator = np.random.default_rng(3)
        matrices = [layer["weight"] for layer in weights]
        shapes = [w.shape for w in matrices]

        def drawn(*shape: int) -> np.ndarray:
            return generator.standard_normal(shape, dtype=np.float32)

        shared: list[NativeCall] = []
        for w, (inputs, units) in zip(matrices[1:], shapes[1:], strict=True):
            a, dy = drawn(pool.batch, inputs), drawn(pool.batch, units)
            shared += [_product(a, w), _product(a.T, dy), _product(dy, w.T)]
        dy = drawn(pool.batch, shapes[0][1])
        self.steps = [
            Program([_product(x, matrices[0]), *shared, _product(x.T, dy)], array("q", [0])) for x, _ in pool.batches()
        ]

    def train(self, passes: int, shuffle: bool) -> float:
        run = native.program_runner()
        start = perf_counter()
        for _ in range(passes):
            for step in self.steps:
                run(step.address, 1, 0)
        return perf_counter() - start

    def weights(self) -> None:
        return None


def _product(a: np.ndarray, b: np.ndarray) -> NativeCall:
    into = np.empty((a.shape[0], b.shape[1]), np.float32)
    places = (Location.of(a), Location.of(b), Location.of(into))
    made = blas.mkl_call(*places) if mkl.available() and mkl.supports(a, b) else blas.matmul_call(*places)
    if made is None:
        raise RuntimeError("NumPy multiplies here by a library whose C functions are not known")
    return made
