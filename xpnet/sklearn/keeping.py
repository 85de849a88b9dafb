"""An estimator as it was before it was trained on, for where training comes to nothing."""

from __future__ import annotations

from copy import deepcopy
from typing import Any

__all__ = ["Kept"]

CURVES = "loss_curve_", "validation_scores_"
"""Lists that training makes longer."""


class Kept:
    """What there was to be put back; training changes some of it in place, the network and the curves.

    Parameters
    ----------
    estimator : Perceptron
        Of which all attributes are kept.
    trained : bool
        Whether the network is to be trained on, so that its state has to be copied.
    """

    def __init__(self, estimator: Any, *, trained: bool) -> None:
        self.estimator, self.values = estimator, dict(vars(estimator))
        self.trained = trained
        if trained:
            network = estimator.network_
            self.state = network.compiled.copied(network.state)
            self.counts = network.epochs, network.steps, network.scale
            self.results = [*network.history]
            self.lengths = {name: len(self.values.get(name) or ()) for name in CURVES}
            self.order = estimator._order.stream.get_state(legacy=False), estimator._order.rows

    def put_back(self) -> None:
        """Make the estimator what it was."""
        vars(self.estimator).clear()
        vars(self.estimator).update(self.values)
        if self.trained:
            network, history = self.estimator.network_, self.estimator.network_.history
            network.state = self.state
            network.epochs, network.steps, network.scale = self.counts
            for name in [name for name in history if name not in self.results]:
                del history[name]
            history.cut(network.epochs)
            for name, length in self.lengths.items():
                del (self.values.get(name) or [])[length:]
            order = self.estimator._order
            order.stream = deepcopy(order.stream)  # a caller's own random numbers are not turned back
            order.stream.set_state(self.order[0])
            order.rows = self.order[1]
