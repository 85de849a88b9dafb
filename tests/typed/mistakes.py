"""Mistakes that checkers have to find: an error that is ignored here, but not found, is an error itself."""
# pyright: reportUnnecessaryTypeIgnoreComment=true

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

import xpnet
from xpnet import Dense, Network, PiecewiseConstant, Reshape, Sequential
from xpnet.backend import Array
from xpnet.layers import Context, Layer
from xpnet.losses import Loss
from xpnet.metrics import Metric
from xpnet.optimizers import Link
from xpnet.parameters import Layout, Shape, Tree
from xpnet.sklearn import MLPClassifier

xpnet.Denes(3)  # type: ignore[attr-defined]
from xpnet import Optimizer  # type: ignore[attr-defined]  # noqa: E402, F401

# Arguments

Dense("3")  # type: ignore[arg-type]
Dense(units=3, activation="relu")  # type: ignore[call-arg]
Sequential(Dense(3))  # type: ignore[arg-type]
Sequential([Dense])  # type: ignore[list-item]
Reshape("28")  # type: ignore[arg-type]
PiecewiseConstant(10, 0.1)  # type: ignore[arg-type]
xpnet.LayerNorm(64)  # type: ignore[call-arg]
xpnet.AdamW(1e-3, 0.004)  # type: ignore[call-arg]
xpnet.clouds(points="3")  # type: ignore[arg-type]

net = Network([Dense(1)], lr=0.1)  # type: ignore[call-arg]
net.fit(1, 1, epochs="3")  # type: ignore[arg-type]
net.fit(1, 1, callbacks=[Dense(3)])  # type: ignore[list-item]
net.save(3)  # type: ignore[arg-type]
net.optimizer = xpnet.SGD(0.1)  # type: ignore[misc]
xpnet.load("net.safetensors", costum=[Dense])  # type: ignore[call-arg]
MLPClassifier().fit([[0.0]])  # type: ignore[call-arg]
MLPClassifier().partial_fit([[0.0]], [0], labels=[0, 1])  # type: ignore[call-arg]

# Attributes

net.fit_transform(1)  # type: ignore[attr-defined]
net.loss.reduction = "sum"  # type: ignore[misc]
net.history["loss"].append("low")  # type: ignore[arg-type]
Dense(3).units = 4  # type: ignore[misc]
Sequential([Dense(3)]).layers = ()  # type: ignore[misc]

# Parts of another kind, or half of one


@dataclass(frozen=True)
class Unbuilt:
    def forward(self, params: Tree, x: Array, context: Context) -> tuple[Array, Any]:
        return x, None


@dataclass(frozen=True)
class Unnamed:
    def check(self, loss: Loss, out_shape: Shape) -> None:
        """Every loss will do."""


Network([Unbuilt()])  # type: ignore[list-item]
Network([Dense(1)], metrics=[Unnamed()])  # type: ignore[list-item]
Network([Dense(1)], loss=xpnet.Accuracy())  # type: ignore[arg-type]
Network([Dense(1)], metrics=[xpnet.Huber()])  # type: ignore[list-item]
Network([Dense(1)], optimizer=Dense(1))  # type: ignore[arg-type]
Network([Dense(1)], optimizer=xpnet.L2())  # type: ignore[arg-type]
metric: Metric = xpnet.Accuracy  # type: ignore[assignment]


def by_names_that_parts_need_not_have(layer: Layer, metric: Metric, link: Link, x: Array, xp: Any) -> None:
    layer.build(in_shape=(3,))  # type: ignore[call-arg]
    layer.forward({}, x, context=Context(xp))  # type: ignore[call-arg]
    layer.backward({}, None, x, context=Context(xp))  # type: ignore[call-arg]
    metric.result(sums=np.zeros(2))  # type: ignore[call-arg]
    link.init(x, Layout({}), xp=xp)  # type: ignore[call-arg]
