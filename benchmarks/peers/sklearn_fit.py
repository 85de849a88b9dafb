"""scikit-learn's MLPClassifier through ``fit``, warm-started. Two classes it trains with one output."""

from __future__ import annotations

import warnings
from time import perf_counter
from typing import Any

import numpy as np
from sklearn.exceptions import ConvergenceWarning
from sklearn.neural_network import MLPClassifier

from benchmarks.work import Pool, Weights, Work


class Trainer:
    def __init__(self, work: Work, weights: Weights, pool: Pool) -> None:
        self.pool = pool
        self.model = MLPClassifier(
            work.sizes[1:-1],
            activation={"relu": "relu", "sigmoid": "logistic"}[work.activation],
            solver=work.optimizer,
            alpha=0.0,
            batch_size=pool.batch,
            learning_rate_init=work.rate,
            momentum=0.0,
            nesterovs_momentum=False,
            tol=0.0,
            n_iter_no_change=10**9,
            warm_start=True,
            random_state=0,
        )
        # One step makes the model's arrays, which then get the common weights.
        self.model.partial_fit(pool.x[: pool.batch], pool.y[: pool.batch], classes=np.arange(work.sizes[-1]))
        if not work.binary:
            self.model.coefs_ = [layer["weight"].copy() for layer in weights]
            self.model.intercepts_ = [layer["bias"].copy() for layer in weights]
        self.seconds: float | None = None
        self._time_the_epochs()

    def _time_the_epochs(self) -> None:
        """Leave out what ``fit`` does once, whatever its length, where this release allows to tell it apart."""
        epochs = getattr(self.model, "_fit_stochastic", None)
        if epochs is None:
            return

        def timed(*arguments: Any, **named: Any) -> None:
            start = perf_counter()
            epochs(*arguments, **named)
            self.seconds = perf_counter() - start

        self.model._fit_stochastic = timed

    def train(self, passes: int, shuffle: bool) -> float:
        self.model.set_params(max_iter=passes, shuffle=shuffle and len(self.pool) > 1)
        start = perf_counter()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)
            self.model.fit(self.pool.x, self.pool.y)
        whole = perf_counter() - start
        return whole if self.seconds is None else self.seconds

    def weights(self) -> Weights:
        return [
            {"weight": w.copy(), "bias": b.copy()}
            for w, b in zip(self.model.coefs_, self.model.intercepts_, strict=True)
        ]

    def predict(self, x: np.ndarray) -> np.ndarray:
        return self.model.predict_proba(x)
