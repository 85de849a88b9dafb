"""A backend of somebody else's: a distribution of its own, installed by pip."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

import xpnet
from xpnet import BackendError

MODULE = '''
"""NumPy that counts, as a third party would write a backend."""

import numpy as np

from xpnet.backend import Backend

INSTALL = "pip install counting"
calls = {"compile": 0, "softmax_cross_entropy": 0}


def open(device, dtype):
    if device not in (None, "abacus"):
        from xpnet import BackendError
        raise BackendError(f"backend 'counting' computes on 'abacus' only; got device={device!r}")
    return Backend(
        name="counting", xp=np, device="cpu", dtype=dtype, asarray=asarray, to_numpy=np.asarray, compile=compile,
        nn={"softmax_cross_entropy": softmax_cross_entropy},
    )


def asarray(values, dtype=None):
    return np.asarray(values, dtype=dtype)


def compile(function, donated=False):
    calls["compile"] += 1
    return function


def softmax_cross_entropy(xp, scores, rows):
    from xpnet import nn
    calls["softmax_cross_entropy"] += 1
    return nn.softmax_cross_entropy(xp, scores, rows)


def version():
    return "3.14"


def devices():
    return ["abacus: 10 beads"]
'''

SCRIPT = """
import json, sys
import xpnet
from xpnet_counting import calls

x, y = xpnet.clouds(points=20, seed=0)
nets = {
    name: xpnet.Network(
        [xpnet.Dense(8), "relu", xpnet.Dropout(0.1), xpnet.Dense(3)],
        optimizer=xpnet.Adam(0.02), backend=name, dtype="float64",
    )
    for name in ("numpy", "counting")
}
for net in nets.values():
    net.fit(x, y, epochs=15, batch_size=16, validation_split=0.2, verbose=0)
nets["counting"].save(sys.argv[1])
print(json.dumps({
    "modules": sorted({name.partition(".")[0] for name in sys.modules} & {"torch", "jax", "array_api_strict"}),
    "losses": {name: net.history["loss"] for name, net in nets.items()},
    "accuracy": nets["counting"].evaluate(x, y)["accuracy"],
    "loaded": xpnet.load(sys.argv[1], backend="counting").backend.name,
    "info": xpnet.available_backends()["counting"].devices,
    "calls": calls,
}))
"""


def wheel(folder: Path, name: str, module: str, entry_points: str) -> Path:
    """Write a wheel by hand, as a build tool would."""
    info = f"{name}-1.0.dist-info"
    files = {
        f"xpnet_{name}.py": module,
        f"{info}/METADATA": f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n",
        f"{info}/WHEEL": "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
        f"{info}/entry_points.txt": f"[xpnet.backends]\n{entry_points}\n",
    }
    files[f"{info}/RECORD"] = "".join(f"{path},,\n" for path in [*files, f"{info}/RECORD"])
    path = folder / f"{name}-1.0-py3-none-any.whl"
    with zipfile.ZipFile(path, "w") as archive:
        for inside, text in files.items():
            archive.writestr(inside, text)
    return path


Run = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture(scope="module")
def outside(tmp_path_factory: pytest.TempPathFactory) -> Run:
    """Run Python where a third party's backend is installed beside xpnet."""
    pytest.importorskip("pip")
    folder = tmp_path_factory.mktemp("third_party")
    target = folder / "site"
    built = wheel(folder, "counting", MODULE, "counting = xpnet_counting")
    install = ["-m", "pip", "install", "--no-deps", "--no-index", "--quiet", "--disable-pip-version-check"]
    done = subprocess.run(
        [sys.executable, *install, "--target", str(target), str(built)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr

    def run(*arguments: str) -> subprocess.CompletedProcess[str]:
        environment = os.environ | {"PYTHONPATH": os.pathsep.join([str(target), os.environ.get("PYTHONPATH", "")])}
        return subprocess.run(
            [sys.executable, *arguments],
            capture_output=True,
            text=True,
            check=False,
            cwd=folder,
            env=environment,
            timeout=120,
        )

    return run


def test_a_third_partys_backend_trains_a_network(outside: Run, tmp_path: Path) -> None:
    done = outside("-c", SCRIPT, str(tmp_path / "net.safetensors"))
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert found["losses"]["counting"] == pytest.approx(found["losses"]["numpy"], rel=1e-10)
    assert found["accuracy"] > 0.9
    assert found["loaded"] == "counting"
    assert found["info"] == ["abacus: 10 beads"]
    assert found["calls"]["compile"] > 0
    assert found["calls"]["softmax_cross_entropy"] > 0  # its own kernel took part
    assert found["modules"] == []


def test_a_third_partys_file_opens_without_it(outside: Run, tmp_path: Path) -> None:
    path = tmp_path / "net.safetensors"
    assert outside("-c", SCRIPT, str(path)).returncode == 0
    assert xpnet.load(path).backend.name == "numpy"


def test_a_third_partys_backend_is_listed_and_named(outside: Run) -> None:
    done = outside("-m", "xpnet", "info")
    assert "counting          3.14\n" in done.stdout
    done = outside("-c", "import xpnet; xpnet.open_backend('countin')")
    assert "unknown backend 'countin'; did you mean 'counting'?" in done.stderr
    done = outside("-c", "import xpnet; xpnet.open_backend('counting', device='slide rule')")
    assert "'abacus' only; got device='slide rule'" in done.stderr


def test_without_its_distribution_it_is_unknown() -> None:
    with pytest.raises(BackendError, match="unknown backend 'counting'"):
        xpnet.open_backend("counting")
