"""The ``backend`` fixture: every test that takes it runs once on each array library.

    pytest --backend numpy --backend torch

Without ``--backend``, every backend whose library can be imported is used. What cannot be opened is skipped
with its reason, except for the libraries that every checkout can have: those, once named, must work.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterator
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from shop import SHOP, Done, Shell, write

import xpnet

# Read by SciPy when it is first imported; scikit-learn's checks of other libraries' arrays are skipped without it.
os.environ.setdefault("SCIPY_ARRAY_API", "1")

# argparse of Python 3.14 colours what it writes where the environment asks for it.
os.environ["PYTHON_COLORS"] = "0"

# A shell starts its jobs in the background deaf to Ctrl-C, and what they start inherits that; some tests press it.
if signal.getsignal(signal.SIGINT) == signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

# The same examples in every run, however slow the machine; --hypothesis-profile=random looks for new ones.
settings.register_profile("random", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.register_profile("repeatable", settings.get_profile("random"), derandomize=True)
settings.load_profile("repeatable")

LIBRARIES = {
    "numpy": "numpy",
    "array-api-strict": "array_api_strict",
    "torch": "torch",
    "jax": "jax",
    "cupy": "cupy",
}
"""The module that each backend needs."""

ALIASES = {"strict": "array-api-strict"}

NEVER_SKIPPED = {"numpy", "array-api-strict"}
"""Without hardware to miss: where one was asked for by name, its absence is a failure."""


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--backend",
        action="append",
        default=[],
        metavar="NAME",
        help="run the tests on this backend (may be repeated; default: all whose library is installed)",
    )


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "backend_name" in metafunc.fixturenames:
        metafunc.parametrize("backend_name", backend_names(metafunc.config), scope="session")


def backend_names(config: pytest.Config) -> list[str]:
    """Return the backends to test: those named, else those whose library is installed."""
    named = [ALIASES.get(name, name) for name in config.getoption("--backend")]
    return list(dict.fromkeys(named)) or [name for name, module in LIBRARIES.items() if find_spec(module)]


@cache
def _open(name: str, dtype: str) -> xpnet.Backend | xpnet.BackendError:
    try:
        return xpnet.open_backend(name, dtype=dtype)
    except xpnet.BackendError as error:
        return error


def open_or_skip(config: pytest.Config, name: str, dtype: str) -> xpnet.Backend:
    """Open a backend, once per session; skip the test where it cannot be had."""
    found = _open(name, dtype)
    if isinstance(found, xpnet.Backend):
        return found
    named = {ALIASES.get(asked, asked) for asked in config.getoption("--backend")}
    if name in named & NEVER_SKIPPED or name not in LIBRARIES:
        pytest.fail(str(found), pytrace=False)
    pytest.skip(str(found))


@pytest.fixture(scope="session")
def open_backend(pytestconfig: pytest.Config) -> Callable[..., xpnet.Backend]:
    """``open_backend(name, dtype="float64")``, which skips the test where the backend cannot be had."""
    return lambda name, dtype="float64": open_or_skip(pytestconfig, name, dtype)


@pytest.fixture(scope="session")
def backend(backend_name: str, pytestconfig: pytest.Config) -> xpnet.Backend:
    """Each backend in float64."""
    return open_or_skip(pytestconfig, backend_name, "float64")


@pytest.fixture(scope="session")
def backend32(backend_name: str, pytestconfig: pytest.Config) -> xpnet.Backend:
    """Each backend in float32."""
    return open_or_skip(pytestconfig, backend_name, "float32")


@pytest.fixture(scope="session")
def all_backends(pytestconfig: pytest.Config) -> dict[str, xpnet.Backend]:
    """Every backend under test in float64, by name, for tests that compare them."""
    found = {name: _open(name, "float64") for name in backend_names(pytestconfig)}
    return {name: backend for name, backend in found.items() if isinstance(backend, xpnet.Backend)}


@pytest.fixture(scope="session")
def emulated() -> Any:
    """The GPU of ``tests/emulated`` beneath CuPy; tests that take it are skipped without one: ``nox -s emulated``."""
    pytest.importorskip("cupy", reason="CuPy is not installed")
    return pytest.importorskip("emulated_gpu", reason="runs on an emulated GPU: nox -s emulated")


@pytest.fixture(scope="session")
def trained(backend: xpnet.Backend) -> dict[str, xpnet.Network]:
    """A small network of each kind on each backend, after an epoch of training; see ``bad_input.py``."""
    from bad_input import trained_networks

    return trained_networks(backend)


@pytest.fixture
def ax() -> Any:
    """Axes of a figure that no window shows; modules that take it are skipped without matplotlib."""
    from matplotlib.figure import Figure

    return Figure().subplots()


@pytest.fixture(scope="session")
def sk() -> Any:
    """scikit-learn's metrics, where it is installed."""
    return pytest.importorskip("sklearn.metrics")


@pytest.fixture(scope="session", autouse=True)
def published() -> Iterator[None]:
    """Commands that install an extra call xpnet by its name, as after an installation from an index, however it was.

    They are those of a POSIX shell.
    """
    from xpnet import extras

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(extras, "WINDOWS", False)
        patch.setattr(extras, "_requirement", lambda extra: f"'xpnet{extra}'")
        yield


@pytest.fixture
def shell(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Shell:
    """Run a command of the shell in an empty folder that has shop.csv."""
    from xpnet.cli import main

    monkeypatch.chdir(tmp_path)
    write(tmp_path / "shop.csv", SHOP)

    def run(*arguments: object) -> Done:
        capsys.readouterr()
        return Done(main([str(argument) for argument in arguments]), *capsys.readouterr())

    return run
