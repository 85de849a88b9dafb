"""The comparison with scikit-learn's perceptrons compares what it says; never a time."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

pytest.importorskip("sklearn")
sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from benchmarks import sklearn_accuracy


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
@pytest.mark.parametrize("name", ["wine", "diabetes"])
def test_ours_scores_what_theirs_does(name: str) -> None:
    runs = dict(sklearn_accuracy.compare(name, 1))
    assert runs.keys() == sklearn_accuracy.KINDS.keys()
    assert next(iter(runs)) == "xpnet", "with the second seed another one is first"
    assert runs["xpnet"].score == pytest.approx(runs["scikit-learn"].score, abs=sklearn_accuracy.ROUNDING)
    assert runs["xpnet"].epochs == runs["scikit-learn"].epochs
    assert all(run.seconds > 0 for run in runs.values())


def test_a_row_counts_equal_scores_and_takes_medians() -> None:
    theirs = [sklearn_accuracy.Run(0.5, 10, seconds) for seconds in (1.0, 2.0, 9.0)]
    mine = [sklearn_accuracy.Run(score, 20, 0.5) for score in (0.5, 0.6, 0.7)]
    line = sklearn_accuracy.row("wine", "xpnet", mine, theirs)
    assert line == "| wine | xpnet | 0.6000 | 0.1000 | 1 of 3 | 20 | 0.500 | 4.00 |"


def test_a_lower_mean_is_an_error(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    def worse(name: str, seed: int) -> list[tuple[str, sklearn_accuracy.Run]]:
        scores = {"scikit-learn": 0.9, "xpnet": 0.8, "xpnet, float32": 0.9}
        return [(kind, sklearn_accuracy.Run(score, 1, 1.0)) for kind, score in scores.items()]

    monkeypatch.setattr(sklearn_accuracy, "compare", worse)
    monkeypatch.setattr(sys, "argv", ["sklearn_accuracy", "--seeds", "2", "--only", "wine"])
    monkeypatch.setattr(sklearn_accuracy.warnings, "simplefilter", lambda *arguments: None)
    assert sklearn_accuracy.main() == 1
    assert "less accurate than scikit-learn: wine" in capsys.readouterr().out
