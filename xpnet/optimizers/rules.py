"""The update rules, with the defaults of the methods' papers where these give any: SGD, Adam, AdamW, ... Lion."""

from __future__ import annotations

from dataclasses import KW_ONLY
from math import log
from typing import Any

from xpnet.backend import Array
from xpnet.checks import check_flag_fields, check_real_fields
from xpnet.errors import ConfigurationError
from xpnet.optimizers.base import Now, Updated, check_learning_rate, check_moments
from xpnet.optimizers.links import DecoupledWeightDecay
from xpnet.parameters import Layout, Tree
from xpnet.records import record
from xpnet.schedules import Schedule

__all__ = ["SGD", "Adadelta", "Adagrad", "Adam", "AdamW", "Lion", "Nadam", "RMSProp"]


@record
class SGD:
    r"""Stochastic gradient descent, with momentum if asked for.

    .. math:: v \leftarrow \mu v + g, \qquad p \leftarrow p - \eta v
              \quad (\text{Nesterov: } p \leftarrow p - \eta (g + \mu v))

    Polyak 1964; Nesterov in the form of Sutskever et al. 2013, as PyTorch's ``SGD``.

    Parameters
    ----------
    learning_rate : float or Schedule
        eta; 0.01 is Keras' default (PyTorch's is 1e-3).
    momentum : float
        mu, in [0, 1).
    nesterov : bool
        Whether the gradient is corrected by looking ahead; needs momentum.

    Raises
    ------
    ConfigurationError
        ``learning_rate`` is neither in (0, inf) nor a function of (step, xp), ``momentum`` is not in [0, 1), or
        ``nesterov`` is no bool, or is True without momentum.
    """

    learning_rate: float | Schedule = 0.01
    _: KW_ONLY
    momentum: float = 0.0
    nesterov: bool = False

    def __post_init__(self) -> None:
        check_learning_rate(self)
        check_real_fields(self, "momentum", least=0, below=1)
        check_flag_fields(self, "nesterov")
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


@record
class Adam:
    r"""Adaptive moments (Kingma and Ba 2015, algorithm 1, whose defaults these are).

    .. math:: m \leftarrow \beta_1 m + (1-\beta_1) g, \quad v \leftarrow \beta_2 v + (1-\beta_2) g^2, \quad
              p \leftarrow p - \eta \frac{m / (1-\beta_1^t)}{\sqrt{v / (1-\beta_2^t)} + \epsilon}

    Parameters
    ----------
    learning_rate : float or Schedule
        eta, in units of the parameters: about as far as one of them moves in a step (section 2.1).
    beta1, beta2 : float
        Shares of the old m and v that a step keeps, in [0, 1).
    epsilon : float
        Added to the root, in units of the gradient, 0 or above; 0 makes NaN where every gradient was 0.

    Raises
    ------
    ConfigurationError
        ``learning_rate`` is neither in (0, inf) nor a function of (step, xp), ``beta1`` or ``beta2`` is not in [0, 1),
        or ``epsilon`` is not in [0, inf).
    """

    learning_rate: float | Schedule = 1e-3
    _: KW_ONLY
    beta1: float = 0.9
    beta2: float = 0.999
    epsilon: float = 1e-8

    def __post_init__(self) -> None:
        check_moments(self)
        check_real_fields(self, "epsilon", least=0)

    def init(self, params: Array, layout: Layout, xp: Any) -> Tree:
        """Return the moments m and v."""
        return {"m": xp.zeros_like(params), "v": xp.zeros_like(params)}

    def update(self, gradient: Array, params: Array, state: Tree, now: Now) -> Updated:
        """Step along the corrected moments."""
        return _adam(self, gradient, params, state, now)


@record
class AdamW:
    r"""Adam with decoupled weight decay (Loshchilov and Hutter 2019, algorithm 2).

    .. math:: p \leftarrow p - \eta \lambda p \text{ (weights)}, \text{ then a step of Adam}

    ``weight_decay`` is lambda; 0.01 is the default of PyTorch's ``AdamW``, which decays biases too.

    Parameters
    ----------
    learning_rate : float or Schedule
        eta, in units of the parameters.
    beta1, beta2, epsilon : float
        As :class:`Adam`'s. The algorithm gives the defaults of these three and of the rate.
    weight_decay : float
        lambda, 0 or above: a step takes the share eta lambda of each weight.

    Raises
    ------
    ConfigurationError
        ``learning_rate`` is neither in (0, inf) nor a function of (step, xp), ``beta1`` or ``beta2`` is not in [0, 1),
        or ``epsilon`` or ``weight_decay`` is not in [0, inf).
    """

    learning_rate: float | Schedule = 1e-3
    _: KW_ONLY
    beta1: float = 0.9
    beta2: float = 0.999
    epsilon: float = 1e-8
    weight_decay: float = 0.01

    def __post_init__(self) -> None:
        check_moments(self)
        check_real_fields(self, "epsilon", "weight_decay", least=0)

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


@record
class Nadam:
    r"""Adam with Nesterov momentum (Dozat 2016, algorithm 2, with its momentum schedule).

    .. math:: \mu_t = \beta_1 (1 - 0.5 \cdot 0.96^{t \psi}), \quad
              p \leftarrow p - \eta \left( \frac{(1-\mu_t) g}{1-\prod_{i \le t} \mu_i}
              + \frac{\mu_{t+1} m}{1-\prod_{i \le t+1} \mu_i} \right) / (\sqrt{v/(1-\beta_2^t)} + \epsilon)

    ``momentum_decay`` is psi; 0.004 and the rate 0.002 are Dozat's.

    Parameters
    ----------
    learning_rate : float or Schedule
        eta, in units of the parameters.
    beta1 : float
        Share of the old m that a step keeps, and what mu_t rises to, in [0, 1).
    beta2, epsilon : float
        As :class:`Adam`'s; these two and ``beta1`` have Adam's defaults.
    momentum_decay : float
        psi, 0 or above; with 0 the momentum stays at half of ``beta1``.

    Raises
    ------
    ConfigurationError
        ``learning_rate`` is neither in (0, inf) nor a function of (step, xp), ``beta1`` or ``beta2`` is not in [0, 1),
        or ``epsilon`` or ``momentum_decay`` is not in [0, inf).
    """

    learning_rate: float | Schedule = 2e-3
    _: KW_ONLY
    beta1: float = 0.9
    beta2: float = 0.999
    epsilon: float = 1e-8
    momentum_decay: float = 4e-3

    def __post_init__(self) -> None:
        check_moments(self)
        check_real_fields(self, "epsilon", "momentum_decay", least=0)

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


@record
class RMSProp:
    r"""Gradient over its running root mean square (Hinton, Coursera lecture 6e, 2012).

    .. math:: v \leftarrow \rho v + (1-\rho) g^2, \qquad p \leftarrow p - \eta\, g / (\sqrt{v} + \epsilon)

    Parameters
    ----------
    learning_rate : float or Schedule
        eta, in units of the parameters; 1e-3 is Keras' default.
    rho : float
        Share of the old v that a step keeps, in [0, 1); 0.9 is Hinton's.
    epsilon : float
        Added to the root, in units of the gradient, 0 or above (0 makes NaN where every gradient was 0); 1e-8 is
        PyTorch's default.

    Raises
    ------
    ConfigurationError
        ``learning_rate`` is neither in (0, inf) nor a function of (step, xp), ``rho`` is not in [0, 1), or
        ``epsilon`` is not in [0, inf).
    """

    learning_rate: float | Schedule = 1e-3
    _: KW_ONLY
    rho: float = 0.9
    epsilon: float = 1e-8

    def __post_init__(self) -> None:
        check_learning_rate(self)
        check_real_fields(self, "rho", least=0, below=1)
        check_real_fields(self, "epsilon", least=0)

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


@record
class Adagrad:
    r"""Gradient over the root of the sum of all squares so far (Duchi et al. 2011).

    .. math:: v \leftarrow v + g^2, \qquad p \leftarrow p - \eta\, g / (\sqrt{v} + \epsilon)

    Parameters
    ----------
    learning_rate : float or Schedule
        eta, in units of the parameters: as far as each moves in the first step. 0.01 is PyTorch's default.
    epsilon : float
        Added to the root, in units of the gradient, 0 or above (0 makes NaN where every gradient was 0); 1e-10 is
        PyTorch's default.

    Raises
    ------
    ConfigurationError
        ``learning_rate`` is neither in (0, inf) nor a function of (step, xp), or ``epsilon`` is not in [0, inf).
    """

    learning_rate: float | Schedule = 0.01
    _: KW_ONLY
    epsilon: float = 1e-10

    def __post_init__(self) -> None:
        check_learning_rate(self)
        check_real_fields(self, "epsilon", least=0)

    def init(self, params: Array, layout: Layout, xp: Any) -> Tree:
        """Return the sum of squares v."""
        return {"v": xp.zeros_like(params)}

    def update(self, gradient: Array, params: Array, state: Tree, now: Now) -> Updated:
        """Step along the scaled gradient."""
        v = state["v"]
        v += gradient * gradient
        params -= now.learning_rate * gradient / (now.xp.sqrt(v) + self.epsilon)
        return gradient, params, {"v": v}


@record
class Adadelta:
    r"""Steps measured in the units of past steps (Zeiler 2012, algorithm 1; rate 1, rho 0.95, epsilon 1e-6).

    .. math:: v \leftarrow \rho v + (1-\rho) g^2, \quad
              d = \sqrt{(u+\epsilon)/(v+\epsilon)}\, g, \quad
              u \leftarrow \rho u + (1-\rho) d^2, \quad p \leftarrow p - \eta d

    Parameters
    ----------
    learning_rate : float or Schedule
        eta, a factor of the paper's step.
    rho : float
        Share of the old v and u that a step keeps, in [0, 1).
    epsilon : float
        Added to both squares, above 0: with 0 no first step would be made.

    Raises
    ------
    ConfigurationError
        ``learning_rate`` is neither in (0, inf) nor a function of (step, xp), ``rho`` is not in [0, 1), or
        ``epsilon`` is not in (0, inf).
    """

    learning_rate: float | Schedule = 1.0
    _: KW_ONLY
    rho: float = 0.95
    epsilon: float = 1e-6

    def __post_init__(self) -> None:
        check_learning_rate(self)
        check_real_fields(self, "rho", least=0, below=1)
        check_real_fields(self, "epsilon", above=0)  # with 0 no first step is made

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


@record
class Lion:
    r"""Evolved sign momentum (Chen et al. 2023, algorithm 2).

    .. math:: p \leftarrow p - \eta\, \mathrm{sign}(\beta_1 m + (1-\beta_1) g), \qquad
              m \leftarrow \beta_2 m + (1-\beta_2) g

    Its decoupled decay is a link of its own: ``chain(DecoupledWeightDecay(0.1), Lion(1e-4))``.

    Parameters
    ----------
    learning_rate : float or Schedule
        eta, in units of the parameters: how far each moves in a step. 1e-4 is the default of the authors' program.
    beta1 : float
        Share of m in the mixture whose sign is taken, in [0, 1); 0.9 is the paper's.
    beta2 : float
        Share of the old m that a step keeps, in [0, 1); 0.99 is the paper's.

    Raises
    ------
    ConfigurationError
        ``learning_rate`` is neither in (0, inf) nor a function of (step, xp), or ``beta1`` or ``beta2`` is
        not in [0, 1).
    """

    learning_rate: float | Schedule = 1e-4
    _: KW_ONLY
    beta1: float = 0.9
    beta2: float = 0.99

    def __post_init__(self) -> None:
        check_moments(self)

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
