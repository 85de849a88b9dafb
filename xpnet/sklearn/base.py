"""Base classes of all estimators: prediction, scores, and scikit-learn's tags."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import wraps
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np
from array_api_compat import array_namespace
from sklearn.base import BaseEstimator, ClassifierMixin, RegressorMixin, _fit_context
from sklearn.metrics import accuracy_score, r2_score
from sklearn.utils._param_validation import InvalidParameterError
from sklearn.utils.class_weight import compute_class_weight, compute_sample_weight
from sklearn.utils.metaestimators import available_if
from sklearn.utils.validation import check_is_fitted

from xpnet.arrays import Host
from xpnet.backend import Array, Backend
from xpnet.checks import check_real
from xpnet.configuration import resolve_optimizer
from xpnet.errors import ConfigurationError, DataError
from xpnet.layers.names import NAMES as layer_names
from xpnet.losses import Hinge
from xpnet.optimizers import Optimizer
from xpnet.records import differ, record
from xpnet.sklearn.inputs import (
    check_same_library,
    dense_targets,
    host_values,
    is_foreign,
    open_for,
    take_features,
    take_targets,
    to_library_of,
)
from xpnet.sklearn.labels import Labels

if TYPE_CHECKING:
    from xpnet.network import Network

__all__ = ["ClassifierParts", "NetworkEstimator", "RegressorParts", "offered_if", "validated"]

COMPUTE_PARAMETERS = "backend", "device", "dtype", "precision"
"""Parameters that say where and how precisely a network computes."""

Method = TypeVar("Method", bound=Callable[..., Any])


def validated(method: Method) -> Method:
    """Decorate a method that fits with scikit-learn's validation of parameters, and keep its type.

    Where the activation is one of ours that scikit-learn has not, the error says how to have it.
    """
    found = _fit_context(prefer_skip_nested_validation=True)(method)

    @wraps(found)
    def call(self: Any, *args: Any, **kwargs: Any) -> Any:
        try:
            return found(self, *args, **kwargs)
        except InvalidParameterError as error:
            name = self.activation
            if "'activation' parameter" not in str(error) or not isinstance(name, str) or name not in layer_names:
                raise
            told = InvalidParameterError(f"{error} Others go by layers=[Dense(100), {name!r}], the hidden layers")
        raise told

    return call  # type: ignore[return-value]


def offered_if(check: Callable[[Any], bool]) -> Callable[[Method], Method]:
    """Decorate a method with scikit-learn's ``available_if``, and keep its type."""
    found: Callable[[Method], Method] = available_if(check)
    return found


class NetworkEstimator(BaseEstimator):
    """An estimator whose fitted state is a :class:`xpnet.Network`, ``network_``."""

    network_: Network
    n_features_in_: int
    feature_names_in_: Host

    def _run(self, method: str, X: Any, called: str) -> tuple[Array, Array]:
        """Call a method of the network with X; return the result, on the network's backend, and the checked X."""
        check_is_fitted(self, "network_")
        X = take_features(self, X, reset=False)
        check_same_library(self, X, called)
        return getattr(self.network_, method)(X), X

    @contextmanager
    def _restored_on_error(self) -> Iterator[None]:
        """Restore the estimator's attributes if an error is raised before the first step of training."""
        before = dict(vars(self))
        old = before.get("network_")
        steps = 0 if old is None else old.steps
        try:
            yield
        except Exception:
            network = vars(self).get("network_")
            if network is None or network.steps == (steps if network is old else 0):
                self.__dict__.clear()
                self.__dict__.update(before)
            raise

    def set_params(self, **params: Any) -> Any:
        """Set parameters by name, and return the estimator.

        Raises
        ------
        ConfigurationError
            A name refers to a part of a parameter, such as an optimizer's rate; records can only be set as a whole.
        """
        for name in params:
            whole, _, part = name.partition("__")
            if part and whole in self.get_params(deep=False) and not hasattr(getattr(self, whole), "set_params"):
                raise ConfigurationError(
                    f"{name}: {whole} has no parameters to be set one by one; set it as a whole, {whole}=..., and "
                    "search over several, such as {'optimizer': [Adam(0.01), Adam(0.1)]}"
                )
        return super().set_params(**params)

    def _open(self, X: Array) -> Backend:
        """Open the backend that the parameters ask for, and remember what they asked for."""
        self._place = self._asked_place()
        return open_for(self, X)

    def _asked_place(self) -> tuple[Any, ...]:
        return tuple(getattr(self, name) for name in COMPUTE_PARAMETERS)

    def _use_optimizer(self, X: Array, optimizer: Optimizer | str, asked: dict[str, tuple[Any, Any]]) -> None:
        """Go on with this optimizer, after checking that no other parameter has changed since the network was made.

        Parameters
        ----------
        X : Array
        optimizer : Optimizer or str
        asked : dict
            By the names of parameters: what the network was made with, and what is asked for now.

        Raises
        ------
        ConfigurationError
            One has changed, or another backend, device, dtype or precision is asked for.
        """
        changed = [
            name
            for name, now, made in zip(COMPUTE_PARAMETERS, self._asked_place(), self._place, strict=True)
            if now != made
        ]
        if changed and isinstance(self.backend, Backend):
            changed = [*COMPUTE_PARAMETERS]  # a Backend decides all four
        if changed:  # else X, which may be of another library or dtype, is converted
            there, now = _place(self.network_.backend), _place(open_for(self, X))
            asked = asked | {name: (there[name], now[name]) for name in changed}
        for name, (made, wanted) in asked.items():
            if differ(made, wanted):
                have = "have" if " and " in name else "has"
                raise ConfigurationError(
                    f"{name} {have} been changed since the network was made, which training goes on with: it has "
                    f"{made}; got {wanted}. Set {name} back, or fit anew with warm_start=False"
                )
        wanted = resolve_optimizer(optimizer)
        if wanted != self.network_.optimizer:
            self.network_ = self.network_.with_optimizer(wanted)

    def __sklearn_is_fitted__(self) -> bool:
        """Say whether there is a network."""
        return hasattr(self, "network_")

    def __sklearn_tags__(self) -> Any:
        """Tell scikit-learn that arrays of other libraries and sparse matrices are taken."""
        tags = super().__sklearn_tags__()
        tags.array_api_support = True
        tags.input_tags.sparse = True
        return tags


def _place(backend: Backend) -> dict[str, str]:
    values = backend.name, str(backend.device), backend.dtype, backend.precision
    return dict(zip(COMPUTE_PARAMETERS, values, strict=True))


def _gives_probabilities(estimator: Any) -> bool:
    network = getattr(estimator, "network_", None)
    loss = estimator.loss if network is None else network.loss
    if isinstance(loss, Hinge) or loss == "hinge":
        raise AttributeError("loss 'hinge' gives margins, not probabilities: use decision_function")
    return True


def _gives_margins(estimator: Any) -> bool:
    try:
        _gives_probabilities(estimator)
    except AttributeError:
        return True
    raise AttributeError("this loss gives probabilities: use predict_proba")


class ClassifierParts(ClassifierMixin):
    """Labels in and out, probabilities and accuracy."""

    _labels: Labels
    network_: Network

    @property
    def classes_(self) -> Host:
        """Class labels, sorted, as NumPy array."""
        if not hasattr(self, "_labels"):
            raise AttributeError(f"{type(self).__name__} has no classes_ before it is fitted")
        return self._labels.classes

    def predict(self, X: Any) -> Array:
        """Return the predicted labels (N,), or an indicator matrix (N, labels).

        Parameters
        ----------
        X : array (N, features)
            A list, frame, sparse matrix, or an array of any library.

        Returns
        -------
        array
            In the library and on the device of X; text as NumPy array.
        """
        found, X = self._run("classify", X, "predict")
        backend = self.network_.backend
        labels = self._labels.decode(np.asarray(backend.to_numpy(found)))
        if labels.dtype.kind not in "iufb" or not is_foreign(X):
            return labels  # by way of a device, they would lose what its types cannot hold
        return to_library_of(backend.asarray(labels), backend, X)

    @offered_if(_gives_probabilities)
    def predict_proba(self, X: Any) -> Array:
        """Return the probability of each class, (N, classes), in the library and on the device of X."""
        return self._probabilities(X, "predict_proba")

    @offered_if(_gives_probabilities)
    def predict_log_proba(self, X: Any) -> Array:
        """Return the logarithm of :meth:`predict_proba`."""
        probabilities = self._probabilities(X, "predict_log_proba")
        with np.errstate(divide="ignore"):
            return array_namespace(probabilities).log(probabilities)

    @offered_if(_gives_margins)
    def decision_function(self, X: Any) -> Array:
        """Return the raw scores: (N,) for two classes, above 0 for the second one, else (N, classes)."""
        found, X = self._run("forward", X, "decision_function")
        scores = to_library_of(found, self.network_.backend, X)
        return scores[:, 0] if scores.shape[1] == 1 else scores

    def score(self, X: Any, y: Any, sample_weight: Any = None) -> float:
        """Return the accuracy, of several labels the share of samples with all of them right."""
        found = host_values(self.predict(X), "predictions")
        return float(accuracy_score(host_values(y, "y"), found, sample_weight=_host_weights(sample_weight)))

    def _probabilities(self, X: Any, called: str) -> Array:
        found, X = self._run("predict", X, called)
        backend = self.network_.backend
        columns = _Columns(backend.xp, len(self.classes_))
        if self._labels.binary and found.shape[1] == 1:
            found = backend.compile(columns.of_one)(found)
        elif found.shape[1] > len(self.classes_):  # a loss that needs two outputs, and data of one class
            found = backend.compile(columns.of_several)(found)
        return to_library_of(found, backend, X)

    def _encode(self, y: Any, rows: int, *, fresh: bool, same: bool = False) -> tuple[Host, Host]:
        """Return y's labels and class numbers; *fresh* learns the classes, *same* wants all of them."""
        y = take_targets(self, y, rows, numeric=False)
        if fresh:
            self._labels = Labels.of(y)
        elif same and y.ndim == 1 and not self._labels.multilabel and not self._labels.same(y):
            raise DataError(
                "warm_start can only be used where `y` has the same classes as in the previous call to fit. "
                f"Previously got {self.classes_}, `y` has {np.unique(y)}"
            )
        return y, self._labels.encode(y)

    def _declare(self, classes: Any, y: Any) -> None:
        """Hold the classes of the first ``partial_fit``, and the later ones against them."""
        if not hasattr(self, "_labels"):
            if classes is None:
                raise ConfigurationError("classes must be passed on the first call to partial_fit.")
            declared = Labels.of(np.asarray(dense_targets(y)))
            classes = np.asarray(host_values(classes, "classes"))
            self._labels = declared if declared.multilabel else Labels.of(classes)
        elif classes is not None and not self._labels.same(host_values(classes, "classes")):
            raise ConfigurationError(
                f"`classes={classes!r}` is not the same as on last call to partial_fit, was: {self.classes_!r}"
            )

    def _weigh(self, weights: Host | None, y: Host, what: str = "sample") -> Host | None:
        """Return the samples' weights times those of their classes; *what* each sample is, errors say."""
        if self.class_weight is None:
            return weights
        by_class: Host
        self._check_class_weight()
        if isinstance(self.class_weight, dict) and not self._labels.multilabel:
            by_class = self._class_table(y)[self._labels.encode(y)]  # these samples may lack a class that has a weight
        else:
            by_class = compute_sample_weight(self.class_weight, y)
        if not by_class.any():
            raise DataError(
                f"class_weight={self.class_weight!r} is 0 for the class of every {what}; at least one must be above 0"
            )
        return by_class if weights is None else weights * by_class

    def _weigh_held_out(self, weights: Host | None, y: Host, trained: Host) -> Host | None:
        """Return held-out samples' weights times those of their classes, which hang on the labels *trained* on."""
        if not isinstance(self.class_weight, str):
            return self._weigh(weights, y, "sample that is held out (y_val, or early_stopping's share)")
        self._check_class_weight()
        both, first = np.concatenate([trained, y]), np.arange(len(trained))
        by_class: Host = compute_sample_weight("balanced", both, indices=first)[len(trained) :]
        by_class[by_class == 0.0] = 1.0  # of a class that is not trained on
        return by_class if weights is None else weights * by_class

    def _check_class_weight(self) -> None:
        """Raise ConfigurationError unless it is made of weights as :func:`xpnet.Network.fit` takes them."""
        given = self.class_weight
        several = self._labels.multilabel and isinstance(given, list)
        if not (several or isinstance(given, dict | None) or (isinstance(given, str) and given == "balanced")):
            raise ConfigurationError(
                f"class_weight must be a mapping of classes to weights, 'balanced' or None; got {given!r}"
            )
        for table in given if several else [given]:
            for label, weight in table.items() if isinstance(table, dict) else ():
                check_real(f"class_weight[{label!r}]", weight, least=0)

    def _weights_for_fit(self, weights: Host | None, y: Host) -> dict[str, Any]:
        """Return ``Network.fit``'s arguments for weights."""
        self._check_class_weight()
        by_class = self.class_weight
        if self._labels.multilabel:
            return {"sample_weight": self._weigh(weights, y)}
        if isinstance(by_class, dict):
            by_class = dict(enumerate(self._class_table(y).tolist()))
        return {"sample_weight": weights, "class_weight": by_class}

    def _class_table(self, y: Host) -> Host:
        table: Host = compute_class_weight(self.class_weight, classes=self.classes_, y=y)
        return table

    def _score_encoded(self, X: Array, y: Host, sample_weight: Host | None) -> float:
        """Return the accuracy against class numbers."""
        found = np.asarray(self.network_.backend.to_numpy(self.network_.classify(X)))
        return float(accuracy_score(y, found.reshape(y.shape), sample_weight=sample_weight))

    def __sklearn_tags__(self) -> Any:
        """Tell scikit-learn that samples may have several labels."""
        tags = super().__sklearn_tags__()
        tags.classifier_tags.multi_label = True
        return tags


@record
class _Columns:
    """One column of probabilities for each class: a record, by which a backend knows what it has compiled."""

    xp: Any
    classes: int

    def of_one(self, second: Array) -> Array:
        """Return them from the probability of the second class, (N, 1)."""
        if self.classes == 1:
            return self.xp.ones_like(second)
        return self.xp.concat([1.0 - second, second], axis=1)

    def of_several(self, outputs: Array) -> Array:
        """Return the outputs; of a single class, of which there are two, 1."""
        return self.xp.ones_like(outputs[:, :1]) if self.classes == 1 else outputs


class RegressorParts(RegressorMixin):
    """Real targets, one or several, and the coefficient of determination."""

    network_: Network

    def predict(self, X: Any) -> Array:
        """Return the predictions: (N,) for one output, else (N, outputs).

        Parameters
        ----------
        X : array (N, features)
            A list, frame, sparse matrix, or an array of any library.

        Returns
        -------
        array
            In the library and on the device of X.
        """
        found, X = self._run("predict", X, "predict")
        found = to_library_of(found, self.network_.backend, X)
        return found[:, 0] if found.shape[1] == 1 else found

    def score(self, X: Any, y: Any, sample_weight: Any = None) -> float:
        """Return the coefficient of determination, averaged over outputs."""
        found = host_values(self.predict(X), "predictions")
        return float(r2_score(host_values(y, "y"), found, sample_weight=_host_weights(sample_weight)))

    def _encode(self, y: Any, rows: int, *, fresh: bool, same: bool = False) -> tuple[Host, Host]:
        """Return y twice, the second time with a column for each output; unless *fresh*, as many as there were."""
        y = take_targets(self, y, rows, numeric=True)
        targets = y.reshape(rows, -1)
        outputs = targets.shape[1]
        if not fresh and hasattr(self, "network_") and (outputs,) != self.network_.out_shape:
            (made,) = self.network_.out_shape
            raise DataError(
                f"y must have {made} output{'s' * (made != 1)} as in the first call; got {outputs}: give such a y, or "
                "fit anew with warm_start=False"
            )
        return y, targets

    def _weigh(self, weights: Host | None, y: Host) -> Host | None:
        return weights

    def _weigh_held_out(self, weights: Host | None, y: Host, trained: Host) -> Host | None:
        return weights

    def _weights_for_fit(self, weights: Host | None, y: Host) -> dict[str, Any]:
        return {"sample_weight": weights}

    def _score_encoded(self, X: Array, y: Host, sample_weight: Host | None) -> float:
        """Return the coefficient of determination, NaN where predictions are not finite."""
        found = np.asarray(self.network_.backend.to_numpy(self.network_.predict(X)))
        return float(r2_score(y, found, sample_weight=sample_weight)) if np.isfinite(found).all() else float("nan")

    def __sklearn_tags__(self) -> Any:
        """Tell scikit-learn that there may be several targets."""
        tags = super().__sklearn_tags__()
        tags.target_tags.multi_output = True
        return tags


def _host_weights(sample_weight: Any) -> Any:
    return None if sample_weight is None else host_values(sample_weight, "sample_weight")
