"""The CPU benchmark's own logic: who is compared, that cheating would be seen, what is written. Never a time."""

from __future__ import annotations

import gzip
import json
import math
import os
import re
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from xpnet_backends.on_numpy import mkl, openblas, writer

pytest.importorskip("resource", reason="peak memory is read where POSIX offers it")
sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from benchmarks import core_distance, cpu, latency, precision, report, rounds, startup
from benchmarks.end_to_end import two_moons
from benchmarks.peers import PEERS, Peer
from benchmarks.processes import Worker, WorkerFailed, environment
from benchmarks.work import INFERENCE, TRAINING, Work, first_weights, loss_of, make_pool
from benchmarks.worker import make_trainer, repetitions_for

TINY = {
    "plain": Work("tiny", (4, 6, 3), 20, "sgd", 0.1, "sigmoid", pool=4),
    "adam": Work("tiny", (4, 6, 3), 20, "adam", 1e-3, "relu", pool=4),
    "batch norm": Work("tiny", (4, 6, 5, 3), 20, "adam", 1e-3, "relu", pool=4, batch_norm=True),
}
TRAINERS = [name for name in PEERS if name not in ("limit", "keras", "torch-compile")]
"""Keras keeps global state, and compiling needs a C++ compiler and its time: the harness itself runs them apart."""


def trainer_of(name: str, work: Work, monkeypatch: pytest.MonkeyPatch) -> Any:
    if absence := PEERS[name].absence():
        pytest.skip(absence)
    for variable, value in PEERS[name].environment.items():
        monkeypatch.setenv(variable, value)
    for module in (mkl, writer):  # a peer that does without extras does so for its whole process
        monkeypatch.setattr(module, "available", module.available)
    return make_trainer(name, work, first_weights(work), make_pool(work))


@pytest.mark.parametrize("kind", TINY)
@pytest.mark.parametrize("name", [name for name in TRAINERS if name != "source"])
def test_every_peer_does_the_same_mathematics(name: str, kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    work = TINY[kind]
    if work.batch_norm and name == "sklearn":
        pytest.skip("scikit-learn has no batch normalization")
    pool = make_pool(work)
    peer, plain = (trainer_of(each, work, monkeypatch) for each in (name, "source"))
    assert peer.train(1, False) > 0
    plain.train(1, False)
    before = loss_of(work, first_weights(work), pool)
    decrease = before - loss_of(work, plain.weights(), pool)
    assert decrease > 0
    # scikit-learn adds Adam's epsilon elsewhere, which is 1e-8 against slopes of some 1e-2.
    assert before - loss_of(work, peer.weights(), pool) == pytest.approx(decrease, rel=1e-2)


@pytest.mark.parametrize("name", [name for name in TRAINERS if PEERS[name].predicts])
def test_every_peer_predicts_what_its_weights_say(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    work = TINY["adam"]
    x = np.random.default_rng(0).standard_normal((7, 4)).astype(np.float32)
    found = trainer_of(name, work, monkeypatch).predict(x)
    np.testing.assert_allclose(found, trainer_of("source", work, monkeypatch).predict(x), atol=1e-5)


def test_pool_has_fresh_batches_and_labels_that_can_be_learned() -> None:
    for work in TINY.values():
        pool = make_pool(work)
        batches = list(pool.batches())
        assert len(batches) == len(pool) == work.pool
        assert len(np.unique(pool.x, axis=0)) == work.pool * work.batch
        assert pool.x.dtype == np.float32
    assert all(work.pool > 1 or work.batch == 60_000 for work in TRAINING.values())


def test_a_digit_is_an_image_as_networks_are_given_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    calls = INFERENCE["predict-digit"]
    monkeypatch.delenv("XPNET_DATA", raising=False)
    with pytest.raises(FileNotFoundError, match="XPNET_DATA"):
        calls.draw()
    images = np.random.default_rng(0).integers(256, size=(100, 784), dtype=np.uint8)
    (tmp_path / "t10k-images-idx3-ubyte.gz").write_bytes(gzip.compress(bytes(16) + images.tobytes()))
    monkeypatch.setenv("XPNET_DATA", str(tmp_path))
    rows = calls.draw()
    assert {(row.shape, row.dtype.name) for row in rows} == {((1, 784), "float32")}
    np.testing.assert_array_equal(np.concatenate(rows) * 255, images[: calls.count])


def test_names_of_peers_and_works_fit_together() -> None:
    assert set(report.OURS) | set(report.RIVALS) <= set(PEERS)
    assert set(report.OVER_TORCH) <= set(TRAINING)
    assert set(startup.COLD) <= set(PEERS)
    assert set(cpu.PART_FUNCTIONS) == set(cpu.PARTS)
    assert all(set(peer.works) <= set(TRAINING) for peer in PEERS.values())


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({}, None),
        ({"after": 1.2}, "loss went"),
        ({"after": math.nan}, "loss went"),
        ({"after_pass": 0.999}, "after one pass"),
        ({"after": None}, None),
    ],
)
def test_a_peer_that_did_not_learn_is_found_out(change: dict[str, float], said: str | None) -> None:
    result = {"before": 1.0, "after_pass": 0.9, "after": 0.5} | change
    found = rounds.fault("clouds", "torch", result, reference=0.9)
    assert found is None if said is None else said in str(found)


def test_wrong_probabilities_are_found_out() -> None:
    assert rounds.fault("predict-1", "torch", {"deviation": 1e-6}, None) is None
    assert "probabilities" in str(rounds.fault("predict-1", "torch", {"deviation": 1e-2}, None))


def test_rounds_last_as_long_as_asked() -> None:
    class Fake:
        def run(self, repetitions: int) -> float:
            return 0.003 * repetitions

    assert repetitions_for(Fake(), 0.6) == 200  # type: ignore[arg-type]


def test_threads_are_set_for_the_process_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    assert environment(3)["OMP_NUM_THREADS"] == "3"
    assert "OMP_NUM_THREADS" not in environment(None)
    assert "OMP_NUM_THREADS" not in cpu.os.environ


def test_a_worker_that_fails_says_why() -> None:
    worker = Worker(["benchmarks.worker", json.dumps({"peer": "nobody", "work": "clouds", "threads": None})], None)
    with pytest.raises(WorkerFailed, match="nobody"):
        worker.answer()
    worker.errors.close()


def test_aims_are_judged_by_the_figures() -> None:
    peers = {"xpnet": {"median": 10.0}, "torch": {"median": 60.0}, "jax-step": {"median": 8.0}}
    found = report.reach({"works": {"moons": {"peers": peers}}, "parts": {}})
    assert {(row["aim"], row["met"]) for row in found} == {
        ("moons: xpnet / fastest rival (jax-step)", False),
        ("moons: xpnet / torch", True),
    }


def test_installed_size_counts_what_is_needed() -> None:
    found = startup.installed_sizes()["xpnet"]
    assert {"xpnet", "numpy"} <= set(found["parts"])
    assert 50_000 < found["parts"]["xpnet"] < found["parts"]["numpy"]
    assert found["bytes"] == sum(found["parts"].values())


def test_two_moons_are_balanced_and_where_they_belong() -> None:
    x, y = two_moons(1000, 0.0, seed=0)
    assert y.mean() == 0.5
    np.testing.assert_allclose(np.hypot(*x[y == 0].T), 1.0)
    np.testing.assert_allclose(np.hypot(*(x[y == 1] - [1.0, 0.5]).T), 1.0)


def test_the_command_writes_a_table_a_file_and_a_picture(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(PEERS, "jax-step", Peer("absent", "nothing", needs=("no_such_library",)))
    arguments = ["--quick", "--only", "clouds", "size", "--peers", "xpnet", "xpnet-fit", "jax-step", "source"]
    assert cpu.main([*arguments, "--out", str(tmp_path)]) == 0
    printed = capsys.readouterr().out
    assert "plain NumPy, float64" in printed
    assert "not installed: no_such_library" in printed
    (written,) = tmp_path.glob("*-cpu.json")
    results = json.loads(written.read_text())
    assert set(results["works"]["clouds"]["peers"]) == {"xpnet", "xpnet-fit", "source"}
    assert results["machine"]["versions"]["numpy"] == np.__version__
    assert results["works"]["clouds"]["left_out"] == {"jax-step": "not installed: no_such_library"}
    for result in results["works"]["clouds"]["peers"].values():
        assert 1 <= len(result["rounds"]) <= 1 + rounds.AGAIN
        assert result["after"] < result["before"]


def test_both_search_the_same_grid(capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("sklearn")
    assert cpu.main(["--quick", "--only", "search", "--peers", "xpnet", "sklearn"]) == 0
    printed = capsys.readouterr().out
    found = re.findall(r"^  (\w+) +[\d.]+ s, best scores \[([\d.]+)\]$", printed, re.MULTILINE)
    assert [name for name, _ in found] == ["xpnet", "sklearn"]
    assert len({score for _, score in found}) == 1  # the same weights, order and steps
    assert float(found[0][1]) > 0.5
    assert "grid search: xpnet / scikit-learn" in printed


def test_the_limit_is_the_products_of_a_step(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("llvmlite")
    if openblas.library() is None:
        pytest.skip("NumPy multiplies by a library that is not known")
    work = TINY["batch norm"]
    found = trainer_of("limit", work, monkeypatch)
    assert len(found.steps) == work.pool
    assert all(step.memory[0] == 8 for step in found.steps)  # three forward, three for weights, two back
    assert found.train(1, False) > 0


def test_short_jobs_count_from_a_process_s_start(capsys: pytest.CaptureFixture[str]) -> None:
    assert cpu.main(["--quick", "--only", "short-moons", "--peers", "xpnet-fit", "source", "limit"]) == 0
    printed = capsys.readouterr().out
    found = re.findall(r"^  ([\w-]+) +([\d.]+) s for ([\d,]+) steps", printed, re.MULTILINE)
    assert [name for name, *_ in found] == ["xpnet-fit", "source"]
    assert all(float(seconds) > 0.05 for _, seconds, _ in found)  # Python and NumPy take longer to start
    results = {
        "works": {},
        "parts": {"short-moons": {"xpnet-fit": {"median": 2.0}, "torch": {"median": 4.0}, "keras": {"median": 1.6}}},
    }
    (row,) = report.reach(results)
    assert (row["aim"], row["figure"], row["met"]) == ("short-moons: xpnet-fit / fastest rival (keras)", 1.25, False)


def test_the_picture_is_drawn(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    peers = {name: {"median": float(n), "spread": [n * 0.9, n * 1.1]} for n, name in enumerate(("xpnet", "torch"), 1)}
    machine = {"rounds": 1, "processor": "some", "cores": 2, "date": "2000-01-01"}
    path = tmp_path / "picture.png"
    assert report.picture({"works": {"clouds": {"peers": peers}}, "machine": machine}, path)
    from matplotlib.image import imread

    red, green, blue = (imread(path)[..., channel] for channel in range(3))
    assert np.sum((blue > 0.6) & (red < 0.3)) > 50  # xpnet's dot
    assert np.sum((red > 0.8) & (green > 0.4) & (blue < 0.4)) > 50  # the other's


@pytest.mark.parametrize("arguments", [["--only", "nothing"], ["--rounds", "0"], ["--peers", "nobody"]])
def test_bad_arguments_are_refused(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        cpu.parse(arguments)
    assert arguments[-1] in capsys.readouterr().err


def test_rounds_while_the_cores_are_far_apart_are_set_aside(monkeypatch: pytest.MonkeyPatch) -> None:
    """Three of the first four trips are long: the first round counts in no case, the second's end is long, too."""
    trips = iter([330.0, 330.0, 60.0, 330.0, *[60.0] * 100])
    seen: list[float] = []

    def trip() -> float:
        seen.append(next(trips))
        return seen[-1]

    monkeypatch.setattr(core_distance, "round_trip", trip)
    monkeypatch.setattr(core_distance, "least", lambda: min(seen, default=None))
    found = rounds.measure_work("clouds", ["xpnet"], 2, 0.01, None, lambda text: None)["peers"]["xpnet"]
    assert len(found["rounds"]) == 2
    assert [one.trip for one in found["set_aside"]] == [330.0, 330.0]
    assert found["spread"] == [min(found["rounds"]), max(found["rounds"])]
    results = {"works": {"clouds": {"peers": {"xpnet": found}}}}
    assert report._set_aside(results) == ["  clouds: xpnet 2 of 4"]


def test_all_rounds_count_where_the_cores_stay_far_apart(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(core_distance, "round_trip", lambda: 330.0)
    monkeypatch.setattr(core_distance, "least", lambda: 60.0)
    found = rounds.measure_work("clouds", ["xpnet"], 1, 0.01, None, lambda text: None)["peers"]["xpnet"]
    assert (len(found["rounds"]), found["set_aside"], found["far"]) == (1 + rounds.AGAIN, [], 1 + rounds.AGAIN)


def test_a_trip_between_cores_is_measured() -> None:
    if core_distance.cores() is None:
        assert core_distance.round_trip() is None
        pytest.skip("one core, no way to bind a thread to one, or no LLVM")
    trip = core_distance.round_trip()
    assert trip is not None
    assert 5.0 < trip < 1e6  # nearer are no two cores, and each player waits for the other
    assert core_distance.least() == min(trip, core_distance.least() or trip)
    assert len(os.sched_getaffinity(0)) >= 2, "this thread may still go anywhere"


def test_calls_are_measured_alone_and_beside_others(capsys: pytest.CaptureFixture[str]) -> None:
    latency.main(["--peers", "xpnet", "--seconds", "0.1"])
    lines = capsys.readouterr().out.splitlines()
    said = [line.split("  calls ")[0].split(maxsplit=1)[1].strip() for line in lines]
    assert said == [
        f"{where}, {when}" for where in ("alone", "beside others") for when in ("back to back", "after rests")
    ]
    for line in lines:
        median, mean, most = (float(part.split()[-1].replace(",", "")) for part in line.split("  ")[-3:])
        assert 0 < median <= most
        assert mean > 0


def test_precisions_are_set_beside_each_other(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    precision.main(["--quick", "--only", "spiral", "--backends", "numpy", "--out", str(tmp_path)])
    (file,) = tmp_path.glob("*-precision.json")
    found = json.loads(file.read_text())["trainings"]["spiral"]["numpy"]
    assert {name: len(runs) for name, runs in found.items()} == {"float32": 1, "bfloat16": 1}
    assert found["float32"][0]["loss"] != found["bfloat16"][0]["loss"]
    assert all(0 <= runs[0]["accuracy"] <= 1 < runs[0]["microseconds"] for runs in found.values())
    assert "| spiral | numpy | " in capsys.readouterr().out
    with pytest.raises(SystemExit):
        precision.main(["--rounds", "0"])
