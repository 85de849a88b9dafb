"""scikit-learn's rules for training an MLP: the order of rows, curves, early stopping, the learning rate."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from xpnet.callbacks import Callback
from xpnet.sklearn.solvers import take_penalty

if TYPE_CHECKING:
    from collections.abc import Callable

    from xpnet.arrays import Host

__all__ = ["EpochRules", "RowOrder", "Split"]

LOWEST_RATE = 1e-6
"""Learning rate from which on "adaptive" stops instead of dividing, by scikit-learn's rule."""


class RowOrder:
    """The order of rows: each epoch shuffles that of the last one, with one generator for all calls of ``fit``."""

    def __init__(self, stream: np.random.RandomState) -> None:
        self.stream = stream
        self.rows: Host = np.arange(0)

    def __call__(self, epoch: int, rows: int) -> Host:
        """Return the order of the next epoch."""
        if len(self.rows) != rows:
            self.rows = np.arange(rows)
        turn = np.arange(rows)
        self.stream.shuffle(turn)
        self.rows = self.rows[turn]
        return self.rows


@dataclass(frozen=True, eq=False)
class Split:
    """The numbers of the rows to train on, and of those held out."""

    train: Host
    held_out: Host


class EpochRules(Callback):
    """Records an estimator's curves after every epoch, and decides by them when to stop or slow down.

    Parameters
    ----------
    estimator : MLPClassifier or MLPRegressor
        Whose parameters rule, and whose attributes are kept.
    report : float
        What the network's loss is multiplied by in ``loss_curve_``.
    rows, weight : int, float
        Training examples, and the sum of their weights.
    score : callable, optional
        Returns the score of the held-out examples; with it early stopping is on.
    """

    def __init__(
        self, estimator: Any, *, report: float, rows: int, weight: float, score: Callable[[], float] | None
    ) -> None:
        self.estimator, self.report, self.rows, self.weight, self.score = estimator, report, rows, weight, score

    def on_epoch_end(self, epoch: int, logs: dict[str, float]) -> None:
        """Record the epoch; stop, or lower the learning rate, if it is time to."""
        estimator = self.estimator
        estimator.n_iter_ += 1
        estimator.t_ += self.rows
        estimator.loss_ = self.report * logs["loss"] + take_penalty(self.network) / self.weight
        estimator.loss_curve_.append(estimator.loss_)
        self._say(f"Iteration {estimator.n_iter_}, loss = {estimator.loss_:.8f}")
        improved = self._loss_improved() if self.score is None else self._score_improved(self.score())
        estimator._no_improvement_count = 0 if improved else estimator._no_improvement_count + 1
        if estimator.solver == "sgd" and estimator.learning_rate == "invscaling":
            self.network.learning_rate = estimator.learning_rate_init / (estimator.t_ + 1) ** estimator.power_t
        if estimator._no_improvement_count > estimator.n_iter_no_change:
            self._stop_or_slow_down()

    def on_train_end(self, logs: dict[str, float]) -> None:
        """Restore the best weights, with early stopping."""
        self.restore_best()

    def restore_best(self) -> None:
        """Restore the best weights, if there are any."""
        if self.score is not None and self.estimator._best_weights:
            self.network.set_weights(self.estimator._best_weights)

    def _loss_improved(self) -> bool:
        estimator = self.estimator
        improved = not estimator.loss_ > estimator.best_loss_ - estimator.tol
        estimator.best_loss_ = min(estimator.best_loss_, estimator.loss_)  # which stays where the loss is NaN
        return improved

    def _score_improved(self, score: float) -> bool:
        estimator = self.estimator
        estimator.validation_scores_.append(score)
        self._say(f"Validation score: {score:f}")
        improved = not score < estimator.best_validation_score_ + estimator.tol
        if score > estimator.best_validation_score_:
            estimator.best_validation_score_ = score
            estimator._best_weights = self.network.get_weights()
        return improved

    def _stop_or_slow_down(self) -> None:
        estimator = self.estimator
        watched = "Training loss" if self.score is None else "Validation score"
        reason = (
            f"{watched} did not improve more than tol={estimator.tol:f} for {estimator.n_iter_no_change} "
            "consecutive epochs."
        )
        adaptive = estimator.solver == "sgd" and estimator.learning_rate == "adaptive"
        if adaptive and self.network.learning_rate > LOWEST_RATE:
            self.network.learning_rate /= 5.0
            estimator._no_improvement_count = 0
            self._say(f"{reason} Setting learning rate to {self.network.learning_rate:f}")
        else:
            self.network.stop_training = True
            self._say(f"{reason} {'Learning rate too small. ' if adaptive else ''}Stopping.")

    def _say(self, line: str) -> None:
        if self.estimator.verbose:
            print(line)
