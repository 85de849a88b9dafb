"""Every check of the project: ``nox`` runs those of continuous integration, ``nox -s NAME`` runs one, ``nox -l`` lists.

Sessions install with pip, which reads its own settings. ``XPNET_TORCH`` and ``XPNET_CUPY`` override what the
torch and CuPy sessions install.
"""

from __future__ import annotations

import os
import platform
import shutil
import sys
from pathlib import Path

import nox

nox.needs_version = ">=2025.5"
nox.options.error_on_missing_interpreters = False

PROJECT = nox.project.load_toml("pyproject.toml")
CODE = ("xpnet", "backends", "tests", "examples", "benchmarks", "docs", "noxfile.py")
PYTHONS = ("3.11", "3.12", "3.13")
HERE = f"{sys.version_info.major}.{sys.version_info.minor}"

LIBRARIES = {
    "numpy": ("-e.[fast,parquet]", *nox.project.dependency_groups(PROJECT, "comparisons")),
    "strict": ("-e.[strict]",),
    # An exact version, because the newest torch brings gigabytes of CUDA wherever the CPU wheel is not preferred.
    "torch": (os.environ.get("XPNET_TORCH", "torch==2.13.0"),),
    "jax": ("-e.[jax]",),
    "cupy": (os.environ.get("XPNET_CUPY", "-e.[cuda13x-ctk]"),),
}
# Tests that set one library beside another, and so need several at once.
TOGETHER = (
    *("tests/test_assembly.py", "tests/test_checkpoint.py", "tests/test_network.py", "tests/test_torch_parity.py"),
    *("tests/test_sklearn_arrays.py", "tests/test_sklearn_checks.py", "tests/test_sklearn_ecosystem.py"),
)
# Tests with a session of their own.
ELSEWHERE = ("--ignore=tests/test_examples.py", "--ignore=tests/test_readme.py")
# The core's dependencies, in the versions that this release was made with.
PINNED = ("numpy==2.4.6", "array-api-compat==1.16.0")
SLOWEST_IMPORT = 2.0  # times `import numpy`; the aim is 1.5, the rest is the noise of a shared machine

# One thread each for the array libraries: the tests run in as many processes as there are cores.
ONE_THREAD = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}


def install(session: nox.Session, *more: str) -> None:
    """Install the checkout, what tests need, and more, in one resolution."""
    session.install("-e.", *nox.project.dependency_groups(PROJECT, "test"), *more)


def pytest(session: nox.Session, *arguments: str, **variables: str) -> None:
    session.run("pytest", "-n", "auto", *arguments, *session.posargs, env=ONE_THREAD | variables)


@nox.session
def lint(session: nox.Session) -> None:
    """Style and likely mistakes (ruff)."""
    session.install(*nox.project.dependency_groups(PROJECT, "lint"))
    session.run("ruff", "check", *CODE)
    session.run("ruff", "format", "--check", *CODE)


@nox.session
def types(session: nox.Session) -> None:
    """Types, strictly (mypy), the package's and those that users' programs see."""
    install(session, *nox.project.dependency_groups(PROJECT, "types"))
    session.run("mypy")
    session.run("pytest", "tests/test_types.py")


@nox.session
@nox.parametrize("library", [nox.param(name, id=name) for name in LIBRARIES])
def tests(session: nox.Session, library: str) -> None:
    """The tests on one array library."""
    if library == "cupy" and shutil.which("nvidia-smi") is None:
        session.skip("no NVIDIA GPU on this machine: there is no nvidia-smi")
    install(session, *LIBRARIES[library])
    pytest(session, "--backend", library, *ELSEWHERE)


@nox.session
def together(session: nox.Session) -> None:
    """The tests that compare array libraries, with all of them installed, and the page for those who come from one."""
    install(session, "-e.[strict,jax,fast,sklearn]", *LIBRARIES["torch"], "keras>=3.10", "dask[array]")
    pytest(session, *TOGETHER)
    session.run("pytest", "tests/test_readme.py", "-k", "coming_from", env=ONE_THREAD)


@nox.session
def mkl(session: nox.Session) -> None:
    """The NumPy backend's own tests with MKL's products and threads, where MKL can be had, on any maker's processor."""
    if platform.machine() not in ("x86_64", "AMD64") or sys.platform == "darwin":
        session.skip(f"there is no MKL for {sys.platform} on {platform.machine()}")
    install(session, "-e.[fast,mkl]")
    files = [*map(str, Path("tests").glob("test_on_numpy*.py")), "tests/test_layers.py"]
    # OpenBLAS's threads are tried without MKL, in the session `tests`.
    pytest(session, "--backend", "numpy", "-k", "not OpenBLAS", *files, XPNET_MKL="1")


@nox.session(default=False)
def cupy_without_gpu(session: nox.Session) -> None:
    """CuPy itself, installed where there is no GPU: what is said then."""
    if sys.platform == "darwin":
        session.skip("there is no CuPy for macOS")
    install(session, "-e.[cuda13x]")
    session.run("pytest", "tests/test_on_cupy.py", "tests/test_backend.py", "--backend", "cupy", "--backend", "numpy")


@nox.session
def emulated(session: nox.Session) -> None:
    """The tests and the examples on CuPy itself, with an emulated GPU beneath it: what it computes, not how fast."""
    if sys.platform != "linux" or platform.machine() != "x86_64":
        session.skip("the GPU is emulated on Linux for x86-64")
    if shutil.which(os.environ.get("CXX", "g++")) is None:
        session.skip("there is no g++ to compile kernels with (CXX names another compiler)")
    groups = ("comparisons", "emulated")
    install(session, "-e.[strict,sklearn,plot]", *nox.project.dependency_groups(PROJECT, *groups))
    startup = str(Path("tests/emulated/startup").resolve())
    pytest(session, "--backend", "cupy", "--ignore=tests/test_readme.py", PYTHONPATH=startup)


@nox.session
def nvrtc(session: nox.Session) -> None:
    """The CuPy backend's kernels, compiled for three generations of GPUs by NVIDIA's compiler; no GPU is needed."""
    if sys.platform == "darwin" or platform.machine() not in ("x86_64", "AMD64", "aarch64"):
        session.skip(f"there is no NVRTC for {sys.platform} on {platform.machine()}")
    install(session, *nox.project.dependency_groups(PROJECT, "nvrtc"))
    session.run("pytest", "tests/test_on_cupy_kernels.py", "-k", "compile or float32_kernels")
    session.run("python", "tests/compiled_kernels.py")


@nox.session
def onnx(session: nox.Session) -> None:
    """ONNX files, the shell's too, run in onnxruntime, and the page about them."""
    install(session, "-e.[onnx]", "onnxruntime")
    pytest(session, "tests/test_onnx.py", "--backend", "numpy")
    pytest(session, "tests/test_cli_export.py", "tests/test_cli_output.py")
    session.run("pytest", "tests/test_readme.py", "-k", "onnx")


@nox.session(python=[version for version in PYTHONS if version != HERE])
@nox.parametrize("library", [nox.param(name, id=name) for name in ("numpy", "strict")])
def other_pythons(session: nox.Session, library: str) -> None:
    """The tests on the other Pythons, where present."""
    install(session, *LIBRARIES[library])
    pytest(session, "--backend", library, *ELSEWHERE)


@nox.session
def minimal(session: nox.Session) -> None:
    """The tests with the oldest dependencies that the package claims to work with."""
    oldest = [requirement.replace(">=", "==") for requirement in PROJECT["project"]["dependencies"]]
    install(session, *oldest)
    pytest(session, "--backend", "numpy", *ELSEWHERE)


@nox.session(default=False)
def pinned(session: nox.Session) -> None:
    """The tests with the dependencies that the figures in docs/reliability.md were measured with."""
    install(session, *PINNED)
    pytest(session, "--backend", "numpy", *ELSEWHERE)


@nox.session(default=False)
def newest(session: nox.Session) -> None:
    """The tests with the newest releases of the dependencies, pre-releases among them where they install."""
    install(session)
    session.install("--upgrade", "--pre", "--only-binary", ":all:", *PROJECT["project"]["dependencies"])
    pytest(session, "--backend", "numpy", *ELSEWHERE)


@nox.session(default=False)
def soak(session: nox.Session) -> None:
    """A million mutated files, kills of saves and of runs, Ctrl-C at random lines, every exp, an hour in a loop."""
    install(session, "-e.[jax,fast]")
    for seed in range(1, 12):
        session.run("python", "-m", "tests.soak.mutate", "--seed", str(seed), "--files", "100000", env=ONE_THREAD)
    session.run("python", "-m", "tests.soak.kill", "--kills", "10000", env=ONE_THREAD)
    for backend in ("numpy", "jax"):
        session.run("python", "-m", "tests.soak.resume", "--backend", backend, "--kills", "100", env=ONE_THREAD)
    session.run("python", "-m", "tests.soak.press", env=ONE_THREAD)
    session.run("python", "-m", "tests.soak.exponential", env=ONE_THREAD)
    session.run("python", "-m", "tests.soak.growth", "--minutes", "60", env=ONE_THREAD)


@nox.session(default=False)
def mutation(session: nox.Session) -> None:
    """Mistakes planted in layers, losses, optimizers, schedules and nn: at least 95 % must be noticed (an hour)."""
    install(session, *LIBRARIES["strict"])
    session.run("python", "tests/soak/mutation.py", *session.posargs, env=ONE_THREAD)


@nox.session
def doctests(session: nox.Session) -> None:
    """The examples in docstrings, the README and the pages beside it."""
    install(session, "-e.[strict,sklearn,plot,tensorboard]")
    needs_jax = "backends/xpnet_backends/on_jax/pieces.py"  # which only on_jax imports, when a loop is compiled
    session.run("pytest", "--doctest-modules", "xpnet", "backends/xpnet_backends", f"--ignore={needs_jax}")
    session.run("pytest", "tests/test_readme.py")


def build_site(session: nox.Session, *more: str) -> None:
    """Build the site anew, as pages that are built already would keep their warnings to themselves."""
    install(session, "-e.[sklearn,plot]", *nox.project.dependency_groups(PROJECT, "docs"), *more)
    for folder in ("build/docs", "docs/api", "docs/gallery", "docs/generated"):
        shutil.rmtree(folder, ignore_errors=True)
    session.run("sphinx-build", "--fail-on-warning", "--keep-going", "--quiet", "docs", "build/docs")


@nox.session
def docs(session: nox.Session) -> None:
    """The site, in build/docs; a warning is an error, such as a link inside it that leads nowhere."""
    build_site(session)
    session.run("python", "docs/check_links.py", "build/docs")
    session.run("pytest", "tests/test_docs_extensions.py")


@nox.session(default=False)
def browser(session: nox.Session) -> None:
    """The site in a real browser (Chromium on the PATH): broken links and images, overflow, foreign requests."""
    build_site(session, "playwright>=1.50")
    session.run("python", "docs/check_in_browser.py", "build/docs", *session.posargs)


@nox.session
def examples(session: nox.Session) -> None:
    """The examples, in their short form, and what pictures show of networks, on every backend."""
    install(session, "-e.[strict,jax,sklearn,plot]", *LIBRARIES["torch"])
    pytest(session, "tests/test_examples.py", *map(str, Path("tests").glob("test_plotting*.py")))


@nox.session
def packaging(session: nox.Session) -> None:
    """The wheel, installed alone and tried outside the checkout; the editable install; size and import time."""
    session.install("build")
    dist = Path(session.create_tmp()) / "dist"
    shutil.rmtree(dist, ignore_errors=True)
    session.run("python", "-m", "build", "--outdir", str(dist))
    (wheel,) = dist.glob("*.whl")
    session.log(f"{wheel.name}: {wheel.stat().st_size:,} bytes")
    bench = Path("benchmarks/import_time.py").resolve()
    for kind, arguments in {"wheel": [str(wheel)], "editable": ["-e", "."]}.items():
        python = fresh_python(session, kind)
        session.run(python, "-m", "pip", "install", "-q", *arguments, external=True)
        session.run(python, "-m", "pip", "check", external=True)
        with session.chdir(session.create_tmp()):
            session.run(python, "-I", "-c", TRIAL.format(editable=kind == "editable"), external=True)
            session.run(python, "-I", "-m", "xpnet", "info", external=True)
            if kind == "wheel":
                session.run(python, "-I", str(bench), "--limit", str(SLOWEST_IMPORT), external=True)


@nox.session(default=False)
def bench(session: nox.Session) -> None:
    """xpnet beside its peers on this processor; ``nox -s bench -- --only moons`` for a part."""
    install(session, "-e.[jax,sklearn,plot,fast,mkl]", LIBRARIES["torch"][0], "keras")
    session.run("python", "-m", "benchmarks.cpu", *(session.posargs or ["--out"]))


def fresh_python(session: nox.Session, name: str) -> str:
    """Make an empty virtual environment and return its interpreter."""
    folder = Path(session.create_tmp()).resolve() / name
    shutil.rmtree(folder, ignore_errors=True)
    session.run("python", "-m", "venv", str(folder))
    return str(folder / ("Scripts" if os.name == "nt" else "bin") / "python")


TRIAL = """
import pathlib, sys
import xpnet, xpnet_backends
checkout = not pathlib.Path(xpnet.__file__).is_relative_to(sys.prefix)
assert checkout == {editable}, xpnet.__file__
assert "numpy" in xpnet.available_backends()
x, y = xpnet.clouds(200, seed=0)
net = xpnet.Network([xpnet.Dense(16), "relu", xpnet.Dense(3)], optimizer=xpnet.Adam(0.01), seed=0)
net.fit(x, y, epochs=10, verbose=0)
print(xpnet.__file__, net.evaluate(x, y))
assert net.evaluate(x, y)["accuracy"] > 0.9
"""
