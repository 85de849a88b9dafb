"""Keep long vectors in pieces while a loop runs.

All parameters of a network lie in one vector, and layers see slices of it. XLA copies every slice that a matrix
product reads and every gradient that is joined to the vector. Inside a loop neither is needed: this module rewrites
the step so that a vector that it slices is carried as a tuple of pieces, cut where the slices begin and end. A slice is
then a piece, a join of gradients a tuple, and an operation on the vector one on each piece. An operation that needs the
whole vector, such as a norm, gets the pieces joined. Element by element, the operations are the same.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import accumulate, pairwise
from typing import Any

import jax
import jax.numpy as jnp
from jax.extend import core

__all__ = ["scan"]

ELEMENTWISE = frozenset(
    """
    abs add and cbrt ceil convert_element_type copy cos div eq exp exp2 expm1 floor ge gt integer_pow is_finite le log
    log1p logistic lt max min mul ne neg not or pow rem round rsqrt select_n sign sin sqrt square sub tanh xor
    """.split()
)
"""Primitives that compute each element from the elements at the same index, or from scalars."""

CALL_PRIMITIVES = ("pjit", "jit", "closed_call", "custom_jvp_call", "custom_vjp_call")
"""Primitives that only call another function."""

MIN_LENGTH = 8192
"""Elements from which a copy of the vector takes longer than the additional operations on its pieces."""

Cuts = dict[int, tuple[int, ...]]
"""For each length of vectors, the indices at which they are cut, including both ends."""


class Pieces(tuple):  # type: ignore[type-arg]
    """The parts of one vector, in order."""

    __slots__ = ()

    def join(self) -> jax.Array:
        """Return the whole vector."""
        return jnp.concatenate(self)


def scan(step: Callable[[Any, Any], Any], carry: Any, rows: Any) -> Any:
    """Return ``carry = step(carry, row)`` after all *rows*, with the carry's long vectors in pieces."""
    row_shapes = jax.tree.map(lambda leaf: jax.ShapeDtypeStruct(leaf.shape[1:], leaf.dtype), rows)
    closed = jax.make_jaxpr(step)(carry, row_shapes)
    leaves, structure = jax.tree.flatten(carry)
    cuts = _find_cuts(closed.jaxpr)

    def body(pieces: Sequence[Any], row: Any) -> tuple[list[Any], None]:
        found = _evaluate(closed.jaxpr, closed.consts, [*pieces, *jax.tree.leaves(row)], cuts)
        return [in_form_of(given, value) for given, value in zip(pieces, found, strict=True)], None

    def in_form_of(given: Any, value: Any) -> Any:
        return _cut(value, cuts) if isinstance(given, Pieces) else _joined(value)

    start = [_cut(leaf, cuts) for leaf in leaves]
    if cuts and jax.tree.leaves(rows)[0].shape[0] == 1:
        # A loop that XLA knows to take one step is dissolved, and what is left of it takes twice as long.
        row = jax.tree.map(lambda leaf: leaf[0], rows)
        once = jax.lax.optimization_barrier(jnp.int32(1))
        end = jax.lax.fori_loop(0, once, lambda _, pieces: body(pieces, row)[0], start)
    else:
        end, _ = jax.lax.scan(body, start, rows)
    return jax.tree.unflatten(structure, [_joined(value) for value in end])


def _find_cuts(jaxpr: core.Jaxpr) -> Cuts:
    """Return where to cut the long vectors that the function slices."""
    indices: dict[int, set[int]] = {}
    for equation in _equations(jaxpr):
        if equation.primitive.name == "slice" and len(equation.invars[0].aval.shape) == 1:
            (length,) = equation.invars[0].aval.shape
            (start,), (stop,) = equation.params["start_indices"], equation.params["limit_indices"]
            indices.setdefault(length, {0, length}).update((start, stop))
    return {
        length: tuple(sorted(found)) for length, found in indices.items() if length >= MIN_LENGTH and len(found) > 2
    }


def _equations(jaxpr: core.Jaxpr) -> Iterator[Any]:
    for equation in jaxpr.eqns:
        inner = _called_function(equation)
        if inner is None:
            yield equation
        else:
            yield from _equations(inner.jaxpr)


def _called_function(equation: Any) -> core.ClosedJaxpr | None:
    """Return the function that an equation only calls, or None for any other equation."""
    if equation.primitive.name not in CALL_PRIMITIVES:
        return None
    inner = equation.params.get("jaxpr") or equation.params.get("call_jaxpr")
    return inner if isinstance(inner, core.ClosedJaxpr) else None


def _evaluate(jaxpr: core.Jaxpr, constants: Sequence[Any], arguments: Sequence[Any], cuts: Cuts) -> list[Any]:
    """Run a function whose long vectors may be in pieces."""
    values: dict[Any, Any] = dict(zip((*jaxpr.constvars, *jaxpr.invars), (*constants, *arguments), strict=True))

    def read(variable: Any) -> Any:
        return variable.val if isinstance(variable, core.Literal) else values[variable]

    for equation in jaxpr.eqns:
        operands = [read(variable) for variable in equation.invars]
        inner = _called_function(equation)
        if inner is not None:
            results = _evaluate(inner.jaxpr, inner.consts, operands, cuts)
        else:
            piecewise = _apply_piecewise(equation, operands, cuts)
            results = _apply_whole(equation, operands) if piecewise is None else [piecewise]
        values.update(zip(equation.outvars, results, strict=True))
    return [read(variable) for variable in jaxpr.outvars]


def _apply_whole(equation: Any, operands: Iterable[Any]) -> list[Any]:
    """Apply an operation to whole arrays."""
    bound = equation.primitive.get_bind_params(equation.params)
    subfunctions, parameters = bound if isinstance(bound, tuple) else ((), bound)  # some releases of JAX return both
    found = equation.primitive.bind(*subfunctions, *map(_joined, operands), **parameters)
    return list(found) if equation.primitive.multiple_results else [found]


def _apply_piecewise(equation: Any, operands: Sequence[Any], cuts: Cuts) -> Any:
    """Apply an operation to pieces, or return None if that is impossible."""
    name, parameters = equation.primitive.name, equation.params
    shape = equation.outvars[0].aval.shape
    if name == "slice" and isinstance(operands[0], Pieces):
        return _slice(operands[0], parameters)
    if len(shape) != 1 or shape[0] not in cuts:
        return None
    if name == "concatenate":
        return _join_pieces(operands, cuts[shape[0]])
    if name == "broadcast_in_dim" and not jnp.shape(operands[0]):
        sizes = [stop - start for start, stop in pairwise(cuts[shape[0]])]
        return Pieces(jnp.broadcast_to(operands[0], (size,)) for size in sizes)
    if name in ELEMENTWISE and any(isinstance(operand, Pieces) for operand in operands):
        parts = [_cut(operand, cuts) if _is_vector(operand) else operand for operand in operands]
        count = len(cuts[shape[0]]) - 1
        return Pieces(
            equation.primitive.bind(*(part[i] if isinstance(part, Pieces) else part for part in parts), **parameters)
            for i in range(count)
        )
    return None


def _is_vector(value: Any) -> bool:
    return isinstance(value, Pieces) or len(jnp.shape(value)) == 1


def _slice(pieces: Pieces, parameters: dict[str, Any]) -> Any:
    """Return the pieces that a slice covers, joined where it covers several."""
    (start,), (stop,) = parameters["start_indices"], parameters["limit_indices"]
    if parameters["strides"] not in (None, (1,)):
        return None
    begins = [0, *accumulate(piece.shape[0] for piece in pieces)]
    found = Pieces(piece for piece, begin in zip(pieces, begins, strict=False) if start <= begin < stop)
    return found[0] if len(found) == 1 else found.join()


def _join_pieces(operands: Sequence[Any], wanted_ends: tuple[int, ...]) -> Pieces | None:
    """Return vectors that are to be concatenated as pieces, if they end at the cuts, or else None."""
    parts = [part for operand in operands for part in (operand if isinstance(operand, Pieces) else (operand,))]
    ends = tuple(accumulate((part.shape[0] for part in parts), initial=0))
    return Pieces(parts) if ends == wanted_ends else None


def _cut(value: Any, cuts: Cuts) -> Any:
    """Return a long vector in pieces, and anything else as it is."""
    if isinstance(value, Pieces) or len(jnp.shape(value)) != 1 or value.shape[0] not in cuts:
        return value
    return Pieces(value[start:stop] for start, stop in pairwise(cuts[value.shape[0]]))


def _joined(value: Any) -> Any:
    return value.join() if isinstance(value, Pieces) else value


jax.tree_util.register_pytree_node(Pieces, lambda pieces: (tuple(pieces), None), lambda _, parts: Pieces(parts))
