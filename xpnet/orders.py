"""The order in which an epoch goes through its rows; the next epoch's is drawn while one is trained on."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np

from xpnet.errors import ConfigurationError
from xpnet.random import host_stream

if TYPE_CHECKING:
    from concurrent.futures import Future, ThreadPoolExecutor

    from xpnet.arrays import Host

__all__ = ["Orders"]

WORTH, LARGEST = 4_000, 4_000_000
"""Rows from which an order is worth a thread, and up to which a second one is kept."""

ROW, SHARE = 15e-9, 0.025
"""Seconds that a row of an order takes; and the part of an epoch from which drawing is worth a thread where the epoch
is computed on the same cores, from which the thread takes what it needs."""


class Orders:
    """The orders of the epochs of one training, by its seed: a new one each epoch, its rows' own, or a function's.

    An epoch takes some *seconds* of this host's cores; 0 where another device computes.
    """

    def __init__(
        self, shuffle: bool | Callable[[int, int], Any], rows: int | None, size: int, seconds: float = 0.0
    ) -> None:
        self.shuffle, self.rows, self.size, self.seconds = shuffle, rows, size, seconds
        self._threads: ThreadPoolExecutor | None = None
        self._ahead: tuple[int, int, Future[Host]] | None = None

    def of(self, seed: int, epoch: int) -> Host | None:
        """Return an epoch's order, or None for the rows' own, as where a batch takes all."""
        rows = self.rows
        if not self.shuffle or rows is None:
            return None
        if callable(self.shuffle):
            return _checked(self.shuffle(epoch, rows), epoch, rows)
        if self.size >= rows:
            return None
        if self._ahead and self._ahead[:2] == (seed, epoch):
            return self._ahead[2].result()
        return _drawn(seed, epoch, rows)

    def draw_ahead(self, seed: int, epoch: int) -> None:
        """Begin to draw an epoch's order in a thread, if it is drawn and worth that."""
        rows = self.rows or 0
        drawn = self.shuffle and not callable(self.shuffle) and self.size < rows
        if drawn and WORTH <= rows <= LARGEST and ROW * rows >= SHARE * self.seconds:
            try:
                if self._threads is None:
                    from concurrent.futures import ThreadPoolExecutor  # here, as importing it takes some ms

                    self._threads = ThreadPoolExecutor(1, "xpnet-order")
                self._ahead = seed, epoch, self._threads.submit(_drawn, seed, epoch, rows)
            except RuntimeError:  # the main thread has ended, and waits for this one: there are no new threads then
                self._ahead = None

    def close(self) -> None:
        """Let the thread end."""
        if self._threads is not None:
            self._threads.shutdown(wait=False, cancel_futures=True)


def _drawn(seed: int, epoch: int, rows: int) -> Host:
    return host_stream(seed, "batches", epoch).permutation(rows)


def _checked(given: Any, epoch: int, rows: int) -> Host:
    """Return what a function has given, if it is an order."""
    order = np.asarray(given)
    if order.dtype.kind not in "iu" or not np.array_equal(np.sort(order, axis=None), np.arange(rows)):
        raise ConfigurationError(
            f"shuffle's function must return each of 0..{rows - 1} once; it returned {order.dtype} of shape "
            f"{order.shape} for epoch {epoch}"
        )
    return order.reshape(-1).astype(np.int64)  # not every library takes rows by each type of integers
