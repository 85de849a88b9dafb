"""What the wheel holds. Installing and trying it outside the checkout is the session ``nox -s packaging``."""

from __future__ import annotations

import os
import shutil
import tomllib
import zipfile
from email import message_from_string
from hashlib import sha256
from importlib.metadata import EntryPoint
from pathlib import Path

import pytest
from xpnet_backends.on_cupy.sources import FUNCTIONS

import xpnet
from xpnet import __main__ as program

ROOT = Path(__file__).parent.parent
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
LARGEST = 550_000  # bytes
MOST_DEPENDENCIES = 4


def built(root: Path, folder: Path, kind: str = "wheel") -> Path:
    """Build a wheel, or an sdist, of the checkout at *root* into *folder*."""
    build = pytest.importorskip("hatchling.build")
    before = Path.cwd()
    os.chdir(root)
    try:
        return folder / getattr(build, f"build_{kind}")(str(folder))
    finally:
        os.chdir(before)


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Build a wheel of the checkout."""
    return built(ROOT, tmp_path_factory.mktemp("wheel"))


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
    assert {f"xpnet_backends/on_cupy/kernels/{file}.cu" for file in FUNCTIONS} <= names


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


def test_the_command_is_what_python_runs_as_a_module() -> None:
    """It is the one that answers Ctrl-C from its first import on."""
    assert EntryPoint("xpnet", PROJECT["scripts"]["xpnet"], "console_scripts").load() is program.main


@pytest.mark.parametrize(("name", "value"), PROJECT["entry-points"]["xpnet.backends"].items())
def test_every_entry_point_leads_to_a_backend(name: str, value: str) -> None:
    module = EntryPoint(name, value, "xpnet.backends").load()
    assert isinstance(module.INSTALL, str)
    assert all(callable(getattr(module, function)) for function in ("open", "version", "devices"))


@pytest.mark.parametrize("kind", ["wheel", "sdist"])
def test_two_builds_are_equal_to_the_last_byte(kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """In another folder, at another time, under another umask: what is built depends on the sources alone."""
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "1767225600")
    other = tmp_path / "elsewhere"
    ignored = shutil.ignore_patterns(
        ".git", ".*_cache", ".nox", ".venv", "__pycache__", ".hypothesis", "out", "build", "dist"
    )
    before = os.umask(0o077)
    try:
        shutil.copytree(ROOT, other, ignore=ignored, copy_function=shutil.copyfile)
        for path in other.rglob("*"):
            os.utime(path, (0, 1_000_000_000))
        (tmp_path / "first").mkdir()
        (tmp_path / "second").mkdir()
        second = built(other, tmp_path / "second", kind)
    finally:
        os.umask(before)
    first = built(ROOT, tmp_path / "first", kind)
    assert first.name == second.name
    assert sha256(first.read_bytes()).hexdigest() == sha256(second.read_bytes()).hexdigest()


def test_the_core_needs_few_packages_and_says_from_which_version_on() -> None:
    needed = PROJECT["dependencies"]
    assert len(needed) <= MOST_DEPENDENCIES
    assert all(">=" in requirement and ";" not in requirement for requirement in needed)
