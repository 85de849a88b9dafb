"""The exceptions: one type per cause, each also what a caller would expect."""

from __future__ import annotations

import copy
import dataclasses
import json
import pickle
import re
import subprocess
import sys
from operator import attrgetter
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, strategies as st

import xpnet
from xpnet import checkpoint, errors, foreign_names
from xpnet.errors import unknown_name
from xpnet.plotting.networks import require_built

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


ARRAY = np.ones((30, 40))


@pytest.mark.parametrize(
    "call",
    [
        lambda: xpnet.Network(["relu"], inputs=ARRAY),
        lambda: xpnet.Param((3,), ARRAY),  # type: ignore[arg-type]
        lambda: xpnet.Dense(ARRAY),  # type: ignore[arg-type]
        lambda: xpnet.Dense(3, bias=ARRAY),  # type: ignore[arg-type]
        lambda: xpnet.Dropout(ARRAY),  # type: ignore[arg-type]
        lambda: xpnet.Network(["relu"], loss=ARRAY),  # type: ignore[arg-type]
        lambda: require_built(ARRAY, "plot_weights"),
    ],
)
def test_an_array_where_none_belongs_is_shown_by_its_shape(call: Any) -> None:
    with pytest.raises(xpnet.ConfigurationError, match=r"got an array of shape \(30, 40\)"):
        call()


class DataFrame:
    """As pandas's: a shape, no dtype, and lines."""

    shape = (2, 2)

    def __repr__(self) -> str:
        return "  a  b\n0 1  2\n1 3  4"


class Lines:
    def __init__(self, text: str) -> None:
        self.text = text

    def __repr__(self) -> str:
        return self.text


def test_what_takes_several_lines_is_shown_on_one() -> None:
    with pytest.raises(xpnet.ConfigurationError, match=r"got a DataFrame of shape \(2, 2\)"):
        xpnet.Network(["relu"], loss=DataFrame())  # type: ignore[arg-type]
    assert errors.shown(Lines("a\n  b")) == "a b"
    assert errors.shown(Lines("ab\n" * 40)) == "ab " * 20 + "..."
    assert errors.shown(xpnet.Reshape((2, 3))) == "Reshape(shape=(2, 3))"
    for kind in (np.ndarray, DataFrame):
        assert errors.shown(kind) == repr(kind)


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


ABSENT = sorted(foreign_names.ATTRIBUTE_ADVICE)


def test_no_attribute_that_another_library_has_is_here_too() -> None:
    """An advice for a name that has come into being would never be read."""
    net = xpnet.Network([xpnet.Dense(3)], inputs=2)
    made = (net, net.model, xpnet.History(), xpnet.Callback(), xpnet.StandardScaler(), xpnet.MinMaxScaler())
    holders = {"xpnet": xpnet, **{type(each).__name__: each for each in made}}
    for name in ABSENT:
        owner, _, attribute = name.partition(".")
        with pytest.raises(AttributeError) as caught:
            getattr(holders[owner], attribute)
        assert str(caught.value).endswith(f"has no attribute {attribute!r}: {foreign_names.ATTRIBUTE_ADVICE[name]}")
        assert not hasattr(holders[owner], attribute)


def test_a_callback_of_ones_own_is_named() -> None:
    with pytest.raises(AttributeError, match=r"^'Own' object has no attribute 'model': .* self\.network$"):
        type("Own", (xpnet.Callback,), {})().model  # noqa: B018
    early = xpnet.EarlyStopping(patience=3)
    assert pickle.loads(pickle.dumps(early)).patience == copy.deepcopy(early).patience == 3


def test_a_callback_has_the_attributes_of_its_other_class() -> None:
    class Answers:
        def __getattr__(self, name: str) -> int:
            return 42

    assert type("Own", (xpnet.Callback, Answers), {})().anything == 42


@pytest.mark.parametrize("name", ["cuda", "cuda:1", "GPU", "cpu", "mps", "tpu"])
def test_a_device_for_a_backend_says_which_backend_has_it(name: str) -> None:
    with pytest.raises(xpnet.BackendError, match=f"^unknown backend '{name}'; that is a device: give '.*'. Known: ar"):
        xpnet.open_backend(name)


@pytest.mark.parametrize("scaler", [xpnet.StandardScaler(), xpnet.MinMaxScaler()])
def test_what_keeps_a_scaler_with_its_network_is_said_and_works(scaler: Any, tmp_path: Path) -> None:
    net, path = xpnet.Network([xpnet.Dense(3)], inputs=2), tmp_path / "net.safetensors"
    with pytest.raises(xpnet.ArgumentError) as caught:
        net.save(path, scaler=scaler)  # type: ignore[call-arg]
    said = re.search(r"scaler'[^:]*: (xpnet\.checkpoint\.save\(.*\)) keeps a scaler", str(caught.value))
    assert said
    assert said[1] in foreign_names.ATTRIBUTE_ADVICE[f"{type(scaler).__name__}.save"]
    fitted = scaler.fit([[0.1, 1e-7], [1.7e9, 5.0]])
    exec(
        said[1], {"xpnet": xpnet, "net": net, "path": path, "scaler": fitted, "json": json, "dataclasses": dataclasses}
    )
    assert type(scaler)(**json.loads(checkpoint.read_notes(path)["scaler"])) == fitted


def test_what_an_advice_names_is_there() -> None:
    """Each `net.x` or `name(` in an advice is a method, and each `Name(` a class, of xpnet's."""
    net = xpnet.Network([xpnet.Dense(3)], inputs=2)
    for advice in foreign_names.ATTRIBUTE_ADVICE.values():
        for path in re.findall(r"\bnet((?:\.\w+)+)", advice):
            attrgetter(path[1:])(net)
        for name in re.findall(r"(?<![\w.])(\w+)\(", advice):
            assert name in {"make_moons", "get_weights"} or hasattr(xpnet, name), advice


def test_other_attributes_are_missing_as_everywhere() -> None:
    net = xpnet.Network([xpnet.Dense(3)], inputs=2)
    with pytest.raises(AttributeError, match=r"^'Network' object has no attribute 'clasify'$") as caught:
        net.clasify  # noqa: B018
    assert (caught.value.name, caught.value.obj) == ("clasify", net)
    assert copy.copy(net).get_weights().keys() == net.get_weights().keys()


def test_a_sequential_is_copied_and_pickled_as_ever() -> None:
    made = xpnet.Sequential([xpnet.Dense(3), "relu"])
    assert pickle.loads(pickle.dumps(made)) == copy.deepcopy(made) == copy.copy(made) == made
    with pytest.raises(AttributeError, match=r"^'Sequential' object has no attribute 'layer'$"):
        made.layer  # noqa: B018


@pytest.mark.parametrize("name", ["add", "compile", "fit", "predict"])
def test_a_sequential_is_no_network(name: str) -> None:
    with pytest.raises(AttributeError, match=rf"{name}': Sequential is a layer; give its layers to xpnet\.Network"):
        getattr(xpnet.Sequential([xpnet.Dense(3)]), name)


@pytest.mark.parametrize(("name", "said"), [("save", r"net\.save\(path\)"), ("set_seed", r"Network\(\.\.\., seed=0")])
def test_a_function_of_another_library_leads_to_the_network(name: str, said: str) -> None:
    with pytest.raises(AttributeError, match=f"has no attribute '{name}': .*{said}"):
        getattr(xpnet, name)


@pytest.mark.parametrize(("name", "meant"), [("Relu", "ReLU"), ("dens", "Dense"), ("CosineDecayed", "CosineDecay")])
def test_a_public_name_is_found_whatever_its_case(name: str, meant: str) -> None:
    with pytest.raises(AttributeError, match=f"^module 'xpnet' has no attribute '{name}'; did you mean '{meant}'"):
        getattr(xpnet, name)


SET = {
    "lr": "; write net.learning_rate = 0.1",
    "eta": "; write net.learning_rate = 0.1",
    "learning_rat": "; write net.learning_rate = 0.1",
    "Learning_Rate": "; write net.learning_rate = 0.1",
    "stop_trainning": "; write net.stop_training = 0.1",
    "optimiser": ": it is 'optimizer' here; net.with_optimizer(...) gives a network that goes on with another",
    "criterion": ": it is 'loss' here; make a new Network(..., loss=...)",
    "weights": ": net.get_weights() gives them by name, and net.set_weights(...) takes them",
    "batch_size": ": it is an argument of fit: net.fit(x, y, batch_size=...)",
    "precision": ": net.backend.precision says it; net.to('numpy', precision='bfloat16') gives it in another",
    "dtype": ": net.backend.dtype says it; net.to('numpy', dtype='float64') gives it in another",
    "device": ": net.backend.device says where it is; net.to('torch', device='cuda') gives it elsewhere",
    "inputs": ": net.in_shape is the shape of one input",
}


@pytest.mark.parametrize("name", SET)
def test_setting_an_attribute_that_would_have_no_effect_is_refused(name: str) -> None:
    net = xpnet.Network([xpnet.Dense(3)], inputs=2)
    before = dict(vars(net))
    with pytest.raises(AttributeError) as caught:
        setattr(net, name, 0.1)
    assert str(caught.value).startswith(f"Network has no attribute {name!r} to set{SET[name]}")
    assert (caught.value.name, caught.value.obj) == (name, net)
    assert vars(net) == before


def test_attributes_of_ones_own_can_be_set() -> None:
    net = xpnet.Network([xpnet.Dense(3)], inputs=2)
    for name in ("name", "note", "scaler", "losses", "x_train", "_lr"):
        setattr(net, name, "mine")
        assert getattr(net, name) == "mine"
    assert set(xpnet.Network.__annotations__) <= set(vars(net))
    own = type("Own", (xpnet.Network,), {})([xpnet.Dense(3)])
    own.lr = own.learning_rat = 0.1
    assert (own.lr, own.learning_rat) == (0.1, 0.1)


def test_a_module_that_is_not_imported_says_how(tmp_path: Path) -> None:
    command = "import xpnet; xpnet.plotting"
    found = subprocess.run([sys.executable, "-c", command], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert "module 'xpnet.plotting' is not imported yet: write import xpnet.plotting" in found.stderr


def test_a_history_says_what_it_holds() -> None:
    history = xpnet.History(loss=[1.0], accuracy=[0.5])
    with pytest.raises(KeyError, match=r"no result 'acc'; did you mean 'accuracy'\? There are loss, accuracy"):
        history["acc"]
    with pytest.raises(KeyError, match=r"no result 'loss'\. There are none before an epoch has ended"):
        xpnet.History()["loss"]
    with pytest.raises(KeyError, match=r"no result 'f1'\. There are loss, accuracy"):
        history["f1"]
    with pytest.raises(AttributeError, match=r"results go by name: history\['loss'\]"):
        history.loss  # noqa: B018
    assert history.get("acc") is None
    assert type(history.copy()) is xpnet.History
    assert history.copy() == history
    assert history.copy()["loss"] is history["loss"]
    assert pickle.loads(pickle.dumps(history)) == copy.deepcopy(history) == history
