"""The names by which layers can be given: ``"relu"`` for ``ReLU()``."""

from __future__ import annotations

from xpnet.layers import activations
from xpnet.layers.base import Layer
from xpnet.layers.dropout import Dropout
from xpnet.layers.normalization import BatchNorm, LayerNorm
from xpnet.layers.reshaping import Flatten
from xpnet.registry import resolve

__all__ = ["NAMES", "resolve_layer"]

NAMES = {
    "identity": activations.Identity,
    "linear": activations.Identity,
    "sigmoid": activations.Sigmoid,
    "tanh": activations.Tanh,
    "relu": activations.ReLU,
    "leaky_relu": activations.LeakyReLU,
    "elu": activations.ELU,
    "gelu": activations.GELU,
    "silu": activations.SiLU,
    "swish": activations.SiLU,
    "softplus": activations.Softplus,
    "step": activations.Step,
    "softmax": activations.Softmax,
    "dropout": Dropout,
    "batch_norm": BatchNorm,
    "layer_norm": LayerNorm,
    "flatten": Flatten,
}


def resolve_layer(layer: Layer | str) -> Layer:
    """Return the layer that a name stands for, or the layer itself."""
    resolved: Layer = resolve("layer", layer, NAMES)
    return resolved
