"""The optimizer for an estimator's parameters, and the sum of the penalties that it keeps."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from xpnet.optimizers import chain
from xpnet.optimizers.as_scikit_learn import BatchPenalty, EpsilonHatAdam, VelocitySGD

if TYPE_CHECKING:
    from xpnet.network import Network
    from xpnet.optimizers import Chain

__all__ = ["make_optimizer", "take_penalty"]


def make_optimizer(estimator: Any, scale: float) -> Chain:
    """Return the chain for an estimator's parameters, its loss times *scale*."""
    penalty = BatchPenalty(float(estimator.alpha), scale)
    rate = float(estimator.learning_rate_init)
    if estimator.solver == "sgd":
        return chain(penalty, VelocitySGD(rate, float(estimator.momentum), bool(estimator.nesterovs_momentum)))
    betas = float(estimator.beta_1), float(estimator.beta_2)
    return chain(penalty, EpsilonHatAdam(rate, *betas, float(estimator.epsilon)))


def take_penalty(network: Network) -> float:
    """Return the sum of the penalties since the last call, and reset it. Waits for the device."""
    state = network.state
    first = state.optimizer["0"]
    total = float(network.backend.to_numpy(first["total"]))
    zeroed = {**first, "total": network.from_host(np.zeros(()))}
    network.state = state._replace(optimizer={**state.optimizer, "0": zeroed})
    return total
