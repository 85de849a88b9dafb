"""The order in which an epoch goes through its rows; a thread may draw the next epoch's order during training."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np

from xpnet.errors import ConfigurationError
from xpnet.random import host_stream

if TYPE_CHECKING:
    from concurrent.futures import Future, ThreadPoolExecutor

    from xpnet.arrays import Host

__all__ = ["RowOrders"]

MIN_ROWS_AHEAD, MAX_ROWS_AHEAD = 4_000, 4_000_000
"""An order of fewer rows is not worth a thread; of one with more rows, no second order is kept in memory."""

SECONDS_PER_ROW = 15e-9
"""Time to draw a row of an order."""

MIN_SHARE_AHEAD = 0.025
"""Share of an epoch's time that drawing its order must take to be worth a thread, where the epoch is computed on the
same cores: the thread takes what it needs from them."""


class RowOrders:
    """The orders of the epochs of one call of ``fit``: shuffled by the seed, from a function, or the rows' own order.

    An epoch takes some *seconds* of this host's cores; 0 if another device computes.
    """

    def __init__(
        self, shuffle: bool | Callable[[int, int], Any], rows: int | None, batch_size: int, seconds: float = 0.0
    ) -> None:
        self.shuffle, self.rows, self.batch_size, self.seconds = shuffle, rows, batch_size, seconds
        self._threads: ThreadPoolExecutor | None = None
        self._ahead: tuple[int, int, Future[Host]] | None = None

    def order_for(self, seed: int, epoch: int) -> Host | None:
        """Return an epoch's order, or None for the rows' own order, as when one batch holds all rows."""
        rows = self.rows
        if not self.shuffle or rows is None:
            return None
        if callable(self.shuffle):
            return _check_order(self.shuffle(epoch, rows), epoch, rows)
        if self.batch_size >= rows:
            return None
        if self._ahead and self._ahead[:2] == (seed, epoch):
            return self._ahead[2].result()
        return _draw_order(seed, epoch, rows)

    def draw_ahead(self, seed: int, epoch: int) -> None:
        """Begin to draw an epoch's order in a thread, if it is shuffled by the seed and worth a thread."""
        rows = self.rows or 0
        is_drawn = self.shuffle and not callable(self.shuffle) and self.batch_size < rows
        is_worth = MIN_ROWS_AHEAD <= rows <= MAX_ROWS_AHEAD and SECONDS_PER_ROW * rows >= MIN_SHARE_AHEAD * self.seconds
        if is_drawn and is_worth:
            try:
                if self._threads is None:
                    from concurrent.futures import ThreadPoolExecutor  # here, as importing it takes some ms

                    self._threads = ThreadPoolExecutor(1, "xpnet-order")
                self._ahead = seed, epoch, self._threads.submit(_draw_order, seed, epoch, rows)
            except RuntimeError:  # the main thread has ended and waits for this one; Python starts no threads then
                self._ahead = None

    def close(self) -> None:
        """Let the thread end."""
        if self._threads is not None:
            self._threads.shutdown(wait=False, cancel_futures=True)


def _draw_order(seed: int, epoch: int, rows: int) -> Host:
    return host_stream(seed, "batches", epoch).permutation(rows)


def _check_order(given: Any, epoch: int, rows: int) -> Host:
    """Return what the caller's function has returned, or raise ConfigurationError if it is not an order."""
    order = np.asarray(given)
    if order.dtype.kind not in "iu" or not np.array_equal(np.sort(order, axis=None), np.arange(rows)):
        raise ConfigurationError(
            f"shuffle's function must return each of 0..{rows - 1} once; it returned {order.dtype} of shape "
            f"{order.shape} for epoch {epoch}"
        )
    return order.reshape(-1).astype(np.int64)  # not every library takes rows by each type of integers
