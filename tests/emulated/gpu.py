"""An emulated NVIDIA GPU: CuPy itself, unchanged, on a machine that has none.

CuPy's Python and its kernels run as they are. What is beneath them is played by the C++ in ``sources``: CUDA's driver
and runtime, its compiler (kernels go to this machine's C++ compiler), cuBLAS's products and Thrust's sorts. So this
shows what CuPy is asked to do and computes; it shows neither speed, nor what runs side by side on a GPU.

The runtime and Thrust are linked into CuPy's extension modules, so their functions are diverted there, in memory.
"""

from __future__ import annotations

import ctypes
import fcntl
import hashlib
import mmap
import os
import shlex
import struct
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from typing import Any, NamedTuple

SOURCES = Path(__file__).parent / "sources"
PARTS = ("memory", "driver", "threads", "compiler", "sorting")
NAMES = ("libcuda.so.1", "libnvrtc.so.13", "libcublasLt.so.13", "libcublas.so.13")
"""What CuPy opens. The first holds all the parts, the last cuBLAS's products; the others are names for the first."""

OWN = ("complex.cuh", "carray.cuh", "atomics.cuh", "math_constants.h")
"""Headers that CuPy puts before each kernel of its own."""

RUNTIME = ("cupy_backends/cuda/api/runtime.*.so", "cupy/cuda/thrust.*.so", "cupy/cuda/cub.*.so")
"""CuPy's modules with a CUDA runtime in them."""

SORTS = ("_Z11thrust_sort", "_Z14thrust_argsort", "_Z15thrust_lexsort")

ECC_UNCORRECTABLE = 214
"""An error after which a GPU is lost, by CUDA's number."""


def install() -> None:
    """Put the emulated GPU beneath CuPy, in this process, before it is imported."""
    build = _built()
    os.environ.update(
        CUPY_ACCELERATORS="",  # CUB's sums are compiled for a GPU already
        CUPY_CACHE_DIR=str(build / "kernels"),
        EMULATED_GPU_COMPILER=shlex.join(_kernel_compiler()),
        EMULATED_GPU_HEADERS=str(build),
    )
    gpu = _library()
    for name in NAMES[1:]:
        ctypes.CDLL(str(build / name), mode=ctypes.RTLD_GLOBAL)
    for path in _modules(*RUNTIME):
        ctypes.CDLL(str(path), mode=os.RTLD_LAZY)
        start = _address_of(path)
        for name, place in _symbols(path).own.items():
            if name.startswith(("cuda", *SORTS)) and not name.startswith("cudart"):
                function = getattr(gpu, name, None) or gpu.emulated_missing
                _divert(start + place, ctypes.cast(function, ctypes.c_void_p).value or 0)


class Counts(NamedTuple):
    """What a GPU was asked to do."""

    launches: int
    """Kernels, products not counted."""
    products: int
    """Of two matrices, by cuBLAS."""
    waits: int
    """Calls for which the host waits until the GPU is done."""
    copied: int
    """Copies from the host to the GPU."""
    fetched: int
    """Copies from the GPU to the host."""

    def __sub__(self, before: Counts) -> Counts:  # type: ignore[override]
        return Counts(*(now - then for now, then in zip(self, before, strict=True)))


def counts() -> Counts:
    gpu = _library()
    return Counts(*(getattr(gpu, f"emulated_{name}")() for name in Counts._fields))


def bytes_used(device: int) -> int:
    return int(_library().emulated_used(device))


@contextmanager
def backward() -> Iterator[None]:
    """Let the threads of a block take their turns in backward order: a missing barrier then gives other numbers."""
    _library().emulated_backward(1)
    try:
        yield
    finally:
        _library().emulated_backward(0)


@contextmanager
def failing(error: int, calls: int = 0, for_good: bool = False) -> Iterator[None]:
    """Let a call fail after so many have succeeded, and all that follow where the GPU is lost for good."""
    _library().emulated_fail(calls, error, int(for_good))
    try:
        yield
    finally:
        _library().emulated_fail(-1, 0, 0)


def _compiler() -> list[str]:
    return shlex.split(os.environ.get("CXX", "g++"))


def _kernel_compiler() -> list[str]:
    """Return the command for kernels, whose headers are compiled once for all of them."""
    (headers,) = _modules("cupy/_core/include")
    exact = ("-O1", "-mf16c", "-ffp-contract=off", "-fvisibility=hidden", "-fPIC", "-w")
    return [*_compiler(), "-std=c++17", *exact, f"-I{SOURCES}", f"-I{headers}"]


@cache
def _library() -> Any:
    gpu = ctypes.CDLL(str(_built() / NAMES[0]), mode=ctypes.RTLD_GLOBAL)
    for name in Counts._fields:
        getattr(gpu, f"emulated_{name}").restype = ctypes.c_ulonglong
    gpu.emulated_used.restype = ctypes.c_size_t
    gpu.emulated_fail.argtypes = (ctypes.c_long, ctypes.c_int, ctypes.c_int)
    return gpu


@cache
def _built() -> Path:
    """Compile the GPU where that has not been done, and return the folder."""
    files = sorted(path for path in SOURCES.rglob("*") if path.is_file())
    wanted = [name for path in _modules("cupy_backends/cuda/libs/cublas.*.so") for name in _symbols(path).missing]
    products = sorted({name for name in wanted if name.startswith("cublas") and name.isidentifier()})
    text = repr([_compiler(), version("cupy-cuda13x"), products, *(path.read_bytes() for path in files)])
    folder = (
        Path(tempfile.gettempdir()) / f"emulated-gpu-{os.getuid()}-{hashlib.sha256(text.encode()).hexdigest()[:16]}"
    )
    folder.mkdir(mode=0o700, exist_ok=True)
    if folder.stat().st_uid != os.getuid():
        raise PermissionError(f"{folder} is somebody else's")
    with (folder / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (folder / NAMES[0]).exists():
            _build(folder, products)
    return folder


def _build(folder: Path, products: list[str]) -> None:
    # Those that are not emulated say that they are not supported, as cuBLAS does by number 15.
    others = "".join(f'extern "C" __attribute__((weak)) int {name}() {{ return 15; }}\n' for name in products)
    (folder / "others.cpp").write_text(others)
    (folder / "version.map").write_text("libcublas.so.13 { global: cublas*; };\n")
    options = ["-std=c++17", "-O2", "-fPIC", "-shared", "-Wno-builtin-declaration-mismatch"]
    parts = [SOURCES / f"{part}.cpp" for part in PARTS]
    main, cublas = folder / "new.so", folder / NAMES[-1]

    def compile(*arguments: str | Path) -> None:
        subprocess.run([*_compiler(), *options, *map(str, arguments)], check=True)

    compile(*parts, "-fvisibility=hidden", "-o", main, f"-Wl,-soname,{NAMES[0]}", "-ldl")
    linked = ("-Wl,--no-as-needed", main, "-Wl,-rpath,$ORIGIN")
    (folder / "empty.cpp").write_text("")
    for name in NAMES[1:-1]:
        compile(folder / "empty.cpp", "-o", folder / name, f"-Wl,-soname,{name}", *linked)
    script = f"-Wl,--version-script={folder / 'version.map'}"
    compile(
        SOURCES / "blas.cpp", folder / "others.cpp", "-O3", "-o", cublas, f"-Wl,-soname,{NAMES[-1]}", script, *linked
    )
    for name, headers in {"raw.h": (), "cupy.h": OWN}.items():
        text = "".join(f"#include <{header}>\n" for header in ("device.h", *(f"cupy/{own}" for own in headers)))
        (folder / name).write_text(text)
        subprocess.run([*_kernel_compiler(), "-x", "c++-header", str(folder / name)], check=True)
    main.rename(folder / NAMES[0])


class Symbols(NamedTuple):
    """A shared object's functions."""

    own: dict[str, int]
    """The places of those in it."""
    missing: list[str]
    """Those that it wants of other libraries."""


def _symbols(path: Path) -> Symbols:
    raw = path.read_bytes()
    (table,) = struct.unpack_from("<Q", raw, 40)
    size, count = struct.unpack_from("<HH", raw, 58)
    heads = [struct.unpack_from("<IIQQQQII", raw, table + i * size) for i in range(count)]
    found = Symbols({}, [])
    for head in heads:
        _, kind, _, _, offset, length, link, _ = head
        if kind not in (2, 11):  # symbols, and those for dynamic linking
            continue
        names = heads[link][4]
        for entry in range(offset, offset + length, 24):
            name, about, _, section, value = struct.unpack_from("<IBBHQ", raw, entry)
            text = raw[names + name : raw.index(b"\0", names + name)].decode()
            if section == 0:
                found.missing.append(text)
            elif about & 15 == 2:  # a function
                found.own[text] = value
    return found


def _modules(*patterns: str) -> list[Path]:
    found = []
    for pattern in patterns:
        package, _, inside = pattern.partition("/")
        spec = find_spec(package)
        assert spec is not None
        found += [path for place in spec.submodule_search_locations or () for path in Path(place).glob(inside)]
    return found


def _address_of(path: Path) -> int:
    for line in Path("/proc/self/maps").read_text().splitlines():
        if line.endswith(str(path.resolve())):
            return int(line.partition("-")[0], 16)
    raise RuntimeError(f"{path} is not in this process's memory")


def _divert(address: int, target: int) -> None:
    """Let calls of the function at an address go to another: a jump to the eight bytes that follow it."""
    jump = b"\xff\x25\x00\x00\x00\x00" + struct.pack("<Q", target)
    first = address // mmap.PAGESIZE * mmap.PAGESIZE
    length = address + len(jump) - first
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.mprotect(
        ctypes.c_void_p(first), ctypes.c_size_t(length), mmap.PROT_READ | mmap.PROT_WRITE | mmap.PROT_EXEC
    ):
        raise OSError(ctypes.get_errno(), "mprotect")
    ctypes.memmove(address, jump, len(jump))
