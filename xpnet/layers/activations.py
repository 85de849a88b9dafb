"""Activations: functions without parameters, all but the softmax elementwise, each beside its derivative.

``initializer`` names the first weights that suit the layer before; see :mod:`xpnet.initializers`.
"""

from __future__ import annotations

from math import pi, sqrt
from typing import ClassVar

from xpnet.backend import Array
from xpnet.checks import check_real_fields
from xpnet.layers.base import Built, Context, Elementwise, check_rank
from xpnet.parameters import Shape, Tree
from xpnet.records import record

__all__ = [
    "ELU",
    "GELU",
    "Identity",
    "LeakyReLU",
    "ReLU",
    "SiLU",
    "Sigmoid",
    "Softmax",
    "Softplus",
    "Step",
    "Tanh",
]


@record
class Identity(Elementwise):
    """y = x, any shape. The linear activation."""

    initializer: ClassVar[str] = "glorot_uniform"

    def forward(self, params: Tree, x: Array, context: Context) -> tuple[Array, None]:
        """Return x itself."""
        return x, None

    def backward(self, params: Tree, residuals: None, dy: Array, context: Context) -> tuple[Array, Tree]:
        """Return dx = dy."""
        return dy, {}


@record
class Sigmoid(Elementwise):
    r"""Logistic function :math:`y = 1/(1+e^{-x})`, any shape, values in (0, 1)."""

    initializer: ClassVar[str] = "glorot_uniform"

    def forward(self, params: Tree, x: Array, context: Context) -> tuple[Array, Array]:
        """Return y; keep y."""
        y = context.xp.nn.sigmoid(x)
        return y, y

    def backward(self, params: Tree, y: Array, dy: Array, context: Context) -> tuple[Array, Tree]:
        """Return dx = dy y (1 - y)."""
        return dy * y * (1.0 - y), {}


@record
class Tanh(Elementwise):
    """Hyperbolic tangent, any shape, values in (-1, 1)."""

    initializer: ClassVar[str] = "glorot_uniform"

    def forward(self, params: Tree, x: Array, context: Context) -> tuple[Array, Array]:
        """Return y = tanh(x); keep y."""
        y = context.xp.tanh(x)
        return y, y

    def backward(self, params: Tree, y: Array, dy: Array, context: Context) -> tuple[Array, Tree]:
        """Return dx = dy (1 - y²)."""
        return dy * (1.0 - y * y), {}


@record
class ReLU(Elementwise):
    """Rectified linear unit y = max(x, 0), any shape (Nair and Hinton 2010)."""

    initializer: ClassVar[str] = "he_normal"

    def forward(self, params: Tree, x: Array, context: Context) -> tuple[Array, Array]:
        """Return y; keep y: x > 0 exactly where y > 0."""
        y = context.xp.maximum(x, 0.0)
        return y, y

    def backward(self, params: Tree, y: Array, dy: Array, context: Context) -> tuple[Array, Tree]:
        """Return dx = dy where y > 0, else 0 (0 at x = 0)."""
        return dy * context.xp.astype(y > 0.0, dy.dtype), {}


@record
class LeakyReLU(Elementwise):
    """y = x for x > 0, else ``slope`` x, any shape (Maas et al. 2013, slope 0.01).

    Raises
    ------
    ConfigurationError
        ``slope`` is not a finite number.
    """

    slope: float = 0.01
    initializer: ClassVar[str] = "he_normal"

    def __post_init__(self) -> None:
        check_real_fields(self, "slope")

    def forward(self, params: Tree, x: Array, context: Context) -> tuple[Array, Array]:
        """Return y; keep x."""
        return context.xp.where(x > 0.0, x, self.slope * x), x

    def backward(self, params: Tree, x: Array, dy: Array, context: Context) -> tuple[Array, Tree]:
        """Return dx = dy where x > 0, else slope dy."""
        return context.xp.where(x > 0.0, dy, self.slope * dy), {}


@record
class ELU(Elementwise):
    r"""y = x for x > 0, else :math:`\alpha (e^x - 1)`, any shape (Clevert et al. 2016, alpha 1).

    Raises
    ------
    ConfigurationError
        ``alpha`` is not a finite number.
    """

    alpha: float = 1.0
    initializer: ClassVar[str] = "he_normal"

    def __post_init__(self) -> None:
        check_real_fields(self, "alpha")

    def forward(self, params: Tree, x: Array, context: Context) -> tuple[Array, tuple[Array, Array]]:
        """Return y; keep x and the exponential part."""
        xp = context.xp
        low = self.alpha * xp.expm1(xp.minimum(x, 0.0))  # the exponential never sees a positive number
        return xp.where(x > 0.0, x, low), (x, low)

    def backward(self, params: Tree, residuals: tuple[Array, Array], dy: Array, context: Context) -> tuple[Array, Tree]:
        """Return dx = dy where x > 0, else dy alpha exp(x)."""
        x, low = residuals
        return context.xp.where(x > 0.0, dy, dy * (low + self.alpha)), {}


@record
class GELU(Elementwise):
    r"""Gaussian error linear unit in its tanh form, any shape.

    .. math:: y = x (1 + \tanh u) / 2, \quad u = \sqrt{2/\pi}\,(x + 0.044715\,x^3)

    The Array API has no error function, so this is the form that PyTorch calls ``approximate="tanh"``; it
    differs from the exact one by at most 5e-4. Hendrycks and Gimpel 2016, section 2.
    """

    initializer: ClassVar[str] = "he_normal"

    def forward(self, params: Tree, x: Array, context: Context) -> tuple[Array, tuple[Array, Array]]:
        """Return y; keep tanh u, and x up to where tanh u is constant."""
        xp = context.xp
        near = xp.maximum(xp.minimum(x, _GELU_END), -_GELU_END)  # the cube of a huge number would be infinite
        t = xp.tanh(_GELU_SCALE * (near + _GELU_CUBE * (near * near * near)))
        return 0.5 * x * (1.0 + t), (near, t)

    def backward(self, params: Tree, residuals: tuple[Array, Array], dy: Array, context: Context) -> tuple[Array, Tree]:
        """Return dx = dy ((1 + t) / 2 + x (1 - t²) u' / 2)."""
        x, t = residuals
        du = _GELU_SCALE * (1.0 + 3.0 * _GELU_CUBE * (x * x))
        return dy * (0.5 * (1.0 + t) + 0.5 * x * (1.0 - t * t) * du), {}


_GELU_SCALE = sqrt(2 / pi)
_GELU_CUBE = 0.044715
_GELU_END = 10.0  # from here on u is above 43, and tanh u is 1 to the last bit of float64


@record
class SiLU(Elementwise):
    """Sigmoid linear unit y = x sigmoid(x), also called swish, any shape (Elfwing et al. 2018)."""

    initializer: ClassVar[str] = "he_normal"

    def forward(self, params: Tree, x: Array, context: Context) -> tuple[Array, tuple[Array, Array]]:
        """Return y; keep x and sigmoid(x)."""
        s = context.xp.nn.sigmoid(x)
        return x * s, (x, s)

    def backward(self, params: Tree, residuals: tuple[Array, Array], dy: Array, context: Context) -> tuple[Array, Tree]:
        """Return dx = dy s (1 + x (1 - s))."""
        x, s = residuals
        return dy * s * (1.0 + x * (1.0 - s)), {}


@record
class Softplus(Elementwise):
    """y = log(1 + exp(x)), any shape, values above 0 (Dugas et al. 2001)."""

    initializer: ClassVar[str] = "he_normal"

    def forward(self, params: Tree, x: Array, context: Context) -> tuple[Array, Array]:
        """Return y; keep x."""
        return context.xp.nn.softplus(x), x

    def backward(self, params: Tree, x: Array, dy: Array, context: Context) -> tuple[Array, Tree]:
        """Return dx = dy sigmoid(x)."""
        return dy * context.xp.nn.sigmoid(x), {}


@record
class Step(Elementwise):
    """y = 1 for x > 0, else 0, any shape: Rosenblatt's threshold unit.

    Its derivative is 0 wherever it exists, so nothing before it learns. It is there to run hand-set
    perceptrons.
    """

    initializer: ClassVar[str] = "glorot_uniform"

    def forward(self, params: Tree, x: Array, context: Context) -> tuple[Array, None]:
        """Return y."""
        return context.xp.astype(x > 0.0, x.dtype), None

    def backward(self, params: Tree, residuals: None, dy: Array, context: Context) -> tuple[Array, Tree]:
        """Return dx = 0."""
        return context.xp.zeros_like(dy), {}


@record
class Softmax:
    r"""Probabilities :math:`y_i = e^{x_i} / \sum_j e^{x_j}` over the last axis.

    The losses take logits and apply it themselves, so it is for attention-like inner layers and for networks
    that only predict.

    Raises
    ------
    ShapeError
        At build: the input is one number per example, without an axis.
    """

    initializer: ClassVar[str] = "glorot_uniform"

    def build(self, in_shape: Shape) -> Built:
        """Keep the shape."""
        check_rank(self, in_shape)
        return Built(in_shape)

    def forward(self, params: Tree, x: Array, context: Context) -> tuple[Array, Array]:
        """Return y; keep y."""
        y = context.xp.nn.softmax(x)
        return y, y

    def backward(self, params: Tree, y: Array, dy: Array, context: Context) -> tuple[Array, Tree]:
        """Return dx = y (dy - sum(dy y))."""
        return y * (dy - context.xp.sum(dy * y, axis=-1, keepdims=True)), {}
