"""The names that users import: all there, all documented, and none paid for before it is used."""

from __future__ import annotations

import ast
import inspect
import subprocess
import sys
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from pkgutil import walk_packages
from typing import Any, get_type_hints

import numpy as np
import pytest

import xpnet

OPTIONAL = {
    "array_api_strict",
    "cupy",
    "jax",
    "matplotlib",
    "ndonnx",
    "onnx",
    "onnxscript",
    "pandas",
    "rich",
    "scipy",
    "sklearn",
    "spox",
    "tensorboardX",
    "torch",
}
HEAVY = {"array_api_compat", "safetensors", "hypothesis", "pytest"}
"""Installed or needed, but not for a network on NumPy."""

MODULES = sorted(module.name for module in walk_packages(xpnet.__path__, "xpnet."))


def imported_after(code: str) -> set[str]:
    """Return the top-level modules that *code* brings into a fresh interpreter."""
    names = "sorted({name.partition('.')[0] for name in sys.modules})"
    script = f"from __future__ import annotations\nimport sys\n{code}\nprint(*{names})"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=120, check=True)
    return set(done.stdout.splitlines()[-1].split())


def type_checking_imports() -> dict[str, str]:
    """Return name and module of every import that type checkers read in the package's first file."""
    tree = ast.parse(Path(xpnet.__file__).read_text(encoding="utf-8"))
    blocks = [node for node in tree.body if isinstance(node, ast.If)]
    return {
        alias.asname or alias.name: str(node.module)
        for block in blocks
        for node in block.body
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
    }


def test_type_checkers_and_python_see_the_same_names() -> None:
    homes = {name: f"xpnet.{home}" for home, names in xpnet._HOMES.items() for name in names.split()}
    assert type_checking_imports() == homes
    assert xpnet.__all__ == ["__version__", *sorted(homes)]
    assert len(set(xpnet.__all__)) == len(xpnet.__all__)


@pytest.mark.parametrize("name", [name for name in xpnet.__all__ if name != "__version__"])
def test_each_name_is_there_and_documented(name: str) -> None:
    value = getattr(xpnet, name)
    assert value.__doc__
    assert value.__name__ == name
    assert name in import_module(value.__module__).__all__
    if inspect.isclass(value):
        for member, method in vars(value).items():
            default = member in getattr(value, "__dataclass_fields__", ())
            if inspect.isfunction(method) and not member.startswith("_") and not default:
                assert method.__doc__, f"{name}.{member} has no docstring"


def functions_of(value: Any) -> Iterator[Any]:
    """Yield a function, or a class with what is called of it."""
    yield value
    for _, member in inspect.getmembers_static(value) if inspect.isclass(value) else ():
        function = member.fget if isinstance(member, property) else member
        if inspect.isfunction(function):
            yield function


@pytest.mark.parametrize("name", [name for name in xpnet.__all__ if name != "__version__"])
def test_annotations_can_be_looked_up(name: str) -> None:
    """NumPy's name is given, as some modules leave its import to functions."""
    for value in functions_of(getattr(xpnet, name)):
        get_type_hints(value, localns={"np": np})


def test_every_metric_is_a_public_name() -> None:
    from xpnet import metrics

    assert set(metrics.__all__) - {"Metric", "NAMES"} <= set(xpnet.__all__)


def test_each_name_is_listed() -> None:
    assert {name for name in dir(xpnet) if not name.startswith("__")} == set(xpnet.__all__) - {"__version__"}
    assert set(xpnet.__all__) <= set(dir(xpnet))


@pytest.mark.parametrize("module", MODULES)
def test_every_module_says_what_it_is_and_what_it_offers(module: str) -> None:
    try:
        found = import_module(module)
    except ImportError as caught:
        error = caught.__cause__ if isinstance(caught, xpnet.MissingExtraError) else caught
        if isinstance(error, ModuleNotFoundError) and error.name and error.name.partition(".")[0] in OPTIONAL:
            pytest.skip(f"needs {error.name}")
        raise
    assert found.__doc__
    for name in getattr(found, "__all__", ()):
        assert hasattr(found, name), f"{module}.__all__ names {name}, which is not there"


def test_an_unknown_name_gets_a_suggestion() -> None:
    with pytest.raises(AttributeError, match="module 'xpnet' has no attribute 'Denes'; did you mean 'Dense'"):
        xpnet.Denes  # noqa: B018


def test_star_import_gives_the_public_names() -> None:
    scope: dict[str, object] = {}
    exec("from xpnet import *", scope)
    assert set(xpnet.__all__) <= set(scope)


def test_the_version_is_the_distributions() -> None:
    from importlib.metadata import version

    assert version("xpnet") == xpnet.__version__


def test_importing_xpnet_imports_nothing_optional() -> None:
    alone = imported_after("import xpnet")
    assert not alone & (OPTIONAL | HEAVY)
    assert alone - imported_after("import typing") == {"xpnet"}  # not even NumPy


def test_opening_numpy_imports_nothing_but_numpy() -> None:
    after = imported_after("import xpnet; xpnet.open_backend('numpy')")
    assert not after & (OPTIONAL | HEAVY)
    assert {"numpy", "xpnet", "xpnet_backends"} <= after


def test_training_on_numpy_imports_nothing_optional() -> None:
    after = imported_after(
        "import xpnet\n"
        "net = xpnet.Network([xpnet.Dense(2)])\n"
        "net.fit([[1.0], [2.0]], [0, 1], verbose=0)\n"
        "net.predict([[1.0]])"
    )
    assert not after & (OPTIONAL | HEAVY)


@pytest.mark.parametrize(
    ("backend", "module"), [("torch", "torch"), ("jax", "jax"), ("array-api-strict", "array_api_strict")]
)
def test_a_backend_imports_its_own_library_alone(backend: str, module: str) -> None:
    pytest.importorskip(module)
    after = imported_after(f"import xpnet; xpnet.open_backend({backend!r})")
    assert module in after
    assert not after & ({"torch", "jax", "array_api_strict", "cupy", "sklearn", "matplotlib"} - {module})


def test_a_first_prediction_imports_nothing_that_it_does_not_use(tmp_path: Path) -> None:
    path = tmp_path / "net.safetensors"
    xpnet.Network([xpnet.Dense(3), "relu", xpnet.Dense(2)], inputs=4).save(path)
    code = f"import sys, xpnet; xpnet.load({str(path)!r}).predict([[0.0] * 4]); print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120, check=True)
    loaded = set(done.stdout.split())
    assert "xpnet.losses.classes" in loaded
    assert not loaded & {"difflib", "numpy.random", "secrets", "xpnet.foreign_names", "importlib.metadata"}
