"""One flat vector and the named views into it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pytest

import xpnet
from xpnet import BackendError
from xpnet.initializers import Constant, Normal, Ones, Zeros
from xpnet.layers.base import Built
from xpnet.parameters import Layout, Param, flatten, unflatten

TREE = {
    "0": {"weight": Param((2, 3), Normal(1.0)), "bias": Param((3,), Zeros(), decay=False)},
    "2": {"0": {"gamma": Param((3,), Ones(), decay=False)}, "shortcut": {"weight": Param((3, 1), Constant(2.0))}},
}


@pytest.fixture
def layout():
    return Layout(TREE)


def test_slots_lie_one_after_the_other(layout):
    assert [(slot.name, slot.start, slot.stop, slot.shape) for slot in layout.slots] == [
        ("0.weight", 0, 6, (2, 3)),
        ("0.bias", 6, 9, (3,)),
        ("2.0.gamma", 9, 12, (3,)),
        ("2.shortcut.weight", 12, 15, (3, 1)),
    ]
    assert layout.size == 15


def test_pack_undoes_views(layout, backend):
    xp = backend.xp
    flat = backend.asarray(np.arange(15.0))

    def run(flat):
        views = layout.views(flat, xp)
        return views, layout.pack(views, xp)

    views, packed = backend.compile(run)(flat)
    assert np.array_equal(backend.to_numpy(packed), np.arange(15.0))
    assert np.array_equal(backend.to_numpy(views["0"]["weight"]), [[0, 1, 2], [3, 4, 5]])
    assert np.array_equal(backend.to_numpy(views["2"]["shortcut"]["weight"]), [[12], [13], [14]])


def test_pack_goes_by_name_and_not_by_order(layout, backend):
    xp = backend.xp
    place = lambda *values: backend.asarray(np.array(values))  # noqa: E731
    tree = {
        "2": {"shortcut": {"weight": place([12.0], [13.0], [14.0])}, "0": {"gamma": place(9.0, 10.0, 11.0)}},
        "0": {"bias": place(6.0, 7.0, 8.0), "weight": place([0.0, 1.0, 2.0], [3.0, 4.0, 5.0])},
    }
    packed = backend.compile(lambda tree: layout.pack(tree, xp))(tree)
    assert np.array_equal(backend.to_numpy(packed), np.arange(15.0))


def test_pack_is_a_new_vector(backend):
    """Even of one array: the optimizer may write into it."""
    layout = Layout({"0": {"bias": Param((3,), Zeros())}})

    def run(gradient):
        packed = layout.pack({"0": {"bias": gradient}}, backend.xp)
        packed *= 5.0
        return packed

    gradient = backend.asarray(np.ones(3))
    assert np.array_equal(backend.to_numpy(backend.compile(run)(gradient)), [5.0] * 3)
    assert np.array_equal(backend.to_numpy(gradient), np.ones(3))


def test_the_mask_marks_what_decays(layout, backend):
    mask = backend.compile(lambda: layout.decay_mask(backend.float, backend.xp))()
    assert np.array_equal(backend.to_numpy(mask), [1] * 6 + [0] * 6 + [1] * 3)


def test_first_values_come_from_streams_of_the_names(layout):
    flat = layout.initialize(3)
    assert flat.dtype == np.float64
    assert np.array_equal(flat[6:], [0] * 3 + [1] * 3 + [2] * 3)
    alone = Layout({"9": {"bias": Param((4,), Zeros())}, "0": {"weight": Param((2, 3), Normal(1.0))}}).initialize(3)
    assert np.array_equal(alone[4:], flat[:6])
    assert not np.array_equal(layout.initialize(4)[:6], flat[:6])


@pytest.mark.parametrize("units", [3_000_000, 10**12, 10**18])
def test_parameters_beyond_memory_are_refused_by_name(units):
    net = xpnet.Network([xpnet.Dense(4), xpnet.Dense(units), xpnet.Dense(units)])
    with pytest.raises(BackendError, match=r"no memory for [\d,]+ parameters of 8 bytes, .* are in 2\.weight \("):
        net.build(3)
    assert not net.built


def test_flatten_and_unflatten_undo_each_other():
    tree = {"0": {"weight": 1, "bias": 2}, "10": {"2": {"gamma": 3}}, "last": 4}
    assert dict(flatten(tree)) == {"0.weight": 1, "0.bias": 2, "10.2.gamma": 3, "last": 4}
    assert unflatten(dict(flatten(tree))) == tree


def test_an_open_initializer_is_closed_only_once():
    open_, closed = Param((1,), None), Param((1,), Zeros())
    assert open_.suited(Ones()).initializer == Ones()
    assert closed.suited(Ones()) is closed


def test_an_initializer_may_be_given_by_name():
    assert Param((3,), "zeros") == Param((3,), Zeros())
    net = xpnet.Network([Scale(), xpnet.Dense(2)], inputs=3)
    np.testing.assert_array_equal(net.get_weights()["0.scale"], np.ones(3))


@dataclass(frozen=True)
class Scale:
    def build(self, in_shape):
        return Built(in_shape, {"scale": Param(in_shape, "ones")})

    def forward(self, params, x, context):
        return x * params["scale"], x

    def backward(self, params, x, dy, context):
        return dy * params["scale"], {"scale": context.xp.sum(dy * x, axis=0)}


@pytest.mark.parametrize(
    ("shape", "initializer", "said"),
    [
        (3, Zeros(), r"Param\.shape must be a tuple of integers above 0, \(4,\) for 4 numbers; got 3"),
        ((3, None), Zeros(), r"Param\.shape must be a tuple .*; got \(3, None\)"),
        ((3,), "zero", "unknown initializer 'zero'; did you mean 'zeros'"),
        ((3,), Zeros, r"an initializer must be an object; got the class Zeros: write Zeros\(\)"),
        ((3,), 0.5, "an initializer must be a name or an object with __call__; got 0.5"),
    ],
)
def test_a_param_refuses_what_cannot_be_drawn(shape, initializer, said):
    with pytest.raises(xpnet.ConfigurationError, match=said):
        Param(shape, initializer)


def test_first_values_of_another_shape_are_refused_by_name():
    layout = Layout({"0": {"bias": Param((3,), lambda stream, shape: np.zeros(2))}})
    with pytest.raises(xpnet.ConfigurationError, match=r"the initializer of 0\.bias.* of shape \(3,\); got float64"):
        layout.initialize(0)
