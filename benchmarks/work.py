"""The table of networks, and what every peer of one work is given: first weights, batches, a loss to be held to."""

from __future__ import annotations

import gzip
import math
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

Weights = list[dict[str, np.ndarray]]
"""One dictionary a dense layer: weight (inputs, units), bias (units,), with batch normalization gamma and beta."""

PROBE_ROWS = 4096
"""Examples over which the loss is taken before and after training."""

BATCH_NORM_EPSILON = 1e-5
BATCH_NORM_KEEP = 0.9


@dataclass(frozen=True)
class Work:
    """A network and how it is trained.

    The learning rates are small on purpose: loss falls, but stays far from where slopes become denormal numbers,
    which processors handle many times slower, so that a peer that does more steps in its time is not punished.
    """

    name: str
    sizes: tuple[int, ...]
    batch: int
    optimizer: str  # "sgd" or "adam", the latter with its paper's defaults but for the rate
    rate: float
    activation: str  # "sigmoid" or "relu"
    pool: int = 16
    dropout: float = 0.0
    batch_norm: bool = False

    @property
    def binary(self) -> bool:
        return self.sizes[-1] == 2


TRAINING = {
    work.name: work
    for work in (
        Work("clouds", (2, 5, 3), 1500, "sgd", 0.1, "sigmoid"),
        # As many batches as an epoch of the real data has: a quarter of 5,000 points is held out.
        Work("moons", (2, 64, 2), 10, "sgd", 0.01, "relu", pool=375),
        Work("spiral", (2, 64, 3), 300, "adam", 1e-4, "relu"),
        Work("digits", (121, 100, 10), 1000, "sgd", 0.01, "sigmoid"),
        # One batch is the training set itself; a few dozen steps of it are far from fitting noisy labels.
        Work("mnist-full", (784, 64, 10), 60_000, "sgd", 0.1, "sigmoid", pool=1),
        Work("mlp", (784, 512, 512, 10), 128, "adam", 1e-5, "relu"),
        Work("wide", (784, 2048, 2048, 10), 1024, "adam", 1e-6, "relu"),
        Work("huge", (784, 4096, 4096, 10), 8192, "adam", 5e-7, "relu", pool=2),
        Work("mlp-dropout", (784, 512, 512, 10), 128, "adam", 1e-5, "relu", dropout=0.2),
        Work("mlp-batchnorm", (784, 512, 512, 10), 128, "adam", 1e-5, "relu", batch_norm=True),
    )
}


class Calls(NamedTuple):
    """A network, rows of one call, how many different inputs are cycled through, and what they are."""

    work: Work
    rows: int
    count: int
    inputs: str = "normal"  # standard-normal numbers, or "digits": images of MNIST's test set, a fifth of them not zero

    def draw(self) -> list[np.ndarray]:
        """Return the inputs."""
        shape = self.count, self.rows, self.work.sizes[0]
        if self.inputs == "digits":
            content = gzip.decompress(find_mnist("t10k-images-idx3-ubyte.gz").read_bytes())
            pixels = np.frombuffer(content, np.uint8, math.prod(shape), offset=16)
            return list(pixels.reshape(shape) / np.float32(255))
        generator = np.random.default_rng(4)
        return [generator.standard_normal(shape[1:], dtype=np.float32) for _ in range(self.count)]


def find_mnist(name: str) -> Path:
    """A file of the folder that XPNET_DATA names, or of its subfolder mnist."""
    if "XPNET_DATA" not in os.environ:
        raise FileNotFoundError("XPNET_DATA does not name the folder with MNIST's files")
    folder = Path(os.environ["XPNET_DATA"])
    return next(place for place in (folder / name, folder / "mnist" / name) if place.exists())


INFERENCE = {
    "predict-1": Calls(TRAINING["mlp"], 1, 64),
    "predict-digit": Calls(TRAINING["mlp"], 1, 64, "digits"),
    "predict-64": Calls(TRAINING["mlp"], 64, 64),
    "predict-8192": Calls(TRAINING["mlp"], 8192, 2),
    "predict-10000": Calls(TRAINING["mlp"], 10_000, 2),
    "huge-predict-1": Calls(TRAINING["huge"], 1, 64),
    "huge-predict-64": Calls(TRAINING["huge"], 64, 64),
    "huge-predict-8192": Calls(TRAINING["huge"], 8192, 2),
}

FOR_GPUS = ("huge", "predict-64", "predict-8192", "huge-predict-1", "huge-predict-64", "huge-predict-8192")
"""What is measured on a GPU alone."""

FOR_CPUS = ("predict-digit", "predict-10000")
"""What is measured on a CPU alone."""


class Pool(NamedTuple):
    """Batches of fresh random examples, one after the other."""

    x: np.ndarray  # (pool * batch, inputs) float32
    y: np.ndarray  # (pool * batch,) int64
    batch: int

    def batches(self) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        for start in range(0, len(self.x), self.batch):
            yield self.x[start : start + self.batch], self.y[start : start + self.batch]

    def __len__(self) -> int:
        return len(self.x) // self.batch


def make_pool(work: Work) -> Pool:
    """Draw standard-normal inputs; a random linear rule labels four in five of them, chance the others."""
    generator = np.random.default_rng(1)
    inputs, classes = work.sizes[0], work.sizes[-1]
    x = generator.standard_normal((work.pool * work.batch, inputs), dtype=np.float32)
    y = np.argmax(x @ generator.standard_normal((inputs, classes), dtype=np.float32), axis=1)
    noisy = generator.random(len(y)) < 0.2
    y[noisy] = generator.integers(classes, size=int(noisy.sum()))
    return Pool(x, y, work.batch)


def first_weights(work: Work) -> Weights:
    """Draw the weights that every peer starts from, with He's deviation."""
    generator = np.random.default_rng(2)
    layers: Weights = []
    for number, (inputs, units) in enumerate(zip(work.sizes, work.sizes[1:], strict=False)):
        deviation = np.sqrt((2.0 if work.activation == "relu" else 1.0) / inputs)
        layer = {"weight": deviation * generator.standard_normal((inputs, units)), "bias": np.zeros(units)}
        if work.batch_norm and number < len(work.sizes) - 2:
            layer |= {"gamma": np.ones(units), "beta": np.zeros(units)}
        layers.append({name: np.asarray(value, np.float32) for name, value in layer.items()})
    return layers


def scores(work: Work, weights: Weights, x: np.ndarray) -> np.ndarray:
    """Compute logits in float64, without dropout and with the batch's own statistics."""
    a = x.astype(np.float64)
    for layer in weights:
        a = a @ layer["weight"].astype(np.float64) + layer["bias"]
        if "gamma" in layer:
            a = (a - a.mean(axis=0)) / np.sqrt(a.var(axis=0) + BATCH_NORM_EPSILON) * layer["gamma"] + layer["beta"]
        if layer is not weights[-1]:
            a = np.maximum(a, 0.0) if work.activation == "relu" else 1.0 / (1.0 + np.exp(-a))
    return a


def probabilities(work: Work, weights: Weights, x: np.ndarray) -> np.ndarray:
    """Softmax of the logits; one logit stands for the second of two classes."""
    z = scores(work, weights, x)
    if z.shape[1] == 1:
        z = np.concatenate([np.zeros_like(z), z], axis=1)
    e = np.exp(z - z.max(axis=1, keepdims=True))
    return e / e.sum(axis=1, keepdims=True)


def loss_of(work: Work, weights: Weights, pool: Pool) -> float:
    """Mean cross-entropy over the pool's first examples: one judge for every peer, whatever it says itself."""
    x, y = pool.x[:PROBE_ROWS], pool.y[:PROBE_ROWS]
    return float(-np.mean(np.log(probabilities(work, weights, x)[np.arange(len(y)), y])))


def as_dict(work: Work) -> dict[str, Any]:
    """Describe a work for the results file."""
    return {name: getattr(work, name) for name in Work.__dataclass_fields__}
