"""Keep an estimator as it is before training, to restore it if training fails."""

from __future__ import annotations

from copy import deepcopy
from typing import Any

__all__ = ["Snapshot"]

CURVES = "loss_curve_", "validation_scores_"
"""Lists that training appends to."""


class Snapshot:
    """A copy of what training changes: the attributes, and in place the network and the curves.

    Parameters
    ----------
    estimator : Perceptron
        The estimator to restore.
    trained : bool
        Whether its network will be trained further, so that the state of the network has to be copied, too.
    """

    def __init__(self, estimator: Any, *, trained: bool) -> None:
        self.estimator, self.values = estimator, dict(vars(estimator))
        self.trained = trained
        if trained:
            network = estimator.network_
            self.state = network.compiled.copy(network.state)
            self.counts = network.epochs, network.steps, network.scale
            self.results = [*network.history]
            self.lengths = {name: len(self.values.get(name) or ()) for name in CURVES}
            self.order = estimator._order.stream.get_state(legacy=False), estimator._order.rows

    def restore(self) -> None:
        """Make the estimator what it was when the snapshot was taken."""
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
            order.stream = deepcopy(order.stream)  # the caller's own generator must not be rewound
            order.stream.set_state(self.order[0])
            order.rows = self.order[1]
