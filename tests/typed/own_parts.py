"""Parts of one's own, with types; what a protocol calls its parameters, each may call as it likes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

import xpnet
from xpnet import Dense, Network, Param
from xpnet.backend import Array
from xpnet.layers import Built, Context
from xpnet.metrics.streaming import weighted_sum
from xpnet.optimizers import Now, Updated
from xpnet.parameters import Layout, Shape, Tree
from xpnet.testing import check_layer, check_loss, check_optimizer

Host = np.ndarray[Any, Any]


@dataclass(frozen=True)
class Scale:
    """Parameters go by names of one's own, too."""

    start: float = 1.0

    def build(self, shape: Shape) -> Built:
        return Built(shape, {"scale": Param(shape, "ones" if self.start == 1.0 else xpnet.Constant(self.start))})

    def forward(self, weights: Tree, inputs: Array, ctx: Context) -> tuple[Array, Array]:
        return inputs * weights["scale"], inputs

    def backward(self, weights: Tree, kept: Array, slope: Array, ctx: Context) -> tuple[Array | None, Tree]:
        dx = slope * weights["scale"] if ctx.input_gradient else None
        return dx, {"scale": ctx.xp.sum(slope * kept, axis=0)}


@dataclass(frozen=True)
class Pinball:
    quantile: float = 0.5
    reduction: str = "mean"
    metrics: ClassVar[tuple[str, ...]] = ()

    def __call__(self, z: Array, t: Array, xp: Any) -> tuple[Array, Array]:
        error = t - z
        slope = xp.astype(error < 0.0, z.dtype) - self.quantile
        return -(error * slope)[:, 0], slope

    def check(self, shape: Shape) -> None:
        if shape != (1,):
            raise xpnet.ConfigurationError(f"Pinball needs one output; the network gives {shape}")

    def targets(self, given: Host, shape: Shape) -> Host:
        return given.reshape(-1, 1)

    def link(self, z: Array, xp: Any) -> Array:
        return z


@dataclass(frozen=True)
class Coverage:
    name = "coverage"

    def check(self, loss: Any, shape: Shape) -> None:
        """Every loss will do."""

    def shape(self, outputs: Shape) -> Shape:
        return (2,)

    def sums(self, z: Array, t: Array, w: Array | None, loss: Any, xp: Any) -> Array:
        return weighted_sum(xp.astype(t < z, z.dtype)[:, 0], w, xp)

    def result(self, total: Host) -> float:
        return float(total[0] / total[1])


@dataclass(frozen=True)
class Signs:
    learning_rate: float = 0.01

    def init(self, vector: Array, layout: Layout, xp: Any) -> Tree:
        return {}

    def update(self, slope: Array, vector: Array, memory: Tree, at: Now) -> Updated:
        return slope, vector - at.learning_rate * at.xp.sign(slope), memory


@dataclass(frozen=True)
class Halve:
    def init(self, params: Array, layout: Layout, xp: Any) -> Tree:
        return {}

    def update(self, gradient: Array, params: Array, state: Tree, now: Now) -> Updated:
        return gradient * 0.5, params, state


class Watch(xpnet.Callback):
    def on_epoch_end(self, epoch: int, logs: dict[str, float]) -> None:
        if logs["loss"] < 0.1:
            self.network.stop_training = True


def falling(finished: Array, xp: Any) -> Array:
    return 0.1 / (1.0 + finished)


def small(generator: np.random.Generator, size: tuple[int, ...]) -> Host:
    return generator.normal(0.0, 1e-3, size)


x, y = np.zeros((10, 3)), np.zeros(10)
net = Network([Scale(), Dense(1, weight_initializer=small)], loss=Pinball(0.9), metrics=[Coverage()], optimizer=Signs())
net.fit(x, y, callbacks=[Watch(), "early_stopping"])
Network([Dense(1)], loss=Pinball(), optimizer=xpnet.chain(Halve(), xpnet.SGD(falling)))
check_layer(Scale(), (3,), domain=(-1, 1.5))
check_loss(Pinball(), x)
check_optimizer(Signs())
xpnet.load("net.safetensors", custom=[Scale, Pinball, Coverage, Signs])
