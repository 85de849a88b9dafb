"""``xpnet bench``: where a network is fastest, and what its figures do not say."""

from __future__ import annotations

import json
from pathlib import Path
from time import perf_counter

import pytest

import xpnet
from xpnet.backend import BackendInfo
from xpnet.cli import main
from xpnet.cli.timing import PURPOSES, Candidate, Timing, find_candidates, judge

CPU = Candidate("numpy", "cpu", "x86", False)
OTHER = Candidate("torch", "cpu", "2 threads", False)
GPU = Candidate("cupy", 0, "H100", True)
QUICK = ("--rounds", "2", "--seconds", "0.001")


def test_a_clear_winner() -> None:
    found = judge("training", [Timing(GPU, (1.0, 1.1, 1.2)), Timing(CPU, (4.0, 4.1, 4.2))])
    assert found == [
        "training: cupy (H100) is fastest; use --backend cupy --device 0",
        "training: the GPU is 3.7 times as fast as the CPU",
    ]
    found = judge("training", [Timing(CPU, (1.0, 1.0, 1.0)), Timing(GPU, (2.0, 2.0, 2.0))])
    assert found[1] == "training: the CPU is 2 times as fast as the GPU"


def test_rounds_that_overlap_decide_nothing() -> None:
    found = judge("inference", [Timing(CPU, (1.0, 1.0, 1.1)), Timing(OTHER, (1.05, 1.1, 1.2))])
    assert found[0].startswith("inference: no clear winner: numpy (x86)")
    assert "overlap with torch (2 threads)" in found[0]
    assert found[1] == "inference: no GPU was measured, so this says nothing of one"
    found = judge("inference", [Timing(GPU, (1.0, 1.0, 1.1)), Timing(CPU, (1.05, 1.1, 1.2))])
    assert found[1].endswith("but the rounds overlap")


def test_a_place_that_stood_alone_is_not_called_the_fastest() -> None:
    assert judge("training", [Timing(CPU, (1.0, 1.0, 1.1))])[0] == "training: numpy (x86) alone was measured"


def test_noise_is_said() -> None:
    assert "noisy" in judge("training", [Timing(CPU, (1.0, 1.0, 1.4))])[-1]
    assert not any("noisy" in line for line in judge("training", [Timing(CPU, (1.0, 1.0, 1.2))]))


def test_places_are_each_backends_first_cpu_and_first_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    opened = []

    def open_backend(name: str, *, device: object, dtype: str) -> None:
        opened.append((name, device, dtype))
        if (name, device) in (("cupy", "cpu"), ("cupy", 0)):
            raise xpnet.BackendError("not here")

    monkeypatch.setattr("xpnet.cli.timing.open_backend", open_backend)
    candidates, missing = find_candidates(
        {
            "cupy": BackendInfo("cupy", "14", ("0: A, 1 GiB", "1: B, 1 GiB", "2: C, 1 GiB")),
            "jax": BackendInfo("jax", problem="not installed"),
            "strict": BackendInfo("strict", "2", ("device1 (pretended)",)),
            "torch": BackendInfo("torch", "2", ("cpu: 4 threads", "cuda:0: A", "cuda:1: B")),
        },
        "float64",
    )
    assert candidates == [
        Candidate("cupy", 1, "B, 1 GiB", True),
        Candidate("strict", None, "device1 (pretended)", False),
        Candidate("torch", "cpu", "4 threads", False),
        Candidate("torch", "cuda:0", "A", True),
    ]
    assert missing == {"jax": "not installed"}
    assert {dtype for _, _, dtype in opened} == {"float64"}


@pytest.mark.parametrize(("shape", "parameters"), [("4,8,3", 67), ("4,1", 5)])
def test_a_shape_is_measured(
    shape: str, parameters: int, backend_name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    begin = perf_counter()
    assert main(["bench", shape, "--only", backend_name, "--batch-size", "16", "--json", *QUICK]) == 0
    taken = perf_counter() - begin
    found = json.loads(capsys.readouterr().out)
    assert (found["parameters"], found["batch_size"], found["dtype"]) == (parameters, 16, "float32")
    for purpose in PURPOSES:
        for timing in found[purpose]:
            assert timing["backend"] == backend_name
            assert len(timing["rounds"]) == 2
            assert min(timing["rounds"]) <= timing["median_seconds"] <= max(timing["rounds"]) < taken
            assert timing["median_seconds"] > 0
    assert any("training" in line for line in found["advice"])


@pytest.mark.parametrize("loss", ["cross_entropy", "binary_cross_entropy", "mse", "hinge"])
def test_a_model_file_is_measured_and_left_alone(loss: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    net = xpnet.Network([xpnet.Dense(1 if loss == "hinge" else 3)], loss=loss, inputs=(2,), dtype="float64")
    net.save(tmp_path / "net.safetensors")
    before = (tmp_path / "net.safetensors").read_bytes()
    assert main(["bench", str(tmp_path / "net.safetensors"), "--only", "numpy", *QUICK]) == 0
    shown = capsys.readouterr()
    assert "float64" in shown.out
    assert "microseconds for a training step" in shown.out
    assert "training: round 2 of 2" in shown.err
    assert (tmp_path / "net.safetensors").read_bytes() == before


def test_what_cannot_be_measured(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    xpnet.Network([xpnet.Dense(3)]).save(tmp_path / "empty.safetensors")
    for arguments, words in {
        (str(tmp_path / "empty.safetensors"),): "before it knew its inputs",
        (str(tmp_path / "missing"),): "missing",
        ("4,3", "--only", "numpyy"): "did you mean 'numpy'",
        ("4,0,3",): "no file 4,0,3; a shape is inputs, hidden units and outputs, such as 784,256,10",
    }.items():
        assert main(["bench", *arguments]) == 1
        (line,) = capsys.readouterr().err.splitlines()
        assert words in line
