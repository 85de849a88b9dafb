"""Minimize a network's loss by SciPy's L-BFGS-B, over the flat vector of parameters."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy.optimize import minimize
from sklearn.exceptions import ConvergenceWarning

from xpnet.fitting import prepare_batch
from xpnet.layers.base import Context

if TYPE_CHECKING:
    from xpnet.arrays import Host
    from xpnet.backend import Array
    from xpnet.network import Network
    from xpnet.training import Batch, Program

__all__ = ["minimize_loss"]


def minimize_loss(
    network: Network,
    x: Any,
    y: Any,
    sample_weight: Any,
    *,
    alpha: float,
    scale: float,
    tol: float,
    max_iter: int,
    max_fun: int,
) -> tuple[int, float]:
    r"""Minimize :math:`s L + \frac{\alpha}{2 \sum w} \sum p^2` over all data, and return iterations and value.

    Parameters
    ----------
    network : Network
        Built, without random layers or running statistics; its parameters become those of the minimum.
    x, y, sample_weight
        As for ``Network.fit``.
    alpha, scale : float
        Strength of the penalty, and s.
    tol : float
        Largest slope that counts as 0.
    max_iter, max_fun : int
        Most iterations, and most evaluations.
    """
    batch, backend = prepare_batch(network, x, y, sample_weight), network.backend
    program = network.compiled.program
    compiled = backend.compile(lambda params, batch: _loss_and_gradient(program, params, batch, scale))
    mask = np.array(backend.to_numpy(network.layout.decay_mask(backend.float, backend.xp)), dtype=np.float64)
    weight = float(len(y) if sample_weight is None else np.sum(sample_weight))

    def objective(flat: Host) -> tuple[float, Host]:
        loss, gradient = (backend.to_numpy(found) for found in compiled(network.from_host(flat), batch))
        penalty = 0.5 * alpha / weight * float(np.dot(mask * flat, flat))
        return float(loss) + penalty, np.asarray(gradient, dtype=np.float64) + alpha / weight * (mask * flat)

    start = np.array(backend.to_numpy(network.state.params), dtype=np.float64)
    options = {"maxfun": max_fun, "maxiter": max_iter, "gtol": tol}
    found = minimize(objective, start, method="L-BFGS-B", jac=True, options=options)
    network.state = network.state._replace(params=network.from_host(found.x))
    if found.status:
        warnings.warn(
            f"L-BFGS-B ended after {found.nit} iterations before it converged ({found.message}); raise max_iter or "
            "max_fun, or scale the data",
            ConvergenceWarning,
            stacklevel=2,
        )
    return int(min(found.nit, max_iter)), float(found.fun)


def _loss_and_gradient(program: Program, params: Array, batch: Batch, scale: float) -> tuple[Array, Array]:
    """Return the scaled reduced loss over a batch, and its gradient, as one vector."""
    context = Context(program.xp, training=True, input_gradient=False)
    found = program.differentiate(params, batch, context)
    return program.reduced_loss(found.sums["loss"]) * scale, program.layout.pack(found.gradients, program.xp) * scale
