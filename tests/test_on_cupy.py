"""The CuPy backend's own code on a stand-in for CuPy: devices, contexts, and what is said where a GPU fails.

What CuPy itself does is for a machine with a GPU to show: ``pytest --backend cupy``.
"""

from __future__ import annotations

import itertools
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from emulated import stand_in
from emulated.stand_in import CUDARuntimeError, OutOfMemoryError, Place
from xpnet_backends.on_cupy import failures

import xpnet
from xpnet import BackendError, Dense, Network


@pytest.fixture
def cupy(monkeypatch: pytest.MonkeyPatch) -> Any:
    return stand_in.install(monkeypatch)


class LibraryError(RuntimeError):
    """Stands for what the finder of CUDA's libraries raises."""


LibraryError.__name__ = "DynamicLibNotFoundError"


def test_devices_go_by_number(cupy: Any) -> None:
    for device, number in ((None, 0), (1, 1), ("cuda:1", 1), (Place(1), 1)):
        assert xpnet.open_backend("cupy", device=device).device.id == number
    for device, said in ((2, "shows 2 GPU"), ("gpu", "takes a GPU's number"), (-1, "takes a GPU's number")):
        with pytest.raises(BackendError, match=said):
            xpnet.open_backend("cupy", device=device)
    found = xpnet.available_backends()["cupy"]
    assert found.version == "0 (CUDA 13000)"
    assert found.devices == ("0: stand-in, 1.0 GiB", "1: stand-in, 1.0 GiB")


def test_the_plain_backend_replaces_nothing(cupy: Any) -> None:
    assert xpnet.open_backend("cupy").nn == {}


def test_everything_happens_in_the_devices_context(cupy: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    backend = xpnet.open_backend("cupy", device=1)
    before = Place.entered
    backend.asarray(np.ones(3))
    backend.synchronize()
    backend.compile(lambda: None)()
    assert Place.entered == before + 3


def test_no_gpu_and_an_old_driver_are_said(cupy: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse() -> int:
        raise CUDARuntimeError("cudaErrorInsufficientDriver: CUDA driver version is insufficient")

    monkeypatch.setattr(cupy.cuda.runtime, "getDeviceCount", lambda: 0)
    with pytest.raises(BackendError, match="shows no GPU; use backend='numpy'"):
        xpnet.open_backend("cupy")
    monkeypatch.setattr(cupy.cuda.runtime, "getDeviceCount", refuse)
    with pytest.raises(BackendError, match=r"no GPU answers \(cudaErrorInsufficientDriver.*install a driver"):
        xpnet.open_backend("cupy")


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (OutOfMemoryError("Out of memory allocating 10 bytes"), "no memory left .*smaller batch_size"),
        (CUDARuntimeError("cudaErrorMemoryAllocation: out of memory"), "no memory left .*smaller batch_size"),
        (CUDARuntimeError("cudaErrorLaunchFailure: unspecified launch failure"), "the GPU failed .*checkpoint='run/'"),
        (CUDARuntimeError("cudaErrorECCUncorrectable: uncorrectable ECC error"), "the GPU failed .*nvidia-smi -q"),
        (CUDARuntimeError("cudaErrorNoKernelImageForDevice: no kernel image"), "not made for this GPU .*-ctk"),
        (LibraryError("Failure finding libcublas.so.13\nmore"), r"load one of CUDA's libraries .*so\.13\).*-ctk"),
        (ImportError("libcublas.so.12: cannot open shared object file"), "load one of CUDA's libraries"),
    ],
)
def test_failures_say_what_to_do(cupy: Any, error: Exception, said: str) -> None:
    def fail() -> None:
        raise error

    backend = xpnet.open_backend("cupy")
    with pytest.raises(BackendError, match=said) as raised:
        backend.compile(fail)()
    assert raised.value.__cause__ is error
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize(
    "error",
    [
        *(ValueError("shapes"), ImportError("No module named 'mine'"), KeyError("x")),
        CUDARuntimeError("cudaErrorInvalidConfiguration: invalid configuration argument"),
    ],
)
def test_other_errors_go_through(error: Exception) -> None:
    def fail() -> None:
        raise error

    with pytest.raises(type(error)) as raised:
        failures.explained(fail)()
    assert raised.value is error


def failing(monkeypatch: pytest.MonkeyPatch, error: Exception, calls: int, lost: bool = False) -> None:
    """Let the GPU fail at the last of so many calls; a lost one at all that follow, too."""
    numbers = itertools.count(1)

    def enter(place: Place) -> None:
        number = next(numbers)
        if number == calls or (lost and number > calls):
            raise error

    monkeypatch.setattr(Place, "__enter__", enter)


def network() -> Network:
    return Network([Dense(8), "relu", Dense(3)], optimizer=xpnet.Adam(0.05), backend="cupy", inputs=2, seed=0)


def test_a_network_trains_on_after_memory_was_short(cupy: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    x, y = xpnet.clouds(40, seed=0)
    net = network()
    with monkeypatch.context() as patch:
        failing(patch, OutOfMemoryError("Out of memory allocating 10 bytes"), 12)
        with pytest.raises(BackendError, match="smaller batch_size") as raised:
            net.fit(x, y, epochs=30, batch_size=120, verbose=0)
    (note,) = raised.value.__notes__
    assert re.fullmatch(rf"training stopped in epoch \d+ of \d+ after .* {net.steps} steps in all\.", note)
    assert net.steps > 0
    net.fit(x, y, epochs=20, batch_size=20, verbose=0)
    assert net.evaluate(x, y)["accuracy"] > 0.8


def test_a_lost_gpu_leaves_the_last_checkpoint(cupy: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    x, y = xpnet.clouds(40, seed=0)
    weights = {}

    class Recorder(xpnet.Callback):
        def on_epoch_end(self, epoch: int, logs: dict[str, float]) -> None:
            weights[epoch + 1] = net.get_weights()
            if epoch == 2:
                failing(monkeypatch, CUDARuntimeError("cudaErrorECCUncorrectable"), 9, lost=True)

        def on_train_interrupted(self, logs: dict[str, float]) -> None:
            weights["interrupted"] = logs

    net = network()
    with pytest.raises(BackendError, match=r"the GPU failed \(cudaErrorECCUncorrectable") as raised:
        net.fit(x, y, epochs=50, verbose=0, checkpoint=tmp_path, callbacks=[Recorder()])
    steps = net.steps
    for use in (lambda: net.predict(x), lambda: net.train_step(x, y), net.copy):
        with pytest.raises(BackendError, match="the GPU failed"):
            use()
    assert net.steps == steps
    newest = max(tmp_path.glob("*.safetensors"))
    (note,) = raised.value.__notes__
    assert f"The last checkpoint is {newest}; resume=True goes on from it" in note
    assert "loss" in weights["interrupted"]
    served = xpnet.load(newest, backend="numpy")
    assert served.epochs >= 3
    for name, value in served.get_weights().items():
        np.testing.assert_array_equal(value, weights[served.epochs][name])


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
