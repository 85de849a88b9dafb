"""ONNX files: what onnxruntime computes with them is what the network computes, and a graph that can be read."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from test_layers import CASES

import xpnet
from xpnet import losses
from xpnet.layers import (
    ELU,
    BatchNorm,
    Dense,
    Dropout,
    Flatten,
    Identity,
    LayerNorm,
    LeakyReLU,
    ReLU,
    Reshape,
    Residual,
    Sequential,
    Softmax,
    Tanh,
)
from xpnet.layers.base import Elementwise

pytest.importorskip("ndonnx")
pytest.importorskip("onnxscript")
onnx = pytest.importorskip("onnx")
runtime = pytest.importorskip("onnxruntime")

BATCHES = (1, 7, 1000)
TOLERANCE = {"float32": 1e-6, "float64": 1e-12}
DTYPES = list(TOLERANCE)


def network(layers: Any, inputs: Any = 4, *, dtype: str = "float32", loss: Any = "mse", **options: Any) -> Any:
    """Return a network whose every array holds other numbers than its first ones."""
    net = xpnet.Network(layers, inputs=inputs, loss=loss, dtype=dtype, seed=0, **options)
    random = np.random.default_rng(1)
    net.set_weights(
        {
            name: random.uniform(0.5, 2.0, value.shape) if "variance" in name else random.normal(0.0, 0.4, value.shape)
            for name, value in net.get_weights().items()
        }
    )
    return net


def rows(net: Any, count: int) -> np.ndarray:
    return np.random.default_rng(count).normal(size=(count, *net.in_shape)).astype(net.backend.dtype)


def session(path: Path) -> Any:
    options = runtime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    return runtime.InferenceSession(path, options, providers=["CPUExecutionProvider"])


def check(net: Any, path: Path, expected: Any = None, **options: Any) -> Any:
    """Export once, run at every batch size, compare; return the model."""
    net.to_onnx(path, **options)
    run, expected = session(path), expected or net.forward
    tolerance = TOLERANCE[net.backend.dtype]
    for count in BATCHES:
        x = rows(net, count)
        (found,) = run.run(None, {"input": x})
        wanted = net.backend.to_numpy(expected(x))
        assert (found.dtype, found.shape) == (wanted.dtype, wanted.shape)
        np.testing.assert_allclose(found, wanted, rtol=tolerance, atol=tolerance)
    return onnx.load(path)


def kinds(model: Any) -> list[str]:
    return [node.op_type for node in model.graph.node]


def arrays(model: Any) -> dict[str, np.ndarray]:
    return {value.name: onnx.numpy_helper.to_array(value) for value in model.graph.initializer}


# Numbers


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(
    ("layer", "in_shape"), CASES, ids=[f"{i}-{type(case[0]).__name__}" for i, case in enumerate(CASES)]
)
def test_every_layer_gives_the_same_in_onnxruntime(layer: Any, in_shape: Any, dtype: str, tmp_path: Path) -> None:
    """``test_layers`` holds CASES to all public layers, so that a new one comes here by itself."""
    net = network([Dense(in_shape[-1]), layer], in_shape, dtype=dtype)
    assert np.ptp(np.asarray(net.forward(rows(net, 7)))) > 0.01
    check(net, tmp_path / "layer.onnx")


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("loss", losses.NAMES)
def test_every_loss_has_its_link_in_the_graph(loss: str, dtype: str, tmp_path: Path) -> None:
    net = network([Dense(5), ReLU(), Dense(3)], dtype=dtype, loss=loss)
    path = tmp_path / "link.onnx"
    model = check(net, path, net.predict, link=True)
    assert [value.name for value in model.graph.output] == ["predictions"]
    named = {"cross_entropy": ["Softmax"], "binary_cross_entropy": ["Sigmoid"], "poisson": ["Min", "Exp"]}
    link = named.get(loss, [])
    assert kinds(model) == ["Gemm", "Relu", "Gemm", *link]
    assert [value.name for value in check(net, path).graph.output] == ["scores"]


@pytest.mark.parametrize("dtype", DTYPES)
def test_scores_too_large_for_exp_have_their_probabilities(dtype: str, tmp_path: Path) -> None:
    net = network([Dense(3)], 3, dtype=dtype, loss="cross_entropy")
    net.set_weights({"0.weight": np.diag([1e4, -1e4, 1e4]), "0.bias": np.zeros(3)})
    check(net, tmp_path / "sure.onnx", net.predict, link=True)


def test_what_training_left_is_exported(tmp_path: Path) -> None:
    x, y = xpnet.clouds(points=300, seed=0)
    layers = [Dense(16), BatchNorm(), ReLU(), Dropout(0.3), Dense(3)]
    net = xpnet.Network(layers, optimizer=xpnet.Adam(0.01), seed=0)
    net.fit(x, y, epochs=5, verbose=0)
    path = tmp_path / "trained.onnx"
    check(net, path, net.predict, link=True)
    (found,) = session(path).run(None, {"input": np.asarray(x, dtype="float32")})
    assert (found.argmax(axis=1) == net.classify(x)).all()
    assert (found.argmax(axis=1) == y).mean() > 0.9


@pytest.mark.parametrize("scaler", [xpnet.StandardScaler(), xpnet.MinMaxScaler(-1.0, 1.0)], ids=repr)
@pytest.mark.parametrize("shape", [(4,), (2, 3)])
@pytest.mark.parametrize("dtype", DTYPES)
def test_a_scaler_becomes_the_first_part(scaler: Any, shape: Any, dtype: str, tmp_path: Path) -> None:
    net = network([Flatten(), Dense(5), Tanh(), Dense(2)], shape, dtype=dtype)
    scaler = scaler.fit(5.0 + 3.0 * rows(net, 50).astype("float64"))
    model = check(net, tmp_path / "raw.onnx", lambda x: net.forward(scaler.transform(x)), scaler=scaler)
    assert "scaled" in [name for node in model.graph.node for name in node.output]


def test_every_backend_writes_the_same_file(backend: Any, tmp_path: Path) -> None:
    layers = [Dense(5), BatchNorm(), ReLU(), Residual([Dense(5), LayerNorm()]), Dense(3)]
    here = network(layers, dtype=backend.dtype)
    here.to(backend).to_onnx(tmp_path / "there.onnx")
    check(here, tmp_path / "here.onnx")
    assert (tmp_path / "there.onnx").read_bytes() == (tmp_path / "here.onnx").read_bytes()


def test_the_network_is_left_as_it_was(tmp_path: Path) -> None:
    net = network([Dense(5), BatchNorm(), Dense(3)])
    before = net.get_weights()
    state = net.state
    net.to_onnx(tmp_path / "net.onnx", link=True)
    assert net.state is state
    for name, value in net.get_weights().items():
        assert np.array_equal(value, before[name])


# A graph that can be read


def test_dense_and_relu_are_a_node_each(tmp_path: Path) -> None:
    model = check(network([Dense(8), ReLU(), Dense(8), ReLU(), Dense(3)]), tmp_path / "plain.onnx")
    assert kinds(model) == ["Gemm", "Relu", "Gemm", "Relu", "Gemm"]


@pytest.mark.parametrize(
    ("layer", "most"),
    [
        (Dropout(0.5), 0),
        (Identity(), 0),
        (Softmax(), 1),
        (LeakyReLU(), 3),
        (BatchNorm(), 4),
        (LayerNorm(), 10),
        (ELU(), 14),
    ],
    ids=repr,
)
def test_other_layers_are_few_nodes(layer: Any, most: int, tmp_path: Path) -> None:
    """BatchNorm's 1 / sqrt(variance + epsilon) is computed at export."""
    model = check(network([Dense(4), layer, Tanh()]), tmp_path / "layer.onnx")
    assert len(kinds(model)) == most + 2


def test_names_are_those_of_weights_and_trace(tmp_path: Path) -> None:
    layers = [Dense(6), ReLU(), Sequential([Dense(6), Tanh()]), Residual([Dense(6)], shortcut=Dense(6)), Dense(3)]
    net = network(layers)
    model = check(net, tmp_path / "named.onnx")
    weights = net.get_weights()
    assert set(arrays(model)) == set(weights)
    for name, value in arrays(model).items():
        assert np.array_equal(value, weights[name]), name
    named = {name for node in model.graph.node for name in node.output if name.endswith(".output")}
    assert named == {"0.output", "1.output", "2.0.output", "2.1.output", "3.0.output", "3.output"}
    assert named <= set(net.trace(rows(net, 2), np.zeros((2, 3))))


def test_weights_that_are_equal_or_zero_keep_their_names(tmp_path: Path) -> None:
    net = xpnet.Network([Dense(4), ReLU(), Dense(4), BatchNorm(), Dense(4)], inputs=4, loss="mse")
    net.set_weights({"2.weight": net.get_weights()["0.weight"]})
    found = arrays(check(net, tmp_path / "equal.onnx"))
    assert set(found) >= {name for name in net.get_weights() if "running" not in name}


def test_inputs_and_outputs_are_declared(tmp_path: Path) -> None:
    net = network([Flatten(), Dense(6), Reshape((3, 2))], (2, 4), dtype="float64")
    graph = check(net, tmp_path / "declared.onnx").graph
    described = {}
    for value in (*graph.input, *graph.output):
        kind = value.type.tensor_type
        described[value.name] = (kind.elem_type, [axis.dim_param or axis.dim_value for axis in kind.shape.dim])
    double = onnx.TensorProto.DOUBLE
    assert described == {"input": (double, ["N", 2, 4]), "scores": (double, ["N", 3, 2])}


def test_the_file_says_what_it_is(tmp_path: Path) -> None:
    net = network([Dense(8), ReLU(), Dense(3)], loss="cross_entropy")
    scaler = xpnet.StandardScaler().fit(rows(net, 20))
    path = tmp_path / "described.onnx"
    net.to_onnx(path, link=True, scaler=scaler, classes=["low", np.str_("right"), np.int64(7)])
    model = onnx.load(path)
    assert (model.producer_name, model.producer_version) == ("xpnet", xpnet.__version__)
    assert [(entry.domain, entry.version) for entry in model.opset_import] == [("", 21)]
    assert model.doc_string.startswith(
        "input: float32, (N, ...), scaled inside by StandardScaler. predictions: the link"
    )
    assert net.summary().partition("\n")[2] in model.doc_string
    assert {entry.key: json.loads(entry.value) for entry in model.metadata_props} == {"classes": ["low", "right", 7]}
    assert session(path).get_modelmeta().custom_metadata_map == {"classes": '["low", "right", 7]'}
    net.to_onnx(path)
    assert not onnx.load(path).metadata_props


def test_twice_the_same_network_is_twice_the_same_file(tmp_path: Path) -> None:
    net = network([Dense(5), BatchNorm(), Softmax(), Dense(3)])
    net.to_onnx(tmp_path / "first.onnx")
    net.to_onnx(str(tmp_path / "second.onnx"))
    assert (tmp_path / "first.onnx").read_bytes() == (tmp_path / "second.onnx").read_bytes()


# Layers of one's own


class OneWay(Elementwise):
    """An exported network has no way back."""

    def backward(self, params: Any, residuals: Any, dy: Any, context: Any) -> Any:
        raise NotImplementedError


@dataclass(frozen=True)
class Swish(OneWay):
    """Written with the context's namespace alone: y = x / (1 + exp(-beta x))."""

    beta: float = 1.5

    def forward(self, params: Any, x: Any, context: Any) -> Any:
        return x / (1.0 + context.xp.exp(-self.beta * x)), None


@dataclass(frozen=True)
class ByNumPy(OneWay):
    def forward(self, params: Any, x: Any, context: Any) -> Any:
        return np.sin(x), None


@dataclass(frozen=True)
class ByValue(OneWay):
    def forward(self, params: Any, x: Any, context: Any) -> Any:
        return x * (2.0 if float(context.xp.max(x)) > 1.0 else 1.0), None


@dataclass(frozen=True)
class ByLength(OneWay):
    def forward(self, params: Any, x: Any, context: Any) -> Any:
        return x / (x.shape[0] + 1.0), None


@dataclass(frozen=True)
class Wider(OneWay):
    def forward(self, params: Any, x: Any, context: Any) -> Any:
        return context.xp.astype(x, context.xp.float64), None


@dataclass(frozen=True)
class Made(OneWay):
    def forward(self, params: Any, x: Any, context: Any) -> Any:
        return np.zeros((1, 4)), None


@dataclass(frozen=True)
class OneRow(OneWay):
    def forward(self, params: Any, x: Any, context: Any) -> Any:
        return context.xp.sum(x, axis=0, keepdims=True), None


@dataclass(frozen=True)
class Narrower(OneWay):
    """What it builds is not what it gives."""

    def forward(self, params: Any, x: Any, context: Any) -> Any:
        return x[:, :2], None


@dataclass(frozen=True)
class ByMatrix(OneWay):
    def forward(self, params: Any, x: Any, context: Any) -> Any:
        return context.xp.linalg.pinv(x), None


UNFIT = [ByNumPy(), ByValue(), ByLength(), Wider(), Made(), OneRow(), ByMatrix()]


def refuse(net: Any, path: Path, message: str, **options: Any) -> None:
    """Demand an error that says *message*, and the file that was there, alone and as it was."""
    path.write_text("before")
    with pytest.raises(xpnet.ExportError) as caught:
        net.to_onnx(path, **options)
    assert message in str(caught.value), caught.value
    assert [found.name for found in path.parent.iterdir()] == [path.name]
    assert path.read_text() == "before"


def test_a_layer_of_ones_own_is_exported(tmp_path: Path) -> None:
    model = check(network([Dense(4), Swish(), Dense(2)]), tmp_path / "own.onnx")
    assert kinds(model) == ["Gemm", "Mul", "Exp", "Add", "Div", "Gemm"]


@pytest.mark.parametrize("layer", UNFIT, ids=repr)
def test_a_layer_that_cannot_be_exported_is_named(layer: Any, tmp_path: Path) -> None:
    net = network([Dense(4), layer, ReLU()])
    refuse(net, tmp_path / "unfit.onnx", f"layer 1, {type(layer).__name__}(), cannot be exported to ONNX")


@pytest.mark.parametrize(
    ("layers", "name"),
    [
        ([Dense(4), Sequential([ReLU(), ByNumPy()])], "1.1"),
        ([Dense(4), Residual([ReLU(), Sequential([Tanh(), ByNumPy()]), ReLU()])], "1.1.1"),
        ([Dense(4), Residual([ReLU()], shortcut=ByNumPy())], "1.shortcut"),
        ([ByNumPy(), Dense(4)], "0"),
    ],
)
def test_a_layer_within_containers_is_named_by_its_path(layers: Any, name: str, tmp_path: Path) -> None:
    refuse(network(layers), tmp_path / "unfit.onnx", f"layer {name}, ByNumPy(), cannot be exported to ONNX")


def test_outputs_of_another_shape_than_built_are_refused(tmp_path: Path) -> None:
    net = network([Dense(4), Narrower()])
    refuse(net, tmp_path / "unfit.onnx", "outputs of shape (None, 2); their build() says (None, 4)")


@dataclass(frozen=True)
class NumPyLink(xpnet.MeanSquaredError):
    def link(self, scores: Any, xp: Any) -> Any:
        return np.tanh(scores)


def test_a_link_that_cannot_be_exported_is_named(tmp_path: Path) -> None:
    net = network([Dense(2)], loss=NumPyLink())
    check(net, tmp_path / "scores.onnx")
    (tmp_path / "scores.onnx").unlink()
    refuse(net, tmp_path / "unfit.onnx", "the link of NumPyLink() cannot be exported to ONNX", link=True)


class NumPyScaler:
    def transform(self, x: Any) -> Any:
        return np.arctan(x)


def test_a_scaler_that_cannot_be_exported_is_named(tmp_path: Path) -> None:
    said = "xpnet's scalers are: xpnet.StandardScaler().fit(x_train), say"
    refuse(network([Dense(2)]), tmp_path / "unfit.onnx", "the scaler NumPyScaler cannot", scaler=NumPyScaler())
    refuse(network([Dense(2)]), tmp_path / "unfit.onnx", said, scaler=NumPyScaler())


@pytest.mark.parametrize("kind", ["StandardScaler", "MinMaxScaler"])
def test_a_scaler_of_scikit_learn_is_told_which_of_xpnets_it_is(kind: str, tmp_path: Path) -> None:
    preprocessing = pytest.importorskip("sklearn.preprocessing")
    net = network([Dense(2)])
    x = 5.0 + 3.0 * rows(net, 50).astype("float64")
    scaler = getattr(preprocessing, kind)().fit(x)
    with pytest.raises(xpnet.ExportError, match=r"it is scikit-learn's; the same is xpnet\.") as caught:
        net.to_onnx(tmp_path / "unfit.onnx", scaler=scaler)
    own = re.search(r"the same is (.*) of that scaler s", str(caught.value))[1]  # type: ignore[index]
    np.testing.assert_allclose(eval(own, {"xpnet": xpnet, "s": scaler}).transform(x), scaler.transform(x))
    bare = getattr(preprocessing, kind)()
    refuse(net, tmp_path / "unfit.onnx", f"the scaler {kind} cannot", scaler=bare)


def test_what_a_scaler_of_scikit_learn_leaves_out_is_left_out(tmp_path: Path) -> None:
    """One without ``with_mean`` knows the mean all the same."""
    preprocessing = pytest.importorskip("sklearn.preprocessing")
    net = network([Dense(2)])
    x = 5.0 + 3.0 * rows(net, 50).astype("float64")
    scaler = preprocessing.StandardScaler(with_mean=False).fit(x)
    with pytest.raises(xpnet.ExportError, match="the same is xpnet") as caught:
        net.to_onnx(tmp_path / "unfit.onnx", scaler=scaler)
    own = re.search(r"the same is (.*) of that scaler s", str(caught.value))[1]  # type: ignore[index]
    np.testing.assert_allclose(eval(own, {"xpnet": xpnet, "s": scaler}).transform(x), scaler.transform(x))
    other = preprocessing.StandardScaler(with_std=False).fit(x)
    refuse(net, tmp_path / "unfit.onnx", "the scaler StandardScaler cannot", scaler=other)


def test_what_is_too_large_for_one_file_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("xpnet.onnx.MAX_BYTES", 19)
    refuse(network([Dense(1)]), tmp_path / "large.onnx", "at most 19 bytes; the weights have 20")


# Arguments and files


def test_arguments_are_checked_before_anything_is_written(tmp_path: Path) -> None:
    path = tmp_path / "never.onnx"
    net, values = network([Dense(3)], loss="cross_entropy"), network([Dense(3)])
    wrong = xpnet.ConfigurationError
    for given, options, error, message in [
        (net, {"classes": ["a", "b"]}, wrong, r"list of 3 names, text or numbers; got \['a', 'b'\]"),
        (net, {"classes": "abc"}, wrong, "list of 3 names; got 'abc'"),
        (net, {"classes": 3}, wrong, "list of 3 names; got 3"),
        (net, {"classes": [1, 2, None]}, wrong, "text or numbers"),
        (values, {"classes": ["a", "b", "c"]}, wrong, "losses of classes; the network has MeanSquaredError"),
        (net, {"link": "no"}, wrong, "link must be True or False; got 'no'"),
        (net, {"scaler": "standard"}, wrong, "scaler must be a fitted StandardScaler or MinMaxScaler; got 'standard'"),
        (
            net,
            {"scaler": xpnet.StandardScaler()},
            xpnet.ExportError,
            r"scaler StandardScaler cannot .*fit\(x_train\), then scaler\.transform\(x\)\.$",
        ),
        (
            net,
            {"scaler": xpnet.StandardScaler().fit(np.eye(3))},
            xpnet.ExportError,
            r"must have shape \(n, 3\).*of this shape\.$",
        ),
    ]:
        with pytest.raises(error, match=message):
            given.to_onnx(path, **options)
    with pytest.raises(xpnet.NotBuiltError, match="to_onnx needs a built network"):
        xpnet.Network([Dense(3)]).to_onnx(path)
    with pytest.raises(wrong, match="path must be text"):
        net.to_onnx(3)
    assert not list(tmp_path.iterdir())


def test_one_output_has_two_classes(tmp_path: Path) -> None:
    net = network([Dense(1)], loss="binary_cross_entropy")
    check(net, tmp_path / "binary.onnx", net.predict, link=True, classes=["no", "yes"])


def test_a_file_is_replaced_in_one_move(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "net.onnx"
    path.write_text("before")

    def full(*arguments: Any) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr(os, "replace", full)
        with pytest.raises(xpnet.ExportError, match="No space left"):
            network([Dense(3)]).to_onnx(path)
    assert [found.read_text() for found in tmp_path.iterdir()] == ["before"]
    check(network([Dense(3)]), path)
    assert list(tmp_path.iterdir()) == [path]
    with pytest.raises(xpnet.ExportError, match="there is no folder"):
        network([Dense(3)]).to_onnx(tmp_path / "nowhere" / "net.onnx")


@pytest.mark.parametrize("module", ["ndonnx", "onnxscript.optimizer"])
def test_without_the_extra_its_command_is_named(module: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(xpnet.MissingExtraError, match=r"to_onnx\(\) needs .*pip install 'xpnet\[onnx\]'"):
        network([Dense(3)]).to_onnx(tmp_path / "net.onnx")
    assert not list(tmp_path.iterdir())


def test_writing_a_file_does_not_warn_that_none_can_be_run() -> None:
    """Without onnxruntime, that is; the import counts, so it takes an interpreter of its own."""
    code = "import sys; sys.modules['onnxruntime'] = None; import xpnet.onnx_namespace as o; o.open_graph('float32')"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
