"""Optimizers: update rules, their companions, and the chain that composes them."""

from collections.abc import Mapping
from typing import Any

from xpnet.arguments import explain_records
from xpnet.optimizers.base import Link, Now, Optimizer, Updated, rate_at
from xpnet.optimizers.chaining import Chain, chain
from xpnet.optimizers.links import (
    L1,
    L2,
    ClipByNorm,
    ClipByValue,
    DecoupledWeightDecay,
    ExponentialMovingAverage,
    MaxNorm,
)
from xpnet.optimizers.rules import SGD, Adadelta, Adagrad, Adam, AdamW, Lion, Nadam, RMSProp

__all__ = [
    "L1",
    "L2",
    "NAMES",
    "SGD",
    "Adadelta",
    "Adagrad",
    "Adam",
    "AdamW",
    "Chain",
    "ClipByNorm",
    "ClipByValue",
    "DecoupledWeightDecay",
    "ExponentialMovingAverage",
    "Link",
    "Lion",
    "MaxNorm",
    "Nadam",
    "Now",
    "Optimizer",
    "RMSProp",
    "Updated",
    "chain",
    "rate_at",
]

NAMES: Mapping[str, Any] = {
    "sgd": SGD,
    "adam": Adam,
    "adamw": AdamW,
    "nadam": Nadam,
    "rmsprop": RMSProp,
    "adagrad": Adagrad,
    "adadelta": Adadelta,
    "lion": Lion,
}
"""What each optimizer goes by when it is given by name."""

explain_records(globals(), __all__)
