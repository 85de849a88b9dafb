"""The shell's frame (arguments, exit status, errors, pipes) and ``info``."""

from __future__ import annotations

import errno
import io
import json
import os
import platform
import re
import signal
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest

import xpnet
from xpnet import __main__ as program, backend
from xpnet.backend import BackendInfo
from xpnet.cli import info, main
from xpnet.cli.output import print_json

ROOT = Path(__file__).parent.parent
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
    for name, about in found["backends"].items():
        assert about["name"] == name
        assert bool(about["problem"]) != bool(about["version"])
        assert bool(about["devices"]) == bool(about["version"])
    assert found["backends"]["numpy"]["devices"][0].startswith("cpu")


def test_info_as_a_table(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    found = {
        "cupy": BackendInfo("cupy", problem="no GPU answers; run: nvidia-smi"),
        "numpy": BackendInfo("numpy", "2.1", ("cpu: x86, 4 cores",)),
    }
    monkeypatch.setattr("xpnet.cli.info.available_backends", lambda: found)
    assert main(["info"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[:4] == [
        f"xpnet {xpnet.__version__}, Python {platform.python_version()}",
        "  cupy              not available: no GPU answers; run: nvidia-smi",
        "  numpy             2.1",
        "                    cpu: x86, 4 cores",
    ]
    assert lines[4] == ""
    assert all(line.startswith("- ") for line in lines[5:])


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


def test_help_shows_an_example(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        main(["info", "--help"])
    assert caught.value.code == 0
    assert "python -m xpnet info --json" in capsys.readouterr().out


COMMANDS = ["info", "train", "predict", "evaluate", "export", "bench"]


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_has_help_with_examples(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        main([command, "--help"])
    assert caught.value.code == 0
    shown = capsys.readouterr().out
    assert f"usage: xpnet {command}" in shown
    assert f"xpnet {command}" in shown.partition("examples:")[2]


def test_the_first_help_names_every_command(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["--help"])
    shown = capsys.readouterr().out
    assert all(f"\n    {command} " in shown for command in COMMANDS)
    assert "exit status" in shown


def test_an_error_of_nobody_s_making_is_one_line_too(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken() -> None:
        raise KeyError("first\nsecond")

    monkeypatch.setattr(info, "available_backends", broken)
    assert main(["info"]) == 1
    shown = capsys.readouterr().err
    assert shown.startswith("xpnet info: unexpected KeyError")
    assert len(shown.splitlines()) == 1
    with pytest.raises(KeyError):
        main(["--traceback", "info"])


def test_ctrl_c_is_one_line(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted() -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(info, "available_backends", interrupted)
    assert main(["info"]) == 130
    assert capsys.readouterr().err == "\nxpnet info: interrupted\n"


INTERRUPTED_IMPORT = """
import os, runpy, signal, sys

class Finder:
    def find_spec(self, name, path=None, target=None):
        if name == module:
            exec("os.kill(os.getpid(), signal.SIGINT)\\nfor _ in range(1000): pass")

module = sys.argv.pop(1)
sys.meta_path.insert(0, Finder())
runpy.run_module("xpnet", run_name="__main__", alter_sys=True)
"""
"""Run xpnet, with Ctrl-C at the import of a module, within an exec, as it is while a dataclass is made."""


@pytest.mark.skipif(os.name == "nt", reason="signals and pipes of POSIX")
@pytest.mark.parametrize(
    ("module", "said"),
    [
        ("argparse", "\nxpnet: interrupted\n"),
        ("numpy", "\nxpnet: interrupted\n"),
        ("xpnet.cli.bench", "\nxpnet: interrupted\n"),
        ("xpnet_backends.on_numpy", "\nxpnet info: interrupted\n"),
    ],
)
def test_ctrl_c_before_a_command_has_begun_is_one_line_too(module: str, said: str) -> None:
    command = [sys.executable, "-c", INTERRUPTED_IMPORT, module, "info"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (130, "", said)


def test_ctrl_c_while_the_arguments_are_read_is_one_line_too(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted() -> int:
        raise KeyboardInterrupt

    monkeypatch.setattr("xpnet.cli.main", interrupted)
    handler = signal.getsignal(signal.SIGINT)
    assert program.main() == 130
    assert capsys.readouterr().err == "\nxpnet: interrupted\n"
    assert signal.getsignal(signal.SIGINT) is handler


@pytest.mark.skipif(os.name == "nt", reason="signals and pipes of POSIX")
def test_ctrl_c_that_is_ignored_stays_so() -> None:
    code = INTERRUPTED_IMPORT.replace("class Finder", "signal.signal(signal.SIGINT, signal.SIG_IGN)\n\nclass Finder")
    command = [sys.executable, "-c", code, "numpy", "--version"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, f"xpnet {xpnet.__version__}\n", "")


@pytest.mark.skipif(os.name == "nt", reason="signals and pipes of POSIX")
def test_ctrl_c_while_training_writes_nothing(tmp_path: Path) -> None:
    rows = "\n".join(f"{i % 7},{i % 2}" for i in range(2000))
    (tmp_path / "data.csv").write_text(f"a,b\n{rows}\n")
    command = [sys.executable, "-m", "xpnet", "train", "data.csv", "--target", "b", "--epochs", "100000"]
    process = subprocess.Popen(  # without a buffer, which would keep lines that came with the third from communicate()
        [*command, "--patience", "100000"], cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE, bufsize=0
    )
    assert process.stderr is not None
    while not re.match(b"epoch +3/", process.stderr.readline()):
        assert process.poll() is None
    process.send_signal(signal.SIGINT)
    out, told = process.communicate(timeout=300)
    err = told.decode()
    assert (process.returncode, out) == (130, b"")
    assert "Traceback" not in err
    said = re.search(r"\nxpnet train: interrupted after (\d+) epochs; no model was written\n\Z", err)
    assert said is not None, err
    last = re.findall(r"epoch +(\d+)/", err)[
        -1:
    ]  # a line is printed in the same breath as the epoch is counted, or not
    assert int(said[1]) - int(last[0] if last else 3) in (0, 1)
    assert os.listdir(tmp_path) == ["data.csv"]


@pytest.mark.skipif(os.name == "nt", reason="signals and pipes of POSIX")
def test_a_reader_that_goes_away_is_no_error() -> None:
    reading, writing = os.pipe()
    os.close(reading)
    done = subprocess.run(
        [sys.executable, "-m", "xpnet", "info"], stdout=writing, stderr=subprocess.PIPE, timeout=120, check=False
    )
    os.close(writing)
    assert (done.returncode, done.stderr) == (141, b"")


@pytest.mark.parametrize("windows", [True, False])
def test_a_reader_that_goes_away_on_windows_is_an_invalid_argument(
    windows: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    class Pipe(io.FileIO):
        def write(self, content: Any) -> int:
            raise OSError(errno.EINVAL, "Invalid argument")

    with open(tmp_path / "pipe", "wb") as file:
        monkeypatch.setattr("xpnet.cli.WINDOWS", windows)
        monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(Pipe(file.fileno(), "wb", closefd=False)))
        assert main(["info"]) == (141 if windows else 1)
        monkeypatch.setattr(Pipe, "write", lambda pipe, content: len(content))  # what is left goes on its way out
        sys.stdout.close()
    assert capsys.readouterr().err == ("" if windows else "xpnet info: cannot read or write: Invalid argument\n")


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="no device that is full")
def test_a_full_disk_is_one_line() -> None:
    with open("/dev/full", "w") as full:
        done = subprocess.run(
            [sys.executable, "-m", "xpnet", "info"], stdout=full, stderr=subprocess.PIPE, timeout=120, check=False
        )
    assert (done.returncode, done.stderr) == (1, b"xpnet info: cannot read or write: No space left on device\n")


GPU = BackendInfo("cupy", "14.0", ("0: H100, 80.0 GiB", "1: H100, 80.0 GiB"))


def test_advice_without_a_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    monkeypatch.setattr(info, "find_spec", lambda name: None if name == "pyarrow" else object())
    monkeypatch.setattr("shutil.which", lambda name: None)
    found = info.advise({"numpy": BackendInfo("numpy", "2", ("cpu: x86, 4 cores",))})
    assert found == [
        "no GPU was found: everything runs on the CPU; xpnet bench MODEL finds the fastest library",
        "the shell reads Parquet files with pyarrow: pip install 'xpnet[parquet]'",
    ]
    monkeypatch.setattr("shutil.which", lambda name: "/usr/bin/nvidia-smi")
    monkeypatch.delenv("OMP_NUM_THREADS")
    found = info.advise({"numpy": BackendInfo("numpy", "2", ("cpu: x86, 4 cores",))})
    assert found[0].startswith("nvidia-smi is installed, but no backend reaches a GPU")
    assert "OMP_NUM_THREADS=1" in found[1]


def test_advice_names_every_extra_that_is_no_backends() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    backends = {"torch", "jax", "strict"}
    others = {extra for extra in project["optional-dependencies"] if not extra.startswith("cuda")} - backends
    assert set(info.EXTRAS) == others - {"mkl", "all-cpu"}
    for extra, (module, _) in info.EXTRAS.items():
        (first, *_) = project["optional-dependencies"][extra]
        assert first.partition(">=")[0] == {"sklearn": "scikit-learn"}.get(module, module)


def test_advice_with_a_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("xpnet.cli.timing.open_backend", lambda *_, **__: None)
    found = info.advise({"cupy": GPU})
    assert found[0] == "a GPU answers: --backend cupy --device 0 computes on H100, 80.0 GiB"
    assert found[1].startswith("small networks are often faster on the CPU")


def test_json_has_no_nan(capsys: pytest.CaptureFixture[str]) -> None:
    print_json({"loss": float("nan"), "folds": [1.5, float("inf")], "name": "x"})
    assert json.loads(capsys.readouterr().out) == {"loss": None, "folds": [1.5, None], "name": "x"}
