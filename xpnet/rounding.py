"""Warn where numbers that come in lose, as they become float32, what tells the rows of a feature apart."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING, Any

import numpy as np

from xpnet.arguments import levels_to_user
from xpnet.arrays import Host

if TYPE_CHECKING:
    from collections.abc import Mapping

    from xpnet.backend import Array

__all__ = ["warn_of_rounding"]

LOST = 5e-4
"""Share of a feature's spread by which rounding may change a number: some three decimal digits of the spread stay."""

NARROW = 2.0**-24 / LOST
"""A spread of this share of the largest magnitude loses no more: float32 rounds by at most 2^-24 of a number."""

NOISE = 2.0**-40
"""A spread of this share of the largest magnitude is rounding in float64: such a feature counts as constant."""

SAMPLE = 128
"""Rows that are looked at first; hardly a feature needs more."""

BLOCK = 1 << 18
"""Numbers that are looked at in one go."""


def warn_of_rounding(dtype: str, arrays: Mapping[str, tuple[Array, Any]]) -> None:
    """Warn, once for all *arrays*, of the features of which *dtype* keeps less than three digits of the spread.

    The warning points at the user's line.

    *arrays* are, by the argument's name, rows as they go to the device, and what the user gave. Arrays on a device are
    not looked at, nor are those of a type that float32 holds.
    """
    found = [_describe(name, array, given) for name, (array, given) in arrays.items() if dtype == "float32"]
    if any(found):
        warnings.warn("; ".join(filter(None, found)), stacklevel=levels_to_user())


def _describe(argument: str, array: Array, given: Any) -> str:
    """Say which feature is the first that loses its digits, and what to do; empty if there is none."""
    if not isinstance(array, np.ndarray) or array.dtype.itemsize < (8 if array.dtype.kind == "f" else 4):
        return ""
    with np.errstate(all="ignore"):
        columns, low, high = _rounded_columns(array)
    if not len(columns):
        return ""
    from xpnet.remedies import column_label

    place = tuple(map(int, np.unravel_index(columns[0], array.shape[1:])))
    is_target = argument == "y"
    index = "" if is_target and array.shape[1:] == (1,) else f"[:, {', '.join(map(str, place))}]"
    more = f" (and {len(columns) - 1} more like it)" if len(columns) > 1 else ""
    largest = max(-low[0], high[0])
    step = np.spacing(np.float32(largest))
    back = ", whose inverse_transform brings predictions back" if is_target else ""
    return (
        f"{argument}{index}{column_label(given, (0, *place))} spreads over {high[0] - low[0]:.3g} alone, at numbers of "
        f"up to {largest:.6g}, which the network's float32 rounds to multiples of {step:.3g}{more}: scale {argument} "
        f"before fit, by xpnet.StandardScaler{back}, or compute with dtype='float64'"
    )


def _rounded_columns(array: Host) -> tuple[Host, Host, Host]:
    """Return the features that lose their digits, by their place in a flattened row, and their extremes."""
    sample = _columns(array[:: -(-len(array) // SAMPLE)])
    low, high = sample.min(axis=0), sample.max(axis=0)
    columns = np.flatnonzero(_is_narrow(low, high))
    low, high = low[columns], high[columns]
    rows = max(BLOCK // max(len(columns), 1), 1)
    for start in range(0, len(array), rows):
        if not len(columns):
            break
        part = _columns(array[start : start + rows], columns)
        low, high = np.minimum(low, part.min(axis=0)), np.maximum(high, part.max(axis=0))
        narrow = _is_narrow(low, high)
        columns, low, high = columns[narrow], low[narrow], high[narrow]
    varied = high - low > NOISE * np.maximum(-low, high)
    columns, low, high = columns[varied], low[varied], high[varied]
    error = np.zeros(len(columns))
    for start in range(0, len(array) if len(columns) else 0, rows):
        part = _columns(array[start : start + rows], columns)
        error = np.maximum(error, np.abs(part - part.astype(np.float32)).max(axis=0))
    lost = error > LOST * (high - low)
    return columns[lost], low[lost], high[lost]


def _columns(rows: Host, chosen: Any = slice(None)) -> Host:
    """Return the *chosen* columns of flattened rows, in float64."""
    return rows.reshape(len(rows), -1)[:, chosen].astype(np.float64, copy=False)


def _is_narrow(low: Host, high: Host) -> Host:
    """Return for which features rows from *low* to *high* leave open whether rounding spares the feature.

    Other rows can only add to the spread, or raise the largest magnitude by less than they add.
    """
    spread = high - low
    narrow: Host = spread < NARROW * (np.maximum(-low, high) + spread)
    return narrow
