"""What the wheel holds. Installing and trying it outside the checkout is the session ``nox -s packaging``."""

from __future__ import annotations

import os
import tomllib
import zipfile
from email import message_from_string
from importlib.metadata import EntryPoint
from pathlib import Path

import pytest

import xpnet

ROOT = Path(__file__).parent.parent
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
LARGEST = 200_000  # bytes


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Build a wheel of the checkout."""
    build = pytest.importorskip("hatchling.build")
    folder = tmp_path_factory.mktemp("wheel")
    before = Path.cwd()
    os.chdir(ROOT)
    try:
        return folder / build.build_wheel(str(folder))
    finally:
        os.chdir(before)


def sources() -> set[str]:
    """Return what the wheel should hold of the two packages, by its name there."""
    homes = {"xpnet": ROOT, "xpnet_backends": ROOT / "backends"}
    return {
        path.relative_to(home).as_posix()
        for package, home in homes.items()
        for path in (home / package).rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }


def test_the_wheel_holds_both_packages_and_nothing_else(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        names = set(archive.namelist())
    info = f"xpnet-{xpnet.__version__}.dist-info"
    assert {name for name in names if not name.startswith(info)} == sources()
    assert {f"{info}/licenses/LICENSE", f"{info}/entry_points.txt"} <= names
    assert {"xpnet/py.typed", "xpnet_backends/py.typed"} <= names


def test_the_wheel_is_small(wheel: Path) -> None:
    assert wheel.stat().st_size < LARGEST


def test_the_wheel_describes_itself(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        metadata = message_from_string(archive.read(f"xpnet-{xpnet.__version__}.dist-info/METADATA").decode("utf-8"))
    assert metadata["Version"] == xpnet.__version__ == PROJECT["version"]
    assert metadata["License-Expression"] == "MIT"
    assert set(metadata.get_all("Provides-Extra")) == set(PROJECT["optional-dependencies"])
    core = [line for line in metadata.get_all("Requires-Dist") if "extra ==" not in line]
    assert sorted(core) == sorted(PROJECT["dependencies"])


@pytest.mark.parametrize(("name", "value"), PROJECT["entry-points"]["xpnet.backends"].items())
def test_every_entry_point_leads_to_a_backend(name: str, value: str) -> None:
    module = EntryPoint(name, value, "xpnet.backends").load()
    assert isinstance(module.INSTALL, str)
    assert all(callable(getattr(module, function)) for function in ("open", "version", "devices"))
