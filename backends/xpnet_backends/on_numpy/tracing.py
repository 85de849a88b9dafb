"""Record the operations of a pure function by running it once on :class:`Traced` arrays.

A traced array wraps a real one, so every shape, type and value in the record is NumPy's own. NumPy passes each
operation to it through ``__array_ufunc__`` and ``__array_function__``. The record is a list of :class:`Node` in the
order of execution. An in-place operation (``a += b``) is recorded as a new value that the array has from then on; the
plan decides where it is stored. Two things raise :class:`NotTraceable`, after which the function is always called as it
is: other writes that would show through a second name of the same memory, and operations whose result's shape or type
may depend on values (see :mod:`static_shapes`).
"""

from __future__ import annotations

from collections.abc import Callable
from operator import getitem
from typing import Any

import numpy as np
from numpy.lib import NumpyVersion
from numpy.lib.mixins import NDArrayOperatorsMixin

from xpnet_backends.on_numpy import bfloat16, blocks, mkl, static_shapes

__all__ = ["Node", "NotTraceable", "Traced", "nodes_in", "number_power", "record"]

FAST_POWERS = {0.5: np.sqrt, -1.0: np.reciprocal} if NumpyVersion(np.__version__) < "2.3.0" else {}
"""What the operator ``**`` does with arrays of floats instead of ``power``, by the exponent's value."""

Host = np.ndarray[Any, Any]


class NotTraceable(Exception):
    """The function looks at values, or does something that cannot be replayed."""


class Node:
    """One recorded value: how it was made, of what, and what it was.

    ``kind`` is "input", "view" (shares memory with ``args[0]``), "ufunc", "power" (of two numbers), "reduce", "astype",
    "where", "product" (by MKL or in blocks), "join" (concat or stack of 0-d arrays), or "call" (anything else).
    Arguments are nodes or constants; ``operands`` are the nodes among them, nested lists and options included.
    """

    __slots__ = ("args", "function", "kind", "operands", "options", "value")

    def __init__(self, kind: str, function: Any, args: tuple[Any, ...], options: dict[str, Any], value: Host) -> None:
        self.kind, self.function, self.args, self.options = kind, function, args, options
        self.value: Host = value
        self.operands = nodes_in((*args, *options.values()))


def nodes_in(tree: Any) -> list[Node]:
    """Return the nodes in nested lists and tuples."""
    if isinstance(tree, Node):
        return [tree]
    if isinstance(tree, list | tuple):
        return [node for part in tree for node in nodes_in(part)]
    return []


class Tape:
    """The nodes in order; the ids of *overwritten* ones, whose views no longer hold; and of *scalars*, which are
    no arrays to NumPy, so that an in-place operation on them makes a new number, and their powers are C's.
    """

    def __init__(self) -> None:
        self.nodes: list[Node] = []
        self.overwritten: set[int] = set()
        self.scalars: set[int] = set()


class Traced(NDArrayOperatorsMixin):
    """An array that records in ``tape`` what is done with it."""

    __slots__ = ("_node", "tape")

    def __init__(self, node: Node, tape: Tape) -> None:
        self._node: Node = node
        self.tape: Tape = tape

    @property
    def node(self) -> Node:
        """The value that the array has now."""
        node = self._node
        while node.kind == "view":
            node = node.args[0]
        if id(node) in self.tape.overwritten:
            raise NotTraceable("a view is used after its array was written to")
        return self._node

    @property
    def shape(self) -> tuple[int, ...]:
        """The array's shape."""
        shape: tuple[int, ...] = self.node.value.shape
        return shape

    @property
    def ndim(self) -> int:
        """The number of axes."""
        return self.node.value.ndim

    @property
    def size(self) -> int:
        """The number of elements."""
        return self.node.value.size

    @property
    def dtype(self) -> Any:
        """The type of an element."""
        return self.node.value.dtype

    @property
    def flags(self) -> Any:
        """The order in memory."""
        return self.node.value.flags

    @property
    def device(self) -> str:
        """The CPU."""
        return "cpu"

    @property
    def T(self) -> Traced:
        """The transpose."""
        transposed: Traced = self._apply("call", np.transpose, (self,), {})
        return transposed

    def __getitem__(self, index: Any) -> Traced:
        """Record a view; an index of integers alone is completed by an ellipsis, so that it gives a view."""
        index = index if isinstance(index, tuple) else (index,)
        if _traced(index):
            raise NotTraceable("an array is indexed by an array")
        if Ellipsis not in index:
            view: Traced = self._apply("call", getitem, (self, (*index, Ellipsis)), {})
            if view.ndim == 0:  # without the ellipsis it is a number
                self.tape.scalars.add(id(view.node))
            return view
        return self._apply("call", getitem, (self, index), {})  # type: ignore[no-any-return]

    def __setitem__(self, index: Any, value: Any) -> None:
        """Refuse: backends without assignment would too."""
        raise NotTraceable("an array is assigned to by index")

    def __iter__(self) -> Any:
        """Go through the first axis."""
        return (self[i] for i in range(len(self)))

    def __len__(self) -> int:
        """Return the length of the first axis."""
        return len(self.node.value)

    def _refuse_value(self, *arguments: object) -> Any:
        raise NotTraceable("an array's value is looked at")

    __bool__ = __int__ = __float__ = __index__ = __complex__ = __array__ = __dlpack__ = _refuse_value

    def __pow__(self, exponent: Any) -> Any:
        """Record a power."""
        return self._power(self, exponent)

    def __rpow__(self, base: Any) -> Any:
        """Record a power of another base."""
        return self._power(base, self)

    def __ipow__(self, exponent: Any) -> Any:
        """Record a power in the place of this array; of a number, a new one."""
        return self._power(self, exponent, **({} if self._is_scalar(self) else {"out": (self,)}))

    def _power(self, base: Any, exponent: Any, **out: Any) -> Any:
        """Record what the operator ``**`` does: C's power for two numbers, a ufunc if one is an array."""
        if self._is_scalar(base) and self._is_scalar(exponent):
            return self._apply("power", number_power, (base, exponent), {})
        if isinstance(base, Traced) and not self._is_scalar(base) and np.ndim(exponent) == 0:
            kind = base.dtype.kind
            if kind == "c" or (kind == "f" and FAST_POWERS and isinstance(exponent, Traced)):
                raise NotTraceable("an exponent's value and type decide how NumPy computes a power of these arrays")
            if kind == "f" and FAST_POWERS and (function := FAST_POWERS.get(float(exponent))) is not None:
                return function(base, **out)
        return np.power(base, exponent, **out)

    def _is_scalar(self, item: Any) -> bool:
        """Say whether an operand is a number to NumPy, not an array."""
        if isinstance(item, Traced):
            return id(item.node) in self.tape.scalars
        return isinstance(item, int | float | complex | np.generic)

    def __array_ufunc__(self, ufunc: Any, method: str, *inputs: Any, out: Any = None, **options: Any) -> Any:
        """Record a ufunc; one in place gives the written array a new value of its dtype."""
        if method == "reduce" and out is None and not options.keys() - {"axis", "keepdims"}:
            options = {"axis": 0, "keepdims": False, **options}
            return self._apply("reduce", ufunc, inputs, options)
        if method != "__call__" or ufunc.nout != 1 or options:
            raise NotTraceable(f"{ufunc.__name__}.{method} with {options}")
        written = None if out is None else out[0]
        own = isinstance(written, Traced) and written is inputs[0] and written.node.kind != "view"
        if written is not None and not own:
            raise NotTraceable(f"{ufunc.__name__} writes into memory that other names may share")
        _require_types(ufunc, inputs)
        if ufunc is np.power and all(map(self._is_scalar, inputs)) and any(isinstance(n, np.generic) for n in inputs):
            raise NotTraceable("a number of NumPy's is raised to a power by its operator or by the ufunc")
        result = self._apply("ufunc", ufunc, inputs, {})
        if written is None or id(written.node) in self.tape.scalars:
            return result
        if result.shape != written.shape or not np.can_cast(result.dtype, written.dtype, "same_kind"):
            raise NotTraceable("an operation in place would change the array's form")
        if result.dtype != written.dtype:
            result = np.astype(result, written.dtype)
        self.tape.overwritten.add(id(written.node))
        written._node = result.node
        return written

    def __array_function__(self, function: Any, types: Any, arguments: Any, options: Any) -> Any:
        """Record one of NumPy's functions, broken down to simpler ones where that lets the plan reuse memory."""
        lower = _LOWER.get(function)
        if lower is not None:
            return lower(self, *arguments, **options)
        return self._apply("call", function, arguments, options)

    def _apply(self, kind: str, function: Any, arguments: tuple[Any, ...], options: dict[str, Any]) -> Any:
        """Run the operation on the real arrays and record it."""
        call = function.reduce if kind == "reduce" else function
        if "out" in options:
            raise NotTraceable(f"{function} writes into an array")
        values = _values
        if kind == "call":
            _require_static_shape(function, arguments, options)
            values = _readonly_values
        value = call(*values(arguments), **values(options))
        if not isinstance(value, np.ndarray | np.generic):
            if (
                function not in static_shapes.METADATA_FUNCTIONS
            ):  # what depends on numbers would be the same number in every run
                raise NotTraceable(f"{function} gives no array, or several")
            return value
        is_number = isinstance(value, np.generic)
        value = np.asarray(value)
        if kind == "call":
            shared = [item for item in _traced((arguments, options)) if np.may_share_memory(value, item.node.value)]
            if any(item is not arguments[0] for item in shared):
                raise NotTraceable(f"{function} gives a view of another than its first argument")
            kind = "view" if shared else "call"
        noted = self._add_node(kind, function, arguments, options, value)
        if is_number:
            self.tape.scalars.add(id(noted.node))
        return noted

    def _add_node(self, kind: str, function: Any, arguments: Any, options: Any, value: Host) -> Traced:
        # A plan's buffers are in row-major order: what is a view here would be a copy there, and sums and products of
        # matrices in another order add their terms in another.
        if kind not in ("view", "call") and not value.flags.c_contiguous:
            raise NotTraceable("a result lies in another order than row by row")
        node = Node(kind, function, _nodes(tuple(arguments)), _nodes(options), value)
        self.tape.nodes.append(node)
        return Traced(node, self.tape)


LEAVES = (Traced, np.ndarray, np.generic)
"""The leaves of nested containers."""


def record(function: Callable[..., Any], arguments: Any) -> tuple[list[Node], Any]:
    """Run *function* on recording copies of its arrays; return the nodes, inputs first, and its result."""
    tape = Tape()

    def wrap(value: Host) -> Traced:
        if not isinstance(value, np.generic) and type(value) not in (np.ndarray, np.memmap):
            raise NotTraceable("a kind of array of its own, such as a matrix or a masked array, calculates differently")
        given = np.asarray(value).view()
        given.flags.writeable = False  # what does not write by an operator fails before it has, and runs as it stands
        node = Node("input", None, (), {}, given)
        tape.nodes.append(node)
        if isinstance(value, np.generic):
            tape.scalars.add(id(node))
        return Traced(node, tape)

    wrapped = map_leaves(wrap, arguments)
    return tape.nodes, function(*wrapped)


def map_leaves(function: Callable[[Any], Any], tree: Any) -> Any:
    """Apply *function* to the arrays in nested tuples, lists and mappings; leave all else as it is."""
    if isinstance(tree, LEAVES):
        return function(tree)
    if isinstance(tree, tuple | list):
        mapped = [map_leaves(function, item) for item in tree]
        return type(tree)(*mapped) if hasattr(tree, "_fields") else type(tree)(mapped)
    if isinstance(tree, dict):
        return {name: map_leaves(function, item) for name, item in tree.items()}
    return tree


def number_power(base: Any, exponent: Any) -> Any:
    """Return the power of two numbers, which may be given as arrays with no axes."""
    return _number(base) ** _number(exponent)


def _number(item: Any) -> Any:
    return item[()] if isinstance(item, np.ndarray) else item


def _require_types(ufunc: Any, inputs: tuple[Any, ...]) -> None:
    """Raise NotTraceable if a ufunc converts a number to another dtype than the arrays', in which plans store it."""
    given = [item.dtype if isinstance(item, Traced) else type(item) for item in inputs]
    types = {kind for kind in given if isinstance(kind, np.dtype)}
    if len(types) != 1 or not {int, float} & set(given):
        return
    (kind,) = types
    for number, wanted in zip(inputs, ufunc.resolve_dtypes((*given, None)), strict=False):
        if type(number) in (int, float) and kind.kind == "f" and wanted != kind:
            raise NotTraceable(f"{ufunc.__name__} takes {number!r} as {wanted}, beside arrays of {kind}")


def _require_static_shape(function: Any, arguments: tuple[Any, ...], options: dict[str, Any]) -> None:
    """Raise NotTraceable if the shape or dtype of a function's result may depend on values."""
    if function in static_shapes.METADATA_FUNCTIONS:
        return
    count = static_shapes.array_argument_count(function)
    deciding = *arguments[count:], *(options[name] for name in options.keys() - static_shapes.VALUE_OPTIONS)
    if not count or _traced(deciding):
        raise NotTraceable(f"the shape or type of what {function} gives may depend on values")


def _values(tree: Any) -> Any:
    return map_leaves(lambda item: item.node.value if isinstance(item, Traced) else item, tree)


def _readonly_values(tree: Any) -> Any:
    """Return the real arrays of a tree, so that a function which writes into one raises, and is not recorded."""

    def view(item: Any) -> Any:
        value = item.node.value if isinstance(item, Traced) else item
        if isinstance(value, np.ndarray):
            value = value.view()
            value.flags.writeable = False
        return value

    return map_leaves(view, tree)


def _traced(tree: Any) -> list[Traced]:
    found: list[Any] = []
    map_leaves(found.append, tree)
    return [item for item in found if isinstance(item, Traced)]


def _nodes(tree: Any) -> Any:
    return map_leaves(lambda item: item.node if isinstance(item, Traced) else item, tree)


def _reduction(ufunc: Any) -> Callable[..., Any]:
    def lower(self: Traced, x: Traced, axis: Any = None, *, keepdims: bool = False) -> Any:
        return self._apply("reduce", ufunc, (x,), {"axis": axis, "keepdims": keepdims})

    return lower


def _mean(self: Traced, x: Traced, axis: Any = None, *, keepdims: bool = False) -> Any:
    if x.dtype.char not in "fd":  # NumPy adds up the others in a wider type
        return self._apply("call", np.mean, (x,), {"axis": axis, "keepdims": keepdims})
    total = self._apply("reduce", np.add, (x,), {"axis": axis, "keepdims": keepdims})
    return total / (x.size / max(total.size, 1))


def _product(function: Callable[..., Any]) -> Callable[..., Any]:
    def lower(self: Traced, *arguments: Any) -> Any:
        return self._apply("product", function, arguments, {})

    return lower


def _astype(self: Traced, x: Traced, dtype: Any, /, *, copy: bool = True, device: Any = None) -> Any:
    if not copy and x.dtype == dtype:
        return x
    converted = self._add_node("astype", None, (x,), {}, x.node.value.astype(dtype))
    if id(x.node) in self.tape.scalars:
        self.tape.scalars.add(id(converted.node))
    return converted


def _where(self: Traced, condition: Any, x: Any, y: Any) -> Any:
    value = np.asarray(np.where(*_values((condition, x, y))))
    kind = condition.dtype if isinstance(condition, Traced) else np.asarray(condition).dtype
    if kind.char != "?":
        condition = condition != 0
    return self._add_node("where", np.where, (condition, x, y), {}, value)


def _concat(self: Traced, arrays: Any, axis: int = 0) -> Any:
    value = np.concatenate(_values(arrays), axis=axis)
    if axis == 0 and value.ndim == 1:
        return self._add_node("join", None, tuple(arrays), {}, value)
    return self._add_node("call", np.concatenate, (list(arrays),), {"axis": axis}, value)


def _stack(self: Traced, arrays: Any, axis: int = 0) -> Any:
    value = np.stack(_values(arrays), axis=axis)
    if axis == 0 and value.ndim == 1:
        return self._add_node("join", None, tuple(arrays), {}, value)
    return self._add_node("call", np.stack, (list(arrays),), {"axis": axis}, value)


def _reshape(self: Traced, x: Traced, shape: Any) -> Any:
    result = self._apply("call", np.reshape, (x, shape), {})
    return x if result.shape == x.shape else result


def _expand_dims(self: Traced, x: Traced, axis: int = 0) -> Any:
    place = axis if axis >= 0 else x.ndim + 1 + axis
    return x[(*(slice(None) for _ in range(place)), None)]


_LOWER: dict[Any, Callable[..., Any]] = {
    np.sum: _reduction(np.add),
    np.max: _reduction(np.maximum),
    np.min: _reduction(np.minimum),
    np.prod: _reduction(np.multiply),
    np.mean: _mean,
    np.astype: _astype,
    np.where: _where,
    np.concatenate: _concat,
    np.stack: _stack,
    np.reshape: _reshape,
    np.expand_dims: _expand_dims,
    mkl.product: _product(mkl.product),
    mkl.column_sums: _product(mkl.column_sums),
    bfloat16.product: _product(bfloat16.product),
    blocks.product: _product(blocks.product),
}
