"""The CuPy backend's own code: devices, what crosses the bus, and what is said where a GPU fails.

Most of it runs on CuPy itself with an emulated GPU (``nox -s emulated``); what a real one does, ``pytest --backend
cupy`` shows on a machine that has one.
"""

from __future__ import annotations

import gc
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from xpnet_backends.on_cupy import failures

import xpnet
from xpnet import BackendError, Dense, Network

LAUNCHES = 71
"""Of a small network's training step with Adam and cross-entropy, products not counted."""


def network(**options: Any) -> Network:
    layers = [Dense(8), "relu", Dense(3)]
    return Network(layers, optimizer=xpnet.Adam(0.05), backend="cupy", inputs=2, seed=0, **options)


# Devices


def test_devices_go_by_number(emulated: Any) -> None:
    import cupy

    for device, number in ((None, 0), (1, 1), ("cuda:1", 1), (cupy.cuda.Device(1), 1)):
        assert xpnet.open_backend("cupy", device=device).device.id == number
    for device, said in ((2, "shows 2 GPU"), ("gpu", "takes a GPU's number"), (-1, "takes a GPU's number")):
        with pytest.raises(BackendError, match=said):
            xpnet.open_backend("cupy", device=device)
    found = xpnet.available_backends()["cupy"]
    assert found.version == f"{cupy.__version__} (CUDA 13000)"
    assert found.devices == ("0: emulated, 2.0 GiB", "1: emulated, 2.0 GiB")


def test_the_plain_backend_replaces_nothing(emulated: Any) -> None:
    assert xpnet.open_backend("cupy").nn == {}


def test_a_network_is_on_the_gpu_that_was_chosen_and_on_no_other(emulated: Any) -> None:
    import cupy

    x, y = xpnet.clouds(40, seed=0)
    pool = cupy.get_default_memory_pool()
    before = pool.used_bytes(), emulated.bytes_used(0)
    net = network(device=1)
    net.fit(x, y, epochs=2, verbose=0, validation_split=0.2)
    with cupy.cuda.Device(1):
        assert pool.used_bytes() > 0
    assert net.predict(x).device.id == 1
    assert cupy.cuda.Device().id == 0
    assert (pool.used_bytes(), emulated.bytes_used(0)) == before
    moved = net.to("cupy", device=0)
    np.testing.assert_array_equal(moved.predict(x).get(), net.predict(x).get())
    elsewhere = cupy.asarray(x)  # on GPU 0
    np.testing.assert_array_equal(net.predict(elsewhere).get(), net.predict(x).get())


def test_streams_and_other_work_are_left_as_they_were(emulated: Any) -> None:
    import cupy

    x, y = xpnet.clouds(40, seed=0)
    mine = cupy.arange(1000.0)
    for device in (0, 1):
        with cupy.cuda.Device(device), cupy.cuda.Stream(non_blocking=True) as stream:
            network().fit(x, y, epochs=2, verbose=0)
            assert cupy.cuda.get_current_stream() == stream
            assert cupy.cuda.Device().id == device
    assert cupy.cuda.get_current_stream() == cupy.cuda.Stream.null
    np.testing.assert_array_equal(mine.get(), np.arange(1000.0))


def test_memory_is_given_back(emulated: Any) -> None:
    import cupy

    x, y = xpnet.clouds(40, seed=0)
    pool = cupy.get_default_memory_pool()
    used = []
    for _ in range(3):
        net = network()
        net.fit(x, y, epochs=3, verbose=0)
        net.predict(x)
        del net
        gc.collect()
        used.append(pool.used_bytes())
    assert used[1] == used[2]


def test_arrays_of_other_libraries_on_the_host_are_read(emulated: Any) -> None:
    class Elsewhere:
        """An array of a library that only speaks DLPack."""

        def __init__(self, values: np.ndarray) -> None:
            self.values = values

        def __dlpack__(self, **options: Any) -> Any:
            return self.values.__dlpack__(**options)

        def __dlpack_device__(self) -> tuple[int, int]:
            return self.values.__dlpack_device__()

    values = np.linspace(0, 1, 6).reshape(3, 2)
    found = xpnet.open_backend("cupy", dtype="float64").asarray(Elsewhere(values))
    np.testing.assert_array_equal(found.get(), values)


# What crosses the bus


def test_an_epoch_is_sent_once_and_nothing_comes_back_before_its_end(emulated: Any) -> None:
    x, y = xpnet.clouds(400, seed=0)
    net = network(check_finite=False)  # else looked at by the clock
    net.fit(x, y, batch_size=8, verbose=0)  # compiles kernels
    found = {}
    for size in (8, 120):
        before = emulated.counts()
        net.fit(x, y, epochs=3, batch_size=size, verbose=0)
        found[size] = emulated.counts() - before
    few, many = found[120], found[8]
    assert many.launches > 10 * few.launches
    assert many.waits == few.waits
    assert many.fetched == few.fetched
    assert many.copied == few.copied


def test_a_step_of_a_small_network_is_at_most_so_many_launches(emulated: Any) -> None:
    x, y = xpnet.clouds(400, seed=0)
    net = network(check_finite=False)
    net.fit(x, y, batch_size=10, verbose=0)
    found = []
    for size in (10, 20):
        before = emulated.counts()
        net.fit(x, y, batch_size=size, verbose=0)
        found.append(emulated.counts() - before)
    more, steps = found[0] - found[1], len(x) // 10 - len(x) // 20
    assert more.launches <= LAUNCHES * steps
    assert more.products == 5 * steps


# Failures


def test_without_a_gpu_it_says_so(emulated: Any) -> None:
    code = "import xpnet; xpnet.open_backend('cupy')"
    run = subprocess.run(
        [sys.executable, "-c", code], env=os.environ | {"EMULATED_GPUS": "0"}, capture_output=True, text=True
    )
    assert "backend 'cupy' is installed but no GPU answers (cudaErrorNoDevice" in run.stderr
    assert "install a driver at least as new as CUDA" in run.stderr


def named(name: str, message: str, kind: type[Exception] = RuntimeError) -> Exception:
    """Return an exception whose class has the name of one of CuPy's, which no library can be made to raise here."""
    return type(name, (kind,), {})(message)


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (named("OutOfMemoryError", "Out of memory allocating 10 bytes"), "no memory left .*smaller batch_size"),
        (named("CUDARuntimeError", "cudaErrorMemoryAllocation: out of memory"), "no memory left .*smaller batch_size"),
        (named("CUDARuntimeError", "cudaErrorLaunchFailure: unspecified"), "the GPU failed .*checkpoint='run/'"),
        (named("CUDADriverError", "CUDA_ERROR_ECC_UNCORRECTABLE: ECC error"), "the GPU failed .*nvidia-smi -q"),
        (named("CUBLASError", "CUBLAS_STATUS_EXECUTION_FAILED"), "the GPU failed .*nvidia-smi -q"),
        (named("CUDARuntimeError", "cudaErrorNoKernelImageForDevice: none"), "not made for this GPU .*-ctk"),
        (named("DynamicLibNotFoundError", "Failure finding libcublas.so.13\nmore"), r"load one of .*so\.13\).*-ctk"),
        (ImportError("libcublas.so.12: cannot open shared object file"), "load one of CUDA's libraries"),
    ],
)
def test_failures_say_what_to_do(error: Exception, said: str) -> None:
    def fail() -> None:
        raise error

    with pytest.raises(BackendError, match=said) as raised:
        failures.explained(fail)()
    assert raised.value.__cause__ is error
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize(
    "error",
    [
        *(ValueError("shapes"), ImportError("No module named 'mine'"), KeyError("x")),
        named("CUDARuntimeError", "cudaErrorInvalidConfiguration: invalid configuration argument"),
    ],
)
def test_other_errors_go_through(error: Exception) -> None:
    def fail() -> None:
        raise error

    with pytest.raises(type(error)) as raised:
        failures.explained(fail)()
    assert raised.value is error


def test_a_network_trains_on_after_memory_was_short(emulated: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    import cupy

    x, y = xpnet.clouds(40, seed=0)
    net = network()
    net.fit(x, y, epochs=10, batch_size=20, verbose=0)
    large = np.repeat(x, 2_000, axis=0)
    cupy.get_default_memory_pool().free_all_blocks()
    steps, weights = net.steps, net.get_weights()
    with monkeypatch.context() as patch:
        patch.setenv("EMULATED_GPU_BYTES", str(emulated.bytes_used(0) + large.nbytes))
        with pytest.raises(BackendError, match=r"no memory left \(Out of memory allocating .*smaller batch_size"):
            net.predict(large)
        with pytest.raises(BackendError, match="smaller batch_size"):
            net.fit(large, np.repeat(y, 2_000), epochs=30, batch_size=len(large), verbose=0)
    assert net.steps == steps
    for name, value in net.get_weights().items():
        np.testing.assert_array_equal(value, weights[name])
    net.fit(x, y, epochs=20, batch_size=20, verbose=0)
    assert net.evaluate(x, y)["accuracy"] > 0.8


def test_a_lost_gpu_leaves_the_last_checkpoint(emulated: Any, tmp_path: Path) -> None:
    x, y = xpnet.clouds(40, seed=0)
    weights = {}

    class Recorder(xpnet.Callback):
        def on_epoch_end(self, epoch: int, logs: dict[str, float]) -> None:
            weights[epoch + 1] = net.get_weights()
            if epoch == 2:
                lost.__enter__()

        def on_train_interrupted(self, logs: dict[str, float]) -> None:
            weights["interrupted"] = logs

    net = network()
    lost = emulated.failing(emulated.ECC_UNCORRECTABLE, calls=200, for_good=True)
    try:
        with pytest.raises(BackendError, match=r"the GPU failed \(.*ECC.*") as raised:
            net.fit(x, y, epochs=50, verbose=0, checkpoint=tmp_path, callbacks=[Recorder()])
        steps = net.steps
        for use in (lambda: net.predict(x), lambda: net.train_step(x, y), net.copy):
            with pytest.raises(BackendError, match="the GPU failed"):
                use()
        assert net.steps == steps
        newest = max(tmp_path.glob("*.safetensors"))
        (note,) = raised.value.__notes__
        assert re.fullmatch(r"training stopped in epoch \d+ of 50 after .* steps in all\. .*", note)
        assert f"The last checkpoint is {newest}; resume=True goes on from it" in note
        assert "loss" in weights["interrupted"]
        served = xpnet.load(newest, backend="numpy")
    finally:
        lost.__exit__(None, None, None)
    assert served.epochs >= 3
    for name, value in served.get_weights().items():
        np.testing.assert_array_equal(value, weights[served.epochs][name])


def test_a_trained_network_is_read_where_cupy_never_was(emulated: Any, tmp_path: Path) -> None:
    x, y = xpnet.clouds(40, seed=0)
    net = network()
    net.fit(x, y, epochs=2, verbose=0)
    net.save(tmp_path / "net.safetensors")
    np.save(tmp_path / "x.npy", x)
    code = (
        "import sys; sys.modules['cupy'] = None\n"
        "import numpy as np, xpnet\n"
        "np.save('y.npy', xpnet.load('net.safetensors', backend='numpy').predict(np.load('x.npy')))"
    )
    subprocess.run([sys.executable, "-c", code], cwd=tmp_path, check=True)
    np.testing.assert_allclose(np.load(tmp_path / "y.npy"), net.predict(x).get(), rtol=1e-5, atol=1e-6)


def test_cupy_itself_says_what_is_missing() -> None:
    cupy = pytest.importorskip("cupy")
    try:
        cupy.cuda.runtime.getDeviceCount()
    except cupy.cuda.runtime.CUDARuntimeError as error:
        failure = error
    else:
        pytest.skip("there is a GPU: nothing is missing")
    with pytest.raises(BackendError, match=r"no GPU answers \(cudaError.*nvidia-smi"):
        xpnet.open_backend("cupy")
    found = xpnet.available_backends()["cupy"]
    assert not found.available
    assert "no GPU answers" in found.problem
    assert ("not made for this GPU" in str(failures.explain(failure))) == ("InsufficientDriver" in str(failure))
    full = cupy.cuda.memory.OutOfMemoryError(10, 20, 30)
    assert "smaller batch_size" in str(failures.explain(full))
    with pytest.raises(ImportError) as raised:
        from cupy_backends.cuda.libs import cublas  # noqa: F401 (cupy-cuda13x without -ctk brings no library of CUDA)
    assert "cuda13x-ctk" in str(failures.explain(raised.value))
