"""xpnet: neural networks written once, run on any array library.

Every public name of the core is an attribute of this package. Each is imported when it is first asked for, so
``import xpnet`` costs next to nothing and imports no array library. The first network imports NumPy, with which the
host draws weights and batches, and the backend's library.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

__version__ = "0.1.0"

if TYPE_CHECKING:
    from xpnet.backend import (
        Backend as Backend,
        BackendInfo as BackendInfo,
        available_backends as available_backends,
        open_backend as open_backend,
    )
    from xpnet.callbacks import (
        Callback as Callback,
        EarlyStopping as EarlyStopping,
        LearningRateScheduler as LearningRateScheduler,
        ModelCheckpoint as ModelCheckpoint,
        ReduceLROnPlateau as ReduceLROnPlateau,
        TerminateOnNaN as TerminateOnNaN,
    )
    from xpnet.checkpoint import (
        load as load,
    )
    from xpnet.data import (
        from_one_hot as from_one_hot,
        one_hot as one_hot,
        split as split,
    )
    from xpnet.datasets import (
        clouds as clouds,
        digits_11x11 as digits_11x11,
        mnist as mnist,
        read_idx as read_idx,
        spiral as spiral,
    )
    from xpnet.errors import (
        ArgumentError as ArgumentError,
        BackendError as BackendError,
        CheckpointError as CheckpointError,
        ConfigurationError as ConfigurationError,
        DataError as DataError,
        DatasetError as DatasetError,
        DtypeError as DtypeError,
        ExportError as ExportError,
        MissingExtraError as MissingExtraError,
        NonFiniteError as NonFiniteError,
        NotBuiltError as NotBuiltError,
        ShapeError as ShapeError,
        XpnetError as XpnetError,
    )
    from xpnet.history import (
        History as History,
    )
    from xpnet.initializers import (
        Constant as Constant,
        GlorotNormal as GlorotNormal,
        GlorotUniform as GlorotUniform,
        HeNormal as HeNormal,
        HeUniform as HeUniform,
        LecunNormal as LecunNormal,
        LecunUniform as LecunUniform,
        Normal as Normal,
        Ones as Ones,
        Orthogonal as Orthogonal,
        Uniform as Uniform,
        Zeros as Zeros,
    )
    from xpnet.layers import (
        ELU as ELU,
        GELU as GELU,
        BatchNorm as BatchNorm,
        Dense as Dense,
        Dropout as Dropout,
        Flatten as Flatten,
        Identity as Identity,
        LayerNorm as LayerNorm,
        LeakyReLU as LeakyReLU,
        ReLU as ReLU,
        Reshape as Reshape,
        Residual as Residual,
        Sequential as Sequential,
        Sigmoid as Sigmoid,
        SiLU as SiLU,
        Softmax as Softmax,
        Softplus as Softplus,
        Step as Step,
        Tanh as Tanh,
    )
    from xpnet.loggers import (
        CSVLogger as CSVLogger,
        JSONLinesLogger as JSONLinesLogger,
    )
    from xpnet.losses import (
        BinaryCrossEntropy as BinaryCrossEntropy,
        CrossEntropy as CrossEntropy,
        Hinge as Hinge,
        Huber as Huber,
        MeanAbsoluteError as MeanAbsoluteError,
        MeanSquaredError as MeanSquaredError,
        Poisson as Poisson,
        Quantile as Quantile,
    )
    from xpnet.metrics import (
        F1 as F1,
        R2 as R2,
        AbsoluteError as AbsoluteError,
        Accuracy as Accuracy,
        Precision as Precision,
        Recall as Recall,
        SquaredError as SquaredError,
        TopKAccuracy as TopKAccuracy,
        accuracy as accuracy,
        classification_report as classification_report,
        confusion_matrix as confusion_matrix,
        mean_absolute_error as mean_absolute_error,
        mean_squared_error as mean_squared_error,
        precision_recall_f1 as precision_recall_f1,
        r2 as r2,
        roc_auc as roc_auc,
        top_k_accuracy as top_k_accuracy,
    )
    from xpnet.network import (
        Network as Network,
    )
    from xpnet.optimizers import (
        L1 as L1,
        L2 as L2,
        SGD as SGD,
        Adadelta as Adadelta,
        Adagrad as Adagrad,
        Adam as Adam,
        AdamW as AdamW,
        ClipByNorm as ClipByNorm,
        ClipByValue as ClipByValue,
        DecoupledWeightDecay as DecoupledWeightDecay,
        ExponentialMovingAverage as ExponentialMovingAverage,
        Lion as Lion,
        MaxNorm as MaxNorm,
        Nadam as Nadam,
        RMSProp as RMSProp,
        chain as chain,
    )
    from xpnet.parameters import (
        Param as Param,
    )
    from xpnet.scaling import (
        MinMaxScaler as MinMaxScaler,
        StandardScaler as StandardScaler,
    )
    from xpnet.schedules import (
        ConstantRate as ConstantRate,
        CosineDecay as CosineDecay,
        ExponentialDecay as ExponentialDecay,
        InverseTimeDecay as InverseTimeDecay,
        OneCycle as OneCycle,
        PiecewiseConstant as PiecewiseConstant,
        StepDecay as StepDecay,
    )
    from xpnet.tensorboard import (
        TensorBoard as TensorBoard,
    )

_HOMES = {
    "backend": "Backend BackendInfo available_backends open_backend",
    "callbacks": "Callback EarlyStopping LearningRateScheduler ModelCheckpoint ReduceLROnPlateau TerminateOnNaN",
    "checkpoint": "load",
    "data": "from_one_hot one_hot split",
    "datasets": "clouds digits_11x11 mnist read_idx spiral",
    "errors": (
        "ArgumentError BackendError CheckpointError ConfigurationError DataError DatasetError DtypeError "
        "ExportError MissingExtraError NonFiniteError NotBuiltError ShapeError XpnetError"
    ),
    "history": "History",
    "initializers": (
        "Constant GlorotNormal GlorotUniform HeNormal HeUniform LecunNormal LecunUniform Normal Ones Orthogonal "
        "Uniform Zeros"
    ),
    "layers": (
        "ELU GELU BatchNorm Dense Dropout Flatten Identity LayerNorm LeakyReLU ReLU Reshape Residual Sequential "
        "SiLU Sigmoid Softmax Softplus Step Tanh"
    ),
    "loggers": "CSVLogger JSONLinesLogger",
    "losses": "BinaryCrossEntropy CrossEntropy Hinge Huber MeanAbsoluteError MeanSquaredError Poisson Quantile",
    "metrics": (
        "F1 R2 AbsoluteError Accuracy Precision Recall SquaredError TopKAccuracy accuracy classification_report "
        "confusion_matrix mean_absolute_error mean_squared_error precision_recall_f1 r2 roc_auc top_k_accuracy"
    ),
    "network": "Network",
    "optimizers": (
        "L1 L2 SGD Adadelta Adagrad Adam AdamW ClipByNorm ClipByValue DecoupledWeightDecay "
        "ExponentialMovingAverage Lion MaxNorm Nadam RMSProp chain"
    ),
    "parameters": "Param",
    "scaling": "MinMaxScaler StandardScaler",
    "schedules": "ConstantRate CosineDecay ExponentialDecay InverseTimeDecay OneCycle PiecewiseConstant StepDecay",
    "tensorboard": "TensorBoard",
}
"""Where each public name lives; the imports above, which type checkers read, say the same (tested)."""

_HOME_OF = {name: home for home, names in _HOMES.items() for name in names.split()}

if not TYPE_CHECKING:  # a checker is to go by the imports above, also for what a star import gives
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
    """List the public names, and none of the modules that happen to be imported: this is what completion shows."""
    return sorted({*_HOME_OF, *(name for name in globals() if name.startswith("__"))})
