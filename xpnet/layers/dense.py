"""The fully connected layer."""

from __future__ import annotations

from xpnet import initializers
from xpnet.backend import Array
from xpnet.checks import check_flag_fields, check_integer_fields
from xpnet.initializers import Initializer
from xpnet.layers.base import Built, Context, check_rank
from xpnet.parameters import Param, Shape, Tree
from xpnet.records import record
from xpnet.registry import resolve

__all__ = ["Dense"]


@record
class Dense:
    r"""Fully connected layer.

    .. math:: y = x W + b

    Shapes: x (N, inputs), W (inputs, units), b (units,), y (N, units). Further axes between the first and
    the last are kept. The products stand in ``xpnet/nn.py`` (``linear``, ``linear_backward``).

    Parameters
    ----------
    units : int
        Number of outputs.
    bias : bool
        Whether b is added.
    weight_initializer : Initializer or str, optional
        First values of W. Default: what suits the activation that follows, ``he_normal`` for ReLU and its
        kin, ``glorot_uniform`` otherwise.
    bias_initializer : Initializer or str
        First values of b.

    Raises
    ------
    ConfigurationError
        ``units`` is not a positive integer, ``bias`` is no bool, or an initializer is unknown.
    ShapeError
        At build: the input is one number per example, without an axis.

    Examples
    --------
    >>> Dense(10).build((784,)).out_shape
    (10,)
    """

    units: int
    bias: bool = True
    weight_initializer: Initializer | str | None = None
    bias_initializer: Initializer | str = "zeros"

    def __post_init__(self) -> None:
        word = isinstance(self.units, str) and self.units.isidentifier()
        named = f". An activation is a layer of its own: [Dense(8), {self.units!r}, ...]" if word else ""
        check_integer_fields(self, "units", hint=named)
        check_flag_fields(
            self, "bias", hint=". The inputs are counted in the data; an activation is a layer of its own"
        )
        for field in ("weight_initializer", "bias_initializer"):
            self._initializer(field)  # an unknown name is refused here, not at build

    def build(self, in_shape: Shape) -> Built:
        """Declare W and b."""
        check_rank(self, in_shape)
        params = {"weight": Param((in_shape[-1], self.units), self._initializer("weight_initializer"))}
        if self.bias:
            params["bias"] = Param((self.units,), self._initializer("bias_initializer"), decay=False)
        return Built((*in_shape[:-1], self.units), params)

    def forward(self, params: Tree, x: Array, context: Context) -> tuple[Array, Array]:
        """Return x W + b; keep x."""
        return context.xp.nn.linear(x, params["weight"], params.get("bias")), x

    def backward(self, params: Tree, x: Array, dy: Array, context: Context) -> tuple[Array | None, Tree]:
        r"""Return :math:`dx = dy\,W^T`, :math:`dW = x^T dy`, :math:`db = \sum_n dy_n`."""
        dx, dweight, dbias = context.xp.nn.linear_backward(x, params["weight"], dy, context.input_gradient)
        gradients = {"weight": dweight, "bias": dbias} if self.bias else {"weight": dweight}
        return dx, gradients

    def _initializer(self, field: str) -> Initializer | None:
        recipe = getattr(self, field)
        return None if recipe is None else resolve("initializer", recipe, initializers.NAMES, field)
