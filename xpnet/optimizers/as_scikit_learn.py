r"""The update rules as scikit-learn writes them, as links of an optimizer's chain.

They differ from the core's, which are their papers' own, in three ways that runs side by side would show: the
penalty is divided by the weight of the batch; the velocity of SGD holds the learning rate; Adam's epsilon stands
beside the uncorrected second moment. They stand here and not with the estimators, as files name them, and what an
estimator has trained is to be read where scikit-learn is not installed.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from xpnet.backend import Array
from xpnet.optimizers.base import Now, Updated
from xpnet.parameters import Layout, Tree
from xpnet.records import record

if TYPE_CHECKING:
    from typing import Any

__all__ = ["BatchPenalty", "EpsilonHatAdam", "VelocitySGD"]


@record
class BatchPenalty:
    r"""Ridge penalty divided by the batch's weight, after scaling the loss: the slope of

    .. math:: s L + \frac{\alpha}{2 \sum_n w_n} \sum p^2

    with p the weights, not the biases, and L the reduced loss. Its state adds up :math:`\alpha/2 \sum p^2` over
    steps, for :func:`xpnet.sklearn.solvers.take_penalty`.
    """

    alpha: float
    scale: float = 1.0

    def init(self, params: Array, layout: Layout, xp: Any) -> Tree:
        """Return the mask of what is penalized, and the sum."""
        return {"mask": layout.decay_mask(params.dtype, xp), "total": xp.zeros((), dtype=params.dtype)}

    def update(self, gradient: Array, params: Array, state: Tree, now: Now) -> Updated:
        """Scale the gradient and add the penalty's slope."""
        weights = state["mask"] * params
        total = state["total"] + 0.5 * self.alpha * now.xp.sum(weights * weights)
        weight = now.xp.zeros((), dtype=params.dtype) + now.weight
        some = weight > 0.0  # a batch whose examples all weigh 0 has no share in the penalty either
        weights *= self.alpha * now.xp.astype(some, params.dtype) / now.xp.where(some, weight, 1.0 + weight)
        gradient = self.scale * gradient + weights
        return gradient, params, {"mask": state["mask"], "total": total}


@record
class VelocitySGD:
    r"""Gradient descent whose velocity holds the learning rate of each step (Sutskever et al. 2013, eq. 1 and 2).

    .. math:: v \leftarrow \mu v - \eta g, \qquad p \leftarrow p + v
              \quad (\text{Nesterov: } p \leftarrow p + \mu v - \eta g)

    As long as eta stays the same it is the core's ``SGD``.
    """

    learning_rate: float
    momentum: float
    nesterov: bool

    def init(self, params: Array, layout: Layout, xp: Any) -> Tree:
        """Return the velocity v."""
        return {"velocity": xp.zeros_like(params)}

    def update(self, gradient: Array, params: Array, state: Tree, now: Now) -> Updated:
        """Step against the gradient."""
        velocity = state["velocity"]
        velocity *= self.momentum
        velocity -= now.learning_rate * gradient
        if self.nesterov:
            params += self.momentum * velocity - now.learning_rate * gradient
        else:
            params += velocity
        return gradient, params, {"velocity": velocity}


@record
class EpsilonHatAdam:
    r"""Adam in the faster order that Kingma and Ba 2015 give before section 2.1, whose epsilon is another.

    .. math:: p \leftarrow p - \eta \frac{\sqrt{1-\beta_2^t}}{1-\beta_1^t} \frac{m}{\sqrt v + \hat\epsilon}
    """

    learning_rate: float
    beta1: float
    beta2: float
    epsilon: float

    def init(self, params: Array, layout: Layout, xp: Any) -> Tree:
        """Return the moments m and v."""
        return {"m": xp.zeros_like(params), "v": xp.zeros_like(params)}

    def update(self, gradient: Array, params: Array, state: Tree, now: Now) -> Updated:
        """Step along the moments."""
        xp, m, v = now.xp, state["m"], state["v"]
        m *= self.beta1
        m += (1.0 - self.beta1) * gradient
        v *= self.beta2
        v += (1.0 - self.beta2) * (gradient * gradient)
        first = xp.nn.bias_correction(self.beta1, now.step)
        second = xp.nn.bias_correction(self.beta2, now.step) + 0.0 * now.step
        params -= (now.learning_rate * xp.sqrt(second) / first) * m / (xp.sqrt(v) + self.epsilon)
        return gradient, params, {"m": m, "v": v}
