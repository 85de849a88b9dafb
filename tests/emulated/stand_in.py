"""As much of CuPy as its backend needs, on NumPy arrays; kernels' sources go to this machine's C++ compiler.

``install(monkeypatch)`` puts it in the place of CuPy.
"""

from __future__ import annotations

import ctypes
import os
import shlex
import shutil
import subprocess
import sys
import tempfile
from functools import cache
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import array_api_compat.numpy
import numpy as np
import pytest
from xpnet_backends.on_cupy import fused
from xpnet_backends.on_cupy.sources import FUNCTIONS, OPTIONS

HERE = Path(__file__).parent
COMPILER = shlex.split(os.environ.get("CXX", "")) or [*filter(None, map(shutil.which, ("g++", "c++")))][:1]
"""A command: CXX may be a compiler with its options."""

backward = False
"""Whether the threads of a block take their turns in backward order."""

EXPORT = """
extern "C" void launch_{name}(const unsigned* shape, int backward, void** given) {{
    emulation::launch({name}, shape, backward, given);
}}
"""


class RawModule:
    """A source, compiled when it is made."""

    def __init__(self, code: str, options: tuple[str, ...]) -> None:
        if not COMPILER or not sys.platform.startswith("linux"):
            pytest.skip("kernels are tried without a GPU where there is Linux, for its fibers, and g++ or c++")
        assert options == OPTIONS
        self.library = _built(code)

    def get_function(self, name: str) -> Any:
        function = getattr(self.library, f"launch_{name}")

        def launch(grid: tuple[int, ...], block: tuple[int, ...], arguments: tuple[Any, ...]) -> None:
            shape = [*grid, 1][:2] + [*block, 1][:2]
            # Arrays stand for their addresses, scalars for their values in the type that they were given.
            values = [np.asarray(a.ctypes.data if isinstance(a, np.ndarray) else a) for a in arguments]
            given = (ctypes.c_void_p * len(values))(*(value.ctypes.data for value in values))
            function((ctypes.c_uint * 4)(*shape), int(backward), given)

        return launch


@cache
def _built(code: str) -> ctypes.CDLL:
    names = [name for functions in FUNCTIONS.values() for name in functions if f" {name}(" in code]
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "kernels.cpp"
        path.write_text('#include "gpu.h"\n' + code + "".join(EXPORT.format(name=name) for name in names))
        built = path.with_suffix(".so")
        options = ("-std=c++17", "-O1", "-ffp-contract=off", "-shared", "-fPIC")
        command = [*COMPILER, *options, f"-I{HERE}", str(path), "-o", str(built)]
        done = subprocess.run(command, capture_output=True, text=True)
        if done.returncode:
            raise RuntimeError(done.stderr)
        return ctypes.CDLL(str(built))


class Place(str):
    """A GPU: the processor, under a number. Knows how often work was given to it."""

    id: int
    entered = 0

    def __new__(cls, number: int) -> Place:
        made = super().__new__(cls, "cpu")  # what NumPy's functions take
        made.id = number
        return made

    def __enter__(self) -> None:
        Place.entered += 1

    def __exit__(self, *error: object) -> None:
        pass


class OutOfMemoryError(MemoryError):
    """Has the name of CuPy's."""


class CUDARuntimeError(RuntimeError):
    """Has the name of CuPy's."""


def install(monkeypatch: pytest.MonkeyPatch, gpus: int = 2) -> ModuleType:
    """Stand in for CuPy on a machine with so many GPUs."""
    module = ModuleType("cupy")
    for name in ("asarray", "ascontiguousarray", "empty", "empty_like", "from_dlpack", "ndarray", "uint32", "zeros"):
        setattr(module, name, getattr(np, name))
    stream = SimpleNamespace(synchronize=lambda: None)
    runtime = SimpleNamespace(
        getDeviceCount=lambda: gpus,
        runtimeGetVersion=lambda: 13000,
        getDeviceProperties=lambda number: {"name": b"stand-in", "totalGlobalMem": 2**30},
        CUDARuntimeError=CUDARuntimeError,
    )
    cuda = SimpleNamespace(Device=Place, runtime=runtime, get_current_stream=lambda: stream)
    for name, value in {"asnumpy": np.array, "cuda": cuda, "RawModule": RawModule, "__version__": "0"}.items():
        setattr(module, name, value)
    monkeypatch.setitem(sys.modules, "cupy", module)
    monkeypatch.setitem(sys.modules, "array_api_compat.cupy", array_api_compat.numpy)
    monkeypatch.setattr(array_api_compat, "cupy", array_api_compat.numpy, raising=False)
    for name in ("_kernel", "_module"):  # caches of their own: what is compiled here is not CuPy's
        monkeypatch.setattr(fused, name, cache(getattr(fused, name).__wrapped__))
    return module
