r"""First values of parameters, drawn on the host so that every backend starts from the same numbers.

An initializer is called with a NumPy generator and a shape and returns float64 values. For a weight of
shape ``(inputs, units)``, :math:`fan_{in}` is the number of inputs and :math:`fan_{out}` of units.
"""

from __future__ import annotations

from math import inf, prod, sqrt
from typing import TYPE_CHECKING, Any, Protocol

from xpnet.arguments import explain_records
from xpnet.checks import check_real_fields
from xpnet.errors import ConfigurationError
from xpnet.records import record

if TYPE_CHECKING:
    import numpy as np

__all__ = [
    "Constant",
    "GlorotNormal",
    "GlorotUniform",
    "HeNormal",
    "HeUniform",
    "Initializer",
    "LecunNormal",
    "LecunUniform",
    "Normal",
    "Ones",
    "Orthogonal",
    "Uniform",
    "Zeros",
]


class Initializer(Protocol):
    """A recipe for first values."""

    def __call__(self, stream: np.random.Generator, shape: tuple[int, ...], /) -> np.ndarray[Any, Any]:
        """Return float64 values of this *shape*, drawn from *stream*."""


@record
class Constant:
    """Every value is ``value``.

    Raises
    ------
    ConfigurationError
        ``value`` is not a finite number.
    """

    value: float = 0.0

    def __post_init__(self) -> None:
        check_real_fields(self, "value")

    def __call__(self, stream: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray[Any, Any]:
        """Return the constant; *stream* is not touched."""
        import numpy as np

        return np.full(shape, self.value)


@record
class Zeros:
    """Every value is 0: the usual start of a bias."""

    def __call__(self, stream: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray[Any, Any]:
        """Return zeros; *stream* is not touched."""
        return Constant(0.0)(stream, shape)


@record
class Ones:
    """Every value is 1: the usual start of a scale."""

    def __call__(self, stream: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray[Any, Any]:
        """Return ones; *stream* is not touched."""
        return Constant(1.0)(stream, shape)


@record
class Normal:
    """Normal values with the given mean and standard deviation.

    Parameters
    ----------
    deviation : float
        Standard deviation, 0 or above; 0.05 is the default of Keras' ``RandomNormal``.
    mean : float
        0 is the default there, too.

    Raises
    ------
    ConfigurationError
        ``deviation`` is not in [0, inf), or ``mean`` is not a finite number.
    """

    deviation: float = 0.05
    mean: float = 0.0

    def __post_init__(self) -> None:
        check_real_fields(self, "deviation", least=0)
        check_real_fields(self, "mean")

    def __call__(self, stream: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray[Any, Any]:
        """Draw from N(mean, deviation²)."""
        return stream.normal(self.mean, self.deviation, shape)


@record
class Uniform:
    """Values spread evenly over ``[low, high)``.

    Parameters
    ----------
    low, high : float
        Ends of the range; -0.05 and 0.05 are the defaults of Keras' ``RandomUniform``.

    Raises
    ------
    ConfigurationError
        ``low``, ``high`` or their difference is not a finite number, or ``low`` is above ``high``.
    """

    low: float = -0.05
    high: float = 0.05

    def __post_init__(self) -> None:
        check_real_fields(self, "low", "high")
        if not 0 <= self.high - self.low < inf:
            raise ConfigurationError(
                f"Uniform.low must not exceed Uniform.high, and high - low must be finite; got low={self.low}, "
                f"high={self.high}"
            )

    def __call__(self, stream: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray[Any, Any]:
        """Draw from U(low, high)."""
        return stream.uniform(self.low, self.high, shape)


@record
class GlorotUniform:
    r"""Uniform in :math:`\pm\sqrt{6/(fan_{in}+fan_{out})}`, for tanh, sigmoid and linear layers.

    Glorot and Bengio 2010, "Understanding the difficulty of training deep feedforward neural networks", eq. 16.
    """

    def __call__(self, stream: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray[Any, Any]:
        """Draw with variance 2 / (fan_in + fan_out)."""
        return _uniform(stream, shape, 2 / sum(_fans(shape)))


@record
class GlorotNormal:
    r"""Normal with variance :math:`2/(fan_{in}+fan_{out})` (Glorot and Bengio 2010, eq. 12)."""

    def __call__(self, stream: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray[Any, Any]:
        """Draw with variance 2 / (fan_in + fan_out)."""
        return stream.normal(0.0, sqrt(2 / sum(_fans(shape))), shape)


@record
class HeUniform:
    r"""Uniform with variance :math:`2/fan_{in}`, for ReLU and its kin.

    He et al. 2015, "Delving deep into rectifiers", eq. 10.
    """

    def __call__(self, stream: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray[Any, Any]:
        """Draw with variance 2 / fan_in."""
        return _uniform(stream, shape, 2 / _fans(shape)[0])


@record
class HeNormal:
    r"""Normal with variance :math:`2/fan_{in}`, for ReLU and its kin (He et al. 2015, eq. 10)."""

    def __call__(self, stream: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray[Any, Any]:
        """Draw with variance 2 / fan_in."""
        return stream.normal(0.0, sqrt(2 / _fans(shape)[0]), shape)


@record
class LecunUniform:
    r"""Uniform with variance :math:`1/fan_{in}` (LeCun et al. 1998, "Efficient BackProp", section 4.6)."""

    def __call__(self, stream: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray[Any, Any]:
        """Draw with variance 1 / fan_in."""
        return _uniform(stream, shape, 1 / _fans(shape)[0])


@record
class LecunNormal:
    r"""Normal with variance :math:`1/fan_{in}` (LeCun et al. 1998, "Efficient BackProp", section 4.6)."""

    def __call__(self, stream: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray[Any, Any]:
        """Draw with variance 1 / fan_in."""
        return stream.normal(0.0, sqrt(1 / _fans(shape)[0]), shape)


@record
class Orthogonal:
    r"""Orthonormal columns (or rows, whichever are fewer), times ``gain``.

    The Q factor of a normal matrix, with the signs of R's diagonal, is uniform over orthogonal matrices.
    Saxe et al. 2014, "Exact solutions to the nonlinear dynamics of learning in deep linear networks", section 3.

    Parameters
    ----------
    gain : float
        Length of each column (or row), with a sign; 1 is the default of PyTorch and Keras.

    Raises
    ------
    ConfigurationError
        ``gain`` is not a finite number.
    """

    gain: float = 1.0

    def __post_init__(self) -> None:
        check_real_fields(self, "gain")

    def __call__(self, stream: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray[Any, Any]:
        """Draw a matrix of shape ``(prod(shape[:-1]), shape[-1])`` and give it *shape*."""
        import numpy as np

        rows, columns = prod(shape[:-1]), shape[-1]
        q, r = np.linalg.qr(stream.normal(size=(max(rows, columns), min(rows, columns))))
        q = q * np.sign(np.diagonal(r))
        weight: np.ndarray[Any, Any] = self.gain * (q if rows >= columns else q.T)
        return weight.reshape(shape)


NAMES = {
    "zeros": Zeros,
    "ones": Ones,
    "constant": Constant,
    "normal": Normal,
    "uniform": Uniform,
    "glorot_uniform": GlorotUniform,
    "glorot_normal": GlorotNormal,
    "xavier_uniform": GlorotUniform,
    "xavier_normal": GlorotNormal,
    "he_uniform": HeUniform,
    "he_normal": HeNormal,
    "kaiming_uniform": HeUniform,
    "kaiming_normal": HeNormal,
    "lecun_uniform": LecunUniform,
    "lecun_normal": LecunNormal,
    "orthogonal": Orthogonal,
}


def _fans(shape: tuple[int, ...]) -> tuple[int, int]:
    return max(prod(shape[:-1]), 1), shape[-1]


def _uniform(stream: np.random.Generator, shape: tuple[int, ...], variance: float) -> np.ndarray[Any, Any]:
    limit = sqrt(3 * variance)
    return stream.uniform(-limit, limit, shape)


explain_records(globals(), __all__)
