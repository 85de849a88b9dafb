"""The kernels of the CuPy backend: they compile for GPUs, and their arithmetic is the reference's.

They run where CuPy finds a GPU. On an emulated one (``nox -s emulated``) the threads of a block take turns, in both
orders: that shows what the kernels compute, and neither speed nor, but for missing barriers, races.
"""

from __future__ import annotations

import inspect
import math
import sys
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np
import pytest
from xpnet_backends import on_cupy
from xpnet_backends.on_cupy import fused
from xpnet_backends.on_cupy.sources import FUNCTIONS, OPTIONS, REAL, source

import xpnet
from xpnet import Adam, AdamW, Backend, Dense, Dropout, Network, ReLU, Sigmoid, Tanh, nn
from xpnet.backend import bind
from xpnet.layers import Identity
from xpnet.layers.base import Context
from xpnet.random import key_words, make_key

PLAIN = xpnet.open_backend("numpy").xp
"""The reference, xpnet.nn on NumPy."""

ROUNDING = {"float32": 2.0**-24, "float64": 2.0**-53}
"""Half the distance from 1 to the next number."""

TINY = np.finfo("float32").tiny
"""Below this CuPy takes numbers of float32 for 0: it asks NVIDIA's compiler for that (-ftz=true)."""

EXTREMES = [0.0, -0.0, 1e-45, 1e-30, -1e-8, 1.0, 1e19, -1e30, math.inf, -math.inf, math.nan]


class Device(NamedTuple):
    """Where the kernels run, and the way there and back."""

    put: Callable[[Any], Any]
    get: Callable[[Any], Any]


@pytest.fixture(params=["in order", "backward"])
def device(request: pytest.FixtureRequest) -> Iterator[Device]:
    pytest.importorskip("cupy", reason="CuPy is not installed")
    try:
        opened = xpnet.open_backend("cupy")
    except xpnet.BackendError as error:
        pytest.skip(str(error))
    backward = request.param == "backward"
    with request.getfixturevalue("emulated").backward() if backward else nullcontext():
        yield Device(opened.asarray, opened.to_numpy)


def open_with_kernels(dtype: str) -> Backend:
    return bind(replace(on_cupy.open(None, dtype), nn=fused.NN))


def numbers(seed: int, *shape: int, dtype: str = "float32", scale: float = 1.0) -> Any:
    return (scale * np.random.default_rng(seed).standard_normal(shape)).astype(dtype)


# Adam


@pytest.mark.parametrize("dtype", REAL)
@pytest.mark.parametrize("betas", [(0.9, 0.999), (0.0, 0.99), (0.5, 0.0)])
@pytest.mark.parametrize("size", [1, 256, 2_051])
def test_adam_is_the_reference_to_the_last_bits(
    device: Device, size: int, betas: tuple[float, float], dtype: str
) -> None:
    params, m, v = (numbers(seed, size, dtype=dtype) for seed in (0, 1, 2))
    v = np.abs(v)
    own = [device.put(array) for array in (params, m, v)]
    for step in range(1, 5):
        gradient = numbers(step, size, dtype=dtype)
        rate, count = np.asarray(1e-2, dtype), np.asarray(float(step), dtype)
        before = params.copy()
        params, m, v = nn.adam(PLAIN, gradient, params, m, v, rate, count, *betas, 1e-8)
        given = [device.put(array) for array in (gradient, *own, rate, count)]
        own = list(fused.adam(None, *given, *betas, 1e-8))
        found = [device.get(array) for array in own]
        np.testing.assert_array_equal(found[1], m)
        np.testing.assert_array_equal(found[2], v)
        # expm1 and sqrt of a library each, in the two numbers that all elements share.
        bound = 8 * ROUNDING[dtype] * np.abs(params - before) + 2 * ROUNDING[dtype] * np.abs(params)
        assert np.all(np.abs(found[0] - params) <= bound)
        own[0] = device.put(params)


@pytest.mark.parametrize("step", [1, 1_000_000])
def test_adam_meets_extremes_as_the_reference_does(device: Device, step: int) -> None:
    grid = np.array(np.meshgrid(EXTREMES, EXTREMES, EXTREMES), dtype=np.float32).reshape(3, -1)
    gradient, params, m = grid
    v = np.abs(gradient[::-1]).copy()
    rate, count = np.asarray(1e-3, np.float32), np.asarray(float(step), np.float32)
    given = [device.put(array) for array in (gradient, params, m, v, rate, count)]
    found = [device.get(array) for array in fused.adam(None, *given, 0.9, 0.999, 1e-8)]
    with np.errstate(all="ignore"):
        expected = nn.adam(PLAIN, gradient, params.copy(), m.copy(), v, rate, count, 0.9, 0.999, 1e-8)
    for one, other in zip(found, expected, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-6, atol=TINY)


def test_adamw_shrinks_weights_alone_before_the_step(device: Device) -> None:
    size, rule = 700, AdamW(1e-2, weight_decay=0.3)
    params, m, v, gradient = (np.abs(numbers(seed, size)) for seed in range(4))
    mask = (np.arange(size) % 3 > 0).astype(np.float32)
    rate, count = np.asarray(1e-2, np.float32), np.asarray(3.0, np.float32)
    given = [device.put(array) for array in (gradient, params, m, v, mask, rate, count)]
    found = [device.get(array) for array in fused.adamw(*given, 0.3, rule.beta1, rule.beta2, rule.epsilon)]
    now = xpnet.optimizers.Now(rate, count, None, PLAIN)
    _, params, state = rule.update(gradient, params, {"m": m, "v": v, "mask": mask}, now)
    for one, other in zip(found, (params, state["m"], state["v"]), strict=True):
        np.testing.assert_allclose(one, other, rtol=4e-7)


def test_what_a_kernel_would_misread_is_refused(device: Device) -> None:
    plain, wide, strided = (
        device.put(array) for array in (numbers(0, 6), numbers(0, 6, dtype="float64"), numbers(0, 6))
    )
    with pytest.raises(TypeError, match="adam takes arrays of one dtype in C order; got float32, float64"):
        fused.adam(None, wide, plain, plain, plain, 0.1, 1.0, 0.9, 0.999, 1e-8)
    with pytest.raises(TypeError, match=r"bias_activation .*float32 in strides"):
        fused.bias_activation(device.put(numbers(0, 2, 3)), strided[::2], "relu")


def test_adam_takes_rate_and_step_in_any_type(device: Device) -> None:
    arrays = [device.put(np.ones(5, np.float32)) for _ in range(4)]
    wide = [device.put(np.asarray(number, np.float64)) for number in (0.5, 1.0)]
    params, _, _ = fused.adam(None, *arrays, *wide, 0.0, 0.0, 0.0)
    np.testing.assert_allclose(device.get(params), 0.5)


# Softmax and cross-entropy


@pytest.mark.parametrize("dtype", REAL)
@pytest.mark.parametrize("scale", [1.0, 100.0])
@pytest.mark.parametrize(("rows", "classes"), [(1, 2), (9, 10), (40, 31), (8, 32), (17, 33), (3, 1000)])
def test_cross_entropy_is_right_to_a_few_roundings(
    device: Device, rows: int, classes: int, scale: float, dtype: str
) -> None:
    logits = numbers(0, rows, classes, dtype=dtype, scale=scale)
    targets = np.abs(numbers(1, rows, classes, dtype=dtype))
    targets /= targets.sum(axis=1, keepdims=True)
    targets[::2] = np.eye(classes, dtype=dtype)[np.arange(0, rows, 2) % classes]
    found = fused.softmax_cross_entropy(None, device.put(logits), device.put(targets))
    losses, slopes = (device.get(array) for array in found)
    exact = nn.softmax_cross_entropy(PLAIN, logits.astype(np.longdouble), targets.astype(np.longdouble))
    depth = np.ptp(logits, axis=1) + math.log(classes)  # of a term of the loss, and how often its sum is rounded
    rounding = ROUNDING[dtype] * (8 + math.log2(classes) + classes / 32)
    assert np.all(np.abs(losses - exact[0]) <= rounding * (1 + depth))
    probabilities = exact[1] + targets
    bound = rounding * (1 + depth[:, None]) * (probabilities + targets) + np.finfo(dtype).tiny
    assert np.all(np.abs(slopes - exact[1]) <= bound)
    assert losses.dtype == slopes.dtype == dtype


def test_cross_entropy_meets_extremes_as_the_reference_does(device: Device) -> None:
    logits = np.array(np.meshgrid(*[[*EXTREMES, 3e38]] * 3), dtype=np.float32).reshape(3, -1).T.copy()
    targets = np.eye(3, dtype=np.float32)[np.arange(len(logits)) % 3]
    found = fused.softmax_cross_entropy(None, device.put(logits), device.put(targets))
    with np.errstate(all="ignore"):
        expected = nn.softmax_cross_entropy(PLAIN, logits, targets)
    for one, other in zip(found, expected, strict=True):
        np.testing.assert_allclose(device.get(one), other, rtol=1e-6, atol=1e-7)


# Bias, activation, and their way back


@pytest.mark.parametrize("dtype", REAL)
@pytest.mark.parametrize("layer", [Identity(), ReLU(), Sigmoid(), Tanh()], ids=lambda layer: type(layer).__name__)
@pytest.mark.parametrize(("rows", "units"), [(1, 1), (8, 32), (9, 33), (1_100, 70)])
def test_bias_and_activation_are_the_layers(device: Device, rows: int, units: int, layer: Any, dtype: str) -> None:
    name, context = type(layer).__name__.lower(), Context(PLAIN)
    product, bias, dy = (
        numbers(0, rows, units, dtype=dtype, scale=3.0),
        numbers(1, units, dtype=dtype),
        numbers(2, rows, units, dtype=dtype),
    )
    y, _ = layer.forward({}, product + bias, context)
    dx, _ = layer.backward({}, y, dy, context)
    found = device.get(fused.bias_activation(device.put(product), device.put(bias), name))
    np.testing.assert_allclose(found, y, rtol=8 * ROUNDING[dtype], atol=0)
    found_dx, found_dbias = fused.bias_activation_backward(device.put(y), device.put(dy), name)
    np.testing.assert_allclose(device.get(found_dx), dx, rtol=4 * ROUNDING[dtype], atol=ROUNDING[dtype])
    exact = np.sum(dx, axis=0, dtype=np.longdouble)
    bound = ROUNDING[dtype] * np.sum(np.abs(dx), axis=0) * (8 + rows / 32)
    assert np.all(np.abs(device.get(found_dbias) - exact) <= bound)


def test_activations_meet_extremes_as_the_layers_do(device: Device) -> None:
    x = np.array([EXTREMES], dtype=np.float32)
    for layer in (ReLU(), Sigmoid(), Tanh()):
        with np.errstate(all="ignore"):
            y, _ = layer.forward({}, x, Context(PLAIN))
        zeros = device.put(np.zeros(len(EXTREMES), np.float32))
        found = fused.bias_activation(device.put(x), zeros, type(layer).__name__.lower())
        np.testing.assert_allclose(device.get(found), y, rtol=1e-6, atol=TINY)


# Dropout


@pytest.mark.parametrize("dtype", REAL)
@pytest.mark.parametrize(("shape", "rate"), [((1,), 0.5), ((7, 3), 0.2), ((128, 512), 0.999), ((1_048_579,), 1 / 3)])
def test_dropout_masks_are_the_references_bits(device: Device, shape: tuple[int, ...], rate: float, dtype: str) -> None:
    words = PLAIN.nn.words(key_words(5))
    key = make_key(words, np.asarray(9, np.int32), PLAIN)
    expected = nn.dropout_mask(PLAIN, key, shape, rate, np.dtype(dtype))
    own = type(key)(*(device.put(word) for word in key))
    np.testing.assert_array_equal(device.get(fused.dropout_mask(None, own, shape, rate, np.dtype(dtype))), expected)


# Together


@pytest.mark.parametrize("optimizer", [Adam(1e-2), AdamW(1e-2)], ids=lambda rule: type(rule).__name__)
@pytest.mark.parametrize("dtype", REAL)
def test_a_network_trains_on_the_kernels_as_on_numpy(device: Device, dtype: str, optimizer: Any) -> None:
    x, y = xpnet.clouds(60, seed=0)
    kernels, plain = (
        Network(
            [Dense(33), "relu", Dropout(0.3), Dense(7, bias=False), "tanh", Dense(3)],
            optimizer=optimizer,
            backend=backend,
            inputs=2,
            seed=1,
        )
        for backend in (open_with_kernels(dtype), xpnet.open_backend("numpy", dtype=dtype))
    )
    bound = {"float32": 2e-3, "float64": 1e-11}[dtype]  # where a gradient is near 0, Adam makes much of a rounding
    losses = [net.fit(x, y, epochs=3, batch_size=16, verbose=0)["loss"] for net in (kernels, plain)]
    np.testing.assert_allclose(*losses, rtol=bound)
    weights = [net.get_weights() for net in (kernels, plain)]
    for name in weights[0]:
        np.testing.assert_allclose(weights[0][name], weights[1][name], rtol=bound, atol=bound)


def test_every_replacement_has_the_references_signature() -> None:
    for name, function in fused.NN.items():
        assert list(inspect.signature(function).parameters) == list(inspect.signature(getattr(nn, name)).parameters)


def test_turns_in_both_orders_show_a_missing_barrier(emulated: Any) -> None:
    import cupy

    whole = source("bias_activation", "float32")
    assert whole.count("__syncthreads();") == 1
    table = cupy.asarray(numbers(0, 16, 32))
    expected = table.get().sum(axis=0)

    def right(code: str, backward: bool) -> bool:
        found = cupy.zeros((1, 32), np.float32)
        kernel = cupy.RawModule(code=code, options=OPTIONS).get_function("bias_activation_backward")
        with emulated.backward() if backward else nullcontext():
            kernel((1, 1), (32, 8), (table, table, np.int64(0), found, np.int64(16), np.int32(32), np.int32(0)))
        return bool(np.allclose(found.get()[0], expected, rtol=1e-5))

    assert right(whole, False)
    assert right(whole, True)
    assert not all(right(whole.replace("__syncthreads();", ""), backward) for backward in (False, True))


# For a GPU


def need_nvrtc() -> None:
    if "emulated_gpu" in sys.modules:
        pytest.skip("the compiler of an emulated GPU is not NVIDIA's")
    nvrtc = pytest.importorskip("cuda.bindings.nvrtc", reason="NVRTC's bindings are not installed: nox -s nvrtc")
    try:
        nvrtc.nvrtcVersion()
    except RuntimeError as error:
        pytest.skip(f"NVRTC itself is not installed: {error}")


@pytest.mark.parametrize("dtype", REAL)
@pytest.mark.parametrize("file", FUNCTIONS)
def test_kernels_compile_without_a_word_and_spill_nothing(file: str, dtype: str) -> None:
    need_nvrtc()
    from compiled_kernels import ARCHITECTURES, compile_kernels

    for architecture in ARCHITECTURES:
        for name, kernel in compile_kernels(file, dtype, architecture).items():
            assert kernel.spilled == 0, (name, architecture)
            # At most 64 of 65,536 registers let a multiprocessor hold 1,024 threads, which hide each other's waits.
            assert kernel.registers <= 64, (name, architecture)


def test_float32_kernels_do_nothing_in_float64() -> None:
    need_nvrtc()
    from compiled_kernels import assembly

    for file in FUNCTIONS:
        assert ".f64" not in assembly(file, "float32", "sm_90")
        assert ".f64" in assembly(file, "float64", "sm_90")
