"""The exceptions: one type per cause, each also what a caller would expect."""

from __future__ import annotations

import pickle

import pytest
from hypothesis import given
from hypothesis import strategies as st

import xpnet
from xpnet import errors
from xpnet.errors import unknown_name

BUILT_IN = {
    "ArgumentError": TypeError,
    "BackendError": RuntimeError,
    "CheckpointError": ValueError,
    "ConfigurationError": ValueError,
    "DataError": ValueError,
    "DatasetError": OSError,
    "DtypeError": TypeError,
    "ExportError": ValueError,
    "MissingExtraError": ImportError,
    "NonFiniteError": FloatingPointError,
    "NotBuiltError": RuntimeError,
    "ShapeError": ValueError,
}


def test_the_list_is_complete() -> None:
    found = {name for name in errors.__all__ if name.endswith("Error")} - {"XpnetError"}
    assert found == set(BUILT_IN)


@pytest.mark.parametrize("name", BUILT_IN)
def test_each_is_an_xpnet_error_and_a_built_in_one(name: str) -> None:
    error = getattr(xpnet, name)
    assert issubclass(error, xpnet.XpnetError)
    assert issubclass(error, BUILT_IN[name])
    assert error.__doc__
    raised = error("the message")
    assert str(raised) == "the message"
    restored = pickle.loads(pickle.dumps(raised))
    assert (type(restored), str(restored)) == (error, "the message")


def test_the_nearest_name_is_suggested() -> None:
    error = unknown_name("optimizer", "adm", ["sgd", "adam", "lion"])
    assert isinstance(error, xpnet.ConfigurationError)
    assert str(error) == "unknown optimizer 'adm'; did you mean 'adam'? Known: adam, lion, sgd"


def test_nothing_near_gives_the_list_alone() -> None:
    assert str(unknown_name("loss", "zzz", ["mse", "mae"])) == "unknown loss 'zzz'. Known: mae, mse"


@given(st.one_of(st.text(), st.integers(), st.none(), st.floats(), st.lists(st.integers())))
def test_anything_can_be_unknown(name: object) -> None:
    assert repr(name) in str(unknown_name("layer", name, ["relu", "tanh"]))


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("bce", "binary_cross_entropy"),
        ("sparse_categorical_crossentropy", "cross_entropy"),
        ("categorical_crossentropy", "cross_entropy"),
        ("MSE", "mse"),
        ("CrossEntropy", "cross_entropy"),
    ],
)
def test_a_name_of_another_library_leads_to_ours(name: str, meant: str) -> None:
    with pytest.raises(xpnet.ConfigurationError, match=f"did you mean '{meant}'"):
        xpnet.Network([xpnet.Dense(2)], loss=name)
