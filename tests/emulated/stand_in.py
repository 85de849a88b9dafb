"""As much of CuPy as the launches of kernels need, on NumPy arrays, with this machine's C++ compiler for NVRTC.

``install(monkeypatch)`` puts it in the place of CuPy.
"""

from __future__ import annotations

import ctypes
import os
import shutil
import subprocess
import sys
import tempfile
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
from xpnet_backends.on_cupy import fused
from xpnet_backends.on_cupy.sources import FUNCTIONS, OPTIONS

HERE = Path(__file__).parent
COMPILER = os.environ.get("CXX") or shutil.which("g++") or shutil.which("c++")

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
        options = ("-std=c++17", "-O1", "-ffp-contract=off", "-shared", "-fPIC", "-Wall", "-Wextra", "-Werror")
        command = [COMPILER, *options, f"-I{HERE}", str(path), "-o", str(built)]
        done = subprocess.run(command, capture_output=True, text=True)
        if done.returncode:
            raise RuntimeError(done.stderr)
        return ctypes.CDLL(str(built))


def install(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """Stand in for CuPy; skip the test where there is no compiler."""
    if COMPILER is None:
        pytest.skip("no C++ compiler on this machine: neither g++ nor c++")
    module = ModuleType("cupy")
    for name in ("ascontiguousarray", "empty", "empty_like", "uint32", "zeros"):
        setattr(module, name, getattr(np, name))
    module.RawModule = RawModule  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "cupy", module)
    for name in ("_kernel", "_module"):  # caches of their own: what is compiled here is not CuPy's
        monkeypatch.setattr(fused, name, cache(getattr(fused, name).__wrapped__))
    return module
