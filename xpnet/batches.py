"""Where batches come from: arrays on the device, memory-mapped arrays on the host, or any iterable.

A source trains for an epoch on its batches, in a given order, and yields what the training step carries after every
piece of the epoch, so that the caller can show progress and call hooks.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

import numpy as np

from xpnet.errors import DataError, XpnetError
from xpnet.training import Batch, gather_rows

if TYPE_CHECKING:
    from xpnet.arrays import Host
    from xpnet.backend import Backend
    from xpnet.compiled import Compiled
    from xpnet.training import State, Sums

__all__ = ["BeforeBatch", "DeviceSource", "Epoch", "HostSource", "Source", "StreamSource"]

MAX_PIECES = 10
"""Pieces into which an epoch is cut at most; progress shows, and Ctrl-C acts, between two of them."""

MAX_UNCUT_STEPS, MIN_PIECE_SECONDS = 100, 0.5
"""An epoch of up to so many steps is never cut, and a piece should take so long at least: a call costs some 0.1 ms."""

MAX_CALL_SECONDS, MAX_CALL_ROWS = 0.2, 1_000_000
"""Estimated time that several epochs in one call may take, as Ctrl-C waits for it, and the rows of all their orders."""

RECENT_BATCHES = 8
"""Last batches of an iterable that stay on the device, to be trained on again if numbers are no longer finite."""

Carry = Any

BeforeBatch = Callable[[int, Carry], Carry]
"""Is called before each step with the batch's number in the epoch and the carry; returns the carry for the step."""


class Epoch(NamedTuple):
    """Which epoch to train for, and how."""

    number: int
    order: Host | None  # of the rows; None for their own order
    batch_size: int
    start: int = 0  # the first batch to train on; those before it are done already
    longest_piece: int | None = None  # steps of a piece at most, as a run is saved between two


class Source(Protocol):
    """Examples that each epoch goes through once."""

    rows: int | None
    """How many examples there are, if that is known."""

    def train(
        self, functions: Compiled, carry: Carry, epoch: Epoch, before_batch: BeforeBatch | None
    ) -> Iterator[tuple[Carry, int]]:
        """Train for an epoch; after each piece of it, yield the carry and the piece's number of steps.

        With *before_batch*, each step is a piece. When an epoch starts after its first batches, its pieces end where
        they would have ended otherwise.
        """

    def replay(self, epoch: Epoch) -> Iterator[Batch]:
        """Yield the batches that :meth:`train` trains on, one by one, on the device."""

    def batches(self, batch_size: int) -> Iterator[Batch]:
        """Yield batches of the examples in their own order, on the device."""


class DeviceSource:
    """Whole arrays on the device, where batches are gathered: many steps are one call."""

    def __init__(self, data: Batch, backend: Backend) -> None:
        self.data, self.backend = data, backend
        self.rows: int | None = data.x.shape[0]

    def train(
        self, functions: Compiled, carry: Carry, epoch: Epoch, before_batch: BeforeBatch | None
    ) -> Iterator[tuple[Carry, int]]:
        """Train for an epoch; a batch of all rows is not gathered, as their order does not matter."""
        rows: int = self.data.x.shape[0]
        _, order, size, start, longest_piece = epoch
        if size >= rows:
            if not start:
                if before_batch:
                    carry = before_batch(0, carry)
                yield functions.train_on_batch(carry, self.data), 1
            return
        order = np.arange(rows) if order is None else order
        steps = rows // size
        plan = order[: steps * size].reshape(steps, size)
        piece = 1 if before_batch else piece_length(steps, longest_piece, functions.step_seconds(size))
        while start < steps:
            if before_batch:
                carry = before_batch(start, carry)
            stop = min((start // piece + 1) * piece, steps)
            carry = functions.train_on_rows(carry, self.data, plan[start:stop])
            done, start = stop - start, stop
            yield carry, done
        if steps * size < rows and start == steps:
            if before_batch:
                carry = before_batch(steps, carry)
            yield functions.train_on_rows(carry, self.data, order[steps * size :].reshape(1, -1)), 1

    def max_epochs_per_call(self, functions: Compiled, batch_size: int) -> int:
        """Return how many epochs may be one call of :meth:`train_epochs`; 1 if that is impossible or saves nothing.

        It is also 1 for epochs of one whole batch and a rest: compilers dissolve a loop of one step that stands within
        another, and may round otherwise than in a call of its own.
        """
        rows: int = self.data.x.shape[0]
        if self.backend.epochs is None or rows < 2 * batch_size:
            return 1
        epoch_seconds = -(-rows // batch_size) * functions.step_seconds(batch_size)
        return max(1, min(int(MAX_CALL_SECONDS / epoch_seconds), MAX_CALL_ROWS // rows))

    def train_epochs(self, functions: Compiled, state: State, epochs: Sequence[Epoch]) -> tuple[State, Sums]:
        """Train for several epochs in one call; return the state and the epochs' sums, stacked.

        The array of orders always has room for the largest number of epochs, so that one compiled function serves any
        number of them.
        """
        rows: int = self.data.x.shape[0]
        size = epochs[0].batch_size
        orders = np.zeros((self.max_epochs_per_call(functions, size), rows), dtype=np.int32)
        for row, epoch in zip(orders, epochs, strict=False):
            row[:] = np.arange(rows) if epoch.order is None else epoch.order
        steps = rows // size
        whole, rests = orders[:, : steps * size].reshape(-1, steps, size), orders[:, steps * size :]
        count = np.asarray(len(epochs), dtype=np.int32)
        start = functions.zero_sums()
        trained: tuple[State, Sums] = functions.train_epochs(
            state, start, self.data, whole, rests if rests.size else None, count
        )
        return trained

    def replay(self, epoch: Epoch) -> Iterator[Batch]:
        """Gather the batches again, one by one."""
        rows: int = self.data.x.shape[0]
        size = epoch.batch_size
        take = self.backend.compile(lambda data, chosen: gather_rows(data, chosen, self.backend.xp))
        order = np.arange(rows) if epoch.order is None else epoch.order
        for first in range(epoch.start * size, rows, size):
            yield self.data if size >= rows else take(self.data, self.backend.asarray(order[first : first + size]))

    def batches(self, batch_size: int) -> Iterator[Batch]:
        """Yield slices."""
        rows: int = self.data.x.shape[0]
        for start in range(0, rows, batch_size):
            stop = min(start + batch_size, rows)
            yield Batch(*(None if array is None else array[start:stop, ...] for array in self.data))


class HostSource:
    """Arrays that stay on the host, such as memory-mapped ones: each batch is read and moved by itself.

    The first array may have more rows than the *chosen* ones; the others have a row for each of those.
    """

    def __init__(
        self, data: tuple[Host, Host, Host | None], to_device: Callable[..., Batch], chosen: Host | None
    ) -> None:
        self.data, self.to_device = data, to_device
        self.chosen = np.arange(len(data[0])) if chosen is None else chosen
        self.rows: int | None = len(self.chosen)

    def train(
        self, functions: Compiled, carry: Carry, epoch: Epoch, before_batch: BeforeBatch | None
    ) -> Iterator[tuple[Carry, int]]:
        """Train for an epoch, batch by batch; a batch of all rows keeps their order, as in :class:`DeviceSource`."""
        for number, batch in enumerate(self.replay(epoch), epoch.start):
            if before_batch:
                carry = before_batch(number, carry)
            carry = functions.train_on_batch(carry, batch)
            yield carry, 1

    def replay(self, epoch: Epoch) -> Iterator[Batch]:
        """Read the batches and move them to the device, one by one."""
        rows, size = len(self.chosen), epoch.batch_size
        order = np.arange(rows) if epoch.order is None or size >= rows else epoch.order
        for first in range(epoch.start * size, rows, size):
            yield self._take(order[first : first + size])

    def batches(self, batch_size: int) -> Iterator[Batch]:
        """Yield slices."""
        return self.replay(Epoch(0, None, batch_size))

    def _take(self, rows: Host) -> Batch:
        x, y, weights = self.data
        return self.to_device(np.asarray(x[self.chosen[rows]]), y[rows], None if weights is None else weights[rows])


class StreamSource:
    """An iterable of batches (x, y) or (x, y, weights), iterated over once an epoch and never held as a whole.

    Attributes
    ----------
    keeps_recent : bool
        Whether the last batches are kept for :meth:`replay`, which costs a copy of each.
    name : str
        What errors call it.
    """

    rows: int | None = None

    def __init__(self, batches: Iterable[Any] | Callable[[], Iterable[Any]], to_device: Callable[..., Batch]) -> None:
        self.given, self.to_device = batches, to_device
        self.passes, self.keeps_recent, self.name = 0, True, "the iterable"
        self._recent: deque[tuple[int, Batch]] = deque(maxlen=RECENT_BATCHES)
        if isinstance(batches, tuple | list):
            for item in batches:
                _check_batch(item)

    def train(
        self, functions: Compiled, carry: Carry, epoch: Epoch, before_batch: BeforeBatch | None
    ) -> Iterator[tuple[Carry, int]]:
        """Train on the batches in the order and the sizes in which they come; those before the start are skipped."""
        self._recent.clear()
        for number, batch in enumerate(self._moved_batches(epoch.start), epoch.start):
            if before_batch:
                carry = before_batch(number, carry)
            if self.keeps_recent:  # as copies, since the caller may write the next batch to this one's memory
                self._recent.append((number, functions.copy(batch)))
            carry = functions.train_on_batch(carry, batch)
            yield carry, 1

    def replay(self, epoch: Epoch) -> Iterator[Batch]:
        """Yield the kept batches from the epoch's start on; that may be at most :data:`RECENT_BATCHES` batches ago."""
        return (batch for number, batch in self._recent if number >= epoch.start)

    def batches(self, batch_size: int) -> Iterator[Batch]:
        """Yield the batches in their own sizes, moved to the device."""
        return self._moved_batches(0)

    def _moved_batches(self, start: int) -> Iterator[Batch]:
        """Yield the batches from *start* on, moved to the device.

        Raises
        ------
        DataError
            There is no batch (a generator is used up after one epoch), one is not (x, y) or (x, y, weights), or a
            function has returned no iterable.
        """
        self.passes += 1
        empty = True
        given = self.given() if callable(self.given) else self.given
        called = "" if self.name == "the iterable" else f"{self.name}: "
        try:
            batches = iter(given)
        except TypeError:
            got = "None: a `return` or `yield` is missing" if given is None else type(given).__name__
            raise DataError(
                f"{called}x as a function must return an iterable of batches (x, y), such as a fresh generator; "
                f"got {got}"
            ) from None
        for number, item in enumerate(batches):
            _check_batch(item)
            empty = False
            if number >= start:
                yield self._move(number, item)
        if empty:
            raise DataError(
                f"{called}the iterable of batches gave none in pass {self.passes}; a generator is used up after one: "
                "pass a list, an object whose __iter__ starts anew, or a function that returns a fresh generator"
            )

    def _move(self, number: int, item: Any) -> Batch:
        """Move one batch to the device; an error names the batch."""
        try:
            return self.to_device(*item)
        except XpnetError as error:
            error.add_note(f"It is batch {number + 1}, counted from 1, of {self.name}'s pass {self.passes}.")
            raise


def piece_length(steps: int, longest: int | None, step_seconds: float) -> int:
    """Return how many *steps* of an epoch are one call, at most *longest*.

    If possible, all calls have one length, as some backends compile each length by itself.

    >>> piece_length(100, None, 9.0), piece_length(1000, None, 9.0), piece_length(1000, None, 1e-4)
    (100, 100, 1000)
    >>> piece_length(469, None, 0.005), piece_length(1000, 150, 9.0), piece_length(1000, 30, 9.0)
    (67, 75, 30)
    """
    wanted = round(steps * step_seconds / MIN_PIECE_SECONDS)
    least = 1 if steps <= MAX_UNCUT_STEPS else max(1, min(MAX_PIECES, wanted))
    pieces = next((count for count in range(least, MAX_PIECES + 1) if steps % count == 0), least)
    piece = -(-steps // pieces)
    # About equal pieces, of which one ends after exactly `longest` steps.
    return piece if longest is None else -(-longest // -(-longest // piece))


def _check_batch(item: Any) -> None:
    if not isinstance(item, tuple | list) or len(item) not in (2, 3):
        raise DataError(f"an iterable of batches must give (x, y) or (x, y, sample_weight); got {type(item).__name__}")
