"""The links beside the update rule in a chain: clipping, penalties, decay, max-norm, a moving average.

Penalties and decay act on weights, not on biases and norms (``Param.decay``).
"""

from __future__ import annotations

from typing import Any

from xpnet.backend import Array
from xpnet.checks import check_real_fields
from xpnet.optimizers.base import Now, Updated
from xpnet.parameters import Layout, Tree
from xpnet.records import record

__all__ = [
    "L1",
    "L2",
    "ClipByNorm",
    "ClipByValue",
    "DecoupledWeightDecay",
    "ExponentialMovingAverage",
    "MaxNorm",
]


@record
class ClipByValue:
    """Hold each element of the gradient within -limit..limit.

    Comes before the optimizer in a chain.

    Parameters
    ----------
    limit : float
        In units of the gradient, above 0. 1 is a common choice; PyTorch and Keras have no default.

    Raises
    ------
    ConfigurationError
        ``limit`` is not in (0, inf).
    """

    limit: float = 1.0

    def __post_init__(self) -> None:
        check_real_fields(self, "limit", above=0)

    def init(self, params: Array, layout: Layout, xp: Any) -> Tree:
        """Need no state."""
        return {}

    def update(self, gradient: Array, params: Array, state: Tree, now: Now) -> Updated:
        """Clip the gradient."""
        return now.xp.maximum(now.xp.minimum(gradient, self.limit), -self.limit), params, state


@record
class ClipByNorm:
    r"""Scale the whole gradient down to an L2 norm of at most ``limit`` (Pascanu et al. 2013, algorithm 1).

    .. math:: g \leftarrow g \cdot limit / \max(\lVert g \rVert, limit)

    Comes before the optimizer in a chain. Where the sum of squares overflows (a norm of 1.8e19 in float32, 1.3e154 in
    float64) the gradient becomes 0, as in PyTorch's ``clip_grad_norm_``: scaling by the largest magnitude first would
    be two more passes in every step.

    Parameters
    ----------
    limit : float
        In units of the gradient, above 0. 1 is a common choice; PyTorch and Keras have no default.

    Raises
    ------
    ConfigurationError
        ``limit`` is not in (0, inf).
    """

    limit: float = 1.0

    def __post_init__(self) -> None:
        check_real_fields(self, "limit", above=0)

    def init(self, params: Array, layout: Layout, xp: Any) -> Tree:
        """Need no state."""
        return {}

    def update(self, gradient: Array, params: Array, state: Tree, now: Now) -> Updated:
        """Scale the gradient."""
        norm = now.xp.sqrt(now.xp.sum(gradient * gradient))
        gradient *= self.limit / now.xp.maximum(norm, self.limit)
        return gradient, params, state


@record
class L1:
    r"""Lasso penalty on weights: adds rate · sign(p) to the gradient, the slope of :math:`rate \sum |p|`.

    Comes before the optimizer in a chain. The reported loss does not contain it.

    Parameters
    ----------
    rate : float
        Loss per unit of weight, 0 or above. 1e-5 is a common choice, as in the example on Keras' page of regularizers;
        Keras' default is 0.01, PyTorch has no such penalty.

    Raises
    ------
    ConfigurationError
        ``rate`` is not in [0, inf).
    """

    rate: float = 1e-5

    def __post_init__(self) -> None:
        check_real_fields(self, "rate", least=0)

    def init(self, params: Array, layout: Layout, xp: Any) -> Tree:
        """Return the mask of what is penalized."""
        return {"mask": layout.decay_mask(params.dtype, xp)}

    def update(self, gradient: Array, params: Array, state: Tree, now: Now) -> Updated:
        """Add the penalty's slope."""
        gradient += self.rate * (state["mask"] * now.xp.sign(params))
        return gradient, params, state


@record
class L2:
    r"""Ridge penalty on weights: adds rate · p to the gradient, the slope of :math:`rate/2 \sum p^2`.

    Comes before the optimizer in a chain. The reported loss does not contain it. With adaptive optimizers
    prefer :class:`DecoupledWeightDecay`.

    Parameters
    ----------
    rate : float
        Twice the loss per square of a weight, 0 or above. 1e-4 is a common choice, as in He et al. 2016, "Deep residual
        learning", section 3.4; Keras' default is 0.01, in a penalty without the half.

    Raises
    ------
    ConfigurationError
        ``rate`` is not in [0, inf).
    """

    rate: float = 1e-4

    def __post_init__(self) -> None:
        check_real_fields(self, "rate", least=0)

    def init(self, params: Array, layout: Layout, xp: Any) -> Tree:
        """Return the mask of what is penalized."""
        return {"mask": layout.decay_mask(params.dtype, xp)}

    def update(self, gradient: Array, params: Array, state: Tree, now: Now) -> Updated:
        """Add the penalty's slope."""
        gradient += self.rate * (state["mask"] * params)
        return gradient, params, state


@record
class DecoupledWeightDecay:
    r"""Shrink weights beside the gradient: :math:`p \leftarrow p (1 - \eta \cdot rate)`.

    eta is the chain's learning rate. Loshchilov and Hutter 2019, eq. 1.

    Parameters
    ----------
    rate : float
        Share of each weight that a step takes at a learning rate of 1, 0 or above; 0.01 is the default of PyTorch's
        ``AdamW``.

    Raises
    ------
    ConfigurationError
        ``rate`` is not in [0, inf).
    """

    rate: float = 0.01

    def __post_init__(self) -> None:
        check_real_fields(self, "rate", least=0)

    def init(self, params: Array, layout: Layout, xp: Any) -> Tree:
        """Return the mask of what decays."""
        return {"mask": layout.decay_mask(params.dtype, xp)}

    def update(self, gradient: Array, params: Array, state: Tree, now: Now) -> Updated:
        """Shrink the weights."""
        params *= 1.0 - (now.learning_rate * self.rate) * state["mask"]
        return gradient, params, state


@record
class MaxNorm:
    """Hold the L2 norm of each unit's incoming weights to at most ``limit`` (Srivastava et al. 2014, section 5.1).

    Comes after the optimizer in a chain. Acts on weights of two axes or more, over all axes but the last.

    Parameters
    ----------
    limit : float
        In units of the weights, above 0; the paper's are 3 to 4 (appendix A.3).

    Raises
    ------
    ConfigurationError
        ``limit`` is not in (0, inf).
    """

    limit: float = 3.0

    def __post_init__(self) -> None:
        check_real_fields(self, "limit", above=0)

    def init(self, params: Array, layout: Layout, xp: Any) -> Tree:
        """Need no state."""
        return {}

    def update(self, gradient: Array, params: Array, state: Tree, now: Now) -> Updated:
        """Scale down the units that are above the limit."""
        parts = []
        for slot in now.layout.slots:
            part = params[slot.start : slot.stop]
            if slot.param.decay and len(slot.shape) > 1:
                weight = now.xp.reshape(part, (-1, slot.shape[-1]))
                norms = now.xp.sqrt(now.xp.sum(weight * weight, axis=0, keepdims=True))
                part = now.xp.reshape(weight * (self.limit / now.xp.maximum(norms, self.limit)), (-1,))
            parts.append(part)
        return gradient, now.xp.concat(parts), state


@record
class ExponentialMovingAverage:
    r"""Keep :math:`a \leftarrow decay \cdot a + (1 - decay) p` beside the parameters.

    Comes after the optimizer in a chain; ``net.averaged(x)`` is the network with these weights, and with statistics of
    ``BatchNorm`` that are measured with them on x. The average starts
    from the weights before the first step. ``EarlyStopping`` brings that of the best epoch back, with the weights.
    Polyak and Juditsky 1992, in the exponential form; 0.999 is customary.

    Parameters
    ----------
    decay : float
        Share of the old average that a step keeps, in [0, 1).

    Raises
    ------
    ConfigurationError
        ``decay`` is not in [0, 1).
    """

    decay: float = 0.999

    def __post_init__(self) -> None:
        check_real_fields(self, "decay", least=0, below=1)

    def init(self, params: Array, layout: Layout, xp: Any) -> Tree:
        """Return the average, equal to the parameters before the first step."""
        return {"average": params + 0.0}

    def update(self, gradient: Array, params: Array, state: Tree, now: Now) -> Updated:
        """Move the average towards the parameters."""
        average = state["average"]
        average *= self.decay
        average += (1.0 - self.decay) * params
        return gradient, params, {"average": average}
