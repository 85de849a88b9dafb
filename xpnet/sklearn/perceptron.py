"""Build and train a multi-layer perceptron from scikit-learn's parameters."""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Sequence
from functools import partial
from itertools import pairwise
from numbers import Real
from typing import Any

import numpy as np
from sklearn.exceptions import ConvergenceWarning
from sklearn.model_selection import train_test_split
from sklearn.utils import check_random_state
from sklearn.utils._param_validation import Interval

from xpnet.arrays import Host, take_rows
from xpnet.backend import Array
from xpnet.callbacks import Callback, resolve_callbacks
from xpnet.errors import ConfigurationError, DataError
from xpnet.layers import BatchNorm, Dense, Dropout, Sequential
from xpnet.network import Network
from xpnet.parameters import flatten
from xpnet.sklearn.base import NetworkEstimator
from xpnet.sklearn.inputs import host_values, take_features, take_weights
from xpnet.sklearn.lbfgs import minimize_loss
from xpnet.sklearn.objective import Objective, out_activation
from xpnet.sklearn.rules import EpochRules, RowOrder, Split
from xpnet.sklearn.snapshot import Snapshot
from xpnet.sklearn.solvers import make_optimizer

__all__ = ["CONSTRAINTS", "Perceptron", "is_stochastic"]

ACTIVATIONS = {"identity": "identity", "logistic": "sigmoid", "tanh": "tanh", "relu": "relu"}
"""scikit-learn's names and ours."""

HIDDEN = "hidden_layer_sizes", "activation", "dropout", "batch_norm", "layers"
"""Parameters that make the hidden layers."""

VALIDATION = "X_val", "y_val", "sample_weight_val"
"""Arguments of ``fit`` for held-out samples of the caller's."""

CONSTRAINTS: dict[str, Any] = {
    "dropout": [Interval(Real, 0, 1, closed="left")],
    "batch_norm": ["boolean"],
    **dict.fromkeys(("layers", "loss", "callbacks", "backend", "device", "dtype", "precision"), "no_validation"),
}
"""What scikit-learn's validation is told of the parameters that its own perceptrons lack; the core checks most."""


def is_stochastic(estimator: Any) -> bool:
    """Say whether the solver trains in batches; a condition for ``offered_if``."""
    if estimator.solver == "lbfgs":
        raise AttributeError("partial_fit goes with solver='sgd' and 'adam': lbfgs looks at all data at once")
    return True


class Perceptron(NetworkEstimator):
    """Base of :class:`MLPClassifier` and :class:`MLPRegressor`, which add the parameters."""

    def _fit(self, X: Any, y: Any, sample_weight: Any, validation: Any = None, *, incremental: bool = False) -> Any:
        if incremental and self.early_stopping:
            raise ConfigurationError("partial_fit does not support early_stopping=True")
        fresh = not hasattr(self, "network_") or not (self.warm_start or incremental)
        self._callbacks()
        self._hidden_sizes()
        with self._restored_on_error():
            snapshot = Snapshot(self, trained=not fresh)
            X = take_features(self, X, reset=fresh)
            rows = int(X.shape[0])
            labels, targets = self._encode(y, rows, fresh=fresh and not incremental, same=self.warm_start)
            weights = take_weights(sample_weight, rows)
            if fresh:
                self._make_network(X, targets)
            else:
                self._continue_network(X, targets)
            if self.solver == "lbfgs":
                self._refuse_epoch_options(validation)
                self._fit_lbfgs(X, targets, self._weigh(weights, labels))
            else:
                self._fit_stochastic(
                    X, targets, labels, weights, self._check_validation(validation, labels), incremental
                )
            backend, state = self.network_.backend, self.network_.state
            arrays = [state.params, *(array for _, array in flatten(state.layers))]
            if not all(np.isfinite(backend.to_numpy(array)).all() for array in arrays):
                snapshot.restore()
                raise DataError(
                    "Solver produced non-finite parameter weights. The input data may contain large values and need to "
                    "be preprocessed."
                )
        return self

    # Building

    def _make_network(self, X: Array, targets: Host) -> None:
        """Make the network, with the weights that scikit-learn draws from the same random state."""
        stream = check_random_state(self.random_state)
        objective: Objective = self._objective(targets)
        layers = [*self._hidden_layers(), Dense(objective.outputs)]
        inputs = int(X.shape[1])
        drawn = self._draw_weights(stream, inputs, objective.outputs) if self.layers is None else None
        # scikit-learn draws no seed: without need for one, the order of random numbers stays the same.
        seed = int(stream.randint(2**31 - 1)) if drawn is None or self.dropout else 0
        self.network_ = Network(
            layers,
            loss=objective.loss,
            optimizer=make_optimizer(self, objective.scale),
            backend=self._open(X),
            seed=seed,
            inputs=inputs,
            check_finite=False,
        )
        if drawn is not None:
            dense = [str(i) for i, layer in enumerate(layers) if isinstance(layer, Dense)]
            named = {f"{i}.{name}": value for i, pair in zip(dense, drawn, strict=True) for name, value in pair.items()}
            self.network_.set_weights(named)
        self._objective_ = objective
        self._made = {name: repr(getattr(self, name)) for name in HIDDEN}
        self._order = RowOrder(stream)
        self._split: Split | None = None
        self._best_weights: dict[str, Host] | None = None
        self._no_improvement_count = self.n_iter_ = self.t_ = 0
        self.n_outputs_ = objective.outputs
        self.n_layers_ = 1 + len(self.coefs_)
        self.out_activation_ = out_activation(objective.loss)
        if self.solver != "lbfgs":
            stopping = self.early_stopping
            self.loss_curve_: list[float] = []
            self.validation_scores_: list[float] | None = [] if stopping else None
            self.best_validation_score_ = -np.inf if stopping else None
            self.best_loss_ = None if stopping else np.inf

    def _continue_network(self, X: Array, targets: Host) -> None:
        """Go on with the existing network, after checking that the parameters still describe it."""
        objective: Objective = self._objective(targets)
        model = Sequential([*self._hidden_layers(), Dense(objective.outputs)])
        changed = [name for name, made in self._made.items() if repr(getattr(self, name)) != made]
        asked: dict[str, tuple[Any, Any]] = {
            "loss": (self._objective_, objective),
            " and ".join(changed) or "layers": (self.network_.model, model),
        }
        if self.solver != "lbfgs" and not hasattr(self, "loss_curve_"):
            asked["solver"] = "lbfgs", self.solver
        elif self.solver != "lbfgs":
            asked["early_stopping"] = self.validation_scores_ is not None, bool(self.early_stopping)
        self._use_optimizer(X, make_optimizer(self, objective.scale), asked)

    def _callbacks(self) -> list[Callback]:
        return resolve_callbacks(() if self.callbacks is None else self.callbacks)

    def _hidden_sizes(self) -> list[int]:
        sizes = self.hidden_layer_sizes
        sizes = list(sizes) if isinstance(sizes, Iterable) else [sizes]
        if any(size <= 0 for size in sizes):
            raise ConfigurationError(f"hidden_layer_sizes must be > 0, got {sizes}.")
        return [int(size) for size in sizes]

    def _hidden_layers(self) -> list[Any]:
        if isinstance(self.layers, str) or not isinstance(self.layers, Iterable | None):
            raise ConfigurationError(f"layers must be a list of hidden layers; got {self.layers!r}: write ['relu'] say")
        if self.layers is not None:
            return list(self.layers)
        found: list[Any] = []
        for units in self._hidden_sizes():
            found += [Dense(units), *([BatchNorm()] if self.batch_norm else []), ACTIVATIONS[self.activation]]
            found += [Dropout(float(self.dropout))] if self.dropout else []
        return found

    def _draw_weights(self, stream: np.random.RandomState, inputs: int, outputs: int) -> list[dict[str, Host]]:
        """Draw weights and biases from U(-b, b) with b² = 6 / (inputs + units), or 2 / ... for the logistic.

        Glorot and Bengio 2010, eq. 16; the biases, and the order of the numbers, are scikit-learn's.
        """
        sizes, drawn = [inputs, *self._hidden_sizes(), outputs], []
        factor = 2.0 if self.activation == "logistic" else 6.0
        for before, units in pairwise(sizes):
            bound = np.sqrt(factor / (before + units))
            weight = stream.uniform(-bound, bound, (before, units))
            drawn.append({"weight": weight, "bias": stream.uniform(-bound, bound, units)})
        return drawn

    # Training

    def _refuse_epoch_options(self, validation: Any) -> None:
        """Raise ConfigurationError for options that need epochs, which "lbfgs" does not have."""
        given = {"callbacks": self._callbacks() or None, **dict(zip(VALIDATION, validation or (), strict=False))}
        if name := next((name for name, value in given.items() if value is not None), None):
            raise ConfigurationError(
                f"{name} would do nothing: solver='lbfgs' has no epochs after which callbacks are called and held-out "
                f"samples measured; leave out {name}, or use solver='adam' or 'sgd'"
            )

    def _fit_lbfgs(self, X: Array, targets: Host, weights: Host | None) -> None:
        if self.network_.model.random or self.network_.state_layout.slots:
            raise ConfigurationError(
                "solver='lbfgs' needs a loss that is the same at every look, so dropout and batch normalization go "
                "with 'sgd' and 'adam'"
            )
        self.n_iter_, self.loss_ = minimize_loss(
            self.network_,
            X,
            targets,
            weights,
            alpha=float(self.alpha),
            scale=self._objective_.scale,
            tol=self.tol,
            max_iter=self.max_iter,
            max_fun=self.max_fun,
        )

    def _fit_stochastic(
        self,
        X: Array,
        targets: Host,
        labels: Host,
        weights: Host | None,
        validation: tuple[Any, ...] | None,
        incremental: bool,
    ) -> None:
        network = self.network_
        if self.early_stopping and validation is None:
            split = self._hold_out(targets)
            trained, held_out = labels[split.train], None if weights is None else weights[split.held_out]
            held_out = self._weigh_held_out(held_out, labels[split.held_out], trained)
            validation = take_rows(X, split.held_out, network.backend), targets[split.held_out], held_out
            X = take_rows(X, split.train, network.backend)
            targets, labels = targets[split.train], trained
            weights = None if weights is None else weights[split.train]
        weights = self._weigh(weights, labels)
        rows = int(X.shape[0])
        score = None if validation is None else partial(self._score_encoded, *validation)
        rules = EpochRules(
            self,
            report=self._objective_.report,
            rows=rows,
            weight=float(rows if weights is None else weights.sum()),
            score=score if self.early_stopping else None,
        )
        self.n_iter_ = 0
        try:
            network.fit(
                X,
                targets,
                epochs=1 if incremental else self.max_iter,
                batch_size=self._batch_size(rows),
                shuffle=self._order if self.shuffle else False,
                validation_data=None if validation is None else validation[: 2 if validation[2] is None else 3],
                sample_weight=weights,
                callbacks=[rules, *self._callbacks()],
                verbose=0,
            )
        except KeyboardInterrupt:
            rules.restore_best()
            warnings.warn("Training interrupted by user.", stacklevel=3)
        self.history_ = network.history
        if not (incremental or network.stop_training) and self.n_iter_ == self.max_iter:
            warnings.warn(
                f"Stochastic Optimizer: Maximum iterations ({self.max_iter}) reached and the optimization hasn't "
                "converged yet.",
                ConvergenceWarning,
                stacklevel=3,
            )

    def _batch_size(self, rows: int) -> int:
        if self.batch_size == "auto":
            return min(200, rows)
        if self.batch_size > rows:
            warnings.warn(
                f"Got `batch_size` larger than sample size. It is going to be clipped to {rows}.", stacklevel=4
            )
        return min(int(self.batch_size), rows)

    def _hold_out(self, targets: Host) -> Split:
        """Return the rows to train on and those held out, as scikit-learn draws them.

        A warm start keeps the split, so that no example held out before is trained on.
        """
        rows = len(targets)
        split = self._split
        if split is None or len(split.train) + len(split.held_out) != rows:
            train, held_out = train_test_split(
                np.arange(rows),
                random_state=self._order.stream,
                test_size=self.validation_fraction,
                stratify=self._strata(targets),
            )
            if len(held_out) < 2:
                raise DataError(
                    "The validation set is too small. Increase 'validation_fraction' or the size of your dataset."
                )
            split = self._split = Split(train, held_out)
        return split

    def _check_validation(self, validation: Any, trained: Host) -> tuple[Any, ...] | None:
        """Return (X, targets, weights) of the caller's own held-out examples, checked, or None.

        Weights that are not given are those of the classes, by the labels *trained* on.
        """
        X, y, sample_weight = validation or (None, None, None)
        if X is None:
            if y is not None or sample_weight is not None:
                raise ConfigurationError("X_val is missing beside y_val and sample_weight_val")
            return None
        if y is None:
            raise ConfigurationError("y_val is missing beside X_val")
        X = take_features(self, X, reset=False)
        rows = int(X.shape[0])
        labels, targets = self._encode(y, rows, fresh=False)
        weights = take_weights(sample_weight, rows)
        return X, targets, self._weigh_held_out(None, labels, trained) if weights is None else weights

    # What scikit-learn shows of a fitted perceptron

    @property
    def coefs_(self) -> tuple[Array, ...]:
        """The weights of each dense layer, (inputs, units), in the library of the data: copies, set as a whole."""
        return self._parameters("weight", 2)

    @coefs_.setter
    def coefs_(self, values: Sequence[Any]) -> None:
        self._put("weight", 2, values)

    @property
    def intercepts_(self) -> tuple[Array, ...]:
        """The biases of each dense layer, (units,), in the library of the data: copies, set as a whole."""
        return self._parameters("bias", 1)

    @intercepts_.setter
    def intercepts_(self, values: Sequence[Any]) -> None:
        self._put("bias", 1, values)

    def _names(self, kind: str, rank: int) -> list[str]:
        if not hasattr(self, "network_"):
            raise AttributeError(f"{type(self).__name__} has no weights before it is fitted")
        slots = self.network_.layout.slots
        return [slot.name for slot in slots if slot.name.endswith(f".{kind}") and len(slot.shape) == rank]

    def _parameters(self, kind: str, rank: int) -> tuple[Array, ...]:
        names, weights = self._names(kind, rank), self.network_.get_weights()
        found = [weights[name] for name in names]
        arrays = [self.network_.from_host(value) for value in found] if self.backend is None else found
        for array in arrays:
            if isinstance(array, np.ndarray):
                array.setflags(write=False)  # as writing into a copy would do nothing
        return tuple(arrays)

    def _put(self, kind: str, rank: int, values: Sequence[Any]) -> None:
        names = self._names(kind, rank)
        self.network_.set_weights({name: host_values(value, name) for name, value in zip(names, values, strict=True)})
