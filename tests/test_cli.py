"""python -m xpnet info."""

from __future__ import annotations

import json
import platform
import subprocess
import sys

import pytest

import xpnet
from xpnet import backend
from xpnet.backend import BackendInfo
from xpnet.cli import main

OURS = ["array-api-strict", "cupy", "jax", "numpy", "torch"]


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "xpnet", *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)


def test_info_as_json() -> None:
    done = run("info", "--json")
    assert (done.returncode, done.stderr) == (0, "")
    found = json.loads(done.stdout)
    assert found["xpnet"] == xpnet.__version__
    assert found["python"] == platform.python_version()
    assert set(OURS) <= set(found["backends"])
    for name, info in found["backends"].items():
        assert info["name"] == name
        assert bool(info["problem"]) != bool(info["version"])
        assert bool(info["devices"]) == bool(info["version"])
    assert found["backends"]["numpy"]["devices"][0].startswith("cpu")


def test_info_as_a_table(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    found = {
        "cupy": BackendInfo("cupy", problem="no GPU answers; run: nvidia-smi"),
        "numpy": BackendInfo("numpy", "2.1", ("cpu: x86, 4 cores",)),
    }
    monkeypatch.setattr("xpnet.cli.available_backends", lambda: found)
    assert main(["info"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines == [
        f"xpnet {xpnet.__version__}, Python {platform.python_version()}",
        "  cupy              not available: no GPU answers; run: nvidia-smi",
        "  numpy             2.1",
        "                    cpu: x86, 4 cores",
    ]


def test_a_backend_that_breaks_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    class Broken:
        INSTALL = "pip install nothing"

        def version(self) -> str:
            return "1"

        def devices(self) -> list[str]:
            raise RuntimeError("driver too old")

    original = backend._load
    monkeypatch.setattr(backend, "_load", lambda name: Broken() if name == "cupy" else original(name))
    found = xpnet.available_backends()
    assert found["cupy"] == BackendInfo(
        "cupy", problem="backend 'cupy' cannot be opened (RuntimeError: driver too old); run: pip install nothing"
    )
    assert found["numpy"].available


@pytest.mark.parametrize("arguments", [[], ["infos"], ["info", "--yaml"]])
def test_wrong_arguments_show_the_usage(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        main(arguments)
    assert caught.value.code == 2
    assert "usage: xpnet" in capsys.readouterr().err


def test_help_shows_an_example(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        main(["info", "--help"])
    assert caught.value.code == 0
    assert "python -m xpnet info --json" in capsys.readouterr().out
