"""Names for objects, on every table of names that the library has."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from xpnet import ConfigurationError, callbacks, initializers, losses, metrics, optimizers
from xpnet.layers import names as layers
from xpnet.registry import resolve

TABLES: dict[str, tuple[Any, str]] = {
    "layer": (layers.NAMES, "forward"),
    "loss": (losses.NAMES, "targets"),
    "optimizer": (optimizers.NAMES, "init"),
    "metric": (metrics.NAMES, "sums"),
    "initializer": (initializers.NAMES, "__call__"),
    "callback": (callbacks.NAMES, "on_epoch_end"),
}
ENTRIES = [(kind, name) for kind, (names, _) in TABLES.items() for name in names]


@pytest.mark.parametrize(("kind", "name"), ENTRIES)
def test_a_name_stands_for_its_class_with_defaults(kind: str, name: str) -> None:
    names, method = TABLES[kind]
    found = resolve(kind, name, names, method)
    assert type(found) is names[name]
    assert hasattr(found, method)
    assert resolve(kind, found, names, method) is found


@pytest.mark.parametrize(("kind", "name"), ENTRIES)
def test_a_slip_of_the_pen_gets_a_suggestion(kind: str, name: str) -> None:
    names, method = TABLES[kind]
    wrong = name[:-1] + "_" if len(name) > 3 else name + "x"
    with pytest.raises(ConfigurationError) as caught:
        resolve(kind, wrong, names, method)
    message = str(caught.value)
    assert message.startswith(f"unknown {kind} {wrong!r}; did you mean '")
    assert message.partition("did you mean '")[2].partition("'")[0] in names
    assert all(known in message for known in names)


@pytest.mark.parametrize(
    ("kind", "name", "call"),
    [
        ("layer", "dense", "Dense(units)"),
        ("layer", "reshape", "Reshape(shape)"),
        ("callback", "model_checkpoint", "ModelCheckpoint(path)"),
        ("callback", "LearningRateScheduler", "LearningRateScheduler(schedule)"),
    ],
)
def test_the_name_of_a_class_that_needs_arguments_says_how_to_write_it(kind: str, name: str, call: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        resolve(kind, name, *TABLES[kind])
    assert str(caught.value) == f"unknown {kind} {name!r}; write {call}, the object itself"


@given(st.text(max_size=20))
def test_no_text_is_more_than_unknown(text: str) -> None:
    names, method = TABLES["loss"]
    if text not in names:
        with pytest.raises(ConfigurationError, match="unknown loss"):
            resolve("loss", text, names, method)


@pytest.mark.parametrize("kind", TABLES)
@pytest.mark.parametrize("value", [None, 5, 2.5, [], {}, object(), b"relu"])
def test_what_is_no_such_object_is_refused(kind: str, value: Any) -> None:
    names, method = TABLES[kind]
    with pytest.raises(ConfigurationError, match=f"^an? {kind} must be a name or an object with {method}") as caught:
        resolve(kind, value, names, method)
    assert repr(value) in str(caught.value)


@pytest.mark.parametrize("kind", TABLES)
def test_a_class_is_told_from_its_object(kind: str) -> None:
    names, method = TABLES[kind]
    cls = next(iter(names.values()))
    article = "an" if kind in ("optimizer", "initializer") else "a"
    expected = rf"^{article} {kind} must be.*got the class {cls.__name__}: write {cls.__name__}\(\.\.\.\)"
    with pytest.raises(ConfigurationError, match=expected):
        resolve(kind, cls, names, method)
