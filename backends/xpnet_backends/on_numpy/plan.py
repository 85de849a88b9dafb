"""Turn a recorded function into a plan: straight-line Python source that works in memory of its own.

The plan decides three things once: which values are needed at all; where each is stored (an operation overwrites an
operand that is not read again, or else takes a buffer that has become free); and which parts of a concatenation can be
computed in place. Its source can be read, one line an operation: ``Plan.source``. The numbers are those of the recorded
function, operation for operation.
"""

from __future__ import annotations

from collections.abc import Callable
from time import perf_counter
from typing import Any

import numpy as np

from xpnet_backends.on_numpy import team
from xpnet_backends.on_numpy.memory import new_array, total_bytes
from xpnet_backends.on_numpy.pytrees import caller_for, flattener_for, leaves, unflattener
from xpnet_backends.on_numpy.tracing import Host, NotTraceable, map_leaves, record
from xpnet_backends.on_numpy.writer import KernelsMissing, Writer

__all__ = ["PendingKernels", "Plan"]

CALL_SECONDS = 0.01
"""Calls of many rows are sized by this: after one that was faster, the next takes twice as many rows; after one of
twice the seconds, half as many. Ctrl-C is not heard during a call."""


class PendingKernels:
    """How many *seconds* the plans that need the same kernels have run without them."""

    def __init__(self) -> None:
        self.seconds = 0.0


_pending: dict[frozenset[Any], PendingKernels] = {}
"""By the routines that are missing. Networks that differ only in their sizes need the same."""


class Plan:
    """A function for arguments of one structure and one set of shapes.

    Parameters
    ----------
    function : callable
        A pure function of arrays.
    arguments : tuple
        Arguments to record it with.
    donated : bool
        Whether the first argument is donated: its arrays then live in the plan's memory, and so does its successor,
        the first result (or the only one), which must have the same structure.
    donated_buffers : list of array, optional
        That memory, of another plan for the same donated argument, to be shared.
    compile_now : bool
        Whether missing kernels are compiled. If not, and one is missing, the plan uses none.
    checked : bool
        Whether :attr:`run_checked` is made, which nothing donated can have.

    Attributes
    ----------
    pending : PendingKernels or None
        While kernels are missing: the seconds that all plans which need them have run.
    threads : int or None
        The number of threads that the bits of its products depend on; None if they do not.
    kernel_error : str
        Why it never gets kernels; "" if it can.
    is_running : bool
        Whether a call is being served: a signal handler may make another call meanwhile.
    run_checked : callable or None
        ``run_checked(*arrays)`` checks by compiled code, and so at once, that the arrays have the recorded form and
        the last one is finite; then it is :meth:`run`, else it returns None. There is none if not all is compiled code.
    is_silent : bool
        Whether it cannot raise one of NumPy's floating-point warnings.
    nbytes : int
        The bytes of its memory, without the donated buffers.
    """

    def __init__(
        self,
        function: Callable[..., Any],
        arguments: tuple[Any, ...],
        donated: bool,
        donated_buffers: list[Host] | None = None,
        compile_now: bool = False,
        checked: bool = False,
    ) -> None:
        nodes, result = record(function, arguments)
        inputs = [node for node in nodes if node.kind == "input"]
        donated_inputs = inputs[: len(leaves(arguments[0]))] if donated else []
        if not all(node.value.flags.c_contiguous for node in donated_inputs):
            raise NotTraceable("a donated array lies in another order than row by row, as its memory here does")
        self.donated_buffers = (
            donated_buffers if donated_buffers is not None else [new_array(node.value) for node in donated_inputs]
        )
        successor, others = _split(result, arguments[0]) if donated else ((), result)
        given = (nodes, donated_inputs, self.donated_buffers, leaves(successor), leaves(others))
        self.pending: PendingKernels | None = None
        self._rows_per_call = 1
        self.is_running = False
        self.kernel_error = ""
        self.threads: int | None = None
        self._flattener: Callable[[tuple[Any, ...]], list[Host] | None] | None = None
        self._flattener_with_donated: Callable[[tuple[Any, ...]], list[Host] | None] | None = None
        self._checked_call: Callable[[tuple[Any, ...]], Any] | None = None
        try:
            writer = Writer(*given, fuse="now" if compile_now else "compiled")
            self.source = writer.write(inputs[len(donated_inputs) :], checked and not donated)
            if writer.uncompiled:
                self.pending = _pending.setdefault(frozenset(writer.uncompiled), PendingKernels())
        except Exception as error:  # it works without kernels, to the same numbers
            if compile_now:
                raise
            if isinstance(error, KernelsMissing):
                self.pending = _pending.setdefault(error.missing, PendingKernels())
            else:
                self.kernel_error = repr(error)
            writer = Writer(*given, fuse="never")
            self.source = writer.write(inputs[len(donated_inputs) :])
        self.threads, self.is_silent = writer.threads, writer.body.is_silent
        scope = writer.names.values
        self.nbytes = total_bytes(scope.values()) - total_bytes(self.donated_buffers)
        exec(compile(self.source, "<xpnet plan>", "exec"), scope)
        # Removed from their own globals: no reference cycle keeps the memory of a plan that nobody holds.
        self.run: Callable[..., tuple[Any, ...]] = scope.pop("run")
        self.run_times: Callable[..., int] | None = scope.pop("run_times", None)
        self.run_checked: Callable[..., tuple[Any, ...] | None] | None = scope.pop("run_checked", None)
        buffers = iter(self.donated_buffers)
        self._donated_tree = donated_tree = map_leaves(lambda item: next(buffers), successor) if donated else None
        self.unflatten: Callable[[tuple[Any, ...]], Any] = unflattener(others, donated_tree)
        self.unflatten_donated = unflattener(None, donated_tree)

    @property
    def is_outdated(self) -> bool:
        """Whether the number of threads has changed since, and with it the bits of its products."""
        return self.threads is not None and self.threads != team.size()

    def load_donated(self, arrays: list[Host]) -> None:
        """Copy the donated argument's arrays to the donated buffers, but for those that are these buffers."""
        moved = [(home, array) for home, array in zip(self.donated_buffers, arrays, strict=True) if home is not array]
        # The buffers may come back in another order: all are read before any is written.
        held = [np.array(array) if self._is_in_plan(array) else array for _, array in moved]
        for (home, _), array in zip(moved, held, strict=True):
            np.copyto(home, array)

    def _is_in_plan(self, array: Host) -> bool:
        """Say whether an array shares memory with the donated buffers, which are views, so that only views can."""
        return array.base is not None and any(np.may_share_memory(array, home) for home in self.donated_buffers)

    def flattener(self, arguments: tuple[Any, ...]) -> Callable[[tuple[Any, ...]], list[Host] | None]:
        """Return a function that flattens arguments to the arrays that :meth:`run` takes, or returns None.

        It returns None unless they have the signature of *arguments*, and the donated one is what the plan returned
        last.
        """
        if self._flattener is None:
            self._flattener = flattener_for(arguments, self._donated_tree)
        return self._flattener

    def checked_call(self, arguments: tuple[Any, ...]) -> Callable[[tuple[Any, ...]], Any] | None:
        """Return a function that calls :attr:`run_checked` with arguments in the containers of these.

        It returns the outputs, or None for other arguments.
        """
        if self._checked_call is None and self.run_checked is not None:
            self._checked_call = caller_for(arguments, self.run_checked)
        return self._checked_call

    def flattener_with_donated(
        self, arguments: tuple[Any, ...]
    ) -> Callable[[tuple[Any, ...]], list[Host] | None] | None:
        """Return a function that flattens arguments, a donated one included, or returns None of other signatures.

        There is none if some arguments are NumPy scalars, which are 0-d arrays to a plan.
        """
        if self._flattener_with_donated is None and not any(isinstance(leaf, np.generic) for leaf in leaves(arguments)):
            self._flattener_with_donated = flattener_for(arguments, None)
        return self._flattener_with_donated

    def run_rows(self, fixed: list[Host], rows: Host) -> None:
        """Run once for each row, with *fixed* and the row as arguments; compiled code takes many rows a call."""
        begin = perf_counter()
        if self.run_times is None:
            for i in range(len(rows)):
                self.run(*fixed, rows[i, ...])
            if self.pending is not None:
                self.pending.seconds += perf_counter() - begin
            return
        while len(rows):
            piece = rows[: self._rows_per_call]
            failed = self.run_times(*fixed, piece, len(piece), piece.strides[0])
            if failed:
                self.run(*fixed, piece[failed - 1, ...])  # which raises
            rows = rows[len(piece) :]
            end = perf_counter()
            if self.pending is not None:
                self.pending.seconds += end - begin
            if end - begin < CALL_SECONDS and len(piece) == self._rows_per_call:
                self._rows_per_call *= 2
            elif end - begin > 2 * CALL_SECONDS:
                self._rows_per_call = max(1, self._rows_per_call // 2)
            begin = end


def _split(result: Any, first: Any) -> tuple[Any, Any]:
    """Return the donated argument's successor, and the other results; None in their place if there are none."""
    if _same_structure(result, first):
        return _in_order(result, first), None
    if type(result) is tuple and result and _same_structure(result[0], first):
        return _in_order(result[0], first), result[1:]
    raise NotTraceable("a donated argument has no successor among the results")


def _in_order(tree: Any, like: Any) -> Any:
    """Return a tree whose mappings have their keys in the order of another's: arrays are matched by position."""
    if isinstance(tree, dict):
        return {name: _in_order(tree[name], like[name]) for name in like}
    if isinstance(tree, tuple | list):
        items = [_in_order(item, other) for item, other in zip(tree, like, strict=True)]
        return type(tree)(*items) if hasattr(tree, "_fields") else type(tree)(items)
    return tree


def _same_structure(a: Any, b: Any) -> bool:
    form = map_leaves(lambda item: (tuple(item.shape), str(item.dtype)), a)
    return bool(form == map_leaves(lambda item: (tuple(item.shape), str(item.dtype)), b))
