"""The door: opening, refusing, listing."""

from __future__ import annotations

import copy
import pickle
import re
import subprocess
import sys
from importlib.metadata import EntryPoint
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import xpnet
from xpnet import BackendError, ConfigurationError
from xpnet.backend import CREATION, STANDARD, Backend, Namespace

LIBRARIES = {"numpy": "numpy", "torch": "torch", "jax": "jax", "array-api-strict": "array_api_strict"}


# Opening


def test_an_open_backend_is_a_record(backend: Backend, backend32: Backend) -> None:
    assert backend.dtype == "float64"
    assert backend32.dtype == "float32"
    assert backend.float is not backend32.float
    assert xpnet.open_backend(backend) is backend
    assert repr(backend) == f"Backend({backend.name!r}, device={str(backend.device)!r}, dtype='float64')"
    with pytest.raises(AttributeError):
        backend.dtype = "float32"  # type: ignore[misc]


def test_values_go_in_and_come_out(backend: Backend) -> None:
    values = np.arange(6.0).reshape(2, 3)
    for given in (values, values.astype(np.float32), np.asfortranarray(values), values[::-1][::-1]):
        inside = backend.asarray(given, dtype=backend.float)
        assert inside.dtype == backend.float
        assert str(inside.device) == str(backend.device)
        np.testing.assert_array_equal(backend.to_numpy(inside), values)
    backend.synchronize()


def test_the_namespace_is_the_standard_on_the_device(backend: Backend) -> None:
    xp = backend.xp
    for name in CREATION:
        assert callable(getattr(xp, name))
    for made in (xp.zeros((2,)), xp.ones((2,)), xp.arange(3), xp.full((2,), 1.0), xp.asarray([1.0]), xp.eye(2)):
        assert str(made.device) == str(backend.device)
    for name in ("matmul", "where", "sum", "isdtype", "float32", "float64", "int32"):
        assert name in STANDARD
        assert hasattr(xp, name)
    with pytest.raises(AttributeError, match=f"the Array API namespace of {backend.name} has no 'softmax'"):
        xp.softmax  # noqa: B018
    with pytest.raises(AttributeError, match=f"namespace of {backend.name}.nn has no 'softmx'"):
        xp.nn.softmx  # noqa: B018
    assert backend.name in repr(xp)


@pytest.mark.parametrize("dtype", ["float64", np.float64, np.dtype("float64")])
def test_a_dtype_in_any_spelling(dtype: Any, backend: Backend) -> None:
    assert xpnet.open_backend(backend.name, dtype=dtype).dtype == "float64"
    assert xpnet.open_backend(backend.name, dtype=backend.float).dtype == "float64"


@pytest.mark.parametrize(
    ("dtype", "remedy"),
    [
        ("float16", "Leave dtype out"),
        ("bfloat16", "precision='bfloat16'"),
        (np.float16, "computed in float32"),
        ("half", "Leave dtype out"),
        ("double", "did you mean 'float64'"),
        (float, "did you mean 'float64'"),
        ("single", "did you mean 'float32'"),
        ("int32", "weights and gradients"),
        ("", "weights and gradients"),
        (int, "weights and gradients"),
        (64, "weights and gradients"),
    ],
)
def test_another_dtype_is_refused(dtype: Any, remedy: str, backend: Backend) -> None:
    with pytest.raises(ConfigurationError, match="dtype must be one of float32, float64; got") as caught:
        xpnet.open_backend(backend.name, dtype=dtype)
    assert remedy in str(caught.value)


def test_data_in_half_precision_are_taken_as_the_error_says(backend32: Backend) -> None:
    x = np.linspace(0, 1, 12, dtype=np.float16).reshape(6, 2)
    net = xpnet.Network([xpnet.Dense(3)], backend=backend32)
    net.fit(x, [0, 1, 2] * 2, verbose=0)
    assert backend32.to_numpy(net.predict(x)).dtype == np.float32


@pytest.mark.parametrize(
    ("name", "near"),
    [
        ("numpi", "numpy"),
        ("pytorch", "torch"),
        ("Jax", "jax"),
        ("array_api_strict", "array-api-strict"),
        ("cuppy", "cupy"),
    ],
)
def test_an_unknown_name_gets_a_suggestion(name: str, near: str) -> None:
    with pytest.raises(BackendError) as caught:
        xpnet.open_backend(name)
    message = str(caught.value)
    assert message.startswith(f"unknown backend {name!r}; did you mean {near!r}?")
    assert "Known: " in message
    assert "auto" in message


@pytest.mark.parametrize("device", ["nowhere", 99, "gpu:99", "cuda:99"])
def test_a_device_that_is_not_there(device: Any, backend: Backend) -> None:
    with pytest.raises(BackendError) as caught:
        xpnet.open_backend(backend.name, device=device)
    message = str(caught.value)
    assert repr(backend.name) in message
    assert repr(device) in message
    assert ("gpu" if backend.name == "cupy" else "cpu") in message.lower()  # what was found


def test_the_default_device_can_be_named(backend: Backend) -> None:
    named = {"jax": "cpu", "array-api-strict": "device1", "cupy": "cuda:0"}
    device = named.get(backend.name, str(backend.device))
    assert str(xpnet.open_backend(backend.name, device=device).device) == str(backend.device)


@pytest.mark.parametrize("name", ["torch", "jax", "array-api-strict"])
def test_a_missing_library_is_named_with_the_command(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, LIBRARIES[name], None)  # import then raises, as for what is not installed
    with pytest.raises(BackendError) as caught:
        xpnet.open_backend(name)
    message = str(caught.value)
    extra = "strict" if name == "array-api-strict" else name
    assert repr(name) in message
    assert LIBRARIES[name] in message
    assert f"pip install 'xpnet[{extra}]'" in message
    info = xpnet.available_backends()[name]
    assert not info.available
    assert f"pip install 'xpnet[{extra}]'" in info.problem


LIBRARY = """
def raise_it():
    raise {error}

raise_it()
"""


@pytest.mark.parametrize(
    "error",
    [
        "OSError('libcudart.so.13: cannot open shared object file')",
        "RuntimeError('built for NumPy 1')",
        "KeyError('HOME')",
    ],
)
def test_a_library_that_breaks_while_it_is_imported(
    error: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "array_api_compat").mkdir()
    (tmp_path / "array_api_compat" / "__init__.py").write_text(LIBRARY.format(error=error))
    for name in [name for name in sys.modules if name.partition(".")[0] == "array_api_compat"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.syspath_prepend(tmp_path)
    kind, _, reason = error.rstrip("')").partition("('")
    fault = rf"backend 'cupy' cannot be opened \({kind}: .*{re.escape(reason)}.*\); run: pip install 'xpnet"
    with pytest.raises(BackendError, match=fault):
        xpnet.open_backend("cupy")
    assert xpnet.open_backend("auto").name == "numpy"
    assert "cannot be opened" in capsys.readouterr().err


def test_a_backends_module_that_breaks_while_it_is_imported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "breaking.py").write_text(LIBRARY.format(error="OSError('no such library')"))
    monkeypatch.syspath_prepend(tmp_path)
    entries(monkeypatch, ("breaking", "breaking"), ("numpy", "xpnet_backends.on_numpy"))
    with pytest.raises(BackendError, match=r"'breaking' \(breaking\) cannot be imported: OSError: no such library"):
        xpnet.open_backend("breaking")
    found = xpnet.available_backends()
    assert "OSError: no such library" in found["breaking"].problem
    assert found["numpy"].available


def test_an_open_backend_takes_no_other_device_or_dtype(backend: Backend) -> None:
    assert xpnet.open_backend(backend, device=str(backend.device), dtype=np.float64) is backend
    net = xpnet.Network([xpnet.Dense(2)], backend=backend, device=backend.device, dtype="float64", inputs=3)
    assert net.backend is backend
    for wrong in ({"dtype": "float32"}, {"device": "elsewhere"}):
        ((argument, value),) = wrong.items()
        message = re.escape(f"{argument}={value!r} is given beside Backend({backend.name!r}")
        with pytest.raises(ConfigurationError, match=f"{message}.*leave it out"):
            xpnet.open_backend(backend, **wrong)
        with pytest.raises(ConfigurationError, match=message):
            xpnet.Network([xpnet.Dense(2)], backend=backend, **wrong)  # type: ignore[arg-type]
        with pytest.raises(ConfigurationError, match=message):
            net.to(backend, **wrong)


def test_a_dtype_that_is_left_out_is_float32_or_the_open_backends(backend: Backend) -> None:
    assert xpnet.open_backend(backend.name).dtype == "float32"
    assert xpnet.Network([xpnet.Dense(2)], backend=backend.name).backend.dtype == "float32"
    assert xpnet.Network([xpnet.Dense(2)], backend=backend).backend.dtype == "float64"
    assert xpnet.Network([xpnet.Dense(2)], backend=backend).to(backend.name).backend.dtype == "float64"


def test_a_backend_is_its_own_copy_and_no_pickle(backend: Backend) -> None:
    assert copy.copy(backend) is backend
    assert copy.deepcopy({"on": backend})["on"] is backend
    with pytest.raises(BackendError, match=rf"Backend\({backend.name!r}.* cannot be pickled; pickle the network"):
        pickle.dumps(backend)


def test_a_namespace_can_be_asked_before_it_is_filled() -> None:
    """Copying and pickling ask an object without attributes for methods of theirs."""
    with pytest.raises(AttributeError, match="'__deepcopy__'"):
        Namespace.__new__(Namespace).__deepcopy__  # noqa: B018


def test_auto_says_which_one_it_is(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    original = xpnet.open_backend

    def without_gpu(name: Any = "numpy", **arguments: Any) -> Backend:
        if name == "cupy":
            raise BackendError("no device answers")
        return original(name, **arguments)

    monkeypatch.setattr("xpnet.backend.open_backend", without_gpu)
    assert original("auto", dtype="float64").name == "numpy"
    assert capsys.readouterr().err == "xpnet: backend 'auto' is numpy: no device answers\n"
    with pytest.raises(BackendError, match="no device answers"):
        original("auto", device=7)
    assert capsys.readouterr().err == ""

    def with_gpu(name: Any = "numpy", **arguments: Any) -> Backend:
        assert arguments == {"device": 1, "dtype": "float32", "precision": "float32"}
        return original("numpy")

    monkeypatch.setattr("xpnet.backend.open_backend", with_gpu)
    original("auto", device=1)
    assert capsys.readouterr().err == "xpnet: backend 'auto' is numpy: a GPU answers\n"


def test_the_list_tells_versions_and_devices(backend: Backend) -> None:
    info = xpnet.available_backends()[backend.name]
    assert info.available
    assert info.version[0].isdigit()
    assert info.devices
    assert info.problem == ""


# Entry points


def entries(monkeypatch: pytest.MonkeyPatch, *given: tuple[str, str]) -> None:
    found = [EntryPoint(name, value, "xpnet.backends") for name, value in given]
    monkeypatch.setattr("importlib.metadata.entry_points", lambda group: found)


def test_one_name_from_two_distributions_closes_that_name_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    entries(
        monkeypatch,
        ("numpy", "xpnet_backends.on_numpy"),
        ("other", "first.module"),
        ("other", "second.module"),
    )
    with pytest.raises(BackendError, match=r"two installed.*'other': first.module and second.module; uninstall"):
        xpnet.open_backend("other")
    assert xpnet.open_backend("numpy").name == "numpy"
    found = xpnet.available_backends()
    assert found["numpy"].available
    assert "two installed" in found["other"].problem


def test_the_same_backend_seen_twice_is_one(monkeypatch: pytest.MonkeyPatch) -> None:
    """An editable install beside a wheel shows each entry point twice."""
    entries(monkeypatch, *[("numpy", "xpnet_backends.on_numpy")] * 2)
    assert xpnet.open_backend("numpy").name == "numpy"


def test_nothing_registered_means_not_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    entries(monkeypatch)
    with pytest.raises(BackendError, match=r"no backend is registered.*pip install -e"):
        xpnet.open_backend("other")


def test_nobody_else_can_be_a_backend_of_xpnet(monkeypatch: pytest.MonkeyPatch) -> None:
    entries(monkeypatch, ("numpy", "no_such_module_anywhere"))
    assert xpnet.open_backend("numpy").name == "numpy"


def test_opening_numpy_does_not_read_what_is_installed() -> None:
    code = "import sys, xpnet; xpnet.open_backend('numpy'); sys.exit('importlib.metadata' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


@pytest.mark.parametrize("value", ["no_such_module_anywhere", "xpnet_backends.on_numpy:missing"])
def test_an_entry_that_leads_nowhere(value: str, monkeypatch: pytest.MonkeyPatch) -> None:
    entries(monkeypatch, ("broken", value))
    with pytest.raises(BackendError, match=r"backend 'broken' .* cannot be imported"):
        xpnet.open_backend("broken")
    assert "cannot be imported" in xpnet.available_backends()["broken"].problem


def test_a_replacement_that_nn_does_not_have_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    class Module:
        INSTALL = ""

        @staticmethod
        def open(device: object, dtype: str) -> Backend:
            return Backend("mine", np, "cpu", dtype, np.asarray, np.asarray, nn={"sofmax": lambda xp, z: z})

    monkeypatch.setattr("xpnet.backend._load", lambda name: Module)
    with pytest.raises(BackendError, match=r"backend 'mine' replaces \['sofmax'\]"):
        xpnet.open_backend("mine")
