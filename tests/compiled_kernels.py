"""NVRTC on the kernels of the CuPy backend, which needs no GPU; ``python tests/compiled_kernels.py`` prints a table.

Needs the packages cuda-bindings and nvidia-cuda-nvrtc.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any, NamedTuple

from xpnet_backends.on_cupy.sources import FUNCTIONS, OPTIONS, REAL, source

ARCHITECTURES = ("sm_75", "sm_90", "sm_100")
"""Turing, Hopper, Blackwell: the oldest that CUDA 13 knows, and the newest two of data centres."""


class Kernel(NamedTuple):
    """What a compiled kernel takes of a multiprocessor."""

    registers: int
    spilled: int  # bytes written to and read from local memory


def compile_kernels(file: str, dtype: str, architecture: str) -> dict[str, Kernel]:
    """Compile a file to machine code; RuntimeError where the compiler has anything to say but its figures."""
    said, _ = _compiled(file, dtype, architecture)
    if complaints := re.findall(r"^.*(?:warning|error).*$", said, re.MULTILINE):
        raise RuntimeError(f"{file}.cu, {dtype}, {architecture}: {complaints}")
    pattern = (
        r"Compiling entry function '(\w+)'.*?(\d+) bytes spill stores, (\d+) bytes spill loads.*?Used (\d+) registers"
    )
    found = {
        name: Kernel(int(registers), int(stored) + int(loaded))
        for name, stored, loaded, registers in re.findall(pattern, said, re.DOTALL)
    }
    if set(found) != set(FUNCTIONS[file]):
        raise RuntimeError(f"{file}.cu was compiled to {sorted(found)}, as the compiler says: {said}")
    return found


def assembly(file: str, dtype: str, architecture: str) -> str:
    """Return the PTX of a file."""
    return _compiled(file, dtype, architecture)[1]


def _compiled(file: str, dtype: str, architecture: str) -> tuple[str, str]:
    """Return what the compiler says, and PTX."""
    from cuda.bindings import nvrtc

    def call(function: Callable[..., Any], *arguments: Any) -> Any:
        status, *answer = function(*arguments)
        if status != nvrtc.nvrtcResult.NVRTC_SUCCESS:
            raise RuntimeError(f"{file}.cu, {dtype}, {architecture}: {nvrtc.nvrtcGetErrorString(status)[1].decode()}")
        return answer[0] if answer else None

    options = [option.encode() for option in (*OPTIONS, f"-arch={architecture}", "--ptxas-options=-v")]
    program = call(nvrtc.nvrtcCreateProgram, source(file, dtype).encode(), f"{file}.cu".encode(), 0, [], [])
    (status,) = nvrtc.nvrtcCompileProgram(program, len(options), options)
    said = bytes(call(nvrtc.nvrtcGetProgramLogSize, program))
    call(nvrtc.nvrtcGetProgramLog, program, said)
    if status != nvrtc.nvrtcResult.NVRTC_SUCCESS:
        raise RuntimeError(said.decode())
    text = bytes(call(nvrtc.nvrtcGetPTXSize, program))
    call(nvrtc.nvrtcGetPTX, program, text)
    return said.decode(), text.decode()


def main() -> None:
    """Print registers and spilled bytes of every kernel."""
    print(f"{'registers (+ spilled bytes)':34}" + "".join(f"{name:>10}" for name in ARCHITECTURES))
    for dtype in REAL:
        for file in FUNCTIONS:
            compiled = [compile_kernels(file, dtype, architecture) for architecture in ARCHITECTURES]
            for name in FUNCTIONS[file]:
                cells = (f"{k.registers}{f' + {k.spilled}' if k.spilled else ''}" for k in (c[name] for c in compiled))
                print(f"{name + ', ' + dtype:34}" + "".join(f"{cell:>10}" for cell in cells))


if __name__ == "__main__":
    main()
