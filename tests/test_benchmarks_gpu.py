"""The GPU benchmark's own logic, and its peers on the processor: what is compared, what is written. Never a time."""

from __future__ import annotations

import json
import math
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("resource", reason="peak memory is read where POSIX offers it")
sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import xpnet
from benchmarks import ceilings, end_to_end, gpu, gpu_report, kernels, questions, rounds
from benchmarks.peers import GPU_PEERS
from benchmarks.rounds import ALLOWED
from benchmarks.work import FOR_GPUS, INFERENCE, TRAINING, Calls, Work, first_weights, loss_of, make_pool
from benchmarks.worker import Inference, make_trainer

TINY = Work("tiny", (4, 6, 5, 3), 20, "adam", 1e-3, "relu", pool=4)
PLAIN = Work("tiny", (4, 6, 3), 20, "sgd", 0.1, "sigmoid", pool=4)
COMPILED = ("cuda-compile", "cuda-reduce-overhead", "cuda-max-autotune")
"""Left out here: they need a C++ compiler and minutes; ``python -m benchmarks.gpu --device cpu`` runs them, too."""

PEERS = [name for name in GPU_PEERS if name not in COMPILED and name != "cupy-kernels"]


def trainer_of(name: str, work: Work, precision: str = "fp32") -> Any:
    peer = GPU_PEERS[name]
    if absence := peer.absence():
        pytest.skip(absence)
    options = {"device": "cpu", "precision": precision} if peer.placed else {}
    return make_trainer(name, work, first_weights(work), make_pool(work), options)


def plain(work: Work) -> Any:
    return make_trainer("source", work, first_weights(work), make_pool(work))


@pytest.mark.parametrize("work", [TINY, PLAIN], ids=["adam", "sgd"])
@pytest.mark.parametrize("name", PEERS)
def test_every_peer_does_the_same_mathematics(name: str, work: Work) -> None:
    pool, reference = make_pool(work), plain(work)
    reference.train(1, False)
    before = loss_of(work, first_weights(work), pool)
    decrease = before - loss_of(work, reference.weights(), pool)
    peer = trainer_of(name, work)
    assert peer.train(1, False) > 0
    assert before - loss_of(work, peer.weights(), pool) == pytest.approx(decrease, rel=1e-3)
    peer.train(20, True)
    assert loss_of(work, peer.weights(), pool) < before - decrease


@pytest.mark.parametrize("name", [name for name in PEERS if "bf16" in GPU_PEERS[name].precisions])
def test_bf16_multiplies_in_it_and_keeps_weights_in_float32(name: str) -> None:
    reference = plain(TINY)
    reference.train(1, False)
    peer = trainer_of(name, TINY, "bf16")
    peer.train(1, False)
    differences = [
        np.max(np.abs(one[key] - other[key]))
        for one, other in zip(peer.weights(), reference.weights(), strict=True)
        for key in one
    ]
    assert all(layer["weight"].dtype == np.float32 for layer in peer.weights())
    assert 1e-7 < max(differences) < 5e-3
    before = loss_of(TINY, first_weights(TINY), make_pool(TINY))
    result = {
        "before": before,
        "after_pass": loss_of(TINY, peer.weights(), make_pool(TINY)),
        "after": before - 1,
    }
    assert rounds.fault("mlp", name, result, loss_of(TINY, reference.weights(), make_pool(TINY)), "bf16") is None


@pytest.mark.parametrize("name", ["cuda-epoch", "cuda-graph-epoch", "gpu-jax-scan", "cupy-fit", "xpnet-on-jax"])
def test_shuffled_peers_draw_other_batches(name: str) -> None:
    one, other = trainer_of(name, TINY), trainer_of(name, TINY)
    one.train(1, False)
    other.train(1, True)
    assert not np.array_equal(one.weights()[0]["weight"], other.weights()[0]["weight"])


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
@pytest.mark.parametrize("name", [name for name in PEERS if GPU_PEERS[name].predicts])
def test_every_peer_predicts_what_its_weights_say(name: str, precision: str) -> None:
    peer = GPU_PEERS[name]
    if precision not in peer.precisions:
        pytest.skip(f"computes in {', '.join(peer.precisions)}")
    if absence := peer.absence():
        pytest.skip(absence)
    runner = Inference(name, Calls(TINY, 7, 2), {"device": "cpu", "precision": precision} if peer.placed else {})
    assert runner.run(2) > 0
    assert runner.deviation < ALLOWED[precision][1]
    assert (runner.deviation > 1e-6) == (precision == "bf16")


def test_the_peer_on_the_kernels_does_the_same_mathematics(emulated: Any) -> None:
    pool, reference = make_pool(TINY), plain(TINY)
    options = {"device": "cuda", "precision": "fp32"}
    peers = [make_trainer(name, TINY, first_weights(TINY), pool, options) for name in ("cupy-kernels", "cupy-bare")]
    assert "adam" in peers[0].network.backend.nn
    assert peers[1].network.backend.nn == {}
    for each in (reference, *peers):
        each.train(1, False)
    for each in peers:
        for one, other in zip(each.weights(), reference.weights(), strict=True):
            np.testing.assert_allclose(one["weight"], other["weight"], atol=1e-5)


def test_names_of_peers_works_and_parts_fit_together() -> None:
    assert {*gpu_report.OURS, *gpu_report.COMPILED, *gpu_report.ELSEWHERE, gpu_report.HOST} <= set(GPU_PEERS)
    assert set(gpu_report.LARGE) <= set(FOR_GPUS) <= set(TRAINING) | set(INFERENCE)
    assert set(gpu.PARTS) == set(gpu.MODULES)
    assert all(set(peer.precisions) <= set(ALLOWED) for peer in GPU_PEERS.values())
    assert all("fp32" in peer.precisions for peer in GPU_PEERS.values())
    sizes = {(*work.sizes, work.batch) for work in TRAINING.values() if not (work.dropout or work.batch_norm)}
    assert sizes >= {(784, 512, 512, 10, 128), (784, 2048, 2048, 10, 1024), (784, 4096, 4096, 10, 8192)}


# Without a GPU


def test_without_a_gpu_one_sentence_says_what_is_missing(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("PATH", "")
    assert gpu.main(["--quick"]) == gpu.NO_GPU != 0
    said = capsys.readouterr()
    assert said.out == ""
    assert said.err == (
        "nothing was measured: there is no NVIDIA GPU, or its driver is not installed: nvidia-smi is not on the PATH\n"
    )


@pytest.mark.parametrize(
    ("code", "said", "expected"),
    [
        (9, "NVIDIA-SMI has failed\nmore", "nvidia-smi says: NVIDIA-SMI has failed"),
        (0, "", "nvidia-smi says: nothing"),
    ],
)
def test_a_driver_that_shows_no_gpu_is_quoted(
    monkeypatch: pytest.MonkeyPatch, code: int, said: str, expected: str
) -> None:
    monkeypatch.setattr(subprocess, "run", lambda *a, **k: subprocess.CompletedProcess(a, code, said, ""))
    with pytest.raises(gpu.NoGpu, match=expected):
        gpu.gpu()


def test_gpu_and_driver_are_read(monkeypatch: pytest.MonkeyPatch) -> None:
    line = "NVIDIA H200, 580.1, 143771 MiB\nNVIDIA H200, 580.1, 143771 MiB\n"
    monkeypatch.setattr(subprocess, "run", lambda *a, **k: subprocess.CompletedProcess(a, 0, line, ""))
    assert gpu.gpu() == "NVIDIA H200, driver 580.1, 143771 MiB"


@pytest.mark.parametrize(
    "arguments", [["--only", "nothing"], ["--precisions", "fp8"], ["--peers", "nobody"], ["--minutes", "0"], ["--add"]]
)
def test_bad_arguments_are_refused(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        gpu.parse(arguments)
    assert arguments[-1] in capsys.readouterr().err


def test_the_command_runs_on_the_processor_and_adds_to_its_file(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    common = ["--device", "cpu", "--quick", "--out", str(tmp_path)]
    only = ["--only", "moons", "--peers", "cupy-bare", "cupy-step"]
    assert gpu.main([*common, *only, "--precisions", "fp32", "bf16"]) == 0
    assert gpu.main([*common, "--add", "--only", "questions", "predict-1", "--peers", "host-fit"]) == 0
    printed = capsys.readouterr().out
    assert "xpnet on CuPy, the step alone" in printed
    assert "computes in fp32 and tf32, not in bf16" in printed
    assert gpu_report.NO_GPU in printed
    (written,) = tmp_path.glob("*-gpu-tried-on-cpu.json")
    results = json.loads(written.read_text())
    assert list(results["precisions"]) == ["fp32", "tf32", "bf16"]
    fp32, bf16 = (results["precisions"][precision]["works"] for precision in ("fp32", "bf16"))
    assert set(fp32["moons"]["peers"]) == {"cupy-bare", "cupy-step"}
    assert set(fp32["predict-1"]["peers"]) == {"host-fit"}
    assert fp32["predict-1"]["peers"]["host-fit"]["deviation"] < 1e-5
    assert set(bf16["moons"]["left_out"]) == {"cupy-bare", "cupy-step"}
    assert set(results["parts"]["questions"]) == set(questions.QUESTIONS)
    assert results["machine"]["gpu"] is None
    assert results["reach"] == []
    results["machine"]["versions"]["numpy"] = "1.0"
    written.write_text(json.dumps(results))
    with pytest.raises(SystemExit, match="has versions"):
        gpu.main([*common, "--add", *only])


def test_nothing_is_begun_when_the_time_is_over(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    clock = iter(range(0, 10_000, 100))
    monkeypatch.setattr(gpu, "perf_counter", lambda: float(next(clock)))
    monkeypatch.setattr(gpu, "part", lambda name, options: {"answer": name})
    options = ["--device", "cpu", "--quick", "--only", "questions", "ceilings", "kernels", "--minutes", "2"]
    assert gpu.main([*options, "--out", str(tmp_path)]) == 0
    assert "not begun, as the time is over: ceilings, kernels" in capsys.readouterr().err
    (written,) = tmp_path.glob("*.json")
    assert json.loads(written.read_text())["parts"] == {"questions": {"answer": "questions"}}


# Parts


def test_floors_follow_from_ceilings() -> None:
    found = {"products": {"fp32": {"operations_a_second": 60e12}}, "copy_bytes_a_second": 4.3e12}
    assert ceilings.operations(TRAINING["huge"]) == pytest.approx(932e9, rel=0.01)
    assert ceilings.floor(TRAINING["mlp"], found, "fp32") == pytest.approx(6.8 + 4.4, rel=0.01)
    assert ceilings.bytes_of_update(TRAINING["digits"]) == 12 * (122 * 100 + 101 * 10)
    assert [name for name in ("mlp", "wide", "huge") if ceilings.has_floor(TRAINING[name])] == ["wide", "huge"]


def test_ceilings_are_measured() -> None:
    pytest.importorskip("torch")
    found = ceilings.measure("cpu", quick=True)
    assert found["copy_bytes_a_second"] > 0
    errors = {precision: product["relative_error"] for precision, product in found["products"].items()}
    assert errors["fp32"] < 1e-5 < errors["bf16"] < 1e-1
    assert all(product["operations_a_second"] > 0 for product in found["products"].values())


def test_kernels_are_measured_beside_plain_operations(emulated: Any) -> None:
    found = kernels.measure(xpnet.open_backend("cupy"), kernels.QUICK, 1e-6)
    rate = found.pop("copy_bytes_a_second")
    assert rate > 0
    assert len(found) == 6
    for name, case in found.items():
        assert case["kernel_error"] < 1e-6, name
        assert case["plain_error"] < 1e-6, name
        assert min(case["kernel_microseconds"], case["plain_microseconds"], case["share_of_copy_rate"]) > 0


def test_a_kernel_that_is_wrong_is_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    assert kernels.largest_error((np.ones(3), np.zeros(2)), (np.ones(3), np.ones(2)), np.asarray) == 1.0
    assert math.isnan(kernels.largest_error(np.full(3, np.nan), np.ones(3), np.asarray))


def test_an_error_is_an_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "cupy", None)
    for question in questions.QUESTIONS:
        assert "cupy" in questions.answer(question)["error"]


def test_mnist_is_timed_from_data_on_the_device(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("XPNET_DATA", raising=False)
    assert "XPNET_DATA" in end_to_end.mnist_on_gpu("cpu", quick=True)["left_out"]
    monkeypatch.setenv("XPNET_DATA", "somewhere")
    asked = []

    def run(seed: int, most: int, **options: object) -> dict[str, Any]:
        asked.append((seed, most, options))
        return {"accuracy": [0.9, 0.981], "seconds": float(seed)}

    monkeypatch.setattr(end_to_end, "mnist_by_xpnet", run)
    monkeypatch.setattr(end_to_end, "mnist_by_torch", run)
    found = end_to_end.mnist_on_gpu("cuda", quick=False)
    assert found["xpnet"] == {"seconds": 1.0, "epochs": [2, 2, 2], "accuracy": [0.981] * 3, "reached": True}
    assert asked[0] == (3, 1, {"backend": "cupy"})
    assert asked[-1] == (2, end_to_end.MOST_EPOCHS, {"device": "cuda", "fused": True})


# The report


def recorded() -> dict[str, Any]:
    def work(**medians: float) -> dict[str, Any]:
        peers = {
            peer.replace("_", "-"): {"median": m, "spread": [m * 0.9, m * 1.1], "wrong": None, "deviation": 1e-7}
            for peer, m in medians.items()
        }
        return {"peers": peers, "left_out": {"cuda-graph": "out of memory"}}

    products = {precision: {"operations_a_second": 60e12, "relative_error": 1e-7} for precision in ALLOWED}
    works = {
        "mlp": work(cupy_bare=40.0, cuda_eager=400.0, cuda_compile=90.0, cuda_max_autotune=50.0, host_fit=2000.0),
        "huge": work(cupy_bare=16_000.0, cuda_fused=16_500.0, host_fit=9e6, xpnet_on_jax=1.0),
        "predict-1": work(cupy_step=30.0, cuda_eager=60.0),
    }
    return {
        "machine": {
            "date": "2000-01-01",
            "gpu": "some GPU",
            "processor": "some",
            "cores": 16,
            "python": "3.12",
            "versions": {"torch": "2"},
            "revision": "abc",
            "rounds": 5,
            "round_seconds": 0.2,
            "quick": False,
            "seconds": 100.0,
        },
        "precisions": {"fp32": {"works": works}},
        "parts": {
            "ceilings": {"products": products, "copy_bytes_a_second": 4.3e12},
            "mnist-98": {"xpnet": {"seconds": 0.8, "reached": True}},
        },
    }


def test_aims_are_judged_by_the_figures() -> None:
    found = {row["aim"]: (round(row["figure"], 3), row["met"]) for row in gpu_report.reach(recorded())}
    assert found == {
        "mlp, fp32: cupy-bare / torch eager": (0.1, True),
        "mlp, fp32: cupy-bare / best torch.compile (cuda-max-autotune)": (0.8, False),
        "mlp, fp32: cupy-bare: microseconds a step": (40.0, True),
        "huge, fp32: cupy-bare / fastest rival (cuda-fused)": (0.97, False),
        "huge, fp32: cupy-bare / floor": (1.022, True),
        "98 % on MNIST from data on the device: seconds": (0.8, True),
    }


def test_the_table_has_everything(tmp_path: Path) -> None:
    results = recorded()
    results["reach"] = gpu_report.reach(results)
    results["precisions"]["fp32"]["works"]["mlp"]["peers"]["cuda-eager"]["wrong"] = "loss went up"
    text = gpu_report.text(results)
    for part in (
        "some GPU; some, 16 cores",
        "fp32: microseconds a step (median)",
        "fp32: microseconds a call (median)",
        "fp32: largest error of a probability",
        "fp32: floor of a step, microseconds: huge ",
        "cuda-graph (mlp fp32, huge fp32, predict-1 fp32): out of memory",
        "WRONG RESULTS\n  fp32:  mlp, cuda-eager: loss went up",
        "seconds: 0.8",
    ):
        assert part in text
    pytest.importorskip("matplotlib")
    path = tmp_path / "picture.png"
    assert gpu_report.picture(results, path)
    assert path.stat().st_size > 10_000
