"""Turn a recorded function into straight-line NumPy that works in memory of its own.

The plan decides three things once: which values are needed at all, in which buffer each lies (an operation
writes over an operand that nobody reads any more, else into a buffer that has become free), and which parts of a
concatenation can be computed where they will end. The result is a short Python function, one line an operation,
that can be read: ``Plan.source``. The numbers are those of the plain function, operation for operation.
"""

from __future__ import annotations

from collections.abc import Callable
from time import perf_counter
from typing import Any

import numpy as np

from xpnet_backends.on_numpy import team
from xpnet_backends.on_numpy.memory import held, new_array
from xpnet_backends.on_numpy.pytrees import building, leaves, matching
from xpnet_backends.on_numpy.tracing import Host, NotTraceable, map_leaves, record
from xpnet_backends.on_numpy.writer import KernelsMissing, Writer

__all__ = ["Plan", "Wait"]

SHORT = 0.01
"""Seconds below which the next steps by one call, in which Ctrl-C is not heard, may be twice as many."""


class Wait:
    """The seconds that plans have run which wait for the same code."""

    def __init__(self) -> None:
        self.seconds = 0.0


_waits: dict[frozenset[Any], Wait] = {}
"""By what is waited for. Networks that differ in their sizes alone wait for the same."""


class Plan:
    """A function for arguments of one structure and one set of shapes.

    Parameters
    ----------
    function : callable
        A pure function of arrays.
    arguments : tuple
        Arguments to record it with.
    donated : bool
        Whether the first argument is handed over: its arrays then live in the plan's memory, and the first
        result (or the only one), which must have the same structure, is left there.
    home : list of array, optional
        Such memory of another plan for the same donated argument, to be shared.
    compile_now : bool
        Whether kernels that are not known yet are compiled. Without, a plan that needs one does without any.

    Attributes
    ----------
    wait : Wait or None
        What the plan shares with all that need the same kernels, while it does without.
    threads : int or None
        Of how many threads its products are, to the bits; None where that does not matter.
    problem : str
        Why it goes on without kernels, if that is for good.
    runs : bool
        Whether a call is being served: a signal's handler may make another in the midst of it.
    is_silent : bool
        Whether no floating-point warning of NumPy's can come from it.
    nbytes : int
        Its memory, but for what donated arguments lie in.
    """

    def __init__(
        self,
        function: Callable[..., Any],
        arguments: tuple[Any, ...],
        donated: bool,
        home: list[Host] | None = None,
        compile_now: bool = False,
    ) -> None:
        nodes, result = record(function, arguments)
        inputs = [node for node in nodes if node.kind == "input"]
        owned = inputs[: len(leaves(arguments[0]))] if donated else []
        if not all(node.value.flags.c_contiguous for node in owned):
            raise NotTraceable("a donated array lies in another order than row by row, as its memory here does")
        self.home = home if home is not None else [new_array(node.value) for node in owned]
        kept, rest = _split(result, arguments[0]) if donated else ((), result)
        given = (nodes, owned, self.home, leaves(kept), leaves(rest))
        self.wait: Wait | None = None
        self._pace = 1
        self.runs = False
        self.problem = ""
        self.threads: int | None = None
        self._collecting: Callable[[tuple[Any, ...]], list[Host] | None] | None = None
        self._alike: Callable[[tuple[Any, ...]], list[Host] | None] | None = None
        try:
            writer = Writer(*given, fuse="now" if compile_now else "compiled")
            self.source = writer.write(inputs[len(owned) :])
            if writer.uncompiled:
                self.wait = _waits.setdefault(frozenset(writer.uncompiled), Wait())
        except Exception as error:  # the numbers are the same without kernels
            if compile_now:
                raise
            if isinstance(error, KernelsMissing):
                self.wait = _waits.setdefault(error.missing, Wait())
            else:
                self.problem = repr(error)
            writer = Writer(*given, fuse="never")
            self.source = writer.write(inputs[len(owned) :])
        self.threads, self.is_silent = writer.threads, writer.lines.is_silent
        scope = writer.names.values
        self.nbytes = held(scope.values()) - held(self.home)
        exec(compile(self.source, "<xpnet plan>", "exec"), scope)
        # Out of their own scope, so that the plan's memory is free once nobody holds the plan.
        self.run: Callable[..., tuple[Any, ...]] = scope.pop("run")
        self.run_times: Callable[..., int] | None = scope.pop("run_times", None)
        homes = iter(self.home)
        self._given_back = given_back = map_leaves(lambda item: next(homes), kept) if donated else None
        self.finish: Callable[[tuple[Any, ...]], Any] = building(rest, given_back)
        self.hand_out = building(None, given_back)

    @property
    def is_outdated(self) -> bool:
        """Whether its products are those of another number of threads than there are now."""
        return self.threads is not None and self.threads != team.size()

    def load(self, arrays: list[Host]) -> None:
        """Bring the donated argument's arrays into the plan's memory, those that are not there."""
        moved = [(home, array) for home, array in zip(self.home, arrays, strict=True) if home is not array]
        # What a plan gave back may come in other places: it is all read before anything is written.
        held = [np.array(array) if self._holds(array) else array for _, array in moved]
        for (home, _), array in zip(moved, held, strict=True):
            np.copyto(home, array)

    def _holds(self, array: Host) -> bool:
        """Say whether an array lies in the plan's memory, all of which are views."""
        return array.base is not None and any(np.may_share_memory(array, home) for home in self.home)

    def collecting(self, arguments: tuple[Any, ...]) -> Callable[[tuple[Any, ...]], list[Host] | None]:
        """Return what collects the arrays that :meth:`run` takes of arguments like these; of others it returns None.

        A donated argument has to be what was given back last.
        """
        if self._collecting is None:
            self._collecting = matching(arguments, self._given_back)
        return self._collecting

    def alike(self, arguments: tuple[Any, ...]) -> Callable[[tuple[Any, ...]], list[Host] | None] | None:
        """Return what collects all arrays of arguments like these, the donated one's first; it gives None of others.

        There is none where NumPy's numbers are among them, which are arrays to a plan.
        """
        if self._alike is None and not any(isinstance(leaf, np.generic) for leaf in leaves(arguments)):
            self._alike = matching(arguments, None)
        return self._alike

    def step_on(self, fixed: list[Host], rows: Host) -> None:
        """Run once a row, with *fixed* and the row as arguments; where that is compiled code, many times a call."""
        begin = perf_counter()
        if self.run_times is None:
            for i in range(len(rows)):
                self.run(*fixed, rows[i, ...])
            if self.wait is not None:
                self.wait.seconds += perf_counter() - begin
            return
        while len(rows):
            piece = rows[: self._pace]
            failed = self.run_times(*fixed, piece, len(piece), piece.strides[0])
            if failed:
                self.run(*fixed, piece[failed - 1, ...])  # which raises
            rows = rows[len(piece) :]
            end = perf_counter()
            if self.wait is not None:
                self.wait.seconds += end - begin
            if end - begin < SHORT and len(piece) == self._pace:
                self._pace *= 2
            elif end - begin > 2 * SHORT:
                self._pace = max(1, self._pace // 2)
            begin = end


def _split(result: Any, first: Any) -> tuple[Any, Any]:
    """Return the successor of the donated argument, and the other results; None where it is not in a tuple."""
    if _same_structure(result, first):
        return _in_order(result, first), None
    if type(result) is tuple and result and _same_structure(result[0], first):
        return _in_order(result[0], first), result[1:]
    raise NotTraceable("a donated argument has no successor among the results")


def _in_order(tree: Any, like: Any) -> Any:
    """Return a tree with the names of its mappings in the order of another's, as arrays are matched in order."""
    if isinstance(tree, dict):
        return {name: _in_order(tree[name], like[name]) for name in like}
    if isinstance(tree, tuple | list):
        items = [_in_order(item, other) for item, other in zip(tree, like, strict=True)]
        return type(tree)(*items) if hasattr(tree, "_fields") else type(tree)(items)
    return tree


def _same_structure(a: Any, b: Any) -> bool:
    form = map_leaves(lambda item: (tuple(item.shape), str(item.dtype)), a)
    return bool(form == map_leaves(lambda item: (tuple(item.shape), str(item.dtype)), b))
