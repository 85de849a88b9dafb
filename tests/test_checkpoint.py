"""Files: exact round trips between all backends, and nothing but CheckpointError from anything else."""

from __future__ import annotations

import json
import os
import stat
import tracemalloc
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings, strategies as st
from safetensors.numpy import load as from_bytes, save as to_bytes

import xpnet
from xpnet import (
    BackendError,
    BatchNorm,
    CheckpointError,
    ConfigurationError,
    Dense,
    Dropout,
    LayerNorm,
    Network,
    Residual,
)
from xpnet.checkpoint import read_notes
from xpnet.weights import read_arrays, write_optimizer

ALSO_WITH_FIXTURES = [*settings.default.suppress_health_check, HealthCheck.function_scoped_fixture]

RNG = np.random.default_rng(4)
X = RNG.normal(size=(24, 4))
Y = np.arange(24) % 3
LAYERS = [Dense(6), BatchNorm(), "relu", Dropout(0.3), Residual([Dense(5), LayerNorm()], Dense(5)), Dense(3)]


def make(backend: xpnet.Backend | str = "numpy", **arguments: Any) -> Network:
    optimizer = xpnet.chain(
        xpnet.L2(1e-4),
        xpnet.ClipByNorm(1.0),
        xpnet.Adam(xpnet.CosineDecay(0.02, 40, warmup=3)),
        xpnet.ExponentialMovingAverage(0.9),
    )
    settings_ = {"optimizer": optimizer, "metrics": ["accuracy", xpnet.TopKAccuracy(2)], "seed": 7, **arguments}
    return Network(LAYERS, backend=backend, **settings_)


def train(net: Network, epochs: int) -> Network:
    net.fit(X, Y, epochs=epochs, batch_size=7, validation_split=0.1, verbose=0)
    return net


def assert_same(net: Network, other: Network) -> None:
    first, second = read_arrays(net), read_arrays(other)
    assert list(first) == list(second)
    for name, array in first.items():
        np.testing.assert_array_equal(array, second[name], err_msg=name)
    for name, values in net.history.items():
        np.testing.assert_array_equal(values, other.history[name])
    assert list(net.history) == list(other.history)
    for name in ("model", "loss", "optimizer", "metrics", "seed", "in_shape", "out_shape", "check_finite"):
        assert getattr(net, name) == getattr(other, name), name
    for name in ("epochs", "steps", "learning_rate", "last_learning_rate"):
        assert getattr(net, name) == getattr(other, name), name


def test_a_network_of_single_numbers_keeps_its_weights(tmp_path: Path, backend: xpnet.Backend) -> None:
    net = Network([xpnet.Reshape((1,)), Dense(3)], backend=backend)
    net.fit(X[:, 0], Y, verbose=0)
    assert net.in_shape == ()
    net.save(tmp_path / "net.safetensors")
    assert_same(net, xpnet.load(tmp_path / "net.safetensors", backend=backend))
    assert_same(net, net.copy())


@pytest.fixture(scope="module")
def saved(backend: xpnet.Backend, tmp_path_factory: pytest.TempPathFactory) -> tuple[Network, Path]:
    net = train(make(backend), 2)
    net.learning_rate = net.learning_rate / 3
    path = tmp_path_factory.mktemp("saved") / "net.safetensors"
    net.save(path)
    return net, path


# Round trips


def test_everything_comes_back_on_every_backend(
    saved: tuple[Network, Path], all_backends: dict[str, xpnet.Backend]
) -> None:
    net, path = saved
    for backend in all_backends.values():
        loaded = xpnet.load(path, backend=backend)
        assert loaded.backend is backend
        assert_same(net, loaded)


def test_the_file_does_not_tell_which_backend_wrote_it(
    saved: tuple[Network, Path], all_backends: dict[str, xpnet.Backend], tmp_path: Path
) -> None:
    net, path = saved
    for name, backend in all_backends.items():
        net.to(backend).save(tmp_path / name)
        assert (tmp_path / name).read_bytes() == path.read_bytes()


def test_training_goes_on_as_if_never_interrupted(saved: tuple[Network, Path], backend: xpnet.Backend) -> None:
    net, path = saved
    loaded, uninterrupted = xpnet.load(path, backend=backend), net.copy()
    assert_same(train(uninterrupted, 2), train(loaded, 2))


def test_a_float32_network_comes_back_bit_for_bit(backend32: xpnet.Backend, tmp_path: Path) -> None:
    net = train(make(backend32), 1)
    net.save(tmp_path / "net")
    loaded = xpnet.load(tmp_path / "net", backend=backend32.name)
    assert loaded.backend.dtype == "float32"
    assert_same(net, loaded)


def test_the_dtype_comes_with_the_file_unless_a_backend_record_decides(tmp_path: Path) -> None:
    make(dtype="float64", inputs=4).save(tmp_path / "net")
    assert xpnet.load(tmp_path / "net").backend.dtype == "float64"
    narrow = xpnet.open_backend("numpy", dtype="float32")
    assert xpnet.load(tmp_path / "net", backend=narrow).get_weights()["0.weight"].dtype == np.float32


def test_an_unbuilt_network_comes_back_unbuilt(tmp_path: Path) -> None:
    make().save(tmp_path / "net")
    loaded = xpnet.load(tmp_path / "net")
    assert not loaded.built
    assert_same(train(make(), 1), train(loaded, 1))


def test_a_diverged_network_comes_back_diverged(tmp_path: Path) -> None:
    net = train(make(), 1)
    net.history["loss"] = [float("nan")]
    net.history["accuracy"] = [float("inf")]
    net.history["val_loss"] = [float("-inf")]
    for array in read_weights(net):
        array[...] = np.nan
    net.save(tmp_path / "net")
    assert_same(net, xpnet.load(tmp_path / "net"))


def read_weights(net: Network) -> list[Any]:
    """Make the weights of a NumPy network writable from outside."""
    params = np.array(net.state.params)
    net.state = net.state._replace(params=params)
    return [params]


RECORDS = [
    *[getattr(xpnet, name)() for name in ("BinaryCrossEntropy", "MeanSquaredError", "MeanAbsoluteError", "Huber")],
    xpnet.CrossEntropy(label_smoothing=0.1, reduction="sum"),
    xpnet.Hinge(),
]


@pytest.mark.parametrize("loss", RECORDS, ids=str)
def test_every_loss_can_be_saved(loss: Any, tmp_path: Path) -> None:
    outputs = 3 if isinstance(loss, xpnet.CrossEntropy) else 1
    Network([Dense(outputs)], loss=loss, inputs=2).save(tmp_path / "net")
    assert xpnet.load(tmp_path / "net").loss == loss


@pytest.mark.parametrize("optimizer", ["sgd", "adam", "adamw", "nadam", "rmsprop", "adagrad", "adadelta", "lion"])
def test_every_optimizer_goes_on_after_loading(optimizer: str, tmp_path: Path) -> None:
    net = train(make(optimizer=optimizer), 1)
    net.save(tmp_path / "net")
    loaded = xpnet.load(tmp_path / "net")
    assert_same(train(net, 1), train(loaded, 1))


def test_every_layer_and_its_hyper_parameters_can_be_saved(tmp_path: Path) -> None:
    layers = [
        xpnet.Reshape((2, -1)),
        "flatten",
        Dense(4, bias=False, weight_initializer=xpnet.Uniform(-0.1, 0.2)),
        xpnet.Sequential([Dense(4, bias_initializer="ones"), xpnet.LeakyReLU(0.3), xpnet.ELU(0.5)]),
        *["identity", "sigmoid", "tanh", "relu", "gelu", "silu", "softplus", "softmax"],
        Dense(2, weight_initializer=xpnet.Orthogonal(0.7)),
    ]
    net = Network(layers, inputs=4, seed=3)
    net.save(tmp_path / "net")
    assert_same(net, xpnet.load(tmp_path / "net"))


# The file


def test_the_same_state_gives_the_same_bytes(tmp_path: Path) -> None:
    for name in "ab":
        train(make(), 2).save(tmp_path / name)
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()


def test_others_can_read_the_arrays(saved: tuple[Network, Path]) -> None:
    net, path = saved
    found = from_bytes(path.read_bytes())
    np.testing.assert_array_equal(found["weights.0.weight"], net.get_weights()["0.weight"])
    assert any(name.startswith("optimizer.") for name in found)


posix = pytest.mark.skipif(os.name == "nt", reason="Windows has no permissions of owner, group and others")


@posix
def test_a_file_has_the_rights_that_the_umask_leaves(tmp_path: Path) -> None:
    old = os.umask(0o027)
    try:
        make(inputs=4).save(tmp_path / "net")
    finally:
        os.umask(old)
    assert stat.S_IMODE((tmp_path / "net").stat().st_mode) == 0o640


def test_the_process_s_umask_is_never_touched(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It belongs to all threads: another one's files would be open to everybody meanwhile."""
    monkeypatch.setattr(os, "umask", lambda mask: pytest.fail("os.umask was called"))
    make(inputs=4).save(tmp_path / "net")


@posix
@pytest.mark.parametrize("mode", [0o600, 0o666, 0o440])
def test_a_file_that_is_replaced_keeps_its_rights(mode: int, tmp_path: Path) -> None:
    path = tmp_path / "net"
    path.touch()
    path.chmod(mode)
    make(inputs=4).save(path)
    assert stat.S_IMODE(path.stat().st_mode) == mode
    assert not xpnet.load(path).steps


def test_a_missing_folder_is_named_with_the_remedy(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match=r"cannot write .*net: there is no folder .*missing.*mkdir"):
        make(inputs=4).save(tmp_path / "missing" / "net")


def test_a_folder_is_no_file(tmp_path: Path) -> None:
    (tmp_path / "net").mkdir()
    with pytest.raises(CheckpointError, match=r"cannot write .*net: Is a directory"):
        make(inputs=4).save(tmp_path / "net")
    assert [path.name for path in tmp_path.iterdir()] == ["net"]
    with pytest.raises(CheckpointError, match="net is a folder"):
        xpnet.load(tmp_path / "net")


@pytest.mark.parametrize("path", [None, 5, b"net", ["net"]])
def test_what_is_no_path_is_refused(path: Any) -> None:
    with pytest.raises(ConfigurationError, match=r"path must be text or a pathlib.Path; got"):
        make(inputs=4).save(path)
    with pytest.raises(ConfigurationError, match=r"path must be text or a pathlib.Path; got"):
        xpnet.load(path)


def test_a_name_that_no_file_can_have_is_refused() -> None:
    with pytest.raises(CheckpointError, match=r"cannot write .*null"):
        make(inputs=4).save("a\0b")
    with pytest.raises(CheckpointError, match=r"cannot read .*null"):
        xpnet.load("a\0b")


def test_a_save_that_fails_keeps_the_old_file_and_leaves_no_other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "net"
    make(inputs=4).save(path)
    before = path.read_bytes()

    def fail(*arguments: Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", fail)
    with pytest.raises(CheckpointError, match=r"cannot write .*net: No space left"):
        train(make(), 1).save(path)
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]


def test_a_reader_that_has_the_old_file_open_keeps_it(tmp_path: Path) -> None:
    path = tmp_path / "net"
    make(inputs=4).save(path)
    with path.open("rb") as reader:
        train(make(), 1).save(path)
        old = reader.read()
    assert old != path.read_bytes()
    (tmp_path / "old").write_bytes(old)
    assert xpnet.load(tmp_path / "old").steps == 0


# Your own classes


@dataclass(frozen=True)
class Doubled:
    factor: float = 2.0

    def build(self, in_shape: Any) -> Any:
        return xpnet.layers.Built(in_shape)

    def forward(self, params: Any, x: Any, context: Any) -> Any:
        return x * self.factor, None

    def backward(self, params: Any, residuals: Any, dy: Any, context: Any) -> Any:
        return dy * self.factor, {}


def test_your_own_layer_is_loaded_only_where_you_pass_it(tmp_path: Path) -> None:
    net = Network([Doubled(3.0), Dense(2)], inputs=4)
    net.save(tmp_path / "net")
    with pytest.raises(CheckpointError, match=r"'Doubled'.*custom=\[Doubled\]"):
        xpnet.load(tmp_path / "net")
    loaded = xpnet.load(tmp_path / "net", custom=[Doubled])
    assert loaded.model.layers[0] == Doubled(3.0)
    assert_same(net, loaded)


@dataclass(frozen=True)
class ReLU(Doubled):
    """A class with the name of one of xpnet's, which does something else."""


def test_a_class_with_the_name_of_one_of_ours_is_never_taken_for_it(tmp_path: Path) -> None:
    net = Network([ReLU(3.0), "relu", Dense(2)], inputs=4)
    net.save(tmp_path / "net")
    with pytest.raises(CheckpointError, match=r"'ReLU' that is not known; pass custom=\[ReLU\]"):
        xpnet.load(tmp_path / "net")
    loaded = xpnet.load(tmp_path / "net", custom=[ReLU])
    assert [type(layer) for layer in loaded.model.layers] == [ReLU, xpnet.ReLU, Dense]
    assert_same(net, loaded)


@dataclass(frozen=True)
class Told(Doubled):
    type: str = "Dense"
    count: Any = 1
    seen: int = field(default=0, init=False)


def test_a_field_may_have_any_name_and_numpy_s_numbers(tmp_path: Path) -> None:
    Network([Told(2.0, "ReLU", np.int64(3)), Dense(2)], inputs=4).save(tmp_path / "net")
    layer = xpnet.load(tmp_path / "net", custom=[Told]).model.layers[0]
    assert layer == Told(2.0, "ReLU", 3)
    assert type(layer.count) is int  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("custom", "fragment"),
    [
        (Doubled, r"write custom=\[Doubled\]"),
        ("Doubled", "got 'Doubled'"),
        (["Doubled"], r"got \['Doubled'\]"),
        ([Doubled(2.0)], "got "),
        (None, "got None"),
        ([ReLU, xpnet.ReLU], "different names"),
    ],
)
def test_custom_is_a_list_of_classes(custom: Any, fragment: str, tmp_path: Path) -> None:
    make(inputs=4).save(tmp_path / "net")
    with pytest.raises(ConfigurationError, match=f"custom must be a list of classes.*{fragment}"):
        xpnet.load(tmp_path / "net", custom=custom)


def test_an_iterator_of_classes_will_do(tmp_path: Path) -> None:
    Network([Doubled(3.0), Dense(2)], inputs=4).save(tmp_path / "net")
    assert xpnet.load(tmp_path / "net", custom=iter([Doubled])).model.layers[0] == Doubled(3.0)


def half(step: Any, xp: Any) -> Any:
    return 0.5 + 0 * step


@pytest.mark.parametrize(
    ("layer", "rate", "name"),
    [
        (Doubled(2.0), half, "SGD.learning_rate is <function half"),
        (Doubled(2.0), lambda step, xp: 0.5 + 0 * step, "SGD.learning_rate is <function <lambda>"),
        (Doubled(np.ones(2)), 0.1, r"Doubled.factor is array"),  # type: ignore[arg-type]
        (Doubled({"a": 1}), 0.1, r"Doubled.factor is {'a': 1}"),  # type: ignore[arg-type]
    ],
)
def test_what_is_no_record_cannot_be_saved(layer: Any, rate: Any, name: str, tmp_path: Path) -> None:
    said = rf"{name}.* cannot be saved: .*frozen dataclass.*custom=\["
    with pytest.warns(UserWarning, match=f"can be trained but not saved: {said}") as caught:
        net = Network([layer, Dense(2)], inputs=4, optimizer=xpnet.SGD(rate))
    assert [warning.filename for warning in caught] == [__file__]
    with pytest.raises(CheckpointError, match=said):
        net.save(tmp_path / "net")
    assert list(tmp_path.iterdir()) == []


class Scaled(xpnet.ReLU):
    """A subclass with a number that is no field."""

    def __init__(self, scale: float = 1.0) -> None:
        super().__init__()
        self.scale = scale


@dataclass(frozen=True)
class Derived(xpnet.layers.base.Elementwise):
    """A layer that works something out of its fields."""

    factor: float = 1.0

    def __post_init__(self) -> None:
        object.__setattr__(self, "square", self.factor**2)

    def forward(self, params: Any, x: Any, context: Any) -> Any:
        return x * self.square, None  # type: ignore[attr-defined]

    def backward(self, params: Any, residuals: Any, dy: Any, context: Any) -> Any:
        return dy * self.square, {}  # type: ignore[attr-defined]


@dataclass(frozen=True)
class Built(xpnet.layers.base.Elementwise):
    """A layer that keeps what it has seen in ``build``, and a number that is NaN."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "limit", float("nan"))

    def build(self, in_shape: Any) -> Any:
        object.__setattr__(self, "seen", in_shape)
        return super().build(in_shape)

    def forward(self, params: Any, x: Any, context: Any) -> Any:
        return 2.0 * x, None

    def backward(self, params: Any, residuals: Any, dy: Any, context: Any) -> Any:
        return 2.0 * dy, {}


class Required(Scaled):
    """One that cannot be made of the fields alone."""

    def __init__(self, scale: float) -> None:
        super().__init__(scale)


@pytest.mark.parametrize("layer", [Scaled(100.0), Required(1.0)], ids=["other", "required"])
def test_what_is_beside_the_fields_and_would_be_lost_cannot_be_saved(layer: Any, tmp_path: Path) -> None:
    name = type(layer).__name__
    said = rf"layers\[0\] is a {name} with scale={layer.scale}, which cannot be saved: .*Decorate {name} with .*field"
    with pytest.warns(UserWarning, match=f"can be trained but not saved: {said}"):
        net = Network([layer, Dense(2)], inputs=4)
    with pytest.raises(CheckpointError, match=said):
        net.save(tmp_path / "net")
    with pytest.warns(UserWarning, match=said):
        copy = net.copy()
    np.testing.assert_array_equal(copy.forward(X), net.forward(X))


@pytest.mark.parametrize("layer", [Scaled(), Derived(3.0), Built()], ids=["default", "derived", "built"])
def test_what_is_beside_the_fields_and_is_made_of_them_comes_back(layer: Any, tmp_path: Path) -> None:
    net = Network([layer, Dense(2)], inputs=4)
    net.save(tmp_path / "net")
    again = xpnet.load(tmp_path / "net", custom=[type(layer)])
    np.testing.assert_array_equal(again.forward(X), net.forward(X))


@pytest.mark.parametrize("factor", [float("inf"), float("nan"), np.float32("nan")])
def test_a_number_that_is_not_finite_cannot_be_saved(factor: float, tmp_path: Path) -> None:
    said = "Doubled.factor is .*(inf|nan).* cannot be saved: a file holds finite numbers alone. Give a finite number"
    with pytest.warns(UserWarning, match=f"can be trained but not saved: {said}"):
        net = Network([Doubled(factor), Dense(2)], inputs=4)
    with pytest.raises(CheckpointError, match=said):
        net.save(tmp_path / "net")


class NoRecord(xpnet.layers.base.Elementwise):
    def forward(self, params: Any, x: Any, context: Any) -> Any:
        return x, None

    def backward(self, params: Any, residuals: Any, dy: Any, context: Any) -> Any:
        return dy, {}


class NoRecordAtAll(NoRecord):
    metrics = ()
    reduction = "mean"

    def __call__(self, scores: Any, targets: Any, xp: Any) -> Any:
        return xpnet.CrossEntropy()(scores, targets, xp)

    def check(self, out_shape: Any) -> None:
        pass

    def targets(self, y: Any, out_shape: Any) -> Any:
        return xpnet.CrossEntropy().targets(y, out_shape)

    def link(self, scores: Any, xp: Any) -> Any:
        return scores


@pytest.mark.parametrize(
    ("parts", "said"),
    [
        (
            {"layers": [Dense(4), NoRecord(), Dense(3)]},
            r"layers\[1\] is .*Write NoRecord as a dataclass\(frozen=True\)",
        ),
        ({"layers": [xpnet.Residual(["relu", NoRecord()]), Dense(3)]}, r"Residual\.layers\[1\] is .*Write NoRecord as"),
        ({"layers": [Dense(3)], "loss": NoRecordAtAll()}, "loss is .*Write NoRecordAtAll as a dataclass"),
    ],
    ids=["layer", "layer within", "loss"],
)
def test_what_cannot_be_saved_is_told_before_training(parts: Any, said: str, tmp_path: Path) -> None:
    with pytest.warns(UserWarning, match=f"can be trained but not saved: {said}"):
        net = Network(**parts)
    for arguments in ({"checkpoint": tmp_path / "run"}, {"callbacks": [xpnet.ModelCheckpoint(tmp_path / "net")]}):
        with pytest.raises(CheckpointError, match=said):
            net.fit(X, Y, verbose=0, **arguments)
        assert (net.steps, list(tmp_path.iterdir())) == (0, [])
    net.fit(X, Y, verbose=0)


def scaled_by(number: float) -> type:
    @dataclass(frozen=True)
    class Scaled(Doubled):
        def forward(self, params: Any, x: Any, context: Any) -> Any:
            return x * number, None

    return Scaled


def test_two_classes_of_one_name_cannot_be_saved_and_one_class_can(tmp_path: Path) -> None:
    twice, thrice = scaled_by(2), scaled_by(3)
    said = (
        r"layers\[0\] and layers\[2\] are of two classes 'Scaled' \(\S*scaled_by\S+ and \S+\), which cannot be saved: "
        ".*Rename one"
    )
    with pytest.warns(UserWarning, match=f"can be trained but not saved: {said}"):
        net = Network([twice(), Dense(4), thrice(), Dense(3)], inputs=4)
    with pytest.raises(CheckpointError, match=said):
        net.save(tmp_path / "net")
    assert list(tmp_path.iterdir()) == []
    net = Network([twice(), Dense(4), twice(5.0), Dense(3)], inputs=4)
    net.save(tmp_path / "net")
    assert xpnet.load(tmp_path / "net", custom=[twice]).model == net.model


# Notes


def test_notes_come_back_without_the_network(tmp_path: Path) -> None:
    notes = {"table": '{"columns":["a","\u00e4"]}', "empty": ""}
    xpnet.checkpoint.save(make(inputs=4), tmp_path / "net", notes=notes)
    assert read_notes(tmp_path / "net") == notes
    assert_same(make(inputs=4), xpnet.load(tmp_path / "net"))
    xpnet.checkpoint.save(make(inputs=4), tmp_path / "again", notes=dict(reversed(notes.items())))
    assert (tmp_path / "again").read_bytes() == (tmp_path / "net").read_bytes()
    make(inputs=4).save(tmp_path / "net")
    assert read_notes(tmp_path / "net") == {}


@pytest.mark.parametrize(
    ("notes", "fragment"),
    [
        ("text", "map text to text"),
        ({"a": 1}, "map text to text"),
        ({1: "a"}, "map text"),
        ({"xpnet": ""}, "named"),
        ({"checksum": ""}, "named"),
    ],
)
def test_notes_are_texts(notes: Any, fragment: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=f"notes .*{fragment}"):
        xpnet.checkpoint.save(make(inputs=4), tmp_path / "net", notes=notes)


@pytest.mark.parametrize(
    ("notes", "fragment"), [({"a": "x" * 2**20}, "at most 1,048,576"), ({"a": "\ud800"}, "surrogates not allowed")]
)
def test_notes_that_could_not_be_read_are_not_written(notes: Any, fragment: str, tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match=f"cannot be saved, .*{fragment}"):
        xpnet.checkpoint.save(make(inputs=4), tmp_path / "net", notes=notes)
    assert list(tmp_path.iterdir()) == []


def test_notes_of_what_is_no_xpnet_file_are_refused(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "other").write_bytes(to_bytes({"a": np.zeros(2)}, metadata={"note": "text"}))
    (tmp_path / "cut").write_bytes(content[:-1])
    for name in ("other", "cut", "missing"):
        with pytest.raises(CheckpointError, match=name):
            read_notes(tmp_path / name)


# Damage and malice


def parts(content: bytes) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return the description and the arrays of a file."""
    size = int.from_bytes(content[:8], "little")
    header = json.loads(content[8 : 8 + size])
    return json.loads(header["__metadata__"]["xpnet"]), from_bytes(content)


def assemble(description: Any, arrays: dict[str, Any]) -> bytes:
    return to_bytes(arrays, metadata={"xpnet": json.dumps(description)})


@pytest.fixture(scope="module")
def content(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    path = tmp_path_factory.mktemp("content") / "net"
    train(make(), 1).save(path)
    return path.read_bytes()


def load_bytes(content: bytes, folder: Path) -> Network:
    path = folder / "damaged.safetensors"
    path.write_bytes(content)
    return xpnet.load(path)


def loaded_or_refused(content: bytes, folder: Path) -> Network | None:
    """Any other exception is a failure."""
    try:
        return load_bytes(content, folder)
    except CheckpointError:
        return None


def test_a_file_cut_anywhere_is_refused(content: bytes, tmp_path: Path) -> None:
    for length in [*range(0, 64, 7), *range(64, len(content), 501), len(content) - 1]:
        with pytest.raises(CheckpointError, match=r"damaged\.safetensors"):
            load_bytes(content[:length], tmp_path)


def test_a_number_that_has_changed_on_a_disk_is_not_taken_for_a_weight(content: bytes, tmp_path: Path) -> None:
    data = 8 + int.from_bytes(content[:8], "little")
    for position in [*range(data, len(content), 97), len(content) - 1]:
        damaged = bytearray(content)
        damaged[position] ^= 1 << position % 8
        with pytest.raises(CheckpointError, match="bytes are not those that were written"):
            load_bytes(bytes(damaged), tmp_path)
    assert content.count(b'\\"epochs\\":1') == 1
    with pytest.raises(CheckpointError, match="take the text 'checksum' out"):
        load_bytes(content.replace(b'\\"epochs\\":1', b'\\"epochs\\":3'), tmp_path)


@settings(max_examples=60, suppress_health_check=ALSO_WITH_FIXTURES)
@given(data=st.data())
def test_flipped_bytes_give_a_network_or_an_error(data: st.DataObject, content: bytes, tmp_path: Path) -> None:
    content = assemble(*parts(content))  # without a checksum
    header = 8 + int.from_bytes(content[:8], "little")
    damaged = bytearray(content)
    for position in data.draw(st.lists(st.integers(0, header + 64), min_size=1, max_size=4)):
        damaged[position] = data.draw(st.integers(0, 255))
    with np.errstate(all="ignore"):
        loaded_or_refused(bytes(damaged), tmp_path)


def paths(tree: Any, prefix: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    children = tree.items() if isinstance(tree, dict) else enumerate(tree) if isinstance(tree, list) else ()
    return [prefix, *(path for key, value in children for path in paths(value, (*prefix, key)))]


HOSTILE = st.one_of(
    st.none(),
    st.booleans(),
    st.sampled_from([-1, 0, 10**6, 10**12, 2**31, 2**63, 10**400, 0.5, float("nan"), float("inf"), -0.0]),
    st.sampled_from(["", "relu", "../../etc/passwd", "os.system", "__class__", "nan"]),
    st.sampled_from(
        [
            [],
            {},
            [1],
            {"class": "Dense", "units": 10**12},
            {"class": "Path"},
            {"class": "custom:Path"},
            {"class": []},
            {"a": 1},
        ]
    ),
)


@settings(max_examples=150, suppress_health_check=ALSO_WITH_FIXTURES)
@given(data=st.data())
def test_a_hostile_description_gives_a_network_or_an_error(data: st.DataObject, content: bytes, tmp_path: Path) -> None:
    description, arrays = parts(content)
    where = data.draw(st.sampled_from(paths(description)))
    value = data.draw(HOSTILE)
    node: Any = description
    for key in where[:-1]:
        node = node[key]
    if not where:
        description = value
    elif data.draw(st.booleans()):
        node[where[-1]] = value
    else:
        del node[where[-1]]
    net = loaded_or_refused(assemble(description, arrays), tmp_path)
    if net is not None:
        assert net.built or description["inputs"] is None
        assert np.isfinite(net.learning_rate)


def test_arrays_that_are_missing_are_told_from_those_of_others() -> None:
    net = Network([xpnet.Dense(2)], inputs=3)
    arrays = read_arrays(net)
    arrays["optimizer.momentum"] = arrays.pop("optimizer.m")
    with pytest.raises(xpnet.DataError, match=r"network: optimizer\.m missing; optimizer\.momentum not its own$"):
        write_optimizer(net, arrays)


@pytest.mark.parametrize(
    ("change", "fragment"),
    [
        (lambda d, a: d.update(schema=99), "schema 99.*upgrade"),
        (lambda d, a: d.pop("network"), "network"),
        (lambda d, a: d.update(dtype="float16"), "dtype.*float16"),
        (lambda d, a: d.update(inputs=[10**9]), r"weights.0.weight must have shape"),
        (lambda d, a: d["network"]["layers"]["layers"][0].update(units=10**9), r"must have shape"),
        (lambda d, a: d.update(steps=2**40), "steps"),
        (lambda d, a: d.update(steps=-1), "steps"),
        (lambda d, a: d.update(epochs="many"), "epochs"),
        (lambda d, a: d.update(scale=float("nan")), "NaN is no JSON number"),
        (lambda d, a: d.update(scale="half"), "scale must be"),
        (lambda d, a: d.update(scale=1e300), "beyond float32"),
        (lambda d, a: d.update(history={"loss": 5}), "history must be a list of names"),
        (lambda d, a: d.update(history=["loss", "joy"]), "history.joy must be there"),
        (lambda d, a: a.update({"history.loss": np.zeros((2, 2))}), "history.loss must be there, float64"),
        (lambda d, a: d["network"].update(loss={"class": "Popen", "args": "id"}), "'Popen' that is not known"),
        (lambda d, a: d["network"].update(loss={"class": "Dense", "units": 2}), "a loss must be"),
        (lambda d, a: a.pop("weights.0.weight"), r"weights.0.weight must have shape.*none"),
        (
            lambda d, a: a.update({"weights.0.weight": np.zeros((2, 2), np.float64)}),
            r"shape \(4, 6\), float32; got shape \(2, 2\), float64",
        ),
        (
            lambda d, a: a.update({"weights.9.weight": np.zeros(2)}),
            "do not belong to this network: weights.9.weight not its own",
        ),
        (lambda d, a: a.pop("optimizer.2.m"), "optimizer.2.m must have shape .*none"),
        (
            lambda d, a: a.update({"optimizer.9.m": np.zeros(2)}),
            "do not belong to this network: optimizer.9.m not its own",
        ),
        (lambda d, a: d.update(dtype="float64", precision="float64"), "must have shape .*float64; got .*float32"),
        (lambda d, a: d.update(inputs=[1] * 64), "at most 63"),
        (lambda d, a: d.update(inputs=[]), "at most 63|positive|rank"),
        (lambda d, a: a.update({"optimizer.2.m": np.zeros(2)}), r"optimizer.2.m must have shape"),
    ],
)
def test_what_does_not_fit_is_named(change: Any, fragment: str, content: bytes, tmp_path: Path) -> None:
    description, arrays = parts(content)
    change(description, arrays)
    with pytest.raises(CheckpointError, match=fragment) as caught:
        load_bytes(assemble(description, arrays), tmp_path)
    assert "damaged.safetensors" in str(caught.value)


def test_deep_nesting_is_refused(content: bytes, tmp_path: Path) -> None:
    description, arrays = parts(content)
    text = json.dumps(description)
    for depth in (400, 900, 100_000):
        nested = text.replace('"loss": {', '"loss": ' + "[" * depth + "]" * depth + ', "unused": {', 1)
        with pytest.raises(CheckpointError):
            load_bytes(to_bytes(arrays, metadata={"xpnet": nested}), tmp_path)


def test_a_header_beyond_all_sizes_is_not_read(content: bytes, tmp_path: Path) -> None:
    for size in (2**20 + 1, 2**40, 2**63):
        with pytest.raises(CheckpointError, match="not an xpnet file"):
            load_bytes(size.to_bytes(8, "little") + content[8:], tmp_path)


def test_a_pickle_is_not_run(tmp_path: Path) -> None:
    import pickle

    class Bomb:
        def __reduce__(self) -> Any:
            return os.mkdir, (str(tmp_path / "exploded"),)

    with pytest.raises(CheckpointError, match="not an xpnet file"):
        load_bytes(pickle.dumps(Bomb()), tmp_path)
    assert not (tmp_path / "exploded").exists()


@pytest.mark.parametrize("optimizer", ["sgd", "adam"])
def test_loading_takes_no_more_memory_than_twice_the_file_and_some(optimizer: str, tmp_path: Path) -> None:
    path, backend = tmp_path / "net", xpnet.open_backend("numpy")
    Network([Dense(1500), Dense(2)], inputs=1500, optimizer=optimizer, backend=backend).save(path)
    tracemalloc.start()
    try:
        xpnet.load(path, backend=backend)
        assert tracemalloc.get_traced_memory()[1] < 2 * path.stat().st_size + (2 << 20)
    finally:
        tracemalloc.stop()


def test_loading_draws_no_first_weights(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file could ask for an orthogonal matrix of any size."""
    make(inputs=4).save(tmp_path / "net")
    monkeypatch.setattr("xpnet.parameters.Layout.initialize", lambda *a: pytest.fail("drawn"), raising=True)
    network = xpnet.load(tmp_path / "net")
    assert network.built


def test_another_program_s_safetensors_are_refused(tmp_path: Path) -> None:
    for metadata in (None, {"format": "pt"}, {"xpnet": "no json"}, {"xpnet": "[]"}, {"xpnet": "5"}):
        with pytest.raises(CheckpointError, match="not an xpnet file"):
            load_bytes(to_bytes({"a": np.zeros(2)}, metadata=metadata), tmp_path)


def test_a_backend_that_cannot_be_had_says_so(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "net"
    path.write_bytes(content)
    with pytest.raises(BackendError, match="'numpyy'"):
        xpnet.load(path, backend="numpyy")


def test_a_device_beside_an_open_backend_is_not_blamed_on_the_file(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "net"
    path.write_bytes(content)
    with pytest.raises(ConfigurationError, match="device='gpu' is given beside"):
        xpnet.load(path, backend=xpnet.open_backend("numpy"), device="gpu")


def test_the_newest_file_of_a_folder_is_named(tmp_path):
    with pytest.raises(CheckpointError, match=r"is a folder; name a file in it$"):
        xpnet.load(tmp_path)
    network = xpnet.Network([xpnet.Dense(2)], inputs=3)
    for age, name in ((20, "b"), (10, "a"), (30, "c")):
        network.save(tmp_path / f"{name}.safetensors")
        os.utime(tmp_path / f"{name}.safetensors", (1e9 - age, 1e9 - age))
    with pytest.raises(CheckpointError, match=r"is a folder; name a file in it, such as its newest, .*a\.safetensors$"):
        xpnet.load(tmp_path)
