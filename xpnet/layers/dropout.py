"""Dropout."""

from __future__ import annotations

from typing import ClassVar

from xpnet.backend import Array
from xpnet.checks import check_real_fields
from xpnet.errors import ConfigurationError
from xpnet.layers.base import Context, Elementwise
from xpnet.parameters import Tree
from xpnet.records import record

__all__ = ["Dropout"]


@record
class Dropout(Elementwise):
    r"""Set each value to 0 with probability ``rate`` while training, and scale the others up.

    .. math:: y = m \odot x, \quad m_i = 0 \text{ with probability } p, \text{ else } 1/(1-p)

    Any shape. Outside training y = x. The mask depends on the seed, the step and the layer's place alone, so it
    is the same on every backend. Srivastava et al. 2014, in the inverted form.

    Parameters
    ----------
    rate : float
        Probability p of dropping a value, ``0 <= rate < 1``, rounded to a multiple of 2**-16. 0.5 is the paper's
        (section 1).

    Raises
    ------
    ConfigurationError
        ``rate`` is not in [0, 1), or is so close to 1 that it is rounded to 1.
    """

    rate: float = 0.5
    random: ClassVar[bool] = True

    def __post_init__(self) -> None:
        check_real_fields(self, "rate", least=0, below=1, hint="; 0.1 is 10 %")
        if round((1 - self.rate) * 65536) < 1:
            raise ConfigurationError(
                f"Dropout.rate is rounded to a multiple of 2**-16, and must be below 1 then, or nothing is kept; "
                f"got {self.rate!r}"
            )

    def forward(self, params: Tree, x: Array, context: Context) -> tuple[Array, Array | None]:
        """Return the masked and scaled x; keep the mask."""
        if not context.training or not self.rate:
            return x, None
        mask = context.xp.nn.dropout_mask(context.key, x.shape, self.rate, x.dtype)
        return x * mask, mask

    def backward(self, params: Tree, mask: Array | None, dy: Array, context: Context) -> tuple[Array, Tree]:
        """Return dx = dy times the same mask."""
        return (dy if mask is None else dy * mask), {}
