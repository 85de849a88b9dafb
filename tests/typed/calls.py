"""Calls as the documentation has them, and the types of what they give."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np

import xpnet
from xpnet import (
    Adam,
    Dense,
    Dropout,
    EarlyStopping,
    Network,
    PiecewiseConstant,
    ReLU,
    Reshape,
    Residual,
    Sequential,
)
from xpnet.layers import Layer
from xpnet.losses import Loss
from xpnet.metrics import Metric

# Layers, by object and by name

x, y = xpnet.clouds(points=300, centers=np.zeros((3, 2)), seed=0)
net = Network([Dense(32), ReLU(), Dropout(0.1), Dense(3)], loss="cross_entropy", optimizer=Adam(1e-2), seed=0)
named = Network([Dense(32), "relu", Dense(3)], optimizer="adam", metrics=["accuracy", xpnet.F1()], inputs=2)
alone = Network([Dense(3)])
ready = Network(Sequential([Dense(64), "relu"]))
block = Residual([Dense(8), "relu", Dense(8)], shortcut="identity")
shaped = Reshape([28, -1])
one_axis = Reshape(784)
as_tuple: tuple[Layer, ...] = ready.model.layers
axes: tuple[int, ...] = shaped.shape

# Every loss and metric is one

losses: list[Loss] = [
    xpnet.BinaryCrossEntropy(),
    xpnet.CrossEntropy(label_smoothing=0.1),
    xpnet.Hinge(),
    xpnet.Huber(),
    xpnet.MeanAbsoluteError(),
    xpnet.MeanSquaredError(reduction="sum"),
    xpnet.Poisson(),
    xpnet.Quantile(0.9),
]
metrics: list[Metric] = [
    xpnet.F1(),
    xpnet.R2(),
    xpnet.AbsoluteError(),
    xpnet.Accuracy(),
    xpnet.Precision(),
    xpnet.Recall("micro"),
    xpnet.SquaredError(),
    xpnet.TopKAccuracy(3),
]
by_object = Network([Dense(1)], loss=xpnet.Huber(), metrics=[xpnet.R2(), xpnet.AbsoluteError()])
reduction: str = by_object.loss.reduction
names: list[str] = [metric.name for metric in by_object.metrics]

# Optimizers, schedules, initializers

piecewise = PiecewiseConstant([10], [0.1, 0.01])
boundaries: tuple[int, ...] = piecewise.boundaries
scheduled = Adam(piecewise)
composed = xpnet.chain(xpnet.L2(1e-4), xpnet.ClipByNorm(1.0), xpnet.SGD(0.1, momentum=0.9), xpnet.MaxNorm())
started = Network([Dense(4, weight_initializer=xpnet.HeNormal(), bias_initializer="zeros")], optimizer=composed)

# Training and using

history = net.fit(x, y, epochs=30, validation_split=0.1, callbacks=[EarlyStopping(patience=5), "terminate_on_nan"])
last: float = history["loss"][-1]
results: dict[str, float] = net.evaluate(x, y)
weights: dict[str, np.ndarray[Any, Any]] = net.get_weights()
rate: float = net.learning_rate
outputs: dict[str, np.ndarray[Any, Any]] = net.trace(x)
averaged: Network = net.averaged(x)
text: str = xpnet.classification_report(y, net.classify(x), names=["low", "right", "left"])


# Files


class Place(os.PathLike[str]):
    def __fspath__(self) -> str:
        return "net.safetensors"


for path in ("net.safetensors", Path("net.safetensors"), Place()):
    net.save(path)
served: Network = xpnet.load(Place(), backend="numpy")
net.fit(x, y, checkpoint=Place(), callbacks=[xpnet.ModelCheckpoint(Place()), xpnet.CSVLogger(Place())])
net.to_onnx(Place())
