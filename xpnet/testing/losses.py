"""Check a loss: a value for each example, and its slope in that example's scores."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np

from xpnet import losses
from xpnet.arrays import Host
from xpnet.backend import Array, Backend
from xpnet.configuration import resolve_metrics
from xpnet.losses import Loss
from xpnet.losses.base import check_reduction
from xpnet.parameters import Shape
from xpnet.random import host_stream
from xpnet.registry import check_returned, resolve
from xpnet.testing.comparing import check_finite, check_same, check_shapes, require
from xpnet.testing.comparison_backends import (
    PARITY,
    arrays_to_host,
    open_float32,
    open_float64,
    other_backends,
    to_device,
)
from xpnet.testing.extremes import LARGE, extremes
from xpnet.testing.numeric import TOLERANCE, check_gradients, numeric_gradient
from xpnet.testing.records import check_record
from xpnet.testing.user_code import check_array, raising_check_errors

__all__ = ["check_loss"]

METHODS = {"link": "link", "classes": "classify", "true classes": "true_classes"}
"""The methods that give what is not of the call."""

ANY_SCORE = "; a network's scores may be any numbers: bring them into a range in the loss, by xp.nn.softplus say"


def check_loss(
    loss: Loss,
    y: Any,
    *,
    scores: Any = None,
    out_shape: Shape | None = None,
    backend: str | Backend = "numpy",
    beside: Iterable[str | Backend] | None = None,
    seed: int = 0,
    tolerance: float = TOLERANCE,
    largest: float = LARGE,
) -> None:
    """Hold a loss to its contract: a value for each example and its slope in that example's scores.

    It is a frozen record that a file brings back equal. Shapes are right; slopes equal numeric ones, and no
    example's loss depends on another's scores; the same arguments give the same results, and none is written to.
    float32 stays float32, near the same numbers, and so do other backends. The link and, where a loss has them,
    the classes fit the scores. Scores that are huge, tiny, denormal, 0 or all equal give finite losses and slopes.

    Parameters
    ----------
    loss : Loss
    y : array (N, ...)
        Targets, as a user gives them.
    scores : array (N, *out_shape), optional
        Away from the kinks of the loss. Default: random, of the order of 1.
    out_shape : tuple of int, optional
        Shape of one output. Default: that of *scores*, else of y's rows.
    backend, beside, seed, tolerance, largest
        As for :func:`check_layer`.

    Raises
    ------
    CheckError
        The loss breaks the contract, or raises an error of its own; the message says in which method, and where.
    ConfigurationError
        It is no loss: a class, a function, or an object that lacks a method; or it refuses outputs of this shape.
    DataError, DtypeError, ShapeError
        ``y`` does not fit it.
    """
    loss = resolve("loss", loss, losses.NAMES)
    backend = open_float64(backend)
    beside = other_backends(backend, beside)
    where = f"{loss}"
    y = np.asarray(y)
    if scores is None:
        shape = out_shape or y.shape[1:]
        scores = host_stream(seed, "check").normal(size=(len(y), *shape))
    scores = np.array(scores, dtype=np.float64)
    _check_declared(where, loss, scores.shape[1:])
    targets = _checked_targets(where, loss, y, scores.shape[1:])
    run = _LossRun(loss, targets, backend)
    first, again = run.results(scores), run.results(scores)
    run.check_untouched(where, targets)
    check_finite(where, first, f"scores of up to {float(np.max(np.abs(scores), initial=0.0)):.3g}{ANY_SCORE}")
    for name, values in first.items():
        require(np.array_equal(values, again[name]), where, f"the same arguments give other {name} a second time")
    like = {"losses": scores.reshape(len(scores), -1)[:, 0], "slopes": scores, "link": scores}
    check_shapes(where, first, like, backend.dtype)
    _check_classes(where, first, len(scores))
    # With different weights, so that no example can be mistaken for another.
    weights = host_stream(seed, "weights").normal(size=len(scores))
    slopes = weights.reshape(-1, *(1 for _ in scores.shape[1:])) * first["slopes"]
    numeric = numeric_gradient(lambda values: run.results(values)["losses"], scores, weights)
    check_gradients(where, {"slopes": slopes}, {"slopes": numeric}, tolerance)
    narrowed = _LossRun(loss, targets, open_float32(backend))
    for other in (narrowed, *(_LossRun(loss, targets, there) for there in beside)):
        there = f"{where} on {other.backend.name} in {other.backend.dtype}"
        found = other.results(scores)
        check_shapes(there, found, like, other.backend.dtype)
        check_gradients(there, found, {name: first[name] for name in like}, PARITY[other.backend.dtype])
    for each in (run, narrowed):
        for what, values in extremes(scores.shape, each.backend.dtype, largest):
            check_finite(f"{where} in {each.backend.dtype}", each.results(values), what)
    check_record(loss, where)


def _check_declared(where: str, loss: Any, out_shape: Shape) -> None:
    """Hold what a network asks of a loss beside its call: reduction, metrics, ``check`` for outputs of this shape."""
    raising_check_errors("loss", loss, where, check_reduction)(loss.reduction)
    for metric in raising_check_errors("loss", loss, where, resolve_metrics)(None, loss):
        raising_check_errors("loss", loss, where, metric.check)(loss, out_shape)
    returned = loss.check(out_shape)
    require(returned is None, where, f"check() must raise ConfigurationError, or return nothing; got {returned!r}")


def _checked_targets(where: str, loss: Any, y: Host, out_shape: Shape) -> Host:
    """Return the loss's targets for y, after checking that they are numbers and that y is unchanged."""
    given = np.array(y)
    targets = np.array(raising_check_errors("loss", loss, where, loss.targets)(y, out_shape))
    require(targets.dtype.kind in "biuf", where, f"targets() must return a NumPy array of numbers; got {targets!r}")
    require(np.array_equal(y, given), where, "targets() writes to y")
    return targets


class _LossRun:
    """A loss on one backend, from host scores and to host arrays by name."""

    def __init__(self, loss: Loss, targets: Host, backend: Backend) -> None:
        self.loss, self.backend = loss, backend
        kind = backend.xp.int32 if targets.dtype.kind in "iu" else backend.float
        self.targets = backend.asarray(targets.copy(), dtype=kind)
        where = f"{loss} on {backend.name} in {backend.dtype}"
        self.compiled = raising_check_errors("loss", loss, where, backend.compile(self._all))
        self.scores: Array = None
        self.before: Host = targets

    def _all(self, scores: Array, targets: Array) -> dict[str, Array]:
        xp = self.backend.xp
        values, slopes = check_returned("loss", self.loss, "__call__", self.loss(scores, targets, xp))
        found = {"losses": values, "slopes": slopes, "link": self.loss.link(scores, xp)}
        if hasattr(self.loss, "classify"):
            found["classes"] = self.loss.classify(scores, xp)
            found["true classes"] = self.loss.true_classes(targets, xp)  # type: ignore[attr-defined]
        for name, array in found.items():
            check_array(self.loss, METHODS.get(name, "__call__"), name, array)
        return found

    def results(self, scores: Host) -> dict[str, Host]:
        self.before = scores
        self.scores = to_device(scores, self.backend)
        return arrays_to_host(self.compiled(self.scores, self.targets), self.backend)

    def check_untouched(self, where: str, targets: Host) -> None:
        """Raise CheckError if the last run has changed its arguments."""
        check_same(where, "scores", self.backend.to_numpy(self.scores), self.before)
        check_same(where, "targets", self.backend.to_numpy(self.targets), targets)


def _check_classes(where: str, found: dict[str, Host], rows: int) -> None:
    if "classes" not in found:
        return
    classes, true = found["classes"], found["true classes"]
    require(classes.shape == true.shape, where, f"classify() gives {classes.shape}, true_classes() {true.shape}")
    require(len(classes) == rows, where, f"classify() must give one entry for each of {rows} rows; got {len(classes)}")
    for name, values in (("classify", classes), ("true_classes", true)):
        require(values.dtype.kind in "iu", where, f"{name}() must give integers; got {values.dtype}")
