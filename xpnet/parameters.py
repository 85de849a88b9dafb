"""All parameters of a network in ONE flat vector, and the named views that layers see.

One vector makes an optimizer a handful of vector operations, weight decay a mask, clipping a norm and
an all-reduce a single call. :class:`Layout` knows where each parameter lies in it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from math import prod
from numbers import Integral
from typing import TYPE_CHECKING, Any

from xpnet import initializers
from xpnet.backend import Array
from xpnet.errors import BackendError, ConfigurationError, ShapeError
from xpnet.initializers import GlorotUniform, Initializer
from xpnet.random import host_stream
from xpnet.records import record
from xpnet.registry import resolve

if TYPE_CHECKING:
    import numpy as np

__all__ = ["Layout", "Param", "Shape", "Slot", "Tree", "flatten", "is_shape", "unflatten"]

Shape = tuple[int, ...]
Tree = Mapping[str, Any]
"""Arrays (or anything else) by name, nested as the layers are: ``{"0": {"weight": ..., "bias": ...}}``."""


def is_shape(value: Any) -> bool:
    """Say whether a value is a tuple of integers above 0.

    >>> is_shape((2, 3)), is_shape(()), is_shape([2, 3]), is_shape((0,))
    (True, True, False, False)
    """
    return isinstance(value, tuple) and all(isinstance(length, Integral) and int(length) > 0 for length in value)


@record
class Param:
    """The description of a parameter: its shape, its initializer, and whether penalties and weight decay act on it.

    Parameters
    ----------
    shape : tuple of int
        Of the parameter itself, () for a single number.
    initializer : Initializer or str, or None
        First values, ``"zeros"`` say; None leaves them to the activation that follows the layer.
    decay : bool
        False for what penalties and weight decay leave alone, such as a bias.

    Raises
    ------
    ConfigurationError
        ``shape`` is no tuple of integers above 0, or ``initializer`` is neither one nor the name of one.
    """

    shape: Shape
    initializer: Initializer | None
    decay: bool = True

    if TYPE_CHECKING:  # it takes more than it holds

        def __init__(self, shape: Shape, initializer: Initializer | str | None, decay: bool = True) -> None: ...

    def __post_init__(self) -> None:
        if not is_shape(self.shape):
            raise ConfigurationError(
                f"Param.shape must be a tuple of integers above 0, (4,) for 4 numbers; got {self.shape!r}"
            )
        if self.initializer is not None:
            recipe = resolve("initializer", self.initializer, initializers.NAMES)
            object.__setattr__(self, "initializer", recipe)

    def suited(self, recipe: Initializer | None) -> Param:
        """Return this parameter, with the initializer *recipe* if it has none of its own."""
        return self if self.initializer else replace(self, initializer=recipe)


@record
class Slot:
    """Where a parameter is in the flat vector: elements ``start`` to ``stop``, in the shape ``shape``."""

    name: str
    shape: Shape
    start: int
    stop: int
    param: Param


class Layout:
    """The order of a network's parameters in its flat vector.

    >>> from xpnet.initializers import Zeros
    >>> layout = Layout({"0": {"weight": Param((2, 3), Zeros()), "bias": Param((3,), Zeros(), decay=False)}})
    >>> layout.size, [slot.name for slot in layout.slots]
    (9, ['0.weight', '0.bias'])
    """

    def __init__(self, params: Tree) -> None:
        slots, start = {}, 0
        for name, param in flatten(params):
            slots[name] = Slot(name, param.shape, start, start + prod(param.shape), param)
            start = slots[name].stop
        self.slots = tuple(slots.values())
        self.size = start
        self._tree = unflatten(slots)
        self._shapes = {slot.name: slot.shape for slot in self.slots}

    def views(self, flat: Array, xp: Any) -> Tree:
        """Return the parameters inside *flat*, shaped and named; no copy where the library has views."""
        return _map(self._tree, lambda slot: xp.reshape(flat[slot.start : slot.stop], slot.shape))

    def pack(self, tree: Tree, xp: Any) -> Array:
        """Return a new flat vector that holds the gradients of *tree*; raises what :meth:`gradients` raises."""
        leaves = self.gradients(tree)
        return xp.concat([xp.reshape(leaves[slot.name], (-1,)) for slot in self.slots])

    def gradients(self, tree: Tree) -> dict[str, Array]:
        """Return the gradients of *tree* by their parameters' names.

        Raises
        ------
        ShapeError
            One is missing, has another shape than its parameter, or belongs to none.
        """
        leaves = dict(flatten(tree))
        if {name: tuple(getattr(leaf, "shape", "?")) for name, leaf in leaves.items()} == self._shapes:
            return leaves
        for name, shape in self._shapes.items():
            given = tuple(getattr(leaves[name], "shape", "?")) if name in leaves else None
            if given != shape:
                got = "none" if given is None else f"{given}"
                problem = f"the gradient of {name} must have its parameter's shape {shape}; got {got}"
                break
        else:
            extra = next(name for name in leaves if name not in self._shapes)
            problem = f"there is a gradient of {extra}, which is no parameter"
        raise ShapeError(f"{problem}. A layer's backward returns (dx, gradients), gradients by the names of its build")

    def decay_mask(self, dtype: Any, xp: Any) -> Array:
        """Return a vector with 1 where penalties and decay act (weights) and 0 elsewhere (biases, norms)."""
        return xp.concat(
            [(xp.ones if slot.param.decay else xp.zeros)(slot.stop - slot.start, dtype=dtype) for slot in self.slots]
        )

    def initialize(self, seed: int) -> np.ndarray[Any, Any]:
        """Draw initial values on the host in float64, each parameter from a random stream that depends on its name.

        Raises
        ------
        BackendError
            The host has no memory for them.
        ConfigurationError
            An initializer returns something else than real numbers of the parameter's shape.
        """
        import numpy as np

        from xpnet.aligned import aligned_empty

        try:
            flat = aligned_empty((self.size,), np.float64)
        except (MemoryError, ValueError) as error:  # beyond memory, and beyond what an array can have
            most = max(self.slots, key=lambda slot: prod(slot.shape))
            raise BackendError(
                f"there is no memory for {self.size:,} parameters of 8 bytes, which are drawn on the host; "
                f"{prod(most.shape):,} of them are in {most.name} {most.shape}: make the network smaller"
            ) from error
        for slot in self.slots:
            recipe = slot.param.initializer or GlorotUniform()
            stream = host_stream(seed, "weights", slot.name)
            values = np.asarray(recipe(stream, slot.shape))
            if values.shape != slot.shape or values.dtype.kind not in "iuf":
                raise ConfigurationError(
                    f"the initializer of {slot.name}, {recipe}, must return real numbers of shape {slot.shape}; got "
                    f"{values.dtype} of shape {values.shape}"
                )
            flat[slot.start : slot.stop] = values.reshape(-1)
        return flat


def flatten(tree: Tree, prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Yield the leaves of nested mappings with dotted names.

    >>> list(flatten({"0": {"weight": 1}, "2": {"0": {"bias": 2}}}))
    [('0.weight', 1), ('2.0.bias', 2)]
    """
    for name, value in tree.items():
        if isinstance(value, Mapping):
            yield from flatten(value, f"{prefix}{name}.")
        else:
            yield prefix + name, value


def unflatten(leaves: Mapping[str, Any]) -> dict[str, Any]:
    """Nest dotted names: the inverse of :func:`flatten`."""
    tree: dict[str, Any] = {}
    for name, value in leaves.items():
        *path, last = name.split(".")
        node = tree
        for part in path:
            node = node.setdefault(part, {})
        node[last] = value
    return tree


def _map(tree: Tree, function: Callable[[Slot], Array]) -> dict[str, Any]:
    return {
        name: _map(value, function) if isinstance(value, Mapping) else function(value) for name, value in tree.items()
    }
