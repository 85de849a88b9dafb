"""What a person sees while a network trains."""

from __future__ import annotations

import re
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import xpnet
from xpnet import ConfigurationError, Dense, Network, progress
from xpnet.progress import Progress, RichProgress, choose_progress, describe

X = np.random.default_rng(0).normal(size=(20, 3))
Y = np.arange(20) % 2
LINE = re.compile(r"epoch (\d)/(\d)  loss \d+\.\d{4}  accuracy \d\.\d{4}  \d+\.\d\d s")


def make(backend: xpnet.Backend | str = "numpy") -> Network:
    return Network([Dense(2)], backend=backend, seed=0, inputs=3)


def terminal(monkeypatch: pytest.MonkeyPatch, *, tty: bool = True, rich: bool = True) -> None:
    monkeypatch.setattr(sys.stdout, "isatty", lambda: tty, raising=False)
    monkeypatch.setattr(progress, "_has_rich", lambda: rich)


def test_silence(capsys: pytest.CaptureFixture[str], backend: xpnet.Backend) -> None:
    make(backend).fit(X, Y, epochs=2, validation_split=0.2, verbose=0)
    captured = capsys.readouterr()
    assert (captured.out, captured.err) == ("", "")


@pytest.mark.parametrize("verbose", [1, True, "auto"])
def test_one_plain_line_an_epoch_where_nobody_looks(verbose: Any, capsys: pytest.CaptureFixture[str]) -> None:
    make().fit(X, Y, epochs=3, verbose=verbose)
    lines = capsys.readouterr().out.splitlines()
    assert [LINE.fullmatch(line).groups() for line in lines] == [("1", "3"), ("2", "3"), ("3", "3")]  # type: ignore[union-attr]


def test_a_second_call_counts_on(capsys: pytest.CaptureFixture[str]) -> None:
    net = make()
    net.fit(X, Y, epochs=2, verbose=0)
    net.fit(X, Y, epochs=1, verbose=1)
    assert capsys.readouterr().out.startswith("epoch 3/3  loss")


def test_an_error_counts_as_the_lines_do(capsys: pytest.CaptureFixture[str]) -> None:
    class Spoil(xpnet.Callback):
        def on_epoch_end(self, epoch: int, logs: dict[str, float]) -> None:
            self.network.learning_rate = 1e37

    net = Network([Dense(2)], optimizer=xpnet.SGD(0.1), seed=0)
    with pytest.raises(xpnet.NonFiniteError, match=r"stopped at step \d+ \(epoch 2, batch [12], counted from 1\): "):
        net.fit(1e3 * X, Y, epochs=3, batch_size=10, callbacks=[Spoil()], verbose=1)
    assert capsys.readouterr().out.splitlines()[-1].startswith("epoch 1/3  ")


@pytest.mark.parametrize("same", [True, False])
def test_a_resumed_run_counts_from_its_start(same: bool, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Also where the network has counted its epochs already, as that gives way to the run's."""
    net = make()
    net.fit(X, Y, epochs=2, checkpoint=tmp_path, verbose=0)
    (net if same else make()).fit(X, Y, epochs=3, checkpoint=tmp_path, resume=True, verbose=1)
    assert re.findall(r"epoch \d/\d", capsys.readouterr().out) == ["epoch 3/3"]


def test_validation_and_your_own_results_are_in_the_line(capsys: pytest.CaptureFixture[str]) -> None:
    class Adds(xpnet.Callback):
        def on_epoch_end(self, epoch: int, logs: dict[str, float]) -> None:
            logs["distance"] = 2.0

    make().fit(X, Y, validation_split=0.2, callbacks=[Adds()], verbose=1)
    line = capsys.readouterr().out
    assert re.search(r"val_loss \d\.\d{4}  val_accuracy \d\.\d{4}  distance 2\.0000", line)


def test_numbers_are_aligned(capsys: pytest.CaptureFixture[str]) -> None:
    make().fit(X, Y, epochs=10, verbose=1)
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith("epoch  1/10")
    assert lines[9].startswith("epoch 10/10")


@pytest.mark.parametrize(
    ("verbose", "tty", "rich", "expected"),
    [
        (0, True, True, type(None)),
        (False, True, True, type(None)),
        (1, True, True, Progress),
        (2, False, True, RichProgress),
        (2, True, False, Progress),
        ("auto", True, True, RichProgress),
        ("auto", True, False, Progress),
        ("auto", False, True, Progress),
    ],
)
def test_which_one_is_chosen(
    verbose: Any, tty: bool, rich: bool, expected: type, monkeypatch: pytest.MonkeyPatch
) -> None:
    terminal(monkeypatch, tty=tty, rich=rich)
    assert type(choose_progress(3, verbose)) is expected


@pytest.mark.parametrize("verbose", [1, 2, "auto"])
def test_without_a_standard_output_nothing_is_shown(verbose: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """As under pythonw, and where a service has closed it."""
    monkeypatch.setattr(sys, "stdout", None)
    assert type(choose_progress(1, verbose)) is Progress
    assert make().fit(X, Y, epochs=2, verbose=verbose).epochs == 2


@pytest.mark.parametrize("verbose", [3, -1, "yes", None, [1]])
def test_an_unknown_verbosity_is_refused(verbose: Any) -> None:
    with pytest.raises(ConfigurationError, match=r"verbose must be 0.*'auto'; got"):
        choose_progress(1, verbose)


@pytest.mark.parametrize("source", ["arrays", "batches"])
def test_the_bar_prints_the_same_lines(
    source: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("rich")
    monkeypatch.setenv("COLUMNS", "30")  # the terminal's to wrap
    data = (X, Y) if source == "arrays" else ([(X[:10], Y[:10]), (X[10:], Y[10:])],)
    make().fit(*data, epochs=2, verbose=2)
    found = [LINE.search(line) for line in capsys.readouterr().out.splitlines()]
    assert [match.groups() for match in found if match] == [("1", "2"), ("2", "2")]


def test_the_bar_moves_within_a_long_epoch(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("rich")
    seen: list[tuple[int, int | None]] = []
    original = RichProgress.advance

    def spy(self: RichProgress, done: int, total: int | None) -> None:
        seen.append((done, total))
        original(self, done, total)

    monkeypatch.setattr(RichProgress, "advance", spy)
    monkeypatch.setattr("xpnet.batches.MIN_PIECE_SECONDS", 1e-9)
    make().fit(np.tile(X, (20, 1)), np.tile(Y, 20), batch_size=2, verbose=2)
    assert seen == [(20 * i, 200) for i in range(1, 11)]


def test_the_bar_is_taken_away_by_an_error(capsys: pytest.CaptureFixture[str]) -> None:
    """rich allows one live display at a time: a second fit shows that the first one's is closed."""
    pytest.importorskip("rich")

    class Fails(xpnet.Callback):
        def on_epoch_end(self, epoch: int, logs: Any) -> None:
            raise RuntimeError("no")

    net = make()
    with pytest.raises(RuntimeError, match="no"):
        net.fit(X, Y, callbacks=[Fails()], verbose=2)
    net.fit(X, Y, verbose=2)
    assert "epoch 2/2" in capsys.readouterr().out


def test_describe_leaves_out_the_rate() -> None:
    assert describe({"loss": 1.0, "learning_rate": 0.1}) == "loss 1.0000"
