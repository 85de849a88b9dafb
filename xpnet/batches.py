"""Where batches come from: arrays on the device, memory-mapped arrays on the host, or any iterable.

A source runs an epoch over its batches, in the order that it is given, and yields what the training step
carries after every piece of it, so that the caller can show progress or call back.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

import numpy as np

from xpnet.errors import DataError, XpnetError
from xpnet.training import Batch, taken

if TYPE_CHECKING:
    from xpnet.arrays import Host
    from xpnet.backend import Backend
    from xpnet.compiled import Compiled
    from xpnet.training import State, Sums

__all__ = ["Epoch", "HostRows", "Resident", "Source", "Stream"]

PIECES = 10
"""Parts into which an epoch is cut at most, so that progress shows, and Ctrl-C is heeded where a part is one call."""

LONG, SECONDS = 100, 0.5
"""Steps of an epoch from which on it is cut, and what a part should take at least: each call costs some 0.1 ms."""

TOGETHER, ROWS = 0.2, 1_000_000
"""Seconds that several epochs in one call may take, as guessed, and rows that they may go through: Ctrl-C waits."""

RECENT = 8
"""Batches of an iterable that are held on the device, to be gone through once more where numbers went wrong."""

Carry = Any

Before = Callable[[int, Carry], Carry]
"""Told the number of each batch of an epoch before its step, and the carry; returns the carry to go on with."""


class Epoch(NamedTuple):
    """Which epoch is gone through, and how."""

    number: int
    order: Host | None  # of the rows; None for their own
    size: int  # rows of a batch
    start: int = 0  # the first batch that is trained on: those before it were, in another call
    longest: int | None = None  # steps between two looks at most, as where a run is to be saved


class Source(Protocol):
    """Examples that can be gone through once an epoch."""

    rows: int | None
    """How many examples there are, where that is known."""

    def train(
        self, functions: Compiled, carry: Carry, epoch: Epoch, before: Before | None
    ) -> Iterator[tuple[Carry, int]]:
        """Train for an epoch; yield the carry and the number of steps done since.

        With *before*, which is asked before each step, every step is yielded, else a piece of the epoch at a time.
        Where an epoch goes on after its first batches, its pieces end where they would have ended.
        """

    def again(self, epoch: Epoch) -> Iterator[Batch]:
        """Yield, one by one, the batches that :meth:`train` trains on."""

    def batches(self, size: int) -> Iterator[Batch]:
        """Yield the examples in their own order, on the device."""


class Resident:
    """Arrays that lie on the device as a whole: batches are gathered there, many steps in one call."""

    def __init__(self, data: Batch, backend: Backend) -> None:
        self.data, self.backend = data, backend
        self.rows: int | None = data.x.shape[0]

    def train(
        self, functions: Compiled, carry: Carry, epoch: Epoch, before: Before | None
    ) -> Iterator[tuple[Carry, int]]:
        """Train for an epoch; a batch of everything is not gathered, as its order does not matter."""
        rows: int = self.data.x.shape[0]
        _, order, size, start, longest = epoch
        if size >= rows:
            if not start:
                if before:
                    carry = before(0, carry)
                yield functions.on_batch(carry, self.data), 1
            return
        order = np.arange(rows) if order is None else order
        steps = rows // size
        plan = order[: steps * size].reshape(steps, size)
        piece = 1 if before else piece_length(steps, longest, functions.seconds(size))
        while start < steps:
            if before:
                carry = before(start, carry)
            stop = min((start // piece + 1) * piece, steps)
            carry = functions.on_rows(carry, self.data, plan[start:stop])
            done, start = stop - start, stop
            yield carry, done
        if steps * size < rows and start == steps:
            if before:
                carry = before(steps, carry)
            yield functions.on_rows(carry, self.data, order[steps * size :].reshape(1, -1)), 1

    def most_epochs(self, functions: Compiled, size: int) -> int:
        """Return how many epochs may be one call of :meth:`train_epochs`; 1 where it cannot be, or is not worth it."""
        rows: int = self.data.x.shape[0]
        if self.backend.epochs is None or size >= rows:
            return 1
        seconds = -(-rows // size) * functions.seconds(size)
        return max(1, min(int(TOGETHER / seconds), ROWS // rows))

    def train_epochs(self, functions: Compiled, state: State, epochs: Sequence[Epoch]) -> tuple[State, Sums]:
        """Train for several epochs in one call; return the state and the epochs' sums, stacked.

        As many orders are handed over as ever can be, so that one function is compiled for any number of epochs.
        """
        rows: int = self.data.x.shape[0]
        size = epochs[0].size
        orders = np.zeros((self.most_epochs(functions, size), rows), dtype=np.int32)
        for given, epoch in zip(orders, epochs, strict=False):
            given[:] = np.arange(rows) if epoch.order is None else epoch.order
        steps = rows // size
        whole, rests = orders[:, : steps * size].reshape(-1, steps, size), orders[:, steps * size :]
        count = np.asarray(len(epochs), dtype=np.int32)
        start = functions.zero_sums()
        ended: tuple[State, Sums] = functions.on_epochs(
            state, start, self.data, whole, rests if rests.size else None, count
        )
        return ended

    def again(self, epoch: Epoch) -> Iterator[Batch]:
        """Yield the batches once more."""
        rows: int = self.data.x.shape[0]
        size = epoch.size
        take = self.backend.compile(lambda data, chosen: taken(data, chosen, self.backend.xp))
        order = np.arange(rows) if epoch.order is None else epoch.order
        for first in range(epoch.start * size, rows, size):
            yield self.data if size >= rows else take(self.data, self.backend.asarray(order[first : first + size]))

    def batches(self, size: int) -> Iterator[Batch]:
        """Yield slices."""
        rows: int = self.data.x.shape[0]
        for start in range(0, rows, size):
            stop = min(start + size, rows)
            yield Batch(*(None if array is None else array[start:stop, ...] for array in self.data))


class HostRows:
    """Arrays that stay on the host, such as memory-mapped ones: each batch is read and moved on its own.

    The first array is the large one; the others belong to its *chosen* rows alone.
    """

    def __init__(self, data: tuple[Host, Host, Host | None], place: Callable[..., Batch], chosen: Host | None) -> None:
        self.data, self.place = data, place
        self.chosen = np.arange(len(data[0])) if chosen is None else chosen
        self.rows: int | None = len(self.chosen)

    def train(
        self, functions: Compiled, carry: Carry, epoch: Epoch, before: Before | None
    ) -> Iterator[tuple[Carry, int]]:
        """Train for an epoch, a batch at a time; a batch of everything keeps its order, as in :class:`Resident`."""
        for number, batch in enumerate(self.again(epoch), epoch.start):
            if before:
                carry = before(number, carry)
            carry = functions.on_batch(carry, batch)
            yield carry, 1

    def again(self, epoch: Epoch) -> Iterator[Batch]:
        """Read the batches once more."""
        rows, size = len(self.chosen), epoch.size
        order = np.arange(rows) if epoch.order is None or size >= rows else epoch.order
        for first in range(epoch.start * size, rows, size):
            yield self._take(order[first : first + size])

    def batches(self, size: int) -> Iterator[Batch]:
        """Yield slices."""
        return self.again(Epoch(0, None, size))

    def _take(self, rows: Host) -> Batch:
        x, y, weights = self.data
        return self.place(np.asarray(x[self.chosen[rows]]), y[rows], None if weights is None else weights[rows])


class Stream:
    """An iterable of batches (x, y) or (x, y, weights), gone through anew every epoch, never held as a whole.

    Attributes
    ----------
    remembers : bool
        Whether the last batches are kept for :meth:`again`, which costs a copy of each.
    """

    rows: int | None = None

    def __init__(self, batches: Iterable[Any] | Callable[[], Iterable[Any]], place: Callable[..., Batch]) -> None:
        self.given, self.place = batches, place
        self.epochs, self.remembers = 0, True
        self._recent: deque[tuple[int, Batch]] = deque(maxlen=RECENT)
        if isinstance(batches, tuple | list):
            for item in batches:
                _check_batch(item)

    def train(
        self, functions: Compiled, carry: Carry, epoch: Epoch, before: Before | None
    ) -> Iterator[tuple[Carry, int]]:
        """Train on the batches as they come, in an order and of a size of their own; those before the start pass by."""
        self._recent.clear()
        for number, batch in enumerate(self._placed(epoch.start), epoch.start):
            if before:
                carry = before(number, carry)
            if self.remembers:  # in memory of its own: the caller may write the next batch to that of this one
                self._recent.append((number, functions.copied(batch)))
            carry = functions.on_batch(carry, batch)
            yield carry, 1

    def again(self, epoch: Epoch) -> Iterator[Batch]:
        """Yield the last :data:`RECENT` batches once more, of which the epoch's first must be one."""
        return (batch for number, batch in self._recent if number >= epoch.start)

    def batches(self, size: int) -> Iterator[Batch]:
        """Yield the batches, moved to the device; raises what a pass over them raises."""
        return self._placed(0)

    def _placed(self, start: int) -> Iterator[Batch]:
        """Yield the batches from *start* on, moved to the device.

        Raises
        ------
        DataError
            There is no batch (a generator is used up after one epoch), one is not (x, y) or (x, y, weights), or a
            function has returned no iterable.
        """
        self.epochs += 1
        empty = True
        given = self.given() if callable(self.given) else self.given
        try:
            batches = iter(given)
        except TypeError:
            got = "None: a `return` or `yield` is missing" if given is None else type(given).__name__
            raise DataError(
                f"x as a function must return an iterable of batches (x, y), such as a fresh generator; got {got}"
            ) from None
        for number, item in enumerate(batches):
            _check_batch(item)
            empty = False
            if number >= start:
                yield self._place(number, item)
        if empty:
            raise DataError(
                f"the iterable of batches gave none in pass {self.epochs}; a generator is used up after one: pass a "
                "list, an object whose __iter__ starts anew, or a function that returns a fresh generator"
            )

    def _place(self, number: int, item: Any) -> Batch:
        """Move one batch to the device; an error says which it was."""
        try:
            return self.place(*item)
        except XpnetError as error:
            error.add_note(f"It is batch {number}, counted from 0, of the iterable's pass {self.epochs}.")
            raise


def piece_length(steps: int, longest: int | None, seconds: float) -> int:
    """Return how many steps of an epoch, each of so many *seconds*, run as one call, *longest* at most.

    Where there is such a number of calls, all are of one length, as some backends compile each length by itself.

    >>> piece_length(100, None, 9.0), piece_length(1000, None, 9.0), piece_length(1000, None, 1e-4)
    (100, 100, 1000)
    >>> piece_length(469, None, 0.005), piece_length(1000, 150, 9.0), piece_length(1000, 30, 9.0)
    (67, 75, 30)
    """
    least = 1 if steps <= LONG else max(1, min(PIECES, round(steps * seconds / SECONDS)))
    pieces = next((count for count in range(least, PIECES + 1) if steps % count == 0), least)
    piece = -(-steps // pieces)
    # In about equal pieces up to `longest`, so that one of them ends there.
    return piece if longest is None else -(-longest // -(-longest // piece))


def _check_batch(item: Any) -> None:
    if not isinstance(item, tuple | list) or len(item) not in (2, 3):
        raise DataError(f"an iterable of batches must give (x, y) or (x, y, sample_weight); got {type(item).__name__}")
