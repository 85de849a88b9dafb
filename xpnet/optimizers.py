"""Optimizers and their companions, each a pair of pure functions on ONE flat vector.

    init(params, layout, xp)              -> state
    update(gradient, params, state, now)  -> (gradient, params, state)

Whatever acts on a step has this form: an optimizer changes the parameters, clipping and penalties change the
gradient on its way there, max-norm changes the parameters on their way out, an average only watches.
``chain`` hands the three from link to link. All vectors are donated: an update may reuse them.

Defaults are those of each method's paper. Penalties and decay act on weights, not on biases and norms
(``Param.decay``).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from math import log
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

from xpnet.errors import ConfigurationError
from xpnet.schedules import ConstantRate, Schedule

if TYPE_CHECKING:
    from xpnet.backend import Array
    from xpnet.parameters import Layout, Tree

__all__ = [
    "L1",
    "L2",
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
    "RMSProp",
    "chain",
]

Updated = tuple["Array", "Array", "Tree"]
"""What update returns: gradient, params, state."""


class Now(NamedTuple):
    """What an update knows beside the vectors."""

    learning_rate: Array  # 0-d
    step: Array  # 0-d, floating, counted from 1
    layout: Layout
    xp: Any


class Link(Protocol):
    """What can stand in a chain; with a ``learning_rate`` it is an optimizer."""

    def init(self, params: Array, layout: Layout, xp: Any) -> Tree:
        """Return the state before the first step: a mapping of arrays, maybe empty."""

    def update(self, gradient: Array, params: Array, state: Tree, now: Now) -> Updated:
        """Return gradient, parameters and state after one step."""


@dataclass(frozen=True)
class SGD:
    r"""Stochastic gradient descent, with momentum if asked for.

    .. math:: v \leftarrow \mu v + g, \qquad p \leftarrow p - \eta v
              \quad (\text{Nesterov: } p \leftarrow p - \eta (g + \mu v))

    Polyak 1964; Nesterov in the form of Sutskever et al. 2013, as PyTorch's ``SGD``.

    Parameters
    ----------
    learning_rate : float or Schedule
        eta.
    momentum : float
        mu, in [0, 1).
    nesterov : bool
        Whether the gradient is corrected by looking ahead; needs momentum.
    """

    learning_rate: float | Schedule = 0.01
    momentum: float = 0.0
    nesterov: bool = False

    def __post_init__(self) -> None:
        _check_learning_rate("SGD", self.learning_rate)
        _check_share("SGD", "momentum", self.momentum)
        if self.nesterov and not self.momentum:
            raise ConfigurationError("SGD.nesterov needs momentum above 0, such as 0.9; got 0")

    def init(self, params: Array, layout: Layout, xp: Any) -> Tree:
        """Return the velocity v, or nothing without momentum."""
        return {"velocity": xp.zeros_like(params)} if self.momentum else {}

    def update(self, gradient: Array, params: Array, state: Tree, now: Now) -> Updated:
        """Step against the gradient."""
        if not self.momentum:
            params -= now.learning_rate * gradient
            return gradient, params, state
        velocity = state["velocity"]
        velocity *= self.momentum
        velocity += gradient
        direction = gradient + self.momentum * velocity if self.nesterov else velocity
        params -= now.learning_rate * direction
        return gradient, params, {"velocity": velocity}


@dataclass(frozen=True)
class Adam:
    r"""Adaptive moments (Kingma and Ba 2015, algorithm 1, whose defaults these are).

    .. math:: m \leftarrow \beta_1 m + (1-\beta_1) g, \quad v \leftarrow \beta_2 v + (1-\beta_2) g^2, \quad
              p \leftarrow p - \eta \frac{m / (1-\beta_1^t)}{\sqrt{v / (1-\beta_2^t)} + \epsilon}
    """

    learning_rate: float | Schedule = 1e-3
    beta1: float = 0.9
    beta2: float = 0.999
    epsilon: float = 1e-8

    def __post_init__(self) -> None:
        _check_moments("Adam", self.learning_rate, self.beta1, self.beta2, self.epsilon)

    def init(self, params: Array, layout: Layout, xp: Any) -> Tree:
        """Return the moments m and v."""
        return {"m": xp.zeros_like(params), "v": xp.zeros_like(params)}

    def update(self, gradient: Array, params: Array, state: Tree, now: Now) -> Updated:
        """Step along the corrected moments."""
        return _adam(self, gradient, params, state, now)


@dataclass(frozen=True)
class AdamW:
    r"""Adam with decoupled weight decay (Loshchilov and Hutter 2019, algorithm 2).

    .. math:: p \leftarrow p - \eta \lambda p \text{ (weights)}, \text{ then a step of Adam}

    ``weight_decay`` is lambda; 0.01 is the default of PyTorch's ``AdamW``, which decays biases too.
    """

    learning_rate: float | Schedule = 1e-3
    weight_decay: float = 0.01
    beta1: float = 0.9
    beta2: float = 0.999
    epsilon: float = 1e-8

    def __post_init__(self) -> None:
        _check_moments("AdamW", self.learning_rate, self.beta1, self.beta2, self.epsilon)
        _check_size("AdamW", "weight_decay", self.weight_decay)

    def init(self, params: Array, layout: Layout, xp: Any) -> Tree:
        """Return the moments and the mask of what decays."""
        moments = {"m": xp.zeros_like(params), "v": xp.zeros_like(params)}
        return {**moments, **DecoupledWeightDecay(self.weight_decay).init(params, layout, xp)}

    def update(self, gradient: Array, params: Array, state: Tree, now: Now) -> Updated:
        """Decay, then step as Adam does."""
        decay = DecoupledWeightDecay(self.weight_decay)
        gradient, params, _ = decay.update(gradient, params, state, now)
        gradient, params, moments = _adam(self, gradient, params, state, now)
        return gradient, params, {**moments, "mask": state["mask"]}


@dataclass(frozen=True)
class Nadam:
    r"""Adam with Nesterov momentum (Dozat 2016, algorithm 2, with its momentum schedule).

    .. math:: \mu_t = \beta_1 (1 - 0.5 \cdot 0.96^{t \psi}), \quad
              p \leftarrow p - \eta \left( \frac{(1-\mu_t) g}{1-\prod_{i \le t} \mu_i}
              + \frac{\mu_{t+1} m}{1-\prod_{i \le t+1} \mu_i} \right) / (\sqrt{v/(1-\beta_2^t)} + \epsilon)

    ``momentum_decay`` is psi; 0.004 and the rate 0.002 are Dozat's.
    """

    learning_rate: float | Schedule = 2e-3
    beta1: float = 0.9
    beta2: float = 0.999
    epsilon: float = 1e-8
    momentum_decay: float = 4e-3

    def __post_init__(self) -> None:
        _check_moments("Nadam", self.learning_rate, self.beta1, self.beta2, self.epsilon)
        _check_size("Nadam", "momentum_decay", self.momentum_decay)

    def init(self, params: Array, layout: Layout, xp: Any) -> Tree:
        """Return the moments and the product of the momenta so far."""
        one = xp.ones((), dtype=params.dtype)
        return {"m": xp.zeros_like(params), "v": xp.zeros_like(params), "product": one}

    def update(self, gradient: Array, params: Array, state: Tree, now: Now) -> Updated:
        """Step along the gradient and the moment to come."""
        m, v, xp = state["m"], state["v"], now.xp
        mu, following = self._momentum(now.step, xp), self._momentum(now.step + 1.0, xp)
        product = state["product"] * mu
        m *= self.beta1
        m += (1.0 - self.beta1) * gradient
        v *= self.beta2
        v += (1.0 - self.beta2) * (gradient * gradient)
        denominator = xp.sqrt(v / xp.nn.bias_correction(self.beta2, now.step)) + self.epsilon
        ahead = ((1.0 - mu) / (1.0 - product)) * gradient + (following / (1.0 - product * following)) * m
        params -= now.learning_rate * ahead / denominator
        return gradient, params, {"m": m, "v": v, "product": product}

    def _momentum(self, step: Array, xp: Any) -> Array:
        return self.beta1 * (1.0 - 0.5 * xp.exp((log(0.96) * self.momentum_decay) * step))


@dataclass(frozen=True)
class RMSProp:
    r"""Gradient over its running root mean square (Hinton, Coursera lecture 6e, 2012).

    .. math:: v \leftarrow \rho v + (1-\rho) g^2, \qquad p \leftarrow p - \eta\, g / (\sqrt{v} + \epsilon)
    """

    learning_rate: float | Schedule = 1e-3
    rho: float = 0.9
    epsilon: float = 1e-8

    def __post_init__(self) -> None:
        _check_learning_rate("RMSProp", self.learning_rate)
        _check_share("RMSProp", "rho", self.rho)
        _check_size("RMSProp", "epsilon", self.epsilon)

    def init(self, params: Array, layout: Layout, xp: Any) -> Tree:
        """Return the running square v."""
        return {"v": xp.zeros_like(params)}

    def update(self, gradient: Array, params: Array, state: Tree, now: Now) -> Updated:
        """Step along the scaled gradient."""
        v = state["v"]
        v *= self.rho
        v += (1.0 - self.rho) * (gradient * gradient)
        params -= now.learning_rate * gradient / (now.xp.sqrt(v) + self.epsilon)
        return gradient, params, {"v": v}


@dataclass(frozen=True)
class Adagrad:
    r"""Gradient over the root of the sum of all squares so far (Duchi et al. 2011).

    .. math:: v \leftarrow v + g^2, \qquad p \leftarrow p - \eta\, g / (\sqrt{v} + \epsilon)
    """

    learning_rate: float | Schedule = 0.01
    epsilon: float = 1e-10

    def __post_init__(self) -> None:
        _check_learning_rate("Adagrad", self.learning_rate)
        _check_size("Adagrad", "epsilon", self.epsilon)

    def init(self, params: Array, layout: Layout, xp: Any) -> Tree:
        """Return the sum of squares v."""
        return {"v": xp.zeros_like(params)}

    def update(self, gradient: Array, params: Array, state: Tree, now: Now) -> Updated:
        """Step along the scaled gradient."""
        v = state["v"]
        v += gradient * gradient
        params -= now.learning_rate * gradient / (now.xp.sqrt(v) + self.epsilon)
        return gradient, params, {"v": v}


@dataclass(frozen=True)
class Adadelta:
    r"""Steps measured in the units of past steps (Zeiler 2012, algorithm 1; rate 1, rho 0.95, epsilon 1e-6).

    .. math:: v \leftarrow \rho v + (1-\rho) g^2, \quad
              d = \sqrt{(u+\epsilon)/(v+\epsilon)}\, g, \quad
              u \leftarrow \rho u + (1-\rho) d^2, \quad p \leftarrow p - \eta d
    """

    learning_rate: float | Schedule = 1.0
    rho: float = 0.95
    epsilon: float = 1e-6

    def __post_init__(self) -> None:
        _check_learning_rate("Adadelta", self.learning_rate)
        _check_share("Adadelta", "rho", self.rho)
        if not self.epsilon > 0:
            raise ConfigurationError(
                f"Adadelta.epsilon must be above 0, or no first step is made; got {self.epsilon!r}"
            )

    def init(self, params: Array, layout: Layout, xp: Any) -> Tree:
        """Return the running squares of gradients (v) and of steps (u)."""
        return {"v": xp.zeros_like(params), "u": xp.zeros_like(params)}

    def update(self, gradient: Array, params: Array, state: Tree, now: Now) -> Updated:
        """Step by the ratio of the two root mean squares."""
        v, u, xp = state["v"], state["u"], now.xp
        v *= self.rho
        v += (1.0 - self.rho) * (gradient * gradient)
        change = xp.sqrt((u + self.epsilon) / (v + self.epsilon)) * gradient
        u *= self.rho
        u += (1.0 - self.rho) * (change * change)
        params -= now.learning_rate * change
        return gradient, params, {"v": v, "u": u}


@dataclass(frozen=True)
class Lion:
    r"""Evolved sign momentum (Chen et al. 2023, algorithm 2).

    .. math:: p \leftarrow p - \eta\, \mathrm{sign}(\beta_1 m + (1-\beta_1) g), \qquad
              m \leftarrow \beta_2 m + (1-\beta_2) g

    Its decoupled decay is a link of its own: ``chain(DecoupledWeightDecay(0.1), Lion(1e-4))``.
    """

    learning_rate: float | Schedule = 1e-4
    beta1: float = 0.9
    beta2: float = 0.99

    def __post_init__(self) -> None:
        _check_moments("Lion", self.learning_rate, self.beta1, self.beta2, 0.0)

    def init(self, params: Array, layout: Layout, xp: Any) -> Tree:
        """Return the momentum m."""
        return {"m": xp.zeros_like(params)}

    def update(self, gradient: Array, params: Array, state: Tree, now: Now) -> Updated:
        """Step by the sign of the mixture."""
        m = state["m"]
        params -= now.learning_rate * now.xp.sign(self.beta1 * m + (1.0 - self.beta1) * gradient)
        m *= self.beta2
        m += (1.0 - self.beta2) * gradient
        return gradient, params, {"m": m}


@dataclass(frozen=True)
class ClipByValue:
    """Hold each element of the gradient within -limit..limit."""

    limit: float = 1.0

    def __post_init__(self) -> None:
        _check_limit("ClipByValue", self.limit)

    def init(self, params: Array, layout: Layout, xp: Any) -> Tree:
        """Need no state."""
        return {}

    def update(self, gradient: Array, params: Array, state: Tree, now: Now) -> Updated:
        """Clip the gradient."""
        return now.xp.maximum(now.xp.minimum(gradient, self.limit), -self.limit), params, state


@dataclass(frozen=True)
class ClipByNorm:
    r"""Scale the whole gradient down to an L2 norm of at most ``limit`` (Pascanu et al. 2013, algorithm 1).

    .. math:: g \leftarrow g \cdot limit / \max(\lVert g \rVert, limit)
    """

    limit: float = 1.0

    def __post_init__(self) -> None:
        _check_limit("ClipByNorm", self.limit)

    def init(self, params: Array, layout: Layout, xp: Any) -> Tree:
        """Need no state."""
        return {}

    def update(self, gradient: Array, params: Array, state: Tree, now: Now) -> Updated:
        """Scale the gradient."""
        norm = now.xp.sqrt(now.xp.sum(gradient * gradient))
        gradient *= self.limit / now.xp.maximum(norm, self.limit)
        return gradient, params, state


@dataclass(frozen=True)
class L1:
    r"""Lasso penalty on weights: adds rate · sign(p) to the gradient, the slope of :math:`rate \sum |p|`.

    The reported loss does not contain it.
    """

    rate: float = 1e-5

    def __post_init__(self) -> None:
        _check_size("L1", "rate", self.rate)

    def init(self, params: Array, layout: Layout, xp: Any) -> Tree:
        """Return the mask of what is penalized."""
        return {"mask": layout.decay_mask(params.dtype, xp)}

    def update(self, gradient: Array, params: Array, state: Tree, now: Now) -> Updated:
        """Add the penalty's slope."""
        gradient += self.rate * (state["mask"] * now.xp.sign(params))
        return gradient, params, state


@dataclass(frozen=True)
class L2:
    r"""Ridge penalty on weights: adds rate · p to the gradient, the slope of :math:`rate/2 \sum p^2`.

    The reported loss does not contain it. With adaptive optimizers prefer :class:`DecoupledWeightDecay`.
    """

    rate: float = 1e-4

    def __post_init__(self) -> None:
        _check_size("L2", "rate", self.rate)

    def init(self, params: Array, layout: Layout, xp: Any) -> Tree:
        """Return the mask of what is penalized."""
        return {"mask": layout.decay_mask(params.dtype, xp)}

    def update(self, gradient: Array, params: Array, state: Tree, now: Now) -> Updated:
        """Add the penalty's slope."""
        gradient += self.rate * (state["mask"] * params)
        return gradient, params, state


@dataclass(frozen=True)
class DecoupledWeightDecay:
    r"""Shrink weights beside the gradient: :math:`p \leftarrow p (1 - \eta \cdot rate)`.

    eta is the chain's learning rate. Loshchilov and Hutter 2019, eq. 1.
    """

    rate: float = 0.01

    def __post_init__(self) -> None:
        _check_size("DecoupledWeightDecay", "rate", self.rate)

    def init(self, params: Array, layout: Layout, xp: Any) -> Tree:
        """Return the mask of what decays."""
        return {"mask": layout.decay_mask(params.dtype, xp)}

    def update(self, gradient: Array, params: Array, state: Tree, now: Now) -> Updated:
        """Shrink the weights."""
        params *= 1.0 - (now.learning_rate * self.rate) * state["mask"]
        return gradient, params, state


@dataclass(frozen=True)
class MaxNorm:
    """Hold the L2 norm of each unit's incoming weights to at most ``limit`` (Srivastava et al. 2014, section 5.1).

    Comes after the optimizer in a chain. Acts on weights of two axes or more, over all axes but the last.
    """

    limit: float = 3.0

    def __post_init__(self) -> None:
        _check_limit("MaxNorm", self.limit)

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


@dataclass(frozen=True)
class ExponentialMovingAverage:
    r"""Keep :math:`a \leftarrow decay \cdot a + (1 - decay) p` beside the parameters.

    Comes after the optimizer in a chain; ``net.averaged()`` is the network with these weights. Polyak and
    Juditsky 1992, in the exponential form; 0.999 is customary.
    """

    decay: float = 0.999

    def __post_init__(self) -> None:
        _check_share("ExponentialMovingAverage", "decay", self.decay)

    def init(self, params: Array, layout: Layout, xp: Any) -> Tree:
        """Return the average, equal to the parameters before the first step."""
        return {"average": params + 0.0}

    def update(self, gradient: Array, params: Array, state: Tree, now: Now) -> Updated:
        """Move the average towards the parameters."""
        average = state["average"]
        average *= self.decay
        average += (1.0 - self.decay) * params
        return gradient, params, {"average": average}


@dataclass(frozen=True)
class Chain:
    """Links one after the other, among them exactly one optimizer. Made by :func:`chain`."""

    links: tuple[Link, ...] = field(default_factory=tuple)

    def __post_init__(self) -> None:
        object.__setattr__(self, "links", tuple(self.links))
        for link in self.links:
            if isinstance(link, str | type) or not hasattr(link, "update"):
                raise ConfigurationError(f"chain() takes optimizers, penalties and clips as objects; got {link!r}")
        optimizers = [link for link in self.links if hasattr(link, "learning_rate")]
        if len(optimizers) != 1:
            raise ConfigurationError(
                f"chain() needs exactly one optimizer among its links; got {len(optimizers)}: "
                f"{', '.join(str(link) for link in self.links) or 'no link'}"
            )

    @property
    def learning_rate(self) -> float | Schedule:
        """The optimizer's rate."""
        rates = [link.learning_rate for link in self.links if hasattr(link, "learning_rate")]
        rate: float | Schedule = rates[0]
        return rate

    def init(self, params: Array, layout: Layout, xp: Any) -> Tree:
        """Return the links' states by their place."""
        return {str(i): link.init(params, layout, xp) for i, link in enumerate(self.links)}

    def update(self, gradient: Array, params: Array, state: Tree, now: Now) -> Updated:
        """Hand gradient and parameters through the links."""
        new = {}
        for i, link in enumerate(self.links):
            gradient, params, new[str(i)] = link.update(gradient, params, state[str(i)], now)
        return gradient, params, new


def chain(*links: Link) -> Chain:
    """Compose an optimizer with penalties, clipping, decay, constraints and averages, in their order.

    Raises
    ------
    ConfigurationError
        There is not exactly one optimizer among them.

    Examples
    --------
    >>> optimizer = chain(L2(1e-4), ClipByNorm(1.0), Adam(1e-3), MaxNorm(3.0))
    >>> optimizer.learning_rate
    0.001
    """
    return Chain(links)


def rate_at(learning_rate: float | Schedule, step: Array, xp: Any) -> Array | float:
    """Return the learning rate after *step* finished steps."""
    schedule = learning_rate if callable(learning_rate) else ConstantRate(learning_rate)
    return schedule(step, xp)


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


def _adam(rule: Adam | AdamW, gradient: Array, params: Array, state: Tree, now: Now) -> Updated:
    params, m, v = now.xp.nn.adam(
        gradient,
        params,
        state["m"],
        state["v"],
        now.learning_rate,
        now.step,
        rule.beta1,
        rule.beta2,
        rule.epsilon,
    )
    return gradient, params, {"m": m, "v": v}


def _check_learning_rate(optimizer: str, rate: object) -> None:
    if callable(rate) and not isinstance(rate, type):
        return
    number = isinstance(rate, int | float) and not isinstance(rate, bool)
    if not number or not 0 < rate < float("inf"):  # type: ignore[operator]
        raise ConfigurationError(
            f"{optimizer}.learning_rate must be a finite number above 0 or a schedule; got {rate!r}"
        )


def _check_moments(optimizer: str, rate: object, beta1: float, beta2: float, epsilon: float) -> None:
    _check_learning_rate(optimizer, rate)
    _check_share(optimizer, "beta1", beta1)
    _check_share(optimizer, "beta2", beta2)
    _check_size(optimizer, "epsilon", epsilon)


def _check_share(optimizer: str, name: str, value: float) -> None:
    if not isinstance(value, int | float) or not 0 <= value < 1:
        raise ConfigurationError(f"{optimizer}.{name} must be in [0, 1); got {value!r}")


def _check_size(optimizer: str, name: str, value: float) -> None:
    if not isinstance(value, int | float) or not 0 <= value < float("inf"):
        raise ConfigurationError(f"{optimizer}.{name} must be a finite number of at least 0; got {value!r}")


def _check_limit(link: str, value: float) -> None:
    if not isinstance(value, int | float) or not 0 < value < float("inf"):
        raise ConfigurationError(f"{link}.limit must be a finite number above 0; got {value!r}")
