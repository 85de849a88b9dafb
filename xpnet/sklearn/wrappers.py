"""Any network as an estimator: xpnet's own layers, losses, optimizers and rules of training."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sklearn.utils import check_random_state

from xpnet.arguments import explains_arguments
from xpnet.arrays import Host
from xpnet.backend import Array
from xpnet.callbacks import TerminateOnNaN, resolve_callbacks
from xpnet.checks import check_real
from xpnet.configuration import resolve_metrics
from xpnet.errors import ConfigurationError
from xpnet.layers import Dense, Sequential
from xpnet.network import Network
from xpnet.sklearn.base import ClassifierParts, NetworkEstimator, RegressorParts
from xpnet.sklearn.inputs import take_features, take_weights
from xpnet.sklearn.objective import class_loss, outputs_for, real_loss

__all__ = ["XPClassifier", "XPRegressor"]


class _Wrapper(NetworkEstimator):
    """Base of both wrappers, which add the parameters."""

    def _fit(
        self, X: Any, y: Any, sample_weight: Any, *, epochs: int, continue_training: bool, declared: bool = False
    ) -> None:
        with self._restored_on_error():
            callbacks = resolve_callbacks(self.callbacks or ())
            terminated = any(isinstance(callback, TerminateOnNaN) for callback in callbacks)
            fresh = not (continue_training and hasattr(self, "network_"))
            X = take_features(self, X, reset=fresh)
            rows = int(X.shape[0])
            labels, targets = self._encode(y, rows, fresh=fresh and not declared)
            weights = take_weights(sample_weight, rows)
            fraction = check_real("validation_fraction", self.validation_fraction, least=0, below=1)
            if fresh:
                self.network_ = self._network(X, targets)
            else:
                self._continue_network(X, targets)
            try:
                self.network_.fit(
                    X,
                    targets,
                    epochs=epochs,
                    batch_size=self.batch_size,
                    shuffle=self.shuffle,
                    validation_split=fraction,
                    **self._weights_for_fit(weights, labels),
                    callbacks=callbacks,
                    verbose=self.verbose,
                    on_nonfinite=None if terminated else "raise",  # not by check_finite, which is off
                )
            finally:  # also if training stops within an epoch
                self.history_ = self.network_.history
                self.n_iter_ = self.network_.epochs

    def _continue_network(self, X: Array, targets: Host) -> None:
        """Go on with the existing network, after checking that the parameters still describe it."""
        loss, outputs = self._loss_and_outputs(targets)
        network = self.network_
        model = self._model(network.in_shape[0], outputs)  # type: ignore[index]
        metrics = resolve_metrics(self.metrics, loss)
        asked = {"loss": (network.loss, loss), "layers": (network.model, model), "metrics": (network.metrics, metrics)}
        self._use_optimizer(X, self.optimizer, asked)

    def _model(self, inputs: int, outputs: int) -> Sequential:
        layers: Any = [Dense(100), "relu", Dense(outputs)] if self.layers is None else self.layers
        given = layers(inputs, outputs) if callable(layers) else layers
        return given if isinstance(given, Sequential) else Sequential(given)

    def _network(self, X: Array, targets: Host) -> Network:
        loss, outputs = self._loss_and_outputs(targets)
        inputs = int(X.shape[1])
        model = self._model(inputs, outputs)
        if (found := model.build((inputs,)).out_shape) != (outputs,):
            raise ConfigurationError(
                f"layers must give outputs of shape ({outputs},) for this y and {loss}; they give {found}: "
                f"end them with Dense({outputs}), or give a function (inputs, outputs) that returns layers"
            )
        return Network(
            model,
            loss=loss,
            optimizer=self.optimizer,
            metrics=self.metrics,
            backend=self._open(X),
            seed=int(check_random_state(self.random_state).randint(2**31 - 1)),
            inputs=inputs,
            check_finite=False,
        )


class XPClassifier(ClassifierParts, _Wrapper):
    """A network of any layers as a classifier.

    Parameters
    ----------
    layers : sequence of Layer or str, Sequential, or callable, optional
        As for :class:`xpnet.Network`, or a function ``(inputs, outputs) -> layers``, for data whose shape is not known
        yet. Default: one hidden layer of 100 rectified units.
    loss : str or Loss, optional
        One for classes. Default: ``"cross_entropy"``, or ``"binary_cross_entropy"`` for several labels per sample.
    optimizer : str, optimizer or chain
    metrics : sequence of Metric or str, optional
    epochs : int
        Of each call of ``fit``.
    batch_size : int or None
    shuffle : bool or callable
    validation_fraction : float
        Share that is held out, of each class in proportion, and measured after every epoch; 0 for none.
    callbacks : sequence of Callback or str, optional
    class_weight : dict, "balanced" or None
        Weight of each label, for samples that are trained on and those held out.
    warm_start : bool
        Whether ``fit`` goes on where it ended: two fits of 10 epochs equal one of 20, but for callbacks, which begin
        anew in each; :class:`~xpnet.EarlyStopping` ends a fit with its best epoch's weights.
    random_state : int, RandomState or None
    verbose : int or str
    backend, device, dtype, precision
        As for :class:`MLPClassifier`.

    Attributes
    ----------
    network_ : Network
    classes_ : array (classes,)
    history_ : History
    n_iter_ : int
        Epochs in all.
    n_features_in_, feature_names_in_ : int, array

    Raises
    ------
    NonFiniteError
        In training, a loss, a gradient or a weight became NaN or infinite; the network is as it was before that step.
        Not with :class:`~xpnet.TerminateOnNaN` among the callbacks.
    ConfigurationError, DataError, ShapeError, BackendError
        As for :class:`MLPClassifier`.

    Examples
    --------
    >>> from xpnet import Adam, Dense, clouds
    >>> X, y = clouds(points=300, seed=0)
    >>> model = XPClassifier([Dense(16), "relu", Dense(3)], optimizer=Adam(0.02), epochs=20, random_state=0)
    >>> bool(model.fit(X, y).score(X, y) > 0.9)
    True
    """

    @explains_arguments
    def __init__(
        self,
        layers: Any = None,
        *,
        loss: Any = None,
        optimizer: Any = "adam",
        metrics: Sequence[Any] | None = None,
        epochs: int = 50,
        batch_size: int | None = 32,
        shuffle: Any = True,
        validation_fraction: float = 0.0,
        callbacks: Any = None,
        class_weight: Any = None,
        warm_start: bool = False,
        random_state: Any = None,
        verbose: int | str = 0,
        backend: Any = None,
        device: Any = None,
        dtype: str | None = None,
        precision: str | None = None,
    ) -> None:
        self.layers = layers
        self.loss = loss
        self.optimizer = optimizer
        self.metrics = metrics
        self.epochs = epochs
        self.batch_size = batch_size
        self.shuffle = shuffle
        self.validation_fraction = validation_fraction
        self.callbacks = callbacks
        self.class_weight = class_weight
        self.warm_start = warm_start
        self.random_state = random_state
        self.verbose = verbose
        self.backend = backend
        self.device = device
        self.dtype = dtype
        self.precision = precision

    @explains_arguments
    def fit(self, X: Any, y: Any, sample_weight: Any = None) -> XPClassifier:
        """Train on X (N, features) and labels y (N,), or an indicator matrix (N, labels)."""
        self._fit(X, y, sample_weight, epochs=self.epochs, continue_training=self.warm_start)
        return self

    def partial_fit(self, X: Any, y: Any, sample_weight: Any = None, classes: Any = None) -> XPClassifier:
        """Train for one epoch on these samples; the first call has to name all *classes*."""
        if self.class_weight == "balanced":
            raise ConfigurationError("class_weight='balanced' needs all labels at once; give partial_fit a dict")
        with self._restored_on_error():
            self._declare(classes, y)
            self._fit(X, y, sample_weight, epochs=1, continue_training=True, declared=True)
        return self

    def _loss_and_outputs(self, targets: Host) -> tuple[Any, int]:
        suited = "binary_cross_entropy" if self._labels.multilabel else "cross_entropy"
        loss = class_loss(suited if self.loss is None else self.loss)
        return loss, outputs_for(loss, self._labels)


class XPRegressor(RegressorParts, _Wrapper):
    """A network of any layers as a regressor.

    Parameters
    ----------
    layers, optimizer, metrics, epochs, batch_size, shuffle, validation_fraction, callbacks, warm_start, random_state
        As for :class:`XPClassifier`.
    loss : str or Loss
        ``"mse"``, ``"mae"``, ``"huber"``, ``"quantile"``, ``"poisson"``, or a loss of your own.
    verbose, backend, device, dtype, precision
        As for :class:`XPClassifier`.

    Attributes
    ----------
    network_ : Network
    history_ : History
    n_iter_ : int
        Epochs in all.
    n_features_in_, feature_names_in_ : int, array

    Raises
    ------
    NonFiniteError
        In training, a loss, a gradient or a weight became NaN or infinite; the network is as it was before that step.
        Not with :class:`~xpnet.TerminateOnNaN` among the callbacks.
    ConfigurationError, DataError, ShapeError, BackendError
        As for :class:`MLPRegressor`.

    Examples
    --------
    >>> from sklearn.datasets import make_regression
    >>> X, y = make_regression(200, 4, random_state=0)
    >>> model = XPRegressor(optimizer="adam", epochs=200, random_state=0).fit(X, y)
    >>> bool(model.score(X, y) > 0.9)
    True
    """

    @explains_arguments
    def __init__(
        self,
        layers: Any = None,
        *,
        loss: Any = "mse",
        optimizer: Any = "adam",
        metrics: Sequence[Any] | None = None,
        epochs: int = 50,
        batch_size: int | None = 32,
        shuffle: Any = True,
        validation_fraction: float = 0.0,
        callbacks: Any = None,
        warm_start: bool = False,
        random_state: Any = None,
        verbose: int | str = 0,
        backend: Any = None,
        device: Any = None,
        dtype: str | None = None,
        precision: str | None = None,
    ) -> None:
        self.layers = layers
        self.loss = loss
        self.optimizer = optimizer
        self.metrics = metrics
        self.epochs = epochs
        self.batch_size = batch_size
        self.shuffle = shuffle
        self.validation_fraction = validation_fraction
        self.callbacks = callbacks
        self.warm_start = warm_start
        self.random_state = random_state
        self.verbose = verbose
        self.backend = backend
        self.device = device
        self.dtype = dtype
        self.precision = precision

    @explains_arguments
    def fit(self, X: Any, y: Any, sample_weight: Any = None) -> XPRegressor:
        """Train on X (N, features) and targets y (N,) or (N, outputs)."""
        self._fit(X, y, sample_weight, epochs=self.epochs, continue_training=self.warm_start)
        return self

    def partial_fit(self, X: Any, y: Any, sample_weight: Any = None) -> XPRegressor:
        """Train for one epoch on these samples."""
        self._fit(X, y, sample_weight, epochs=1, continue_training=True)
        return self

    def _loss_and_outputs(self, targets: Host) -> tuple[Any, int]:
        return real_loss(self.loss), targets.shape[1]
