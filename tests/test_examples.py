"""Every example runs, quickly, on every backend; the GPU ones leave with a line and a code where there is none."""

from __future__ import annotations

import importlib
import os
import subprocess
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest

import xpnet

EXAMPLES = Path(__file__).parents[1] / "examples"
SCRIPTS = ["clouds", "digits", "digits_11x11", "gpu_mnist", "gpu_parity", "mnist", "moons", "spiral"]
NEEDS_MNIST = {"digits_11x11", "gpu_mnist", "mnist"}
NEEDS_SKLEARN = {"digits", "gpu_parity", "moons"}

pytest.importorskip("matplotlib", reason="the examples draw; pip install 'xpnet[plot]'")
pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning:matplotlib")


@pytest.fixture
def example(monkeypatch: pytest.MonkeyPatch) -> Any:
    """``example("moons")`` imports a script the way Python runs it: with its folder on the path."""
    monkeypatch.syspath_prepend(str(EXAMPLES))

    def load(name: str) -> ModuleType:
        if name in NEEDS_SKLEARN:
            pytest.importorskip("sklearn", reason="this example takes its data from scikit-learn")
        for module in ("common", name):
            monkeypatch.delitem(sys.modules, module, raising=False)
        return importlib.import_module(name)

    return load


@pytest.fixture
def small_mnist(monkeypatch: pytest.MonkeyPatch) -> None:
    """Images in MNIST's form, a bright square in a place of its own for each class, instead of the files."""
    generator = np.random.default_rng(0)

    def images(count: int) -> tuple[np.ndarray, np.ndarray]:
        labels = np.arange(count, dtype=np.uint8) % 10
        found = generator.integers(0, 60, (count, 28, 28), dtype=np.uint8)
        for image, label in zip(found, labels, strict=True):
            row, column = 4 + 10 * (label // 5), 3 + 4 * (label % 5)
            image[row : row + 8, column : column + 4] += 190
        return found, labels

    monkeypatch.setattr(xpnet, "mnist", lambda folder=None: (*images(1_000), *images(1_000)), raising=False)


def run(example: Any, name: str, out: Path, *arguments: str) -> dict[str, float]:
    return example(name).main(["--quick", "--out", str(out), *arguments])


@pytest.mark.parametrize("script", SCRIPTS)
def test_an_example_runs_and_leaves_its_pictures(
    script: str, backend32: xpnet.Backend, example: Any, small_mnist: None, tmp_path: Path, capsys: Any
) -> None:
    figures = run(example, script, tmp_path / "new" / "folder", "--backend", backend32.name)
    assert figures
    assert all(np.isfinite(value) for value in figures.values())
    pictures = [path.name for path in (tmp_path / "new" / "folder").glob("*.png")]
    assert pictures
    assert all(name.startswith(script) for name in pictures)
    assert "---" in capsys.readouterr().out or script == "digits"


def test_command_one_learns_real_digits(example: Any, tmp_path: Path, capsys: Any) -> None:
    result = example("digits").main(["--out", str(tmp_path)])
    printed = capsys.readouterr().out
    assert result["accuracy"] >= 0.97
    assert "epoch 40/40" in printed
    assert "precision" in printed
    assert (tmp_path / "digits.png").stat().st_size > 10_000
    served = xpnet.load(tmp_path / "digits.safetensors")
    assert served.out_shape == (10,)


def test_one_seed_gives_one_result(example: Any, tmp_path: Path) -> None:
    results = [run(example, "digits", tmp_path, "--seed", seed)["loss"] for seed in ("1", "1", "2")]
    assert results[0] == results[1] != results[2]


def test_parity_of_a_backend_with_itself_is_exact(example: Any, tmp_path: Path) -> None:
    found = run(example, "gpu_parity", tmp_path, "--backend", "numpy")
    assert found["weights"] == found["loss"] == 0.0


def test_parity_sees_a_difference(example: Any) -> None:
    """Networks of two seeds differ by what their weights differ by."""
    one, other = (xpnet.Network([xpnet.Dense(3)], inputs=2, seed=seed) for seed in (0, 1))
    found = example("gpu_parity").largest_difference(one, other)
    assert found == np.max(np.abs(one.get_weights()["0.weight"] - other.get_weights()["0.weight"])) > 0.0


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_parity_on_the_stand_in_for_a_gpu(dtype: str, example: Any, open_backend: Any, tmp_path: Path) -> None:
    open_backend("array-api-strict")
    found = run(example, "gpu_parity", tmp_path, "--backend", "array-api-strict", "--dtype", dtype)
    assert found["weights"] < {"float32": 1e-4, "float64": 1e-12}[dtype]
    assert found["numpy"] == found["array-api-strict"]


def python(script: str, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, str(EXAMPLES / f"{script}.py"), *arguments],
        env=os.environ | environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )


@pytest.mark.parametrize("script", ["gpu_mnist", "gpu_parity"])
def test_without_a_gpu_a_line_and_a_code_of_its_own(script: str, tmp_path: Path) -> None:
    if xpnet.available_backends()["cupy"].available:
        pytest.skip("a GPU answers here")
    ended = python(script, "--out", str(tmp_path / "out"))
    assert ended.returncode == 3
    assert ended.stdout == ""
    assert ended.stderr.startswith(f"{script}.py: cannot run here: backend 'cupy'")
    assert ended.stderr.count("\n") == 1
    assert not (tmp_path / "out").exists()


def test_without_mnist_a_line_that_says_where_to_put_it(tmp_path: Path) -> None:
    ended = python("mnist", "--data", str(tmp_path), "--out", str(tmp_path / "out"))
    assert ended.returncode == 1
    assert ended.stderr.startswith("MNIST is not on this machine")
    assert ended.stderr.count("\n") == 1


@pytest.mark.parametrize("script", SCRIPTS)
def test_help_says_what_a_script_is_for(script: str, example: Any, capsys: Any) -> None:
    with pytest.raises(SystemExit) as ended:
        example(script).main(["--help"])
    assert ended.value.code == 0
    printed = capsys.readouterr().out
    for option in ("--backend", "--seed", "--quick", "--out", *(["--data"] if script in NEEDS_MNIST else [])):
        assert option in printed


# --- the recipes and figures that the examples rest on -----------------------------------------------


def test_the_published_spiral_starts_where_it_was_published(example: Any) -> None:
    """NumPy's legacy generator promises these numbers for ever; the arms are those of xpnet.spiral without noise."""
    x, y, weights = example("spiral").published_start()
    assert np.random.RandomState(0).randn() == pytest.approx(1.764052345967664)
    assert {name: value.shape for name, value in weights.items()} == {"0.weight": (2, 64), "2.weight": (64, 3)}
    clean, arms = xpnet.spiral(100, noise=0.0)
    np.testing.assert_array_equal(y, arms)
    np.testing.assert_allclose(np.hypot(*x.T), np.hypot(*clean.T), atol=1e-12)
    angle = 4.0 + 0.2 * np.random.RandomState(0).randn(300)[199]
    np.testing.assert_allclose(x[199], [np.sin(2.5 * (4.0 + angle)), np.cos(2.5 * (4.0 + angle))], atol=1e-12)


def test_the_best_answers_on_a_spiral_are_right_without_noise_and_limited_with_it(example: Any) -> None:
    best_answers = example("spiral").best_answers
    x, y = xpnet.spiral(1_000, noise=0.01, seed=5)
    assert np.mean(best_answers(x, 0.01) == y) > 0.999
    x, y = xpnet.spiral(20_000, seed=5)
    assert np.mean(best_answers(x, 0.2) == y) == pytest.approx(0.9117, abs=0.005)


def test_a_table_lines_up(example: Any, capsys: Any) -> None:
    common = example("common")
    common.table("Title", ["name", "value"], [["one", 0.5], ["three", "x"]])
    assert capsys.readouterr().out == "\nTitle\nname    value\n-------------\none    0.5000\nthree       x\n"
