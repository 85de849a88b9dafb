"""What is not recorded on NumPy, as it writes in place or its form hangs on numbers, and what still is."""

from dataclasses import dataclass

import numpy as np
import pytest
from xpnet_backends.on_numpy.compiling import Compiled

from xpnet import Dense, Network
from xpnet.layers.base import Built


@np.errstate(all="ignore")
def check_on_new_numbers(function, is_recorded=False):
    """Compare a compiled function of 6 numbers with the plain one, with other numbers in each call."""
    stream, compiled = np.random.default_rng(0), Compiled(function)
    for _ in range(6):
        x = stream.normal(size=6).astype(np.float32)
        found, expected = compiled(x), function(x.copy())
        assert (found.shape, found.dtype) == (expected.shape, expected.dtype)
        np.testing.assert_array_equal(found, expected)
    assert bool(compiled.unrecordable) is not is_recorded


def _fixed_nan(x):
    h = np.log(x)
    np.nan_to_num(h, copy=False, nan=0.0, neginf=0.0)
    return h * 2.0


def _clipped_in_place(x):
    h = x * 3.0
    np.clip(h, -1.0, 1.0, h)
    return h * 2.0


def _clipped_into_an_array_of_its_own(x):
    h = np.empty(x.shape, x.dtype)
    np.clip(x, -1.0, 1.0, h)
    return h * 2.0 + x


def _rounded_in_place(x):
    h = x * 3.0
    np.round(h, 0, h)
    return h * 2.0


def _added_up_in_place(x):
    h = x * 3.0
    np.cumsum(h, 0, None, h)
    return h * 2.0


def _median_in_place(x):
    h = x * 3.0
    return np.median(h, overwrite_input=True) + h


WRITING = [
    _fixed_nan,
    _clipped_in_place,
    _clipped_into_an_array_of_its_own,
    _rounded_in_place,
    _added_up_in_place,
    _median_in_place,
]


@pytest.mark.parametrize("function", WRITING, ids=lambda function: function.__name__)
def test_what_a_function_of_numpys_writes_in_place_is_written_at_each_call(function):
    check_on_new_numbers(function)


def _counts(x):
    return np.astype(np.floor(np.abs(x) * 3.0), np.int64)


@pytest.mark.parametrize(
    "function",
    [
        lambda x: np.mean(np.take(x * x, np.flatnonzero(x * x > 0.01))),
        lambda x: np.mean(np.compress(x > -1.0, x * 2.0)),
        lambda x: np.mean(np.extract(x > -1.0, x * 2.0)),
        lambda x: np.mean(np.delete(x * 2.0, np.flatnonzero(x > 1.0))),
        lambda x: np.mean(np.repeat(x, _counts(x))),
        lambda x: np.mean(np.repeat(x, repeats=_counts(x), axis=0)),
        lambda x: np.mean(np.astype(np.bincount(_counts(x)), x.dtype)),
        lambda x: x * np.unique_values(np.round(x)).shape[0],
        lambda x: x * np.sum(np.trim_zeros(np.maximum(x, 0.0))) / np.trim_zeros(np.maximum(x, 0.0)).size,
        lambda x: x * np.mean(np.full_like(x, 3.0, shape=(np.max(_counts(x)), 2)) + 1.0),
        lambda x: x * np.linspace(x, 2.0 * x, np.max(_counts(x)) + 2).shape[0],
        lambda x: x * np.rot90(np.reshape(x, (2, 3)), np.max(_counts(x))).shape[0],
        lambda x: np.real(np.emath.sqrt(np.sum(x))),
    ],
    ids="flatnonzero compress extract delete repeat named bincount unique trim full_like linspace rot90 sqrt".split(),
)
def test_a_shape_or_type_that_hangs_on_numbers_is_not_that_of_the_recording(function):
    check_on_new_numbers(function)


@pytest.mark.parametrize(
    "function",
    [
        lambda x: np.roll(x * 2.0, np.argmax(x)),
        lambda x: np.clip(x, min=np.mean(x), max=0.5),
        lambda x: np.take_along_axis(x * 2.0, np.argsort(x), axis=0),
        lambda x: np.repeat(np.sort(x), 2) + np.tile(x, 2),
        lambda x: np.linalg.norm(x * 2.0) + np.std(x, where=x > -1.0, keepdims=True),
        lambda x: np.fft.irfft(np.fft.rfft(x * 2.0) * 0.5),
        lambda x: np.sum(np.lib.stride_tricks.sliding_window_view(x * 2.0, 3), axis=1),
        lambda x: np.einsum("i,j->ij", x, np.delete(x, 0)),
    ],
    ids="roll clip take_along_axis repeat norm fft windows einsum".split(),
)
def test_functions_whose_shapes_hang_on_shapes_alone_are_recorded(function):
    check_on_new_numbers(function, is_recorded=True)


@dataclass(frozen=True)
class Centre:
    """Subtract the mean of the rows, each counted as often as it has positive features."""

    def build(self, shape):
        return Built(shape)

    def forward(self, params, x, context):
        xp = context.xp
        counts = xp.sum(xp.astype(x > 0, xp.int64), axis=1)
        return x - xp.mean(xp.repeat(x, counts, axis=0), axis=0), None

    def backward(self, params, kept, dy, context):
        return dy, {}


def test_a_layer_of_ones_own_may_repeat_rows_as_often_as_it_counts():
    network, stream = Network([Dense(3), Centre()], loss="mse", inputs=3), np.random.default_rng(0)
    network.set_weights({"0.weight": np.eye(3), "0.bias": np.zeros(3)})
    for _ in range(5):
        x = stream.normal(size=(5, 3)).astype(np.float32)
        mean = np.repeat(x, np.sum(x > 0, axis=1), axis=0).mean(axis=0)
        np.testing.assert_allclose(network.forward(x), x - mean, rtol=1e-5, atol=1e-6)
