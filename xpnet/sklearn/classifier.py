"""scikit-learn's perceptron for classes: its parameters, attributes and results, on any array library."""

from __future__ import annotations

from typing import Any, ClassVar

from sklearn.neural_network import MLPClassifier as _Theirs

from xpnet.arguments import explains_arguments
from xpnet.arrays import Host
from xpnet.errors import ConfigurationError
from xpnet.sklearn.base import ClassifierParts, offered_if, validated
from xpnet.sklearn.objective import Objective, classifier_objective
from xpnet.sklearn.perceptron import CONSTRAINTS, Perceptron, is_stochastic

__all__ = ["MLPClassifier"]


class MLPClassifier(ClassifierParts, Perceptron):
    """Multi-layer perceptron for classes: scikit-learn's, with more to it.

    Same parameters, attributes and, from the same ``random_state``, the same numbers up to rounding.

    Parameters
    ----------
    hidden_layer_sizes : int or sequence of int
        Units of each hidden layer.
    activation : {"identity", "logistic", "tanh", "relu"}
        Of the hidden layers.
    solver : {"lbfgs", "sgd", "adam"}
        "lbfgs" looks at all data at once, on the host's optimizer, and suits small data.
    alpha : float
        Strength of the L2 penalty, which is divided by the weight (number of samples) of the batch.
    batch_size : int or "auto"
        Samples in a step; "auto" is min(200, n_samples).
    learning_rate : {"constant", "invscaling", "adaptive"}
        For "sgd": stays, falls as ``learning_rate_init / (t_ + 1)**power_t`` after each epoch, or is divided by 5
        where training would stop.
    learning_rate_init, power_t : float
        First learning rate, and the exponent of "invscaling".
    max_iter : int
        Most epochs of one call of ``fit``.
    shuffle : bool
        Whether rows come in a new order every epoch.
    random_state : int, RandomState or None
        Decides weights, order and split, in scikit-learn's own order of random numbers, and dropout.
    tol, n_iter_no_change : float, int
        Training stops after more than ``n_iter_no_change`` epochs that have not improved the loss (or with early
        stopping the score) by ``tol``.
    verbose : bool
        Whether every epoch's loss is printed.
    warm_start : bool
        Whether ``fit`` goes on where it ended: with the weights, the optimizer's state and the order of random
        numbers, so that for "sgd" and "adam" two fits of 10 epochs equal one of 20. With ``early_stopping`` they
        do not, as a fit ends with its best epoch's weights, nor with callbacks that begin anew in each.
    momentum, nesterovs_momentum : float, bool
        For "sgd".
    early_stopping, validation_fraction : bool, float
        Whether that share of the samples is held out, scored after every epoch, and decides when to stop and whose
        weights are kept.
    beta_1, beta_2, epsilon : float
        For "adam".
    max_fun : int
        Most evaluations of "lbfgs".
    dropout : float
        Probability of dropping a hidden unit's output while training, 0 for none.
    batch_norm : bool
        Whether hidden layers are batch-normalized before their activation.
    layers : sequence of Layer or str, optional
        Hidden layers of your own, instead of ``hidden_layer_sizes``, ``activation``, ``dropout`` and
        ``batch_norm``; the output layer is added.
    callbacks : sequence of Callback or str, optional
        See :mod:`xpnet.callbacks`; for "sgd" and "adam", as "lbfgs" has no epochs.
    backend : str or Backend, optional
        The array library that computes; X is converted, and results are converted back. Default: X's own library.
    device : object, optional
        In the library's terms. Default: that of X, or of a named backend.
    dtype : {"float32", "float64"}, optional
        Default: float32 for X of float32 and narrower, and beside a precision, else float64.
    precision : "bfloat16", optional
        What numbers are rounded to that layers multiply as matrices; see :class:`~xpnet.Network`. Default: the dtype.
    loss : str or Loss
        "log_loss" is cross-entropy, with one output for two classes; else a loss of xpnet, or its name.
    class_weight : dict, "balanced" or None
        Weight of each label, for samples that are trained on and those held out.

    Attributes
    ----------
    classes_ : array (classes,)
        Labels, sorted.
    network_ : Network
        The trained network.
    history_ : History
        Of every epoch, without the penalty: ``loss``, ``accuracy``, ``learning_rate``, and where samples are held out
        the same with ``val_``.
    loss_curve_, loss_ : list of float, float
        The loss of each epoch, with the penalty, and the last one.
    best_loss_ : float or None
        The lowest loss; None with early stopping.
    validation_scores_, best_validation_score_ : list of float or None, float or None
        Scores on the held-out samples, with early stopping.
    coefs_, intercepts_ : tuple of array
        Weights (inputs, units) and biases (units,) of the dense layers: copies, which are set as a whole,
        ``model.coefs_ = [...]``.
    n_iter_, t_ : int
        Epochs of the last call of ``fit``, and samples seen in all.
    n_layers_, n_outputs_, out_activation_ : int, int, str
        Dense layers and the input, outputs, and what is made of the last layer's scores.
    n_features_in_, feature_names_in_ : int, array
        Of X; the names where X is a frame.

    Raises
    ------
    ConfigurationError, DataError, ShapeError, BackendError
        A parameter or the data is unusable, or a backend cannot be had; scikit-learn's own errors (``ValueError``)
        where its validation finds the fault.

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> from sklearn.preprocessing import scale
    >>> X, y = load_iris(return_X_y=True)
    >>> model = MLPClassifier((16,), dropout=0.1, learning_rate_init=0.02, tol=1e-3, random_state=0).fit(scale(X), y)
    >>> bool(model.score(scale(X), y) > 0.95)
    True
    """

    _parameter_constraints: ClassVar[dict[str, Any]] = {
        **_Theirs._parameter_constraints,
        **CONSTRAINTS,
        "class_weight": "no_validation",
    }

    @explains_arguments
    def __init__(
        self,
        hidden_layer_sizes: Any = (100,),
        activation: str = "relu",
        *,
        solver: str = "adam",
        alpha: float = 0.0001,
        batch_size: int | str = "auto",
        learning_rate: str = "constant",
        learning_rate_init: float = 0.001,
        power_t: float = 0.5,
        max_iter: int = 200,
        shuffle: bool = True,
        random_state: Any = None,
        tol: float = 1e-4,
        verbose: bool = False,
        warm_start: bool = False,
        momentum: float = 0.9,
        nesterovs_momentum: bool = True,
        early_stopping: bool = False,
        validation_fraction: float = 0.1,
        beta_1: float = 0.9,
        beta_2: float = 0.999,
        epsilon: float = 1e-8,
        n_iter_no_change: int = 10,
        max_fun: int = 15000,
        loss: Any = "log_loss",
        class_weight: Any = None,
        dropout: float = 0.0,
        batch_norm: bool = False,
        layers: Any = None,
        callbacks: Any = None,
        backend: Any = None,
        device: Any = None,
        dtype: str | None = None,
        precision: str | None = None,
    ) -> None:
        self.hidden_layer_sizes = hidden_layer_sizes
        self.activation = activation
        self.solver = solver
        self.alpha = alpha
        self.batch_size = batch_size
        self.learning_rate = learning_rate
        self.learning_rate_init = learning_rate_init
        self.power_t = power_t
        self.max_iter = max_iter
        self.shuffle = shuffle
        self.random_state = random_state
        self.tol = tol
        self.verbose = verbose
        self.warm_start = warm_start
        self.momentum = momentum
        self.nesterovs_momentum = nesterovs_momentum
        self.early_stopping = early_stopping
        self.validation_fraction = validation_fraction
        self.beta_1 = beta_1
        self.beta_2 = beta_2
        self.epsilon = epsilon
        self.n_iter_no_change = n_iter_no_change
        self.max_fun = max_fun
        self.loss = loss
        self.class_weight = class_weight
        self.dropout = dropout
        self.batch_norm = batch_norm
        self.layers = layers
        self.callbacks = callbacks
        self.backend = backend
        self.device = device
        self.dtype = dtype
        self.precision = precision

    @explains_arguments
    @validated
    def fit(
        self,
        X: Any,
        y: Any,
        sample_weight: Any = None,
        *,
        X_val: Any = None,
        y_val: Any = None,
        sample_weight_val: Any = None,
    ) -> MLPClassifier:
        """Train on X (N, features) and labels y (N,), or an indicator matrix (N, labels).

        Parameters
        ----------
        X : array (N, features)
            A list, frame, sparse matrix (made dense), or an array of any library, on any device.
        y : array (N,) or (N, labels)
            Labels of any type.
        sample_weight : array (N,), optional
            A weight of 2 counts as the sample twice in the loss and its gradient; ``BatchNorm`` counts all rows alike.
        X_val, y_val, sample_weight_val : optional
            Held-out samples of your own: measured after every epoch, and the ones that early stopping goes by; for
            "sgd" and "adam".
        """
        self._fit(X, y, sample_weight, (X_val, y_val, sample_weight_val))
        return self

    @offered_if(is_stochastic)
    @validated
    def partial_fit(self, X: Any, y: Any, sample_weight: Any = None, classes: Any = None) -> MLPClassifier:
        """Train for one epoch on these samples; the first call has to name all *classes*."""
        if self.class_weight == "balanced":
            raise ConfigurationError("class_weight='balanced' needs all labels at once; give partial_fit a dict")
        with self._restored_on_error():
            self._declare(classes, y)
            self._fit(X, y, sample_weight, incremental=True)
        return self

    def _objective(self, targets: Host) -> Objective:
        return classifier_objective(self.loss, self._labels)

    def _strata(self, targets: Host) -> Host | None:
        """Return what a split keeps the shares of: the classes where there are two, as scikit-learn does."""
        return targets if self._labels.binary else None
