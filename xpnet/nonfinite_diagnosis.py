"""Explain a training step that was not finite: the first array that holds NaN or infinity, and the likely cause."""

from __future__ import annotations

import re
from collections.abc import Mapping
from math import isfinite
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from xpnet.arrays import Host
from xpnet.compiled import pass_order
from xpnet.summary import short

if TYPE_CHECKING:
    from xpnet.network import Network
    from xpnet.training import Batch

__all__ = ["explain_nonfinite"]

LARGE_INPUT = 100.0
"""If an input is larger than this, the scale of the inputs is suspected; standardized ones stay within a few units."""

MODERATE = 80.0
"""Where no number that goes into a layer is larger, its scale is not suspected: exp of it is 5e34."""

UNDEFINED = "an operation that is not defined there"

LARGE_WEIGHT = 100.0
"""If a weight is larger than this, the learning rate is suspected; initial weights are at most little above 1."""


def explain_nonfinite(network: Network, batch: Batch, *, after_skipping: bool = False) -> str:
    """Say what goes wrong first when the network is trained on *batch* from its present state, and the likely cause.

    *after_skipping* steps at a higher rate, large weights are put down to what came before these.
    """
    for name, array in (("x", batch.x), ("y", batch.y), ("sample_weight", batch.weights)):
        bad = None if array is None else _describe_nonfinite(network.backend.to_numpy(array))
        if bad:
            return f"{name} holds {bad}. Likely cause: bad input; drop or repair such examples"
    for name, array in network.get_weights().items():
        bad = _describe_nonfinite(array)
        if bad:
            return f"{_layer_label(network, name)} has a {name.rpartition('.')[2]} with {bad} before the step"
    found, gradients = network.compiled.trace(network.state, batch)
    first = _forward(network, found, batch) or _backward(network, found, gradients)
    cause = _cause(network, batch, after_skipping, updated=first is None)
    if first:
        moderate = max(first.largest, _largest_given(network, batch)) <= MODERATE
        return f"{first.what}: {_explain(first, cause, moderate=moderate)}"
    optimizer = short(network.optimizer)
    if not isfinite(rate := network.learning_rate):
        return f"the learning rate of {optimizer} is {rate:g}: its schedule gives that after {network.steps} steps"
    return f"the update by {optimizer} overflows, though every gradient is finite. {cause}"


class BadArray(NamedTuple):
    """The first array that is not finite."""

    what: str  # it is
    largest: float  # number among what it was computed from, beside parameters and targets
    own: bool  # computed by layers and losses of xpnet's own alone


def _explain(bad: BadArray, cause: str, *, moderate: bool) -> str:
    """Say which kinds of operation may have given the array, and why.

    *cause* is that of an overflow; *moderate* numbers lead to none in xpnet's own code, but may in a user's.
    """
    infinite = "infinity" in bad.what
    if bad.own:
        return f"overflow{'' if infinite else f', or {UNDEFINED}'}. {cause}"
    if infinite:
        kind = f"overflow, or {UNDEFINED} (a division by 0, the logarithm of 0)"
    elif moderate:
        kind = f"{UNDEFINED}, such as a division of 0 by 0, or the logarithm or root of a negative number"
    else:
        kind = f"overflow, or {UNDEFINED}"
    if moderate:
        return f"{kind}. Likely cause: what that code computes; keep its inputs in their range, by xp.maximum say"
    return f"{kind}. {cause}; or else what that code computes"


def _forward(network: Network, found: Mapping[str, Host], batch: Batch) -> BadArray | None:
    """Return the first layer, or the loss, whose output is not finite."""
    largest = _largest(network.backend.to_numpy(batch.x))
    for name in sorted((name for name in found if name.endswith(".output")), key=pass_order):
        if bad := _describe_nonfinite(found[name]):
            label = _layer_label(network, name)
            what = f"{label} gives {bad} from inputs of up to {largest:.3g} in its forward pass"
            return BadArray(what, largest, _is_own(_layer(network, name)))
        largest = _largest(found[name])
    if bad := _describe_nonfinite(found["losses"]):
        what = f"{short(network.loss)} gives {bad} for finite scores of up to {largest:.3g}"
        return BadArray(what, largest, _is_own(network.loss))
    return None


def _backward(network: Network, found: Mapping[str, Host], gradients: Mapping[str, Host]) -> BadArray | None:
    """Return the layer nearest to the loss whose gradient is not finite."""
    passed = {**{name.removesuffix(".gradient"): a for name, a in found.items() if "output.gr" in name}, **gradients}
    outputs = [name for name in found if name.endswith(".output")]
    largest = max(_largest(found[name]) for name in outputs)
    for name in sorted(passed, key=pass_order, reverse=True):
        if bad := _describe_nonfinite(passed[name]):
            what = f"the gradient of {_layer_label(network, name)} ({name}) holds {bad} in the backward pass"
            own = _is_own(network.loss) and all(_is_own(_layer(network, output)) for output in outputs)
            return BadArray(what, largest, own)
        largest = max(largest, _largest(passed[name]))
    return None


def _largest_given(network: Network, batch: Batch) -> float:
    """Return the largest number in the batch and in the parameters."""
    given = (*batch, network.state.params)
    return max(_largest(network.backend.to_numpy(array)) for array in given if array is not None)


def _cause(network: Network, batch: Batch, after_skipping: bool, *, updated: bool) -> str:
    """Return the likely cause of an overflow, which has come in the update if the rest of the step was finite."""
    rate, weight = network.learning_rate, _largest(network.backend.to_numpy(network.state.params))
    width = _largest(network.backend.to_numpy(batch.x))
    if weight > LARGE_WEIGHT and after_skipping:
        return (
            f"Likely cause: earlier steps left weights of up to {weight:.3g}, which no lower rate mends; start anew "
            "from a smaller learning rate, or clip the gradient with chain(ClipByNorm(1.0), ...)"
        )
    if weight > LARGE_WEIGHT and network.steps:
        return (
            f"Likely cause: the learning rate {rate:g} is too high (the largest weight is {weight:.3g}); lower it, or "
            "clip the gradient with chain(ClipByNorm(1.0), ...)"
        )
    if width > LARGE_INPUT:
        return f"Likely cause: inputs of up to {width:.3g}; scale them, as with xpnet.StandardScaler"
    if network.steps or updated:
        return f"Likely cause: a learning rate ({rate:g}) that is too high, or targets or weights of extreme size"
    return "Likely cause: targets or weights of extreme size, as no step has changed the weights yet"


def _describe_nonfinite(array: Host) -> str | None:
    """Say how many values are NaN or infinite; None if none are."""
    if array.dtype.kind != "f" or np.isfinite(array).all():
        return None
    counts = {"NaN": int(np.isnan(array).sum()), "infinity": int(np.isinf(array).sum())}
    return " and ".join(f"{name} ({count} of {array.size} values)" for name, count in counts.items() if count)


def _largest(array: Host) -> float:
    return float(np.abs(array).max(initial=0.0))


def _is_own(code: object) -> bool:
    """Say whether a layer or loss is one of xpnet's own."""
    return type(code).__module__.partition(".")[0] == "xpnet"


def _layer_path(name: str) -> str:
    return re.match(r"(?:(?:\d+|shortcut)\.)*", name)[0].rstrip(".")  # type: ignore[index]


def _layer(network: Network, name: str) -> Any:
    """Return the layer that an array of this name belongs to."""
    layer: Any = network.model
    for part in _layer_path(name).split("."):
        layer = layer.layers[int(part)] if part.isdecimal() else layer.shortcut
    return layer


def _layer_label(network: Network, name: str) -> str:
    """Return a label for the layer that an array of this name belongs to, such as ``layer 2.0 (Dense(8))``."""
    return f"layer {_layer_path(name)} ({short(_layer(network, name))})"
