"""Hyper-parameters: each default, and the edges of what is allowed."""

from __future__ import annotations

from dataclasses import MISSING, fields

import pytest

import xpnet
from xpnet import layers, losses, optimizers, schedules
from xpnet.layers import ELU, BatchNorm, Dense, Dropout, LayerNorm, LeakyReLU, Reshape, Residual, Sequential
from xpnet.losses import (
    BinaryCrossEntropy,
    CrossEntropy,
    Hinge,
    Huber,
    MeanAbsoluteError,
    MeanSquaredError,
    Poisson,
    Quantile,
)
from xpnet.optimizers import (
    L1,
    L2,
    SGD,
    Adadelta,
    Adagrad,
    Adam,
    AdamW,
    Chain,
    ClipByNorm,
    ClipByValue,
    DecoupledWeightDecay,
    ExponentialMovingAverage,
    Lion,
    MaxNorm,
    Nadam,
    RMSProp,
)
from xpnet.schedules import (
    ConstantRate,
    CosineDecay,
    ExponentialDecay,
    InverseTimeDecay,
    OneCycle,
    PiecewiseConstant,
    StepDecay,
)

NEEDED = {
    Dense: (1,),
    Reshape: ((1,),),
    Sequential: (["relu"],),
    Residual: (["relu"],),
    Chain: ((SGD(),),),
    ConstantRate: (0.1,),
    InverseTimeDecay: (0.1, 0.1),
    StepDecay: (0.1, 2),
    ExponentialDecay: (0.1, 2),
    CosineDecay: (0.1, 2),
    OneCycle: (0.1, 2),
    PiecewiseConstant: ((1,), (0.1, 0.2)),
}
"""What has to be given."""

DEFAULTS = {
    Dense: (True, None, "zeros"),
    Residual: (None,),
    Dropout: (0.5,),
    BatchNorm: (0.9, 1e-5),
    LayerNorm: (1e-5,),
    LeakyReLU: (0.01,),
    ELU: (1.0,),
    CrossEntropy: (0.0, "mean"),
    BinaryCrossEntropy: ("mean",),
    MeanSquaredError: ("mean",),
    MeanAbsoluteError: ("mean",),
    Huber: (1.0, "mean"),
    Poisson: ("mean",),
    Hinge: ("mean",),
    Quantile: (0.5, "mean"),
    SGD: (0.01, 0.0, False),
    Adam: (1e-3, 0.9, 0.999, 1e-8),
    AdamW: (1e-3, 0.9, 0.999, 1e-8, 0.01),
    Nadam: (2e-3, 0.9, 0.999, 1e-8, 4e-3),
    RMSProp: (1e-3, 0.9, 1e-8),
    Adagrad: (0.01, 1e-10),
    Adadelta: (1.0, 0.95, 1e-6),
    Lion: (1e-4, 0.9, 0.99),
    ClipByValue: (1.0,),
    ClipByNorm: (1.0,),
    L1: (1e-5,),
    L2: (1e-4,),
    DecoupledWeightDecay: (0.01,),
    MaxNorm: (3.0,),
    ExponentialMovingAverage: (0.999,),
    InverseTimeDecay: (1,),
    StepDecay: (0.1,),
    ExponentialDecay: (0.1,),
    CosineDecay: (0, 0.0, False),
    OneCycle: (0.3, 25.0, 1e4),
}
"""What a field holds that is not given, in the order of the fields."""

PUBLIC = [
    found
    for module in (layers, losses, optimizers, schedules)
    for name in module.__all__
    if hasattr(found := getattr(module, name), "__dataclass_fields__") and found is not layers.Built
]


def optional(cls):
    return [field.name for field in fields(cls) if not (field.default is field.default_factory is MISSING)]


@pytest.mark.parametrize("cls", PUBLIC, ids=lambda cls: cls.__name__)
def test_a_field_that_is_not_given_holds_its_default(cls):
    record = cls(*NEEDED.get(cls, ()))
    names = [] if cls is Chain else optional(cls)
    assert tuple(getattr(record, name) for name in names) == DEFAULTS.get(cls, ())


MOST = 2**53
EDGES = [
    # class, field, values that are taken, values that are not
    (Dropout, "rate", (0.0, 0.5, 1 - 2**-16), (-0.1, 1.0, 1 - 2**-18)),
    (BatchNorm, "momentum", (0.0, 0.5), (-0.1, 1.0)),
    (BatchNorm, "epsilon", (1e-12, 0.5), (0.0,)),
    (LayerNorm, "epsilon", (1e-12, 0.5), (0.0,)),
    (Dense, "units", (1,), (0,)),
    (CrossEntropy, "label_smoothing", (0.0, 0.5), (-0.1, 1.0)),
    (Huber, "delta", (0.5,), (0.0,)),
    (Quantile, "quantile", (0.1, 0.9), (0.0, 1.0)),
    *(
        (rule, "learning_rate", (1e-9, 0.5), (0.0,))
        for rule in (SGD, Adam, AdamW, Nadam, RMSProp, Adagrad, Adadelta, Lion)
    ),
    *((rule, beta, (0.0, 0.5), (-0.1, 1.0)) for rule in (Adam, AdamW, Nadam, Lion) for beta in ("beta1", "beta2")),
    *((rule, "rho", (0.0, 0.5), (-0.1, 1.0)) for rule in (RMSProp, Adadelta)),
    *((rule, "epsilon", (0.0, 0.5), (-1e-9,)) for rule in (Adam, AdamW, Nadam, RMSProp, Adagrad)),
    (SGD, "momentum", (0.0, 0.5), (-0.1, 1.0)),
    (AdamW, "weight_decay", (0.0, 0.5), (-0.1,)),
    (Nadam, "momentum_decay", (0.0, 0.5), (-0.1,)),
    (Adadelta, "epsilon", (1e-12, 0.5), (0.0,)),
    *((link, "limit", (1e-9, 0.5), (0.0,)) for link in (ClipByValue, ClipByNorm, MaxNorm)),
    *((link, "rate", (0.0, 0.5), (-0.1,)) for link in (L1, L2, DecoupledWeightDecay)),
    (ExponentialMovingAverage, "decay", (0.0, 0.5), (-0.1, 1.0)),
    *((rule, "rate", (1e-9, 0.5), (0.0,)) for rule in (ConstantRate, InverseTimeDecay, StepDecay, ExponentialDecay)),
    *((rule, "rate", (1e-9, 0.5), (0.0,)) for rule in (CosineDecay, OneCycle)),
    *((rule, "every", (1, MOST), (0, MOST + 1)) for rule in (InverseTimeDecay, StepDecay, ExponentialDecay)),
    *((rule, "factor", (1e-9, 0.5), (0.0,)) for rule in (StepDecay, ExponentialDecay)),
    *((rule, "steps", (1, MOST), (0, MOST + 1)) for rule in (CosineDecay, OneCycle)),
    (InverseTimeDecay, "decay", (0.0, 0.5), (-0.1,)),
    (CosineDecay, "warmup", (0, MOST), (-1, MOST + 1)),
    (CosineDecay, "final", (0.0, 0.5), (-0.1,)),
    (OneCycle, "rise", (0.01, 0.9), (0.0, 1.0)),
    *((OneCycle, divisor, (0.5,), (0.0,)) for divisor in ("start_divisor", "end_divisor")),
    (PiecewiseConstant, "boundaries", ((1,), (MOST,)), ((0,), (MOST + 1,))),
    (PiecewiseConstant, "rates", ((0.0, 0.0),), ((-0.1, 0.1),)),
]


@pytest.mark.parametrize(
    ("cls", "field", "taken", "refused"), EDGES, ids=[f"{cls.__name__}.{field}" for cls, field, *_ in EDGES]
)
def test_hyper_parameters_are_taken_up_to_their_edges(cls, field, taken, refused):
    given = dict(zip([each.name for each in fields(cls)], NEEDED.get(cls, ()), strict=False))
    for value in taken:
        assert getattr(cls(**{**given, field: value}), field) == value
    for value in refused:
        with pytest.raises(xpnet.ConfigurationError, match=field):
            cls(**{**given, field: value})
