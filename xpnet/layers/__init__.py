"""Layers: frozen records of hyper-parameters with a pure forward and backward pass (see ``base.py``)."""

from xpnet.arguments import explain_records
from xpnet.layers.activations import (
    ELU,
    GELU,
    Identity,
    LeakyReLU,
    ReLU,
    Sigmoid,
    SiLU,
    Softmax,
    Softplus,
    Step,
    Tanh,
)
from xpnet.layers.base import Built, Context, Layer
from xpnet.layers.containers import Residual, Sequential
from xpnet.layers.dense import Dense
from xpnet.layers.dropout import Dropout
from xpnet.layers.normalization import BatchNorm, LayerNorm
from xpnet.layers.reshaping import Flatten, Reshape

__all__ = [
    "ELU",
    "GELU",
    "BatchNorm",
    "Built",
    "Context",
    "Dense",
    "Dropout",
    "Flatten",
    "Identity",
    "Layer",
    "LayerNorm",
    "LeakyReLU",
    "ReLU",
    "Reshape",
    "Residual",
    "Sequential",
    "SiLU",
    "Sigmoid",
    "Softmax",
    "Softplus",
    "Step",
    "Tanh",
]

explain_records(globals(), set(__all__) - {"Built"})  # which is made in forward passes
