"""The loss that an estimator minimizes, and the factors by which scikit-learn scales and reports it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from xpnet import losses
from xpnet.backend import open_backend
from xpnet.errors import ConfigurationError
from xpnet.losses import BinaryCrossEntropy, CrossEntropy, MeanSquaredError, Poisson
from xpnet.records import record
from xpnet.registry import resolve

if TYPE_CHECKING:
    from xpnet.losses import Loss
    from xpnet.sklearn.labels import Labels

__all__ = [
    "Objective",
    "class_loss",
    "classifier_objective",
    "out_activation",
    "outputs_for",
    "real_loss",
    "regressor_objective",
]


@record
class Objective:
    """A loss of xpnet, which averages over K outputs, and how scikit-learn scales it.

    Attributes
    ----------
    loss : Loss
    outputs : int
        K.
    scale : float
        What the gradient is multiplied by: where the loss goes by scikit-learn's name, the sum over outputs.
    report : float
        What the reported value is multiplied by. scikit-learn reports the mean over outputs of half the squared
        error, whose sum it descends, and sums of the other two.
    """

    loss: Any
    outputs: int
    scale: float = 1.0
    report: float = 1.0


def classifier_objective(loss: Loss | str, labels: Labels) -> Objective:
    """Return what ``"log_loss"``, a name of ours or a loss means for these labels."""
    if loss != "log_loss":
        found = class_loss(loss)
        return Objective(found, outputs_for(found, labels))
    classes = len(labels.classes)
    if labels.multilabel:
        return Objective(BinaryCrossEntropy(), classes, float(classes), float(classes))
    return Objective(BinaryCrossEntropy(), 1) if labels.binary else Objective(CrossEntropy(), classes)


def regressor_objective(loss: Loss | str, outputs: int) -> Objective:
    """Return what ``"squared_error"``, ``"poisson"``, a name of ours or a loss means for so many outputs."""
    if loss == "squared_error":
        return Objective(MeanSquaredError(), outputs, 0.5 * outputs, 0.5)
    if isinstance(loss, int | list | tuple):
        raise ConfigurationError(
            f"loss must be a name or a loss; got {loss!r}: it is the first argument; write hidden_layer_sizes={loss!r}"
        )
    if loss == "poisson":
        return Objective(Poisson(), outputs, float(outputs), float(outputs))
    return Objective(real_loss(loss), outputs)


def class_loss(loss: Loss | str) -> Loss:
    """Return the loss for a name or an object, which must be one for classes."""
    found: Loss = resolve("loss", loss, losses.NAMES)
    if not hasattr(found, "classify"):
        raise ConfigurationError(f"a classifier needs a loss for classes; got {found}: use a regressor")
    return found


def real_loss(loss: Loss | str) -> Loss:
    """Return the loss for a name or an object, which must be one for real targets."""
    found: Loss = resolve("loss", loss, losses.NAMES)
    if hasattr(found, "classify"):
        raise ConfigurationError(f"a regressor needs a loss for real targets; got {found}: use a classifier")
    return found


def outputs_for(loss: Loss, labels: Labels) -> int:
    """Return the network's number of outputs: one for two classes, if the loss supports that.

    Raises
    ------
    ConfigurationError
        Samples may have several labels, and the loss is for one class of several.
    """
    if labels.multilabel and not _answers_each_output(loss, len(labels.classes)):
        raise ConfigurationError(
            f"y is an indicator matrix, a column of 0 and 1 for each label, of which a sample may have several; {loss} "
            "is for one class of several: give class labels, y.argmax(axis=1) for one-hot rows, or for several labels "
            "use loss='binary_cross_entropy'"
        )
    if not labels.binary:
        return len(labels.classes)
    try:
        loss.check((1,))
    except ConfigurationError:
        return 2
    return 1


def _answers_each_output(loss: Any, outputs: int) -> bool:
    """Say whether the loss's classes are an answer for each of so many outputs, (N, K), and not one class, (N,)."""
    xp = open_backend("numpy").xp
    return len(loss.classify(xp.zeros((1, outputs), dtype=xp.float32), xp).shape) == 2


def out_activation(loss: Any) -> str:
    """Return scikit-learn's name for the output activation of a loss."""
    known = {CrossEntropy: "softmax", BinaryCrossEntropy: "logistic", Poisson: "exp"}
    return next((name for kind, name in known.items() if isinstance(loss, kind)), "identity")
