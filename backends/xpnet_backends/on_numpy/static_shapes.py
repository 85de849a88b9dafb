"""NumPy's functions whose result's shape and dtype follow from those of their array arguments.

A plan takes shapes and dtypes from the recording, so no other functions are recorded: their results depend on values,
such as how many are unique, how often each is repeated, whether a root is complex.
"""

from __future__ import annotations

import sys
from operator import getitem
from typing import Any

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

__all__ = ["METADATA_FUNCTIONS", "VALUE_OPTIONS", "array_argument_count"]

METADATA_FUNCTIONS = {
    np.shape,
    np.ndim,
    np.size,
    np.result_type,
    np.can_cast,
    np.isdtype,
    np.iscomplexobj,
    np.isrealobj,
}
"""Functions that read shapes and dtypes alone, and return no arrays."""

VALUE_OPTIONS = frozenset("a_max a_min append fill_value indices initial max min prepend shift weights where".split())
"""Keyword arguments whose values do not affect the result's shape and dtype, in any of the functions below."""

_ONE = """
    all angle any argmax argmin argpartition argsort around atleast_1d atleast_2d atleast_3d average block broadcast_to
    column_stack copy count_nonzero cumprod cumsum cumulative_prod cumulative_sum delete diag diagflat diagonal diff
    dstack ediff1d empty_like fix flip fliplr flipud gradient hstack i0 imag insert iscomplex isneginf isposinf isreal
    lexsort matrix_transpose mean median moveaxis nan_to_num nanargmax nanargmin nancumprod nancumsum nanmax nanmean
    nanmedian nanmin nanprod nanstd nansum nanvar ones_like pad partition permute_dims ptp ravel real repeat reshape
    resize rollaxis rot90 round sinc sort squeeze std swapaxes tile trace transpose tril triu unwrap vander var vstack
    zeros_like
"""
_TWO = """
    append choose convolve corrcoef correlate cov cross digitize dot full_like inner isclose isin kron linspace
    nanpercentile nanquantile outer percentile polyval quantile roll searchsorted take take_along_axis tensordot
    trapezoid vdot
"""
_COUNTS = (
    (1, np, _ONE),
    (2, np, _TWO),
    (3, np, "clip interp select"),
    (sys.maxsize, np, "einsum"),
    (1, np.linalg, "cholesky cond det diagonal eigvalsh inv matrix_norm matrix_power matrix_rank matrix_transpose"),
    (1, np.linalg, "multi_dot norm pinv svdvals trace vector_norm"),
    (2, np.linalg, "cross matmul outer solve tensordot vecdot"),
)
_ARRAYS: dict[Any, int] = {getattr(home, name): count for count, home, names in _COUNTS for name in names.split()}
_ARRAYS |= {getitem: 1, sliding_window_view: 1}


def array_argument_count(function: Any) -> int:
    """Return how many first arguments of a function are arrays whose values do not affect the result's shape or dtype.

    The values of the others do: an axis, a shape, a number of repeats. It is 0 for an unknown function.
    """
    count = _ARRAYS.get(function)
    if count is None:
        return int(getattr(function, "__module__", "") == "numpy.fft")  # which is not imported for those without it
    return count
