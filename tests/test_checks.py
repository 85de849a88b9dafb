"""Numbers and paths as arguments: taken from NumPy too, held as Python's own, and refused by name."""

from __future__ import annotations

import dataclasses
import importlib
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import xpnet
from xpnet import Adam, ConfigurationError, CosineDecay, Dense, Network
from xpnet.checks import (
    check_flag,
    check_integer,
    check_integer_fields,
    check_path,
    check_real,
    check_real_fields,
    seeded_generator,
)


@pytest.mark.parametrize("value", [True, False])
def test_flags_are_taken_and_become_pythons(value: bool) -> None:
    assert check_flag("shuffle", value) is check_flag("shuffle", np.bool_(value)) is value


@pytest.mark.parametrize("value", [1, 0, "no", None, np.asarray(True)])
def test_what_is_no_flag_is_refused(value: Any) -> None:
    with pytest.raises(ConfigurationError, match=r"shuffle must be True or False; got .*; write it so"):
        check_flag("shuffle", value, "; write it so")


@pytest.mark.parametrize("value", [1, np.int64(7), np.uint8(255), 10**400])
def test_integers_are_taken_and_become_pythons(value: Any) -> None:
    found = check_integer("points", value)
    assert found == value
    assert type(found) is int


@pytest.mark.parametrize("value", ["folder/file", Path("folder/file")])
def test_paths_are_taken_as_text_too(value: Any) -> None:
    assert check_path("path", value) == Path("folder", "file")


@pytest.mark.parametrize("value", [3, None, b"file", ["file"]])
def test_what_is_no_path_is_refused(value: Any) -> None:
    with pytest.raises(ConfigurationError, match=r"path must be text or a pathlib.Path; got"):
        check_path("path", value)


@pytest.mark.parametrize("value", [0, -1, 1.0, True, np.True_, "1", None, np.asarray(3), np.asarray([3])])
def test_what_is_no_positive_integer_is_refused(value: Any) -> None:
    with pytest.raises(ConfigurationError, match="points must be an integer of at least 1; got"):
        check_integer("points", value)


def test_integers_have_both_limits_in_the_message() -> None:
    assert [check_integer("k", k, least=0, most=2) for k in (0, 1, 2)] == [0, 1, 2]
    for k in (-1, 3):
        with pytest.raises(ConfigurationError, match=f"k must be an integer from 0 to 2; got {k}"):
            check_integer("k", k, least=0, most=2)


@pytest.mark.parametrize("value", [0, 0.5, np.float64(0.25), np.float32(0.25), np.int64(0), Fraction(1, 4)])
def test_real_numbers_within_their_range_are_taken_and_become_pythons(value: Any) -> None:
    found = check_real("rate", value, least=0, below=1)
    assert found == value
    assert type(found) is float
    assert check_real("shift", -1e300) == -1e300


@pytest.mark.parametrize(
    "value",
    [
        -0.1,
        1,
        1.5,
        float("nan"),
        np.float32("nan"),
        float("inf"),
        True,
        np.True_,
        "0.5",
        None,
        10**400,
        np.asarray(0.5),
    ],
)
def test_real_numbers_beyond_their_range_are_refused(value: Any) -> None:
    with pytest.raises(ConfigurationError, match="rate must be a finite number of at least 0 and below 1; got"):
        check_real("rate", value, least=0, below=1)


def test_a_frozen_record_holds_what_was_checked_and_names_itself() -> None:
    @dataclasses.dataclass(frozen=True)
    class Blur:
        width: float = 1.0
        passes: int = 1

        def __post_init__(self) -> None:
            check_real_fields(self, "width", above=0)
            check_integer_fields(self, "passes")

    held = Blur(np.float64(2), np.int8(3))
    assert repr(held).endswith("Blur(width=2.0, passes=3)")
    with pytest.raises(ConfigurationError, match=r"^Blur.width must be a finite number above 0; got nan$"):
        Blur(float("nan"))
    with pytest.raises(ConfigurationError, match=r"^Blur.passes must be an integer of at least 1; got 1.5$"):
        Blur(passes=1.5)  # type: ignore[arg-type]


def test_integers_beyond_every_float_are_refused_where_floats_are_computed() -> None:
    with pytest.raises(ConfigurationError, match="learning_rate"):
        Adam(10**400)
    with pytest.raises(ConfigurationError, match="steps"):
        CosineDecay(0.1, 10**400)


def test_a_seed_gives_one_generator() -> None:
    assert seeded_generator(3).integers(1000) == seeded_generator(np.int64(3)).integers(1000)
    for seed in (-1, 0.5, None, True):
        with pytest.raises(ConfigurationError, match="seed must be an integer of at least 0"):
            seeded_generator(seed)


# Hyper-parameters

WITHOUT_DEFAULTS: dict[str, tuple[Any, ...]] = {
    "Dense": (4,),
    "Reshape": ((2, 2),),
    "ConstantRate": (0.5,),
    "InverseTimeDecay": (0.5, 0.25),
    "StepDecay": (0.5, 4),
    "ExponentialDecay": (0.5, 4),
    "CosineDecay": (0.5, 4),
    "OneCycle": (0.5, 4),
    "PiecewiseConstant": ((3, 5), (0.5, 0.25, 0.125)),
}
CONTAINERS = {"Sequential", "Residual", "Chain"}


def records() -> list[Any]:
    """Return one of every record of hyper-parameters that has numbers."""
    found = []
    for home in ("layers", "losses", "optimizers", "schedules", "initializers", "metrics"):
        module = importlib.import_module(f"xpnet.{home}")
        for name in module.__all__:
            cls = getattr(module, name)
            if dataclasses.is_dataclass(cls) and name not in CONTAINERS | {"Built"}:
                found.append(cls(*WITHOUT_DEFAULTS.get(name, ())))  # type: ignore[operator]
    return [record for record in found if numbers(record)]


def numbers(record: Any) -> dict[str, Any]:
    values = {field.name: getattr(record, field.name) for field in dataclasses.fields(record)}
    return {name: value for name, value in values.items() if type(value) in (int, float, tuple)}


def of_numpy(value: Any) -> Any:
    if isinstance(value, tuple):
        return tuple(of_numpy(item) for item in value)
    return np.int64(value) if isinstance(value, int) else np.float64(value)


def types(value: Any) -> Any:
    return [types(item) for item in value] if isinstance(value, tuple) else type(value)


@pytest.mark.parametrize("record", records(), ids=lambda record: type(record).__name__)
def test_every_record_holds_numpys_numbers_as_pythons(record: Any) -> None:
    given = dataclasses.replace(record, **{name: of_numpy(value) for name, value in numbers(record).items()})
    assert given == record
    assert repr(given) == repr(record)
    for name, value in numbers(record).items():
        assert types(getattr(given, name)) == types(value), name


@pytest.mark.parametrize("record", records(), ids=lambda record: type(record).__name__)
@pytest.mark.parametrize("bad", [True, float("nan"), np.asarray(0.5), None, "1"], ids=repr)
def test_every_record_names_the_number_that_it_refuses(record: Any, bad: Any) -> None:
    for name, value in numbers(record).items():
        wrong = (bad,) * len(value) if isinstance(value, tuple) else bad
        with pytest.raises(ConfigurationError, match=rf"^{type(record).__name__}\.{name} must be .*; got "):
            dataclasses.replace(record, **{name: wrong})


def test_numpys_numbers_leave_a_network_in_its_dtype(backend32: xpnet.Backend) -> None:
    def train(number: Any) -> Network:
        layers = [Dense(6), xpnet.LeakyReLU(number), xpnet.BatchNorm(momentum=number), xpnet.Dropout(number), Dense(3)]
        optimizer = xpnet.chain(
            xpnet.L2(number),
            xpnet.ClipByNorm(number),
            xpnet.SGD(CosineDecay(number, 10, final=number / 2), momentum=number),
            xpnet.ExponentialMovingAverage(number),
        )
        loss = xpnet.CrossEntropy(label_smoothing=number)
        net = Network(layers, loss=loss, optimizer=optimizer, backend=backend32)
        net.fit(*xpnet.clouds(20, seed=0), epochs=2, verbose=0)
        return net

    net, same = train(np.float64(0.125)), train(0.125)
    assert net.state.params.dtype == net.forward([[0.0, 0.0]]).dtype == backend32.float
    for name, weights in net.get_weights().items():
        np.testing.assert_array_equal(weights, same.get_weights()[name])
