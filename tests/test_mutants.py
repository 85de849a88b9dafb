"""The kinds of mistakes that gradients have, planted in our own sources: the public checks notice each.

``nox -s mutation`` plants all of them, some 1,500; here is one or more of each kind.
"""

from __future__ import annotations

import importlib
import sys
from functools import partial
from pathlib import Path

import numpy as np
import pytest

from xpnet import losses, optimizers
from xpnet.layers import GELU, BatchNorm, Dense, Dropout, LayerNorm, Sigmoid, Softmax
from xpnet.testing import check_layer, check_loss, check_optimizer

sys.path.insert(0, str(Path(__file__).parent / "soak"))
from mutants import mutants, plant, unchanged
from mutation import TARGETS

ROOT = Path(__file__).parent.parent
PLACE = "array-api-strict"
"""Has no faster replacements for what the mistakes are planted in."""


def layer(record, shape=(3,)):
    return partial(check_layer, record, shape, backend=PLACE, beside=())


def loss(record, y):
    return partial(check_loss, record, y, out_shape=(3,), backend=PLACE, beside=())


def optimizer(record, expected=None):
    return partial(check_optimizer, record, expected=expected, backend=PLACE, beside=())


def sgd(gradients, params, rates):
    return params - sum(rate * g for g, rate in zip(gradients, rates, strict=True))


LABELS, REAL = [0, 2, 1, 1], np.arange(12.0).reshape(4, 3) / 7
NN, NORM, SMOOTH = "xpnet/nn.py", "xpnet/layers/normalization.py", "xpnet/layers/activations.py"
PLANTED = [
    (SMOOTH, "dy * y * (1.0 - y)  ->  dy * y / (1.0 - y)", layer(Sigmoid())),  # another operator
    (SMOOTH, "1.0 - y  ->  y - 1.0", layer(Sigmoid())),  # a sign
    (SMOOTH, "3.0 * _GELU_CUBE  ->  _GELU_CUBE", layer(GELU())),  # a dropped factor
    (SMOOTH, "dy - context.xp.sum(dy * y, axis=-1, keepdims=True)  ->  dy", layer(Softmax())),  # a missing sum
    (NN, "xp.matrix_transpose(xp.nn.operand(weight))  ->  xp.nn.operand(weight)", layer(Dense(3))),  # a transposition
    (NN, "xp.sum(slopes, axis=0)  ->  xp.mean(slopes, axis=0)", layer(Dense(2))),  # a mean for a sum
    (NN, "one more: 0  ->  1", layer(Dense(2))),  # the wrong axis
    (NN, "variance + epsilon  ->  variance", layer(BatchNorm())),  # no epsilon: not finite where all are equal
    (NN, "dy * normalized  ->  dy", layer(BatchNorm())),  # a term of the statistics' gradient
    (NN, "normalized * xp.mean(dy * normalized, axis=axes, keepdims=True)  ->  normalized", layer(LayerNorm())),
    (NN, "a step left out: dx *= inverse  ->  pass", layer(LayerNorm())),
    (NORM, "dy * params['gamma']  ->  dy", layer(BatchNorm())),
    (NORM, "xp.sum(dy * normalized, axis=axes)  ->  xp.mean(dy * normalized, axis=axes)", layer(BatchNorm())),
    ("xpnet/layers/dropout.py", "swapped branches", layer(Dropout(0.5))),
    (NN, "logits - xp.max(logits, axis=-1, keepdims=True)  ->  logits", loss(losses.CrossEntropy(), LABELS)),
    ("xpnet/losses/real.py", "scores - targets  ->  targets - scores", loss(losses.MeanSquaredError(), REAL)),
    ("xpnet/losses/real.py", "2.0 * error  ->  error", loss(losses.MeanSquaredError(), REAL)),
    ("xpnet/losses/real.py", "xp.sign(error)  ->  error", loss(losses.MeanAbsoluteError(), REAL)),
    (
        "xpnet/optimizers/rules.py",
        "params -= now.learning_rate * gradient  ->  params +=",
        optimizer(optimizers.SGD(0.1)),
    ),
    ("xpnet/optimizers/rules.py", "now.learning_rate * gradient  ->  gradient", optimizer(optimizers.SGD(0.1), sgd)),
]


def found(path, what):
    """Return the mutants of a module whose mistake reads like *what*, and the module without any."""
    source = (ROOT / path).read_text(encoding="utf-8")
    return [mutant for mutant in mutants(source) if what in mutant.what], unchanged(source)


@pytest.mark.filterwarnings("ignore")  # of what a mistake leads to, such as a division by 0
@pytest.mark.parametrize(("path", "what", "check"), PLANTED, ids=[what for _, what, _ in PLANTED])
def test_a_planted_mistake_is_noticed(path, what, check):
    pytest.importorskip("array_api_strict")
    module = importlib.import_module(path.removesuffix(".py").replace("/", "."))
    planted, plain = found(path, what)
    assert planted, "no such mistake can be planted any more: choose another one of its kind"
    check()
    noticed = []
    for mutant in planted:
        plant(module, mutant)
        try:
            check()
        except Exception:  # a CheckError, or shapes that do not fit
            noticed.append(mutant)
        finally:
            plant(module, plain)
    assert noticed
    check()


@pytest.mark.parametrize("path", TARGETS)
def test_a_module_planted_without_a_mistake_is_as_before(path):
    module = importlib.import_module(path.removesuffix(".py").replace("/", "."))
    classes = {name: value for name, value in vars(module).items() if isinstance(value, type)}
    before = {name: dict(vars(value)) for name, value in classes.items()}
    _, plain = found(path, "nothing")
    plant(module, plain)
    assert {name: dict(vars(value)) for name, value in classes.items()} == before
