"""Written once: no array library but behind the door, no waiting for the device, no foreign array changed."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

import xpnet
from xpnet import Adam, BatchNorm, Dense, Dropout, Residual, nonfinite_guard

PACKAGE = Path(xpnet.__file__).parent
ARRAY_LIBRARIES = {"cupy", "cupyx", "torch", "jax", "jaxlib", "array_api_strict", "dask", "mlx"}
OPTIONAL = {"sklearn", "matplotlib", "pandas", "rich", "scipy", "onnx", "ndonnx", "spox", "onnxscript"}
DISPATCHER = "array_api_compat"
"""Finds the namespace of an array that a user brings, without importing any library; its submodules do import one."""

RNG = np.random.default_rng(1)
X = RNG.normal(size=(30, 4))
Y = RNG.integers(0, 3, 30)


def network(backend, **options):
    layers = [BatchNorm(), Dropout(0.2), Residual([Dense(4)]), Dense(3)]
    return xpnet.Network(layers, optimizer=Adam(0.01), backend=backend, **({"inputs": 4} | options))


# Imports


def imported(path):
    """Yield (module, line, inside a function) of everything that a file imports when it runs."""

    def walk(node, inside):
        for child in ast.iter_child_nodes(node):
            if isinstance(child, ast.If) and "TYPE_CHECKING" in ast.unparse(child.test):
                continue
            within = inside or isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda)
            if isinstance(child, ast.Import):
                yield from ((alias.name, child.lineno, within) for alias in child.names)
            elif isinstance(child, ast.ImportFrom) and child.module and not child.level:
                yield child.module, child.lineno, within
            yield from walk(child, within)

    yield from walk(ast.parse(path.read_text(encoding="utf-8")), False)


FILES = sorted(PACKAGE.rglob("*.py"))


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_the_core_imports_no_array_library_but_numpy(path):
    for module, line, inside in imported(path):
        root = module.partition(".")[0]
        assert root not in ARRAY_LIBRARIES, f"{path.name}:{line} imports {module}: only a backend may"
        assert root != "xpnet_backends", f"{path.name}:{line} names a backend: it is found by its entry point"
        assert not module.startswith(f"{DISPATCHER}."), f"{path.name}:{line} imports {module}: only a backend may"
        expected = {"sklearn", "scipy", DISPATCHER} if path.is_relative_to(PACKAGE / "sklearn") else set()
        assert inside or root not in {*OPTIONAL, DISPATCHER} - expected, f"{path.name}:{line} imports {module} unasked"


DEVICE_SIDE = ["nn.py", "training.py", "schedules.py", "optimizers", "parameters.py", "layers", "random.py"]


@pytest.mark.parametrize(
    "path",
    [path for path in FILES if set(path.relative_to(PACKAGE).parts) & set(DEVICE_SIDE)],
    ids=lambda path: str(path.relative_to(PACKAGE)),
)
def test_what_runs_on_the_device_imports_numpy_only_on_the_host_side(path):
    """At the top of these files NumPy may not even be imported, so no function can fall back on it."""
    assert not [line for module, line, inside in imported(path) if module == "numpy" and not inside]


def test_the_core_asks_no_backend_for_its_name():
    """A name is for printing, errors and files; nothing branches on it."""
    names = {"numpy", "cupy", "torch", "jax", "array-api-strict"}
    for path in FILES:
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Compare):
                constants = {
                    c.value for c in ast.walk(node) if isinstance(c, ast.Constant) and isinstance(c.value, str)
                }
                assert not constants & names, f"{path.name}:{node.lineno}: {ast.unparse(node)}"


BLOCKED = """
import sys
import numpy

class Wall:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in {blocked!r}:
            raise AssertionError("imported " + name)

sys.meta_path.insert(0, Wall())
import xpnet
x = numpy.random.default_rng(0).normal(size=(60, 4))
y = (x[:, 0] > 0).astype(int)
layers = [xpnet.Dense(8), xpnet.BatchNorm(), "relu", xpnet.Dropout(0.1), xpnet.Dense(2)]
net = xpnet.Network(layers, optimizer=xpnet.Adam(0.02), seed=1)
net.fit(x, y, epochs=20, validation_split=0.2, verbose=0)
assert net.evaluate(x, y)["accuracy"] > 0.9
net.predict(x), net.classify(x), net.gradients(x, y), net.get_weights(), net.summary()
print(sorted(set(sys.modules) & {blocked!r}))
"""


def test_training_on_numpy_imports_nothing_else():
    blocked = ARRAY_LIBRARIES | OPTIONAL
    run = subprocess.run(
        [sys.executable, "-W", "error", "-c", BLOCKED.format(blocked=blocked)],
        capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip
    assert run.returncode == 0, run.stderr
    assert run.stdout.strip() == "[]"


# Synchronisations


class Waits(Counter):
    """How often the host looked at an array's value."""


LOOKS = (
    *("__float__", "__bool__", "__int__", "__index__", "__complex__", "__array__", "__dlpack__"),
    *("item", "tolist", "numpy", "cpu"),
)
"""What makes the host wait for a value, in one library or another."""


@pytest.fixture
def waits(backend, monkeypatch):
    """Count what makes the host wait, where the library's array type lets itself be watched.

    Nor does an epoch take so long, whatever the machine, that it is looked at before its end.
    """
    monkeypatch.setattr(nonfinite_guard, "INTERVAL", 1e9)
    counted = Waits()
    kind = type(backend.asarray(np.zeros(1)))
    for name in LOOKS:
        if kind.__module__ == "numpy" or not hasattr(kind, name):
            continue
        plain = getattr(kind, name)

        def watched(self, *arguments, _plain=plain, _name=name, **options):
            counted[_name] += 1
            return _plain(self, *arguments, **options)

        try:
            monkeypatch.setattr(kind, name, watched)
        except TypeError:  # a type written in C takes no new methods
            continue
    return counted


def with_door_watched(backend, counted):
    """Return the backend with its only way out counted."""
    from dataclasses import replace

    def to_numpy(array):
        counted["to_numpy"] += 1
        return backend.to_numpy(array)

    return replace(backend, to_numpy=to_numpy)


def test_the_host_waits_only_at_an_epochs_end(backend, waits):
    """However many steps an epoch has, as many waits: for its results, and for whether all is finite."""
    counts = {}
    for batch_size in (3, 10):
        net = network(with_door_watched(backend, waits))
        net.fit(X, Y, epochs=1, batch_size=batch_size, verbose=0)
        waits.clear()
        net.fit(X, Y, epochs=1, batch_size=batch_size, verbose=0)
        counts[batch_size] = Counter(waits)
    assert counts[3] == counts[10]
    assert counts[3]["to_numpy"] == 2, "one for the results, one for the guard"


def test_inside_the_epoch_there_is_no_waiting_at_all(backend, waits):
    """From the first batch to the last, watched through the callbacks around every step."""
    net = network(with_door_watched(backend, waits))
    inside = []

    class Watch(xpnet.Callback):
        def on_train_batch_begin(self, batch, logs=None):
            if batch == 0:
                waits.clear()

        def on_train_batch_end(self, batch, logs=None):
            inside.append(Counter(waits))

    net.fit(X, Y, epochs=1, batch_size=6, callbacks=[Watch()], verbose=0)
    assert len(inside) == 5
    assert inside[-1]["to_numpy"] == 0
    if type(backend.asarray(np.zeros(1))).__module__ != "numpy" and backend.name != "jax":
        assert waits["to_numpy"] > 0, "the counter does count"
    assert not +inside[-1], inside[-1]


def test_a_step_of_ones_own_loop_does_not_wait(backend, waits):
    net = network(with_door_watched(backend, waits))
    x, y = X[:8], Y[:8]
    net.train_step(x, y)
    waits.clear()
    losses = [net.train_step(x, y) for _ in range(3)]
    assert not +waits, waits
    assert all(loss.shape == () for loss in losses)


def test_the_watch_sees_what_it_should(backend, waits):
    array = with_door_watched(backend, waits).to_numpy(backend.asarray(np.ones(1)))
    assert array.tolist() == [1.0]
    assert waits["to_numpy"] == 1
    if backend.name in ("array-api-strict", "torch"):
        float(backend.asarray(np.ones(())))
        assert waits["__float__"] == 1


# Arrays of others


def frozen(*arrays):
    copies = [np.array(array) for array in arrays]
    for array in copies:
        array.flags.writeable = False
    return copies


def everything(net, x, y, weights, start):
    """Go through all that takes arrays."""
    net.set_weights(start)
    net.fit(x, y, epochs=2, batch_size=8, sample_weight=weights, validation_split=0.2, verbose=0)
    net.fit(x, y, epochs=1, batch_size=None, sample_weight=weights, validation_data=(x, y, weights), verbose=0)
    net.fit([(x, y, weights)], epochs=1, verbose=0)
    net.train_step(x, y, weights)
    net.gradients(x, y, weights)
    net.trace(x, y, weights)
    net.evaluate(x, y, sample_weight=weights)
    net.predict(x)
    net.classify(x)
    net.forward(x)
    net.set_weights(start)


def test_no_callers_array_is_written_to(backend):
    """In the network's own dtypes, so that nothing is copied on the way in: read-only ones, and checked afterwards."""
    x, y, weights = frozen(X, Y.astype(np.int32), np.linspace(0.5, 1.5, 30))
    net = network(backend)
    start = dict(zip(net.get_weights(), frozen(*net.get_weights().values()), strict=True))
    kept = [array.copy() for array in (x, y, weights, *start.values())]
    everything(net, x, y, weights, start)
    for array, before in zip((x, y, weights, *start.values()), kept, strict=True):
        assert np.array_equal(array, before)


def test_writable_arrays_are_not_written_to_either(backend):
    """Without the flag to protect them; as arrays of the backend too."""
    x, y, weights = X.copy(), Y.astype(np.int32), np.linspace(0.5, 1.5, 30)
    net = network(backend)
    start = net.get_weights()
    kept = [array.copy() for array in (x, y, weights, *start.values())]
    net.set_weights(start)
    net.fit(x, y, epochs=1, batch_size=10, sample_weight=weights, verbose=0)
    net.train_step(x, y, weights)
    net.predict(x)
    for array, before in zip((x, y, weights, *start.values()), kept, strict=True):
        assert np.array_equal(array, before)
    placed = [backend.asarray(x.copy()), backend.asarray(y.copy()), backend.asarray(weights.copy())]
    net.fit(placed[0], placed[1], epochs=1, batch_size=10, sample_weight=placed[2], verbose=0)
    net.fit(placed[0], placed[1], epochs=1, batch_size=None, verbose=0)
    net.train_step(*placed)
    net.predict(placed[0])
    for array, before in zip(placed, kept[:3], strict=True):
        assert np.array_equal(backend.to_numpy(array), before)


def test_soft_targets_are_not_written_to(backend):
    x, y = frozen(X, RNG.dirichlet(np.ones(3), 30))
    before = y.copy()
    net = xpnet.Network([Dense(3)], loss=xpnet.CrossEntropy(label_smoothing=0.1), backend=backend, inputs=4)
    net.fit(x, y, batch_size=None, verbose=0)
    net.train_step(x, y)
    assert np.array_equal(y, before)


def test_what_was_returned_stays_as_it_was(backend):
    """Results are the caller's own: neither later calls nor later training change them, nor the other way round."""
    net = network(backend)
    held = {
        "predict": net.predict(X),
        "forward": net.forward(X),
        "classify": net.classify(X),
        "loss": net.train_step(X, Y),
    }
    weights, gradients, trace = net.get_weights(), net.gradients(X, Y), net.trace(X, Y)
    before = {name: np.array(backend.to_numpy(array)) for name, array in held.items()}
    copies = [{name: array.copy() for name, array in found.items()} for found in (weights, gradients, trace)]
    other = X[::-1] * 2.0
    for _ in range(3):
        net.train_step(other, Y)
        net.predict(other)
        net.forward(other)
        net.classify(other)
        net.gradients(other, Y)
    for name, array in held.items():
        assert np.array_equal(backend.to_numpy(array), before[name]), name
    for found, kept in zip((weights, gradients, trace), copies, strict=True):
        for name, array in kept.items():
            assert np.array_equal(found[name], array), name
    for array in weights.values():
        array[...] = 0.0
    assert net.get_weights()["3.weight"].any()


# Side by side


def test_two_backends_side_by_side_do_not_disturb_each_other(backend, open_backend):
    """Two networks on two backends, and a third on this one in another order, step by step in turn."""
    alone = network(backend, seed=3)
    for i in range(6):
        alone.train_step(X[i : i + 8], Y[i : i + 8])
    mixed, other = network(backend, seed=3), network(open_backend("numpy"), seed=3)
    twin = network(backend, seed=4)
    for i in range(6):
        mixed.train_step(X[i : i + 8], Y[i : i + 8])
        twin.train_step(X[i + 5 : i + 9], Y[i + 5 : i + 9])
        other.train_step(X[i : i + 8], Y[i : i + 8])
        twin.predict(X[i : i + 3])
    found, wanted, near = mixed.get_weights(), alone.get_weights(), other.get_weights()
    for name, value in found.items():
        assert np.array_equal(value, wanted[name]), name
        np.testing.assert_allclose(value, near[name], rtol=1e-9, atol=1e-9)


def test_networks_move_between_backends_and_go_on_alike(backend, open_backend):
    there = network(backend, seed=3)
    there.train_step(X, Y)
    here = there.to(open_backend("numpy"))
    there.train_step(X, Y)
    here.train_step(X, Y)
    for name, value in here.get_weights().items():
        np.testing.assert_allclose(value, there.get_weights()[name], rtol=1e-9, atol=1e-9)


def test_float32_beside_float64(backend, backend32):
    wide, narrow = network(backend, seed=3), network(backend32, seed=3)
    for _ in range(2):
        wide.train_step(X, Y)
        narrow.train_step(X, Y)
    assert {value.dtype for value in wide.get_weights().values()} == {np.dtype("float64")}
    assert {value.dtype for value in narrow.get_weights().values()} == {np.dtype("float32")}
    np.testing.assert_allclose(narrow.get_weights()["3.weight"], wide.get_weights()["3.weight"], atol=1e-4)
