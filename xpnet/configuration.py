"""Interpret the arguments of a network: turn names into objects, and refuse combinations that make no sense."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from xpnet import losses, metrics, optimizers
from xpnet.errors import ConfigurationError, shown
from xpnet.layers import Sequential, Sigmoid, Softmax
from xpnet.layers.reshaping import MOST_AXES
from xpnet.registry import resolve

if TYPE_CHECKING:
    from xpnet.losses import Loss
    from xpnet.metrics import Metric
    from xpnet.optimizers import Optimizer
    from xpnet.parameters import Shape

__all__ = ["as_shape", "check_last_layer", "resolve_metrics", "resolve_optimizer"]


def resolve_optimizer(optimizer: Optimizer | str) -> Optimizer:
    """Return the optimizer or chain for an argument; a link without a learning rate is refused."""
    found: Optimizer = resolve("optimizer", optimizer, optimizers.NAMES)
    if not hasattr(found, "learning_rate"):
        raise ConfigurationError(f"{found} is no optimizer by itself; use chain({found}, Adam())")
    return found


def resolve_metrics(given: Sequence[Metric | str] | None, loss: Loss) -> tuple[Metric, ...]:
    """Return the metrics for an argument; None stands for those of the loss."""
    if isinstance(given, str):
        raise ConfigurationError(f"metrics must be a list; write metrics=[{given!r}]")
    if given is not None and not isinstance(given, Iterable):
        raise ConfigurationError(f"metrics must be a list; got {given!r}")
    chosen = loss.metrics if given is None else given
    if isinstance(chosen, str):
        raise ConfigurationError(f"{type(loss).__name__}.metrics must be a tuple; write ({chosen!r},)")
    found = tuple(resolve("metric", metric, metrics.NAMES) for metric in chosen)
    names = [metric.name for metric in found]
    if len(set(names)) != len(names) or "loss" in names:
        raise ConfigurationError(f"metrics must have different names, none of them 'loss'; got {names}")
    return found


def check_last_layer(model: Sequential, loss: Loss) -> None:
    """Refuse a final softmax or sigmoid if the loss applies it itself: it would be applied twice."""
    last = model.layers[-1]
    while isinstance(last, Sequential):
        last = last.layers[-1]
    doubled = {losses.CrossEntropy: Softmax, losses.BinaryCrossEntropy: Sigmoid}
    if isinstance(last, doubled.get(type(loss), ())):
        raise ConfigurationError(
            f"{loss} takes raw scores and applies {type(last).__name__} itself; remove the last layer {last}"
        )


def as_shape(inputs: Any, name: str = "inputs") -> Shape:
    """Return the shape of one input from a number of features or a tuple; errors call the argument *name*."""
    shape = tuple(inputs) if isinstance(inputs, tuple | list) else (inputs,)
    if len(shape) > MOST_AXES or any(
        isinstance(n, bool) or not isinstance(n, int | np.integer) or n < 1 for n in shape
    ):
        batch = "; leave out the axis of examples" if len(shape) > 1 and shape[0] is None else ""
        raise ConfigurationError(
            f"{name} must be a positive integer or a tuple of at most {MOST_AXES} of them; got {shown(inputs)}{batch}"
        )
    return tuple(int(n) for n in shape)
