"""xpnet: neural networks written once, run on any array library.

Every public name of the core is an attribute of this package. Each is imported when it is first asked for, so
``import xpnet`` costs next to nothing and imports no array library but NumPy.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

__version__ = "0.1.0"

if TYPE_CHECKING:
    from xpnet.backend import (
        Backend as Backend,
    )
    from xpnet.backend import (
        BackendInfo as BackendInfo,
    )
    from xpnet.backend import (
        available_backends as available_backends,
    )
    from xpnet.backend import (
        open_backend as open_backend,
    )
    from xpnet.callbacks import (
        Callback as Callback,
    )
    from xpnet.callbacks import (
        EarlyStopping as EarlyStopping,
    )
    from xpnet.callbacks import (
        LearningRateScheduler as LearningRateScheduler,
    )
    from xpnet.callbacks import (
        ModelCheckpoint as ModelCheckpoint,
    )
    from xpnet.callbacks import (
        ReduceLROnPlateau as ReduceLROnPlateau,
    )
    from xpnet.callbacks import (
        TerminateOnNaN as TerminateOnNaN,
    )
    from xpnet.checkpoint import (
        load as load,
    )
    from xpnet.data import (
        from_one_hot as from_one_hot,
    )
    from xpnet.data import (
        one_hot as one_hot,
    )
    from xpnet.data import (
        split as split,
    )
    from xpnet.datasets import (
        clouds as clouds,
    )
    from xpnet.datasets import (
        digits_11x11 as digits_11x11,
    )
    from xpnet.datasets import (
        mnist as mnist,
    )
    from xpnet.datasets import (
        read_idx as read_idx,
    )
    from xpnet.datasets import (
        spiral as spiral,
    )
    from xpnet.errors import (
        ArgumentError as ArgumentError,
    )
    from xpnet.errors import (
        BackendError as BackendError,
    )
    from xpnet.errors import (
        CheckpointError as CheckpointError,
    )
    from xpnet.errors import (
        ConfigurationError as ConfigurationError,
    )
    from xpnet.errors import (
        DataError as DataError,
    )
    from xpnet.errors import (
        DatasetError as DatasetError,
    )
    from xpnet.errors import (
        DtypeError as DtypeError,
    )
    from xpnet.errors import (
        ExportError as ExportError,
    )
    from xpnet.errors import (
        MissingExtraError as MissingExtraError,
    )
    from xpnet.errors import (
        NonFiniteError as NonFiniteError,
    )
    from xpnet.errors import (
        NotBuiltError as NotBuiltError,
    )
    from xpnet.errors import (
        ShapeError as ShapeError,
    )
    from xpnet.errors import (
        XpnetError as XpnetError,
    )
    from xpnet.history import (
        History as History,
    )
    from xpnet.initializers import (
        Constant as Constant,
    )
    from xpnet.initializers import (
        GlorotNormal as GlorotNormal,
    )
    from xpnet.initializers import (
        GlorotUniform as GlorotUniform,
    )
    from xpnet.initializers import (
        HeNormal as HeNormal,
    )
    from xpnet.initializers import (
        HeUniform as HeUniform,
    )
    from xpnet.initializers import (
        LecunNormal as LecunNormal,
    )
    from xpnet.initializers import (
        LecunUniform as LecunUniform,
    )
    from xpnet.initializers import (
        Normal as Normal,
    )
    from xpnet.initializers import (
        Ones as Ones,
    )
    from xpnet.initializers import (
        Orthogonal as Orthogonal,
    )
    from xpnet.initializers import (
        Uniform as Uniform,
    )
    from xpnet.initializers import (
        Zeros as Zeros,
    )
    from xpnet.layers import (
        ELU as ELU,
    )
    from xpnet.layers import (
        GELU as GELU,
    )
    from xpnet.layers import (
        BatchNorm as BatchNorm,
    )
    from xpnet.layers import (
        Dense as Dense,
    )
    from xpnet.layers import (
        Dropout as Dropout,
    )
    from xpnet.layers import (
        Flatten as Flatten,
    )
    from xpnet.layers import (
        Identity as Identity,
    )
    from xpnet.layers import (
        LayerNorm as LayerNorm,
    )
    from xpnet.layers import (
        LeakyReLU as LeakyReLU,
    )
    from xpnet.layers import (
        ReLU as ReLU,
    )
    from xpnet.layers import (
        Reshape as Reshape,
    )
    from xpnet.layers import (
        Residual as Residual,
    )
    from xpnet.layers import (
        Sequential as Sequential,
    )
    from xpnet.layers import (
        Sigmoid as Sigmoid,
    )
    from xpnet.layers import (
        SiLU as SiLU,
    )
    from xpnet.layers import (
        Softmax as Softmax,
    )
    from xpnet.layers import (
        Softplus as Softplus,
    )
    from xpnet.layers import (
        Step as Step,
    )
    from xpnet.layers import (
        Tanh as Tanh,
    )
    from xpnet.loggers import (
        CSVLogger as CSVLogger,
    )
    from xpnet.loggers import (
        JSONLinesLogger as JSONLinesLogger,
    )
    from xpnet.losses import (
        BinaryCrossEntropy as BinaryCrossEntropy,
    )
    from xpnet.losses import (
        CrossEntropy as CrossEntropy,
    )
    from xpnet.losses import (
        Hinge as Hinge,
    )
    from xpnet.losses import (
        Huber as Huber,
    )
    from xpnet.losses import (
        MeanAbsoluteError as MeanAbsoluteError,
    )
    from xpnet.losses import (
        MeanSquaredError as MeanSquaredError,
    )
    from xpnet.losses import (
        Poisson as Poisson,
    )
    from xpnet.losses import (
        Quantile as Quantile,
    )
    from xpnet.metrics import (
        F1 as F1,
    )
    from xpnet.metrics import (
        R2 as R2,
    )
    from xpnet.metrics import (
        AbsoluteError as AbsoluteError,
    )
    from xpnet.metrics import (
        Accuracy as Accuracy,
    )
    from xpnet.metrics import (
        Precision as Precision,
    )
    from xpnet.metrics import (
        Recall as Recall,
    )
    from xpnet.metrics import (
        SquaredError as SquaredError,
    )
    from xpnet.metrics import (
        TopKAccuracy as TopKAccuracy,
    )
    from xpnet.metrics import (
        accuracy as accuracy,
    )
    from xpnet.metrics import (
        classification_report as classification_report,
    )
    from xpnet.metrics import (
        confusion_matrix as confusion_matrix,
    )
    from xpnet.metrics import (
        mean_absolute_error as mean_absolute_error,
    )
    from xpnet.metrics import (
        mean_squared_error as mean_squared_error,
    )
    from xpnet.metrics import (
        precision_recall_f1 as precision_recall_f1,
    )
    from xpnet.metrics import (
        r2 as r2,
    )
    from xpnet.metrics import (
        roc_auc as roc_auc,
    )
    from xpnet.metrics import (
        top_k_accuracy as top_k_accuracy,
    )
    from xpnet.network import (
        Network as Network,
    )
    from xpnet.optimizers import (
        L1 as L1,
    )
    from xpnet.optimizers import (
        L2 as L2,
    )
    from xpnet.optimizers import (
        SGD as SGD,
    )
    from xpnet.optimizers import (
        Adadelta as Adadelta,
    )
    from xpnet.optimizers import (
        Adagrad as Adagrad,
    )
    from xpnet.optimizers import (
        Adam as Adam,
    )
    from xpnet.optimizers import (
        AdamW as AdamW,
    )
    from xpnet.optimizers import (
        ClipByNorm as ClipByNorm,
    )
    from xpnet.optimizers import (
        ClipByValue as ClipByValue,
    )
    from xpnet.optimizers import (
        DecoupledWeightDecay as DecoupledWeightDecay,
    )
    from xpnet.optimizers import (
        ExponentialMovingAverage as ExponentialMovingAverage,
    )
    from xpnet.optimizers import (
        Lion as Lion,
    )
    from xpnet.optimizers import (
        MaxNorm as MaxNorm,
    )
    from xpnet.optimizers import (
        Nadam as Nadam,
    )
    from xpnet.optimizers import (
        RMSProp as RMSProp,
    )
    from xpnet.optimizers import (
        chain as chain,
    )
    from xpnet.parameters import (
        Param as Param,
    )
    from xpnet.scaling import (
        MinMaxScaler as MinMaxScaler,
    )
    from xpnet.scaling import (
        StandardScaler as StandardScaler,
    )
    from xpnet.schedules import (
        ConstantRate as ConstantRate,
    )
    from xpnet.schedules import (
        CosineDecay as CosineDecay,
    )
    from xpnet.schedules import (
        ExponentialDecay as ExponentialDecay,
    )
    from xpnet.schedules import (
        InverseTimeDecay as InverseTimeDecay,
    )
    from xpnet.schedules import (
        OneCycle as OneCycle,
    )
    from xpnet.schedules import (
        PiecewiseConstant as PiecewiseConstant,
    )
    from xpnet.schedules import (
        StepDecay as StepDecay,
    )
    from xpnet.tensorboard import (
        TensorBoard as TensorBoard,
    )

_HOMES = {
    "backend": ("Backend", "BackendInfo", "available_backends", "open_backend"),
    "callbacks": (
        "Callback",
        "EarlyStopping",
        "LearningRateScheduler",
        "ModelCheckpoint",
        "ReduceLROnPlateau",
        "TerminateOnNaN",
    ),
    "checkpoint": ("load",),
    "data": ("from_one_hot", "one_hot", "split"),
    "datasets": ("clouds", "digits_11x11", "mnist", "read_idx", "spiral"),
    "errors": (
        "ArgumentError",
        "BackendError",
        "CheckpointError",
        "ConfigurationError",
        "DataError",
        "DatasetError",
        "DtypeError",
        "ExportError",
        "MissingExtraError",
        "NonFiniteError",
        "NotBuiltError",
        "ShapeError",
        "XpnetError",
    ),
    "history": ("History",),
    "initializers": (
        "Constant",
        "GlorotNormal",
        "GlorotUniform",
        "HeNormal",
        "HeUniform",
        "LecunNormal",
        "LecunUniform",
        "Normal",
        "Ones",
        "Orthogonal",
        "Uniform",
        "Zeros",
    ),
    "layers": (
        "ELU",
        "GELU",
        "BatchNorm",
        "Dense",
        "Dropout",
        "Flatten",
        "Identity",
        "LayerNorm",
        "LeakyReLU",
        "ReLU",
        "Reshape",
        "Residual",
        "Sequential",
        "SiLU",
        "Sigmoid",
        "Softmax",
        "Softplus",
        "Step",
        "Tanh",
    ),
    "loggers": ("CSVLogger", "JSONLinesLogger"),
    "losses": (
        "BinaryCrossEntropy",
        "CrossEntropy",
        "Hinge",
        "Huber",
        "MeanAbsoluteError",
        "MeanSquaredError",
        "Poisson",
        "Quantile",
    ),
    "metrics": (
        "F1",
        "R2",
        "AbsoluteError",
        "Accuracy",
        "Precision",
        "Recall",
        "SquaredError",
        "TopKAccuracy",
        "accuracy",
        "classification_report",
        "confusion_matrix",
        "mean_absolute_error",
        "mean_squared_error",
        "precision_recall_f1",
        "r2",
        "roc_auc",
        "top_k_accuracy",
    ),
    "network": ("Network",),
    "optimizers": (
        "L1",
        "L2",
        "SGD",
        "Adadelta",
        "Adagrad",
        "Adam",
        "AdamW",
        "ClipByNorm",
        "ClipByValue",
        "DecoupledWeightDecay",
        "ExponentialMovingAverage",
        "Lion",
        "MaxNorm",
        "Nadam",
        "RMSProp",
        "chain",
    ),
    "parameters": ("Param",),
    "scaling": ("MinMaxScaler", "StandardScaler"),
    "schedules": (
        "ConstantRate",
        "CosineDecay",
        "ExponentialDecay",
        "InverseTimeDecay",
        "OneCycle",
        "PiecewiseConstant",
        "StepDecay",
    ),
    "tensorboard": ("TensorBoard",),
}
"""Where each public name lives; the imports above, which type checkers read, say the same (tested)."""

_HOME_OF = {name: home for home, names in _HOMES.items() for name in names}

__all__ = ["__version__", *sorted(_HOME_OF)]


def __getattr__(name: str) -> object:
    from importlib import import_module
    from importlib.util import find_spec

    if name in _HOME_OF:
        value = getattr(import_module(f"xpnet.{_HOME_OF[name]}"), name)
        globals()[name] = value
        return value
    if not name.startswith("_") and find_spec(f"xpnet.{name}"):
        raise AttributeError(f"module 'xpnet.{name}' is not imported yet: write import xpnet.{name}", name=name)
    from xpnet.errors import unknown_attribute

    raise unknown_attribute("xpnet", name, known=__all__)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
