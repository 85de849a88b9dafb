"""Frozen dataclasses that are defined in a third of the usual time: a first network needs some seventy of them."""

from __future__ import annotations

from collections.abc import Hashable, Iterator
from dataclasses import FrozenInstanceError, dataclass, field, fields, is_dataclass
from functools import cached_property
from types import BuiltinFunctionType, FunctionType
from typing import Any, ClassVar, TypeVar, dataclass_transform

__all__ = ["beyond_fields", "differ", "identity", "is_plain", "record"]

Class = TypeVar("Class")


@dataclass_transform(frozen_default=True, field_specifiers=(field,))
def record(cls: type[Class]) -> type[Class]:
    """Make a frozen dataclass of a class.

    To users and tools it is the same as ``dataclass(frozen=True)``. But that generates and compiles six methods for
    each class; here only ``__init__`` is generated, and all records share the others. A class keeps methods of its own.

    >>> @record
    ... class Point:
    ...     x: float
    ...     y: float = 0.0
    >>> Point(1.0) == Point(1.0, 0.0), len({Point(1.0), Point(1.0)}), Point(2.0)
    (True, 1, Point(x=2.0, y=0.0))
    >>> Point(1.0).x = 2.0
    Traceback (most recent call last):
        ...
    dataclasses.FrozenInstanceError: cannot assign to field 'x'
    """
    for name, method in SHARED.items():
        if cls.__dict__.get(name) is None:  # `__eq__` in a class sets its `__hash__` to None
            setattr(cls, name, method)
    made: Any = dataclass(eq=False, repr=False)(cls)
    made.__dataclass_params__.frozen = made.__dataclass_params__.eq = made.__dataclass_params__.repr = True
    made.__record_fields__ = tuple(item.name for item in fields(made))  # without class variables
    return cls


class _Methods:
    """The methods that all records share; they look up the fields of the class when they are called."""

    __record_fields__: ClassVar[tuple[str, ...]]

    def __eq__(self, other: object) -> bool:
        """Compare with a record of the same class, field by field."""
        return _values(self) == _values(other) if other.__class__ is self.__class__ else NotImplemented

    def __hash__(self) -> int:
        """Hash the fields."""
        return hash(_values(self))

    def __repr__(self) -> str:
        """Write the call that makes an equal record."""
        said = [f"{name}={value!r}" for name, value in zip(self.__record_fields__, _values(self), strict=True)]
        return f"{self.__class__.__qualname__}({', '.join(said)})"

    def __setattr__(self, name: str, value: Any) -> None:
        """Set a field once, as ``__init__`` does; a subclass that is not a record may set other attributes."""
        is_field = name in self.__record_fields__
        refused = name in self.__dict__ if is_field else _is_record(self)
        if refused:
            from xpnet.foreign_names import FIELD_ADVICE

            other = "" if is_field else FIELD_ADVICE.get(self.__class__.__name__, "")
            raise FrozenInstanceError(f"cannot assign to field {name!r}{FIELD_ADVICE.get(name, other)}")
        object.__setattr__(self, name, value)

    def __delattr__(self, name: str) -> None:
        """Refuse to delete fields."""
        if name in self.__record_fields__ or _is_record(self):
            raise FrozenInstanceError(f"cannot delete field {name!r}")
        object.__delattr__(self, name)


def is_plain(value: Any) -> bool:
    """Say whether a value consists of xpnet's records, tuples, numbers and text alone, so that a file can hold it.

    A record of a subclass that has attributes beside its fields is not plain.

    >>> @record
    ... class Point:
    ...     x: object
    >>> is_plain((Point(1.0), Point("a"))), is_plain(Point(print))
    (True, False)
    """
    if isinstance(value, tuple):
        return all(is_plain(item) for item in value)
    if hasattr(type(value), "__record_fields__"):
        return not beyond_fields(value) and all(is_plain(item) for item in _values(value))
    return value is None or isinstance(value, str | int | float)


def beyond_fields(value: Any) -> list[str]:
    """Return the names of the attributes that a dataclass object has beside its fields and cached properties.

    >>> class Scaled(record(type("Plain", (), {}))):
    ...     def __init__(self, scale):
    ...         self.scale = scale
    >>> beyond_fields(Scaled(2.0))
    ['scale']
    """
    cls = type(value)
    held = dict.fromkeys(getattr(value, "__dict__", ()))
    for base in cls.__mro__:
        slots = vars(base).get("__slots__", ())
        held |= dict.fromkeys((slots,) if isinstance(slots, str) else slots)
    known = {"__dict__", "__weakref__", *(item.name for item in fields(value))}
    return [name for name in held if name not in known and not isinstance(getattr(cls, name, None), cached_property)]


def identity(value: Any) -> Hashable:
    """Return a key that is equal for two values only if no function can tell them apart, which ``==`` does not ensure.

    1, 1.0 and True are equal, but give arrays of different types. 0.0 and -0.0 are equal, too, and so are frozen
    dataclasses that differ in an attribute beside the fields, or in a field that is not compared. Objects also differ
    before and after a method or another attribute of their class was replaced in place, as IPython's ``%autoreload``
    does; this does not look at xpnet's own classes, nor at what functions use beyond their arguments and defaults.

    Raises
    ------
    TypeError
        A part is not a number, text, None, a function, a class, a tuple or a frozen dataclass of these, so that it may
        hold anything, and change.

    >>> identity((1, 0.0)) == identity((1, 0.0)), identity(1) == identity(True), identity(0.0) == identity(-0.0)
    (True, False, False)
    """
    kind = type(value)
    if kind is float:
        return kind, value.hex()
    if kind is tuple:
        return kind, *[identity(item) for item in value]
    if kind is FunctionType:
        defaults = *(value.__defaults__ or ()), *(value.__kwdefaults__ or {}).values()
        return kind, value, value.__code__, *map(_Object, defaults)
    if value is None or kind in (bool, int, str, BuiltinFunctionType) or isinstance(value, type):
        return kind, value
    if is_dataclass(value) and kind.__dataclass_params__.frozen and not beyond_fields(value):
        held = [identity(getattr(value, item.name)) for item in fields(value)]
        return kind, *[*held, *_attributes(kind)]
    raise TypeError(f"{value!r} has no identity: it may hold anything, and something else later")


def differ(one: Any, other: Any) -> bool:
    """Say whether two values certainly differ: dataclasses in any attribute, other objects in their class.

    Users' objects, and functions, need not be equal to their own copies.

    >>> @record
    ... class Point:
    ...     x: object
    >>> differ((Point(1.0), Point("a")), (Point(1.0), Point("b"))), differ(Point(print), Point(len))
    (True, False)
    """
    if is_plain((one, other)):
        return bool(one != other and (one == one or other == other))  # NaN is not even itself
    if type(one) is not type(other):
        return True
    if isinstance(one, tuple | list):
        return len(one) != len(other) or any(map(differ, one, other))
    if is_dataclass(one) and not isinstance(one, type):
        names = [item.name for item in fields(one)] + beyond_fields(one)
        return any(differ(getattr(one, name, None), getattr(other, name, None)) for name in names)
    return False


SHARED = {name: method for name, method in vars(_Methods).items() if callable(method)}


def _attributes(cls: Any) -> Iterator[Hashable]:
    """Yield the identities of methods and other attributes of a dataclass and its bases, but for xpnet's own.

    ``__init__`` is left out: all that it does is seen in the fields.
    """
    known = {"__init__", *(item.name for item in fields(cls))}
    for base in cls.__mro__:
        if base is object or base.__module__.partition(".")[0] == "xpnet":
            continue
        for name, value in vars(base).items():
            if name not in known and (isinstance(value, FunctionType) or not name.startswith("__")):
                yield name, _Object(value)
                if isinstance(value, staticmethod | classmethod | property | cached_property):
                    inner = next(part for part in ("__func__", "fget", "func") if hasattr(value, part))
                    value = getattr(value, inner)
                if isinstance(value, FunctionType):
                    yield identity(value)


class _Object:
    """A key for one object, which it keeps alive; what the object holds does not count."""

    def __init__(self, value: Any) -> None:
        self.value = value

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Object) and self.value is other.value

    def __hash__(self) -> int:
        return id(self.value)


def _values(made: Any) -> tuple[Any, ...]:
    return tuple([getattr(made, name) for name in made.__record_fields__])


def _is_record(made: Any) -> bool:
    return "__record_fields__" in type(made).__dict__
