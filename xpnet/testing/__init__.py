"""Checks that hold a layer, a loss, an optimizer or a backend to its contract.

For your own as for xpnet's. A check passes silently, or raises :class:`CheckError`, which names what is wrong:

>>> from xpnet.layers import Dense
>>> from xpnet.losses import MeanSquaredError
>>> from xpnet.optimizers import SGD
>>> check_layer(Dense(2), (3,))
>>> check_loss(MeanSquaredError(), [[0.5, -1.0], [2.0, 0.0]])
>>> check_optimizer(SGD(0.1))
>>> check_backend("numpy")

Each runs in float64 and float32 on the backend that is named, and then on every other that is installed, whose
results must be the same up to rounding (``beside=()`` leaves the others out). Install the extra ``strict`` to
have array-api-strict among them: it refuses what is outside the Array API standard, implicit conversions, and mixed
devices, as a GPU would. Everything runs through ``backend.compile``, as it does in a network.
"""

from xpnet.testing.backends import check_backend
from xpnet.testing.comparing import CheckError
from xpnet.testing.layers import check_layer
from xpnet.testing.losses import check_loss
from xpnet.testing.numeric import STEP, TOLERANCE, numeric_gradient
from xpnet.testing.optimizers import check_optimizer

__all__ = [
    "STEP",
    "TOLERANCE",
    "CheckError",
    "check_backend",
    "check_layer",
    "check_loss",
    "check_optimizer",
    "numeric_gradient",
]
