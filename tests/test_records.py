"""Records are what ``dataclass(frozen=True)`` makes: compared here with the real one, behaviour by behaviour."""

from __future__ import annotations

import copy
import dataclasses
import functools
import inspect
import pickle
from typing import Any, ClassVar, Protocol

import pytest

import xpnet
from xpnet.records import beyond_fields, differ, identity, is_plain, record


@record
class Pair:
    """Two numbers, and names with a default."""

    first: int
    second: float = 2.0
    names: tuple[str, ...] = dataclasses.field(default_factory=tuple)
    kinds: ClassVar[list[str]] = ["shared by all"]


@dataclasses.dataclass(frozen=True)
class Standard:
    """The same by the standard library."""

    first: int
    second: float = 2.0
    names: tuple[str, ...] = dataclasses.field(default_factory=tuple)
    kinds: ClassVar[list[str]] = ["shared by all"]


class Loose(Pair):
    """A subclass that is no record."""


class Holding(Pair):
    """One that holds what is no field, in a slot too, and a property that it has cached."""

    __slots__ = ("slot",)

    def __init__(self, other: object) -> None:
        super().__init__(1)
        self.other = other
        assert self.cached == 1

    @functools.cached_property
    def cached(self) -> int:
        return self.first


BOTH = pytest.mark.parametrize("cls", [Pair, Standard])


def outcome(action: Any) -> Any:
    """Return what an action gives, or its error with the message."""
    try:
        return action()
    except Exception as error:
        return type(error), str(error)


ACTIONS = {
    "a field": lambda item: setattr(item, "first", 5),
    "the same value": lambda item: setattr(item, "first", 1),
    "a class variable": lambda item: setattr(item, "kinds", []),
    "no field": lambda item: setattr(item, "other", 5),
    "delete a field": lambda item: delattr(item, "first"),
    "delete what is not there": lambda item: delattr(item, "other"),
}


@pytest.mark.parametrize("action", ACTIONS)
def test_nothing_can_be_changed_just_as_in_a_frozen_dataclass(action: str) -> None:
    mine, theirs = Pair(1), Standard(1)
    wanted = outcome(lambda: ACTIONS[action](theirs))
    assert outcome(lambda: ACTIONS[action](mine)) == wanted
    assert wanted[0] is dataclasses.FrozenInstanceError
    assert mine == Pair(1)


@pytest.mark.parametrize("action", ACTIONS)
def test_a_subclass_without_a_decorator_does_as_one_of_a_frozen_dataclass(action: str) -> None:
    mine, theirs = Loose(1), type("Loose", (Standard,), {})(1)
    assert outcome(lambda: ACTIONS[action](mine)) == outcome(lambda: ACTIONS[action](theirs))
    assert vars(mine) == vars(theirs)


@BOTH
def test_equality_and_hash_are_those_of_the_fields_within_one_class(cls: type[Any]) -> None:
    assert cls(1) == cls(1, 2.0, ())
    assert cls(1) != cls(2)
    assert cls(1) != Loose(1)
    assert cls(1) != (1, 2.0, ())
    assert hash(cls(1)) == hash((1, 2.0, ()))
    with pytest.raises(TypeError, match="unhashable"):
        hash(cls([]))


@BOTH
def test_repr_signature_and_fields_are_the_same(cls: type[Any]) -> None:
    assert repr(cls(1, names=("a",))).endswith("(first=1, second=2.0, names=('a',))")
    assert [(f.name, f.type) for f in dataclasses.fields(cls)] == [
        (f.name, f.type) for f in dataclasses.fields(Standard)
    ]
    assert str(inspect.signature(cls)) == str(inspect.signature(Standard))
    assert cls.__match_args__ == ("first", "second", "names")
    assert cls.__dataclass_params__.frozen
    assert cls.__dataclass_params__.eq


@BOTH
@pytest.mark.parametrize(
    "again",
    [lambda item: pickle.loads(pickle.dumps(item)), copy.copy, copy.deepcopy, dataclasses.replace],
    ids=["pickle", "copy", "deepcopy", "replace"],
)
def test_copies_are_equal_and_as_fixed(cls: type[Any], again: Any) -> None:
    made = again(cls(1, names=("a",)))
    assert made == cls(1, names=("a",))
    with pytest.raises(dataclasses.FrozenInstanceError):
        made.first = 2


def test_what_a_class_defines_itself_it_keeps() -> None:
    @record
    class Same:
        value: int

        def __eq__(self, other: object) -> bool:
            return isinstance(other, Same)

        def __repr__(self) -> str:
            return "same"

    assert Same(1) == Same(2)
    assert repr(Same(1)) == "same"
    assert hash(Same(1)) == hash((1,))


def test_a_users_frozen_dataclass_may_inherit_and_a_loose_one_may_not() -> None:
    @dataclasses.dataclass(frozen=True)
    class Wider(Pair):
        third: int = 3

    assert Wider(1).third == 3
    assert Wider(1) == Wider(1, 2.0, (), 3)
    with pytest.raises(dataclasses.FrozenInstanceError):
        Wider(1).third = 4  # type: ignore[misc]
    with pytest.raises(TypeError, match="frozen"):
        dataclasses.dataclass(type("Wrong", (Pair,), {"__annotations__": {"x": int}, "x": 1}))


def test_layers_losses_and_optimizers_are_records() -> None:
    for made in (xpnet.Dense(3), xpnet.Adam(), xpnet.CrossEntropy()):
        assert dataclasses.is_dataclass(made)
        assert dataclasses.replace(made) == made
        with pytest.raises(dataclasses.FrozenInstanceError):
            made.name = "other"  # type: ignore[union-attr]


@pytest.mark.parametrize("made", [xpnet.Adam(), xpnet.chain(xpnet.L2(), xpnet.SGD())], ids=["rule", "chain"])
@pytest.mark.parametrize("name", ["learning_rate", "lr"])
def test_an_optimizers_rate_is_set_on_the_network(made: Any, name: str) -> None:
    with pytest.raises(dataclasses.FrozenInstanceError, match=rf"field '{name}': .* net\.learning_rate = \.\.\."):
        setattr(made, name, 0.1)


@pytest.mark.parametrize("made", [xpnet.StandardScaler(), xpnet.MinMaxScaler()], ids=["standard", "min-max"])
def test_a_scaler_that_is_given_what_is_no_field_says_where_it_does_not_belong(made: Any) -> None:
    with pytest.raises(
        dataclasses.FrozenInstanceError, match=r"field '_context': .* no step of a scikit-learn pipeline"
    ):
        made._context = None
    with pytest.raises(dataclasses.FrozenInstanceError, match=r"field 'shape'$"):
        made.shape = (3,)


def test_a_record_is_made_by_compiling_one_method(monkeypatch: pytest.MonkeyPatch) -> None:
    compiled: list[str] = []

    def counting(source: str, *scopes: Any) -> None:
        compiled.append(source)
        exec(source, *scopes)

    monkeypatch.setattr(dataclasses, "exec", counting, raising=False)

    class Body:
        """A class with a docstring, so that none is written."""

        value: int = 0

    record(Body)
    assert len(compiled) == 1


def test_values_differ_where_it_is_sure() -> None:
    class Own:
        """Which is equal to itself alone."""

    assert not differ(Standard(1, names=(Own(),)), Standard(1, names=(Own(),)))  # type: ignore[arg-type]
    assert differ(Standard(1, names=(Own(),)), Standard(2, names=(Own(),)))  # type: ignore[arg-type]
    assert differ(Standard(1), Pair(1))
    assert differ((Own(), Own()), (Own(),))
    assert differ([Own(), 1], [Own(), 2])
    assert differ(Own(), 1)
    assert not differ(Standard, Pair)
    assert differ(Holding(1.0), Holding(2.0))
    assert not differ(Holding(1.0), Holding(1.0))


def test_what_is_held_beside_the_fields_is_found() -> None:
    assert beyond_fields(Pair(1)) == beyond_fields(Loose(1)) == beyond_fields(Standard(1)) == []
    assert beyond_fields(Holding(1)) == ["other", "slot"]
    assert is_plain((Pair(1), Loose(1)))
    assert not is_plain((Pair(1), Holding(1)))


@dataclasses.dataclass(frozen=True)
class Uncompared:
    value: object = dataclasses.field(default=None, compare=False)


SAME: list[Any] = [None, 1, 1.0, True, 0.0, -0.0, "1", (), (1,), ((1,),), Pair(1), Loose(1), Standard(1), Pair(True)]
SAME += [Pair(1, 2), Uncompared(1), Uncompared(2), Uncompared(print), Uncompared(differ), Uncompared(Pair), Pair]


def test_an_identity_tells_apart_what_equality_does_not() -> None:
    assert len({identity(value) for value in SAME}) == len(SAME)
    assert [identity(copy.deepcopy(value)) for value in SAME] == [identity(value) for value in SAME]


@pytest.mark.parametrize(
    "value",
    [[1], {}, object(), Holding(1), Uncompared([]), (object(),), functools.partial(print)],
    ids=["list", "dict", "object", "beside the fields", "within a field", "within a tuple", "partial"],
)
def test_what_may_change_has_no_identity(value: object) -> None:
    with pytest.raises(TypeError, match="has no identity"):
        identity(value)


def changed(x: float, *, by: float = 2.0) -> float:
    return by + x


CHANGES: dict[str, Any] = {
    "a method": lambda cls: setattr(cls, "double", changed),
    "a method's code": lambda cls: setattr(cls.double, "__code__", changed.__code__),
    "a default": lambda cls: setattr(cls.double, "__defaults__", (3.0,)),
    "a default by name": lambda cls: setattr(cls.twice, "__kwdefaults__", {"by": 3.0}),
    "a static method": lambda cls: setattr(cls, "twice", staticmethod(changed)),
    "a static method's code": lambda cls: setattr(cls.twice, "__code__", changed.__code__),
    "a property's code": lambda cls: setattr(cls.size.fget, "__code__", (lambda self: 2.0).__code__),
    "a cached property's code": lambda cls: setattr(vars(cls)["half"].func, "__code__", (lambda self: 2.0).__code__),
    "an attribute": lambda cls: setattr(cls, "unit", 1.0),
    "an attribute that may hold anything": lambda cls: setattr(cls, "table", [1.0]),
}


@pytest.mark.parametrize("slots", [False, True])
@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
def test_an_identity_tells_a_class_from_what_it_was_before_a_change(change: Any, slots: bool) -> None:
    class Base(Protocol):
        unit = 1
        table: ClassVar[list[float]] = [1.0]

        @property
        def size(self) -> float:
            return 1.0

        @functools.cached_property
        def half(self) -> float:
            return 0.5

        @staticmethod
        def twice(x: float, *, by: float = 2.0) -> float:
            return by * x

        def double(self, x: float, by: float = 2.0) -> float:
            return by * x

    @dataclasses.dataclass(frozen=True, slots=slots)
    class Own(Base):
        value: int = 0

    Own.own = Own(2)  # type: ignore[attr-defined]
    before = identity(Own(1))
    assert identity(Own(1)) == before
    assert hash(identity(Own(1))) == hash(before)
    change(Base)
    assert identity(Own(1)) != before
